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
from api.wiring import House
from certs.approvals import is_clean
from certs.library import decode_purpose
from certs.privacy import holds_number
from keys.base.actor import Actor
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.proofs import prove
from keys.evidence.search import Query as Wanted
from keys.evidence.search import admit, search

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
PROVE = "keys.evidence.prove"
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
    texts = {"actor": actor, "object": object, "action": action}
    if wrong := [name for name, text in texts.items() if text is not None and not searchable(text)]:
        raise InvalidInput("an ID number", errors=[{"field": name, "message": "no ID numbers"} for name in wrong])
    wanted = Wanted(actor, object, action, outcome, aware(since), aware(until), after, limit)
    page = await search(house.database, house.clock, who, wanted, purpose)
    return EventsAnswer(events=[EventAnswer(id=one.id, position=one.position, event=one.body) for one in page.events], next=page.next)


def aware(instant: dt.datetime | None) -> dt.datetime | None:
    """An instant without a zone is UTC."""
    return instant.replace(tzinfo=dt.UTC) if instant is not None and instant.tzinfo is None else instant


def searchable(text: str) -> bool:
    """What is asked for is written into the log: no ID number, nothing a database cannot hold."""
    return is_clean(text) and not holds_number(text)


@router.get("/events/{event_id}/proof")
async def proof(request: Request, event_id: uuid.UUID) -> Response:
    """The proof of an event as a file (C2SP tlog-proof): ``fujie audit check-proof FILE --vkey KEY``."""
    who = await auditor(request)
    return await proof_file(request.app.state.house, who, event_id)


async def proof_file(house: House, who: Actor, event_id: uuid.UUID) -> Response:
    """The proof as a download, recorded. Raises AuditorsOnly (audited), NotFound, EventWaits."""
    await admit(house.database, house.clock, who, PROVE, f"event:{event_id}")
    made = await prove(house.database, event_id)
    await record_alone(house.database, house.clock.now(), Event(PROVE, f"event:{event_id}", Outcome.DONE, who))
    headers = {"Content-Disposition": f'attachment; filename="{event_id}.tlog-proof"', "Cache-Control": "no-store"}
    return PlainTextResponse(made.encode(), headers=headers)
