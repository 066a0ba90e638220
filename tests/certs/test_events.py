"""Events on their way out: queued in order, signed, told until they are taken, to each subscriber on its own."""

import asyncio
import base64
import dataclasses
import datetime as dt
import hmac
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from certs import delivery, dispatch
from certs.delivery import Courier
from certs.delivery_rules import PATIENCE
from certs.event_reads import deliveries_of, read_feed
from certs.outbox import write_event
from certs.replaying import Range, replay
from certs.subscriptions import (
    SubscriptionNotFound,
    SubscriptionState,
    move_subscription,
)
from certs.topics import UnknownTopic
from certs.webhook_signing import check, key_of
from identity.organisations import Organisation, put_organisation
from identity.personal_data import PersonalData
from keys.base.actor import SYSTEM
from keys.base.db import Database
from tests.certs.conftest import BASE_URL, CITY
from tests.certs.posting import LOOPBACK, OTHER, Post, open_post
from tests.conftest import TestClock
from tests.receiving import Receiver


@pytest.fixture
async def post(database: Database, clock: TestClock, personal: PersonalData) -> Post:
    return await open_post(database, clock, personal)


async def test_events_are_told_in_order_signed_and_thin(post: Post) -> None:
    async with Receiver() as receiver:
        subscription, secret = await post.subscriber(receiver.url)
        written = await post.happen(40)
        await post.deliver()
        assert receiver.ids == written
        assert [one.event["sequence"] for one in receiver.told] == list(range(1, 41))
        for one in receiver.told:
            assert check(one.headers, one.body, [secret], post.clock.now()).id == one.event["id"]
            assert "不外传" not in one.body.decode()
            assert "secret" not in one.event["data"]
        first = receiver.told[0]
        assert first.event["links"] == {"event": f"{BASE_URL}/api/v1/events/{written[0]}"}
        assert (first.path, first.headers["content-type"]) == ("/hook", "application/json")
        assert await post.states(subscription) == {"delivered": 40}
        await post.deliver()
        assert len(receiver.told) == 40


async def test_a_message_checks_by_the_words_of_the_standard_alone(post: Post) -> None:
    """Computed here from the text of Standard Webhooks 1.0, without any of our functions but the decoding of the secret."""
    async with Receiver() as receiver:
        _, secret = await post.subscriber(receiver.url)
        await post.happen()
        await post.deliver()
        (told,) = receiver.told
        signed = f"{told.id}.{told.headers['webhook-timestamp']}.".encode() + told.body
        mac = hmac.new(key_of(secret), signed, "sha256").digest()
        assert told.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


async def test_who_is_told_follows_from_whom_it_concerns_and_what_they_asked_for(post: Post) -> None:
    async with Receiver() as receiver:
        everything, _ = await post.subscriber(receiver.url)
        stranger, _ = await post.subscriber(receiver.url, OTHER)
        picky, _ = await post.subscriber(receiver.url, topics=("certificate.declined",))
        await post.happen(2)
        await post.happen(1, topic="certificate.declined", to=(CITY, OTHER))
        await post.deliver()
        assert [await post.states(one) for one in (everything, stranger, picky)] == [
            {"delivered": 3},
            {"delivered": 1},
            {"delivered": 1},
        ]


async def test_issued_certificates_are_told_to_their_issuer_and_the_asking_client_and_to_all_if_shared(stocked: Any, post: Post) -> None:
    """Three certificates of three issuers were issued by the city's client; one type is made free for all."""
    async with post.database.begin() as session:
        types = dict((await session.execute(text("SELECT type_code, issuer FROM certs.certificates"))).all())
        shared, issuer = next((code, one) for code, one in types.items() if one != CITY)
        await session.execute(text("UPDATE certs.types SET sharing_class = 'conditional'"))
        await session.execute(text("UPDATE certs.types SET sharing_class = 'unconditional' WHERE code = :code"), {"code": shared})
        await put_organisation(session, post.clock.now(), Organisation("91990100MA0000011M", "无关机构", "990100"))
    await dispatch.dispatch(post.database, post.clock)
    async with post.database.session() as session:
        feeds = {one: await read_feed(session, BASE_URL, one, 0, 100) for one in (CITY, issuer, "91990100MA0000011M")}
        told = {one: Counter(event["data"]["type"] for event in feed.events) for one, feed in feeds.items()}
    assert told[CITY] == Counter(list(types))
    assert shared in told[issuer]
    assert told["91990100MA0000011M"] == {shared: 1}
    event = feeds[CITY].events[0]
    assert event["links"]["certificate"] == f"{BASE_URL}/api/v1/certificates/{event['data']['id']}"


async def test_a_dead_subscriber_delays_nobody(post: Post) -> None:
    """Of four subscribers one hangs until its time is over; the others have everything long before."""
    post.sender = dataclasses.replace(LOOPBACK, seconds=3.0)
    hanging = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hanging.wait()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        async with Receiver() as receiver, Courier(post.telling) as courier:
            dead, _ = await post.subscriber(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/")
            well = [(await post.subscriber(f"{receiver.url}/{number}"))[0] for number in range(3)]
            await post.happen(5)
            await courier.step()
            async with asyncio.timeout(60):
                while len(receiver.told) < 15:
                    await asyncio.sleep(0.01)
                assert await post.states(dead) == {"waiting": 5}
                await courier.settle()
            assert [await post.states(one) for one in well] == [{"delivered": 5}] * 3
            known = await post.known(dead)
            assert (known.waiting, known.failures, known.trouble) == (5, 1, "TimeoutError")
    finally:
        hanging.set()
        silent.close()
        await silent.wait_closed()


async def test_what_fails_is_tried_again_later_and_the_order_stays(post: Post) -> None:
    statuses = iter([500, None, 503, 204, 204, 204])
    async with Receiver(lambda told: next(statuses)) as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        written = await post.happen(3)
        pauses = []
        for _ in range(4):
            await post.deliver()
            known = await post.known(subscription)
            pauses.append((known.due_at - post.clock.now()).total_seconds())
            count = len(receiver.told)
            await post.deliver()
            assert len(receiver.told) == count or not known.waiting
            post.clock.instant = max(known.due_at, post.clock.now())
        assert receiver.ids == [written[0]] * 4 + written[1:]
        assert pauses == [1.0, 2.0, 4.0, 0.0]
        assert (known.failures, known.trouble) == (0, None)
        assert len({one.body for one in receiver.told}) == 3  # a repetition says the same


async def test_a_refused_message_dies_alone_and_the_next_has_its_turn(post: Post) -> None:
    async with Receiver(lambda told: 422 if told.event["data"]["id"] == "0" else 204) as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        first, second = await post.happen(2)
        for _ in range(7):
            await post.deliver()
            post.clock.instant = max((await post.known(subscription)).due_at, post.clock.now())
        assert Counter(receiver.ids) == {first: 6, second: 1}
        assert await post.states(subscription) == {"dead": 1, "delivered": 1}
        async with post.database.session() as session:
            (dead,) = await deliveries_of(session, subscription.id, "dead", None, 10)
        assert (str(dead.event_id), dead.attempts, dead.answer, dead.trouble) == (first, 6, 422, "HTTP 422")


async def test_what_waited_for_days_is_dead_and_can_be_replayed(post: Post) -> None:
    well = False
    async with Receiver(lambda told: 204 if well else 500) as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        old = await post.happen(3)
        await post.deliver()
        post.clock.instant += PATIENCE
        await post.deliver()
        (young,) = await post.happen()
        assert await post.states(subscription) == {"dead": 3}
        well = True
        assert await replay(post.subscribing, SYSTEM, subscription.id, Range(dead=True)) == 3
        receiver.told.clear()
        await post.deliver()
        assert receiver.ids == [*old, young]
        assert await post.states(subscription) == {"delivered": 4}


async def test_a_subscriber_that_says_gone_is_left_alone_until_somebody_looks(post: Post) -> None:
    async with Receiver(lambda told: 410) as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        await post.happen(2)
        for _ in range(3):
            await post.deliver()
            post.clock.advance(hours=2)
        assert len(receiver.told) == 1
        assert (await post.known(subscription)).state is SubscriptionState.GONE
        receiver.answer = lambda told: 204
        await move_subscription(post.subscribing, SYSTEM, subscription.id, SubscriptionState.ACTIVE)
        await post.deliver()
        assert await post.states(subscription) == {"delivered": 2}


async def test_pausing_keeps_the_queue_and_ending_closes_it(post: Post) -> None:
    async with Receiver() as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        await move_subscription(post.subscribing, SYSTEM, subscription.id, SubscriptionState.PAUSED)
        await post.happen(2)
        await post.deliver()
        assert not receiver.told
        await move_subscription(post.subscribing, SYSTEM, subscription.id, SubscriptionState.ACTIVE)
        await post.deliver()
        assert len(receiver.told) == 2
        await move_subscription(post.subscribing, SYSTEM, subscription.id, SubscriptionState.ENDED)
        await post.happen()
        await post.deliver()
        assert len(receiver.told) == 2
        with pytest.raises(SubscriptionNotFound):
            await replay(post.subscribing, SYSTEM, subscription.id, Range(first=1))


async def test_what_is_rolled_back_was_never_told_and_what_commits_late_is_not_missed(post: Post) -> None:
    """The first transaction takes its id before the second and commits after it was numbered."""
    async with Receiver() as receiver:
        await post.subscriber(receiver.url)
        async with post.database.begin() as slow:
            first = write_event(slow, post.clock.now(), "certificate.issued", "test:slow", {}, to=(CITY,))
            await slow.flush()
            (second,) = await post.happen()
            await post.deliver()
            assert receiver.ids == [second]
        await post.deliver()
        assert receiver.ids == [second, str(first)]
        async with post.database.begin() as session:
            write_event(session, post.clock.now(), "certificate.issued", "test:no", {}, to=(CITY,))
            await session.flush()
            await session.rollback()
        await post.deliver()
        assert len(receiver.told) == 2
    async with post.database.begin() as session:
        with pytest.raises(UnknownTopic):
            write_event(session, post.clock.now(), "certificate.imagined", "test", {})


async def test_several_processes_tell_a_subscriber_once_and_in_order(post: Post) -> None:
    async with Receiver() as receiver:
        for _ in range(3):
            await post.subscriber(receiver.url)
        await post.happen(60)

        async def process() -> None:
            async with Courier(post.telling) as courier:
                for _ in range(5):
                    await courier.step()
                    await courier.settle()

        await asyncio.gather(*(process() for _ in range(4)))
        assert Counter(Counter(receiver.ids).values()) == {3: 60}


async def test_a_process_that_dies_leaves_its_subscribers_to_others(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies after telling and before recording: told again, under the same ids, once its lease is over."""
    async with Receiver() as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        written = await post.happen(3)

        async def die(*_: Any, **__: Any) -> bool:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(delivery, "_delivered", die)
            await post.deliver()
        assert await post.states(subscription) == {"waiting": 3}
        await post.deliver()
        assert receiver.ids == written
        post.clock.instant += delivery.LEASE + dt.timedelta(seconds=1)
        await post.deliver()
        assert receiver.ids == written * 2
        assert await post.states(subscription) == {"delivered": 3}
