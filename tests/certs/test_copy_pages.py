"""Pages of annotated copies and of applications for access, over a house with three certificates."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.pages import error_page
from api.pages import routes as page_routes
from api.problems import HANDLERS
from api.wiring import House
from certs.copy_seals import grant_copies
from certs.reads import get_certificate
from identity.people import NewAccount, create_account
from keys.base.actor import SYSTEM, Role
from tests.pages_house import PASSWORD, add_second_factor, browser, data_codes, field_value, log_in_at, open_test_house

ISSUER, HOLDER, MARKET = "11990100MB00000435", "91990100MA1TEXT14M", "11990100MB0000035A"
SEWAGE = "11990100MB00000435001"

pytestmark = pytest.mark.timeout(400)  # the first test waits for the city and its certificates


@pytest.fixture
async def house(
    database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path, city: Any, stocked: Any, blobs: Any
) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with database.begin() as session:
            certificate: Any = await get_certificate(session, stocked.issued[0].id)
            await grant_copies(session, clock.now(), SYSTEM, certificate.seal_code, certificate.matter_code)
        yield opened


@pytest.fixture
def app(house: House) -> FastAPI:
    made = FastAPI(routes=[*page_routes], exception_handlers=HANDLERS)
    made.state.house, made.state.error_page = house, error_page
    return made


async def person(house: House, app: Any, username: str, role: Role, organisation: str, language: str = "en") -> httpx2.AsyncClient:
    """Somebody logged in with two factors."""
    async with house.database.begin() as session:
        new = NewAccount(username, username.title(), "990100", frozenset({role}), organisation)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
    code = await add_second_factor(house, account)
    client = browser(app, language)
    due = await log_in_at(client, username)
    if due.status_code != 303:
        form = {"otp": code.at(house.clock.now()), "next": field_value(due.text, "next") or ""}
        assert (await client.post("/login", data=form)).status_code == 303
    return client


async def test_a_holder_makes_hands_over_and_withdraws_a_copy(house: House, app: FastAPI, stocked: Any) -> None:
    address = f"/wallet/{stocked.issued[0].id}/copies"
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, HOLDER)
    page = await boss.get(address)
    assert "No copy was made of it yet." in page.text
    form = {"key": field_value(page.text, "key"), "recipient": "示范银行", "purpose": "贷款申请", "days": "30"}
    refused = await boss.post(address, data=form | {"purpose": " "})
    assert (refused.status_code, data_codes(refused.text)) == (400, ["PURPOSE_REQUIRED"])
    for _ in range(2):  # sent twice, it makes one
        assert (await boss.post(address, data=form)).status_code == 303
    page = await boss.get(address)
    (copy,) = set(re.findall(r"/copies/([0-9a-f-]{36})/file", page.text))
    (code,) = set(re.findall(r"/v/([0-9A-Z]{16})", page.text))
    assert "示范银行（持证主体本人提供）" in page.text
    file = await boss.post(f"/copies/{copy}/file")
    assert file.content.startswith(b"%PDF")
    record = await browser(app, "zh").get(f"/v/{code}")
    assert 'data-status="in_force"' in record.text
    assert "加注件真实有效" in record.text
    assert (await boss.post(f"/copies/{copy}/withdraw", data={"reason": "贷款已取消", "room": "wallet"})).status_code == 303
    record = await browser(app, "zh").get(f"/v/{code}")
    assert 'data-status="cancelled"' in record.text
    assert "贷款已取消" in record.text
    clerk = await person(house, app, "clerk", Role.WINDOW_CLERK, ISSUER)
    assert "贷款申请" in (await clerk.get(f"/library/{stocked.issued[0].id}/copies")).text
    stranger = await person(house, app, "stranger", Role.WINDOW_CLERK, MARKET)
    assert (await stranger.get(address)).status_code == 404
    assert (await stranger.post(f"/copies/{copy}/file")).status_code == 404
    assert (await browser(app).get("/copies")).status_code == 303


async def test_access_is_applied_for_by_one_and_opened_by_another(house: House, app: FastAPI) -> None:
    asker = await person(house, app, "asker", Role.APPROVER, MARKET)
    page = await asker.get("/access")
    form = {
        "key": field_value(page.text, "key"), "type": SEWAGE, "want_copy": "1", "matter": "", "purpose": "核对排水许可",
        "basis": "示范条例", "per_day": "5", "until": field_value(page.text, "until"),
    }  # fmt: skip
    refused = await asker.post("/access", data=form | {"basis": " "})
    assert (refused.status_code, data_codes(refused.text)) == (422, ["INVALID_INPUT"])
    assert (await asker.post("/access", data=form)).status_code == 303
    page = await asker.get("/access")
    assert "Waits for review" in page.text
    (application,) = set(re.findall(r'action="/access/([0-9a-f-]{36})"', page.text))
    own = await asker.post(f"/access/{application}", data={"move": "open"})
    assert (own.status_code, data_codes(own.text)) == (403, ["ACCESS_FORBIDDEN"])
    reviewer = await person(house, app, "reviewer", Role.APPROVER, ISSUER, "zh")
    waiting = await reviewer.get("/access")
    assert "核对排水许可" in waiting.text
    assert "2026年11月23日" in waiting.text  # asked for on a Saturday, due when Monday is over
    assert (await reviewer.post(f"/access/{application}", data={"move": "open"})).status_code == 303
    assert "Open" in (await asker.get("/access")).text
    assert (await browser(app).get("/access")).status_code == 303
