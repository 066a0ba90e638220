"""Documents as other programs write them, signed by pyHanko: honest files pass, or "refuse everything" would win."""

import io
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers

from seal.trust import Trust
from seal.verdict import Indication, Outcome
from seal.verification import verify
from tests.attacks.forged_bases import rich
from tests.conftest import require_command
from tests.others_clock import TimedSigner
from tests.seal.test_verification_foreign import Stranger
from tests.stamped import NOW, World

HTML = "<meta charset=utf-8><style>@page{size:A4}</style><h1>通知</h1><p>Notice of 21 November <a href='https://example.org'>here</a></p>"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def stranger(world: World) -> Stranger:
    return Stranger(world)


def ran(folder: Path, name: str, package: str, *arguments: str) -> bytes:
    command = require_command(name, package)
    (folder / "in.pdf").write_bytes(rich())
    subprocess.run([command, *arguments], cwd=folder, check=True, capture_output=True, timeout=120)
    return (folder / "out.pdf").read_bytes()


def by_mutool(folder: Path) -> bytes:
    return ran(folder, "mutool", "mupdf-tools", "clean", "-gggz", "in.pdf", "out.pdf")


def by_qpdf(folder: Path) -> bytes:
    return ran(folder, "qpdf", "qpdf", "--linearize", "--object-streams=generate", "in.pdf", "out.pdf")


def by_chromium(folder: Path) -> bytes:
    (folder / "page.html").write_text(HTML)
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}")
    page = (folder / "page.html").as_uri()
    return ran(folder, "chromium", "chromium", *quiet, "--no-pdf-header-footer", "--print-to-pdf=out.pdf", page)


@pytest.mark.parametrize("base", [by_qpdf, by_chromium])
def test_what_other_programs_write_passes_when_it_is_signed(
    world: World, stranger: Stranger, tmp_path: Path, base: Callable[[Path], bytes]
) -> None:
    document = base(tmp_path)
    trust = Trust(world.trust.certificates, world.crls())
    signed = stranger.sign(stranger.sign(document), "Signature2")
    verdict = verify(signed, trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, verdict.to_json()
    at = document.index(b"stream\n" if b"stream\n" in document else b"stream\r\n") + 12
    changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
    assert verify(changed, trust, NOW).indication is not Indication.TOTAL_PASSED


def test_what_cannot_be_judged_is_said_and_does_not_pass(world: World, stranger: Stranger, tmp_path: Path) -> None:
    """docs/verification.md, "Refused although it may be honest": readers differ on hybrid files, and on a table beyond its own limits."""
    trust = Trust(world.trust.certificates, world.crls())
    for document, indication in ((hybrid(), Indication.INDETERMINATE), (by_mutool(tmp_path), Indication.UNREADABLE)):
        writer = IncrementalPdfFileWriter(io.BytesIO(document), strict=False)
        metadata = signers.PdfSignatureMetadata(field_name="Signature1", md_algorithm="sha256")
        signed = bytes(TimedSigner(metadata, stranger.signer).sign_pdf(writer).getvalue())
        verdict = verify(signed, trust, NOW)
        assert verdict.indication is indication, verdict.to_json()
        told = [*verdict.checks, *(check for signature in verdict.signatures for check in signature.checks)]
        assert any(check.detail for check in told if check.outcome in (Outcome.FAILED, Outcome.INDETERMINATE))


def hybrid() -> bytes:
    """ISO 32000-1 §7.5.8.4: old readers see a table, newer ones an object stream beside it."""
    bodies = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 6 0 R>>>>>>",
        4: b"<</Length 44>>stream\nBT /F1 24 Tf 72 700 Td (Pay one hundred) Tj ET \nendstream",
    }
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    inner = zlib.compress(b"6 0 " + font)
    bodies[5] = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(inner), inner)
    out, places = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in bodies.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, re.sub(rb"/Length 44", b"/Length %d" % 47, body) if number == 4 else body)
    rows = zlib.compress(b"\x02\x00\x00\x00\x05\x00")
    stream = len(out)
    out += b"7 0 obj\n<</Type/XRef/Size 8/W[1 4 1]/Index[6 1]/Filter/FlateDecode/Length %d>>stream\n%b\nendstream\nendobj\n" % (
        len(rows),
        rows,
    )
    table = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % places[number] for number in range(1, 6))
    out += b"trailer\n<</Size 8/Root 1 0 R/XRefStm %d>>\nstartxref\n%d\n%%%%EOF\n" % (stream, table)
    return bytes(out)
