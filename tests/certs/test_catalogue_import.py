"""Many types at once, and the catalogue as a file."""

import csv
import io
import json
from pathlib import Path

import pytest

from certs.catalogue import Sharing, SharingClass, definition, shipped_types
from certs.catalogue_directory import directory
from certs.catalogue_files import DIRECTORY, CatalogueFileUnreadable, read_table, write_csv
from certs.catalogue_import import Step, import_types, step_many
from certs.catalogue_reads import Wanted, count_being_written, find_types, get_versions, in_force, open_versions
from certs.reads import put_types
from certs.type_lifecycle import TypeMove, TypeStatus
from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import Database
from tests.certs.catalogue_people import CODE, HAWKER, HOUSING, MARKET, REVIEWER, SYSADMIN, WRITER

DEMO = Path(__file__).parents[2] / "api" / "demo" / "data" / "certificate_types.csv"


def lines(*rows: dict[str, object]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def bare(number: int, **more: object) -> dict[str, object]:
    return {"code": f"{MARKET}{number:03d}", "name_zh": f"示例证照{number}", "holder_kind": "legal"} | more


async def outcomes(database: Database, clock: Clock, document: bytes, **more: bool) -> list[str]:
    return [one.outcome for one in await import_types(database, clock, SYSADMIN, document, **more)]


async def test_a_table_of_types_comes_in_row_by_row(database: Database, clock: Clock) -> None:
    table = lines(
        bare(1), bare(2, fields=[{"name": "甲", "short": "KZ_JIA", "mandatory": True, "mask": "none"}]), {"code": "x", "name_zh": "无"},
        bare(1), bare(3, max_years=500),
    ) + b"\nno json\n" + lines([])  # fmt: skip
    rehearsed = await import_types(database, clock, SYSADMIN, table, dry_run=True)
    assert [one.outcome for one in rehearsed] == ["new", "new", "refused", "refused", "refused", "refused", "refused"]
    assert {field for one in rehearsed for field, _ in one.errors} == {"holder_kind", "code", "max_years", "row"}
    async with database.session() as session:
        assert (await find_types(session, Wanted())).total == 0
    assert await import_types(database, clock, SYSADMIN, table) == rehearsed
    again = await import_types(database, clock, SYSADMIN, lines(bare(1), bare(2, name_zh="改名"), bare(4)))
    assert [(one.outcome, one.version) for one in again] == [("unchanged", 1), ("changed", 1), ("new", 1)]
    async with database.session() as session:
        kept = (await get_versions(session, f"{MARKET}002"))[0]
        assert (kept.kind.name_zh, len(kept.kind.fields)) == ("改名", 1), "what a row does not say stays"
    assert {one.errors[0][1] for one in await import_types(database, clock, WRITER, lines({**bare(9), "code": f"{HOUSING}009"}))} == {
        "CATALOGUE_FORBIDDEN"
    }


async def test_imported_types_are_reviewed_many_at_once(database: Database, clock: Clock) -> None:
    async with database.begin() as session:
        await put_types(session, clock.now(), shipped_types())
    table = DEMO.read_bytes().replace("食品经营许可证".encode(), "食品经营许可证（新）".encode())
    assert sorted(await outcomes(database, clock, table, submit=True)) == ["changed", *["unchanged"] * 6]
    assert await outcomes(database, clock, lines(*(bare(number) for number in range(101, 131))), submit=True) == ["new"] * 30
    async with database.session() as session:
        waiting = await open_versions(session)
        assert await count_being_written(session) == 31
    assert {one.status for one in waiting} == {TypeStatus.REVIEW}
    steps = [Step(one.kind.code, one.kind.version, one.digest) for one in waiting]
    wrong = Step(steps[0].code, steps[0].version, b"\0" * 32)
    done = await step_many(database, clock, REVIEWER, TypeMove.PUBLISH, [wrong, *steps])
    assert [error.code if error else None for _, error in done] == ["CERTIFICATE_TYPE_CHANGED", *[None] * 31]
    assert all(error is not None for _, error in await step_many(database, clock, SYSADMIN, TypeMove.PUBLISH, steps))
    async with database.session() as session:
        assert len(await in_force(session)) == 30 + len(shipped_types())
        assert [one.kind.name_zh for one in await get_versions(session, f"{MARKET}002")] == [
            "食品经营许可证（新）" if one.status is TypeStatus.PUBLISHED else "食品经营许可证"
            for one in await get_versions(session, f"{MARKET}002")
        ]


async def test_the_directory_has_the_names_of_the_standard_and_comes_back_in(database: Database, clock: Clock) -> None:
    kinds = [HAWKER, *shipped_types()]
    async with database.begin() as session:
        await put_types(session, clock.now(), kinds)
    async with database.session() as session:
        entries, own = await directory(session), await directory(session, MARKET)
    assert len(entries) == len(kinds)
    assert {one["CertificateTypeCode"] for one in own} == {HAWKER.code, f"{MARKET}002"}
    card = next(one for one in entries if one["CertificateTypeCode"] == HAWKER.code)
    assert tuple(card) == DIRECTORY
    assert [card[name] for name in DIRECTORY[3:5]] == [MARKET, "地市级"]
    assert (card["CertificateHolderCategory"], card["ValidityRange"], card["x_sharing"]) == ("自然人^法人", "3年", "unconditional")
    document = write_csv(entries)
    assert list(csv.DictReader(io.StringIO(document.decode("utf-8-sig")))) == entries
    assert set(await outcomes(database, clock, document)) == {"unchanged"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_encoding_and_any_line_end(encoding: str, ending: str) -> None:
    text = ending.join(["type_code,name_zh,open_ended,issuers,sharing_class,fields", f'{CODE},营业执照,是,{MARKET}^{HOUSING},,"[]"', ""])
    [row] = read_table(text.encode(encoding))
    assert row.members == {
        "code": CODE, "name_zh": "营业执照", "open_ended": True, "issuers": [MARKET, HOUSING], "fields": [],
    }  # fmt: skip


def test_what_is_no_table_is_refused_and_a_bad_row_is_one_row() -> None:
    for document in (b"", b"\xff\xfe\x00", b"a,b\n1,2", b"[1"):
        with pytest.raises(CatalogueFileUnreadable):
            list(read_table(document))
    huge = f'code,name_zh\n{CODE},"{"长" * 200_000}"\n{CODE},甲\n{CODE},甲,乙\n{CODE},"甲'.encode()
    assert [bool(row.fault) for row in read_table(huge)] == [True, False, True, True]
    assert [row.fault for row in read_table(b'{"code": "' + b"x" * 200_000 + b'"}\n{"max_years": "x"}')] == [
        "too long",
        "max_years: not understood",
    ]


def test_a_cell_is_no_formula_and_a_definition_travels_whole() -> None:
    assert b"'=1+1" in write_csv([dict.fromkeys(DIRECTORY, "=1+1")])
    rich = definition(HAWKER) | {"sharing": {"class": "not_shared", "basis": "规定", "condition": ""}}
    [row] = read_table(json.dumps([rich]).encode())
    assert row.members["sharing"] == {"class": "not_shared", "basis": "规定", "condition": ""}
    assert Sharing(SharingClass(row.members["sharing"]["class"]), "规定").basis == "规定"
    assert SYSTEM.id == "fujie"
