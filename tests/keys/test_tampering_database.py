"""A database superuser changes one thing in the log's tables, at random; ``verify_log`` finds every change.

Two things are no evidence and are left out: ``created_at`` of a checkpoint (our own note of when; the proof of a time is its
anchor) and the row of a checkpoint that a later one supersedes and nobody anchored or cosigned (its root is recomputed
from the entries wherever a copy of it was kept: the last test).
"""

import random
from typing import Any

import pytest
from sqlalchemy import text

from keys.base.db import Database
from keys.evidence.log import establish_log
from keys.evidence.tiles import TILE
from keys.evidence.verify import verify_log
from tests.keys.trail import fill, place

SEED = 20261122
CHANGES = 60
ENTRIES, EVERY = 2 * TILE + 88, 150
TABLES = ("audit_events", "log_tiles", "log_checkpoints")

ROW = {
    "audit_events": f"position = {{}} % {ENTRIES}",
    "log_tiles": "level = 0 AND index = {} % 2",
    "log_checkpoints": f"size = {EVERY} * (1 + {{}} % {ENTRIES // EVERY})",
}
BYTES = "{0} = set_byte({0}, {1} % length({0}), get_byte({0}, {1} % length({0})) # (1 << {1} % 8))"
WORDS = "{0} = overlay({0} PLACING '~' FROM 1 + {1} % length({0}) FOR 1)"
COLUMNS = [
    ("audit_events", "id", "{0} = gen_random_uuid()"),
    ("audit_events", "occurred_at", "{0} = {0} + (1 + {1} % 100000) * interval '1 ms'"),
    *[("audit_events", name, WORDS) for name in ("action", "object", "actor_id")],
    ("audit_events", "outcome", "{0} = 'refused'"),
    ("audit_events", "body", BYTES),
    ("audit_events", "position", "{0} = {0} + 1 + {1}"),
    ("audit_events", "position", "{0} = NULL"),
    ("audit_events", "position", "{0} = -1 - {0}"),
    ("log_tiles", "level", "{0} = {0} + 1 + {1} % 3"),
    ("log_tiles", "index", "{0} = {0} + 2 + {1} % 100"),
    ("log_tiles", "index", "{0} = -1 - {0}"),
    ("log_tiles", "hashes", BYTES),
    ("log_tiles", "hashes", "{0} = substr({0}, 1, {1} % length({0}))"),
    ("log_tiles", "root", BYTES),
    ("log_checkpoints", "size", "{0} = {0} + 1 + {1} % 100"),
    ("log_checkpoints", "size", "{0} = {0} + 1000000"),
    ("log_checkpoints", "size", "{0} = -{0}"),
    ("log_checkpoints", "root", BYTES),
    ("log_checkpoints", "note", WORDS),
]


def column(chance: random.Random, chosen: tuple[str, str, str] | None = None) -> str:
    table, name, change = chosen or chance.choice(COLUMNS)
    return f"UPDATE keys.{table} SET {change.format(name, chance.randrange(10_000))} WHERE {ROW[table].format(chance.randrange(10_000))}"


def deletion(chance: random.Random) -> str:
    """Of any event, any tile, the newest checkpoint; or of everything from some event on."""
    at = chance.randrange(ENTRIES)
    return chance.choice(
        [
            f"DELETE FROM keys.audit_events WHERE position = {at}",
            f"DELETE FROM keys.audit_events WHERE position >= {at}",
            f"DELETE FROM keys.log_tiles WHERE index = {at % 2}",
            "DELETE FROM keys.log_checkpoints WHERE size = (SELECT max(size) FROM keys.log_checkpoints)",
        ]
    )


def swap(chance: random.Random) -> str:
    """Two events change places, or two rows the contents of one column."""
    a, b = chance.sample(range(ENTRIES), 2)
    name = chance.choice(["position", "body", "action_and_object", "hashes", "root", "note"])
    if name == "position":
        return f"UPDATE keys.audit_events SET position = {a} + {b} - position WHERE position IN ({a}, {b})"
    if name == "body":
        return _exchanged("audit_events", "body", f"position = {a}", f"position = {b}")
    if name == "action_and_object":
        return _exchanged("audit_events", "object", f"position = {a}", f"position = {b}")
    if name == "note":
        return _exchanged("log_checkpoints", "note", f"size = {EVERY}", f"size = {2 * EVERY}")
    return _exchanged("log_tiles", name, "index = 0", "index = 1")


def _exchanged(table: str, name: str, one: str, other: str) -> str:
    chosen = f"(SELECT {name} FROM keys.{table} WHERE {{}})"
    return (
        f"UPDATE keys.{table} SET {name} = CASE WHEN {one} THEN {chosen.format(other)} ELSE {chosen.format(one)} END WHERE {one} OR {other}"
    )


@pytest.fixture
async def log(database: Database, keystore: Any, clock: Any) -> Database:
    """A log of a few tiles and checkpoints, a copy of its tables to return to, and nothing that guards them."""
    await establish_log(database, keystore, clock, "fujie.test/log")
    await fill(database, clock, ENTRIES)
    await place(database, keystore, clock, EVERY)
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE keys.audit_events DISABLE TRIGGER USER"))
        await session.execute(text("ALTER TABLE keys.audit_events DROP CONSTRAINT uq_audit_events_position"))
        await session.execute(text("CREATE SCHEMA kept"))
        for table in TABLES:
            await session.execute(text(f"CREATE TABLE kept.{table} AS TABLE keys.{table}"))
    return database


async def apply(database: Database, statement: str) -> int:
    """How many rows it changed."""
    async with database.begin() as session:
        return (await session.execute(text(statement))).rowcount  # type: ignore[attr-defined,no-any-return]


async def put_back(database: Database) -> None:
    async with database.begin() as session:
        for table in TABLES:
            await session.execute(text(f"DELETE FROM keys.{table}"))
            await session.execute(text(f"INSERT INTO keys.{table} TABLE kept.{table}"))


async def test_every_random_change_in_the_database_is_found(log: Database) -> None:
    chance, undetected, changed = random.Random(SEED), [], 0
    assert (await verify_log(log)).whole
    statements = [column(chance, one) for one in COLUMNS]  # no column escapes
    statements += [chance.choice([column, deletion, swap])(chance) for _ in range(CHANGES - len(COLUMNS))]
    for statement in statements:
        changed += await apply(log, statement) > 0
        if (await verify_log(log)).whole:
            undetected.append(statement)
        await put_back(log)
    assert undetected == []
    assert changed == CHANGES, "every statement met its row"
    assert (await verify_log(log)).whole


async def test_a_superseded_checkpoint_proves_itself_without_its_row(log: Database) -> None:
    async with log.session() as session:
        notes = (await session.scalars(text("SELECT note FROM keys.log_checkpoints ORDER BY size"))).all()
    await apply(log, f"DELETE FROM keys.log_checkpoints WHERE size = {EVERY}")
    assert (await verify_log(log, kept=notes)).whole
    await apply(log, "UPDATE keys.audit_events SET body = set_byte(body, 40, 0) WHERE position = 3")
    assert "kept checkpoint of size 150: the recomputed root differs" in (await verify_log(log, kept=notes)).problems
