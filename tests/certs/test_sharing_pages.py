"""The pages of sharing over a house: a clerk's desk, the holder's answers, the phone, the checker; and their calls over HTTP."""

import base64
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from PIL import Image

from api.app import create_app
from api.embedded import Addresses
from api.wiring import House
from certs.library import Library
from certs.photographs import prepared
from certs.portraits import portrait_of
from certs.rendering import render
from identity.clients import NewClient, create_client
from identity.people import NewAccount, create_account
from keys.base.actor import Role
from tests.certs.catalogue_people import HOUSING, MARKET
from tests.certs.sharing_people import COMPANY, FOOD, LICENCE, OWNERSHIP, SAFETY, Stage, furnish_once
from tests.pages_house import PASSWORD, add_second_factor, browser, data_codes, field_value, log_in_at, open_test_house
from tests.render_jobs import SAFETY as CARD
from tests.render_jobs import job

PDF = b"%PDF-1.7 the sealed original"
ABOUT = {"matter": FOOD, "purpose": "Accepting an application", "holder_code": COMPANY, "code_type": "001"}


@pytest.fixture(scope="module")
def furnished(servers: Addresses, key_file: Path, signing_template: str) -> str:
    return furnish_once(servers, key_file, signing_template)


@pytest.fixture
def template(furnished: str) -> str:
    return furnished


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture
def stage(house: House) -> Stage:
    return Stage(Library(house.database, house.clock, house.blobs, house.personal))


@pytest.fixture
def app(house: House) -> FastAPI:
    return create_app(house)


async def person(house: House, app: Any, username: str, role: Role, organisation: str | None, language: str = "en") -> httpx2.AsyncClient:
    """Somebody logged in, with two factors where they are due."""
    async with house.database.begin() as session:
        new = NewAccount(username, username.title(), "990100", frozenset({role}), organisation)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
    code = await add_second_factor(house, account)
    client = browser(app, language)
    due = await log_in_at(client, username)
    if due.status_code != 303:
        form = {"otp": code.at(house.clock.now()), "next": field_value(due.text, "next") or ""}
        assert (await client.post("/login", data=form)).status_code == 303
    return client


async def bearer(house: House, app: Any, organisation: str | None = MARKET, scope: str = "certificates:read") -> dict[str, str]:
    async with house.database.begin() as session:
        new = NewClient(
            name_zh="审批系统", name_en="Approvals", division="990100", organisation=organisation, grant_types=("client_credentials",),
            scopes=(scope,),
        )  # fmt: skip
        client, secret = await create_client(session, house.clock.now(), new)
    async with browser(app) as web:
        data = {"grant_type": "client_credentials", "scope": scope}
        answer = await web.post("/oauth/token", data=data, auth=(client.client_id, secret or ""))
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def words(text: str) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", text)


async def test_a_clerk_asks_and_the_holder_answers(house: House, app: FastAPI, stage: Stage) -> None:
    await stage.hold(LICENCE)
    key = await stage.hold(OWNERSHIP, document=PDF)
    clerk = await person(house, app, "clerk", Role.WINDOW_CLERK, MARKET)
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, COMPANY)
    assert "/share" in (await clerk.get("/account")).text
    found = await clerk.post("/share", data=ABOUT)
    assert found.status_code == 200
    assert [words(found.text).count(one) for one in ("Holds a valid one", "Not told", "Ask the holder")] == [2, 1, 1]
    assert COMPANY not in str(found.url)
    for broken, code, status in (({"purpose": ""}, "PURPOSE_REQUIRED", 400), ({"holder_code": "1"}, "INVALID_INPUT", 422)):
        refused = await clerk.post("/share", data=ABOUT | broken)
        assert (refused.status_code, data_codes(refused.text)) == (status, [code])
    asked = await clerk.post("/share/ask", data=ABOUT | {"type": OWNERSHIP, "want": "file"})
    assert asked.status_code == 303
    desk = asked.headers["location"]
    waiting = await clerk.get(desk)
    assert 'data-state="pending"' in waiting.text
    assert waiting.headers["refresh"] == "10"
    request = f"/share-requests/{desk.rpartition('/')[2]}"
    assert request in (await boss.get("/wallet")).text
    assert "Accepting an application" in (await boss.get(request)).text
    nothing = await boss.post(request, data={"decision": "allow"})
    assert (nothing.status_code, data_codes(nothing.text)) == (422, ["INVALID_INPUT"])
    allowed = await boss.post(request, data={"decision": "allow", "certificate": str(key)})
    assert allowed.headers["location"] == request
    again = await boss.post(request, data={"decision": "deny"})
    assert (again.status_code, data_codes(again.text)) == (409, ["SHARE_REQUEST_CLOSED"])
    ready = await clerk.get(desk)
    assert 'data-state="allowed"' in ready.text
    assert "refresh" not in ready.headers
    assert (await clerk.post(desk, data={"take": "file"})).content == PDF
    used = await clerk.post(desk, data={"take": "file"})
    assert (used.status_code, data_codes(used.text)) == (403, ["SHARING_REFUSED"])
    assert "it was used" in used.text
    assert 'data-state="used"' in (await boss.get(request)).text
    assert "Fetched the file" in (await boss.get(f"/wallet/{key}")).text


async def test_the_desk_is_for_clerks_and_a_consent_can_be_taken_back(house: House, app: FastAPI, stage: Stage) -> None:
    key = await stage.hold(OWNERSHIP)
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, COMPANY, "zh")
    assert data_codes((await boss.get("/share")).text) == ["SHARING_STAFF_ONLY"]
    async with browser(app) as stranger:
        for path in ("/share", f"/wallet/{key}/show", f"/share-requests/{key}", f"/showings/{key}"):
            assert (await stranger.get(path)).headers["location"].startswith("/login?next="), path
    approver = await person(house, app, "approver", Role.APPROVER, MARKET, "zh")
    asked = await approver.post("/share/ask", data=ABOUT | {"type": OWNERSHIP, "want": "record"})
    desk = asked.headers["location"]
    request = f"/share-requests/{desk.rpartition('/')[2]}"
    await boss.post(request, data={"decision": "allow", "certificate": str(key)})
    assert (await boss.post(request, data={"decision": "withdraw"})).status_code == 303
    assert "持证主体已撤回授权" in (await approver.post(desk, data={"take": "record"})).text
    other = await person(house, app, "other", Role.APPROVER, HOUSING)
    assert (await other.get(desk)).status_code == 404
    assert (await other.get(request)).status_code == 404


async def test_a_phone_shows_and_a_clerk_takes_the_record_over(house: House, app: FastAPI, stage: Stage) -> None:
    key = await stage.hold(OWNERSHIP)
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, COMPANY)
    clerk = await person(house, app, "clerk", Role.WINDOW_CLERK, MARKET)
    choice = await boss.get(f"/wallet/{key}/show")
    assert f'value="matter:{FOOD}"' in choice.text
    for wrong in ("", "matter:0", "anything"):
        refused = await boss.post(f"/wallet/{key}/show", data={"purpose": wrong})
        assert (refused.status_code, data_codes(refused.text)) == (422, ["INVALID_INPUT"])
    showing = (await boss.post(f"/wallet/{key}/show", data={"purpose": f"matter:{FOOD}"})).headers["location"]
    page = await boss.get(showing)
    assert 1 <= int(page.headers["refresh"]) <= 15
    assert page.headers["cache-control"] == "no-store"
    code = re.findall(r'class="code spoken">([0-9A-Z-]{19})<', page.text)[0]
    async with browser(app) as stranger:
        refused = await stranger.post("/check", data={"code": code, "step": "check"})
        assert (refused.status_code, data_codes(refused.text)) == (403, ["SHOWN_FOR_OTHER_PURPOSE"])
        assert data_codes((await stranger.post("/check", data={"code": "0" * 16})).text) == ["AUTHORISATION_UNKNOWN"]
        assert (await stranger.get("/check")).status_code == 200
    assert "taken over" in (await clerk.post("/check", data={"code": code})).text
    taken = await clerk.post("/check", data={"code": code, "step": "check"})
    assert 'data-status="in_force"' in taken.text
    assert "示范路一号" in taken.text, "the record, not the face alone"
    checked = await boss.get(showing)
    assert 'data-showing="checked"' in checked.text
    assert "示范区市场监督管理局" in checked.text
    again = (await boss.post(f"/wallet/{key}/show", data={"purpose": "identity"})).headers["location"]
    assert (await boss.post(f"{again}/stop")).headers["location"] == again
    assert 'data-showing="over"' in (await boss.get(again)).text
    safety = await stage.hold(SAFETY)
    assert "matter:" not in (await boss.get(f"/wallet/{safety}/show")).text


async def test_over_http_bodies_scopes_and_every_refusal(house: House, app: FastAPI, stage: Stage) -> None:
    key = await stage.hold(LICENCE, issuer=MARKET)
    token = await bearer(house, app)
    async with browser(app) as web:
        for path in ("find", "answer", "record", "file", "requests", "showings", "check"):
            assert (await web.post(f"/api/v1/sharing/{path}", json={})).status_code == 401, path
            unfit = await web.post(f"/api/v1/sharing/{path}", json={"x": 1}, headers=token | {"Idempotency-Key": "key-1"})
            assert (unfit.status_code, unfit.json()["code"]) == (422, "INVALID_INPUT"), path
        weak = await bearer(house, app, scope="verify")
        assert (await web.post("/api/v1/sharing/answer", json={}, headers=weak)).json()["code"] == "INSUFFICIENT_SCOPE"
        record = await web.post("/api/v1/sharing/record", json=ABOUT | {"type": LICENCE}, headers=token)
        assert (record.status_code, record.json()["reason"], record.json()["certificate"]["id"]) == (200, "ISSUER_KNOWS_IT", str(key))
        none = await web.post("/api/v1/sharing/file", json=ABOUT | {"type": LICENCE}, headers=token)
        assert (none.status_code, none.json()["code"]) == (404, "DOCUMENT_NOT_HELD")
        keyless = await web.post("/api/v1/sharing/requests", json=ABOUT | {"type": OWNERSHIP}, headers=token)
        assert keyless.json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
        purposes = (await web.get("/api/v1/sharing/purposes", headers=token)).json()["items"]
        assert {"code": "identity", "zh": "核对身份", "en": "Prove who I am"} in purposes
        missing = await web.post("/api/v1/sharing/check", json={"code": "0" * 16, "purpose": ""}, headers=token)
        assert missing.status_code == 422
        unknown = await web.post("/api/v1/sharing/check", json={"code": "0" * 16, "purpose": "entry"}, headers=token)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "AUTHORISATION_UNKNOWN")
        for path in ("requests", "showings"):
            assert (await web.get(f"/api/v1/sharing/{path}/{key}", headers=token)).status_code == 404
        document = (await web.get("/api/openapi.json")).json()
        assert {path for path in document["paths"] if path.startswith("/api/v1/sharing/")} >= {
            "/api/v1/sharing/find", "/api/v1/sharing/showings/{showing_id}",
        }  # fmt: skip


async def test_the_checker_sees_the_photograph_that_is_on_the_certificate(house: House, app: FastAPI, stage: Stage) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((400, 560)).convert("RGB").save(buffer, "JPEG", comment=b"where it was taken")
    printed, bare = (render(job(CARD, photo=photo)).pdf for photo in (buffer.getvalue(), None))
    portrait = portrait_of(printed)
    assert portrait == prepared(buffer.getvalue())
    assert portrait_of(bare) is None
    assert portrait_of(b"no PDF") is None
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, COMPANY)
    token = await bearer(house, app)
    async with browser(app) as web:
        for document, source, there in ((printed, "issued", True), (bare, "issued", False), (printed, "imported", False)):
            key = await stage.hold(SAFETY, document=document, source=source)
            for over_api in (True, False):
                showing = (await boss.post(f"/wallet/{key}/show", data={"purpose": "identity"})).headers["location"]
                code = re.findall(r'class="code spoken">([0-9A-Z-]{19})<', (await boss.get(showing)).text)[0]
                if over_api:
                    face = (await web.post("/api/v1/sharing/check", json={"code": code, "purpose": "identity"}, headers=token)).json()
                    assert face["photo"] == (base64.b64encode(portrait or b"").decode() if there else None)
                    continue
                page = await web.post("/check", data={"code": code, "step": "check"})
                assert ("data:image/jpeg;base64," in page.text) is there
                assert ("img-src 'self' data:" in page.headers["content-security-policy"]) is there
