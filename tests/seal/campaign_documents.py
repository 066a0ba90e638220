"""Kill, again and again, the process that carries documents from the request to the sealed file (kill -9), and look at what is left.

Usage: python -m tests.seal.campaign_documents [--kills 30] [--seed 1]

A child sweeps up what its predecessor left and asks for the seal on one document after another, until it is killed at a random
moment. At the end every lease is let lapse and swept. Exit 1 unless every request is sealed, each has its file, its permit spent once
and its line in the log of use, and no permit was spent for anything else.
"""

import argparse
import asyncio
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

from sqlalchemy import text

from api.embedded import embedded_servers
from api.migrations import upgrade
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from seal.document_carrying import sweep_requests
from seal.document_requests import request_sealing, upload
from seal.document_values import SealingOrder, SealLine
from seal.matters import Matter, put_matter
from tests.seal import hostile_pdfs as hostile
from tests.seal.campaign_batches import PLACE, opened
from tests.seal.conftest import HOUSING

_LAPSE = text("UPDATE seal.requested_seals SET lease_until = lease_until - interval '1 hour' WHERE lease_until IS NOT NULL")
_CHECKS = {
    "permits spent without a sealed document": """
SELECT count(*) FROM seal.permits p WHERE p.consumed_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM seal.requested_seals s WHERE s.permit_id = p.id AND s.sealed_hash IS NOT NULL)""",
    "sealed documents without a spent permit": """
SELECT count(*) FROM seal.requested_seals s WHERE s.sealed_hash IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM seal.permits p WHERE p.id = s.permit_id AND p.consumed_at IS NOT NULL AND p.document_hash = s.base_hash)""",
    "sealed documents without a line in the log": """
SELECT count(*) FROM seal.requested_seals s WHERE s.sealed_hash IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM seal.uses u WHERE u.permit_id = s.permit_id)""",
    "lines in the log without a sealed document": """
SELECT count(*) FROM seal.uses u WHERE NOT EXISTS (SELECT 1 FROM seal.requested_seals s WHERE s.permit_id = u.permit_id)""",
    "permits of two documents": """
SELECT count(permit_id) - count(DISTINCT permit_id) FROM seal.requested_seals""",
    "quota counted otherwise than uses": """
SELECT abs((SELECT coalesce(sum(used), 0) FROM seal.grant_counters WHERE period <> 'total') - (SELECT count(*) FROM seal.uses))""",
    "requests sealed without their seal, or the other way round": """
SELECT count(*) FROM seal.document_requests r JOIN seal.requested_seals s ON s.request_id = r.id
WHERE (r.status = 'sealed') <> (s.sealed_hash IS NOT NULL)""",
    "requests left half-way": "SELECT count(*) FROM seal.document_requests WHERE status = 'stamping'",
    "requests that failed": "SELECT count(*) FROM seal.document_requests WHERE status = 'failed'",
}


async def prepare(url: str, folder: Path, origin: float) -> tuple[uuid.UUID, str, str]:
    """A city, a grant, an upload: the upload, the seal's code, the matter."""
    await upgrade(url)
    city, sealing = opened(url, folder, origin)
    await establish(city.database, city.keystore, city.clock, "http://127.0.0.1:8000")
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
    seal = await city.make()
    await city.grant(seal, city.client, unattended=True, quota_day=100_000, valid_to=city.clock.now() + timedelta(days=30))
    first = await upload(sealing, city.client, hostile.document(), "letter.pdf")
    sealing.rebuilder.close()
    await city.database.close()
    return first.id, seal.code, city.matter


def work(url: str, folder: Path, origin: float, asked: tuple[uuid.UUID, str, str], warm: Event) -> None:
    """One child's life: it sweeps, then asks until it is killed."""

    async def rounds() -> None:
        city, sealing = opened(url, folder, origin)
        document, code, matter = asked
        line = SealLine(code, matter, (PLACE,))
        await sweep_requests(sealing)
        while True:
            order = SealingOrder(document, "campaign", None, (line,), unattended=True)
            await request_sealing(sealing, city.client, order, uuid.uuid4().hex)
            warm.set()

    asyncio.run(rounds())


async def examined(url: str, folder: Path, origin: float) -> tuple[int, list[str]]:
    """Let every lease lapse, sweep until nothing is left, and compare tables and files: how many are sealed, what is wrong."""
    city, sealing = opened(url, folder, origin)
    for _ in range(60):
        async with city.database.begin() as session:
            await session.execute(_LAPSE)
        if not await sweep_requests(sealing):
            break
    wrong = []
    async with city.database.session() as session:
        for name, query in _CHECKS.items():
            if number := (await session.execute(text(query))).scalar_one():
                wrong.append(f"{number} {name}")
        sealed = list(await session.scalars(text("SELECT sealed_hash FROM seal.requested_seals WHERE sealed_hash IS NOT NULL")))
    for one in sealed:
        if not (await sealing.blobs.get(bytes(one))).startswith(b"%PDF-1.7"):  # raises where it is missing or another
            wrong.append(f"file {bytes(one).hex()}")
    sealing.rebuilder.close()
    await city.database.close()
    return len(sealed), wrong


def run(url: str, folder: Path, kills: int, seed: int) -> bool:
    origin, chance = time.monotonic(), random.Random(seed)
    asked = asyncio.run(prepare(url, folder, origin))
    context = multiprocessing.get_context("fork")
    for _ in range(kills):
        warm = context.Event()
        child = context.Process(target=work, args=(url, folder, origin, asked, warm), daemon=True)
        child.start()
        warm.wait(60)
        time.sleep(chance.uniform(0, 0.5))
        alive = child.is_alive()
        child.kill()
        child.join()
        if not alive:
            print("a child ended by itself")
            return False
        asyncio.run(_lapse(url))
    sealed, wrong = asyncio.run(examined(url, folder, origin))
    print(f"{kills} kills, {sealed} documents sealed, {len(wrong)} things wrong", *wrong, sep="\n")
    return not wrong and sealed > 0


async def _lapse(url: str) -> None:
    database = Database(url)
    async with database.begin() as session:
        await session.execute(_LAPSE)
    await database.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fujie-documents-"))
    try:
        SoftwareKeyStore.create(folder / "key")
        with embedded_servers(folder, durable=False) as addresses:
            good = run(addresses.database_url, folder, given.kills, given.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
