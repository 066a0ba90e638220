"""What other programs say of a stamped certificate, and of a changed one."""

import asyncio
import datetime as dt
import io
import re
import subprocess
from pathlib import Path

import pytest
from asn1crypto import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from certs.pictures import picture
from seal.extraction import extract_stamp
from tests.conftest import require_command
from tests.stamped import NOW, World, certificate_page, pem

RECIPE = Path(__file__).parents[2] / "docs" / "verification.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Its certificates are valid around today, because these programs ask the machine's clock."""
    today = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return World(
        tmp_path_factory.mktemp("world"), start=min(NOW, today) - dt.timedelta(days=30), end=max(NOW, today) + dt.timedelta(days=365)
    )


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    (tmp_path / "certificate.pdf").write_bytes(world.stamped())
    (tmp_path / "root.pem").write_bytes(pem("CERTIFICATE", world["root"].certificate))
    return tmp_path


def run(program: str, package: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [require_command(program, package), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def spoil(folder: Path) -> Path:
    """The certificate with one character of its content stream or title changed."""
    pdf = (folder / "certificate.pdf").read_bytes()
    changed = folder / "changed.pdf"
    changed.write_bytes(
        pdf.replace(b"/Type/Catalog/Pages 1 0 R", b"/Type/Catalog/Pages 1 0 r", 1).replace(b"/Marked true", b"/Marked TRUE", 1)
    )
    assert changed.read_bytes() != pdf
    return changed


def test_pdfsig(folder: Path) -> None:
    said = run("pdfsig", "poppler-utils", folder / "certificate.pdf").stdout
    assert "Signature is Valid" in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    assert "Test signer" in said
    assert "Signature is Valid" not in run("pdfsig", "poppler-utils", spoil(folder)).stdout


def test_qpdf(folder: Path) -> None:
    done = run("qpdf", "qpdf", "--check", folder / "certificate.pdf")
    assert done.returncode == 0, done.stderr
    assert "No syntax or stream encoding errors found" in done.stdout


def test_mutool(folder: Path) -> None:
    said = run("mutool", "mupdf-tools", "sign", "-v", folder / "certificate.pdf")
    assert "The document is unchanged since signing" in said.stdout + said.stderr
    assert "Test signer" in said.stdout
    changed = run("mutool", "mupdf-tools", "sign", "-v", spoil(folder))
    assert "unchanged since signing" not in changed.stdout + changed.stderr


def test_the_documented_recipe_verifies_everything_with_openssl(folder: Path, world: World) -> None:
    """docs/verification.md, executed as it stands."""
    script = re.search(r"<!-- recipe:[^\n]*-->\n```sh\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    assert script is not None
    require_command("openssl", "openssl")
    done = run("sh", "dash", "-e", "-c", script[1], cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "CAdES Verification successful" in done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert "Data Hash Verified Successfully" in done.stdout
    assert (folder / "stamp.der").read_bytes() == extract_stamp((folder / "certificate.pdf").read_bytes())


def test_openssl_refuses_other_content(folder: Path) -> None:
    pdf = (folder / "certificate.pdf").read_bytes()
    start, end = (int(number) for number in re.findall(rb"/ByteRange\[0 (\d+) (\d+)", pdf)[-1])
    (folder / "cms.der").write_bytes(bytes.fromhex(pdf[start + 1 : end - 1].decode()))
    (folder / "covered.bin").write_bytes(pdf[:start] + pdf[end:] + b" ")
    command = "cms -verify -cades -inform DER -in cms.der -content covered.bin -binary -CAfile root.pem -out /dev/null"
    done = run("openssl", "openssl", *command.split(), cwd=folder)
    assert done.returncode != 0
    assert "CMS_SignerInfo_verify_content:verification failure" in done.stderr


@pytest.mark.parametrize(
    ("leaf", "issuer"), [("signer-sm", "seal-sm"), ("maker", "seal-maker"), ("seal-sm", "root-sm"), ("seal-maker", "root-sm")]
)
def test_openssl_verifies_each_link_of_the_sm2_chains(folder: Path, world: World, leaf: str, issuer: str) -> None:
    """One link at a time: OpenSSL 3.0 uses the signer id it is given for the first certificate only."""
    (folder / "leaf.pem").write_bytes(pem("CERTIFICATE", world[leaf].certificate))
    (folder / "issuer.pem").write_bytes(pem("CERTIFICATE", world[issuer].certificate))
    options = ("-vfyopt", "distid:1234567812345678", "-partial_chain", "-trusted", "issuer.pem")
    done = run("openssl", "openssl", "verify", *options, "leaf.pem", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_pyhanko_itself(folder: Path, world: World) -> None:
    with (folder / "certificate.pdf").open("rb") as file:
        (signature,) = PdfFileReader(io.BytesIO(file.read())).embedded_regular_signatures
    context = ValidationContext(
        trust_roots=[x509.Certificate.load(world["root"].certificate)],
        crls=list(world.crls()),
        revocation_mode="require",
        allow_fetching=False,
        moment=NOW,
    )
    status = asyncio.run(async_validate_pdf_signature(signature, context))
    assert status.bottom_line
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert signature.docmdp_level is not None
    assert signature.docmdp_level.value == 1


def test_the_seal_is_drawn(folder: Path) -> None:
    assert picture((folder / "certificate.pdf").read_bytes()) != picture(certificate_page())
