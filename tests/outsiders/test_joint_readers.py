"""What pyHanko, PDFBox with BouncyCastle, pdfsig, qpdf and mutool say of documents with several seals, after each of them."""

import asyncio
import datetime as dt
import io
import subprocess
from pathlib import Path

import pypdfium2
import pytest
from asn1crypto import x509
from PIL import Image, ImageChops
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from seal.appearance import SealDesign, draw
from seal.placing import AtKeyword, AtPoint, Certification, CrossPage, OnEveryPage, StampPlan
from tests.conftest import require_command
from tests.joint import Town, approval
from tests.outsiders.test_levels_readers import JARS, SHARE, run
from tests.stamped import NOW, World

SEALS = 4
LATER = NOW + dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    today = dt.datetime.now(dt.UTC).replace(microsecond=0)
    world = World(
        tmp_path_factory.mktemp("world"), start=min(NOW, today) - dt.timedelta(days=30), end=max(NOW, today) + dt.timedelta(days=365)
    )
    return Town(world, draw(SealDesign("测试市行政审批局", "行政审批专用章")).pdf_content)


@pytest.fixture(scope="module")
def folder(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.pdf to 4.pdf: one document after each seal. none.pdf: without certification."""
    folder = tmp_path_factory.mktemp("files")
    later = (
        town.later(2, AtPoint(2, 60, 250), CrossPage(position_mm=200)),
        town.later(3, OnEveryPage(110, 250)),
        town.later(4, AtPoint(2, 160, 250)),
    )
    first = StampPlan((AtKeyword("审批机关（盖章）"), CrossPage(position_mm=80)), Certification.P2, later)
    plans = [first, *[StampPlan()] * (SEALS - 1)]
    document = approval()
    for ordinal, plan in enumerate(plans, 1):
        document = town.stamp(document, plan, ordinal)
        (folder / f"{ordinal}.pdf").write_bytes(document)
    once = town.stamp(approval(), StampPlan((AtPoint(0, 60, 250),), Certification.NONE))
    (folder / "none.pdf").write_bytes(town.stamp(once, StampPlan((AtPoint(1, 60, 250),)), 2))
    return folder


def pyhanko(town: Town, pdf: bytes) -> list[PdfSignatureStatus]:
    reader = PdfFileReader(io.BytesIO(pdf))
    context = {
        "trust_roots": [x509.Certificate.load(town.world["root"].certificate)],
        "crls": list(town.world.crls()),
        "revocation_mode": "require",
        "allow_fetching": False,
        "moment": LATER,
    }
    judged = [async_validate_pdf_signature(one, ValidationContext(**context)) for one in reader.embedded_regular_signatures]
    return [asyncio.run(one) for one in judged]


@pytest.mark.parametrize("count", range(1, SEALS + 1))
def test_pyhanko_with_its_strict_comparison(town: Town, folder: Path, count: int) -> None:
    """Later seals are filling in, nothing more; a picture that a seal has locked counts as none of it."""
    judged = pyhanko(town, (folder / f"{count}.pdf").read_bytes())
    assert len(judged) == count
    assert all(one.bottom_line and one.docmdp_ok for one in judged)
    levels = [one.modification_level for one in judged]
    assert levels[:-1] == [ModificationLevel.FORM_FILLING] * (count - 1)


def test_pyhanko_sees_a_strip_that_was_changed(town: Town, folder: Path) -> None:
    """P 2 alone would let a form field be filled again: the seal's lock on its own pictures forbids it, for every reader."""
    pdf = (folder / "4.pdf").read_bytes()
    number = pdf.index(b"/T(Seal_1)")
    start = pdf.rindex(b" 0 obj\n", 0, number)
    name = pdf[pdf.rindex(b"\n", 0, start) + 1 : start]
    body = pdf[start + 7 : pdf.index(b"\nendobj", start)].replace(b"/F 132", b"/F 134")
    at = len(pdf)
    section = b"xref\n%b 1\n%010d 00000 n\r\n" % (name, at + 0)
    size, previous = 400, int(pdf[pdf.rindex(b"startxref") :].split()[1])
    root = PdfFileReader(io.BytesIO(pdf)).root_ref.idnum
    changed = pdf + b"%b 0 obj\n%b\nendobj\n" % (name, body)
    tail = b"trailer\n<</Size %d/Root %d 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, previous, len(changed))
    judged = pyhanko(town, changed + section + tail)
    assert not judged[0].bottom_line
    assert "locked" in str(judged[0].diff_result)


@pytest.fixture(scope="module")
def told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    javac, java = require_command("javac", "default-jdk-headless"), require_command("java", "default-jre-headless")
    missing = [jar for jar in JARS if not (SHARE / jar).exists()]
    if missing:
        pytest.skip(f"needs {' '.join(missing)}: apt-get install libpdfbox2-java libbcpkix-java")
    classes, path = tmp_path_factory.mktemp("java"), ":".join(str(SHARE / jar) for jar in JARS)
    source = Path(__file__).with_name("java") / "LevelReader.java"
    subprocess.run([javac, "-d", str(classes), "-cp", path, str(source)], check=True, capture_output=True, timeout=120)
    command = [java, "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{path}", "LevelReader", *map(str, sorted(folder.glob("*.pdf")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {name: [line for file, line in lines if file == name] for name in {file for file, _ in lines}}


def test_pdfbox_and_bouncycastle(told: dict[str, list[str]]) -> None:
    for count in range(1, SEALS + 1):
        assert told[f"{count}.pdf"] == ["Sig good part"] * (count - 1) + ["Sig good whole"]
    assert told["none.pdf"] == ["Sig good part", "Sig good whole"]


@pytest.mark.parametrize("count", range(1, SEALS + 1))
def test_pdfsig_qpdf_and_mutool(folder: Path, count: int) -> None:
    file = folder / f"{count}.pdf"
    said = run("pdfsig", "poppler-utils", "-nocert", file)
    assert said.count("Signature is Valid") == count
    assert said.count("Not total document signed") == count - 1
    assert "Syntax Error" not in said
    assert "No syntax or stream encoding errors found" in run("qpdf", "qpdf", "--check", file)
    said = run("mutool", "mupdf-tools", "sign", "-v", file)
    assert said.count("The signature is valid but there have been edits since signing") == count - 1
    assert said.count("The document is unchanged since signing") == 1


def test_three_renderers_show_the_same(folder: Path, tmp_path: Path) -> None:
    """PDFium (Chromium), poppler and MuPDF: every picture of every seal, in the same place."""
    document = pypdfium2.PdfDocument(folder / "4.pdf")
    document.init_forms()
    pages = [page.render(scale=1).to_pil().convert("RGB") for page in document]
    document.close()
    run("pdftoppm", "poppler-utils", "-r", "72", "-png", folder / "4.pdf", tmp_path / "poppler")
    run("mutool", "mupdf-tools", "draw", "-r", "72", "-o", tmp_path / "mupdf-%d.png", folder / "4.pdf")
    for index, page in enumerate(pages, 1):
        for renderer in ("poppler", "mupdf"):
            other = Image.open(tmp_path / f"{renderer}-{index}.png").convert("RGB").resize(page.size)
            masks = [_ink(one) for one in (page, other)]
            both = ImageChops.multiply(*masks).histogram()[255]
            assert both > 0.7 * max(mask.histogram()[255] for mask in masks) > 500, (renderer, index)


def _ink(picture: Image.Image) -> Image.Image:
    r, g, _ = picture.split()
    return ImageChops.subtract(r, g).point([255 if level > 40 else 0 for level in range(256)])
