"""The parts of rendering: QR codes, pictures, fonts, line work."""

import concurrent.futures
import io
import time
from pathlib import Path

import pytest
import qrcode
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from PIL import Image

from certs import guilloche, linework, pictures
from certs.fonts import REQUIRED_FONTS, FontSet, missing_characters
from certs.pictures import PictureFailed, picture
from certs.qr import MOST_OCTETS, encode, to_svg
from certs.rendering import optional_faces, render
from keys.base.errors import InvalidInput
from tests.render_jobs import URL, job

# ---- QR ----


@pytest.mark.parametrize("text", ["abcdefghij/klmnop?q=r", "HELLO WORLD", "https://zhengzhao.example.cn/v/abcdefghijklmnop"])
def test_symbols_equal_those_of_another_encoder(text: str) -> None:
    """Another encoder, given the same mask, draws the same modules: finder, timing, format, data and correction bits."""
    ours = encode(text).rows
    others = []
    for mask in range(8):
        symbol = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0, mask_pattern=mask)
        symbol.add_data(text, optimize=0)
        symbol.make()
        others.append(tuple(bytes(row) for row in symbol.modules))
    assert others.count(ours) == 1


def test_addresses_of_the_usual_length_take_version_3_or_4() -> None:
    assert encode(URL).version == 3
    assert encode("https://zhengzhao.shifan.gov.cn/verify/v/7Q4MXK2P9HTD3RWB").version in (3, 4)


@pytest.mark.parametrize("text", ["", "x" * (MOST_OCTETS + 1), "证" * 36])
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        encode(text)


def test_the_drawing_has_each_dark_module_once() -> None:
    code = encode(URL)
    svg = to_svg(code)
    runs = [
        tuple(int(n) for n in part.split("v")[0].replace("h", " ").split()) for part in svg.split(' d="')[1].split('"')[0].split("M")[1:]
    ]
    drawn = {(x + i, y) for x, y, length in runs for i in range(length)}
    assert drawn == {(x + 4, y + 4) for y, row in enumerate(code.rows) for x, dark in enumerate(row) if dark}
    assert sum(length for _, _, length in runs) == len(drawn)


# ---- pictures ----


def one_page(annotation: str = "", size: str = "200 200", content: str = "") -> bytes:
    appearance = "1 0 0 rg 0 0 50 50 re f"
    return (
        "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]/SigFlags 3>>>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        f"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size}]/Contents 5 0 R/Annots[6 0 R]>>endobj\n"
        f"4 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 50 50]/Length {len(appearance)}>>stream\n{appearance}\nendstream endobj\n"
        f"6 0 obj<</Type/Annot/F 132{annotation or '/Subtype/Stamp/Rect[0 0 0 0]'}>>endobj\n"
        f"5 0 obj<</Length {len(content)}>>stream\n{content}\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    ).encode()


@pytest.mark.parametrize("kind", ["/Widget/FT/Sig/T(seal)", "/Stamp"])
def test_a_seals_appearance_is_drawn(kind: str) -> None:
    annotation = f"/Subtype{kind}/Rect[100 100 150 150]/AP<</N 4 0 R>>"
    shown = Image.open(io.BytesIO(picture(one_page(annotation), dpi=72))).convert("RGB")
    assert shown.size == (200, 200)
    assert shown.getpixel((125, 75)) == (255, 0, 0)
    assert shown.getpixel((50, 50)) == (255, 255, 255)


def test_a_picture_is_as_large_as_asked_and_light() -> None:
    png = picture(render(job()).pdf, dpi=110)
    assert Image.open(io.BytesIO(png)).size == (1286, 909)
    assert len(png) < 250_000


@pytest.mark.parametrize("data", [b"", b"not a PDF", b"%PDF-1.7\n%%EOF", b"\x00" * 1000])
def test_what_is_not_a_pdf_has_no_picture(data: bytes) -> None:
    with pytest.raises(PictureFailed):
        picture(data)


def test_every_truncation_fails_cleanly_or_draws() -> None:
    pdf = render(job()).pdf
    for length in range(0, len(pdf), len(pdf) // 12):
        try:
            assert picture(pdf[:length], dpi=36).startswith(b"\x89PNG")
        except PictureFailed:
            continue


@pytest.mark.parametrize(
    ("pdf", "page", "dpi"),
    [(one_page(), 1, 72), (one_page(), -1, 72), (one_page(), 0, 35), (one_page(), 0, 301), (one_page(size="14000 14000"), 0, 72)],
)
def test_pictures_are_bounded(pdf: bytes, page: int, dpi: int) -> None:
    with pytest.raises(PictureFailed):
        picture(pdf, page, dpi)


def test_a_file_too_large_is_not_opened() -> None:
    with pytest.raises(PictureFailed):
        picture(one_page() + b" " * pictures.MOST_OCTETS)


def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SECONDS", 0.2)
    slow = one_page(content="".join(f"0 0 m 0 {n % 200} 200 {n % 170} 200 200 c S\n" for n in range(200_000)))
    started = time.monotonic()
    with pytest.raises(PictureFailed, match="out of time"):
        picture(slow, dpi=300)
    assert time.monotonic() - started < 8


def test_threads_may_draw_at_once() -> None:
    pdf = render(job()).pdf
    expected = picture(pdf, dpi=50)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(done == expected for done in pool.map(lambda _: picture(pdf, dpi=50), range(8)))


# ---- fonts ----


@pytest.fixture(scope="session")
def kai_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a face that calls itself LXGW WenKai: a few glyphs of a required font under that name."""
    folder = tmp_path_factory.mktemp("fonts")
    font = TTFont(REQUIRED_FONTS.required()[0])
    options = Options(name_IDs=["*"], notdef_outline=True)
    subsetter = Subsetter(options)
    subsetter.populate(text="钱晓明示范市0123456789")
    subsetter.subset(font)
    for name_id, words in ((1, "LXGW WenKai"), (2, "Regular"), (4, "LXGW WenKai Regular"), (6, "LXGWWenKai-Regular")):
        font["name"].setName(words, name_id, 3, 1, 0x409)
    font["name"].names = [record for record in font["name"].names if record.nameID in (1, 2, 4, 6) and record.langID == 0x409]
    font["CFF "].cff.fontNames = ["LXGWWenKai-Regular"]
    font.save(folder / "LXGWWenKai-Regular.otf")
    (folder / "readme.txt").write_text("not a font")
    return folder


def test_optional_fonts_are_used_only_when_given(kai_folder: Path) -> None:
    richer = FontSet(kai_folder)
    assert optional_faces(REQUIRED_FONTS) == {"kai": False, "black": False, "rare": False}
    assert optional_faces(richer) == {"kai": True, "black": False, "rare": False}
    assert b"WenKai" not in render(job()).pdf
    assert b"WenKai" in render(job(), richer).pdf
    assert [path.name for path in richer.files()][2:] == ["LXGWWenKai-Regular.otf"]


def test_optional_fonts_do_not_change_what_is_accepted(kai_folder: Path) -> None:
    assert missing_characters(["\ue000钱"], FontSet(kai_folder)) == missing_characters(["\ue000钱"]) == ("\ue000",)


# ---- line work ----


def test_the_committed_line_work_is_what_the_generator_draws() -> None:
    drawn = linework.drawings()
    assert {path.stem for path in guilloche.ASSETS.glob("*.svg")} == set(drawn)
    for name, svg in drawn.items():
        assert (guilloche.ASSETS / f"{name}.svg").read_text(encoding="utf-8") == svg


def test_the_line_work_is_light() -> None:
    assert all(path.stat().st_size < 100_000 for path in guilloche.ASSETS.glob("*.svg"))


def test_curves_follow_their_function() -> None:
    d = guilloche.path(lambda t: (t, 10 * t * t), 0, 1, 4)
    assert d.startswith("M0 0c")
    assert sum(int(numbers[-2]) for numbers in _knots(d)) == guilloche.UNITS
    assert sum(int(numbers[-1]) for numbers in _knots(d)) == 10 * guilloche.UNITS


def _knots(d: str) -> list[list[str]]:
    numbers = d.split("c")[1].split()
    return [numbers[i : i + 6] for i in range(0, len(numbers), 6)]


def test_the_generator_writes_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linework, "ASSETS", tmp_path / "assets")
    linework.main()
    assert {path.stem for path in (tmp_path / "assets").iterdir()} == set(linework.drawings())
