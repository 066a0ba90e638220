"""Matters and their papers in a browser: kept by whose matter it is, asked at the window, seen by staff only."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.demo import city
from api.wiring import House
from certs.catalogue import shipped_types
from certs.reads import put_types
from identity.organisations import Organisation, put_organisation
from keys.base.actor import SYSTEM, Role
from seal.matters import Matter, put_matter
from tests.api.test_pages_seals import member
from tests.certs.catalogue_people import HOUSING, MARKET
from tests.pages_house import data_codes, open_test_house

FOOD = "000131015000"
LICENCE = "11100000MB0143028R001"
ROWS = {
    "p0_paper": "P01", "p0_name_zh": "营业执照<b>", "p0_name_en": "Business licence", "p0_mandatory": "1", "p0_types": LICENCE.lower(),
    "p0_enough": "data", "p0_basis": "条例第八条", "p1_paper": "P02", "p1_name_zh": "布局图", "p1_enough": "copy",
    "p2_paper": "", "p2_name_zh": "", "p2_enough": "data",
}  # fmt: skip


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with opened.database.begin() as session:
            await put_organisation(session, clock.now(), Organisation(MARKET, "示范市市场监督管理局", "990100", "authority"))
            await put_types(session, clock.now(), shipped_types())
            for row in city.matters():
                await put_matter(session, clock.now(), SYSTEM, Matter(row["matter_code"], row["name"], True, row["organisation"]))
        yield opened


async def test_the_list_is_kept_by_whose_matter_it_is(house: House) -> None:
    keeper = await member(house, "keeper1", Role.APPROVER, MARKET)
    stranger = await member(house, "stranger1", Role.APPROVER, HOUSING)
    path = f"/catalogue/matters/{FOOD}"
    assert 'name="p0_paper"' not in await stranger.get(path), "others see the list and are offered no form"
    refused = await stranger.client.post(path, data=ROWS)
    assert (refused.status_code, data_codes(refused.text)) == (403, ["CATALOGUE_FORBIDDEN"])
    wrong = await keeper.client.post(path, data=ROWS | {"p0_types": "11100000MB0143028R999", "p1_paper": "P01"})
    assert (wrong.status_code, data_codes(wrong.text)) == (422, ["MATTER_PAPER_MALFORMED"])
    assert "papers.0.types" in wrong.text
    assert 'value="布局图"' in wrong.text, "what was typed is shown again"
    assert (await keeper.client.post(path, data=ROWS | {"p0_enough": "guess"})).status_code == 422
    kept = await keeper.client.post(path, data=ROWS)
    assert (kept.status_code, kept.headers["location"]) == (303, f"{path}?done=1")
    shown = await stranger.get(path)
    assert "Business licence" in shown
    assert "营业执照<b>" not in shown
    assert "To be brought" in shown
    assert "1 of 2 papers answered" in await stranger.get("/catalogue/matters?q=食品")
    assert "No matter answers to this" in await stranger.get("/catalogue/matters?q=%00nothing&organisation=x")
    assert (await keeper.client.get("/catalogue/matters/nothing")).status_code == 404


async def test_a_window_asks_what_somebody_need_not_bring(house: House) -> None:
    keeper = await member(house, "keeper1", Role.APPROVER, MARKET)
    clerk = await member(house, "clerk1", Role.WINDOW_CLERK, MARKET)
    path = f"/catalogue/matters/{FOOD}"
    await keeper.client.post(path, data=ROWS)
    question = {"code_type": "001", "holder_code": "91990100MA0000H28K", "purpose": "办理食品经营许可"}
    answer = await clerk.client.post(f"{path}/available", data=question)
    assert answer.status_code == 200
    assert answer.text.count("To be brought.") == 2, "the library holds nothing of this company"
    assert "91990100MA0000H28K" not in answer.text
    for changed in ({"purpose": " "}, {"holder_code": "9199"}, {"code_type": "x"}):
        refused = await clerk.client.post(f"{path}/available", data=question | changed)
        assert refused.status_code in (400, 422), changed
        assert data_codes(refused.text)
    stranger = await member(house, "stranger1", Role.WINDOW_CLERK, HOUSING)
    assert (await stranger.client.post(f"{path}/available", data=question)).status_code == 404
    assert 'action="/catalogue/matters/000131015000/available"' not in await stranger.get(path)
    citizen = await member(house, "citizen1", Role.CITIZEN, None)  # type: ignore[arg-type]
    assert (await citizen.client.get(path)).status_code == 403
