"""The review of an application for a seal: two people, neither of them the applicant, one after the other (电子印章管理办法).

1. hold the application: two reviewers at once come one after the other
2. the reviewer is not the applicant, and not the one who agreed before
3. the first to agree examines, the second reviews; either may reject, which ends it
4. a refusal is audited in its own transaction
"""

import uuid

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import Forbidden
from seal.changes import change_status, check_mover, lock_application, refusals_audited
from seal.lifecycle import Move, Status
from seal.models import SealRow
from seal.motives import Why
from seal.once import Once, claimed_before
from seal.reads import Seal, seal_view


class ReviewerIsApplicant(Forbidden):
    code = "SEAL_REVIEWER_IS_APPLICANT"
    public = ("申请人不得审核自己的申请。", "Nobody reviews their own application.")


class ReviewedTwice(Forbidden):
    """The second review takes another person than the first."""

    code = "SEAL_REVIEWED_TWICE"
    public = ("复审须由初审人以外的人进行。", "The second review takes another person than the first.")


async def review_seal(
    database: Database,
    clock: Clock,
    reviewer: Actor,
    seal_id: uuid.UUID,
    *,
    approved: bool = True,
    reason: Why | str = "",
    once: Once | None = None,
) -> Seal:
    """Agree or refuse. Raises :class:`ReviewerIsApplicant`, :class:`ReviewedTwice`, ``MayNotMoveSeal``, ``MoveNotAllowed``."""
    move = Move.REVIEW if approved else Move.REJECT
    async with refusals_audited(database, clock, f"seal.{move}", f"seal:{seal_id}", reviewer), database.begin() as session:
        row = await lock_application(session, seal_id)
        seal = seal_view(row)
        if await claimed_before(session, clock.now(), reviewer, once, seal.id):
            return seal
        check_mover(reviewer, move, organisation=seal.organisation, division=seal.division)
        step = _step(row, reviewer) if approved else Move.REJECT
        _sign(row, reviewer, step)
        await session.flush()
        return await change_status(session, clock.now(), seal, step, reviewer, reason)


def _step(row: SealRow, reviewer: Actor) -> Move:
    if reviewer.id == row.applicant:
        raise ReviewerIsApplicant(f"{reviewer.id} applied for seal {row.id}")
    if Status(row.status) is not Status.EXAMINED:
        return Move.EXAMINE if Status(row.status) is Status.APPLIED else Move.REVIEW
    if reviewer.id == row.reviewer:
        raise ReviewedTwice(f"{reviewer.id} examined seal {row.id}")
    return Move.REVIEW


def _sign(row: SealRow, reviewer: Actor, step: Move) -> None:
    if reviewer.id == row.applicant:
        raise ReviewerIsApplicant(f"{reviewer.id} applied for seal {row.id}")
    if Status(row.status) is Status.APPLIED:
        row.reviewer = reviewer.id
    elif step is not Move.EXAMINE:
        row.second_reviewer = reviewer.id
