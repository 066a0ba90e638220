"""``docs/seals.md``, "The first seal of a city": done as it stands there, against a service that is no demonstration."""

import asyncio
import csv
import datetime as dt
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest

from api.demo.browser import Browser
from tests.docs.test_operator_keys import BLOCK as KEY_BLOCK
from tests.docs.test_operator_keys import PAGE as KEYS
from tests.docs.test_operator_keys import SECTION, Operator, Person
from tests.forked import forked_command
from tests.portal import challenge_of, query_of
from tests.running import ROOT, City, free_port
from tests.seal import hostile_pdfs

PAGE = ROOT / "docs" / "seals.md"
BLOCK = re.compile(r"^```(sh|json)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CEREMONY = (1, 2)
APPROVER, KEEPER = "chen.jie", "zhao.min"
PLACE = {"kind": "point", "page": 1, "x_mm": 150, "y_mm": 240}
CALLS = 7


@dataclass
class Day:
    """Who logs in where, and what was answered so far. ``known``: what stands in braces on the page."""

    operator: Operator
    base_url: str
    known: dict[str, str]
    clients: list[dict[str, str]]
    tokens: dict[str, str] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    async def log_in(self, person: Person, stack: AsyncExitStack) -> None:
        browser = self.browsers[person.username] = await stack.enter_async_context(Browser(self.base_url))
        await browser.visit("/login")
        page = await browser.log_in(person.username, person.password, await asyncio.to_thread(person.codes.next))
        assert page.status_code == 200, page.text
        assert "/login" not in page.url.path, page.text

    async def token(self, person: Person) -> None:
        """A portal asks for a token that speaks for the person, who allows it."""
        client, verifier, browser = self.clients[1]["client_id"], secrets.token_urlsafe(32), self.browsers[person.username]
        back = f"{self.base_url}/desk"
        asked = {
            "response_type": "code", "client_id": client, "redirect_uri": back, "scope": "openid seals:manage", "state": "s", "nonce": "n",
            "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        page = await browser.visit(f"/oauth/authorize?{urlencode(asked)}")
        if page.url.path == "/consent":
            page = await browser.submit("/consent", decision="allow")
        code = query_of(str(page.url))["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier, "client_id": client}
        self.tokens[person.username] = (await self._post("/oauth/token", data=form)).json()["access_token"]

    async def system_token(self) -> dict[str, str]:
        client = self.clients[0]
        form = {"grant_type": "client_credentials", "scope": "documents:seal"}
        answer = await self._post("/oauth/token", data=form, auth=(quote(client["client_id"]), quote(client["client_secret"])))
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def call(self, title: str, body: str) -> None:
        """One request of the page; members of the answer are known from then on."""
        who, method, path = title.split()
        headers = {
            "Authorization": f"Bearer {self.tokens[who]}",
            "Idempotency-Key": secrets.token_hex(8),
            "Content-Type": "application/json",
        }
        answer = await self._send(method, self._filled(path), content=self._filled(body).encode(), headers=headers)
        said = answer.json()
        self.known |= {name: said[name] for name in ("id", "code") if isinstance(said.get(name), str) and path.startswith("/api/v1/seals")}

    def _filled(self, text: str) -> str:
        for name, value in self.known.items():
            text = text.replace("{" + name + "}", value)
        return text

    async def _post(self, path: str, **more: Any) -> httpx2.Response:
        return await self._send("POST", path, **more)

    async def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=self.base_url, trust_env=False, timeout=60) as http:
            answer = await http.request(method, path, **more)
        assert answer.status_code in (200, 201, 202), f"{method} {path}\n{answer.status_code} {answer.text}"
        return answer

    async def seal_a_document(self) -> bytes:
        """The system uploads and asks; the approver looks at the picture and seals."""
        token = await self.system_token()
        uploaded = (await self._post("/api/v1/seal-documents", content=hostile_pdfs.document(), headers=token)).json()["id"]
        one = {"seal": self.known["code"], "matter_code": "000117004000", "placements": [PLACE]}
        order = {"document_id": uploaded, "title": "排水许可", "seals": [one]}
        asked = (await self._post("/api/v1/seal-requests", json=order, headers=token | {"Idempotency-Key": "first"})).json()
        assert asked["status"] == "awaiting_approval"
        approver = self.browsers[APPROVER]
        page = await approver.visit(f"/documents/{asked['id']}")
        assert 'name="digest"' in page.text, page.text
        picture = await approver.visit(f"/documents/{asked['id']}/pages/1.png")
        assert picture.headers["content-type"] == "image/png"
        await approver.visit(f"/documents/{asked['id']}")
        page = await approver.submit(f"/documents/{asked['id']}")
        assert page.status_code == 200, page.text
        file = await self._send("GET", f"/api/v1/seal-requests/{asked['id']}/file", headers=token)
        return file.content


def blocks() -> Iterator[tuple[str, str, str]]:
    section = PAGE.read_text().split("## The first seal of a city")[1].split("\n## ")[0]
    for kind, title, text in BLOCK.findall(section):
        yield kind, title.strip(), text


def register(folder: Path) -> dict[str, str]:
    """The register's export: one row, of the approver."""
    with (ROOT / "api" / "demo" / "data" / "population.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return row


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "bin").mkdir()
    port = str(free_port())
    with forked_command(tmp_path / "bin"):
        yield Operator(tmp_path, "software", {"FUJIE_DEMO": "0", "FUJIE_PORT": port, "FUJIE_BASE_URL": f"http://127.0.0.1:{port}"})


@pytest.mark.timeout(400)
def test_a_city_seals_its_first_document(operator: Operator) -> None:
    row = register(operator.folder)
    for number in CEREMONY:
        for kind, title, text in KEY_BLOCK.findall(SECTION.split(KEYS.read_text())[number]):
            if "fujie audit" not in text:
                operator.follow(kind, title.strip(), text)
    city = City(operator.home, int(operator.more["FUJIE_PORT"]), more=operator.more)
    city.start()
    try:
        asyncio.run(the_day(operator, city.base_url, row))
    finally:
        assert city.stop() == 0


async def the_day(operator: Operator, base_url: str, row: dict[str, str]) -> None:
    waiting = list(blocks())
    await asyncio.to_thread(operator.follow, *waiting.pop(0))
    clients = [json.loads(one) for one in operator.said if '"client_id"' in one]
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    known = {"now": now.isoformat(), "next_year": (now + dt.timedelta(days=365)).isoformat()}
    day = Day(operator, base_url, known, clients)
    async with AsyncExitStack() as stack:
        for person in operator.people:
            if person.username != "li.na":
                await day.log_in(person, stack)
                if person.username != APPROVER:
                    await day.token(person)
        await day.browsers[APPROVER].visit("/account")
        page = await day.browsers[APPROVER].submit("/account/real-name", name=row["name"], code=row["id_number"], code_type="111")
        assert page.status_code == 200
        assert row["id_number"] not in page.text
        calls = 0
        while waiting and waiting[0][0] == "json":
            _, title, text = waiting.pop(0)
            await day.call(title, text)
            calls += 1
        assert calls == CALLS + 1
        operator.more["SEAL"] = day.known["code"]
        await asyncio.to_thread(operator.follow, *waiting.pop(0))
        assert "授权" in operator.said[-1] or "GRANTED" in operator.said[-1]
        (operator.folder / "sealed.pdf").write_bytes(await day.seal_a_document())
    operator.more["FUJIE_HOME"] = str(operator.home)
    await asyncio.to_thread(operator.follow, *waiting.pop(0))
    assert "TOTAL_PASSED" in operator.said[-2]
    assert '"000117004000"' in operator.said[-1]
    assert "127.0.0.1" in operator.said[-1]
    assert waiting == []
