"""Uploads that wait: how much of them one person and one organisation may hold, and how long what nobody asks to seal is kept.

1. a quota counts what *waits*: uploaded, and not yet settled                          (:func:`require_room`)
2. settled is what was asked for and has no open request or batch: sealed, or refused  (:func:`settle`)
   Its file stays: a sealed document's is part of the sealed one, a refused one's shows what was refused.
3. an upload that nobody asked to seal within the days of the limits is discarded; its file goes when nothing else names it
   (``certs.orphans``). It can be uploaded again.                                      (:func:`discard`)
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Update, and_, delete, exists, func, select, text, update
from sqlalchemy.sql.dml import ReturningDelete

from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.document_errors import DocumentNotFound, UploadQuotaExceeded
from seal.document_lifecycle import BatchStatus, RequestStatus
from seal.document_models import BatchDocumentRow, BatchRow, DocumentRow, SealRequestRow
from seal.document_values import UploadLimits

_OPEN_REQUESTS = (RequestStatus.AWAITING_APPROVAL, RequestStatus.STAMPING)
_ENDED_BATCHES = (BatchStatus.DONE, BatchStatus.REJECTED, BatchStatus.CANCELLED)
_AT_ONCE = 500


async def keep_for(session: AsyncSession, documents: Sequence[uuid.UUID]) -> None:
    """Until the transaction ends none of them is discarded. Raises :class:`DocumentNotFound` where one was this moment."""
    for start in range(0, len(documents), _AT_ONCE):
        part = documents[start : start + _AT_ONCE]
        held = select(DocumentRow.id).where(DocumentRow.id.in_(part)).order_by(DocumentRow.id).with_for_update(read=True, key_share=True)
        gone = set(part) - set(await session.scalars(held))
        if gone:
            raise DocumentNotFound(str(min(gone)))


async def hold(session: AsyncSession, organisation: str) -> None:
    """Until the transaction ends nobody else of the organisation counts: two uploads at once do not both take the last room."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('seal.uploads/' || :of, 0))"), {"of": organisation})


async def require_room(session: AsyncSession, actor: Actor, organisation: str, limits: UploadLimits, more: int = 0) -> None:
    """Raises :class:`UploadQuotaExceeded` where what waits, and ``more`` octets, are more than the limits."""
    octets = func.coalesce(func.sum(DocumentRow.octets), 0)
    own = func.coalesce(func.sum(DocumentRow.octets).filter(DocumentRow.uploader == actor.id), 0)
    waiting = select(octets, own).where(DocumentRow.organisation == organisation, DocumentRow.settled_at.is_(None))
    of_all, of_person = (await session.execute(waiting)).one()
    for held, limit, whose in ((of_person, limits.person, "person"), (of_all, limits.organisation, "organisation")):
        if held + more > limit:
            raise UploadQuotaExceeded(f"{held} octets of the {whose} wait", limit=limit, of=whose)


async def sweep_uploads(database: Database, clock: Clock, limits: UploadLimits) -> int:
    """Settle what ended, discard what nobody asked for; how many were discarded. Done by whoever leads."""
    now = clock.now()
    async with database.begin() as session:
        await session.execute(settle(now))
    async with database.begin() as session:
        gone = (await session.scalars(discard(now - dt.timedelta(days=limits.days)))).all()
        if gone:
            event = Event("seal.document.discard", "documents", Outcome.DONE, SYSTEM, {"documents": [str(one) for one in gone]})
            await audit.record(session, now, event)
    return len(gone)


def settle(now: dt.datetime) -> Update:
    """What was asked for and has nothing open any more."""
    asked_for = _asked() | _batched()
    still_open = exists().where(SealRequestRow.document_id == DocumentRow.id, SealRequestRow.status.in_(_OPEN_REQUESTS)) | exists().where(
        BatchDocumentRow.document_id == DocumentRow.id,
        BatchDocumentRow.state == "waiting",
        BatchRow.id == BatchDocumentRow.batch_id,
        BatchRow.status.not_in(_ENDED_BATCHES),
    )
    return update(DocumentRow).where(DocumentRow.settled_at.is_(None), asked_for, ~still_open).values(settled_at=now)


def discard(before: dt.datetime) -> ReturningDelete[tuple[uuid.UUID]]:
    """Old uploads that no request and no batch names. One that is being asked for right now is locked and left."""
    old = and_(DocumentRow.settled_at.is_(None), DocumentRow.uploaded_at < before, ~_asked(), ~_batched())
    some = select(DocumentRow.id).where(old).limit(_AT_ONCE).with_for_update(skip_locked=True)
    return delete(DocumentRow).where(DocumentRow.id.in_(some)).returning(DocumentRow.id)


def _asked() -> ColumnElement[bool]:
    return exists().where(SealRequestRow.document_id == DocumentRow.id)


def _batched() -> ColumnElement[bool]:
    return exists().where(BatchDocumentRow.document_id == DocumentRow.id)
