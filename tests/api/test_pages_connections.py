"""Connections in a browser without JavaScript, and the notices on a holder's page."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from api.event_services import telling_of
from api.wiring import House
from certs.delivery import Courier
from certs.event_reads import deliveries_of
from certs.outbox import write_event
from certs.subscriptions import subscriptions_of
from certs.webhook_signing import check
from identity.clients import NewClient, create_client
from identity.organisations import Organisation, put_organisation
from keys.base.actor import Role
from tests.api.test_pages_seals import member
from tests.certs.conftest import CITY
from tests.pages_house import data_codes, open_test_house
from tests.receiving import Receiver


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        opened.settings.webhook_networks = "127.0.0.0/8"
        new = NewClient(
            name_zh="审批平台", name_en="Approval platform", division="990100", organisation=CITY, grant_types=("client_credentials",),
            scopes=("certificates:issue",), client_id="approvals",
        )  # fmt: skip
        async with opened.database.begin() as session:
            await put_organisation(session, clock.now(), Organisation(CITY, "示范市政务服务局", "990100", "authority"))
            await create_client(session, clock.now(), new)
        yield opened


def secret_in(html: str) -> str:
    found = re.search(r'<p class="code">(whsec_[^<]+)</p>', html)
    assert found, html[:3000]
    return unescape(found.group(1))


async def tell(house: House) -> None:
    """One round, to its end."""
    async with Courier(telling_of(house)) as courier:
        await courier.step()
        await courier.settle()


async def test_a_system_is_subscribed_looked_after_and_ended(house: House) -> None:
    admin = await member(house, "admin1", Role.SYSTEM_ADMIN, CITY)
    async with Receiver() as receiver:
        wrong = await admin.client.post("/connections", data={"name": "监管平台", "url": "https://10.0.0.1/"})
        assert (wrong.status_code, data_codes(wrong.text)) == (422, ["WEBHOOK_ADDRESS_REFUSED"])
        assert 'value="监管平台"' in wrong.text
        made = await admin.client.post("/connections", data={"name": "监管平台", "url": receiver.url, "topic": "certificate.issued"})
        secret = secret_in(made.text)
        assert made.headers["cache-control"] == "no-store"
        assert secret not in await admin.get("/connections")
        async with house.database.session() as session:
            (one,) = await subscriptions_of(session, CITY)
        place = f"/connections/{one.id}"
        tried = await admin.client.post(place, data={"do": "test"})
        assert "It took the test message." in tried.text
        assert check(receiver.told[0].headers, receiver.told[0].body, [secret], house.clock.now())
        receiver.answer = lambda told: 422
        async with house.database.begin() as session:
            write_event(session, house.clock.now(), "certificate.issued", "x", {"id": "1"}, to=(CITY,))
        await tell(house)
        page = await admin.get(place)
        assert "HTTP 422" in page
        assert "In trouble" in page
        assert (await admin.client.post(place, data={"do": "aside", "sequence": "1"})).headers["location"] == f"{place}?done=aside"
        assert "given up" in await admin.get(place)
        receiver.answer = lambda told: 204
        assert (await admin.client.post(place, data={"do": "replay"})).headers["location"] == f"{place}?done=queued"
        await tell(house)
        async with house.database.session() as session:
            assert [entry.state for entry in await deliveries_of(session, one.id, None, None, 9)] == ["delivered"]
        assert (await admin.client.post(place, data={"do": "replay", "since": "2026-11-20"})).status_code == 303
        assert secret_in((await admin.client.post(place, data={"do": "secret"})).text) != secret
        assert (await admin.client.post(place, data={"do": "paused"})).status_code == 303
        assert "Paused" in await admin.get(place)
        assert (await admin.client.post(place, data={"do": "ended"})).headers["location"] == "/connections?done=ended"
        assert (await admin.client.get(place)).status_code == 404


async def test_an_entrance_is_opened_renewed_and_closed(house: House) -> None:
    admin = await member(house, "admin1", Role.SYSTEM_ADMIN, CITY)
    made = await admin.client.post("/connections/entrances", data={"name": "旧审批系统", "client": "approvals"})
    secret = secret_in(made.text)
    found = re.search(r"/api/v1/entrances/([0-9a-f-]{36})/approvals", made.text)
    assert found
    place = f"/connections/entrances/{found.group(1)}"
    assert secret_in((await admin.client.post(place, data={"do": "secret"})).text) != secret
    assert (await admin.client.post(place, data={"do": "close"})).status_code == 303
    assert "No entrance is open." in await admin.get("/connections")
    refused = await admin.client.post("/connections/entrances", data={"name": "x", "client": "nobody"})
    assert (refused.status_code, data_codes(refused.text)) == (422, ["INVALID_INPUT"])


async def test_connections_are_for_administrators_of_the_organisation_alone(house: House) -> None:
    clerk = await member(house, "clerk1", Role.WINDOW_CLERK, CITY)
    answer = await clerk.client.get("/connections")
    assert (answer.status_code, data_codes(answer.text)) == (403, ["CONNECTION_FORBIDDEN"])
    assert (await clerk.client.post("/connections", data={"name": "x", "url": "https://8.8.8.8/"})).status_code == 403
