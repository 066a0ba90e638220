"""Scans of paper become sealed copies of paper that verify like any certificate; what is no scan is failed by name."""

import csv
import io
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageDraw
from sqlalchemy import select, update

from certs.code_models import StatusEntryRow
from certs.disposal import _make_tombstone
from certs.ingestion import Ingestion, Request, import_file
from certs.ingestion_models import ScanRow
from certs.ingestion_scans import ScanFolderUnclear, Scans, table_of
from certs.lifecycle import Status
from certs.models import CertificateRow
from certs.numbering import make_identifier
from certs.paper import read_paper
from certs.scan_pages import MOST_PAGES, draw_scan
from certs.scan_sealing import grant_scans, scan_states, try_again, unlisted, work_scans
from certs.status_publishing import entries
from certs.verification import record_by_code
from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.custody.store import KeyStore
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.certs.conftest import City, approvals

COLUMNS = "ZZMC ZZLXDM ZZBH ZZBS ZZBFJG ZZBFJGDM ZZBFRQ ZZYXQQSRQ ZZYXQJZRQ CZZT CZZTDM CZZTDMLXDM file".split()  # noqa: SIM905
WANTED = approvals()[1]


def photograph(words: str = "paper") -> Image.Image:
    image = Image.new("RGB", (620, 440), "#f4f0e6")
    ImageDraw.Draw(image).text((200, 200), words, fill="black")
    return image


def encoded(image: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture, one PDF, one broken file, one that is not there; one that nobody names."""
    found = tmp_path / "scans"
    (found / "pictures").mkdir(parents=True)
    (found / "pictures" / "a.jpg").write_bytes(encoded(photograph(), "JPEG"))
    (found / "b.pdf").write_bytes(encoded(photograph("two"), "PDF"))
    (found / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (found / "nobody.png").write_bytes(encoded(photograph("three"), "PNG"))
    with (found / "list.csv").open("w", newline="", encoding="gb18030") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, name in enumerate(("pictures/a.jpg", "b.pdf", "broken.jpg", "gone.jpg")):
            serial, holder = f"2019{number:07}", WANTED["holders"][0]
            identifier = make_identifier(WANTED["certificate_type"], WANTED["issuer"], serial)
            writer.writerow(
                ["食品经营许可证", WANTED["certificate_type"], f"JY{serial}", identifier, "示范市市场监督管理局", WANTED["issuer"],
                 "2022-03-01", "2022-03-01", "2099-02-28", holder["name"], holder["code"], "001", name]
            )  # fmt: skip
    return found


async def test_scans_are_sealed_as_copies_of_paper(city: City, database: Database, keystore: KeyStore, clock: Any, folder: Path) -> None:
    issuing = city.issuing
    scans = Scans(city.seals[WANTED["issuer"]], WANTED["matter_code"])
    needed = Ingestion(database, issuing.personal, clock, issuing.blobs, issuing.workers)
    report = await import_file(needed, SYSTEM, Request(table_of(folder), grade="A", scans=scans))
    assert (report.rows, dict(report.flag_counts)) == (4, {"file_missing": 1})
    assert await work_scans(issuing) == 0, "nobody let the service use the seal"
    assert {failure for _, failure, _ in await scan_states(database, report.import_id)} == {"NO_GRANT", "SCAN_UNREADABLE"}
    async with database.begin() as session:
        await grant_scans(session, clock.now(), SYSTEM, scans.seal_code, scans.matter_code)
        await grant_scans(session, clock.now(), SYSTEM, scans.seal_code, scans.matter_code)
    assert await try_again(database, report.import_id) == 2
    assert await work_scans(issuing) == 2
    assert await work_scans(issuing) == 0
    assert await scan_states(database, report.import_id) == [("done", None, 2), ("failed", "SCAN_UNREADABLE", 1)]
    assert await unlisted(database, report.import_id, folder) == ["nobody.png"]

    async with database.session() as session:
        rows = (await session.scalars(select(CertificateRow).order_by(CertificateRow.id))).all()
    assert [row.trust_grade for row in rows] == ["B"] * 4, "nothing that comes from paper is graded higher"
    assert [row.document_hash is not None for row in rows] == [True, True, False, False]
    assert [row.verification_code is not None for row in rows] == [True, True, False, False]
    pdf = await issuing.blobs.get(rows[0].document_hash or b"")
    verdict = verify(pdf, Trust(), clock.now())
    assert verdict.indication in (Indication.TOTAL_PASSED, Indication.INDETERMINATE)
    assert {check.outcome for check in verdict.signatures[0].checks if check.name in ("DATA_HASH", "SIGNATURE", "COVERAGE")} == {"PASSED"}
    assert b"pdfaid:part" in pdf or b"pdfaid" in pdf
    text = pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_bounded()
    assert "纸质证照复制件" in text.replace(" ", "")
    assert WANTED["holders"][0]["name"] in text
    assert read_paper(pdf, Trust(), clock.now()).codes == (f"{issuing.base_url}/v/{rows[0].verification_code}",)
    known = await record_by_code(database, clock.now(), rows[0].verification_code or "")
    assert known.certificate is not None
    assert known.certificate.trust_grade == "B"

    async with database.begin() as session:
        place = (await session.scalars(select(StatusEntryRow).where(StatusEntryRow.certificate_id == rows[0].id))).one()
        assert await entries(session, place.list) == []
        await session.execute(update(CertificateRow).where(CertificateRow.id == rows[0].id).values(status=Status.REVOKED.value))
        assert [index for index, _ in await entries(session, place.list)] == [place.index], "a status list tells its end"
        row = await session.get_one(CertificateRow, rows[0].id, populate_existing=True)
        digest = (await session.scalars(select(ScanRow.scan_digest).where(ScanRow.certificate_id == row.id))).one()
        assert digest in await _make_tombstone(session, row), "what was scanned goes with the certificate"


def test_a_folder_says_with_one_table_what_its_scans_are(folder: Path) -> None:
    assert table_of(folder).name == "list.csv"
    (folder / "more.jsonl").write_text("{}")
    with pytest.raises(ScanFolderUnclear):
        table_of(folder)


def test_what_is_no_scan_has_no_pages(clock: Any) -> None:
    many = io.BytesIO()
    frames = [photograph(str(number)) for number in range(MOST_PAGES + 1)]
    frames[0].save(many, "TIFF", save_all=True, append_images=frames[1:])
    for data in (b"", b"%PDF-1.7 nothing", b"\xff\xd8\xff", many.getvalue()):
        assert draw_scan(data, Trust(), clock.now()).pages == ()
    drawn = draw_scan(encoded(photograph(), "TIFF"), Trust(), clock.now())
    assert len(drawn.pages) == 1
    assert drawn.pages[0][0].startswith(b"\xff\xd8\xff")
