"""Chromium and axe in front of pages that the demonstration has nothing to show on: another instance, a list to be disposed of."""

from typing import Any

import orjson
import pytest

from certs.federation import Level
from certs.federation_keys import Introduction, establish, own_card
from certs.federation_peers import Proposed, propose
from certs.library_models import DisposalItemRow, DisposalRow
from keys.base.actor import SYSTEM, Role
from keys.base.ids import new_id
from tests.certs.conftest import approvals
from tests.certs.instances import ANNE
from tests.outsiders.pages_examined import not_examined
from tests.outsiders.test_browser import WAYS, City, city, cookies_of, examine, listen
from tests.pages_house import send_approval
from tests.sealing_staff import add_staff

__all__ = ["city"]  # the fixture of the other pages
ISSUER = str(approvals()[0]["issuer"])


async def another_instance(city: City) -> str:
    """The page of an instance that was registered and waits for a second person."""
    house = city.house
    given = Introduction("示范市", ISSUER, ("990100",), "https://127.0.0.1:9443")
    await establish(house.database, house.keystore, house.clock, SYSTEM, given)
    async with house.database.session() as session:
        card = (await own_card(session)).to_json()
    theirs = card | {"instance": str(new_id()), "name": "示范省", "divisions": ["990000"]}
    peer = await propose(house.database, house.clock, ANNE, Proposed(orjson.dumps(theirs), Level.UPPER, "协议第 7 号"))
    return f"/federation/{peer.id}"


async def list_to_dispose_of(city: City) -> str:
    """The page of a list that somebody else proposed."""
    issued = await send_approval(city.house, 0, unattended=True)
    row = DisposalRow(
        id=new_id(), organisation=ISSUER, type_code=str(approvals()[0]["certificate_type"]), reason="保管期满", state="proposed",
        proposed_at=city.house.clock.now(), proposed_by={"kind": "person", "id": str(new_id()), "name": "审批员"}, decided_at=None,
        decided_by=None,
    )  # fmt: skip
    async with city.house.database.begin() as session:
        session.add(row)
        await session.flush()
        session.add(DisposalItemRow(disposal_id=row.id, certificate_id=issued.id, outcome=None, files=[], done_at=None))
    return f"/library/keeping/{row.id}"


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_another_instance_and_a_list_to_be_disposed_of_are_accessible(city: City) -> None:
    admin = await add_staff(city.house, "secadmin", "安全管理员", Role.SECURITY_ADMIN, ISSUER)
    approver = await add_staff(city.house, "approver", "审批员", Role.APPROVER, ISSUER)
    rounds: list[tuple[list[Any], str]] = [
        (await cookies_of(city, admin.account, admin), await another_instance(city)),
        (await cookies_of(city, approver.account, approver), await list_to_dispose_of(city)),
    ]
    problems: list[str] = []
    for language, phone, dark in WAYS:
        for cookies, address in rounds:
            context = await city.open(language=language, phone=phone, dark=dark)
            await context.add_cookies(cookies)
            page = await context.new_page()
            complaints = listen(page)
            problems += await examine(page, address, f"[{language}]")
            answer = await page.reload()
            assert answer is not None
            assert answer.status == 200, address
            problems += complaints
            await context.close()
    assert problems == []
    assert not_examined("test_browser_instances", [address for _, address in rounds]) == []
