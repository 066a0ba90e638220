"""Statements past SQLAlchemy: the same rows, the same values, and connections that are never left in doubt."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, Uuid, bindparam, func, insert, literal_column, select, text
from sqlalchemy import DateTime as Instant
from sqlalchemy.dialects.postgresql import JSONB

from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.base.hot import Statement
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("octets", LargeBinary),
    Column("at", Instant(timezone=True)),
    Column("document", JSONB),
    Column("count", Integer),
)
EVERY = select(THINGS).where(THINGS.c.id == bindparam("which"))
PID = Statement(select(func.pg_backend_pid().label("pid")))
WAIT = Statement(select(func.pg_sleep(30)))
THING = {
    "id": uuid.UUID(int=7),
    "name": "卫思远 \N{SNOWMAN} 'quoted'",
    "octets": bytes(range(256)),
    "at": dt.datetime(2026, 11, 21, 2, 0, 0, 123456, tzinfo=dt.UTC),
    "document": {"list": ["甲", 1, None, True, 1.5], "empty": {}, "text": '"\\\n'},
    "count": -5,
}


@pytest.fixture
async def things(database: Database) -> Database:
    async with database.begin() as session:
        await session.run_sync(lambda blocking: THINGS.create(blocking.connection()))
    return database


async def connections(database: Database) -> int:
    """Those of this database beside the one that asks."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with database.session() as session:
        return (await session.execute(text(query))).scalar_one()


async def test_what_either_writes_both_read_alike(things: Database) -> None:
    values = {name: bindparam(f"v_{name}", type_=THINGS.c[name].type) for name in THING}
    store = Statement(insert(THINGS).values(values).returning(THINGS.c.id))
    assert await things.hot.row(store, {f"v_{name}": value for name, value in THING.items()})
    other = THING | {"id": uuid.UUID(int=8)}
    async with things.begin() as session:
        await session.execute(insert(THINGS), [other])
    for expected in (THING, other):
        hot = await things.hot.row(Statement(EVERY), {"which": expected["id"]})
        async with things.session() as session:
            cold = (await session.execute(EVERY, {"which": expected["id"]})).mappings().one()
        assert hot is not None
        assert dict(hot) == dict(cold) == expected


async def test_parameters_keep_their_names_and_constants_their_values(database: Database) -> None:
    a, b = bindparam("a", type_=Integer), bindparam("b", type_=Integer)
    statement = select((a - b * 10 + 7).label("first"), (b - a).label("second"))
    row = await database.hot.row(Statement(statement), {"b": 2, "a": 5, "unused": None})
    async with database.session() as session:
        cold = (await session.execute(statement, {"a": 5, "b": 2})).mappings().one()
    assert row is not None
    assert dict(row) == dict(cold) == {"first": -8, "second": -3}
    with pytest.raises(KeyError):
        await database.hot.row(Statement(statement), {"a": 1})


async def test_no_row_is_none(things: Database) -> None:
    assert await things.hot.row(Statement(EVERY), {"which": uuid.UUID(int=9)}) is None


async def test_one_connection_serves_one_after_another_and_never_more_than_the_size(database_url: str) -> None:
    database = Database(database_url, pool_size=3)
    try:
        pids = [await database.hot.row(PID, {}) for _ in range(5)]
        assert len({row["pid"] for row in pids if row}) == 1
        nap = Statement(select(func.pg_backend_pid().label("pid"), func.pg_sleep(0.05)))
        crowd = await asyncio.gather(*(database.hot.row(nap, {}) for _ in range(20)))
        assert len({row["pid"] for row in crowd if row}) == 3
    finally:
        await database.close()


async def test_an_error_of_the_database_keeps_the_connection(things: Database) -> None:
    before = await things.hot.row(PID, {})
    with pytest.raises(asyncpg.DivisionByZeroError):
        await things.hot.row(Statement(select(literal_column("1/0"))), {})
    assert await things.hot.row(PID, {}) == before


async def test_an_interrupted_connection_is_never_used_again(database: Database) -> None:
    before = await database.hot.row(PID, {})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await database.hot.row(WAIT, {})
    after = await database.hot.row(PID, {})
    assert before is not None
    assert after is not None
    assert before["pid"] != after["pid"]


async def test_a_connection_that_the_server_ended_is_replaced(database: Database) -> None:
    before = await database.hot.row(PID, {})
    assert before is not None
    async with database.begin() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before["pid"]})
    await asyncio.sleep(0.1)
    after = await database.hot.row(PID, {})
    assert after is not None
    assert before["pid"] != after["pid"]


async def test_every_place_is_given_back(database_url: str) -> None:
    """Neither errors nor interruptions nor failures to connect use up the pool."""
    database = Database(database_url, pool_size=1)
    for _ in range(3):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.hot.row(Statement(select(literal_column("1/0"))), {})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.hot.row(WAIT, {})
    assert await database.hot.row(PID, {})
    await database.close()
    nowhere = Database(database_url.replace("/test_", "/nowhere_"), pool_size=1)
    for _ in range(3):
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await nowhere.hot.row(PID, {})
    await nowhere.close()


async def test_closing_leaves_no_connection(database_url: str, database: Database) -> None:
    closing = Database(database_url)
    await asyncio.gather(*(closing.hot.row(PID, {}) for _ in range(4)))
    waiting = asyncio.create_task(closing.hot.row(Statement(select(func.pg_sleep(0.3))), {}))
    await asyncio.sleep(0.1)
    assert await connections(database) >= 1
    await closing.close()
    await waiting
    with pytest.raises(asyncpg.InterfaceError):
        await closing.hot.row(PID, {})
    for _ in range(50):
        if await connections(database) == 0:
            return
        await asyncio.sleep(0.05)
    pytest.fail("a connection stayed open")


async def events(database: Database) -> list[dict[str, Any]]:
    async with database.session() as session:
        rows = await session.execute(text("SELECT * FROM keys.audit_events ORDER BY action"))
        return [dict(row) for row in rows.mappings()]


async def test_an_event_within_a_statement_is_the_same_event(things: Database, clock: Any) -> None:
    stored = insert(THINGS).from_select(["id"], select(bindparam("which", type_=Uuid))).returning(THINGS.c.id).cte("stored")
    statement = Statement(select(stored.c.id).add_cte(audit.recorded(stored)))
    first = Event("a.hot", "thing:7", Outcome.DONE, SYSTEM, {"n": 1}, "CODE")
    assert await things.hot.row(statement, {"which": uuid.UUID(int=7)} | audit.parameters(clock.now(), first))
    async with things.begin() as session:
        await audit.record(session, clock.now(), Event("b.cold", "thing:7", Outcome.DONE, SYSTEM, {"n": 1}, "CODE"))
    hot, cold = await events(things)
    assert hot.keys() == cold.keys()
    changed = {name for name in hot if hot[name] != cold[name]}
    assert changed == {"id", "action", "body"}
    same = hot["body"].replace(str(hot["id"]).encode(), b"").replace(b"a.hot", b"")
    assert same == cold["body"].replace(str(cold["id"]).encode(), b"").replace(b"b.cold", b"")


async def test_an_event_is_written_exactly_if_what_it_speaks_of_is(things: Database, clock: Any) -> None:
    found = select(THINGS.c.id).where(THINGS.c.id == bindparam("which")).cte("found")
    statement = Statement(select(found.c.id).add_cte(audit.recorded(found)))
    event = Event("a.hot", "thing:7", Outcome.DONE, SYSTEM)
    assert await things.hot.row(statement, {"which": uuid.UUID(int=7)} | audit.parameters(clock.now(), event)) is None
    assert await events(things) == []
