"""A department's own PDF becomes a certificate: numbered, sealed, verified by its code and by its file."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import typst
import zxingcpp
from PIL import Image

from certs.approvals import HolderInput, OutcomeStatus, TypeTakesNoDocument
from certs.fonts import REQUIRED_FONTS
from certs.life import status_then
from certs.lifecycle import Standing
from certs.own_documents import OwnDocument, register
from certs.own_paper_values import CodeWish, SealWish
from certs.own_papers import CodePlaceTaken, survey
from certs.pictures import picture
from certs.present import record_by_identifier
from certs.reads import get_certificate, history
from certs.rendering import loaded
from certs.standing import change_standing
from keys.base.errors import InvalidInput
from keys.pki.authority import trust_bundle
from seal.placing_errors import KeywordNotFound, PageMissing, PlaceOutside
from seal.rebuilding import NotRebuildable, Rebuilder
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.conftest import require_command

SOURCE = """
#set document(date: none)
#set page(width: 210mm, height: 297mm, margin: (top: 37mm, bottom: 35mm, left: 28mm, right: 26mm))
#set text(font: "Noto Serif SC", size: 16pt, lang: "zh")
#align(center, text(22pt, [青云市水务局]))
#align(center, [关于同意排水方案的批复])
你单位报来的材料收悉。经研究，同意该方案。
#pagebreak()
#align(right)[（盖章）\\ 2026年11月21日]
"""
TITLE = "关于同意排水方案的批复"


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = tmp_path_factory.mktemp("own") / "document.typ"
    source.write_text(SOURCE, encoding="utf-8")
    return bytes(typst.compile(str(source), format="pdf", font_paths=loaded(REQUIRED_FONTS)))


@pytest.fixture(scope="module")
def rebuilder() -> Any:
    made = Rebuilder()
    yield made
    made.close()


def order(city: Any, **changes: Any) -> OwnDocument:
    one = city.approval()
    values: dict[str, Any] = {
        "title": TITLE, "matter_code": one.matter_code, "seal": one.seal, "issuer": one.issuer, "number": "青水审〔2026〕12号",
        "holders": tuple(HolderInput(each.name, each.code, each.code_type) for each in one.holders),
        "seal_place": SealWish(keyword="（盖章）"),
    }  # fmt: skip
    return OwnDocument(**(values | changes))


async def registered(city: Any, rebuilder: Rebuilder, pdf: bytes, key: str = "document-1", **changes: Any) -> Any:
    return await register(city.issuing, rebuilder, city.client, order(city, **changes), pdf, key)


async def test_a_document_is_numbered_sealed_and_verified_like_a_certificate(
    city: Any, rebuilder: Rebuilder, pdf: bytes, tmp_path: Path
) -> None:
    done = await registered(city, rebuilder, pdf)
    assert (done.outcome.status, done.code_page) == (OutcomeStatus.ISSUED, 1)
    issuing = city.issuing
    async with issuing.database.session() as session:
        found = await get_certificate(session, done.outcome.id)
    assert found is not None
    assert found.document_hash is not None
    assert (found.number, found.fields["标题"], found.type_name) == ("青水审〔2026〕12号", TITLE, "行政审批批文")
    sealed = await issuing.blobs.get(found.document_hash)
    async with issuing.database.begin() as session:
        roots = await trust_bundle(session)
    verdict = verify(sealed, Trust.from_pem(roots.encode()), issuing.clock.now())
    assert verdict.indication is Indication.TOTAL_PASSED, verdict.to_json("")
    assert verdict.certificate is not None
    assert verdict.certificate["ZZBS"] == found.identifier
    report = await record_by_identifier(issuing.database, issuing.clock.now(), found.identifier)
    assert report is not None
    assert report.status is Standing.IN_FORCE
    codes = [one.text for one in _codes(picture(sealed, 0, 150))]
    assert f"http://127.0.0.1:8000/v/{found.verification_code}" in codes, "the code on the first page leads to the record"
    file = tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    text = subprocess.run(
        [require_command("pdftotext", "poppler-utils"), str(file), "-"], capture_output=True, check=True, timeout=30
    ).stdout.decode()
    said = "".join(text.split())
    assert TITLE in said, "what it said is still there as text"
    assert "青水审〔2026〕12号" in said, "and its number beside the code"


def _codes(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as from_picture:
        return zxingcpp.read_barcodes(from_picture)


async def test_the_same_key_gives_the_same_document_and_no_second_one(city: Any, rebuilder: Rebuilder, pdf: bytes) -> None:
    first, again = [await registered(city, rebuilder, pdf) for _ in range(2)]
    assert first.outcome == again.outcome


async def test_a_revoked_document_tells_its_truth(city: Any, rebuilder: Rebuilder, pdf: bytes) -> None:
    done = await registered(city, rebuilder, pdf, code_place=CodeWish("page"))
    assert done.code_page is None
    issuing = city.issuing
    await change_standing(issuing.database, issuing.clock, city.client, done.outcome.id, "revoke", "许可依据的事实不成立")
    report = await record_by_identifier(issuing.database, issuing.clock.now(), done.outcome.identifier)
    assert report is not None
    assert (report.status, "许可依据的事实不成立" in report.story[0]) == (Standing.REVOKED, True)
    async with issuing.database.session() as session:
        found = await get_certificate(session, done.outcome.id)
        entries = await history(session, done.outcome.id)
    assert found is not None
    assert found.document_hash is not None
    assert status_then(found, entries, issuing.clock.now()).standing is Standing.REVOKED
    with pikepdf.open(io.BytesIO(await issuing.blobs.get(found.document_hash))) as opened:
        assert len(opened.pages) == 3, "the code stands on a page of its own, under the same seal"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"type_code": "11990100MB00000435001"}, TypeTakesNoDocument),
        ({"seal_place": SealWish(keyword="没有这几个字")}, KeywordNotFound),
        ({"seal_place": SealWish(page=9, x_mm=100, y_mm=100)}, PageMissing),
        ({"seal_place": SealWish(page=1, x_mm=5, y_mm=5)}, PlaceOutside),
        ({"code_place": CodeWish("place", 1, 60, 40)}, CodePlaceTaken),
        ({"title": "  "}, InvalidInput),
        ({"title": "关于110105194912310021X和11010519491231002X的批复"}, InvalidInput),
    ],
)
async def test_what_cannot_be_is_refused_by_name_and_leaves_nothing(
    city: Any, rebuilder: Rebuilder, pdf: bytes, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await registered(city, rebuilder, pdf, **changes)


async def test_what_is_no_pdf_is_refused(city: Any, rebuilder: Rebuilder) -> None:
    with pytest.raises(NotRebuildable):
        await registered(city, rebuilder, b"%PDF-1.7 and nothing more")


def test_a_full_first_page_gets_a_page_of_its_own(pdf: bytes) -> None:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        page = document.pages[0]
        page.contents_add(b"q 0 0 0 rg 0 0 595 80 re f 0 760 595 82 re f Q")
        full = io.BytesIO()
        document.save(full)
    wish = SealWish(page=-1, x_mm=100, y_mm=100)
    assert survey(full.getvalue(), wish, CodeWish(), (42, 42), ()).code_page is None
    assert survey(pdf, wish, CodeWish(), (42, 42), ()).code_page == 0
