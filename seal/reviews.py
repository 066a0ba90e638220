"""The yearly review of authorisations: each grant is confirmed within 366 days, or it lapses (``GRANT_REVIEW_OVERDUE``)."""

import datetime as dt
import uuid

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Forbidden
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import check_grantor
from seal.changes import refusals_audited
from seal.grants import GrantAlreadyWithdrawn, StandingGrant, list_grants, locked_grant
from seal.policy_facts import REVIEW_EVERY
from seal.reads import get_application

AHEAD = dt.timedelta(days=30)
"""How long before it lapses a grant is on the list."""


class ReviewOfOwnGrant(Forbidden):
    code = "SEAL_REVIEW_OF_OWN_GRANT"
    public = ("不得复核授予自己的用印权。", "Nobody confirms a grant to themselves.")


async def due_reviews(
    session: AsyncSession, now: dt.datetime, *, organisation: str, after: uuid.UUID | None = None, limit: int = 50
) -> list[StandingGrant]:
    """Grants on the organisation's seals that lapse within a month or have lapsed, oldest first."""
    return await list_grants(session, now, organisation=organisation, review_due_by=now + AHEAD, after=after, limit=limit)


async def confirm_grant(database: Database, clock: Clock, actor: Actor, grant_id: uuid.UUID, note: str = "") -> dt.datetime:
    """The grant is still needed: it stands for another year; when the next review is due. ``note`` enters the audit as a digest.

    Raises ``GrantNotFound``, ``GrantForbidden``, ``GrantAlreadyWithdrawn``, :class:`ReviewOfOwnGrant`.
    """
    async with refusals_audited(database, clock, "seal.grant.confirm", f"grant:{grant_id}", actor), database.begin() as session:
        row = await locked_grant(session, grant_id)
        check_grantor(actor, await get_application(session, row.seal_id))
        if row.grantee_id == actor.id:
            raise ReviewOfOwnGrant(str(grant_id))
        if row.withdrawn_at is not None:
            raise GrantAlreadyWithdrawn(str(grant_id))
        now = clock.now()
        row.reviewed_at, row.reviewed_by = now, actor.id
        details: dict[str, audit.JSON] = {"grant": str(grant_id), "note": audit.digest(note)}
        await audit.record(session, now, Event("seal.grant.confirm", f"seal:{row.seal_id}", Outcome.DONE, actor, details))
    return now + REVIEW_EVERY
