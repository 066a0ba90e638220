"""An idle process asks one question; what waits is seen at once, whoever queued it, and nothing depends on the question."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from api import queues
from api.queues import WAITING, Queues
from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import Database
from keys.evidence.audit import Event, Outcome, record_alone

SOON = 30.0
API = Path(queues.__file__).parent
STEPS = ("background", "evidence", "importing", "library_keeping", "event_services")


async def test_the_question_is_one_that_the_tables_answer(database: Database, clock: Clock) -> None:
    """Nothing waits in a new database but its own first events; an event that is written is seen."""
    asked = Queues(database)
    assert await asked._answer() <= {"sequence"}
    await record_alone(database, clock.now(), Event("test", "test", Outcome.DONE, SYSTEM))
    assert await asked._answer() == {"sequence"}
    async with database.begin() as session:
        await session.execute(text("INSERT INTO certs.search_queue (certificate_id) VALUES (gen_random_uuid())"))
    assert "search" in await asked._answer()


async def test_whoever_rests_is_woken_by_what_another_process_queued(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "LONGEST", 3600.0)
    asked, stopping = Queues(database), asyncio.Event()
    watching = asyncio.create_task(asked.watch(stopping))
    asked.begin("search")
    resting = asyncio.create_task(asked.rest("search", 0.01, stopping))
    other = asyncio.create_task(asked.rest("scans", 0.01, stopping))
    async with database.begin() as session:
        await session.execute(text("INSERT INTO certs.search_queue (certificate_id) VALUES (gen_random_uuid())"))
    await asyncio.wait_for(resting, SOON)
    assert not other.done(), "nothing waits for it"
    stopping.set()
    await asyncio.wait_for(asyncio.gather(other, watching), SOON)


async def test_nothing_depends_on_being_woken(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No watcher, and the turn comes; the database away, and every step goes on as it would."""
    monkeypatch.setattr(queues, "LONGEST", 0.05)
    asked, stopping = Queues(database), asyncio.Event()
    await asyncio.wait_for(asked.rest("search", 0.01, stopping), SOON)
    await asyncio.wait_for(asked.rest("another step", 0.01, stopping), SOON)
    away = Queues(Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))
    assert await away._answer() == set(WAITING)


def test_every_queue_is_that_of_a_step() -> None:
    """A misspelt name would wake nobody."""
    sources = "".join((API / f"{name}.py").read_text() for name in STEPS)
    assert [name for name in WAITING if f'"{name}": (' not in sources] == []
