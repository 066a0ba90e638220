"""A city and its province, each a whole house with its own database, over real mutual TLS.

1. each hands the other its card; one administrator registers it, another approves, by API and on pages
2. they keep level: the province has the city's catalogue and the status of every certificate, and nothing of any holder
3. a department of the province asks the city for a matter, with a purpose: yes or no; then the record; a clerk does it at the desk
4. the city is away: the department is told so; meanwhile the city revokes
5. the city is back: the province catches up from where it stopped; the licence is revoked, and the answer is no
6. the holder's list in the city shows who asked and why
7. the province suspends the exchange: nothing more is answered
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from api import federation_channel
from api.app import create_app
from api.embedded import Addresses
from api.federation_channel import exchange_of
from api.wiring import House
from certs import federation_asking
from certs.federation_sync import Turn, keep_level
from certs.matter_papers import Enough, Paper, put_papers
from certs.standing import change_standing
from identity.clients import NewClient, create_client
from identity.login_policy import PASSWORD_AND_OTP
from identity.people import NewAccount, create_account
from keys.base.actor import SYSTEM, Role
from keys.custody.software import SoftwareKeyStore
from tests.certs.catalogue_people import MARKET, WRITER
from tests.certs.instances import Instance, Place, Two, prepared
from tests.certs.sharing_people import COMPANY, FOOD, LICENCE, OTHER
from tests.conftest import TestClock
from tests.pages_house import PASSWORD, add_second_factor, browser, data_codes, field_value, log_in_at, open_test_house
from tests.portal import City

API = "/api/v1/federation"
PURPOSE = "审查食品经营许可申请"
SCOPES = ("openid", "profile", "trust:manage", "certificates:read")


@dataclass
class Caller:
    """Somebody with a browser and a token, or a system with a token."""

    browser: httpx2.AsyncClient
    headers: dict[str, str]

    async def send(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = self.headers | {"Idempotency-Key": path[-60:]}
        answer = await self.browser.request(method, path, headers=headers, **({} if body is None else {"json": body}))
        return answer.status_code, answer.json() if "json" in answer.headers.get("content-type", "") else answer.content


@dataclass
class Side:
    """One of the two. ``anne`` and ``bert`` are its administrators, ``market`` a system of the market office."""

    house: House
    instance: Instance
    anne: Caller
    bert: Caller
    market: Caller

    async def turn(self) -> Turn:
        (done,) = await keep_level(exchange_of(self.house))
        return done


async def administrator(house: House, name: str) -> Caller:
    async with house.database.begin() as session:
        new = NewAccount(name, name.title(), "990100", frozenset({Role.SECURITY_ADMIN}), MARKET)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
    portal = City(create_app(house), house.database, house.clock, account)
    client, secret = await portal.register(scopes=SCOPES)
    await portal.log_in(PASSWORD_AND_OTP)
    await portal.consent(client)
    tokens = await portal.tokens(client, secret, scope=" ".join(SCOPES))
    return Caller(portal.browser, {"Authorization": f"Bearer {tokens['access_token']}"})


async def system(house: House, browser: httpx2.AsyncClient) -> Caller:
    new = NewClient(
        name_zh="市场监管审批系统", name_en="Market office", division="990100", organisation=MARKET, grant_types=("client_credentials",),
        scopes=("certificates:read",),
    )  # fmt: skip
    async with house.database.begin() as session:
        client, secret = await create_client(session, house.clock.now(), new)
    answer = await browser.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, secret or ""))
    return Caller(browser, {"Authorization": f"Bearer {answer.json()['access_token']}"})


async def side(stack: AsyncExitStack, instance: Instance, place: Place, redis_url: str, workers: Any) -> Side:
    exchange = instance.exchange
    opening = open_test_house(
        instance.database, redis_url, exchange.keystore, exchange.library.clock, workers, place.home, issuer=place.base_url
    )
    house = await stack.enter_async_context(opening)
    anne, bert = await administrator(house, "anne"), await administrator(house, "bert")
    return Side(house, instance, anne, bert, await system(house, anne.browser))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is slow, not away; who does not listen refuses at once."""
    monkeypatch.setattr(federation_asking, "SECONDS", 100.0)
    monkeypatch.setattr(federation_channel, "SECONDS", 100.0)


@pytest.fixture(scope="session")
def two(servers: Addresses, key_file: Path, signing_template: str, tmp_path_factory: pytest.TempPathFactory) -> Two:
    return prepared(servers, key_file, tmp_path_factory.mktemp("two"), signing_template)


@pytest.fixture
async def sides(two: Two, keystore: SoftwareKeyStore, clock: TestClock, redis_url: str, workers: Any) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        city, province = await stack.enter_async_context(two.open(keystore, clock, agreed=False))
        yield (
            await side(stack, city, two.city, redis_url, workers),
            await side(stack, province, two.province, redis_url, workers),
        )


async def over_the_api(giver: Side, taker: Side, level: str) -> str:
    """Step 1: registered and approved by the API."""
    status, card = await giver.anne.send("GET", f"{API}/card")
    assert status == 200
    status, peer = await taker.anne.send("POST", f"{API}/peers", {"card": card, "level": level, "reason": "协议第 7 号"})
    assert (status, peer["status"]) == (201, "proposed")
    status, told = await taker.anne.send("POST", f"{API}/peers/{peer['id']}/approve", {"reason": "我自己"})
    assert (status, told["code"]) == (403, "FEDERATION_SAME_PERSON")
    status, peer = await taker.bert.send("POST", f"{API}/peers/{peer['id']}/approve", {"reason": "电话核对一致"})
    assert (status, peer["status"]) == (200, "active")
    return str(peer["id"])


async def on_the_page(giver: Side, taker: Side, level: str) -> str:
    """Step 1: registered and approved in browsers; what is wrong is said."""
    anne, bert = taker.anne.browser, taker.bert.browser
    card = await giver.anne.browser.get("/federation/card.json")
    assert card.headers["content-disposition"].endswith('.json"')
    form = {"level": level, "reason": "协议第 7 号", "divisions": "", "card": card.text}
    for wrong in ({"card": "{}"}, {"divisions": "110000"}):
        answer = await anne.post("/federation", data=form | wrong)
        assert (answer.status_code, "FEDERATION_CARD_MALFORMED" in answer.text) == (422, True), wrong
    made = await anne.post("/federation", data=form)
    path = made.headers["location"].partition("?")[0]
    mine = await anne.get(path, headers={"Accept-Language": "en"})
    assert "Approve the exchange" not in mine.text, "whoever registered it does not approve it"
    page = await bert.get(path, headers={"Accept-Language": "zh"})
    assert "批准互联" in page.text
    done = await bert.post(path, data={"move": "approve", "reason": "电话核对一致"})
    assert (done.status_code, done.headers["location"]) == (303, f"{path}?done=approve")
    listed = await anne.get("/federation")
    assert (orjson.loads(card.content)["name"] in listed.text, listed.text.count("data-peer=")) == (True, 1)
    return path.rpartition("/")[2]


async def clerk_at(side: Side) -> httpx2.AsyncClient:
    """A window clerk of the market office at a browser of their own."""
    async with side.house.database.begin() as session:
        new = NewAccount("clerk", "窗口人员", "990100", frozenset({Role.WINDOW_CLERK}), MARKET)
        account = await create_account(session, side.house.clock.now(), new, PASSWORD)
    code, client = await add_second_factor(side.house, account), browser(create_app(side.house), issuer=side.house.base_url)
    due = await log_in_at(client, "clerk")
    done = await client.post("/login", data={"otp": code.at(side.house.clock.now()), "next": field_value(due.text, "next") or ""})
    assert done.status_code == 303
    return client


async def at_the_desk(clerk: httpx2.AsyncClient, peer: str) -> None:
    """Step 3 on a page: where to ask, each instance's answer under its name, the record with its origin."""
    assert f'<option value="{peer}">' in (await clerk.get("/share")).text
    about = {"matter": FOOD, "purpose": PURPOSE, "holder_code": COMPANY, "code_type": "001"}
    for where in ("everywhere", peer):
        told = await clerk.post("/share", data=about | {"where": where})
        assert ('data-outcome="answered"' in told.text, "Holds a valid one" in told.text) == (True, True), told.text
    none = await clerk.post("/share", data=about | {"where": peer, "holder_code": OTHER})
    assert ("No valid one" in none.text, 'action="/share/elsewhere"' in none.text) == (True, False)
    taken = await clerk.post("/share/elsewhere", data=about | {"where": peer, "type": LICENCE})
    assert ('data-standing="in_force"' in taken.text, COMPANY in taken.text, "As told by" in taken.text) == (True, True, True)
    refused = await clerk.post("/share", data=about | {"where": peer, "purpose": " "})
    assert (refused.status_code, data_codes(refused.text)) == (400, ["PURPOSE_REQUIRED"])
    nowhere = await clerk.post("/share", data=about | {"where": str(uuid.uuid4())})
    assert data_codes(nowhere.text) == ["FEDERATION_PEER_UNKNOWN"]


async def question(side: Side, holder: str = COMPANY, want: str = "data") -> dict[str, Any]:
    body = {"matter": FOOD, "type": LICENCE, "purpose": PURPOSE, "holder_code": holder, "code_type": "001", "want": want}
    status, told = await side.market.send("POST", f"{API}/questions", body)
    assert status == 200, told
    answer: dict[str, Any] = told["answers"][0]
    return answer


async def standing(side: Side, identifier: object) -> str:
    status, told = await side.market.send("POST", f"{API}/certificates/search", {"identifier": str(identifier)})
    assert status == 200
    return str(told["items"][0]["standing"]) if told["items"] else ""


async def test_city_and_province(sides: tuple[Side, Side]) -> None:
    city, province = sides
    held = await city.instance.stage.hold(LICENCE, issuer=MARKET, document=b"%PDF-1.7 sealed")
    await over_the_api(province, city, "upper")
    peer = await on_the_page(city, province, "lower")
    papers = [Paper("licence", "营业执照", "Business licence", types=(LICENCE,), enough=Enough.COPY)]
    await put_papers(province.house.database, province.house.clock, WRITER, FOOD, papers)

    async with city.instance.listen(), province.instance.listen():
        assert (await city.turn()).problem is None
        turn = await province.turn()
        assert (turn.problem, turn.statuses, turn.types > 0) == (None, 1, True)
        assert (await city.turn()).problem is None
        assert await standing(province, held) == "in_force"
        assert (await question(province))["holds"] is True
        assert (await question(province, OTHER))["holds"] is False
        (record,) = (await question(province, want="record"))["records"]
        assert (record["id"], record["holders"][0]["code"]) == (str(held), COMPANY)
        clerk = await clerk_at(province)
        await at_the_desk(clerk, peer)
        status, types = await province.market.send("GET", f"{API}/types?code={LICENCE}")
        assert (status, types["items"][0]["peer"]["id"]) == (200, peer)

    page = await clerk.post("/share", data={"matter": FOOD, "purpose": PURPOSE, "holder_code": COMPANY, "code_type": "001", "where": peer})
    assert ('data-outcome="away"' in page.text, "Last heard" in page.text) == (True, True)
    away = await question(province)
    assert (away["outcome"], away["code"]) == ("away", "FEDERATION_PEER_UNREACHABLE")
    assert (await province.turn()).problem == "FEDERATION_PEER_UNREACHABLE"
    await change_standing(city.house.database, city.house.clock, SYSTEM, held, "revoke", "注销登记")
    page = await province.bert.browser.get("/federation", headers={"Accept-Language": "en"})
    assert "FEDERATION_PEER_UNREACHABLE" in page.text
    assert await standing(province, held) == "in_force", "what was told last"

    async with city.instance.listen():
        await city.turn()
        assert (await province.turn()).statuses == 1
        assert await standing(province, held) == "revoked"
        assert (await question(province))["holds"] is False
        accesses = f"SELECT count(*) FROM certs.accesses WHERE organisation = '{MARKET}' AND purpose = '{PURPOSE}'"
        assert await city.instance.stage.count(accesses) == 6, "the holder sees every question that reached them"

        status, suspended = await province.anne.send("POST", f"{API}/peers/{peer}/suspend", {"reason": "演练"})
        assert (status, suspended["status"]) == (200, "suspended")
        status, told = await province.market.send(
            "POST", f"{API}/questions",
            {"matter": FOOD, "type": LICENCE, "purpose": PURPOSE, "holder_code": COMPANY, "code_type": "001", "peer": peer},
        )  # fmt: skip
        assert (status, told["code"]) == (404, "FEDERATION_PEER_UNKNOWN")
