"""Applications for access: applied for, due in one working day, reviewed by another, opened as a right with its quota."""

import dataclasses
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text

from certs.access_applications import Application, Move, Stage, applications_of, apply, get_application, mark_overdue, take_move, to_review
from certs.access_rates import BUILT_IN, Held, Rate, Rule, Use, chosen, names_of, rules_of
from certs.access_rights import right_of
from certs.copies import CopyWanted, make_copy
from certs.copy_seals import grant_copies
from certs.reads import get_certificate
from certs.sharing import Want
from certs.working_days import Calendar, SpecialDay, calendar_of, enter_days, parse, shipped
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.errors import FujieError, InvalidInput

SEWAGE = "11990100MB00000435001"
ISSUER, MARKET = "11990100MB00000435", "11990100MB0000035A"
ASKER = Actor(ActorKind.CLIENT, "market", "market", MARKET, "990100", scopes=frozenset({"certificates:read"}))
NOON_FRIDAY = dt.datetime(2026, 11, 20, 4, 0, tzinfo=dt.UTC)
ASKED = Application(
    SEWAGE, frozenset({Want.COPY, Want.DATA}), "", "核对排水许可", "《政务数据共享条例》", 2, dt.date(2027, 6, 30), without_holder=True
)


def person(name: str, organisation: str | None, *roles: Role, factors: int = 2) -> Actor:
    return Actor(ActorKind.PERSON, name, name, organisation, "990100", frozenset(roles), assurance=2, authenticator=factors)


REVIEWER = person("reviewer", ISSUER, Role.APPROVER)


async def refusal(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


# ---- the clock ----


@pytest.mark.parametrize(
    ("since", "days", "due"),
    [
        ("2026-11-20T12:00+08:00", 1, "2026-11-24T00:00+08:00"),  # Friday noon: over when Monday is
        ("2026-11-21T00:00+08:00", 1, "2026-11-24T00:00+08:00"),  # a Saturday
        ("2026-11-22T23:59+08:00", 1, "2026-11-24T00:00+08:00"),
        ("2026-11-23T00:00+08:00", 1, "2026-11-25T00:00+08:00"),
        ("2026-02-13T09:00+08:00", 1, "2026-02-15T00:00+08:00"),  # the Saturday before the Spring Festival is worked
        ("2026-02-14T09:00+08:00", 1, "2026-02-25T00:00+08:00"),  # and then it is long
        ("2026-09-30T09:00+08:00", 2, "2026-10-10T00:00+08:00"),
        ("2026-10-09T09:00+08:00", 1, "2026-10-11T00:00+08:00"),
    ],
)
def test_a_working_day_is_over_at_midnight_after_the_next_one(since: str, days: int, due: str) -> None:
    calendar = Calendar({one.day: one for one in shipped()})
    assert calendar.due(dt.datetime.fromisoformat(since), days) == dt.datetime.fromisoformat(due)


def test_the_shipped_days_each_change_something_and_its_years_are_known() -> None:
    calendar = Calendar({one.day: one for one in shipped()})
    assert all(one.works == (one.day.weekday() > 4) for one in shipped())
    assert (calendar.knows(2025), calendar.knows(2026), calendar.knows(2031)) == (True, True, False)
    worked = {year: sum(calendar.works(dt.date(year, 1, 1) + dt.timedelta(days=n)) for n in range(365)) for year in (2025, 2026)}
    assert worked == {2025: 248, 2026: 248}


@pytest.mark.parametrize(
    "document",
    [b"", b"day,works,name\n", b"day,works,name\n2027-02-30,0,x\n", b"day,works,name\n2027-02-05,2,x\n", b"\xff\xfe", b"a,b\n1,2\n"],
)
def test_a_malformed_calendar_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(document)


async def test_what_an_operator_enters_stands_above_what_was_shipped(city: Any) -> None:
    async with city.issuing.database.begin() as session:
        await enter_days(session, NOON_FRIDAY, SYSTEM, [SpecialDay(dt.date(2026, 11, 23), False, "市庆")])
    async with city.issuing.database.session() as session:
        assert (await calendar_of(session)).due(NOON_FRIDAY, 1) == dt.datetime(2026, 11, 24, 16, tzinfo=dt.UTC)


# ---- apply, review, open ----


async def test_an_opened_application_is_a_right_with_a_quota(city: Any, stocked: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    wanted = CopyWanted("核对排水许可", certificate_id=stocked.issued[0].id)
    async with database.begin() as session:
        certificate: Any = await get_certificate(session, stocked.issued[0].id)
        keeper = person("keeper", ISSUER, Role.SEAL_KEEPER)
        await grant_copies(session, clock.now(), keeper, certificate.seal_code, certificate.matter_code)
    assert await refusal(make_copy(city.issuing, ASKER, wanted, "a")) == "SHARING_REFUSED"

    applied = await apply(database, clock, ASKER, ASKED, "k")
    assert await apply(database, clock, ASKER, ASKED, "k") == applied
    assert await refusal(apply(database, clock, ASKER, dataclasses.replace(ASKED, per_day=3), "k")) == "IDEMPOTENCY_KEY_REUSED"
    assert (applied.stage, applied.due_at.isoformat()) == (Stage.SUBMITTED, "2026-11-23T16:00:00+00:00")  # a Saturday's, over on Monday
    async with database.session() as session:
        assert [one.id for one in await to_review(session, REVIEWER)] == [applied.id]
        assert await to_review(session, person("other", MARKET, Role.APPROVER)) == []
        assert await right_of(session, clock.now(), MARKET, SEWAGE, Want.COPY) is None

    opened = await take_move(database, clock, REVIEWER, applied.id, Move.OPEN)
    assert (opened.stage, opened.decided_name) == (Stage.OPEN, "reviewer")
    async with database.session() as session:
        assert (await right_of(session, clock.now(), MARKET, SEWAGE, Want.COPY)) is not None
        assert await right_of(session, clock.now(), MARKET, SEWAGE, Want.FILE) is None
        assert await right_of(session, clock.now() + dt.timedelta(days=400), MARKET, SEWAGE, Want.COPY) is None
        assert await rules_of(session) == (Rule(MARKET, Use.COPY, SEWAGE, Rate(60, 2)),)
    for key in ("a", "b"):
        assert (await make_copy(city.issuing, ASKER, wanted, key)).requester == "示范市市场监督管理局"
    assert await refusal(make_copy(city.issuing, ASKER, wanted, "c")) == "QUOTA_EXHAUSTED"
    clock.advance(days=1)
    assert (await make_copy(city.issuing, ASKER, wanted, "d")).held

    await take_move(database, clock, REVIEWER, applied.id, Move.CLOSE, "事项已取消")
    assert await refusal(make_copy(city.issuing, ASKER, wanted, "e")) == "SHARING_REFUSED"
    assert await refusal(take_move(database, clock, REVIEWER, applied.id, Move.OPEN)) == "ACCESS_MOVE_NOT_ALLOWED"
    async with database.session() as session:
        topics = [row[0] for row in await session.execute(text("SELECT topic FROM certs.outbox WHERE topic LIKE 'access.%' ORDER BY id"))]
    assert topics == ["access.submitted", "access.decided", "access.decided"]


async def test_who_may_review_and_who_may_not(city: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    clerk = person("clerk", ISSUER, Role.APPROVER, Role.WINDOW_CLERK)
    applied = await apply(database, clock, clerk, ASKED, "k")

    async def refused(actor: Actor, move: Move = Move.OPEN, reason: str = "") -> str:
        return await refusal(take_move(database, clock, actor, applied.id, move, reason))

    assert await refused(clerk) == "ACCESS_SAME_PERSON"
    assert await refused(person("weak", ISSUER, Role.APPROVER, factors=1)) == "ACCESS_SECOND_FACTOR_NEEDED"
    assert await refused(person("other", MARKET, Role.APPROVER)) == "ACCESS_FORBIDDEN"
    assert await refused(ASKER) == "ACCESS_FORBIDDEN"
    assert await refused(SYSTEM) == "ACCESS_FORBIDDEN"
    assert await refused(REVIEWER, Move.REFUSE) == "INVALID_INPUT"
    assert await refused(ASKER, Move.WITHDRAW, "不再需要") == "ACCESS_FORBIDDEN"
    async with database.session() as session:
        assert await refusal(get_application(session, ASKER, applied.id)) == "NOT_FOUND"
        assert (await get_application(session, REVIEWER, applied.id)).id == applied.id
    found = await take_move(database, clock, person("security", None, Role.SECURITY_ADMIN), applied.id, Move.REFUSE, "依据不足")
    assert (found.stage, found.reason) == (Stage.REFUSED, "依据不足")
    async with database.session() as session:
        audited = "SELECT count(*) FROM keys.audit_events WHERE action LIKE 'certs.access.%' AND outcome = 'refused'"
        assert await session.scalar(text(audited)) == 7
        assert [one.stage for one in await applications_of(session, ISSUER)] == [Stage.REFUSED]


async def test_what_is_malformed_is_refused_by_name(city: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock

    async def refused(actor: Actor = ASKER, **changes: Any) -> str:
        return await refusal(apply(database, clock, actor, dataclasses.replace(ASKED, **changes), "k"))

    assert await refused(purpose=" ") == "PURPOSE_REQUIRED"
    assert await refused(wants=frozenset()) == "INVALID_INPUT"
    assert await refused(basis="") == "INVALID_INPUT"
    assert await refused(per_day=0) == "INVALID_INPUT"
    assert await refused(until=dt.date(2026, 11, 21)) == "INVALID_INPUT"
    assert await refused(type_code="11990100MB00000435999") == "INVALID_INPUT"
    assert await refused(matter_code="000117004000") == "INVALID_INPUT"  # another organisation's
    assert await refused(person("citizen", None, Role.CITIZEN)) == "ACCESS_FORBIDDEN"
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.access_applications")) == 0


async def test_what_was_not_decided_in_time_is_said_to_be_overdue_once(city: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    applied = await apply(database, clock, ASKER, ASKED, "k")
    clock.advance(days=2)  # Monday the 23rd, 10:00
    assert await mark_overdue(database, clock) == 0
    clock.advance(hours=14)  # midnight
    assert await mark_overdue(database, clock) == 1
    assert await mark_overdue(database, clock) == 0
    async with database.session() as session:
        (late,) = await applications_of(session, MARKET)
    assert late.overdue(clock.now())
    assert late.to_json(clock.now())["overdue"] is True
    assert late.id == applied.id


# ---- rates ----


def test_the_rule_for_the_type_stands_before_the_rule_for_all_and_the_clients_before_its_organisations() -> None:
    names = names_of(ASKER)
    assert names == ("market", MARKET)
    assert chosen((), names, Use.COPY, SEWAGE) == Held(BUILT_IN[Use.COPY], "market", "")
    rules = [Rule(MARKET, Use.COPY, "", Rate(1, 1)), Rule(MARKET, Use.COPY, SEWAGE, Rate(2, 2))]
    assert chosen(rules, names, Use.COPY, SEWAGE) == Held(Rate(2, 2), MARKET, SEWAGE)
    assert chosen(rules, names, Use.COPY, "other") == Held(Rate(1, 1), MARKET, "")
    assert chosen(rules, names, Use.FILE, SEWAGE).rate == BUILT_IN[Use.FILE]
    assert chosen([*rules, Rule("market", Use.COPY, "", Rate(3, 3))], names, Use.COPY, SEWAGE) == Held(Rate(3, 3), "market", "")
    assert names_of(person("clerk", MARKET, Role.WINDOW_CLERK)) == (MARKET,)
