"""Working off bulk jobs: any number of processes, each row once.

1. claim    some waiting rows of running jobs; rows that another process is claiming are passed over
2. issue    all of them (:mod:`certs.bulk_carrying`), each with a key that follows from job and row
3. settle   one transaction: what became of each row; its envelope is dropped
4. end      a job without waiting rows is finished

What a row itself cannot be is its own result. What is our own fault (the store is full, a key device away) leaves the row waiting, to be
tried again after a pause that doubles; a fault that stays is told after :data:`MOST_ATTEMPTS`.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import structlog
from sqlalchemy import Table, Update, bindparam, or_, select, tuple_, update

from certs.approvals import Approval, IssuerNotAllowed, IssuingInProgress, Outcome
from certs.bulk_carrying import issue_many
from certs.bulk_issuing import FINISHED, REFUSED, RUNNING, WAITING
from certs.bulk_models import BulkIssueItemRow, BulkIssueRow, body_context
from certs.entrances import client_that_issues
from certs.stages import Issuing
from keys.base.actor import Actor, ActorKind
from keys.base.errors import FujieError, Throttled
from keys.evidence import audit
from keys.evidence.audit import Event

log = structlog.get_logger("fujie.certs.bulk")

CLAIMED = 32
LEASE = dt.timedelta(seconds=120)
MOST_ATTEMPTS = 8
_LONGEST_PAUSE = 8  # the power of two, in seconds
_SERVER_ERROR = 500
_AWAY = frozenset({503, 507})
Parse = Callable[[Mapping[str, Any]], Approval]


@dataclass(frozen=True, slots=True)
class _Claim:
    job_id: uuid.UUID
    position: int
    attempts: int
    body: bytes
    client_id: str
    address: str | None


async def work_bulk(issuing: Issuing, parse: Parse, *, most: int = CLAIMED, job_id: uuid.UUID | None = None) -> int:
    """One round; the number of rows taken. Nothing while nothing may be issued."""
    try:
        issuing.gate.now()
    except FujieError:
        return 0
    claims = await _claim(issuing, most, job_id)
    for client_id in dict.fromkeys(one.client_id for one in claims):
        mine = [one for one in claims if one.client_id == client_id]
        results = await _issue(issuing, parse, client_id, mine)
        await _settle(issuing, mine, results)
    for one in {claim.job_id for claim in claims} | ({job_id} if job_id else set()):
        await _finish(issuing, one)
    return len(claims)


async def work_until_done(
    issuing: Issuing, parse: Parse, *, seconds: float, stopping: asyncio.Event | None = None, job_id: uuid.UUID | None = None
) -> int:
    """Rounds until nothing waits, the time is up or the process is to stop; the number of rows taken."""
    deadline, taken = asyncio.get_running_loop().time() + seconds, 0
    while asyncio.get_running_loop().time() < deadline and not (stopping and stopping.is_set()):
        number = await work_bulk(issuing, parse, job_id=job_id)
        if not number:
            break
        taken += number
    return taken


async def _claim(issuing: Issuing, most: int, job_id: uuid.UUID | None) -> list[_Claim]:
    now = issuing.clock.now()
    free = (
        select(BulkIssueItemRow.job_id, BulkIssueItemRow.position)
        .join(BulkIssueRow, BulkIssueRow.id == BulkIssueItemRow.job_id)
        .where(BulkIssueRow.state == RUNNING, BulkIssueItemRow.state == WAITING)
        .where(or_(BulkIssueItemRow.lease_until.is_(None), BulkIssueItemRow.lease_until < now))
        .order_by(BulkIssueItemRow.job_id, BulkIssueItemRow.position)
        .limit(most)
        .with_for_update(of=BulkIssueItemRow, skip_locked=True)
    )
    if job_id is not None:
        free = free.where(BulkIssueItemRow.job_id == job_id)
    async with issuing.database.begin() as session:
        keys = [tuple(row) for row in await session.execute(free)]
        if not keys:
            return []
        taken = (
            update(BulkIssueItemRow)
            .where(tuple_(BulkIssueItemRow.job_id, BulkIssueItemRow.position).in_(keys))
            .values(lease_until=now + LEASE, attempts=BulkIssueItemRow.attempts + 1)
            .returning(BulkIssueItemRow.job_id, BulkIssueItemRow.position, BulkIssueItemRow.attempts, BulkIssueItemRow.body)
        )
        rows = (await session.execute(taken)).all()
        found = await session.execute(select(BulkIssueRow).where(BulkIssueRow.id.in_({row.job_id for row in rows})))
        jobs = {job.id: job for job in found.scalars()}
        claims = [
            _Claim(row.job_id, row.position, row.attempts, row.body, jobs[row.job_id].client_id, jobs[row.job_id].address)
            for row in rows
            if row.body is not None
        ]
    return sorted(claims, key=lambda one: (one.job_id, one.position))


async def _issue(issuing: Issuing, parse: Parse, client_id: str, claims: Sequence[_Claim]) -> list[Outcome | FujieError]:
    async with issuing.database.session() as session:
        actor = await client_that_issues(session, issuing.clock.now(), client_id)
    if actor is None:
        return [IssuerNotAllowed() for _ in claims]
    results: dict[int, Outcome | FujieError] = {}
    asked: list[tuple[int, str, Approval]] = []
    for place, claim in enumerate(claims):
        try:
            body = issuing.personal.open(claim.body, body_context(claim.job_id, claim.position))
            asked.append((place, f"bulk-{claim.job_id}-{claim.position}", parse(orjson.loads(body))))
        except FujieError as error:
            results[place] = error
    given = await issue_many(issuing, actor, [(key, approval) for _, key, approval in asked], claims[0].address)
    results |= {place: one for (place, _, _), one in zip(asked, given, strict=True)}
    return [results[place] for place in range(len(claims))]


async def _settle(issuing: Issuing, claims: Sequence[_Claim], results: Sequence[Outcome | FujieError]) -> None:
    now = issuing.clock.now()
    settled: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    for claim, result in zip(claims, results, strict=True):
        place = {"job": claim.job_id, "row": claim.position}
        if isinstance(result, Outcome):
            settled.append(place | {"state": result.status.value, "code": None, "errors": None, "certificate_id": result.id})
        elif _is_final(result, claim.attempts):
            errors = result.extra.get("errors")
            told = errors if isinstance(errors, list) else None
            settled.append(place | {"state": REFUSED, "code": result.code, "errors": told, "certificate_id": None})
        else:
            pause = dt.timedelta(seconds=2 ** min(claim.attempts, _LONGEST_PAUSE))
            later.append(place | {"lease_until": now + pause, "code": result.code})
    async with issuing.database.begin() as session:
        connection = await session.connection()
        for values in (settled, later):
            if values:
                await connection.execute(_writing(tuple(values[0])), [_renamed(one) for one in values])


def _writing(names: Sequence[str]) -> Update:
    """An update of the waiting row (``job``, ``row``) that sets these columns; a settled row keeps no envelope."""
    table = cast(Table, BulkIssueItemRow.__table__)
    fresh: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names if name not in ("job", "row")}
    if "state" in names:
        fresh |= {"body": None, "lease_until": None}
    return (
        update(table)
        .where(table.c.job_id == bindparam("job"), table.c.position == bindparam("row"), table.c.state == WAITING)
        .values(fresh)
    )


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name if name in ("job", "row") else f"new_{name}": value for name, value in values.items()}


def _is_final(error: FujieError, attempts: int) -> bool:
    """Whether it is the row's own fault, or one of ours that stays."""
    if error.status in _AWAY or isinstance(error, IssuingInProgress | Throttled):
        return False
    return error.status < _SERVER_ERROR or attempts >= MOST_ATTEMPTS


async def _finish(issuing: Issuing, job_id: uuid.UUID) -> None:
    """The first who finds nothing left says that it is done."""
    now = issuing.clock.now()
    left = select(BulkIssueItemRow.position).where(BulkIssueItemRow.job_id == job_id, BulkIssueItemRow.state == WAITING)
    ended = update(BulkIssueRow).where(BulkIssueRow.id == job_id, BulkIssueRow.state == RUNNING, ~left.exists())
    async with issuing.database.begin() as session:
        ended = ended.values(state=FINISHED, finished_at=now)
        client = (await session.execute(ended.returning(BulkIssueRow.client_id, BulkIssueRow.organisation))).one_or_none()
        if client is not None:
            actor = Actor(ActorKind.CLIENT, client.client_id, client.client_id, client.organisation)
            await audit.record(session, now, Event("certs.bulk_issue.end", f"bulk:{job_id}", audit.Outcome.DONE, actor))
