"""Imports that are uploaded and run beside the requests, by whichever process takes them.

1. receive  the file in encrypted parts; a file of another kind is refused at its first part        (``certs.import_parts``)
2. open     a job for it; the same file of the same organisation is the same job
3. take     a waiting job, or one whose process is gone: its lease ran out
4. run      it where it stopped (``certs.ingestion``); every batch renews the lease
5. forget   the uploaded parts once it is done: the records are in, the file is nobody's any more
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import structlog
from sqlalchemy import ColumnElement, delete, or_, select, update

from certs.import_parts import Box, PartStream, Received, open_key, receive, seal_key
from certs.ingestion import ImportRunning, Ingestion, Job, Request, new_job, record_opening, run_job
from certs.ingestion_events import tell_end
from certs.ingestion_models import ImportPartRow
from certs.models import ImportFlagRow, ImportRow, IssuingRightRow
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence.audit import Event, Outcome, record, record_alone

log = structlog.get_logger("fujie.certs.imports")

LEASE = dt.timedelta(minutes=2)
PAUSE = dt.timedelta(seconds=30)
PAGE = 50
IMPORTING_ROLES = frozenset({Role.APPROVER})
GRADES = ("A", "B", "C", "D")
OPEN = ("waiting", "running")
_SERVER_ERROR = 500


class ImportForbidden(Forbidden):
    """Stock is brought in by an organisation's own clients and approvers."""

    code = "IMPORT_FORBIDDEN"
    public = ("仅本机构的接入系统和审批人员可以导入存量证照。", "Stock is imported by an organisation's own clients and approvers only.")


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of an upload; see ``certs.ingestion.Request``."""

    file_name: str
    type_code: str = ""
    grade: str = "B"
    encoding: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import as its organisation sees it. ``octets_done`` of ``octets`` are read."""

    id: uuid.UUID
    file_name: str
    state: str
    dry_run: bool
    type_code: str
    grade: str
    rows: int
    flagged: int
    flag_counts: dict[str, int]
    octets: int
    octets_done: int
    failure: str | None
    started_at: dt.datetime
    finished_at: dt.datetime | None


def require_importer(actor: Actor) -> str:
    """The organisation that imports. Raises :class:`ImportForbidden`."""
    allowed = actor.kind is ActorKind.CLIENT or (actor.kind is ActorKind.PERSON and bool(actor.roles & IMPORTING_ROLES))
    if not allowed or not actor.organisation:
        raise ImportForbidden
    return actor.organisation


async def accept(ingestion: Ingestion, actor: Actor, order: Order, chunks: AsyncIterator[bytes]) -> ImportView:
    """Steps 1 and 2. A refusal is audited."""
    try:
        require_importer(actor)
        _check(order)
        received = await receive(ingestion.blobs, ingestion.personal, chunks, order.encoding)
    except FujieError as error:
        event = Event("certs.import.open", "import", Outcome.REFUSED, actor, code=error.code)
        await record_alone(ingestion.database, ingestion.clock.now(), event)
        raise
    request = Request(Path(order.file_name or "upload"), order.type_code, order.grade, order.encoding, order.dry_run)
    now = ingestion.clock.now()
    job = new_job(actor, request, now, received.digest, received.octets, "waiting")
    async with ingestion.database.begin() as session:
        same = None if order.dry_run else await session.scalar(select(ImportRow).where(_same(job), ~ImportRow.dry_run).with_for_update())
        wanted = same is None or same.state == "failed"
        kept = job if same is None else same
        if wanted:
            await _open(session, ingestion, actor, kept, received)
        view = to_view(kept)
    for _, digest in [] if wanted else received.parts:
        await ingestion.blobs.forget(digest)
    return view


async def _open(session: AsyncSession, ingestion: Ingestion, actor: Actor, job: ImportRow, received: Received) -> None:
    """A new job, or a failed one that goes on with the file sent again."""
    session.add(job)
    job.state, job.failure, job.finished_at = "waiting", None, None
    job.content_key = seal_key(ingestion.personal, job.id, received.key)
    await session.execute(delete(ImportPartRow).where(ImportPartRow.import_id == job.id))
    await session.flush()
    session.add_all(
        ImportPartRow(import_id=job.id, number=number, octets=octets, part_digest=digest)
        for number, (octets, digest) in enumerate(received.parts)
    )
    await record_opening(session, ingestion.clock.now(), actor, job)


def _check(order: Order) -> None:
    errors = [] if order.grade in GRADES else [{"field": "grade", "message": "A, B, C or D"}]
    try:
        "".encode(order.encoding or "utf-8")
    except (LookupError, ValueError):
        errors.append({"field": "encoding", "message": "unknown"})
    if errors:
        raise InvalidInput("an import's terms", errors=errors)


def _same(job: ImportRow) -> ColumnElement[bool]:
    return (ImportRow.file_hash == job.file_hash) & (ImportRow.type_code == job.type_code) & (ImportRow.organisation == job.organisation)


async def work_imports(ingestion: Ingestion) -> int:
    """Steps 3 to 5 for one job; 0 where none waits. Any number of processes may do it at once."""
    owner = new_id()
    row = await _take(ingestion, owner)
    if row is None:
        return 0
    try:
        await run_job(ingestion, await _job(ingestion, row, owner))
    except ImportRunning:
        return 0
    except FujieError as error:
        await _settle(ingestion, row.id, owner, error)
        return 0
    except BaseException:
        await asyncio.shield(_give_back(ingestion, row.id, owner, None))
        raise
    await forget_parts(ingestion, row.id)
    return 1


async def _take(ingestion: Ingestion, owner: uuid.UUID) -> ImportRow | None:
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        free = or_(ImportRow.lease_until.is_(None), ImportRow.lease_until < now)
        waiting = select(ImportRow).where(ImportRow.state.in_(OPEN), ImportRow.content_key.is_not(None), free).order_by(ImportRow.id)
        row = await session.scalar(waiting.limit(1).with_for_update(skip_locked=True))
        if row is None:
            return None
        row.state, row.lease_owner, row.lease_until = "running", owner, now + LEASE
        if row.dry_run:  # what it remembered is gone with its process: it begins anew
            await session.execute(delete(ImportFlagRow).where(ImportFlagRow.import_id == row.id))
            row.rows_done, row.flagged, row.flag_counts = 0, 0, {}
        return row


async def _job(ingestion: Ingestion, row: ImportRow, owner: uuid.UUID) -> Job:
    actor = _actor(row.actor)
    async with ingestion.database.session() as session:
        parts = select(ImportPartRow.part_digest).where(ImportPartRow.import_id == row.id).order_by(ImportPartRow.number)
        digests = list(await session.scalars(parts))
        rights = select(IssuingRightRow.issuer).where(IssuingRightRow.client_id == actor.id)
        importers = {row.organisation, *await session.scalars(rights)}
    box = Box(ingestion.personal, open_key(ingestion.personal, row.id, row.content_key or b""))
    loop = asyncio.get_running_loop()
    request = Request(Path(row.file_name), row.type_code, row.grade, row.encoding, row.dry_run, frozenset(importers))

    def opened() -> BinaryIO:
        return cast(BinaryIO, PartStream(loop, ingestion.blobs, box, digests))

    def fence(_session: AsyncSession, held: ImportRow) -> None:
        if held.lease_owner != owner:
            raise ImportRunning("the lease is another's")
        held.lease_until = ingestion.clock.now() + LEASE

    return Job(row.id, request, actor, opened, None, row.rows_done, fence)


async def _settle(ingestion: Ingestion, import_id: uuid.UUID, owner: uuid.UUID, error: FujieError) -> None:
    """A refusal ends the job; a failure of ours is tried again after a pause."""
    if error.status >= _SERVER_ERROR:
        log.warning("import interrupted", job=str(import_id), code=error.code)
        await _give_back(ingestion, import_id, owner, error.code)
        return
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        row = await session.get_one(ImportRow, import_id, with_for_update=True)
        row.state, row.failure, row.finished_at, row.lease_owner, row.lease_until = "failed", error.code, now, None, None
        tell_end(session, now, row)
        await record(session, now, Event("certs.import.close", f"import:{import_id}", Outcome.FAILED, _actor(row.actor), code=error.code))


async def _give_back(ingestion: Ingestion, import_id: uuid.UUID, owner: uuid.UUID, failure: str | None) -> None:
    until = ingestion.clock.now() + PAUSE if failure else None
    values: dict[str, Any] = {"lease_owner": None, "lease_until": until, "failure": failure, "state": "waiting"}
    async with ingestion.database.begin() as session:
        held = (ImportRow.id == import_id) & (ImportRow.lease_owner == owner)
        await session.execute(update(ImportRow).where(held).values(**values))


async def forget_parts(ingestion: Ingestion, import_id: uuid.UUID) -> None:
    """The uploaded file is gone: its key first, then its parts."""
    async with ingestion.database.begin() as session:
        row = await session.get_one(ImportRow, import_id, with_for_update=True)
        row.content_key = None
        gone = delete(ImportPartRow).where(ImportPartRow.import_id == import_id).returning(ImportPartRow.part_digest)
        digests = list(await session.scalars(gone))
    for digest in digests:
        await ingestion.blobs.forget(digest)


async def get_import(ingestion: Ingestion, actor: Actor, import_id: uuid.UUID) -> ImportView:
    """An import of the actor's organisation, or ``NotFound``."""
    organisation = require_importer(actor)
    async with ingestion.database.session() as session:
        row = await session.get(ImportRow, import_id)
    if row is None or row.organisation != organisation:
        raise NotFound("import")
    return to_view(row)


async def list_imports(ingestion: Ingestion, actor: Actor, before: uuid.UUID | None = None, limit: int = PAGE) -> tuple[ImportView, ...]:
    """The organisation's imports, the newest first."""
    mine = select(ImportRow).where(ImportRow.organisation == require_importer(actor)).order_by(ImportRow.id.desc()).limit(limit)
    async with ingestion.database.session() as session:
        rows = await session.scalars(mine.where(ImportRow.id < before) if before else mine)
        return tuple(to_view(row) for row in rows)


def to_view(row: ImportRow) -> ImportView:
    """The view of a row."""
    return ImportView(
        row.id, row.file_name, row.state, row.dry_run, row.type_code, row.grade, row.rows_done, row.flagged, dict(row.flag_counts),
        row.octets, row.octets_done, row.failure, row.started_at, row.finished_at,
    )  # fmt: skip


def _actor(values: dict[str, Any]) -> Actor:
    return Actor(ActorKind(values["kind"]), values["id"], values["name"], values["organisation"])
