"""The record's page after each real change of status: the day, the reason, and nobody's name."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.wiring import House
from certs.approvals import Outcome, OutcomeStatus, Succession
from certs.glyphs import from_svg
from certs.issuance import approve
from certs.rare_characters import agree_substitute, supply_glyph
from certs.standing import change_standing
from keys.base.actor import SYSTEM
from tests.certs.conftest import APPROVALS_CLIENT, approval
from tests.furnished import Furnished, open_furnished
from tests.pages_house import browser, make_app, send_approval

CLIENT = APPROVALS_CLIENT
SQUARE = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="M10 10H90V90H10z M30 30V70H70V30z"/></svg>'
REASON = "法定代表人钱晓明以欺骗手段取得许可。"


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(make_app(house)) as opened:
        yield opened


async def told(client: httpx2.AsyncClient, code: str, language: str) -> tuple[str, str]:
    """The page's ``data-status`` and what stands under its headline, without markup."""
    page = (await client.get(f"/v/{code}?lang={language}")).text
    status = re.search(r'<html[^>]* data-status="([a-z_]+)"', page)
    story = re.search(r'<p class="story">(.*?)</p>', page, re.S)
    return (status.group(1) if status else ""), unescape(re.sub(r"<[^>]+>", "", story.group(1))) if story else ""


@pytest.mark.parametrize(
    ("move", "status", "english", "chinese"),
    [
        ("suspend", "suspended", "It has been suspended since 21 November 2026", "该证照自2026年11月21日起因“{}”暂停使用。"),
        (
            "revoke",
            "revoked",
            "It was valid until 21 November 2026; it was revoked on 21 November 2026",
            "该证照曾有效至2026年11月21日，2026年11月21日因“{}”被撤销。",
        ),
        (
            "cancel",
            "cancelled",
            "It was valid until 21 November 2026; it was cancelled on 21 November 2026",
            "该证照曾有效至2026年11月21日，2026年11月21日因“{}”被注销。",
        ),
    ],
)
async def test_a_change_of_status_is_told_with_its_day_and_reason(
    house: House, client: httpx2.AsyncClient, move: str, status: str, english: str, chinese: str
) -> None:
    issued = await send_approval(house, unattended=True)
    await change_standing(house.database, house.clock, CLIENT, issued.id, move, REASON)
    masked = "法定代表人钱**以欺骗手段取得许可"
    assert await told(client, issued.verification_code, "zh") == (status, chinese.format(masked))
    assert await told(client, issued.verification_code, "en") == (status, f"{english} because “{masked}”.")
    page = (await client.get(f"/v/{issued.verification_code}")).text
    assert "钱晓明" not in page, "a reason hides whom the record hides"
    assert '<span class="date">21 November 2026</span>' in page, "no date is broken across lines"


async def test_a_supplied_character_stands_in_the_public_picture_too(house: House, client: httpx2.AsyncClient) -> None:
    outlined, agreed = "\U000323af", "\ue000"
    issued = await send_approval(house, unattended=True, fields=approval().fields | {"许可内容": f"排水口 1 个，排入{outlined}{agreed}渠"})
    assert issued.status is OutcomeStatus.AWAITING_GLYPH
    await supply_glyph(house.issuing, SYSTEM, from_svg(outlined, SQUARE), SQUARE, "svg", "our own drawing")
    await agree_substitute(house.issuing, SYSTEM, issued.id, agreed, "（上明下土）", "agreed with the holder")
    assert (await told(client, issued.verification_code, "en"))[0] == "in_force"
    picture = await client.get(f"/v/{issued.verification_code}/picture.png")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")


async def test_what_is_resumed_is_in_force_and_has_no_story(house: House, client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    for move in ("suspend", "resume"):
        await change_standing(house.database, house.clock, CLIENT, issued.id, move, REASON)
    assert await told(client, issued.verification_code, "en") == ("in_force", "")


async def test_the_end_of_the_period_is_told_with_the_last_day(house: House, client: httpx2.AsyncClient, clock: Any) -> None:
    issued = await send_approval(house, unattended=True)
    clock.advance(days=2000)
    assert await told(client, issued.verification_code, "zh") == ("expired", "该证照曾有效，有效期至2031年11月20日。")
    assert await told(client, issued.verification_code, "en") == ("expired", "It was valid until 20 November 2031.")


async def test_what_has_a_successor_says_so_and_no_more(house: House, client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    successor = await _succeed(house, issued)
    assert await told(client, issued.verification_code, "zh") == ("superseded", "该证照曾有效，2026年11月21日已由新证替代。")
    assert (await told(client, issued.verification_code, "en"))[
        1
    ] == "It was valid once; on 21 November 2026 a newer certificate took its place."
    page = (await client.get(f"/v/{issued.verification_code}")).text
    assert successor.verification_code not in page, "whoever holds the old paper is not led to the new one"
    assert successor.identifier not in page
    assert (await told(client, successor.verification_code, "en"))[0] == "in_force"


async def _succeed(house: House, issued: Outcome) -> Outcome:
    succession = Succession(issued.id, "renew", "延续")
    renewal = approval(0, approval_number="RENEWAL-1", succeeds=succession)
    return await approve(house.issuing, CLIENT, renewal, "renewal")
