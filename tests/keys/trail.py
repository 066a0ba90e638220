"""A long audit trail, quickly: rows as ``audit.record`` makes them, copied into PostgreSQL, placed by the real sequencer."""

import datetime as dt
from pathlib import Path
from typing import Any

from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.evidence import audit
from keys.evidence.export import export
from keys.evidence.log import sequence

COLUMNS = ("id", "occurred_at", "action", "object", "actor_id", "outcome", "body")
ACTORS = [Actor(ActorKind.PERSON, f"account-{i}", division="990100") for i in range(7)]


def rows(now: dt.datetime, count: int) -> list[tuple[Any, ...]]:
    made = []
    for i in range(count):
        event = audit.Event(f"certs.issue.step{i % 5}", f"certificate:{i}", audit.Outcome.DONE, ACTORS[i % 7], {"n": i})
        row = audit._row(now + dt.timedelta(milliseconds=i), event)
        made.append(tuple(row[name] for name in COLUMNS))
    return made


async def fill(database: Database, clock: Any, count: int) -> None:
    """``count`` committed events that wait for their place."""
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.copy_records_to_table("audit_events", schema_name="keys", records=rows(clock.now(), count), columns=COLUMNS)


async def place(database: Database, keystore: KeyStore, clock: Any, batch: int) -> None:
    """One checkpoint for every ``batch`` events."""
    while await sequence(database, keystore, clock, batch=batch) == batch:
        clock.advance(seconds=1)


async def write(database: Database, keystore: KeyStore, clock: Any, file: Path, **options: Any) -> Path:
    """An export."""
    with file.open("wb") as handle:
        async for chunk in export(database, keystore, clock, SYSTEM, **options):
            handle.write(chunk)
    return file
