"""Approval → certificate: the journey of ``POST /api/v1/approvals``.

1. recall   a key that came before gets the answer it got before
2. admit    type, fields, validity, issuer, matter, seal, holders; a refusal is audited and leaves nothing
3. reserve  transaction 1: number, record, key and audit intent
4. render   the unsealed PDF, in a worker
5. permit   the seal's policy answers for this one document; without an unattended grant it is parked for an approver
6. stamp    in a worker, then stored durably under its hash
7. record   transaction 2: permit spent, certificate issued, history, audit, outgoing event, answer

Killed between any two steps it leaves nothing, or a reserved certificate that :func:`sweep` finishes or voids. An approver's
stamp is :func:`stamp_awaiting` in ``certs.awaiting``.
"""

import asyncio
import time
import uuid

from certs.admission import Admitted, admit
from certs.approvals import Approval, IssuingInProgress, IssuingVoided, Outcome
from certs.awaiting import AwaitingDocument, agree_awaiting, awaiting_document, decline_awaiting, stamp_awaiting
from certs.carrying import carry_through
from certs.idempotency import find_answer, find_key, request_digest, require_key
from certs.reservation import reserve
from certs.stages import Issuing
from certs.sweeping import sweep, take_over
from certs.together import Seat
from keys.base.actor import Actor
from keys.base.errors import FujieError
from keys.evidence import audit
from keys.evidence.audit import Event

WAIT_SECONDS = 20.0
_POLL_SECONDS = (0.02, 0.25)


async def approve(
    issuing: Issuing,
    actor: Actor,
    approval: Approval,
    idempotency_key: str | None,
    *,
    address: str | None = None,
    seat: Seat | None = None,
) -> Outcome:
    """Issue a certificate, or park it for an approver; equal requests with one key get one answer. ``address``: where it comes from;
    ``seat``: among others that are issued beside it.

    Raises what :func:`certs.admission.admit` raises, ``IdempotencyKeyRequired``, ``IdempotencyKeyReused``, the renderer's
    and the seal policy's refusals, and ``IssuingInProgress`` when the first request takes too long to be waited for.
    """
    try:
        return await _approve(issuing, actor, approval, require_key(idempotency_key), address, seat)
    except FujieError as error:
        await _audit_refusal(issuing, actor, approval, error)
        raise


async def _approve(issuing: Issuing, actor: Actor, approval: Approval, key: str, address: str | None, seat: Seat | None) -> Outcome:
    request = request_digest(issuing.personal, approval)
    earlier = await _recall(issuing, actor, key, request)
    if earlier is not None:
        return await _settle(issuing, earlier)
    admitted = await admit(issuing, actor, approval, seat.table.known(approval) if seat else None)
    if seat:
        seat.table.remember(approval, admitted.circumstances)
    return await _issue(issuing, actor, admitted, key, request, address, seat)


async def _issue(
    issuing: Issuing, actor: Actor, admitted: Admitted, key: str, request: bytes, address: str | None, seat: Seat | None
) -> Outcome:
    reserved = await reserve(issuing, actor, admitted, key, request, address)
    if reserved is None:
        earlier = await _recall(issuing, actor, key, request)
        if earlier is None:
            raise IssuingVoided
        return await _settle(issuing, earlier)
    try:
        return await carry_through(issuing, reserved, seat)
    except IssuingInProgress:
        return await _settle(issuing, reserved.certificate.id)


async def _recall(issuing: Issuing, actor: Actor, key: str, request: bytes) -> uuid.UUID | None:
    async with issuing.database.session() as session:
        return await find_key(session, actor, key, request)


async def _settle(issuing: Issuing, certificate_id: uuid.UUID) -> Outcome:
    """The answer of the request that came first: wait for it, and take its work over should it have died."""
    deadline, pause = time.monotonic() + WAIT_SECONDS, _POLL_SECONDS[0]
    while time.monotonic() < deadline:
        async with issuing.database.session() as session:
            stands, answer = await find_answer(session, certificate_id)
        if answer is not None:
            return answer
        if not stands:
            raise IssuingVoided
        taken = await take_over(issuing, certificate_id)
        if taken is not None:
            return await carry_through(issuing, taken[0])
        await asyncio.sleep(pause)
        pause = min(pause * 2, _POLL_SECONDS[1])
    raise IssuingInProgress(retry_after=5)


async def _audit_refusal(issuing: Issuing, actor: Actor, approval: Approval, error: FujieError) -> None:
    """A refusal outlives the rollback it leads to.

    The approval's number enters as a keyed digest: it may be an ID number in the wrong place, and those are few enough to try.
    """
    outcome = audit.Outcome.REFUSED if error.status < 500 else audit.Outcome.FAILED
    details: dict[str, audit.JSON] = {"approval": issuing.personal.subject("certs.approval_number", approval.approval_number).hex()}
    event = Event("certs.issue.approve", "approval", outcome, actor, details, error.code)
    await audit.record_alone(issuing.database, issuing.clock.now(), event)


__all__ = [
    "Approval", "AwaitingDocument", "Issuing", "Outcome", "agree_awaiting", "approve", "awaiting_document", "decline_awaiting",
    "stamp_awaiting", "sweep",
]  # fmt: skip
