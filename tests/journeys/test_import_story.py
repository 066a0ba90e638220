"""Import, then re-issue: a department brings its stock, finds one of it, and gives the holder a new certificate in its place."""

import csv
import io
import json
import time
import uuid
from typing import Any

import httpx2
import pytest

from certs.numbering import make_identifier
from tests.certs.conftest import approvals
from tests.running import City

SECONDS = 120
COLUMNS = ["ZZMC", "ZZLXDM", "ZZBH", "ZZBS", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "CZZT", "CZZTDM", "CZZTDMLXDM"]


@pytest.fixture
def http(city: City) -> Any:
    with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


def paper(serial: str) -> dict[str, str]:
    """A licence that was given on paper years ago, to the holder of the demonstration's second approval."""
    wanted = approvals()[1]
    holder, kind, issuer = wanted["holders"][0], wanted["certificate_type"], wanted["issuer"]
    values = (
        "食品经营许可证", kind, f"JY{serial}", str(make_identifier(kind, issuer, serial)), "示范市市场监督管理局", issuer,
        "2021-11-22", "2021-11-22", "2026-11-21", holder["name"], holder["code"], holder["code_type"],
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def in_gbk(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("gb18030")


def imported(http: httpx2.Client, bearer: dict[str, str], table: bytes) -> dict[str, Any]:
    begun = http.post("/api/v1/imports", params={"name": "stock.csv"}, content=table, headers=bearer | {"Content-Type": "text/csv"})
    assert begun.status_code == 202, begun.text
    until = time.monotonic() + SECONDS
    while (view := http.get(begun.json()["links"]["self"], headers=bearer).json())["state"] != "done":
        assert time.monotonic() < until, view
        time.sleep(0.3)
    return dict(view)


def test_stock_is_imported_and_one_of_it_is_issued_anew(city: City, http: httpx2.Client) -> None:
    bearer, serial = city.token("approvals", "certificates:issue certificates:read"), f"2021{uuid.uuid4().int % 10**9:09}"
    old, broken = paper(serial), paper(f"{serial}9") | {"ZZBFRQ": "2021-02-30"}
    view = imported(http, bearer, in_gbk([old, broken]))
    assert (view["rows"], view["flagged"], [one["flag"] for one in view["flags"]]) == (2, 1, ["bad_date"])
    rows = http.get(view["links"]["rows"], headers=bearer).json()["items"]
    assert rows == [{"line": 3, "identifier": broken["ZZBS"], "flags": ["bad_date"]}]
    report = http.get(view["links"]["report"], headers=bearer)
    assert report.content.startswith(b"PK\x03\x04")
    assert http.post("/api/v1/imports", content=in_gbk([old, broken]), headers=bearer).json()["id"] == view["id"], "once is enough"

    asked = {"holder_code": old["CZZTDM"], "code_type": "001", "type": old["ZZLXDM"], "purpose": "换发"}
    found = http.post("/api/v1/certificates/search", json=asked, headers=bearer).json()["items"]
    stock = next(one for one in found if one["identifier"] == old["ZZBS"])
    body = {"reason": "存量证照换发电子证照", "approval": approvals()[1] | {"approval_number": f"JY{serial}X"}}
    answer = http.post(f"/api/v1/certificates/{stock['id']}/renew", json=body, headers=bearer | {"Idempotency-Key": uuid.uuid4().hex})
    assert answer.status_code == 201, answer.text
    new = http.get(answer.json()["links"]["self"], headers=bearer).json()
    assert new["predecessor"] == old["ZZBS"]
    file = http.get(answer.json()["links"]["file"], headers=bearer | {"Purpose": "test"})
    verdict = http.post("/api/v1/verify", content=file.content).json()
    assert verdict["indication"] == "TOTAL_PASSED", json.dumps(verdict)[:2000]
    assert http.get(f"/api/v1/certificates/{stock['id']}", headers=bearer).json()["status"] == "superseded"


def test_what_is_no_table_is_refused_by_name(city: City, http: httpx2.Client) -> None:
    bearer = city.token("approvals", "certificates:issue")
    for content, status, code in (
        (b"", 400, "IMPORT_EMPTY"), (b"\x89PNG\r\n\x1a\n", 422, "IMPORT_UNREADABLE"), (b"a,b\n1,2\n", 422, "IMPORT_UNREADABLE"),
    ):  # fmt: skip
        answer = http.post("/api/v1/imports", content=content, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert http.post("/api/v1/imports", content=b"x").status_code == 401
    assert http.get(f"/api/v1/imports/{uuid.uuid4()}", headers=bearer).status_code == 404
