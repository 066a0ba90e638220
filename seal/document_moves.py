"""Moving a request: status, history and audit entry in the caller's transaction, which holds the request's row."""

import datetime as dt
import uuid

from sqlalchemy import select

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.document_errors import DocumentNotFound
from seal.document_lifecycle import RequestMove, request_target
from seal.document_models import RequestedSealRow, RequestMoveRow, SealRequestRow
from seal.stamp_plans import digest_of

LEASE = dt.timedelta(seconds=120)
"""How long one run may take to stamp; whoever comes later takes over."""

_BEGINNINGS = frozenset({RequestMove.SUBMIT, RequestMove.SUBMIT_UNATTENDED})


async def locked(session: AsyncSession, request_id: uuid.UUID) -> tuple[SealRequestRow, RequestedSealRow]:
    """The request and the seal that is due, held until the transaction ends. Raises :class:`DocumentNotFound`."""
    row = await session.scalar(select(SealRequestRow).where(SealRequestRow.id == request_id).with_for_update())
    if row is None:
        raise DocumentNotFound(str(request_id))
    return row, await session.get_one(RequestedSealRow, (row.id, row.position), with_for_update=True)


async def begin(
    session: AsyncSession, now: dt.datetime, actor: Actor, row: SealRequestRow, seal: RequestedSealRow, base_hash: bytes
) -> uuid.UUID | None:
    """A seal's turn has come: its digest is fixed. The lease of a run, where a client uses it unattended and nobody need approve."""
    seal.base_hash, seal.digest = base_hash, approval_digest(row, seal, base_hash)
    at_once = row.unattended and seal.approvals_needed <= 1
    lease = lease_to(seal, now) if at_once else None
    row.position = seal.position
    if seal.position == 0:
        move = RequestMove.SUBMIT_UNATTENDED if at_once else RequestMove.SUBMIT
    else:
        move = RequestMove.CONTINUE if at_once else RequestMove.NEXT
    await write_move(session, now, row, move, actor)
    return lease


def approval_digest(row: SealRequestRow, seal: RequestedSealRow, base_hash: bytes) -> bytes:
    """What an approver agrees to: this request, this document as it now is, this seal, this matter, these places."""
    return digest_of(
        request=str(row.id), position=seal.position, document=base_hash, seal=seal.seal_code, matter=seal.matter_code,
        document_kind=row.document_kind, plan=seal.plan,
    )  # fmt: skip


def lease_to(seal: RequestedSealRow, now: dt.datetime) -> uuid.UUID:
    """A run's right to stamp, from now on."""
    lease = uuid.uuid4()
    seal.lease_owner, seal.lease_until, seal.decided_at, seal.attempts, seal.failure = lease, now + LEASE, now, 1, None
    return lease


async def write_move(
    session: AsyncSession, now: dt.datetime, row: SealRequestRow, move: RequestMove, actor: Actor, reason: str = ""
) -> None:
    """Raises ``DOCUMENT_MOVE_NOT_ALLOWED``."""
    old = None if move in _BEGINNINGS else row.status
    new = request_target(old, move)
    at = max(now, row.status_since)
    row.status, row.status_since = new, at
    session.add(
        RequestMoveRow(
            request_id=row.id, position=row.position, move=move, old=old, new=new, at=at, actor_kind=actor.kind, actor_id=actor.id,
            reason=reason,
        )
    )  # fmt: skip
    details: dict[str, audit.JSON] = {"from": old, "to": new, "position": row.position, "reason": audit.digest(reason)}
    await audit.record(session, at, Event(f"seal.document.{move}", f"request:{row.id}", Outcome.DONE, actor, details))
