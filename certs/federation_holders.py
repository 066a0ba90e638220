"""Asking a peer for somebody without naming them: the index of a number under a key of that pair of instances alone.

A question about a holder carries no number, not even inside TLS: only HMAC-SHA256 of it under a key that these two instances share and
nobody else has. Whoever does not hold anything of that person learns nothing about whom was asked for; whoever stores the question
stores no number; and what one pair uses says nothing to another. The plain blind index of ``identity.personal_data`` is of no use here:
its key never leaves its house. Nor is an encrypted number: it would tell the number to a city that has nothing of that person.

The key has two halves, one of each instance, told over mutual TLS in signed messages and kept sealed under a key in custody: neither
side can choose it, and either can make a new one.
"""

import asyncio
import datetime as dt
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Table, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.federation import unpadded
from certs.federation_keys import own_cipher, own_row
from certs.federation_models import PairIndexRow, PeerRow
from certs.federation_peers import Peer, check_actor
from certs.holders import open_number
from certs.models import HolderRow
from identity.numbers import index_family, normalise
from identity.personal_data import PersonalData
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import Conflict
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence.audit import Event, Outcome, record

HALF = 32
BATCH = 500
_NOBODY = uuid.UUID(int=0)


class PairKeyStale(Conflict):
    """The two instances do not hold the same key of holders' indexes, or one has not indexed all its holders yet."""

    code = "FEDERATION_PAIR_KEY_STALE"
    public = (
        "两个实例尚未完成持证主体索引的协商，请稍后再试。",
        "The two instances have not finished agreeing on holders yet. Please try again later.",
    )


@dataclass(frozen=True, slots=True)
class PairKey:
    """The key of a pair. ``name`` says which it is and nothing else of it."""

    name: str
    octets: bytes

    def __repr__(self) -> str:
        return f"PairKey({self.name!r})"

    def index(self, code_type: str, code: str) -> bytes:
        """The index of a number, 32 octets; equal for one number declared under two kinds of one family."""
        message = f"{index_family(code_type)}\0{normalise(code)}".encode("utf-8", "surrogatepass")
        return hmac.new(self.octets, message, hashlib.sha256).digest()


def pair_key(instances: tuple[uuid.UUID, uuid.UUID], halves: tuple[bytes, bytes]) -> PairKey:
    """The key of two instances from the half of each, whichever of them computes it (HKDF, RFC 5869)."""
    ordered = sorted(zip(instances, halves, strict=True))
    info = b"fujie-federation-holders/1" + b"".join(one.bytes for one, _ in ordered)
    octets = HKDF(SHA256(), HALF, salt=None, info=info).derive(b"".join(half for _, half in ordered))
    return PairKey(unpadded(hashlib.sha256(b"name" + octets).digest()[:12]), octets)


def part_name(half: bytes) -> str:
    """Which half it is."""
    return unpadded(hashlib.sha256(b"half" + half).digest()[:12])


async def own_half(session: AsyncSession, keystore: KeyStore, peer: Peer) -> bytes:
    """Our half of the key with a peer; made where there is none."""
    row = await _locked(session, peer)
    cipher = await own_cipher(session)
    if row.own_part is None:
        half = secrets.token_bytes(HALF)
        row.own_part = _sealed(keystore, cipher, half, "own", peer)
        await session.flush([row])
        return half
    return _opened(keystore, cipher, row.own_part, "own", peer)


async def accept_half(session: AsyncSession, keystore: KeyStore, now: dt.datetime, peer: Peer, half: bytes) -> PairKey:
    """The other's half; where it is news, all holders are indexed anew under the key that follows. Raises ValueError."""
    if len(half) != HALF:
        raise ValueError("no half of a key")
    own = await own_half(session, keystore, peer)
    row = await _locked(session, peer)
    mine = (await own_row(session)).instance
    key = pair_key((mine, peer.card.instance), (own, half))
    if row.pair_key != key.name:
        cipher = await own_cipher(session)
        row.their_part, row.pair_key, row.indexed_to = _sealed(keystore, cipher, half, "their", peer), key.name, _NOBODY
        await session.execute(delete(PairIndexRow).where(PairIndexRow.peer_id == peer.id))
        await session.flush([row])
        event = Event("certs.federation.pair", f"peer:{peer.id}", Outcome.DONE, peer.actor, {"key": key.name})
        await record(session, now, event)
    return key


async def note_told(session: AsyncSession, peer: Peer, half: bytes) -> None:
    """The peer has our half."""
    await session.execute(update(PeerRow).where(PeerRow.id == peer.id).values(told_part=part_name(half)))


async def pairing_is_due(session: AsyncSession, keystore: KeyStore, peer: Peer) -> bool:
    """Whether the peer has to be told our half, or we lack its own."""
    row = await session.get(PeerRow, peer.id, populate_existing=True)
    if row is None or row.own_part is None or row.their_part is None:
        return True
    own = _opened(keystore, await own_cipher(session), row.own_part, "own", peer)
    return row.told_part != part_name(own)


async def renew_half(session: AsyncSession, now: dt.datetime, peer: Peer, actor: Actor) -> None:
    """Forget our half: the next turn makes another, and both sides index anew. Raises ``PeerActorRefused``."""
    check_actor(actor)
    row = await _locked(session, peer)
    row.own_part = row.told_part = None
    await session.flush([row])
    await record(session, now, Event("certs.federation.pair", f"peer:{peer.id}", Outcome.DONE, actor, {"renewed": True}))


async def key_with(session: AsyncSession, keystore: KeyStore, peer_id: uuid.UUID) -> tuple[PairKey, bool]:
    """The key of the pair, and whether all our holders are indexed under it. Raises :class:`PairKeyStale`."""
    row = await session.get(PeerRow, peer_id, populate_existing=True)
    if row is None or row.own_part is None or row.their_part is None:
        raise PairKeyStale("no key yet")
    cipher = await own_cipher(session)
    parts = [_open_part(keystore, cipher, row, part) for part in ("own", "their")]
    mine = (await own_row(session)).instance
    return pair_key((mine, row.instance), (parts[0], parts[1])), row.indexed_to is None


def _open_part(keystore: KeyStore, cipher: StoredKey, row: PeerRow, part: str) -> bytes:
    sealed: bytes = getattr(row, f"{part}_part")
    return keystore.decrypt(cipher, sealed, _context(part, row.id), Purpose.FEDERATION)


async def holder_of(session: AsyncSession, peer: Peer, index: bytes) -> bytes | None:
    """Our own blind index of whom the peer asks for; None: nobody we have anything of."""
    row = await session.get(PairIndexRow, (peer.id, index))
    return row.code_index if row is not None else None


async def index_certificates(session: AsyncSession, keystore: KeyStore, personal: PersonalData, certificates: Sequence[uuid.UUID]) -> None:
    """Index the holders of these certificates for every peer with whom we have a key."""
    paired = list(await session.scalars(select(PeerRow.id).where(PeerRow.their_part.is_not(None), PeerRow.own_part.is_not(None))))
    if not paired:
        return
    rows = list(await session.scalars(select(HolderRow).where(HolderRow.certificate_id.in_(certificates))))
    for peer_id in paired:
        key, _ = await key_with(session, keystore, peer_id)
        await _index(session, personal, peer_id, key, rows)


async def index_on(session: AsyncSession, keystore: KeyStore, personal: PersonalData, peer: Peer) -> int:
    """Go on indexing the holders that were there before the key; how many rows were looked at, 0 when all are done."""
    row = await _locked(session, peer)
    if row.indexed_to is None or row.pair_key is None:
        return 0
    key, _ = await key_with(session, keystore, peer.id)
    following = select(HolderRow.certificate_id).where(HolderRow.certificate_id > row.indexed_to).distinct()
    chosen = list(await session.scalars(following.order_by(HolderRow.certificate_id).limit(BATCH)))
    rows = list(await session.scalars(select(HolderRow).where(HolderRow.certificate_id.in_(chosen)))) if chosen else []
    await _index(session, personal, peer.id, key, rows)
    row.indexed_to = chosen[-1] if chosen else None
    await session.flush([row])
    return len(chosen)


async def _index(session: AsyncSession, personal: PersonalData, peer_id: uuid.UUID, key: PairKey, rows: Sequence[HolderRow]) -> None:
    values = await asyncio.to_thread(_indexed, personal, peer_id, key, rows)
    if values:
        await session.execute(insert(PairIndexRow).on_conflict_do_nothing(), values)


def _indexed(personal: PersonalData, peer_id: uuid.UUID, key: PairKey, rows: Sequence[HolderRow]) -> list[dict[str, object]]:
    numbered = {row.code_index: row for row in rows if row.code_index and (row.code or row.code_sealed)}
    return [
        {"peer_id": peer_id, "pair_index": key.index(row.code_type, open_number(personal, row)), "code_index": index}
        for index, row in sorted(numbered.items())
    ]


async def forget_holders(session: AsyncSession) -> None:
    """Drop indexes of people of whom nothing is held any more."""
    held = exists().where(HolderRow.code_index == PairIndexRow.code_index)
    await session.execute(delete(cast(Table, PairIndexRow.__table__)).where(~held))


async def _locked(session: AsyncSession, peer: Peer) -> PeerRow:
    query = select(PeerRow).where(PeerRow.id == peer.id).with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(query)).one()


def _context(part: str, peer_id: uuid.UUID) -> bytes:
    return f"certs.federation.{part}:{peer_id}".encode()


def _sealed(keystore: KeyStore, cipher: StoredKey, half: bytes, part: str, peer: Peer) -> bytes:
    return keystore.encrypt(cipher, half, _context(part, peer.id), Purpose.FEDERATION)


def _opened(keystore: KeyStore, cipher: StoredKey, sealed: bytes, part: str, peer: Peer) -> bytes:
    return keystore.decrypt(cipher, sealed, _context(part, peer.id), Purpose.FEDERATION)
