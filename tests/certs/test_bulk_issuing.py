"""Issuing in bulk: every row once, refusals by row, going on where it stopped, nobody's number kept."""

import asyncio
import io
import json
from typing import Any

import pytest
from sqlalchemy import select, text

from api.approval_rows import approval_of
from certs import bulk_carrying
from certs.approvals import IdempotencyKeyReused, IssuerNotAllowed
from certs.bulk_issuing import (
    FINISHED,
    BulkBeingReceived,
    BulkEnded,
    BulkJob,
    BulkLine,
    BulkUnreadable,
    cancel,
    get_job,
    list_jobs,
    report_lines,
    submit,
)
from certs.bulk_models import BulkIssueItemRow
from certs.bulk_work import MOST_ATTEMPTS, work_bulk, work_until_done
from certs.models import CertificateRow
from identity.clients import NewClient, create_client
from keys.base.actor import SYSTEM, Actor
from keys.base.blobs import StoreFull
from keys.base.errors import NotFound
from tests.certs.conftest import ADMIN, approvals


def members(number: int, at: int, **changes: Any) -> dict[str, Any]:
    return approvals()[at % 3] | {"approval_number": f"批〔2026〕{number:05d}号"} | changes


def lines(*rows: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))


@pytest.fixture
async def client(city: Any) -> Actor:
    """The city's client, registered as a client that issues."""
    async with city.issuing.database.begin() as session:
        new = NewClient(
            "批量", "Bulk", "990100", city.client.organisation, grant_types=("client_credentials",), scopes=("certificates:issue",),
            client_id=city.client.id,
        )  # fmt: skip
        made, _ = await create_client(session, city.issuing.clock.now(), new)
    return made.actor


async def work(city: Any, job: BulkJob, *, rounds: int = 20) -> BulkJob:
    for _ in range(rounds):
        if not await work_bulk(city.issuing, approval_of, job_id=job.id):
            break
    return await seen(city, job)


async def seen(city: Any, job: BulkJob) -> BulkJob:
    async with city.issuing.database.session() as session:
        return await get_job(session, SYSTEM, job.id)


async def report(city: Any, job: BulkJob, only: str | None = None) -> list[BulkLine]:
    return [line async for part in report_lines(city.issuing.database, job.id, only=only) for line in part]


async def issued(city: Any) -> list[CertificateRow]:
    async with city.issuing.database.session() as session:
        return list(await session.scalars(select(CertificateRow).where(CertificateRow.stage == "issued")))


async def test_every_row_becomes_a_certificate_or_says_why_not(city: Any, client: Actor) -> None:
    rows = [
        members(1, 0), members(2, 1), members(3, 2), members(4, 0, certificate_type="11990100MB0000043X999"),
        members(5, 0, valid_to="2020-01-01"), members(6, 0, surprise="x"), members(7, 1),
    ]  # fmt: skip
    file = io.BytesIO(lines(*rows).getvalue() + b"{not json\n")
    job = await submit(city.issuing, client, "年检换证", file, "job-1")
    assert (job.state, job.items, job.done) == ("running", 8, 1)
    job = await work(city, job)
    assert (job.state, job.done) == (FINISHED, 8)
    assert dict(job.counts) == {"issued": 4, "refused": 4}
    told = await report(city, job)
    assert [one.row for one in told if one.state == "issued"] == [1, 2, 3, 7]
    refused = {one.row: one for one in await report(city, job, "refused")}
    assert refused[4].code == "UNKNOWN_CERTIFICATE_TYPE"
    assert refused[5].code == "INVALID_INPUT"
    assert refused[6].code == "INVALID_INPUT"
    assert refused[8].code == "ROW_UNREADABLE"
    found = await issued(city)
    assert sorted(one.number for one in found) == [f"批〔2026〕{number:05d}号" for number in (1, 2, 3, 7)]
    assert {one.certificate_id for one in told if one.certificate_id} == {one.id for one in found}
    for one in found:
        assert (await city.issuing.blobs.get(one.document_hash)).startswith(b"%PDF-")


async def test_a_settled_row_keeps_no_number_and_a_waiting_one_only_sealed(city: Any, client: Actor) -> None:
    numbers = [holder["code"] for one in approvals() for holder in one["holders"] if holder["code_type"] == "111"]
    assert numbers
    job = await submit(city.issuing, client, f"批次 {numbers[0]}", lines(members(1, 2), members(2, 2)), "job-1")
    assert numbers[0] not in job.name
    select_all = text("SELECT body, to_jsonb(i)::text AS words FROM certs.bulk_issue_items i")
    async with city.issuing.database.session() as session:
        waiting = (await session.execute(select_all)).all()
    assert all(row.body and not any(number.encode() in row.body for number in numbers) for row in waiting)
    await work(city, job)
    async with city.issuing.database.session() as session:
        settled = (await session.execute(select_all)).all()
    assert all(row.body is None for row in settled)
    assert not any(number in row.words for row in settled for number in numbers)


async def test_the_same_file_again_is_the_same_job_and_another_under_its_key_is_refused(city: Any, client: Actor) -> None:
    first = await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")
    again = await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")
    assert again.id == first.id
    await work(city, first)
    assert (await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")).state == FINISHED
    with pytest.raises(IdempotencyKeyReused):
        await submit(city.issuing, client, "甲", lines(members(2, 0)), "job-1")
    assert len(await issued(city)) == 1


async def test_two_workers_at_once_issue_each_row_once(city: Any, client: Actor) -> None:
    job = await submit(city.issuing, client, "甲", lines(*(members(number, number) for number in range(9))), "job-1")
    await asyncio.gather(*(work_until_done(city.issuing, approval_of, seconds=60) for _ in range(3)))
    job = await seen(city, job)
    assert (job.state, dict(job.counts)) == (FINISHED, {"issued": 9})
    assert len(await issued(city)) == 9


async def test_killed_between_issuing_and_settling_it_finds_what_was_issued(
    city: Any, client: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(city.issuing, client, "甲", lines(members(1, 0), members(2, 1)), "job-1")
    with monkeypatch.context() as patched:
        patched.setattr("certs.bulk_work._settle", _killed)
        with pytest.raises(ConnectionError):
            await work_bulk(city.issuing, approval_of)
    assert len(await issued(city)) == 2
    assert (await work(city, job)).done == 0, "the rows are another's until the lease is up"
    city.issuing.clock.advance(minutes=3)
    job = await work(city, job)
    assert (job.state, dict(job.counts)) == (FINISHED, {"issued": 2})
    assert len(await issued(city)) == 2
    assert [one.attempts for one in await report(city, job)] == [2, 2]


async def _killed(*_: object) -> None:
    raise ConnectionError("killed")


async def test_a_full_store_loses_nothing_and_is_tried_again(city: Any, client: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")
    with monkeypatch.context() as patched:
        patched.setattr(type(city.issuing.blobs), "put", _full)
        assert (await work(city, job)).done == 0
    assert [one.code for one in await report(city, job)] == ["STORE_FULL"]
    city.issuing.clock.advance(minutes=10)
    assert dict((await work(city, job)).counts) == {"issued": 1}


async def _full(*_: object) -> bytes:
    raise StoreFull


async def test_a_fault_of_ours_that_stays_is_told_in_the_end(city: Any, client: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")
    fault = bulk_carrying.FujieError("broken")

    async def broken(_issuing: object, _actor: object, asked: list[Any], _address: object = None) -> list[Any]:
        return [fault for _ in asked]

    monkeypatch.setattr("certs.bulk_work.issue_many", broken)
    for _ in range(MOST_ATTEMPTS):
        await work(city, job)
        city.issuing.clock.advance(minutes=10)
    (line,) = await report(city, job)
    assert (line.state, line.code, line.attempts) == ("refused", fault.code, MOST_ATTEMPTS)


async def test_cancelling_leaves_what_was_issued_and_drops_the_rest(city: Any, client: Actor) -> None:
    job = await submit(city.issuing, client, "甲", lines(*(members(number, 0) for number in range(4))), "job-1")
    await work_bulk(city.issuing, approval_of, most=1, job_id=job.id)
    job = await cancel(city.issuing, client, job.id)
    assert (job.state, dict(job.counts)) == ("cancelled", {"issued": 1, "cancelled": 3})
    assert await work_bulk(city.issuing, approval_of) == 0
    with pytest.raises(BulkEnded):
        await cancel(city.issuing, client, job.id)
    async with city.issuing.database.session() as session:
        assert not list(await session.scalars(select(BulkIssueItemRow).where(BulkIssueItemRow.body.is_not(None))))


@pytest.mark.parametrize("octets", [b"", b"\x00\x01\x02"])
async def test_a_file_without_rows_is_refused_and_leaves_no_job_running(city: Any, client: Actor, octets: bytes) -> None:
    with pytest.raises(BulkUnreadable):
        await submit(city.issuing, client, "甲", io.BytesIO(octets), "job-1")
    async with city.issuing.database.session() as session:
        assert [one.state for one in await list_jobs(session, SYSTEM)] == ["receiving"]
    assert (await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")).state == "running"


async def test_a_later_upload_takes_the_place_of_one_that_broke_off(city: Any, client: Actor) -> None:
    with pytest.raises(BulkUnreadable):
        await submit(city.issuing, client, "甲", io.BytesIO(b""), "job-1")
    rows = [members(number, 0) for number in range(3)]
    first, second = await asyncio.gather(
        submit(city.issuing, client, "甲", lines(*rows), "job-1"), submit(city.issuing, client, "甲", lines(*rows), "job-1"),
        return_exceptions=True,
    )  # fmt: skip
    jobs = [one for one in (first, second) if isinstance(one, BulkJob)]
    assert jobs
    assert all(isinstance(one, BulkJob | BulkBeingReceived) for one in (first, second))
    assert {one.items for one in jobs} == {3}
    assert len(await report(city, jobs[0])) == 3


async def test_only_clients_ask_and_only_their_organisation_sees(city: Any, client: Actor) -> None:
    with pytest.raises(IssuerNotAllowed):
        await submit(city.issuing, ADMIN, "甲", lines(members(1, 0)), "job-1")
    job = await submit(city.issuing, client, "甲", lines(members(1, 0)), "job-1")
    stranger = Actor(client.kind, "stranger", "Stranger", "91990100MA0000H28K", "990100")
    async with city.issuing.database.session() as session:
        assert not await list_jobs(session, stranger)
        with pytest.raises(NotFound):
            await get_job(session, stranger, job.id)
    with pytest.raises(NotFound):
        await cancel(city.issuing, stranger, job.id)


async def test_a_table_in_gbk_is_read_too(city: Any, client: Actor) -> None:
    one = approvals()[0]
    holder = one["holders"][0]
    row = {name: value for name, value in one.items() if name not in ("holders", "fields") and value is not None}
    row |= {"approval_number": "批〔2026〕00001号", "holder_name": holder["name"], "holder_code": holder["code"]}
    row |= {"holder_code_type": holder["code_type"], **one["fields"]}
    table = ",".join(row) + "\r\n" + ",".join(f'"{value}"' for value in row.values()) + "\r\n"
    job = await submit(city.issuing, client, "甲", io.BytesIO(table.encode("gb18030")), "job-1")
    assert dict((await work(city, job)).counts) == {"issued": 1}
