"""Entrances for approving systems that cannot speak OAuth: they sign each message with a shared secret (``certs.webhook_signing``).

1. check   the entrance, its signature, the time of the message; whoever fails is told one and the same thing
2. become  the client it stands for, as it is registered now
3. once    the message's id names the request: the same message again is given the same answer, and issues nothing twice

A message that was recorded is worth nothing after five minutes, and nothing new before.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import func, select, update

from certs.approvals import IdempotencyKeyReused
from certs.connections import MOST_CONNECTIONS, TooManyConnections, id_of, organisation_of, plain_name, record_done, record_refused
from certs.event_models import EntranceRow
from certs.shared_secrets import good_secrets, replace_secret, seal_new
from certs.webhook_signing import SignatureInvalid, check
from identity.clients import get_client
from identity.personal_data import PersonalData
from keys.base.actor import ANONYMOUS, Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput, NotFound

ISSUE = "certificates:issue"
_KIND = "entrance"
_USED = dt.timedelta(minutes=1)


class EntranceNotFound(NotFound):
    code = "ENTRANCE_NOT_FOUND"
    public = ("没有这个接入口。", "There is no such entrance.")


class EntranceState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Entrance:
    id: uuid.UUID
    organisation: str
    client_id: str
    name: str
    state: EntranceState
    created_at: dt.datetime
    used_at: dt.datetime | None
    former_until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Entering:
    """What the journeys need."""

    database: Database
    clock: Clock
    personal: PersonalData


async def open_entrance(
    entering: Entering, actor: Actor, client_id: str, name: str, organisation: str | None = None, key: str | None = None
) -> tuple[Entrance, str]:
    """A new entrance for a client of the organisation that may issue, and its secret, shown this once; the same ``key`` again is given
    the same answer.

    Raises ``IdempotencyKeyReused``, what ``organisation_of`` raises, InvalidInput, ``TooManyConnections``.
    """
    now = entering.clock.now()
    try:
        owner = organisation_of(actor, organisation)
        async with entering.database.begin() as session:
            return await _open(entering, session, now, actor, (owner, client_id, plain_name(name)), key)
    except FujieError as error:
        await record_refused(entering.database, now, actor, _KIND, "open", error)
        raise


async def _open(
    entering: Entering, session: AsyncSession, now: dt.datetime, actor: Actor, wanted: tuple[str, str, str], key: str | None
) -> tuple[Entrance, str]:
    owner, client_id, name = wanted
    row_id = id_of(actor, owner, key)
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"certs.entrances.{owner}", 0))))
    if (made := await session.get(EntranceRow, row_id)) is not None:
        if (made.client_id, made.name) != (client_id, name):
            raise IdempotencyKeyReused
        return _view(made), good_secrets(entering.personal, now, made)[0]
    opened = (EntranceRow.organisation == owner) & (EntranceRow.state == EntranceState.OPEN.value)
    if (await session.scalar(select(func.count()).where(opened)) or 0) >= MOST_CONNECTIONS:
        raise TooManyConnections
    client = await client_that_issues(session, now, client_id)
    if client is None or client.organisation != owner:
        raise InvalidInput("client", errors=[{"field": "client_id", "message": "a client of the organisation that may issue"}])
    secret, sealed = seal_new(entering.personal, row_id)
    row = EntranceRow(
        id=row_id, client_id=client_id, organisation=owner, name=name, state=EntranceState.OPEN.value, secret=sealed, created_at=now,
        created_by=actor.id,
    )  # fmt: skip
    session.add(row)
    await record_done(session, now, actor, _KIND, row_id, "open", {"client": client_id})
    await session.flush()
    return _view(row), secret


async def close_entrance(entering: Entering, actor: Actor, entrance_id: uuid.UUID) -> Entrance:
    """Nobody enters there any more. Raises :class:`EntranceNotFound`."""
    now = entering.clock.now()
    async with entering.database.begin() as session:
        row = await _own(session, actor, entrance_id)
        row.state = EntranceState.CLOSED.value
        await record_done(session, now, actor, _KIND, row.id, "close", {})
        return _view(row)


async def rotate_entrance(entering: Entering, actor: Actor, entrance_id: uuid.UUID) -> tuple[Entrance, str]:
    """A new secret, shown this once; the old one is good for a day more. Raises :class:`EntranceNotFound`."""
    now = entering.clock.now()
    async with entering.database.begin() as session:
        row = await _own(session, actor, entrance_id)
        secret = replace_secret(entering.personal, now, row)
        await record_done(session, now, actor, _KIND, row.id, "rotate", {})
        return _view(row), secret


async def entrances_of(session: AsyncSession, organisation: str | None) -> list[Entrance]:
    """Every open entrance; of everybody where ``organisation`` is None."""
    statement = select(EntranceRow).where(EntranceRow.state == EntranceState.OPEN.value).order_by(EntranceRow.created_at, EntranceRow.id)
    found = await session.scalars(statement.where(EntranceRow.organisation == organisation) if organisation else statement)
    return [_view(one) for one in found]


async def enter(entering: Entering, entrance_id: uuid.UUID, headers: Mapping[str, str], body: bytes) -> tuple[Actor, str]:
    """The client that sent the message, and the key by which its answer is remembered. Raises ``SignatureInvalid``."""
    now = entering.clock.now()
    try:
        async with entering.database.session() as session:
            row = await session.get(EntranceRow, entrance_id)
            if row is None or row.state != EntranceState.OPEN.value:
                raise SignatureInvalid("no such entrance")
            message = check(headers, body, good_secrets(entering.personal, now, row), now)
            actor = await client_that_issues(session, now, row.client_id)
        if actor is None or actor.organisation != row.organisation:
            raise SignatureInvalid("its client is gone")
    except SignatureInvalid as error:
        await record_refused(entering.database, now, replace(ANONYMOUS, name=str(entrance_id)), _KIND, "enter", error)
        raise
    await _note_use(entering.database, now, entrance_id)
    return actor, f"webhook-{hashlib.sha256(f'{entrance_id}:{message.id}'.encode()).hexdigest()}"


async def client_that_issues(session: AsyncSession, now: dt.datetime, client_id: str) -> Actor | None:
    """The active client of that identifier, with the scopes it is registered with, if issuing is one of them."""
    client = await get_client(session, now, client_id)
    return replace(client.actor, scopes=client.scopes) if client and ISSUE in client.scopes else None


async def _note_use(database: Database, now: dt.datetime, entrance_id: uuid.UUID) -> None:
    """Once a minute is enough to know that it is used."""
    long_ago = EntranceRow.used_at.is_(None) | (EntranceRow.used_at < now - _USED)
    async with database.begin() as session:
        await session.execute(update(EntranceRow).where(EntranceRow.id == entrance_id, long_ago).values(used_at=now))


async def _own(session: AsyncSession, actor: Actor, entrance_id: uuid.UUID) -> EntranceRow:
    row = await session.get(EntranceRow, entrance_id, with_for_update=True, populate_existing=True)
    if row is None or row.state != EntranceState.OPEN.value:
        raise EntranceNotFound
    if organisation_of(actor, row.organisation if actor.kind is ActorKind.SYSTEM else None) != row.organisation:
        raise EntranceNotFound
    return row


def _view(row: EntranceRow) -> Entrance:
    return Entrance(
        row.id, row.organisation, row.client_id, row.name, EntranceState(row.state), row.created_at, row.used_at, row.former_until
    )  # fmt: skip
