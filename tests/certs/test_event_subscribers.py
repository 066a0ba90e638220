"""What subscribers and administrators do with events: replay, set aside, read, test, change secrets."""

import datetime as dt
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import select, text, update

from certs import dispatch
from certs.event_models import SubscriptionRow
from certs.event_reads import EventNotFound, read_event, read_feed
from certs.models import OutboxRow
from certs.replaying import Range, replay, set_aside
from certs.shared_secrets import OVERLAP
from certs.subscriptions import (
    SubscriptionNotFound,
    SubscriptionState,
    move_subscription,
    rotate_subscription,
    try_subscription,
)
from certs.topics import TOPICS
from certs.webhook_signing import check, key_of
from identity.personal_data import PersonalData
from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.db import Database
from keys.base.errors import InvalidInput
from tests.certs.conftest import BASE_URL, CITY
from tests.certs.posting import OTHER, Post, open_post
from tests.conftest import TestClock
from tests.receiving import Receiver, Told


@pytest.fixture
async def post(database: Database, clock: TestClock, personal: PersonalData) -> Post:
    return await open_post(database, clock, personal)


async def test_replays_by_number_by_time_and_by_name_keep_ids_and_order(post: Post) -> None:
    early = await post.happen(3)
    post.clock.advance(hours=1)
    since = post.clock.now()
    late = await post.happen(2)
    async with Receiver() as receiver:
        await dispatch.dispatch(post.database, post.clock)
        subscription, _ = await post.subscriber(receiver.url)  # after they happened
        asked: list[tuple[Range, list[str]]] = [
            (Range(first=2, last=4), [*early[1:], late[0]]),
            (Range(since=since), late),
            (Range(events=(uuid.UUID(early[0]), uuid.UUID(late[1]))), [early[0], late[1]]),
            (Range(first=1, until=since), early),
        ]
        for range_, expected in asked:
            receiver.told.clear()
            assert await replay(post.subscribing, SYSTEM, subscription.id, range_) == len(expected)
            await post.deliver()
            assert receiver.ids == expected
        with pytest.raises(InvalidInput):
            await replay(post.subscribing, SYSTEM, subscription.id, Range(last=9))


async def test_an_event_can_be_set_aside(post: Post) -> None:
    async with Receiver(lambda told: 500 if told.event["sequence"] == 1 else 204) as receiver:
        subscription, _ = await post.subscriber(receiver.url)
        await post.happen(2)
        await post.deliver()
        assert await set_aside(post.subscribing, SYSTEM, subscription.id, 1)
        await post.deliver()
        assert await post.states(subscription) == {"dead": 1, "delivered": 1}
        assert not await set_aside(post.subscribing, SYSTEM, subscription.id, 2)


async def test_a_new_secret_signs_beside_the_old_one_for_a_day(post: Post) -> None:
    async with Receiver() as receiver:
        subscription, old = await post.subscriber(receiver.url)
        _, new = await rotate_subscription(post.subscribing, SYSTEM, subscription.id)
        await post.happen()
        await post.deliver()
        post.clock.instant += OVERLAP
        await post.happen()
        await post.deliver()
        both, one = receiver.told
        good: Callable[[Told, str], bool] = lambda told, secret: _checks(told, secret, told.headers["webhook-timestamp"])  # noqa: E731
        assert (good(both, old), good(both, new), good(one, old), good(one, new)) == (True, True, False, True)
        assert old != new


def _checks(told: Told, secret: str, timestamp: str) -> bool:
    try:
        check(told.headers, told.body, [secret], dt.datetime.fromtimestamp(int(timestamp), dt.UTC))
    except Exception:
        return False
    return True


async def test_a_secret_is_sealed_where_it_is_kept(post: Post) -> None:
    async with Receiver() as receiver:
        _, secret = await post.subscriber(receiver.url)
        async with post.database.session() as session:
            (kept,) = await session.scalars(select(SubscriptionRow.secret))
        assert key_of(secret) not in kept
        assert secret.encode() not in kept


async def test_a_test_message_tells_what_the_subscriber_answers(post: Post) -> None:
    async with Receiver(lambda told: 401) as receiver:
        subscription, secret = await post.subscriber(receiver.url)
        assert (await try_subscription(post.subscribing, SYSTEM, subscription.id)).status == 401
        (told,) = receiver.told
        assert told.event["type"] == "fujie.test"
        assert check(told.headers, told.body, [secret], post.clock.now()).id == told.id


async def test_the_feed_goes_on_where_it_stopped_and_shows_an_organisation_its_own(post: Post) -> None:
    written = await post.happen(5)
    await post.happen(2, to=(OTHER,))
    await dispatch.dispatch(post.database, post.clock)
    seen: list[str] = []
    after, more = 0, True
    while more:
        async with post.database.session() as session:
            feed = await read_feed(session, BASE_URL, CITY, after, 2)
        seen += [one["id"] for one in feed.events]
        after, more = feed.cursor, feed.more
    assert (seen, after) == (written, 7)
    async with post.database.session() as session:
        whole = await read_event(session, BASE_URL, CITY, uuid.UUID(written[0]))
        assert whole["data"]["secret"] == "不外传"  # for those it concerns, over their own token
        with pytest.raises(EventNotFound):
            await read_event(session, BASE_URL, OTHER, uuid.UUID(written[0]))


async def test_another_organisations_subscription_does_not_exist(post: Post) -> None:
    async with Receiver() as receiver:
        subscription, _ = await post.subscriber(receiver.url)
    stranger = Actor(ActorKind.CLIENT, "stranger", "stranger", OTHER, "990100")
    with pytest.raises(SubscriptionNotFound):
        await move_subscription(post.subscribing, stranger, subscription.id, SubscriptionState.ENDED)


async def test_every_event_written_so_far_has_its_topic(post: Post, database: Database) -> None:
    """The migration finds events of before: they get their numbers, and nobody is told of them unasked."""
    async with database.begin() as session:
        await session.execute(
            text("INSERT INTO certs.outbox (id, topic, subject, payload, created_at) VALUES (gen_random_uuid(), 'x', 'y', '{}', now())")
        )
    await dispatch.dispatch(database, post.clock)
    async with database.begin() as session:
        assert (await session.scalars(select(OutboxRow.sequence))).all() == [1]
        await session.execute(update(OutboxRow).values(topic="certificate.issued"))
    assert all(topic.zh and topic.en and topic.members for topic in TOPICS.values())
