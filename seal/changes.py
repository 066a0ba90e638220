"""The one place that moves a seal from status to status, and the journeys that do nothing else.

:func:`change_status` checks the table of moves, updates on the old status, writes the history and the audit entry, all in
the caller's transaction. The row lock it takes excludes every running use (``seal.permits``): when the transaction of a
suspension has committed, no use that had not committed before can follow.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, update

from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.certificate_status import follow_with_certificates
from seal.divisions import covers
from seal.lifecycle import MOVES, Move, Status, target
from seal.models import SealRow, StatusChangeRow
from seal.motives import Why, checked
from seal.notices import add_notice, warn_of_endings
from seal.once import Once, claimed_before
from seal.reads import Seal, SealNotFound, seal_view, standing

FEED_LOCK = 0x5EA1FEED


class SealChangedMeanwhile(Conflict):
    code = "SEAL_CHANGED_MEANWHILE"
    public = ("印章状态刚刚被他人更改，请刷新后再试。", "Somebody else has just changed the seal. Reload and try again.")


class MayNotMoveSeal(Forbidden):
    code = "SEAL_MOVE_FORBIDDEN"
    public = ("您没有权限对此印章执行该操作。", "You may not do this to this seal.")


REVIEWS = frozenset({Move.EXAMINE, Move.REVIEW, Move.REJECT})


def check_mover(actor: Actor, move: Move, *, organisation: str, division: str) -> None:
    """Who may move a seal: a role of the table, within the division; a keeper only within the own organisation.

    The system itself may do what an administrator ordered on the machine, but never review. Raises :class:`MayNotMoveSeal`.
    """
    if actor.kind is ActorKind.SYSTEM:
        if move in REVIEWS:
            raise MayNotMoveSeal("a review takes a person")
        return
    held = actor.roles & (MOVES[Move.ACTIVATE] if move is Move.REPLACE else MOVES[move]).roles  # what replaces it is activated
    if actor.kind is not ActorKind.PERSON or not held or not covers(actor.division, division):
        raise MayNotMoveSeal(f"{move} takes one of {sorted(MOVES[move].roles)} in the seal's division")
    if held <= {"seal_keeper"} and actor.organisation != organisation:
        raise MayNotMoveSeal("a keeper keeps the seals of the own organisation")


async def change_status(
    session: AsyncSession,
    now: dt.datetime,
    seal: Seal,
    move: Move,
    actor: Actor,
    reason: Why | str = "",
    *,
    since: dt.datetime | None = None,
) -> Seal:
    """Move ``seal`` on. ``since``: when it counts from, where that is not ``now``. Raises ``MoveNotAllowed``, :class:`MayNotMoveSeal`,
    :class:`SealChangedMeanwhile`, ``SealReasonUnsuitable`` and ``SealDocumentsMalformed``.
    """
    check_mover(actor, move, organisation=seal.organisation, division=seal.division)
    present = seal.status if move is Move.EXPIRE else standing(seal.status, seal.valid_to, now)
    new, told = target(present, move), checked(reason, move)
    at = max(since or now, seal.status_since)  # clocks of two machines may differ; a history does not run backwards
    statement = (
        update(SealRow)
        .where(SealRow.id == seal.id, SealRow.status == seal.status)
        .values(status=new, status_since=at)
        .returning(SealRow)
        .execution_options(populate_existing=True)
    )
    row = await session.scalar(statement)
    if row is None:
        raise SealChangedMeanwhile(f"{seal.id} is no longer {seal.status}")
    await write_history(session, now, Step(seal, move, seal.status, at, actor, told))
    await follow_with_certificates(session, now, seal, move, told, actor)
    return seal_view(row)


@dataclass(frozen=True, slots=True)
class Step:
    """One move as its history tells it; ``at`` is when it counts from."""

    seal: Seal
    move: Move
    old: Status | None
    at: dt.datetime
    actor: Actor
    reason: Why


async def write_history(session: AsyncSession, now: dt.datetime, step: Step) -> None:
    """One row of history, the notice to the holder and the audit entry.

    Whoever reads the history as a feed waits for the lock that is shared here: no number is committed behind one that was read.
    """
    await session.execute(select(func.pg_advisory_xact_lock_shared(FEED_LOCK)))
    seal, move, actor, reason = step.seal, step.move, step.actor, step.reason
    documents: list[audit.JSON] = [one.to_json() for one in reason.papers]
    change = StatusChangeRow(
        seal_id=seal.id,
        move=move,
        old=step.old,
        new=MOVES[move].target,
        at=step.at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        reason=reason.text,
        reason_code=reason.code,
        documents=documents,
        recorded_at=now,
    )
    session.add(change)
    add_notice(session, seal.id, seal.organisation, move, step.at, reason)
    details: dict[str, audit.JSON] = {
        "code": seal.code,
        "from": step.old,
        "to": MOVES[move].target,
        "reason_code": reason.code,
        "reason": audit.digest(reason.text),
        "documents": [one.sha256.hex() for one in reason.papers],
    }
    await audit.record(session, now, Event(f"seal.{move}", f"seal:{seal.id}", Outcome.DONE, actor, details))


@asynccontextmanager
async def refusals_audited(database: Database, clock: Clock, action: str, subject: str, actor: Actor) -> AsyncIterator[None]:
    """A refusal within is audited in a transaction of its own and goes on."""
    try:
        yield
    except FujieError as error:
        await audit.record_alone(database, clock.now(), Event(action, subject, Outcome.REFUSED, actor, code=error.code))
        raise


async def lock_seal(session: AsyncSession, code: str) -> Seal:
    """The seal, held against every use and change until the transaction ends."""
    row = await session.scalar(select(SealRow).where(SealRow.code == code).with_for_update())
    if row is None:
        raise SealNotFound(code)
    return seal_view(row)


async def move_seal(
    database: Database, clock: Clock, actor: Actor, code: str, move: Move, reason: Why | str, once: Once | None = None
) -> Seal:
    """A move of a made seal.

    1. the same request again: the seal as it is now
    2. lock the seal, waiting for uses under way
    3. read the clock: nothing is dated before what it waited for
    4. move it; its certificates follow (:mod:`seal.certificate_status`)
    5. a refusal is audited in its own transaction
    """
    async with refusals_audited(database, clock, f"seal.{move}", f"seal-code:{code[:20]}", actor), database.begin() as session:
        if move not in ALONE:
            raise MayNotMoveSeal(f"{move} is part of a journey of its own")
        seal = await lock_seal(session, code)
        if await claimed_before(session, clock.now(), actor, once, seal.id):
            return seal
        return await change_status(session, clock.now(), seal, move, actor, reason)


ALONE = frozenset({Move.FILE, Move.SUSPEND, Move.RESUME, Move.REPORT_LOST, Move.CANCEL, Move.FILE_CANCELLATION})
"""The moves that are nothing but a move."""


async def suspend_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str) -> Seal:
    """From this instant the seal stamps nothing."""
    return await move_seal(database, clock, actor, code, Move.SUSPEND, reason)


async def resume_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str) -> Seal:
    return await move_seal(database, clock, actor, code, Move.RESUME, reason)


async def report_seal_lost(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str) -> Seal:
    """Control over the seal was lost: it stamps nothing any more and its certificates are revoked."""
    return await move_seal(database, clock, actor, code, Move.REPORT_LOST, reason)


async def cancel_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str) -> Seal:
    """The end of the seal; its code is never given again."""
    return await move_seal(database, clock, actor, code, Move.CANCEL, reason)


async def file_cancellation(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str = "") -> Seal:
    """The cancellation is filed: nothing follows."""
    return await move_seal(database, clock, actor, code, Move.FILE_CANCELLATION, reason)


async def expire_seals(database: Database, clock: Clock, *, most: int = 200) -> list[str]:
    """The seals whose period is over end, each from the end of its period on; keepers are warned of those that are about to.

    In the background, and by ``fujie seal expire``. Safe in several processes. Answers the codes.
    """
    async with database.begin() as session:
        await warn_of_endings(session, clock.now())
        due = select(SealRow.id).where(SealRow.valid_to < clock.now(), SealRow.status.in_(MOVES[Move.EXPIRE].sources)).limit(most)
        found = list(await session.scalars(due))
    return [code for seal_id in found if (code := await _expire(database, clock, seal_id))]


async def _expire(database: Database, clock: Clock, seal_id: uuid.UUID) -> str | None:
    async with database.begin() as session:
        seal, now = seal_view(await lock_application(session, seal_id)), clock.now()
        if seal.status not in MOVES[Move.EXPIRE].sources or seal.valid_to >= now:
            return None  # somebody was quicker
        return (await change_status(session, now, seal, Move.EXPIRE, SYSTEM, since=seal.valid_to)).code


async def lock_application(session: AsyncSession, seal_id: uuid.UUID) -> SealRow:
    """The row of a seal on its way to being made, held until the transaction ends."""
    row = await session.scalar(select(SealRow).where(SealRow.id == seal_id).with_for_update())
    if row is None:
        raise SealNotFound(str(seal_id))
    return row
