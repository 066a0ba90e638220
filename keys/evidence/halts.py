"""What happens when the log is found damaged: it stops, loudly, and signs nothing until somebody answers for going on."""

import datetime as dt

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import SYSTEM, Actor
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence.audit import Event, Outcome, record
from keys.evidence.models import LogHalt


class LogDamaged(FujieError):
    """What PostgreSQL holds is not what was signed. Nothing is signed; ``detail`` says where."""

    code = "LOG_DAMAGED"
    status = 500
    public = ("审计日志与已签名的检查点不一致，已停止签名。", "The audit log differs from its signed checkpoint; signing has stopped.")


class LogHalted(FujieError):
    """The log was found damaged before and nobody has said that it may go on (``fujie audit resume``)."""

    code = "LOG_HALTED"
    status = 503
    public = ("审计日志已停止签名，等待人工处理。", "The audit log has stopped signing and waits for a person.")


async def current_halt(session: AsyncSession) -> LogHalt | None:
    return await session.scalar(select(LogHalt).where(LogHalt.resumed_at.is_(None)))


async def refuse_if_halted(session: AsyncSession) -> None:
    """Raises LogHalted."""
    if (halted := await current_halt(session)) is not None:
        raise LogHalted(halted.problem)


async def halt(database: Database, now: dt.datetime, problem: str) -> bool:
    """Stop the log; whether it ran until now. The event waits for its place like every other."""
    async with database.begin() as session:
        statement = insert(LogHalt).values(id=new_id(), halted_at=now, problem=problem).on_conflict_do_nothing().returning(LogHalt.id)
        if (await session.scalar(statement)) is None:
            return False
        event = Event("keys.evidence.halt", "log", Outcome.FAILED, SYSTEM, {"problem": problem}, code=LogDamaged.code)
        await record(session, now, event)
        return True


async def resume(database: Database, now: dt.datetime, actor: Actor, reason: str) -> bool:
    """Let the log go on; whether it stood still. Whoever asks must have verified it, and says why it may."""
    async with database.begin() as session:
        halted = await session.scalar(select(LogHalt).where(LogHalt.resumed_at.is_(None)).with_for_update())
        if halted is None:
            return False
        halted.resumed_at, halted.resumed_because = now, reason
        await record(session, now, Event("keys.evidence.resume", "log", Outcome.DONE, actor, {"reason": reason, "problem": halted.problem}))
        return True
