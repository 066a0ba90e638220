"""One licence that absorbs others: listed on it, predecessors cancelled with it as successor, claimed by their departments in time."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text

from certs import carrying
from certs.approvals import Absorption, Outcome, OutcomeStatus
from certs.catalogue_access import CatalogueForbidden
from certs.claiming import ItemClaimed, ItemNotFound, ItemState, claim_item, count_items, list_items, tell_overdue
from certs.issuance import approve, sweep
from certs.issuing_keeping import drop_merge_rule, merge_rules, put_merge_rule
from certs.lifecycle import Status
from certs.merging import MergeRule, absorbed_by
from certs.reads import get_certificate, history
from certs.standing import change_standing
from keys.base.actor import Role
from keys.base.errors import FujieError
from tests.certs.catalogue_people import HOUSING, MARKET, SYSADMIN, WRITER, person
from tests.certs.test_issuing import Plug, audit_trail, printed_text

LICENCE, SEWAGE, FOOD = "11100000MB0143028R001", f"{HOUSING}001", f"{MARKET}002"
FIELDS = {
    "名称": "示范市白鹤建材有限公司", "类型": "有限责任公司", "法定代表人": "钱晓明", "住所": "示范区白鹤大街128号",
    "经营范围": "建材销售",
}  # fmt: skip
BASIS = "示范市“多证合一”整合目录（2026 年）"
CLERK = person("clerk", Role.WINDOW_CLERK, organisation=HOUSING)


async def put(city: Any, absorbed: str = SEWAGE, department: str = "", days: int = 10) -> None:
    rule = MergeRule(LICENCE, absorbed, department, days, BASIS)
    await put_merge_rule(city.issuing.database, city.issuing.clock, SYSADMIN, rule)


def licence(city: Any, *absorbs: Absorption, **changes: Any) -> Any:
    asked = {
        "approval_number": "91990100MA1TEXT14M", "certificate_type": LICENCE, "fields": FIELDS, "valid_to": None, "absorbs": absorbs,
        "holders": city.approval(0).holders,
    }  # fmt: skip
    return city.approval(1, **(asked | changes))


async def sewage(city: Any, key: str = "sewage") -> Outcome:
    outcome: Outcome = await approve(city.issuing, city.client, city.approval(0), key)
    return outcome


async def standing_of(city: Any, certificate_id: uuid.UUID) -> tuple[Status, str | None]:
    async with city.issuing.database.session() as session:
        found = await get_certificate(session, certificate_id)
    assert found is not None
    return found.status, found.successor


async def test_a_licence_takes_up_another_and_the_department_claims_its_item(city: Any, clock: Any) -> None:
    issuing, before = city.issuing, await sewage(city)
    await put(city)
    await put(city, FOOD, MARKET, 3)
    outcome = await approve(issuing, city.client, licence(city, Absorption(SEWAGE, before.id), Absorption(FOOD)), "licence")
    line = "城镇污水排入排水管网许可证（示排许字〔2026〕第0001号）；食品经营许可证"
    async with issuing.database.session() as session:
        found = await get_certificate(session, outcome.id)
        moves = await history(session, before.id)
        assert await absorbed_by(session, outcome.id) == [
            (SEWAGE, "城镇污水排入排水管网许可证", before.identifier), (FOOD, "食品经营许可证", None),
        ]  # fmt: skip
    assert found is not None
    assert found.fields["合并事项"] == line
    assert found.document_hash is not None
    assert "".join(line.split()) in printed_text(await issuing.blobs.get(found.document_hash))
    assert await standing_of(city, before.id) == (Status.CANCELLED, outcome.identifier)
    assert (moves[-1].operation, moves[-1].reason_code) == ("05", "MERGED")
    (item,), more = await list_items(issuing.database, clock, CLERK)
    assert (more, item.state(item.due_on), item.absorbed, item.number) == (None, ItemState.OPEN, before.identifier, "91990100MA1TEXT14M")
    with pytest.raises(ItemNotFound):
        await claim_item(issuing.database, clock, WRITER, item.id)
    claimed = await claim_item(issuing.database, clock, CLERK, item.id, "已纳入日常监管")
    assert (claimed.claimed_by, claimed.note) == (CLERK.name, "已纳入日常监管")
    with pytest.raises(ItemClaimed):
        await claim_item(issuing.database, clock, CLERK, item.id)
    assert await audit_trail(issuing.database, "certs.merged.claim") == [
        ("refused", "MERGED_ITEM_NOT_FOUND"), ("done", None), ("refused", "MERGED_ITEM_CLAIMED"),
    ]  # fmt: skip
    clock.advance(days=3)
    assert await tell_overdue(issuing.database, clock) == 0, "its last day is not over"
    clock.advance(days=1)
    assert await tell_overdue(issuing.database, clock) == 1, "the food item, of three days"
    assert await tell_overdue(issuing.database, clock) == 0, "told once"
    (late,), _ = await list_items(issuing.database, clock, WRITER, ItemState.OVERDUE)
    async with issuing.database.session() as session:
        events = await session.execute(text("SELECT topic, organisations FROM certs.outbox WHERE topic LIKE 'merged_item.%' ORDER BY id"))
        assert sorted((topic, *told) for topic, told in events) == [
            ("merged_item.claimed", HOUSING), ("merged_item.open", MARKET), ("merged_item.open", HOUSING), ("merged_item.overdue", MARKET),
        ]  # fmt: skip
        assert (await count_items(session, MARKET, late.due_on))[ItemState.OPEN] == 1
    assert (await claim_item(issuing.database, clock, WRITER, late.id)).claimed_at == clock.now(), "late is better than never"


async def test_what_may_not_be_absorbed_is_refused_and_leaves_nothing(city: Any) -> None:
    before = await sewage(city)
    other = await approve(city.issuing, city.client, city.approval(1), "food")
    ask = licence(city, Absorption(SEWAGE, before.id))
    await refused(city, ask, "TYPE_NOT_ABSORBABLE", "absorbs.0")
    await put(city)
    for wrong in (uuid.uuid4(), other.id):
        await refused(city, licence(city, Absorption(SEWAGE, wrong)), "ABSORBED_UNFIT", "absorbs.0")
    await refused(city, licence(city, Absorption(SEWAGE)), "ABSORBED_UNFIT", "absorbs.0")
    stranger = licence(
        city, Absorption(SEWAGE, before.id), holders=city.approval(1).holders, fields=FIELDS | {"名称": "示范市江畔餐饮管理有限公司"}
    )
    await refused(city, stranger, "ABSORBED_UNFIT", "absorbs.0")
    await refused(city, licence(city, Absorption(SEWAGE, before.id), Absorption(SEWAGE, before.id)), "INVALID_INPUT", "absorbs")
    food = city.approval(1, absorbs=(Absorption(SEWAGE, before.id),))
    await refused(city, food, "TYPE_LISTS_NO_ITEMS", None)
    await change_standing(city.issuing.database, city.issuing.clock, city.approver(HOUSING), before.id, "revoke", "违法")
    await refused(city, ask, "ABSORBED_UNFIT", "absorbs.0")


async def refused(city: Any, approval: Any, code: str, field: str | None) -> None:
    with pytest.raises(FujieError) as refusal:
        await approve(city.issuing, city.client, approval, "refused")
    assert refusal.value.code == code
    errors = refusal.value.extra.get("errors", [{"field": None}])
    assert isinstance(errors, list)
    assert errors[0]["field"] == field


async def test_killed_in_the_middle_both_stand_or_both_have_changed(city: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise Plug

    before = await sewage(city)
    await put(city)
    with monkeypatch.context() as patch:
        patch.setattr(carrying, "record_issued", gone)
        with pytest.raises(Plug):
            await approve(city.issuing, city.client, licence(city, Absorption(SEWAGE, before.id)), "licence")
    assert await standing_of(city, before.id) == (Status.VALID, None)
    assert (await list_items(city.issuing.database, clock, CLERK))[0] == [], "nothing to claim yet"
    clock.advance(seconds=20)
    assert await sweep(city.issuing) == 1
    assert (await standing_of(city, before.id))[0] is Status.CANCELLED
    assert len((await list_items(city.issuing.database, clock, CLERK))[0]) == 1


async def test_a_predecessor_that_was_revoked_meanwhile_voids_the_licence(city: Any) -> None:
    before = await sewage(city)
    await put(city)
    parked = await approve(city.issuing, city.attended, licence(city, Absorption(SEWAGE, before.id)), "licence")
    assert parked.status is OutcomeStatus.AWAITING_STAMP
    await change_standing(city.issuing.database, city.issuing.clock, city.approver(HOUSING), before.id, "revoke", "违法")
    approver = city.approver(MARKET)
    with pytest.raises(FujieError) as refusal:
        await city.stamp(approver, parked.id, (await city.see(approver, parked.id)).document_hash)
    assert refusal.value.code == "MOVE_NOT_ALLOWED"
    async with city.issuing.database.session() as session:
        found = await get_certificate(session, parked.id)
    assert found is not None
    assert found.stage.value == "awaiting_stamp", "the approver sends it back"


async def test_merge_rules_are_the_citys(city: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    with pytest.raises(CatalogueForbidden):
        await put_merge_rule(database, clock, WRITER, MergeRule(LICENCE, SEWAGE, "", 10, BASIS))
    for rule, code in (
        (MergeRule(FOOD, SEWAGE, "", 10, BASIS), "TYPE_LISTS_NO_ITEMS"),
        (MergeRule(LICENCE, LICENCE, "", 10, BASIS), "MERGE_RULE_MALFORMED"),
        (MergeRule(LICENCE, SEWAGE, "", 0, ""), "MERGE_RULE_MALFORMED"),
        (MergeRule(LICENCE, "x", "", 1, BASIS), "CERTIFICATE_TYPE_UNKNOWN"),
        (MergeRule(LICENCE, SEWAGE, "11990100MB0000099X", 1, BASIS), "UNKNOWN_ISSUER"),
    ):  # fmt: skip
        with pytest.raises(FujieError) as refusal:
            await put_merge_rule(database, clock, SYSADMIN, rule)
        assert refusal.value.code == code
    await put(city)
    async with database.session() as session:
        assert await merge_rules(session, LICENCE) == [MergeRule(LICENCE, SEWAGE, "", 10, BASIS)]
    await drop_merge_rule(database, clock, SYSADMIN, LICENCE, SEWAGE)
    async with database.session() as session:
        assert await merge_rules(session, LICENCE) == []
