"""Changing a certificate's status: the one place that does it (docs/life.md).

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
from certs.approvals import IdempotencyKeyReused
from certs.grounds import Grounds, ReasonRequired, check_reason, grounds_of
from certs.life_models import TransferRow
from certs.lifecycle import MOVES, PLAIN_MOVES, TRANSFER_IN, Move, MoveNotAllowed, Status, find_move
from certs.models import CertificateRow, EventRow
from certs.outbox import write_event
from certs.reads import get_certificate, may_issue_for
from certs.reason_keeping import settle
from certs.records import Certificate, Stage
from certs.stages import Reserved
from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event


async def change_standing(
    database: Database, clock: Clock, actor: Actor, certificate_id: uuid.UUID, move: str, why: str | Grounds, key: str | None = None
) -> Certificate:
    """Suspend, resume, revoke, withdraw or cancel; the certificate as it stands after. The same ``key`` again does nothing again.

    ``why``: the reason in words, or with its code and legal basis. Raises ``NotFound`` for whoever may not change it,
    ``MoveNotAllowed``, ``ReasonRequired``, ``ReasonCodeUnknown``, ``LegalBasisMalformed``.
    """
    try:
        return await _change(database, clock.now(), actor, certificate_id, move, grounds_of(why), key)
    except FujieError as error:
        event = Event(f"certs.{move}", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(database, clock.now(), event)
        raise


async def _change(
    database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, name: str, grounds: Grounds, key: str | None
) -> Certificate:
    if name not in PLAIN_MOVES:
        raise MoveNotAllowed("it has a journey of its own")
    async with database.begin() as session:
        # The row is held first, so that a repeated request finds what the first one did.
        await session.execute(select(CertificateRow.id).where(CertificateRow.id == certificate_id).with_for_update())
        certificate = await changeable(session, actor, certificate_id)
        if key is not None and await done_before(session, actor, certificate_id, name, key):
            return certificate
        return await apply(session, now, actor, certificate, find_move(name, certificate.status), grounds, key)


async def changeable(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID) -> Certificate:
    """The issued certificate, if the actor may change its status, or ``NotFound``."""
    certificate = await get_certificate(session, certificate_id)
    if certificate is None or certificate.stage is not Stage.ISSUED:
        raise NotFound("certificate")
    right = actor.kind is ActorKind.CLIENT and await may_issue_for(session, actor.id, certificate.issuer)
    if not right and not may_change(certificate, actor):
        raise NotFound("certificate")
    return certificate


async def done_before(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID, name: str, key: str) -> bool:
    """Whether the actor made this change with this key; raises ``IdempotencyKeyReused`` if it was another change."""
    same = select(EventRow.operation, EventRow.to_status).where(
        EventRow.certificate_id == certificate_id, EventRow.actor_id == actor.id, EventRow.request_key == key
    )
    done = (await session.execute(same)).one_or_none()
    if done is not None and tuple(done) not in {(move.operation, move.target) for move in MOVES if move.name == name}:
        raise IdempotencyKeyReused
    return done is not None


async def apply(
    session: AsyncSession,
    now: dt.datetime,
    actor: Actor,
    certificate: Certificate,
    move: Move,
    grounds: Grounds,
    key: str | None = None,
    *,
    successor: str | None = None,
) -> Certificate:
    """Make the move in the caller's transaction; the certificate as it stands after. Who may is the caller's question.

    ``successor``: the identifier of what takes its place. Raises ``MoveNotAllowed`` when somebody else was faster or it has a
    successor already, and what :func:`certs.grounds.settled` refuses.
    """
    why = await settle(session, move.name, grounds)
    changed = await session.scalar(
        update(CertificateRow)
        .where(CertificateRow.id == certificate.id, CertificateRow.status == certificate.status.value, CertificateRow.successor.is_(None))
        .values(status=move.target.value, successor=successor)
        .returning(CertificateRow.id)
    )
    if changed is None:
        raise MoveNotAllowed("changed meanwhile, or replaced")
    session.add(
        EventRow(
            id=new_id(), certificate_id=certificate.id, at=now, operation=move.operation.value, from_status=certificate.status.value,
            to_status=move.target.value, reason=why.reason, reason_code=why.code, legal_basis=why.legal_basis,
            actor_kind=actor.kind.value, actor_id=actor.id, actor_name=actor.name, request_key=key,
        )
    )  # fmt: skip
    payload: dict[str, JSON] = {
        "id": str(certificate.id), "identifier": certificate.identifier, "status": move.target.value, "move": move.name,
        "reason_code": why.code, "successor": successor,
    }  # fmt: skip
    write_event(session, now, "certificate.status", certificate.id, payload)
    details: dict[str, JSON] = {
        "from": certificate.status.value, "to": move.target.value, "reason": audit.digest(why.reason), "reason_code": why.code,
    }  # fmt: skip
    await audit.record(session, now, Event(f"certs.{move.name}", f"certificate:{certificate.id}", audit.Outcome.DONE, actor, details))
    return replace(certificate, status=move.target, successor=successor)


async def end_with_successor(
    session: AsyncSession,
    now: dt.datetime,
    actor: Actor,
    certificate_id: uuid.UUID,
    successor: str,
    why: str | Grounds,
    *,
    move: str = "cancel",
) -> Certificate:
    """End a certificate in the caller's transaction because another (identifier ``successor``) takes its place; as it stands after.

    The row is held first. Raises ``NotFound``, ``MoveNotAllowed`` where its status or an earlier successor does not allow it.
    """
    await session.execute(select(CertificateRow.id).where(CertificateRow.id == certificate_id).with_for_update())
    found = await get_certificate(session, certificate_id)
    if found is None or found.stage is not Stage.ISSUED:
        raise NotFound("certificate")
    return await apply(session, now, actor, found, find_move(move, found.status), grounds_of(why), successor=successor)


async def end_predecessor(session: AsyncSession, now: dt.datetime, actor: Actor, reserved: Reserved) -> None:
    """Where the new certificate succeeds another, that one ends now; raises ``MoveNotAllowed`` when it already has."""
    certificate = reserved.certificate
    if certificate.predecessor is None or reserved.move is None:
        return
    same = select(CertificateRow.id).where(CertificateRow.identifier == certificate.predecessor, ~CertificateRow.duplicate)
    found = await session.scalar(same)
    if found is None:
        raise MoveNotAllowed("the predecessor is gone")
    grounds = Grounds(reserved.reason, reserved.reason_code, reserved.legal_basis)
    await end_with_successor(session, now, actor, found, certificate.identifier, grounds, move=reserved.move)
    if reserved.move == TRANSFER_IN:
        closed = {"state": "received", "closed_at": now, "successor": certificate.identifier}
        await session.execute(update(TransferRow).where(TransferRow.certificate_id == found, TransferRow.state == "open").values(**closed))


__all__ = [
    "Grounds", "ReasonRequired", "Status", "apply", "change_standing", "changeable", "check_reason", "done_before", "end_predecessor",
    "end_with_successor",
]  # fmt: skip
