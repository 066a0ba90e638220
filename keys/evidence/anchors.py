"""Anchors: an RFC 3161 time stamp over the newest checkpoint, every ten minutes. From then on nobody, not even we, can
write another history and say that it stood there before.

The stamped data is the checkpoint's note with the log's own signature, as ``/log/anchors/{size}/checkpoint`` serves it:
``openssl ts -verify -data checkpoint -in token -token_in -CAfile roots.pem``.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asn1crypto import cms, tsp
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.evidence.audit import Event, Outcome, record, record_alone
from keys.evidence.models import LogAnchor, LogCheckpoint
from keys.evidence.stored import latest_checkpoint
from keys.time.errors import TimestampInvalid
from keys.time.imprints import imprint_of
from keys.time.source import TimestampSource
from keys.time.verification import verify_token

ANCHORED = "keys.evidence.anchor"
PERIOD = dt.timedelta(minutes=10)
LATE = 3
"""Periods without an anchor after which the log says so."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A time stamp over the checkpoint of ``size``: ``note`` is what was stamped, ``token`` a DER TimeStampToken."""

    size: int
    note: str
    token: bytes
    created_at: dt.datetime


async def anchor(database: Database, clock: Clock, source: TimestampSource, *, period: dt.timedelta = PERIOD) -> Anchor | None:
    """Stamp the newest checkpoint if the last anchor is ``period`` old and covers less; None where nothing was due.

    1. is one due?   2. ask the authority, outside any transaction   3. look at its answer   4. keep it, with an event

    Raises what ``source`` raises, and ``AnchorRefused``. The next turn tries again.
    """
    async with database.session() as session:
        checkpoint = await _due(session, clock.now(), period)
    if checkpoint is None:
        return None
    token = await source.stamp(hashlib.sha256(checkpoint.note.encode()).digest())
    if (problem := anchor_problem(token, checkpoint.note)) is not None:
        raise AnchorRefused(problem)
    return await _keep(database, clock.now(), checkpoint, token)


async def anchor_failed(database: Database, now: dt.datetime, code: str) -> None:
    """The event that anchoring has begun to fail."""
    await record_alone(database, now, Event(ANCHORED, "log", Outcome.FAILED, SYSTEM, code=code))


class AnchorRefused(FujieError):
    """What a time-stamping authority answered is no time stamp of the checkpoint."""

    code = "ANCHOR_REFUSED"
    status = 502
    public = ("时间戳与日志检查点不符。", "The time stamp is not one of the log's checkpoint.")


async def _due(session: AsyncSession, now: dt.datetime, period: dt.timedelta) -> LogCheckpoint | None:
    checkpoint = await latest_checkpoint(session)
    last = await latest_anchor(session)
    if checkpoint is None or last is None:
        return checkpoint
    return checkpoint if last.size < checkpoint.size and now - last.created_at >= period else None


async def _keep(database: Database, now: dt.datetime, checkpoint: LogCheckpoint, token: bytes) -> Anchor:
    """Two processes may have asked at once: the first answer is kept."""
    async with database.begin() as session:
        values = {"size": checkpoint.size, "token": token, "created_at": now}
        kept = await session.scalar(insert(LogAnchor).values(values).on_conflict_do_nothing().returning(LogAnchor.size))
        if kept is not None:
            digest = hashlib.sha256(token).hexdigest()
            await record(session, now, Event(ANCHORED, f"log:{checkpoint.size}", Outcome.DONE, SYSTEM, {"token": digest}))
    return Anchor(checkpoint.size, checkpoint.note, token, now)


async def latest_anchor(session: AsyncSession) -> LogAnchor | None:
    return await session.scalar(select(LogAnchor).order_by(LogAnchor.size.desc()).limit(1))


async def anchors(session: AsyncSession, *, below: int | None = None, limit: int = 100) -> list[tuple[int, dt.datetime]]:
    """Sizes and instants of the newest anchors (of sizes smaller than ``below``)."""
    statement = select(LogAnchor.size, LogAnchor.created_at).order_by(LogAnchor.size.desc()).limit(limit)
    if below is not None:
        statement = statement.where(LogAnchor.size < below)
    return [(row.size, row.created_at) for row in await session.execute(statement)]


async def find_anchor(session: AsyncSession, size: int) -> Anchor | None:
    """The anchor of exactly that size, with what was stamped."""
    statement = select(LogAnchor, LogCheckpoint.note).join(LogCheckpoint, LogCheckpoint.size == LogAnchor.size)
    row = (await session.execute(statement.where(LogAnchor.size == size))).first()
    return None if row is None else Anchor(size, row.note, row.LogAnchor.token, row.LogAnchor.created_at)


async def anchor_is_late(session: AsyncSession, now: dt.datetime, period: dt.timedelta = PERIOD) -> bool:
    """Whether a checkpoint has waited for its anchor for three periods."""
    last = await latest_anchor(session)
    after = select(LogCheckpoint.created_at).order_by(LogCheckpoint.size).limit(1)
    waiting = await session.scalar(after.where(LogCheckpoint.size > (last.size if last else 0)))
    return waiting is not None and now - waiting > LATE * period


def anchor_problem(token: bytes, note: str) -> str | None:
    """What is wrong with a TimeStampToken as one over ``note``; None: its imprint is that of the note.

    Who made it, and whether its signature holds, is for ``keys.time`` and for ``openssl ts -verify``.
    """
    info = token_info(token)
    if info is None:
        return "not a time-stamp token"
    imprint = info["message_imprint"]
    name = imprint["hash_algorithm"]["algorithm"].native
    if name not in ("sha256", "sha384", "sha512"):
        return "a hash algorithm we do not ask for"
    if hashlib.new(name, note.encode()).digest() != imprint["hashed_message"].native:
        return "it is not over this checkpoint"
    return None


def anchor_check(roots: Sequence[bytes]) -> Callable[[bytes, str], str | None]:
    """As :func:`anchor_problem`, and the token's signature holds and leads to one of ``roots`` (certificates, DER)."""

    def check(token: bytes, note: str) -> str | None:
        if (problem := anchor_problem(token, note)) is not None:
            return problem
        try:
            verify_token(token, imprint_of(hashlib.sha256(note.encode()).digest(), "sha256"), roots)
        except TimestampInvalid as error:
            return error.detail
        return None

    return check


def token_info(token: bytes) -> tsp.TSTInfo | None:
    """The TSTInfo of a DER TimeStampToken, if it is one."""
    try:
        content = cms.ContentInfo.load(token, strict=True)
        if content["content_type"].native != "signed_data":
            return None
        encapsulated = content["content"]["encap_content_info"]
        if encapsulated["content_type"].native != "tst_info":
            return None
        info = encapsulated["content"].parsed
        _ = info.native
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return info if isinstance(info, tsp.TSTInfo) else None
