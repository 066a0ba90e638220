"""The sequencer: gives committed events their place in the Merkle log and signs a checkpoint.

One transaction under one advisory lock: positions, full tiles and the checkpoint appear together or not at all,
and two sequencers take turns. Nothing is signed that was not read back from PostgreSQL.
"""

import datetime as dt
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from sqlalchemy import BigInteger, Table, Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody import sm2
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.halts import LogDamaged, halt, refuse_if_halted
from keys.evidence.merkle import Frontier, root_of, split_hashes
from keys.evidence.models import AuditEvent, LogAnchor, LogCheckpoint, LogCosignature, LogIdentity, LogTile, LogWitness
from keys.evidence.notes import Checkpoint, Kind, MalformedNote, VerifierKey, open_checkpoint, signature_line
from keys.evidence.stored import bodies, entries, latest_checkpoint, stored_frontier, tile_hashes
from keys.evidence.tiles import TILE, entry_of, leaf_hashes

SEQUENCER_LOCK = 0x46554A4945_01
BATCH = 10_000

# All positions in one statement: one for each event costs a millisecond of CPU for each event.
_PLACED = func.unnest(bindparam("ids", type_=ARRAY(Uuid))).table_valued("id", with_ordinality="place").render_derived(name="placed")
_PLACE = (
    update(cast(Table, AuditEvent.__table__))
    .where(AuditEvent.id == _PLACED.c.id)
    .values(position=bindparam("first", type_=BigInteger) + _PLACED.c.place - 1)
)


async def establish_log(
    database: Database, keystore: KeyStore, clock: Clock, origin: str, algorithm: Algorithm = Algorithm.ED25519
) -> VerifierKey:
    """Make the log's name and key (Ed25519 or SM2) if there is none; answer its verifier key."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
        if (identity := await session.scalar(select(LogIdentity))) is None:
            key = keystore.generate(algorithm, Purpose.LOG)
            await store_key(session, key, clock.now())
            session.add(identity := LogIdentity(origin=origin, key_id=key.id, created_at=clock.now()))
        return verifier_of(identity.origin, await load_key(session, identity.key_id))


def verifier_of(name: str, key: StoredKey, *, cosigner: bool = False) -> VerifierKey:
    """The verifier key of a stored Ed25519 or SM2 key, for checkpoints or for cosignatures."""
    if key.algorithm is Algorithm.SM2:
        return VerifierKey(name, sm2.public_point(key.public), Kind.SM2_COSIGNATURE if cosigner else Kind.SM2)
    public = load_der_public_key(key.public)
    if not isinstance(public, Ed25519PublicKey):
        raise TypeError("the log's key must be Ed25519 or SM2")
    return VerifierKey(name, public.public_bytes(Encoding.Raw, PublicFormat.Raw), Kind.COSIGNATURE if cosigner else Kind.ED25519)


async def log_key(session: AsyncSession) -> tuple[VerifierKey, StoredKey]:
    """The log's verifier key and the reference of its signing key; the log must be established."""
    identity = (await session.scalars(select(LogIdentity))).one()
    key = await load_key(session, identity.key_id)
    return verifier_of(identity.origin, key), key


async def sequence(database: Database, keystore: KeyStore, clock: Clock, *, batch: int = BATCH) -> int:
    """Append up to ``batch`` waiting events and sign a checkpoint; how many were appended.

    1. take the lock; a halted log stays halted     2. choose the waiting events, oldest first
    3. recompute the last root from stored bytes: it must be the signed one, and nothing stands beyond it     4. place the events
    5. read the placed events back and grow by what was read     6. store the tiles that became full, read them back
    7. recompute the new root from stored bytes: it must be the grown one     8. sign it

    Raises LogDamaged, once, where stored bytes differ (the log is then halted), and LogHalted from then on.
    """
    try:
        async with database.begin() as session:
            return await _sequence(session, keystore, clock, batch)
    except LogDamaged as error:
        await halt(database, clock.now(), error.detail)
        raise


async def _sequence(session: AsyncSession, keystore: KeyStore, clock: Clock, batch: int) -> int:
    await session.execute(select(func.pg_advisory_xact_lock(SEQUENCER_LOCK)))
    await refuse_if_halted(session)
    chosen = select(AuditEvent.id).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(batch)
    waiting = (await session.scalars(chosen)).all()
    if not waiting:
        return 0
    verifier, key = await log_key(session)
    frontier = await _signed_frontier(session, verifier)
    first = frontier.size
    await _refuse_if_cut(session, first)
    await session.execute(_PLACE, {"first": first, "ids": waiting})
    for leaf in split_hashes(leaf_hashes(await bodies(session, first, len(waiting)))):
        frontier.add(leaf)
    await _store_full_tiles(session, first, frontier.size)
    if (await stored_frontier(session, frontier.size)).nodes != frontier.nodes:
        raise LogDamaged(f"size {frontier.size}: the root of what was stored is not that of what was appended")
    _sign(session, keystore, clock.now(), verifier, key, frontier)
    return len(waiting)


async def _signed_frontier(session: AsyncSession, verifier: VerifierKey) -> Frontier:
    """The frontier at the newest checkpoint, from stored bytes; LogDamaged unless its root is the signed one."""
    last = await latest_checkpoint(session)
    if last is None:
        return Frontier()
    try:
        signed = open_checkpoint(last.note, verifier)
    except MalformedNote as error:
        raise LogDamaged(f"checkpoint of size {last.size}: its signature is wrong") from error
    frontier = await stored_frontier(session, last.size)
    if signed != Checkpoint(verifier.name, last.size, last.root) or frontier.root() != signed.root:
        raise LogDamaged(f"checkpoint of size {last.size}: the root of what is stored is not the signed one")
    return frontier


async def _refuse_if_cut(session: AsyncSession, size: int) -> None:
    """LogDamaged where anything stands beyond the newest checkpoint: that checkpoint, and perhaps more, was taken away.

    Entries are placed together with their checkpoint, and only a checkpoint that was there is anchored or cosigned.
    """
    reached = {
        "an entry": func.coalesce(select(func.max(AuditEvent.position)).scalar_subquery() + 1, 0),
        "an anchor": func.coalesce(select(func.max(LogAnchor.size)).scalar_subquery(), 0),
        "a cosignature": func.coalesce(select(func.max(LogCosignature.size)).scalar_subquery(), 0),
        "a witness": func.coalesce(select(func.max(LogWitness.size)).scalar_subquery(), 0),
    }
    row = (await session.execute(select(*reached.values()))).one()
    if beyond := [f"{what} reaches {end}" for what, end in zip(reached, row, strict=True) if end > size]:
        raise LogDamaged(f"checkpoint of size {size}: it is not the newest one, {', '.join(beyond)}")


async def sequence_all(database: Database, keystore: KeyStore, clock: Clock) -> int:
    """Append everything that waits when it is called; what arrives meanwhile waits for the next call.

    Going on until nothing waits would never end under load, with a signed checkpoint for every handful of events.
    """
    total = 0
    while (count := await sequence(database, keystore, clock)) == BATCH:
        total += count
    return total + count


def _sign(session: AsyncSession, keystore: KeyStore, now: dt.datetime, verifier: VerifierKey, key: StoredKey, frontier: Frontier) -> None:
    checkpoint = Checkpoint(verifier.name, frontier.size, frontier.root())
    signature = keystore.sign(key, checkpoint.body().encode(), Purpose.LOG)
    note = f"{checkpoint.body()}\n{signature_line(verifier, signature)}"
    session.add(LogCheckpoint(size=frontier.size, root=checkpoint.root, note=note, created_at=now))


async def _store_full_tiles(session: AsyncSession, old_size: int, new_size: int) -> None:
    """Store every tile, at every level, that became full between the two sizes; LogDamaged if another is read back."""
    level, old, new = 0, old_size, new_size
    while new // TILE > old // TILE:
        made = []
        for index in range(old // TILE, new // TILE):
            hashes = await tile_hashes(session, level, index, TILE)
            made.append(LogTile(level=level, index=index, hashes=hashes, root=root_of(split_hashes(hashes))))
        session.add_all(made)
        await session.flush()
        await _read_back(session, level, made)
        level, old, new = level + 1, old // TILE, new // TILE


async def _read_back(session: AsyncSession, level: int, made: list[LogTile]) -> None:
    statement = select(LogTile.index, LogTile.hashes, LogTile.root).where(LogTile.level == level, LogTile.index >= made[0].index)
    stored = [tuple(row) for row in await session.execute(statement.order_by(LogTile.index))]
    if stored != [(tile.index, tile.hashes, tile.root) for tile in made]:
        raise LogDamaged(f"tiles from {made[0].index} of level {level}: what was stored is not what was computed")


__all__ = [
    "BATCH",
    "TILE",
    "entries",
    "entry_of",
    "establish_log",
    "latest_checkpoint",
    "log_key",
    "sequence",
    "sequence_all",
    "tile_hashes",
]
