"""A file that was changed behind its seal: which pages look different, in the sandbox and for people."""

import base64
import datetime as dt
import io
import os

import pikepdf
import pytest
from PIL import Image

from api.verdict_words import reason
from seal.changed_pages import MOST_PAGES, compare, sealed_revision
from seal.comparison import Comparison
from seal.sandbox import Gate
from seal.trust import Trust
from seal.verdict import Indication, Verdict
from tests.attacks.forged_bases import rich
from tests.attacks.forged_cases import annotate, drop_last_page, language, overlay, updated
from tests.stamped import NOW, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def sealed(world: World) -> bytes:
    return world.stamped()


def compared(pdf: bytes) -> Comparison:
    found = compare(pdf, Trust(), NOW)
    assert found is not None
    return found


def test_the_sealed_revision_is_what_the_signature_covers(sealed: bytes) -> None:
    assert sealed_revision(sealed) is None
    assert sealed_revision(updated(sealed, overlay)) == sealed
    assert sealed_revision(b"") is None
    assert compare(sealed, Trust(), NOW) is None


def test_a_changed_page_is_shown_beside_the_sealed_one(sealed: bytes) -> None:
    found = compared(updated(sealed, annotate("Square")))
    assert (found.pages, found.before, found.after) == ((1,), 1, 1)
    (pair,) = found.pairs
    then, now = (Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB") for text in (pair.before, pair.after))
    assert then.size == now.size
    assert (196, 30, 58) in {colour for _, colour in now.getcolors(1 << 20) or ()}


def test_what_cannot_be_seen_changes_no_page(sealed: bytes) -> None:
    assert compared(updated(sealed, language)).pages == ()


def test_a_page_that_is_gone_is_named(sealed: bytes, world: World) -> None:
    from_two = updated(world.stamped(_two_pages()), drop_last_page)
    found = compared(from_two)
    assert (found.pages, found.before, found.after) == ((2,), 2, 1)
    assert (found.pairs[0].before != "", found.pairs[0].after) == (True, "")


def _two_pages() -> bytes:
    pdf = pikepdf.open(io.BytesIO(rich()))
    del pdf.Root.AcroForm
    del pdf.pages[0].Annots
    out = io.BytesIO()
    pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return out.getvalue()


def test_what_cannot_be_drawn_is_not_compared(sealed: bytes) -> None:
    assert compare(sealed + b"%" * 3000 + b"garbage", Trust(), NOW) in (None, Comparison((), 1, 1))
    assert MOST_PAGES == 20


async def _judged(pdf: bytes, world: World) -> Verdict:
    file = os.memfd_create("test")
    try:
        os.write(file, pdf)
        return await Gate().verify_file(file, world.trust, NOW + dt.timedelta(minutes=1))
    finally:
        os.close(file)


async def test_the_gate_names_the_pages_and_says_so_in_both_languages(world: World, sealed: bytes) -> None:
    verdict = await _judged(updated(sealed, overlay), world)
    assert verdict.indication is Indication.TOTAL_FAILED
    assert verdict.to_json()["changed_pages"] == [1]
    assert "pairs" not in str(verdict.to_json())
    assert reason(verdict, "en") == "This document was changed after it was sealed: page 1"
    assert reason(verdict, "zh") == "文件在用印后被改动：第 1 页"
    unseen = await _judged(updated(sealed, language), world)
    assert "look the same" in reason(unseen, "en")
    good = await _judged(sealed, world)
    assert (good.indication, good.comparison) == (Indication.TOTAL_PASSED, None)
    assert "changed_pages" not in good.to_json()


def test_many_pages_are_named_in_part() -> None:
    verdict = Verdict("pdf", Indication.TOTAL_FAILED, "FORMAT_FAILURE", comparison=Comparison(tuple(range(1, 31)), 30, 30))  # type: ignore[arg-type]
    assert reason(verdict, "en").endswith("11, 12 and more")
    assert Comparison.from_json(verdict.comparison.to_json()) == verdict.comparison  # type: ignore[union-attr]
