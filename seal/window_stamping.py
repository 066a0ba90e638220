"""A seal that a window keeps, on a document: its approvers agree wherever they are, a clerk at the window stamps.

1. see      the clerk is posted to a window that keeps the seal that is due
2. agreed   as many approvers of the seal's organisation as it takes agreed to exactly this digest; the clerk is none of them
3. decide   the clerk's hand is on the seal, at the window they are at
4. stamp    ``seal.document_carrying``: the policy answers for the clerk, the place, the hour and the window's grant, as for any use

The window's rules are the policy's; nothing here permits what it would not (docs/decisions/0091).
"""

import hmac
import uuid

from keys.base.actor import Actor
from keys.base.errors import Conflict, FujieError
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import ApprovalForbidden
from seal.document_approving import count_approvals
from seal.document_carrying import carry
from seal.document_errors import PictureChanged
from seal.document_lifecycle import RequestMove
from seal.document_models import RequestedSealRow
from seal.document_moves import lease_to, locked, write_move
from seal.document_reads import get_request
from seal.document_values import Sealing, SealRequest, kept_actor
from seal.places import kept_for
from seal.policy_facts import Place


class NotAgreedYet(Conflict):
    """The window stamps what the seal's approvers agreed to, and nothing before."""

    code = "DOCUMENT_NOT_AGREED"
    public = ("审批人员尚未同意，窗口不能用印。", "Its approvers have not agreed yet, so the window cannot stamp it.")


async def stamp_at_window(sealing: Sealing, actor: Actor, request_id: uuid.UUID, digest: str, place: Place) -> SealRequest:
    """Stamp what was agreed to, at the ``place`` where the clerk is. ``digest``: hexadecimal, as it was shown.

    Raises ``DOCUMENT_NOT_FOUND``, ``SEAL_APPROVAL_FORBIDDEN``, :class:`PictureChanged`, :class:`NotAgreedYet`,
    ``DOCUMENT_MOVE_NOT_ALLOWED`` and what :func:`seal.document_carrying.carry` raises.
    """
    try:
        lease = await _decided(sealing, actor, request_id, digest.lower(), place)
    except FujieError as error:
        event = Event("seal.document.stamp_at_window", f"request:{request_id}", Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(sealing.database, sealing.clock.now(), event)
        raise
    return await carry(sealing, request_id, lease)


async def _decided(sealing: Sealing, actor: Actor, request_id: uuid.UUID, digest: str, place: Place) -> uuid.UUID:
    async with sealing.database.begin() as session:
        await get_request(session, actor, request_id)
        row, due = await locked(session, request_id)
        if due.seal_code not in await kept_for(session, actor):
            raise ApprovalForbidden(f"{actor.id} works at no window that keeps seal {due.seal_code}")
        _require_shown(due, digest)
        if await count_approvals(session, due) < due.approvals_needed:
            raise NotAgreedYet(str(request_id))
        now = sealing.clock.now()
        due.stamper = kept_actor(actor, place)
        lease = lease_to(due, now)
        await write_move(session, now, row, RequestMove.DECIDE, actor)
        return lease


def _require_shown(due: RequestedSealRow, digest: str) -> None:
    if due.digest is None or not hmac.compare_digest(due.digest.hex().encode(), digest.encode()):
        raise PictureChanged(str(due.request_id))
