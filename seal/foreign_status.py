"""The status of seals of others, by what their registries said: feeds that were taken in, and answers fetched and kept.

:func:`ask_others`
  1. of the codes given: those that are not ours and that a registered registry with an address speaks of, at most four
  2. leave out those answered within the last hour (the last minute, for a stamp younger than the answer), or that failed within the
     last minute
  3. ask the rest at once, at the registered addresses only (:class:`StatusPort`)
  4. believe an answer only if it is signed under the registered roots, is about this seal, and is no older than what is kept
  5. keep it, or why there is none; the old one stays

:func:`what_is_known` reads what is kept. An answer holds the seal's whole public history, so an old one still answers for instants
before it was given; for later ones there is none.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.trust.signed import verify_document
from seal.codes import is_code
from seal.life_models import ForeignAnswerRow, ForeignSealRow, ForeignStatusRow
from seal.lifecycle import Status
from seal.models import SealRow
from seal.public_status import FORMAT, TYPE, Since, step_at
from seal.registries import Registry, registries
from seal.status_list import read_history, read_instant

FRESH = dt.timedelta(hours=1)
RETRY = dt.timedelta(minutes=1)
SKEW = dt.timedelta(minutes=5)
MOST_ASKED = 4
MAX_ANSWER = 1 << 20
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class ForeignStatusUnreachable(FujieError):
    """The other registry does not answer, or not as it should."""

    code = "SEAL_STATUS_UNREACHABLE"
    status = 502
    public = ("无法获取对方印章系统的状态。", "The other registry of seals cannot be asked.")


class ForeignStatusRefused(FujieError):
    """The answer is not believed: not signed under the registered roots, about another seal, or older than the one kept."""

    code = "SEAL_STATUS_REFUSED"
    status = 502
    public = ("对方印章系统的答复不可信。", "The answer of the other registry of seals cannot be believed.")


class StatusPort(Protocol):
    """How another registry is asked: the octets at an address. Raises :class:`ForeignStatusUnreachable`."""

    async def fetch(self, url: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was believed."""

    known: bool
    produced_at: dt.datetime
    valid_to: dt.datetime | None
    history: tuple[Since, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a seal of others. ``said_at``: as of when; ``failure``: why it could not be asked just now."""

    registry: str
    how: str
    said_at: dt.datetime | None
    valid_to: dt.datetime | None = None
    history: tuple[Since, ...] = ()
    known: bool = True
    failure: str | None = None

    def at(self, instant: dt.datetime) -> Since | None:
        """The step that held then; None: nothing was filed by then. Only for an instant not after ``said_at``."""
        return None if self.valid_to is None else step_at(self.history, self.valid_to, instant)


async def ask_others(database: Database, clock: Clock, port: StatusPort, asked: Mapping[str, dt.datetime | None]) -> None:
    """See the module's steps. ``asked``: codes, and the instant that matters of each. Never raises for what others do."""
    async with database.session() as session:
        pairs = [await _due(session, code, instant, clock.now()) for code, instant in asked.items()]
        due = [pair for pair in pairs if pair is not None][:MOST_ASKED]
    await asyncio.gather(*(_ask(database, clock, port, registry, code) for registry, code in due))


async def _due(session: AsyncSession, code: str, instant: dt.datetime | None, now: dt.datetime) -> tuple[Registry, str] | None:
    if not is_code(code) or await _is_ours(session, code):
        return None
    registry = next((one for one in await registries(session) if one.url and one.speaks_of(code)), None)
    if registry is None:
        return None
    row = await session.get(ForeignAnswerRow, (registry.name, code))
    return (registry, code) if row is None or now >= _next_attempt(row, instant) else None


def _next_attempt(row: ForeignAnswerRow, instant: dt.datetime | None) -> dt.datetime:
    """A minute after a failure, or where the answer is older than the instant that matters; else an hour after the answer."""
    short = row.failure is not None or row.produced_at is None or (instant is not None and instant > row.produced_at)
    return row.tried_at + (RETRY if short else FRESH)


async def _is_ours(session: AsyncSession, code: str) -> bool:
    return await session.scalar(select(SealRow.id).where(SealRow.code == code)) is not None


async def _ask(database: Database, clock: Clock, port: StatusPort, registry: Registry, code: str) -> None:
    url = f"{registry.url}/api/v1/seals/{quote(code, safe='')}/status"
    try:
        jws = await port.fetch(url)
        answer = read_answer(jws, registry, code, clock.now())
        await _keep(database, clock.now(), registry.name, code, jws, answer)
    except (ForeignStatusUnreachable, ForeignStatusRefused) as error:
        await _note_failure(database, clock.now(), registry.name, code, error.code)


def read_answer(jws: bytes, registry: Registry, code: str, now: dt.datetime) -> Answer:
    """The answer, believed. Raises :class:`ForeignStatusRefused`. Pure."""
    try:
        signed = verify_document(TYPE, jws, registry.roots, most=MAX_ANSWER)
        document = orjson.loads(signed.payload)
        produced_at = read_instant(document["produced_at"])
        about = document["format"] == FORMAT and document["code"] == code and document["issuer"] == registry.url
    except (FujieError, *_UNREADABLE) as error:
        raise ForeignStatusRefused(type(error).__name__) from error
    current = now - FRESH <= produced_at <= now + SKEW and all(one.valid_at(now) for one in signed.chain)
    if not registry.roots or not about or not current:
        raise ForeignStatusRefused("of another registry or seal, or not of now")
    return _read(document, produced_at)


def _read(document: Mapping[str, Any], produced_at: dt.datetime) -> Answer:
    try:
        if document["known"] is False:
            return Answer(False, produced_at, None, ())
        return Answer(True, produced_at, read_instant(document["valid_to"]), read_history(document["history"]))
    except _UNREADABLE as error:
        raise ForeignStatusRefused(type(error).__name__) from error


async def _keep(database: Database, now: dt.datetime, name: str, code: str, jws: bytes, answer: Answer) -> None:
    said = {
        "known": answer.known,
        "valid_to": answer.valid_to.isoformat() if answer.valid_to else None,
        "history": [step.to_json() for step in answer.history],
    }
    values = {"answer": said, "jws": jws, "produced_at": answer.produced_at, "fetched_at": now, "tried_at": now, "failure": None}
    new = insert(ForeignAnswerRow).values(source=name, code=code, **values)
    newer = ForeignAnswerRow.produced_at.is_(None) | (ForeignAnswerRow.produced_at <= new.excluded.produced_at)
    kept = new.on_conflict_do_update(index_elements=["source", "code"], set_=values, where=newer)
    async with database.begin() as session:
        if await session.scalar(kept.returning(ForeignAnswerRow.code)) is None:
            raise ForeignStatusRefused("older than the answer kept")


async def _note_failure(database: Database, now: dt.datetime, name: str, code: str, failure: str) -> None:
    noted = {"tried_at": now, "failure": failure}
    new = insert(ForeignAnswerRow).values(source=name, code=code, answer={}, jws=b"", **noted)
    async with database.begin() as session:
        await session.execute(new.on_conflict_do_update(index_elements=["source", "code"], set_=noted))


async def what_is_known(session: AsyncSession, code: str) -> Known | None:
    """The youngest word of a registered registry about this seal; None where none speaks of it."""
    speaking = [one for one in await registries(session) if one.speaks_of(code)] if is_code(code) else []
    words = [word for one in speaking for word in (await _answered(session, one, code), await _told(session, one, code)) if word]
    if not words and any(one.url for one in speaking):
        return Known(speaking[0].name, "not asked", None, known=False, failure="not asked yet")
    return max(words, key=lambda word: word.said_at or dt.datetime.min.replace(tzinfo=dt.UTC), default=None)


async def _answered(session: AsyncSession, registry: Registry, code: str) -> Known | None:
    row = await session.get(ForeignAnswerRow, (registry.name, code), populate_existing=True) if registry.url else None
    if row is None:
        return None
    if row.produced_at is None:
        return Known(registry.name, "its answer", None, known=False, failure=row.failure)
    said = row.answer
    valid_to = read_instant(said["valid_to"]) if said["valid_to"] else None
    history = read_history(said["history"]) if said["known"] else ()
    return Known(registry.name, "its answer", row.produced_at, valid_to, history, said["known"], row.failure)


async def _told(session: AsyncSession, registry: Registry, code: str) -> Known | None:
    seal = await session.get(ForeignSealRow, (registry.name, code), populate_existing=True)
    if seal is None:
        return None
    mine = select(ForeignStatusRow).where(ForeignStatusRow.source == registry.name, ForeignStatusRow.code == code)
    rows = list(await session.scalars(mine.order_by(ForeignStatusRow.at, ForeignStatusRow.position)))
    return Known(registry.name, "its feed", seal.taken_at, seal.valid_to, _steps(rows))


def _steps(rows: Sequence[ForeignStatusRow]) -> tuple[Since, ...]:
    return tuple(Since(Status(row.status), row.at, row.invalid_type) for row in rows)
