"""Pages of staff who have documents sealed: asking, batches, the window's clerk, supervision, applying with a look at the seal first."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.embedded import Addresses
from api.sealing import sealing_of
from api.wiring import House
from api.workers import ProcessWorkers
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from seal.batch_work import work_until_done
from tests.conftest import BEGINNING, TestClock, copy_database
from tests.furnished import Furnished, open_furnished
from tests.pages_house import Approver, browser, data_codes, field_value, make_app, open_test_house
from tests.seal import hostile_pdfs as hostile
from tests.sealing_staff import DEPARTMENT, MATTER, OTHER, Desk, set_up

LETTER = hostile.document()


@dataclass(frozen=True)
class Prepared:
    """A database in which everybody is at their desk, and the home that goes with it."""

    database: str
    home: Path
    seals: dict[str, str]
    desk: Desk


@pytest.fixture(scope="module")
def prepared(
    servers: Addresses, key_file: Path, furnished: Furnished, workers: ProcessWorkers, tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """Set up once, copied for each test."""
    return asyncio.run(_prepare(servers, SoftwareKeyStore(key_file), furnished, workers, tmp_path_factory.mktemp("desk")))


async def _prepare(servers: Addresses, keystore: SoftwareKeyStore, furnished: Furnished, workers: ProcessWorkers, home: Path) -> Prepared:
    database = Database(await copy_database(servers, furnished.template, "template_desk"))
    clock = TestClock(BEGINNING)
    async with open_furnished(furnished, database, servers.redis_url, keystore, clock, workers, home) as house:
        desk = await set_up(house, furnished.seals)
        sealing_of(house).rebuilder.close()
    await database.close()
    return Prepared("template_desk", home, furnished.seals, desk)


@pytest.fixture
def template(prepared: Prepared) -> str:
    return prepared.database


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, prepared: Prepared) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, prepared.home) as opened:
        yield opened
        sealing_of(opened).rebuilder.close()


@pytest.fixture
def seals(prepared: Prepared) -> dict[str, str]:
    return prepared.seals


@pytest.fixture
def desk(prepared: Prepared) -> Desk:
    return prepared.desk


async def seat(house: House, one: Approver, language: str = "en") -> httpx2.AsyncClient:
    """A browser in which that person is logged in with both factors."""
    client = browser(make_app(house), language)
    await one.log_in(house, client)
    return client


def pdf(name: str = "通知.pdf", content: bytes | None = None) -> tuple[str, tuple[str, bytes, str]]:
    return "file", (name, content if content is not None else LETTER, "application/pdf")


async def test_a_windows_clerk_asks_the_approver_agrees_and_the_clerk_stamps_at_the_window(house: House, desk: Desk) -> None:
    clerk, approver = await seat(house, desk.clerk), await seat(house, desk.other_approver)
    page = f"/documents/{desk.at_window.id}"
    early = await clerk.get(page)
    assert "have not agreed yet" in early.text
    digest = desk.at_window.due.digest.hex() if desk.at_window.due.digest else ""
    refused = await clerk.post(page, data={"decision": "stamp", "digest": digest})
    assert (refused.status_code, data_codes(refused.text)[:1]) == (409, ["DOCUMENT_NOT_AGREED"])
    asked = await approver.get(page)
    assert "A window keeps this seal." in asked.text
    assert 'value="agree"' in asked.text
    agreed = await approver.post(page, data={"decision": "agree", "digest": field_value(asked.text, "digest") or ""})
    assert agreed.headers["location"] == f"{page}?done=agreed"
    assert "A clerk at the window that keeps the seal stamps it." in await text_of(approver, page)
    assert "关于停水的通知" in await text_of(clerk, "/documents")
    ready = await clerk.get(page)
    assert "you may stamp it at this window" in ready.text
    other = await clerk.post(page, data={"decision": "stamp", "digest": "é" * 64})
    assert data_codes(other.text)[:1] == ["APPROVED_PICTURE_CHANGED"]
    done = await clerk.post(page, data={"decision": "stamp", "digest": field_value(ready.text, "digest") or ""})
    assert done.status_code == 303, done.text
    assert 'data-status="sealed"' in await text_of(clerk, page)
    assert (await clerk.get(f"{page}/file")).content.startswith(b"%PDF")
    async with house.database.session() as session:
        used = (await session.execute(text("SELECT actor_id, window_id, requester FROM seal.uses"))).one()
    assert tuple(used) == (str(desk.clerk.account.id), "hall-1", str(desk.clerk.account.id))


async def text_of(client: httpx2.AsyncClient, path: str) -> str:
    return (await client.get(path)).text


async def test_a_clerk_stamps_nothing_that_the_window_does_not_keep_or_no_longer_keeps(
    house: House, desk: Desk, seals: dict[str, str]
) -> None:
    clerk, approver = await seat(house, desk.clerk), await seat(house, desk.other_approver)
    hidden = await clerk.get(f"/documents/{desk.waiting.id}")
    assert (hidden.status_code, data_codes(hidden.text)) == (404, ["DOCUMENT_NOT_FOUND"])
    page = f"/documents/{desk.at_window.id}"
    digest = field_value(await text_of(approver, page), "digest") or ""
    await approver.post(page, data={"decision": "agree", "digest": digest})
    async with house.database.begin() as session:
        await session.execute(text("UPDATE seal.window_seals SET returned_at = :now"), {"now": house.clock.now()})
    refused = await clerk.post(page, data={"decision": "stamp", "digest": digest})
    assert (refused.status_code, data_codes(refused.text)[:1]) == (403, ["SEAL_APPROVAL_FORBIDDEN"])
    async with house.database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM seal.uses"))).scalar_one() == 0


async def test_asking_for_a_seal_and_taking_it_back(house: House, desk: Desk, seals: dict[str, str]) -> None:
    keeper, approver = await seat(house, desk.keeper), await seat(house, desk.approver, "zh")
    form = await keeper.get("/documents/new")
    assert seals[DEPARTMENT] in form.text
    assert seals[OTHER] not in form.text
    asked = {"seal": seals[DEPARTMENT], "matter": MATTER, "place": "last_page", "x": "150", "y": "240", "level": "B-B", "key": "k1"}
    made = await keeper.post("/documents/new", data=asked | {"title": "请示"}, files=[pdf()])
    assert made.status_code == 303, made.text
    again = await keeper.post("/documents/new", data=asked | {"title": "请示"}, files=[pdf()])
    assert again.headers["location"] == made.headers["location"], "the same form asks once"
    page = made.headers["location"].partition("?")[0]
    assert "请示" in await text_of(approver, "/documents")
    assert "提交申请" not in await text_of(keeper, page)
    back = await keeper.post(page, data={"decision": "take-back", "reason": ""})
    assert (back.status_code, data_codes(back.text)[:1]) == (422, ["REJECTION_REASON_REQUIRED"])
    back = await keeper.post(page, data={"decision": "take-back", "reason": "wrong file"})
    assert back.headers["location"] == "/documents?done=taken-back"
    refused = await approver.post(page, data={"decision": "agree", "digest": "0" * 64})
    assert refused.status_code == 409


WRONG: list[tuple[dict[str, str], bytes | None, str, str]] = [
    ({}, b"no pdf", "file", "DOCUMENT_NOT_PDF"),
    ({}, None, "file", "FILE_MISSING"),
    ({"place": "keyword", "keyword": ""}, hostile.document(), "keyword", "STAMP_PLAN_INVALID"),
    ({"place": "keyword", "keyword": "nowhere"}, hostile.document(), "keyword", "KEYWORD_NOT_FOUND"),
    ({"x": "wide"}, hostile.document(), "place", "STAMP_PLAN_INVALID"),
    ({"x": "900"}, hostile.document(), "place", "PLACEMENT_OUTSIDE_PAGE"),
    ({"level": "B-X"}, hostile.document(), "level", "STAMP_PLAN_INVALID"),
    ({"seal": "99010000009999"}, hostile.document(), "seal", "SEAL_NOT_FOUND"),
    ({"title": "a\u202eb"}, hostile.document(), "title", "INVALID_INPUT"),
]


async def test_what_is_wrong_is_said_beside_its_field(house: House, desk: Desk, seals: dict[str, str]) -> None:
    keeper = await seat(house, desk.keeper)
    for address in ("/documents/new", "/batches/new"):
        for changes, file, field, code in WRONG:
            asked = {"seal": seals[DEPARTMENT], "matter": MATTER, "place": "last_page", "x": "150", "y": "240", "title": "t"} | changes
            answer = await keeper.post(address, data=asked, files=[pdf(content=file)] if file is not None else None)
            told = (400 <= answer.status_code < 500, f'id="{field}-error"' in answer.text, data_codes(answer.text))
            assert told == (True, True, [code]), (address, changes)


async def test_a_batch_of_chosen_files_is_agreed_to_paused_resumed_watched_and_fetched(
    house: House, desk: Desk, seals: dict[str, str]
) -> None:
    keeper, approver = await seat(house, desk.keeper), await seat(house, desk.approver)
    form = await keeper.get("/batches/new")
    ticked = re.findall(r'name="document" value="([^"]+)"', form.text)
    assert len(ticked) == 3, "what was uploaded before can be chosen"
    asked = {"seal": seals[DEPARTMENT], "matter": MATTER, "place": "every_page", "x": "150", "y": "240", "title": "一批", "level": "B-B"}
    files = [pdf("甲.pdf"), pdf("乙.pdf", hostile.document(pages=2))]
    made = await keeper.post("/batches/new", data=asked | {"document": ticked[0], "key": "k"}, files=files)
    assert made.status_code == 303, data_codes(made.text)
    page = made.headers["location"].partition("?")[0]
    listed = await text_of(approver, "/batches")
    assert "0 of 3 sealed" in listed
    shown = await approver.get(page)
    assert "甲.pdf" in shown.text
    looked = await approver.get(f"{page}/documents/2")
    assert f"{page}/documents/2/pages/2.png" in looked.text
    before = await approver.get(f"{page}/documents/2/pages/2.png")
    assert before.content.startswith(b"\x89PNG")
    manifest = field_value(shown.text, "manifest") or ""
    own = await keeper.post(page, data={"decision": "approve", "manifest": manifest})
    assert data_codes(own.text)[:1] == ["SEAL_APPROVAL_FORBIDDEN"]
    wrong = await approver.post(page, data={"decision": "approve", "manifest": "é"})
    assert data_codes(wrong.text)[:1] == ["APPROVED_PICTURE_CHANGED"]
    assert (await approver.post(page, data={"decision": "approve", "manifest": manifest})).status_code == 303
    bare = await keeper.post(page, data={"decision": "pause", "reason": ""})
    assert (bare.status_code, data_codes(bare.text)[:1]) == (422, ["REJECTION_REASON_REQUIRED"])
    await keeper.post(page, data={"decision": "pause", "reason": "lunch"})
    assert 'data-status="paused"' in await text_of(keeper, page)
    await keeper.post(page, data={"decision": "resume"})
    following, still = await keeper.get(f"{page}?live=1"), await keeper.get(page)
    assert (following.headers.get("refresh"), still.headers.get("refresh")) == ("5", None), "only for who asks for it"
    await work_until_done(sealing_of(house), seconds=60)
    done = await keeper.get(f"{page}?live=1")
    assert ('data-status="done"' in done.text, done.headers.get("refresh")) == (True, None)
    fetched = await keeper.get(f"{page}/documents/1/file")
    assert fetched.content.startswith(b"%PDF")
    assert "filename*=UTF-8''%E7%94%B2.pdf" in fetched.headers["content-disposition"]
    assert (await keeper.get(f"{page}/documents/9/file")).status_code == 404
    stranger = await seat(house, desk.other_approver)
    assert (await stranger.get(page)).status_code == 404


async def test_alerts_are_answered_and_authorisations_confirmed_or_withdrawn(house: House, desk: Desk) -> None:
    keeper = await seat(house, desk.keeper)
    page = await keeper.get("/seals/supervision")
    assert "Somebody asked five times within ten minutes" in page.text
    (alert,), (grant,) = (re.findall(rf'action="/seals/{kind}/([^"]+)"', page.text) for kind in ("alerts", "reviews"))
    bare = await keeper.post(f"/seals/alerts/{alert}", data={"note": " "})
    assert (bare.status_code, f'id="error-{alert}"' in bare.text, data_codes(bare.text)) == (422, True, ["NOTE_MISSING"])
    answered = await keeper.post(f"/seals/alerts/{alert}", data={"note": "<i>a new colleague</i>"})
    assert answered.headers["location"] == "/seals/supervision?done=answered"
    shown = await text_of(keeper, "/seals/supervision")
    assert "&lt;i&gt;a new colleague" in shown
    twice = await keeper.post(f"/seals/alerts/{alert}", data={"note": "again"})
    assert twice.status_code == 409
    assert (await keeper.post(f"/seals/reviews/{grant}", data={"decision": "confirm", "note": "needed"})).status_code == 303
    assert grant not in await text_of(keeper, "/seals/supervision"), "not due for another year"
    assert (await keeper.post(f"/seals/reviews/{grant}", data={"decision": "withdraw"})).status_code == 303
    gone = await keeper.post(f"/seals/reviews/{grant}", data={"decision": "withdraw"})
    assert gone.status_code == 409
    clerk = await seat(house, desk.clerk)
    assert (await clerk.get("/seals/supervision")).status_code == 403
    assert (await clerk.post(f"/seals/alerts/{alert}", data={"note": "x"})).status_code == 403


async def test_a_seal_is_looked_at_in_its_real_size_before_it_is_applied_for(house: House, desk: Desk) -> None:
    keeper = await seat(house, desk.keeper)
    asked = {"name": "合同专用章", "kind": "contract", "until": "2028-12-31", "step": "preview"}
    shown = await keeper.post("/seals/apply", data=asked | {"width": "40"})
    drawn = base64.b64decode(re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', shown.text)[0])
    assert b'width="40mm"' in drawn
    assert "img-src 'self' data:" in shown.headers["content-security-policy"]
    assert "data:" not in (await keeper.get("/seals/apply")).headers["content-security-policy"]
    large = await keeper.post("/seals/apply", data=asked | {"width": "60"})
    assert ('id="width-error"' in large.text, data_codes(large.text)) == (True, ["SEAL_SHAPE_UNSUITABLE"])
    none = await keeper.post("/seals/apply", data=asked | {"picture": "impression"})
    assert ('id="file-error"' in none.text, data_codes(none.text)) == (True, ["SEAL_ORDER_INVALID"])
    script = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 38 38"><script>alert(1)</script></svg>'
    bad = await keeper.post("/seals/apply", data=asked | {"picture": "impression"}, files=[("file", ("a.svg", script, "image/svg+xml"))])
    assert data_codes(bad.text) == ["IMPRESSION_SVG_SCRIPT"]
    good = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 38 38"><circle cx="19" cy="19" r="18" fill="none" stroke="red"/></svg>'
    seen = await keeper.post("/seals/apply", data=asked | {"picture": "impression"}, files=[("file", ("a.svg", good, "image/svg+xml"))])
    held = field_value(seen.text, "held")
    assert (seen.status_code, base64.b64decode(held or "")) == (200, good), data_codes(seen.text)
    form = asked | {"step": "send", "picture": "impression", "held": held or "", "version": "4"}
    sent = await keeper.post("/seals/apply", data=form)
    assert sent.headers.get("location") == "/seals?done=applied", data_codes(sent.text)
    async with house.database.session() as session:
        order = (
            await session.execute(text("SELECT ses_version, i.source FROM seal.seals s JOIN seal.impressions i ON i.seal_id = s.id"))
        ).one()
    assert tuple(order) == (4, good)


async def test_a_person_sees_only_the_doors_their_roles_open(house: House, desk: Desk) -> None:
    doors = {
        desk.clerk: ({"/documents"}, {"/seals", "/audit"}),
        desk.keeper: ({"/documents", "/seals"}, {"/audit"}),
        desk.approver: ({"/documents"}, {"/seals", "/audit"}),
    }
    for one, (open_, shut) in doors.items():
        client = await seat(house, one)
        home = await text_of(client, "/")
        assert all(f'class="door" href="{address}"' in home for address in open_)
        assert not any(f'class="door" href="{address}"' in home for address in shut)
    stranger = browser(make_app(house))
    for address in ("/documents", "/documents/new", "/batches", "/batches/new", "/seals/apply", "/seals/supervision"):
        assert (await stranger.get(address)).headers["location"].startswith("/login"), address
