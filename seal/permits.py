"""Permits: the policy's yes as a value. One document, once, within five minutes.

``request_permit`` asks the policy and audits its answer. ``consume_permit`` spends the permit in the transaction that
releases the stamped document: it holds the rows of seal, grants and certificates shared, so whoever narrows one of them waits
for it, and whoever comes after finds it narrowed (docs/decisions/0068).
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import insert

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.models import PermitRow
from seal.permit_facts import Found, read_facts
from seal.permit_spending import PermitExpired, PermitMismatch, PermitUnknown, PermitUsed, Spending, spend
from seal.policy import GrantFacts, NotPermitted, Place, RuleAnswer, Use, decide, explain
from seal.policy_facts import EVERY_SEAL
from seal.reads import SealNotFound
from seal.refusals import refused_use

__all__ = [
    "LIFETIME", "Permit", "PermitExpired", "PermitMismatch", "PermitUnknown", "PermitUsed", "Place", "UseRequest", "audit_refused_use",
    "consume_permit", "explain_use", "request_permit", "request_permits",
]  # fmt: skip

LIFETIME = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class UseRequest:
    """Who wants to stamp what. ``document_hash``: SHA-256 of the document before it is stamped, 32 octets.

    ``document_kind``  what the document is, where it is no certificate; grants may be bound to one
    ``place``          the window the person is at, and the address they come from
    ``requester``      the identifier of who asked that it be stamped, if somebody did
    ``person_active``  False where one asks about a person whose account is closed
    """

    seal_code: str
    actor: Actor
    matter_code: str
    certificate_type: str | None
    document_hash: bytes
    unattended: bool = False
    document_kind: str | None = None
    place: Place | None = None
    requester: str | None = None
    person_active: bool = True


@dataclass(frozen=True, slots=True)
class Permit:
    """What stamping accepts, and nothing else. It is only worth its row in the database, which is spent once.

    ``standing``: how the seal's certificates stood when it was given; material that was read before is out of date.
    """

    id: uuid.UUID
    seal_code: str
    actor_id: str
    document_hash: bytes
    expires: dt.datetime
    matter_code: str
    standing: str = ""


async def request_permit(database: Database, clock: Clock, request: UseRequest) -> Permit:
    """Ask to stamp one document.

    1. gather the facts: seal, matter, windows, approvals, grants
    2. let the policy decide
    3. write the permit and its audit entry
    4. a refusal is audited in its own transaction and raised as ``NotPermitted`` (or ``SealNotFound``)
    """
    seal_id: uuid.UUID | None = None
    try:
        async with database.begin() as session:
            now = clock.now()
            found, use = await _facts(session, now, request)
            seal_id = found.seal_id
            return (await _write_all(session, found, [_granted(use)]))[0]
    except FujieError as error:
        await _refused(database, clock, request, seal_id, error)
        raise


async def request_permits(database: Database, clock: Clock, request: UseRequest, documents: Sequence[bytes]) -> list[Permit]:
    """Ask to stamp several documents in one use after the other: a permit for each, every one of them single, or none.

    For uses that differ in nothing but the document and take no second approver: ``request`` names the first, ``documents`` all hashes.
    The facts are those of one instant; the policy judges each document. A refusal is audited once and raised as ``NotPermitted``.
    """
    seal_id: uuid.UUID | None = None
    try:
        async with database.begin() as session:
            found, use = await _facts(session, clock.now(), request)
            seal_id = found.seal_id
            if use.seal.required.approvals > EVERY_SEAL.approvals:
                raise NotPermitted("TWO_APPROVERS_NEEDED", f"seal {use.seal.code}, {len(documents)} documents")
            return await _write_all(session, found, [_granted(replace(use, document_hash=one)) for one in documents])
    except FujieError as error:
        await _refused(database, clock, request, seal_id, error)
        raise


async def explain_use(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[RuleAnswer, ...]:
    """What each rule says about an intended use: for the approver's page. Changes nothing, permits nothing."""
    _, use = await _facts(session, now, request)
    return explain(use)


async def consume_permit(session: AsyncSession, now: dt.datetime, permit: Permit, document_hash: bytes) -> None:
    """Spend the permit in the caller's transaction, which must also release the stamped document.

    1. hold the rows of the seal and of the grants shared, waiting for whoever is changing them
    2. it is this document's and this seal's permit, the seal is active and valid, the grants stand, the time is not up
    3. mark the permit used, on the condition that it is not, holding the seal's certificates; write the log of use
    4. count it where a grant has a quota, on the condition that something is left
    5. write the audit entry

    Raises ``NotPermitted``, :class:`PermitUnknown`, :class:`PermitMismatch`, :class:`PermitExpired`, :class:`PermitUsed`;
    the caller rolls back and audits it (:func:`audit_refused_use`).
    """
    actor, held = await spend(session, now, Spending(permit.id, permit.seal_code, document_hash))
    details: dict[str, audit.JSON] = {
        "permit": str(permit.id),
        "document": document_hash.hex(),
        "matter": held["matter_code"],
        "window": held["window_id"],
    }
    await audit.record(session, now, Event("seal.use", f"seal:{held['seal_id']}", Outcome.DONE, actor, details))


async def audit_refused_use(database: Database, now: dt.datetime, permit: Permit, actor: Actor, error: FujieError) -> None:
    """Record that a permit was not accepted, in a transaction of its own."""
    event = Event("seal.permit.consume", f"permit:{permit.id}", Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(database, now, event)


async def _facts(session: AsyncSession, now: dt.datetime, request: UseRequest) -> tuple[Found, Use]:
    return await read_facts(
        session,
        now,
        actor=request.actor,
        seal_code=request.seal_code,
        matter_code=request.matter_code,
        document_hash=request.document_hash,
        certificate_type=request.certificate_type,
        unattended=request.unattended,
        document_kind=request.document_kind,
        requester=request.requester,
        place=request.place,
        person_active=request.person_active,
    )


async def _refused(database: Database, clock: Clock, request: UseRequest, seal_id: uuid.UUID | None, error: FujieError) -> None:
    """Audited, and where there is such a seal, put where the alerts look."""
    now, address = clock.now(), request.place.address if request.place else None
    event = Event("seal.permit.request", f"seal-code:{request.seal_code[:14]}", Outcome.REFUSED, request.actor, code=error.code)
    async with database.begin() as session:
        await audit.record(session, now, event)
        if seal_id is not None and not isinstance(error, SealNotFound):
            await refused_use(session, now, seal_id, request.actor, request.matter_code, error.code, address)


def _spoken(answers: tuple[RuleAnswer, ...]) -> list[dict[str, str]]:
    return [{"rule": one.rule, "answer": one.answer, "reason": one.reason_code} for one in answers]


@dataclass(frozen=True, slots=True)
class _Granted:
    """A use that the policy permitted, and the grant it rests on."""

    use: Use
    grant: GrantFacts
    reason: str


def _granted(use: Use) -> _Granted:
    """Raises :class:`NotPermitted`."""
    decision = decide(use)
    if not decision.permitted or decision.grant is None:
        detail = f"seal {use.seal.code}, matter {use.matter.code[:40] if use.matter else ''}"
        raise NotPermitted(decision.code, detail, rules=_spoken(decision.answers))
    return _Granted(use, decision.grant, decision.code)


async def _write_all(session: AsyncSession, found: Found, granted: Sequence[_Granted]) -> list[Permit]:
    permits = [_permit(one.use, found) for one in granted]
    await session.execute(insert(PermitRow), [_row(permit, found, one) for permit, one in zip(permits, granted, strict=True)])
    events = [_event(permit, found, one) for permit, one in zip(permits, granted, strict=True)]
    await audit.record_many(session, granted[0].use.now, events)
    return permits


def _permit(use: Use, found: Found) -> Permit:
    matter = use.matter.code if use.matter else ""
    return Permit(new_id(), use.seal.code, use.actor.id, use.document_hash, use.now + LIFETIME, matter, found.standing)


def _row(permit: Permit, found: Found, granted: _Granted) -> dict[str, object]:
    use, grant = granted.use, granted.grant
    return {
        "id": permit.id,
        "seal_id": found.seal_id,
        "grant_id": grant.id,
        "ancestors": [one.id for one in grant.above],
        "authority_version": found.version,
        "actor_kind": use.actor.kind,
        "actor_id": use.actor.id,
        "matter_code": permit.matter_code,
        "certificate_type": use.certificate_type,
        "document_kind": use.document_kind,
        "requester": use.requester,
        "window_id": use.window.id if use.window else None,
        "address": use.place.address if use.place else None,
        "unattended": use.alone,
        "document_hash": use.document_hash,
        "issued_at": use.now,
        "expires_at": permit.expires,
    }


def _event(permit: Permit, found: Found, granted: _Granted) -> Event:
    details: dict[str, audit.JSON] = {
        "permit": str(permit.id),
        "grant": str(granted.grant.id),
        "matter": permit.matter_code,
        "certificate_type": granted.use.certificate_type,
        "document": permit.document_hash.hex(),
        "reason": granted.reason,
    }
    return Event("seal.permit.request", f"seal:{found.seal_id}", Outcome.DONE, granted.use.actor, details)
