"""The impression: what it is made of, that nothing touches, and that every form shows the same."""

import io
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from seal import appearance
from seal.appearance import SealDesign, SealTextUnsuitable, draw
from seal.engraving import SEAL_RED, rasterise
from seal.outlines import Face, GlyphMissing, outline, require

NAME = "示范市示范经济技术开发区（自由贸易试验区示范片区）管理委员会政务服务和数据资源管理局"
LENGTHS = (2, 4, 8, 13, 20, 30, 40)
CODE = "99010000000001"
INKED = 128


def alpha(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGBA").getchannel("A")


def design(length: int, lower: str = "行政审批专用章", code: str = CODE) -> SealDesign:
    return SealDesign(NAME[:length], lower, code=code)


def ink_by_radius(picture: Image.Image) -> list[int]:
    """Inked pixels at each tenth of a millimetre of radius."""
    counts = [0] * 300
    middle, per_mm = picture.width / 2, picture.width / 42
    for y in range(picture.height):
        for x in range(picture.width):
            if picture.getpixel((x, y)) > INKED:
                counts[int(math.hypot(x - middle + 0.5, y - middle + 0.5) / per_mm * 10)] += 1
    return counts


@pytest.mark.parametrize("length", LENGTHS)
def test_a_name_of_any_length_is_drawn_small_and_transparent(length):
    picture = draw(design(length))
    assert (picture.width_mm, picture.height_mm) == (42, 42)
    assert len(picture.png) <= 20_480
    png = Image.open(io.BytesIO(picture.png))
    assert png.mode == "P"
    assert png.size == (497, 497)
    assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    whole = png.convert("RGBA")
    assert {pixel[:3] for _, pixel in whole.getcolors(maxcolors=1 << 18) if pixel[3]} == {SEAL_RED}
    assert whole.getpixel((2, 2))[3] == 0
    assert whole.getpixel((248, 240))[3] == 255  # the star


@pytest.mark.parametrize("length", LENGTHS)
def test_the_ring_stands_alone_and_the_name_inside_it(length):
    counts = ink_by_radius(alpha(draw(design(length)).png))
    assert min(counts[200:208]) > 1000  # the ring, 19.9 to 21 mm
    assert sum(counts[188:197]) == 0  # air between ring and name
    assert sum(counts[211:]) == 0
    assert min(counts[170:180]) > 0  # heads of the name


@pytest.mark.parametrize("length", LENGTHS)
def test_the_name_is_set_symmetrically_about_the_vertical(length):
    """The same character all round: its ink leans to no side."""
    picture = alpha(draw(SealDesign("日" * length, star=False)).png).point(lambda value: 255 if value > INKED else 0)
    left, _, right, _ = ImageChops.darker(picture, _band()).getbbox()
    assert left + right == pytest.approx(picture.width, abs=6)


def _band() -> Image.Image:
    """The ring of the name, without the seal's own ring."""
    band = Image.new("L", (497, 497))
    for y in range(497):
        for x in range(497):
            if math.hypot(x - 248, y - 248) < 19.4 / 42 * 497:
                band.putpixel((x, y), 255)
    return band


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("lower", ["", "合同专用章", "行政审批专用章", "电子证照专用章"])
def test_name_and_lower_text_never_touch(length, lower):
    """Drawn apart they have no inked pixel in common, even grown by 0.2 mm."""
    both = design(length, lower)
    layers = appearance._layers(both)
    name = _ink(tuple(layer for layer in appearance._name(both)))
    rest = _ink(tuple(layer for layer in layers if layer.path not in {one.path for one in appearance._name(both)}))
    assert ImageChops.darker(name, rest).getbbox() is None


def _ink(layers) -> Image.Image:
    grown = tuple(appearance.Layer(layer.path, layer.fill, layer.stroke + 0.2) for layer in layers)
    return alpha(rasterise(appearance.engrave(grown, 42, 1).pdf_content, 42, 150)).point(lambda value: 255 if value > 20 else 0)


@pytest.mark.parametrize("length", LENGTHS)
def test_characters_shrink_but_stay_legible(length):
    glyphs = [outline(Face.SONG, character) for character in NAME[:length]]
    cut = appearance._cut([appearance._share(glyph) for glyph in glyphs], appearance._lower_box(design(length)), 90)
    assert 2.2 <= cut.height <= 7.2
    assert 0.55 <= cut.width / cut.height <= 0.81
    assert cut.arc <= 300


def test_svg_and_pdf_are_self_contained():
    picture = draw(design(13))
    tree = ET.fromstring(picture.svg)
    assert tree.attrib["viewBox"] == "0 0 42 42"
    assert {child.tag.split("}")[1] for child in tree} == {"path"}
    operators = set(re.findall(rb"\b([A-Za-z]+)$", picture.pdf_content, re.MULTILINE))
    assert operators <= {b"q", b"Q", b"rg", b"RG", b"j", b"M", b"w", b"m", b"l", b"c", b"h", b"f", b"B", b"S"}
    numbers = [float(number) for number in re.findall(rb"-?\d+\.?\d*", picture.pdf_content)]
    assert max(numbers) <= 42 / 25.4 * 72 + 0.01
    assert min(numbers) >= 0


def test_the_same_design_gives_the_same_octets():
    assert draw(design(8)) == draw(design(8))


def test_a_smaller_seal_is_the_same_seal_smaller():
    small = draw(SealDesign("示范市人民政府", diameter_mm=38))
    assert (small.width_mm, alpha(small.png).width) == (38, 449)


def test_a_missing_glyph_is_named():
    with pytest.raises(GlyphMissing) as refusal:
        draw(SealDesign("示范市\U0003134a局", "专用章"))
    assert refusal.value.extra["characters"] == ["\U0003134a"]
    assert refusal.value.detail == "U+3134A"
    assert (refusal.value.code, refusal.value.status) == ("GLYPH_MISSING", 422)


@pytest.mark.parametrize(
    "bad",
    [
        SealDesign("市"),
        SealDesign("示" * 41),
        SealDesign("示范市", "章" * 13),
        SealDesign("示范市", code="123"),
        SealDesign("示范市", code="９９０１００００００００１"),
        SealDesign("示范市", diameter_mm=60),
    ],
)
def test_what_cannot_be_cut_is_refused(bad):
    with pytest.raises(SealTextUnsuitable):
        draw(bad)


@pytest.mark.parametrize("text", ["示范 市", "示范\n市", "示范\u3000市"])
def test_space_is_no_character_of_a_seal(text):
    with pytest.raises(GlyphMissing):
        require(Face.SONG, text)


@settings(max_examples=15, deadline=None)
@given(
    st.text(st.sampled_from("示范市人民政府喆堃鱻龘一乙（）第3ABJ"), min_size=2, max_size=40),
    st.sampled_from(["", "财务专用章"]),
    st.booleans(),
)
def test_any_name_can_be_cut_within_the_ring(name, lower, coded):
    layers = appearance._layers(SealDesign(name, lower, code=CODE if coded else ""))
    reach = max(math.hypot(*point) for layer in layers[1:] for _, points in layer.path for point in points)
    assert reach <= appearance.PLAN_DIAMETER / 2 - appearance.RING_WIDTH - 0.5
