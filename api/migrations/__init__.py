"""Interim: create all tables straight from the models (replaced by Alembic at integration)."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api.migrations.metadata import ALL


async def upgrade(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for metadata in ALL:
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {metadata.schema}"))
            await connection.run_sync(metadata.create_all)
    await engine.dispose()
