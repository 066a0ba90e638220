"""Revoke and re-verify, an approval document of one's own, and many moved at once: over HTTP, in the running city."""

import asyncio
import datetime as dt
import json
import re
import uuid
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import typst

from api.demo import city as demonstration
from certs.fonts import REQUIRED_FONTS
from certs.rendering import loaded
from tests.demo_people import browser, log_in
from tests.pages_house import field_value
from tests.running import City

SCOPES = "certificates:issue certificates:read"
LAW = "《中华人民共和国行政许可法》第六十九条第二款"
DOCUMENT = """
#set page(width: 210mm, height: 297mm, margin: 40mm)
#set text(font: "Noto Serif SC", size: 16pt, lang: "zh")
关于同意排水方案的批复

#align(right)[（盖章）]
"""
PATIENCE = dt.timedelta(seconds=60)


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


def fresh() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


async def issue(http: httpx2.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    approval = demonstration.approvals()[0] | {"approval_number": f"示排许字〔2026〕第{uuid.uuid4().hex[:8]}号"}
    issued = await http.post("/api/v1/approvals", json=approval, headers=headers | fresh())
    assert issued.status_code == 201, issued.text
    return dict(issued.json())


def story_on(page: str) -> tuple[str, str]:
    status = re.search(r'<html[^>]* data-status="([a-z_]+)"', page)
    story = re.search(r'<p class="story">(.*?)</p>', page, re.S)
    return (status[1] if status else ""), unescape(re.sub(r"<[^>]+>", "", story[1])) if story else ""


async def test_a_revoked_certificate_tells_its_truth_when_its_old_file_is_verified(city: City, http: httpx2.AsyncClient) -> None:
    headers = city.token("approvals", SCOPES)
    issued = await issue(http, headers)
    code, own = issued["verification_code"], f"/api/v1/certificates/{issued['id']}"
    file = (await http.get(f"{own}/file", headers=headers | {"Purpose": "archive"})).content
    before = (await http.post("/api/v1/verify", content=file)).json()
    assert (before["indication"], before["record"]["status"], before["record"]["story"]) == ("TOTAL_PASSED", "in_force", None)
    [fraud] = [
        one for one in (await http.get("/api/v1/move-reasons?move=revoke", headers=headers)).json()["items"] if one["code"] == "FRAUD"
    ]
    assert fraud["legal_basis"]["zh"] == LAW
    assert (await http.post(f"{own}/revoke", json={}, headers=headers | fresh())).json()["code"] == "REASON_REQUIRED"
    unknown = await http.post(f"{own}/revoke", json={"reason_code": "NOT_RENEWED"}, headers=headers | fresh())
    assert (unknown.status_code, unknown.json()["code"]) == (422, "REASON_CODE_UNKNOWN")
    revoked = await http.post(f"{own}/revoke", json={"reason_code": "FRAUD"}, headers=headers | fresh())
    assert (revoked.status_code, revoked.json()["status"], revoked.json()["status_code"]) == (200, "revoked", "03")

    after = (await http.post("/api/v1/verify", content=file)).json()
    assert (after["indication"], after["record"]["status"]) == ("TOTAL_PASSED", "revoked"), "genuine, and no longer in force"
    told = (await http.get(f"/api/v1/verify/{code}")).json()
    assert told["story"] == after["record"]["story"]
    assert re.fullmatch(rf"该证照曾有效至.+因“以欺骗、贿赂等不正当手段取得”被撤销。依据：{LAW}。", told["story"]["zh"])
    assert (told["change"]["reason_code"], told["change"]["legal_basis"]["zh"]) == ("FRAUD", LAW)
    for language, words in (("zh-CN", told["story"]["zh"]), ("en", told["story"]["en"])):
        page = (await http.get(f"/v/{code}", headers={"Accept-Language": language})).text
        assert story_on(page) == ("revoked", words)
        answer = (await http.post("/verify", files={"file": ("old.pdf", file)}, headers={"Accept-Language": language})).text
        assert words in unescape(re.sub(r"<[^>]+>", "", answer)), "the old file's page says it too"
    at = (dt.datetime.fromisoformat(told["change"]["at"]) - dt.timedelta(microseconds=1)).isoformat()
    then = (await http.get(f"{own}/status?at={quote(at)}", headers=headers)).json()
    assert (then["status"], then["status_code"]) == ("in_force", "01")
    assert (await http.get(f"{own}/status", headers=headers)).json()["legal_basis"] == LAW
    again = await http.post(f"{own}/resume", json={"reason": "不可恢复"}, headers=headers | fresh())
    assert (again.status_code, again.json()["code"]) == (409, "MOVE_NOT_ALLOWED")


async def stamped_by_approver(city: City, certificate: str) -> None:
    """The approver opens every page of what will be sealed, and seals it."""
    async with browser(city) as approver:
        await log_in(city, approver, "approver")
        waiting = (await approver.get(f"/approve/{certificate}")).text
        assert (await approver.get(f"/approve/{certificate}/document.pdf")).content[:5] == b"%PDF-"
        stamped = await approver.post(f"/approve/{certificate}", data={"document": field_value(waiting, "document") or ""})
        assert stamped.status_code == 303, stamped.text


async def test_a_departments_own_document_is_registered_verified_and_cancelled(
    city: City, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    headers, approval = city.token("approvals", SCOPES), demonstration.approvals()[1]
    source = tmp_path / "document.typ"
    source.write_text(DOCUMENT, encoding="utf-8")
    pdf = bytes(typst.compile(str(source), format="pdf", font_paths=loaded(REQUIRED_FONTS)))
    order = {name: approval[name] for name in ("matter_code", "holders", "seal", "issuer")} | {
        "title": "关于同意排水方案的批复", "number": f"示水审〔2026〕{uuid.uuid4().int % 10**6}号", "seal_place": {"keyword": "（盖章）"},
    }  # fmt: skip
    form: dict[str, Any] = {"data": {"document": json.dumps(order)}, "files": {"file": ("document.pdf", pdf)}}
    key = fresh()
    made = await http.post("/api/v1/documents", headers=headers | key, **form)
    assert (made.status_code, made.json().get("status")) == (202, "awaiting_stamp"), made.text
    assert (await http.post("/api/v1/documents", headers=headers | key, **form)).json() == made.json()
    await stamped_by_approver(city, made.json()["id"])
    code, own = made.json()["verification_code"], f"/api/v1/certificates/{made.json()['id']}"
    record = (await http.get(f"/api/v1/verify/{code}")).json()
    assert (record["status"], record["certificate"]["fields"]["标题"]) == ("in_force", order["title"])
    file = (await http.get(f"{own}/file", headers=headers | {"Purpose": "archive"})).content
    verdict = (await http.post("/api/v1/verify", content=file)).json()
    assert (verdict["indication"], verdict["record"]["identifier"]) == ("TOTAL_PASSED", made.json()["identifier"])
    assert (await http.get(f"/v/{code}/picture.png")).status_code == 404, "nobody draws a department's own paper from the record"
    wrong = dict(order, seal_place={"keyword": "没有的字"}, number="另一号")
    refused = await http.post(
        "/api/v1/documents", headers=headers | fresh(), data={"document": json.dumps(wrong)}, files={"file": ("d.pdf", pdf)}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "KEYWORD_NOT_FOUND"), refused.text
    missing = await http.post("/api/v1/documents", headers=headers | fresh(), data={"document": json.dumps(order)})
    assert (missing.status_code, missing.json()["code"]) == (422, "UPLOAD_BROKEN"), "no multipart form"
    ended = await http.post(f"{own}/cancel", json={"reason_code": "HOLDER_ASKED_TO_CANCEL"}, headers=headers | fresh())
    assert ended.status_code == 200
    assert "it was cancelled on" in (await http.get(f"/api/v1/verify/{code}")).json()["story"]["en"]


async def test_many_are_suspended_at_once_and_the_report_says_what_became_of_each(city: City, http: httpx2.AsyncClient) -> None:
    headers = city.token("approvals", SCOPES)
    issued = [await issue(http, headers) for _ in range(2)]
    body = {
        "move": "suspend", "reason_code": "UNDER_INVESTIGATION",
        "certificates": [issued[0]["identifier"], issued[1]["verification_code"], "=cmd|' /C calc'!A0"],
    }  # fmt: skip
    asked = await http.post("/api/v1/certificate-moves", json=body, headers=headers | fresh())
    assert asked.status_code == 202, asked.text
    job = asked.json()
    deadline = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
    while job["finished_at"] is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
        job = (await http.get(job["links"]["self"], headers=headers)).json()
    assert job["outcomes"] == {"MOVED": 2, "NOT_FOUND": 1}
    report = (await http.get(job["links"]["report"], headers=headers)).text.splitlines()
    assert report[3].startswith("3,'=cmd"), "no spreadsheet computes a name"
    assert [line.rpartition(",")[2] for line in report[1:]] == ["MOVED", "MOVED", "NOT_FOUND"]
    assert (await http.get(f"/api/v1/verify/{issued[0]['verification_code']}")).json()["status"] == "suspended"
