"""One change of trust for one key of one person, however often it is asked for (``Idempotency-Key``)."""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.trust.errors import TrustRequestReused
from keys.trust.models import TrustRequestRow


@dataclass(frozen=True, slots=True)
class Once:
    """``digest`` is what a request is recognised by: another one under the same key is refused."""

    key: str
    digest: bytes


async def claim(session: AsyncSession, now: dt.datetime, actor: Actor, once: Once | None, entry_id: uuid.UUID) -> uuid.UUID | None:
    """None where this is the first time; else the entry that an earlier request with this key was about.

    Waits for a transaction that is just claiming the key; if that fails, the key is free again. Raises ``TrustRequestReused``.
    """
    if once is None:
        return None
    values = {"actor_id": actor.id, "key": once.key, "digest": once.digest, "entry_id": entry_id, "at": now}
    new = insert(TrustRequestRow).values(values).on_conflict_do_nothing()
    if await session.scalar(new.returning(TrustRequestRow.key)) is not None:
        return None
    kept = select(TrustRequestRow).where(TrustRequestRow.actor_id == actor.id, TrustRequestRow.key == once.key)
    row: TrustRequestRow = (await session.scalars(kept)).one()
    if row.digest != once.digest:
        raise TrustRequestReused(once.key)
    return row.entry_id
