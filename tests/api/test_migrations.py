"""The migrations make exactly what the models say, go back to nothing, and can be run by many at once."""

import asyncio
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from api.migrations import configuration, upgrade
from api.migrations.metadata import ALL
from keys.base.db import Database
from tests.running import ROOT

SCHEMAS = frozenset(metadata.schema for metadata in ALL)


def _differences(connection: Connection) -> list[object]:
    options = {
        "include_schemas": True,
        "version_table": "fujie_revision",
        "include_name": lambda name, kind, _: name in SCHEMAS if kind == "schema" else True,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), list(ALL)))  # type: ignore[arg-type]


async def test_the_tables_are_what_the_models_say(database: Database) -> None:
    async with database.engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_going_back_leaves_no_table(database: Database, database_url: str) -> None:
    await asyncio.to_thread(command.downgrade, configuration(database_url), "base")
    async with database.session() as session:
        left = await session.execute(
            text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('keys', 'identity', 'seal', 'certs')")
        )
        assert left.all() == []
    await upgrade(database_url)


UPGRADE = "import asyncio, sys; from api.migrations import upgrade; asyncio.run(upgrade(sys.argv[1]))"


async def test_three_processes_at_once_take_turns(database: Database, database_url: str) -> None:
    await asyncio.to_thread(command.downgrade, configuration(database_url), "base")
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, database_url, cwd=ROOT) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    async with database.engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


@pytest.mark.parametrize("table", ["status_changes", "uses"])
async def test_the_database_keeps_the_history_of_seals(database: Database, table: str) -> None:
    async with database.session() as session:
        found = await session.execute(
            text("SELECT count(*) FROM pg_trigger WHERE tgname = 'kept' AND tgrelid = CAST(:name AS regclass)"), {"name": f"seal.{table}"}
        )
        assert found.scalar() == 1


async def test_no_seal_code_is_ever_forgotten(database: Database) -> None:
    async with database.begin() as session:
        columns = (
            await session.execute(
                text(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = 'seal' AND table_name = 'code_counters' AND column_default IS NULL"
                )
            )
        ).all()
        names = ", ".join(name for name, _ in columns)
        values = ", ".join("1" if kind in {"bigint", "integer"} else "'990100'" for _, kind in columns)
        await session.execute(text(f"INSERT INTO seal.code_counters ({names}) VALUES ({values})"))
    async with database.begin() as session:
        with pytest.raises(DBAPIError, match="keeps what it holds"):
            await session.execute(text("DELETE FROM seal.code_counters"))
