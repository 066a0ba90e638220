"""The catalogue in a browser without JavaScript: search, write, review by another with the differences in sight, publish, retire."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.wiring import House
from certs.catalogue import shipped_types
from certs.reads import put_types
from identity.organisations import Organisation, put_organisation
from keys.base.actor import Role
from tests.api.test_pages_seals import Member, member
from tests.certs.catalogue_people import CODE, HAWKER, HOUSING, MARKET
from tests.pages_house import browser, data_codes, field_value, make_app, open_test_house

FORM = {
    "code": CODE, "name_zh": "小餐饮经营登记卡", "name_en": "Small catering card", "holder_kind": "both", "most_holders": "2",
    "max_years": "3", "issued_here": "1", "issuers": MARKET, "seal_kind": "approval", "sharing": "conditional", "basis": "条例第八条",
    "offline_fields": "ZZBH KZ_JYZ", "f0_name": "经营者", "f0_short": "kz_jyz", "f0_kind": "text", "f0_mask": "name", "f0_mandatory": "1",
    "f0_longest": "100", "f1_name": "业态", "f1_short": "KZ_YT", "f1_kind": "choice", "f1_mask": "none", "f1_longest": "20",
    "f1_rule": "小餐饮、小作坊", "f2_name": "", "f2_short": "KZ_",
}  # fmt: skip


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with opened.database.begin() as session:
            await put_organisation(session, clock.now(), Organisation(MARKET, "示范市市场监督管理局", "990100", "authority"))
            await put_types(session, clock.now(), shipped_types())
        yield opened


async def step(who: Member, version: int, move: str, reason: str = "") -> tuple[int, list[str]]:
    path = f"/catalogue/{CODE}/{version}"
    digest = field_value(await who.get(path), "digest") or "00"
    answer = await who.client.post(path, data={"move": move, "digest": digest, "reason": reason})
    return answer.status_code, data_codes(answer.text) if answer.text else []


async def test_a_type_is_written_by_one_and_published_by_another(house: House) -> None:
    writer = await member(house, "writer1", Role.APPROVER, MARKET)
    reviewer = await member(house, "reviewer1", Role.SECURITY_ADMIN, HOUSING)
    wrong = await writer.client.post("/catalogue/new", data=FORM | {"max_years": "500", "f1_rule": ""})
    assert (wrong.status_code, data_codes(wrong.text)) == (422, ["CERTIFICATE_TYPE_MALFORMED"])
    assert {"fields.1.choices", "max_years", 'value="小餐饮经营登记卡"'} <= {
        one for one in ("fields.1.choices", "max_years", 'value="小餐饮经营登记卡"') if one in wrong.text
    }
    made = await writer.client.post("/catalogue/new", data=FORM)
    assert (made.status_code, made.headers.get("location")) == (303, f"/catalogue/{CODE}/1?done=1"), made.text
    edit = await writer.get(f"/catalogue/{CODE}/1/edit")
    assert 'value="小餐饮、小作坊"' in edit
    saved = await writer.client.post(
        f"/catalogue/{CODE}/1/edit", data=FORM | {"max_years": "2", "then": "more", "digest": field_value(edit, "digest") or ""}
    )
    assert saved.headers["location"] == f"/catalogue/{CODE}/1/edit"
    stale = await writer.client.post(f"/catalogue/{CODE}/1/edit", data=FORM | {"digest": field_value(edit, "digest") or ""})
    assert (stale.status_code, data_codes(stale.text)) == (409, ["CERTIFICATE_TYPE_CHANGED"])
    assert await step(writer, 1, "submit") == (303, [])
    assert 'value="publish"' not in await writer.get(f"/catalogue/{CODE}/1"), "who wrote is offered no review"
    assert (await step(writer, 1, "publish"))[1] == ["CATALOGUE_SAME_PERSON"]
    assert await step(reviewer, 1, "publish") == (303, [])
    assert (await writer.client.post(f"/catalogue/{CODE}/versions")).headers["location"] == f"/catalogue/{CODE}/2/edit"
    digest = field_value(await writer.get(f"/catalogue/{CODE}/2/edit"), "digest") or ""
    changed = FORM | {"name_zh": "小餐饮<b>登记", "f0_mask": "hidden", "digest": digest}
    assert (await writer.client.post(f"/catalogue/{CODE}/2/edit", data=changed)).status_code == 303
    assert (await step(writer, 2, "submit"))[0] == 303
    shown = await reviewer.get(f"/catalogue/{CODE}/2")
    assert "What it changes against version 1" in shown
    assert "<ins>小餐饮&lt;b&gt;登记</ins>" in shown
    assert "<del>小餐饮经营登记卡</del>" in shown
    assert "经营者 KZ_JYZ · Shown to strangers" in shown
    assert (await step(reviewer, 2, "send_back"))[1] == ["CATALOGUE_REASON_MISSING"]
    assert await step(reviewer, 2, "publish") == (303, [])
    assert await step(reviewer, 2, "retire", "改为备案") == (303, [])
    assert "改为备案" in await reviewer.get(f"/catalogue/{CODE}/2")


async def test_the_list_is_searched_and_downloaded_by_staff_only(house: House) -> None:
    admin = await member(house, "sysadmin1", Role.SYSTEM_ADMIN, MARKET, "zh")
    listed = await admin.get("/catalogue")
    assert f"{len(shipped_types())} 种证照" in listed
    found = await admin.get("/catalogue?q=排水&status=published")
    assert "城镇污水排入排水管网许可证" in found
    assert "食品经营许可证" not in found
    assert "没有符合全部条件" in await admin.get("/catalogue?q=%00&sharing=x&organisation=y")
    assert (await admin.client.get("/catalogue?cursor=zzz")).status_code == 422
    document = await admin.client.get(f"/catalogue/directory.csv?organisation={MARKET}")
    assert document.text.lstrip("\ufeff").splitlines()[1].startswith("食品经营许可证,11990100MB0000035A002,示范市市场监督管理局")
    copy = await admin.get(f"/catalogue/new?from={MARKET}002")
    assert 'value="KZ_JYZMC"' in copy
    assert (await admin.client.get("/catalogue/nowhere")).status_code == 404
    assert (await admin.client.get(f"/catalogue/{MARKET}002")).headers["location"] == f"/catalogue/{MARKET}002/1"
    citizen = await member(house, "citizen1", Role.LEGAL_REPRESENTATIVE, MARKET)
    assert data_codes((await citizen.client.get("/catalogue")).text)
    stranger = browser(make_app(house))
    assert (await stranger.get("/catalogue")).headers["location"].startswith("/login")
    foreign = await admin.client.post(f"/catalogue/{MARKET}002/versions", headers={"Origin": "https://elsewhere.example"})
    assert (foreign.status_code, data_codes(foreign.text)) == (403, ["ORIGIN_REFUSED"])
    assert HAWKER.name_zh not in listed
