"""Named selects about documents and requests: frozen views; the tables stay inside."""

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from seal.document_errors import DocumentNotFound
from seal.document_lifecycle import RequestStatus
from seal.document_models import DocumentRow, RequestApprovalRow, RequestedSealRow, RequestMoveRow, SealRequestRow
from seal.document_values import STAFF, Approval, Document, RequestedSeal, RequestMoveView, SealRequest, require_sight
from seal.places import kept_for

PAGE = 50


def document_view(row: DocumentRow) -> Document:
    return Document(
        id=row.id,
        organisation=row.organisation,
        name=row.name,
        source_hash=row.source_hash,
        document_hash=row.document_hash,
        octets=row.octets,
        pages=tuple((page["width_mm"], page["height_mm"]) for page in row.pages),
        removed=row.removed,
        not_embedded=tuple(row.not_embedded),
        uploaded_at=row.uploaded_at,
    )


async def get_document(session: AsyncSession, actor: Actor, document_id: uuid.UUID) -> Document:
    """An upload, for whoever sent it and the staff of the organisation. Raises :class:`DocumentNotFound`."""
    row = await session.get(DocumentRow, document_id)
    if row is None:
        raise DocumentNotFound(str(document_id))
    require_sight(actor, [row.organisation], row.uploader)
    return document_view(row)


async def recent_documents(session: AsyncSession, actor: Actor, *, limit: int = PAGE) -> list[Document]:
    """What this person uploaded, the newest first."""
    own = select(DocumentRow).where(DocumentRow.organisation == actor.organisation, DocumentRow.uploader == actor.id)
    return [document_view(row) for row in await session.scalars(own.order_by(DocumentRow.id.desc()).limit(limit))]


async def document_of_request(session: AsyncSession, request: SealRequest) -> Document:
    """The upload of a request that its reader may see: a department of a joint document sees what it is to seal."""
    return document_view(await session.get_one(DocumentRow, request.document_id))


async def get_request(session: AsyncSession, actor: Actor, request_id: uuid.UUID) -> SealRequest:
    """For whoever asked, the staff of the organisations whose seals it takes, and clerks of the windows that keep the seal that is due.

    Raises :class:`DocumentNotFound`.
    """
    row = await session.get(SealRequestRow, request_id)
    if row is None:
        raise DocumentNotFound(str(request_id))
    found = await request_view(session, row)
    if found.due.seal_code not in await kept_for(session, actor):
        require_sight(actor, [row.organisation, *(one.organisation for one in found.seals)], row.requester)
    return found


async def request_view(session: AsyncSession, row: SealRequestRow) -> SealRequest:
    return (await _views(session, [row]))[0]


async def list_requests(
    session: AsyncSession, actor: Actor, *, status: str | None = None, after: uuid.UUID | None = None, limit: int = PAGE
) -> list[SealRequest]:
    """Requests that concern the actor's organisation, the newest first; who is no staff, a client too, sees their own."""
    query = select(SealRequestRow).order_by(SealRequestRow.id.desc()).limit(limit)
    concerned = select(RequestedSealRow.request_id).where(RequestedSealRow.organisation == actor.organisation)
    own = SealRequestRow.requester == actor.id
    if actor.roles & STAFF:
        own = own | (SealRequestRow.organisation == actor.organisation) | SealRequestRow.id.in_(concerned)
    if actor.kind is not ActorKind.SYSTEM:
        query = query.where(own)
    if status is not None:
        query = query.where(SealRequestRow.status == status)
    if after is not None:
        query = query.where(SealRequestRow.id < after)
    return await _views(session, list(await session.scalars(query)))


async def awaiting_requests(session: AsyncSession, organisation: str, seals: frozenset[str] = frozenset()) -> list[SealRequest]:
    """What waits for an approver of this organisation: the seal that is due is one of its own, or one of ``seals``; the oldest first."""
    mine = (RequestedSealRow.organisation == organisation) | RequestedSealRow.seal_code.in_(seals)
    query = (
        select(SealRequestRow)
        .join(
            RequestedSealRow,
            (RequestedSealRow.request_id == SealRequestRow.id) & (RequestedSealRow.position == SealRequestRow.position),
        )
        .where(SealRequestRow.status == RequestStatus.AWAITING_APPROVAL, mine)
        .order_by(SealRequestRow.id)
        .limit(PAGE)
    )
    return await _views(session, list(await session.scalars(query)))


async def history_of(session: AsyncSession, request_id: uuid.UUID) -> list[RequestMoveView]:
    """Every move, the first first."""
    query = select(RequestMoveRow).where(RequestMoveRow.request_id == request_id).order_by(RequestMoveRow.id)
    return [
        RequestMoveView(row.move, row.new, row.at, row.actor_kind, row.actor_id, row.position, row.reason)
        for row in await session.scalars(query)
    ]


async def _views(session: AsyncSession, rows: list[SealRequestRow]) -> list[SealRequest]:
    identifiers = [row.id for row in rows]
    seals = await session.scalars(select(RequestedSealRow).where(RequestedSealRow.request_id.in_(identifiers)))
    approvals = await session.scalars(
        select(RequestApprovalRow).where(RequestApprovalRow.request_id.in_(identifiers)).order_by(RequestApprovalRow.at)
    )
    of_seal = _grouped(seals, lambda row: row.request_id)
    agreed = _grouped(approvals, lambda row: (row.request_id, row.position))
    return [_view(row, of_seal.get(row.id, []), agreed) for row in rows]


def _grouped(rows: Iterable[Any], key: Any) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _view(row: SealRequestRow, seals: list[RequestedSealRow], agreed: dict[Any, list[RequestApprovalRow]]) -> SealRequest:
    ordered = sorted(seals, key=lambda seal: seal.position)
    return SealRequest(
        id=row.id,
        document_id=row.document_id,
        organisation=row.organisation,
        title=row.title,
        document_kind=row.document_kind,
        requester=row.requester,
        requester_name=row.requester_name,
        unattended=row.unattended,
        position=row.position,
        status=RequestStatus(row.status),
        status_since=row.status_since,
        created_at=row.created_at,
        seals=tuple(_seal(seal, agreed.get((row.id, seal.position), [])) for seal in ordered),
    )


def _seal(row: RequestedSealRow, agreed: list[RequestApprovalRow]) -> RequestedSeal:
    return RequestedSeal(
        position=row.position,
        seal_code=row.seal_code,
        organisation=row.organisation,
        matter_code=row.matter_code,
        plan=row.plan,
        approvals_needed=row.approvals_needed,
        base_hash=row.base_hash,
        digest=row.digest,
        sealed_hash=row.sealed_hash,
        sealed_at=row.sealed_at,
        failure=row.failure,
        approvals=tuple(Approval(one.approver, one.approver_name, one.at) for one in agreed if one.digest == row.digest),
    )
