"""Time stamps that wait: none is lost while the authority is away, none is asked for twice at once, all are kept in the end."""

import asyncio
import datetime as dt
import hashlib

import pytest
from sqlalchemy import text

from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import authority_certificate, establish
from keys.time.backlog import Backlog
from keys.time.errors import TimestampUnavailable
from keys.time.guard import ClockGuard
from keys.time.imprints import imprint_of
from keys.time.queue import BATCH, PAUSE, enqueue, kept_of, obtain
from keys.time.source import LocalTimestampSource, TimestampSource
from keys.time.verification import verify_token
from keys.time.watch import Watch
from tests.conftest import TestClock

DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(BATCH + 5)]


class Faltering:
    """A real source behind a line that breaks: it answers ``answers`` times and then no more until it is mended."""

    def __init__(self, source: TimestampSource, answers: int) -> None:
        self.source, self.left = source, answers
        self.asked: list[bytes] = []

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        self.asked.append(digest)
        if not self.left:
            raise TimestampUnavailable("the line is down")
        self.left -= 1
        return await self.source.stamp(digest, algorithm)


@pytest.fixture
async def source(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> LocalTimestampSource:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    return LocalTimestampSource(database, keystore, clock)


async def fill(database: Database, clock: TestClock, count: int) -> None:
    async with database.begin() as session:
        for number in range(count):
            await enqueue(session, clock.advance(milliseconds=1), f"certificate:{number}", DIGESTS[number])


async def waiting(database: Database) -> int:
    async with database.session() as session:
        return int(await session.scalar(text("SELECT count(*) FROM keys.timestamps WHERE token IS NULL")) or 0)


async def test_what_waits_is_stamped_and_kept(database: Database, source: LocalTimestampSource, clock: TestClock) -> None:
    await fill(database, clock, BATCH + 5)
    assert await obtain(database, clock, source) == BATCH + 5
    assert await obtain(database, clock, source) == 0
    async with database.session() as session:
        root = await authority_certificate(session, "root")
        kept = await kept_of(session, "certificate:7")
        assert await kept_of(session, "certificate:none") is None
    assert kept is not None
    assert kept.token is not None
    assert verify_token(kept.token, imprint_of(DIGESTS[7], "sha256"), [root])
    assert kept.stamped_at == clock.now()


async def test_while_the_authority_is_away_everything_waits_in_its_order(
    database: Database, source: LocalTimestampSource, clock: TestClock
) -> None:
    await fill(database, clock, 5)
    line = Faltering(source, 2)
    assert await obtain(database, clock, line) == 2
    assert await obtain(database, clock, line) == 0, "asked again only after a pause"
    assert line.asked == DIGESTS[:3]
    assert await waiting(database) == 3
    line.left = 100
    clock.advance(seconds=PAUSE.total_seconds())
    assert await obtain(database, clock, line) == 3
    assert line.asked[3:] == DIGESTS[2:5]


async def test_two_processes_never_ask_for_the_same(database: Database, source: LocalTimestampSource, clock: TestClock) -> None:
    await fill(database, clock, 40)
    lines = [Faltering(source, 100) for _ in range(3)]
    assert sum(await asyncio.gather(*(obtain(database, clock, line) for line in lines))) == 40
    assert sorted(digest for line in lines for digest in line.asked) == sorted(DIGESTS[:40])


async def test_a_place_in_the_queue_exists_exactly_if_the_transaction_does(database: Database, clock: TestClock) -> None:
    async with database.begin() as session:
        await enqueue(session, clock.now(), "certificate:1", DIGESTS[0])
        await session.rollback()
    assert await waiting(database) == 0


async def test_a_source_that_crashes_loses_nothing(database: Database, clock: TestClock) -> None:
    class Broken:
        async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
            raise RuntimeError("anything")

    await fill(database, clock, 2)
    assert await obtain(database, clock, Broken()) == 0
    assert await waiting(database) == 2


async def test_every_process_hears_how_long_the_oldest_waits(database: Database, source: LocalTimestampSource, clock: TestClock) -> None:
    guard, backlog = ClockGuard(clock, lambda: clock.now().timestamp()), Backlog(dt.timedelta(minutes=10))
    watch = Watch(database, guard, backlog)
    await watch.step()
    assert backlog.oldest is None
    await fill(database, clock, 2)
    await watch.step()
    assert backlog.oldest == clock.now() - dt.timedelta(milliseconds=1)
    assert not backlog.overdue(clock.now())
    clock.advance(minutes=11)
    assert backlog.overdue(clock.now())
    await obtain(database, clock, source)
    await watch.step()
    assert not backlog.overdue(clock.now())
