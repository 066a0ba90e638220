"""The audit log: appending and proving in memory at a million entries, and events that are durable, placed and signed.

The floor beside appending is hashlib itself: two SHA-256 an append (a leaf, and on average one node), nothing else.
"""

import asyncio
import hashlib
import os
import random
import tempfile
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api.migrations import upgrade
from benchmarks.bench import Bench
from benchmarks.measure import Contender, take_turns
from benchmarks.rows import PER_SECOND, Row
from keys.base.actor import SYSTEM
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.log import establish_log, latest_checkpoint, sequence_all
from keys.evidence.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion

ENTRIES = 1_000_000
PART = 20_000
PROOFS = 2_000
EVENTS, WRITERS = 2_000, 16
MICROSECONDS = 1_000
WALL_PER_SECOND = "1/s"


def figure(bench: Bench) -> list[Row]:
    return [*in_memory(bench.rounds), durable(bench)]


def in_memory(rounds: int) -> list[Row]:
    """Appends by the 20,000 onto a tree that grows to a million; then proofs of it, each of which must verify."""
    entries = [os.urandom(32) for _ in range(PART)]
    tree = MerkleTree(map(leaf_hash, (number.to_bytes(4, "big") * 8 for number in range(ENTRIES - (rounds + 1) * PART))))

    def append(_: int) -> None:
        for entry in entries:
            tree.append(leaf_hash(entry))

    def hashlib_alone(_: int) -> None:
        for entry in entries:
            leaf = hashlib.sha256(b"\x00" + entry).digest()
            hashlib.sha256(b"\x01" + leaf + leaf).digest()

    growing = take_turns({"append": Contender(append, count=1), "hashlib": Contender(hashlib_alone, count=1)}, rounds, warm_up=1)
    chance, size, root = random.Random(1), tree.size, tree.root()
    proving = {
        "inclusion": Contender(lambda _: tree.inclusion_proof(chance.randrange(size)), count=PROOFS),
        "consistency": Contender(lambda _: tree.consistency_proof(chance.randrange(1, size)), count=PROOFS),
    }
    proofs = take_turns(proving, rounds)
    index, old = size // 3, size // 2 + 1
    assert verify_inclusion(tree.node(0, index), index, size, tree.inclusion_proof(index), root)
    assert verify_consistency(old, size, tree.root(old), root, tree.consistency_proof(old))
    appends, floor = (PART * 1000 / growing[name].total for name in ("append", "hashlib"))
    at = f"at {size:,} entries"
    return [
        Row("log append", appends, "hashlib, two SHA-256", floor, PER_SECOND, f"in memory, {at}; aim ≥ 150,000"),
        Row("inclusion proof", proofs["inclusion"].total * MICROSECONDS, "", None, "CPU µs", f"{at}; aim ≤ 300"),
        Row("consistency proof", proofs["consistency"].total * MICROSECONDS, "", None, "CPU µs", f"{at}; aim ≤ 100"),
    ]


def durable(bench: Bench) -> Row:
    """Each event committed by itself, then all placed and under a signed checkpoint; PostgreSQL with fsync."""
    rate = asyncio.run(_durable(bench.instance.addresses()["database_url"]))
    return Row("durable events", rate, "", None, WALL_PER_SECOND, f"{WRITERS} writers, a transaction an event → placed → checkpoint signed")


async def _durable(server: str) -> float:
    name = f"bench_{new_code().lower()}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    url = server.replace("/fujie?", f"/{name}?") if "/fujie?" in server else server.rpartition("/")[0] + f"/{name}"
    try:
        await upgrade(url)
        database = Database(url, pool_size=WRITERS)
        try:
            return await _events_a_second(database)
        finally:
            await database.close()
    finally:
        async with engine.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        await engine.dispose()


async def _events_a_second(database: Database) -> float:
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="fujie-bench-") as folder:
        keystore = SoftwareKeyStore.create(Path(folder) / "key")
        await establish_log(database, keystore, clock, "bench.example/log")
        event = Event("bench.step", "thing:1", Outcome.DONE, SYSTEM)
        waiting = iter(range(EVENTS))

        async def writer() -> None:
            for _ in waiting:
                await record_alone(database, clock.now(), event)

        begin = time.perf_counter()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        await sequence_all(database, keystore, clock)
        spent = time.perf_counter() - begin
        async with database.session() as session:
            checkpoint = await latest_checkpoint(session)
        if checkpoint is None or checkpoint.size != EVENTS:
            raise RuntimeError("not every event is under the checkpoint")
        return EVENTS / spent
