"""Numbers of people go in by the doors made for them and come out nowhere: not in an answer, an address, a log, a table, a file.

First they are sent wherever somebody could send one, by right and by mistake; then everything is searched.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pypdfium2
import pytest
from redis.asyncio import Redis

from api.demo import city as demonstration
from api.demo.browser import Browser
from tests.running import City
from tests.watching import connected, tables

ESTATE = 2
NUMBER = re.compile(rb"[0-9]{17}[0-9Xx]")
PEOPLE = demonstration.population()
NUMBERS = frozenset(person["id_number"] for person in PEOPLE)
ONE = PEOPLE[-1]  # nobody's account


def numbers_in(data: bytes) -> set[str]:
    """Numbers of the city's people that stand in ``data`` as they are."""
    return {found.group().decode().upper() for found in _overlapping(data)} & NUMBERS


def first_number(data: bytes) -> int:
    """Where the first of them stands, or −1."""
    return next((found.start() for found in _overlapping(data) if found.group().decode().upper() in NUMBERS), -1)


def _overlapping(data: bytes) -> Iterator[re.Match[bytes]]:
    """Every place, also inside a longer row of digits."""
    start = 0
    while found := NUMBER.search(data, start):
        yield found
        start = found.start() + 1


def forms_of(number: str) -> set[str]:
    """A number as it is, as octets in hexadecimal or Base64, and as digests without a key, which a few digits cannot withstand."""
    plain = number.encode()
    digests = {hashlib.new(name, plain).hexdigest() for name in ("sha256", "sha1", "md5")}
    return {number, plain.hex(), base64.b64encode(plain).decode().rstrip("=")[:-1], *digests}


FORMS = {form: number for number in NUMBERS for form in forms_of(number)}


@dataclass
class Traffic:
    """Everything that came back, with the address it came from."""

    answers: list[tuple[str, bytes]] = field(default_factory=list)

    async def book(self, response: httpx2.Response) -> None:
        await response.aread()
        headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
        self.answers.append(
            (f"{response.request.method} {response.request.url.path} {response.status_code}", headers.encode() + response.content)
        )


@asynccontextmanager
async def recorded(city: City, traffic: Traffic, **more: Any) -> AsyncIterator[httpx2.AsyncClient]:
    hooks = {"response": [traffic.book]}
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60, event_hooks=hooks, **more) as http:
        yield http


async def by_right(city: City, traffic: Traffic) -> bytes:
    """Numbers where they belong: checks, an approval, a search, one's own page. Answers the certificate's PDF."""
    headers = city.token("approvals", "certificates:issue certificates:read identity:check")
    async with recorded(city, traffic) as http:
        for name in (ONE["name"], "另一人"):
            await http.post("/api/v1/identity/checks", json={"name": name, "code": ONE["id_number"], "code_type": "111"}, headers=headers)
        body = demonstration.approvals()[ESTATE] | {"approval_number": f"不泄露〔2026〕{secrets.token_hex(4)}号"}
        issued = await http.post("/api/v1/approvals", json=body, headers=headers | {"Idempotency-Key": secrets.token_hex(8)})
        assert issued.status_code == 201, issued.text
        number, code = issued.json()["id"], issued.json()["verification_code"]
        pdf = (await http.get(f"/api/v1/certificates/{number}/file", headers=headers | {"Purpose": quote("归档")})).content
        search = {"holder_code": body["holders"][0]["code"], "code_type": "111", "purpose": "核对"}
        found = await http.post("/api/v1/certificates/search", json=search, headers=headers)
        assert number in {item["id"] for item in found.json()["items"]}
        for address in (f"/api/v1/certificates/{number}", f"/api/v1/certificates/{number}/events", f"/api/v1/verify/{code}"):
            assert (await http.get(address, headers=headers)).status_code == 200
        for accept in ("text/html", "image/png"):
            assert (
                await http.get(f"/v/{code}" + ("/picture.png" if accept == "image/png" else ""), headers={"Accept": accept})
            ).status_code == 200
        await http.post("/api/v1/verify", content=pdf)
        await http.post("/verify", files={"file": ("a.pdf", pdf)})
    return pdf


async def on_ones_own_page(city: City, traffic: Traffic) -> None:
    """Somebody new binds their number; the page says so without it."""
    made = json.loads(city.fujie("user", "create", f"newcomer-{secrets.token_hex(4)}", "新来的人", "--division", "990100").stdout)
    async with Browser(city.base_url) as browser:
        browser._client.event_hooks = {"response": [traffic.book]}
        await browser.visit("/login?next=/account")
        await browser.log_in(made["username"], made["password"])
        await browser.submit("/account/real-name", name="别的名字", code=ONE["id_number"], code_type="111")
        page = await browser.submit("/account/real-name", name=ONE["name"], code=ONE["id_number"], code_type="111")
        assert page.status_code == 200
        assert page.url.path == "/account"


def misplaced_approvals() -> list[dict[str, Any]]:
    """An approval with a number in every member that is not for one."""
    body, number = demonstration.approvals()[ESTATE], ONE["id_number"]
    fields = body["fields"]
    assert isinstance(fields, dict)
    members = ("approval_number", "matter_code", "certificate_type", "seal", "issuer", "approved_by", "approved_at", "window", "valid_to")
    return [
        *(body | {member: number} for member in members),
        body | {number: "x"},
        body | {"fields": fields | {number: "x"}},
        *(body | {"fields": fields | {name: f"住{number}处"}} for name in fields),
        body | {"holders": [{"name": f"甲{number}", "code": number, "code_type": "111"}]},
        body | {"holders": [{"name": "甲", "code": number, "code_type": number}]},
        body | {"holders": [{"name": "甲", "code": "1", "code_type": "111", number: "1"}]},
        body | {"holders": [{"name": "甲", "code": [number], "code_type": "111"}]},
    ]


async def by_mistake(city: City, traffic: Traffic) -> None:
    """Numbers where they do not belong: each is refused, or taken and kept to ourselves."""
    number = ONE["id_number"]
    headers = city.token("approvals", "certificates:issue certificates:read identity:check")
    certificate = city.demo["certificate"]["id"]
    async with recorded(city, traffic) as http:
        for body in misplaced_approvals():
            answer = await http.post("/api/v1/approvals", json=body, headers=headers | {"Idempotency-Key": secrets.token_hex(8)})
            assert answer.status_code == 422, (body, answer.text)
        for address in (
            f"/v/{number}",
            f"/api/v1/verify/{number}",
            f"/api/v1/certificates/{number}",
            f"/nowhere/{number}",
            f"/verify?code={number}",
        ):
            for accept in ("text/html", "application/json"):
                await http.get(address, headers=headers | {"Accept": accept})
        await http.get(f"/api/v1/certificates/{certificate}/file", headers=headers | {"Purpose": quote(f"给{number}")})
        for move in ("suspend", "revoke"):
            reason = {"reason": f"持证人{number}申请"}
            moved = await http.post(
                f"/api/v1/certificates/{certificate}/{move}", json=reason, headers=headers | {"Idempotency-Key": secrets.token_hex(8)}
            )
            assert moved.status_code == 422, moved.text
        wrong = {"holder_code": number + "1", "code_type": number, "purpose": number, number: number}
        await http.post("/api/v1/certificates/search", json=wrong, headers=headers)
        await http.post(
            "/api/v1/identity/checks", json={"name": number, "code": number, "code_type": number, number: number}, headers=headers
        )
        await http.post("/api/v1/identity/checks", json=[number], headers=headers)
        await http.post("/api/v1/identity/checks", content=f'{{"name": {number}'.encode(), headers=headers)
        await http.post("/login", data={"username": number, "password": number})
        await http.post("/login", data={"username": f"身份证{number}", "password": ""})
        await http.post("/oauth/token", data={"grant_type": number, "client_id": number, "client_secret": number, "code": number})
        await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(number, number))
        await http.get("/oauth/authorize", params={"client_id": number, "redirect_uri": f"http://x/{number}"})
        await http.post("/api/v1/verify", content=number.encode())
        await http.post("/verify", files={"file": (f"{number}.txt", b"x")})


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic()


async def test_numbers_are_sent_everywhere_and_stand_in_no_answer(city: City, traffic: Traffic) -> None:
    pdf = await by_right(city, traffic)
    await on_ones_own_page(city, traffic)
    await by_mistake(city, traffic)
    assert len(traffic.answers) >= 60
    leaks = [(where, data[max(0, place - 80) : place + 40]) for where, data in traffic.answers if (place := first_number(data)) >= 0]
    assert "\n".join(map(str, leaks)) == ""
    assert numbers_in(_inside(pdf)) == set()


def _inside(pdf: bytes) -> bytes:
    """A certificate's text and attachments."""
    document = pypdfium2.PdfDocument(BytesIO(pdf))
    texts = [page.get_textpage().get_text_range().encode() for page in document]
    attachments = [bytes(document.get_attachment(index).get_data()) for index in range(document.count_attachments())]
    assert attachments
    return b"\n".join(texts + attachments)


async def test_no_table_holds_a_number(city: City) -> None:
    """Whole rows as text: octets show as hexadecimal, JSON as it is. Keyed indexes and envelopes do not match."""
    leaks = []
    async with connected(city) as database:
        for table in await tables(database, ("keys", "identity", "seal", "certs", "public")):
            async with database.transaction():
                async for row in database.cursor(f"SELECT t::text AS whole FROM {table} t"):
                    leaks += [f"{table}: {number[:6]}…" for form, number in FORMS.items() if form in row["whole"]]
    assert "\n".join(map(str, leaks)) == ""


async def test_no_audit_event_names_a_person(city: City) -> None:
    names = {person["name"] for person in PEOPLE} - {account.name for account in demonstration.ACCOUNTS}
    async with connected(city) as database:
        bodies = [row[0].decode() for row in await database.fetch("SELECT body FROM keys.audit_events")]
    assert [body for body in bodies if any(name in body for name in names)] == []


async def test_the_cache_holds_no_number(city: City) -> None:
    addresses = json.loads((city.home / "run" / "addresses.json").read_text())
    async with Redis.from_url(addresses["redis_url"]) as cache:
        keys = [key async for key in cache.scan_iter()]
        held = b"\n".join([*keys, *[await cache.dump(key) or b"" for key in keys]])
    assert numbers_in(held) == set()


def test_nothing_that_was_printed_or_kept_on_disk_holds_a_number(city: City) -> None:
    """The city's log, the servers' logs, and every file of its home, the database's own included."""
    log = city.home.with_name(city.home.name + ".log")
    files = [log, *(path for path in city.home.rglob("*") if path.is_file() and not path.is_socket())]
    assert {str(path) for path in files if numbers_in(_content(path))} == set()


def _content(path: Path) -> bytes:
    """What is in the file; nothing if PostgreSQL took it away meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
