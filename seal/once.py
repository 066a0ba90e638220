"""One change of a seal for one key of one person, however often it is asked for (``Idempotency-Key``)."""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput
from seal.life_models import RequestRow


class SealRequestReused(InvalidInput):
    """The key was used before, for another request."""

    code = "SEAL_REQUEST_REUSED"
    public = ("该幂等键已用于另一请求。", "This Idempotency-Key was used for another request.")


@dataclass(frozen=True, slots=True)
class Once:
    """``digest`` is what a request is recognised by: another one under the same key is refused."""

    key: str
    digest: bytes


async def find_request(session: AsyncSession, actor: Actor, once: Once | None) -> uuid.UUID | None:
    """The seal that an earlier request with this key was about. Raises :class:`SealRequestReused`."""
    if once is None:
        return None
    kept = select(RequestRow).where(RequestRow.actor_id == actor.id, RequestRow.key == once.key)
    row = await session.scalar(kept.execution_options(populate_existing=True))
    if row is None:
        return None
    if row.digest != once.digest:
        raise SealRequestReused(once.key)
    found: uuid.UUID = row.seal_id
    return found


async def claimed_before(session: AsyncSession, now: dt.datetime, actor: Actor, once: Once | None, seal_id: uuid.UUID) -> bool:
    """Whether a request with this key was answered before; if not, this one takes the key, in the caller's transaction.

    Waits for a transaction that is just taking it; if that fails, the key is free again. Raises :class:`SealRequestReused`.
    """
    if once is None:
        return False
    values = {"actor_id": actor.id, "key": once.key, "digest": once.digest, "seal_id": seal_id, "at": now}
    new = insert(RequestRow).values(values).on_conflict_do_nothing()
    if await session.scalar(new.returning(RequestRow.key)) is not None:
        return False
    return await find_request(session, actor, once) is not None
