"""``/api/v1/trust/rules`` over the whole application: two security administrators, from a proposal to the verdict's trust."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.routes.verify_file import _trust
from api.wiring import House
from keys.base.actor import Role
from keys.pki.authority import establish
from keys.trust.certificates import fingerprint, read_bundle
from seal.foreign_rules import AuthorityRules, SystemRules, Tolerance
from tests.api.test_trust_routes import Administrator, administrator, proposal
from tests.licensed import Licensed
from tests.pages_house import ISSUER, open_test_house

PATH = "/api/v1/trust/rules"


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    clock.instant = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)
    await establish(database, keystore, clock, ISSUER)
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (Licensed(tmp_path_factory.mktemp("other"), "http://127.0.0.1:1", "Other City").establish().folder / "ca.pem").read_text()


async def post(who: Administrator, path: str, body: object, key: str | None = None) -> httpx2.Response:
    return await who.client.post(PATH + path, json=body, headers=who.headers | {"Idempotency-Key": key or uuid.uuid4().hex})


async def test_two_people_over_http(house: House, root: str) -> None:
    first, second = await administrator(house, "first"), await administrator(house, "second")
    keeper = await administrator(house, "keeper", role=Role.SEAL_KEEPER)
    entry = (await first.post("", proposal(root))).json()
    await second.post(f"/{entry['id']}/approve", {"reason": "seen"})
    body = {"authority": entry["sha256"], "rules": {"tolerances": ["utc-time"]}, "reason": "agreement no. 7"}
    key = uuid.uuid4().hex
    made = await post(first, "", body, key)
    assert made.status_code == 201, made.text
    kept = made.json()
    assert made.headers["location"] == f"{PATH}/{kept['id']}"
    assert kept["rules"] == {
        "algorithms": ["sm2-sm3"],
        "encodings": ["der", "raw"],
        "tolerances": ["utc-time"],
        "timestamp_required": False,
    }
    assert (await post(first, "", body, key)).json() == kept, "asked again it is the same"
    for answer, status, code in (
        (await post(first, "", body), 409, "FOREIGN_RULES_PENDING"),
        (await post(first, "", body | {"reason": "other"}, key), 422, "IDEMPOTENCY_KEY_REUSED"),
        (await post(first, "", body | {"authority": "00" * 32}), 404, "TRUST_ENTRY_UNKNOWN"),
        (await post(first, "", body | {"rules": {"tolerances": ["broken-signature"]}}), 422, "INVALID_INPUT"),
        (await post(first, "", body | {"rules": {"skip_chain": True}}), 422, "INVALID_INPUT"),
        (await post(keeper, "", body), 403, "TRUST_ACTOR_REFUSED"),
        (await post(first, f"/{kept['id']}/approve", {"reason": "mine"}), 403, "TRUST_SAME_PERSON"),
        (await first.client.post(PATH, json=body, headers=first.headers), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await _trust(house)).rules == ()
    assert (await post(second, f"/{kept['id']}/approve", {"reason": "seen"})).json()["status"] == "active"
    rules = SystemRules(tolerances=frozenset({Tolerance.UTC_TIME}))
    assert (await _trust(house)).rules == (AuthorityRules(fingerprint(read_bundle(root.encode())[0]), rules),)
    listed = (await first.client.get(f"{PATH}?status=active", headers=first.headers)).json()["items"]
    assert [one["id"] for one in listed] == [kept["id"]]
    assert (await first.client.get(f"{PATH}/{kept['id']}", headers=first.headers)).json()["decided_by"]
    assert (await post(first, f"/{kept['id']}/withdraw", {"reason": "no longer"})).json()["status"] == "withdrawn"
    assert (await _trust(house)).rules == ()
