"""Permits: the policy's yes as a value. One document, once, within five minutes.

``request_permit`` asks the policy and audits its answer. ``consume_permit`` spends the permit in the transaction that
releases the stamped document: it holds the seal's row shared, so a suspension waits for it, and whoever comes after the
suspension finds the seal suspended.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import RowMapping, bindparam, insert, select, update

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.changes import refusals_audited
from seal.lifecycle import Status
from seal.models import GrantRow, MatterRow, PermitRow, SealRow, UseRow
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
        seal_id, use = await _facts(session, now, request)
        decision = decide(use)
        if not decision.permitted or decision.grant is None:
            raise NotPermitted(decision.code, f"seal {use.seal.code}, matter {request.matter_code[:40]}", rules=_spoken(decision.answers))
        return await _write(session, now, seal_id, request, decision, decision.grant)


async def explain_use(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[RuleAnswer, ...]:
    """What each rule says about an intended use: for the approver's page. Changes nothing, permits nothing."""
    _, use = await _facts(session, now, request)
    return explain(use)


async def consume_permit(session: AsyncSession, now: dt.datetime, permit: Permit, document_hash: bytes) -> None:
    """Spend the permit in the caller's transaction, which must also release the stamped document.

    1. hold the rows of seal and grant shared, waiting for whoever is changing them
    2. it is this document's and this seal's permit, the seal is active and valid, the grant stands, the time is not up
    3. mark the permit used, on the condition that it is not
    4. write the seal's log of use and the audit entry

    Raises ``NotPermitted``, :class:`PermitUnknown`, :class:`PermitMismatch`, :class:`PermitExpired`, :class:`PermitUsed`;
    the caller rolls back and audits it (:func:`audit_refused_use`).
    """
    held = await _hold(session, permit)
    _check_held(held, now, permit, document_hash)
    await _spend(session, now, permit.id)
    await _log_use(session, now, permit.id, held)


async def audit_refused_use(database: Database, now: dt.datetime, permit: Permit, actor: Actor, error: FujieError) -> None:
    """Record that a permit was not accepted, in a transaction of its own."""
    event = Event("seal.permit.consume", f"permit:{permit.id}", Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(database, now, event)


_FACTS = (
    select(
        SealRow.id,
        SealRow.kind,
        SealRow.organisation,
        SealRow.division,
        SealRow.status,
        SealRow.valid_from,
        SealRow.valid_to,
        MatterRow.is_approval,
        MatterRow.organisation.label("acting"),
    )
    .outerjoin(MatterRow, MatterRow.code == bindparam("matter"))
    .where(SealRow.code == bindparam("seal"))
)


async def _facts(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[uuid.UUID, Use]:
    found = (await session.execute(_FACTS, {"seal": request.seal_code, "matter": request.matter_code})).one_or_none()
    if found is None:
        raise SealNotFound(request.seal_code[:14])
    facts = Use(
        now=now,
        actor=request.actor,
        seal=SealFacts(
            request.seal_code,
            found.kind,
            found.organisation,
            found.division,
            Status(found.status),
            found.valid_from,
            found.valid_to,
        ),
        matter=None if found.acting is None else MatterFacts(request.matter_code, found.is_approval, found.acting),
        certificate_type=request.certificate_type,
        document_hash=request.document_hash,
        unattended=request.unattended,
        grants=await _grants(session, found.id, request.actor),
    )
    return found.id, facts


async def _grants(session: AsyncSession, seal_id: uuid.UUID, actor: Actor) -> tuple[GrantFacts, ...]:
    query = (
        select(
            GrantRow.id,
            GrantRow.matter_code,
            GrantRow.certificate_type,
            GrantRow.valid_from,
            GrantRow.valid_to,
            GrantRow.unattended,
            GrantRow.withdrawn_at.is_not(None).label("withdrawn"),
        )
        .where(GrantRow.seal_id == seal_id, GrantRow.grantee_kind == actor.kind, GrantRow.grantee_id == actor.id)
        .order_by(GrantRow.id)
    )
    return tuple(GrantFacts(**row) for row in (await session.execute(query)).mappings())


def _spoken(answers: tuple[RuleAnswer, ...]) -> list[dict[str, str]]:
    return [{"rule": one.rule, "answer": one.answer, "reason": one.reason_code} for one in answers]


async def _write(
    session: AsyncSession, now: dt.datetime, seal_id: uuid.UUID, request: UseRequest, decision: Decision, grant: GrantFacts
) -> Permit:
    permit = Permit(new_id(), request.seal_code, request.actor.id, request.document_hash, now + LIFETIME, request.matter_code)
    row = {
        "id": permit.id,
        "seal_id": seal_id,
        "grant_id": grant.id,
        "actor_kind": request.actor.kind,
        "actor_id": request.actor.id,
        "matter_code": request.matter_code,
        "certificate_type": request.certificate_type,
        "unattended": request.unattended or request.actor.kind is ActorKind.CLIENT,
        "document_hash": request.document_hash,
        "issued_at": now,
        "expires_at": permit.expires,
    }
    await session.execute(insert(PermitRow).values(row))
    details: dict[str, audit.JSON] = {
        "permit": str(permit.id),
        "grant": str(grant.id),
        "matter": request.matter_code,
        "certificate_type": request.certificate_type,
        "document": request.document_hash.hex(),
        "reason": decision.code,
    }
    await audit.record(session, now, Event("seal.permit.request", f"seal:{seal_id}", Outcome.DONE, request.actor, details))
    return permit


_HELD = (
    select(
        SealRow.code,
        SealRow.status,
        SealRow.valid_from,
        SealRow.valid_to,
        GrantRow.withdrawn_at,
        PermitRow.seal_id,
        PermitRow.actor_kind,
        PermitRow.actor_id,
        PermitRow.matter_code,
        PermitRow.certificate_type,
        PermitRow.unattended,
        PermitRow.document_hash,
        PermitRow.expires_at,
    )
    .select_from(PermitRow)
    .join(SealRow, SealRow.id == PermitRow.seal_id)
    .join(GrantRow, GrantRow.id == PermitRow.grant_id)
    .where(PermitRow.id == bindparam("permit"))
    .with_for_update(read=True, of=[SealRow, GrantRow])
)


async def _hold(session: AsyncSession, permit: Permit) -> RowMapping:
    """The permit with its seal and grant, both held shared; waits for a suspension or withdrawal under way and sees it."""
    held = (await session.execute(_HELD, {"permit": permit.id})).mappings().one_or_none()
    if held is None:
        raise PermitUnknown(str(permit.id))
    return held


def _check_held(held: RowMapping, now: dt.datetime, permit: Permit, document_hash: bytes) -> None:
    if held["code"] != permit.seal_code or held["document_hash"] != document_hash:
        raise PermitMismatch(str(permit.id))
    objection = objection_to_seal(Status(held["status"]), held["valid_from"], held["valid_to"], now)
    if objection is not None:
        raise NotPermitted(objection)
    if held["withdrawn_at"] is not None:
        raise NotPermitted("GRANT_WITHDRAWN")
    if now >= held["expires_at"]:
        raise PermitExpired(str(permit.id))


async def _spend(session: AsyncSession, now: dt.datetime, permit_id: uuid.UUID) -> None:
    spent = await session.execute(
        update(PermitRow)
        .where(PermitRow.id == permit_id, PermitRow.consumed_at.is_(None))
        .values(consumed_at=now)
        .returning(PermitRow.id)
        .execution_options(synchronize_session=False)
    )
    if spent.scalar() is None:
        raise PermitUsed(str(permit_id))


async def _log_use(session: AsyncSession, now: dt.datetime, permit_id: uuid.UUID, held: RowMapping) -> None:
    kept = ("seal_id", "document_hash", "actor_kind", "actor_id", "matter_code", "certificate_type", "unattended")
    await session.execute(insert(UseRow).values(permit_id=permit_id, at=now, **{name: held[name] for name in kept}))
    details: dict[str, audit.JSON] = {"permit": str(permit_id), "document": held["document_hash"].hex(), "matter": held["matter_code"]}
    actor = Actor(ActorKind(held["actor_kind"]), held["actor_id"])
    await audit.record(session, now, Event("seal.use", f"seal:{held['seal_id']}", Outcome.DONE, actor, details))
