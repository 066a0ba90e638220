"""Stamping after a plan: where seals show, in which order they come, which documents take none."""

import datetime as dt
import io
from dataclasses import replace

import pypdfium2
import pytest
from PIL import Image, ImageChops
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer

from seal.appearance import SealDesign, draw
from seal.cross_page import cut
from seal.document_stamping import NotStampable, stamp_document
from seal.keywords import find
from seal.permits import PermitExpired, PermitMismatch
from seal.placing import AtKeyword, AtPoint, Certification, CrossPage, Edge, OnEveryPage, Pages, Profile, StampPlan, Which
from seal.placing_errors import (
    DocumentEncrypted,
    DocumentFinal,
    DocumentXfa,
    FieldNotPrepared,
    FieldUnfit,
    KeywordNotFound,
    OnePlaceOnly,
    PageMissing,
    PlaceOutside,
    PlanContradictory,
)
from seal.placing_geometry import PageViews
from seal.verdict import Indication
from seal.verification import verify
from tests.joint import Town, approval, code
from tests.stamped import NOW, World

LATER = NOW + dt.timedelta(hours=1)
WORDS = "审批机关（盖章）"
POINT = StampPlan((AtPoint(0, 100, 200),))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(World(tmp_path_factory.mktemp("town")), draw(SealDesign("测试市行政审批局", "行政审批专用章")).pdf_content)


def rendered(pdf: bytes, dpi: int = 100) -> list[Image.Image]:
    document = pypdfium2.PdfDocument(pdf)
    document.init_forms()
    try:
        return [page.render(scale=dpi / 72).to_pil().convert("RGB") for page in document]
    finally:
        document.close()


def red(picture: Image.Image) -> Image.Image:
    """White where there is red ink, black elsewhere."""
    r, g, _ = picture.split()
    return ImageChops.subtract(r, g).point([255 if level > 60 else 0 for level in range(256)])


def ink_box(picture: Image.Image, dpi: int = 100) -> tuple[float, float, float, float]:
    """Where the red ink is, millimetres from the top left corner."""
    box = red(picture).getbbox()
    assert box is not None
    return tuple(side / dpi * 25.4 for side in box)  # type: ignore[return-value]


def bent(pdf: bytes, **entries: object) -> bytes:
    """The document with its first page's entries changed, as one revision."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf)))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    for name, value in entries.items():
        page[f"/{name}"] = value
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject([generic.FloatObject(value) for value in values])


def verdict_of(town: Town, pdf: bytes) -> Indication:
    return verify(pdf, town.world.trust, LATER).indication


def test_a_seal_shows_at_its_point(town: Town) -> None:
    sealed = town.stamp(approval(), StampPlan((AtPoint(1, 100, 200),)))
    pages = rendered(sealed)
    assert ink_box(pages[1]) == pytest.approx((79, 179, 121, 221), abs=0.8)
    assert red(pages[0]).getbbox() is None
    assert verdict_of(town, sealed) is Indication.TOTAL_PASSED


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_seal_sits_where_a_person_sees_it_and_upright(town: Town, rotation: int) -> None:
    """Turned pages, a CropBox inside the MediaBox, units of another size."""
    page = bent(approval(), Rotate=generic.NumberObject(rotation), CropBox=numbers(30, 60, 560, 800))
    sealed = town.stamp(page, StampPlan((AtPoint(0, 60, 50),)))
    picture = rendered(sealed)[0]
    assert ink_box(picture) == pytest.approx((39, 29, 81, 71), abs=0.9)
    straight = rendered(town.stamp(approval(), StampPlan((AtPoint(0, 60, 50),))))[0]
    crops = [red(one).crop(red(one).getbbox()).resize((150, 150)) for one in (picture, straight)]
    assert sum(ImageChops.difference(*crops).resize((1, 1)).tobytes()) < 25  # the star's point is up on both


def test_user_unit_is_real_size(town: Town) -> None:
    page = bent(approval(), UserUnit=generic.FloatObject(2.0))
    sealed = town.stamp(page, StampPlan((AtPoint(0, 200, 300),)))
    field = PdfFileReader(io.BytesIO(sealed)).root["/AcroForm"]["/Fields"][0]
    left, bottom, right, top = (float(number) for number in field["/Rect"])
    assert (right - left, top - bottom) == pytest.approx((42 / 25.4 * 36,) * 2, abs=0.01)
    assert left == pytest.approx(179 / 25.4 * 36, abs=0.01)


def test_a_seal_on_the_words(town: Town) -> None:
    """The words are written 审批机关（盖 章） with a space; they are found all the same, and stay readable under the ink."""
    (words,) = find(approval(), WORDS, Which.LAST, range(3))
    x, y = PageViews(PdfFileReader(io.BytesIO(approval())))[2].seen(words.x, words.y)
    picture = rendered(town.stamp(approval(), StampPlan((AtKeyword("审批机关(盖章)"),))), 150)[2]
    left, top, right, bottom = ink_box(picture, 150)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((x, y), abs=0.8)
    dark = [
        one.crop(tuple(round(side / 25.4 * 150) for side in (left, top, right, bottom))).convert("L")
        for one in (picture, rendered(approval(), 150)[2])
    ]
    black = [sum(one.histogram()[:40]) for one in dark]
    assert black[0] >= black[1] * 0.95 > 0


@pytest.mark.parametrize("rotation", [90, 270])
def test_words_on_a_turned_page(town: Town, rotation: int) -> None:
    page = bent(approval(1), Rotate=generic.NumberObject(rotation), CropBox=numbers(30, 60, 560, 800))
    (words,) = find(page, "联合审批意见书", Which.LAST, range(1))
    view = PageViews(PdfFileReader(io.BytesIO(page)))[0]
    x, y = view.seen(words.x, words.y)
    left, top, right, bottom = ink_box(rendered(town.stamp(page, StampPlan((AtKeyword("联合审批意见书"),))))[0])
    expected = min(max(x, 21), view.width_mm - 21), min(max(y, 21), view.height_mm - 21)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(expected, abs=0.9)


@pytest.mark.parametrize(("which", "pages"), [(Which.FIRST, [0]), (Which.LAST, [2]), (Which.ALL, [0, 1, 2]), (2, [1])])
def test_which_occurrence(which: Which | int, pages: list[int]) -> None:
    assert [one.page for one in find(approval(), "联合审批意见书", which, range(3))] == pages


def test_words_across_two_lines_are_found() -> None:
    """请按照批准的内容组织实施 is broken behind 内容组 on every page."""
    found = find(approval(), "请按照批准的内容组织实施", Which.ALL, range(1))
    assert len(found) == 6
    assert all(80 < one.x < 130 for one in found)  # on the part of the second line


@pytest.mark.parametrize(("words", "which"), [("没有这样的字", Which.LAST), (WORDS, 2), (WORDS, 0)])
def test_a_keyword_that_does_not_occur(town: Town, words: str, which: Which | int) -> None:
    with pytest.raises(KeywordNotFound) as caught:
        town.stamp(approval(), StampPlan((AtPoint(0, 50, 50), AtKeyword(words, which))))
    assert caught.value.code == "KEYWORD_NOT_FOUND"


def test_on_every_page(town: Town) -> None:
    sealed = town.stamp(approval(), StampPlan((OnEveryPage(170, 260),)))
    assert all(ink_box(page) == pytest.approx((149, 239, 191, 281), abs=0.8) for page in rendered(sealed))
    assert verdict_of(town, sealed) is Indication.TOTAL_PASSED
    front = rendered(town.stamp(approval(), StampPlan((OnEveryPage(170, 260, Pages(step=2)),))))
    assert [red(page).getbbox() is not None for page in front] == [True, False, True]


@pytest.mark.parametrize("edge", list(Edge))
def test_strips_put_together_are_the_whole_seal(town: Town, edge: Edge) -> None:
    """Pages side by side, as when they are fanned out, show the seal that a point shows."""
    dpi = 254  # ten pixels a millimetre: seven strips of 42 mm are 60 pixels each
    pages = rendered(town.stamp(approval(7), StampPlan((CrossPage(edge, 100),))), dpi)
    width = pages[0].width
    whole = Image.new("RGB", (420, 420), "white")
    for index, page in enumerate(pages):
        at = (index * 60, 0)
        if edge is Edge.TOP:
            part, at = page.crop((790, 0, 1210, 60)), (0, index * 60)
        elif edge is Edge.LEFT:
            part = page.crop((0, 790, 60, 1210))
        else:
            part = page.crop((width - 60, 790, width, 1210))
        whole.paste(part, at)
    expected = rendered(town.stamp(approval(7), StampPlan((AtPoint(0, 100, 200),))), dpi)[0].crop((790, 1790, 1210, 2210))
    inks = [red(one) for one in (whole, expected)]
    differing = ImageChops.difference(*inks).histogram()[255]
    assert differing < 0.03 * 420 * 420
    assert inks[1].histogram()[255] > 0.1 * 420 * 420


def test_pages_are_shared_out_evenly() -> None:
    assert [len(cut(range(100), 100))] == [100]
    counts = [strip.count for strip in cut(range(101), 100) if strip.index == 0]
    assert counts == [50, 51]
    assert [strip.count for strip in cut(range(5), 2) if strip.index == 0] == [2, 3]
    for pages, most in ((1, 100), (5, 1), (5, 101)):
        with pytest.raises(PlanContradictory):
            cut(range(pages), most)


def test_departments_seal_one_after_another(town: Town) -> None:
    """Five departments, two of them across the pages; after each, everything before still passes."""
    later = (
        town.later(2, AtPoint(2, 60, 250), CrossPage(position_mm=200)),
        town.later(3, AtPoint(2, 110, 250), seal_code=None),
        town.later(4, AtPoint(2, 160, 250)),
        town.later(5, CrossPage(Edge.LEFT)),
    )
    document = town.stamp(approval(), StampPlan((AtKeyword(WORDS), CrossPage(position_mm=80)), Certification.P2, later))
    assert verdict_of(town, document) is Indication.TOTAL_PASSED
    for ordinal, plan in ((4, StampPlan()), (2, StampPlan()), (3, StampPlan(field="Seal3")), (5, StampPlan())):  # not in the declared order
        document = town.stamp(document, plan, ordinal, NOW + dt.timedelta(minutes=10 + ordinal))
        verdict = verify(document, town.world.trust, LATER)
        assert verdict.indication is Indication.TOTAL_PASSED, verdict.to_json()
    assert [one.seal.code for one in verdict.signatures if one.seal] == [code(n) for n in (1, 4, 2, 3, 5)]
    assert verdict.signatures[0].seal is not None
    assert len({one.signing_time for one in verdict.signatures}) == 5


def test_each_seal_needs_its_own_permit(town: Town) -> None:
    first = town.stamp(approval(), StampPlan((AtPoint(0, 50, 50),), Certification.P2, (town.later(2, AtPoint(0, 120, 50)),)))
    material = town.material(2)
    world = town.world
    for permit, error in (
        (world.permit(approval(), seal_code=material.code), PermitMismatch),  # of the document as it was
        (world.permit(first), PermitMismatch),  # of another seal
        (world.permit(first, seal_code=material.code, expires=NOW), PermitExpired),
    ):
        with pytest.raises(error):
            stamp_document(permit, first, material, StampPlan(), world.keystore, NOW)


def test_what_a_p2_document_refuses(town: Town) -> None:
    first = town.stamp(approval(), StampPlan((AtPoint(0, 50, 50),), Certification.P2, (town.later(2, AtPoint(0, 120, 50)),)))
    with pytest.raises(FieldNotPrepared):
        town.stamp(first, StampPlan((AtPoint(0, 120, 120),)), 3)
    with pytest.raises(FieldNotPrepared):
        town.stamp(first, StampPlan(field=f"Seal2-{code(2)}"), 3)
    with pytest.raises(FieldNotPrepared):
        town.stamp(first, StampPlan(field="Seal9"), 2)
    with pytest.raises(PlanContradictory):
        town.stamp(first, StampPlan((AtPoint(0, 120, 50),)), 2)
    with pytest.raises(PlanContradictory):
        town.stamp(first, StampPlan(later=(town.later(3, AtPoint(0, 60, 60)),)), 2)
    second = town.stamp(first, StampPlan(), 2)
    with pytest.raises(FieldUnfit):
        town.stamp(second, StampPlan(field=f"Seal2-{code(2)}"), 2)


def test_a_place_of_another_size_takes_no_seal(town: Town) -> None:
    first = town.stamp(approval(), StampPlan((AtPoint(0, 50, 50),), Certification.P2, (town.later(2, AtPoint(0, 120, 50), width_mm=38),)))
    with pytest.raises(FieldUnfit):
        town.stamp(first, StampPlan(), 2)


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (StampPlan(), PlanContradictory),
        (StampPlan((AtPoint(3, 50, 50),)), PageMissing),
        (StampPlan((AtPoint(-1, 50, 50),)), PageMissing),
        (StampPlan((AtPoint(0, 5, 50),)), PlaceOutside),
        (StampPlan((AtPoint(0, 100, 290),)), PlaceOutside),
        (StampPlan((OnEveryPage(100, 100, Pages(7)),)), PageMissing),
        (StampPlan((CrossPage(pages=Pages(0, 0)),)), PlanContradictory),
        (StampPlan((CrossPage(position_mm=1),)), PlaceOutside),
        (StampPlan((AtKeyword("  "),)), PlanContradictory),
        (StampPlan((AtPoint(0, 100, 100),), field="Seal2"), FieldNotPrepared),
    ],
)
def test_plans_that_cannot_be_done(town: Town, plan: StampPlan, error: type[NotStampable]) -> None:
    with pytest.raises(error):
        town.stamp(approval(), plan)


def test_p1_takes_no_later_seal(town: Town) -> None:
    with pytest.raises(PlanContradictory):
        town.stamp(approval(), replace(POINT, later=(town.later(2, AtPoint(0, 60, 60)),)))
    final = town.stamp(approval(), POINT)
    with pytest.raises(DocumentFinal):
        town.stamp(final, POINT, 2)
    with pytest.raises(DocumentFinal):
        town.stamp(town.world.stamped(), POINT, 2)  # a certificate of ours


def test_an_uncertified_seal_says_so_and_takes_another(town: Town) -> None:
    first = town.stamp(approval(), replace(POINT, certification=Certification.NONE))
    verdict = verify(first, town.world.trust, LATER)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert [one.outcome for one in verdict.signatures[0].checks if one.name == "DOCMDP"] == ["NOTICE"]
    with pytest.raises(OnePlaceOnly):
        town.stamp(first, StampPlan((OnEveryPage(60, 60),)), 2)


def test_encrypted_xfa_and_broken_documents(town: Town) -> None:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(approval())))
    writer.encrypt("owner", "user")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(DocumentEncrypted):
        town.stamp(locked.getvalue(), POINT)
    with pytest.raises(DocumentXfa):
        town.stamp(with_form(XFA=generic.TextStringObject("<xdp/>"), Fields=generic.ArrayObject()), POINT)
    for broken in (
        b"",
        b"%PDF-1.7\n",
        approval()[:-400],
        b"no PDF at all",
        approval().replace(b"/Type /Pages", b"/Type /Pagez")[: len(approval()) // 2],
    ):
        with pytest.raises(NotStampable) as caught:
            town.stamp(broken, POINT)
        assert caught.value.code == "DOCUMENT_NOT_STAMPABLE"


def with_form(**entries: object) -> bytes:
    writer: PdfFileWriter = copy_into_new_writer(PdfFileReader(io.BytesIO(approval())))
    form = generic.DictionaryObject({generic.NameObject(f"/{name}"): value for name, value in entries.items()})  # type: ignore[misc]
    writer.root["/AcroForm"] = form
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_unsigned_form_takes_no_seal(town: Town) -> None:
    field = generic.DictionaryObject({generic.pdf_name("/FT"): generic.pdf_name("/Tx"), generic.pdf_name("/T"): generic.pdf_string("name")})
    with pytest.raises(NotStampable) as caught:
        town.stamp(
            with_form(Fields=generic.ArrayObject([generic.IndirectObject(2, 0, None)])) if field is None else with_field(field), POINT
        )
    assert caught.value.code == "DOCUMENT_NOT_STAMPABLE"


def with_field(field: generic.DictionaryObject) -> bytes:
    writer: PdfFileWriter = copy_into_new_writer(PdfFileReader(io.BytesIO(approval())))
    form = generic.DictionaryObject({generic.pdf_name("/Fields"): generic.ArrayObject([writer.add_object(field)])})
    writer.root["/AcroForm"] = form
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_the_source_is_untouched_and_equal_input_gives_equal_structure(town: Town) -> None:
    source = bytes(approval())
    sealed = town.stamp(source, POINT)
    assert sealed.startswith(source)
    assert source == approval()


def test_a_stamp_that_is_gm_alone(town: Town) -> None:
    sealed = town.stamp(approval(), replace(POINT, profile=Profile.GM))
    reader = PdfFileReader(io.BytesIO(sealed))
    value = reader.root["/AcroForm"]["/Fields"][0]["/V"]
    assert value["/SubFilter"] == "/GM.sm2seal"
    verdict = verify(sealed, town.world.trust, LATER)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert verdict.signatures[0].level == "GM.sm2seal"
    changed = sealed.replace(b"/Count", b"/CounT", 1)
    assert verify(changed, town.world.trust, LATER).indication is not Indication.TOTAL_PASSED
