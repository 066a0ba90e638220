"""What events and entrances need of the house; and their work in the background."""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path

from prometheus_client import Gauge

from api.approval_rows import approval_of
from api.wiring import House
from certs.delivery import Courier, Telling
from certs.drops import Dropping
from certs.entrances import Entering
from certs.event_reads import dead_letters, forget_delivered
from certs.subscriptions import Subscribing
from certs.webhook_http import Sender, trusting
from seal.reachable import Reachable

TELL_SECONDS = 0.5
DROP_SECONDS = 1.0
COUNT_SECONDS = 60.0
KEPT = dt.timedelta(days=90)
"""How long it is known of a delivered event to whom and when; the events themselves stay."""
DEAD = Gauge("fujie_events_dead", "Events that a subscriber did not take and that were given up, waiting to be replayed or set aside")
Step = Callable[[], Awaitable[object]]


@cache
def _sender(networks: str, bundle: Path | None) -> Sender:
    return Sender(Reachable.read(networks), trusting(bundle))


def sender_of(house: House) -> Sender:
    """Whom webhooks may reach: public addresses, and the networks of ``FUJIE_WEBHOOK_NETWORKS``."""
    return _sender(house.settings.webhook_networks, house.settings.webhook_ca)


def subscribing_of(house: House) -> Subscribing:
    return Subscribing(house.database, house.clock, house.personal, sender_of(house))


def telling_of(house: House) -> Telling:
    return Telling(house.database, house.clock, house.personal, house.base_url, sender_of(house))


def entering_of(house: House) -> Entering:
    return Entering(house.database, house.clock, house.personal)


@asynccontextmanager
async def event_steps(house: House) -> AsyncIterator[dict[str, tuple[float, Step]]]:
    """Name → seconds between turns, and the step; what they begin ends on leaving."""
    async with AsyncExitStack() as stack:
        courier = await stack.enter_async_context(Courier(telling_of(house)))
        steps: dict[str, tuple[float, Step]] = {
            "events": (TELL_SECONDS, courier.step),
            "dead events": (COUNT_SECONDS, lambda: _count(house)),
        }
        if house.settings.drop is not None:
            dropping = await stack.enter_async_context(Dropping(house.issuing, house.settings.drop, approval_of))
            steps["drops"] = DROP_SECONDS, dropping.step
        yield steps


async def _count(house: House) -> None:
    async with house.database.begin() as session:
        DEAD.set(await dead_letters(session))
        await forget_delivered(session, house.clock.now() - KEPT)
