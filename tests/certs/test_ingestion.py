import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.workers import ProcessWorkers
from certs import ingestion
from certs.catalogue import shipped_types
from certs.ingestion import FlaggedRow, Ingestion, Report, Request, flagged_rows, import_file
from certs.ingestion_files import ImportUnreadable, read_rows
from certs.ingestion_rules import FLAGS, judge
from certs.models import CertificateRow, HolderRow
from certs.reads import certificates_held, count_certificates
from identity.personal_data import PersonalData
from keys.base.actor import SYSTEM
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database

LEGACY = Path(__file__).parents[1] / "data" / "legacy_certificates.csv"
TYPES = {kind.code: kind for kind in shipped_types()}
Make = Callable[..., Ingestion]


@pytest.fixture
def make(
    database: Database, personal: PersonalData, clock: Clock, blobs: FolderBlobStore, workers: ProcessWorkers, catalogue: None
) -> Make:
    return lambda **changes: Ingestion(database, personal, clock, blobs, workers, **changes)


async def flagged(database: Database, report: Report) -> list[FlaggedRow]:
    return [row async for row in flagged_rows(database, report.import_id)]


def legacy_rows() -> list[dict[str, str]]:
    with LEGACY.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def expected_flags() -> dict[int, tuple[str, ...]]:
    return {line: (row["defect"],) for line, row in enumerate(legacy_rows(), start=2) if row["defect"]}


@pytest.fixture
def without_defects(tmp_path: Path) -> Path:
    path = tmp_path / "legacy.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = legacy_rows()
        names = [name for name in rows[0] if name != "defect"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


async def test_exactly_the_defective_rows_are_flagged_each_with_its_flag(make: Make, without_defects: Path, database: Database) -> None:
    report = await import_file(make(), SYSTEM, Request(without_defects))
    assert report.rows == 300
    assert {row.line: row.flags for row in await flagged(database, report)} == expected_flags()
    assert report.flag_counts == {
        "identifier_check": 12, "identifier_root": 12, "holder_code_check": 12, "missing_mandatory": 12, "bad_date": 12,
        "duplicate_identifier": 11,
    }  # fmt: skip
    async with database.session() as session:
        assert await count_certificates(session) == 300


async def test_a_second_run_stores_nothing_again(make: Make, database: Database) -> None:
    first = await import_file(make(), SYSTEM, Request(LEGACY))
    second = await import_file(make(), SYSTEM, Request(LEGACY))
    assert not first.already_done
    assert second.already_done
    assert (second.rows, second.flagged, second.flag_counts) == (first.rows, first.flagged, first.flag_counts)
    async with database.session() as session:
        assert await count_certificates(session) == 300


async def test_an_interrupted_import_goes_on_where_it_stopped(make: Make, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "BATCH", 70)

    def pull_the_plug(rows: int, octets: int, flagged: int) -> None:
        if rows >= 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await import_file(make(progress=pull_the_plug), SYSTEM, Request(LEGACY))
    async with database.session() as session:
        assert await count_certificates(session) == 140
    report = await import_file(make(), SYSTEM, Request(LEGACY))
    assert (report.resumed_at, report.rows) == (140, 300)
    assert {row.line: row.flags for row in await flagged(database, report)} == expected_flags()
    async with database.session() as session:
        assert await count_certificates(session) == 300


async def test_a_rehearsal_says_the_same_and_writes_nothing(make: Make, database: Database) -> None:
    report = await import_file(make(), SYSTEM, Request(LEGACY, dry_run=True))
    assert {row.line: row.flags for row in await flagged(database, report)} == expected_flags()
    async with database.session() as session:
        assert await count_certificates(session) == 0


async def test_rows_of_another_file_with_known_identifiers_are_duplicates(make: Make, tmp_path: Path) -> None:
    await import_file(make(), SYSTEM, Request(LEGACY))
    again = tmp_path / "again.csv"
    again.write_bytes(LEGACY.read_bytes() + b"\n")
    report = await import_file(make(), SYSTEM, Request(again))
    assert report.flag_counts["duplicate_identifier"] == 300


async def test_numbers_of_people_are_found_by_index_and_stand_in_no_column(make: Make, database: Database, personal: PersonalData) -> None:
    await import_file(make(), SYSTEM, Request(LEGACY))
    number = "990100196708231253"
    async with database.session() as session:
        page = await certificates_held(session, personal.index("111", number))
        assert page.items
        assert {one.holders[0].name for one in page.items} == {"孙子涵"}
        assert {one.holders[0].code_masked for one in page.items} == {"990***********1253"}
        for table in (CertificateRow.__table__, HolderRow.__table__):
            cells = await session.scalars(select(func.to_jsonb(table.table_valued())))
            assert number not in json.dumps(list(cells))


async def test_organisations_are_found_in_pages(make: Make, database: Database, personal: PersonalData) -> None:
    await import_file(make(), SYSTEM, Request(LEGACY))
    index, found, cursor = personal.index("001", "91990100MA1TEXT06T"), [], None
    async with database.session() as session:
        while True:
            page = await certificates_held(session, index, cursor=cursor, limit=20)
            found += page.items
            if page.next_cursor is None:
                break
            cursor = page.items[-1].id
        whole = await certificates_held(session, index, limit=1000)
    assert [one.id for one in found] == [one.id for one in whole.items]
    assert len(found) > 40


async def test_a_type_given_for_the_file_counts_for_every_row(make: Make, tmp_path: Path, database: Database) -> None:
    path = tmp_path / "rows.jsonl"
    row = {name: value for name, value in legacy_rows()[0].items() if name not in ("defect", "ZZLXDM")}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n\n" + json.dumps(row | {"ZZBS": "", "ZZLXDM": "X"}) + "\n", encoding="utf-8")
    report = await import_file(make(), SYSTEM, Request(path, type_code=legacy_rows()[0]["ZZLXDM"]))
    assert report.rows == 2
    assert [(one.line, one.flags) for one in await flagged(database, report)] == [(3, ("type_mismatch",))]


async def test_documents_beside_the_file_come_along(make: Make, tmp_path: Path, database: Database, blobs: FolderBlobStore) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "one.pdf").write_bytes(b"%PDF one")
    (tmp_path / "outside.pdf").write_bytes(b"%PDF outside")
    rows = [legacy_rows()[index] | {"file": name} for index, name in enumerate(["one.pdf", "gone.pdf", "../outside.pdf"])]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    report = await import_file(make(), SYSTEM, Request(folder / "rows.jsonl"))
    assert [(one.line, one.flags[-1]) for one in await flagged(database, report)] == [(2, "file_missing"), (3, "file_missing")]
    async with database.session() as session:
        hashes = [one for one in await session.scalars(select(CertificateRow.document_hash)) if one]
    assert [await blobs.get(one) for one in hashes] == [b"%PDF one"]


def test_odd_rows_are_flagged_never_refused(tmp_path: Path) -> None:
    good = legacy_rows()[0]
    odd = {
        "identifier_format": good | {"ZZBS": "not an identifier"},
        "identifier_type": good | {"ZZLXDM": "11100000MB03271699001"},
        "identifier_issuer": good | {"ZZBFJGDM": "11990100MB0000035A"},
        "unknown_type": good | {"ZZLXDM": "11990100MB0000035A999", "ZZBS": ""},
        "validity_order": good | {"ZZYXQJZRQ": "2017-01-01"},
        "holder_code_type": good | {"CZZTDMLXDM": "000"},
        "holder_kind": good | {"ZZLXDM": "11100000MB0143028R001", "ZZBS": ""},
        "holder_count": good | {"CZZT": "甲^乙"},
        "number_in_text": good | {"KZ_BZ": f"身份证{good['CZZTDM']}号"},
        "encoding": good | {"CZZT": "\ufffd明"},
    }
    assert not judge(good, TYPES).flags
    for flag, row in odd.items():
        draft = judge(row, TYPES)
        assert flag in draft.flags, flag
        assert flag in FLAGS
        assert good["CZZTDM"] not in str(draft.fields)


def test_several_holders_stand_in_one_row() -> None:
    row = legacy_rows()[0] | {"CZZT": "卫思远^郑雨桐", "CZZTDM": "990100195409041017^990100198701171023", "CZZTDMLXDM": "111^111"}
    draft = judge(row, TYPES)
    assert not draft.flags
    assert [(one.name, one.code_type) for one in draft.holders] == [("卫思远", "111"), ("郑雨桐", "111")]


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n%\xe2\xe3\n", b"a,b,c\n1,2,3\n", b"\x00" * 100])
def test_a_file_of_another_kind_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ImportUnreadable):
        list(read_rows(path))


def test_broken_lines_stay_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbfZZMC,ZZBS\nx\n"a\nb",c\n1,2,3\n\n' + "营业执照".encode("gb18030") + b",z\n")
    rows = list(read_rows(path, "utf-8"))
    assert [bool(row.fault) for row in rows] == [True, False, True, False]
    assert rows[1].values == {"ZZMC": "a\nb", "ZZBS": "c"}
    assert "\ufffd" in rows[3].values["ZZMC"]
    assert next(iter(read_rows(path, "gb18030"))).line == 2
    lines = tmp_path / "rows.jsonl"
    lines.write_bytes(b'{"ZZBS": ["a", "b"], "n": 1}\n[]\n{"broken\n')
    assert [(row.values, bool(row.fault)) for row in read_rows(lines)] == [({"ZZBS": "a^b", "n": "1"}, False), ({}, True), ({}, True)]
