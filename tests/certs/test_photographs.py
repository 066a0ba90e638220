"""A photograph and a copy, from the approval to the paper: printed, kept sealed until then and no longer, refused by code."""

import base64
import dataclasses
import datetime as dt
import io
import json
from functools import cache
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import text

from api.approval_rows import approval_of
from certs.applications import Application, ApplicationRefused, apply_for, read_application
from certs.approvals import Approval, HolderInput, IdempotencyKeyReused, OutcomeStatus
from certs.authorisations import code_digest
from certs.glyphs import from_svg
from certs.issuance import approve, decline_awaiting, sweep
from certs.library import Library
from certs.models import CertificateRow
from certs.photograph_keeping import kept_photograph
from certs.photograph_models import PhotographRow
from certs.photographs import HEIGHT, LONGEST_TEXT, WIDTH, PhotographUnusable, decoded
from certs.portraits import photograph_shown, portrait_of
from certs.prechecks import Result, preview
from certs.rare_characters import supply_glyph
from certs.records import Stage
from certs.sharing_models import ShowCodeRow, ShowingRow
from keys.base.actor import SYSTEM
from keys.base.errors import FujieError, InvalidInput
from keys.base.ids import new_id
from tests.certs.test_issuing import Plug, audit_trail, printed_text, rows
from tests.certs.test_rare_characters import RARE, SQUARE
from tests.render_jobs import BUSINESS, FIELDS, OPERATIONS, SAFETY

HIDDEN = b"where it was taken"
CARDS = {SAFETY: ("钱晓明", "990100197003131003"), OPERATIONS: ("郑雨桐", "990100198701171023")}


@cache
def face(kind: str = "JPEG") -> bytes:
    """A head and shoulders, lying on its side as cameras store it, with a place of taking in its notes."""
    drawn, buffer = Image.new("RGB", (600, 840), "#7fb0d8"), io.BytesIO()
    pen = ImageDraw.Draw(drawn)
    pen.ellipse((60, 560, 540, 1200), fill="#26384f")
    pen.ellipse((190, 190, 410, 480), fill="#e6b98f")
    pen.pieslice((180, 150, 420, 420), 180, 360, fill="#2b2320")
    notes = Image.Exif()
    notes[0x0112] = 6  # turned by 90 degrees
    notes[0x010E] = HIDDEN.decode()
    drawn.rotate(90, expand=True).save(buffer, kind, exif=notes)
    return buffer.getvalue()


def card(city: Any, type_code: str = SAFETY, **changes: Any) -> Approval:
    name, code = CARDS[type_code]
    fields = {label: value for label, value in FIELDS[type_code].items() if label != "姓名"}
    values = {"certificate_type": type_code, "holders": (HolderInput(name, code, "111"),), "fields": fields, "photo": face()}
    return city.approval(**(values | changes))  # type: ignore[no-any-return]


def licence(city: Any, **changes: Any) -> Approval:
    return city.approval(**({"certificate_type": BUSINESS, "fields": FIELDS[BUSINESS], "valid_to": None} | changes))  # type: ignore[no-any-return]


async def sealed_file(city: Any, certificate_id: Any) -> bytes:
    async with city.issuing.database.session() as session:
        row = await session.get_one(CertificateRow, certificate_id)
    assert row.stage == "issued"
    return await city.issuing.blobs.get(row.document_hash)  # type: ignore[no-any-return]


def is_face(jpeg: bytes | None) -> bool:
    """Upright, of the frame's proportions, the face in its middle, and nothing of the notes."""
    assert jpeg is not None
    assert HIDDEN not in jpeg
    assert b"Exif" not in jpeg
    with Image.open(io.BytesIO(jpeg)) as picture:
        top, middle = picture.getpixel((20, 20)), picture.getpixel((WIDTH // 2, HEIGHT * 2 // 5))
        assert picture.size == (WIDTH, HEIGHT)
    return top[2] > 180 > top[0] and middle[0] > 200 > middle[2]  # type: ignore[index]


async def kept_count(city: Any) -> int:
    return len(await rows(city.issuing.database, PhotographRow))


@pytest.mark.parametrize("type_code", [SAFETY, OPERATIONS])
async def test_the_photograph_of_an_approval_is_printed_and_seen_by_a_checker(city: Any, type_code: str) -> None:
    approval = card(city, type_code, photo=face("PNG" if type_code == OPERATIONS else "JPEG"))
    outcome = await approve(city.issuing, city.client, approval, "key")
    assert outcome.status is OutcomeStatus.ISSUED
    pdf = await sealed_file(city, outcome.id)
    assert is_face(portrait_of(pdf))
    assert HIDDEN not in pdf
    assert await kept_count(city) == 0, "the file has it now"
    assert await approve(city.issuing, city.client, approval, "key") == outcome
    for other in (None, face()[:-1]):
        with pytest.raises(IdempotencyKeyReused):
            await approve(city.issuing, city.client, dataclasses.replace(approval, photo=other), "key")
    assert is_face(await seen_by_a_checker(city, outcome.id))


async def seen_by_a_checker(city: Any, certificate_id: Any) -> bytes | None:
    issuing, now, showing, code = city.issuing, city.issuing.clock.now(), new_id(), "7Q4MXK2P9HTD3RWB"
    soon = now + dt.timedelta(minutes=5)
    async with issuing.database.begin() as session:
        values = {"account_id": "holder", "holder_index": b"i", "purpose": "identity", "want": "data"}
        session.add(ShowingRow(id=showing, certificate_id=certificate_id, started_at=now, ends_at=soon, **values))
        await session.flush()
        session.add(ShowCodeRow(digest=code_digest(code), showing_id=showing, expires_at=soon))
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    return await photograph_shown(library, issuing.workers, code)


@pytest.mark.parametrize("step", ["print_document", "record_issued"])
async def test_killed_between_reservation_and_record_nothing_is_lost(
    city: Any, step: str, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise Plug

    with monkeypatch.context() as patch:
        patch.setattr(f"certs.carrying.{step}", gone)
        with pytest.raises(Plug):
            await approve(city.issuing, city.client, card(city), "key")
    (waiting,) = await rows(city.issuing.database, PhotographRow)
    kept = await kept_photograph(city.issuing.database, city.issuing.personal, waiting.certificate_id)
    assert is_face(kept)
    assert kept[100:300] not in waiting.photo_sealed
    assert base64.b64encode(kept)[120:300] not in waiting.photo_sealed
    clock.advance(seconds=20)
    assert await sweep(city.issuing) == 1
    assert is_face(portrait_of(await sealed_file(city, waiting.certificate_id)))
    assert await kept_count(city) == 0


async def test_it_waits_with_the_certificate_for_a_character_and_not_for_a_stamp(city: Any) -> None:
    approval = card(city)
    rare = dataclasses.replace(approval, fields=dict(approval.fields) | {"职务": f"{RARE}管"})
    waiting = await approve(city.issuing, city.client, rare, "rare")
    assert (waiting.status, await kept_count(city)) == (OutcomeStatus.AWAITING_GLYPH, 1)
    assert await supply_glyph(city.issuing, SYSTEM, from_svg(RARE, SQUARE), SQUARE, "svg", "our own drawing") == 1
    assert is_face(portrait_of(await sealed_file(city, waiting.id)))
    assert await kept_count(city) == 0
    another = dataclasses.replace(approval, approval_number="示建安C3（2026）0000317")
    parked = await approve(city.issuing, city.attended, another, "parked")
    assert (parked.status, await kept_count(city)) == (OutcomeStatus.AWAITING_STAMP, 0), "it is printed; what is stamped is that print"
    boss = city.approver(approval.issuer)
    shown = await city.see(boss, parked.id)
    assert is_face(portrait_of(shown.pdf))
    await city.stamp(boss, parked.id, shown.document_hash)
    assert is_face(portrait_of(await sealed_file(city, parked.id)))
    third = dataclasses.replace(approval, approval_number="示建安C3（2026）0000318")
    declined = await approve(city.issuing, city.attended, third, "declined")
    await decline_awaiting(city.issuing, boss, declined.id, "not the holder")


async def test_what_is_refused_after_reservation_leaves_no_face(city: Any) -> None:
    long = card(city, fields={"企业名称": "示" * 500, "职务": "管" * 500, "类别": "C" * 500, "性别": "男" * 500})
    with pytest.raises(FujieError) as refusal:
        await approve(city.issuing, city.client, long, "key")
    assert refusal.value.code == "FIELDS_TOO_LONG"
    assert await kept_count(city) == 0


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no picture": (SAFETY, {"photo": b"no picture"}, "PHOTOGRAPH_UNUSABLE"),
    "empty": (SAFETY, {"photo": b""}, "PHOTOGRAPH_UNUSABLE"),
    "cut off": (SAFETY, {"photo": face()[:900]}, "PHOTOGRAPH_UNUSABLE"),
    "too large": (OPERATIONS, {"photo": b"\xff\xd8" + bytes(4 << 20)}, "PHOTOGRAPH_UNUSABLE"),
    "another format": (SAFETY, {"photo": b"GIF89a" + bytes(40)}, "PHOTOGRAPH_UNUSABLE"),
    "no place": (BUSINESS, {"photo": face()}, "TYPE_TAKES_NO_PHOTOGRAPH"),
    "no such copy": (BUSINESS, {"copy": "抄本"}, "COPY_UNKNOWN"),
    "no copies": (SAFETY, {"copy": "副本"}, "COPY_UNKNOWN"),
}


async def test_what_cannot_be_printed_is_refused_by_code_and_leaves_nothing(city: Any) -> None:
    for name, (type_code, changes, code) in REFUSED.items():
        approval = licence(city, **changes) if type_code == BUSINESS else card(city, type_code, **changes)
        with pytest.raises(FujieError) as refusal:
            await approve(city.issuing, city.client, approval, "key")
        assert (refusal.value.code, refusal.value.status) == (code, 422), name
        assert {one["field"] for one in refusal.value.extra["errors"]} <= {"photo", "copy"}  # type: ignore[attr-defined]
        found, _ = await preview(city.issuing, city.client, approval)
        assert {one.check for one in found.findings if one.result is Result.FAILED and one.error and one.error.code == code} == {"CONTENT"}
    assert not await rows(city.issuing.database, CertificateRow)
    assert await kept_count(city) == 0
    assert await audit_trail(city.issuing.database, "certs.issue.approve") == [("refused", one[2]) for one in REFUSED.values()]


async def test_nothing_of_the_face_is_told(city: Any) -> None:
    approval = card(city)
    assert "photo" not in repr(approval)
    await approve(city.issuing, city.client, approval, "key")
    async with city.issuing.database.session() as session:
        told = " ".join(await session.scalars(text("SELECT body::text FROM keys.audit_events")))
        told += " ".join(await session.scalars(text("SELECT approval::text FROM certs.issuings")))
    for octets in (face(), portrait_of(await sealed_file(city, (await rows(city.issuing.database, CertificateRow))[0].id)) or b""):
        assert base64.b64encode(octets)[:60].decode() not in told
        assert octets[:30].hex() not in told


async def test_the_preview_shows_what_would_be_printed(city: Any) -> None:
    found, made = await preview(city.issuing, city.client, card(city))
    assert found.passes
    assert made is not None
    assert is_face(portrait_of(made.pdf))
    found, made = await preview(city.issuing, city.client, licence(city, copy="副本"))
    assert found.passes
    assert made is not None
    assert "副本" in printed_text(made.pdf)


async def test_an_approval_says_which_copy_is_printed(city: Any) -> None:
    for place, (copy, shown) in enumerate((("", "正本"), ("正本", "正本"), ("副本", "副本"))):
        approval = licence(city, copy=copy, approval_number=f"91990100MA0000H28{place}")
        outcome = await approve(city.issuing, city.client, approval, f"key-{place}")
        said = printed_text(await sealed_file(city, outcome.id))
        assert shown in said
        assert ({"正本", "副本"} - {shown}).pop() not in said


async def test_every_certificate_of_an_application_has_its_own(city: Any) -> None:
    both = [card(city), card(city, OPERATIONS, approval_number="another"), licence(city, copy="副本", approval_number="licence")]
    standing = await apply_for(city.issuing, city.client, Application("1", "一件事", tuple(both)), "key")
    assert [one.stage for one in (await read_application(city.issuing.database, city.client, standing.id)).items] == [Stage.ISSUED] * 3
    assert [portrait_of(await sealed_file(city, one.certificate_id)) is not None for one in standing.items] == [True, True, False]
    with pytest.raises(ApplicationRefused) as refusal:
        await apply_for(city.issuing, city.client, Application("2", "一件事", (licence(city, photo=face()),)), "other")
    assert [one["code"] for one in refusal.value.extra["errors"]] == ["TYPE_TAKES_NO_PHOTOGRAPH"]  # type: ignore[attr-defined]


def test_rows_of_files_carry_them_as_the_interface_does() -> None:
    flat = {
        "certificate_type": SAFETY, "holder_name": "钱晓明", "holder_code": "1", "holder_code_type": "111", "matter_code": "1",
        "valid_from": "2026-11-21", "seal": "approval", "photo": base64.b64encode(b"octets").decode(), "copy": "副本", "职务": "管",
    }  # fmt: skip
    found = approval_of(flat)
    assert (found.photo, found.copy, dict(found.fields)) == (b"octets", "副本", {"职务": "管"})
    assert approval_of(flat | {"photo": "", "copy": ""}).photo is None
    nested = {"photo": "=", "holders": [], "fields": {}}
    with pytest.raises(InvalidInput) as refusal:
        approval_of(json.loads(json.dumps(flat)) | {"photo": "?"})
    assert isinstance(refusal.value, PhotographUnusable)
    with pytest.raises(InvalidInput):
        approval_of(nested)
    for wrong in ("%", "abc", "A" * (LONGEST_TEXT + 4), "照片"):
        with pytest.raises(PhotographUnusable):
            decoded(wrong)
