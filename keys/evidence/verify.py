"""``fujie audit verify``: recompute the log from its stored entries and compare every signed checkpoint.

1. entries stand at 0, 1, 2, … without gap     2. each row's columns say what its signed body says
3. at every checkpoint the recomputed root is the signed one   4. nothing stands beyond the last checkpoint
5. a checkpoint kept elsewhere (``kept``) is one of this log's: nobody rewrote or cut what it covered
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import func, select

from keys.base.db import AsyncSession, Database
from keys.evidence.log import entry_of, log_key
from keys.evidence.merkle import Frontier, leaf_hash
from keys.evidence.models import AuditEvent, LogCheckpoint
from keys.evidence.notes import Checkpoint, MalformedNote, VerifierKey, open_checkpoint

PAGE = 5_000


@dataclass(slots=True)
class AuditReport:
    """What was recomputed; the log is whole exactly if ``problems`` is empty. ``waiting`` events have no place yet."""

    entries: int = 0
    checkpoints: int = 0
    waiting: int = 0
    root: bytes = b""
    problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.problems


async def verify_log(database: Database, *, kept: Sequence[str] = ()) -> AuditReport:
    """Recompute the whole log; ``kept`` are checkpoint notes from outside. Reads in pages, in one snapshot."""
    report = AuditReport()
    async with database.session() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        verifier, _ = await log_key(session)
        signed = await _signed_roots(session, verifier, report)
        outside = _kept_roots(kept, verifier, report)
        frontier = Frontier()
        async for row in _rows(session):
            _check_row(row, frontier.size, report)
            frontier.append(leaf_hash(entry_of(row.body)))
            _check_root(frontier, signed, "checkpoint", report)
            _check_root(frontier, outside, "kept checkpoint", report)
        report.entries, report.root = frontier.size, frontier.root()
        report.problems += [f"checkpoint of size {size}: the log is shorter" for size in signed]
        report.problems += [f"kept checkpoint of size {size}: the log is shorter" for size in outside]
        last = await session.scalar(select(func.max(LogCheckpoint.size))) or 0
        if last < frontier.size:
            report.problems.append(f"entries {last} to {frontier.size - 1}: no checkpoint covers them")
        report.waiting = await session.scalar(select(func.count()).where(AuditEvent.position.is_(None))) or 0
    return report


async def _rows(session: AsyncSession) -> AsyncIterator[AuditEvent]:
    last = -1
    while True:
        statement = select(AuditEvent).where(AuditEvent.position > last).order_by(AuditEvent.position).limit(PAGE)
        page = (await session.scalars(statement)).all()
        if not page:
            return
        for row in page:
            yield row
            last = row.position if row.position is not None else last
        session.expunge_all()


def _check_row(row: AuditEvent, expected: int, report: AuditReport) -> None:
    if row.position != expected:
        report.problems.append(f"entry {expected}: missing (found {row.position})")
    try:
        body = orjson.loads(row.body)
        same = (body["id"], body["action"], body["object"], body["outcome"], body["actor"]["id"]) == (
            str(row.id),
            row.action,
            row.object,
            row.outcome,
            row.actor_id,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        same = False
    if not same:
        report.problems.append(f"entry {row.position}: its columns differ from its body")


async def _signed_roots(session: AsyncSession, verifier: VerifierKey, report: AuditReport) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    for row in await session.scalars(select(LogCheckpoint).order_by(LogCheckpoint.size)):
        report.checkpoints += 1
        try:
            checkpoint = open_checkpoint(row.note, verifier)
        except MalformedNote:
            report.problems.append(f"checkpoint of size {row.size}: its signature is wrong")
            continue
        if checkpoint != Checkpoint(verifier.name, row.size, row.root):
            report.problems.append(f"checkpoint of size {row.size}: its row differs from its note")
        roots[checkpoint.size] = checkpoint.root
    return roots


def _kept_roots(kept: Sequence[str], verifier: VerifierKey, report: AuditReport) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    for note in kept:
        try:
            checkpoint = open_checkpoint(note, verifier)
        except MalformedNote:
            report.problems.append("a kept checkpoint is not signed by this log")
            continue
        roots[checkpoint.size] = checkpoint.root
    return roots


def _check_root(frontier: Frontier, roots: dict[int, bytes], what: str, report: AuditReport) -> None:
    root = roots.pop(frontier.size, None)
    if root is not None and root != frontier.root():
        report.problems.append(f"{what} of size {frontier.size}: the recomputed root differs")
