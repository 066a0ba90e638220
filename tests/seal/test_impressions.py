"""Uploaded impressions: what becomes of pictures, scans and drawings, and that every bad one is refused by its own code."""

import contextlib
import io
import itertools
import math
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from keys.base.errors import FujieError
from seal import impression_room, impression_worker
from seal.appearance import SealDesign, draw, drawing_of
from seal.designs import Colour, Relief, Shape
from seal.drawing import Drawing
from seal.engraving import coverage, engrave, rasterise
from seal.impression_room import redraw
from seal.impression_svg import svg_drawing
from seal.impressions import ImpressionRefused, MediaType, Upload
from tests.conftest import require_command

SEAL = SealDesign("示范市人民政府", width_mm=42)
OVAL = SealDesign("示范市示范科技有限公司", "发票专用章", 40, False, middle="91350100M000100Y43", shape=Shape.OVAL, height_mm=30)
SUNK = SealDesign("李明", width_mm=20, star=False, shape=Shape.SQUARE, relief=Relief.SUNK)


def here(upload: Upload) -> Drawing:
    """What the confined process does, in this one: quicker. Raises the refusal."""
    answer = impression_worker.answer(upload)
    if answer.startswith(b"{"):
        refused = impression_room.json.loads(answer)
        raise impression_room._REFUSALS[refused["code"]](refused["detail"], **refused["extra"])
    return Drawing.from_bytes(answer)


def png(width: int = 1000, height: int = 1000, **saved: object) -> bytes:
    """A red disc on transparent ground."""
    picture = Image.new("RGBA", (width, height))
    ImageDraw.Draw(picture).ellipse((0, 0, width - 1, height - 1), fill=(200, 20, 30, 255))
    ImageDraw.Draw(picture).ellipse((width // 10, height // 10, width * 9 // 10, height * 9 // 10), fill=(0, 0, 0, 0))
    out = io.BytesIO()
    picture.save(out, "PNG", **saved)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))


def svg(body: str = '<circle cx="21" cy="21" r="20" fill="none" stroke="#c00" stroke-width="2"/>', root: str = "", head: str = "") -> bytes:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'{head}<svg {names} viewBox="0 0 42 42" {root}>{body}</svg>'.encode()


def of(content: bytes, kind: MediaType = MediaType.SVG, width: float = 42, height: float = 42, shape: Shape = Shape.ROUND) -> Upload:
    return Upload(content, kind, width, height, shape)


def difference(one: Drawing, other: Drawing, dpi: int = 200) -> float:
    """The part of the picture that differs by more than half."""
    left, right = coverage(one, dpi), coverage(other, dpi).resize(coverage(one, dpi).size)
    apart = ImageChops.difference(left, right).point(lambda level: 255 if level > 127 else 0)
    return apart.histogram()[255] / (apart.width * apart.height)


# What is good


@pytest.mark.parametrize("design", [SEAL, OVAL, SUNK], ids=["round", "oval", "sunk"])
def test_our_own_svg_comes_back_the_same(design):
    upload = of(draw(design).svg, width=design.width_mm, height=design.height, shape=design.shape)
    assert difference(redraw(upload), drawing_of(design)) < 0.001


@pytest.mark.parametrize("design", [SEAL, OVAL, SUNK], ids=["round", "oval", "sunk"])
@pytest.mark.parametrize("colour", [Colour.RED, Colour.BLUE, Colour.BLACK])
def test_a_transparent_png_becomes_the_same_outlines(design, colour):
    content = rasterise(drawing_of(design), 400, colour)
    upload = of(content, MediaType.PNG, design.width_mm, design.height, design.shape)
    traced = here(upload)
    assert difference(traced, drawing_of(design)) < 0.004
    assert {layer.even_odd for layer in traced.layers} == {True}


def scan(turned: bool = False) -> Image.Image:
    """A photograph of a stamped page: shade of paper, shadow, noise, black text under the print, red specks."""
    chance = random.Random(7)
    page = Image.new("RGB", (1000, 900), (236, 230, 214))
    pen = ImageDraw.Draw(page)
    for y in range(60, 880, 60):
        pen.rectangle((50, y, 950, y + 6), fill=(40, 40, 42))
    stamp = Image.open(io.BytesIO(rasterise(drawing_of(SEAL), 400))).convert("RGBA").filter(ImageFilter.GaussianBlur(0.8))
    layer = Image.new("RGBA", page.size)
    layer.paste(stamp, (160, 120))
    page = ImageChops.multiply(page, Image.alpha_composite(Image.new("RGBA", page.size, "white"), layer).convert("RGB"))
    shadow = Image.linear_gradient("L").resize(page.size).point([150 + level * 105 // 255 for level in range(256)])
    page = ImageChops.multiply(page, Image.merge("RGB", [shadow] * 3))
    for _ in range(200):
        page.putpixel((chance.randrange(1000), chance.randrange(900)), (210, 60, 60))
    return page.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else page


def jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def test_a_scan_is_cleaned_cropped_and_recoloured():
    """Paper, shadow, specks and the text below are gone; the print lies where it lay, at its real size, in our red."""
    cleaned = redraw(of(jpeg(scan()), MediaType.JPEG))
    assert difference(cleaned, drawing_of(SEAL)) < 0.06
    picture = engrave(cleaned)
    whole = Image.open(io.BytesIO(rasterise(cleaned, 600))).convert("RGBA")
    assert whole.size == (math.ceil(42 / 25.4 * 600),) * 2
    assert whole.getpixel((3, 3))[3] == 0
    assert {pixel[:3] for _, pixel in whole.getcolors(1 << 20) if pixel[3]} == {(0xC8, 0x16, 0x1D)}
    assert whole.getpixel((496, 470))[3] == 255  # the star
    assert len(zlib.compress(picture.pdf_content, 9)) < 60_000
    assert b"<image" not in picture.svg


def test_a_mirrored_scan_stays_mirrored_and_an_upright_one_upright():
    mirrored = here(of(jpeg(scan(turned=True)), MediaType.JPEG))
    assert difference(mirrored, drawing_of(SEAL)) > 0.06


def test_what_lies_outside_of_the_circle_is_cut_off():
    picture = Image.new("RGB", (1000, 1000), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((0, 0, 999, 999), outline=(200, 20, 30), width=25)
    pen.rectangle((10, 10, 90, 90), fill=(200, 20, 30))
    drawing = here(of(jpeg(picture), MediaType.JPEG))
    assert coverage(drawing, 100).crop((0, 0, 20, 20)).getbbox() is None
    square = here(of(jpeg(picture), MediaType.JPEG, shape=Shape.SQUARE))
    assert coverage(square, 100).crop((0, 0, 20, 20)).getbbox() is not None


@pytest.mark.parametrize(
    "body",
    [
        '<rect x="1" y="1" width="40" height="40" rx="3" fill="none" stroke="red" stroke-width="1"/>',
        '<g transform="translate(21 21) rotate(45) scale(.5)"><ellipse rx="30" ry="20" style="fill:#b00;stroke:none"/></g>',
        '<polygon points="21,2 35,40 2,16 40,16 7,40" fill-rule="evenodd"/><polyline points="5 5 10,5 10,10" fill="darkred"/>',
        '<path d="M5 5h30v30h-30zM10 10q5 10 10 0t10 0a5 5 0 0 1 0 10c1 2 3 4 5 6s-3 3-20-6z" fill="rgb(200,0,0)"/>',
        '<line x1="2" y1="20" x2="40" y2="20" stroke="#900" stroke-width="2"/><title>印模</title><metadata><x:y xmlns:x="u:v"/></metadata>',
        '<g display="none"><circle cx="21" cy="21" r="5"/></g><circle cx="21" cy="21" r="9" fill="currentColor"/><defs/>',
    ],
)
def test_shapes_under_transforms_are_drawn_as_a_browser_would(body, chromium_page):
    """Against Chromium, pixel by pixel."""
    content = svg(body, 'width="42mm" height="42mm"')
    drawing = here(of(content, shape=Shape.SQUARE))
    ours = coverage(drawing, 254).resize((420, 420))
    theirs = chromium_page(content)
    apart = ImageChops.difference(ours, theirs).point(lambda level: 255 if level > 150 else 0)
    assert apart.histogram()[255] < 0.004 * 420 * 420


@pytest.fixture(scope="module")
def chromium_page(tmp_path_factory):
    """Renders an SVG at 10 pixels a millimetre and says how dark each pixel is, whatever its colour."""
    browser, folder = require_command("chromium", "chromium"), tmp_path_factory.mktemp("svg")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where the browser is

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu", "--disable-quic"])
        page = started.new_page(viewport={"width": 420, "height": 420})

        def shot(content: bytes) -> Image.Image:
            file = folder / "one.html"
            style = "<style>body{margin:0}svg{display:block;width:420px;height:auto}</style>"
            file.write_bytes(style.encode() + content.removeprefix(b'<?xml version="1.0"?>'))
            page.goto(file.as_uri())
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            return ImageChops.invert(picture.getchannel("G"))

        yield shot
        started.close()


@pytest.mark.parametrize("design", [SEAL, OVAL, SUNK], ids=["round", "oval", "sunk"])
def test_svg_in_chromium_pdf_in_poppler_and_png_show_the_same_seal(design, chromium_page, tmp_path):
    picture = draw(design)
    file = tmp_path / "seal.pdf"
    from seal.engraving import _page  # noqa: PLC0415 - the least PDF around the operators

    file.write_bytes(_page(picture.pdf_content, design.width_mm / 25.4 * 72, design.height / 25.4 * 72))
    poppler = require_command("pdftoppm", "poppler-utils")
    size = (420, round(420 * design.height / design.width_mm))
    subprocess.run([poppler, "-png", "-scale-to-x", "420", "-scale-to-y", str(size[1]), file, tmp_path / "out"], check=True, timeout=60)
    pdf = ImageChops.invert(Image.open(next(tmp_path.glob("out*.png"))).convert("RGB").getchannel("G"))
    root = re.sub(rb'width="[\d.]+mm" height="[\d.]+mm"', b"", picture.svg)
    browser = chromium_page(root)
    browser = browser.crop((0, 0, *size))
    alpha = Image.open(io.BytesIO(picture.png)).convert("RGBA").getchannel("A").resize(size).point(lambda level: level * 233 // 255)
    for one, other in itertools.combinations((pdf.resize(size), browser, alpha), 2):
        apart = ImageChops.difference(one, other).point(lambda level: 255 if level > 120 else 0)
        assert apart.histogram()[255] < 0.01 * size[0] * size[1]


# What is refused

SCRIPTED = [
    "<script>alert(1)</script>",
    "<ScRiPt/>",
    '<circle r="5" cx="9" cy="9" onload="x()"/>',
    '<g onclick=""><circle r="5"/></g>',
    '<path d="M0 0" fill="javascript:x"/>',
    '<path d="M0 0" id=" data:text/html,x"/>',
]
REFERRING = [
    '<use xlink:href="#a"/>',
    '<image href="http://192.0.2.1/x.png" width="9" height="9"/>',
    '<path d="M0 0" fill="url(#g)"/>',
    '<path d="M0 0" style="fill:URL( http://192.0.2.1 )"/>',
    '<path d="M0 0" class="@import x"/>',
    '<path d="M0 0" id="\\75 rl(x)"/>',
    '<a href="http://192.0.2.1"><circle r="5"/></a>',
    '<foreignObject width="9" height="9"><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>',
    '<metadata><x href="http://192.0.2.1"/></metadata>',
    '<g xml:base="http://192.0.2.1/"/>',
]
ELEMENTS = [
    "<text>章</text>",
    "<style>circle{fill:red}</style>",
    "<linearGradient/>",
    "<clipPath/>",
    "<mask/>",
    "<filter/>",
    "<pattern/>",
    "<symbol/>",
    "<switch/>",
    '<svg viewBox="0 0 1 1"/>',
    '<p xmlns="http://www.w3.org/1999/xhtml"/>',
    '<circle cx="9" cy="9" r="3" clip-path="none"/>',
    '<circle cx="9" cy="9" r="3" filter="none"/>',
    '<circle cx="9" cy="9" r="3" style="filter:none"/>',
    '<circle cx="9" cy="9" r="3" stroke-dasharray="1 2"/>',
    '<circle cx="9" cy="9" r="3" marker-end="x"/>',
    '<circle cx="9" cy="9" r="3"><g/></circle>',
    '<circle cx="9" cy="9" r="3" stroke="red" transform="scale(1 .5)"/>',
    "<defs><circle r='3'/></defs>",
    "示范市",
]
PAINTS = [
    '<rect width="42" height="42" fill="white"/>',
    '<rect width="42" height="42" fill="#fff"/>',
    '<rect width="42" height="42" style="fill:#ffffe0"/>',
    '<circle cx="21" cy="21" r="9" fill="#c0000080"/>',
    '<circle cx="21" cy="21" r="9" fill-opacity=".5"/>',
    '<g opacity="0.3"><circle cx="21" cy="21" r="9"/></g>',
    '<circle cx="21" cy="21" r="9" fill="no-such-colour"/>',
]
ENTITIES = [
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://192.0.2.1/svg11.dtd">',
    '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    '<?xml-stylesheet href="http://192.0.2.1/x.css"?>',
]
MALFORMED = [
    '<path d="M1 1 L"/>',
    '<path d="M1 1 X 2"/>',
    '<path d="L1 1"/>',
    '<path d="M1e99 1"/>',
    '<circle r="9em"/>',
    '<circle r="-9"/>',
    '<g transform="matrix(1 2)"/>',
    '<g transform="rotate(1"/>',
    '<g transform="scale(0)"><circle r="9"/></g>',
    '<polygon points="1 2 3"/>',
    "<g>",
    "&nbsp;",
]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *((svg(body), "IMPRESSION_SVG_SCRIPT") for body in SCRIPTED),
        *((svg(body), "IMPRESSION_SVG_REFERENCE") for body in REFERRING),
        *((svg(body), "IMPRESSION_SVG_ELEMENT") for body in ELEMENTS),
        *((svg(body), "IMPRESSION_SVG_PAINT") for body in PAINTS),
        *((svg(head=head), "IMPRESSION_SVG_ENTITIES") for head in ENTITIES),
        *((svg(body), "IMPRESSION_SVG_MALFORMED") for body in MALFORMED),
        (svg('<animate attributeName="r"/>'), "IMPRESSION_ANIMATED"),
        (svg('<set attributeName="r"/>'), "IMPRESSION_ANIMATED"),
        (svg('<circle cx="41" cy="21" r="9"/>'), "IMPRESSION_SVG_FRAME"),
        (svg('<path d="M21 21C900 21 21 900 22 22z"/>'), "IMPRESSION_SVG_FRAME"),
        (svg('<rect width="42" height="42"/>'), "IMPRESSION_SVG_FRAME"),  # its corners lie outside of the circle
        (svg("<g>" * 40 + "</g>" * 40), "IMPRESSION_TOO_COMPLEX"),
        (svg('<circle cx="9" cy="9" r="3" fill="none"/>' * 5_001), "IMPRESSION_TOO_COMPLEX"),
        (svg('<path d="M9 9' + "h1v1h-1v-1" * 16_000 + '"/>'), "IMPRESSION_TOO_COMPLEX"),
        (svg(""), "IMPRESSION_EMPTY"),
        (svg('<circle cx="21" cy="21" r="9" display="none"/>'), "IMPRESSION_EMPTY"),
        (svg(root='width="30mm" height="30mm"'), "IMPRESSION_SIZE"),
        (svg().replace(b"0 0 42 42", b"0 0 60 42"), "IMPRESSION_PROPORTIONS"),
        (svg().replace(b'viewBox="0 0 42 42"', b""), "IMPRESSION_SVG_MALFORMED"),
    ],
)
def test_an_svg_that_is_more_than_a_drawing_is_refused_by_its_code(content, code):
    with pytest.raises(ImpressionRefused) as refusal:
        svg_drawing(of(content))
    assert (refusal.value.code, refusal.value.status) == (code, 422)


@pytest.mark.parametrize(
    ("upload", "code", "status"),
    [
        (of(header(30_000, 30_000), MediaType.PNG), "IMPRESSION_TOO_MANY_PIXELS", 422),
        (of(header(10_001, 10), MediaType.PNG), "IMPRESSION_TOO_MANY_PIXELS", 422),
        (of(header(9_000, 9_000), MediaType.PNG), "IMPRESSION_TOO_MANY_PIXELS", 422),
        (of(png()[:-30], MediaType.PNG), "IMPRESSION_UNREADABLE", 422),
        (of(png() + b"trailing octets", MediaType.PNG), "IMPRESSION_UNREADABLE", 422),
        (of(png().replace(b"IDAT", b"IDAX"), MediaType.PNG), "IMPRESSION_UNREADABLE", 422),
        (of(header(1000, 1000) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""), MediaType.PNG), "IMPRESSION_UNREADABLE", 422),
        (of(header(900, 900)[:8] + chunk(b"sBIT", b""), MediaType.PNG), "IMPRESSION_UNREADABLE", 422),
        (of(header(900, 900) + chunk(b"acTL", b"\0" * 8), MediaType.PNG), "IMPRESSION_ANIMATED", 422),
        (of(png(300, 300), MediaType.PNG), "IMPRESSION_TOO_COARSE", 422),
        (of(png(1000, 700), MediaType.PNG), "IMPRESSION_PROPORTIONS", 422),
        (of(jpeg(Image.new("RGB", (800, 800), "white")), MediaType.JPEG), "IMPRESSION_EMPTY", 422),
        (of(b"\xff\xd8\xff\xe0" + b"\0" * 100, MediaType.JPEG), "IMPRESSION_UNREADABLE", 422),
    ],
)  # fmt: skip
def test_a_picture_that_cannot_be_one_is_refused_by_its_code(upload, code, status):
    with pytest.raises(FujieError) as refusal:
        here(upload)
    assert (refusal.value.code, refusal.value.status) == (code, status)


@pytest.mark.parametrize(
    ("upload", "code", "status"),
    [
        (of(svg() + b" " * (5 << 20)), "IMPRESSION_TOO_LARGE", 413),
        (of(svg(), width=9, height=9), "IMPRESSION_SIZE", 422),
        (of(svg(), width=61, height=61), "IMPRESSION_SIZE", 422),
        (of(svg(), width=42, height=41), "IMPRESSION_SIZE", 422),
        (of(svg(), width=math.nan, height=math.nan), "IMPRESSION_SIZE", 422),
        (of(svg(), MediaType.PNG), "IMPRESSION_TYPE_UNKNOWN", 415),
        (of(png(), MediaType.JPEG), "IMPRESSION_TYPE_UNKNOWN", 415),
        (of(b"%PDF-1.7 \n"), "IMPRESSION_TYPE_UNKNOWN", 415),
        (of(b"GIF89a", MediaType.PNG), "IMPRESSION_TYPE_UNKNOWN", 415),
        (of(b""), "IMPRESSION_TYPE_UNKNOWN", 415),
    ],
)
def test_what_is_refused_before_anything_is_started(upload, code, status, monkeypatch):
    monkeypatch.setattr(impression_room, "_in_the_room", lambda _: pytest.fail("a process was started"))
    with pytest.raises(FujieError) as refusal:
        redraw(upload)
    assert (refusal.value.code, refusal.value.status) == (code, status)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (svg('<circle cx="21" cy="21" r="0.4"/>'), "IMPRESSION_EMPTY"),
        (svg('<rect width="42" height="42"/>'), "IMPRESSION_SOLID"),
        (svg("<script/>"), "IMPRESSION_SVG_SCRIPT"),
    ],
)
def test_refusals_come_out_of_the_confined_process(content, code):
    with pytest.raises(ImpressionRefused) as refusal:
        redraw(of(content, shape=Shape.SQUARE))
    assert refusal.value.code == code


def test_a_pixel_bomb_is_refused_without_being_decoded():
    """30,000 × 30,000 pixels in less than 5 MB: whoever decodes them takes 3.6 GB."""
    packer = zlib.compressobj(9)
    lines = packer.compress(b"\0" * (1 << 20)) + packer.flush()
    bomb = header(30_000, 30_000) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    with pytest.raises(ImpressionRefused) as refusal:
        redraw(of(bomb, MediaType.PNG))
    assert refusal.value.code == "IMPRESSION_TOO_MANY_PIXELS"


def test_what_takes_too_much_ends_with_its_process(monkeypatch):
    """The kernel ends the process; the caller gets a code."""
    monkeypatch.setattr(impression_room, "sys", type("Python", (), {"executable": _hog(), "path": sys.path}))
    with pytest.raises(ImpressionRefused) as refusal:
        redraw(of(svg()))
    assert refusal.value.code == "IMPRESSION_TOOK_TOO_LONG"


def _hog() -> str:
    return require_command("false", "coreutils")


def test_the_process_is_confined():
    code = "from seal.impression_room import confine; confine(); print('in'); x = bytearray(2 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, cwd=Path(__file__).parents[2], check=False)
    assert done.stdout == b"in\n"
    assert b"MemoryError" in done.stderr


# Whatever is sent

_NAMES = st.sampled_from(["g", "path", "circle", "rect", "use", "script", "image", "style", "svg", "title", "a", "polygon", "x:y", "defs"])
_VALUES = st.one_of(
    st.sampled_from(["url(#a)", "none", "red", "white", "M1 1h9v9z", "javascript:x", "scale(2)", "1 2 3 4", "0 0 1 1", "9", "&#x1;"]),
    st.text(st.characters(blacklist_characters='<&"', blacklist_categories=("Cs", "Cc")), max_size=12),
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["d", "href", "xlink:href", "fill", "style", "onload", "transform", "points", "r", "cx", "width", "class", "mask"]),
    _VALUES,
    max_size=4,
)
_TREES = st.recursive(
    st.tuples(_NAMES, _ATTRIBUTES, st.just([])), lambda inner: st.tuples(_NAMES, _ATTRIBUTES, st.lists(inner, max_size=3)), max_leaves=8
)


def _written(tree) -> str:
    name, attributes, inner = tree
    said = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{said}>{''.join(map(_written, inner))}</{name}>"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_TREES, max_size=3))
@example([("path", {"d": "M1 1h9v9z"}, [])])
def test_any_svg_is_outlines_of_ours_or_a_refusal(trees):
    """Nothing of the file's words can come through: what is written afterwards is paths of numbers."""
    content = svg("".join(map(_written, trees)))
    try:
        drawing = here(of(content, shape=Shape.SQUARE))
    except ImpressionRefused as refusal:
        event(refusal.code)
        return
    written = engrave(drawing).svg.decode()
    assert re.fullmatch(r'<svg [^<>]*>(<path fill="(#[0-9A-F]{6}|none)"[^<>]* d="[MLCZ0-9 .\-]*"/>)*</svg>\n', written)
    assert not re.search(r"href|url|script|style|on\w+=|&", written.replace("http://www.w3.org/2000/svg", ""))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.binary(max_size=3))
def test_a_damaged_picture_is_a_drawing_or_a_refusal(place, octets):
    for content, kind in ((_SMALL_PNG, MediaType.PNG), (_SMALL_JPEG, MediaType.JPEG), (svg(), MediaType.SVG)):
        at = place % len(content)
        damaged = content[:at] + octets + content[at + len(octets) :]
        with contextlib.suppress(ImpressionRefused):
            assert isinstance(here(of(damaged, kind)), Drawing)


_SMALL_PNG = png(400, 400)
_SMALL_JPEG = jpeg(Image.open(io.BytesIO(_SMALL_PNG)).convert("RGBA").convert("RGB").resize((400, 400)))
