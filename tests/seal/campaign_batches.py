"""Ten thousand documents in one batch, sealed by several processes of which one after another is killed (kill -9).

Usage: python -m tests.seal.campaign_batches [--documents 10000] [--processes 2] [--kills 5]

Every process works with connections of its own; a killed one is replaced. Exit 1 unless each document was sealed exactly once.
Prints documents a second and CPU milliseconds a document.
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from api.embedded import embedded_servers
from api.migrations import upgrade
from benchmarks.cpu import tree_seconds
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from seal.batch_values import BatchOrder
from seal.batch_work import work_batches
from seal.batches import request_batch
from seal.document_requests import upload
from seal.document_values import Sealing
from seal.matters import Matter, put_matter
from seal.rebuilding import Rebuilder
from tests.conftest import BEGINNING
from tests.seal import hostile_pdfs as hostile
from tests.seal.conftest import HOUSING, City
from tests.seal.races import RunningClock
from tests.seal.sealing_house import Direct

PLACE = {"kind": "point", "page": 1, "x_mm": 150.0, "y_mm": 240.0}
COPIES = text(
    "INSERT INTO seal.documents SELECT gen_random_uuid(), organisation, uploader, 'copy ' || n, source_hash, document_hash, octets, pages,"
    " removed, not_embedded, uploaded_at FROM seal.documents, generate_series(1, :number) n WHERE id = :first RETURNING id"
)
LAPSE = text("UPDATE seal.batch_documents SET lease_until = lease_until - interval '1 hour' WHERE lease_owner IS NOT NULL")


def opened(url: str, folder: Path, origin: float) -> tuple[City, Sealing]:
    database, keystore, clock = Database(url), SoftwareKeyStore(folder / "key"), RunningClock(BEGINNING, origin)
    sealing = Sealing(database, keystore, clock, clock, Direct(), FolderBlobStore(folder / "blobs"), Rebuilder())
    return City(database, keystore, clock), sealing


async def prepare(url: str, folder: Path, origin: float, number: int) -> uuid.UUID:
    """A city, a grant, an upload and its copies, the batch."""
    await upgrade(url)
    city, sealing = opened(url, folder, origin)
    await establish(city.database, city.keystore, city.clock, "http://127.0.0.1:8000")
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
    seal = await city.make()
    year = city.clock.now() + timedelta(days=30)
    await city.grant(seal, city.client, unattended=True, quota_day=100_000, valid_to=year)
    first = await upload(sealing, city.client, hostile.document(), "letter.pdf")
    async with city.database.begin() as session:
        documents = tuple((await session.execute(COPIES, {"number": number, "first": first.id})).scalars())
    order = BatchOrder("campaign", seal.code, city.matter, None, documents, (PLACE,), unattended=True)
    batch = await request_batch(sealing, city.client, order, "campaign")
    sealing.rebuilder.close()
    await city.database.close()
    return batch.id


def work(url: str, folder: Path, origin: float) -> None:
    """One worker's life."""

    async def rounds() -> None:
        _, sealing = opened(url, folder, origin)
        while await work_batches(sealing):
            pass

    asyncio.run(rounds())


async def counted(url: str) -> tuple[int, int, int, str]:
    """Sealed documents, rows in the log of use, documents used twice, the batch's status."""
    database = Database(url)
    async with database.begin() as session:
        await session.execute(LAPSE if await _idle(session) else text("SELECT 1"))
        sealed = (await session.execute(text("SELECT count(*) FROM seal.batch_documents WHERE state = 'sealed'"))).scalar_one()
        uses = (await session.execute(text("SELECT count(*) FROM seal.uses"))).scalar_one()
        twice = text("SELECT count(*) - count(DISTINCT permit_id) FROM seal.batch_documents WHERE state = 'sealed'")
        doubled = (await session.execute(twice)).scalar_one()
        status = (await session.execute(text("SELECT status FROM seal.batches"))).scalar_one()
    await database.close()
    return sealed, uses, doubled, status


async def _idle(session: object) -> bool:
    return not [one for one in multiprocessing.active_children() if one.is_alive()]


def run(url: str, folder: Path, documents: int, processes: int, kills: int) -> bool:
    """Work until nothing is left, killing one worker after another; whether every document was sealed exactly once."""
    origin = time.time()
    asyncio.run(prepare(url, folder, origin, documents))
    context, started, before = multiprocessing.get_context("fork"), time.monotonic(), _cpu()
    own = time.process_time()
    killed, status, sealed, uses, doubled = 0, "running", 0, 0, 0
    running = [_start(context, url, folder, origin) for _ in range(processes)]
    while status == "running":
        time.sleep(0.25)
        sealed, uses, doubled, status = asyncio.run(counted(url))
        if killed < kills and sealed > documents * (killed + 1) / (kills + 1):
            running[killed % processes].kill()  # SIGKILL: nothing of it runs on
            killed += 1
        for index, one in enumerate(running):
            if not one.is_alive() and status == "running":
                one.join()
                running[index] = _start(context, url, folder, origin)
    for one in running:
        one.join()
    seconds, spent = time.monotonic() - started, {part: after - before.get(part, 0.0) for part, after in _cpu().items()}
    work, database = spent.get("work", 0.0) - (time.process_time() - own), spent.get("database", 0.0)
    print(f"{sealed} of {documents} sealed, {uses} uses, {doubled} twice, {killed} kills: {status}")
    print(
        f"{documents / seconds:.1f} documents/s with {processes} processes; CPU ms each: {1000 * work / documents:.2f} in the workers, "
        f"{1000 * database / documents:.2f} in the database"
    )
    return (sealed, uses, doubled, status) == (documents, documents, 0, "done") and killed == kills


def _start(context: multiprocessing.context.ForkContext, url: str, folder: Path, origin: float) -> multiprocessing.context.ForkProcess:
    process = context.Process(target=work, args=(url, folder, origin), daemon=True)
    process.start()
    return process


def _cpu() -> dict[str, float]:
    """Seconds of this process and all it started: ``work`` and ``database``."""
    return tree_seconds(os.getpid(), lambda command: "database" if "postgres" in command else "work")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fujie-batches-"))
    try:
        SoftwareKeyStore.create(folder / "key")
        with embedded_servers(folder, durable=False) as addresses:
            good = run(addresses.database_url, folder, given.documents, given.processes, given.kills)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
