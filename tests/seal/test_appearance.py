"""The impression: what it is made of, that nothing touches, that nothing is mirrored, and that every form shows the same."""

import io
import itertools
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from seal import appearance_ring as ring
from seal import appearance_square as square
from seal import appearance_text
from seal.appearance import SealDesign, SealShapeUnsuitable, SealTextUnsuitable, draw, drawing_of
from seal.appearance_geometry import Track
from seal.designs import INKS, Colour, LowerStyle, Relief, Shape
from seal.drawing import Drawing, Layer
from seal.engraving import coverage
from seal.outlines import Face, GlyphMissing, outline, require
from seal.tracing import area, contours, simplified

NAME = "示范市示范经济技术开发区（自由贸易试验区示范片区）管理委员会政务服务和数据资源管理局"
LENGTHS = (2, 4, 8, 12, 24, 40)
CODE = "99010000000001"
TAX_NUMBER = "91350100M000100Y43"
INKED = 128
SEAL_RED = INKS[Colour.RED]


def alpha(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGBA").getchannel("A")


def round_(length: int, lower: str = "行政审批专用章", code: str = CODE) -> SealDesign:
    return SealDesign(NAME[:length], lower, code=code)


def oval(length: int, lower: str = "发票专用章", middle: str = TAX_NUMBER) -> SealDesign:
    return SealDesign(NAME[:length], lower, 40, not middle, shape=Shape.OVAL, height_mm=30, middle=middle)


def foot(length: int) -> SealDesign:
    return SealDesign(NAME[:length], "合同专用章", 45, True, CODE, Shape.ROUND, lower_style=LowerStyle.ARC)


def squared(text: str, relief: Relief = Relief.RAISED, width: float = 20) -> SealDesign:
    return SealDesign(text, width_mm=width, star=False, shape=Shape.SQUARE, relief=relief)


RINGS = [make(length) for length in LENGTHS for make in (round_, oval, foot)]


def ink_by_radius(picture: Image.Image) -> list[int]:
    """Inked pixels at each tenth of a millimetre of radius."""
    counts = [0] * 300
    middle, per_mm = picture.width / 2, picture.width / 42
    lit = picture.point(lambda level: 255 if level > INKED else 0).tobytes()
    for index, level in enumerate(lit):
        if level:
            y, x = divmod(index, picture.width)
            counts[int(math.hypot(x - middle + 0.5, y - middle + 0.5) / per_mm * 10)] += 1
    return counts


@pytest.mark.parametrize("length", LENGTHS)
def test_a_name_of_any_length_is_drawn_small_and_transparent(length):
    picture = draw(round_(length))
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


@pytest.mark.parametrize("length", [2, 40])
def test_the_ring_stands_alone_and_the_name_inside_it(length):
    counts = ink_by_radius(alpha(draw(round_(length)).png))
    assert min(counts[200:208]) > 1000  # the ring, 19.9 to 21 mm
    assert sum(counts[188:197]) == 0  # air between ring and name
    assert sum(counts[211:]) == 0
    assert min(counts[170:180]) > 0  # heads of the name


# Geometry


@pytest.mark.parametrize("inset", [0.0, 3.0, 6.0])
@pytest.mark.parametrize("axes", [(21, 21), (20, 15), (22.5, 15)])
def test_places_on_a_track_are_lengths_along_it(axes, inset):
    """Against a polygon of forty thousand sides; on a circle against the circle itself."""
    track = Track(*axes, inset)
    places = [index * track.length / 24 for index in range(24)]
    if axes[0] == axes[1]:
        assert track.length == pytest.approx(2 * math.pi * (21 - inset), rel=1e-5)
        for place in places:
            spot, angle = track.at(place), place / (21 - inset)
            assert (spot.x, spot.y) == pytest.approx(((21 - inset) * math.sin(angle), (21 - inset) * math.cos(angle)), abs=1e-3)
    fine = [track.at(index * track.length / 40_000) for index in range(0, 40_000, 10)]
    lengths = [math.dist((a.x, a.y), (b.x, b.y)) for a, b in itertools.pairwise(fine)]
    assert max(lengths) - min(lengths) < 2e-3 * max(lengths)
    for spot in fine[::100]:
        assert math.hypot(spot.out_x, spot.out_y) == pytest.approx(1)
        edge = (spot.x + inset * spot.out_x, spot.y + inset * spot.out_y)
        assert math.hypot(edge[0] / axes[0], edge[1] / axes[1]) == pytest.approx(1, abs=1e-4)  # the inset is what it says


@pytest.mark.parametrize("count", range(4, 41))
@pytest.mark.parametrize("shape", [Shape.ROUND, Shape.OVAL])
def test_names_of_4_to_40_characters_are_evenly_set_and_symmetrical(shape, count):
    """Equal lengths from middle to middle along the line through the middles; on a circle that is equal angles."""
    design = (round_ if shape is Shape.ROUND else oval)(2)
    design = replace(design, upper="日" * count)
    cut = ring.cut_of(design, ring.plan_of(design)[0])
    places = ring._places([1.0] * count, cut.length)
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert max(steps) - min(steps) < 1e-9
    assert places[0] == pytest.approx(-places[-1])
    spots = ring.spots_of(design.upper, cut)
    if shape is Shape.ROUND:
        angles = [math.atan2(spot.x, spot.y) % (2 * math.pi) for spot in spots]
        turns = [(b - a) % (2 * math.pi) for a, b in itertools.pairwise(angles)]
        assert max(turns) - min(turns) < 1e-4
    for left, right in zip(spots, reversed(spots), strict=True):
        assert (left.x, left.y) == pytest.approx((-right.x, right.y), abs=2e-3)
    assert 1.6 <= cut.size.height <= 7.2
    assert 0.55 <= cut.size.width / cut.size.height <= 0.81


@pytest.mark.parametrize("design", RINGS, ids=lambda one: f"{one.shape}-{len(one.upper)}-{one.lower_style}")
def test_characters_stand_with_their_heads_outwards_and_are_never_mirrored(design):
    cut = ring.cut_of(design, ring.plan_of(design)[0])
    for spot in ring.spots_of(design.upper, cut):
        place = spot.upright()
        middle, right, head = place((0, 0)), place((1, 0)), place((0, 1))
        across, up = (right[0] - middle[0], right[1] - middle[1]), (head[0] - middle[0], head[1] - middle[1])
        assert across[0] * up[1] - across[1] * up[0] == pytest.approx(1)  # -1 would be a mirror
        assert up[0] * spot.out_x + up[1] * spot.out_y == pytest.approx(1)
        hanging = spot.hanging()
        low_right, low_head = hanging((1, 0)), hanging((0, 1))
        turned = (low_right[0] - middle[0]) * (low_head[1] - middle[1]) - (low_right[1] - middle[1]) * (low_head[0] - middle[0])
        assert turned == pytest.approx(1)


def test_the_foot_reads_from_left_to_right():
    track = Track(21, 21, 3)
    spots = ring.foot_spots(track, 14, 1.3)
    assert [spot.x for spot in spots] == sorted(spot.x for spot in spots)
    assert max(spot.y for spot in spots) < -14


@pytest.mark.parametrize("design", RINGS, ids=lambda one: f"{one.shape}-{len(one.upper)}-{one.lower_style}")
def test_nothing_touches_anything_and_nothing_leaves_the_ring(design):
    """Ring, name, and the rest drawn apart have no inked pixel in common, even grown by 0.2 mm."""
    plan, _ = ring.plan_of(design)
    layers = ring.layers_of(design, plan)
    name = ring.name_of(design.upper, ring.cut_of(design, plan))
    rest = tuple(layer for layer in layers[1:] if layer not in name)
    assert len(layers) == 1 + len(name) + len(rest)
    sheets = [_ink(part, design, plan) for part in (layers[:1], name, rest)]
    for one, other in itertools.combinations(sheets, 2):
        assert ImageChops.darker(one, other).getbbox() is None
    inner = plan.a - plan.ring, plan.b - plan.ring
    assert max(math.hypot(x / inner[0], y / inner[1]) for layer in layers[1:] for _, points in layer.path for x, y in points) < 1


def _ink(layers: tuple[Layer, ...], design: SealDesign, plan: ring.Plan) -> Image.Image:
    grown = tuple(replace(layer, stroke=layer.stroke + 0.2) for layer in layers)
    return coverage(Drawing(grown, 2 * plan.a, 2 * plan.b), 120).point(lambda value: 255 if value > 20 else 0)


@pytest.mark.parametrize("design", [round_(13), oval(11), round_(40), oval(40)], ids=("round", "oval", "round 40", "oval 40"))
def test_characters_of_a_name_do_not_overlap(design):
    plan, _ = ring.plan_of(design)
    cut = ring.cut_of(design, plan)
    boxes = [[spot.upright()(corner) for corner in ring._box(cut.size)] for spot in ring.spots_of(design.upper, cut)]
    glyphs = [outline(Face.SONG, character) for character in design.upper]
    for (one, other), (left, right) in zip(itertools.pairwise(boxes), itertools.pairwise(glyphs), strict=True):
        if appearance_text.share(left) == appearance_text.share(right) == 1.0:
            feet = math.dist(one[-3], other[-3])
            assert feet > 0
            assert _apart(one, other)


def _apart(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    """Whether a line divides the two boxes: that between their middles, at right angles."""
    (x0, y0), (x1, y1) = (tuple(sum(part) / len(box) for part in zip(*box, strict=True)) for box in (one, other))
    along = [(x - x0) * (x1 - x0) + (y - y0) * (y1 - y0) for x, y in one], [(x - x0) * (x1 - x0) + (y - y0) * (y1 - y0) for x, y in other]
    return max(along[0]) < min(along[1]) + 0.35


@settings(max_examples=15, deadline=None)
@given(
    st.text(st.sampled_from("示范市人民政府喆堃鱻龘一乙（）第3ABJ"), min_size=2, max_size=40),
    st.sampled_from(["", "财务专用章"]),
    st.booleans(),
    st.sampled_from((Shape.ROUND, Shape.OVAL)),
)
def test_any_name_can_be_cut_within_the_ring(name, lower, coded, shape):
    size = {"width_mm": 45, "height_mm": 30} if shape is Shape.OVAL else {}
    design = SealDesign(name, lower, code=CODE if coded else "", shape=shape, **size)
    plan, _ = ring.plan_of(design)
    layers = ring.layers_of(design, plan)
    reach = max(
        math.hypot(x / (plan.a - plan.ring - 0.25), y / (plan.b - plan.ring - 0.25))
        for layer in layers[1:]
        for _, points in layer.path
        for x, y in points
    )
    assert reach <= 1


# Square seals


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("李明", ["李", "明"]),
        ("张小凡", ["张", "小凡"]),
        ("王国维印", ["王国", "维印"]),
        ("欧阳振华印", ["欧阳", "振华印"]),
        ("财务专用章", ["财务", "专用章"]),
        ("诸葛一鸣之印", ["诸葛", "一鸣", "之印"]),
        ("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳", ["甲乙丙丁", "戊己庚辛", "壬癸子丑", "寅卯辰巳"]),
    ],
)
def test_columns_run_from_right_to_left(text, columns):
    assert square.columns_of(text) == columns
    layers = square.layers_of(squared(text), 20, 20)[1:]
    middles = [tuple(sum(part) / 2 for part in zip(*_bounds(layer), strict=True)) for layer in layers]
    flat = [(index, character) for index, column in enumerate(columns) for character in column]
    for (one, first), (other, second) in itertools.pairwise(zip(middles, flat, strict=True)):
        assert (one[1] > other[1]) if first[0] == second[0] else (one[0] > other[0])


def _bounds(layer: Layer) -> tuple[tuple[float, float], tuple[float, float]]:
    points = [point for _, points in layer.path for point in points]
    return (min(x for x, _ in points), min(y for _, y in points)), (max(x for x, _ in points), max(y for _, y in points))


@pytest.mark.parametrize("count", [*range(2, 13), 25])
def test_characters_of_a_square_seal_fill_it_and_keep_apart(count):
    frame, *layers = square.layers_of(squared(NAME[:count]), 20, 20)
    boxes = [_bounds(layer) for layer in layers]
    assert len(boxes) == count
    for (low, high), (other_low, other_high) in itertools.combinations(boxes, 2):
        assert high[0] < other_low[0] or other_high[0] < low[0] or high[1] < other_low[1] or other_high[1] < low[1]
    inner = 10 - square.FRAME
    assert max(abs(part) for box in boxes for corner in box for part in corner) < inner
    assert frame.stroke == square.FRAME


def test_sunk_relief_is_the_ground_with_holes():
    raised, sunk = drawing_of(squared("王国维印")), drawing_of(squared("王国维印", Relief.SUNK))
    (layer,) = sunk.layers
    assert (layer.even_odd, layer.stroke) == (True, 0)
    middle = coverage(raised, 100), coverage(sunk, 100)
    both = ImageChops.darker(*(one.point(lambda level: 255 if level > 200 else 0) for one in middle))
    band = (10, 10, both.width - 10, both.height - 10)  # without the frame
    common = both.crop(band).histogram()[255]
    assert common < 0.02 * both.width * both.height
    assert coverage(sunk, 100).getpixel((3, 3)) == 255


# What is refused, what comes out


@pytest.mark.parametrize(
    "bad",
    [
        SealDesign("市"),
        SealDesign("示" * 41),
        SealDesign("示范市", "章" * 13),
        SealDesign("示范市", code="123"),
        SealDesign("示范市", code="９９０１００００００００１"),
        squared("示" * 26),
        SealDesign("示范市", middle="1" * 21, star=False),
    ],
)
def test_words_that_cannot_be_cut_are_refused(bad):
    with pytest.raises(SealTextUnsuitable) as refusal:
        draw(bad)
    assert refusal.value.code == "SEAL_TEXT_UNSUITABLE"


@pytest.mark.parametrize(
    "bad",
    [
        SealDesign("示范市", width_mm=60),
        SealDesign("示范市", width_mm=42, height_mm=30),
        SealDesign("示范市", width_mm=40, shape=Shape.OVAL),
        SealDesign("示范市", width_mm=40, height_mm=45, shape=Shape.OVAL),
        SealDesign("示范市", middle="（1）"),
        SealDesign("示范市", relief=Relief.SUNK),
        SealDesign("李明", width_mm=20, shape=Shape.SQUARE),
        replace(squared("李明"), lower="之印"),
        squared("李明", width=40),
    ],
)
def test_shapes_that_are_none_are_refused(bad):
    with pytest.raises(SealShapeUnsuitable) as refusal:
        draw(bad)
    assert refusal.value.code == "SEAL_SHAPE_UNSUITABLE"


def test_a_missing_glyph_is_named():
    with pytest.raises(GlyphMissing) as refusal:
        draw(SealDesign("示范市\U0003134a局", "专用章"))
    assert refusal.value.extra["characters"] == ["\U0003134a"]
    assert refusal.value.detail == "U+3134A"
    assert (refusal.value.code, refusal.value.status) == ("GLYPH_MISSING", 422)


@pytest.mark.parametrize("text", ["示范 市", "示范\n市", "示范\u3000市"])
def test_space_is_no_character_of_a_seal(text):
    with pytest.raises(GlyphMissing):
        require(Face.SONG, text)


@pytest.mark.parametrize(
    "design", [round_(13), oval(11), squared("李明"), squared("李明", Relief.SUNK)], ids=("round", "oval", "raised", "sunk")
)
def test_svg_and_pdf_are_self_contained(design):
    picture = draw(design)
    tree = ET.fromstring(picture.svg)
    assert tree.attrib["viewBox"] == f"0 0 {design.width_mm:g} {design.height:g}"
    assert {child.tag.split("}")[1] for child in tree} == {"path"}
    operators = set(re.findall(rb"([A-Za-z*]+)$", picture.pdf_content, re.MULTILINE))
    assert operators <= {b"q", b"Q", b"rg", b"RG", b"M", b"w", b"m", b"l", b"c", b"h", b"f", b"f*", b"B", b"S"}
    pairs = re.findall(rb"(-?[\d.]+) (-?[\d.]+) [mlc]$", picture.pdf_content, re.MULTILINE)
    assert all(
        -0.01 <= float(x) <= design.width_mm / 25.4 * 72 + 0.01 and -0.01 <= float(y) <= design.height / 25.4 * 72 + 0.01 for x, y in pairs
    )


@pytest.mark.parametrize("design", [round_(8), oval(8), squared("李明", Relief.SUNK)], ids=("round", "oval", "square"))
def test_the_same_design_gives_the_same_octets(design):
    assert draw(design) == draw(design)


@pytest.mark.parametrize("colour", list(Colour))
def test_every_form_has_the_one_ink(colour):
    picture = draw(replace(round_(8), colour=colour))
    whole = Image.open(io.BytesIO(picture.png)).convert("RGBA")
    assert {pixel[:3] for _, pixel in whole.getcolors(maxcolors=1 << 18) if pixel[3]} == {INKS[colour]}
    assert "#{:02X}{:02X}{:02X}".format(*INKS[colour]).encode() in picture.svg
    assert len(set(re.findall(rb"^([\d. ]+) rg$", picture.pdf_content, re.MULTILINE))) == 1


def test_a_smaller_seal_is_the_same_seal_smaller():
    small = draw(SealDesign("示范市人民政府办公室", width_mm=38))
    assert (small.width_mm, alpha(small.png).width) == (38, 449)


def test_a_drawing_survives_being_kept():
    drawing = drawing_of(oval(11))
    again = Drawing.from_bytes(drawing.to_bytes())
    assert Drawing.from_bytes(again.to_bytes()) == again
    difference = ImageChops.difference(coverage(again, 200), coverage(drawing, 200))
    assert difference.getextrema()[1] <= 24  # a rounded hundredth of a point


# Tracing


def test_a_disc_is_traced_to_a_hundredth_of_its_area():
    drawing = Drawing((Layer(ring.oval(8, 8), fill=True, stroke=0),), 20, 20)
    picture = coverage(drawing, 300)
    (contour,) = contours(picture)
    assert abs(area(contour)) * (20 / picture.width) ** 2 == pytest.approx(math.pi * 64, rel=0.002)
    fewer = simplified(contour, 0.1)
    assert len(fewer) < len(contour) / 4
    assert abs(area(fewer)) == pytest.approx(abs(area(contour)), rel=0.005)


def test_holes_run_the_other_way_and_saddles_stay_apart():
    picture = Image.new("L", (9, 9))
    for x, y in itertools.product(range(1, 8), repeat=2):
        picture.putpixel((x, y), 255)
    picture.putpixel((4, 4), 0)
    outer, hole = sorted(contours(picture), key=lambda one: -abs(area(one)))
    assert area(outer) * area(hole) < 0
    diagonal = Image.new("L", (4, 4))
    diagonal.putpixel((1, 1), 200)
    diagonal.putpixel((2, 2), 200)
    assert len(contours(diagonal)) == 2
