"""The database dies in the middle of a batch that two workers share, and in the middle of one stamp: nothing doubled, nothing half-written.

A cluster of its own, durable as in production; it is ended as a crash ends it (SIGQUIT, "immediate") and started again.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from api.embedded import EmbeddedPostgres
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import trust_bundle
from seal import batch_work, document_carrying
from seal.batch_work import work_batches
from seal.document_carrying import sweep_requests
from seal.document_requests import request_sealing, upload
from seal.document_values import Sealing, SealingOrder, SealLine, SealRequest
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.seal.campaign_batches import PLACE, opened, prepare
from tests.seal.hostile_pdfs import document

DOCUMENTS, AT_ONCE, MOST_ROUNDS = 8, 2, 200
LAPSE = text("UPDATE seal.batch_documents SET lease_until = lease_until - interval '1 hour' WHERE lease_until IS NOT NULL")
"""Both a dead worker's lease and the pause before another attempt are over."""
LAPSE_REQUESTS = text("UPDATE seal.requested_seals SET lease_until = lease_until - interval '1 hour' WHERE lease_until IS NOT NULL")
GONE = (DBAPIError, OSError)
"""What a worker sees of a database that went away."""


class Cluster:
    """A server that can be crashed; started in the main thread, since it dies with the thread that started it."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder)
        self.url = self._server.__enter__()
        self.crashes = 0

    def crash(self) -> None:
        process = self._server._process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        self._server._process = None
        again = self._server.__enter__()
        if again != self.url:  # its socket stands in a new folder where the server runs as another user
            old, new = (Path(one.rpartition("host=")[2]) for one in (self.url, again))
            shutil.rmtree(old, ignore_errors=True)
            os.symlink(new, old)
        self.crashes += 1

    def stop(self) -> None:
        self._server.__exit__()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="fj-"))
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def crashing(cluster: Cluster, real: Callable[..., Awaitable[Any]], plan: dict[int, str]) -> Callable[..., Awaitable[Any]]:
    """``real``, whose nth call finds the database gone before it, while it runs, or right behind it."""
    calls = 0

    async def bent(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        when = plan.get(calls)
        if when == "before":
            cluster.crash()
        running = asyncio.ensure_future(real(*arguments))
        if when == "during":
            await asyncio.sleep(0.002)
            cluster.crash()
        answer = await running
        if when == "behind":
            cluster.crash()
        return answer

    return bent


async def number(sealing: Sealing, query: str) -> Any:
    async with sealing.database.session() as session:
        return await session.scalar(text(query))


async def patiently(work: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, from a pool whose connections may all be dead."""
    for _ in range(MOST_ROUNDS):
        try:
            return await work()
        except GONE:
            await asyncio.sleep(0.01)
    raise AssertionError("the database does not come back")


async def execute(sealing: Sealing, statement: Any) -> None:
    async with sealing.database.begin() as session:
        await session.execute(statement)


@pytest.mark.timeout(240)
async def test_nothing_is_doubled_and_nothing_half_written(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = time.time()
    SoftwareKeyStore.create(tmp_path / "key")
    await prepare(cluster.url, tmp_path, origin, DOCUMENTS)
    (city, one), (_, other) = opened(cluster.url, tmp_path, origin), opened(cluster.url, tmp_path, origin)
    try:
        with capture_logs():  # writing each failure down with its frames takes longer than the work
            await a_batch(cluster, one, other, monkeypatch)
            await a_stamp(cluster, city, one, monkeypatch)
        await no_loose_ends(one)
    finally:
        for sealing in (one, other):
            sealing.rebuilder.close()
            await sealing.database.close()


async def a_batch(cluster: Cluster, one: Sealing, other: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_work, "_record", crashing(cluster, batch_work._record, {2: "during", 4: "behind"}))
    for _ in range(MOST_ROUNDS):
        taken = await asyncio.gather(work_batches(one, most=AT_ONCE), work_batches(other, most=AT_ONCE), return_exceptions=True)
        assert all(isinstance(answer, (int, *GONE)) for answer in taken), taken
        if await patiently(lambda: number(one, "SELECT status FROM seal.batches")) == "done":
            break
        await patiently(lambda: execute(one, LAPSE))
    assert cluster.crashes == 2
    assert await patiently(lambda: number(one, "SELECT count(*) FROM seal.batch_documents WHERE state = 'sealed'")) == DOCUMENTS
    assert await number(one, "SELECT count(DISTINCT permit_id) FROM seal.batch_documents") == DOCUMENTS
    assert await number(one, "SELECT count(*) FROM seal.uses") == DOCUMENTS


async def a_stamp(cluster: Cluster, city: Any, sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request whose recording meets a crash."""
    plan = {1: "during"}
    monkeypatch.setattr(document_carrying, "_record", crashing(cluster, document_carrying._record, plan))
    code = await number(sealing, "SELECT code FROM seal.seals")
    letter = await upload(sealing, city.client, document(pages=2), "one letter.pdf")
    order = SealingOrder(letter.id, "one letter", None, (SealLine(code, city.matter, (PLACE,)),), unattended=True)
    (first,) = await asyncio.gather(request_sealing(sealing, city.client, order, "one"), return_exceptions=True)
    assert isinstance(first, (SealRequest, *GONE)), first
    for _ in range(MOST_ROUNDS):
        if await patiently(lambda: number(sealing, "SELECT status FROM seal.document_requests")) == "sealed":
            break
        await patiently(lambda: execute(sealing, LAPSE_REQUESTS))
        (brought,) = await asyncio.gather(sweep_requests(sealing), return_exceptions=True)
        assert isinstance(brought, (int, *GONE)), brought
    assert cluster.crashes == 3
    assert await patiently(lambda: number(sealing, "SELECT status FROM seal.document_requests")) == "sealed"
    assert await number(sealing, "SELECT count(*) FROM seal.uses") == DOCUMENTS + 1
    again = await request_sealing(sealing, city.client, order, "one")
    assert again.status == "sealed", "asked again it is the same answer"
    async with sealing.database.session() as session:
        trust = Trust.from_pem((await trust_bundle(session)).encode())
    file = await sealing.blobs.get(again.seals[0].sealed_hash or b"")
    assert verify(file, trust, sealing.clock.now()).indication is Indication.TOTAL_PASSED


async def no_loose_ends(sealing: Sealing) -> None:
    """Each use has its permit, each spent permit its use, each sealed row its file; the log says as often as it happened."""
    uses = await number(sealing, "SELECT count(*) FROM seal.uses")
    assert await number(sealing, "SELECT count(*) FROM seal.permits WHERE consumed_at IS NOT NULL") == uses
    assert await number(sealing, "SELECT count(*) FROM keys.audit_events WHERE action = 'seal.use' AND outcome = 'done'") == uses
    assert await number(sealing, "SELECT count(*) FROM seal.permits p JOIN seal.uses u ON u.permit_id = p.id") == uses
    assert await number(sealing, "SELECT sum(used) FROM seal.grant_counters WHERE period <> 'total'") == uses
    async with sealing.database.session() as session:
        files = await session.scalars(text("SELECT sealed_hash FROM seal.batch_documents"))
        hashes = list(files)
    assert len(set(hashes)) == DOCUMENTS
    for digest in hashes:
        assert (await sealing.blobs.get(digest)).startswith(b"%PDF")
