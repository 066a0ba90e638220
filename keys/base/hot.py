"""The hot path: statements that run at every request, sent to PostgreSQL by asyncpg alone.

A :class:`Statement` is a construct of SQLAlchemy Core compiled once, so tables, types and rules are written in one place;
a session around it costs several times what the statement itself costs. Each statement is one round trip and one
transaction: what has to happen together stands in one statement, with the audit event as a part of it
(``audit.recorded``). Everything else goes through ``Database.begin``.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

Record = Mapping[str, Any]
"""A row by the names of its columns."""

PATIENCE = 30.0
"""Seconds that a request waits for a connection: what SQLAlchemy's pool waits too."""

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
# Options of SQLAlchemy's adapter, which asyncpg itself does not know.
_ADAPTER_OPTIONS = frozenset({"async_creator_fn", "prepared_statement_cache_size", "prepared_statement_name_func"})
_JSONB_VERSION = b"\x01"


class Statement:
    """A Core statement as asyncpg takes it: ``sql`` with ``$1`` …, and which named parameter stands where."""

    __slots__ = ("_fixed", "_names", "sql")

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        binds = {name: compiled.binds[name] for name in self._names}
        self._fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters in order. Raises KeyError for one that ``values`` lacks."""
        fixed = self._fixed
        return [fixed[name] if name in fixed else values[name] for name in self._names]


class Hot:
    """At most ``size`` connections, made when they are needed; the one used last is used next.

    ``options`` are asyncpg's. A connection is taken for one statement and has no state to reset. One that was interrupted, by
    a cancelled request or a broken line, is closed and never used again.
    """

    def __init__(self, options: Mapping[str, Any], size: int) -> None:
        self._options = {name: value for name, value in options.items() if name not in _ADAPTER_OPTIONS}
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(size)
        self._closed = False

    async def row(self, statement: Statement, values: Mapping[str, Any]) -> Record | None:
        """Run the statement as a transaction of its own; its first row, or None. Raises asyncpg's errors."""
        arguments = statement.arguments(values)
        connection = await self._take()
        try:
            found: Record | None = await connection.fetchrow(statement.sql, *arguments)
        except asyncpg.PostgresError:
            self._give_back(connection)
            raise
        except BaseException:
            connection.terminate()
            self._give_back(connection)
            raise
        self._give_back(connection)
        return found

    async def close(self) -> None:
        """Close what is idle now, and every other connection as it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> Any:
        if self._free.locked():
            async with asyncio.timeout(PATIENCE):
                await self._free.acquire()
        else:
            await self._free.acquire()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self._connect()
        except BaseException:
            self._free.release()
            raise

    def _give_back(self, connection: Any) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)
        self._free.release()

    async def _connect(self) -> Any:
        if self._closed:
            raise asyncpg.InterfaceError("the database is closed")
        connection = await asyncpg.connect(**self._options, max_cached_statement_lifetime=0)
        await connection.set_type_codec("jsonb", schema="pg_catalog", format="binary", encoder=_jsonb, decoder=_from_jsonb)
        return connection


def _jsonb(value: object) -> bytes:
    return _JSONB_VERSION + orjson.dumps(value)


def _from_jsonb(octets: bytes) -> Any:
    return orjson.loads(octets[1:])
