"""Items of merged licences (多证合一) that a department has to claim: what is open, what is overdue, what was claimed."""

import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import day, locale_of, mark, translate
from api.pages.issue import require_window
from api.pages.rendering import render
from api.pages.spoken import holders_of
from certs.claiming import MAX_NOTE, Item, ItemClaimed, ItemState, claim_item, count_items, list_items
from certs.reads import get_certificate
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput

STATES = {ItemState.OPEN: mark("To be claimed"), ItemState.OVERDUE: mark("Overdue"), ItemState.CLAIMED: mark("Claimed")}
TONES = {ItemState.OPEN: "wait", ItemState.OVERDUE: "bad", ItemState.CLAIMED: "good"}


@page
async def show_items(request: Request) -> Response:
    """The department's items in one state, the overdue ones first of all."""
    return await _items(request)


async def _items(request: Request, status: int = 200, error: Trouble | None = None, failed: str = "", note: str = "") -> Response:
    present, house, locale = require_window(request), house_of(request), locale_of(request)
    today = civil_date(house.clock.now())
    async with house.database.session() as session:
        counts = await count_items(session, present.account.organisation or "", today)
    state = _state(request.query_params.get("state", ""), counts)
    found, more = await list_items(house.database, house.clock, present.actor, state, after=_after(request))
    items = []
    for one in found:
        async with house.database.session() as session:
            licence = await get_certificate(session, one.certificate_id)
        items.append(_view(one, locale, holders_of(licence) if licence else []))
    states = [
        {"value": one.value, "words": translate(locale, words), "count": counts[one], "tone": TONES[one]} for one, words in STATES.items()
    ]
    return render(
        request, "merged.html", status=status, items=items, states=states, state=state.value, more=str(more) if more else "", error=error,
        failed=failed, note=note,
    )  # fmt: skip


def _state(asked: str, counts: dict[ItemState, int]) -> ItemState:
    if asked in set(ItemState):
        return ItemState(asked)
    return ItemState.OVERDUE if counts[ItemState.OVERDUE] else ItemState.OPEN


def _after(request: Request) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.query_params.get("after", ""))
    except ValueError:
        return None


def _view(one: Item, locale: str, holders: list[str]) -> dict[str, object]:
    return {
        "id": str(one.id), "name": one.name, "licence": one.licence_name, "number": one.number, "issuer": one.issuer_name,
        "holders": holders, "absorbed": one.absorbed, "due": day(one.due_on, locale), "note": one.note, "claimed_by": one.claimed_by or "",
        "claimed": one.claimed_at,
    }  # fmt: skip


@page
async def submit_claim(request: Request) -> Response:
    """Claim one item; a note that does not fit is said beside it."""
    present, house = require_window(request), house_of(request)
    note = typed(await posted(request), "note", 400)
    try:
        await claim_item(house.database, house.clock, present.actor, identifier_of(request), note)
    except (InvalidInput, ItemClaimed) as error:
        return await _items(request, error.status, trouble_of(request, error), str(identifier_of(request)), shown_again(note)[:MAX_NOTE])
    return redirect("/merged?state=claimed")


routes: list[BaseRoute] = [
    Route("/merged", show_items, methods=["GET"]),
    Route("/merged/{id}", submit_claim, methods=["POST"]),
]
