"""Chromium verifies offline codes by itself: first with the service running, then with the service gone."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright
from sqlalchemy import select

from api.app import create_app
from api.wiring import House
from certs.approvals import Outcome
from certs.code_keys import code_keys, signing_key
from certs.code_models import StatusEntryRow
from certs.offline_code import decode_offline, encode_offline
from certs.standing import change_standing
from keys.base.clock import SystemClock
from keys.custody.store import Purpose
from tests.certs.conftest import APPROVALS_CLIENT
from tests.conftest import require_command
from tests.outsiders.test_browser import FLAGS, free_port, listen, served
from tests.pages_house import furnish, open_test_house, send_approval

PHONE = {"width": 360, "height": 780}


@dataclasses.dataclass
class Service:
    """A service that can be cut off, two codes of certificates it issued, and a browser's context. ``second`` is of ``outcome``."""

    house: House
    outcome: Outcome
    text: str
    second: str
    context: BrowserContext
    cut: contextlib.AsyncExitStack

    async def other(self) -> str:
        """A genuine code of another certificate."""
        async with self.house.database.begin() as session:
            key = await signing_key(session, self.house.keystore, self.house.clock.now())
        code = dataclasses.replace(decode_offline(self.text).code, number="另一张-001", verification_code="0" * 16)
        return encode_offline(code, key.algorithm, key.kid, lambda message: self.house.keystore.sign(key.key, message, Purpose.CODES))


@pytest.fixture
async def service(database: Any, redis_url: str, keystore: Any, workers: Any, tmp_path: Path) -> AsyncIterator[Service]:
    chromium = require_command("chromium", "chromium")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with contextlib.AsyncExitStack() as stack:
        opened = open_test_house(database, redis_url, keystore, SystemClock(), workers, tmp_path, address)
        house = await stack.enter_async_context(opened)
        await furnish(house)
        outcomes = [await send_approval(house, number, unattended=True) for number in (0, 1)]
        async with database.session() as session:
            texts = {row.certificate_id: row.offline_text or "" for row in await session.scalars(select(StatusEntryRow))}
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        stack.push_async_callback(browser.close)
        context = await browser.new_context(base_url=address, viewport=PHONE, locale="en-GB")  # type: ignore[arg-type]
        cut = await stack.enter_async_context(contextlib.AsyncExitStack())
        await cut.enter_async_context(served(create_app(house), port))
        yield Service(house, outcomes[1], texts[outcomes[0].id], texts[outcomes[1].id], context, cut)


async def answer(page: Page, text: str, number: str = "") -> str:
    await page.fill("#code", text)
    await page.fill("#number", number)
    await page.evaluate("document.querySelector('.verdict').removeAttribute('data-answer')")
    await page.click("form button:not([type=button])")
    await page.wait_for_selector(".verdict[data-answer]")
    return await page.get_attribute(".verdict", "data-answer") or ""


async def test_codes_are_verified_with_the_service_gone(service: Service) -> None:
    await change_standing(service.house.database, service.house.clock, APPROVALS_CLIENT, service.outcome.id, "revoke", "核查")
    page = await service.context.new_page()
    complaints = listen(page)
    await page.goto("/verify/offline")
    await page.wait_for_selector("[data-offline][data-ready]")
    other = await service.other()
    await service.cut.aclose()

    await page.reload()
    await page.wait_for_selector(".kept[data-keys='1']")
    assert await answer(page, service.text) == "good"
    said = await page.inner_text(".verdict")
    assert "Genuine and in force" in said
    assert "0 min old" in said
    assert decode_offline(service.text).code.identifier in said
    code = decode_offline(service.text).code
    assert await answer(page, service.text, code.number) == "good"
    assert await answer(page, service.text, code.verification_code[:4] + "-" + code.verification_code[4:].lower()) == "good"
    assert await answer(page, other, code.number) == "bad"
    assert "another certificate" in await page.inner_text(".verdict")
    assert await answer(page, service.second) == "bad"
    assert "suspended, revoked or cancelled" in await page.inner_text(".verdict")
    changed = service.text[:-1] + ("A" if service.text[-1] != "A" else "B")
    assert await answer(page, changed) in {"bad", "unreadable"}
    middle = len(service.text) // 2
    assert await answer(page, service.text[:middle] + service.text[middle + 3 :]) in {"bad", "unreadable"}
    assert await answer(page, "https://id.example/v/0123456789ABCDEF") == "unreadable"
    unexpected = [one for one in complaints if "ERR_" not in one and "Failed to fetch" not in one]
    assert unexpected == []


async def test_expired_and_compromised_keys_are_refused_and_the_form_answers_without_scripts(service: Service) -> None:
    page = await service.context.new_page()
    await page.goto("/verify/offline")
    await page.wait_for_selector("[data-offline][data-ready]")
    async with service.house.database.session() as session:
        (key,) = await code_keys(session)
    for member, expected in (("good_until", "bad"), ("compromised_at", "bad"), (None, "good")):
        known = key.public.to_json() | ({member: "2020-01-01T00:00:00Z"} if member else {})
        found = await page.evaluate(
            """async ([text, key]) => {
                const module = await import(document.querySelector("[data-offline]").dataset.module);
                const known = await module.gather();
                return (await module.judge(text, "", { ...known, keys: [key] })).answer;
            }""",
            [service.text, known],
        )
        assert found == expected, member

    browser = service.context.browser
    assert browser is not None
    context = await browser.new_context(base_url=service.house.base_url, java_script_enabled=False, locale="en-GB")
    page = await context.new_page()
    await page.goto("/verify/offline")
    await page.fill("#code", service.text)
    await page.click("form button:not([type=button])")
    assert await page.get_attribute("html", "data-indication") == "TOTAL_PASSED"
    await page.goto("/verify/offline")
    await page.fill("#code", "nothing")
    await page.click("form button:not([type=button])")
    assert await page.get_attribute(".error", "data-code") == "OFFLINE_CODE_MALFORMED"
    await context.close()
