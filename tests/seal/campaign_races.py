"""Ten thousand races of stamping against suspending, losing, cancelling, revoking and withdrawing, by several processes.

Usage: python -m tests.seal.campaign_races [--races 10000] [--seed N] [--processes 2]

One PostgreSQL, one city; each process races with a seal of its own over connections of its own. Exit 1 on any breach.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import text

from api.embedded import embedded_servers
from api.migrations import upgrade
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from seal.matters import Matter, put_matter
from tests.conftest import BEGINNING
from tests.seal.conftest import HOUSING, City
from tests.seal.races import Arena, RunningClock, Tally

STAMPERS = 8
USUAL = ["suspend", "grant", "delegation", "delegator", "certificate", "requirements", "suspend", "grant", "delegation", "delegator"]
FINAL = ["lost", "cancel"]
BATCH = len(USUAL) + len(FINAL)
SEALS = (("approval", True), ("contract", False), ("finance", False), ("statutory", False))


async def _prepare(url: str, keys: Path, origin: float) -> None:
    await upgrade(url)
    database, keystore, clock = Database(url), SoftwareKeyStore(keys), RunningClock(BEGINNING, origin)
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    city = City(database, keystore, clock)
    async with database.begin() as session:
        await session.execute(text("CREATE EXTENSION pg_walinspect"))
        await put_matter(session, clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
        await put_matter(session, clock.now(), city.admin, Matter(city.other_matter, "内部公文用印", False, HOUSING))
    await database.close()


def race(url: str, keys: Path, origin: float, number: int, races: int, seed: int) -> Tally:
    """One process's share."""
    return asyncio.run(_race(url, keys, origin, number, races, seed))


async def _race(url: str, keys: Path, origin: float, number: int, races: int, seed: int) -> Tally:
    database = Database(url, pool_size=STAMPERS + 4)
    city = City(database, SoftwareKeyStore(keys), RunningClock(BEGINNING, origin))
    kind, approval = SEALS[number]
    chance = random.Random(seed + number)
    arena = Arena(city, kind, city.matter if approval else city.other_matter, chance)
    await arena.prepare()
    tally = Tally()
    while tally.races < races:
        kinds = USUAL + FINAL
        chance.shuffle(kinds)
        tally.add(await arena.run(kinds, STAMPERS))
    await database.close()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--processes", type=int, default=2, choices=range(1, len(SEALS) + 1))
    chosen = parser.parse_args()
    folder, origin, begun = Path(tempfile.mkdtemp(prefix="fujie-races-")), time.time(), time.monotonic()
    try:
        with embedded_servers(folder, redis=False, durable=False) as addresses:
            keys = SoftwareKeyStore.create(folder / "key-encryption-key").path
            asyncio.run(_prepare(addresses.database_url, keys, origin))
            share = -(-chosen.races // chosen.processes)
            with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
                parts = [
                    pool.submit(race, addresses.database_url, keys, origin, number, share, chosen.seed)
                    for number in range(chosen.processes)
                ]
                tally = Tally()
                for part in parts:
                    tally.add(part.result())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(tally, chosen.seed, time.monotonic() - begun, print)


def report(tally: Tally, seed: int, seconds: float, say: Callable[[str], object]) -> int:
    """What came out, in lines; the exit code."""
    for kind in sorted(set(tally.stamped) | set(tally.refused)):
        say(f"{kind:13} stamped before {tally.stamped[kind]:6}  refused after {tally.refused[kind]:6}")
    say("refusals: " + "  ".join(f"{code} {count}" for code, count in tally.codes.most_common()))
    for breach in tally.breaches[:50]:
        say(f"BREACH {breach}")
    verdict = "no stamp after the instant" if not tally.breaches else f"{len(tally.breaches)} BREACHES"
    say(f"{tally.races} races in {seconds:.0f} s, seed {seed}: {verdict}")
    return 1 if tally.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
