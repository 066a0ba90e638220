"""The one place that moves a seal from status to status, and the journeys that do nothing else.

:func:`change_status` checks the table of moves, updates on the old status, writes the history and the audit entry, all in
the caller's transaction. The row lock it takes excludes every running use (``seal.permits``): when the transaction of a
suspension has committed, no use that had not committed before can follow.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select, update

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from keys.pki.reads import certificate_ends
from keys.pki.status import RevocationReason, revoke
from keys.trust.certificates import fingerprint
from keys.trust.reads import external_chain_of
from seal.divisions import covers
from seal.lifecycle import MOVES, Move, Status, target
from seal.models import MadeSealRow, SealRow, StatusChangeRow
from seal.reads import Seal, SealNotFound, seal_view


class SealChangedMeanwhile(Conflict):
    code = "SEAL_CHANGED_MEANWHILE"
    public = ("印章状态刚刚被他人更改，请刷新后再试。", "Somebody else has just changed the seal. Reload and try again.")


class MayNotMoveSeal(Forbidden):
    code = "SEAL_MOVE_FORBIDDEN"
    public = ("您没有权限对此印章执行该操作。", "You may not do this to this seal.")


def check_mover(actor: Actor, move: Move, *, organisation: str, division: str) -> None:
    """Who may move a seal: a role of the table, within the division; a keeper only within the own organisation.

    The system itself may do what an administrator ordered on the machine, but never review. Raises :class:`MayNotMoveSeal`.
    """
    if actor.kind is ActorKind.SYSTEM:
        if move in (Move.REVIEW, Move.REJECT):
            raise MayNotMoveSeal("a review takes a person")
        return
    held = actor.roles & MOVES[move].roles
    if actor.kind is not ActorKind.PERSON or not held or not covers(actor.division, division):
        raise MayNotMoveSeal(f"{move} takes one of {sorted(MOVES[move].roles)} in the seal's division")
    if held <= {"seal_keeper"} and actor.organisation != organisation:
        raise MayNotMoveSeal("a keeper keeps the seals of the own organisation")


async def change_status(session: AsyncSession, now: dt.datetime, seal: Seal, move: Move, actor: Actor, reason: str = "") -> Seal:
    """Move ``seal`` on. Raises ``MoveNotAllowed``, :class:`MayNotMoveSeal`, :class:`SealChangedMeanwhile`."""
    check_mover(actor, move, organisation=seal.organisation, division=seal.division)
    new = target(seal.status, move)
    at = max(now, seal.status_since)  # clocks of two machines may differ; a history does not run backwards
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
    await write_history(session, at, seal, move, seal.status, actor, reason)
    return seal_view(row)


async def write_history(
    session: AsyncSession, at: dt.datetime, seal: Seal, move: Move, old: Status | None, actor: Actor, reason: str
) -> None:
    """One row of history and its audit entry."""
    new = MOVES[move].target
    session.add(
        StatusChangeRow(seal_id=seal.id, move=move, old=old, new=new, at=at, actor_kind=actor.kind, actor_id=actor.id, reason=reason)
    )
    details: dict[str, audit.JSON] = {"code": seal.code, "from": old, "to": new, "reason": audit.digest(reason)}
    await audit.record(session, at, Event(f"seal.{move}", f"seal:{seal.id}", Outcome.DONE, actor, details))


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


async def move_seal(database: Database, clock: Clock, actor: Actor, code: str, move: Move, reason: str) -> Seal:
    """A move of a made seal.

    1. lock the seal, waiting for uses under way
    2. read the clock: nothing is dated before what it waited for
    3. move it; where it is lost, revoke its certificates
    4. a refusal is audited in its own transaction
    """
    async with refusals_audited(database, clock, f"seal.{move}", f"seal-code:{code}", actor), database.begin() as session:
        seal = await lock_seal(session, code)
        moved = await change_status(session, clock.now(), seal, move, actor, reason)
        if move is Move.REPORT_LOST:
            await _revoke_certificates(session, moved, actor)
        return moved


async def _revoke_certificates(session: AsyncSession, seal: Seal, actor: Actor) -> None:
    """Whoever holds a lost seal holds its keys: both certificates are revoked from the same instant.

    One that somebody else issued is theirs to revoke: the audit log says which has to be reported to its authority.
    """
    made = await session.get_one(MadeSealRow, seal.id)
    for certificate in (made.signer_certificate, made.sm_certificate):
        if await external_chain_of(session, certificate) is None:
            await revoke(session, seal.status_since, certificate_ends(certificate).serial, RevocationReason.KEY_COMPROMISE)
        else:
            details: dict[str, audit.JSON] = {"certificate": fingerprint(certificate).hex()}
            event = Event("seal.revocation_due_elsewhere", f"seal:{seal.id}", Outcome.DONE, actor, details)
            await audit.record(session, seal.status_since, event)


async def suspend_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: str) -> Seal:
    """From this instant the seal stamps nothing."""
    return await move_seal(database, clock, actor, code, Move.SUSPEND, reason)


async def resume_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: str) -> Seal:
    return await move_seal(database, clock, actor, code, Move.RESUME, reason)


async def report_seal_lost(database: Database, clock: Clock, actor: Actor, code: str, reason: str) -> Seal:
    """Control over the seal was lost: it stamps nothing any more and its certificates are revoked."""
    return await move_seal(database, clock, actor, code, Move.REPORT_LOST, reason)


async def cancel_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: str) -> Seal:
    """The end of the seal; its code is never given again."""
    return await move_seal(database, clock, actor, code, Move.CANCEL, reason)


async def lock_application(session: AsyncSession, seal_id: uuid.UUID) -> SealRow:
    """The row of a seal on its way to being made, held until the transaction ends."""
    row = await session.scalar(select(SealRow).where(SealRow.id == seal_id).with_for_update())
    if row is None:
        raise SealNotFound(str(seal_id))
    return row
