"""Trusted time put together from the settings: the guard and who watches it, the source of time stamps, the clock of issuing."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from asn1crypto import pem

from api.settings import Settings
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody.store import KeyStore
from keys.time.authority import TimestampAuthority
from keys.time.backlog import Backlog, IssuingClock
from keys.time.client import HttpTimestampSource
from keys.time.guard import ClockGuard, StampingClock
from keys.time.ledger import tell
from keys.time.source import LocalTimestampSource, TimestampSource
from keys.time.token import DEFAULT_POLICY, Promise
from keys.time.watch import Watch

log = structlog.get_logger("fujie.trusted_time")

TELL_SECONDS = 60.0


class AnchorsUnreadable(FujieError):
    """``FUJIE_TSA_ANCHORS`` names no file of PEM certificates."""

    code = "TSA_ANCHORS_UNREADABLE"
    public = ("时间戳服务的信任锚无法读取，请联系管理员。", "The trust anchors of the time-stamping service cannot be read.")


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """``authority`` is ours and answers at ``/pki/tsa``; ``source`` stamps what we issue, by it or by another authority.

    ``issuing`` is the clock of what is issued: it raises while nothing may be.
    """

    guard: ClockGuard
    backlog: Backlog
    issuing: IssuingClock
    authority: TimestampAuthority
    source: TimestampSource


def trusted_time(settings: Settings, database: Database, keystore: KeyStore, clock: Clock) -> TrustedTime:
    """The parts, not yet watched."""
    guard, backlog = ClockGuard(clock, asks=bool(settings.time_servers)), Backlog(dt.timedelta(seconds=settings.timestamp_max_age))
    promise = Promise(settings.tsa_policy or DEFAULT_POLICY, dt.timedelta(milliseconds=settings.tsa_accuracy_ms))
    local = LocalTimestampSource(database, keystore, StampingClock(guard, promise.accuracy), promise)
    return TrustedTime(guard, backlog, IssuingClock(guard, backlog), local.authority, _source(settings, guard, local))


def _source(settings: Settings, guard: ClockGuard, local: TimestampSource) -> TimestampSource:
    if not settings.tsa_url or settings.tsa_anchors is None:
        return local
    try:
        anchors = [octets for _, _, octets in pem.unarmor(settings.tsa_anchors.read_bytes(), multiple=True)]
    except (OSError, ValueError) as error:
        raise AnchorsUnreadable(f"{settings.tsa_anchors}: {type(error).__name__}") from error
    return HttpTimestampSource(settings.tsa_url, anchors, guard)


@contextlib.asynccontextmanager
async def watched(time: TrustedTime, settings: Settings, database: Database) -> AsyncIterator[None]:
    """Hear the witnesses once, then again and again until leaving."""
    watch = Watch(database, time.guard, time.backlog, settings.time_servers)
    await watch.step()
    tasks = [asyncio.create_task(watch.run(), name="clock watch"), asyncio.create_task(_tell(time, database), name="time stamps told")]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await tell(database, time.guard.reading().wall, time.authority.ledger)


async def _tell(time: TrustedTime, database: Database) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        try:
            await tell(database, time.guard.reading().wall, time.authority.ledger)
        except Exception:
            log.exception("time stamps not told")
