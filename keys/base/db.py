"""The database: one engine, one session factory, a declarative base per package in its own schema.

The session is the unit of work. Journeys open their own transactions::

    async with database.begin() as session:
        ...          # committed on leaving, rolled back on an exception
"""

import datetime as dt
import uuid
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from sqlalchemy import BigInteger, DateTime, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from keys.base.hot import Hot

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

TYPES: dict[Any, Any] = {
    str: Text,
    bytes: LargeBinary,
    int: BigInteger,
    uuid.UUID: Uuid,
    dt.datetime: DateTime(timezone=True),
    dict[str, Any]: JSONB,
    list[str]: JSONB,
    list[dict[str, Any]]: JSONB,
}


_BESIDE = "keys.base.db.beside"


def beside(session: AsyncSession) -> Hot:
    """Single statements, each committed at once whatever becomes of the session's transaction.

    They run over connections of their own, so they never wait for the session's pool; they must not touch rows that the
    session may have locked, because that wait would have no end.
    """
    hot: Hot = session.info[_BESIDE]
    return hot


def schema_metadata(schema: str) -> MetaData:
    """The metadata of one package: all its tables live in the PostgreSQL schema named after it."""
    return MetaData(schema=schema, naming_convention=NAMING)


class Database:
    """An engine and its session factory. ``url`` is a PostgreSQL URL with the asyncpg driver.

    ``hot`` runs single statements past the engine, over at most ``pool_size`` connections of its own (``keys.base.hot``).
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            hide_parameters=True,  # an error that is logged names the statement, never the values: they are names and numbers
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        _, options = self.engine.dialect.create_connect_args(self.engine.url)
        self.hot = Hot(options, pool_size)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, info={_BESIDE: self.hot})

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session inside a transaction that commits on leaving."""
        return self._sessions.begin()

    def session(self) -> AsyncSession:
        """A session for reading; used as an asynchronous context manager."""
        return self._sessions()

    async def close(self) -> None:
        await self.hot.close()
        await self.engine.dispose()


__all__ = ["TYPES", "AsyncSession", "Database", "DeclarativeBase", "beside", "schema_metadata"]
