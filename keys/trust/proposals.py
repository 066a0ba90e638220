"""Coming onto the trust list, and off it again. Two people: whoever proposed does not approve, whoever suspended does not resume.

:func:`propose`
  1. *check_actor*   a person, security administrator, logged in with a second factor
  2. *check_order*   uses, scope, span and addresses are well-formed
  3. *check_authority*   the certificate is fit (:mod:`keys.trust.certificates`)
  4. *enter*         one living entry of a certificate; the proposal and its audit event in one transaction
:func:`approve`      another person agrees: approved, then active, in one transaction
:func:`move`         reject, suspend, resume, withdraw

What narrows trust takes one person, so that it can be done at once. Every refusal is audited in a transaction of its own.
"""

import datetime as dt
import re
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence.audit import JSON, Event, Outcome, digest, record, record_alone
from keys.trust.certificates import Certificate, check_authority, fingerprint
from keys.trust.entries import EVERYWHERE, Scope, Use
from keys.trust.errors import (
    TrustActorRefused,
    TrustChangedMeanwhile,
    TrustDemonstration,
    TrustDuplicate,
    TrustEntryUnknown,
    TrustProposalInvalid,
    TrustSamePerson,
)
from keys.trust.lifecycle import LIVING, MOVES, Move, Status, target
from keys.trust.models import TrustChangeRow, TrustEntryRow
from keys.trust.once import Once, claim
from keys.trust.reads import Entry, get_entry

SECOND_FACTOR = 2
MAX_REASON = 400
MAX_ADDRESSES = 32
_DIVISION = re.compile(r"[0-9]{6}")
_KIND = re.compile(r"[a-z][a-z-]{0,31}")
_USCC = re.compile(r"[0-9A-HJ-NP-RTUWXY]{18}")
_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,500}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed; see :class:`keys.trust.entries.TrustedAuthority`.

    ``valid_from`` None: from now on; ``valid_to`` None: to the end of the certificate.
    """

    certificate: bytes
    uses: frozenset[Use]
    scope: Scope = EVERYWHERE
    subordinates: tuple[bytes, ...] = ()
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()
    legal_effect: bool = False
    source: str = "file"
    reason: str = ""


def check_actor(actor: Actor) -> None:
    """GB/T 22239 §8.1.4: the security administrator, with two factors. The machine itself trusts nobody. Raises."""
    if actor.kind is not ActorKind.PERSON or Role.SECURITY_ADMIN not in actor.roles or actor.authenticator < SECOND_FACTOR:
        raise TrustActorRefused("a security administrator with a second factor")


def check_order(order: Proposal, now: dt.datetime) -> tuple[Certificate, dt.datetime, dt.datetime]:
    """The authority and the span, of a proposal that is well-formed. Raises what :func:`propose` raises of it."""
    faults = [name for name, fault in _faults(order) if fault]
    if faults:
        raise TrustProposalInvalid(
            "not well-formed: " + ", ".join(faults), errors=[{"field": one, "message": "not well-formed"} for one in faults]
        )
    authority = check_authority(order.certificate, now, order.subordinates)
    if authority.is_demonstration and order.legal_effect:
        raise TrustDemonstration(authority.name[:64])
    begin, end = order.valid_from or now, min(order.valid_to or authority.not_after, authority.not_after)
    if begin >= end:
        raise TrustProposalInvalid("the span is empty", errors=[{"field": "valid_to", "message": "before valid_from"}])
    return authority, begin, end


def _faults(order: Proposal) -> Iterable[tuple[str, bool]]:
    scope, addresses = order.scope, (*order.crl_urls, *order.ocsp_urls)
    yield "uses", not order.uses
    yield "scope.organisation", bool(scope.organisation) and _USCC.fullmatch(scope.organisation) is None
    yield "scope.divisions", any(_DIVISION.fullmatch(one) is None for one in scope.divisions)
    yield "scope.seal_kinds", any(_KIND.fullmatch(one) is None for one in scope.seal_kinds)
    yield "revocation", len(addresses) > MAX_ADDRESSES or any(_ADDRESS.fullmatch(one) is None for one in addresses)
    yield "reason", not order.reason.strip() or len(order.reason) > MAX_REASON


async def propose(database: Database, clock: Clock, actor: Actor, order: Proposal, once: Once | None = None) -> Entry:
    """See the module's steps; asked again with the same ``once`` it answers the entry it made.

    Raises ``TrustActorRefused``, ``TrustProposalInvalid``, ``TrustDemonstration``, ``TrustDuplicate``, ``TrustRequestReused`` and what
    :func:`keys.trust.certificates.check_authority` raises.
    """
    named = f"trust-certificate:{fingerprint(order.certificate).hex()}"
    async with refusals_audited(database, clock, "keys.trust.propose", named, actor):
        check_actor(actor)
        now = clock.now()
        authority, begin, end = check_order(order, now)
        try:
            async with database.begin() as session:
                entry_id = new_id()
                if earlier := await claim(session, now, actor, once, entry_id):
                    return await get_entry(session, earlier)
                await _enter(session, now, actor, order, _row(entry_id, now, order, authority, begin, end))
                return await get_entry(session, entry_id)
        except IntegrityError as error:
            raise TrustDuplicate(named) from error


async def _enter(session: AsyncSession, now: dt.datetime, actor: Actor, order: Proposal, row: TrustEntryRow) -> None:
    living = select(TrustEntryRow.id).where(TrustEntryRow.fingerprint == row.fingerprint, TrustEntryRow.status.in_(LIVING))
    if await session.scalar(living) is not None:
        raise TrustDuplicate(row.subject[:64])
    session.add(row)
    await session.flush([row])
    await _write_history(session, now, row, Move.PROPOSE, None, actor, order.reason)


def _row(
    entry_id: uuid.UUID, now: dt.datetime, order: Proposal, authority: Certificate, begin: dt.datetime, end: dt.datetime
) -> TrustEntryRow:
    return TrustEntryRow(
        id=entry_id,
        fingerprint=fingerprint(authority.encoded),
        certificate=authority.encoded,
        subordinates=[one.hex() for one in order.subordinates],
        subject=authority.name,
        uses=sorted(order.uses),
        scope=order.scope.to_json(),
        valid_from=begin,
        valid_to=end,
        crl_urls=list(order.crl_urls),
        ocsp_urls=list(order.ocsp_urls),
        legal_effect=order.legal_effect,
        source=order.source[:200],
        status=Status.PROPOSED,
        status_since=now,
        created_at=now,
    )


async def approve(database: Database, clock: Clock, actor: Actor, entry_id: uuid.UUID, reason: str, once: Once | None = None) -> Entry:
    """Another person agrees, and the authority is trusted from this instant. Its certificate is looked at once more.

    Raises ``TrustActorRefused``, ``TrustSamePerson``, ``TrustEntryUnknown``, ``TrustMoveNotAllowed`` and what makes a
    certificate unfit.
    """
    async with refusals_audited(database, clock, "keys.trust.approve", f"trust-entry:{entry_id}", actor), database.begin() as session:
        row = await _lock(session, actor, entry_id)
        now = clock.now()
        if await claim(session, now, actor, once, entry_id):
            return await get_entry(session, entry_id)
        check_authority(row.certificate, now, [bytes.fromhex(one) for one in row.subordinates])
        for step in (Move.APPROVE, Move.ACTIVATE):
            await _change(session, now, row, step, actor, reason)
        return await get_entry(session, entry_id)


async def move(
    database: Database, clock: Clock, actor: Actor, entry_id: uuid.UUID, step: Move, reason: str, once: Once | None = None
) -> Entry:
    """Reject, suspend, resume or withdraw an entry, from this instant. Raises as :func:`approve` does."""
    async with refusals_audited(database, clock, f"keys.trust.{step}", f"trust-entry:{entry_id}", actor), database.begin() as session:
        row = await _lock(session, actor, entry_id)
        now = clock.now()
        if not await claim(session, now, actor, once, entry_id):
            await _change(session, now, row, step, actor, reason)
        return await get_entry(session, entry_id)


async def _lock(session: AsyncSession, actor: Actor, entry_id: uuid.UUID) -> TrustEntryRow:
    check_actor(actor)
    row = await session.scalar(select(TrustEntryRow).where(TrustEntryRow.id == entry_id).with_for_update())
    if row is None:
        raise TrustEntryUnknown(str(entry_id))
    return row


async def _change(session: AsyncSession, now: dt.datetime, row: TrustEntryRow, step: Move, actor: Actor, reason: str) -> None:
    """Check the table of moves and who made the other one, update on the old status, write history and audit."""
    old = Status(row.status)
    new = target(old, step)
    if not reason.strip() or len(reason) > MAX_REASON:
        raise TrustProposalInvalid("a reason is required", errors=[{"field": "reason", "message": "required"}])
    await _check_other_person(session, row.id, step, actor)
    at = max(now, row.status_since)  # clocks of two machines may differ; a history does not run backwards
    changed = update(TrustEntryRow).where(TrustEntryRow.id == row.id, TrustEntryRow.status == old)
    if await session.scalar(changed.values(status=new, status_since=at).returning(TrustEntryRow.id)) is None:
        raise TrustChangedMeanwhile(str(row.id))
    await session.refresh(row)
    await _write_history(session, at, row, step, old, actor, reason)


async def _check_other_person(session: AsyncSession, entry_id: uuid.UUID, step: Move, actor: Actor) -> None:
    """Raises :class:`TrustSamePerson` where the last author of the other move is the actor."""
    other = MOVES[step].other_than
    if other is None:
        return
    query = select(TrustChangeRow.actor_id).where(TrustChangeRow.entry_id == entry_id, TrustChangeRow.move == other)
    if await session.scalar(query.order_by(TrustChangeRow.id.desc()).limit(1)) == actor.id:
        raise TrustSamePerson(f"{step} by the person who made {other}")


async def _write_history(
    session: AsyncSession, at: dt.datetime, row: TrustEntryRow, step: Move, old: Status | None, actor: Actor, reason: str
) -> None:
    new = MOVES[step].target
    session.add(TrustChangeRow(entry_id=row.id, move=step, old=old, new=new, at=at, actor_id=actor.id, reason=reason))
    await session.flush()
    details: dict[str, JSON] = {
        "certificate": row.fingerprint.hex(),
        "uses": list[JSON](row.uses),
        "legal_effect": row.legal_effect,
        "from": old,
        "to": new,
        "reason": digest(reason),
    }
    await record(session, at, Event(f"keys.trust.{step}", f"trust-entry:{row.id}", Outcome.DONE, actor, details))


@asynccontextmanager
async def refusals_audited(database: Database, clock: Clock, action: str, subject: str, actor: Actor) -> AsyncIterator[None]:
    """A refusal within is audited in a transaction of its own and goes on."""
    try:
        yield
    except FujieError as error:
        await record_alone(database, clock.now(), Event(action, subject, Outcome.REFUSED, actor, code=error.code))
        raise
