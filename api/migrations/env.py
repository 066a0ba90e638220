"""Alembic's environment: one connection, every package's schema, all revisions in one transaction under a lock."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from api.migrations.metadata import ALL

MIGRATION_LOCK = 0x46554A4945_02
SCHEMAS = frozenset(str(metadata.schema) for metadata in ALL)
COMPARED = frozenset(context.config.attributes.get("schemas", SCHEMAS))
"""A new revision may be made of one package's schema alone."""


def _ours(name: str | None, kind: str, _: object) -> bool:
    """Autogeneration looks at our schemas only."""
    return name in COMPARED if kind == "schema" else True


def _of_compared(thing: Any, _: str | None, kind: str, *__: object) -> bool:
    return thing.schema in COMPARED if kind == "table" else True


def _migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
    for schema in sorted(SCHEMAS):
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=list(ALL),
            include_schemas=True,
            include_name=_ours,
            include_object=_of_compared,
            version_table="fujie_revision",
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()


async def _run() -> None:
    engine = create_async_engine(context.config.attributes["url"])
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


asyncio.run(_run())
