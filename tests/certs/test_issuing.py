import asyncio
import contextlib
import hashlib
import json
import uuid
from typing import Any

import pypdfium2
import pytest
from sqlalchemy import select, text

from certs import carrying, issuance
from certs.approvals import HolderInput, IdempotencyKeyReused, OutcomeStatus
from certs.issuance import approve, sweep
from certs.models import CertificateRow, EventRow, IdempotencyRow, IssuingRow, OutboxRow
from certs.numbering import inspect_identifier
from certs.records import Stage
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.base.errors import FujieError


async def rows(database: Database, table: Any) -> list[Any]:
    async with database.session() as session:
        return list(await session.scalars(select(table)))


def printed_text(pdf: bytes) -> str:
    with contextlib.closing(pypdfium2.PdfDocument(pdf)) as document, contextlib.closing(document[0]) as page:
        return "".join(page.get_textpage().get_text_bounded().split())


async def audit_trail(database: Database, action: str) -> list[tuple[str, str | None]]:
    async with database.session() as session:
        found = await session.execute(text("SELECT body FROM keys.audit_events WHERE action = :action ORDER BY id"), {"action": action})
        bodies = [json.loads(body) for (body,) in found]
    return [(body["outcome"], body["code"]) for body in bodies]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_the_citys_approvals_become_certificates_each_by_its_own_issuer(city: Any, number: int, blobs: FolderBlobStore) -> None:
    approval = city.approval(number)
    outcome = await approve(city.issuing, city.client, approval, "key-1")
    assert outcome.status is OutcomeStatus.ISSUED
    report = inspect_identifier(outcome.identifier)
    assert not report.flags
    assert report.identifier is not None
    assert (report.identifier.type_code, report.identifier.issuer) == (approval.certificate_type, approval.issuer)
    (row,) = await rows(city.issuing.database, CertificateRow)
    assert (row.stage, row.status, row.number, row.seal_code) == ("issued", "01", approval.approval_number, city.seals[approval.issuer])
    pdf = await blobs.get(row.document_hash)
    assert approval.approval_number in printed_text(pdf)
    assert b"/ByteRange" in pdf
    for holder in approval.holders:
        if holder.code_type == "111":
            assert holder.code.encode() not in pdf
    assert len(await rows(city.issuing.database, EventRow)) == 1
    assert [one.topic for one in await rows(city.issuing.database, OutboxRow)] == ["certificate.issued"]
    assert await audit_trail(city.issuing.database, "certs.issue.reserve") == [("intent", None)]
    assert await audit_trail(city.issuing.database, "certs.issue.record") == [("done", None)]


async def test_serial_numbers_run_on_without_gaps_for_each_type_and_issuer(city: Any) -> None:
    outcomes = await asyncio.gather(*(approve(city.issuing, city.client, city.approval(), f"key-{n}") for n in range(4)))
    serials = sorted(inspect_identifier(one.identifier).identifier.serial for one in outcomes)  # type: ignore[union-attr]
    assert serials == ["20260000001", "20260000002", "20260000003", "20260000004"]


async def test_one_key_gets_one_answer_and_one_certificate(city: Any) -> None:
    same = [approve(city.issuing, city.client, city.approval(), "key") for _ in range(4)]
    outcomes = await asyncio.gather(*same)
    assert len(set(outcomes)) == 1
    assert await approve(city.issuing, city.client, city.approval(), "key") == outcomes[0]
    assert len(await rows(city.issuing.database, CertificateRow)) == 1
    with pytest.raises(IdempotencyKeyReused):
        await approve(city.issuing, city.client, city.approval(approval_number="another"), "key")
    assert (await audit_trail(city.issuing.database, "certs.issue.approve"))[-1] == ("refused", "IDEMPOTENCY_KEY_REUSED")
    other = await approve(city.issuing, city.attended, city.approval(), "key")
    assert other.id != outcomes[0].id


REFUSALS: list[tuple[str, int, dict[str, Any]]] = [
    ("UNKNOWN_CERTIFICATE_TYPE", 422, {"certificate_type": "11990100MB0000035A999"}),
    ("UNKNOWN_MATTER", 422, {"matter_code": "990100999999"}),
    ("UNKNOWN_ISSUER", 422, {"issuer": "11990100MB0000099X"}),
    ("ISSUER_NOT_ALLOWED", 403, {"issuer": "11990100MB0000019L"}),
    ("UNKNOWN_SEAL", 422, {"seal": "certificate"}),
    ("UNKNOWN_SEAL", 422, {"seal": "99010000000099"}),
    ("MATTER_OF_OTHER_ORGANISATION", 403, {"matter_code": "000131015000"}),
    ("HOLDER_NOT_FOUND", 422, {"holders": [{"name": "示范市白鹤建材厂", "code": "91990100MA1TEXT14M", "code_type": "001"}]}),
    ("HOLDER_NOT_FOUND", 422, {"holders": [{"name": "示范市白鹤建材有限公司", "code": "91350100M000100Y43", "code_type": "001"}]}),
    ("ID_NUMBER_INVALID", 422, {"holders": [{"name": "示范市白鹤建材有限公司", "code": "91990100", "code_type": "001"}]}),
    ("INVALID_INPUT", 422, {"holders": [{"name": "钱晓明", "code": "990100197003131003", "code_type": "111"}]}),
    ("INVALID_INPUT", 422, {"holders": []}),
    ("INVALID_INPUT", 422, {"fields": {"颜色": "红"}}),
    ("INVALID_INPUT", 422, {"valid_to": None}),
    ("INVALID_INPUT", 422, {"valid_to": "2026-11-20"}),
    ("INVALID_INPUT", 422, {"approval_number": ""}),
    ("INVALID_INPUT", 422, {"approval_number": "证990100197003131003号"}),
]


@pytest.mark.parametrize(("code", "status", "changes"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
async def test_what_cannot_be_issued_is_refused_audited_and_leaves_nothing(
    city: Any, code: str, status: int, changes: dict[str, Any]
) -> None:
    with pytest.raises(FujieError) as refusal:
        await approve(city.issuing, city.client, city.approval(**changes), "key")
    assert (refusal.value.code, refusal.value.status) == (code, status)
    assert "990100197003131003" not in f"{refusal.value} {refusal.value.extra}"
    assert not await rows(city.issuing.database, CertificateRow)
    assert not await rows(city.issuing.database, IdempotencyRow)
    assert await audit_trail(city.issuing.database, "certs.issue.approve") == [("refused", code)]


async def test_a_key_is_required(city: Any) -> None:
    for key in (None, "", "x" * 129, "a b", "键"):
        with pytest.raises(FujieError) as refusal:
            await approve(city.issuing, city.client, city.approval(), key)
        assert refusal.value.code == "IDEMPOTENCY_KEY_REQUIRED"


async def test_a_person_whose_number_is_another_is_not_found(city: Any) -> None:
    holders = (HolderInput("卫思远", "990100198701171023", "111"),)
    with pytest.raises(FujieError) as refusal:
        await approve(city.issuing, city.client, city.approval(2, holders=holders), "key")
    assert refusal.value.code == "HOLDER_NOT_FOUND"


class Plug(BaseException):
    """The process is gone: no handler of the journey runs."""


STEPS = ["print_document", "permit", "stamp_and_store", "record_issued"]


@pytest.mark.parametrize("step", STEPS)
async def test_whatever_step_is_interrupted_the_sweeper_finishes_it(
    city: Any, step: str, monkeypatch: pytest.MonkeyPatch, clock: Any, blobs: FolderBlobStore
) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise Plug

    with monkeypatch.context() as patch:
        patch.setattr(f"certs.carrying.{step}", gone)
        with pytest.raises(Plug):
            await approve(city.issuing, city.client, city.approval(), "key")
    assert [one.stage for one in await rows(city.issuing.database, CertificateRow)] == ["reserved"]
    assert await sweep(city.issuing) == 0, "its lease still runs"
    clock.advance(seconds=20)
    assert await sweep(city.issuing) == 1
    (row,) = await rows(city.issuing.database, CertificateRow)
    assert row.stage == "issued"
    assert hashlib.sha256(await blobs.get(row.document_hash)).digest() == row.document_hash
    assert await sweep(city.issuing) == 0
    outcome = await approve(city.issuing, city.client, city.approval(), "key")
    assert outcome.id == row.id


async def test_a_repeated_request_takes_over_what_died(city: Any, monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise Plug

    with monkeypatch.context() as patch:
        patch.setattr("certs.carrying.record_issued", gone)
        with pytest.raises(Plug):
            await approve(city.issuing, city.client, city.approval(), "key")
    monkeypatch.setattr(issuance, "WAIT_SECONDS", 0.3)
    with pytest.raises(FujieError) as refusal:
        await approve(city.issuing, city.client, city.approval(), "key")
    assert refusal.value.code == "ISSUING_IN_PROGRESS"
    clock.advance(seconds=20)
    outcome = await approve(city.issuing, city.client, city.approval(), "key")
    assert outcome.status is OutcomeStatus.ISSUED
    assert len(await rows(city.issuing.database, CertificateRow)) == 1


async def test_a_run_that_was_thought_dead_cannot_finish_what_another_took_over(
    city: Any, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    finish = carrying.record_issued

    async def slow(issuing: Any, stamped: Any) -> Any:
        monkeypatch.setattr(carrying, "record_issued", finish)
        clock.advance(seconds=20)
        assert await sweep(issuing) == 1
        return await finish(issuing, stamped)

    monkeypatch.setattr(carrying, "record_issued", slow)
    outcome = await approve(city.issuing, city.client, city.approval(), "key")
    assert outcome.status is OutcomeStatus.ISSUED
    assert len(await rows(city.issuing.database, EventRow)) == 1
    assert await audit_trail(city.issuing.database, "certs.issue.record") == [("done", None)]
    assert await audit_trail(city.issuing.database, "seal.use") == [("done", None)]


async def test_two_sweepers_never_issue_the_same_certificate_twice(city: Any, monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise Plug

    with monkeypatch.context() as patch:
        patch.setattr("certs.carrying.print_document", gone)
        for number in range(3):
            with pytest.raises(Plug):
                await approve(city.issuing, city.client, city.approval(), f"key-{number}")
    clock.advance(seconds=20)
    done = await asyncio.gather(sweep(city.issuing), sweep(city.issuing))
    assert sum(done) == 3
    assert [one.stage for one in await rows(city.issuing.database, CertificateRow)] == ["issued"] * 3
    assert len(await rows(city.issuing.database, EventRow)) == 3


async def test_a_failure_of_ours_is_tried_again_and_at_last_given_up(city: Any, monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    async def full(data: bytes) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(city.issuing.blobs.__class__, "put", lambda self, data: full(data))
        with pytest.raises(OSError, match="No space"):
            await approve(city.issuing, city.client, city.approval(), "key")
        for attempts in range(1, 8):
            assert await sweep(city.issuing) == 0
            clock.advance(seconds=2**attempts - 1)
            assert await sweep(city.issuing) == 0, "not before its pause is over"
            clock.advance(seconds=2)
        assert await sweep(city.issuing) == 0
        clock.advance(seconds=300)
        assert await sweep(city.issuing) == 1
    (row,) = await rows(city.issuing.database, CertificateRow)
    assert row.stage == "void"
    assert await audit_trail(city.issuing.database, "certs.issue.void") == [("failed", "ISSUING_FAILED")]
    (issuing,) = await rows(city.issuing.database, IssuingRow)
    assert (issuing.stage, issuing.lease_owner) == (Stage.VOID, None)


async def test_numbers_of_people_are_in_no_plain_column_and_no_attachment(city: Any, database: Database) -> None:
    approval = city.approval(2)
    outcome = await approve(city.issuing, city.client, approval, "key")
    assert isinstance(outcome.id, uuid.UUID)
    async with database.session() as session:
        tables = await session.execute(text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('certs', 'keys', 'seal')"))
        for schema, table in tables.all():
            cells = await session.execute(text(f'SELECT t::text FROM {schema}."{table}" t'))
            dump = "\n".join(cell for (cell,) in cells)
            for holder in approval.holders:
                assert holder.code not in dump, f"{schema}.{table}"
                assert holder.code.encode().hex() not in dump, f"{schema}.{table}"
