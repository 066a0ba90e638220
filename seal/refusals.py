"""Uses that were asked for and refused: the alerts look here, and whoever keeps the seal."""

import datetime as dt
import uuid

from sqlalchemy import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from seal.authority_models import RefusalRow

_LONGEST = 64


async def refused_use(
    session: AsyncSession, now: dt.datetime, seal_id: uuid.UUID, actor: Actor, matter_code: str, code: str, address: str | None
) -> None:
    """Write a refusal down, in the caller's transaction."""
    row = {
        "seal_id": seal_id, "at": now, "actor_kind": actor.kind, "actor_id": actor.id, "matter_code": matter_code[:_LONGEST],
        "code": code, "address": address,
    }  # fmt: skip
    await session.execute(insert(RefusalRow).values(row))
