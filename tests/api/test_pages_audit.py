"""The auditor's page: who gets in, what is asked is recorded, what is shown is escaped, and each event's proof holds."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.wiring import House
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.log import sequence_all
from keys.evidence.proofs import Proof
from keys.evidence.search import Found, Query, search
from tests.pages_house import (
    add_person,
    add_second_factor,
    browser,
    data_codes,
    field_value,
    log_in_at,
    make_app,
    open_test_house,
)

WHY = "核查投诉：排水许可"
CLERK = Actor(ActorKind.PERSON, "0190a5b0-0000-7000-8000-00000000c1e4", "窗口", "11990100MB0000001A", "990100")
NUMBER = "990100197003131003"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def logged_in(house: House, role: Role = Role.AUDITOR, language: str = "en") -> AsyncIterator[httpx2.AsyncClient]:
    """With the second factor where it is due."""
    account = await add_person(house, role.value, roles=frozenset({role}))
    async with browser(make_app(house), language) as client:
        if role is Role.CITIZEN:
            await log_in_at(client, role.value)
        else:
            totp = await add_second_factor(house, account)
            due = await log_in_at(client, role.value, "/audit")
            await client.post("/login", data={"otp": totp.at(house.clock.now()), "next": field_value(due.text, "next") or ""})
        yield client


async def note(house: House, action: str, thing: str, outcome: Outcome = Outcome.DONE, actor: Actor = CLERK, **details: Any) -> None:
    code = None if outcome is Outcome.DONE else "SEAL_NOT_GRANTED"
    await record_alone(house.database, house.clock.now(), Event(action, thing, outcome, actor, details, code=code))


async def ask(client: httpx2.AsyncClient, **asked: str) -> httpx2.Response:
    return await client.post("/audit", data={"purpose": WHY, **asked})


async def searches(house: House) -> tuple[Found, ...]:
    return (await search(house.database, house.clock, SYSTEM, Query(action="keys.evidence.search"), "a test")).events


def events(html: str) -> list[str]:
    return re.findall(r'<li data-event="([0-9a-f-]{36})">', html)


def actions(html: str) -> list[str]:
    return re.findall(r'<strong class="code">([^<]*)</strong>', html)


async def test_an_auditor_finds_by_everything_and_each_search_is_an_event(house: House, clock: Any) -> None:
    await note(house, "certs.issue.reserve", "certificate:1")
    clock.advance(minutes=1)
    await note(house, "certs.issue.finish", "certificate:1", Outcome.REFUSED)
    clock.advance(minutes=1)
    await note(house, "seal.use", "seal:7", actor=Actor(ActorKind.CLIENT, "approvals"))
    async with logged_in(house) as client:
        found = {
            "actor": (CLERK.id, ["certs.issue.finish", "certs.issue.reserve"]),
            "object": ("seal:7", ["seal.use"]),
            "action": ("certs.issue.f", ["certs.issue.finish"]),
            "outcome": ("refused", ["certs.issue.finish"]),
        }
        for name, (value, wanted) in found.items():
            page = await ask(client, **{name: value})
            assert (page.status_code, actions(page.text)) == (200, wanted), name
        period = await ask(client, action="certs.", since="2026-11-21T10:00:30", until="2026-11-21T10:01:30")
        assert actions(period.text) == ["certs.issue.finish"], "the page's time is China Standard Time"
        assert actions((await ask(client, action="certs.", until="2026-11-21T10:00")).text) == []
        assert "Nothing was found" in (await ask(client, action="nothing.like.it")).text
    first, *_ = reversed(await searches(house))
    assert first.body["details"] == {"query": {"actor": CLERK.id}, "purpose": WHY, "found": 2}
    assert len(await searches(house)) == 4 + 3 + 1  # the page's, and our own look before


async def test_one_event_in_full_and_its_proof(house: House) -> None:
    await note(house, "certs.issue.finish", "certificate:1", Outcome.REFUSED, reason="no grant")
    async with logged_in(house) as client:
        waiting = (await ask(client, object="certificate:1")).text
        (event,) = events(waiting)
        assert "Download the proof" not in waiting
        early = await client.get(f"/audit/events/{event}/proof")
        assert (early.status_code, data_codes(early.text)) == (409, ["EVENT_WAITS"])
        await sequence_all(house.database, house.keystore, house.clock)
        shown = (await ask(client, object="certificate:1")).text
        plain = unescape(shown)
        for words in (CLERK.id, "11990100MB0000001A", "990100", "SEAL_NOT_GRANTED", '"reason": "no grant"', event, "Refused"):
            assert words in plain
        taken = await client.get(f"/audit/events/{event}/proof")
        assert taken.headers["content-disposition"] == f'attachment; filename="{event}.tlog-proof"'
        assert taken.headers["x-content-type-options"] == "nosniff"
        Proof.parse(taken.text).check(house.log_key)
        assert (await client.get("/audit/events/0190a5b0-0000-7000-8000-000000000000/proof")).status_code == 404
        assert (await client.get("/audit/events/..%2f..%2fetc/proof")).status_code == 404
        others = (await ask(client, actor=CLERK.id)).text
        assert events(others) == [event]
    page = await search(house.database, house.clock, SYSTEM, Query(action="keys.evidence.prove"), "a test")
    assert {(one.outcome, one.object) for one in page.events} == {("done", f"event:{event}")}


async def test_pages_of_the_trail_end_and_nothing_is_shown_twice(house: House, clock: Any) -> None:
    for i in range(120):
        await note(house, "certs.issue.step", f"certificate:{i}")
        clock.advance(milliseconds=3)
    async with logged_in(house) as client:
        seen, after, pages = [], "", 0
        while pages == 0 or after:
            page = (await ask(client, action="certs.issue", after=after)).text
            seen, after, pages = seen + events(page), field_value(page, "after") or "", pages + 1
            assert ("Back to the newest" in page) == (pages > 1)
        assert (len(seen), len(set(seen)), pages) == (120, 120, 3)
        assert "certs.issue" in page, "the search goes on with what was asked"
        assert (await ask(client, after="garbage")).status_code == 422


async def test_nobody_else_gets_in_and_the_refusal_is_recorded(house: House) -> None:
    async with browser(make_app(house)) as stranger:
        for answer in (await stranger.get("/audit"), await ask(stranger)):
            assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faudit")
        assert (await stranger.get("/audit/events/0190a5b0-0000-7000-8000-000000000000/proof")).status_code == 303
    for role in (Role.CITIZEN, Role.SYSTEM_ADMIN):
        async with logged_in(house, role) as client:
            for answer in (await client.get("/audit"), await ask(client, object="seal:7")):
                assert (answer.status_code, data_codes(answer.text)) == (403, ["AUDITORS_ONLY"])
            proof = await client.get("/audit/events/0190a5b0-0000-7000-8000-000000000000/proof")
            assert (proof.status_code, data_codes(proof.text)) == (403, ["AUDITORS_ONLY"])
            assert "/audit" not in (await client.get("/account")).text
            assert "/audit" not in (await client.get("/")).text
    assert [(one.outcome, one.body["code"]) for one in await searches(house)] == [("refused", "AUDITORS_ONLY")] * 4


async def test_a_session_without_the_second_factor_does_not_become_an_auditors(house: House) -> None:
    """The role may come while somebody is logged in with a password alone."""
    weak = Actor(ActorKind.PERSON, "x", roles=frozenset({Role.AUDITOR}), authenticator=1)
    with pytest.raises(Exception, match="AUDITORS_ONLY"):
        await search(house.database, house.clock, weak, Query(), WHY)
    strong = Actor(ActorKind.PERSON, "x", roles=frozenset({Role.AUDITOR}), authenticator=2)
    page = await search(house.database, house.clock, strong, Query(), WHY)
    assert [one.outcome for one in page.events if one.action == "keys.evidence.search"] == ["refused"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("purpose", "", "PURPOSE_REQUIRED"),
        ("purpose", "   ", "PURPOSE_REQUIRED"),
        ("purpose", f"查 {NUMBER}", "PURPOSE_REQUIRED"),
        ("purpose", "x" * 5_000, "PURPOSE_REQUIRED"),
        ("actor", NUMBER, "AUDIT_SEARCH_WRONG"),
        ("object", "x" * 201, "AUDIT_SEARCH_WRONG"),
        ("action", "certs\0", "AUDIT_SEARCH_WRONG"),
        ("action", "certs\u202e", "AUDIT_SEARCH_WRONG"),
        ("outcome", "perhaps", "AUDIT_SEARCH_WRONG"),
        ("since", "yesterday", "AUDIT_SEARCH_WRONG"),
        ("since", "0001-01-01T00:00", "AUDIT_SEARCH_WRONG"),
        ("until", "2026-02-30T10:00", "AUDIT_SEARCH_WRONG"),
    ],
)
async def test_what_cannot_be_asked_is_said_beside_its_field(house: House, field: str, value: str, code: str) -> None:
    """A filter is never dropped in silence: more would be shown than was asked for. ID numbers are not repeated or recorded."""
    async with logged_in(house) as client:
        answer = await ask(client, **{field: value})
        assert (answer.status_code, data_codes(answer.text)) == (400 if field == "purpose" else 422, [code])
        assert f'aria-describedby="{field}-hint {field}-error"' in answer.text
        assert NUMBER not in answer.text
        assert events(answer.text) == []
    assert await searches(house) == ()


async def test_the_end_is_after_the_beginning(house: House) -> None:
    async with logged_in(house) as client:
        answer = await ask(client, since="2026-11-21T10:00", until="2026-11-21T10:00")
        assert (answer.status_code, "The end must be after the beginning." in answer.text) == (422, True)
        assert field_value(answer.text, "since") == "2026-11-21T10:00"


async def test_what_events_hold_is_text_and_never_markup(house: House) -> None:
    await note(house, f"evil.{EVIL}", f"thing:{EVIL}", actor=Actor(ActorKind.CLIENT, EVIL, organisation=EVIL), text=EVIL)
    async with logged_in(house) as client:
        answer = await client.post("/audit", data={"purpose": EVIL, "action": "evil."})
        assert len(events(answer.text)) == 1
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert unescape(actions(answer.text)[0]) == f"evil.{EVIL}"
        assert field_value(answer.text, "purpose") == EVIL
        assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        again = await client.post("/audit", data={"purpose": EVIL, "object": f"thing:{EVIL}"})
        assert events(again.text) == events(answer.text)


async def test_a_form_of_another_site_is_refused(house: House) -> None:
    async with logged_in(house) as client:
        answer = await client.post("/audit", data={"purpose": WHY}, headers={"Origin": "https://evil.example"})
        assert (answer.status_code, data_codes(answer.text)) == (403, ["ORIGIN_REFUSED"])
    assert await searches(house) == ()


async def test_the_door_is_on_the_first_page_and_the_account_in_both_languages(house: House) -> None:
    async with logged_in(house, language="zh-CN") as client:
        for address in ("/", "/account"):
            page = (await client.get(address)).text
            assert 'href="/audit"' in page
            assert "审计记录" in page
        assert "查询事由" in (await client.get("/audit")).text
        shown = (await ask(client, action="identity.")).text
        assert "本次查询已连同事由记录在案" in shown
        assert f"“{WHY}”" in shown
        assert "2026年11月21日" in shown
        assert (await client.get("/audit?lang=en")).text.count("Reason for the search") == 1
