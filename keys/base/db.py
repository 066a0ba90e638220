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
from sqlalchemy import BigInteger, DateTime, LargeBinary, MetaData, Text, Uuid, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session

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


class ReadingSession(Session):
    """A session whose statements are not in a transaction: nothing that it wrote could be undone, so it refuses to."""


@event.listens_for(ReadingSession, "before_flush")
def _refuse(*_: object) -> None:
    raise RuntimeError("a session for reading has something to write: open a transaction with Database.begin()")


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
        _, arguments = self.engine.dialect.create_connect_args(self.engine.url)
        self.hot = Hot(arguments, pool_size)
        info = {_BESIDE: self.hot}
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, info=info)
        # Statements that only read need no transaction: at READ COMMITTED each sees what was committed before it, within one or not, and
        # BEGIN and ROLLBACK are two of the three round trips of a session that asks one question.
        reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._readers = async_sessionmaker(reading, expire_on_commit=False, info=info, sync_session_class=ReadingSession)

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session inside a transaction that commits on leaving."""
        return self._sessions.begin()

    def session(self) -> AsyncSession:
        """A session for reading, each statement by itself; used as an asynchronous context manager."""
        return self._readers()

    async def close(self) -> None:
        await self.hot.close()
        await self.engine.dispose()


__all__ = ["TYPES", "AsyncSession", "Database", "DeclarativeBase", "ReadingSession", "beside", "schema_metadata"]
