"""Uploaded PDFs: what is shown stays, what is hidden goes, what cannot be rebuilt is refused by name."""

import hashlib
import io
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from keys.base.errors import FujieError
from seal.rebuilding import Limits, Rebuilder
from seal.sanitising_jpeg import stripped
from tests.conftest import require_command
from tests.seal import hostile_pdfs as hostile
from tests.stamped import certificate_page


@pytest.fixture(scope="module")
def rebuilder() -> Iterator[Rebuilder]:
    one = Rebuilder(Limits(octets=2 << 20, pages=40, seconds=20, memory=512 << 20))
    yield one
    one.close()


SHOWN: dict[str, tuple[Callable[[pikepdf.Pdf], None], set[str]]] = {
    "scripts": (hostile.with_scripts, {"scripts", "actions"}),
    "attachment": (hostile.with_attachment, {"attachments"}),
    "links": (hostile.with_link, {"links"}),
    "form": (hostile.with_form, {"form_fields", "hidden_annotations"}),
    "layers": (hostile.with_layers, {"layers", "hidden_text", "hidden_content"}),
    "hidden text": (hostile.with_hidden_text, {"hidden_text", "outside_the_page"}),
    "metadata": (hostile.with_metadata, {"metadata"}),
    "alternates": (hostile.with_alternates, {"alternate_pictures"}),
    "pattern, mask, glyph": (hostile.with_pattern, {"hidden_text"}),
    "turned": (hostile.turned, set()),
    "unbalanced": (hostile.unbalanced, set()),
}


def octets_of(pdf: bytes) -> bytes:
    """Every string and stream of the document, decoded."""
    found = []
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for one in opened.objects:
            found.append(one.unparse(resolved=True))
            if isinstance(one, pikepdf.Stream):
                found.append(one.read_bytes(pikepdf.StreamDecodeLevel.generalized))
    return b"\n".join(found)


@pytest.mark.parametrize("name", SHOWN)
async def test_what_is_hidden_goes_and_what_is_shown_stays(rebuilder: Rebuilder, name: str) -> None:
    change, removed = SHOWN[name]
    source = hostile.document(change=change)
    before = bytes(source)
    rebuilt = await rebuilder.rebuild(source)
    assert source == before
    assert b"hidden" not in octets_of(rebuilt.pdf)
    assert removed <= set(rebuilt.removed)
    assert rebuilt.document_hash == hashlib.sha256(rebuilt.pdf).digest()
    with pikepdf.open(io.BytesIO(rebuilt.pdf)) as opened:
        assert set(opened.Root.keys()) == {"/Type", "/Pages"}
        assert set(opened.trailer.keys()) == {"/Root", "/Size", "/ID"}
        page = opened.pages[0].obj
        assert set(page.keys()) <= {"/Type", "/Parent", "/MediaBox", "/Resources", "/Contents", "/Group"}
        assert [float(value) for value in page.MediaBox[:2]] == [0, 0]
    assert rebuilt.pdf.count(b"startxref") == 1


@pytest.mark.parametrize("name", SHOWN)
async def test_rebuilding_is_repeatable_and_comes_to_rest(rebuilder: Rebuilder, name: str) -> None:
    source = hostile.document(change=SHOWN[name][0])
    first, again = await rebuilder.rebuild(source), await rebuilder.rebuild(source)
    assert first == again
    assert (await rebuilder.rebuild(first.pdf)).pdf == first.pdf


async def test_visible_form_values_and_layers_are_shown_still(rebuilder: Rebuilder) -> None:
    pdftotext = require_command("pdftotext", "poppler-utils")
    for change, words in ((hostile.with_form, b"Field value"), (hostile.with_layers, b"On a layer"), (hostile.with_hidden_text, b"Marked")):
        rebuilt = await rebuilder.rebuild(hostile.document(change=change))
        text = subprocess.run([pdftotext, "-", "-"], input=rebuilt.pdf, capture_output=True, check=True, timeout=20).stdout
        assert words in text
        assert b"Shown to everybody" in text
        assert b"hidden" not in text


async def test_a_typeset_chinese_page_keeps_its_fonts_and_vectors(rebuilder: Rebuilder, tmp_path: Path) -> None:
    qpdf = require_command("qpdf", "qpdf")
    rebuilt = await rebuilder.rebuild(certificate_page())
    assert rebuilt.not_embedded == ()
    assert rebuilt.removed["attachments"] == 1
    assert rebuilt.pages == ((210.0, 297.0),)
    assert b"/FontFile" in octets_of(rebuilt.pdf)
    (tmp_path / "rebuilt.pdf").write_bytes(rebuilt.pdf)
    subprocess.run([qpdf, "--check", tmp_path / "rebuilt.pdf"], capture_output=True, check=True, timeout=20)


async def test_fonts_that_readers_replace_are_named(rebuilder: Rebuilder) -> None:
    assert (await rebuilder.rebuild(hostile.document())).not_embedded == ("Helvetica",)


async def test_a_turned_and_cropped_page_stands_upright(rebuilder: Rebuilder) -> None:
    rebuilt = await rebuilder.rebuild(hostile.document(change=hostile.turned))
    assert rebuilt.pages == ((round(742 / 72 * 25.4, 3), round(400 / 72 * 25.4, 3)),)


def refused() -> dict[str, tuple[bytes, str]]:
    good = hostile.document()
    loop = hostile.document(change=hostile.looping_form)
    return {
        "encrypted": (hostile.encrypted(), "DOCUMENT_ENCRYPTED"),
        "signed": (hostile.document(change=hostile.signed), "DOCUMENT_ALREADY_SIGNED"),
        "certified P1": (hostile.document(change=hostile.certified), "DOCUMENT_CERTIFIED"),
        "XFA": (hostile.document(change=hostile.with_xfa), "DOCUMENT_HAS_XFA"),
        "another file": (hostile.document(change=hostile.outside), "DOCUMENT_REFERS_OUTSIDE"),
        "5,000 pages": (hostile.document(b"", pages=5_000), "DOCUMENT_TOO_MANY_PAGES"),
        "huge page": (hostile.document(change=hostile.huge_page), "DOCUMENT_PAGE_UNUSUAL"),
        "tiny page": (hostile.document(change=hostile.tiny_page), "DOCUMENT_PAGE_UNUSUAL"),
        "moved": (hostile.document(change=hostile.moved_by_hiding), "DOCUMENT_CHANGED_BY_REBUILDING"),
        "no PDF": (b"PK\x03\x04" + good, "DOCUMENT_NOT_PDF"),
        "empty": (b"", "DOCUMENT_NOT_PDF"),
        "cut": (good[: len(good) // 2], "DOCUMENT_MALFORMED"),
        "no cross-reference": (good.replace(b"startxref", b"startxxxx"), "DOCUMENT_MALFORMED"),
        "header alone": (b"%PDF-1.7\n%%EOF\n", "DOCUMENT_MALFORMED"),
        "no page": (hostile.document(pages=0), "DOCUMENT_MALFORMED"),
        "operands": (hostile.document(b"(a) (b) cm"), "DOCUMENT_MALFORMED"),
        "nesting": (hostile.document(b"q " * 5_000), "DOCUMENT_MALFORMED"),
        "a form in itself": (loop, ""),
    }


REFUSED = refused()


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_rebuilt_is_refused_by_name(rebuilder: Rebuilder, name: str) -> None:
    source, code = REFUSED[name]
    if not code:  # either answer is right, as long as there is one
        assert (await rebuilder.rebuild(source)).pdf.startswith(b"%PDF-")
        return
    with pytest.raises(FujieError) as refusal:
        await rebuilder.rebuild(source)
    assert refusal.value.code == code


async def test_too_large_a_file_is_not_even_read(rebuilder: Rebuilder) -> None:
    with pytest.raises(FujieError) as refusal:
        await rebuilder.rebuild(bytes((2 << 20) + 1))
    assert refusal.value.code == "DOCUMENT_TOO_LARGE"
    assert refusal.value.extra == {"limit": 2 << 20}


async def test_a_bomb_ends_its_own_process_only(rebuilder: Rebuilder) -> None:
    with pytest.raises(FujieError) as refusal:
        await rebuilder.rebuild(_bomb())
    assert refusal.value.code in {"DOCUMENT_TOO_COMPLEX", "DOCUMENT_MALFORMED"}
    assert (await rebuilder.rebuild(hostile.document())).pages


def _bomb() -> bytes:
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(b"0 0 m\n" * 1_000_000) for _ in range(120)) + packed.flush()
    return hostile.document(change=lambda pdf: pdf.pages[0].obj.__setattr__("Contents", _packed(pdf, data)))


def _packed(pdf: pikepdf.Pdf, data: bytes) -> pikepdf.Object:
    stream = pdf.make_stream(b"")
    stream.write(data, filter=pikepdf.Name.FlateDecode)
    return stream


async def test_pictures_of_pages(rebuilder: Rebuilder) -> None:
    rebuilt = await rebuilder.rebuild(hostile.document(pages=2))
    pictures = await rebuilder.draw(rebuilt.pdf, [0, 1], 72)
    assert [Image.open(io.BytesIO(one)).size for one in pictures] == [(595, 842)] * 2
    with pytest.raises(FujieError, match="DOCUMENT_PAGE_MISSING"):
        await rebuilder.draw(rebuilt.pdf, [2], 72)


def test_a_photograph_loses_its_notes_and_keeps_its_picture() -> None:
    image, plain, told = Image.new("RGB", (40, 30), (200, 30, 30)), io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "hidden place"
    image.save(plain, "JPEG")
    image.save(told, "JPEG", exif=exif, comment=b"hidden comment")
    assert b"hidden" in told.getvalue()
    assert stripped(told.getvalue() + b"hidden tail") == stripped(plain.getvalue())
    assert b"hidden" not in stripped(told.getvalue())
    for cut in range(len(told.getvalue())):
        assert isinstance(stripped(told.getvalue()[:cut]), bytes)
