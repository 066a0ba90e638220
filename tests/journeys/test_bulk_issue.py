"""A file of approvals over HTTP: taken, worked off in the background, refusals by row, every certificate verifiable."""

import asyncio
import json
import uuid
from typing import Any

import httpx2

from api.demo import city as demonstration
from tests.running import City

PATIENCE_SECONDS = 120


def rows(mark: str, count: int) -> list[dict[str, Any]]:
    today = [dict(one) for one in demonstration.approvals()]
    made = [today[number % 3] | {"approval_number": f"批量{mark}第{number:04d}号"} for number in range(count)]
    return [*made, today[0] | {"approval_number": f"批量{mark}第9999号", "certificate_type": "11990100MB0000043X999"}]


async def authorised(city: City, http: httpx2.AsyncClient) -> dict[str, str]:
    client = city.client("approvals")
    form = {"grant_type": "client_credentials", "scope": "certificates:issue"}
    answer = await http.post("/oauth/token", data=form, auth=(client["client_id"], client["client_secret"]))
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_file_of_approvals_becomes_certificates(city: City) -> None:
    mark = uuid.uuid4().hex[:8]
    body = "\n".join(json.dumps(one, ensure_ascii=False, default=str) for one in rows(mark, 4)).encode() + b"\n"
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60) as http:
        headers = await authorised(city, http)
        keyed = headers | {"Idempotency-Key": f"bulk-{mark}", "Content-Type": "application/x-ndjson"}
        assert (await http.post("/api/v1/bulk-issues", content=body, headers=headers)).status_code == 400
        taken = await http.post("/api/v1/bulk-issues?name=journey", content=body, headers=keyed)
        assert taken.status_code == 202, taken.text
        job = taken.json()
        assert (await http.post("/api/v1/bulk-issues?name=journey", content=body, headers=keyed)).json()["id"] == job["id"]
        for _ in range(PATIENCE_SECONDS * 2):
            job = (await http.get(job["links"]["self"], headers=headers)).json()
            if job["state"] == "finished":
                break
            await asyncio.sleep(0.5)
        assert job["counts"] == {"issued": 4, "refused": 1}, job
        told = [json.loads(line) for line in (await http.get(job["links"]["rows"], headers=headers)).text.splitlines()]
        assert [one["row"] for one in told] == [1, 2, 3, 4, 5]
        assert told[4]["code"] == "UNKNOWN_CERTIFICATE_TYPE"
        assert len({uuid.UUID(one["id"]) for one in told[:4]}) == 4
        assert (await http.post(f"/api/v1/bulk-issues/{job['id']}/cancel", headers=headers)).status_code == 409
        assert (await http.get(f"/api/v1/bulk-issues/{uuid.uuid4()}", headers=headers)).status_code == 404
        assert (await http.get("/api/v1/bulk-issues")).status_code == 401
