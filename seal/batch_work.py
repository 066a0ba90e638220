"""Working off batches: any number of processes on any number of machines, each document once.

1. claim    some waiting documents of running batches; rows that another process is claiming are passed over
2. permit   each document its own, by the policy, as things are at this moment
3. stamp    in a worker, then stored durably
4. record   one transaction: the permits are spent and the documents marked, if the claims still hold and nobody cancelled
5. end      a batch without waiting documents is done

The documents of a round that differ in nothing but themselves get their permits in one transaction and are recorded in one: each permit is
spent, counted and logged by itself, and one refusal undoes the whole transaction. Then, and where further approvers are to be written
down, each document goes its way alone, so that every one has its own result.

What a document itself cannot be is its own result. When the permission fell away (the seal suspended, the grant withdrawn, the
quota used up), the batch halts instead, because every further document would be refused. Killed at any instant, what was claimed
is claimed again after its lease; what was stamped and not recorded is known to nobody and its permit unspent.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import or_, select, tuple_, update

from keys.base.actor import SYSTEM, Actor
from keys.base.errors import FujieError
from seal.approvals import approve_document
from seal.batch_values import DECISION_HOLDS
from seal.batches import write_batch_move
from seal.departures import ApproverDeparted
from seal.document_errors import ApprovalLapsed, DocumentBeingSealed, SealingFailed
from seal.document_levels import Level, Raised, keep, raised, room_for
from seal.document_lifecycle import BatchMove, BatchStatus
from seal.document_models import BatchDocumentRow, BatchRow, DocumentRow
from seal.document_moves import LEASE
from seal.document_stamping import stamp_document
from seal.document_values import Sealing, read_actor, read_place
from seal.material import load_material
from seal.permits import Permit, Place, UseRequest, audit_refused_use, consume_permit, request_permit, request_permits
from seal.policy import NotPermitted
from seal.stamp_plans import plan_of

log = structlog.get_logger("fujie.seal.batches")

MOST_ATTEMPTS = 5
CLAIMED = 16
"""Documents that one round takes: enough to keep the workers busy, few enough to be soon redone when the process dies."""
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class _Claim:
    """One document that this run may stamp."""

    batch_id: uuid.UUID
    position: int
    document_hash: bytes
    attempts: int
    lease: uuid.UUID
    pages: int
    batch: "_Terms"


@dataclass(frozen=True, slots=True)
class _Terms:
    """What holds for every document of a batch."""

    seal_code: str
    matter_code: str
    document_kind: str | None
    plan: Mapping[str, Any]
    stamper: Actor
    others: tuple[tuple[Actor, dt.datetime], ...]
    requester: str
    unattended: bool
    approvals_needed: int
    decided_at: dt.datetime
    place: Place | None
    agreed: int
    level: Level


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A stamped document in the store, and the permit that is to be spent for it."""

    claim: _Claim
    permit: Permit
    sealed_hash: bytes
    made: Raised


async def work_batches(sealing: Sealing, *, most: int = CLAIMED) -> int:
    """One round; the number of documents taken. Nothing while nothing may be sealed."""
    try:
        sealing.gate.now()
    except FujieError:
        return 0
    claims = await _claim(sealing, most)
    groups = [[claim for claim in claims if claim.batch_id == batch_id] for batch_id in dict.fromkeys(one.batch_id for one in claims)]
    await asyncio.gather(*(_group(sealing, group) for group in groups))
    for batch_id in {claim.batch_id for claim in claims} or await _exhausted(sealing):
        await _finish(sealing, batch_id)
    return len(claims)


async def work_until_done(sealing: Sealing, *, seconds: float, stopping: asyncio.Event | None = None) -> int:
    """Rounds until nothing waits, the time is up or the process is to stop; the number of documents taken."""
    deadline, taken = asyncio.get_running_loop().time() + seconds, 0
    while asyncio.get_running_loop().time() < deadline and not (stopping and stopping.is_set()):
        number = await work_batches(sealing)
        if not number:
            break
        taken += number
    return taken


async def _claim(sealing: Sealing, most: int) -> list[_Claim]:
    now, lease = sealing.clock.now(), uuid.uuid4()
    free = (
        select(BatchDocumentRow.batch_id, BatchDocumentRow.position)
        .join(BatchRow, BatchRow.id == BatchDocumentRow.batch_id)
        .where(BatchRow.status == BatchStatus.RUNNING, BatchDocumentRow.state == "waiting")
        .where(or_(BatchDocumentRow.lease_until.is_(None), BatchDocumentRow.lease_until < now))
        .order_by(BatchDocumentRow.batch_id, BatchDocumentRow.position)
        .limit(most)
        .with_for_update(of=BatchDocumentRow, skip_locked=True)
    )
    async with sealing.database.begin() as session:
        keys = [tuple(row) for row in await session.execute(free)]
        if not keys:
            return []
        mine = tuple_(BatchDocumentRow.batch_id, BatchDocumentRow.position).in_(keys)
        taken = (
            update(BatchDocumentRow)
            .where(mine)
            .values(lease_owner=lease, lease_until=now + LEASE, attempts=BatchDocumentRow.attempts + 1)
            .execution_options(synchronize_session=False)
        )
        await session.execute(taken)
        found = await session.execute(
            select(BatchDocumentRow, DocumentRow.pages).join(DocumentRow, DocumentRow.id == BatchDocumentRow.document_id).where(mine)
        )
        batches = {row.id: _terms(row) for row in await session.scalars(select(BatchRow).where(BatchRow.id.in_({key[0] for key in keys})))}
        return [
            _Claim(row.batch_id, row.position, row.document_hash, row.attempts, lease, len(pages), batches[row.batch_id])
            for row, pages in found
        ]


def _terms(row: BatchRow) -> _Terms:
    stamper = read_actor(row.stamper or {})
    agreed = {one["actor"]["id"]: dt.datetime.fromisoformat(one["at"]) for one in row.approvals}
    others = tuple((read_actor(one["actor"]), agreed[one["actor"]["id"]]) for one in row.approvals if one["actor"]["id"] != stamper.id)
    last = max(agreed.values(), default=row.created_at)
    return _Terms(
        row.seal_code, row.matter_code, row.document_kind, row.plan, stamper, others,
        row.requester, row.unattended, row.approvals_needed, last, read_place(row.stamper or {}), len(agreed),
        Level(row.plan.get("level", Level.B_B)),
    )  # fmt: skip


async def _group(sealing: Sealing, claims: list[_Claim]) -> None:
    """Documents of one batch: together where nothing but the document differs, each alone where they must be."""
    left = claims
    if len(claims) > 1 and not claims[0].batch.others:
        left = await _together(sealing, claims)
    await asyncio.gather(*(_one(sealing, claim) for claim in left))


async def _together(sealing: Sealing, claims: list[_Claim]) -> list[_Claim]:
    """Several documents to their results; those that must be tried alone. Never raises but to end the process."""
    try:
        _require_decided(sealing, claims[0])
        permits = await request_permits(sealing.database, sealing.gate, _use(claims[0]), [one.document_hash for one in claims])
    except (NotPermitted, ApprovalLapsed) as error:
        for claim in claims:
            await _halt(sealing, claim, error.code)
        return []
    except Exception:
        return claims
    made = await asyncio.gather(*(_made(sealing, claim, permit) for claim, permit in zip(claims, permits, strict=True)))
    sealed = [one for one in made if one is not None]
    try:
        await _record(sealing, sealed)
    except Exception:  # one of them: which, each finds out by itself
        await asyncio.gather(*(_settled(sealing, one.claim, _record_alone(sealing, one)) for one in sealed))
    return []


async def _made(sealing: Sealing, claim: _Claim, permit: Permit) -> _Sealed | None:
    """Stamped and stored; None where the document has its result already."""
    made: list[_Sealed] = []

    async def steps() -> None:
        made.append(await _stamped(sealing, claim, permit))

    await _settled(sealing, claim, steps())
    return made[0] if made else None


async def _one(sealing: Sealing, claim: _Claim) -> None:
    """One document to its result. Never raises but to end the process."""
    await _settled(sealing, claim, _steps(sealing, claim))


async def _settled(sealing: Sealing, claim: _Claim, steps: Coroutine[Any, Any, None]) -> None:
    """What the steps raise becomes the document's result, or halts its batch."""
    try:
        await steps
    except DocumentBeingSealed:
        return
    except (NotPermitted, ApprovalLapsed, ApproverDeparted) as error:
        await _halt(sealing, claim, error.code)
    except FujieError as error:
        await (_refuse if error.status < _SERVER_ERROR else _again)(sealing, claim, error.code)
    except Exception as error:  # one document's trouble must not keep the others waiting
        log.exception("not sealed", batch=str(claim.batch_id), position=claim.position)
        await _again(sealing, claim, type(error).__name__)


async def _steps(sealing: Sealing, claim: _Claim) -> None:
    _require_decided(sealing, claim)
    await _record_alone(sealing, await _stamped(sealing, claim, await _permitted(sealing, claim)))


def _require_decided(sealing: Sealing, claim: _Claim) -> None:
    """Raises :class:`ApprovalLapsed`."""
    terms = claim.batch
    lapsed = sealing.clock.now() - terms.decided_at > DECISION_HOLDS or terms.agreed < terms.approvals_needed
    if lapsed and not (terms.unattended and terms.approvals_needed <= 1):
        raise ApprovalLapsed(str(claim.batch_id))


async def _permitted(sealing: Sealing, claim: _Claim) -> Permit:
    terms = claim.batch
    for other, decided in terms.others:  # whoever else agreed to the batch agreed to each of its documents
        async with sealing.database.begin() as session:
            await approve_document(
                session, sealing.clock.now(), other,
                seal_code=terms.seal_code, document_hash=claim.document_hash, requester=terms.requester, decided=decided,
            )  # fmt: skip
    return await request_permit(sealing.database, sealing.gate, _use(claim))


def _use(claim: _Claim) -> UseRequest:
    terms = claim.batch
    alone = terms.unattended and terms.approvals_needed <= 1
    return UseRequest(
        seal_code=terms.seal_code,
        actor=terms.stamper,
        matter_code=terms.matter_code,
        certificate_type=None,
        document_hash=claim.document_hash,
        unattended=terms.unattended,
        document_kind=terms.document_kind,
        requester=None if alone else terms.requester,
        place=terms.place,
    )


async def _stamped(sealing: Sealing, claim: _Claim, permit: Permit) -> _Sealed:
    terms = claim.batch
    base = await sealing.blobs.get(claim.document_hash)
    async with sealing.database.begin() as session:
        material = await load_material(session, sealing.keystore, sealing.gate.now(), permit.seal_code, standing=permit.standing)
    room = await room_for(sealing.levels, terms.level)
    signing_time = sealing.gate.now().replace(microsecond=0)
    plan = plan_of(terms.plan, claim.pages)
    stamped = await sealing.workers.run(stamp_document, permit, base, material, plan, sealing.keystore, signing_time, room)
    made = await raised(sealing.levels, terms.level, stamped)
    return _Sealed(claim, permit, await sealing.blobs.put(made.pdf), made)


async def _record_alone(sealing: Sealing, sealed: _Sealed) -> None:
    """A permit that is not accepted is audited, as everywhere."""
    try:
        await _record(sealing, [sealed])
    except DocumentBeingSealed:
        raise
    except FujieError as error:
        await audit_refused_use(sealing.database, sealing.clock.now(), sealed.permit, sealed.claim.batch.stamper, error)
        raise


async def _record(sealing: Sealing, sealed: Sequence[_Sealed]) -> None:
    """All or nothing. A batch that was cancelled meanwhile takes no further seal."""
    if not sealed:
        return
    async with sealing.database.begin() as session:
        batch_id = sealed[0].claim.batch_id
        status = await session.scalar(select(BatchRow.status).where(BatchRow.id == batch_id).with_for_update(read=True))
        for one in sealed:
            claim, now = one.claim, sealing.gate.now()
            values = {"state": "sealed", "sealed_hash": one.sealed_hash, "sealed_at": now, "permit_id": one.permit.id, "lease_owner": None}
            marked = await session.scalar(
                _mine(claim).values(**values, lease_until=None, failure=None).returning(BatchDocumentRow.position)
            )
            if marked is None or status == BatchStatus.CANCELLED:
                raise DocumentBeingSealed(str(batch_id))
            await consume_permit(session, now, one.permit, claim.document_hash)
            await keep(session, sealing.levels, f"batch:{batch_id}:{claim.position}", one.sealed_hash, one.made)


async def _refuse(sealing: Sealing, claim: _Claim, code: str) -> None:
    async with sealing.database.begin() as session:
        await session.execute(_mine(claim).values(state="refused", failure=code, lease_owner=None, lease_until=None))


async def _again(sealing: Sealing, claim: _Claim, failure: str) -> None:
    """A failure of ours: tried again later, and refused after the last attempt."""
    if claim.attempts >= MOST_ATTEMPTS:
        await _refuse(sealing, claim, SealingFailed.code)
        return
    until = sealing.clock.now() + dt.timedelta(seconds=2.0**claim.attempts)
    async with sealing.database.begin() as session:
        await session.execute(_mine(claim).values(failure=failure, lease_owner=None, lease_until=until))


async def _halt(sealing: Sealing, claim: _Claim, code: str) -> None:
    """The document waits on; the batch is paused once, with the reason."""
    async with sealing.database.begin() as session:
        row = await session.scalar(select(BatchRow).where(BatchRow.id == claim.batch_id).with_for_update())
        unclaimed = {"failure": code, "lease_owner": None, "lease_until": None, "attempts": BatchDocumentRow.attempts - 1}
        await session.execute(_mine(claim).values(**unclaimed))
        if row is not None and row.status == BatchStatus.RUNNING:
            await write_batch_move(session, sealing.clock.now(), row, BatchMove.HALT, SYSTEM, code)


async def _exhausted(sealing: Sealing) -> set[uuid.UUID]:
    """Running batches whose last document was sealed by a process that then died."""
    waiting = select(BatchDocumentRow.position).where(BatchDocumentRow.batch_id == BatchRow.id, BatchDocumentRow.state == "waiting")
    query = select(BatchRow.id).where(BatchRow.status == BatchStatus.RUNNING, ~waiting.exists())
    async with sealing.database.session() as session:
        return set(await session.scalars(query))


async def _finish(sealing: Sealing, batch_id: uuid.UUID) -> None:
    waiting = select(BatchDocumentRow.position).where(BatchDocumentRow.batch_id == batch_id, BatchDocumentRow.state == "waiting")
    async with sealing.database.begin() as session:
        if await session.scalar(waiting.limit(1)) is not None:
            return
        row = await session.scalar(select(BatchRow).where(BatchRow.id == batch_id).with_for_update())
        if row is not None and row.status == BatchStatus.RUNNING:
            await write_batch_move(session, sealing.clock.now(), row, BatchMove.FINISH, SYSTEM)


def _mine(claim: _Claim) -> Any:
    """The document, as long as this run's claim on it stands."""
    return (
        update(BatchDocumentRow)
        .where(BatchDocumentRow.batch_id == claim.batch_id, BatchDocumentRow.position == claim.position)
        .where(BatchDocumentRow.state == "waiting", BatchDocumentRow.lease_owner == claim.lease)
        .execution_options(synchronize_session=False)
    )
