"""The sequencer: gives committed events their place in the Merkle log and signs a checkpoint.

One transaction under one advisory lock: positions, full tiles and the checkpoint appear together or not at all,
and two sequencers take turns.
"""

import datetime as dt
import hashlib
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from sqlalchemy import BigInteger, Table, Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.merkle import HASH_SIZE, Frontier, leaf_hash, root_of
from keys.evidence.models import AuditEvent, LogCheckpoint, LogIdentity, LogTile
from keys.evidence.notes import Checkpoint, VerifierKey, signature_line

TILE = 256
SEQUENCER_LOCK = 0x46554A4945_01
BATCH = 10_000

# All positions in one statement: one for each event costs a millisecond of CPU for each event.
_PLACED = func.unnest(bindparam("ids", type_=ARRAY(Uuid))).table_valued("id", with_ordinality="place").render_derived(name="placed")
_PLACE = (
    update(cast(Table, AuditEvent.__table__))
    .where(AuditEvent.id == _PLACED.c.id)
    .values(position=bindparam("first", type_=BigInteger) + _PLACED.c.place - 1)
)


def entry_of(body: bytes) -> bytes:
    """What the log publishes of an event: the SHA-256 of its body, a commitment that tells nobody what happened.

    The log is open to everyone, and who logged in when, at which portal, is personal data even without a name. Nobody can
    guess a body: it holds the event's identifier, 74 random bits that are shown nowhere else. Whoever is given a body (an
    auditor, the person it is about) proves with it what the log holds.
    """
    return hashlib.sha256(body).digest()


async def establish_log(database: Database, keystore: KeyStore, clock: Clock, origin: str) -> VerifierKey:
    """Make the log's name and key if there is none; answer its verifier key."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
        if (identity := await session.scalar(select(LogIdentity))) is None:
            key = keystore.generate(Algorithm.ED25519, Purpose.LOG)
            await store_key(session, key, clock.now())
            session.add(identity := LogIdentity(origin=origin, key_id=key.id, created_at=clock.now()))
        return _verifier(identity.origin, await load_key(session, identity.key_id))


def _verifier(origin: str, key: StoredKey) -> VerifierKey:
    public = load_der_public_key(key.public)
    if not isinstance(public, Ed25519PublicKey):
        raise TypeError("the log's key must be Ed25519")
    return VerifierKey(origin, public.public_bytes(Encoding.Raw, PublicFormat.Raw))


async def log_key(session: AsyncSession) -> tuple[VerifierKey, StoredKey]:
    """The log's verifier key and the reference of its signing key; the log must be established."""
    identity = (await session.scalars(select(LogIdentity))).one()
    key = await load_key(session, identity.key_id)
    return _verifier(identity.origin, key), key


async def latest_checkpoint(session: AsyncSession) -> LogCheckpoint | None:
    return await session.scalar(select(LogCheckpoint).order_by(LogCheckpoint.size.desc()).limit(1))


async def sequence(database: Database, keystore: KeyStore, clock: Clock, *, batch: int = BATCH) -> int:
    """Append up to ``batch`` waiting events and sign a checkpoint; how many were appended.

    1. take the lock  2. read the waiting events, oldest first  3. place them  4. store full tiles  5. sign
    """
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
        waiting = (
            await session.execute(
                select(AuditEvent.id, AuditEvent.body).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(batch)
            )
        ).all()
        if not waiting:
            return 0
        frontier = await _frontier(session)
        first = frontier.size
        await session.execute(_PLACE, {"first": first, "ids": [row.id for row in waiting]})
        for row in waiting:
            frontier.append(leaf_hash(entry_of(row.body)))
        await _store_full_tiles(session, first, frontier.size)
        await _sign(session, keystore, clock.now(), frontier)
        return len(waiting)


async def sequence_all(database: Database, keystore: KeyStore, clock: Clock) -> int:
    """Append everything that waits when it is called; what arrives meanwhile waits for the next call.

    Going on until nothing waits would never end under load, with a signed checkpoint for every handful of events.
    """
    total = 0
    while (count := await sequence(database, keystore, clock)) == BATCH:
        total += count
    return total + count


async def _frontier(session: AsyncSession) -> Frontier:
    last = await latest_checkpoint(session)
    return Frontier() if last is None else Frontier.from_bytes(last.size, last.frontier)


async def _sign(session: AsyncSession, keystore: KeyStore, now: dt.datetime, frontier: Frontier) -> None:
    verifier, key = await log_key(session)
    checkpoint = Checkpoint(verifier.name, frontier.size, frontier.root())
    signature = keystore.sign(key, checkpoint.body().encode(), Purpose.LOG)
    note = f"{checkpoint.body()}\n{signature_line(verifier, signature)}"
    session.add(LogCheckpoint(size=frontier.size, root=checkpoint.root, frontier=frontier.to_bytes(), note=note, created_at=now))


async def _store_full_tiles(session: AsyncSession, old_size: int, new_size: int) -> None:
    """Store every tile, at every level, that became full between the two sizes."""
    level, old, new = 0, old_size, new_size
    while new // TILE > old // TILE:
        for index in range(old // TILE, new // TILE):
            session.add(LogTile(level=level, index=index, hashes=await tile_hashes(session, level, index, TILE)))
        await session.flush()
        level, old, new = level + 1, old // TILE, new // TILE


async def tile_hashes(session: AsyncSession, level: int, index: int, width: int) -> bytes:
    """``width`` hashes of a tile, computed from entries (level 0) or from the tiles below it."""
    if level == 0:
        return b"".join(leaf_hash(entry) for entry in await entries(session, index * TILE, width))
    below = (
        await session.scalars(
            select(LogTile.hashes)
            .where(LogTile.level == level - 1, LogTile.index >= index * TILE, LogTile.index < index * TILE + width)
            .order_by(LogTile.index)
        )
    ).all()
    return b"".join(root_of([tile[i : i + HASH_SIZE] for i in range(0, len(tile), HASH_SIZE)]) for tile in below)


async def entries(session: AsyncSession, first: int, count: int) -> list[bytes]:
    """The entries at positions ``first`` … ``first + count - 1``, 32 octets each."""
    statement = select(AuditEvent.body).where(AuditEvent.position >= first, AuditEvent.position < first + count)
    return [entry_of(body) for body in await session.scalars(statement.order_by(AuditEvent.position))]
