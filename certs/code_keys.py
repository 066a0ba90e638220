"""The keys that sign offline codes and status lists: a table of instants, as :mod:`keys.rotation` keeps for tokens.

A code is printed on paper, so a key signs for a year and is believed for ten more: ``good_until``. Whoever keeps the key set of last
month must find the key of today in it, so the next key is announced a month before it signs; only the very first, and one that
replaces a compromised key, signs at once.

:func:`signing_key` answers who signs now, and makes what is missing; :func:`rotate` brings the next one forward; what a compromised
key signed is believed nowhere from the moment its key set is fetched again, and its certificates need new codes.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import func, select, update

from certs.code_key_set import PublicCodeKey
from certs.code_models import CodeKeyRow
from certs.offline_code import KID_OCTETS, CodeAlgorithm
from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence import audit

PERIOD = dt.timedelta(days=365)
BELIEVED = dt.timedelta(days=3653)
NOTICE = dt.timedelta(days=30)
ROTATION_NOTICE = dt.timedelta(days=2)
ALGORITHMS: Mapping[Algorithm, CodeAlgorithm] = {
    Algorithm.P256: CodeAlgorithm.ES256,
    Algorithm.ED25519: CodeAlgorithm.EDDSA,
    Algorithm.SM2: CodeAlgorithm.SM2,
}
_MADE_FOR = {cose: algorithm for algorithm, cose in ALGORITHMS.items()}
_LOCK = "certs.code_keys"


class CodeKeyState(StrEnum):
    """Where a key is in its life; it moves down this list and never up."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    COMPROMISED = "compromised"


@dataclass(frozen=True, slots=True)
class CodeKey:
    """One key and its instants. ``key_id`` names the stored key."""

    kid: bytes
    algorithm: CodeAlgorithm
    key: StoredKey
    created_at: dt.datetime
    signs_from: dt.datetime
    signs_until: dt.datetime
    good_until: dt.datetime
    compromised_at: dt.datetime | None = None

    def state(self, now: dt.datetime) -> CodeKeyState:
        """Its state at ``now``."""
        if self.compromised_at is not None:
            return CodeKeyState.COMPROMISED
        if now < self.signs_from:
            return CodeKeyState.NEXT
        if now < self.signs_until:
            return CodeKeyState.ACTIVE
        return CodeKeyState.RETIRING if now < self.good_until else CodeKeyState.RETIRED

    @property
    def public(self) -> PublicCodeKey:
        """What anybody may know of it. A compromised key stays listed, so that its codes are refused and not merely unknown."""
        return PublicCodeKey(
            self.kid, self.algorithm, self.key.public, self.signs_from, self.signs_until, self.good_until, self.compromised_at
        )


def kid_of(public: bytes) -> bytes:
    """The first 8 octets of the SHA-256 of the SubjectPublicKeyInfo."""
    return hashlib.sha256(public).digest()[:KID_OCTETS]


def signing(keys: Iterable[CodeKey], algorithm: CodeAlgorithm, now: dt.datetime) -> CodeKey | None:
    """Who signs at ``now``: of several the one that began last."""
    active = [one for one in keys if one.algorithm is algorithm and one.state(now) is CodeKeyState.ACTIVE]
    return max(active, key=lambda one: (one.signs_from, one.created_at), default=None)


async def code_keys(session: AsyncSession) -> tuple[CodeKey, ...]:
    """Every key there ever was, in the order in which they began."""
    statement = select(CodeKeyRow).order_by(CodeKeyRow.signs_from, CodeKeyRow.created_at)
    rows = (await session.scalars(statement.execution_options(populate_existing=True))).all()
    return tuple([_of_row(row, await load_key(session, row.key_id)) for row in rows])


async def signing_key(session: AsyncSession, keystore: KeyStore, now: dt.datetime, algorithm: Algorithm = Algorithm.P256) -> CodeKey:
    """The key that signs now; made if there is none, and its successor announced in time."""
    wanted = ALGORITHMS[algorithm]
    known = await code_keys(session)
    active = signing(known, wanted, now)
    if active is not None and (active.signs_until - now > NOTICE or _next(known, wanted, now) is not None):
        return active
    known = await _locked(session)
    active = signing(known, wanted, now) or await _add(session, keystore, wanted, now, now, SYSTEM)
    if active.signs_until - now <= NOTICE and _next(known, wanted, now) is None:
        await _add(session, keystore, wanted, now, active.signs_until, SYSTEM)
    return active


async def rotate(
    database: Database,
    keystore: KeyStore,
    clock: Clock,
    algorithm: Algorithm = Algorithm.P256,
    actor: Actor = SYSTEM,
    *,
    at_once: bool = False,
) -> tuple[CodeKey, ...]:
    """Let a new key sign: after :data:`ROTATION_NOTICE`, or ``at_once``: then every key that signed is compromised and its codes void.

    Asked again before the new key signs, it changes nothing. The keys as they then are.
    """
    wanted = ALGORITHMS[algorithm]
    async with database.begin() as session:
        known, now = await _locked(session), clock.now()
        if at_once:
            await _take_back(session, known, wanted, now, actor)
            await _add(session, keystore, wanted, now, now, actor)
        else:
            await _bring_forward(session, keystore, known, wanted, now, actor)
        return await code_keys(session)


async def _bring_forward(
    session: AsyncSession, keystore: KeyStore, known: Sequence[CodeKey], wanted: CodeAlgorithm, now: dt.datetime, actor: Actor
) -> None:
    active, coming = signing(known, wanted, now), _next(known, wanted, now)
    begins = now + ROTATION_NOTICE if active else now
    if coming is None:
        await _add(session, keystore, wanted, now, begins, actor)
    elif begins < coming.signs_from:
        await _write(session, _from(coming, begins))
        await _audit(session, now, "certs.code_keys.rotate", coming, actor)
    if active is not None and begins < active.signs_until:
        await _write(session, replace(active, signs_until=begins))


async def _take_back(session: AsyncSession, known: Sequence[CodeKey], wanted: CodeAlgorithm, now: dt.datetime, actor: Actor) -> None:
    for one in known:
        if one.algorithm is wanted and one.compromised_at is None:
            await _write(session, replace(one, compromised_at=now))
            await _audit(session, now, "certs.code_keys.take_back", one, actor)


def _next(known: Iterable[CodeKey], wanted: CodeAlgorithm, now: dt.datetime) -> CodeKey | None:
    coming = [one for one in known if one.algorithm is wanted and one.state(now) is CodeKeyState.NEXT]
    return min(coming, key=lambda one: one.signs_from, default=None)


def _from(key: CodeKey, begins: dt.datetime) -> CodeKey:
    return replace(key, signs_from=begins, signs_until=begins + PERIOD, good_until=begins + PERIOD + BELIEVED)


async def _add(
    session: AsyncSession, keystore: KeyStore, wanted: CodeAlgorithm, now: dt.datetime, begins: dt.datetime, actor: Actor
) -> CodeKey:
    stored = keystore.generate(_MADE_FOR[wanted], Purpose.CODES)
    await store_key(session, stored, now)
    made = _from(CodeKey(kid_of(stored.public), wanted, stored, now, begins, begins, begins), begins)
    row = CodeKeyRow(
        kid=made.kid, algorithm=int(wanted), key_id=stored.id, created_at=now,
        signs_from=made.signs_from, signs_until=made.signs_until, good_until=made.good_until,
    )  # fmt: skip
    session.add(row)
    await session.flush([row])
    await _audit(session, now, "certs.code_keys.announce", made, actor)
    return made


async def _write(session: AsyncSession, key: CodeKey) -> None:
    await session.execute(
        update(CodeKeyRow)
        .where(CodeKeyRow.kid == key.kid)
        .values(signs_from=key.signs_from, signs_until=key.signs_until, good_until=key.good_until, compromised_at=key.compromised_at)
    )


async def _locked(session: AsyncSession) -> tuple[CodeKey, ...]:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
    return await code_keys(session)


def _of_row(row: CodeKeyRow, key: StoredKey) -> CodeKey:
    return CodeKey(
        row.kid, CodeAlgorithm(row.algorithm), key, row.created_at, row.signs_from, row.signs_until, row.good_until, row.compromised_at
    )


async def _audit(session: AsyncSession, now: dt.datetime, action: str, key: CodeKey, actor: Actor) -> None:
    details: dict[str, audit.JSON] = {"algorithm": key.algorithm.name, "signs_from": key.signs_from.isoformat(timespec="seconds")}
    await audit.record(session, now, audit.Event(action, f"code-key:{key.kid.hex()}", audit.Outcome.DONE, actor, details))
