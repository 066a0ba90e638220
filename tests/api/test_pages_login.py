"""Logging in and out at a browser: fields, errors beside them, next addresses, origins, throttling."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.pages.returning import local_path
from api.wiring import House
from keys.base.actor import Role
from tests.pages_house import (
    ISSUER,
    NAME,
    NUMBER,
    PASSWORD,
    add_person,
    add_second_factor,
    browser,
    data_codes,
    field_value,
    log_in_at,
    make_app,
    open_test_house,
)


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(make_app(house)) as opened:
        yield opened


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/ok\r\nSet-Cookie: a=b",
        " /account",
        "javascript:alert(1)",
        "account",
        "",
        None,
        "/" + "a" * 9000,
        "/\x7f/evil.example",
    ],
)
def test_next_leads_nowhere_else(value: str | None) -> None:
    assert local_path(value) == "/account"


@pytest.mark.parametrize(
    "value", ["/", "/approve/1?a=b", "/oauth/authorize?redirect_uri=https%3A%2F%2Fa.example%2F&state=%2F%2Fx", "/v/A#b"]
)
def test_next_leads_about_the_house(value: str) -> None:
    assert local_path(value) == value


async def test_the_form_has_the_contracts_fields_and_the_headers_hold(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/login")
    assert answer.status_code == 200
    for name in ("username", "password"):
        assert re.search(rf'<input[^>]*name="{name}"', answer.text)
    assert '<html lang="en"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self';"
    )
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


async def test_right_password(house: House, client: httpx2.AsyncClient) -> None:
    await add_person(house, "xiaoming")
    answer = await log_in_at(client, "xiaoming", "/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("fujie_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie, "the demonstration runs over http"
    account = await client.get("/account")
    assert account.status_code == 200
    assert NAME in account.text


async def test_over_https_the_cookie_is_secure(
    database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> None:
    issuer = "https://id.city.example"
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path, issuer) as house:
        await add_person(house, "xiaoming")
        async with browser(make_app(house), issuer=issuer) as client:
            assert "Secure" in (await log_in_at(client, "xiaoming")).headers["set-cookie"]


async def test_wrong_password_is_told_beside_the_field_and_tells_nobody_who_exists(house: House, client: httpx2.AsyncClient) -> None:
    await add_person(house, "xiaoming")
    wrong = await client.post("/login", data={"username": "xiaoming", "password": "not it at all", "next": "/approve"})
    nobody = await client.post("/login", data={"username": "nobody", "password": "not it at all", "next": "/approve"})
    for answer in (wrong, nobody):
        assert answer.status_code == 401
        assert data_codes(answer.text) == ["BAD_CREDENTIALS"]
        assert re.search(r'<input id="password"[^>]*aria-invalid="true" aria-describedby="password-error"', answer.text)
        assert field_value(answer.text, "next") == "/approve"
        assert "not it at all" not in answer.text
    assert field_value(wrong.text, "username") == "xiaoming"


async def test_an_empty_field_is_named(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", data={"username": "xiaoming"})
    assert answer.status_code == 422
    assert data_codes(answer.text) == ["REQUIRED"]
    assert 'id="password-error"' in answer.text


async def test_an_id_number_typed_as_a_name_is_not_shown_again(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", data={"username": NUMBER, "password": "x"})
    assert answer.status_code == 401
    assert NUMBER not in answer.text


async def test_what_is_typed_is_escaped(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", data={"username": '"><script>alert(1)</script>', "password": "x"})
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text


async def test_the_second_factor_comes_second_and_no_page_carries_the_password(house: House, client: httpx2.AsyncClient) -> None:
    account = await add_person(house, "approver", roles=frozenset({Role.APPROVER}))
    totp = await add_second_factor(house, account)
    due = await log_in_at(client, "approver", "/approve")
    assert due.status_code == 200
    assert re.search(r'<input[^>]*name="otp"[^>]*autocomplete="one-time-code"', due.text)
    assert 'name="password"' not in due.text
    assert PASSWORD not in due.text
    assert "fujie_session=" not in due.headers.get("set-cookie", "")
    wrong = await client.post("/login", data={"otp": "000000", "next": field_value(due.text, "next")})
    assert wrong.status_code == 401
    assert data_codes(wrong.text) == ["BAD_SECOND_FACTOR"]
    done = await client.post("/login", data={"otp": totp.at(house.clock.now()), "next": field_value(due.text, "next")})
    assert (done.status_code, done.headers["location"]) == (303, "/approve")
    assert "fujie_session=" in done.headers["set-cookie"]


async def test_password_and_code_may_come_together(house: House, client: httpx2.AsyncClient) -> None:
    account = await add_person(house, "approver", roles=frozenset({Role.APPROVER}))
    totp = await add_second_factor(house, account)
    answer = await client.post("/login", data={"username": "approver", "password": PASSWORD, "otp": totp.at(house.clock.now())})
    assert answer.status_code == 303


async def test_a_half_log_in_expires(house: House, client: httpx2.AsyncClient, clock: Any) -> None:
    account = await add_person(house, "approver", roles=frozenset({Role.APPROVER}))
    totp = await add_second_factor(house, account)
    await log_in_at(client, "approver")
    clock.advance(minutes=6)
    late = await client.post("/login", data={"otp": totp.at(house.clock.now())})
    assert late.status_code == 401
    assert data_codes(late.text) == ["LOGIN_EXPIRED"]
    assert 'name="password"' in late.text


async def test_too_many_attempts(house: House, client: httpx2.AsyncClient) -> None:
    await add_person(house, "xiaoming")
    answers = [await client.post("/login", data={"username": "xiaoming", "password": "wrong password"}) for _ in range(12)]
    last = answers[-1]
    assert last.status_code == 429
    assert data_codes(last.text) == ["TOO_MANY_ATTEMPTS"]
    assert int(last.headers["retry-after"]) > 0
    assert 'name="username"' in last.text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1.evil.example:8000", ""])
async def test_a_form_of_another_site_is_refused(house: House, client: httpx2.AsyncClient, origin: str) -> None:
    await add_person(house, "xiaoming")
    form = {"username": "xiaoming", "password": PASSWORD}
    answer = await client.post("/login", data=form, headers={"Origin": origin})
    assert answer.status_code == 403
    assert data_codes(answer.text) == ["ORIGIN_REFUSED"]
    assert "set-cookie" not in answer.headers
    for path in ("/consent", "/logout", "/account/real-name", "/demo/water/logout"):
        assert (await client.post(path, headers={"Origin": origin})).status_code == 403, path


@pytest.mark.parametrize("origin", [ISSUER, None])
async def test_our_own_origin_and_none_at_all_are_accepted(house: House, client: httpx2.AsyncClient, origin: str | None) -> None:
    await add_person(house, "xiaoming")
    headers = {"Origin": origin} if origin else {}
    answer = await client.post("/login", data={"username": "xiaoming", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 303


async def test_pages_for_people_lead_to_the_log_in_and_back(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/account?done=real-name")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount%3Fdone%3Dreal-name")


async def test_logging_out_asks_first_and_then_ends_the_session(house: House, client: httpx2.AsyncClient) -> None:
    await add_person(house, "xiaoming")
    await log_in_at(client, "xiaoming")
    secret = client.cookies["fujie_session"]
    asked = await client.get("/logout")
    assert "Log out?" in asked.text
    gone = await client.post("/logout")
    assert gone.status_code == 303
    assert "You are logged out" in (await client.get(gone.headers["location"])).text
    client.cookies.set("fujie_session", secret)
    assert (await client.get("/account")).status_code == 303, "the old cookie opens nothing"


async def test_the_language_follows_the_browser_the_switch_and_the_cookie(house: House) -> None:
    async with browser(make_app(house), language="") as client:
        first = await client.get("/login?next=/approve")
        assert '<html lang="zh-CN"' in first.text
        assert 'href="/login?next=%2Fapprove&amp;lang=en"' in first.text
        switched = await client.get("/login?next=%2Fapprove&lang=en")
        assert '<html lang="en"' in switched.text
        assert '<html lang="en"' in (await client.get("/login")).text
        assert '<html lang="en"' in (await client.get("/login?lang=xx")).text


async def test_an_unknown_cookie_is_nobody(client: httpx2.AsyncClient) -> None:
    client.cookies.set("fujie_session", "no such secret")
    assert (await client.get("/account")).status_code == 303
    assert "Log in" in (await client.get("/")).text


async def test_assets_say_how_long_they_may_be_kept(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/")).text
    address = re.search(r'href="(/assets/fujie\.css\?v=[0-9a-f]{12})"', page)
    assert address
    kept = await client.get(address.group(1))
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in kept.headers["cache-control"]
    assert (await client.get("/assets/fujie.css", headers={"If-None-Match": kept.headers["etag"]})).status_code == 304
    for name in ("nothing.css", "..%2Fi18n.py", "%2e%2e"):
        assert (await client.get(f"/assets/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"username=a%00b&password=c%00d&next=%2F%00", "application/x-www-form-urlencoded"),
        (b"username=%ff%fe&password=%c3%28", "application/x-www-form-urlencoded"),
        (b"username=" + b"a" * 100_000 + b"&password=x", "application/x-www-form-urlencoded"),
        (b"&".join(b"f%d=1" % number for number in range(500)), "application/x-www-form-urlencoded"),
        (b"no form at all", "application/json"),
        (b"--x\r\nnot multipart", "multipart/form-data; boundary=x"),
        (b"anything", "multipart/form-data"),
        (b"--x\r\nContent-Disposition: form-data; name=username; filename=a\r\n\r\nb\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_whatever_is_sent_gets_an_answer(client: httpx2.AsyncClient, content: bytes, kind: str) -> None:
    for path in ("/login", "/logout", "/consent", "/account/real-name"):
        answer = await client.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code < 500, path
        assert answer.status_code != 200, path


@pytest.mark.parametrize("path", ["/login", "/logout", "/consent"])
@pytest.mark.parametrize(
    "query", ["client_id=%00", "client_id=%ff", "id_token_hint=a.b.c", "id_token_hint=a.eyJhdWQiOjF9.c", "client_id[]=x&client_id"]
)
async def test_whatever_next_asks_for_gets_an_answer(client: httpx2.AsyncClient, path: str, query: str) -> None:
    for address in ("/oauth/authorize", "/oauth/logout"):
        assert (await client.get(path, params={"next": f"{address}?{query}"})).status_code < 500
