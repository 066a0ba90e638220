"""An approver looks at exactly what will be sealed, and decides.

1. look     the pictures are drawn from the document as stamping will make it, the seal at its places
2. agree    to one digest: this document as it now is, this seal, this matter, these places; what changed since is not approved
3. count    the approvals the seal takes, never the requester's own; the last approver's hand is on the seal
4. stamp    ``seal.document_carrying``; a seal that windows keep is stamped by a clerk at one (``seal.window_stamping``)

Rejecting and cancelling leave the document unsealed for good; the request's history says who and why.
"""

import hmac
import uuid

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import approve_document, require_approver, requirements_of
from seal.departures import left_since
from seal.document_carrying import carry
from seal.document_errors import DocumentBeingSealed, DocumentNotFound, NotSealedYet, PictureChanged
from seal.document_lifecycle import RequestMove, RequestStatus
from seal.document_models import DocumentRow, RequestApprovalRow, RequestedSealRow, SealRequestRow
from seal.document_moves import lease_to, locked, write_move
from seal.document_reads import get_request
from seal.document_stamping import foreseen
from seal.document_values import Sealing, SealRequest, kept_actor, require_reason
from seal.material import load_material
from seal.permits import Place, UseRequest, explain_use
from seal.places import is_left_to_windows
from seal.policy import RuleAnswer
from seal.reach import within_reach
from seal.reads import get_seal
from seal.stamp_plans import plan_of
from seal.upgrades import current_hash

RESOLUTIONS = range(36, 201)
_USUAL_RESOLUTION = 110


async def picture_of(sealing: Sealing, actor: Actor, request_id: uuid.UUID, page: int, dpi: int = _USUAL_RESOLUTION) -> bytes:
    """One page (counted from 0) as PNG: as it will be sealed while it waits, as it was sealed afterwards.

    Raises :class:`DocumentNotFound`, ``DOCUMENT_PAGE_MISSING``, what the plan cannot be.
    """
    pdf = await shown(sealing, actor, request_id)
    return (await sealing.rebuilder.draw(pdf, [page], dpi if dpi in RESOLUTIONS else _USUAL_RESOLUTION))[0]


async def shown(sealing: Sealing, actor: Actor, request_id: uuid.UUID) -> bytes:
    """What the pictures are drawn from. The seal that is due is on them only for those whom its impression may reach."""
    async with sealing.database.begin() as session:
        request = await get_request(session, actor, request_id)
        row = await session.get_one(SealRequestRow, request_id)
        due = request.due
        if due.sealed_hash is not None:
            return await sealing.blobs.get(due.sealed_hash)
        if due.base_hash is None:
            raise DocumentNotFound(str(request_id))
        near = await within_reach(session, actor, await get_seal(session, due.seal_code))
        material = await load_material(session, sealing.keystore, sealing.clock.now(), due.seal_code)
        pages = len((await _document_of(session, row)).pages)
    base = await sealing.blobs.get(due.base_hash)
    if not near or request.status not in (RequestStatus.AWAITING_APPROVAL, RequestStatus.STAMPING):
        return base
    return await sealing.workers.run(foreseen, base, material, plan_of(due.plan, pages), sealing.clock.now())


async def reasons_of(sealing: Sealing, actor: Actor, request: SealRequest, place: Place | None = None) -> tuple[RuleAnswer, ...]:
    """What each rule of the seal's policy says about this approver stamping this document."""
    due = request.due
    use = UseRequest(
        due.seal_code, actor, due.matter_code, None, due.base_hash or b"",
        document_kind=request.document_kind, requester=request.requester, place=place,
    )  # fmt: skip
    async with sealing.database.session() as session:
        return await explain_use(session, sealing.clock.now(), use)


async def approve_request(sealing: Sealing, actor: Actor, request_id: uuid.UUID, digest: str, *, place: Place | None = None) -> SealRequest:
    """Agree to the digest (hexadecimal) that was shown; with the last approval the document is stamped, at the ``place`` of the last.

    Repeated: the same answer. Raises :class:`DocumentNotFound`, :class:`PictureChanged`, :class:`DocumentBeingSealed`,
    ``DOCUMENT_MOVE_NOT_ALLOWED``, the refusals of :func:`seal.approvals.approve_document` and of the seal's policy.
    """
    try:
        lease = await _agree(sealing, actor, request_id, digest.lower(), place)
    except FujieError as error:
        await _refused(sealing, actor, request_id, "approve", error)
        raise
    if lease is not None:
        return await carry(sealing, request_id, lease)
    async with sealing.database.session() as session:
        return await get_request(session, actor, request_id)


async def reject_request(sealing: Sealing, actor: Actor, request_id: uuid.UUID, reason: str) -> SealRequest:
    """An approver of the seal that is due refuses it. Raises ``REJECTION_REASON_REQUIRED`` and what approving raises."""
    try:
        said = require_reason(reason)
        async with sealing.database.begin() as session:
            await get_request(session, actor, request_id)
            row, due = await locked(session, request_id)
            seal = await get_seal(session, due.seal_code)
            require_approver(actor, seal, await requirements_of(session, seal.id))
            await write_move(session, sealing.clock.now(), row, RequestMove.REJECT, actor, said)
            await session.flush()
            return await get_request(session, actor, request_id)
    except FujieError as error:
        await _refused(sealing, actor, request_id, "reject", error)
        raise


async def cancel_request(sealing: Sealing, actor: Actor, request_id: uuid.UUID, reason: str) -> SealRequest:
    """Whoever asked takes it back; what is already sealed stays sealed. Raises :class:`DocumentNotFound` for anybody else."""
    try:
        said = require_reason(reason)
        async with sealing.database.begin() as session:
            row, _ = await locked(session, request_id)
            if row.requester != actor.id:
                raise DocumentNotFound(str(request_id))
            await write_move(session, sealing.clock.now(), row, RequestMove.CANCEL, actor, said)
            await session.flush()
            return await get_request(session, actor, request_id)
    except FujieError as error:
        await _refused(sealing, actor, request_id, "cancel", error)
        raise


async def sealed_file(sealing: Sealing, actor: Actor, request_id: uuid.UUID) -> bytes:
    """The newest version of the sealed document, once every seal is on it; the fetch is audited. Raises :class:`NotSealedYet`."""
    async with sealing.database.begin() as session:
        request = await get_request(session, actor, request_id)
        last = request.seals[-1].sealed_hash
        if request.status is not RequestStatus.SEALED or last is None:
            raise NotSealedYet(request.status)
        last = await current_hash(session, last)
        details: dict[str, audit.JSON] = {"sealed": last.hex()}
        event = Event("seal.document.fetch", f"request:{request_id}", Outcome.DONE, actor, details)
        await audit.record(session, sealing.clock.now(), event)
    return await sealing.blobs.get(last)


async def _agree(sealing: Sealing, actor: Actor, request_id: uuid.UUID, digest: str, place: Place | None) -> uuid.UUID | None:
    """One transaction: the approval, and with the last one the decision. The lease to stamp, if it is decided."""
    async with sealing.database.begin() as session:
        await get_request(session, actor, request_id)
        row, due = await locked(session, request_id)
        if row.status != RequestStatus.AWAITING_APPROVAL and await _agreed_before(session, row, actor, digest):
            if row.status == RequestStatus.STAMPING:
                raise DocumentBeingSealed(str(request_id))
            return None
        now = sealing.clock.now()
        if due.digest is None or due.base_hash is None or not hmac.compare_digest(due.digest.hex().encode(), digest.encode()):
            raise PictureChanged(str(request_id))
        await approve_document(session, now, actor, seal_code=due.seal_code, document_hash=due.base_hash, requester=row.requester)
        new = await _note(session, row, due, actor, now)
        seal = await get_seal(session, due.seal_code)
        if await count_approvals(session, due) < due.approvals_needed or (
            not row.unattended and await is_left_to_windows(session, seal.id, place)
        ):
            if new:
                await write_move(session, now, row, RequestMove.APPROVE, actor)
            return None
        if not row.unattended:
            due.stamper = kept_actor(actor, place)
        lease = lease_to(due, now)
        await write_move(session, now, row, RequestMove.DECIDE, actor)
        return lease


async def _note(session: AsyncSession, row: SealRequestRow, due: RequestedSealRow, actor: Actor, now: object) -> bool:
    values = {
        "request_id": row.id, "position": due.position, "approver": actor.id, "approver_name": actor.name, "digest": due.digest, "at": now,
    }  # fmt: skip
    statement = insert(RequestApprovalRow).values(values).on_conflict_do_nothing().returning(RequestApprovalRow.approver)
    return await session.scalar(statement) is not None


async def count_approvals(session: AsyncSession, due: RequestedSealRow) -> int:
    """How many approvers of the seal that is due agreed to it as it is, and are still there."""
    query = select(func.count()).where(
        RequestApprovalRow.request_id == due.request_id,
        RequestApprovalRow.position == due.position,
        RequestApprovalRow.digest == due.digest,
        ~left_since(RequestApprovalRow.approver, RequestApprovalRow.at),
    )
    return await session.scalar(query) or 0


async def _agreed_before(session: AsyncSession, row: SealRequestRow, actor: Actor, digest: str) -> bool:
    query = select(RequestApprovalRow).where(RequestApprovalRow.request_id == row.id, RequestApprovalRow.approver == actor.id)
    return any(one.digest.hex() == digest for one in await session.scalars(query))


async def _document_of(session: AsyncSession, row: SealRequestRow) -> DocumentRow:
    return await session.get_one(DocumentRow, row.document_id)


async def _refused(sealing: Sealing, actor: Actor, request_id: uuid.UUID, step: str, error: FujieError) -> None:
    event = Event(f"seal.document.{step}", f"request:{request_id}", Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(sealing.database, sealing.clock.now(), event)
