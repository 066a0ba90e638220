"""Imports that are uploaded: in encrypted parts, run by whichever process takes them, checked again later."""

import datetime as dt
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from api.workers import ProcessWorkers
from certs import import_parts, ingestion
from certs.delivery import told
from certs.import_jobs import ImportForbidden, Order, accept, get_import, list_imports, work_imports
from certs.import_parts import ImportEmpty
from certs.import_rechecks import rechecks_of, request_recheck, work_rechecks
from certs.ingestion import Ingestion, flagged_rows
from certs.ingestion_files import ImportUnreadable
from certs.ingestion_models import ImportPartRow
from certs.ingestion_report import Facts, Spreadsheet
from certs.models import CertificateRow, ImportRow, OutboxRow
from certs.reads import count_certificates
from identity.personal_data import PersonalData
from identity.realname_sources import load_legal_persons, load_population
from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import InvalidInput, NotFound
from tests.certs.test_ingestion import expected_flags, legacy_rows

BUREAU, OTHER = "11990100MB0000027F", "11990100MB0000035A"
CLIENT = Actor(ActorKind.CLIENT, "approvals", "审批平台", BUREAU)


@pytest.fixture
def needed(
    database: Database, personal: PersonalData, clock: Clock, blobs: FolderBlobStore, workers: ProcessWorkers, catalogue: None
) -> Ingestion:
    return Ingestion(database, personal, clock, blobs, workers)


async def chunks(data: bytes, size: int = 7000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def plain() -> bytes:
    """The legacy file without its column of defects."""
    names = [name for name in legacy_rows()[0] if name != "defect"]
    return "\r\n".join([",".join(names), *(",".join(row[name] for name in names) for row in legacy_rows())]).encode()


async def test_an_uploaded_file_is_imported_and_gone(needed: Ingestion, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_parts, "PART", 20_000)
    order = Order("legacy.csv")
    view = await accept(needed, CLIENT, order, chunks(plain()))
    assert (view.state, view.rows, view.octets) == ("waiting", 0, len(plain()))
    async with database.session() as session:
        parts = (await session.scalars(select(ImportPartRow).order_by(ImportPartRow.number))).all()
        sealed = [await needed.blobs.get(part.part_digest) for part in parts]
    assert len(parts) == -(-len(plain()) // 20_000)
    assert not any(b"990100" in part or "示范".encode() in part for part in sealed), "nothing of the file lies in the plain"
    assert (await accept(needed, CLIENT, order, chunks(plain()))).id == view.id, "the same file is the same import"
    assert await work_imports(needed) == 1
    assert await work_imports(needed) == 0
    done = await get_import(needed, CLIENT, view.id)
    assert (done.state, done.rows, done.octets_done, done.failure) == ("done", 300, done.octets, None)
    found = {row.line: row.flags for row in [row async for row in flagged_rows(database, view.id)]}
    own = {line: flags for line, flags in found.items() if flags != ("issuer_foreign",)}
    assert {line: tuple(flag for flag in flags if flag != "issuer_foreign") for line, flags in own.items()} == expected_flags()
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(ImportPartRow)) == 0
        assert (await session.get_one(ImportRow, view.id)).content_key is None
        grades = {(issuer, grade) for issuer, grade in await session.execute(select(CertificateRow.issuer, CertificateRow.trust_grade))}
    assert {grade for issuer, grade in grades if issuer == BUREAU} == {"B"}
    assert {grade for issuer, grade in grades if issuer != BUREAU} == {"C"}, "of others' certificates it is no issuer"
    again = await accept(needed, CLIENT, order, chunks(plain()))
    assert (again.id, again.state) == (view.id, "done")
    assert [one.id for one in await list_imports(needed, CLIENT)] == [view.id]


async def test_a_job_of_a_process_that_is_gone_is_anybodys(
    needed: Ingestion, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "BATCH", 70)
    view = await accept(needed, CLIENT, Order("legacy.csv"), chunks(plain()))

    def cut(rows: int, octets: int, flagged: int) -> None:
        if rows >= 140:
            raise RuntimeError("the process is gone")

    with pytest.raises(RuntimeError):
        await work_imports(replace(needed, progress=cut))
    halfway = await get_import(needed, CLIENT, view.id)
    assert (halfway.state, halfway.rows) == ("waiting", 140)
    async with database.begin() as session:  # as if it had been killed: it still holds the lease
        values = {"state": "running", "lease_owner": view.id, "lease_until": clock.now() + dt.timedelta(minutes=1)}
        await session.execute(update(ImportRow).values(**values))
    assert await work_imports(needed) == 0
    async with database.begin() as session:
        await session.execute(update(ImportRow).values(lease_until=clock.now() - dt.timedelta(seconds=1)))
    assert await work_imports(needed) == 1
    assert (await get_import(needed, CLIENT, view.id)).rows == 300
    async with database.session() as session:
        assert await count_certificates(session) == 300


async def test_a_dry_run_stores_no_certificate_and_begins_anew(needed: Ingestion, database: Database) -> None:
    view = await accept(needed, CLIENT, Order("legacy.csv", dry_run=True), chunks(plain()))
    other = await accept(needed, CLIENT, Order("legacy.csv", dry_run=True), chunks(plain()))
    assert view.id != other.id
    assert await work_imports(needed) == 1
    done = await get_import(needed, CLIENT, view.id)
    assert (done.state, done.rows, done.flag_counts["duplicate_identifier"]) == ("done", 300, 11)
    async with database.session() as session:
        assert await count_certificates(session) == 0


async def test_its_end_is_told_to_the_organisation_that_imports(needed: Ingestion, database: Database) -> None:
    """Done or failed, in ids and counts; nothing of what stood in the file."""
    done = await accept(needed, CLIENT, Order("legacy.csv", dry_run=True), chunks(plain()))
    assert await work_imports(needed) == 1
    failed = await accept(needed, CLIENT, Order("legacy.csv"), chunks(plain()))
    async with database.begin() as session:  # what was readable when it came is no longer
        await session.execute(update(ImportRow).where(ImportRow.id == failed.id).values(encoding="utf-16-be"))
    assert await work_imports(needed) == 0
    async with database.session() as session:
        rows = await session.scalars(select(OutboxRow).where(OutboxRow.topic.like("import.%")).order_by(OutboxRow.id))
        told_of = [(one.topic, one.organisations, told(one, "https://house")) for one in rows]
    assert [(topic, to) for topic, to, _ in told_of] == [("import.done", [BUREAU]), ("import.failed", [BUREAU])]
    flagged = (await get_import(needed, CLIENT, done.id)).flagged
    assert told_of[0][2]["data"] == {"id": str(done.id), "type": "", "rows": 300, "flagged": flagged, "dry_run": True}
    assert told_of[0][2]["links"]["import"] == f"https://house/api/v1/imports/{done.id}"
    ended = await get_import(needed, CLIENT, failed.id)
    assert (ended.state, told_of[1][2]["data"]) == (
        "failed", {"id": str(failed.id), "type": "", "rows": 0, "dry_run": False, "code": ended.failure},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "error"), [(b"", ImportEmpty), (b"%PDF-1.7\n%\xe2\xe3\n", ImportUnreadable), (b"a,b\n1,2\n", ImportUnreadable)]
)
async def test_what_is_no_import_is_refused_at_once(needed: Ingestion, database: Database, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await accept(needed, CLIENT, Order("x"), chunks(data))
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(ImportRow)) == 0


async def test_only_an_organisations_own_clients_and_approvers_import(needed: Ingestion) -> None:
    clerk = Actor(ActorKind.PERSON, "1", "甲", BUREAU, roles=frozenset({Role.WINDOW_CLERK}))
    for actor in (clerk, Actor(ActorKind.CLIENT, "bank", "银行")):
        with pytest.raises(ImportForbidden):
            await accept(needed, actor, Order("x"), chunks(plain()))
    with pytest.raises(InvalidInput):
        await accept(needed, CLIENT, Order("x", grade="E"), chunks(plain()))
    with pytest.raises(InvalidInput):
        await accept(needed, CLIENT, Order("x", encoding="klingon"), chunks(plain()))
    approver = Actor(ActorKind.PERSON, "2", "乙", OTHER, roles=frozenset({Role.APPROVER}))
    view = await accept(needed, approver, Order("x"), chunks(plain()))
    with pytest.raises(NotFound):
        await get_import(needed, CLIENT, view.id)


async def test_a_store_that_is_down_holds_the_import_up_and_loses_nothing(needed: Ingestion, database: Database, clock: Clock) -> None:
    view = await accept(needed, CLIENT, Order("legacy.csv"), chunks(plain()))
    async with database.session() as session:
        digest = (await session.scalars(select(ImportPartRow.part_digest))).one()
    content = await needed.blobs.get(digest)
    await needed.blobs.forget(digest)
    assert await work_imports(needed) == 0
    waiting = await get_import(needed, CLIENT, view.id)
    assert (waiting.state, waiting.failure) == ("waiting", "DOCUMENT_GONE")
    await needed.blobs.put(content)
    async with database.begin() as session:
        await session.execute(update(ImportRow).values(lease_until=None))
    assert await work_imports(needed) == 1
    assert (await get_import(needed, CLIENT, view.id)).state == "done"


async def test_a_later_check_finds_what_the_registers_know_since(
    needed: Ingestion, database: Database, personal: PersonalData, clock: Clock
) -> None:
    view = await accept(needed, CLIENT, Order("legacy.csv"), chunks(plain()))
    await work_imports(needed)
    async with database.begin() as session:
        await load_population(session, clock.now(), personal, [{"id_number": "990100196708231253", "name": "孙子涵"}])
    check = await request_recheck(needed, CLIENT, view.id)
    assert (await request_recheck(needed, CLIENT, view.id)).id == check.id
    assert await work_rechecks(needed) == 300
    done = (await rechecks_of(needed, view.id))[0]
    assert (done.rows, done.lost, done.finished_at is not None) == (300, {}, True)
    assert set(done.gained) == {"holder_unknown"}
    people = [row for row in legacy_rows() if row["CZZTDMLXDM"] == "111" and row["defect"] != "holder_code_check" and row["CZZTDM"]]
    assert done.gained["holder_unknown"] == sum(row["CZZTDM"] != "990100196708231253" for row in people)
    async with database.begin() as session:
        every = [{"id_number": row["CZZTDM"], "name": row["CZZT"] or "无名"} for row in {row["CZZTDM"]: row for row in people}.values()]
        await load_population(session, clock.now(), personal, every)
    await request_recheck(needed, CLIENT, view.id)
    await work_rechecks(needed)
    latest = (await rechecks_of(needed, view.id))[0]
    assert (latest.gained, latest.lost) == ({}, done.gained)


async def test_a_second_import_knows_the_registers(needed: Ingestion, database: Database, personal: PersonalData, clock: Clock) -> None:
    async with database.begin() as session:
        await load_legal_persons(session, clock.now(), personal, [{"uscc": "91990100MA1TEXT06T", "name": "示范市江畔餐饮管理有限公司"}])
    view = await accept(needed, CLIENT, Order("legacy.csv"), chunks(plain()))
    await work_imports(needed)
    found = [row async for row in flagged_rows(database, view.id) if "holder_unknown" in row.flags]
    wanted = [
        line
        for line, row in enumerate(legacy_rows(), start=2)
        if row["CZZTDMLXDM"] == "001" and row["CZZTDM"] not in ("", "91990100MA1TEXT06T") and row["defect"] != "holder_code_check"
    ]
    assert [row.line for row in found] == wanted


def test_the_spreadsheet_opens_and_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    sheet = Spreadsheet(path, Facts("=cmd.csv", 3, 2, {"bad_date": 2}))
    sheet.add(2, '=HYPERLINK("http://evil.example")', ("bad_date",))
    sheet.add(3, "1.2.156", ("bad_date", "encoding"))
    sheet.close()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    text = "".join(parts.values())
    assert "<f>" not in text
    assert "hyperlink " not in text.lower()
    assert "HYPERLINK" in text
    assert "日期不存在" in text
