"""One move for many certificates, with a report: what happened to each, by the name it was given under.

1. ask      a plain move with its grounds, and up to 100,000 names: ids, identifiers or verification codes; a key makes it repeatable
2. work     in the background, or by the command that asked: some at a time, each in a savepoint of its own, so that what is refused
            stops nobody; any number of processes, each item once (row locks). A dry run asks everything and moves nothing
3. report   counts while it runs, and one line for each name

Whoever asked is asked again for every certificate whether they may change it; what may not be seen does not exist.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import func, insert, select, update

from certs.approvals import IdempotencyKeyReused
from certs.grounds import Grounds
from certs.idempotency import require_key
from certs.life_models import MoveJobItemRow, MoveJobRow
from certs.lifecycle import PLAIN_MOVES, find_move
from certs.models import CertificateRow
from certs.privacy import hide_numbers
from certs.reads import find_certificate
from certs.reason_keeping import settle
from certs.standing import apply, changeable
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Forbidden, FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MOST_NAMES = 100_000
LONGEST_NAME = 128
AT_ONCE = 20
INSERT_AT_ONCE = 5_000
MOVED, WOULD_MOVE, NAMED_TWICE = "MOVED", "WOULD_MOVE", "NAMED_TWICE"
_MAY_ASK = frozenset({Role.APPROVER})


class BulkMoveMalformed(InvalidInput):
    """The move is no plain one, or the names are too many, too long or none."""

    code = "BULK_MOVE_MALFORMED"
    public = (
        "批量操作须为暂停、恢复、撤销、吊销或注销，并给出 1–100000 个证照。",
        "A bulk change is to suspend, resume, revoke, withdraw or cancel, and names 1–100000 certificates.",
    )


class BulkMoveForbidden(Forbidden):
    """Approvers and the clients of an issuer ask for bulk changes."""

    code = "BULK_MOVE_FORBIDDEN"
    public = ("批量变更状态须由颁发机构的审批人或其系统办理。", "Bulk changes are for the issuer's approvers and systems.")


@dataclass(frozen=True, slots=True)
class BulkMove:
    """What is asked. ``names``: ids, GB/T 36904 identifiers or verification codes."""

    move: str
    grounds: Grounds
    names: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A bulk move as it stands. ``outcomes``: how many by code; ``done`` of ``items``."""

    id: uuid.UUID
    organisation: str | None
    move: str
    reason: str
    reason_code: str | None
    dry_run: bool
    items: int
    done: int
    outcomes: Mapping[str, int]
    asked_by: str
    created_at: dt.datetime
    finished_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. ``outcome``: ``MOVED``, ``WOULD_MOVE``, ``NAMED_TWICE`` or an error's code; empty: not yet."""

    position: int
    name: str
    certificate_id: uuid.UUID | None
    outcome: str


async def ask(database: Database, clock: Clock, actor: Actor, wanted: BulkMove, key: str | None) -> Job:
    """Step 1. Raises :class:`BulkMoveForbidden`, :class:`BulkMoveMalformed`, what grounds are refused for, ``IDEMPOTENCY_KEY_…``."""
    try:
        return await _ask(database, clock.now(), actor, wanted, require_key(key))
    except FujieError as error:
        event = Event("certs.bulk_move.ask", "certificates", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(database, clock.now(), event)
        raise


async def work(database: Database, clock: Clock, *, most: int = 50 * AT_ONCE, job_id: uuid.UUID | None = None) -> int:
    """Step 2: up to ``most`` items of open jobs, or of one; how many were done."""
    done = 0
    for one in [job_id] if job_id is not None else await _open_jobs(database):
        while done < most and (batch := await _batch(database, clock.now(), one)):
            done += batch
        await _finish(database, clock.now(), one)
    return done


async def get_job(session: AsyncSession, actor: Actor, job_id: uuid.UUID) -> Job:
    """A job of the actor's organisation, or ``NotFound``."""
    row = await session.get(MoveJobRow, job_id)
    if row is None or not _may_see(row, actor):
        raise NotFound("job")
    return await _view(session, row)


async def list_jobs(session: AsyncSession, actor: Actor, limit: int = 20) -> tuple[Job, ...]:
    """The jobs of the actor's organisation, newest first."""
    statement = select(MoveJobRow).order_by(MoveJobRow.id.desc()).limit(limit)
    if actor.kind is not ActorKind.SYSTEM:
        statement = statement.where(MoveJobRow.organisation == (actor.organisation or ""))
    return tuple([await _view(session, row) for row in await session.scalars(statement)])


async def report_lines(database: Database, job_id: uuid.UUID) -> AsyncIterator[Sequence[Line]]:
    """Step 3: the report in parts, in the order of the names; memory stays flat. Who may see it is asked before."""
    last = -1
    while True:
        statement = select(MoveJobItemRow).where(MoveJobItemRow.job_id == job_id, MoveJobItemRow.position > last)
        async with database.session() as session:
            rows = list(await session.scalars(statement.order_by(MoveJobItemRow.position).limit(1000)))
        if not rows:
            return
        yield [Line(row.position + 1, row.name, row.certificate_id, row.outcome or "") for row in rows]
        last = rows[-1].position


async def _ask(database: Database, now: dt.datetime, actor: Actor, wanted: BulkMove, key: str) -> Job:
    names = _checked(actor, wanted)
    digest = hashlib.sha256(orjson.dumps([wanted.move, asdict(wanted.grounds), names, wanted.dry_run])).digest()
    async with database.begin() as session:
        earlier = await session.scalar(select(MoveJobRow).where(MoveJobRow.actor_id == actor.id, MoveJobRow.request_key == key))
        if earlier is not None:
            if earlier.request != digest:
                raise IdempotencyKeyReused
            return await _view(session, earlier)
        grounds = await settle(session, wanted.move, wanted.grounds)
        row = MoveJobRow(
            id=new_id(), organisation=actor.organisation, move=wanted.move, reason=grounds.reason, reason_code=grounds.code,
            legal_basis=grounds.legal_basis, dry_run=wanted.dry_run, actor=_kept(actor), actor_id=actor.id, request_key=key,
            request=digest, items=len(names), created_at=now, finished_at=None,
        )  # fmt: skip
        session.add(row)
        await session.flush()
        for start in range(0, len(names), INSERT_AT_ONCE):
            part = names[start : start + INSERT_AT_ONCE]
            await session.execute(
                insert(MoveJobItemRow),
                [{"job_id": row.id, "position": start + offset, "name": name} for offset, name in enumerate(part)],
            )
        details: dict[str, JSON] = {"move": wanted.move, "items": len(names), "dry_run": wanted.dry_run, "reason_code": grounds.code}
        await audit.record(session, now, Event("certs.bulk_move.ask", f"job:{row.id}", audit.Outcome.DONE, actor, details))
        return await _view(session, row)


def _checked(actor: Actor, wanted: BulkMove) -> list[str]:
    """The names as they are kept: a number of a person that strayed among them is not."""
    person = actor.kind is ActorKind.PERSON and bool(actor.roles & _MAY_ASK) and actor.organisation is not None
    if not (person or actor.kind is ActorKind.SYSTEM or (actor.kind is ActorKind.CLIENT and actor.organisation is not None)):
        raise BulkMoveForbidden
    names = [hide_numbers(name.strip()) for name in wanted.names if name.strip()]
    if wanted.move not in PLAIN_MOVES or not 0 < len(names) <= MOST_NAMES or any(len(name) > LONGEST_NAME for name in names):
        raise BulkMoveMalformed
    return names


async def _open_jobs(database: Database) -> list[uuid.UUID]:
    async with database.session() as session:
        return list(await session.scalars(select(MoveJobRow.id).where(MoveJobRow.finished_at.is_(None)).order_by(MoveJobRow.id)))


async def _batch(database: Database, now: dt.datetime, job_id: uuid.UUID) -> int:
    waiting = (
        select(MoveJobItemRow)
        .where(MoveJobItemRow.job_id == job_id, MoveJobItemRow.outcome.is_(None))
        .order_by(MoveJobItemRow.position)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    async with database.begin() as session:
        job = await session.get_one(MoveJobRow, job_id)
        items = list(await session.scalars(waiting))
        for item in items:
            item.outcome = await _one(session, now, job, item)
            item.done_at = now
    return len(items)


async def _one(session: AsyncSession, now: dt.datetime, job: MoveJobRow, item: MoveJobItemRow) -> str:
    """What became of one certificate; a refusal undoes what belongs to it and nothing else."""
    actor, grounds = _read(job.actor), Grounds(job.reason, job.reason_code, job.legal_basis)
    try:
        async with session.begin_nested():
            found = await find_certificate(session, item.name)
            if found is None:
                raise NotFound("certificate")
            await session.execute(select(CertificateRow.id).where(CertificateRow.id == found.id).with_for_update())
            certificate = await changeable(session, actor, found.id)
            item.certificate_id = certificate.id
            if await _named_before(session, job.id, item):
                return NAMED_TWICE
            move = find_move(job.move, certificate.status)
            if job.dry_run:
                return WOULD_MOVE
            await apply(session, now, actor, certificate, move, grounds, f"job:{job.id}")
    except FujieError as error:
        return error.code
    return MOVED


async def _named_before(session: AsyncSession, job_id: uuid.UUID, item: MoveJobItemRow) -> bool:
    same = select(MoveJobItemRow.position).where(
        MoveJobItemRow.job_id == job_id, MoveJobItemRow.certificate_id == item.certificate_id,
        MoveJobItemRow.position != item.position, MoveJobItemRow.outcome.in_((MOVED, WOULD_MOVE)),
    )  # fmt: skip
    return await session.scalar(same.limit(1)) is not None


async def _finish(database: Database, now: dt.datetime, job_id: uuid.UUID) -> None:
    """The first who finds nothing left says that it is done."""
    left = select(MoveJobItemRow.position).where(MoveJobItemRow.job_id == job_id, MoveJobItemRow.outcome.is_(None))
    ended = update(MoveJobRow).where(MoveJobRow.id == job_id, MoveJobRow.finished_at.is_(None), ~left.exists())
    async with database.begin() as session:
        if await session.scalar(ended.values(finished_at=now).returning(MoveJobRow.id)) is None:
            return
        row = await session.get_one(MoveJobRow, job_id)
        job = await _view(session, row)
        details: dict[str, JSON] = {"outcomes": dict(job.outcomes.items())}
        event = Event("certs.bulk_move.end", f"job:{job_id}", audit.Outcome.DONE, _read(row.actor), details)
        await audit.record(session, now, event)


async def _view(session: AsyncSession, row: MoveJobRow) -> Job:
    outcome = MoveJobItemRow.outcome
    told = MoveJobItemRow.job_id == row.id, outcome.is_not(None)
    counted = select(func.coalesce(outcome, ""), func.count()).where(*told).group_by(outcome)
    outcomes: dict[str, int] = {found[0]: found[1] for found in await session.execute(counted)}
    return Job(
        row.id, row.organisation, row.move, row.reason, row.reason_code, row.dry_run, row.items, sum(outcomes.values()), outcomes,
        row.actor["name"], row.created_at, row.finished_at,
    )  # fmt: skip


def _may_see(row: MoveJobRow, actor: Actor) -> bool:
    return actor.kind is ActorKind.SYSTEM or (actor.organisation is not None and row.organisation == actor.organisation)


def _kept(actor: Actor) -> dict[str, Any]:
    """Who asked, with what decides whether they may: their organisation and roles as they were."""
    return {
        "kind": actor.kind.value, "id": actor.id, "name": actor.name, "organisation": actor.organisation, "division": actor.division,
        "roles": sorted(actor.roles),
    }  # fmt: skip


def _read(kept: Mapping[str, Any]) -> Actor:
    roles = frozenset(Role(one) for one in kept["roles"])
    return Actor(ActorKind(kept["kind"]), kept["id"], kept["name"], kept["organisation"], kept["division"], roles)
