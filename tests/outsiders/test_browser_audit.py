"""Chromium, without JavaScript, in front of the auditor's page: search, look into an event, take its proof, check it."""

from typing import Any

import pytest

from keys.base.actor import Role
from keys.evidence.log import sequence_all
from keys.evidence.proofs import Proof
from tests.outsiders.test_browser import WAYS, Approver, City, add_person, city, cookies_of, examine, listen
from tests.pages_house import NUMBER, add_second_factor

__all__ = ["city"]  # the fixture of the other pages


async def auditor_cookies(city: City) -> list[Any]:
    account = await add_person(city.house, "auditor", "褚雨桐", roles=frozenset({Role.AUDITOR}))
    cookies = await cookies_of(city, account, Approver(account, await add_second_factor(city.house, account)))
    await sequence_all(city.house.database, city.house.keystore, city.house.clock)
    return cookies


async def test_an_auditor_searches_and_takes_a_proof_without_javascript(city: City) -> None:
    context = await city.open(javascript=False)
    await context.add_cookies(await auditor_cookies(city))
    page = await context.new_page()
    await page.goto("/account")
    await page.click("a.door[href='/audit']")
    await page.fill("[name=purpose]", "Complaint 17")
    await page.fill("[name=actor]", NUMBER)
    await page.click("#search button")
    assert await page.get_attribute(".error", "data-code") == "AUDIT_SEARCH_WRONG"
    assert NUMBER not in await page.content()
    await page.fill("[name=action]", "identity.login")
    await page.fill("[name=since]", "2026-01-01T00:00")
    await page.select_option("[name=outcome]", "done")
    await page.click("#search button")
    assert "Complaint 17" in await page.inner_text("main")
    await page.click(".events li:first-child summary")
    async with page.expect_download() as downloading:
        await page.click(".events li:first-child a[download]")
    download = await downloading.value
    event = await page.get_attribute(".events li:first-child", "data-event")
    assert download.suggested_filename == f"{event}.tlog-proof"
    proof = Proof.parse((await download.path()).read_text())
    proof.check(city.house.log_key)
    assert (event or "-").encode() in proof.body
    await page.click(".events li:first-child button[name=actor]")
    assert await page.locator(".events li").count() > 1
    await context.close()


@pytest.mark.timeout(300)
async def test_the_page_is_accessible_before_and_after_a_search(city: City) -> None:
    cookies, problems = await auditor_cookies(city), []
    for language, phone, dark in WAYS:
        where = f"[{language} {'phone' if phone else 'desktop'} {'dark' if dark else 'light'}]"
        context = await city.open(language=language, phone=phone, dark=dark)
        await context.add_cookies(cookies)
        page = await context.new_page()
        complaints = listen(page)
        problems += await examine(page, "/audit", where)
        await page.fill("[name=purpose]", "例行检查")
        await page.click("#search button")
        await page.click(".events li:first-child summary")
        problems += await examine(page, "", f"{where} found")
        problems += [f"{where} {text}" for text in complaints]
        await context.close()
    assert problems == []
