"""What only the database knows of a row: whether its identifier is known, and whether a register knows its holder."""

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from certs.ingestion_rows import Prepared
from identity.reads import unregistered
from keys.base.db import AsyncSession, Database

_KNOWN = text("SELECT identifier FROM certs.certificates WHERE identifier = ANY(:identifiers) AND NOT duplicate AND identifier <> ''")
_SEEN = "rehearsed_identifiers"


class Matcher(Protocol):
    """Adds flags to a batch."""

    async def match(self, session: AsyncSession, batch: Prepared) -> None:
        """``duplicate_identifier`` and ``holder_unknown``, where they are due."""
        ...


class Recorded:
    """Against what is recorded; the batch is recorded next, in the same transaction."""

    async def match(self, session: AsyncSession, batch: Prepared) -> None:
        wanted = [one for one in batch.identifiers if one]
        _flag_duplicates(batch, set(await session.scalars(_KNOWN, {"identifiers": wanted})))
        await flag_unknown(session, batch)


class Rehearsed:
    """Against what is recorded and what the dry run saw before, which a table of this one connection remembers."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def match(self, session: AsyncSession, batch: Prepared) -> None:
        wanted = [one for one in batch.identifiers if one]
        known = set(await session.scalars(_KNOWN, {"identifiers": wanted}))
        _flag_duplicates(batch, known | await self._seen_before(sorted(set(wanted))))
        await flag_unknown(session, batch)

    async def _seen_before(self, identifiers: list[str]) -> set[str]:
        statement = text(f"INSERT INTO {_SEEN} SELECT unnest(CAST(:them AS text[])) ON CONFLICT DO NOTHING RETURNING identifier")
        fresh = set(await self._connection.scalars(statement, {"them": identifiers}))
        await self._connection.commit()
        return set(identifiers) - fresh


@contextlib.asynccontextmanager
async def rehearsed(database: Database) -> AsyncIterator[Rehearsed]:
    """A dry run's memory, gone on leaving."""
    async with database.engine.connect() as connection:
        await connection.execute(text(f"CREATE TEMPORARY TABLE {_SEEN} (identifier text PRIMARY KEY)"))
        await connection.commit()
        try:
            yield Rehearsed(connection)
        finally:
            await connection.rollback()
            await connection.execute(text(f"DROP TABLE {_SEEN}"))
            await connection.commit()


def _flag_duplicates(batch: Prepared, known: set[str]) -> None:
    for place, identifier in enumerate(batch.identifiers):
        if not identifier:
            continue
        if identifier in known:
            batch.add_flag(place, "duplicate_identifier")
        known.add(identifier)


async def flag_unknown(session: AsyncSession, batch: Prepared) -> None:
    """``holder_unknown``: the number is sound, its register is kept here, and does not know it."""
    people, organisations = await unregistered(session, {index for _, index in batch.people}, {code for _, code in batch.organisations})
    unknown = {place for place, index in batch.people if index in people}
    for place in sorted(unknown | {place for place, code in batch.organisations if code in organisations}):
        batch.add_flag(place, "holder_unknown")
