"""Many documents under one permission: asked for, approved, paused, resumed, cancelled, looked at.

1. ask      one seal, one matter, one plan, 1 to 10,000 uploads; the places are tried out on the first document
2. approve  one digest over every document, the plan, the seal and the matter, unless a client may use the seal unattended
3. work     ``seal.batch_work``: any number of machines, each document its own permit, its own result
4. pause, resume, cancel: at once for what nobody has begun; what is being stamped is finished or, after a cancel, dropped

The rows are the truth: whatever dies, the next round goes on from them.
"""

import datetime as dt
import hmac
import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import RequesterApproves, require_approver, requirements_of
from seal.batch_values import DECISION_HOLDS, MOST_DOCUMENTS, Batch, BatchDocument, BatchOrder
from seal.departures import require_present
from seal.document_errors import BatchEmpty, DocumentNotFound, NotSealedYet, PictureChanged, RequestForbidden, RequestKeyReused
from seal.document_levels import Level
from seal.document_lifecycle import BatchMove, BatchStatus, batch_target
from seal.document_models import BatchDocumentRow, BatchRow, DocumentRow
from seal.document_reads import document_view
from seal.document_requests import planned, try_out
from seal.document_values import (
    LONGEST_TITLE,
    STAFF,
    Approval,
    Document,
    Sealing,
    SealingOrder,
    SealLine,
    kept_actor,
    require_key,
    require_reason,
    require_sight,
    require_staff,
)
from seal.legible import require_legible
from seal.material import load_material
from seal.policy_facts import Place
from seal.reads import Seal, get_seal
from seal.stamp_plans import digest_of
from seal.upgrades import current_hash
from seal.upload_keeping import keep_for

PAGE = 100
_AT_ONCE = 2_000


async def request_batch(sealing: Sealing, actor: Actor, order: BatchOrder, key: str | None, *, place: Place | None = None) -> Batch:
    """Ask for a batch. The same key again: the same batch.

    Raises what ``seal.document_requests.request_sealing`` raises, and ``BATCH_INVALID``.
    """
    try:
        return await _request(sealing, actor, order, require_key(key), place)
    except FujieError as error:
        await _refused(sealing, actor, "batch", "request", error)
        raise


async def _request(sealing: Sealing, actor: Actor, order: BatchOrder, key: str, place: Place | None) -> Batch:
    organisation = require_staff(actor)
    require_legible(title=order.title)
    if order.unattended and actor.kind is not ActorKind.CLIENT:
        raise RequestForbidden("only a client uses a seal unattended")
    if not 1 <= len(order.documents) <= MOST_DOCUMENTS or len(set(order.documents)) != len(order.documents):
        raise BatchEmpty(f"{len(order.documents)} documents")
    digest = digest_of(order=asdict(order) | {"documents": [str(one) for one in order.documents]})
    earlier = await _recall(sealing, actor, key, digest)
    if earlier is not None:
        return earlier
    async with sealing.database.begin() as session:
        documents = await _documents(session, actor, order.documents)
        material = await load_material(session, sealing.keystore, sealing.clock.now(), order.seal_code)
        seal = await get_seal(session, order.seal_code)
    line = SealLine(order.seal_code, order.matter_code, order.placements)
    single = SealingOrder(
        documents[0].id, order.title, order.document_kind, (line,), order.certification, order.profile, level=order.level
    )  # fmt: skip
    (plan,) = planned(single, documents[0], [material])
    await try_out(sealing, documents[0].document_hash, material, plan, len(documents[0].pages))
    async with sealing.database.begin() as session:
        row = await _write(session, sealing.clock.now(), actor, organisation, order, seal, key, digest, documents, plan, place)
    if row is None:
        taken = await _recall(sealing, actor, key, digest)
        if taken is None:
            raise RequestKeyReused
        return taken
    return await get_batch(sealing, actor, row.id)


async def get_batch(sealing: Sealing, actor: Actor, batch_id: uuid.UUID) -> Batch:
    """For whoever asked and the staff of both organisations. Raises :class:`DocumentNotFound`."""
    async with sealing.database.session() as session:
        row = await session.get(BatchRow, batch_id)
        if row is None:
            raise DocumentNotFound(str(batch_id))
        await _require_sight(session, actor, row)
        return (await _views(session, [row]))[0]


async def list_batches(sealing: Sealing, actor: Actor, *, after: uuid.UUID | None = None, limit: int = 50) -> list[Batch]:
    """The newest first: those of the staff's organisation; who is no staff, a client too, sees their own."""
    concerned = BatchRow.requester == actor.id
    if actor.roles & STAFF:
        concerned = concerned | (BatchRow.organisation == actor.organisation)
    query = select(BatchRow).order_by(BatchRow.id.desc()).limit(limit)
    if actor.kind is not ActorKind.SYSTEM:
        query = query.where(concerned)
    if after is not None:
        query = query.where(BatchRow.id < after)
    async with sealing.database.session() as session:
        return await _views(session, list(await session.scalars(query)))


async def batch_documents(
    sealing: Sealing, actor: Actor, batch_id: uuid.UUID, *, after: int = -1, limit: int = PAGE
) -> list[BatchDocument]:
    """Per-document results in their order. Raises :class:`DocumentNotFound`."""
    await get_batch(sealing, actor, batch_id)
    query = (
        select(BatchDocumentRow, DocumentRow.name)
        .join(DocumentRow, DocumentRow.id == BatchDocumentRow.document_id)
        .where(BatchDocumentRow.batch_id == batch_id, BatchDocumentRow.position > after)
        .order_by(BatchDocumentRow.position)
        .limit(limit)
    )
    async with sealing.database.session() as session:
        return [
            BatchDocument(row.position, row.document_id, name, row.state, row.failure, row.sealed_hash, row.sealed_at)
            for row, name in await session.execute(query)
        ]


async def batch_file(sealing: Sealing, actor: Actor, batch_id: uuid.UUID, position: int) -> bytes:
    """The newest version of one sealed document; the fetch is audited. Raises :class:`DocumentNotFound`, :class:`NotSealedYet`."""
    await get_batch(sealing, actor, batch_id)
    async with sealing.database.begin() as session:
        row = await session.get(BatchDocumentRow, (batch_id, position))
        if row is None:
            raise DocumentNotFound(str(position))
        if row.sealed_hash is None:
            raise NotSealedYet(row.state)
        newest = await current_hash(session, row.sealed_hash)
        details: dict[str, audit.JSON] = {"position": position, "sealed": newest.hex()}
        await audit.record(session, sealing.clock.now(), Event("seal.batch.fetch", f"batch:{batch_id}", Outcome.DONE, actor, details))
    return await sealing.blobs.get(newest)


async def approve_batch(sealing: Sealing, actor: Actor, batch_id: uuid.UUID, manifest: str, *, place: Place | None = None) -> Batch:
    """Agree to every document at once; with the last approval it runs.

    Raises :class:`PictureChanged`, ``SEAL_APPROVAL_FORBIDDEN``, ``REQUESTER_APPROVES``, ``BATCH_MOVE_NOT_ALLOWED``.
    """
    try:
        async with sealing.database.begin() as session:
            row, seal = await _locked(session, actor, batch_id)
            require_approver(actor, seal, await requirements_of(session, seal.id))
            if actor.id == row.requester:
                raise RequesterApproves(str(batch_id))
            if not hmac.compare_digest(row.manifest.hex().encode(), manifest.lower().encode()):
                raise PictureChanged(str(batch_id))
            await _agree(session, sealing.clock.now(), row, actor, place)
    except FujieError as error:
        await _refused(sealing, actor, f"batch:{batch_id}", "approve", error)
        raise
    return await get_batch(sealing, actor, batch_id)


async def move_batch(sealing: Sealing, actor: Actor, batch_id: uuid.UUID, move: BatchMove, reason: str = "") -> Batch:
    """Pause, resume, cancel: whoever asked, or an approver of the seal. Reject: an approver. With a reason, but to resume.

    Raises :class:`DocumentNotFound`, ``SEAL_APPROVAL_FORBIDDEN``, ``REJECTION_REASON_REQUIRED``, ``BATCH_MOVE_NOT_ALLOWED``.
    """
    try:
        said = "" if move is BatchMove.RESUME else require_reason(reason)
        async with sealing.database.begin() as session:
            row, seal = await _locked(session, actor, batch_id)
            own = actor.id == row.requester or actor.kind is ActorKind.SYSTEM
            if move is BatchMove.REJECT or not own:
                require_approver(actor, seal, await requirements_of(session, seal.id))
            await write_batch_move(session, sealing.clock.now(), row, move, actor, said)
    except FujieError as error:
        await _refused(sealing, actor, f"batch:{batch_id}", str(move), error)
        raise
    return await get_batch(sealing, actor, batch_id)


async def write_batch_move(session: AsyncSession, now: dt.datetime, row: BatchRow, move: BatchMove, actor: Actor, reason: str = "") -> None:
    """In the transaction that holds the row. Raises ``BATCH_MOVE_NOT_ALLOWED``."""
    beginning = move in (BatchMove.SUBMIT, BatchMove.SUBMIT_UNATTENDED)
    old = None if beginning else row.status
    row.status, row.status_since, row.reason = batch_target(old, move), max(now, row.status_since), reason
    details: dict[str, audit.JSON] = {"from": old, "to": row.status, "reason": audit.digest(reason), "manifest": row.manifest.hex()}
    await audit.record(session, now, Event(f"seal.batch.{move}", f"batch:{row.id}", Outcome.DONE, actor, details))


async def _agree(session: AsyncSession, now: dt.datetime, row: BatchRow, actor: Actor, place: Place | None) -> None:
    batch_target(row.status, BatchMove.APPROVE)
    await require_present(session, {actor.id: now})
    if row.status == BatchStatus.PAUSED:  # a decision that lapsed is made anew
        row.approvals = [one for one in row.approvals if one["actor"]["id"] != actor.id and not _lapsed(one, now)]
    if all(one["actor"]["id"] != actor.id for one in row.approvals):
        row.approvals = [*row.approvals, {"actor": kept_actor(actor), "at": now.isoformat()}]
        if len(row.approvals) < row.approvals_needed:
            await write_batch_move(session, now, row, BatchMove.APPROVE, actor)
    if len(row.approvals) >= row.approvals_needed:
        if not row.unattended:
            row.stamper = kept_actor(actor, place)
        await write_batch_move(session, now, row, BatchMove.DECIDE, actor)


def _lapsed(approval: dict[str, Any], now: dt.datetime) -> bool:
    return now - dt.datetime.fromisoformat(approval["at"]) > DECISION_HOLDS


async def _documents(session: AsyncSession, actor: Actor, identifiers: tuple[uuid.UUID, ...]) -> list[Document]:
    found: dict[uuid.UUID, DocumentRow] = {}
    for start in range(0, len(identifiers), _AT_ONCE):
        part = identifiers[start : start + _AT_ONCE]
        found |= {row.id: row for row in await session.scalars(select(DocumentRow).where(DocumentRow.id.in_(part)))}
    for identifier in identifiers:
        row = found.get(identifier)
        if row is None:
            raise DocumentNotFound(str(identifier))
        require_sight(actor, [row.organisation], row.uploader)
    return [document_view(found[identifier]) for identifier in identifiers]


async def _write(
    session: AsyncSession, now: dt.datetime, actor: Actor, organisation: str, order: BatchOrder, seal: Seal, key: str, digest: bytes,
    documents: list[Document], plan: dict[str, object], place: Place | None,
) -> BatchRow | None:  # fmt: skip
    await keep_for(session, [one.id for one in documents])
    needed, identifier = (await requirements_of(session, seal.id)).approvals, new_id()
    manifest = digest_of(
        batch=str(identifier), documents=[one.document_hash for one in documents], plan=plan, seal=order.seal_code,
        matter=order.matter_code, document_kind=order.document_kind,
    )  # fmt: skip
    row: BatchRow | None = await session.scalar(
        insert(BatchRow)
        .values(
            id=identifier, organisation=organisation, title=order.title[:LONGEST_TITLE], seal_code=order.seal_code,
            matter_code=order.matter_code, document_kind=order.document_kind, plan=plan, requester_kind=str(actor.kind), requester=actor.id,
            requester_name=actor.name, unattended=order.unattended, approvals_needed=needed, approvals=[],
            stamper=kept_actor(actor, place) if order.unattended else None, manifest=manifest, total=len(documents), idempotency_key=key,
            order_digest=digest, status=BatchStatus.AWAITING_APPROVAL, status_since=now, created_at=now, reason="",
        )
        .on_conflict_do_nothing()
        .returning(BatchRow)
    )  # fmt: skip
    if row is None:
        return None
    rows = [
        {
            "batch_id": identifier, "position": position, "document_id": one.id, "document_hash": one.document_hash, "state": "waiting",
            "attempts": 0,
        }
        for position, one in enumerate(documents)
    ]  # fmt: skip
    for start in range(0, len(rows), _AT_ONCE):
        await session.execute(plain_insert(BatchDocumentRow), rows[start : start + _AT_ONCE])
    at_once = order.unattended and needed <= 1
    await write_batch_move(session, now, row, BatchMove.SUBMIT_UNATTENDED if at_once else BatchMove.SUBMIT, actor)
    return row


async def _recall(sealing: Sealing, actor: Actor, key: str, digest: bytes) -> Batch | None:
    async with sealing.database.session() as session:
        row = await session.scalar(select(BatchRow).where(BatchRow.requester == actor.id, BatchRow.idempotency_key == key))
        if row is None:
            return None
        if row.order_digest != digest:
            raise RequestKeyReused
        return (await _views(session, [row]))[0]


async def _locked(session: AsyncSession, actor: Actor, batch_id: uuid.UUID) -> tuple[BatchRow, Seal]:
    row = await session.scalar(select(BatchRow).where(BatchRow.id == batch_id).with_for_update())
    if row is None:
        raise DocumentNotFound(str(batch_id))
    return row, await _require_sight(session, actor, row)


async def _require_sight(session: AsyncSession, actor: Actor, row: BatchRow) -> Seal:
    seal = await get_seal(session, row.seal_code)
    require_sight(actor, [row.organisation, seal.organisation], row.requester)
    return seal


async def _views(session: AsyncSession, rows: list[BatchRow]) -> list[Batch]:
    query = (
        select(BatchDocumentRow.batch_id, BatchDocumentRow.state, func.count())
        .where(BatchDocumentRow.batch_id.in_([row.id for row in rows]))
        .group_by(BatchDocumentRow.batch_id, BatchDocumentRow.state)
    )
    counts = {(batch, state): number for batch, state, number in await session.execute(query)}
    return [_view(row, counts.get((row.id, "sealed"), 0), counts.get((row.id, "refused"), 0)) for row in rows]


def _view(row: BatchRow, sealed: int, refused: int) -> Batch:
    agreed = tuple(Approval(one["actor"]["id"], one["actor"]["name"], dt.datetime.fromisoformat(one["at"])) for one in row.approvals)
    return Batch(
        id=row.id, organisation=row.organisation, title=row.title, seal_code=row.seal_code, matter_code=row.matter_code,
        document_kind=row.document_kind, requester=row.requester, requester_name=row.requester_name, unattended=row.unattended,
        approvals_needed=row.approvals_needed, approvals=agreed, manifest=row.manifest, status=BatchStatus(row.status),
        status_since=row.status_since, created_at=row.created_at, reason=row.reason, total=row.total, sealed=sealed, refused=refused,
        level=Level(row.plan.get("level", Level.B_B)),
    )  # fmt: skip


async def _refused(sealing: Sealing, actor: Actor, subject: str, step: str, error: FujieError) -> None:
    event = Event(f"seal.batch.{step}", subject, Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(sealing.database, sealing.clock.now(), event)
