"""Issuing at a window, merged items, applications and numbers, as people see them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.wiring import House
from certs.applications import Application, apply_for
from certs.approvals import Absorption
from certs.issuance import approve
from certs.issuing_keeping import put_merge_rule
from certs.merging import MergeRule
from certs.windows import end_entrusting, entrust
from identity.people import NewAccount, create_account
from keys.base.actor import SYSTEM, Role
from keys.base.errors import NotFound
from tests.certs.catalogue_people import HOUSING, MARKET, SYSADMIN
from tests.certs.conftest import APPROVALS_CLIENT, ATTENDED_CLIENT, CITY, approval
from tests.furnished import Furnished, open_furnished
from tests.pages_house import (
    NUMBER,
    PASSWORD,
    add_approver,
    add_person,
    add_second_factor,
    browser,
    data_codes,
    field_value,
    log_in_at,
    make_app,
)

SEWAGE, FOOD, LICENCE = f"{HOUSING}001", f"{MARKET}002", "11100000MB0143028R001"
FIELDS = {
    "KZ_JYZMC": "示范市江畔餐饮管理有限公司", "KZ_FDDBRFZR": "钱喆堃", "KZ_ZS": "示范区临江街道1号", "KZ_JYCS": "示范区临江街道1号",
    "KZ_ZTYT": "餐饮服务经营者", "KZ_JYXM": "热食类食品制售", "KZ_RCJDGLJG": "示范分局",
}  # fmt: skip


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


async def log_in(house: House, client: httpx2.AsyncClient, name: str, role: Role, organisation: str) -> None:
    """Somebody of an organisation, with two factors."""
    async with house.database.begin() as session:
        account = await create_account(
            session, house.clock.now(), NewAccount(name, "窗口人员", "990100", frozenset({role}), organisation), PASSWORD
        )
    totp = await add_second_factor(house, account)
    due = await log_in_at(client, name)
    otp = totp.at(house.clock.now())
    assert (await client.post("/login", data={"otp": otp, "next": field_value(due.text, "next") or ""})).status_code == 303


def typed(seals: dict[str, str], **changes: str) -> dict[str, str]:
    return {
        "holders": "1", "holder_name_0": "示范市江畔餐饮管理有限公司", "holder_code_0": "91990100MA1TEXT06T", "holder_type_0": "001",
        "number": "JY299010200000000777", "valid_from": "2026-11-21", "valid_to": "2031-11-20", "matter": "000131015000",
        "seal": seals[MARKET], "key": "KEY1", "decision": "preview", **FIELDS, **changes,
    }  # fmt: skip


async def test_a_window_issues_for_those_that_entrusted_it(house: House, furnished: Furnished, client: httpx2.AsyncClient) -> None:
    await log_in(house, client, "clerk", Role.WINDOW_CLERK, CITY)
    address = f"/issue/{FOOD}"
    assert "within your reach" in (await client.get(address)).text
    refused = await client.post(address, data=typed(furnished.seals))
    assert (refused.status_code, "data:image" in refused.text) == (422, False), "a seal that was not offered"
    await entrust(house.database, house.clock, SYSTEM, CITY, MARKET)
    form = await client.get(address)
    assert ("Food business licence" in form.text, 'lang="zh-CN">食品经营许可证' in form.text) == (True, True)
    another = await client.post(address, data=typed(furnished.seals, decision="holder"))
    assert ('name="holder_code_1"' in another.text, 'value="91990100MA1TEXT06T"' in another.text) == (True, True)
    wrong = typed(furnished.seals, valid_to="x", holder_name_0="示范市江畔餐饮公司")
    assert "DATE_UNREADABLE" in (await client.post(address, data=wrong)).text
    wrong = typed(furnished.seals, valid_to="2020-01-01", holder_name_0="示范市江畔餐饮公司", KZ_ZTYT="")
    page = (await client.post(address, data=wrong)).text
    assert {"CHECKS_FAILED", "INVALID_INPUT", "HOLDER_NOT_FOUND"} <= set(data_codes(page))
    assert 'id="KZ_ZTYT-error"' in page
    assert "Name and number do not belong together." in page
    leaked = (await client.post(address, data=typed(furnished.seals, KZ_ZS=f"证号{NUMBER}"))).text
    assert (NUMBER in leaked, "CHECKS_FAILED" in leaked) == (False, True), "shown again nowhere but in its own field"
    preview = await client.post(address, data=typed(furnished.seals))
    assert (preview.status_code, "data:image/png" in preview.text) == (200, True)
    assert "img-src 'self' data:" in preview.headers["content-security-policy"]
    done = await client.post(address, data=typed(furnished.seals, decision="issue"))
    assert done.status_code == 303, done.text
    page = (await client.get(done.headers["location"])).text
    assert ('data-status="awaiting_stamp"' in page, "JY299010200000000777" in page) == (True, True)
    assert (await client.get(f"{done.headers['location']}/file")).status_code == 404, "nothing to print yet"
    assert "JY299010200000000777" in (await client.get("/issue?q=food")).text
    assert "没有符合条件的证照类型" in (await client.get("/issue?q=xyz&lang=zh")).text
    await end_entrusting(house.database, house.clock, SYSTEM, CITY, MARKET)
    with pytest.raises(NotFound):
        await end_entrusting(house.database, house.clock, SYSTEM, CITY, MARKET)
    assert (await client.post(address, data=typed(furnished.seals, decision="issue", key="KEY2"))).status_code == 422


async def test_whose_room_it_is(house: House, furnished: Furnished, client: httpx2.AsyncClient) -> None:
    assert (await client.get("/issue")).headers["location"].startswith("/login")
    await add_person(house, "citizen")
    await log_in_at(client, "citizen")
    for address in ("/issue", f"/issue/{FOOD}", "/merged", "/applications"):
        refused = await client.get(address)
        assert (refused.status_code, "WINDOW_STAFF_ONLY" in refused.text) == (403, True)
    assert (await client.get(f"/numbers/{FOOD}")).status_code == 403


async def test_a_department_claims_what_a_licence_took_up(
    house: House, furnished: Furnished, client: httpx2.AsyncClient, clock: Any
) -> None:
    before = await approve(house.issuing, APPROVALS_CLIENT, approval(0), "sewage")
    await put_merge_rule(house.database, clock, SYSADMIN, MergeRule(LICENCE, SEWAGE, "", 5, "整合目录"))
    fields = {"名称": "示范市白鹤建材有限公司", "类型": "有限公司", "法定代表人": "钱晓明", "住所": "白鹤大街1号", "经营范围": "建材"}
    licence = approval(
        1, certificate_type=LICENCE, approval_number="91990100MA1TEXT14M", fields=fields, valid_to=None, holders=approval(0).holders,
        absorbs=(Absorption(SEWAGE, before.id),),
    )  # fmt: skip
    await approve(house.issuing, APPROVALS_CLIENT, licence, "licence")
    await (await add_approver(house, furnished.seals, 0)).log_in(house, client)
    page = (await client.get("/merged")).text
    assert ("城镇污水排入排水管网许可证" in page, before.identifier in page, "November 2026" in page) == (True, True, True)
    item = page.partition('action="/merged/')[2].partition('"')[0]
    refused = await client.post(f"/merged/{item}", data={"note": f"找{NUMBER}"})
    assert (refused.status_code, data_codes(refused.text), NUMBER in refused.text) == (422, ["INVALID_INPUT"], False)
    claimed = await client.post(f"/merged/{item}", data={"note": "已接收"})
    assert (claimed.status_code, claimed.headers["location"]) == (303, "/merged?state=claimed")
    again = await client.post(f"/merged/{item}", data={})
    assert (again.status_code, (await client.get("/merged")).text.count("Claim it")) == (409, 0)
    assert "已接收" in (await client.get("/merged?state=claimed")).text


async def test_applications_and_how_each_certificate_stands(house: House, furnished: Furnished, client: httpx2.AsyncClient) -> None:
    asked = Application("一件事0001", "开餐饮店一件事", (approval(0), approval(1)))
    await apply_for(house.issuing, ATTENDED_CLIENT, asked, "one")
    await log_in(house, client, "clerk", Role.WINDOW_CLERK, CITY)
    page = (await client.get("/applications")).text
    assert ("开餐饮店一件事" in page, page.count("Waiting for the seal")) == (True, 2)
    assert "一件事办理" in (await client.get("/applications?lang=zh&before=x")).text


async def test_numbers_and_their_gaps_have_a_page(house: House, furnished: Furnished, client: httpx2.AsyncClient) -> None:
    await (await add_approver(house, furnished.seals, 0)).log_in(house, client)
    address = f"/numbers/{SEWAGE}"
    assert "No rule: departments give the numbers" in (await client.get(address)).text
    wrong = await client.post(address, data={"pattern": "{serial:4}", "yearly": "1"})
    assert (wrong.status_code, data_codes(wrong.text)) == (422, ["ISSUING_RULE_MALFORMED"])
    kept = await client.post(address, data={"pattern": "排{year}-{serial:3}", "yearly": "1", "in_force": "any"})
    assert (kept.status_code, kept.headers["location"]) == (303, f"{address}?done=1")
    await approve(house.issuing, APPROVALS_CLIENT, approval(0, approval_number="排2026-003"), "three")
    page = (await client.get(f"{address}?done=1")).text
    assert ("排{year}-{serial:3}" in page, "1–2" in page, "Kept." in page) == (True, True, True)
    foreign = await client.post(f"/numbers/{FOOD}", data={"pattern": "排{year}-{serial:3}", "yearly": "1"})
    assert (foreign.status_code, "CATALOGUE_FORBIDDEN" in foreign.text) == (403, True)
