"""Interim: create all tables straight from the models (replaced by Alembic at integration)."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api.migrations.metadata import ALL
from keys.evidence.log import APPEND_ONLY


async def upgrade(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for metadata in ALL:
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {metadata.schema}"))
            await connection.run_sync(metadata.create_all)
        if (await connection.execute(text("SELECT 1 FROM pg_trigger WHERE tgname = 'audit_append_only'"))).first() is None:
            for statement in APPEND_ONLY:
                await connection.execute(text(statement))
    await engine.dispose()
