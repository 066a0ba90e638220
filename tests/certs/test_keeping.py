"""Keeping the library: the scrubber, orphans, retention, disposal by two people, and exports."""

import csv
import datetime as dt
import io
import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from certs.disposal import Disposing, decide, propose
from certs.export_parts import export_to
from certs.exporting import COLUMNS, Format, Line, Wanted, begin, encode, header, lines
from certs.finding import Search, search
from certs.indexing import index_waiting
from certs.library import Library, access_history, file_of
from certs.library_models import SearchRow
from certs.lifecycle import Standing
from certs.models import AccessRow, CertificateRow, HolderRow
from certs.orphans import Swept, sweep_orphans
from certs.reads import get_certificate
from certs.retention import Rule, lift_hold, place_hold, rules, set_rule, years_before
from certs.scrubbing import Scrubbing, findings, last_round, scrub_all, scrub_step
from certs.standing import change_standing
from certs.stored_files import hash_columns, referred_to
from certs.verification import record_by_code
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import BlobGone, FolderBlobStore, StoreUnreachable
from keys.base.errors import FujieError
from seal.upgrades import enrol

ISSUER = "11990100MB00000435"
GRACE = dt.timedelta(days=7)

pytestmark = pytest.mark.timeout(400)  # the first test waits for the city and its certificates


@pytest.fixture
def library(city: Any) -> Library:
    issuing = city.issuing
    return Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)


@pytest.fixture
def issued(stocked: Any) -> list[Any]:
    return list(stocked.issued)


@pytest.fixture
def scrubbing(city: Any) -> Scrubbing:
    return Scrubbing(city.issuing.database, city.issuing.clock, city.issuing.blobs, 1 << 40, dt.timedelta(days=30))


async def code(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


async def document_of(library: Library, certificate_id: Any) -> bytes:
    async with library.database.session() as session:
        found = await get_certificate(session, certificate_id)
    assert found is not None
    assert found.document_hash is not None
    return found.document_hash


async def actions(library: Library, prefix: str) -> list[tuple[str, str]]:
    statement = text("SELECT action, outcome FROM keys.audit_events WHERE action LIKE :prefix ORDER BY occurred_at, id")
    async with library.database.session() as session:
        return [(action, outcome) for action, outcome in await session.execute(statement, {"prefix": f"{prefix}%"})]


def approver(name: str, roles: frozenset[Role] = frozenset({Role.APPROVER}), factors: int = 2) -> Actor:
    return Actor(ActorKind.PERSON, name, name, ISSUER, "990100", roles, assurance=2, authenticator=factors)


async def test_the_scrubber_finds_what_is_damaged_or_gone_and_what_was_mended(
    library: Library, scrubbing: Scrubbing, issued: list[Any], blobs: FolderBlobStore, clock: Any
) -> None:
    first, second = [await document_of(library, one.id) for one in issued[:2]]
    whole = await blobs.get(first)
    blobs.path(first).write_bytes(whole[:-1] + b"!")
    blobs.path(second).unlink()
    assert await scrub_step(scrubbing) == 3
    async with library.database.session() as session:
        assert {(one.digest, one.kind) for one in await findings(session)} == {(first, "damaged"), (second, "missing")}
    assert await actions(library, "certs.scrub") == [("certs.scrub.finding", "failed")] * 2
    assert await scrub_step(scrubbing) == 0, "the next round is not due"
    await blobs.put(whole)
    done = await scrub_all(scrubbing)
    assert (done.number, done.files, done.open_findings) == (2, 3, 1)
    assert (await actions(library, "certs.scrub"))[2:] == [("certs.scrub.mended", "done")], "a known finding is not said again"
    clock.advance(days=31)
    assert await scrub_step(scrubbing) == 3
    assert (await last_round(library.database)).number == 3


async def test_a_round_goes_on_where_it_stopped_and_a_silent_store_is_no_finding(
    library: Library, scrubbing: Scrubbing, issued: list[Any], blobs: FolderBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certs.scrubbing.BATCH", 1)
    read: list[bytes] = []
    get = FolderBlobStore.get

    async def watched(self: FolderBlobStore, digest: bytes) -> bytes:
        if len(read) == 2:
            read.append(b"")
            raise StoreUnreachable
        read.append(digest)
        return await get(self, digest)

    monkeypatch.setattr(FolderBlobStore, "get", watched)
    with pytest.raises(StoreUnreachable):
        await scrub_step(scrubbing)
    assert (await last_round(library.database)).files == 2
    await scrub_step(scrubbing)
    done = await last_round(library.database)
    assert (done.number, done.files, done.open_findings) == (1, 3, 0)
    assert sorted(filter(None, read)) == sorted([await document_of(library, one.id) for one in issued])


async def age(blobs: FolderBlobStore, digest: bytes, when: dt.datetime, *, retired: bool = False) -> None:
    os.utime(blobs.path(digest, retired=retired), (when.timestamp(),) * 2)


async def test_orphans_go_in_two_steps_and_nothing_with_a_record_ever(
    library: Library, issued: list[Any], blobs: FolderBlobStore, clock: Any, city: Any
) -> None:
    old = clock.now() - dt.timedelta(days=30)
    kept = [await document_of(library, one.id) for one in issued]
    sealed = await blobs.put(b"a sealed document of a department")
    async with library.database.begin() as session:
        await enrol(session, clock.now(), "document:x", sealed)
    orphan, young, back = await blobs.put(b"orphan"), await blobs.put(b"young"), await blobs.put(b"came back")
    for digest in (*kept, sealed, orphan, back):
        await age(blobs, digest, old)
    await age(blobs, young, clock.now())
    sweep = lambda: sweep_orphans(library.database, clock, blobs, GRACE)  # noqa: E731
    present = {one.digest async for batch in blobs.stored() for one in batch}
    known = {*kept, sealed, orphan, young, back}
    others = present - known
    for digest in others:
        await age(blobs, digest, clock.now())
    assert await sweep() == Swept(retired=2)
    assert await blobs.get(orphan) == b"orphan", "still found should anybody ask"
    async with library.database.begin() as session:
        await session.execute(update(CertificateRow).where(CertificateRow.id == issued[2].id).values(document_hash=back))
    for digest in (orphan, back):
        await age(blobs, digest, old, retired=True)
    for digest in others:
        await age(blobs, digest, clock.now())
    swept = await sweep()
    assert (swept.returned, swept.forgotten) == (1, 1)
    assert await blobs.get(back) == b"came back"
    with pytest.raises(BlobGone):
        await blobs.get(orphan)
    for digest in (kept[0], kept[1], sealed, young):
        assert await blobs.get(digest)
    assert {name for name, _ in await actions(library, "certs.orphans")} == {"certs.orphans.retire", "certs.orphans.forget"}


async def test_every_column_that_names_a_file_protects_it(library: Library) -> None:
    async with library.database.session() as session:
        columns = set(await hash_columns(session))
        assert await referred_to(session, [bytes(32)]) == set()
    for table, column in (
        ("certs.certificates", "document_hash"), ("certs.issuings", "unsealed_hash"), ("seal.documents", "document_hash"),
        ("seal.requested_seals", "base_hash"), ("seal.requested_seals", "sealed_hash"), ("seal.batch_documents", "sealed_hash"),
        ("seal.sealed_versions", "document_hash"), ("seal.sealed_files", "current_hash"), ("seal.uses", "document_hash"),
    ):  # fmt: skip
        assert (table, column) in columns


async def test_two_people_dispose_and_a_tombstone_says_so(
    city: Any, library: Library, issued: list[Any], blobs: FolderBlobStore, clock: Any
) -> None:
    disposing, first, second = Disposing(library.database, clock, blobs), approver("first"), approver("second")
    kind, database = city.approval(0).certificate_type, library.database
    document = await document_of(library, issued[0].id)
    await index_waiting(database)
    assert await code(propose(disposing, first, kind, "保管期满")) == "NOTHING_DUE", "without a rule it is kept for ever"
    async with database.begin() as session:
        await set_rule(session, clock.now(), SYSTEM, Rule(kind, 10, "档案法第二十八条"))
        assert [one.years for one in await rules(session)] == [10]
    await change_standing(database, clock, city.client, issued[0].id, "cancel", "歇业")
    clock.advance(days=366 * 10)
    for wrong in (approver("x", frozenset({Role.CITIZEN})), approver("x", factors=1), city.client):
        assert await code(propose(disposing, wrong, kind, "保管期满")) == "MAY_NOT_DISPOSE"
    listed = await propose(disposing, first, kind, "保管期满")
    assert (listed.certificates, listed.state.value) == (1, "proposed")
    assert await code(propose(disposing, second, kind, "再来")) == "NOTHING_DUE", "it is on a list already"
    assert await code(decide(disposing, first, listed.id, agree=True)) == "DISPOSAL_NEEDS_TWO"
    assert await blobs.get(document)
    done = await decide(disposing, second, listed.id, agree=True)
    assert (done.state.value, done.disposed, done.kept) == ("done", 1, {})
    assert await code(decide(disposing, second, listed.id, agree=False)) == "DISPOSAL_DECIDED"
    with pytest.raises(BlobGone):
        await blobs.get(document)
    async with database.session() as session:
        holders = list(await session.scalars(select(HolderRow).where(HolderRow.certificate_id == issued[0].id)))
        assert await session.get(SearchRow, issued[0].id) is None
    assert {(one.name, one.code, one.code_masked, one.code_index, one.code_sealed) for one in holders} == {("", None, "", b"", None)}
    report = await record_by_code(database, clock.now(), issued[0].verification_code)
    assert (report.status, report.fields) == (Standing.DISPOSED, ())
    assert report.certificate is not None
    assert report.certificate.identifier == issued[0].identifier
    found = await search(library, city.client, Search(purpose="核对", identifier=issued[0].identifier, status="disposed"))
    assert [one.id for one in found.items] == [issued[0].id]
    assert await code(file_of(library, city.client, issued[0].id, "核对")) == "DOCUMENT_NOT_HELD"
    assert ("certs.dispose", "done") in await actions(library, "certs.dispose")


async def test_a_hold_keeps_a_certificate_even_after_somebody_agreed(
    city: Any, library: Library, issued: list[Any], blobs: FolderBlobStore, clock: Any
) -> None:
    disposing, kind = Disposing(library.database, clock, blobs), city.approval(0).certificate_type
    async with library.database.begin() as session:
        await set_rule(session, clock.now(), SYSTEM, Rule(kind, 0, "测试"))
    await change_standing(library.database, clock, city.client, issued[0].id, "revoke", "整改")
    clock.advance(days=2)
    listed = await propose(disposing, approver("first"), kind, "保管期满")
    await place_hold(library.database, clock.now(), SYSTEM, issued[0].id, "诉讼保全")
    assert await code(place_hold(library.database, clock.now(), SYSTEM, issued[0].id, "又一次")) == "LEGAL_HOLD"
    done = await decide(disposing, approver("second"), listed.id, agree=True)
    assert (done.disposed, done.kept) == (0, {"NOT_DUE": 1})
    assert await blobs.get(await document_of(library, issued[0].id))
    await lift_hold(library.database, clock.now(), SYSTEM, issued[0].id)
    assert await code(lift_hold(library.database, clock.now(), SYSTEM, issued[0].id)) == "NO_LEGAL_HOLD"
    again = await propose(disposing, approver("first"), kind, "保管期满")
    refused = await decide(disposing, approver("second"), again.id, agree=False)
    assert (refused.state.value, refused.disposed) == ("refused", 0)


def test_years_are_counted_by_the_calendar() -> None:
    assert years_before(dt.date(2028, 2, 29), 1) == dt.date(2027, 2, 28)
    assert years_before(dt.date(2026, 11, 22), 10) == dt.date(2016, 11, 22)


async def collect(library: Library, actor: Actor, wanted: Wanted) -> tuple[list[dict[str, Any]], bytes]:
    admitted = await begin(library, actor, wanted)
    found = [line async for page in lines(library, actor, admitted) for line in page]
    return [line.values for line in found], header(admitted) + b"".join(encode(line, admitted) for line in found)


async def test_an_export_holds_what_one_may_take_out_and_every_holder_sees_it(city: Any, library: Library, issued: list[Any]) -> None:
    values, content = await collect(library, approver("clerk"), Wanted("移交档案"))
    assert [one["id"] for one in values] == [str(issued[0].id)]
    assert [json.loads(line) for line in content.splitlines()] == values
    everything, _ = await collect(library, SYSTEM, Wanted("移交档案"))
    assert [one["id"] for one in everything] == [str(one.id) for one in issued]
    numbers = {one.code for number in range(3) for one in city.approval(number).holders if one.code_type == "111"}
    assert not [one for one in numbers if one in json.dumps(everything)]
    seen = await access_history(library, SYSTEM, issued[0].id)
    assert [(one.kind, one.purpose) for one in seen] == [("export", "移交档案")] * 2
    _, table = await collect(library, SYSTEM, Wanted("移交档案", format=Format.CSV))
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [row["identifier"] for row in rows] == [one.identifier for one in issued]
    assert json.loads(rows[0]["fields"]) == values[0]["fields"]


async def test_numbers_of_people_leave_only_with_the_right_and_a_legal_basis(city: Any, library: Library, issued: list[Any]) -> None:
    plain, named = approver("clerk"), Wanted("移交", numbers=True)
    assert await code(begin(library, plain, named)) == "MAY_NOT_EXPORT"
    assert await code(begin(library, SYSTEM, named)) == "LEGAL_BASIS_REQUIRED"
    assert await code(begin(library, plain, Wanted("移交", organisation="11990102MB000006XL"))) == "MAY_NOT_EXPORT"
    assert await code(begin(library, plain, Wanted(""))) == "PURPOSE_REQUIRED"
    values, _ = await collect(library, SYSTEM, Wanted("移交", numbers=True, legal_basis="个人信息保护法第十三条"))
    numbers = {one.code for number in range(3) for one in city.approval(number).holders if one.code_type == "111"}
    assert numbers
    assert numbers <= {one["code"] for line in values for one in line["holders"]}
    told = await actions(library, "certs.export")
    assert told.count(("certs.export.begin", "refused")) == 3
    assert ("certs.export.reveal", "done") in told


def test_no_cell_is_a_formula() -> None:
    values: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"number": "=1+1", "issuer_name": "@SUM(A1)", "holders": [], "fields": {}}
    (row,) = csv.reader(io.StringIO(encode(Line(uuid.UUID(int=0), values, None), Wanted("x", format=Format.CSV)).decode()))
    assert (row[COLUMNS.index("number")], row[COLUMNS.index("issuer_name")]) == ("'=1+1", "'@SUM(A1)")


async def test_an_export_in_parts_goes_on_after_a_kill(
    library: Library, issued: list[Any], blobs: FolderBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certs.export_parts.PART", 1)
    folder, wanted = tmp_path / "export", Wanted("移交档案")
    damaged = await document_of(library, issued[2].id)
    blobs.path(damaged).write_bytes(b"broken")

    class Killed(BaseException):
        pass

    def kill(state: Any) -> None:
        if state.parts == 1:
            raise Killed

    with pytest.raises(Killed):
        await export_to(library, SYSTEM, wanted, folder, files=True, tell=kill)
    assert await code(export_to(library, SYSTEM, Wanted("移交档案", type_code="x"), folder, files=True)) == "EXPORT_OTHER"
    state = await export_to(library, SYSTEM, wanted, folder, files=True)
    assert (state.parts, state.certificates, state.missing, state.finished) == (3, 3, 1, True)
    assert await export_to(library, SYSTEM, wanted, folder, files=True) == state
    names, taken = [], {}
    for part in sorted(folder.glob("part-*.zip")):
        with zipfile.ZipFile(part) as opened:
            names += [json.loads(line)["id"] for line in opened.read("certificates.jsonl").splitlines()]
            taken |= {name: opened.read(name) for name in opened.namelist() if name.startswith("files/")}
    assert names == [str(one.id) for one in issued]
    assert taken == {f"files/{one.id}.pdf": await blobs.get(await document_of(library, one.id)) for one in issued[:2]}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    async with library.database.session() as session:
        kinds = list(await session.scalars(select(AccessRow.kind)))
    assert kinds.count("export") >= 3
