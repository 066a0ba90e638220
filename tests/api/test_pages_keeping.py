"""Keeping and disposing in a browser: one proposes, another agrees, a hold keeps, strangers see nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.wiring import House
from certs.retention import Rule, set_rule
from certs.standing import change_standing
from keys.base.actor import SYSTEM, Role
from tests.api.test_pages_seals import member
from tests.certs.conftest import APPROVALS_CLIENT, approval
from tests.furnished import Furnished, open_furnished
from tests.pages_house import data_codes, send_approval

ISSUER = "11990100MB00000435"
PAGE = "/library/keeping"


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


async def test_one_proposes_another_agrees_and_a_hold_keeps(house: House, clock: Any) -> None:
    kind, outcome = approval(0).certificate_type, await send_approval(house, 0, unattended=True)
    await change_standing(house.database, clock, APPROVALS_CLIENT, outcome.id, "revoke", "整改")
    clock.advance(days=2)
    first = await member(house, "first1", Role.APPROVER, ISSUER)
    assert "No type has a rule yet" in await first.get(PAGE)
    async with house.database.begin() as session:
        await set_rule(session, clock.now(), SYSTEM, Rule(kind, 0, "档案法第二十八条"))
    shown = await first.get(PAGE)
    assert "1 due" in shown
    assert "档案法第二十八条" in shown

    unknown = await first.client.post(f"{PAGE}/holds", data={"identifier": "1.2.3", "reason": "诉讼保全"})
    assert (unknown.status_code, data_codes(unknown.text)) == (404, ["NOT_FOUND"])
    held = await first.client.post(f"{PAGE}/holds", data={"identifier": outcome.identifier, "reason": "诉讼保全"})
    assert held.status_code == 303
    nothing = await first.client.post(PAGE, data={"type": kind, "reason": "保管期满"})
    assert (nothing.status_code, data_codes(nothing.text)) == (409, ["NOTHING_DUE"])
    assert "诉讼保全" in await first.get(PAGE)
    assert (await first.client.post(f"{PAGE}/holds/{outcome.id}/lift")).status_code == 303
    assert (await first.client.post(f"{PAGE}/holds/{outcome.id}/lift")).status_code == 404

    listed = await first.client.post(PAGE, data={"type": kind, "reason": "保管期满"})
    assert listed.status_code == 303, listed.text
    address = listed.headers["location"]
    alone = await first.client.post(address, data={"decision": "agree"})
    assert (alone.status_code, data_codes(alone.text)) == (403, ["DISPOSAL_NEEDS_TWO"])
    assert (await first.client.post(address, data={"decision": "perhaps"})).status_code == 404
    second = await member(house, "second1", Role.APPROVER, ISSUER, "zh")
    assert "同意并销毁" in await second.get(address)
    assert (await second.client.post(address, data={"decision": "agree"})).status_code == 303
    assert "已执行" in await second.get(address)
    assert 'data-status="disposed"' in (await first.client.get(f"/v/{outcome.verification_code}")).text

    for role, organisation in ((Role.APPROVER, "11990100MB0000035A"), (Role.WINDOW_CLERK, ISSUER)):
        stranger = await member(house, f"stranger{organisation[-2:].lower()}", role, organisation)
        assert (await stranger.client.get(address)).status_code in (403, 404)
        assert (await stranger.client.post(address, data={"decision": "agree"})).status_code in (403, 404)
