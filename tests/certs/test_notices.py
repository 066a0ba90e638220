"""What holders find about their certificates, and what of it is new."""

from typing import Any

from sqlalchemy import text

from api.pages.i18n import CHINESE, ENGLISH
from api.pages.notices import MOVES, notices_for
from certs.dispatch import dispatch
from certs.lifecycle import MOVES as TABLE
from certs.notices import mark_seen, notices_of
from certs.outbox import write_event
from keys.base.db import Database
from tests.conftest import TestClock


async def test_a_holder_finds_what_happened_and_what_is_new(stocked: Any, database: Database, clock: TestClock) -> None:
    async with database.session() as session:
        mine, theirs = list(await session.scalars(text("SELECT DISTINCT ON (certificate_id) code_index FROM certs.holders")))[:2]
    await dispatch(database, clock)
    async with database.begin() as session:
        (issued,) = await notices_of(session, [mine])
        assert (issued.topic, issued.new) == ("certificate.issued", True)
        await mark_seen(session, clock.now(), [mine])
    async with database.begin() as session:
        payload = {"id": str(issued.certificate_id), "move": "suspend"}
        write_event(session, clock.now(), "certificate.status", issued.certificate_id, payload)
        write_event(session, clock.now(), "certificate.declined", issued.certificate_id, {})  # not for holders
    await dispatch(database, clock)
    async with database.begin() as session:
        chinese = await notices_for(session, clock, [mine], CHINESE)
        assert [(one["what"], one["new"]) for one in chinese] == [("已暂停使用", True), ("证照已签发", False)]
        english = await notices_for(session, clock, [mine], ENGLISH)
        assert [(one["what"], one["new"]) for one in english] == [("Was suspended", False), ("A certificate was issued", False)]
        assert [one.new for one in await notices_of(session, [theirs])] == [True]
        assert await notices_for(session, clock, [], CHINESE) == []


def test_every_move_is_told_in_words() -> None:
    assert {one.name for one in TABLE} <= MOVES.keys()
