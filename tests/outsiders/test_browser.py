"""Chromium in front of a real server: single sign-on, consent under the content security policy, accessibility of every page."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api.demo.portals import register_portals
from api.sealing import sealing_of
from api.wiring import House
from certs.reads import get_certificate
from identity.clients import NewClient, create_client
from identity.people import Account
from keys.base.clock import SystemClock
from tests.conftest import require_command
from tests.outsiders.pages_examined import not_examined
from tests.pages_house import (
    NAME,
    NUMBER,
    PASSWORD,
    Approver,
    add_approver,
    add_person,
    furnish,
    make_app,
    open_test_house,
    send_approval,
)
from tests.sealing_staff import set_up

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
FINGER = 44
WAYS = (("zh-CN", False, False), ("en-GB", True, True))  # language, phone, dark: every one of either once; widths are measured in both


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def served(app: Any, port: int) -> AsyncIterator[str]:
    """The application on a loopback port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True)
class City:
    house: House
    address: str
    browser: Browser
    seals: dict[str, str]

    async def open(self, *, language: str = "en-GB", phone: bool = False, dark: bool = False, javascript: bool = True) -> BrowserContext:
        context = await self.browser.new_context(
            base_url=self.address,
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            locale=language,
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        context.set_default_timeout(120_000)
        return context


@pytest.fixture
async def city(database: Any, redis_url: str, keystore: Any, workers: Any, tmp_path: Path) -> AsyncIterator[City]:
    chromium = require_command("chromium", "chromium")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    async with open_test_house(database, redis_url, keystore, SystemClock(), workers, tmp_path, issuer) as house:
        seals = await furnish(house)
        await register_portals(database, house.clock, issuer)
        async with served(make_app(house), port), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            yield City(house, issuer, browser, seals)
            await browser.close()
            sealing_of(house).rebuilder.close()


def listen(page: Page) -> list[str]:
    """Everything the browser complains about: refused by policy, missing, thrown."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        expected = "Failed to load resource: the server responded with a status of 4"
        if message.type in {"error", "warning"} and not message.text.startswith(expected):
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


async def log_in(page: Page, account: Account) -> None:
    await page.fill("[name=username]", account.username)
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button")


async def test_log_in_at_one_portal_and_be_known_at_the_other(city: City) -> None:
    account = await add_person(city.house, "xiaoming")
    context = await city.open()
    page = await context.new_page()
    complaints = listen(page)
    await page.goto("/demo/water")
    await page.click("text=Log in with Fujie")
    await page.wait_for_url("**/login?next=*")
    assert "To continue to Demonstration Water Company." in await page.inner_text("main")
    await log_in(page, account)
    await page.wait_for_url("**/consent?next=*")
    await page.click("button[value=allow]")
    await page.wait_for_url("**/demo/water")
    assert f"Hello {NAME}, level 0" in await page.inner_text("h1")

    await page.goto("/demo/market")
    await page.click("text=Log in with Fujie")
    await page.wait_for_url("**/consent?next=*")
    assert await page.locator("[name=password]").count() == 0, "known: no second log-in"
    await page.click("button[value=allow]")
    await page.wait_for_url("**/demo/market")
    assert f"Hello {NAME}" in await page.inner_text("h1")

    await page.goto("/demo/water/login")
    await page.wait_for_url("**/demo/water")
    assert f"Hello {NAME}" in await page.inner_text("h1"), "consent is remembered: nothing is asked"

    await page.click("text=Log out")
    await page.wait_for_url("**/demo/water?state=*")
    assert "Welcome" in await page.inner_text("h1")
    await page.goto("/account")
    assert "/login" in page.url, "the session is over everywhere"
    assert complaints == []
    await context.close()


async def test_saying_no_goes_back_to_the_portal_with_nothing(city: City) -> None:
    account = await add_person(city.house, "xiaoming")
    context = await city.open(javascript=False)
    page = await context.new_page()
    await page.goto("/demo/water/login")
    await log_in(page, account)
    await page.click("button[value=deny]")
    await page.wait_for_url("**/demo/water")
    assert "Welcome" in await page.inner_text("h1")
    await context.close()


async def test_consent_leads_to_a_client_of_another_origin_and_the_policy_allows_that_origin_only(city: City) -> None:
    """Chromium enforces ``form-action`` on every redirect after a form post."""
    port = free_port()
    callback = f"http://127.0.0.1:{port}/callback"

    async def receive(request: Request) -> PlainTextResponse:
        return PlainTextResponse("code" if "code" in request.query_params else "no code")

    new = NewClient("外部门户", "Outside portal", "990100", redirect_uris=(callback,), public=True, client_id="outside")
    async with city.house.database.begin() as session:
        await create_client(session, city.house.clock.now(), new)
    account = await add_person(city.house, "xiaoming")
    ask = (
        f"/oauth/authorize?response_type=code&client_id=outside&redirect_uri={callback}&scope=openid&state=s"
        "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    )
    async with served(Starlette(routes=[Route("/callback", receive)]), port):
        context = await city.open()
        page = await context.new_page()
        complaints = listen(page)
        await page.goto(ask)
        await log_in(page, account)
        await page.wait_for_url("**/consent?next=*")
        response = await page.reload()
        assert response is not None
        assert "form-action 'self' http://127.0.0.1:*;" in response.headers["content-security-policy"]
        await page.click("button[value=allow]")
        await page.wait_for_url(f"{callback}?*")
        assert await page.inner_text("body") == "code"
        await page.goto(f"{city.address}/logout")
        await page.click("main button")
        await page.goto(f"{city.address}{ask}")
        await log_in(page, account)
        await page.wait_for_url(f"{callback}?*")
        assert await page.inner_text("body") == "code", "after the log-in straight to the client"
        assert complaints == []
        await context.close()


async def examine(page: Page, address: str, where: str, *, axe: bool = True) -> list[str]:
    """What is wrong with one page: axe's violations; in either size, a page wider than the window, a target too small for a finger.

    No address: the page as it stands, after a form was sent.
    """
    if address:
        await page.goto(address)
    results = await Axe().run(page, options={"resultTypes": ["violations"]}) if axe else None
    violations = results.response["violations"] if results else []
    found = [f"{where} {address}: axe {one['id']} {one['nodes'][0]['html'][:120]}" for one in violations]
    for size in (PHONE, DESKTOP) if page.viewport_size == DESKTOP else (DESKTOP, PHONE):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        found += await measure(page, f"{where} {size['width']} px {address}")
    return found


async def measure(page: Page, where: str) -> list[str]:
    """What is wrong with the page at the window's present size."""
    found = []
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{where}: wider than the window")
    small = await page.evaluate(
        """least => [...document.querySelectorAll("button, .button, nav a, .top a, input:not([type=hidden]):not([type=file]), select")]
            .filter(e => e.checkVisibility())
            .map(e => [e, e.matches("[type=checkbox], [type=radio]") && e.closest("label") || e])
            .filter(([, target]) => target.getBoundingClientRect().height < least).map(([e]) => e.outerHTML.slice(0, 90))""",
        FINGER,
    )
    return found + [f"{where}: too small for a finger: {html}" for html in small]


async def cookies_of(city: City, account: Account, approver: Approver | None = None) -> list[Any]:
    """The cookies of a browser in which the person is logged in."""
    context = await city.open()
    page = await context.new_page()
    await page.goto("/login")
    await log_in(page, account)
    if approver is not None:
        await page.fill("[name=otp]", approver.totp.at(city.house.clock.now()))
        await page.click("main button")
    await page.wait_for_url("**/account")
    cookies = await context.cookies()
    await context.close()
    return [one for one in cookies if one["name"] == "fujie_session"]


async def sealing_rounds(city: City) -> list[tuple[list[Any], list[str]]]:
    """The pages of keepers, approvers and clerks who have documents sealed."""
    desk = await set_up(city.house, city.seals)
    batch = f"/batches/{desk.batch.id}"
    return [
        (
            await cookies_of(city, desk.keeper.account, desk.keeper),
            ["/seals", "/seals/supervision", "/seals/apply", "/documents", "/documents/new", "/batches", "/batches/new", f"{batch}?live=1"],
        ),
        (await cookies_of(city, desk.approver.account, desk.approver), [f"/documents/{desk.waiting.id}", batch, f"{batch}/documents/0"]),
        (await cookies_of(city, desk.clerk.account, desk.clerk), ["/", f"/documents/{desk.at_window.id}"]),
    ]


@pytest.mark.timeout(600)
async def test_every_page_is_accessible_in_both_languages_schemes_and_sizes(city: City) -> None:
    """Zero axe violations, nothing wider than the window, nothing refused by the policy.

    Axe looks at each page one way or the other in turn, the rest is looked at both ways: axe takes most of the time.
    """
    issued = await send_approval(city.house, 0, unattended=True)
    person = {"name": NAME, "code": NUMBER, "code_type": "111"}
    natural = await send_approval(city.house, 2, unattended=True, holders=[person])
    waiting = await send_approval(city.house, 1)
    account = await add_person(city.house, "xiaoming")
    approver, refused = await add_approver(city.house, city.seals, 1), await add_approver(city.house, city.seals, 1, granted=False)
    codes = [issued.verification_code, natural.verification_code, "0000000000000000"]
    rounds: list[tuple[list[Any], list[str]]] = [
        ([], ["/", "/login", "/verify", "/verify?code=123", "/connect", "/logout", "/no/such/page", "/demo/water", "/demo/market"]),
        ([], ["/check", *(f"/v/{code}" for code in codes)]),
        (await cookies_of(city, account), ["/account", "/account?done=real-name", "/logout", "/approve", f"/wallet/{natural.id}/show"]),
        (await cookies_of(city, approver.account, approver), ["/approve", f"/approve/{waiting.id}", "/share"]),
        (await cookies_of(city, refused.account, refused), [f"/approve/{waiting.id}"]),
    ]
    sealing = await sealing_rounds(city)
    problems: list[str] = []
    for way, (language, phone, dark) in enumerate(WAYS):
        where = f"[{language} {'phone' if phone else 'desktop'} {'dark' if dark else 'light'}]"
        for cookies, addresses in [*rounds, *sealing]:
            context = await city.open(language=language, phone=phone, dark=dark)
            await context.add_cookies(cookies)
            page = await context.new_page()
            complaints = listen(page)
            for place, address in enumerate(addresses):
                problems += await examine(page, address, where, axe=(place + way) % len(WAYS) == 0)
            problems += [f"{where} {text}" for text in complaints]
            await context.close()
    assert problems == []
    assert not_examined("test_browser", [address for _, addresses in [*rounds, *sealing] for address in addresses]) == []


async def test_a_certificate_is_stamped_and_verified_in_the_browser(city: City, tmp_path: Path) -> None:
    """The approver presses the button; a stranger opens the QR code's page and gives it the file."""
    waiting = await send_approval(city.house)
    approver = await add_approver(city.house, city.seals)
    context = await city.open(language="zh-CN")
    await context.add_cookies(await cookies_of(city, approver.account, approver))
    page = await context.new_page()
    complaints = listen(page)
    await page.goto("/approve")
    await page.click("main .rows a")
    assert await page.locator(".paper img").evaluate("async img => { await img.decode(); return img.naturalWidth }") > 800
    await page.click("button.seal")
    await page.wait_for_selector("html[data-status=issued]")
    await page.click(f"a[href='/v/{waiting.verification_code}']")
    assert await page.get_attribute("html", "data-status") == "in_force"
    assert "记录真实，证照有效" in await page.inner_text("h1")
    async with city.house.database.session() as session:
        certificate = await get_certificate(session, waiting.id)
    assert certificate is not None
    file = tmp_path / "permit.pdf"
    file.write_bytes(await city.house.blobs.get(certificate.document_hash or b""))
    await page.set_input_files("input[type=file]", file)
    assert await page.inner_text(".drop .chosen") == "permit.pdf"
    await page.click("form[enctype] button:not([type=button])")
    assert await page.get_attribute("html", "data-indication") == "TOTAL_PASSED"
    assert "文件真实，未经改动" in await page.inner_text("h1")
    assert complaints == []
    await context.close()
