"""What other programs say of our PDF/A-3b files. veraPDF is in none of the registries we use; typst itself validates
the profile while writing, and these readers check what can be seen from outside."""

import hashlib
import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from certs.pictures import picture
from certs.rendering import RenderJob, render
from tests.conftest import require_command
from tests.render_jobs import TYPES, job

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PDFAID = "{http://www.aiim.org/pdfa/ns/id/}"


@pytest.fixture(params=TYPES)
def task(request: pytest.FixtureRequest) -> RenderJob:
    return job(request.param)


@pytest.fixture
def file(task: RenderJob, tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pdf"
    path.write_bytes(render(task).pdf)
    return path


def run(program: str, package: str, *arguments: str | Path) -> str:
    done = subprocess.run([require_command(program, package), *map(str, arguments)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Objects:
    """A PDF as qpdf sees it: its objects, references followed."""

    def __init__(self, file: Path) -> None:
        described = json.loads(run("qpdf", "qpdf", "--json=2", "--json-stream-data=inline", "--decode-level=generalized", file))
        self.objects: dict[str, Any] = described["qpdf"][1]
        self.root = self.value(self.objects["trailer"]["value"]["/Root"])

    def whole(self, reference: str) -> Any:
        return self.objects[f"obj:{reference}"]

    def value(self, thing: Any) -> Any:
        if isinstance(thing, str) and thing.endswith(" R"):
            found = self.whole(thing)
            return found["stream"]["dict"] if "stream" in found else found["value"]
        return thing


def test_qpdf_finds_no_fault(file: Path) -> None:
    assert "No syntax or stream encoding errors found" in run("qpdf", "qpdf", "--check", file)


def test_the_metadata_claim_pdfa_3b_and_carry_title_and_language(file: Path, task: RenderJob) -> None:
    root = ET.fromstring(run("pdfinfo", "poppler-utils", "-meta", file))
    claims = {name: [element.text for element in root.iter(f"{PDFAID}{name}")] for name in ("part", "conformance")}
    attributes = [(key, value) for element in root.iter(f"{RDF}Description") for key, value in element.attrib.items()]
    claims["part"] += [value for key, value in attributes if key == f"{PDFAID}part"]
    claims["conformance"] += [value for key, value in attributes if key == f"{PDFAID}conformance"]
    assert claims == {"part": ["3"], "conformance": ["B"]}
    information = run("pdfinfo", "poppler-utils", file)
    assert f"Title:           {task.title_zh}" in information
    assert "Pages:           1" in information
    assert "Encrypted:       no" in information
    assert "JavaScript:      no" in information


def test_there_is_one_output_intent_with_a_profile(file: Path) -> None:
    pdf = Objects(file)
    intents = [pdf.value(intent) for intent in pdf.value(pdf.root["/OutputIntents"])]
    assert [intent["/S"] for intent in intents] == ["/GTS_PDFA1"]
    assert pdf.value(intents[0]["/DestOutputProfile"])["/N"] == 3
    assert pdf.value(pdf.root["/MarkInfo"])["/Marked"] is True
    assert pdf.root["/Lang"].startswith("u:zh")


def test_every_font_is_embedded_and_only_ours_are_used(file: Path) -> None:
    rows = [line.split() for line in run("pdffonts", "poppler-utils", file).splitlines()[2:]]
    assert rows
    for row in rows:
        assert row[0].split("+")[1].startswith("NotoSerifSC")
        assert row[-5:-2] == ["yes", "yes", "yes"], "embedded, subset, with a map to Unicode"


def test_the_metadata_are_attached_as_data(file: Path, task: RenderJob, tmp_path: Path) -> None:
    assert "metadata.json" in run("pdfdetach", "poppler-utils", "-list", file)
    run("pdfdetach", "poppler-utils", "-save", "1", "-o", tmp_path / "out.json", file)
    assert (tmp_path / "out.json").read_bytes() == task.metadata
    pdf = Objects(file)
    (reference,) = pdf.value(pdf.root["/AF"])
    attached = pdf.value(reference)
    assert attached["/AFRelationship"] == "/Data"
    assert attached["/UF"] == "u:metadata.json"
    stream = pdf.value(pdf.value(attached["/EF"])["/F"])
    assert stream["/Subtype"] == "/application/json"
    assert "/ModDate" in pdf.value(stream["/Params"])


def test_nothing_forbidden_is_inside(file: Path) -> None:
    text = json.dumps(Objects(file).objects)
    for forbidden in ('"/JavaScript"', '"/Launch"', '"/URI"', '"/SubmitForm"', '"/RichMedia"', '"/Encrypt"', '"/LZWDecode"', '"/TR"'):
        assert forbidden not in text


def test_poppler_and_mupdf_draw_the_page_pdfium_draws(file: Path, tmp_path: Path) -> None:
    run("pdftoppm", "poppler-utils", "-r", "150", "-png", "-singlefile", file, tmp_path / "poppler")
    run("mutool", "mupdf-tools", "draw", "-q", "-r", "150", "-o", tmp_path / "mupdf.png", file)
    pictures = [_thumbnail(path) for path in (tmp_path / "poppler.png", tmp_path / "mupdf.png", _pdfium(file, tmp_path))]
    for other in pictures[1:]:
        differences = [abs(a - b) for a, b in zip(pictures[0], other, strict=True)]
        assert max(differences) < 60  # of 255; programs differ in how dark they draw hairlines
        assert sum(differences) / len(differences) < 5


def _pdfium(file: Path, folder: Path) -> Path:
    target = folder / "pdfium.png"
    target.write_bytes(picture(file.read_bytes(), dpi=150))
    return target


def _thumbnail(path: Path) -> bytes:
    return Image.open(path).convert("L").resize((60, 60), Image.Resampling.BOX).tobytes()


def test_the_name_of_the_octets_is_their_digest(file: Path, task: RenderJob) -> None:
    assert hashlib.sha256(file.read_bytes()).hexdigest() == render(task).sha256
