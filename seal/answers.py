"""One answer to one change of authority, however often it is asked for (``Idempotency-Key``).

1. claim    the key for this person, path and body; another body under it is refused
2. work     whatever the request asks
3. keep     the answer; a refusal frees the key, because nothing was changed

A claim whose process died is taken over after :data:`PATIENCE`.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import Conflict
from seal.departure_models import AnswerRow
from seal.once import Once, SealRequestReused

PATIENCE = dt.timedelta(seconds=60)


class RequestUnderWay(Conflict):
    code = "SEAL_REQUEST_UNDER_WAY"
    public = ("同一请求正在处理，请稍后重试。", "The same request is being worked on. Try again shortly.")


@dataclass(frozen=True, slots=True)
class Answer:
    """``status``: of HTTP; ``body``: JSON."""

    status: int
    body: dict[str, Any]


async def claim_answer(database: Database, clock: Clock, actor: Actor, once: Once) -> Answer | uuid.UUID:
    """The earlier answer, or the claim to work on it. Raises ``SEAL_REQUEST_REUSED``, :class:`RequestUnderWay`."""
    now, claim = clock.now(), uuid.uuid4()
    values = {"actor_id": actor.id, "key": once.key, "digest": once.digest, "claim": claim, "at": now}
    statement = insert(AnswerRow).values(values)
    abandoned = AnswerRow.status.is_(None) & (AnswerRow.at < now - PATIENCE) & (AnswerRow.digest == once.digest)
    taken = statement.on_conflict_do_update(
        index_elements=[AnswerRow.actor_id, AnswerRow.key], set_={"claim": claim, "at": now}, where=abandoned
    )
    async with database.begin() as session:
        if await session.scalar(taken.returning(AnswerRow.claim)) is not None:
            return claim
        row = await session.get(AnswerRow, (actor.id, once.key))
        if row is None:
            raise RequestUnderWay(once.key)
        if row.digest != once.digest:
            raise SealRequestReused(once.key)
        if row.status is None or row.answer is None:
            raise RequestUnderWay(once.key)
        return Answer(row.status, row.answer)


async def keep_answer(database: Database, actor: Actor, once: Once, claim: uuid.UUID, answer: Answer | None) -> None:
    """The answer of whoever holds the claim; without one the key is free again."""
    mine = (AnswerRow.actor_id == actor.id, AnswerRow.key == once.key, AnswerRow.claim == claim)
    kept = (
        delete(AnswerRow).where(*mine)
        if answer is None
        else update(AnswerRow).where(*mine).values(status=answer.status, answer=answer.body)
    )
    async with database.begin() as session:
        await session.execute(kept.execution_options(synchronize_session=False))
