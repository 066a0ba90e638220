"""The room of seal keepers and reviewers: applying, two people reviewing, and the steps after, in a browser without JavaScript."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pyotp import TOTP

from api.wiring import House
from identity.organisations import Organisation, put_organisation
from identity.people import Account, NewAccount, create_account, set_identity
from keys.base.actor import Role
from keys.pki.authority import establish
from tests.pages_house import ISSUER, PASSWORD, add_second_factor, browser, data_codes, field_value, log_in_at, make_app, open_test_house

HOUSING = "11990100MB00000435"
CENTRE = "11990100MB0000019L"


@dataclass
class Member:
    """Somebody of the staff with a browser of their own."""

    account: Account
    client: httpx2.AsyncClient

    async def get(self, path: str) -> str:
        return (await self.client.get(path)).text

    async def step(self, seal: str, move: str, code: str, reason: str = "", **more: str) -> httpx2.Response:
        return await self.client.post(f"/seals/{seal}", data={"move": move, "reason_code": code, "reason": reason, **more})


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    await establish(database, keystore, clock, ISSUER)
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with opened.database.begin() as session:
            await put_organisation(session, clock.now(), Organisation(HOUSING, "示范市住房和城乡建设局", "990100", "authority"))
        yield opened


@pytest.fixture
def template(pki_template: str) -> str:
    return pki_template


async def member(house: House, name: str, role: Role, organisation: str, language: str = "en") -> Member:
    async with house.database.begin() as session:
        new = NewAccount(name, name, "990100", frozenset({role}), organisation)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
        await set_identity(session, house.clock.now(), account.id, name=name, level=2)
    totp: TOTP = await add_second_factor(house, account)
    client = browser(make_app(house), language)
    due = await log_in_at(client, name, "/seals")
    code = totp.at(house.clock.now())
    await client.post("/login", data={"otp": code, "next": field_value(due.text, "next") or ""})
    return Member(account, client)


async def applied(house: House, keeper: Member) -> str:
    form = {"name": "住建局合同专用章", "kind": "contract", "until": "2028-12-31", "reason": "新设"}
    answer = await keeper.client.post("/seals/apply", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/seals?done=applied"), answer.text
    listed = await keeper.get("/seals")
    found = re.search(r'href="/seals/([0-9a-f-]{36})"', listed)
    return found[1] if found else ""


async def test_from_the_application_to_its_cancellation(house: House) -> None:
    keeper = await member(house, "keeper1", Role.SEAL_KEEPER, HOUSING)
    first, second = [await member(house, name, Role.SECURITY_ADMIN, CENTRE) for name in ("reviewer1", "reviewer2")]
    seal = await applied(house, keeper)
    assert "住建局合同专用章" in await first.get("/seals")
    assert "What you can do" in await first.get(f"/seals/{seal}")
    assert (await first.step(seal, "review", "complies")).status_code == 303
    again = await first.step(seal, "review", "complies")
    assert (again.status_code, data_codes(again.text)) == (403, ["SEAL_REVIEWED_TWICE"])
    digest = "ab" * 32
    paper = {"document_kind": "review", "document_name": "审核意见.pdf", "document_sha256": digest}
    assert (await second.step(seal, "review", "other", "材料齐全", **paper)).status_code == 303
    for move in ("make", "file", "activate"):
        assert (await second.step(seal, move, "as_reviewed")).status_code == 303, move
    shown = await keeper.get(f"/seals/{seal}")
    assert "99010000000001" in shown
    assert digest in shown
    assert 'value="suspend"' in shown
    assert 'value="cancel"' not in shown, "which an administrator does"
    picture = await keeper.client.get(f"/seals/{seal}/picture.png")
    assert (picture.status_code, picture.content[:4]) == (200, b"\x89PNG")
    wrong = await keeper.step(seal, "suspend", "other", "")
    assert (wrong.status_code, data_codes(wrong.text)) == (422, ["SEAL_REASON_UNSUITABLE"])
    assert (await keeper.step(seal, "suspend", "keeper_absent", "<b>休假</b>")).status_code == 303
    assert "&lt;b&gt;休假" in await keeper.get(f"/seals/{seal}")
    refused = await keeper.step(seal, "cancel", "no_longer_needed", "x")
    assert (refused.status_code, data_codes(refused.text)) == (403, ["SEAL_MOVE_FORBIDDEN"])
    for move, code in (("cancel", "no_longer_needed"), ("file_cancellation", "filed")):
        assert (await second.step(seal, move, code)).status_code == 303
    assert "There is no step for you to take." in await second.get(f"/seals/{seal}")


async def test_keepers_read_notices_and_nobody_else_comes_in(house: House) -> None:
    keeper = await member(house, "keeper2", Role.SEAL_KEEPER, HOUSING, "zh")
    seal = await applied(house, keeper)
    listed = await keeper.get("/seals")
    assert "新通知" in listed
    number = field_value(listed, "up_to")
    assert (await keeper.client.post("/seals/notices", data={"up_to": number or ""})).status_code == 303
    assert "新通知" not in await keeper.get("/seals")
    other = await member(house, "keeper3", Role.SEAL_KEEPER, CENTRE)
    hidden = await other.client.get(f"/seals/{seal}")
    assert (hidden.status_code, data_codes(hidden.text)) == (404, ["SEAL_NOT_FOUND"])
    approver = await member(house, "approver1", Role.APPROVER, HOUSING)
    answer = await approver.client.get("/seals")
    assert (answer.status_code, data_codes(answer.text)) == (403, ["SEAL_STAFF_ONLY"])
    stranger = browser(make_app(house))
    assert (await stranger.get("/seals")).headers["location"].startswith("/login")
    foreign = await keeper.client.post(f"/seals/{seal}", data={"move": "suspend"}, headers={"Origin": "https://elsewhere.example"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("form", [{"name": "", "until": "2028-12-31"}, {"until": "yesterday"}, {"until": "2020-01-01"}, {"kind": "emblem"}])
async def test_an_application_that_is_wrong_is_shown_again(house: House, form: dict[str, str]) -> None:
    keeper = await member(house, "keeper4", Role.SEAL_KEEPER, HOUSING)
    answer = await keeper.client.post("/seals/apply", data={"name": "章", "kind": "contract", "until": "2028-12-31"} | form)
    assert (answer.status_code, data_codes(answer.text)) == (422, ["SEAL_ORDER_INVALID"])
