"""Approvals of documents: who agreed that this document is sealed with this seal. The policy counts them.

An approver of the seal's organisation agrees to a hash, never for a document they asked for themselves. An approval counts
for a month. It is taken back at once: a permit given under it dies (``seals.authority_version``).
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_models import ApprovalRow, RequirementRow
from seal.authority_version import narrowed
from seal.changes import refusals_audited
from seal.departures import require_present
from seal.divisions import covers
from seal.models import SealRow
from seal.policy_facts import APPROVAL_LIFETIME, EVERY_SEAL, HASH_OCTETS, Requirements
from seal.reads import Seal, get_seal


class ApprovalForbidden(Forbidden):
    code = "SEAL_APPROVAL_FORBIDDEN"
    public = ("您不能审批用此印章签章的文件。", "You may not approve documents for this seal.")


class RequesterApproves(Forbidden):
    code = "REQUESTER_APPROVES"
    public = ("申请用印的人不得审批自己的申请。", "Who asked for the seal may not approve it.")


class ApprovalNotFound(NotFound):
    code = "SEAL_APPROVAL_NOT_FOUND"
    public = ("没有这项文件审批。", "There is no such approval.")


class ApprovalAlreadyWithdrawn(Conflict):
    code = "SEAL_APPROVAL_WITHDRAWN"
    public = ("该审批已被撤回。", "The approval was taken back.")


@dataclass(frozen=True, slots=True)
class DocumentApproval:
    """``document_hash``: SHA-256, 32 octets; ``requester``, ``approver``: identifiers of actors; ``expires``: it counts until then."""

    id: uuid.UUID
    seal_code: str
    document_hash: bytes
    requester: str
    approver: str
    approver_name: str
    at: dt.datetime
    expires: dt.datetime


async def approve_document(
    session: AsyncSession, now: dt.datetime, actor: Actor, *, seal_code: str, document_hash: bytes, requester: str,
    decided: dt.datetime | None = None,
) -> uuid.UUID:  # fmt: skip
    """Agree that the document is sealed; the approval's identifier. Repeated: the same one. ``decided``: when, if not now.

    Raises ``SealNotFound``, ``InvalidInput``, :class:`ApprovalForbidden`, :class:`RequesterApproves`, ``APPROVER_DEPARTED``.
    """
    if len(document_hash) != HASH_OCTETS:
        raise InvalidInput("document hash", errors=[{"field": "document_hash", "message": "SHA-256, 32 octets"}])
    seal = await get_seal(session, seal_code)
    require_approver(actor, seal, await requirements_of(session, seal.id))
    await require_present(session, {actor.id: decided or now})
    if actor.id == requester:
        raise RequesterApproves(seal_code)
    standing = await _standing(session, seal.id, document_hash, actor.id, requester)
    if standing is not None and standing.at > now - APPROVAL_LIFETIME:
        return standing.id
    return await _write(session, now, actor, seal, document_hash, requester, old=standing)


async def approvals_of(session: AsyncSession, document_hash: bytes) -> list[DocumentApproval]:
    """Approvals of this document that were not taken back, oldest first."""
    query = (
        select(ApprovalRow, SealRow.code)
        .join(SealRow, SealRow.id == ApprovalRow.seal_id)
        .where(ApprovalRow.document_hash == document_hash, ApprovalRow.withdrawn_at.is_(None))
        .order_by(ApprovalRow.id)
    )
    return [
        DocumentApproval(
            row.id, code or "", row.document_hash, row.requester, row.approver, row.approver_name, row.at, row.at + APPROVAL_LIFETIME
        )
        for row, code in await session.execute(query)
    ]


async def withdraw_approval(database: Database, clock: Clock, actor: Actor, approval_id: uuid.UUID) -> None:
    """Take an own approval back; a security administrator of the division may take back anybody's.

    1. narrow the seal's authority: uses under way end first, permits given before are worth nothing
    2. read the clock, mark the approval
    3. a refusal is audited in its own transaction

    Raises :class:`ApprovalNotFound`, :class:`ApprovalForbidden`, :class:`ApprovalAlreadyWithdrawn`.
    """
    subject = f"approval:{approval_id}"
    async with refusals_audited(database, clock, "seal.approval.withdraw", subject, actor), database.begin() as session:
        row = await session.get(ApprovalRow, approval_id)
        if row is None:
            raise ApprovalNotFound(str(approval_id))
        seal = await narrowed(session, row.seal_id)
        if actor.kind is not ActorKind.SYSTEM and actor.id != row.approver and not _administers(actor, seal):
            raise ApprovalForbidden(str(approval_id))
        now = clock.now()
        statement = update(ApprovalRow).where(ApprovalRow.id == approval_id, ApprovalRow.withdrawn_at.is_(None))
        if await session.scalar(statement.values(withdrawn_at=now).returning(ApprovalRow.id)) is None:
            raise ApprovalAlreadyWithdrawn(str(approval_id))
        details: dict[str, audit.JSON] = {"approval": str(approval_id), "document": row.document_hash.hex()}
        await audit.record(session, now, Event("seal.approval.withdraw", f"seal:{row.seal_id}", Outcome.DONE, actor, details))


def require_approver(actor: Actor, seal: Seal, required: Requirements) -> None:
    """A person with the role of approver in the seal's organisation, as surely known as the seal demands."""
    able = actor.kind is ActorKind.PERSON and Role.APPROVER in actor.roles and actor.organisation == seal.organisation
    sure = actor.assurance >= required.assurance and actor.authenticator >= required.authenticator
    if not (able and sure and covers(actor.division, seal.division)):
        raise ApprovalForbidden(f"{actor.id} approves nothing for seal {seal.code}")


async def requirements_of(session: AsyncSession, seal_id: uuid.UUID) -> Requirements:
    """What using the seal takes."""
    row = await session.get(RequirementRow, seal_id)
    return EVERY_SEAL if row is None else Requirements(row.assurance, row.authenticator, row.approvals)


def _administers(actor: Actor, seal: Seal) -> bool:
    return actor.kind is ActorKind.PERSON and Role.SECURITY_ADMIN in actor.roles and covers(actor.division, seal.division)


async def _standing(session: AsyncSession, seal_id: uuid.UUID, document_hash: bytes, approver: str, requester: str) -> ApprovalRow | None:
    query = select(ApprovalRow).where(
        ApprovalRow.seal_id == seal_id,
        ApprovalRow.document_hash == document_hash,
        ApprovalRow.approver == approver,
        ApprovalRow.requester == requester,
        ApprovalRow.withdrawn_at.is_(None),
    )
    return await session.scalar(query)


async def _write(
    session: AsyncSession, now: dt.datetime, actor: Actor, seal: Seal, document_hash: bytes, requester: str, old: ApprovalRow | None
) -> uuid.UUID:
    if old is not None:  # it no longer counts, and makes room
        await session.execute(update(ApprovalRow).where(ApprovalRow.id == old.id).values(withdrawn_at=now))
    identifier = new_id()
    row = {
        "id": identifier, "seal_id": seal.id, "document_hash": document_hash, "requester": requester,
        "approver": actor.id, "approver_name": actor.name, "at": now,
    }  # fmt: skip
    written = await session.scalar(insert(ApprovalRow).values(row).on_conflict_do_nothing().returning(ApprovalRow.id))
    if written is None:  # the same person, at the same moment
        first = await _standing(session, seal.id, document_hash, actor.id, requester)
        return first.id if first is not None else identifier
    details: dict[str, audit.JSON] = {"approval": str(identifier), "document": document_hash.hex(), "requester": requester}
    await audit.record(session, now, Event("seal.approve", f"seal:{seal.id}", Outcome.DONE, actor, details))
    return identifier
