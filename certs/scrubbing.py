"""The scrubber: every file that must be there is read again and compared with its hash, round after round.

It walks the hashes in their order and remembers the last one, so that a restart goes on where it stopped; a lease keeps two processes
from walking at once. A damaged or missing file is a finding: audited, logged as an error, counted in ``/metrics`` and said by
``/readyz``, until the file is found whole again (restored from a backup or another site). A store that does not answer is no finding.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.library_models import ScrubFindingRow, ScrubRow
from certs.stored_files import next_kept
from keys.base.actor import SYSTEM
from keys.base.blobs import BlobDamaged, BlobGone, BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.evidence import audit
from keys.evidence.audit import Event

log = structlog.get_logger("fujie.certs.scrubbing")

BATCH = 512
MISSING, DAMAGED = "missing", "damaged"
LEASE = dt.timedelta(minutes=5)
_THE_ONE = 1
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Scrubbing:
    """``octets_per_second`` bounds the reading; ``pause`` is the time between the ends and beginnings of rounds."""

    database: Database
    clock: Clock
    blobs: BlobStore
    octets_per_second: int
    pause: dt.timedelta


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round is. ``open_findings``: files that are damaged or gone as far as is known."""

    number: int
    files: int
    octets: int
    started_at: dt.datetime
    finished_at: dt.datetime | None
    open_findings: int


@dataclass(frozen=True, slots=True)
class Finding:
    """``kind``: ``damaged`` or ``missing``."""

    digest: bytes
    kind: str
    found_at: dt.datetime


async def scrub_step(scrubbing: Scrubbing, *, seconds: float = 20.0) -> int:
    """Go on for about that long; how many files were read. 0: the round is over and the next is not due, or another process has it."""
    began, files = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        turn = await _take(scrubbing)
        if turn.cursor is None:
            break
        count, octets = await _batch(scrubbing, turn.cursor)
        files += count
        await asyncio.sleep(octets / scrubbing.octets_per_second)
    return files


async def scrub_all(scrubbing: Scrubbing, tell: Callable[[Round], object] = lambda done: None) -> Round:
    """One whole round at once, from its beginning and as fast as the store answers; with a process that walks already, together."""
    turn = await _take(scrubbing, begin=True)
    while not turn.over:
        if turn.cursor is None:
            await asyncio.sleep(_WAIT_SECONDS)
        else:
            await _batch(scrubbing, turn.cursor)
            tell(await last_round(scrubbing.database))
        turn = await _take(scrubbing)
    return await last_round(scrubbing.database)


async def last_round(database: Database) -> Round:
    """The round under way, or the last one. Number 0: none has begun."""
    async with database.session() as session:
        row = await session.get(ScrubRow, _THE_ONE)
        left = await count_findings(session)
    if row is None:
        return Round(0, 0, 0, dt.datetime.min.replace(tzinfo=dt.UTC), None, left)
    return Round(row.number, row.files, row.octets, row.started_at, row.finished_at, left)


async def count_findings(session: AsyncSession) -> int:
    """How many files are known to be damaged or gone."""
    statement = select(func.count()).select_from(ScrubFindingRow).where(ScrubFindingRow.mended_at.is_(None))
    return (await session.execute(statement)).scalar_one()


async def findings(session: AsyncSession, limit: int = 100) -> tuple[Finding, ...]:
    """Files that are damaged or gone, the oldest finding first."""
    statement = select(ScrubFindingRow).where(ScrubFindingRow.mended_at.is_(None)).order_by(ScrubFindingRow.found_at).limit(limit)
    return tuple(Finding(row.document_hash, row.kind, row.found_at) for row in await session.scalars(statement))


@dataclass(frozen=True, slots=True)
class _Turn:
    """``cursor``: where to go on; None: it is not our turn. ``over``: the round is finished and the next is not due."""

    cursor: bytes | None
    over: bool = False


async def _take(scrubbing: Scrubbing, *, begin: bool = False) -> _Turn:
    """Take the lease. ``begin``: a new round, whatever the last one's age."""
    now = scrubbing.clock.now()
    async with scrubbing.database.begin() as session:
        first = {"number": 0, "cursor": b"", "files": 0, "octets": 0, "started_at": now, "finished_at": now - scrubbing.pause}
        await session.execute(insert(ScrubRow).values(id=_THE_ONE, **first).on_conflict_do_nothing())
        row = (await session.scalars(select(ScrubRow).where(ScrubRow.id == _THE_ONE).with_for_update())).one()
        if begin or (row.finished_at is not None and now >= row.finished_at + scrubbing.pause):
            row.number, row.cursor, row.files, row.octets = row.number + 1, b"", 0, 0
            row.started_at, row.finished_at, row.lease_until = now, None, None
        if row.finished_at is not None:
            return _Turn(None, over=True)
        if row.lease_until is not None and row.lease_until > now:
            return _Turn(None)
        row.lease_until = now + LEASE
        return _Turn(row.cursor)


async def _batch(scrubbing: Scrubbing, cursor: bytes) -> tuple[int, int]:
    """Read the next files; how many, and their octets. A batch that the store interrupts is begun again, and the lease given back."""
    async with scrubbing.database.session() as session:
        digests = await next_kept(session, cursor, BATCH)
    octets = 0
    try:
        for digest in digests:
            size, kind = await _look(scrubbing.blobs, digest)
            octets += size
            await _note(scrubbing, digest, kind)
    except BaseException:
        await _advance(scrubbing, {"lease_until": None})
        raise
    over = len(digests) < BATCH
    walked = {"cursor": digests[-1], "files": ScrubRow.files + len(digests), "octets": ScrubRow.octets + octets} if digests else {}
    await _advance(scrubbing, {"lease_until": None, **walked, **({"finished_at": scrubbing.clock.now()} if over else {})})
    return len(digests), octets


async def _look(blobs: BlobStore, digest: bytes) -> tuple[int, str | None]:
    try:
        data = await blobs.get(digest)
    except BlobGone:
        return 0, MISSING
    except BlobDamaged:
        return 0, DAMAGED
    return len(data), None


async def _note(scrubbing: Scrubbing, digest: bytes, kind: str | None) -> None:
    """Keep what was found, or that a file is whole again. Nothing is written about a whole file."""
    now = scrubbing.clock.now()
    async with scrubbing.database.begin() as session:
        row = await session.get(ScrubFindingRow, digest)
        before = row.kind if row is not None and row.mended_at is None else None
        if row is None and kind is not None:
            session.add(ScrubFindingRow(document_hash=digest, kind=kind, found_at=now, seen_at=now, mended_at=None))
        elif row is not None and kind is not None:
            row.kind, row.seen_at, row.found_at, row.mended_at = kind, now, row.found_at if before else now, None
        elif row is not None and before is not None:
            row.mended_at = now
        if before != kind:
            await audit.record(session, now, _event(digest, kind))
    if kind is not None and before != kind:
        log.error("a stored file is not what it was", file=digest.hex(), kind=kind)


def _event(digest: bytes, kind: str | None) -> Event:
    name = f"file:{digest.hex()}"
    if kind is None:
        return Event("certs.scrub.mended", name, audit.Outcome.DONE, SYSTEM)
    code = BlobGone.code if kind == MISSING else BlobDamaged.code
    return Event("certs.scrub.finding", name, audit.Outcome.FAILED, SYSTEM, code=code)


async def _advance(scrubbing: Scrubbing, values: dict[str, object]) -> None:
    async with scrubbing.database.begin() as session:
        await session.execute(update(ScrubRow).where(ScrubRow.id == _THE_ONE).values(**values))
