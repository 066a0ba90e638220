"""An approver stamps what waits: the same steps as unattended issuing, from the stored unsealed PDF on.

1. find     the certificate waits, and the approver belongs to its issuer
2. compare  the document is the one the approver has seen
3. claim    one run at a time
4. permit   the policy answers for this person and this document
5. stamp    in a worker, then stored durably
6. record   transaction 2, as in ``certs.recording``
"""

import uuid
from dataclasses import dataclass

from certs.approvals import DocumentChanged, IssuingInProgress, NotAwaitingStamp, Outcome, OutcomeStatus
from certs.leases import claim, kept, release
from certs.models import IssuingRow
from certs.reads import get_certificate
from certs.recording import record_issued, void
from certs.records import Certificate, Stage
from certs.reservation import load_reserved
from certs.sealing import attended_use, permit, stamp_and_store
from certs.stages import Issuing, Rendered, Reserved
from certs.standing import check_reason
from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import Conflict, FujieError, NotFound
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.approvals import approve_document
from seal.changes import refusals_audited
from seal.permits import Place, UseRequest
from seal.placement import Placement
from seal.places import kept_for, place_of

_STAFF = frozenset({Role.APPROVER, Role.SEAL_KEEPER, Role.WINDOW_CLERK})


class Declined(Conflict):
    """An approver sent the certificate back."""

    code = "DECLINED_BY_APPROVER"
    public = ("审批人已退回该证照。", "The approver sent this certificate back.")


@dataclass(frozen=True, slots=True)
class AwaitingDocument:
    """What the approver sees: the unsealed PDF and its SHA-256 in hexadecimal, which the stamp must name again; and the use it is."""

    certificate: Certificate
    pdf: bytes
    document_hash: str
    seal_place: Placement
    use: UseRequest


async def awaiting_document(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, *, address: str | None = None) -> AwaitingDocument:
    """The document that waits. Raises ``NotAwaitingStamp``, and ``NotFound`` for anybody but the issuer's staff and the clerks of a
    window that keeps the seal."""
    certificate, row = await _find(issuing, actor, certificate_id)
    if row.stage != Stage.AWAITING_STAMP or row.unsealed_hash is None:
        raise NotAwaitingStamp
    async with issuing.database.session() as session:
        reserved = await load_reserved(session, certificate_id, uuid.UUID(int=0))
    place = await _place_of(issuing, reserved, actor, address)
    use = attended_use(reserved, actor, row.unsealed_hash, place)
    return AwaitingDocument(certificate, await issuing.blobs.get(row.unsealed_hash), row.unsealed_hash.hex(), _place(row), use)


async def stamp_awaiting(
    issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, document_hash: str, *, address: str | None = None
) -> Outcome:
    """Stamp the document with that hash (SHA-256, hexadecimal). Repeated after it was stamped: the same answer.

    Raises ``NotFound``, ``NotAwaitingStamp``, ``DocumentChanged``, ``IssuingInProgress`` and the policy's ``NotPermitted``.
    The certificate goes on waiting after a refusal.
    """
    try:
        return await _stamp(issuing, actor, certificate_id, document_hash.lower(), address)
    except FujieError as error:
        event = Event("certs.stamp", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(issuing.database, issuing.clock.now(), event)
        raise


async def agree_awaiting(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, document_hash: str) -> None:
    """Agree that it is sealed, and leave the seal to another hand: a second approver's, or a clerk's at the window that keeps it.

    Raises ``NotFound``, ``NotAwaitingStamp``, ``DocumentChanged``, ``SEAL_APPROVAL_FORBIDDEN``, ``REQUESTER_APPROVES``.
    """
    subject = f"certificate:{certificate_id}"
    async with refusals_audited(issuing.database, issuing.clock, "certs.agree", subject, actor):
        shown = await awaiting_document(issuing, actor, certificate_id)
        if shown.document_hash != document_hash.lower():
            raise DocumentChanged
        use, now = shown.use, issuing.clock.now()
        async with issuing.database.begin() as session:
            await approve_document(
                session, now, actor, seal_code=use.seal_code, document_hash=use.document_hash, requester=use.requester or ""
            )
            await audit.record(session, now, Event("certs.agree", subject, audit.Outcome.DONE, actor))


async def decline_awaiting(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, reason: str) -> None:
    """Send it back: the certificate is void, its number stays taken, the approval may come again.

    The reason stands in the outgoing event, for the business system; the audit log keeps its digest. Raises ``ReasonRequired``,
    ``NotFound``, ``NotAwaitingStamp``, ``IssuingInProgress``.
    """
    try:
        await _decline(issuing, actor, certificate_id, check_reason(reason))
    except FujieError as error:
        event = Event("certs.decline", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(issuing.database, issuing.clock.now(), event)
        raise


async def _decline(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, reason: str) -> None:
    certificate, row = await _find(issuing, actor, certificate_id)
    if row.stage != Stage.AWAITING_STAMP or Role.APPROVER not in actor.roles:
        raise NotAwaitingStamp
    reserved = await _claimed(issuing, certificate.id)
    details: dict[str, JSON] = {"reason": audit.digest(reason)}
    await void(issuing, reserved, Declined(), actor, Stage.AWAITING_STAMP, reason)
    event = Event("certs.decline", f"certificate:{certificate.id}", audit.Outcome.DONE, actor, details)
    await audit.record_alone(issuing.database, issuing.clock.now(), event)


async def _stamp(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, document_hash: str, address: str | None) -> Outcome:
    certificate, row = await _find(issuing, actor, certificate_id)
    if row.unsealed_hash is None or row.stage not in (Stage.AWAITING_STAMP, Stage.ISSUED):
        raise NotAwaitingStamp
    if row.unsealed_hash.hex() != document_hash:
        raise DocumentChanged
    if row.stage == Stage.ISSUED:
        return Outcome(certificate.id, certificate.identifier, certificate.verification_code or "", OutcomeStatus.ISSUED)
    reserved = await _claimed(issuing, certificate_id)
    try:
        async with kept(issuing, certificate_id, reserved.lease):
            rendered = Rendered(reserved, await issuing.blobs.get(row.unsealed_hash), row.unsealed_hash, _place(row))
            place = await _place_of(issuing, reserved, actor, address)
            permitted = await permit(issuing, rendered, attended_use(reserved, actor, rendered.document_hash, place))
            stamped = await stamp_and_store(issuing, permitted)
            return await record_issued(issuing, stamped, Stage.AWAITING_STAMP)
    except Exception as error:
        await release(issuing, certificate_id, reserved.lease, error.code if isinstance(error, FujieError) else type(error).__name__)
        raise


async def _find(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID) -> tuple[Certificate, IssuingRow]:
    async with issuing.database.session() as session:
        certificate = await get_certificate(session, certificate_id)
        row = await session.get(IssuingRow, certificate_id)
        kept = await kept_for(session, actor) if certificate is not None and not _of_the_issuer(actor, certificate) else ()
    if certificate is None or row is None or not (_of_the_issuer(actor, certificate) or certificate.seal_code in kept):
        raise NotFound("certificate")
    return certificate, row


async def _place_of(issuing: Issuing, reserved: Reserved, actor: Actor, address: str | None) -> Place:
    async with issuing.database.session() as session:
        return await place_of(session, actor, reserved.window, address)


def _of_the_issuer(actor: Actor, certificate: Certificate) -> bool:
    return actor.kind is ActorKind.PERSON and bool(actor.roles & _STAFF) and actor.organisation == certificate.issuer


async def _claimed(issuing: Issuing, certificate_id: uuid.UUID) -> Reserved:
    async with issuing.database.begin() as session:
        lease = await claim(session, issuing.clock.now(), certificate_id, Stage.AWAITING_STAMP)
        if lease is None:
            raise IssuingInProgress
        return await load_reserved(session, certificate_id, lease)


def _place(row: IssuingRow) -> Placement:
    values = row.seal_place or {}
    return Placement(int(values["page"]), float(values["x_mm"]), float(values["y_mm"]))
