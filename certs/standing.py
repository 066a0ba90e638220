"""Changing a certificate's status: the one place that does it.

1. find    the certificate, and whether the actor may change it
2. check   the table of moves (``certs.lifecycle``)
3. update  on the condition that the old status still stands
4. record  history, audit and outgoing event in the same transaction
"""

import datetime as dt
import uuid
from dataclasses import replace

from sqlalchemy import select, update

from certs.access import may_change
from certs.approvals import IdempotencyKeyReused, is_clean
from certs.lifecycle import MOVES, SUCCESSIONS, Move, MoveNotAllowed, Status, find_move
from certs.models import CertificateRow, EventRow
from certs.outbox import write_event
from certs.privacy import holds_number
from certs.reads import get_certificate, may_issue_for
from certs.records import Certificate, Stage
from certs.stages import Reserved
from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MAX_REASON = 200


class ReasonRequired(InvalidInput):
    """A change of status needs a reason."""

    code = "REASON_REQUIRED"
    public = ("请填写理由（1–200 字，不含证件号码）。", "A reason is required (1–200 characters, without ID numbers).")


async def change_standing(
    database: Database, clock: Clock, actor: Actor, certificate_id: uuid.UUID, move: str, reason: str, key: str | None = None
) -> Certificate:
    """Suspend, resume, revoke or cancel; the certificate as it stands after. The same ``key`` again does nothing again.

    Raises ``NotFound`` for whoever may not change it, ``MoveNotAllowed``, :class:`ReasonRequired`.
    """
    try:
        return await _change(database, clock.now(), actor, certificate_id, move, check_reason(reason), key)
    except FujieError as error:
        event = Event(f"certs.{move}", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(database, clock.now(), event)
        raise


def check_reason(reason: str) -> str:
    """The reason as it is kept; raises :class:`ReasonRequired`."""
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON or not is_clean(text) or holds_number(text):
        raise ReasonRequired
    return text


async def _change(
    database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, name: str, reason: str, key: str | None
) -> Certificate:
    if name in SUCCESSIONS:
        raise MoveNotAllowed("it takes a successor")
    async with database.begin() as session:
        # The row is held first, so that a repeated request finds what the first one did.
        await session.execute(select(CertificateRow.id).where(CertificateRow.id == certificate_id).with_for_update())
        certificate = await changeable(session, actor, certificate_id)
        if key is not None and await _done_before(session, actor, certificate_id, name, key):
            return certificate
        move = find_move(name, certificate.status)
        await apply(session, now, actor, certificate, move, reason, key)
    return replace(certificate, status=move.target)


async def changeable(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID) -> Certificate:
    """The issued certificate, if the actor may change its status, or ``NotFound``."""
    certificate = await get_certificate(session, certificate_id)
    if certificate is None or certificate.stage is not Stage.ISSUED:
        raise NotFound("certificate")
    right = actor.kind is ActorKind.CLIENT and await may_issue_for(session, actor.id, certificate.issuer)
    if not right and not may_change(certificate, actor):
        raise NotFound("certificate")
    return certificate


async def _done_before(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID, name: str, key: str) -> bool:
    """Whether the actor made this change with this key; raises ``IdempotencyKeyReused`` if it was another change."""
    same = select(EventRow.operation).where(
        EventRow.certificate_id == certificate_id, EventRow.actor_id == actor.id, EventRow.request_key == key
    )
    operation = await session.scalar(same)
    if operation is not None and operation not in {move.operation for move in MOVES if move.name == name}:
        raise IdempotencyKeyReused
    return operation is not None


async def apply(
    session: AsyncSession, now: dt.datetime, actor: Actor, certificate: Certificate, move: Move, reason: str, key: str | None = None
) -> None:
    """Make the move in the caller's transaction; raises ``MoveNotAllowed`` when somebody else was faster."""
    changed = await session.scalar(
        update(CertificateRow)
        .where(CertificateRow.id == certificate.id, CertificateRow.status == certificate.status.value)
        .values(status=move.target.value)
        .returning(CertificateRow.id)
    )
    if changed is None:
        raise MoveNotAllowed("changed meanwhile")
    session.add(
        EventRow(
            id=new_id(), certificate_id=certificate.id, at=now, operation=move.operation.value, from_status=certificate.status.value,
            to_status=move.target.value, reason=reason, actor_kind=actor.kind.value, actor_id=actor.id, actor_name=actor.name,
            request_key=key,
        )
    )  # fmt: skip
    payload: dict[str, JSON] = {
        "id": str(certificate.id), "identifier": certificate.identifier, "status": move.target.value, "move": move.name,
    }  # fmt: skip
    write_event(session, now, "certificate.status", certificate.id, payload)
    details: dict[str, JSON] = {"from": certificate.status.value, "to": move.target.value, "reason": audit.digest(reason)}
    await audit.record(session, now, Event(f"certs.{move.name}", f"certificate:{certificate.id}", audit.Outcome.DONE, actor, details))


async def end_predecessor(session: AsyncSession, now: dt.datetime, actor: Actor, reserved: Reserved) -> None:
    """Where the new certificate succeeds another, that one ends now; raises ``MoveNotAllowed`` when it already has."""
    successor = reserved.certificate
    if successor.predecessor is None or reserved.move is None:
        return
    same = select(CertificateRow.id).where(CertificateRow.identifier == successor.predecessor, ~CertificateRow.duplicate)
    found = await session.scalar(same)
    predecessor = await get_certificate(session, found) if found else None
    if predecessor is None:
        raise MoveNotAllowed("the predecessor is gone")
    await apply(session, now, actor, predecessor, find_move(reserved.move, predecessor.status), reserved.reason)
    await session.execute(update(CertificateRow).where(CertificateRow.id == predecessor.id).values(successor=successor.identifier))


__all__ = ["ReasonRequired", "Status", "apply", "change_standing", "check_reason", "end_predecessor"]
