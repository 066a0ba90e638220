"""An annotated copy over HTTP: made, verified like a certificate by code, page and file, and ended by the end of its original.

1. a certificate is issued, and its requester has a copy made for a purpose and thirty days; the same key gets the same copy
2. a bank checks the file it was handed: genuine, a copy, in force; its calls are counted
3. anybody checks the code, by the API and on the page, in both languages
4. the file comes through a temporary address too, once; and through the endpoints in the shape of GB/T 36906
5. the original is revoked: every copy says so by code, page and file, and is handed out no more
6. a request without purpose, by a stranger or with a token that does not reach so far is refused by name
"""

import base64
import datetime as dt
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.demo import city as demonstration
from keys.base.clock import SystemClock, civil_date
from tests.running import City

PURPOSE = "办理贷款，核对经营许可"


@pytest.fixture
def http(city: City) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def certificate(city: City, http: httpx2.Client) -> dict[str, Any]:
    body = demonstration.approvals()[0] | {"approval_number": f"示排许字〔2026〕第{secrets.randbelow(10**9)}号"}
    headers = city.token("approvals", "certificates:issue") | {"Idempotency-Key": secrets.token_hex(8)}
    answer = http.post("/api/v1/approvals", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_copy_is_made_verified_and_ends_with_its_original(
    city: City, http: httpx2.Client, certificate: dict[str, Any], tmp_path: Path
) -> None:
    reader = city.token("approvals", "certificates:read")
    made, again = (_copy(http, reader, certificate, "one") for _ in range(2))
    assert made.status_code == again.status_code == 201, made.text
    copy = made.json()
    assert copy == again.json()
    assert (copy["purpose"], copy["status"], copy["requester"]) == (PURPOSE, "in_force", "示范市行政审批服务局")

    file = http.get(f"/api/v1/copies/{copy['id']}/file", headers=reader).content
    assert hashlib.sha256(file).hexdigest() == copy["sha256"]
    bank = city.token("verifier", "verify")
    left = _checked_by_the_bank(http, bank, file, "in_force")
    assert _checked_by_the_bank(http, bank, file, "in_force") == left - 1
    _checked_by_anybody(http, copy["verification_code"], "in_force", ("加注件真实有效", "This annotated copy is genuine and in force"))
    (tmp_path / "copy.pdf").write_bytes(file)
    assert city.fujie("verify", "--offline", str(tmp_path / "copy.pdf")).returncode == 0

    address = http.post(f"/api/v1/copies/{copy['id']}/address", headers=reader).json()["url"]
    assert http.get(address).content == file
    assert http.get(address).json()["code"] == "DOWNLOAD_UNKNOWN"
    shaped = http.post(
        "/api/v1/gbt36906/copy", headers=reader, json={"SYSY": PURPOSE, "ZZBS": certificate["identifier"], "QQBH": secrets.token_hex(8)}
    ).json()
    assert shaped["head"] == {"status": "0", "message": "成功"}
    assert hashlib.sha256(http.get(shaped["data"]["XZDZ"]).content).hexdigest() == shaped["data"]["JZJZY"]

    _revoke(city, http, certificate)
    _checked_by_the_bank(http, bank, file, "revoked")
    for code in (copy["verification_code"], shaped["data"]["JZJHYM"]):
        _checked_by_anybody(http, code, "revoked", ("该加注件的原件不是有效状态", "The original of this copy is not in force"))
    assert http.get(f"/api/v1/copies/{copy['id']}/file", headers=reader).json()["code"] == "COPY_ENDED"
    assert _copy(http, reader, certificate, "two").json()["code"] == "ORIGINAL_NOT_IN_FORCE"


def _copy(http: httpx2.Client, reader: dict[str, str], certificate: dict[str, Any], key: str) -> httpx2.Response:
    headers = reader | {"Idempotency-Key": f"{key} {certificate['id']}".replace(" ", "-")}
    return http.post("/api/v1/copies", headers=headers, json={"certificate_id": certificate["id"], "purpose": PURPOSE})


def _checked_by_the_bank(http: httpx2.Client, bank: dict[str, str], file: bytes, status: str) -> int:
    """What is left of the bank's day."""
    answer = http.post("/api/v1/verify", content=file, headers=bank)
    assert answer.json()["indication"] == "TOTAL_PASSED", answer.text
    assert (answer.json()["record"]["kind"], answer.json()["record"]["status"]) == ("copy", status)
    return int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0])


def _checked_by_anybody(http: httpx2.Client, code: str, status: str, headlines: tuple[str, str]) -> None:
    record = http.get(f"/api/v1/verify/{code}").json()
    assert (record["status"], record["copy"]["purpose"]) == (status, PURPOSE)
    for language, headline in zip(("zh-CN", "en"), headlines, strict=True):
        page = http.get(f"/v/{code}", headers={"Accept-Language": language})
        assert page.status_code == 200
        assert f'data-status="{status}"' in page.text
        assert headline in page.text
        assert PURPOSE in page.text


def _revoke(city: City, http: httpx2.Client, certificate: dict[str, Any]) -> None:
    headers = city.token("approvals", "certificates:issue") | {"Idempotency-Key": secrets.token_hex(8)}
    answer = http.post(f"/api/v1/certificates/{certificate['id']}/revoke", headers=headers, json={"reason": "以欺骗手段取得"})
    assert answer.status_code == 200, answer.text


def test_who_may_not_have_a_copy_is_refused_by_name(city: City, http: httpx2.Client, certificate: dict[str, Any]) -> None:
    body = {"certificate_id": certificate["id"], "purpose": PURPOSE}
    reader, stranger = city.token("approvals", "certificates:read"), city.token("verifier", "certificates:read")

    def refused(headers: dict[str, str], **changes: Any) -> tuple[int, str]:
        answer = http.post("/api/v1/copies", headers=headers | {"Idempotency-Key": secrets.token_hex(8)}, json=body | changes)
        return answer.status_code, answer.json()["code"]

    assert refused({}) == (401, "TOKEN_REQUIRED")
    assert refused(city.token("verifier", "verify")) == (403, "INSUFFICIENT_SCOPE")
    assert refused(stranger) == (403, "SHARING_REFUSED")
    assert refused(reader, purpose="") == (400, "PURPOSE_REQUIRED")
    assert refused(reader, days=0) == (422, "INVALID_INPUT")
    assert refused(reader, unknown=1) == (422, "INVALID_INPUT")
    assert http.post("/api/v1/copies", headers=reader, json=body).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    assert http.post("/api/v1/verify", content=b"%PDF-", headers=reader).json()["code"] == "INSUFFICIENT_SCOPE"
    shaped = http.post("/api/v1/gbt36906/metadata", headers=reader, json={"SYSY": "", "ZZLXDM": "x", "CZZTDM": "x", "CZZTDMLXDM": "001"})
    assert shaped.status_code == 400
    assert shaped.json()["head"]["status"] == "PURPOSE_REQUIRED"


def test_the_shape_of_the_standard_answers_as_the_rest_does(city: City, http: httpx2.Client, certificate: dict[str, Any]) -> None:
    approval: Any = demonstration.approvals()[0]
    holder = approval["holders"][0]
    who = {"SYSY": "核对持证情况", "SXBM": approval["matter_code"], "CZZTDM": holder["code"], "CZZTDMLXDM": holder["code_type"]}
    reader, bank = city.token("approvals", "certificates:read"), city.token("verifier", "verify")

    def asked(what: str, **more: Any) -> Any:
        answer = http.post(f"/api/v1/gbt36906/{what}", headers=reader, json=who | more).json()
        assert answer["head"]["status"] == "0", answer
        return answer["data"]

    def left() -> dict[str, int]:
        return {one["use"]: one["left"] for one in http.get("/api/v1/access-rates", headers=reader).json()["items"]}

    before = left()
    assert {one["ZZLXDM"] for one in asked("find")}
    chosen = {"ZZLXDM": approval["certificate_type"], "ZZBS": certificate["identifier"]}
    assert asked("metadata", **chosen)["ZZBS"] == certificate["identifier"]
    original = base64.b64decode(asked("original", **chosen)["WJ"])
    after = left()
    assert {use: before[use] - after[use] for use in ("find", "record", "file")} == {"find": 1, "record": 1, "file": 1}, "each once"
    told = http.post("/api/v1/gbt36906/verify", headers=bank, content=original).json()["data"]
    assert (told["HYJG"], told["WJJL"]["kind"], told["WJJL"]["status"]) == ("TOTAL_PASSED", "certificate", "in_force")
    refused = http.post("/api/v1/gbt36906/metadata", headers=reader, json=who | {"ZZBS": "1.2.156.3005.2.none", "ZZLXDM": "x"})
    assert (refused.status_code, refused.json()["head"]["status"]) == (404, "NOT_FOUND")


def test_an_application_is_handed_in_and_due_in_one_working_day(city: City, http: httpx2.Client) -> None:
    reader = city.token("approvals", "certificates:read")
    asked = {
        "type": demonstration.approvals()[0]["certificate_type"], "wants": ["copy"], "purpose": "核对", "basis": "示范条例", "per_day": 5,
        "until": (civil_date(SystemClock().now()) + dt.timedelta(days=90)).isoformat(),
    }  # fmt: skip
    headers = reader | {"Idempotency-Key": secrets.token_hex(8)}
    first, again = (http.post("/api/v1/access-applications", headers=headers, json=asked) for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    found = http.get(f"/api/v1/access-applications/{first.json()['id']}", headers=reader).json()
    assert (found["stage"], found["overdue"]) == ("submitted", False)
    assert dt.datetime.fromisoformat(found["due_at"]) > SystemClock().now()
    own_move = http.post(f"/api/v1/access-applications/{found['id']}/open", headers=headers, json={})
    assert own_move.json()["code"] == "INSUFFICIENT_SCOPE"
    taken = http.post(f"/api/v1/access-applications/{found['id']}/withdraw", headers=headers, json={"reason": "不再需要"}).json()
    assert taken["stage"] == "withdrawn"
    assert {one["use"] for one in http.get("/api/v1/access-rates", headers=reader).json()["items"]} >= {"copy", "verify"}
    assert http.get("/api/v1/working-days", headers=reader).json()["due_at"]
