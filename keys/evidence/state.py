"""How the log stands, for operators: halted, without anchor, or contradicted by a witness."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import func, select

from keys.base.db import AsyncSession
from keys.evidence.anchors import PERIOD, anchor_is_late
from keys.evidence.halts import current_halt
from keys.evidence.models import AuditEvent, LogAnchor, LogWitness
from keys.evidence.stored import latest_checkpoint


@dataclass(frozen=True, slots=True)
class LogState:
    """``halted``: what was found damaged. ``oldest_waiting``: when the oldest event without a place happened.

    ``anchored``: the size the newest anchor covers. ``witness_problems``: (witness, what it last said).
    """

    size: int
    halted: str | None
    oldest_waiting: dt.datetime | None
    anchored: int
    anchor_late: bool
    witness_problems: tuple[tuple[str, str], ...]

    @property
    def well(self) -> bool:
        return self.halted is None and not self.anchor_late and not self.witness_problems


async def log_state(session: AsyncSession, now: dt.datetime, period: dt.timedelta = PERIOD) -> LogState:
    """Five small queries."""
    checkpoint, halted = await latest_checkpoint(session), await current_halt(session)
    oldest = select(AuditEvent.occurred_at).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(1)
    problems = select(LogWitness.name, LogWitness.problem).where(LogWitness.problem.is_not(None)).order_by(LogWitness.name)
    return LogState(
        size=checkpoint.size if checkpoint else 0,
        halted=halted.problem if halted else None,
        oldest_waiting=await session.scalar(oldest),
        anchored=await session.scalar(select(func.max(LogAnchor.size))) or 0,
        anchor_late=await anchor_is_late(session, now, period),
        witness_problems=tuple((row[0], row[1] or "") for row in await session.execute(problems)),
    )
