"""Delegation: an approver hands a grant of their own to a colleague for a while, never wider than it is.

What is handed on names what it came from (``ancestors``); a use must be covered by every one of them, and counts under the
quota of every one. So whatever happens to the grant above, its withdrawal first of all, acts on this one at the same instant.
Chains are only as long as the grant says (``delegable``; 1: to a colleague, not further).
"""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import requirements_of
from seal.changes import refusals_audited
from seal.grants import Grant, GranteeKind, GrantInvalid, check_grant, get_grant, given_before, grant_values, locked_grant
from seal.models import GrantRow
from seal.policy_hours import minutes_of_week
from seal.reads import Seal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class DelegationForbidden(Forbidden):
    code = "SEAL_DELEGATION_FORBIDDEN"
    public = ("只有被授权的审批人本人可以转授权。", "Only the approver who holds the grant may hand it on.")


class DelegationWider(Conflict):
    """``extra['field']`` names where it would be wider."""

    code = "SEAL_DELEGATION_WIDER"
    public = ("转授权的范围不得超出本人的授权。", "What is handed on may not be wider than the grant itself.")


class DelegationNotAllowed(Conflict):
    code = "SEAL_DELEGATION_NOT_ALLOWED"
    public = ("该授权不得（再）转授他人。", "This grant may not be handed on (any further).")


class DelegationFromNothing(Conflict):
    code = "SEAL_DELEGATION_FROM_NOTHING"
    public = ("该授权已失效，不能转授。", "The grant no longer stands, so it cannot be handed on.")


@dataclass(frozen=True, slots=True)
class Delegation:
    """To whom (an account's UUID), from when until when; what is None or empty stays as the grant above has it.

    ``further``: how many times the colleague may hand it on again.
    """

    grant_id: uuid.UUID
    to: str
    valid_from: dt.datetime
    valid_to: dt.datetime
    certificate_type: str | None = None
    document_kind: str | None = None
    networks: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    quota_day: int | None = None
    quota_total: int | None = None
    further: int = 0


async def delegate(database: Database, clock: Clock, actor: Actor, wanted: Delegation, identifier: uuid.UUID | None = None) -> uuid.UUID:
    """Hand a grant on; the new grant's identifier, the caller's own if given: the same again is handed on once.

    1. hold the grant above, read the clock
    2. it is the actor's own, as an approver logged in as the seal demands; it stands and may be handed on
    3. what is handed on lies within it
    4. write it and its audit entry; a refusal is audited in its own transaction

    Raises ``GrantNotFound``, ``GrantInvalid``, :class:`DelegationForbidden`, :class:`DelegationNotAllowed`,
    :class:`DelegationFromNothing`, :class:`DelegationWider`.
    """
    async with refusals_audited(database, clock, "seal.grant.delegate", f"grant:{wanted.grant_id}", actor), database.begin() as session:
        row = await locked_grant(session, wanted.grant_id)
        above, seal = await get_grant(session, wanted.grant_id)
        await _check_holder(session, actor, above, seal)
        now = clock.now()
        await _check_standing(session, row, now)
        _check_depth(above, wanted)
        await _check_colleague(session, row, actor, wanted)
        made = below(above, wanted)
        check_grant(made)
        require_within(made, above)
        if identifier is not None and await given_before(session, identifier, grant_values(identifier, row.seal_id, made)):
            return identifier
        return await _write(session, now, actor, row, made, identifier or new_id())


def below(above: Grant, wanted: Delegation) -> Grant:
    """The grant that is handed on: the one above, with what was asked to be narrower."""
    return replace(
        above,
        grantee_kind=GranteeKind.PERSON,
        grantee_id=wanted.to,
        valid_from=wanted.valid_from,
        valid_to=wanted.valid_to,
        certificate_type=wanted.certificate_type or above.certificate_type,
        document_kind=wanted.document_kind or above.document_kind,
        networks=wanted.networks or above.networks,
        hours=wanted.hours or above.hours,
        quota_day=wanted.quota_day or above.quota_day,
        quota_total=wanted.quota_total or above.quota_total,
        unattended=False,
        delegable=wanted.further,
    )


def require_within(made: Grant, above: Grant) -> None:
    """Raises :class:`DelegationWider` with the first member that is wider."""
    wider = {
        "valid_from": made.valid_from < above.valid_from,
        "valid_to": made.valid_to > above.valid_to,
        "certificate_type": above.certificate_type not in (None, made.certificate_type),
        "document_kind": above.document_kind not in (None, made.document_kind),
        "networks": not _networks_within(made.networks, above.networks),
        "hours": bool(above.hours) and not minutes_of_week(made.hours) <= minutes_of_week(above.hours),
        "quota_day": above.quota_day is not None and (made.quota_day or 0) > above.quota_day,
        "quota_total": above.quota_total is not None and (made.quota_total or 0) > above.quota_total,
    }
    field = next((name for name, found in wider.items() if found), None)
    if field is not None:
        raise DelegationWider(field, field=field)


def _networks_within(made: Sequence[str], above: Sequence[str]) -> bool:
    """Each must be one of those above or lie in one: rules ask both, so a wider one would only mislead."""
    if not above:
        return True
    outer = [ipaddress.ip_network(one) for one in above]
    return all(any(_inside(ipaddress.ip_network(one), other) for other in outer) for one in made)


def _inside(network: Network, other: Network) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and network.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and network.subnet_of(other)


async def _check_holder(session: AsyncSession, actor: Actor, above: Grant, seal: Seal) -> None:
    required = await requirements_of(session, seal.id)
    sure = actor.assurance >= required.assurance and actor.authenticator >= required.authenticator
    own = above.grantee_kind == GranteeKind.PERSON and above.grantee_id == actor.id and actor.kind is ActorKind.PERSON
    if not (own and sure and Role.APPROVER in actor.roles and actor.organisation == seal.organisation):
        raise DelegationForbidden(f"{actor.id} and seal {seal.code}")


async def _check_standing(session: AsyncSession, row: GrantRow, now: dt.datetime) -> None:
    chain = [row, *(await session.scalars(select(GrantRow).where(GrantRow.id.in_(row.ancestors))))]
    if any(one.withdrawn_at is not None or now > one.valid_to for one in chain):
        raise DelegationFromNothing(str(row.id))


def _check_depth(above: Grant, wanted: Delegation) -> None:
    if not 0 <= wanted.further < above.delegable:
        raise DelegationNotAllowed(f"{above.delegable} further, {wanted.further} asked for")


async def _check_colleague(session: AsyncSession, row: GrantRow, actor: Actor, wanted: Delegation) -> None:
    """Not to oneself, and not back to somebody it came from."""
    before = set(await session.scalars(select(GrantRow.grantee_id).where(GrantRow.id.in_(row.ancestors))))
    if wanted.to in before | {actor.id}:
        raise GrantInvalid("handed to oneself", errors=[{"field": "to", "message": "a colleague, not oneself"}])


async def _write(session: AsyncSession, now: dt.datetime, actor: Actor, above: GrantRow, made: Grant, identifier: uuid.UUID) -> uuid.UUID:
    values = grant_values(identifier, above.seal_id, made)
    session.add(GrantRow(**values, ancestors=[*above.ancestors, above.id], granted_at=now, granted_by=actor.id))
    await session.flush()
    details: dict[str, audit.JSON] = {
        "grant": str(identifier),
        "from": str(above.id),
        "to": made.grantee_id,
        "valid_from": made.valid_from.isoformat(),
        "valid_to": made.valid_to.isoformat(),
        "further": made.delegable,
    }
    await audit.record(session, now, Event("seal.grant.delegate", f"seal:{above.seal_id}", Outcome.DONE, actor, details))
    return identifier
