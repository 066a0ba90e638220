"""``GET /api/v1/verify/{code}`` as it is served says what the record says, whatever stands behind the code."""

from pathlib import Path
from typing import Any

import httpx2

from api.app import create_app
from certs.issuance import approve
from certs.standing import change_standing
from certs.verification import record_by_code
from tests.certs.conftest import City
from tests.pages_house import open_test_house


async def test_the_fast_answer_is_the_record(city: City, redis_url: str, workers: Any, keystore: Any, clock: Any, tmp_path: Path) -> None:
    database = city.issuing.database
    outcomes = [await approve(city.issuing, city.client, city.approval(number), f"key-{number}") for number in range(3)]
    waiting = await approve(city.issuing, city.attended, city.approval(1, approval_number="等待-001"), "key-9")
    for move, outcome in zip(("suspend", "revoke"), outcomes, strict=False):
        await change_standing(database, clock, city.client, outcome.id, move, "核查")
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        transport = httpx2.ASGITransport(create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=house.base_url) as client:
            for outcome in outcomes:
                for code in (
                    outcome.verification_code,
                    outcome.verification_code.lower(),
                    f"{outcome.verification_code[:8]}-{outcome.verification_code[8:]}",
                ):
                    answer = await client.get(f"/api/v1/verify/{code}")
                    expected = (await record_by_code(database, clock.now(), code)).to_json()
                    told = answer.json()
                    place = told.pop("status_list")
                    assert told == expected
                    assert place["uri"] == f"{house.base_url}/status-lists/1"
                    assert 0 <= place["idx"] < 2_097_152
                    assert answer.headers["cache-control"] == "no-store"
            unknown = [await client.get(f"/api/v1/verify/{code}") for code in (waiting.verification_code, "0" * 16)]
            assert [(one.status_code, one.json()["code"], one.json()["status"]) for one in unknown] == [
                (404, "UNKNOWN_CODE", "unknown")
            ] * 2
            for malformed in ("x", "0" * 15 + "é", "0" * 400, "%00", "a%2Fb"):
                assert (await client.get(f"/api/v1/verify/{malformed}")).status_code == 404
            zh = await client.get("/api/v1/verify/x", headers={"Accept-Language": "zh-CN"})
            assert zh.json()["title"] == "没有证照使用这个核验码。"
