"""Filing a made seal, and its first day of use; a seal that takes another's place ends it at the same instant.

:func:`activate_seal`, in one transaction
  1. hold the seal, and the one it succeeds, in the order of their codes: uses under way are waited for
  2. the one it succeeds may still be succeeded; nobody else did so
  3. the old ends, the new begins: one instant, one commit
  4. where a seal of this kind (or name) is in use already, nothing happens; a refusal is audited
"""

import datetime as dt
import uuid

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict
from seal.changes import change_status, check_mover, lock_seal, move_seal, refusals_audited
from seal.lifecycle import SUCCEEDED, Move, Succession
from seal.models import SealRow
from seal.motives import Why
from seal.once import Once, claimed_before
from seal.reads import Seal, SealNotFound, rival_of, seal_view


class SealExists(Conflict):
    code = "SEAL_EXISTS"
    public = ("该单位已有一枚同类印章在使用。", "The organisation already has a seal of this kind in use.")


class PredecessorUnsuitable(Conflict):
    """The seal whose place it should take ended meanwhile, or another one has taken its place."""

    code = "SEAL_PREDECESSOR_UNSUITABLE"
    public = ("被更换的印章状态已变化，不能由此印章接替。", "The seal to be replaced can no longer be replaced by this one.")


async def file_seal(database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str = "", once: Once | None = None) -> Seal:
    """File the seal under its code."""
    return await move_seal(database, clock, actor, code, Move.FILE, reason, once)


async def activate_seal(
    database: Database, clock: Clock, actor: Actor, code: str, reason: Why | str = "", once: Once | None = None
) -> Seal:
    """From now on it may be used. Raises :class:`SealExists`, :class:`PredecessorUnsuitable` and what a move raises."""
    async with refusals_audited(database, clock, "seal.activate", f"seal-code:{code[:20]}", actor):
        try:
            async with database.begin() as session:
                seal, old = await _hold_both(session, code)
                now = clock.now()
                if await claimed_before(session, now, actor, once, seal.id):
                    return seal
                check_mover(actor, Move.ACTIVATE, organisation=seal.organisation, division=seal.division)
                if old is not None:
                    await _replace(session, now, old, seal, actor)
                await _require_no_rival(session, seal)
                return await change_status(session, now, seal, Move.ACTIVATE, actor, reason)
        except IntegrityError as error:  # another activation won the race for the unique index
            raise SealExists(code) from error


async def _hold_both(session: AsyncSession, code: str) -> tuple[Seal, SealRow | None]:
    predecessor = await session.scalar(select(SealRow.predecessor).where(SealRow.code == code))
    held = {row.id: row for row in await session.scalars(_locked(code, predecessor))}
    if predecessor is None:
        return await lock_seal(session, code), None
    row = next((row for row in held.values() if row.code == code), None)
    if row is None or predecessor not in held:
        raise SealNotFound(code)
    return seal_view(row), held[predecessor]


def _locked(code: str, predecessor: uuid.UUID | None) -> Select[SealRow]:
    both = select(SealRow).where((SealRow.code == code) | (SealRow.id == predecessor))
    return both.order_by(SealRow.code).with_for_update().execution_options(populate_existing=True)


async def _replace(session: AsyncSession, now: dt.datetime, old: SealRow, seal: Seal, actor: Actor) -> None:
    ends = seal_view(old)
    if old.successor is not None or seal.succession is None or ends.status not in SUCCEEDED[seal.succession]:
        raise PredecessorUnsuitable(f"{ends.code} is {ends.status}")
    old.successor = seal.id
    await session.flush()
    because = "changed" if seal.succession is Succession.CHANGE else "remade"
    await change_status(session, now, ends, Move.REPLACE, actor, Why(because))


async def _require_no_rival(session: AsyncSession, seal: Seal) -> None:
    if await rival_of(session, seal) is not None:
        raise SealExists(f"{seal.organisation} {seal.kind}")
