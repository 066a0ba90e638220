"""``fujie worker``: two of them on one database, one killed; nothing twice, nothing left; an orderly end."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text

from api.leading import Leadership
from api.settings import Settings
from api.wiring import NothingRuns
from api.work import work
from keys.base.blobs import FolderBlobStore
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.pki.authority import establish
from seal.batch_values import BatchOrder
from seal.batches import request_batch
from seal.document_requests import upload
from seal.document_values import Sealing
from seal.matters import Matter, put_matter
from seal.rebuilding import Rebuilder
from tests.running import ROOT, environment
from tests.seal import hostile_pdfs as hostile
from tests.seal.campaign_batches import COPIES, LAPSE, PLACE
from tests.seal.conftest import HOUSING, City
from tests.seal.sealing_house import Direct

DOCUMENTS = 40
PATIENCE = 120.0


class Worker:
    """One ``fujie worker`` in a process of its own."""

    def __init__(self, home: Path, name: str, **more: str) -> None:
        self.log = home / f"{name}.log"
        with self.log.open("wb") as handle:
            command = [sys.executable, "-m", "api", "worker"]
            surroundings = environment(home, 8000, FUJIE_DEMO="0", FUJIE_CPU_WORKERS="1", **more)
            self.process = subprocess.Popen(command, stdout=handle, stderr=handle, env=surroundings, cwd=ROOT, start_new_session=True)

    async def until(self, word: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while word not in self.log.read_text(errors="replace"):
                assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@pytest.fixture
def workers_of() -> Iterator[list[Worker]]:
    """Whatever a test leaves running is killed."""
    started: list[Worker] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(PATIENCE)


async def _count(database: Database, statement: str) -> int:
    async with database.session() as session:
        return int((await session.execute(text(statement))).scalar_one())


async def _leader(database: Database) -> int:
    """How many sessions hold the lead."""
    lock = "hashtextextended('api.background', 0)"
    held = f"classid = ({lock} >> 32 & 4294967295)::oid AND objid = ({lock} & 4294967295)::oid AND granted"
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    return await _count(database, f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {here} AND {held}")


async def _waiting_for(what: Any, wanted: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while await what() != wanted:
            await asyncio.sleep(0.05)


async def _batch(database: Database, keystore: Any, home: Path) -> None:
    """A city with its seal, and a batch that a client may have sealed unattended."""
    clock = SystemClock()
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    city = City(database, keystore, clock)
    async with database.begin() as session:
        await put_matter(session, clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
    seal = await city.make()
    await city.grant(seal, city.client, unattended=True, quota_day=10_000)
    sealing = Sealing(database, keystore, clock, clock, Direct(), FolderBlobStore(home / "blobs"), Rebuilder())
    first = await upload(sealing, city.client, hostile.document(), "letter.pdf")
    sealing.rebuilder.close()
    async with database.begin() as session:
        documents = tuple((await session.execute(COPIES, {"number": DOCUMENTS, "first": first.id})).scalars())
    order = BatchOrder("worker", seal.code, city.matter, None, documents, (PLACE,), unattended=True)
    await request_batch(sealing, city.client, order, "worker")


async def test_two_workers_one_killed_each_document_once_and_an_orderly_end(
    database: Database, database_url: str, redis_url: str, keystore: Any, workers_of: list[Worker], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "secrets").mkdir(parents=True, mode=0o700)
    shutil.copy2(keystore.path, home / "secrets" / "key-encryption-key")
    servers = {"FUJIE_DATABASE_URL": database_url, "FUJIE_REDIS_URL": redis_url}
    workers_of += [Worker(home, name, **servers) for name in ("first", "second")]
    for one in workers_of:
        await one.until("working")
    await _waiting_for(lambda: _leader(database), 1)
    await _batch(database, keystore, home)

    sealed = "SELECT count(*) FROM seal.batch_documents WHERE state = 'sealed'"
    async with asyncio.timeout(PATIENCE):
        while await _count(database, sealed) < 5:
            await asyncio.sleep(0.02)
    killed, lives = workers_of
    os.kill(killed.process.pid, signal.SIGKILL)  # kill -9: its own worker processes go with it
    await killed.ended()
    await _all_sealed(database)

    assert await _count(database, sealed) == DOCUMENTS
    assert await _count(database, "SELECT count(*) FROM seal.uses") == DOCUMENTS
    assert await _count(database, "SELECT count(DISTINCT permit_id) FROM seal.batch_documents") == DOCUMENTS
    await _waiting_for(lambda: _leader(database), 1)  # who is left leads now, if not before
    await _waiting_for(lambda: _count(database, "SELECT count(*) FROM keys.audit_events WHERE position IS NULL"), 0)
    lives.process.send_signal(signal.SIGTERM)
    assert await lives.ended() == 0
    assert "stopped" in lives.log.read_text()
    assert await _leader(database) == 0


async def _all_sealed(database: Database) -> None:
    """The leases of the dead lapse at once instead of after two minutes; those of the living may as well, and nothing is sealed twice."""
    done, deadline, before = "SELECT count(*) FROM seal.batches WHERE status = 'done'", time.monotonic() + PATIENCE, -1
    while not await _count(database, done):
        assert time.monotonic() < deadline
        sealed = await _count(database, "SELECT count(*) FROM seal.batch_documents WHERE state = 'sealed'")
        if sealed == before:
            async with database.begin() as session:
                await session.execute(LAPSE)
        before = sealed
        await asyncio.sleep(0.5)


def test_without_a_database_it_says_so_and_starts_none(tmp_path: Path) -> None:
    """It would hold the folder against the server that is started after it."""
    with pytest.raises(NothingRuns):
        work(Settings(home=tmp_path), Console())
    assert list(tmp_path.iterdir()) == []


async def test_one_leads_at_a_time(database: Database) -> None:
    async with Leadership(database) as first, Leadership(database) as second:
        assert await first.held()
        assert not await second.held()
        assert await first.held(), "asking again keeps the lead"
        assert not await second.held()
        async with first:
            pass
        assert await second.held(), "who steps down makes room"
        assert not await first.held()


async def test_a_leader_that_lost_its_connection_leads_no_longer(database: Database) -> None:
    async with Leadership(database) as first, Leadership(database) as second:
        assert await first.held()
        async with database.begin() as session:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            await session.execute(text(f"{cut} AND {here}"))
        await _waiting_for(second.held, True)
        assert not await first.held()
