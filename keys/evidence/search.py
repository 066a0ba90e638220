"""What an auditor asks of the trail: by actor, object, kind of action, outcome and time; the newest first.

Events hold no personal data, only digests and identifiers; who did what is personal data all the same. So every search is
an event itself: who asked, for what, and why.
"""

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Select, select, tuple_

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Forbidden, InvalidInput
from keys.evidence.audit import JSON, Event, Outcome, record, record_alone
from keys.evidence.models import AuditEvent

MOST = 200
SEARCH = "keys.evidence.search"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_CURSOR = re.compile(r"[0-9]{1,18}\.[0-9a-f]{32}")


class AuditorsOnly(Forbidden):
    """The account is no auditor's."""

    code = "AUDITORS_ONLY"
    public = ("此处仅供审计员使用，请用审计账号登录。", "This room is for auditors. Please log in with an auditor's account.")


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; everything that is given must hold.

    ``actor``, ``object``   exactly         ``action``   the beginning of the dotted name (``certs.issue``)
    ``since``, ``until``    from, and before         ``after``   the cursor of the page before
    """

    actor: str | None = None
    object: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    after: str | None = None
    limit: int = 50

    def said(self) -> dict[str, JSON]:
        """What was asked, for the event."""
        asked = {"actor": self.actor, "object": self.object, "action": self.action, "outcome": self.outcome}
        instants = {"since": self.since, "until": self.until}
        times: dict[str, JSON] = {name: value.isoformat() for name, value in instants.items() if value is not None}
        return times | {name: str(value) for name, value in asked.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """One event as it was recorded. ``position``: its index in the log, None while it waits for one."""

    id: uuid.UUID
    time: dt.datetime
    action: str
    object: str
    outcome: str
    position: int | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: the cursor of the next page, None at the end."""

    events: tuple[Found, ...]
    next: str | None


TWO_FACTORS = 2


def may_ask(actor: Actor) -> bool:
    """An auditor who logged in with two factors (a session may be older than the role), or the machine's own operator."""
    return actor.kind is ActorKind.SYSTEM or (Role.AUDITOR in actor.roles and actor.authenticator >= TWO_FACTORS)


async def admit(
    database: Database, clock: Clock, actor: Actor, action: str, wanted: str, details: Mapping[str, JSON] | None = None
) -> None:
    """Let an auditor in; the refusal of anybody else is an event. Raises AuditorsOnly."""
    if not may_ask(actor):
        event = Event(action, wanted, Outcome.REFUSED, actor, details or {}, code=AuditorsOnly.code)
        await record_alone(database, clock.now(), event)
        raise AuditorsOnly


async def search(database: Database, clock: Clock, actor: Actor, query: Query, purpose: str) -> Page:
    """A page of the trail.

    1. only auditors, and the machine's own operator, may ask   2. find   3. record the search, in the same transaction

    Raises AuditorsOnly (audited), InvalidInput.
    """
    await admit(database, clock, actor, SEARCH, "log", query.said())
    _require_sensible(query)
    async with database.begin() as session:
        page = await _page(session, query)
        details: dict[str, JSON] = {"query": query.said(), "purpose": purpose, "found": len(page.events)}
        await record(session, clock.now(), Event(SEARCH, "log", Outcome.DONE, actor, details))
    return page


def _require_sensible(query: Query) -> None:
    """What PostgreSQL cannot be asked is refused: a NUL, an instant that in UTC lies in no year from 1 to 9999."""
    if not 0 < query.limit <= MOST:
        raise InvalidInput("limit", errors=[{"field": "limit", "message": f"1 to {MOST}"}])
    for name in ("actor", "object", "action"):
        if "\0" in (getattr(query, name) or ""):
            raise InvalidInput(name, errors=[{"field": name, "message": "no NUL"}])
    for name in ("since", "until"):
        try:
            (getattr(query, name) or EPOCH).astimezone(dt.UTC)
        except OverflowError:
            raise InvalidInput(name, errors=[{"field": name, "message": "no instant of the years 1 to 9999"}]) from None


def _filtered(query: Query) -> Select[Any]:
    statement = select(AuditEvent).order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())
    if query.actor is not None:
        statement = statement.where(AuditEvent.actor_id == query.actor)
    if query.object is not None:
        statement = statement.where(AuditEvent.object == query.object)
    if query.action is not None:
        statement = statement.where(AuditEvent.action.startswith(query.action, autoescape=True))
    if query.outcome is not None:
        statement = statement.where(AuditEvent.outcome == str(query.outcome))
    if query.since is not None:
        statement = statement.where(AuditEvent.occurred_at >= query.since)
    if query.until is not None:
        statement = statement.where(AuditEvent.occurred_at < query.until)
    return statement


async def _page(session: AsyncSession, query: Query) -> Page:
    statement = _filtered(query).limit(query.limit + 1)
    if query.after is not None:
        statement = statement.where(tuple_(AuditEvent.occurred_at, AuditEvent.id) < tuple_(*read_cursor(query.after)))
    rows = list(await session.scalars(statement))
    events = tuple(_found(row) for row in rows[: query.limit])
    return Page(events, cursor(events[-1]) if len(rows) > query.limit else None)


def _found(row: AuditEvent) -> Found:
    return Found(row.id, row.occurred_at, row.action, row.object, row.outcome, row.position, orjson.loads(row.body))


def cursor(event: Found) -> str:
    """Microseconds since the epoch and the identifier: stable while events are added."""
    return f"{(event.time - EPOCH) // dt.timedelta(microseconds=1)}.{event.id.hex}"


def read_cursor(text: str) -> tuple[dt.datetime, uuid.UUID]:
    """The inverse; raises InvalidInput."""
    instant, _, identifier = text.partition(".")
    try:
        if _CURSOR.fullmatch(text) is None:
            raise ValueError
        return EPOCH + dt.timedelta(microseconds=int(instant)), uuid.UUID(hex=identifier)
    except (ValueError, OverflowError):
        raise InvalidInput("cursor", errors=[{"field": "after", "message": "not a cursor of this list"}]) from None
