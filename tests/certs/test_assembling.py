"""What is put into the typesetter's file behind its back is what the typesetter would have drawn; any other file is refused."""

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageChops

from certs.assembling import ASSETS, NotAssembled, assembled, code_mark, plate, plate_marks
from certs.fonts import REQUIRED_FONTS
from certs.forms import form_of
from certs.qr import encode, encode_offline, squares
from certs.rendering import press_for, printed_fields, render, template_data
from tests.conftest import require_command
from tests.render_jobs import BUSINESS, OFFLINE, OWNERSHIP, SAFETY, SEVEN, job


def pages(pdf: bytes) -> list[Image.Image]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [page.render(scale=1.5).to_pil().convert("RGB") for page in document]
    finally:
        document.close()


def plainly(type_code: str) -> bytes:
    """The same paper with everything drawn by the typesetter."""
    task, form = job(type_code, offline_text=OFFLINE), form_of(type_code)
    data = template_data(form, task, printed_fields(form, task), REQUIRED_FONTS)
    return press_for(form.document, REQUIRED_FONTS).print(data, task.metadata.decode(), task.timestamp)


@pytest.mark.parametrize("type_code", SEVEN)
def test_every_page_looks_as_if_the_typesetter_had_drawn_it(type_code: str) -> None:
    ours, theirs = pages(render(job(type_code, offline_text=OFFLINE)).pdf), pages(plainly(type_code))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        different = ImageChops.difference(mine, other).convert("L").point(lambda value: 255 if value > 40 else 0)
        assert different.histogram()[255] <= mine.width * mine.height * 0.0005, "fewer than one point in two thousand"


@pytest.mark.parametrize("type_code", [BUSINESS, OWNERSHIP, SAFETY])
def test_the_file_is_sound_and_no_mark_is_left(type_code: str, tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(render(job(type_code, offline_text=OFFLINE)).pdf)
    qpdf = require_command("qpdf", "qpdf")
    done = subprocess.run([qpdf, "--check", path], capture_output=True, timeout=60, check=False)
    assert b"No syntax or stream encoding errors found" in done.stdout
    plain = subprocess.run([qpdf, "--qdf", "--object-streams=disable", path, "-"], capture_output=True, timeout=60, check=True).stdout
    assert not re.search(rb"\b1\.25 1\.5 m\b", plain)
    assert plain.count(b" Do\n") >= 1
    assert plain.count(b" 1 re\n") > 1000, "the modules of both codes"


def test_codes_stand_inside_the_figure_that_says_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(render(job(BUSINESS, offline_text=OFFLINE)).pdf)
    qpdf = require_command("qpdf", "qpdf")
    plain = subprocess.run([qpdf, "--qdf", "--object-streams=disable", path, "-"], capture_output=True, timeout=60, check=True).stdout
    first = plain.index(b" 1 re\n")
    opened = plain.rindex(b"BDC", 0, first)
    assert b"/Alt(http://127.0.0.1:8000/v/" in plain[plain.rindex(b"\n", 0, opened) : opened] + plain[opened - 200 : opened]
    assert plain.rindex(b"EMC", 0, first) < opened


def test_a_plate_is_compressed_once_and_has_nothing_but_plain_colour() -> None:
    assert {path.name for path in ASSETS.glob("*.svg")} == set(plate_marks())
    for name in plate_marks():
        assert plate(name) is plate(name)
        assert plate(name).profiles


def test_squares_are_the_dark_modules() -> None:
    for code in (encode("http://127.0.0.1:8000/v/7Q4MXK2P9HTD3RWB"), encode_offline(OFFLINE)):
        covered = set()
        for line in squares(code).decode().split("\n")[:-1]:
            x, y, width, height, operator = line.split()
            assert (height, operator) == ("1", "re")
            covered |= {(int(x) + step, int(y)) for step in range(int(width))}
        assert covered == {(x + 4, y + 4) for y, row in enumerate(code.rows) for x, dark in enumerate(row) if dark}


@pytest.mark.parametrize(
    "octets", [b"", b"%PDF-1.7\n", b"%PDF-1.4\nxref\n0 1\n0000000000 65535 f\r\ntrailer\n<<>>\nstartxref\n9\n%%EOF", b"not a PDF"]
)
def test_a_file_that_is_not_the_typesetters_is_refused(octets: bytes) -> None:
    with pytest.raises(NotAssembled):
        assembled(octets, [])


def test_a_mark_is_an_svg_of_the_codes_size() -> None:
    code = encode("http://127.0.0.1:8000/v/7Q4MXK2P9HTD3RWB")
    assert f'viewBox="0 0 {len(code.rows) + 8} {len(code.rows) + 8}"' in code_mark(code, 0)
    assert code_mark(code, 0) != code_mark(code, 1)


def test_what_the_templates_see_is_json(tmp_path: Path) -> None:
    form: Any = form_of(BUSINESS)
    data = template_data(form, job(BUSINESS), printed_fields(form, job(BUSINESS)), REQUIRED_FONTS)
    assert json.loads(json.dumps(data))["qr"].startswith("<svg")
    assert io.BytesIO(render(job(BUSINESS)).pdf).read(5) == b"%PDF-"
