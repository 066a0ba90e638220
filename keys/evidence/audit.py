"""What every journey writes: one event per step, inside the transaction it speaks of.

Events hold no personal data and no secrets: a number or a name enters as :func:`digest`. The sequencer
(``keys.evidence.log``) gives committed events their place in the Merkle log.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, cast

import orjson
from sqlalchemy import CTE, FromClause, Table, bindparam, insert, select

from keys.base.actor import Actor
from keys.base.db import AsyncSession, Database, beside
from keys.base.hot import Statement
from keys.base.ids import new_id
from keys.evidence.models import AuditEvent

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"


class Outcome(StrEnum):
    INTENT = "intent"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a journey.

    ``action``  dotted: package, journey, step (``certs.issue.reserve``)
    ``object``  kind and identifier (``certificate:0190…``)
    ``code``    the error's stable code where the outcome is a refusal or failure
    """

    action: str
    object: str
    outcome: Outcome
    actor: Actor
    details: Mapping[str, JSON] = field(default_factory=dict)
    code: str | None = None


def digest(text: str) -> str:
    """The SHA-256 of ``text`` in hexadecimal: how a document or an opaque value is named in an event.

    Not for ID numbers, whose few digits can be searched through: those enter as their keyed blind index.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no white space: the bytes that are hashed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def spelled(instant: dt.datetime) -> str:
    """An instant as an event's body writes it: UTC, to the millisecond (RFC 3339)."""
    return instant.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_EVENTS = cast(Table, AuditEvent.__table__)
_INSERT = insert(_EVENTS)  # prepared once: building it costs more than running it
_COLUMNS = ("id", "occurred_at", "action", "object", "actor_id", "outcome", "body")


def _row(now: dt.datetime, event: Event) -> dict[str, Any]:
    identifier, outcome = new_id(), str(event.outcome)  # ``.value`` of an enumeration costs ten times as much
    body = {
        "id": str(identifier),
        "time": spelled(now),
        "action": event.action,
        "object": event.object,
        "outcome": outcome,
        "code": event.code,
        "actor": {
            "kind": str(event.actor.kind),
            "id": event.actor.id,
            "organisation": event.actor.organisation,
            "division": event.actor.division,
        },
        "details": dict(event.details),
    }
    return {
        "id": identifier,
        "occurred_at": now,
        "action": event.action,
        "object": event.object,
        "actor_id": event.actor.id,
        "outcome": outcome,
        "body": canonical(body),
    }


async def record(session: AsyncSession, now: dt.datetime, event: Event) -> None:
    """Write the event in the caller's transaction: it exists exactly if what it speaks of does."""
    await session.execute(_INSERT, _row(now, event))


async def record_many(session: AsyncSession, now: dt.datetime, events: Sequence[Event]) -> None:
    """Write events in their order in the caller's transaction, in one statement. An event each, as :func:`record` writes it."""
    if events:
        await session.execute(_INSERT, [_row(now, event) for event in events])


def recorded(done: FromClause) -> CTE:
    """The event as a part of the statement that does what it speaks of: written exactly if ``done`` has its one row.

    For statements of the hot path (``keys.base.hot``); its values are :func:`parameters`.
    """
    values = [bindparam(f"audit_{name}", type_=_EVENTS.c[name].type) for name in _COLUMNS]
    return insert(_EVENTS).from_select(_COLUMNS, select(*values).select_from(done)).cte("audit")


def parameters(now: dt.datetime, event: Event) -> dict[str, Any]:
    """The values of :func:`recorded`."""
    return {f"audit_{name}": value for name, value in _row(now, event).items()}


_ALONE = Statement(insert(_EVENTS).values({name: bindparam(f"audit_{name}", type_=_EVENTS.c[name].type) for name in _COLUMNS}))


async def record_beside(session: AsyncSession, now: dt.datetime, event: Event) -> None:
    """Write the event in a transaction of its own, for steps that are given a session and not the database."""
    await beside(session).row(_ALONE, parameters(now, event))


async def record_alone(database: Database, now: dt.datetime, event: Event) -> None:
    """Write the event in a transaction of its own: a refusal outlives the rollback it leads to."""
    async with database.begin() as session:
        await session.execute(_INSERT, _row(now, event))
