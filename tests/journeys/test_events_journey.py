"""Events over HTTP: a department subscribes, an old system brings an approval signed, the department is told, asks, and is told of the end.

1. subscribe   with a client's own token; the secret comes once
2. bring       an approval, signed by the entrance's secret: a certificate; the same message again: the same certificate
3. told        of its issue, signed, without personal data; the links lead on
4. revoke      and told again, in order
5. replay      both once more, under the same ids
6. notices     the command line knows the subscription and its queue
"""

import asyncio
import datetime as dt
import json
import uuid
from typing import Any

import httpx2

from certs.webhook_signing import Message, check, sign
from keys.base.clock import SystemClock
from tests.certs.conftest import approvals
from tests.receiving import Receiver
from tests.running import City

SCOPES = "certificates:issue certificates:read events:receive"
PATIENCE = 90.0


async def until(receiver: Receiver, subject: str, topics: list[str]) -> list[dict[str, Any]]:
    """The events of one certificate, once as many came as are named; others of the city are passed over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            events = [one.event for one in receiver.told if one.event["data"].get("id") == subject]
            if len(events) >= len(topics):
                assert [one["type"] for one in events] == topics
                return events
            await asyncio.sleep(0.05)


async def test_a_signed_approval_is_told_to_a_subscriber_and_so_is_its_end(city: City) -> None:
    own = await asyncio.to_thread(city.token, "approvals", SCOPES)
    http = httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=120)
    async with http, Receiver() as receiver:

        async def post(path: str, body: object = None) -> Any:
            answer = await http.post(f"/api/v1{path}", json=body, headers=own | {"Idempotency-Key": uuid.uuid4().hex})
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

        subscription = await post(
            "/subscriptions", {"name": "旅程", "url": receiver.url, "topics": ["certificate.issued", "certificate.status"]}
        )
        entrance = await post("/entrances", {"client_id": city.client("approvals")["client_id"], "name": "旧系统"})
        body = json.dumps(approvals()[1] | {"approval_number": f"示旅字〔2026〕{uuid.uuid4().hex[:8]}号"}).encode()
        message = Message(f"msg_{uuid.uuid4().hex}", SystemClock().now(), body)
        signed = sign(message, [entrance["secret"]])
        issued = await http.post(entrance["address"], content=body, headers=signed)
        assert issued.status_code == 201, issued.text
        certificate = issued.json()
        assert (await http.post(entrance["address"], content=body, headers=signed)).json() == certificate
        forged = await http.post(entrance["address"], content=body + b" ", headers=signed)
        assert (forged.status_code, forged.json()["code"]) == (401, "WEBHOOK_SIGNATURE_INVALID")

        (event,) = await until(receiver, certificate["id"], ["certificate.issued"])
        told = next(one for one in receiver.told if one.id == event["id"])
        check(told.headers, told.body, [subscription["secret"]], SystemClock().now())
        for holder in approvals()[1]["holders"]:
            assert holder["name"] not in told.body.decode()
            assert holder["code"] not in told.body.decode()
        for link in event["links"].values():
            assert (await http.get(link, headers=own)).status_code == 200

        await post(f"/certificates/{certificate['id']}/revoke", {"reason": "旅程结束", "reason_code": "WRONG_PROCEDURE"})
        issue, end = await until(receiver, certificate["id"], ["certificate.issued", "certificate.status"])
        assert end["sequence"] > issue["sequence"]
        assert end["data"]["move"] == "revoke"
        assert (await http.get(f"/v/{certificate['verification_code']}")).text.count('data-status="revoked"') == 1

        receiver.told.clear()
        assert (await post(f"/subscriptions/{subscription['id']}/replay", {"events": [issue["id"], end["id"]]})) == {"queued": 2}
        again = await until(receiver, certificate["id"], ["certificate.issued", "certificate.status"])
        assert again == [issue, end]

        listed = await asyncio.to_thread(city.fujie, "events", "deliveries", subscription["id"], "--state", "delivered")
        assert {issue["id"], end["id"]} <= {json.loads(line)["event"] for line in listed.stdout.splitlines()}, listed.stderr
        for path in (f"/subscriptions/{subscription['id']}", f"/entrances/{entrance['id']}"):
            assert (await http.delete(f"/api/v1{path}", headers=own)).status_code == 204
        assert dt.datetime.fromisoformat(issue["timestamp"]).tzinfo is not None
