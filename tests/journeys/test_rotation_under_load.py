"""Keys change while a city works: two web processes, log-ins, refreshes and verifications without a pause, and nobody notices.

Periods are seconds here and months elsewhere; nothing else differs. The portal is as strict as a portal can be: it keeps the JWK
Set exactly as long as ``Cache-Control`` allows and asks for it at no other time, so a kid that it does not know is a failure.
"""

import asyncio
import base64
import hashlib
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pyotp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from api.demo import city as demonstration
from api.demo.browser import Browser
from keys.base.clock import SystemClock
from tests.running import City, free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # a city of two web processes is started and kept busy

PERIOD = 5.0
LOAD_SECONDS = 18.0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city whose keys change every few seconds."""
    more = {"FUJIE_WORKERS": "2", "FUJIE_JWKS_SECONDS": "1", "FUJIE_TOKEN_KEY_DAYS": str(PERIOD / 86_400)}
    city = City(tmp_path_factory.mktemp("rotating") / "home", free_port(), more=more).start()
    yield city
    city.stop()


@dataclass
class Portal:
    """A client with a person's log-in, its copy of the JWK Set, and what it saw."""

    city: City
    client_id: str
    client_secret: str
    callback: str
    http: httpx2.AsyncClient
    keys: KeySet | None = None
    keep_until: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    kids: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    async def key_set(self) -> KeySet:
        """The JWK Set, fetched again when ``max-age`` has passed, never earlier."""
        if self.keys is None or time.monotonic() >= self.keep_until:
            asked = time.monotonic()
            answer = await self.http.get("/oauth/jwks")
            age = re.fullmatch(r"public, max-age=(\d+)", answer.headers["cache-control"])
            assert age is not None
            self.keys, self.keep_until = KeySet.import_key_set(answer.json()), asked + int(age[1])
        return self.keys

    async def verify(self, id_token: str) -> None:
        kid = json.loads(base64.urlsafe_b64decode(id_token.split(".")[0] + "=="))["kid"]
        claims = jwt.decode(id_token, await self.key_set(), algorithms=["ES256"]).claims
        assert claims["iss"] == self.city.base_url
        self.kids.add(kid)

    async def authorize(self, **more: str) -> dict[str, str]:
        """A silent log-in: a session and consent are there."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.callback, "scope": "openid profile", "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256", "prompt": "none",
        }  # fmt: skip
        answer = await self.http.get("/oauth/authorize", params=query | more)
        location = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert "code" in location, location
        return await self.token(grant_type="authorization_code", code=location["code"], redirect_uri=self.callback, code_verifier=verifier)

    async def token(self, **fields: str) -> dict[str, str]:
        answer = await self.http.post("/oauth/token", data=fields, auth=(self.client_id, self.client_secret))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens

    async def again_and_again(self, name: str, turn: Callable[[], Awaitable[None]], until: float) -> None:
        while time.monotonic() < until:
            try:
                await turn()
                self.done[name] += 1
            except Exception as error:  # every failure counts, whatever it is
                self.failures.append(f"{name}: {type(error).__name__} {error}")
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.01)


async def _portal(city: City) -> Portal:
    """A new client, the citizen logged in and consenting once."""
    callback = f"{city.base_url}/callback-of-nobody"
    made = await asyncio.to_thread(
        city.fujie, "client", "create", "轮换门户", "Rotating portal", "--division", "990100", "--redirect-uri", callback,
        "--scope", "openid", "--scope", "profile",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    client, account = json.loads(made.stdout), city.account("citizen")
    browser = Browser(city.base_url)
    query = {
        "response_type": "code", "client_id": client["client_id"], "redirect_uri": callback, "scope": "openid profile", "state": "s",
        "code_challenge": "v" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    await browser.visit(str(httpx2.URL("/oauth/authorize", params=query)))
    await browser.log_in(account["username"], account["password"])
    await browser.submit("/consent", decision="allow")
    http = httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60, cookies=browser._client.cookies)
    await browser._client.aclose()
    return Portal(city, client["client_id"], client["client_secret"], callback, http)


def _listed(city: City, kind: str) -> list[dict[str, Any]]:
    listed = city.fujie("keys", "list")
    assert listed.returncode == 0, listed.stderr
    return [row for line in listed.stdout.splitlines() if (row := json.loads(line))["kind"] == kind]


async def test_nobody_notices_that_keys_change(busy: City) -> None:
    portal = await _portal(busy)
    first = await portal.authorize()
    oldest = first["id_token"]
    refresh = first["refresh_token"]

    async def log_in() -> None:
        await portal.verify((await portal.authorize())["id_token"])

    async def log_in_with_an_old_hint() -> None:
        await portal.verify((await portal.authorize(id_token_hint=oldest))["id_token"])

    async def renew() -> None:
        nonlocal refresh
        tokens = await portal.token(grant_type="refresh_token", refresh_token=refresh)
        refresh = tokens["refresh_token"]
        await portal.verify(tokens["id_token"])

    turns = {"log in": log_in, "log in with a hint": log_in_with_an_old_hint, "refresh": renew}
    until = time.monotonic() + LOAD_SECONDS
    orders = asyncio.create_task(_orders(busy))
    await asyncio.gather(*(portal.again_and_again(name, turn, until) for name, turn in turns.items()))
    await orders
    assert portal.failures == []
    assert min(portal.done.values()) >= 20, portal.done
    assert len(portal.kids) >= 3, f"{len(portal.kids)} keys signed"
    keys = await asyncio.to_thread(_listed, busy, "token")
    known = [row["kid"] for row in keys if row["alg"] == "ES256"]
    assert len(known) == len(set(known)) > len(portal.kids)
    assert [row["state"] for row in keys if row["alg"] == "ES256"].count("active") == 1
    # The very first token, its key long retiring, still ends the session without a question.
    leaving = await portal.http.get("/oauth/logout", params={"id_token_hint": oldest})
    assert leaving.headers["location"] == "/logout?done=1"
    await portal.http.aclose()
    print(f"\nlog-ins and verifications {sum(portal.done.values())}, keys that signed {len(portal.kids)}, failures 0")


async def _orders(city: City) -> None:
    """What an operator orders meanwhile."""
    for purpose in (("tokens",), ("personal-data", "--now"), ("key-encryption",)):
        await asyncio.sleep(1)
        done = await asyncio.to_thread(city.fujie, "keys", "rotate", "--purpose", *purpose)
        assert done.returncode == 0, done.stderr


async def test_personal_data_was_sealed_again_meanwhile_and_still_opens(busy: City) -> None:
    """The old data key is gone; the approver's second factor and the holder of a certificate are read under the new one."""
    deadline = time.monotonic() + 30
    states: list[str] = []
    while time.monotonic() < deadline:
        states = [row["state"] for row in await asyncio.to_thread(_listed, busy, "personal-data")]
        if states == ["destroyed", "sealing"]:
            break
        await asyncio.sleep(0.5)
    assert states == ["destroyed", "sealing"]
    account = busy.account("approver")
    async with Browser(busy.base_url) as browser:
        await browser.visit("/login")
        code = pyotp.TOTP(account["totp_secret"]).at(SystemClock().now(), counter_offset=1)
        page = await browser.log_in(account["username"], account["password"], code)
    assert page.status_code == 200
    assert page.url.path != "/login"
    headers = busy.token("approvals", "certificates:issue certificates:read")
    approval = dict(demonstration.approvals()[0], approval_number="after-the-new-key")
    async with httpx2.AsyncClient(base_url=busy.base_url, trust_env=False, timeout=60) as http:
        answer = await http.post("/api/v1/approvals", json=approval, headers=headers | {"Idempotency-Key": "after-the-new-key"})
        assert answer.status_code == 201, answer.text


async def test_a_compromised_key_is_dropped_everywhere_within_seconds(busy: City) -> None:
    before = {row["kid"] for row in _listed(busy, "token") if row["state"] in {"active", "next"}}
    done = await asyncio.to_thread(busy.fujie, "keys", "rotate", "--purpose", "tokens", "--now", "--also-next")
    assert done.returncode == 0, done.stderr
    await asyncio.sleep(1.5)  # what a process may remember, here
    for _ in range(10):
        async with httpx2.AsyncClient(base_url=busy.base_url, trust_env=False, timeout=60) as http:
            published = {key["kid"] for key in (await http.get("/oauth/jwks")).json()["keys"]}
        assert published
        assert not published & before
