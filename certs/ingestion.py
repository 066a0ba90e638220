"""Importing certificates that were issued elsewhere.

1. read    the file's hash names the job: the same file continues, or is already done
2. prepare a batch in a worker process: judge each row, flagged, never refused; seal what is personal   (``certs.ingestion_rows``)
3. attach  the files that rows name
4. match   of several rows with one identifier the first is clean; a holder in no register is told
5. store   the batch's records and the job's new position in one transaction, by COPY: a killed import goes on where it stopped
6. finish  the job is closed and audited

While one batch is stored the next ones are prepared. Memory is bounded by a few batches, whatever the file.
"""

import asyncio
import datetime as dt
import uuid
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import func, select

from certs.catalogue import CertificateType
from certs.ingestion_events import tell_end
from certs.ingestion_files import SourceRow, file_digest, rows_of
from certs.ingestion_matching import Matcher, Recorded, rehearsed
from certs.ingestion_rows import Prepared, Terms, prepare
from certs.ingestion_scans import Scans, attach
from certs.ingestion_storing import store_flags, store_records
from certs.models import ImportFlagRow, ImportRow
from certs.reads import all_types
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError
from keys.base.ids import new_id
from keys.base.work import Workers
from keys.evidence.audit import JSON, Event, Outcome, record, record_alone

BATCH = 1000
AHEAD = 2
"""So many batches are prepared while one is stored."""
_LOCK = 0x66756A6965  # of all imports into one database: "the first row is clean" needs one order
_PAGE = 1000


class ImportRunning(Conflict):
    """Another process is importing this very file."""

    code = "IMPORT_RUNNING"
    public = ("该文件正在由另一进程导入。", "Another process is importing this file.")


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What an import needs. ``progress`` is told (rows done, octets read, flagged rows)."""

    database: Database
    personal: PersonalData
    clock: Clock
    blobs: BlobStore
    workers: Workers
    progress: Callable[[int, int, int], None] = lambda rows, octets, flagged: None


@dataclass(frozen=True, slots=True)
class Request:
    """``type_code``: every row is of this type, else its own ``ZZLXDM`` counts. ``grade``: trust grade A to D (STANDARDS §1).

    ``encoding`` empty: found out. ``importers``: issuers the importing organisation speaks for; empty: all, for the city's operator.
    ``scans``: the files of the rows are scans of paper, to be sealed as copies (``certs.ingestion_scans``).
    """

    path: Path
    type_code: str = ""
    grade: str = "B"
    encoding: str = ""
    dry_run: bool = False
    importers: frozenset[str] = frozenset()
    scans: Scans | None = None

    def graded(self) -> "Request":
        """What comes from paper is never graded above B."""
        return replace(self, grade=max(self.grade, "B")) if self.scans else self


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    line: int
    identifier: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``rows``: all rows of the file; ``resumed_at``: how many of them an earlier run had done; ``flagged``: how many have a flag."""

    import_id: uuid.UUID
    rows: int
    resumed_at: int
    already_done: bool
    dry_run: bool
    flag_counts: Mapping[str, int]
    flagged: int


@dataclass(frozen=True, slots=True)
class Job:
    """An import as one run works on it. ``source`` opens its rows anew; ``folder``: where the files lie that they name."""

    id: uuid.UUID
    request: Request
    actor: Actor
    source: Callable[[], BinaryIO]
    folder: Path | None
    rows_done: int = 0
    fence: Callable[[AsyncSession, ImportRow], None] = field(default=lambda session, row: None)


async def import_file(ingestion: Ingestion, actor: Actor, request: Request) -> Report:
    """Import a file, or go on with it. Raises ``ImportUnreadable``, :class:`ImportRunning`, ``OSError``; a refusal is audited."""
    request = request.graded()
    try:
        row = await _open_job(ingestion, actor, request)
    except FujieError as error:
        event = Event("certs.import.open", "import", Outcome.REFUSED, actor, code=error.code)
        await record_alone(ingestion.database, ingestion.clock.now(), event)
        raise
    if row.finished:
        return await report_of(ingestion.database, row.id, row.rows_done, already_done=True)
    job = Job(row.id, request, actor, lambda: request.path.open("rb"), request.path.parent, row.rows_done)
    return await run_job(ingestion, job)


async def run_job(ingestion: Ingestion, job: Job) -> Report:
    """Steps 2 to 6."""
    async with ingestion.database.session() as session:
        types = await all_types(session)
    if job.request.dry_run:
        async with rehearsed(ingestion.database) as matcher:
            await _run(ingestion, job, types, matcher)
    else:
        await _run(ingestion, job, types, Recorded())
    await _close_job(ingestion, job)
    return await report_of(ingestion.database, job.id, job.rows_done)


async def _open_job(ingestion: Ingestion, actor: Actor, request: Request) -> ImportRow:
    digest, now = await asyncio.to_thread(file_digest, request.path), ingestion.clock.now()
    with request.path.open("rb") as file:
        next(rows_of(file, request.encoding), None)  # an unreadable file opens no job
    async with ingestion.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        same = select(ImportRow).where(
            ImportRow.file_hash == digest, ImportRow.type_code == request.type_code,
            ImportRow.organisation == (actor.organisation or ""), ~ImportRow.dry_run,
        )  # fmt: skip
        found = None if request.dry_run else (await session.scalars(same)).one_or_none()
        if found is not None:
            return found
        job = new_job(actor, request, now, digest, request.path.stat().st_size, "running")
        session.add(job)
        await record_opening(session, now, actor, job)
    return job


def new_job(actor: Actor, request: Request, now: dt.datetime, digest: bytes, octets: int, state: str) -> ImportRow:
    """The row of an import that begins."""
    return ImportRow(
        id=new_id(), file_hash=digest, type_code=request.type_code, file_name=request.path.name, rows_done=0, finished=False,
        flag_counts={}, started_at=now, finished_at=None, state=state, dry_run=request.dry_run, grade=request.grade,
        encoding=request.encoding, organisation=actor.organisation or "",
        actor={"kind": actor.kind.value, "id": actor.id, "name": actor.name, "organisation": actor.organisation},
        flagged=0, octets=octets, octets_done=0,
    )  # fmt: skip


async def record_opening(session: AsyncSession, now: dt.datetime, actor: Actor, job: ImportRow) -> None:
    """Say that the import begins."""
    details: dict[str, JSON] = {"file": job.file_hash.hex(), "type": job.type_code, "dry_run": job.dry_run}
    await record(session, now, Event("certs.import.open", f"import:{job.id}", Outcome.INTENT, actor, details))


async def _run(ingestion: Ingestion, job: Job, types: Mapping[str, CertificateType], matcher: Matcher) -> None:
    done = 0 if job.request.dry_run else job.rows_done
    async with aclosing(_prepared(ingestion, job, types, done)) as batches:
        async for batch in batches:
            hashes = await attach(ingestion.blobs, job.folder, batch, scans=job.request.scans, keep=not job.request.dry_run)
            done, flagged = await _store(ingestion, job, batch, hashes, matcher, done)
            ingestion.progress(done, batch.octets, flagged)


async def _prepared(ingestion: Ingestion, job: Job, types: Mapping[str, CertificateType], skipped: int) -> AsyncGenerator[Prepared]:
    """Batches in their order, a few read and prepared ahead while one is stored."""
    with job.source() as file:
        rows, turn = await asyncio.to_thread(lambda: islice(rows_of(file, job.request.encoding), skipped, None)), asyncio.Lock()

        async def prepared() -> Prepared | None:
            async with turn:  # in the order in which they asked
                batch = await asyncio.to_thread(_next_batch, rows)
            return await _prepare(ingestion, job, types, batch) if batch else None

        under_way = deque(asyncio.create_task(prepared()) for _ in range(1 + AHEAD))
        try:
            while (batch := await under_way.popleft()) is not None:
                under_way.append(asyncio.create_task(prepared()))
                yield batch
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


def _next_batch(rows: Iterator[SourceRow]) -> list[SourceRow]:
    return list(islice(rows, BATCH))


async def _prepare(ingestion: Ingestion, job: Job, types: Mapping[str, CertificateType], batch: list[SourceRow]) -> Prepared:
    request, actor = job.request, job.actor
    codes = {request.type_code} if request.type_code else {row.values.get("ZZLXDM", "").strip() for row in batch}
    kinds = {code: types[code] for code in codes if code in types}
    client = actor.id if actor.kind is ActorKind.CLIENT else None
    terms = Terms(request.type_code, request.grade, ingestion.clock.now(), str(job.id), request.importers, client, actor.organisation)
    return await ingestion.workers.run(prepare, batch, kinds, terms, ingestion.personal)


async def _store(
    ingestion: Ingestion, job: Job, batch: Prepared, hashes: Mapping[int, bytes], matcher: Matcher, done: int
) -> tuple[int, int]:
    """Store the batch; rows done, and rows flagged so far. Raises :class:`ImportRunning`."""
    async with ingestion.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        row = await session.get_one(ImportRow, job.id, with_for_update=True)
        job.fence(session, row)
        if not job.request.dry_run and row.rows_done != done:
            raise ImportRunning(f"import {job.id} is at row {row.rows_done}")
        await matcher.match(session, batch)
        if not job.request.dry_run:
            await store_records(session, batch, hashes, job.id, job.request.scans)
        flagged = await store_flags(session, job.id, batch, with_records=not job.request.dry_run)
        row.rows_done, row.octets_done, row.flagged = done + batch.rows, batch.octets, row.flagged + flagged
        row.flag_counts = dict(Counter(row.flag_counts) + _flags_of(batch))
        return row.rows_done, row.flagged


def _flags_of(batch: Prepared) -> Counter[str]:
    return Counter(flag for flags in (*batch.flags, *(flags for _, flags in batch.unread)) for flag in flags)


async def _close_job(ingestion: Ingestion, job: Job) -> None:
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        row = await session.get_one(ImportRow, job.id, with_for_update=True)
        job.fence(session, row)
        row.finished, row.finished_at, row.state, row.octets_done = True, now, "done", row.octets
        row.lease_owner = row.lease_until = None
        tell_end(session, now, row)
        details: dict[str, JSON] = {"rows": row.rows_done, "flags": sum(row.flag_counts.values()), "dry_run": row.dry_run}
        await record(session, now, Event("certs.import.close", f"import:{job.id}", Outcome.DONE, job.actor, details))


async def report_of(database: Database, import_id: uuid.UUID, resumed_at: int = 0, *, already_done: bool = False) -> Report:
    """How far an import is."""
    async with database.session() as session:
        row = await session.get_one(ImportRow, import_id)
    return Report(row.id, row.rows_done, resumed_at, already_done, row.dry_run, dict(row.flag_counts), row.flagged)


async def flagged_rows(database: Database, import_id: uuid.UUID, after: int = -1, most: int | None = None) -> AsyncIterator[FlaggedRow]:
    """The flagged rows after a line, in their order, read page by page."""
    given = 0
    while most is None or given < most:
        page = min(_PAGE, most - given) if most is not None else _PAGE
        statement = select(ImportFlagRow).where(ImportFlagRow.import_id == import_id, ImportFlagRow.line > after)
        async with database.session() as session:
            rows = (await session.scalars(statement.order_by(ImportFlagRow.line).limit(page))).all()
        for row in rows:
            yield FlaggedRow(row.line, row.identifier, tuple(row.flags))
        given += len(rows)
        if len(rows) < page:
            return
        after = rows[-1].line
