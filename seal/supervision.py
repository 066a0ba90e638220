"""What supervision looks at, over all seals within somebody's sight at once: alerts, and authorisations due for their yearly review.

Keepers see the seals of their organisation; security administrators and auditors those of their division, an organisation's own
auditors those of the organisation (``seal.authority_access``). Acting is for :func:`seal.alerts.acknowledge`,
:func:`seal.reviews.confirm_grant` and :func:`seal.grants.withdraw_grant`, which ask again.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, or_, select

from keys.base.actor import Actor, Role
from keys.base.db import AsyncSession
from seal.alerts import Alert
from seal.authority_access import SURE, AuthorityHidden, check_reader, may_grant
from seal.authority_models import AlertRow
from seal.divisions import is_division, significant
from seal.grants import StandingGrant, list_grants
from seal.models import SealRow
from seal.reads import Seal, seal_view
from seal.reviews import AHEAD

SUPERVISORS = frozenset({Role.SEAL_KEEPER, Role.SECURITY_ADMIN, Role.AUDITOR})


@dataclass(frozen=True, slots=True)
class SealAlert:
    """An alert with its seal. ``answerable``: this reader may answer it."""

    alert: Alert
    seal: Seal
    answerable: bool


def require_supervisor(actor: Actor) -> None:
    """Raises :class:`AuthorityHidden`."""
    if actor.authenticator < SURE or not actor.roles & SUPERVISORS:
        raise AuthorityHidden(f"{actor.id} supervises no seals")


async def alerts_within(session: AsyncSession, actor: Actor, *, answered: bool = False, limit: int = 50) -> list[SealAlert]:
    """Alerts that nobody answered yet, or those that were, the latest first. Raises :class:`AuthorityHidden`."""
    require_supervisor(actor)
    query = (
        select(AlertRow, SealRow)
        .join(SealRow, SealRow.id == AlertRow.seal_id)
        .where(_within(actor), AlertRow.acknowledged_at.is_not(None) if answered else AlertRow.acknowledged_at.is_(None))
        .order_by(AlertRow.at.desc(), AlertRow.id.desc())
        .limit(limit)
    )
    found = [(_alert(row, seal.code or ""), seal_view(seal)) for row, seal in await session.execute(query)]
    return [SealAlert(alert, seal, may_grant(actor, seal)) for alert, seal in found if _may_read(actor, seal)]


async def reviews_within(session: AsyncSession, actor: Actor, now: dt.datetime, *, limit: int = 50) -> list[StandingGrant]:
    """Authorisations that lapse within a month or have lapsed, oldest first: for who may confirm or withdraw them.

    Raises :class:`AuthorityHidden`.
    """
    require_supervisor(actor)
    organisation = actor.organisation if Role.SEAL_KEEPER in actor.roles else None
    division = actor.division if Role.SECURITY_ADMIN in actor.roles else None
    if organisation is None and division is None:
        return []
    return await list_grants(session, now, organisation=organisation, division=division, review_due_by=now + AHEAD, limit=limit)


def _within(actor: Actor) -> ColumnElement[bool]:
    """No more than the seals of the reader's organisation and division; :func:`check_reader` says which of them."""
    division = actor.division or ""
    wide = bool(actor.roles & {Role.SECURITY_ADMIN, Role.AUDITOR}) and is_division(division)
    return or_(
        SealRow.organisation == actor.organisation if actor.organisation else false(),
        SealRow.division.startswith(significant(division), autoescape=True) if wide else false(),
    )


def _may_read(actor: Actor, seal: Seal) -> bool:
    try:
        check_reader(actor, seal)
    except AuthorityHidden:
        return False
    return True


def _alert(row: AlertRow, code: str) -> Alert:
    return Alert(row.id, code, row.rule, row.at, row.details, row.acknowledged_at, row.acknowledged_by, row.note)
