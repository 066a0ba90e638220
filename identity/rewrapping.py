"""Sealing again, under the present data key, what older ones sealed; then the older key is destroyed.

It runs beside the requests, in small batches, in as many processes as one likes, and goes on where it stopped: what is still to be
done stands in the envelopes themselves, which name their key.

:meth:`Rewrapping.step`
  1. *older*    the data keys that no longer seal
  2. *take*     some rows with an envelope under such a key; rows that somebody is writing are left for the next time
  3. *seal*     their values again, each in its context, outside the event loop
  4. *store*    an envelope replaces the very one that was opened, or nothing
  5. *close*    the older key, once no envelope names it: the database refuses new ones from then on, so none is ever lost
  6. *destroy*  what is closed: first in the key store (a token forgets it), then its wrapped octets

Which columns hold envelopes is data: each package names its own (:data:`SEALED` here, ``certs.rewrapping``).
"""

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from sqlalchemy import ColumnElement, RowMapping, Table, Uuid, and_, bindparam, func, not_, or_, select, tuple_, update

from identity.credentials import totp_context
from identity.models import BindingRow, CredentialRow, PersonalDataKeyRow, PopulationRow
from identity.personal_data import PersonalData, reread
from identity.realname import binding_context
from identity.realname_sources import population_context
from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.custody import reads as custody
from keys.custody.store import KeyStore
from keys.evidence import audit

log = structlog.get_logger("fujie.identity.rewrapping")

BATCH = 50
STEP_SECONDS = 2.0
MOST_UNREADABLE = 1_000

Context = Callable[[RowMapping], str]
Place = tuple[Any, ...]
"""The primary key of a row."""


@dataclass(frozen=True)
class SealedTable:
    """A table with envelopes. ``contexts`` says of each such column what its envelope is bound to, from the row's primary key."""

    table: Table
    contexts: Mapping[str, Context]

    @property
    def key(self) -> Sequence[ColumnElement[Any]]:
        return tuple(self.table.primary_key.columns)

    def under(self, key_id: uuid.UUID) -> ColumnElement[bool]:
        """Whether a row has an envelope under this data key (an index of each column answers it)."""
        return or_(*(func.substr(self.table.c[name], 2, 16) == key_id.bytes for name in self.contexts))


SEALED = (
    SealedTable(cast(Table, BindingRow.__table__), {"number_sealed": lambda row: binding_context(row["account_id"])}),
    SealedTable(cast(Table, CredentialRow.__table__), {"totp_sealed": lambda row: totp_context(row["account_id"])}),
    SealedTable(
        cast(Table, PopulationRow.__table__),
        {
            "number_sealed": lambda row: f"{population_context(row['number_index'])}:number",
            "name_sealed": lambda row: f"{population_context(row['number_index'])}:name",
            "mobile_sealed": lambda row: f"{population_context(row['number_index'])}:mobile",
        },
    ),
)
"""The envelopes of this package."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """One envelope that was opened and sealed again."""

    place: Place
    column: str
    old: bytes
    new: bytes


@dataclass
class Rewrapping:
    """The work, and what one process remembers of it: ``unreadable`` rows, which are stepped over and keep their key alive."""

    database: Database
    personal: PersonalData
    clock: Clock
    tables: Sequence[SealedTable] = SEALED
    unreadable: dict[str, set[Place]] = field(default_factory=dict)

    async def step(self, seconds: float = STEP_SECONDS) -> int:
        """Work for about so long; how many envelopes were sealed again. Called every few seconds."""
        deadline, renewed = time.monotonic() + seconds, 0
        await reread(self.personal, self.database, self.clock.now())
        async with self.database.session() as session:
            older = await older_keys(session, self.personal.data_key.id)
        for key_id in older:
            for table in self.tables:
                while time.monotonic() < deadline and (count := await self._batch(table, key_id)) is not None:
                    renewed += count
            if time.monotonic() < deadline:
                await close_unused(self.database, self.clock.now(), key_id, self.tables)
        await destroy_closed(self.database, self.personal.keystore, self.clock.now())
        return renewed

    async def _batch(self, sealed: SealedTable, key_id: uuid.UUID) -> int | None:
        """Some rows of one table; how many envelopes were renewed, ``None`` when there is nothing more to take."""
        skipped = self.unreadable.setdefault(sealed.table.fullname, set())
        if len(skipped) > MOST_UNREADABLE:
            return None  # something is wrong with more than rows: people must look
        async with self.database.begin() as session:
            rows = (await session.execute(_taken(sealed, key_id, skipped))).mappings().all()
            if not rows:
                return None
            renewed, broken = await asyncio.to_thread(_sealed_again, self.personal, sealed, key_id, rows)
            await _store(session, sealed, renewed)
            for place, error in broken:
                await audit.record(session, self.clock.now(), _unreadable(sealed, key_id, error))
                log.error("an envelope does not open", table=sealed.table.fullname, code=error.code)
                skipped.add(place)
        return len(renewed)


def _taken(sealed: SealedTable, key_id: uuid.UUID, skipped: set[Place]) -> Any:
    """Rows under the older key, locked; those that others hold are skipped, so nobody waits for us while we wait for them."""
    columns = (*sealed.key, *(sealed.table.c[name] for name in sealed.contexts))
    wanted = select(*columns).where(sealed.under(key_id)).limit(BATCH).with_for_update(skip_locked=True)
    return wanted.where(not_(tuple_(*sealed.key).in_(list(skipped)))) if skipped else wanted


def _sealed_again(
    personal: PersonalData, sealed: SealedTable, key_id: uuid.UUID, rows: Sequence[RowMapping]
) -> tuple[list[Renewed], list[tuple[Place, FujieError]]]:
    """Each envelope under the older key, sealed again; and the rows with one that does not open."""
    renewed: list[Renewed] = []
    broken: list[tuple[Place, FujieError]] = []
    for row in rows:
        try:
            renewed += list(_row_again(personal, sealed, key_id, row))
        except FujieError as error:
            broken.append((_place(sealed, row), error))
    return renewed, broken


def _row_again(personal: PersonalData, sealed: SealedTable, key_id: uuid.UUID, row: RowMapping) -> Iterator[Renewed]:
    for name, context in sealed.contexts.items():
        old = row[name]
        if old is not None and old[1:17] == key_id.bytes:
            yield Renewed(_place(sealed, row), name, old, personal.seal(personal.open(old, context(row)), context(row)))


def _place(sealed: SealedTable, row: RowMapping) -> Place:
    return tuple(row[column.key] for column in sealed.table.primary_key.columns)


async def _store(session: AsyncSession, sealed: SealedTable, renewed: Sequence[Renewed]) -> None:
    """Each new envelope in the place of the very one that was opened."""
    connection = await session.connection()
    for name in sealed.contexts:
        of_column = [one for one in renewed if one.column == name]
        if not of_column:
            continue
        column = sealed.table.c[name]
        here = [key == bindparam(f"at_{place}", type_=key.type) for place, key in enumerate(sealed.key)]
        change = update(sealed.table).where(and_(*here, column == bindparam("old"))).values({column: bindparam("new")})
        await connection.execute(
            change, [{"old": one.old, "new": one.new} | {f"at_{n}": part for n, part in enumerate(one.place)} for one in of_column]
        )


def _unreadable(sealed: SealedTable, key_id: uuid.UUID, error: FujieError) -> audit.Event:
    details: dict[str, audit.JSON] = {"table": sealed.table.fullname}
    return audit.Event("identity.personal_data.rewrap", f"key:{key_id}", audit.Outcome.FAILED, SYSTEM, details, error.code)


async def older_keys(session: AsyncSession, sealing: uuid.UUID) -> list[uuid.UUID]:
    """The data keys that stand and sealed before the one that seals now, oldest first."""
    since = select(PersonalDataKeyRow.seals_from).where(PersonalDataKeyRow.key_id == sealing).scalar_subquery()
    stands = and_(PersonalDataKeyRow.role == "data", PersonalDataKeyRow.destroyed_at.is_(None), PersonalDataKeyRow.key_id != sealing)
    query = select(PersonalDataKeyRow.key_id).where(stands, PersonalDataKeyRow.seals_from <= since)
    return list(await session.scalars(query.order_by(PersonalDataKeyRow.seals_from)))


async def close_unused(database: Database, now: dt.datetime, key_id: uuid.UUID, tables: Sequence[SealedTable]) -> bool:
    """Close a data key that no envelope names, for ever; whether it was.

    The lock waits for every transaction that is writing an envelope under this key, and keeps new ones out; each statement then
    sees what those committed. After the commit the database refuses envelopes that name it (``identity.data_key_stands``).
    """
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.identity.data_key_lock(bindparam("key", key_id, Uuid())))))
        for sealed in tables:
            if await session.scalar(select(select(sealed.table).where(sealed.under(key_id)).exists())):
                return False
        gone = update(PersonalDataKeyRow).where(PersonalDataKeyRow.key_id == key_id, PersonalDataKeyRow.destroyed_at.is_(None))
        if await session.scalar(gone.values(destroyed_at=now).returning(PersonalDataKeyRow.key_id)) is None:
            return False
        await audit.record(session, now, _destroying(key_id, audit.Outcome.INTENT))
        return True


async def destroy_closed(database: Database, keystore: KeyStore, now: dt.datetime) -> None:
    """Destroy what was closed. A process that is killed in between leaves this to the next: the octets go last."""
    async with database.session() as session:
        rows = await session.scalars(select(PersonalDataKeyRow.key_id).where(PersonalDataKeyRow.destroyed_at.is_not(None)))
        left = [key for key_id in rows.all() if (key := await custody.load_key(session, key_id)).wrapped]
    for key in left:
        await asyncio.to_thread(keystore.destroy, key)
        async with database.begin() as session:
            await custody.erase_key(session, key.id)
            await audit.record(session, now, _destroying(key.id, audit.Outcome.DONE))


def _destroying(key_id: uuid.UUID, outcome: audit.Outcome) -> audit.Event:
    return audit.Event("identity.personal_data.destroy_key", f"key:{key_id}", outcome, SYSTEM)


@dataclass(frozen=True, slots=True)
class DataKeyState:
    """A data key as an operator sees it. ``envelopes`` are those that name it; counted for older keys only, else ``None``."""

    key_id: uuid.UUID
    algorithm: str
    state: str
    seals_from: dt.datetime
    envelopes: int | None


async def data_key_states(session: AsyncSession, now: dt.datetime, tables: Sequence[SealedTable]) -> list[DataKeyState]:
    """Every data key there ever was, oldest first: ``next``, ``sealing``, ``older`` or ``destroyed``."""
    rows = list(
        await session.scalars(select(PersonalDataKeyRow).where(PersonalDataKeyRow.role == "data").order_by(PersonalDataKeyRow.seals_from))
    )
    begun = [row.key_id for row in rows if row.seals_from <= now and row.destroyed_at is None]
    states = []
    for row in rows:
        state = _state(row, now, begun)
        count = await envelopes_under(session, row.key_id, tables) if state == "older" else None
        algorithm = (await custody.load_key(session, row.key_id)).algorithm
        states.append(DataKeyState(row.key_id, algorithm, state, row.seals_from, count))
    return states


def _state(row: PersonalDataKeyRow, now: dt.datetime, begun: Sequence[uuid.UUID]) -> str:
    if row.destroyed_at is not None:
        return "destroyed"
    if row.seals_from > now:
        return "next"
    return "sealing" if row.key_id == begun[-1] else "older"


async def envelopes_under(session: AsyncSession, key_id: uuid.UUID, tables: Sequence[SealedTable]) -> int:
    """How many rows still have an envelope under this key."""
    counts = [await session.scalar(select(func.count()).select_from(one.table).where(one.under(key_id))) for one in tables]
    return sum(count or 0 for count in counts)
