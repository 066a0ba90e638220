"""A certificate with a character that no font has waits, is told of, and goes on once somebody supplied or agreed."""

import io
import json
from typing import Any

import pypdfium2
import pytest
from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont
from sqlalchemy import func, select, text

from certs.approvals import OutcomeStatus
from certs.fonts import REQUIRED_FONTS
from certs.glyph_models import GlyphRow, GlyphWaitRow
from certs.glyphs import Glyph, GlyphRefused, build_font, checked, from_font, from_svg
from certs.issuance import approve, sweep
from certs.models import CertificateRow, IssuingRow, OutboxRow
from certs.rare_characters import NotWaitedFor, agree_substitute, supply_glyph, waiting
from certs.rendering import GlyphMissing, render
from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.base.errors import InvalidInput
from tests.render_jobs import job

RARE, RARER = "\U000323af", "\ue000"
SQUARE = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="M10 10H90V90H10z M30 30V70H70V30z"/></svg>'


async def rows(database: Database, table: Any) -> list[Any]:
    async with database.session() as session:
        return list(await session.scalars(select(table)))


async def audit_trail(database: Database, action: str) -> list[tuple[str, str | None]]:
    async with database.session() as session:
        found = await session.execute(text("SELECT body FROM keys.audit_events WHERE action = :action ORDER BY id"), {"action": action})
        bodies = [json.loads(body) for (body,) in found]
    return [(body["outcome"], body["code"]) for body in bodies]


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return "".join(str(document[0].get_textpage().get_text_range()).split())
    finally:
        document.close()


# ---- outlines ----


def test_an_outline_is_printed_and_its_character_is_found_in_the_text() -> None:
    task = job(fields={"法定代表人（负责人）": f"钱{RARE}"})
    with pytest.raises(GlyphMissing):
        render(task)
    made = render(job(fields={"法定代表人（负责人）": f"钱{RARE}"}, glyphs=(from_svg(RARE, SQUARE),)))
    assert f"钱{RARE}" in text_of(made.pdf)
    assert b"FujieRare" in made.pdf


def test_a_substitute_is_printed_wherever_the_character_stands() -> None:
    made = render(job(fields={"住所": f"示范市{RARE}街"}, substitutes=((RARE, "（上明下土）"),)))
    assert "示范市（上明下土）街" in text_of(made.pdf)


def test_equal_outlines_give_equal_fonts() -> None:
    glyphs = (from_svg(RARE, SQUARE), from_svg(RARER, SQUARE))
    assert build_font(glyphs) == build_font(glyphs)
    font = TTFont(io.BytesIO(build_font(glyphs)))
    assert set(font.getBestCmap()) == {ord(RARE), ord(RARER)}


@pytest.mark.parametrize(
    ("svg", "word"),
    [
        (b"no xml", "well-formed"), (b"<svg viewBox='0 0 100 100'/>", "empty"), (b"<svg><path d='M0 0H9V9z'/></svg>", "viewBox"),
        (b"<svg viewBox='0 0 100 50'><path d='M10 10H90V90H10z'/></svg>", "square"),
        (b"<svg viewBox='0 0 100 100'><image href='/etc/passwd'/></svg>", "only paths"),
        (b"<svg viewBox='0 0 100 100'><script/></svg>", "only paths"),
        (b"<svg viewBox='0 0 100 100'><path transform='scale(2)' d='M10 10H90V90H10z'/></svg>", "transform"),
        (b"<svg viewBox='0 0 100 100'><path stroke='red' d='M10 10H90V90H10z'/></svg>", "stroke"),
        (b"<svg viewBox='0 0 100 100'><path d='M-90 10H90V90H10z'/></svg>", "leaves"),
        (b"<svg viewBox='0 0 100 100'><path d='M1 1H2V2z'/></svg>", "tiny"),
        (b"<svg viewBox='0 0 100 100'><path d='javascript:1'/></svg>", "path data"),
        (b"<svg viewBox='0 0 100 100'><path d='M1'/></svg>", "path data"),
        (b"<!DOCTYPE s [<!ENTITY a 'b'>]><svg viewBox='0 0 1 1'/>", "entities"), (b" " * 300_000, "256 KB"),
    ],
)  # fmt: skip
def test_outlines_that_cannot_be_used_are_refused_with_a_reason(svg: bytes, word: str) -> None:
    with pytest.raises(GlyphRefused) as caught:
        from_svg(RARE, svg)
    assert word in str(caught.value.extra["reason"])


def test_a_font_gives_its_outline() -> None:
    octets = REQUIRED_FONTS.required()[0].read_bytes()
    assert len(from_font("龘", octets).path) > 500
    for font, word in ((b"no font", "readable"), (octets, "not have it"), (_closed(), "embedding")):
        with pytest.raises(GlyphRefused) as caught:
            from_font("\ue123", font)
        assert word in str(caught.value.extra["reason"])


def _closed() -> bytes:
    font = TTFont(REQUIRED_FONTS.required()[0])
    subsetter = Subsetter()
    subsetter.populate(text="钱")
    subsetter.subset(font)
    font["OS/2"].fsType = 2
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()


def test_one_character_at_a_time() -> None:
    with pytest.raises(GlyphRefused):
        checked("两字", "M100 100H900V900z")


# ---- the queue ----


def unprintable(city: Any, characters: str = RARE) -> Any:
    return city.approval(fields=city.approval().fields | {"详细地址": f"示范市{characters}街1号"})


async def test_a_supplied_outline_lets_the_issuing_go_on(city: Any) -> None:
    approval, database = unprintable(city), city.issuing.database
    outcome = await approve(city.issuing, city.client, approval, "key")
    assert outcome.status is OutcomeStatus.AWAITING_GLYPH
    assert await approve(city.issuing, city.client, approval, "key") == outcome
    async with database.session() as session:
        (one,) = await waiting(session)
    assert (one.character, one.certificates) == (RARE, (outcome.id,))
    (told,) = [row for row in await rows(database, OutboxRow) if row.topic == "certificate.awaiting_glyph"]
    assert told.payload["characters"] == [RARE]
    assert await sweep(city.issuing) == 0, "it waits for somebody, not for the sweeper"
    assert await supply_glyph(city.issuing, SYSTEM, from_svg(RARE, SQUARE), SQUARE, "svg", "our own drawing") == 1
    (row,) = await rows(database, CertificateRow)
    assert (row.stage, row.id) == ("issued", outcome.id)
    assert await rows(database, GlyphWaitRow) == []
    assert f"示范市{RARE}街" in text_of(await city.issuing.blobs.get(row.document_hash))
    assert await approve(city.issuing, city.client, approval, "key") == outcome, "the same key, the same answer"
    assert await audit_trail(database, "certs.glyph.supply") == [("done", None)]
    another = await approve(city.issuing, city.client, city.approval(2, fields=city.approval(2).fields | {"坐落": f"{RARE}街"}), "another")
    assert another.status in (OutcomeStatus.ISSUED, OutcomeStatus.AWAITING_STAMP), "what was supplied is there for every other"


async def test_it_waits_until_nothing_is_lacking(city: Any) -> None:
    database = city.issuing.database
    outcome = await approve(city.issuing, city.client, unprintable(city, RARE + RARER), "key")
    assert await supply_glyph(city.issuing, SYSTEM, from_svg(RARE, SQUARE), SQUARE, "svg", "our own drawing") == 0
    for words, error in ((("", "agreed at the window"), InvalidInput), (("王", " "), InvalidInput), ((RARER, "agreed"), GlyphMissing)):
        with pytest.raises(error):
            await agree_substitute(city.issuing, SYSTEM, outcome.id, RARER, *words)
    with pytest.raises(NotWaitedFor):
        await agree_substitute(city.issuing, SYSTEM, outcome.id, "\ue111", "王", "agreed at the window")
    assert await agree_substitute(city.issuing, SYSTEM, outcome.id, RARER, "王", "agreed at the window by the applicant")
    (row,) = await rows(database, CertificateRow)
    assert (row.stage, row.fields["详细地址"]) == ("issued", f"示范市{RARE}{RARER}街1号")
    assert f"示范市{RARE}王街" in text_of(await city.issuing.blobs.get(row.document_hash))
    assert {one for one, _ in await audit_trail(database, "certs.glyph.substitute")} == {"refused", "done"}


async def test_what_is_refused_is_audited_and_nothing_is_kept(city: Any) -> None:
    for glyph, licence in ((from_svg(RARE, SQUARE), " "), (Glyph("钱", "M100 100H900V900z"), "ours"), (Glyph(RARE, ""), "ours")):
        with pytest.raises((InvalidInput, GlyphRefused)):
            await supply_glyph(city.issuing, SYSTEM, glyph, b"", "svg", licence)
    async with city.issuing.database.session() as session:
        assert await session.scalar(select(func.count()).select_from(GlyphRow)) == 0
        assert await session.scalar(select(func.count()).select_from(IssuingRow)) == 0
    assert [one for one, _ in await audit_trail(city.issuing.database, "certs.glyph.supply")] == ["refused"] * 3
