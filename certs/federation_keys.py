"""Our own side of the exchange: the card by which others know us, and the keys that sign our messages.

A key stays good for proving the next one until it is revoked, so that a peer that was away for a year still learns the keys of today:
each message is signed with the newest key that its receiver said it knows. Keys change without anybody's doing (:data:`PERIOD`); a
revoked key proves nothing any more, and peers that know no other take a new card from two people's hands.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from certs.federation import Card, CardMalformed, FederationNotEstablished, MessageKey, PeerActorRefused, card_from
from certs.federation_models import FederationKeyRow, FederationSelfRow, PeerRow
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.ids import new_id
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.audit import JSON, Event, Outcome, record
from keys.pki.reads import get_authority

AUTHORITY = "documents"
PERIOD = dt.timedelta(days=365)
_LOCK = "certs.federation.self"


@dataclass(frozen=True, slots=True)
class Introduction:
    """How an instance wants to be known; see :class:`certs.federation.Card`."""

    name: str
    organisation: str
    divisions: tuple[str, ...]
    address: str
    authority: str = AUTHORITY


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of ours. ``key`` is its reference in custody."""

    public: MessageKey
    key: StoredKey
    created_at: dt.datetime
    revoked_at: dt.datetime | None

    def sign(self, keystore: KeyStore, message: bytes) -> bytes:
        return keystore.sign(self.key, message, Purpose.FEDERATION)


async def establish(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor, given: Introduction, algorithm: Algorithm = Algorithm.P256
) -> Card:
    """Make our card, with a first key and the key that seals what we agree with peers; or change what it says.

    The instance's identifier and its keys stay. Peers learn another address from a new card only.
    Raises ``CardMalformed``, ``AuthorityUnknown``, ``PeerActorRefused``.
    """
    _require_operator(actor)
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
        now = clock.now()
        await get_authority(session, given.authority)
        row = await session.get(FederationSelfRow, 1)
        values = {
            "name": given.name, "organisation": given.organisation, "divisions": list(given.divisions), "address": given.address,
            "authority": given.authority,
        }  # fmt: skip
        if row is None:
            await _begin(session, keystore, now, algorithm, values)
        else:
            await session.execute(update(FederationSelfRow).values(values))
        await session.flush()
        card = card_from((await own_card(session)).to_json())
        details: dict[str, JSON] = {"card": card.digest().hex(), "address": card.address, "divisions": list(card.divisions)}
        await record(session, now, Event("certs.federation.establish", f"instance:{card.instance}", Outcome.DONE, actor, details))
        return card


async def _begin(session: AsyncSession, keystore: KeyStore, now: dt.datetime, algorithm: Algorithm, values: dict[str, Any]) -> None:
    cipher = keystore.generate(Algorithm.SM4 if algorithm is Algorithm.SM2 else Algorithm.AES256, Purpose.FEDERATION)
    await store_key(session, cipher, now)
    session.add(FederationSelfRow(id=1, instance=new_id(), cipher_id=cipher.id, filled_to=None, created_at=now, **values))
    await session.flush()
    await _make_key(session, keystore, now, algorithm)


def _require_operator(actor: Actor) -> None:
    """The operator at the machine, or a security administrator with a second factor."""
    person = actor.kind is ActorKind.PERSON and Role.SECURITY_ADMIN in actor.roles and actor.authenticator >= 2
    if actor.kind is not ActorKind.SYSTEM and not person:
        raise PeerActorRefused("security administrator")


async def own_card(session: AsyncSession) -> Card:
    """How we introduce ourselves now. Raises :class:`FederationNotEstablished`."""
    row = await own_row(session)
    authority = await get_authority(session, row.authority)
    keys = tuple(one.public for one in await own_keys(session) if one.revoked_at is None)
    if not keys:
        raise CardMalformed("no key")
    return Card(row.instance, row.name, row.organisation, tuple(row.divisions), row.address, (authority.certificate,), keys)


async def is_established(session: AsyncSession) -> bool:
    return await session.get(FederationSelfRow, 1) is not None


async def own_row(session: AsyncSession) -> FederationSelfRow:
    """Raises :class:`FederationNotEstablished`."""
    row = await session.get(FederationSelfRow, 1, populate_existing=True)
    if row is None:
        raise FederationNotEstablished
    return row


async def own_cipher(session: AsyncSession) -> StoredKey:
    """The key that seals what we agree with peers. Raises :class:`FederationNotEstablished`."""
    return await load_key(session, (await own_row(session)).cipher_id)


async def own_keys(session: AsyncSession) -> tuple[OwnKey, ...]:
    """All keys there ever were, the oldest first."""
    rows = list(await session.scalars(select(FederationKeyRow).order_by(FederationKeyRow.created_at, FederationKeyRow.kid)))
    keys = [await load_key(session, row.key_id) for row in rows]
    return tuple(OwnKey(MessageKey.of(key.public), key, row.created_at, row.revoked_at) for row, key in zip(rows, keys, strict=True))


def signer(keys: Sequence[OwnKey], knows: Collection[str]) -> OwnKey:
    """The newest key that the receiver said it knows; of those it knows from our card where it said nothing.

    Raises :class:`FederationNotEstablished` where all were revoked.
    """
    standing = [one for one in keys if one.revoked_at is None]
    known = [one for one in standing if one.public.kid in knows]
    if not standing:
        raise FederationNotEstablished("no key")
    return known[-1] if known else standing[0]


async def rotate(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, *, revoke_others: bool = False) -> MessageKey:
    """A new key; peers take it over at their next message. ``revoke_others``: all before it prove nothing from now on.

    Raises ``PeerActorRefused``, :class:`FederationNotEstablished`.
    """
    _require_operator(actor)
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
        await own_row(session)
        now = clock.now()
        if revoke_others:
            standing = update(FederationKeyRow).where(FederationKeyRow.revoked_at.is_(None))
            await session.execute(standing.values(revoked_at=now))
            await session.execute(update(PeerRow).values(knows=[]))
        algorithm = (await own_keys(session))[-1].key.algorithm
        made = await _make_key(session, keystore, now, algorithm)
        details: dict[str, JSON] = {"kid": made.kid, "revoked": revoke_others}
        await record(session, now, Event("certs.federation.rotate", f"federation-key:{made.kid}", Outcome.DONE, actor, details))
        return made


async def tend_keys(database: Database, keystore: KeyStore, clock: Clock) -> MessageKey | None:
    """A new key where the newest is old; what was made, if anything."""
    async with database.session() as session:
        keys = await own_keys(session)
    if not keys or clock.now() - keys[-1].created_at < PERIOD:
        return None
    return await rotate(database, keystore, clock, SYSTEM)


async def _make_key(session: AsyncSession, keystore: KeyStore, now: dt.datetime, algorithm: Algorithm) -> MessageKey:
    key = keystore.generate(algorithm, Purpose.FEDERATION)
    await store_key(session, key, now)
    made = MessageKey.of(key.public)
    session.add(FederationKeyRow(kid=made.kid, key_id=key.id, created_at=now, revoked_at=None))
    await session.flush()
    return made
