"""Searching the library: by every mark, within what one may see, with full text in Chinese; what leaves no trace and what does."""

import datetime as dt
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from certs.finding import Search, search
from certs.indexing import index_waiting
from certs.library import Library
from certs.library_models import SearchQueueRow, SearchRow
from certs.library_reads import searches_for, stands
from certs.lifecycle import Standing
from certs.models import CertificateRow
from certs.reads import get_certificate, to_certificate
from certs.records import DISPOSED
from certs.standing import change_standing
from certs.words import body_of, grams_of, normalise, pattern_of, words_of
from identity.numbers import CodeType
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.clock import civil_date
from keys.base.errors import FujieError

ISSUER = "11990100MB00000435"
HOLDER = "91990100MA1TEXT14M"
PERSON = "990100197003131003"

pytestmark = pytest.mark.timeout(400)  # the first test waits for the city and its certificates


@pytest.fixture
def library(city: Any) -> Library:
    issuing = city.issuing
    return Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)


@pytest.fixture
async def issued(city: Any, stocked: Any) -> list[Any]:
    assert await index_waiting(city.issuing.database) == 3
    return list(stocked.issued)


def clerk(organisation: str) -> Actor:
    return Actor(ActorKind.PERSON, "clerk", "Clerk", organisation, "990100", frozenset({Role.WINDOW_CLERK}))


async def ids(library: Library, actor: Actor, **marks: Any) -> list[Any]:
    return [one.id for one in (await search(library, actor, Search(purpose="核验", **marks))).items]


async def code(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


async def test_everything_is_found_by_each_of_its_marks(city: Any, library: Library, issued: list[Any]) -> None:
    certificate = city.approval(0)
    today = civil_date(city.issuing.clock.now())
    async with library.database.session() as session:
        row = await get_certificate(session, issued[0].id)
    assert row is not None
    words = [row.type_name[1:5], row.number[:6], row.issuer_name[2:6], row.holders[0].name[2:8], f"{row.type_name[:2]} {HOLDER[4:9]}"]
    marks: list[dict[str, Any]] = [
        {"holder_code": HOLDER, "code_type": "001"}, {"number": row.number}, {"identifier": row.identifier},
        {"type_code": row.type_code}, {"issuer": ISSUER}, {"issuer": ISSUER, "status": "in_force"},
        {"issuer": ISSUER, "issued_from": today, "issued_to": today}, *[{"text": word} for word in words],
    ]  # fmt: skip
    for mark in marks:
        for actor in (SYSTEM, clerk(ISSUER), city.client):
            assert issued[0].id in await ids(library, actor, **mark), (mark, actor.id)
        assert await ids(library, clerk("11990102MB000006XL"), **mark) == []
    assert certificate.certificate_type == row.type_code
    nothing: list[dict[str, Any]] = [
        {"number": "无此号"}, {"text": "没有这样的"}, {"issuer": ISSUER, "status": "revoked"},
        {"issuer": ISSUER, "issued_to": today - dt.timedelta(1)}, {"text": f"{words[0]} 没有这样的"},
    ]  # fmt: skip
    for mark in nothing:
        assert await ids(library, SYSTEM, **mark) == []


async def test_pages_follow_one_another_newest_first_without_a_gap(city: Any, library: Library, issued: list[Any]) -> None:
    seen, cursor = [], None
    while True:
        page = await search(library, city.client, Search(purpose="核验", everything=True, limit=1, cursor=cursor))
        seen += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted((one.id for one in issued), reverse=True)


async def test_a_search_that_asks_wrongly_is_named(city: Any, library: Library) -> None:
    wrong: dict[str, list[dict[str, Any]]] = {
        "SEARCH_EMPTY": [{}],
        "SEARCH_TOO_SHORT": [{"text": "证"}, {"text": "ab"}, {"text": "食品 a"}],
        "INVALID_INPUT": [
            {"text": PERSON}, {"number": PERSON}, {"status": "gone"}, {"text": "x" * 101}, {"number": "a\x00b"},
            {"number": "甲", "cursor": "x"},
        ],
    }  # fmt: skip
    for expected, many in wrong.items():
        for marks in many:
            assert await code(search(library, city.client, Search(purpose="核验", **marks))) == expected, marks
    assert await code(search(library, city.client, Search(number="甲"))) == "PURPOSE_REQUIRED"


def standings(today: dt.date) -> list[tuple[str, dt.date, dt.date | None, str | None, list[str]]]:
    """Status, dates, successor and flags: every combination where dates matter, one of each elsewhere."""
    before, after = today - dt.timedelta(1), today + dt.timedelta(1)
    dated = product(("01", "05"), (before, today, after), (None, before, today, after), (None, "x"), ([], [DISPOSED]))
    return [*dated, *((status, before, before, None, []) for status in ("02", "03", "04", "06", "07", "99"))]


async def test_standing_in_sql_is_standing_in_words(city: Any, library: Library, issued: list[Any]) -> None:
    today = civil_date(city.issuing.clock.now())
    async with library.database.begin() as session:
        row = await session.get_one(CertificateRow, issued[0].id)
        for one in standings(today):
            row.status, row.valid_from, row.valid_to, row.successor, row.flags = one
            await session.flush()
            told = to_certificate(row, {}).standing(today)
            columns = [func.coalesce(stands(each, today), False) for each in Standing]
            (answers,) = await session.execute(select(*columns).where(CertificateRow.id == row.id))
            found = [each for each, answer in zip(Standing, answers, strict=True) if answer]
            assert found == [told], one
        await session.rollback()


async def test_numbers_of_people_are_not_among_the_words(city: Any, library: Library, issued: list[Any]) -> None:
    async with library.database.session() as session:
        bodies = list(await session.scalars(select(SearchRow.body)))
        waiting = (await session.execute(select(SearchQueueRow))).all()
        audited = list(await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events")))
    assert len(bodies) == 3
    assert waiting == []
    numbers = [one.code for number in range(3) for one in city.approval(number).holders if one.code_type == "111"]
    assert numbers
    assert len(audited) > 10
    assert not [number for number in numbers for body in (*bodies, *audited) if number in body]


async def test_holders_see_who_looked_for_them_and_why(city: Any, library: Library, issued: list[Any]) -> None:
    await search(library, city.client, Search(HOLDER, "001", "办理施工许可"))
    index = library.personal.index(CodeType.USCC, HOLDER)
    async with library.database.session() as session:
        (seen,) = await searches_for(session, index, 10)
        assert await searches_for(session, bytes(32), 10) == ()
    assert (seen.purpose, seen.actor_id, seen.kind) == ("办理施工许可", city.client.id, "search")


async def test_those_who_act_for_an_organisation_find_what_it_holds(city: Any, library: Library, issued: list[Any]) -> None:
    boss = Actor(ActorKind.PERSON, "boss", "Boss", HOLDER, "990100", frozenset({Role.LEGAL_REPRESENTATIVE}))
    assert await ids(library, boss, holder_code=HOLDER, code_type="001") == [issued[0].id]
    assert await ids(library, boss, type_code=city.approval(1).certificate_type) == []
    citizen = Actor(ActorKind.PERSON, "citizen", "Citizen", HOLDER, "990100", frozenset({Role.CITIZEN}))
    assert await ids(library, citizen, holder_code=HOLDER, code_type="001") == []


async def test_a_search_that_takes_too_long_is_ended_and_named(
    city: Any, library: Library, issued: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = select(CertificateRow.id).where(text("pg_sleep(30) IS NOT NULL"))
    monkeypatch.setattr("certs.library_reads.page_of", lambda *_: slow)
    monkeypatch.setattr("certs.library_reads.LONGEST_SEARCH", dt.timedelta(milliseconds=50))
    assert await code(search(library, SYSTEM, Search(purpose="核验", text="许可"))) == "SEARCH_TOO_BROAD"
    async with library.database.session() as session:
        refused = await session.scalar(text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.search' AND outcome = 'refused'"))
    assert refused == 1


async def test_a_status_change_needs_no_new_words(city: Any, library: Library, issued: list[Any]) -> None:
    await change_standing(library.database, library.clock, city.client, issued[0].id, "revoke", "整改")
    assert await index_waiting(library.database) == 0
    assert issued[0].id in await ids(library, city.client, number=city.approval(0).approval_number.strip(), status="revoked")


TEXTS = st.text(st.sampled_from("食品经营许可证市场监督管理局公司餐饮ABcd019（）-_%\\ 𠮷"), min_size=0, max_size=40)


@given(TEXTS, st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_text_is_found_by_its_grams(whole: str, data: st.DataObject) -> None:
    body = normalise(whole)
    start = data.draw(st.integers(0, len(body)))
    part = body[start : data.draw(st.integers(start, len(body)))]
    if not part.strip() or not all(grams_of(word) for word in part.split()):
        return
    for word in words_of(part):
        assert set(grams_of(word)) <= set(grams_of(body))
        assert word in body
        assert pattern_of(word).startswith("%")
    assert all(-(1 << 31) <= gram < 1 << 31 for gram in grams_of(body))


def test_forms_of_characters_do_not_matter() -> None:
    assert body_of(["ＪＹ１９９（２０２６）", "食品　经营"]) == "jy199(2026)\n食品 经营"
    assert set(grams_of(words_of("（2026）")[0])) <= set(grams_of(body_of(["JY199（２０２６）"])))
    assert PERSON not in body_of([f"身份证{PERSON}"])
