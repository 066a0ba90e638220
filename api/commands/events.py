"""``fujie events`` and ``fujie events entrance``: what departments are told, and how approvals come in. Every command is audited."""

import datetime as dt
import uuid
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.event_services import entering_of, subscribing_of
from api.event_views import answer_json, delivery_json, drop_json, entrance_json, subscription_json
from api.wiring import House
from certs.delivery_rules import Verdict, judge
from certs.drop_files import INBOX, is_open_to_all
from certs.drops import drops_of
from certs.entrances import close_entrance, entrances_of, open_entrance, rotate_entrance
from certs.event_reads import deliveries_of
from certs.replaying import Range, replay, set_aside
from certs.subscriptions import (
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
from keys.base.actor import SYSTEM

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Events to subscribers.", pretty_exceptions_enable=False)
entrance = typer.Typer(add_completion=False, no_args_is_help=True, help="Signed approvals in.", pretty_exceptions_enable=False)
Id = Annotated[uuid.UUID, typer.Argument(metavar="ID", help="as list prints it")]
Organisation = Annotated[str, typer.Option(help="USCC of the organisation")]
Instant = Annotated[dt.datetime | None, typer.Option(help="UTC")]


def say(value: object) -> None:
    """One JSON object a line."""
    print(orjson.dumps(value).decode(), flush=True)


@app.command("topics")
def list_topics() -> None:
    """Print what there is to be told of."""
    for one in TOPICS.values():
        say({"topic": one.code, "zh": one.zh, "en": one.en, "data": sorted(one.members)})


@app.command("list")
def list_subscriptions(organisation: Organisation = "") -> None:
    """Print the subscriptions and how each is doing: what waits, what is dead, what went wrong last."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await subscriptions_of(session, organisation or None):
                say(subscription_json(one))

    with_house(journey)


@app.command("subscribe")
def subscribe_to(
    url: Annotated[str, typer.Argument(help="a public https address; private networks: FUJIE_WEBHOOK_NETWORKS")],
    organisation: Organisation,
    name: Annotated[str, typer.Option(help="what the subscriber is called here")] = "webhook",
    topic: Annotated[list[str] | None, typer.Option(help="see fujie events topics; default all")] = None,
    type_code: Annotated[list[str] | None, typer.Option("--type", help="only certificates of these types; default all")] = None,
) -> None:
    """Subscribe an address. The secret that signs is printed this once."""

    async def journey(house: House) -> None:
        wanted = Wanted(name, url, tuple(topic or ()), tuple(type_code or ()))
        made, secret = await subscribe(subscribing_of(house), SYSTEM, wanted, organisation)
        say(subscription_json(made) | {"secret": secret})

    with_house(journey)


def _move(subscription: uuid.UUID, state: SubscriptionState) -> None:
    async def journey(house: House) -> None:
        say(subscription_json(await move_subscription(subscribing_of(house), SYSTEM, subscription, state)))

    with_house(journey)


@app.command("pause")
def pause_subscription(subscription: Id) -> None:
    """Leave a subscriber alone; its queue grows."""
    _move(subscription, SubscriptionState.PAUSED)


@app.command("resume")
def resume_subscription(subscription: Id) -> None:
    """Go on, now, whatever pause it was in."""
    _move(subscription, SubscriptionState.ACTIVE)


@app.command("end")
def end_subscription(subscription: Id) -> None:
    """End a subscription for good."""
    _move(subscription, SubscriptionState.ENDED)


@app.command("secret")
def rotate_secret(subscription: Id) -> None:
    """Give a subscription a new secret and print it; for a day both sign."""

    async def journey(house: House) -> None:
        rotated, secret = await rotate_subscription(subscribing_of(house), SYSTEM, subscription)
        say(subscription_json(rotated) | {"secret": secret})

    with_house(journey)


@app.command("test")
def send_test(subscription: Id) -> None:
    """Send a message of type fujie.test now; exit 1 where it was not taken."""

    async def journey(house: House) -> bool:
        answer = await try_subscription(subscribing_of(house), SYSTEM, subscription)
        say(answer_json(answer))
        return judge(answer) is Verdict.DELIVERED

    if not with_house(journey):
        raise typer.Exit(1)


@app.command("deliveries")
def list_deliveries(
    subscription: Id,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or dead")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 50,
) -> None:
    """Print a subscriber's queue, the newest event first."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            own = await get_subscription(session, SYSTEM, subscription)
            for one in await deliveries_of(session, own.id, state, None, most):
                say(delivery_json(one))

    with_house(journey)


@app.command("replay")
def replay_events(
    subscription: Id,
    first: Annotated[int | None, typer.Option(min=1, help="number of the first event")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="number of the last event")] = None,
    since: Instant = None,
    until: Instant = None,
    event: Annotated[list[uuid.UUID] | None, typer.Option(help="id of an event")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="only what was given up")] = False,
) -> None:
    """Send events again, under their ids and in their order."""
    spoken = [one.replace(tzinfo=dt.UTC) if one is not None and one.tzinfo is None else one for one in (since, until)]

    async def journey(house: House) -> None:
        asked = Range(first, last, spoken[0], spoken[1], tuple(event or ()), dead)
        say({"queued": await replay(subscribing_of(house), SYSTEM, subscription, asked)})

    with_house(journey)


@app.command("set-aside")
def set_event_aside(subscription: Id, sequence: Annotated[int, typer.Argument(min=1, help="number of the event")]) -> None:
    """Give one event up, so that the next has its turn; it can be replayed."""

    async def journey(house: House) -> None:
        say({"set_aside": await set_aside(subscribing_of(house), SYSTEM, subscription, sequence)})

    with_house(journey)


@app.command("drops")
def list_drops(most: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50) -> None:
    """Print the files of the file drop (FUJIE_DROP), the newest first; and folders left alone because anybody may write there."""

    async def journey(house: House) -> None:
        for folder in sorted(house.settings.drop.iterdir()) if house.settings.drop else ():
            if (folder / INBOX).is_dir() and is_open_to_all(folder / INBOX):
                say({"folder": folder.name, "trouble": "anybody may write there"})
        async with house.database.session() as session:
            for one in await drops_of(session, None, most):
                say(drop_json(one))

    with_house(journey)


@entrance.command("list")
def list_entrances(organisation: Organisation = "") -> None:
    """Print the open entrances."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await entrances_of(session, organisation or None):
                say(entrance_json(one, house.base_url))

    with_house(journey)


@entrance.command("open")
def open_one(
    client_id: Annotated[str, typer.Argument(help="a client that may issue; what comes in counts as its own")],
    organisation: Organisation,
    name: Annotated[str, typer.Option(help="what the sending system is called here")] = "webhook",
) -> None:
    """Open an entrance. The secret that its sender signs with is printed this once."""

    async def journey(house: House) -> None:
        made, secret = await open_entrance(entering_of(house), SYSTEM, client_id, name, organisation)
        say(entrance_json(made, house.base_url) | {"secret": secret})

    with_house(journey)


@entrance.command("secret")
def rotate_entrance_secret(one: Id) -> None:
    """Give an entrance a new secret and print it; the old one is good for a day more."""

    async def journey(house: House) -> None:
        rotated, secret = await rotate_entrance(entering_of(house), SYSTEM, one)
        say(entrance_json(rotated, house.base_url) | {"secret": secret})

    with_house(journey)


@entrance.command("close")
def close_one(one: Id) -> None:
    """Close an entrance for good."""

    async def journey(house: House) -> None:
        say(entrance_json(await close_entrance(entering_of(house), SYSTEM, one), house.base_url))

    with_house(journey)


app.add_typer(entrance, name="entrance")
