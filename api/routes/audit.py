"""The trail for auditors: ``GET /api/v1/audit/events`` and the proof of each event. Every search is an event itself.

Whoever asks is logged in at this browser or client (the session's cookie) with an auditor's account, which a second factor
guards, and says why in the header ``Purpose``.
"""

import datetime as dt
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from api.session import LoginRequired, current
from certs.library import decode_purpose
from keys.base.actor import Actor, Role
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.proofs import prove
from keys.evidence.search import AuditorsOnly, search
from keys.evidence.search import Query as Wanted

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
Text = Annotated[str | None, Query(max_length=200)]


class EventAnswer(BaseModel):
    """One event. ``position``: its index in the log, null while it waits for one; ``event``: the body as it was recorded."""

    id: uuid.UUID
    position: int | None
    event: dict[str, Any]


class EventsAnswer(BaseModel):
    """``next``: the value of ``after`` for the next page, null at the end."""

    events: list[EventAnswer]
    next: str | None


async def auditor(request: Request) -> Actor:
    """Who is logged in. Raises LoginRequired; whether they are an auditor is for the search to say, and to record."""
    present = await current(request)
    if present is None:
        raise LoginRequired
    return present.actor


@router.get("/events")
async def events(
    request: Request,
    actor: Text = None,
    object: Text = None,
    action: Text = None,
    outcome: Outcome | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    after: Text = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> EventsAnswer:
    """The newest events first; ``action`` is the beginning of a name (``certs.issue``). Header ``Purpose`` as for files."""
    house, who = request.app.state.house, await auditor(request)
    purpose = decode_purpose(request.headers.get("purpose"))
    wanted = Wanted(actor, object, action, outcome, aware(since), aware(until), after, limit)
    page = await search(house.database, house.clock, who, wanted, purpose)
    return EventsAnswer(events=[EventAnswer(id=one.id, position=one.position, event=one.body) for one in page.events], next=page.next)


def aware(instant: dt.datetime | None) -> dt.datetime | None:
    """An instant without a zone is UTC."""
    return instant.replace(tzinfo=dt.UTC) if instant is not None and instant.tzinfo is None else instant


@router.get("/events/{event_id}/proof")
async def proof(request: Request, event_id: uuid.UUID) -> Response:
    """The proof of an event as a file (C2SP tlog-proof): ``fujie audit check-proof FILE --vkey KEY``."""
    house, who = request.app.state.house, await auditor(request)
    if Role.AUDITOR not in who.roles:
        event = Event("keys.evidence.prove", f"event:{event_id}", Outcome.REFUSED, who, code=AuditorsOnly.code)
        await record_alone(house.database, house.clock.now(), event)
        raise AuditorsOnly
    made = await prove(house.database, event_id)
    await record_alone(house.database, house.clock.now(), Event("keys.evidence.prove", f"event:{event_id}", Outcome.DONE, who))
    headers = {"Content-Disposition": f'attachment; filename="{event_id}.tlog-proof"', "Cache-Control": "no-store"}
    return PlainTextResponse(made.encode(), headers=headers)
