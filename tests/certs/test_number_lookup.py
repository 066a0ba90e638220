"""By number and holder's detail: what is found, and that everything else is one answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api import even_answers, number_check
from api.app import create_app
from certs.issuance import approve
from certs.standing import change_standing
from tests.certs.conftest import City
from tests.pages_house import open_test_house

PATH = "/api/v1/verify/number"


@dataclass
class Desk:
    """A service, the number of a certificate of a company and of a person's, and their holders."""

    client: httpx2.AsyncClient
    city: City
    issued: Any
    number: str
    holder: Any

    async def ask(self, number: str, detail: str) -> httpx2.Response:
        return await self.client.post(PATH, json={"number": number, "detail": detail})


@pytest.fixture
async def desk(
    city: City, redis_url: str, workers: Any, keystore: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setattr(even_answers, "FLOOR", 0.0)
    database = city.issuing.database
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        approval = next(one for one in map(city.approval, range(3)) if one.holders[0].code_type == "111")
        outcome = await approve(city.issuing, city.client, approval, "key-1")
        transport = httpx2.ASGITransport(create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=house.base_url) as client:
            yield Desk(client, city, outcome, approval.approval_number, approval.holders[0])


async def test_the_holders_name_or_number_finds_the_masked_record(desk: Desk) -> None:
    for detail in (desk.holder.name, f" {desk.holder.name} ", desk.holder.code, desk.holder.code.lower()):
        answer = await desk.ask(desk.number, detail)
        assert answer.status_code == 200, detail
        assert answer.json()["certificate"]["identifier"] == desk.issued.identifier
        assert desk.holder.code not in answer.text
        assert f'"{desk.holder.name}"' not in answer.text


async def test_unknown_forbidden_and_wrong_are_one_answer(desk: Desk) -> None:
    waiting = await approve(desk.city.issuing, desk.city.attended, desk.city.approval(0, approval_number="未盖章-001"), "key-2")
    assert waiting.status.value == "awaiting_stamp"
    asked = [
        ("没有此号-001", desk.holder.name),
        (desk.number, "别人"),
        (desk.number, desk.holder.code[:-1]),
        (desk.number[:-1], desk.holder.name),
        ("未盖章-001", desk.city.approval(0).holders[0].name),
        (desk.number, "%"),
    ]
    answers = [await desk.ask(*one) for one in asked]
    assert {one.status_code for one in answers} == {404}
    assert len({one.text.replace(one.json().get("instance", ""), "") for one in answers}) == 1
    assert answers[0].json()["code"] == "NO_SUCH_HOLDING"


async def test_the_page_shows_the_record_without_its_code(desk: Desk) -> None:
    answer = await desk.client.post("/verify/number?lang=en", data={"number": desk.number, "detail": desk.holder.name})
    assert answer.status_code == 200
    assert 'data-status="in_force"' in answer.text
    assert desk.issued.identifier in answer.text
    assert desk.issued.verification_code not in answer.text.replace("-", "")
    wrong = await desk.client.post("/verify/number?lang=zh", data={"number": desk.number, "detail": "别人"})
    assert wrong.status_code == 404
    assert "没有找到与该编号和持证人信息相符的证照" in wrong.text


async def test_a_revoked_certificate_is_told_as_such(desk: Desk, clock: Any) -> None:
    await change_standing(desk.city.issuing.database, clock, desk.city.client, desk.issued.id, "revoke", "核查")
    assert (await desk.ask(desk.number, desk.holder.name)).json()["status"] == "revoked"


async def test_questions_are_counted_by_number_and_by_address(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_check, "MOST_BY_NUMBER", 2)
    monkeypatch.setattr(number_check, "MOST_BY_ADDRESS", 5)
    assert [(await desk.ask(desk.number, "别人")).status_code for _ in range(3)] == [404, 404, 429]
    assert [(await desk.ask(f"{number}", "别人")).status_code for number in range(3)] == [404, 404, 429]


async def test_malformed_bodies_name_the_member_and_repeat_nothing(desk: Desk) -> None:
    for body in (b"{", b"[]", b'{"number": "990100197003131003"}', b'{"number": 1, "detail": "x"}', b'{"number":"a","detail":"b","c":"d"}'):
        answer = await desk.client.post(PATH, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
        assert "990100197003131003" not in answer.text


async def test_work_of_any_length_ends_at_the_same_instants() -> None:
    """By the loop's own clock: what took less than the floor ends at the floor, what took more at a multiple of it."""
    loop = asyncio.get_running_loop()
    for work in (0.0, 0.02):
        began = loop.time()
        async with even_answers.evenly(0.2):
            await asyncio.sleep(work)
        assert loop.time() - began >= 0.2 - 0.001
    with pytest.raises(KeyError):
        async with even_answers.evenly(0.05):
            raise KeyError
