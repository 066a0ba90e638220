"""The house's side of events for tests: write some, deliver them, look at the queues."""

import dataclasses
from collections import Counter
from typing import Any

from sqlalchemy import select

from certs.delivery import Courier, Telling
from certs.event_models import DeliveryRow
from certs.outbox import write_event
from certs.subscriptions import (
    Subscribing,
    Subscription,
    Wanted,
    subscribe,
    subscriptions_of,
)
from certs.webhook_http import Sender
from identity.organisations import Organisation, put_organisation
from identity.personal_data import PersonalData
from keys.base.actor import SYSTEM
from keys.base.db import Database
from seal.reachable import Reachable
from tests.certs.conftest import BASE_URL, CITY
from tests.conftest import TestClock

OTHER = "11990100MB0000035B"
LOOPBACK = Sender(Reachable.read("127.0.0.0/8"))


@dataclasses.dataclass
class Post:
    """The house's side of events."""

    database: Database
    clock: TestClock
    personal: PersonalData
    sender: Sender = LOOPBACK

    @property
    def subscribing(self) -> Subscribing:
        return Subscribing(self.database, self.clock, self.personal, self.sender)

    @property
    def telling(self) -> Telling:
        return Telling(self.database, self.clock, self.personal, BASE_URL, self.sender, lambda: 0.0)

    async def subscriber(self, url: str, organisation: str = CITY, **wanted: Any) -> tuple[Subscription, str]:
        return await subscribe(self.subscribing, SYSTEM, Wanted("系统", url, **wanted), organisation)

    async def happen(self, count: int = 1, topic: str = "certificate.issued", to: tuple[str, ...] = (CITY,)) -> list[str]:
        written = []
        for number in range(count):
            async with self.database.begin() as session:
                payload = {"id": str(number), "identifier": f"1.2.156.{number}", "secret": "不外传"}
                written.append(str(write_event(session, self.clock.now(), topic, f"test:{number}", payload, to=to)))
        return written

    async def deliver(self) -> None:
        """One round, to its end."""
        async with Courier(self.telling) as courier:
            await courier.step()
            await courier.settle()

    async def states(self, subscription: Subscription) -> Counter[str]:
        async with self.database.session() as session:
            return Counter(await session.scalars(select(DeliveryRow.state).where(DeliveryRow.subscription_id == subscription.id)))

    async def known(self, subscription: Subscription) -> Subscription:
        async with self.database.session() as session:
            return next(one for one in await subscriptions_of(session, None) if one.id == subscription.id)


async def open_post(database: Database, clock: TestClock, personal: PersonalData) -> Post:
    """With two organisations registered."""
    async with database.begin() as session:
        for code in (CITY, OTHER):
            await put_organisation(session, clock.now(), Organisation(code, "示范机构", "990100"))
    return Post(database, clock, personal)
