"""Chromium and axe in front of every page that the running city shows its people: each page one way, in either width."""

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, Page, async_playwright

from api.demo import city as demonstration
from tests.conftest import require_command
from tests.demo_people import browser, log_in
from tests.journeys.test_issuing_journeys import FOOD, SEAL, option, typed
from tests.outsiders.pages_examined import EXAMINED, NO_PAGE, not_examined, pages
from tests.outsiders.test_browser import DESKTOP, FLAGS, PHONE, WAYS, examine, listen
from tests.pages_house import field_value
from tests.running import City

MATTER, LICENCE, OWNED = "000131015000", "11100000MB0143028R001", "11100000MB03271699022"
CITIZEN_NUMBER = "990100195409041017"
UNMEANT = re.compile(r"<(?:built-in|bound|function|object)[^>]*>|\bNone\b|\bUndefined\b|%\(\w+\)s")
"""What a template writes where a name is not what it was taken for."""


def test_every_page_is_examined_or_is_said_to_be_none() -> None:
    """A page that is added is added to the examination as well."""
    known = frozenset().union(*EXAMINED.values()) | frozenset(NO_PAGE)
    assert sorted(pages() - known) == [], "examine it, and say where in tests/outsiders/pages_examined.py"
    assert sorted(known - pages()) == [], "is gone"


@dataclass
class Visit:
    """Pages looked at in turn: in Chinese on a light desktop, in English on a dark phone."""

    city: City
    chromium: Browser
    ways: Any = field(default_factory=lambda: cycle(WAYS))
    seen: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def at(self, client: httpx2.AsyncClient | None, *addresses: str) -> None:
        """What one person's pages are like."""
        for address in addresses:
            await self._look(client, address, "")

    async def after(self, client: httpx2.AsyncClient, address: str, form: str, **typed_in: str) -> None:
        """What a page is like that answers a form. ``form``: its selector."""
        await self._look(client, address, form, typed_in)

    async def _look(self, client: httpx2.AsyncClient | None, address: str, form: str, typed_in: dict[str, str] | None = None) -> None:
        language, phone, dark = next(self.ways)
        context = await self.chromium.new_context(
            base_url=self.city.base_url, viewport=PHONE if phone else DESKTOP, locale=language,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(60_000)
        kept = client.cookies.jar if client is not None else ()
        await context.add_cookies([{"name": one.name, "value": one.value or "", "url": self.city.base_url} for one in kept])
        page = await context.new_page()
        complaints, where = listen(page), f"[{language} {'phone' if phone else 'desktop'}]"
        await page.goto(address)
        if form:
            await self._send(page, form, typed_in or {})
            where += f" after {form} of {address}"
        else:
            self.seen.append(address)
        found = await examine(page, "", f"{where} {address}")
        assert page.url.partition("/login")[1] == "" or address.startswith("/login"), f"{address} asks to log in"
        found += [f"{where} {address}: {one}" for one in UNMEANT.findall(await page.inner_text("body"))]
        self.problems += [*found, *(f"{where} {address}: {text}" for text in complaints)]
        await context.close()

    @staticmethod
    async def _send(page: Page, form: str, typed_in: dict[str, str]) -> None:
        for name, value in typed_in.items():
            part = page.locator(f"{form} [name={name}]").first
            if await part.evaluate("one => one.tagName") == "SELECT":
                await part.select_option(value)
            else:
                await part.fill(value)
        async with page.expect_navigation():
            await page.locator(f"{form} button:not([type=button])").first.click()


@pytest.fixture
async def visit(city: City) -> AsyncIterator[Visit]:
    chromium = require_command("chromium", "chromium")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield Visit(city, opened)
        await opened.close()


def first(pattern: str, html: str) -> str:
    found = re.search(pattern, html)
    assert found, pattern
    return found[1]


async def posted(client: httpx2.AsyncClient, address: str, **form: str) -> str:
    """Where a form leads."""
    answer = await client.post(address, data=form)
    assert answer.status_code == 303, (address, answer.status_code, re.findall(r'data-code="[A-Z_]+"', answer.text))
    return str(answer.headers["location"])


async def anybody(visit: Visit, city: City) -> None:
    await visit.at(None, "/verify/offline", "/verify/embed", "/verify/statistics")
    async with browser(city) as nobody:
        await visit.after(
            nobody, "/verify", "form[action='/verify/number']", number="JY29901020000000001", detail="示范市江畔餐饮管理有限公司"
        )


async def holders(visit: Visit, city: City) -> tuple[str, str]:
    """A citizen's wallet, what is shown at a counter; the address of a request to agree to, as both sides see it."""
    async with browser(city) as citizen, browser(city) as agent, browser(city) as approver:
        await log_in(city, citizen, "citizen")
        await log_in(city, agent, "agent")
        await log_in(city, approver, "approver")
        mine = first(r'href="(/wallet/[0-9a-f-]{36})"', (await citizen.get("/wallet")).text)
        desk = await posted(
            approver,
            "/share/ask",
            matter=MATTER,
            type=OWNED,
            want="record",
            purpose="受理食品经营许可",
            holder_code=CITIZEN_NUMBER,
            code_type="111",
        )
        asked = f"/share-requests/{desk.rpartition('/')[2]}"
        showing = await posted(citizen, f"{mine}/show", purpose="identity")
        shown = first(r'class="code spoken">([0-9A-Z-]{19})<', (await citizen.get(showing)).text)
        await visit.at(citizen, "/wallet", mine, f"{mine}/copies", asked, showing)
        await visit.at(approver, desk, "/s/" + shown.replace("-", ""))
        await visit.at(agent, first(r"(/consent\?[^\"]+)", (await _asked_for_consent(agent))))
        await posted(citizen, asked, decision="deny")
    return mine, desk


async def _asked_for_consent(client: httpx2.AsyncClient) -> str:
    """Where a portal's log-in leads somebody who has not agreed yet."""
    answer = await client.get("/demo/market/login")
    while "location" in answer.headers and "/consent" not in answer.headers["location"]:
        answer = await client.get(answer.headers["location"])
    return f'"{answer.headers["location"]}"'


async def approvers(visit: Visit, city: City) -> None:
    """What the approver of a department has."""
    async with browser(city) as approver:
        await log_in(city, approver, "approver")
        held = first(r'href="(/library/[0-9a-f-]{36})"', (await approver.get("/library")).text)
        name = f"{uuid.uuid4().int % 1000:03}"
        draft = await posted(approver, "/catalogue/new", **new_type(name))
        job = await posted(
            approver, "/library/moves", choice="suspend:", reason="演练", names=held.rpartition("/")[2], dry="1", key=uuid.uuid4().hex
        )
        odd = f"{name},示范市江畔餐饮管理有限公司,91990100MA1TEXT06X,001,2030-01-01,2020-01-01,x"
        rows = f"ZZBH,CYZTMC,CYZTDM,CYZTDMLX,YXQKSRQ,YXQJZRQ,ZZBFJGMC\n{odd}\n"
        answer = await approver.post(
            "/imports", data={"type": FOOD, "grade": "B", "dry_run": "1"}, files={"file": ("stock.csv", rows.encode(), "text/csv")}
        )
        asked = {"key": uuid.uuid4().hex, "client": "approvals"}
        many = await approver.post("/bulk", data=asked, files={"file": ("many.csv", b"approval_number,issuer\nx,y\n", "text/csv")})
        await visit.at(approver, "/bulk", many.headers["location"])
        await visit.at(approver, "/imports", answer.headers["location"], "/library/moves", job, "/library/keeping", "/library/document")
        await visit.at(approver, "/library", held, f"{held}/life", f"{held}/copies", "/merged", "/access", f"/numbers/{FOOD}")
        await visit.at(approver, "/catalogue", "/catalogue/new", draft.partition("?")[0], f"{draft.partition('?')[0]}/edit")
        await visit.at(approver, "/catalogue/templates", "/catalogue/matters", f"/catalogue/matters/{MATTER}")
        about = {"matter": MATTER, "purpose": "受理食品经营许可", "holder_code": CITIZEN_NUMBER, "code_type": "111"}
        await visit.after(approver, "/share", "form[action='/share']", **about)
        await visit.after(approver, "/library", "form[action='/library']", text="许可证", purpose="核对")
        await visit.after(approver, "/catalogue/templates?from=general_portrait", "form[action='/catalogue/templates']")


def new_type(name: str) -> dict[str, str]:
    """A draft of a type as it is typed."""
    return {
        "code": f"{demonstration.MARKET_BUREAU}{name}", "name_zh": f"小餐饮经营登记卡{name}", "name_en": "Small catering card",
        "holder_kind": "both", "most_holders": "2", "max_years": "3", "issued_here": "1", "issuers": demonstration.MARKET_BUREAU,
        "seal_kind": "approval", "sharing": "conditional", "basis": "条例第八条", "offline_fields": "ZZBH KZ_JYZ", "f0_name": "经营者",
        "f0_short": "KZ_JYZ", "f0_kind": "text", "f0_mask": "name", "f0_mandatory": "1", "f0_longest": "100",
    }  # fmt: skip


async def clerks(visit: Visit, city: City) -> None:
    """What is at the window."""
    async with browser(city) as clerk:
        await log_in(city, clerk, "window_clerk")
        address, number = f"/issue/{FOOD}", f"JY2990103{uuid.uuid4().int % 10**9:09}"
        form = (await clerk.get(address)).text
        asked = typed(number, seal=option(form, SEAL), key=field_value(form, "key") or "")
        done = await posted(clerk, address, **asked, decision="issue")
        await visit.at(clerk, "/issue", address, done, "/applications", "/copies")
        await visit.after(clerk, address, f"form[action='{address}']")


async def administrators(visit: Visit, city: City) -> None:
    """Connections, other instances, seals."""
    async with browser(city) as system, browser(city) as security, browser(city) as keeper:
        await log_in(city, system, "system_admin")
        await log_in(city, security, "security_admin")
        await log_in(city, keeper, "seal_keeper")
        before = set(re.findall(r'href="(/connections/[0-9a-f-]{36})"', (await system.get("/connections")).text))
        made = await system.post(
            "/connections", data={"name": "监管平台", "url": f"{city.base_url}/nothing", "topic": "certificate.issued"}
        )
        assert made.status_code == 200, re.findall(r'data-code="[A-Z_]+"', made.text)
        own = set(re.findall(r'href="(/connections/[0-9a-f-]{36})"', (await system.get("/connections")).text)) - before
        await visit.at(system, "/connections", *own)
        for one in own:
            await posted(system, one, do="ended")
        await visit.at(security, "/federation")
        await visit.at(keeper, first(r'href="(/seals/[0-9a-f-]{36})"', (await keeper.get("/seals")).text))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_every_page_of_the_running_city_is_accessible(visit: Visit, city: City) -> None:
    await anybody(visit, city)
    await holders(visit, city)
    await approvers(visit, city)
    await clerks(visit, city)
    await administrators(visit, city)
    assert visit.problems == []
    assert not_examined("test_browser_pages", visit.seen) == []
