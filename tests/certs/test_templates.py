"""Seven templates and two general ones: their words are found, read aloud in order, scanned from a bad print, the same everywhere."""

import asyncio
import io
import math
import random
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import typst
import zxingcpp
from PIL import Image, ImageChops, ImageFilter
from playwright.async_api import Page, async_playwright

from certs import rendering
from certs.forms import NOTHING, form_of
from certs.paper import codes_on
from certs.pictures import picture
from certs.qr import ALPHANUMERIC, MOST_OFFLINE, encode_offline
from certs.rendering import Rendered, RenderJob, printed_fields, render
from keys.base.errors import InvalidInput
from tests.conftest import require_command
from tests.render_jobs import BUSINESS, ESTATE, FIELDS, FOOD, OFFLINE, OPERATIONS, OWNERSHIP, SAFETY, SEVEN, SEWAGE, URL, job
from tests.stamped import World

PAGES = {BUSINESS: 1, OWNERSHIP: 4, ESTATE: 1, SAFETY: 2, OPERATIONS: 2, SEWAGE: 1, FOOD: 1}
SIZES = {BUSINESS: (297, 210), OWNERSHIP: (148, 210), ESTATE: (210, 297), SAFETY: (85.6, 54), OPERATIONS: (85.6, 54)}
GENERAL = ("general_portrait", "general_landscape")  # for any type
SIZES |= {"general_portrait": (210, 297)}
NINE = (*SEVEN, *GENERAL)
SHEETS = (BUSINESS, ESTATE, SEWAGE, FOOD, OWNERSHIP)
CARDS = (SAFETY, OPERATIONS)


def task_of(name: str) -> RenderJob:
    """A job of the type, or of one that has no form of its own and names a general template."""
    if name in GENERAL:
        return job(SEWAGE, offline_text=OFFLINE, template=name)
    return job(name, offline_text=OFFLINE, photo=portrait())


@cache
def made(name: str) -> Rendered:
    return render(task_of(name))


@cache
def portrait() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((400, 560)).convert("RGB").save(buffer, "JPEG", comment=b"where it was taken")
    return buffer.getvalue()


def squeezed(text: str) -> str:
    return "".join(text.split())


def written(pdf: bytes, folder: Path) -> Path:
    path = folder / "certificate.pdf"
    path.write_bytes(pdf)
    return path


def run(program: str, package: str, *arguments: str | Path) -> bytes:
    done = subprocess.run([require_command(program, package), *map(str, arguments)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


# ---- what stands on them ----


@pytest.mark.parametrize("type_code", SEVEN)
def test_every_value_is_found_by_pdftotext(type_code: str, tmp_path: Path) -> None:
    task = job(type_code)
    text = squeezed(run("pdftotext", "poppler-utils", "-raw", written(made(type_code).pdf, tmp_path), "-").decode())
    values = [value for _, value in printed_fields(form_of(type_code), task) if value != NOTHING]
    for words in (task.title_zh, task.title_en.upper(), task.number, task.identifier, task.issuer, *task.holders, *values):
        assert squeezed(words) in text


@pytest.mark.parametrize("type_code", SEVEN)
def test_pages_have_their_number_and_size(type_code: str) -> None:
    document = pypdfium2.PdfDocument(made(type_code).pdf)
    try:
        sizes = {tuple(round(side * 25.4 / 72, 1) for side in page.get_size()) for page in document}
        assert len(document) == PAGES[type_code]
    finally:
        document.close()
    assert sizes == {SIZES.get(type_code, (297, 210))}
    assert made(type_code).seal_place.page < PAGES[type_code]


@pytest.mark.parametrize("type_code", SEVEN)
def test_a_screen_reader_meets_the_title_then_the_fields_in_their_order(type_code: str, tmp_path: Path) -> None:
    task = job(type_code)
    told = run("pdfinfo", "poppler-utils", "-struct-text", written(made(type_code).pdf, tmp_path)).decode(errors="replace")
    spoken = squeezed("".join(re.findall(r'^\s*"(.*)"$', told, re.MULTILINE)))
    assert told.count("H1") == 1, "one heading: the title"
    fields = [value for _, value in printed_fields(form_of(type_code), task) if value != NOTHING]
    order = [spoken.index(squeezed(task.title_zh))]
    for value in fields:
        order.append(spoken.index(squeezed(value), order[-1]))
    assert "Figure" in told, "both codes are figures with words for them"


@pytest.mark.parametrize("name", NINE)
def test_the_typesetter_vouches_for_pdf_ua_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """typst refuses to write PDF/UA-1 where a language, a title, an alternative or a tag is missing.

    The line work that is put in afterwards is drawn without tags: what it stands for is tagged, or decoration, in the file it is put into.
    """
    plain = typst.Compiler

    class Stricter:
        def __init__(self, **given: Any) -> None:
            self.compiler = plain(**given)

        def compile(self, source: str, **given: Any) -> Any:
            stricter = {"pdf_standards": ["a-3b", "ua-1"]} if given.get("pdf_tags", True) else {}
            return self.compiler.compile(source, **given | stricter)

    rendering.press_for.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(typst, "Compiler", Stricter)
        assert b"pdfuaid" in render(task_of(name)).pdf
    rendering.press_for.cache_clear()


@pytest.mark.parametrize("type_code", [OWNERSHIP, SAFETY, BUSINESS])
def test_archival_form_attachment_and_tags_survive_sealing(type_code: str, tmp_path: Path, world: World) -> None:
    sealed = written(world.stamped(made(type_code).pdf), tmp_path)
    meta = run("pdfinfo", "poppler-utils", "-meta", sealed).decode()
    assert "<pdfaid:part>3</pdfaid:part>" in meta
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in meta
    assert b"metadata.json" in run("pdfdetach", "poppler-utils", "-list", sealed)
    assert b"No syntax or stream encoding errors found" in run("qpdf", "qpdf", "--check", sealed)
    assert b"H1" in run("pdfinfo", "poppler-utils", "-struct-text", sealed)


# ---- copies, photographs ----


def test_a_licence_is_printed_as_original_or_as_duplicate() -> None:
    for copy, shown in (("", "正本"), ("正本", "正本"), ("副本", "副本")):
        document = pypdfium2.PdfDocument(render(job(BUSINESS, copy=copy)).pdf)
        assert shown in document[0].get_textpage().get_text_range()
        document.close()
    for type_code, copy in ((BUSINESS, "抄本"), (FOOD, "副本")):
        with pytest.raises(InvalidInput):
            render(job(type_code, copy=copy))


def test_a_photograph_is_printed_anew() -> None:
    assert b"/Subtype/Image" in made(SAFETY).pdf.replace(b"/Subtype /Image", b"/Subtype/Image")
    assert b"where it was taken" in portrait()
    assert b"where it was taken" not in made(SAFETY).pdf
    for broken in (b"", b"no picture", portrait()[:300], b"GIF89a" + b"\0" * 40, b"\xff\xd8" + b"\0" * (5 << 20)):
        with pytest.raises(InvalidInput):
            render(job(SAFETY, photo=broken or b"?"))


# ---- from a bad print ----


def printed(pdf: bytes, page: int, seed: int) -> Image.Image:
    """The page at 150 dpi as a bad scanner sees it: crooked, out of focus, grey and noisy."""
    chance = random.Random(seed)
    page_picture = Image.open(io.BytesIO(picture(pdf, page, 150))).convert("L")
    crooked = page_picture.rotate(chance.uniform(-4, 4), Image.Resampling.BILINEAR, expand=True, fillcolor=235)
    soft = crooked.filter(ImageFilter.GaussianBlur(0.7)).point([round(30 + level * 0.8) for level in range(256)])
    noise = Image.frombytes("L", soft.size, chance.randbytes(soft.width * soft.height)).point(
        [round(128 + (n - 128) * 0.22) for n in range(256)]
    )
    return ImageChops.add(soft, noise, 1, -128)


def check_both_codes(name: str, seed: int) -> None:
    """As a file given to the verifier is read; and on the pages as they are, how large they are."""
    pages = [printed(made(name).pdf, page, seed) for page in range(PAGES.get(name, 1))]
    assert {text for page in pages for text in codes_on(page)} == {URL, OFFLINE}
    for code in [code for page in pages for code in zxingcpp.read_barcodes(page, formats=zxingcpp.BarcodeFormat.QRCodeModel2)]:
        corners = code.position
        side = math.dist((corners.top_left.x, corners.top_left.y), (corners.top_right.x, corners.top_right.y)) / 150 * 25.4
        assert side > (34.6 if code.text == OFFLINE else 19.7), "35 and 20 mm, as well as a blurred corner tells"


@pytest.mark.parametrize(("name", "seed"), [*zip(NINE, range(1, 10), strict=True), (ESTATE, 22), (BUSINESS, 19)])
def test_both_codes_are_read_from_a_bad_print(name: str, seed: int) -> None:
    """Once each, one that is looked at twice, one with noise that passes for a micro code; ``make print-campaign`` has thirty of each."""
    check_both_codes(name, seed)


def test_the_longest_offline_code_is_read_from_a_bad_print() -> None:
    check_longest_code(0)


def check_longest_code(seed: int) -> None:
    text = "".join(random.Random(seed).choices(sorted(ALPHANUMERIC), k=MOST_OFFLINE - 2)) + "ZZ"
    pdf = render(job(BUSINESS, offline_text=text)).pdf
    assert text in codes_on(printed(pdf, 0, seed))


def test_offline_codes_are_alphanumeric_and_bounded() -> None:
    assert encode_offline(OFFLINE).version == 13
    assert encode_offline("A" * MOST_OFFLINE).version == 15
    for text in ("", "abc", "A" * (MOST_OFFLINE + 1), "证"):
        with pytest.raises(InvalidInput):
            encode_offline(text)


# ---- extreme data ----

LONG = "阿卜杜热合曼·艾山江·吐尔逊买买提示范市江畔建筑装饰工程技术服务有限责任公司公司"
ENGLISH = "Jiangpan Construction and Decoration Engineering"


@pytest.mark.parametrize("type_code", SHEETS)
def test_four_holders_of_forty_characters_and_twenty_four_fields(type_code: str) -> None:
    assert len(LONG) == 40
    form = form_of(type_code)
    holders = (LONG, LONG[::-1], ENGLISH, "Abdurahman Hesen") if type_code == OWNERSHIP else (LONG,)
    fields = {form.holders_label: "、".join(holders)}
    fields |= {f"栏目{n:02}": f"值{n:02}" for n in range(24 - len(printed_fields(form, job(type_code))))}
    document = pypdfium2.PdfDocument(render(job(type_code, holders=holders, fields=fields, offline_text=OFFLINE)).pdf)
    text = squeezed("".join(page.get_textpage().get_text_range() for page in document))
    document.close()
    assert all(squeezed(value) in text for value in (*holders, *fields.values()))


@pytest.mark.parametrize("type_code", CARDS)
@pytest.mark.parametrize("holder", [LONG[:20], "Abdurahman Hesen Tursun", "欧阳娜娜"])
def test_a_card_takes_long_names(type_code: str, holder: str) -> None:
    fields = {"姓名": holder, list(FIELDS[type_code])[-1]: LONG}
    document = pypdfium2.PdfDocument(render(job(type_code, holders=(holder,), fields=fields)).pdf)
    text = squeezed(document[0].get_textpage().get_text_range())
    document.close()
    assert squeezed(holder) in text
    assert LONG in text


# ---- the same everywhere ----


LARGEST, MEAN = 80, 6.0
DPI = 100  # of a sheet; twenty and more pixels a cell
FINER = 150  # of the small papers


def difference(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """(largest, mean) of 255 between two pictures of a page, in cells of a thirtieth of its width."""
    size = (30, round(30 * one.height / one.width))
    cells = [list(found.convert("RGB").resize(size, Image.Resampling.BOX).tobytes()) for found in (one, other)]
    apart = [abs(a - b) for a, b in zip(*cells, strict=True)]
    return max(apart), sum(apart) / len(apart)


def dpi_of(name: str) -> int:
    return DPI if SIZES.get(name, (297, 210))[0] >= 210 else FINER


def by_poppler(pdf: Path, page: int, dpi: int, folder: Path) -> Image.Image:
    run(
        "pdftoppm",
        "poppler-utils",
        "-r",
        str(dpi),
        "-f",
        str(page + 1),
        "-l",
        str(page + 1),
        "-png",
        "-singlefile",
        pdf,
        folder / "poppler",
    )
    return Image.open(folder / "poppler.png").convert("RGB")


@pytest.mark.parametrize("name", NINE)
def test_poppler_draws_what_pdfium_draws(name: str, tmp_path: Path) -> None:
    pdf = written(made(name).pdf, tmp_path)
    page = made(name).seal_place.page
    dpi = dpi_of(name)
    pdfium = Image.open(io.BytesIO(picture(pdf.read_bytes(), page, dpi)))
    largest, mean = difference(by_poppler(pdf, page, dpi, tmp_path), pdfium)
    assert (largest < LARGEST, mean < MEAN) == (True, True), (page, largest, mean)


def test_other_pages_do_not_look_the_same() -> None:
    """What the bound is worth: another certificate, and the same one without its offline code, are told apart."""
    pages = [Image.open(io.BytesIO(picture(made(one).pdf, 0, DPI))) for one in (BUSINESS, FOOD)]
    bare = Image.open(io.BytesIO(picture(render(job(BUSINESS)).pdf, 0, DPI)))
    assert difference(*pages)[0] > LARGEST
    assert difference(pages[0], bare)[0] > LARGEST


FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--allow-file-access-from-files"]


async def test_chromium_shows_what_poppler_draws(tmp_path: Path) -> None:
    """The first page of every template, in Chromium's own viewer."""
    chromium = require_command("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, headless=False, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1000, "height": 1000})
        apart = {}
        for name in NINE:
            folder = tmp_path / name
            folder.mkdir()
            run(
                "qpdf", "qpdf", written(made(name).pdf, tmp_path), "--pages", ".", "1", "--", file := folder / "first.pdf"
            )  # one page: no bar
            width, height = SIZES.get(name, (297, 210))
            apart[name] = difference(by_poppler(file, 0, dpi_of(name), tmp_path), await viewed(page, file, folder, height / width))
        await browser.close()
    assert {name: one for name, one in apart.items() if one[0] >= LARGEST or one[1] >= MEAN} == {}


async def viewed(page: Page, file: Path, folder: Path, ratio: float) -> Image.Image:
    """The first page as Chromium's viewer shows it, cut out of the viewer's dark ground, once two pictures of it are equal."""
    html = (
        f'<body style="margin:0"><embed src="{file.name}#toolbar=0&navpanes=0&view=Fit" type="application/pdf" width="1000" height="1000">'
    )
    (folder / "view.html").write_text(html)
    await page.goto((folder / "view.html").as_uri())
    before = b""
    for _ in range(120):
        await asyncio.sleep(0.25)
        now = await page.screenshot()
        cut = _page_in(Image.open(io.BytesIO(now)).convert("RGB"), ratio)
        if now == before and cut is not None:
            return cut
        before = now
    raise AssertionError("the viewer showed nothing")


def _page_in(shown: Image.Image, ratio: float) -> Image.Image | None:
    """What is not the viewer's ground (the colour of its corner), unless that is all or nothing."""
    ground = Image.new("RGB", shown.size, shown.getpixel((1, 1)) or 0)
    box = ImageChops.difference(shown, ground).convert("L").point([255 if level > 12 else 0 for level in range(256)]).getbbox()
    if box is None or (box[2] - box[0]) * (box[3] - box[1]) < 200_000:
        return None
    return shown.crop((box[0], box[1], box[2], box[1] + round((box[2] - box[0]) * ratio)))  # the next page may peep out beneath
