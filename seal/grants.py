"""Grants: who may use a seal, for which matter, type, kind of document, where, when, and how often.

The seal's own organisation grants, through its keeper, or a security administrator of the division. Unattended use has a quota
always; a grant that names none gets :data:`UNATTENDED_QUOTA` a day.
"""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, false, func, select, true

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock, civil_date
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import GrantForbidden, check_grantor, may_grant
from seal.authority_models import GrantCounterRow, WindowRow
from seal.changes import refusals_audited
from seal.divisions import significant
from seal.models import GrantRow, MatterRow, SealRow
from seal.once import SealRequestReused
from seal.policy_facts import REVIEW_EVERY
from seal.policy_hours import check_hours
from seal.reads import Seal, get_application, get_seal

__all__ = [
    "UNATTENDED_QUOTA", "Grant", "GrantAlreadyWithdrawn", "GrantForbidden", "GrantInvalid", "GrantNotFound", "GranteeKind", "StandingGrant",
    "check_grant", "get_grant", "given_before", "grant_use", "grant_values", "grants_of", "list_grants", "locked_grant", "withdraw_grant",
]  # fmt: skip

UNATTENDED_QUOTA = 10_000
"""Uses a day of an unattended grant that names no quota."""
_MOST_NETWORKS = 32


class GranteeKind(StrEnum):
    PERSON = "person"
    CLIENT = "client"
    WINDOW = "window"


class GrantInvalid(InvalidInput):
    code = "SEAL_GRANT_INVALID"
    public = ("用印授权的内容不正确。", "The grant is not well-formed.")


class GrantNotFound(NotFound):
    code = "SEAL_GRANT_NOT_FOUND"
    public = ("没有这项用印授权。", "There is no such grant.")


class GrantAlreadyWithdrawn(Conflict):
    code = "SEAL_GRANT_WITHDRAWN"
    public = ("授权已被收回。", "The grant was withdrawn.")


@dataclass(frozen=True, slots=True)
class Grant:
    """What is granted. ``grantee_id`` is an account's UUID, a ``client_id`` or a window; None means any.

    ``window_id``, ``networks``  where: at this window, from these networks (CIDR)
    ``hours``                    ``mon-fri 08:30-17:30`` in civil time
    ``quota_day``, ``quota_total``  uses on one civil day, and ever
    ``delegable``                how many times a person may hand it on: 0 never, 1 without chains
    """

    seal_code: str
    grantee_kind: str
    grantee_id: str
    matter_code: str
    certificate_type: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime
    unattended: bool = False
    document_kind: str | None = None
    window_id: str | None = None
    networks: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    quota_day: int | None = None
    quota_total: int | None = None
    delegable: int = 1


@dataclass(frozen=True, slots=True)
class StandingGrant:
    """A grant as it stands. ``ancestors``: what it was handed on from; ``review_due``: it lapses then unless confirmed."""

    id: uuid.UUID
    grant: Grant
    ancestors: tuple[uuid.UUID, ...]
    granted_at: dt.datetime
    granted_by: str
    withdrawn_at: dt.datetime | None
    review_due: dt.datetime
    used_today: int
    used_total: int


async def grant_use(session: AsyncSession, now: dt.datetime, actor: Actor, grant: Grant, identifier: uuid.UUID | None = None) -> uuid.UUID:
    """Grant a use; the grant's identifier. With an ``identifier`` of the caller's the same grant again is given once.

    Raises :class:`GrantInvalid`, :class:`GrantForbidden`, ``SealNotFound``, ``SealRequestReused``.
    """
    seal = await get_seal(session, grant.seal_code)
    check_grantor(actor, seal)
    check_grant(grant)
    await _check_names(session, grant, seal)
    if identifier is not None and await given_before(session, identifier, grant_values(identifier, seal.id, grant)):
        return identifier
    identifier = identifier or new_id()
    session.add(GrantRow(**grant_values(identifier, seal.id, grant), granted_at=now, granted_by=actor.id, ancestors=[]))
    await session.flush()
    await audit.record(session, now, Event("seal.grant", f"seal:{seal.id}", Outcome.DONE, actor, _details(identifier, grant)))
    return identifier


async def given_before(session: AsyncSession, identifier: uuid.UUID, values: dict[str, object]) -> bool:
    """Whether this very grant exists; another one under its identifier raises ``SealRequestReused``."""
    row = await session.get(GrantRow, identifier)
    if row is not None and any(getattr(row, name) != value for name, value in values.items()):
        raise SealRequestReused(str(identifier))
    return row is not None


async def withdraw_grant(database: Database, clock: Clock, actor: Actor, grant_id: uuid.UUID) -> None:
    """End a grant now; what was handed on from it, and permits given under it and not yet used, die with it.

    1. lock the grant, waiting for uses under way
    2. read the clock: nothing is dated before what it waited for
    3. a refusal is audited in its own transaction

    A grant that was handed on may also be ended by whoever handed it on, or given back.
    Raises :class:`GrantNotFound`, :class:`GrantAlreadyWithdrawn`, :class:`GrantForbidden`.
    """
    async with refusals_audited(database, clock, "seal.grant.withdraw", f"grant:{grant_id}", actor), database.begin() as session:
        row = await locked_grant(session, grant_id)
        await _check_withdrawer(session, actor, row)
        if row.withdrawn_at is not None:
            raise GrantAlreadyWithdrawn(str(grant_id))
        now = clock.now()
        row.withdrawn_at, row.withdrawn_by = now, actor.id
        event = Event("seal.grant.withdraw", f"seal:{row.seal_id}", Outcome.DONE, actor, {"grant": str(grant_id)})
        await audit.record(session, now, event)


async def locked_grant(session: AsyncSession, grant_id: uuid.UUID) -> GrantRow:
    """The grant's row, held against every use until the transaction ends. Raises :class:`GrantNotFound`."""
    query = select(GrantRow).where(GrantRow.id == grant_id).with_for_update().execution_options(populate_existing=True)
    row = await session.scalar(query)
    if row is None:
        raise GrantNotFound(str(grant_id))
    return row


async def _check_withdrawer(session: AsyncSession, actor: Actor, row: GrantRow) -> None:
    if may_grant(actor, await get_application(session, row.seal_id)):
        return
    holders = select(GrantRow.id).where(GrantRow.id.in_(row.ancestors), GrantRow.grantee_id == actor.id, GrantRow.grantee_kind == "person")
    handed_on = bool(row.ancestors) and (row.grantee_id == actor.id or await session.scalar(holders) is not None)
    if actor.kind is not ActorKind.PERSON or not handed_on:
        raise GrantForbidden(f"{actor.id} and grant {row.id}")


async def grants_of(session: AsyncSession, *, grantee_kind: str, grantee_id: str) -> list[tuple[uuid.UUID, Grant]]:
    """Grants not withdrawn, oldest first."""
    query = (
        select(GrantRow, SealRow.code)
        .join(SealRow, SealRow.id == GrantRow.seal_id)
        .where(GrantRow.grantee_kind == grantee_kind, GrantRow.grantee_id == grantee_id, GrantRow.withdrawn_at.is_(None))
        .order_by(GrantRow.id)
    )
    return [(row.id, _view(row, code or "")) for row, code in await session.execute(query)]


async def list_grants(
    session: AsyncSession,
    now: dt.datetime,
    *,
    seal_code: str | None = None,
    organisation: str | None = None,
    division: str | None = None,
    review_due_by: dt.datetime | None = None,
    after: uuid.UUID | None = None,
    limit: int = 50,
    withdrawn: bool = False,
) -> list[StandingGrant]:
    """Grants on a seal, or on the seals of an organisation or of a division, oldest first, from the one after ``after`` on."""
    day, ever = (
        select(GrantCounterRow.used).where(GrantCounterRow.grant_id == GrantRow.id, GrantCounterRow.period == period).scalar_subquery()
        for period in (civil_date(now).isoformat(), "total")
    )
    query = (
        select(GrantRow, SealRow.code, func.coalesce(day, 0), func.coalesce(ever, 0))
        .join(SealRow, SealRow.id == GrantRow.seal_id)
        .where(
            SealRow.code == seal_code if seal_code is not None else _of(organisation, division),
            true() if withdrawn else GrantRow.withdrawn_at.is_(None),
        )
        .order_by(GrantRow.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(GrantRow.id > after)
    if review_due_by is not None:
        last = func.coalesce(GrantRow.reviewed_at, GrantRow.granted_at)
        query = query.where(and_(last <= review_due_by - REVIEW_EVERY, GrantRow.valid_to >= now))
    return [_standing(row, code or "", today, total) for row, code, today, total in await session.execute(query)]


def _of(organisation: str | None, division: str | None) -> ColumnElement[bool]:
    """Seals of the organisation, or of the division and those below it."""
    own = SealRow.organisation == organisation if organisation is not None else false()
    return own if division is None else own | SealRow.division.startswith(significant(division), autoescape=True)


async def get_grant(session: AsyncSession, grant_id: uuid.UUID) -> tuple[Grant, Seal]:
    """A grant and its seal. Raises :class:`GrantNotFound`."""
    row = await session.get(GrantRow, grant_id)
    if row is None:
        raise GrantNotFound(str(grant_id))
    seal = await get_application(session, row.seal_id)
    return _view(row, seal.code), seal


def _standing(row: GrantRow, code: str, today: int, total: int) -> StandingGrant:
    return StandingGrant(
        id=row.id,
        grant=_view(row, code),
        ancestors=tuple(row.ancestors),
        granted_at=row.granted_at,
        granted_by=row.granted_by,
        withdrawn_at=row.withdrawn_at,
        review_due=(row.reviewed_at or row.granted_at) + REVIEW_EVERY,
        used_today=today,
        used_total=total,
    )


_PLAIN = (
    "grantee_kind", "grantee_id", "matter_code", "certificate_type", "valid_from", "valid_to", "unattended", "document_kind", "window_id",
    "quota_day", "quota_total", "delegable",
)  # fmt: skip


def _view(row: GrantRow, code: str) -> Grant:
    plain = {name: getattr(row, name) for name in _PLAIN}
    return Grant(seal_code=code, **plain, networks=tuple(row.networks), hours=tuple(row.hours))


def grant_values(identifier: uuid.UUID, seal_id: uuid.UUID, grant: Grant) -> dict[str, object]:
    """The columns of a new grant; ``ancestors`` and who granted it when are the caller's."""
    values = {name: getattr(grant, name) for name in _PLAIN}
    without = grant.quota_day is None and grant.quota_total is None
    if grant.unattended and without:
        values["quota_day"] = UNATTENDED_QUOTA
    lists = {"networks": list(grant.networks), "hours": list(check_hours(grant.hours))}
    return {"id": identifier, "seal_id": seal_id, **values, **lists}


def check_grant(grant: Grant) -> None:
    """Raises :class:`GrantInvalid`, and ``InvalidInput`` for hours that cannot be read."""
    faults = {
        "grantee_kind": grant.grantee_kind not in set(GranteeKind),
        "grantee_id": not grant.grantee_id,
        "valid_to": grant.valid_from.tzinfo is None or grant.valid_to.tzinfo is None or grant.valid_from >= grant.valid_to,
        "quota_day": grant.quota_day is not None and grant.quota_day < 1,
        "quota_total": grant.quota_total is not None and grant.quota_total < 1,
        "delegable": not 0 <= grant.delegable <= 3,
        "networks": len(grant.networks) > _MOST_NETWORKS or not all(map(is_network, grant.networks)),
        "unattended": grant.unattended and (grant.grantee_kind == GranteeKind.WINDOW or grant.window_id is not None),
    }
    if wrong := [field for field, found in faults.items() if found]:
        raise GrantInvalid(", ".join(wrong), errors=[{"field": field, "message": "not well-formed"} for field in wrong])
    check_hours(grant.hours)


def is_network(text: str) -> bool:
    """A network as CIDR, without bits beyond its prefix."""
    try:
        return bool(ipaddress.ip_network(text))
    except ValueError:
        return False


async def _check_names(session: AsyncSession, grant: Grant, seal: Seal) -> None:
    organisation = await session.scalar(select(MatterRow.organisation).where(MatterRow.code == grant.matter_code))
    if organisation != seal.organisation:
        raise GrantInvalid(f"matter {grant.matter_code[:40]!r} is not one of the seal's organisation")
    for window in _windows_named(grant):
        if await session.scalar(select(WindowRow.id).where(WindowRow.id == window, WindowRow.closed_at.is_(None))) is None:
            raise GrantInvalid(f"no window {window[:40]!r}", errors=[{"field": "window_id", "message": "no such window"}])


def _windows_named(grant: Grant) -> Iterable[str]:
    if grant.grantee_kind == GranteeKind.WINDOW:
        yield grant.grantee_id
    if grant.window_id is not None:
        yield grant.window_id


def _details(identifier: uuid.UUID, grant: Grant) -> dict[str, audit.JSON]:
    return {
        "grant": str(identifier),
        "grantee": f"{grant.grantee_kind}:{grant.grantee_id}",
        "matter": grant.matter_code,
        "certificate_type": grant.certificate_type,
        "document_kind": grant.document_kind,
        "window": grant.window_id,
        "valid_from": grant.valid_from.isoformat(),
        "valid_to": grant.valid_to.isoformat(),
        "unattended": grant.unattended,
        "quota_day": grant.quota_day,
        "quota_total": grant.quota_total,
        "delegable": grant.delegable,
    }
