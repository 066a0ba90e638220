"""Two ways to a certificate over HTTP: a department's system sends its approval; a clerk issues at the window, an approver stamps."""

import re
import uuid
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx2
import pytest

from api.demo import city as demonstration
from tests.demo_people import browser, log_in
from tests.pages_house import field_value
from tests.running import City

FOOD = "11990100MB0000035A002"
SEAL = "示范市市场监督管理局行政审批专用章"


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


def typed(number: str, **changes: str) -> dict[str, str]:
    """The food licence as a clerk types it: the demonstration's second approval."""
    approval: dict[str, Any] = demonstration.approvals()[1]
    (holder,) = approval["holders"]
    shorts = ("KZ_JYZMC", "KZ_FDDBRFZR", "KZ_ZS", "KZ_JYCS", "KZ_ZTYT", "KZ_JYXM", "KZ_RCJDGLJG")
    values = list(approval["fields"].values())
    return {
        "holders": "1", "holder_name_0": holder["name"], "holder_code_0": holder["code"], "holder_type_0": "001", "number": number,
        "valid_from": str(approval["valid_from"]), "valid_to": str(approval["valid_to"]), "matter": str(approval["matter_code"]),
        **dict(zip(shorts, values, strict=True)), **changes,
    }  # fmt: skip


def option(html: str, words: str) -> str:
    found = re.search(rf'<option value="([^"]+)"[^>]*>{re.escape(words)}</option>', html)
    assert found, words
    return unescape(found.group(1))


async def test_an_approval_becomes_a_certificate_that_anybody_verifies(city: City, http: httpx2.AsyncClient) -> None:
    headers = city.token("approvals", "certificates:issue certificates:read")
    approval = demonstration.approvals()[0] | {"approval_number": f"示排许字〔2026〕第{uuid.uuid4().hex[:8]}号"}
    checked = (await http.post("/api/v1/approvals/check", json=approval, headers=headers)).json()
    assert (checked["passes"], checked["unattended"]) == (True, True), checked
    key = {"Idempotency-Key": uuid.uuid4().hex}
    issued = await http.post("/api/v1/approvals", json=approval, headers=headers | key)
    assert issued.status_code == 201, issued.text
    assert (await http.post("/api/v1/approvals", json=approval, headers=headers | key)).json() == issued.json()
    record = (await http.get(f"/api/v1/verify/{issued.json()['verification_code']}")).json()
    assert (record["status"], record["certificate"]["identifier"]) == ("in_force", issued.json()["identifier"])
    file = await http.get(issued.json()["links"]["file"], headers=headers | {"Purpose": "archive"})
    assert (await http.post("/api/v1/verify", content=file.content)).json()["indication"] == "TOTAL_PASSED"
    taken = approval | {"holders": demonstration.approvals()[1]["holders"]}
    refused = (await http.post("/api/v1/approvals/check", json=taken, headers=headers)).json()
    assert {one["name"]: one["code"] for one in refused["checks"] if one["outcome"] == "FAILED"}["NUMBER"] == "NUMBER_TAKEN"


async def test_a_clerk_issues_at_the_window_after_a_preview_and_an_approver_stamps(city: City, http: httpx2.AsyncClient) -> None:
    address, number = f"/issue/{FOOD}", f"JY2990102{uuid.uuid4().int % 10**9:09}"
    async with browser(city) as clerk, browser(city) as approver:
        await log_in(city, clerk, "window_clerk")
        assert f'href="{address}"' in (await clerk.get("/issue")).text
        form = (await clerk.get(address)).text
        asked = typed(number, seal=option(form, SEAL), key=field_value(form, "key") or "")
        refused = await clerk.post(address, data=asked | {"decision": "preview", "valid_to": "2020-01-01"})
        assert (refused.status_code, 'id="valid_to-error"' in refused.text, "data:image" in refused.text) == (422, True, False)
        preview = await clerk.post(address, data=asked | {"decision": "preview"})
        assert (preview.status_code, 'data-status="passes"' in preview.text, "data:image/png" in preview.text) == (200, True, True)
        done = await clerk.post(address, data=asked | {"decision": "issue"})
        assert done.status_code == 303, done.text
        assert (await clerk.post(address, data=asked | {"decision": "issue"})).headers["location"] == done.headers["location"], "sent twice"
        page = (await clerk.get(done.headers["location"])).text
        assert ('data-status="awaiting_stamp"' in page, number in page) == (True, True)
        certificate = done.headers["location"].rpartition("/")[2]
        await log_in(city, approver, "approver")
        waiting = (await approver.get(f"/approve/{certificate}")).text
        stamped = await approver.post(f"/approve/{certificate}", data={"document": field_value(waiting, "document") or ""})
        assert stamped.status_code == 303, stamped.text
        page = (await clerk.get(done.headers["location"])).text
        assert 'data-status="issued"' in page
        file = await clerk.get(f"{done.headers['location']}/file")
        assert (file.headers["content-type"], file.content[:5]) == ("application/pdf", b"%PDF-")
        assert (await http.post("/api/v1/verify", content=file.content)).json()["indication"] == "TOTAL_PASSED"
        stranger = await approver.get(f"{done.headers['location']}/file")
        assert stranger.status_code == 404, "what another organisation brought"
