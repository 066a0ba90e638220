"""Strangers at the doors: hostile bodies, addresses and headers are refused, never a failure of ours, and lead nowhere else."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.app import create_app
from api.limits import throttle
from api.wiring import House
from certs.issuance import approve
from identity.clients import NewClient, create_client
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.evidence.log import latest_checkpoint, sequence_all
from keys.evidence.merkle import leaf_hash, root_of
from keys.evidence.notes import open_checkpoint
from tests.certs.conftest import APPROVALS_CLIENT, approval, approvals
from tests.pages_house import ISSUER, NUMBER, PASSWORD, add_person, add_second_factor, log_in_at, open_test_house

HTML = {"Accept": "text/html"}


@dataclass(frozen=True)
class Doors:
    house: House
    web: httpx2.AsyncClient

    async def token(self, *scopes: str) -> dict[str, str]:
        new = NewClient("门户", "Portal", "990100", APPROVALS_CLIENT.organisation, grant_types=("client_credentials",), scopes=scopes)
        async with self.house.database.begin() as session:
            client, secret = await create_client(session, self.house.clock.now(), new)
        answer = await self.web.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, secret or ""))
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def template(signing_template: str) -> str:
    return signing_template


@pytest.fixture
async def doors(database: Database, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[Doors]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as web:
            yield Doors(house, web)


def multipart(charset: str, **fields: str) -> tuple[dict[str, str], bytes]:
    """A form whose sender names the encoding."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"} | HTML, ("".join(parts) + "--x--\r\n").encode()


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", "idna", "hex", '"a\0b"', "nosuch"])
async def test_a_form_in_any_encoding_is_read_or_refused(doors: Doors, charset: str) -> None:
    for path in ("/login", "/logout"):
        headers, body = multipart(charset, username="a+2AA-\\ud800", password="+2AA-\\ud800", next="/+2AA-\\ud800")
        answer = await doors.web.post(path, headers=headers, content=body)
        assert answer.status_code < 500, (path, answer.status_code)
    headers, body = multipart(charset, file="no PDF")
    body = body.replace(b'name="file"', b'name="file"; filename="a+2AA-\\ud800.pdf"')
    for path in ("/verify", "/api/v1/verify"):
        answer = await doors.web.post(path, headers=headers, content=body)
        assert answer.status_code < 500, (path, answer.status_code)


@pytest.mark.parametrize(
    "path",
    [
        f"/log/tile/{'1' * 5000}/000",
        f"/log/tile/0/{'x001/' * 2000}000",
        f"/log/tile/0/000.p/{'1' * 5000}",
        "/log/tile/0/000.p/٣",
        "/log/tile/²/000",
        "/pki/%00.crl",
        "/v/%00",
        "/api/v1/verify/%00",
        "/approve/%00",
        "/assets/..%2f..%2fapp.py",
        "/login?next=%00&lang=%00",
        "/oauth/logout?post_logout_redirect_uri=%00",
        "/oauth/authorize?client_id=%00",
    ],
)
async def test_no_address_is_a_failure(doors: Doors, path: str) -> None:
    for headers in (HTML, {}):
        answer = await doors.web.get(path, headers=headers)
        assert answer.status_code < 500


async def test_a_nul_is_refused_wherever_it_stands(doors: Doors) -> None:
    headers = await doors.token("certificates:issue", "certificates:read", "identity:check")
    asked = approvals()[0] | {"holders": [dict(one) for one in approvals()[0]["holders"]]}
    for name in asked:
        answer = await doors.web.post("/api/v1/approvals", headers=headers | {"Idempotency-Key": "k"}, json=asked | {name: "a\0b"})
        assert answer.status_code == 422, (name, answer.text)
    search = {"holder_code": NUMBER, "code_type": "111", "purpose": "test"}
    for name in (*search, "type", "cursor"):
        answer = await doors.web.post("/api/v1/certificates/search", headers=headers, json=search | {name: "a\0b"})
        assert answer.status_code in (400, 422), (name, answer.text)
    check = {"name": "钱晓明", "code": NUMBER, "code_type": "111"}
    for name in (*check, "mobile"):
        answer = await doors.web.post("/api/v1/identity/checks", headers=headers, json=check | {name: "a\0b"})
        assert answer.status_code == 422, (name, answer.text)


async def test_too_large_is_said_by_every_route(doors: Doors) -> None:
    headers = await doors.token("certificates:read", "identity:check") | {"Content-Type": "application/json"}
    for path in ("/api/v1/identity/checks", "/api/v1/certificates/search"):
        answer = await doors.web.post(path, headers=headers, content=b'"' + b"a" * (1 << 20) + b'"')
        assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


async def test_links_and_redirects_stay_on_this_site(doors: Doors) -> None:
    for path in ("//evil.example/x", "///evil.example", "/\\evil.example"):
        page = await doors.web.get(f"{ISSUER}{path}", headers=HTML)
        assert page.status_code == 404
        assert not re.search(r"""(?:href|action)=["']?[/\\]{2}""", page.text)
    for path in ("/verify/", "/api/v1/approvals/", "/demo/water/login/"):
        answer = await doors.web.get(path, headers=HTML | {"Host": "evil.example"})
        assert "evil.example" not in answer.headers.get("location", "")
    metadata = await doors.web.get(
        "/.well-known/openid-configuration", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )
    assert "evil.example" not in metadata.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("PUT", "/login", 405), ("GET", "/account", 303), ("GET", "/", 200)]
)
async def test_every_page_carries_its_headers(doors: Doors, method: str, path: str, status: int) -> None:
    answer = await doors.web.request(method, path, headers=HTML)
    assert answer.status_code == status
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert ("allow" in answer.headers) == (status == 405)


async def test_the_open_log_tells_nobody_what_happened(doors: Doors) -> None:
    account = await add_person(doors.house, "somebody")
    assert (await log_in_at(doors.web, "somebody")).status_code == 303
    await sequence_all(doors.house.database, doors.house.keystore, doors.house.clock)
    async with doors.house.database.session() as session:
        row = await latest_checkpoint(session)
    assert row is not None
    bundle = (await doors.web.get(f"/log/tile/entries/000.p/{row.size}")).content
    for secret in ("identity.login", "person", str(account.id), str(account.id).replace("-", ""), '","', '":"'):
        assert secret.encode() not in bundle
    published = [bundle[start + 2 : start + 34] for start in range(0, len(bundle), 34)]
    assert root_of([leaf_hash(entry) for entry in published]) == open_checkpoint(row.note, doors.house.log_key).root
    async with doors.house.database.session() as session:
        bodies = await session.scalars(text("SELECT body FROM keys.audit_events WHERE position IS NOT NULL ORDER BY position"))
    assert published == [hashlib.sha256(body).digest() for body in bodies]


async def test_a_number_in_the_wrong_place_cannot_be_tried_out_of_the_audit(doors: Doors) -> None:
    with pytest.raises(FujieError):
        await approve(doors.house.issuing, APPROVALS_CLIENT, approval(0, approval_number=NUMBER), "key")
    async with doors.house.database.session() as session:
        bodies = list(await session.scalars(text("SELECT body FROM keys.audit_events WHERE action = 'certs.issue.approve'")))
    assert len(bodies) == 1
    assert hashlib.sha256(NUMBER.encode()).hexdigest().encode() not in bodies[0]
    assert NUMBER.encode() not in bodies[0]


async def test_a_database_error_names_no_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with database.session() as session:
            await session.execute(text("SELECT 1 FROM identity.accounts WHERE username = :name"), {"name": "卫思远\0"})
    assert "卫思远" not in str(failed.value)


async def test_a_lost_redis_stops_no_page() -> None:
    gone = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2, retry=None)
    state = SimpleNamespace(house=SimpleNamespace(redis=gone))
    request: Any = SimpleNamespace(app=SimpleNamespace(state=state), client=SimpleNamespace(host="192.0.2.1"))
    await throttle(request, "picture", limit=1, seconds=60)
    await gone.aclose()


async def test_twenty_wrong_codes_with_the_right_password_are_not_all_judged(doors: Doors) -> None:
    """The second factor is counted with the first: a known password gives five guesses, however they are spread."""
    account = await add_person(doors.house, "guessed")
    await add_second_factor(doors.house, account)
    statuses: list[int] = []
    for _ in range(5):
        await doors.web.post("/login", headers=HTML, data={"username": "guessed", "password": PASSWORD})
        guesses = (doors.web.post("/login", headers=HTML, data={"otp": f"{guess:06d}"}) for guess in range(4))
        statuses += [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert 429 in statuses
    assert statuses.count(401) <= 5
