"""Carrying a decided request through to the sealed file, whether a request or the sweeper does it.

1. permit   the seal's policy answers for whoever decided, and for this document as it is now
2. stamp    in a worker
3. store    durably, under its hash; nobody is told of it yet
4. record   one transaction: the permit is spent, the seal marked as applied, the request moved on, the next seal's turn begun

Killed between any two steps, nothing is half-stamped: what was stored is known to nobody, its permit is unspent, and whoever
takes the lapsed lease stamps the document as it was. A lease that ran out records nothing.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

import structlog
from sqlalchemy import or_, select, update

from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.errors import FujieError
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.departures import require_present
from seal.document_errors import ApprovalLapsed, DocumentBeingSealed, SealingFailed
from seal.document_levels import Level, Raised, keep, raised, room_for
from seal.document_lifecycle import RequestMove, RequestStatus
from seal.document_models import DocumentRow, RequestedSealRow, SealRequestRow
from seal.document_moves import LEASE, begin, locked, write_move
from seal.document_reads import request_view
from seal.document_stamping import stamp_document
from seal.document_values import Sealing, SealRequest, read_actor, read_place
from seal.material import load_material
from seal.permits import LIFETIME, Permit, UseRequest, audit_refused_use, consume_permit, request_permit
from seal.placing import StampPlan
from seal.stamp_plans import plan_of

log = structlog.get_logger("fujie.seal.documents")

MOST_ATTEMPTS = 8
_SERVER_ERROR = 500
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class _Task:
    """One stamping: everything it needs of the database, and the right to do it."""

    request_id: uuid.UUID
    position: int
    lease: uuid.UUID
    actor: Actor
    use: UseRequest
    base_hash: bytes
    plan: StampPlan
    unattended: bool
    decided: dt.datetime | None
    level: Level


async def carry(sealing: Sealing, request_id: uuid.UUID, lease: uuid.UUID) -> SealRequest:
    """Stamp what the lease is for, and the seals after it that need nobody.

    A refusal sends the request back to the approvers (or ends an unattended one) and is raised. A failure of ours leaves it to the
    sweeper and is raised too. :class:`DocumentBeingSealed`: another run took over.
    """
    next_lease: uuid.UUID | None = lease
    while next_lease is not None:
        task = await _task(sealing, request_id, next_lease)
        try:
            next_lease = await _steps(sealing, task)
        except DocumentBeingSealed:
            raise
        except FujieError as error:
            if error.status < _SERVER_ERROR:
                await _give_back(sealing, task, error)
            else:
                await _postpone(sealing, task, error.code)
            raise
        except Exception as error:
            await _postpone(sealing, task, type(error).__name__)
            raise
    async with sealing.database.session() as session:
        return await request_view(session, await session.get_one(SealRequestRow, request_id))


async def sweep_requests(sealing: Sealing) -> int:
    """One round over what a killed process left behind; the number of requests brought on. Called every few seconds."""
    try:
        now = sealing.gate.now()
    except FujieError:
        return 0
    abandoned = (
        select(SealRequestRow.id)
        .join(
            RequestedSealRow,
            (RequestedSealRow.request_id == SealRequestRow.id) & (RequestedSealRow.position == SealRequestRow.position),
        )
        .where(SealRequestRow.status == RequestStatus.STAMPING)
        .where(or_(RequestedSealRow.lease_until.is_(None), RequestedSealRow.lease_until < now))
        .limit(_AT_ONCE)
    )
    async with sealing.database.session() as session:
        found = list(await session.scalars(abandoned))
    return sum([await _take_up(sealing, request_id) for request_id in found])


async def _take_up(sealing: Sealing, request_id: uuid.UUID) -> bool:
    now, lease = sealing.clock.now(), uuid.uuid4()
    async with sealing.database.begin() as session:
        row, seal = await locked(session, request_id)
        if row.status != RequestStatus.STAMPING or (seal.lease_until is not None and seal.lease_until >= now):
            return False
        seal.lease_owner, seal.lease_until, seal.attempts = lease, now + LEASE, seal.attempts + 1
        attempts, decided, unattended = seal.attempts, seal.decided_at or now, row.unattended
    task = await _task(sealing, request_id, lease)
    if attempts > MOST_ATTEMPTS:
        await _give_back(sealing, task, SealingFailed())
    elif not unattended and now - decided > LIFETIME:  # a decision is worth as long as a permit is
        await _give_back(sealing, task, ApprovalLapsed())
    else:
        return await _finish(sealing, request_id, lease)
    return True


async def _finish(sealing: Sealing, request_id: uuid.UUID, lease: uuid.UUID) -> bool:
    try:
        await carry(sealing, request_id, lease)
    except FujieError as error:  # a refusal has been written down
        return error.status < _SERVER_ERROR
    except Exception:  # one document's trouble must not keep the others waiting
        log.exception("not sealed", request=str(request_id))
        return False
    return True


async def _task(sealing: Sealing, request_id: uuid.UUID, lease: uuid.UUID) -> _Task:
    async with sealing.database.session() as session:
        row = await session.get_one(SealRequestRow, request_id)
        seal = await session.get_one(RequestedSealRow, (row.id, row.position))
        document = await session.get_one(DocumentRow, row.document_id)
        decided = seal.decided_at
    if seal.lease_owner != lease or seal.stamper is None or seal.base_hash is None:
        raise DocumentBeingSealed(str(request_id))
    actor = read_actor(seal.stamper)
    asked_alone = row.unattended and seal.approvals_needed <= 1
    use = UseRequest(
        seal_code=seal.seal_code,
        actor=actor,
        matter_code=seal.matter_code,
        certificate_type=None,
        document_hash=seal.base_hash,
        unattended=row.unattended,
        document_kind=row.document_kind,
        requester=None if asked_alone else row.requester,
        place=read_place(seal.stamper),
    )
    plan, level = plan_of(seal.plan, len(document.pages)), Level(seal.plan.get("level", Level.B_B))
    return _Task(request_id, seal.position, lease, actor, use, seal.base_hash, plan, row.unattended, decided, level)


async def _steps(sealing: Sealing, task: _Task) -> uuid.UUID | None:
    if task.decided is not None and task.actor.kind is ActorKind.PERSON:
        async with sealing.database.session() as session:
            await require_present(session, {task.actor.id: task.decided})
    base = await sealing.blobs.get(task.base_hash)
    permit = await request_permit(sealing.database, sealing.gate, task.use)
    async with sealing.database.begin() as session:
        material = await load_material(session, sealing.keystore, sealing.gate.now(), permit.seal_code, standing=permit.standing)
    room = await room_for(sealing.levels, task.level)
    signing_time = sealing.gate.now().replace(microsecond=0)
    stamped = await sealing.workers.run(stamp_document, permit, base, material, task.plan, sealing.keystore, signing_time, room)
    made = await raised(sealing.levels, task.level, stamped)
    sealed_hash = await sealing.blobs.put(made.pdf)
    try:
        return await _record(sealing, task, permit, sealed_hash, made)
    except FujieError as error:
        await audit_refused_use(sealing.database, sealing.clock.now(), permit, task.actor, error)
        raise


async def _record(sealing: Sealing, task: _Task, permit: Permit, sealed_hash: bytes, made: Raised) -> uuid.UUID | None:
    """All or nothing; the lease of the next seal where nobody need approve it."""
    async with sealing.database.begin() as session:
        row, seal = await locked(session, task.request_id)
        if seal.lease_owner != task.lease or seal.position != task.position or seal.sealed_hash is not None:
            raise DocumentBeingSealed(str(task.request_id))
        now = sealing.gate.now()
        await consume_permit(session, now, permit, task.base_hash)
        seal.permit_id, seal.sealed_hash, seal.sealed_at = permit.id, sealed_hash, now
        seal.lease_owner = seal.lease_until = None
        following = await session.get(RequestedSealRow, (row.id, seal.position + 1), with_for_update=True)
        details: dict[str, audit.JSON] = {"permit": str(permit.id), "document": task.base_hash.hex(), "sealed": sealed_hash.hex()}
        await audit.record(session, now, Event("seal.document.sealed", f"request:{row.id}", Outcome.DONE, task.actor, details))
        if following is None:
            await write_move(session, now, row, RequestMove.FINISH, task.actor)
            await keep(session, sealing.levels, f"request:{row.id}", sealed_hash, made)
            return None
        return await begin(session, now, task.actor, row, following, sealed_hash)


async def _give_back(sealing: Sealing, task: _Task, error: FujieError) -> None:
    """Back to the approvers, or the end of an unattended request; the refusal stands with the seal."""
    async with sealing.database.begin() as session:
        row, seal = await locked(session, task.request_id)
        if seal.lease_owner != task.lease:
            return
        seal.lease_owner = seal.lease_until = None
        seal.failure = error.code
        if not task.unattended:
            seal.stamper = None
        move = RequestMove.FAIL if task.unattended else RequestMove.SEND_BACK
        await write_move(session, sealing.clock.now(), row, move, SYSTEM, error.code)


async def _postpone(sealing: Sealing, task: _Task, failure: str) -> None:
    """A failure of ours: the sweeper tries again in 2, 4, 8 … seconds."""
    statement = (
        update(RequestedSealRow)
        .where(RequestedSealRow.request_id == task.request_id, RequestedSealRow.lease_owner == task.lease)
        .returning(RequestedSealRow.attempts)
    )
    now = sealing.clock.now()
    async with sealing.database.begin() as session:
        attempts = await session.scalar(statement.values(lease_owner=None, failure=failure)) or 1
        until = now + dt.timedelta(seconds=2.0 ** min(attempts, MOST_ATTEMPTS))
        await session.execute(
            update(RequestedSealRow)
            .where(RequestedSealRow.request_id == task.request_id, RequestedSealRow.position == task.position)
            .where(RequestedSealRow.lease_owner.is_(None))
            .values(lease_until=until)
        )
