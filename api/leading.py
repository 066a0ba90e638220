"""One of all processes leads: what need be done once for the whole city is done by it alone, and by another as soon as it dies.

A session lock of PostgreSQL on a connection of its own: the server lets it go with the connection, whatever becomes of the process.
Everything a leader does is safe to do twice (docs/decisions/0090); leading saves work, it guards nothing.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from sqlalchemy import func, literal, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from keys.base.db import Database

_NAME = "api.background"
_TAKE = select(func.pg_try_advisory_lock(func.hashtextextended(_NAME, 0)))
_STILL = select(literal(True))
_LOST = (SQLAlchemyError, OSError)


class Leadership:
    """A process's standing among all; an asynchronous context manager that steps down on leaving."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._connection: AsyncConnection | None = None
        self._leads = False
        self._turn = asyncio.Lock()

    async def held(self) -> bool:
        """Whether this process leads now; takes the lead where nobody has it. False while the database is away."""
        async with self._turn:
            try:
                if self._connection is None:
                    self._connection = await self._engine.connect()
                    await self._connection.execution_options(isolation_level="AUTOCOMMIT")
                self._leads = bool(await self._connection.scalar(_STILL if self._leads else _TAKE))
            except _LOST:
                await self._step_down()
            return self._leads

    async def _step_down(self) -> None:
        connection, self._connection, self._leads = self._connection, None, False
        if connection is not None:
            with contextlib.suppress(*_LOST):
                await connection.invalidate()  # never back into the pool with the lock
                await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        async with self._turn:
            await self._step_down()
