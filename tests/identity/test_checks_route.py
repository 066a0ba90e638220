"""``POST /api/v1/identity/checks``: what portals get, and that a refusal never repeats what was sent."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api import problems
from api.routes import identity, oidc
from identity import throttle
from identity.clients import NewClient, create_client
from identity.realname import RealName
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.rotation import ensure_signing_keys
from keys.schedule import DEFAULT

QIAN = "990100197003131003"
GOOD = {"name": "钱晓明", "code": QIAN, "code_type": "111"}
ADDRESS = "/api/v1/identity/checks"


@pytest.fixture
def template(signing_template: str) -> str:
    return signing_template


@pytest.fixture
async def browser(database: Database, keystore: KeyStore, clock: Any, realname: RealName) -> AsyncIterator[httpx2.AsyncClient]:
    await ensure_signing_keys(database, keystore, clock)
    app = FastAPI(routes=list(oidc.routes), exception_handlers=problems.HANDLERS)
    app.include_router(identity.router)
    base = "http://127.0.0.1:8000"
    app.state.house = SimpleNamespace(
        rotation=DEFAULT, database=database, redis=realname.redis, keystore=keystore, clock=clock, personal=realname.personal, base_url=base
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=base) as client:
        yield client


async def token(browser: httpx2.AsyncClient, database: Database, clock: Any, *scopes: str) -> dict[str, str]:
    new = NewClient(name_zh="门户", name_en="Portal", division="990100", grant_types=("client_credentials",), scopes=scopes)
    async with database.begin() as session:
        client, secret = await create_client(session, clock.now(), new)
    assert secret is not None
    data = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
    answer = await browser.post("/oauth/token", data=data, auth=(client.client_id, secret))
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
async def bearer(browser: httpx2.AsyncClient, database: Database, clock: Any) -> dict[str, str]:
    return await token(browser, database, clock, "identity:check")


async def test_a_match(browser: httpx2.AsyncClient, bearer: dict[str, str]) -> None:
    answer = await browser.post(ADDRESS, json=GOOD | {"mobile": "19900000000"}, headers=bearer)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["outcome"], body["level"]) == ("match", 3)
    (entry,) = body["evidence"]
    assert entry.pop("reference")
    assert entry == {"source": "registry", "outcome": "match", "mobile_outcome": "match", "flags": [], "time": "2026-11-21T02:00:00Z"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("change", "outcome"), [({"name": "钱小明"}, "name_differs"), ({"code": "990100195202141037"}, "no_record")])
async def test_no_match(browser: httpx2.AsyncClient, bearer: dict[str, str], change: dict[str, str], outcome: str) -> None:
    answer = await browser.post(ADDRESS, json=GOOD | change, headers=bearer)
    assert (answer.status_code, answer.json()["outcome"]) == (200, outcome)
    assert set(answer.json()) == {"outcome", "level", "evidence"}
    assert set(answer.json()["evidence"][0]) == {"source", "outcome", "flags", "time", "reference"}


IMPOSSIBLE = {
    "11010519490231002X": "no_such_date",
    "110105194912310021": "check_digit_mismatch",
    "1101051949123100": "length",
    "１１０１０５１９４９１２３１００２Ｘ": "characters",
    "990100202611229999": "future_date",
}
MALFORMED: list[Any] = [
    {}, [], "text", 1, None, {"name": "钱晓明"}, GOOD | {"code": 990100197003131003}, GOOD | {"code": None}, GOOD | {"name": ""},
    GOOD | {"code": ""}, GOOD | {"code_type": "222"}, GOOD | {"code_type": "身份证"}, GOOD | {"mobile": "1"}, GOOD | {"mobile": QIAN},
    GOOD | {"code": QIAN * 4}, GOOD | {"code": QIAN * 30}, GOOD | {"name": QIAN * 30}, {QIAN: "x"}, GOOD | {"name": "\x00"},
]  # fmt: skip
NOT_JSON = [b"", b"{", b"\xff\xfe", b'{"name": "\\ud800", "code": "1", "code_type": "111"}', b"[" * 5000]


async def test_a_number_that_cannot_be(browser: httpx2.AsyncClient, bearer: dict[str, str]) -> None:
    for code, flag in IMPOSSIBLE.items():
        answer = await browser.post(ADDRESS, json=GOOD | {"code": code}, headers=bearer)
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert (problem["code"], problem["outcome"], problem["level"]) == ("ID_NUMBER_INVALID", "id_invalid", 0)
        assert flag in [error["code"] for error in problem["errors"]]
        assert {error["field"] for error in problem["errors"]} == {"code"}
        assert code not in answer.text


async def test_bad_input_names_fields_and_echoes_nothing(browser: httpx2.AsyncClient, bearer: dict[str, str]) -> None:
    for body in MALFORMED:
        answer = await browser.post(ADDRESS, json=body, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT"), body
        assert answer.json()["errors"], body
        assert QIAN not in answer.text


async def test_what_is_not_json(browser: httpx2.AsyncClient, bearer: dict[str, str]) -> None:
    for content in NOT_JSON:
        answer = await browser.post(ADDRESS, content=content, headers=bearer | {"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), content[:9]
        assert answer.json()["code"] in ("INVALID_INPUT", "BAD_REQUEST")


async def test_a_stranger_is_refused_before_the_body_is_judged(browser: httpx2.AsyncClient) -> None:
    answer = await browser.post(ADDRESS, json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_REQUIRED")


async def test_another_scope_does_not_do(browser: httpx2.AsyncClient, database: Database, clock: Any) -> None:
    answer = await browser.post(ADDRESS, json=GOOD, headers=await token(browser, database, clock, "verify"))
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_SCOPE")


async def test_a_client_is_limited(browser: httpx2.AsyncClient, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "CHECKS", throttle.Limit("checks", 2, throttle.CHECKS.window, throttle.CHECKS.lock))
    codes = [(await browser.post(ADDRESS, json=GOOD, headers=bearer)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
