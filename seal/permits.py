"""Permits: the policy's yes as a value. One document, once, within five minutes.

``request_permit`` asks the policy and audits its answer. ``consume_permit`` spends the permit in the transaction that
releases the stamped document: it holds the seal's row shared, so a suspension waits for it, and whoever comes after the
suspension finds the seal suspended.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.changes import refusals_audited
from seal.lifecycle import Status
from seal.matters import get_matter
from seal.models import GrantRow, PermitRow, SealRow, UseRow
from seal.policy import Decision, GrantFacts, MatterFacts, NotPermitted, RuleAnswer, SealFacts, Use, decide, explain, objection_to_seal
from seal.reads import SealNotFound

LIFETIME = dt.timedelta(minutes=5)


class PermitUnknown(NotFound):
    code = "PERMIT_UNKNOWN"
    public = ("没有这项用印许可。", "There is no such permission to stamp.")


class PermitMismatch(Forbidden):
    code = "PERMIT_MISMATCH"
    public = ("用印许可与文件或印章不符。", "The permission is for another document or another seal.")


class PermitUsed(Conflict):
    code = "PERMIT_USED"
    public = ("用印许可已经使用过。", "The permission was used before.")


class PermitExpired(Conflict):
    code = "PERMIT_EXPIRED"
    public = ("用印许可已过期，请重新申请。", "The permission has expired. Ask again.")


@dataclass(frozen=True, slots=True)
class UseRequest:
    """Who wants to stamp what. ``document_hash``: SHA-256 of the document before it is stamped, 32 octets."""

    seal_code: str
    actor: Actor
    matter_code: str
    certificate_type: str | None
    document_hash: bytes
    unattended: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """What stamping accepts, and nothing else. It is only worth its row in the database, which is spent once."""

    id: uuid.UUID
    seal_code: str
    actor_id: str
    document_hash: bytes
    expires: dt.datetime
    matter_code: str


async def request_permit(database: Database, clock: Clock, request: UseRequest) -> Permit:
    """Ask to stamp one document.

    1. gather the facts: seal, matter, grants
    2. let the policy decide
    3. write the permit and its audit entry
    4. a refusal is audited in its own transaction and raised as ``NotPermitted`` (or ``SealNotFound``)
    """
    subject = f"seal-code:{request.seal_code[:14]}"
    async with refusals_audited(database, clock, "seal.permit.request", subject, request.actor), database.begin() as session:
        now = clock.now()
        seal, use = await _facts(session, now, request)
        decision = decide(use)
        if not decision.permitted or decision.grant is None:
            raise NotPermitted(decision.code, f"seal {seal.code}, matter {request.matter_code[:40]}", rules=_spoken(decision.answers))
        return await _write(session, now, seal, request, decision, decision.grant)


async def explain_use(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[RuleAnswer, ...]:
    """What each rule says about an intended use: for the approver's page. Changes nothing, permits nothing."""
    _, use = await _facts(session, now, request)
    return explain(use)


async def consume_permit(session: AsyncSession, now: dt.datetime, permit: Permit, document_hash: bytes) -> None:
    """Spend the permit in the caller's transaction, which must also release the stamped document.

    1. hold the seal's row shared: it must be active and within its validity
    2. hold the grant's row shared: it must not have been withdrawn
    3. mark the permit used, on the condition that it is not, has not expired and names this document
    4. write the seal's log of use and the audit entry

    Raises ``NotPermitted``, :class:`PermitUnknown`, :class:`PermitMismatch`, :class:`PermitExpired`, :class:`PermitUsed`;
    the caller rolls back and audits it (:func:`audit_refused_use`).
    """
    seal_id = await _hold_seal(session, now, permit.seal_code)
    row = await _permit_row(session, permit.id)
    await _hold_grant(session, row.grant_id)
    await _spend(session, now, row, seal_id, document_hash)
    await _log_use(session, now, row)


async def audit_refused_use(database: Database, now: dt.datetime, permit: Permit, actor: Actor, error: FujieError) -> None:
    """Record that a permit was not accepted, in a transaction of its own."""
    event = Event("seal.permit.consume", f"permit:{permit.id}", Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(database, now, event)


async def _facts(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[SealRow, Use]:
    seal = await session.scalar(select(SealRow).where(SealRow.code == request.seal_code).execution_options(populate_existing=True))
    if seal is None:
        raise SealNotFound(request.seal_code[:14])
    matter = await get_matter(session, request.matter_code)
    facts = Use(
        now=now,
        actor=request.actor,
        seal=SealFacts(seal.code or "", seal.kind, seal.organisation, seal.division, Status(seal.status), seal.valid_from, seal.valid_to),
        matter=None if matter is None else MatterFacts(matter.code, matter.is_approval, matter.organisation),
        certificate_type=request.certificate_type,
        document_hash=request.document_hash,
        unattended=request.unattended,
        grants=await _grants(session, seal.id, request.actor),
    )
    return seal, facts


async def _grants(session: AsyncSession, seal_id: uuid.UUID, actor: Actor) -> tuple[GrantFacts, ...]:
    query = (
        select(GrantRow)
        .where(GrantRow.seal_id == seal_id, GrantRow.grantee_kind == actor.kind, GrantRow.grantee_id == actor.id)
        .order_by(GrantRow.id)
        .execution_options(populate_existing=True)
    )
    return tuple(
        GrantFacts(
            id=row.id,
            matter_code=row.matter_code,
            certificate_type=row.certificate_type,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            unattended=row.unattended,
            withdrawn=row.withdrawn_at is not None,
        )
        for row in await session.scalars(query)
    )


def _spoken(answers: tuple[RuleAnswer, ...]) -> list[dict[str, str]]:
    return [{"rule": one.rule, "answer": one.answer, "reason": one.reason_code} for one in answers]


async def _write(
    session: AsyncSession, now: dt.datetime, seal: SealRow, request: UseRequest, decision: Decision, grant: GrantFacts
) -> Permit:
    row = PermitRow(
        id=new_id(),
        seal_id=seal.id,
        grant_id=grant.id,
        actor_kind=request.actor.kind,
        actor_id=request.actor.id,
        matter_code=request.matter_code,
        certificate_type=request.certificate_type,
        unattended=request.unattended or request.actor.kind is ActorKind.CLIENT,
        document_hash=request.document_hash,
        issued_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(row)
    details: dict[str, audit.JSON] = {
        "permit": str(row.id),
        "grant": str(grant.id),
        "matter": row.matter_code,
        "certificate_type": row.certificate_type,
        "document": row.document_hash.hex(),
        "reason": decision.code,
    }
    await audit.record(session, now, Event("seal.permit.request", f"seal:{seal.id}", Outcome.DONE, request.actor, details))
    return Permit(row.id, seal.code or "", row.actor_id, row.document_hash, row.expires_at, row.matter_code)


async def _hold_seal(session: AsyncSession, now: dt.datetime, code: str) -> uuid.UUID:
    columns = select(SealRow.id, SealRow.status, SealRow.valid_from, SealRow.valid_to)
    held = (await session.execute(columns.where(SealRow.code == code).with_for_update(read=True))).one_or_none()
    if held is None:
        raise SealNotFound(code[:14])
    objection = objection_to_seal(Status(held.status), held.valid_from, held.valid_to, now)
    if objection is not None:
        raise NotPermitted(objection)
    seal_id: uuid.UUID = held.id
    return seal_id


async def _permit_row(session: AsyncSession, permit_id: uuid.UUID) -> PermitRow:
    row = await session.scalar(select(PermitRow).where(PermitRow.id == permit_id).execution_options(populate_existing=True))
    if row is None:
        raise PermitUnknown(str(permit_id))
    return row


async def _hold_grant(session: AsyncSession, grant_id: uuid.UUID) -> None:
    withdrawn = (
        await session.execute(select(GrantRow.withdrawn_at).where(GrantRow.id == grant_id).with_for_update(read=True))
    ).scalar_one()
    if withdrawn is not None:
        raise NotPermitted("GRANT_WITHDRAWN")


async def _spend(session: AsyncSession, now: dt.datetime, row: PermitRow, seal_id: uuid.UUID, document_hash: bytes) -> None:
    if row.seal_id != seal_id or row.document_hash != document_hash:
        raise PermitMismatch(str(row.id))
    if now >= row.expires_at:
        raise PermitExpired(str(row.id))
    spent = await session.execute(
        update(PermitRow)
        .where(PermitRow.id == row.id, PermitRow.consumed_at.is_(None))
        .values(consumed_at=now)
        .returning(PermitRow.id)
        .execution_options(synchronize_session=False)
    )
    if spent.scalar() is None:
        raise PermitUsed(str(row.id))


async def _log_use(session: AsyncSession, now: dt.datetime, row: PermitRow) -> None:
    session.add(
        UseRow(
            permit_id=row.id,
            seal_id=row.seal_id,
            document_hash=row.document_hash,
            actor_kind=row.actor_kind,
            actor_id=row.actor_id,
            matter_code=row.matter_code,
            certificate_type=row.certificate_type,
            unattended=row.unattended,
            at=now,
        )
    )
    details: dict[str, audit.JSON] = {"permit": str(row.id), "document": row.document_hash.hex(), "matter": row.matter_code}
    actor = Actor(ActorKind(row.actor_kind), row.actor_id)
    await audit.record(session, now, Event("seal.use", f"seal:{row.seal_id}", Outcome.DONE, actor, details))
    await session.flush()
