"""Issuing in bulk in a browser: an approver gives a file, follows it, reads refusals in words; a row of another issuer is not taken."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from api.approval_rows import approval_of
from api.pages.error_words import words_of
from api.wiring import House
from certs.bulk_work import work_until_done
from certs.models import CertificateRow
from identity.clients import NewClient, create_client
from keys.base.actor import Role
from tests.api.test_pages_seals import Member, member
from tests.certs.conftest import APPROVALS_CLIENT, CITY, approvals
from tests.furnished import Furnished, open_furnished
from tests.pages_house import data_codes, field_value

pytestmark = pytest.mark.timeout(400)  # the first test waits for the furnished city

PAGE = "/bulk"
OWN, OTHER = approvals()[0], approvals()[1]


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        new = NewClient(
            "审批平台", "Approval platform", "990100", CITY, grant_types=("client_credentials",), scopes=("certificates:issue",),
            client_id=APPROVALS_CLIENT.id,
        )  # fmt: skip
        stranger = NewClient(
            "他人系统", "Somebody's", "990100", CITY, grant_types=("client_credentials",), scopes=("certificates:issue",), client_id="other"
        )
        async with opened.database.begin() as session:
            await create_client(session, clock.now(), new)
            await create_client(session, clock.now(), stranger)
        yield opened


def row(number: int, of: dict[str, Any] = OWN, **changes: Any) -> dict[str, Any]:
    return of | {"approval_number": f"批〔2026〕{number:05d}号"} | changes


def file(*rows: dict[str, Any]) -> dict[str, Any]:
    body = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in rows)
    return {"file": ("年检换证.jsonl", body, "application/x-ndjson")}


async def sent(who: Member, client: str, files: dict[str, Any] | None, key: str = "") -> Any:
    form = {"client": client, "key": key or field_value(await who.get(PAGE), "key") or ""}
    return await who.client.post(PAGE, data=form, files=files or {"nothing": ("", b"")})


async def settled(house: House) -> None:
    await work_until_done(house.issuing, approval_of, seconds=300)


async def test_an_approver_issues_many_and_reads_why_some_were_refused(house: House) -> None:
    approver = await member(house, "approver1", Role.APPROVER, OWN["issuer"])
    assert "No job was begun yet." in await approver.get(PAGE)
    assert '<option value="other"' not in await approver.get(PAGE), "no system that issues for others"
    nothing = await sent(approver, APPROVALS_CLIENT.id, None)
    assert (nothing.status_code, data_codes(nothing.text)) == (422, ["BULK_ISSUE_UNREADABLE"])
    foreign = await sent(approver, "other", file(row(1)))
    assert (foreign.status_code, data_codes(foreign.text)) == (422, ["INVALID_INPUT"])

    rows = file(row(1), row(2, valid_to="2020-01-01"), row(3, OTHER), row(4, certificate_type="11990100MB0000043X999"), row(5))
    given = await sent(approver, APPROVALS_CLIENT.id, rows, "ONCE")
    assert given.status_code == 303, given.text
    address = given.headers["location"]
    assert (await sent(approver, APPROVALS_CLIENT.id, rows, "ONCE")).headers["location"] == address, "sent twice, one job"
    waiting = await approver.client.get(address)
    assert ('data-status="running"' in waiting.text, waiting.headers["refresh"]) == (True, "5")
    await settled(house)
    done = (await approver.client.get(address)).text
    assert ('data-status="finished"' in done, "5 / 5" in done, done.count("2 rows")) == (True, True, 1)
    assert set(data_codes(done)) == {"INVALID_INPUT", "ISSUER_NOT_ALLOWED", "UNKNOWN_CERTIFICATE_TYPE"}
    assert words_of("UNKNOWN_CERTIFICATE_TYPE", "en") in done
    async with house.database.session() as session:
        issued = list(await session.scalars(select(CertificateRow)))
    assert {(one.issuer, one.number) for one in issued} == {(OWN["issuer"], f"批〔2026〕{number:05d}号") for number in (1, 5)}
    report = list(csv.reader(io.StringIO((await approver.client.get(f"{address}/report.csv")).content.decode("utf-8-sig"))))
    assert [one[0] for one in report[1:]] == ["1", "2", "3", "4", "5"]
    assert (report[3][3], report[3][6]) == ("ISSUER_NOT_ALLOWED", "issuer")
    refused = (await approver.client.get(f"{address}/report.csv?state=refused")).text
    assert refused.count("\r\n") == 4
    audited = text(
        "SELECT count(*) FROM keys.audit_events WHERE action = 'certs.bulk_issue.submit' AND outcome = 'done' AND actor_id = :who"
    )
    async with house.database.session() as session:
        assert await session.scalar(audited, {"who": str(approver.account.id)}) == 1


async def test_a_job_is_ended_by_its_department_and_seen_by_no_other(house: House) -> None:
    approver = await member(house, "approver1", Role.APPROVER, OWN["issuer"])
    address = (await sent(approver, APPROVALS_CLIENT.id, file(row(1), row(2)))).headers["location"]
    other = await member(house, "other1", Role.APPROVER, OTHER["issuer"])
    for path in (address, f"{address}/report.csv"):
        assert (await other.client.get(path)).status_code == 404
    assert (await other.client.post(f"{address}/end")).status_code == 404
    clerk = await member(house, "clerk1", Role.WINDOW_CLERK, OWN["issuer"])
    assert (await clerk.client.get(PAGE)).status_code == 403
    assert data_codes((await clerk.client.post(f"{address}/end")).text) == ["BULK_ISSUE_FOR_APPROVERS"]
    assert (await approver.client.post(f"{address}/end")).headers["location"] == address
    await settled(house)
    ended = await approver.get(address)
    assert ('data-status="cancelled"' in ended, "Not issued: the job was ended" in ended) == (True, True)
    assert (await approver.client.post(f"{address}/end")).status_code == 409
    async with house.database.session() as session:
        assert list(await session.scalars(select(CertificateRow))) == []
