"""Connections of an organisation with other systems: who is told of events, who brings approvals signed or as files, and how each is doing.

For system administrators who logged in with two factors. A secret is shown once, on the page that answers the form which made it.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.event_services import entering_of, subscribing_of
from api.event_views import entrance_address
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.session import Present, require_login
from certs.connections import organisation_of
from certs.delivery_rules import Answer, Verdict, judge
from certs.drops import Drop, drops_of
from certs.entrances import ISSUE, Entrance, close_entrance, entrances_of, open_entrance, rotate_entrance
from certs.event_reads import Delivery, deliveries_of
from certs.replaying import Range, replay, set_aside
from certs.subscriptions import (
    Subscription,
    SubscriptionNotFound,
    SubscriptionState,
    Wanted,
    get_subscription,
    move_subscription,
    rotate_subscription,
    subscribe,
    subscriptions_of,
    try_subscription,
)
from certs.topics import TOPICS
from identity.clients import list_clients
from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.errors import FujieError

QUEUE_SHOWN = 50
STATES = {
    SubscriptionState.ACTIVE: ("good", mark("Told")),
    SubscriptionState.PAUSED: ("wait", mark("Paused")),
    SubscriptionState.GONE: ("bad", mark("Says it is gone")),
}
DELIVERIES = {"waiting": ("wait", mark("waits")), "delivered": ("good", mark("taken")), "dead": ("bad", mark("given up"))}
DROPS = {"working": ("wait", mark("under way")), "done": ("good", mark("worked through")), "refused": ("bad", mark("no file of approvals"))}
IN_TROUBLE = mark("In trouble")
ANSWERED = {
    Verdict.DELIVERED: ("good", mark("It took the test message.")),
    Verdict.REFUSED: ("bad", mark("It refused the test message: %(answer)s")),
    Verdict.TROUBLE: ("bad", mark("It could not be told: %(answer)s")),
    Verdict.GONE: ("bad", mark("It says that it is gone: %(answer)s")),
}
DONE = {
    "paused": mark("Paused. What happens meanwhile waits in its queue."),
    "active": mark("It goes on being told."),
    "ended": mark("The subscription has ended."),
    "closed": mark("The entrance is closed."),
    "aside": mark("Set aside. The next event has its turn."),
    "queued": mark("Put into the queue once more. They keep their ids."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a form left behind: an error beside it, or a secret that is shown this once."""

    trouble: Trouble | None = None
    form: str = ""
    secret: str = ""
    whose: str = ""
    typed: tuple[str, str] = ("", "")


def require_administrator(request: Request) -> Present:
    """The system administrator at the browser. Raises LoginRequired, ``ConnectionForbidden``, ``ConnectionSecondFactorNeeded``."""
    present = require_login(request)
    organisation_of(present.actor)
    return present


@page
async def show_connections(request: Request) -> Response:
    return await _listed(request, require_administrator(request))


async def _listed(request: Request, present: Present, shown: Shown | None = None, status: int = 200) -> Response:
    house, locale, shown = house_of(request), locale_of(request), shown or Shown()
    organisation = organisation_of(present.actor)
    async with house.database.session() as session:
        clients = [one for one in await list_clients(session, house.clock.now()) if one.organisation == organisation]
        subscriptions = await subscriptions_of(session, organisation)
        entrances = await entrances_of(session, organisation)
        drops = await drops_of(session, [one.client_id for one in clients])
    issuing = [(one.client_id, one.name_zh if locale == CHINESE else one.name_en) for one in clients if ISSUE in one.scopes]
    return render(
        request, "connections.html", status=status, shown=shown, done=_done(request),
        subscriptions=[_row(one, locale) for one in subscriptions],
        entrances=[_entrance(one, house.base_url, dict(issuing), locale) for one in entrances],
        drops=[_drop(one, locale) for one in drops], dropping=house.settings.drop is not None, clients=issuing,
        topics=[(one.code, one.zh if locale == CHINESE else one.en) for one in TOPICS.values()],
    )  # fmt: skip


@page
async def add_subscription(request: Request) -> Response:
    """A new subscription; its secret stands on the page that comes back, and nowhere else."""
    present, form = require_administrator(request), await posted(request)
    topics = tuple(value for value in form.getlist("topic") if isinstance(value, str))
    wanted = Wanted(typed(form, "name"), typed(form, "url", 500), topics, tuple(typed(form, "types", 4000).split()))
    try:
        made, secret = await subscribe(subscribing_of(house_of(request)), present.actor, wanted)
    except FujieError as error:
        again = Shown(trouble_of(request, error), "subscribe", typed=(shown_again(wanted.name), shown_again(wanted.url)))
        return await _listed(request, present, again, error.status)
    return await _listed(request, present, Shown(secret=secret, whose=made.name))


@page
async def add_entrance(request: Request) -> Response:
    present, form = require_administrator(request), await posted(request)
    name, client = typed(form, "name"), typed(form, "client")
    try:
        made, secret = await open_entrance(entering_of(house_of(request)), present.actor, client, name)
    except FujieError as error:
        return await _listed(request, present, Shown(trouble_of(request, error), "entrance", typed=(shown_again(name), "")), error.status)
    return await _listed(request, present, Shown(secret=secret, whose=made.name))


@page
async def change_entrance(request: Request) -> Response:
    """A new secret, or closed for good."""
    present, form, wanted = require_administrator(request), await posted(request), identifier_of(request)
    entering = entering_of(house_of(request))
    if typed(form, "do") == "secret":
        made, secret = await rotate_entrance(entering, present.actor, wanted)
        return await _listed(request, present, Shown(secret=secret, whose=made.name))
    await close_entrance(entering, present.actor, wanted)
    return redirect("/connections?done=closed")


@page
async def show_subscription(request: Request) -> Response:
    return await _one(request, require_administrator(request), identifier_of(request, SubscriptionNotFound))


async def _one(request: Request, present: Present, wanted: uuid.UUID, shown: Shown | None = None, answer: Answer | None = None) -> Response:
    house, locale, shown = house_of(request), locale_of(request), shown or Shown()
    async with house.database.session() as session:
        found = await get_subscription(session, present.actor, wanted)
        queue = await deliveries_of(session, found.id, None, None, QUEUE_SHOWN)
        dead = await deliveries_of(session, found.id, "dead", None, QUEUE_SHOWN) if found.dead else []
    tried = _tried(answer, locale) if answer else None
    return render(
        request, "connection.html", view=_row(found, locale) | _facts(found, locale), queue=[_delivery(one, locale) for one in queue],
        dead=[_delivery(one, locale) for one in dead], shown=shown, tried=tried, done=_done(request),
    )  # fmt: skip


@page
async def change_one(request: Request) -> Response:
    """What the buttons of a subscription's page do."""
    present, form = require_administrator(request), await posted(request)
    wanted, subscribing = identifier_of(request, SubscriptionNotFound), subscribing_of(house_of(request))
    actor, place = present.actor, f"/connections/{wanted}"
    match typed(form, "do"):
        case "test":
            return await _one(request, present, wanted, answer=await try_subscription(subscribing, actor, wanted))
        case "secret":
            made, secret = await rotate_subscription(subscribing, actor, wanted)
            return await _one(request, present, wanted, Shown(secret=secret, whose=made.name))
        case "replay":
            await replay(subscribing, actor, wanted, _range(typed(form, "since")))
            return redirect(f"{place}?done=queued")
        case "aside":
            await set_aside(subscribing, actor, wanted, int(typed(form, "sequence", 18) or "0"))
            return redirect(f"{place}?done=aside")
        case "paused" | "active" | "ended" as state:
            await move_subscription(subscribing, actor, wanted, SubscriptionState(state))
            return redirect(f"{place if state != 'ended' else '/connections'}?done={state}")
    return redirect(place)


def _range(since: str) -> Range:
    """From the beginning of a civil day; without one, what was given up."""
    try:
        day = dt.date.fromisoformat(since) if since else None
    except ValueError:
        day = None
    return Range(since=dt.datetime.combine(day, dt.time(), CHINA_STANDARD_TIME)) if day else Range(dead=True)


def _done(request: Request) -> str:
    return translate(locale_of(request), DONE[found]) if (found := request.query_params.get("done", "")) in DONE else ""


def _row(one: Subscription, locale: str) -> dict[str, object]:
    tone, label = STATES[one.state]
    if one.state is SubscriptionState.ACTIVE and one.failures:
        tone, label = "bad", IN_TROUBLE
    return {
        "id": str(one.id), "name": one.name, "url": one.url, "tone": tone, "status": translate(locale, label), "waiting": one.waiting,
        "dead": one.dead, "state": one.state.value,
    }  # fmt: skip


def _facts(one: Subscription, locale: str) -> dict[str, object]:
    words = [TOPICS[code].zh if locale == CHINESE else TOPICS[code].en for code in one.topics if code in TOPICS]
    return {
        "topics": words, "types": list(one.types), "trouble": one.trouble or "", "failures": one.failures,
        "created": moment(one.created_at, locale), "succeeded": moment(one.succeeded_at, locale) if one.succeeded_at else "",
        "failed": moment(one.failed_at, locale) if one.failed_at else "", "next": moment(one.due_at, locale) if one.failures else "",
        "former": moment(one.former_until, locale) if one.former_until else "",
    }  # fmt: skip


def _delivery(one: Delivery, locale: str) -> dict[str, object]:
    tone, label = DELIVERIES[one.state]
    topic = TOPICS.get(one.topic)
    return {
        "sequence": one.sequence, "what": (topic.zh if locale == CHINESE else topic.en) if topic else one.topic, "id": str(one.event_id),
        "tone": tone, "status": translate(locale, label), "attempts": one.attempts, "trouble": one.trouble or "",
        "at": moment(one.tried_at or one.queued_at, locale), "waiting": one.state == "waiting",
    }  # fmt: skip


def _entrance(one: Entrance, base_url: str, names: dict[str, str], locale: str) -> dict[str, object]:
    return {
        "id": str(one.id), "name": one.name, "client": names.get(one.client_id, one.client_id), "address": entrance_address(one, base_url),
        "used": moment(one.used_at, locale) if one.used_at else "",
    }  # fmt: skip


def _drop(one: Drop, locale: str) -> dict[str, object]:
    tone, label = DROPS[one.state]
    return {
        "name": one.file_name, "at": moment(one.found_at, locale), "tone": tone, "status": translate(locale, label), "issued": one.issued,
        "waiting": one.waiting, "refused": one.refused, "trouble": one.trouble or "",
    }  # fmt: skip


def _tried(answer: Answer, locale: str) -> dict[str, str]:
    tone, sentence = ANSWERED[judge(answer)]
    return {"tone": tone, "text": translate(locale, sentence) % {"answer": answer.trouble or f"HTTP {answer.status}"}}


routes: list[BaseRoute] = [
    Route("/connections", show_connections, methods=["GET"]),
    Route("/connections", add_subscription, methods=["POST"]),
    Route("/connections/entrances", add_entrance, methods=["POST"]),
    Route("/connections/entrances/{id}", change_entrance, methods=["POST"]),
    Route("/connections/{id}", show_subscription, methods=["GET"]),
    Route("/connections/{id}", change_one, methods=["POST"]),
]
