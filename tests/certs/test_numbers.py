"""Numbers by the type's rule, none twice, gaps told; one valid certificate where the rule says so."""

import asyncio
from typing import Any

import pytest

from certs.approvals import HolderInput, Succession
from certs.awaiting import decline_awaiting
from certs.catalogue_access import CatalogueForbidden, CatalogueSecondFactorNeeded
from certs.catalogue_keeping import TypeUnknown
from certs.issuance import approve
from certs.issuing_keeping import drop_issuing_rule, issuing_rules, put_issuing_rule
from certs.issuing_rules import CertificateInForce, InForce, IssuingRule, NumberTaken
from certs.numbers import Gap, list_series, series_of
from certs.reads import get_certificate
from certs.standing import change_standing
from keys.base.actor import Role
from keys.base.errors import FujieError
from tests.certs.catalogue_people import COLLEAGUE, HOUSING, SYSADMIN, person
from tests.certs.conftest import ADMIN
from tests.certs.test_issuing import audit_trail

TYPE = f"{HOUSING}001"
PATTERN = "示排许字〔{year}〕第{serial:4}号"
OTHER = {"name": "示范市江畔餐饮管理有限公司", "code": "91990100MA1TEXT06T", "code_type": "001"}
KEEPER = person("keeper", Role.APPROVER, organisation=HOUSING)


async def put(city: Any, **members: Any) -> IssuingRule:
    rule = IssuingRule(TYPE, **({"pattern": PATTERN} | members))
    return await put_issuing_rule(city.issuing.database, city.issuing.clock, KEEPER, rule)


async def issue(city: Any, key: str, number: str = "", **changes: Any) -> str:
    outcome = await approve(city.issuing, city.client, city.approval(approval_number=number, **changes), key)
    async with city.issuing.database.session() as session:
        found = await get_certificate(session, outcome.id)
    assert found is not None
    return found.number


def other_holder() -> dict[str, Any]:
    fields = {
        "排水户名称": OTHER["name"], "法定代表人": "钱喆堃", "详细地址": "示范市示范区白鹤大街128号", "排水户类型": "一般",
        "列入重点排污单位名录": "否", "许可内容": "排水口 1 个",
    }  # fmt: skip
    return {"holders": [OTHER], "fields": fields}


async def test_numbers_are_made_by_the_rule_one_after_the_other_and_gaps_are_told(city: Any) -> None:
    await put(city)
    made = await asyncio.gather(*(issue(city, f"key-{n}") for n in range(3)))
    assert sorted(made) == [f"示排许字〔2026〕第000{n}号" for n in (1, 2, 3)]
    assert await issue(city, "own", "示排许字〔2026〕第0006号") == "示排许字〔2026〕第0006号", "a number of the department's own"
    assert await issue(city, "next") == "示排许字〔2026〕第0007号", "goes on after it"
    for key, number in (("again", "示排许字〔2026〕第0002号"), ("again", "示排许字〔2026〕第0006号")):
        with pytest.raises(NumberTaken):
            await issue(city, key, number)
    with pytest.raises(FujieError) as refusal:
        await issue(city, "wrong", "排水0001")
    assert (refusal.value.code, refusal.value.extra) == ("NUMBER_NOT_BY_RULE", {"pattern": PATTERN})
    waiting = await approve(city.issuing, city.attended, city.approval(approval_number=""), "waits")
    await decline_awaiting(city.issuing, city.approver(HOUSING), waiting.id, "材料不齐")
    async with city.issuing.database.session() as session:
        series = await series_of(session, TYPE, HOUSING, 2026)
        assert series is not None
        assert (series.last, series.used) == (8, 5)
        assert series.gaps == (Gap(4, 5), Gap(8, 8, waiting.id, "DECLINED_BY_APPROVER"))
        assert [(one.issuer, one.year, one.last) for one in await list_series(session, TYPE)] == [(HOUSING, 2026, 8)]
        assert await series_of(session, TYPE, HOUSING, 2025) is None
    assert await issue(city, "same-again", "示排许字〔2026〕第0008号") == "示排许字〔2026〕第0008号", (
        "a number that was sent back may come again"
    )


async def test_without_a_rule_a_number_belongs_to_one_holder(city: Any) -> None:
    number = await issue(city, "key-1", "示排许字〔2026〕第0001号")
    with pytest.raises(NumberTaken):
        await issue(city, "key-2", number, **other_holder())
    assert (await audit_trail(city.issuing.database, "certs.issue.approve"))[-1] == ("refused", "NUMBER_TAKEN")
    together = await asyncio.gather(
        issue(city, "key-3", "A1"), issue(city, "key-4", "A1", **other_holder()), return_exceptions=True
    )  # fmt: skip
    assert sorted(type(one).__name__ for one in together) == ["NumberTaken", "str"], "two at once: one of them"
    assert await issue(city, "key-5", number) == number, "the same holder's second approval under its number"
    await put(city, pattern="", unique_number=True)
    with pytest.raises(NumberTaken):
        await issue(city, "key-6", number)
    with pytest.raises(FujieError) as refusal:
        await issue(city, "key-7")
    assert refusal.value.code == "INVALID_INPUT"


async def test_one_valid_certificate_where_the_rule_says_so_and_a_successor_keeps_its_number(city: Any) -> None:
    await put(city, in_force=InForce.ONE)
    first = await approve(city.issuing, city.client, city.approval(approval_number=""), "first")
    for approval in (city.approval(approval_number=""), city.approval(approval_number="示排许字〔2026〕第0009号")):
        with pytest.raises(CertificateInForce) as refusal:
            await approve(city.issuing, city.client, approval, "second")
        assert refusal.value.extra == {"identifier": first.identifier}
    changed = city.approval(approval_number="", succeeds=Succession(first.id, "renew", "延续"))
    second = await approve(city.issuing, city.client, changed, "renewal")
    async with city.issuing.database.session() as session:
        found = await get_certificate(session, second.id)
        series = await series_of(session, TYPE, HOUSING, 2026)
    assert found is not None
    assert found.number == "示排许字〔2026〕第0001号"
    assert series is not None
    assert (series.last, series.gaps) == (1, ())
    await change_standing(city.issuing.database, city.issuing.clock, city.approver(HOUSING), second.id, "cancel", "歇业")
    assert await issue(city, "third") == "示排许字〔2026〕第0002号"
    holders = (HolderInput("卫思远", "990100195409041017", "111"),)
    pair = [approve(city.issuing, city.client, city.approval(2, approval_number=f"证{n}", holders=holders), f"p{n}") for n in range(2)]
    assert len(await asyncio.gather(*pair)) == 2, "another type has no such rule"


async def test_who_keeps_the_rules(city: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    for actor, refused in (
        (COLLEAGUE, CatalogueForbidden), (ADMIN, CatalogueForbidden),
        (person("one", Role.APPROVER, organisation=HOUSING, factors=1), CatalogueSecondFactorNeeded),
    ):  # fmt: skip
        with pytest.raises(refused):
            await put_issuing_rule(database, clock, actor, IssuingRule(TYPE, pattern=PATTERN))
    with pytest.raises(TypeUnknown):
        await put_issuing_rule(database, clock, SYSADMIN, IssuingRule("11990100MB0000035A999"))
    with pytest.raises(FujieError) as unknown:
        await put_issuing_rule(database, clock, SYSADMIN, IssuingRule(TYPE, "11990100MB0000099X"))
    assert unknown.value.code == "UNKNOWN_ISSUER"
    await put(city)
    await put_issuing_rule(database, clock, SYSADMIN, IssuingRule(TYPE, HOUSING, "{issuer}/{serial:3}", yearly=False))
    assert await issue(city, "own-rule") == f"{HOUSING}/001", "an issuer's own rule goes before the type's"
    await drop_issuing_rule(database, clock, SYSADMIN, TYPE, HOUSING)
    async with database.session() as session:
        assert [one.issuer for one in await issuing_rules(session, TYPE)] == [""]
    trail = await audit_trail(database, "certs.type.issuing_rule")
    assert [outcome for outcome, _ in trail] == ["refused"] * 5 + ["done"] * 3
