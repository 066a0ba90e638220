"""``fujie audit verify``: recompute the whole log from what PostgreSQL stores, and compare everything signed and kept with it.

What :mod:`keys.evidence.recheck` says, and of the database besides: each row's columns say what its signed body says, each
checkpoint's row is that of its note, each tile's root is that of its hashes, each anchor is over its checkpoint.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import orjson
from sqlalchemy import func, select

from keys.base.db import AsyncSession, Database
from keys.evidence.anchors import ANCHORED, anchor_problem
from keys.evidence.audit import Outcome, spelled
from keys.evidence.log import log_key
from keys.evidence.merkle import HASH_SIZE
from keys.evidence.models import AuditEvent, LogAnchor, LogCheckpoint, LogCosignature, LogTile, LogWitness
from keys.evidence.notes import MalformedNote, Note, SignatureLine, VerifierKey, line_verifies
from keys.evidence.recheck import AuditReport, Recheck
from keys.evidence.tiles import TILE, leaf_hashes

TILES = 16
"""Tiles read at once: 4,096 events."""


async def verify_log(database: Database, *, kept: Sequence[str] = (), pause: float = 0.0) -> AuditReport:
    """Recompute the whole log; ``kept`` are checkpoint notes from outside. Reads in pages, in one snapshot.

    ``pause``: seconds of rest after each 4,096 events, for the pass in the background.
    """
    async with database.session() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        verifier, _ = await log_key(session)
        check = Recheck(verifier, kept)
        last = await session.scalar(select(func.max(AuditEvent.position)))
        end = 0 if last is None else last + 1
        beyond = await session.scalar(select(func.max(LogCheckpoint.size))) or 0
        for first in range(0, end, TILE * TILES):
            await _check_page(session, check, first, min(end, first + TILE * TILES))
            await asyncio.sleep(pause)
        if await session.scalar(select(func.count()).where(AuditEvent.position < 0)):
            check.report.add("entries before the first: they have no place")
        if beyond > end:
            check.report.add(f"checkpoint of size {beyond}: the log is shorter")
        if await session.scalar(select(func.count()).where(LogCheckpoint.size <= 0)):
            check.report.add("checkpoints of no entries: there is none such")
        await _check_upper_tiles(session, check)
        await _check_cosignatures(session, check.report)
        await _check_anchors(session, check.report)
        report = check.finish()
        report.waiting = await session.scalar(select(func.count()).where(AuditEvent.position.is_(None))) or 0
    return report


async def _check_page(session: AsyncSession, check: Recheck, first: int, end: int) -> None:
    named = (AuditEvent.id, AuditEvent.action, AuditEvent.object, AuditEvent.actor_id, AuditEvent.outcome, AuditEvent.occurred_at)
    statement = select(AuditEvent.position, *named, AuditEvent.body).where(AuditEvent.position >= first, AuditEvent.position < end)
    rows = (await session.execute(statement.order_by(AuditEvent.position))).all()
    tiles = await _level_0(session, first, end)
    notes = await _notes(session, check, first, end)
    parts: dict[int, list[tuple[int, bytes]]] = {}
    for position, *columns, occurred_at, body in rows:
        if _said(body) != [*map(str, columns), spelled(occurred_at)]:
            check.report.add(f"entry {position}: its columns differ from its body")
        parts.setdefault((position or 0) // TILE, []).append((position or 0, body))
    for start in range(first, end, TILE):
        wanted, part = min(TILE, end - start), parts.get(start // TILE, [])
        stored = tiles.get(start // TILE)
        if [position for position, _ in part] != list(range(start, start + wanted)):
            check.report.add(f"entries {start} to {start + wanted - 1}: {len(part)} of {wanted} are there, each once")
            hashes = stored if stored is not None and len(stored) == wanted * HASH_SIZE else bytes(wanted * HASH_SIZE)
        else:
            hashes = leaf_hashes([body for _, body in part])
        check.tile(hashes, stored, notes.get(start // TILE, []))
        await asyncio.sleep(0)


def _said(body: bytes) -> list[str]:
    """What a body says stands in its row's columns."""
    try:
        said = orjson.loads(body)
        return [said["id"], said["action"], said["object"], said["actor"]["id"], said["outcome"], said["time"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []


async def _level_0(session: AsyncSession, first: int, end: int) -> dict[int, bytes]:
    """The stored tiles of a page; what is stored beyond the last entry is looked for as well."""
    statement = select(LogTile.index, LogTile.hashes).where(LogTile.level == 0, LogTile.index >= first // TILE, LogTile.index * TILE < end)
    return {one[0]: one[1] for one in await session.execute(statement)}


async def _notes(session: AsyncSession, check: Recheck, first: int, end: int) -> dict[int, list[str]]:
    """The checkpoints that end in each tile of a page."""
    found: dict[int, list[str]] = {}
    statement = select(LogCheckpoint.size, LogCheckpoint.root, LogCheckpoint.note)
    for row in await session.execute(statement.where(LogCheckpoint.size > first, LogCheckpoint.size <= end).order_by(LogCheckpoint.size)):
        found.setdefault((row.size - 1) // TILE, []).append(row.note)
        await asyncio.sleep(0)  # a signature each: requests go on between them
        try:
            checkpoint = check.arithmetic.open(row.note, check.verifier)
        except MalformedNote:
            continue  # said where the note is looked at
        if (checkpoint.size, checkpoint.root) != (row.size, row.root):
            check.report.add(f"checkpoint of size {row.size}: its row differs from its note")
    return found


async def _check_upper_tiles(session: AsyncSession, check: Recheck) -> None:
    statement = select(LogTile.level, LogTile.index, LogTile.hashes, LogTile.root).order_by(LogTile.level, LogTile.index)
    async for level, index, hashes, root in await session.stream(statement):
        if level:
            check.stored_tile(level, index, hashes, root)
            continue
        if check.arithmetic.tile_root(hashes) != root:
            check.report.add(f"tile {index} of level 0: its root is not that of its hashes")
        if (index + 1) * TILE > check.size:
            check.report.add(f"tile {index} of level 0: it should not be there")


async def _check_cosignatures(session: AsyncSession, report: AuditReport) -> None:
    keys = {row.name: VerifierKey.parse(row.vkey) for row in await session.execute(select(LogWitness.name, LogWitness.vkey))}
    statement = select(LogCosignature.size, LogCosignature.witness, LogCosignature.line, LogCheckpoint.note)
    statement = statement.join(LogCheckpoint, LogCheckpoint.size == LogCosignature.size, isouter=True)
    for name, size in await _vanished_cosignatures(session):
        report.add(f"cosignature by {name} of size {size}: it was kept, and it is gone")
    for row in await session.execute(statement):
        report.cosignatures += 1
        await asyncio.sleep(0)
        if row.note is None:
            report.add(f"cosignature by {row.witness} of size {row.size}: its checkpoint is gone")
        elif row.witness not in keys:
            report.notices.append(f"cosignature by {row.witness} of size {row.size}: the witness is no longer configured")
        elif not _cosigned(keys[row.witness], row.note, row.line):
            report.add(f"cosignature by {row.witness} of size {row.size}: it does not verify")


async def _vanished_cosignatures(session: AsyncSession) -> list[tuple[str, int]]:
    """Witnesses whose newest cosignature is not there, and its size."""
    kept = select(LogCosignature.size).where(LogCosignature.size == LogWitness.size, LogCosignature.witness == LogWitness.name)
    gone = select(LogWitness.name, LogWitness.size).where(LogWitness.size > 0, ~kept.exists()).order_by(LogWitness.name)
    return [(row[0], row[1]) for row in await session.execute(gone)]


def _cosigned(key: VerifierKey, note: str, line: str) -> bool:
    try:
        return line_verifies(key, Note.parse(note).text, SignatureLine.parse(line.removesuffix("\n")))
    except MalformedNote:
        return False


async def _check_anchors(session: AsyncSession, report: AuditReport) -> None:
    statement = select(LogAnchor.size, LogAnchor.token, LogCheckpoint.note)
    recorded = await _recorded_anchors(session)
    for row in await session.execute(statement.join(LogCheckpoint, LogCheckpoint.size == LogAnchor.size, isouter=True)):
        report.anchors += 1
        digest = recorded.pop(f"log:{row.size}", None)
        if row.note is None:
            report.add(f"anchor of size {row.size}: its checkpoint is gone")
        elif (problem := anchor_problem(row.token, row.note)) is not None:
            report.add(f"anchor of size {row.size}: {problem}")
        elif hashlib.sha256(row.token).hexdigest() != digest:
            report.add(f"anchor of size {row.size}: it is not the one that the log says was kept")
        await asyncio.sleep(0)
    for name in recorded:
        report.add(f"anchor of size {name.removeprefix('log:')}: the log says that it was kept, and it is gone")


async def _recorded_anchors(session: AsyncSession) -> dict[str, str | None]:
    """``log:SIZE`` → the digest of the token, of every anchor of whose keeping an event tells: both were written together."""
    told = select(AuditEvent.object, AuditEvent.body).where(AuditEvent.action == ANCHORED, AuditEvent.outcome == Outcome.DONE)
    return {row.object: _token_digest(row.body) for row in await session.execute(told.order_by(AuditEvent.id))}


def _token_digest(body: bytes) -> str | None:
    try:
        digest = orjson.loads(body)["details"]["token"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return str(digest)


__all__ = ["AuditReport", "verify_log"]
