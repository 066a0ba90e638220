"""Issuing in bulk: up to 100,000 approvals in one file, with progress, going on where it stopped, every refusal by its row.

1. submit   a client's file is read row by row; each row is kept as an envelope, for it holds ID numbers. A key makes it repeatable
2. work     in the background of every process, or by the command that asked (:mod:`certs.bulk_work`): some rows at a time, each once
3. report   counts while it runs, and one line for each row; a settled row keeps no number of anybody

A row that is refused says why and the rows after it go on. Killed anywhere, the rows of that moment are taken up again, each with a key of
its own: what was issued for it is found, not issued again.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from certs.approvals import IdempotencyKeyReused, IssuerNotAllowed
from certs.bulk_models import BulkIssueItemRow, BulkIssueRow, body_context
from certs.idempotency import require_key
from certs.privacy import hide_numbers
from certs.stages import Issuing
from certs.tables import TableRow, TableUnreadable, open_table
from identity.numbers import normalise
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MOST_ROWS = 100_000
LONGEST_NAME = 200
AT_ONCE = 500
RECEIVING, RUNNING, FINISHED, CANCELLED = "receiving", "running", "finished", "cancelled"
WAITING, REFUSED, NOT_ISSUED = "waiting", "refused", "cancelled"
ROW_UNREADABLE = "ROW_UNREADABLE"


class BulkUnreadable(InvalidInput):
    """The file is neither CSV with a header nor JSON lines, is empty, or has more than 100,000 rows."""

    code = "BULK_ISSUE_UNREADABLE"
    public = (
        "文件应为带表头的 CSV 或 JSON Lines，含 1–100000 行。",
        "The file must be CSV with a header line or JSON lines, with 1–100000 rows.",
    )


class BulkBeingReceived(Conflict):
    """Another upload under this key took this one's place."""

    code = "BULK_ISSUE_BEING_RECEIVED"
    public = ("同一批量任务正由另一次上传接收。", "The same job is being received from another upload.")


class BulkEnded(Conflict):
    """The job is finished or cancelled already."""

    code = "BULK_ISSUE_ENDED"
    public = ("该批量任务已结束。", "This job has ended already.")


@dataclass(frozen=True, slots=True)
class BulkJob:
    """A job as it stands. ``counts``: rows by state: ``waiting``, ``issued``, ``awaiting_stamp``, ``awaiting_glyph``, ``refused``."""

    id: uuid.UUID
    name: str
    client_id: str
    organisation: str | None
    state: str
    items: int
    counts: Mapping[str, int]
    created_at: dt.datetime
    finished_at: dt.datetime | None

    @property
    def done(self) -> int:
        return self.items - self.counts.get(WAITING, 0)


@dataclass(frozen=True, slots=True)
class BulkLine:
    """A row of the report. ``row`` counts from 1; ``code`` and ``errors`` where it was refused, naming members, never values."""

    row: int
    state: str
    code: str | None
    errors: Sequence[Mapping[str, Any]]
    certificate_id: uuid.UUID | None
    attempts: int


async def submit(
    issuing: Issuing, actor: Actor, name: str, file: BinaryIO, key: str | None, *, address: str | None = None, by: Actor | None = None
) -> BulkJob:
    """Step 1: read the file into a job; the same key and rows again answer the job there is.

    ``by``: the person who has the client issue (:mod:`certs.bulk_requests`): the job is their organisation's, and no row of another
    issuer is taken. Raises :class:`BulkUnreadable`, :class:`BulkBeingReceived`, ``IssuerNotAllowed``, ``IdempotencyKeyRequired``,
    ``IdempotencyKeyReused``.
    """
    try:
        ordered = _Order(actor, by, hide_numbers(name.strip())[:LONGEST_NAME] or "—", require_key(key), address)
        return await _submit(issuing, ordered, file)
    except FujieError as error:
        event = Event("certs.bulk_issue.submit", "bulk", audit.Outcome.REFUSED, by or actor, code=error.code)
        await audit.record_alone(issuing.database, issuing.clock.now(), event)
        raise


@dataclass(frozen=True, slots=True)
class _Order:
    client: Actor
    by: Actor | None
    name: str
    key: str
    address: str | None

    @property
    def issuer(self) -> str | None:
        """The only issuer whose rows are taken; None: whichever the client issues for."""
        return self.by.organisation if self.by else None


async def _submit(issuing: Issuing, order: _Order, file: BinaryIO) -> BulkJob:
    if order.client.kind is not ActorKind.CLIENT or (order.by is not None and order.by.organisation is None):
        raise IssuerNotAllowed
    job_id, upload, request = await _begin(issuing, order)
    told, count = await _read(issuing, order, job_id, upload, file)
    if upload is not None:
        await _begun(issuing, order, job_id, upload, told, count)
    elif request != told:
        raise IdempotencyKeyReused
    async with issuing.database.session() as session:
        return await _view(session, await session.get_one(BulkIssueRow, job_id))


async def _read(issuing: Issuing, order: _Order, job_id: uuid.UUID, upload: uuid.UUID | None, file: BinaryIO) -> tuple[bytes, int]:
    """What the rows are recognised by, and how many there are; kept unless an earlier upload kept them."""
    digest, count = hashlib.sha256(), 0
    for part in _parts(file):
        for one in part:
            digest.update(orjson.dumps([one.members, one.fault], option=orjson.OPT_SORT_KEYS, default=str))
        if upload is not None:
            await _keep(issuing, order, job_id, upload, count, part)
        count += len(part)
        if count > MOST_ROWS:
            raise BulkUnreadable("too many rows", errors=[{"field": "file", "message": f"more than {MOST_ROWS} rows"}])
    if not count:
        raise BulkUnreadable("no rows", errors=[{"field": "file", "message": "no rows"}])
    return issuing.personal.subject("certs.bulk", digest.hexdigest()), count


def _parts(file: BinaryIO) -> Iterator[list[TableRow]]:
    part: list[TableRow] = []
    try:
        for row in open_table(file).rows:
            part.append(row)
            if len(part) == AT_ONCE:
                yield part
                part = []
    except TableUnreadable:
        raise BulkUnreadable("unreadable", errors=[{"field": "file", "message": "no table"}]) from None
    if part:
        yield part


async def _begin(issuing: Issuing, order: _Order) -> tuple[uuid.UUID, uuid.UUID | None, bytes | None]:
    """The job, this reading's mark while it is to be filled, else the digest of what filled it. An upload that broke off begins again."""
    now, upload = issuing.clock.now(), new_id()
    fresh = {
        "id": new_id(), "client_id": order.client.id, "organisation": order.issuer or order.client.organisation, "name": order.name,
        "key": order.key, "state": RECEIVING, "upload": upload, "request": None, "items": 0, "address": order.address, "created_at": now,
        "finished_at": None,
    }  # fmt: skip
    async with issuing.database.begin() as session:
        await session.execute(upsert(BulkIssueRow).values(fresh).on_conflict_do_nothing())
        mine = select(BulkIssueRow).where(BulkIssueRow.client_id == order.client.id, BulkIssueRow.key == order.key).with_for_update()
        row = (await session.execute(mine)).scalar_one()
        if row.state != RECEIVING:
            return row.id, None, row.request
        row.upload = upload
        await session.execute(delete(BulkIssueItemRow).where(BulkIssueItemRow.job_id == row.id))
        return row.id, upload, None


async def _keep(issuing: Issuing, order: _Order, job_id: uuid.UUID, upload: uuid.UUID, start: int, part: Sequence[TableRow]) -> None:
    values = [_kept(issuing, order.issuer, job_id, start + offset, one) for offset, one in enumerate(part)]
    async with issuing.database.begin() as session:
        held = select(BulkIssueRow.id).where(BulkIssueRow.id == job_id, BulkIssueRow.upload == upload).with_for_update(read=True)
        if await session.scalar(held) is None:
            raise BulkBeingReceived
        await session.execute(insert(BulkIssueItemRow), values)


def _kept(issuing: Issuing, issuer: str | None, job_id: uuid.UUID, position: int, row: TableRow) -> dict[str, Any]:
    value: dict[str, Any] = {
        "job_id": job_id, "position": position, "body": None, "state": WAITING, "code": None, "errors": None, "certificate_id": None,
        "lease_until": None, "attempts": 0,
    }  # fmt: skip
    if row.fault:
        return value | {"state": REFUSED, "code": ROW_UNREADABLE, "errors": [{"field": "row", "message": row.fault}]}
    if issuer is not None and normalise(str(row.members.get("issuer", ""))) != issuer:
        return value | {"state": REFUSED, "code": IssuerNotAllowed.code, "errors": [{"field": "issuer", "message": "another issuer"}]}
    body = orjson.dumps(row.members, default=str).decode()
    return value | {"body": issuing.personal.seal(body, body_context(job_id, position))}


async def _begun(issuing: Issuing, order: _Order, job_id: uuid.UUID, upload: uuid.UUID, told: bytes, count: int) -> None:
    now = issuing.clock.now()
    statement = update(BulkIssueRow).where(BulkIssueRow.id == job_id, BulkIssueRow.upload == upload, BulkIssueRow.state == RECEIVING)
    async with issuing.database.begin() as session:
        filled = await session.scalar(statement.values(state=RUNNING, request=told, items=count).returning(BulkIssueRow.id))
        if filled is None:
            raise BulkBeingReceived
        details: dict[str, JSON] = {"rows": count} | ({"client": order.client.id} if order.by else {})
        who = order.by or order.client
        await audit.record(session, now, Event("certs.bulk_issue.submit", f"bulk:{job_id}", audit.Outcome.DONE, who, details))


async def cancel(issuing: Issuing, actor: Actor, job_id: uuid.UUID) -> BulkJob:
    """What was not begun is not begun any more; what was issued stays. Raises ``NotFound``, :class:`BulkEnded`."""
    now = issuing.clock.now()
    async with issuing.database.begin() as session:
        row = await session.get(BulkIssueRow, job_id, with_for_update=True)
        if row is None or not _may_see(row, actor):
            raise NotFound("job")
        if row.state not in (RECEIVING, RUNNING):
            raise BulkEnded
        row.state, row.finished_at = CANCELLED, now
        waiting = update(BulkIssueItemRow).where(BulkIssueItemRow.job_id == job_id, BulkIssueItemRow.state == WAITING)
        await session.execute(waiting.values(state=NOT_ISSUED, body=None))
        await audit.record(session, now, Event("certs.bulk_issue.cancel", f"bulk:{job_id}", audit.Outcome.DONE, actor))
        await session.flush()
        return await _view(session, row)


async def get_job(session: AsyncSession, actor: Actor, job_id: uuid.UUID) -> BulkJob:
    """A job of the actor's organisation, or ``NotFound``."""
    row = await session.get(BulkIssueRow, job_id, populate_existing=True)
    if row is None or not _may_see(row, actor):
        raise NotFound("job")
    return await _view(session, row)


async def list_jobs(session: AsyncSession, actor: Actor, limit: int = 20) -> list[BulkJob]:
    """The jobs of the actor's organisation, newest first."""
    statement = select(BulkIssueRow).order_by(BulkIssueRow.id.desc()).limit(limit)
    if actor.kind is not ActorKind.SYSTEM:
        statement = statement.where(BulkIssueRow.organisation == (actor.organisation or ""))
    return [await _view(session, row) for row in await session.scalars(statement)]


async def report_lines(database: Database, job_id: uuid.UUID, *, only: str | None = None) -> AsyncIterator[list[BulkLine]]:
    """The report in parts, in the order of the rows; ``only``: of one state. Who may see it is asked before."""
    last = -1
    while True:
        statement = select(BulkIssueItemRow).where(BulkIssueItemRow.job_id == job_id, BulkIssueItemRow.position > last)
        if only is not None:
            statement = statement.where(BulkIssueItemRow.state == only)
        async with database.session() as session:
            rows = list(await session.scalars(statement.order_by(BulkIssueItemRow.position).limit(1000)))
        if not rows:
            return
        yield [BulkLine(one.position + 1, one.state, one.code, one.errors or (), one.certificate_id, one.attempts) for one in rows]
        last = rows[-1].position


async def _view(session: AsyncSession, row: BulkIssueRow) -> BulkJob:
    counted = select(BulkIssueItemRow.state, func.count()).where(BulkIssueItemRow.job_id == row.id).group_by(BulkIssueItemRow.state)
    counts = {found[0]: found[1] for found in await session.execute(counted)}
    return BulkJob(row.id, row.name, row.client_id, row.organisation, row.state, row.items, counts, row.created_at, row.finished_at)


def _may_see(row: BulkIssueRow, actor: Actor) -> bool:
    return actor.kind is ActorKind.SYSTEM or (actor.organisation is not None and row.organisation == actor.organisation)
