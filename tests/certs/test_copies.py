"""Annotated copies: made, sealed, recalled, refused; worth what the original is worth."""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import io
import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from sqlalchemy import text
from zxingcpp import BarcodeFormat, BarcodeFormats, read_barcodes

from api.paper_check import beside, best_of
from certs.access_rates import Rate, Rule, Use, set_rate, standing_of
from certs.copies import CopyWanted, expiry, make_copy
from certs.copy_pictures import page_pictures
from certs.copy_reading import file_of_copy, list_copies, redeem, temporary_address, tidy_copies, withdraw_copy
from certs.copy_records import drop_files_of
from certs.copy_rendering import layout
from certs.copy_seals import grant_copies
from certs.known_files import known_file
from certs.library import Library, access_history, file_of
from certs.lifecycle import Standing
from certs.pictures import picture
from certs.reads import get_certificate
from certs.standing import change_standing
from certs.verification import record_by_code
from certs.verification_hot import Records
from keys.base.actor import ANONYMOUS, SYSTEM, Actor, ActorKind, Role
from keys.base.errors import FujieError
from tests.conftest import require_command

PURPOSE = "办理食品经营许可，核对排水许可"
STRANGER = Actor(ActorKind.CLIENT, "stranger", "stranger", "11990100MB0000035A", "990100", scopes=frozenset({"certificates:read"}))
CODES = BarcodeFormats(BarcodeFormat.QRCode)


@pytest.fixture
async def issued(city: Any, stocked: Any) -> Any:
    """A certificate in force, of whose issuer's seal copies were granted."""
    first = stocked.issued[0]
    async with city.issuing.database.begin() as session:
        certificate: Any = await get_certificate(session, first.id)
        keeper = Actor(
            ActorKind.PERSON, "keeper", "Keeper", certificate.issuer, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2
        )
        await grant_copies(session, city.issuing.clock.now(), keeper, certificate.seal_code, certificate.matter_code)
    return first


@pytest.fixture
def library(city: Any) -> Library:
    issuing = city.issuing
    return Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)


def wanting(issued: Any, **changes: Any) -> CopyWanted:
    return dataclasses.replace(CopyWanted(PURPOSE, certificate_id=issued.id), **changes)


async def refusal(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


async def audited(city: Any, action: str) -> list[tuple[str, str | None]]:
    async with city.issuing.database.session() as session:
        found = await session.execute(text("SELECT body FROM keys.audit_events WHERE action = :action ORDER BY id"), {"action": action})
        bodies = [json.loads(body) for (body,) in found]
    return [(body["outcome"], body["code"]) for body in bodies]


async def copies_kept(city: Any) -> list[tuple[str, bool]]:
    """(stage, whether a file is kept) of every row."""
    async with city.issuing.database.session() as session:
        rows = await session.execute(text("SELECT stage, document_hash IS NOT NULL FROM certs.copies ORDER BY id"))
        return [(row[0], row[1]) for row in rows]


def written(pdf: bytes, folder: Path) -> Path:
    file = folder / "copy.pdf"
    file.write_bytes(pdf)
    return file


def told(program: str, package: str, *arguments: str | Path) -> str:
    done = subprocess.run([require_command(program, package), *arguments], capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_a_copy_shows_the_original_and_says_for_whom_and_what_for(city: Any, issued: Any, library: Library, tmp_path: Path) -> None:
    copy = await make_copy(city.issuing, city.client, wanting(issued), "k")
    original = await file_of(library, city.client, issued.id, "对照")
    pdf = await file_of_copy(library, city.client, copy.id)
    assert hashlib.sha256(pdf).digest() == copy.sha256
    assert copy.original_hash == hashlib.sha256(original).digest()
    file = written(pdf, tmp_path)
    words = "".join(told("pdftotext", "poppler-utils", "-layout", file, "-").split())
    for word in (
        PURPOSE,
        "示范市行政审批服务局",
        "2026年11月21日10:00",
        "2026年12月21日23:59",
        issued.identifier,
        hashlib.sha256(original).hexdigest()[:32],
    ):
        assert word.replace(" ", "") in words
    assert "Signature is Valid" in (signed := told("pdfsig", "poppler-utils", file))
    assert "Total document signed" in signed
    assert "<pdfaid:part>3</pdfaid:part>" in told("pdfinfo", "poppler-utils", "-meta", file)
    assert "No syntax or stream encoding errors found" in told("qpdf", "qpdf", "--check", file)
    assert "H1" in told("pdfinfo", "poppler-utils", "-struct-text", file)
    with pypdfium2.PdfDocument(pdf) as document:
        metadata = json.loads(bytes(document.get_attachment(0).get_data()))
    assert metadata["ZZBS"] == issued.identifier
    assert metadata["KZ_YJZY"] == copy.original_hash.hex()
    assert (metadata["JZJZZSY"], metadata["JZJZZSJ"][:10], metadata["JZJYXQJZSJ"][:10]) == (PURPOSE, "2026-11-21", "2026-12-21")
    with Image.open(io.BytesIO(picture(pdf, 0, 150))) as shown:
        codes = {one.text for one in read_barcodes(shown.convert("L"), formats=CODES)}
    assert {f"http://127.0.0.1:8000/v/{code}" for code in (copy.verification_code, issued.verification_code)} <= codes


async def test_one_key_gets_one_copy_and_the_holder_sees_it(city: Any, issued: Any, library: Library) -> None:
    first, second = await asyncio.gather(
        make_copy(city.issuing, city.client, wanting(issued), "k"),
        make_copy(city.issuing, city.client, wanting(issued), "k"),
        return_exceptions=True,
    )
    made = [one for one in (first, second) if not isinstance(one, BaseException)]
    assert made
    assert all(one == made[0] for one in made)
    assert all(one.code == "ISSUING_IN_PROGRESS" for one in (first, second) if isinstance(one, FujieError))
    assert await make_copy(city.issuing, city.client, wanting(issued), "k") == made[0]
    assert await refusal(make_copy(city.issuing, city.client, wanting(issued, days=3), "k")) == "IDEMPOTENCY_KEY_REUSED"
    assert await copies_kept(city) == [("made", True)]
    accesses = await access_history(library, city.client, issued.id)
    assert [(one.kind, one.purpose, one.organisation) for one in accesses] == [("copy", PURPOSE, city.client.organisation)]
    async with city.issuing.database.session() as session:
        told_of = await session.scalar(text("SELECT payload FROM certs.outbox WHERE topic = 'certificate.copied'"))
        left = (await standing_of(session, city.issuing.clock.now(), city.client, Use.COPY)).left
    assert told_of == {"id": str(issued.id), "identifier": issued.identifier, "copy": str(made[0].id)}
    assert left == 4999


async def verified(city: Any, copy: Any) -> tuple[Standing, Standing, str, dict[str, Any]]:
    """The copy by its code, slowly and fast, what became of it in words, and by its file."""
    database, now = city.issuing.database, city.issuing.clock.now()
    slow, (fast, place) = (
        await record_by_code(database, now, copy.verification_code),
        await Records(database).by_code(now, copy.verification_code),
    )
    known = await known_file(database, now, copy.sha256)
    assert place is None
    assert fast.status is slow.status
    assert known is not None
    assert slow.copy is not None
    assert known.to_json()["kind"] == "copy"
    assert known.to_json()["status"] == slow.status.value
    return slow.status, slow.original, slow.story[0], slow.to_json()


async def test_what_ends_the_original_ends_every_copy(city: Any, issued: Any, library: Library) -> None:
    copy = await make_copy(city.issuing, city.client, wanting(issued, days=366), "k")
    status, original, story, answer = await verified(city, copy)
    assert (status, original, story) == (Standing.IN_FORCE, Standing.IN_FORCE, "")
    assert answer["copy"]["purpose"] == PURPOSE
    assert answer["copy"]["original_sha256"] == copy.original_hash.hex()
    await change_standing(city.issuing.database, city.issuing.clock, SYSTEM, issued.id, "suspend", "整改")
    assert (await verified(city, copy))[:2] == (Standing.SUSPENDED, Standing.SUSPENDED)
    assert await refusal(make_copy(city.issuing, city.client, wanting(issued), "k2")) == "ORIGINAL_NOT_IN_FORCE"
    await change_standing(city.issuing.database, city.issuing.clock, SYSTEM, issued.id, "resume", "整改完成")
    assert (await verified(city, copy))[0] is Standing.IN_FORCE
    await change_standing(city.issuing.database, city.issuing.clock, SYSTEM, issued.id, "revoke", "以欺骗手段取得")
    status, original, story, _ = await verified(city, copy)
    assert (status, original) == (Standing.REVOKED, Standing.REVOKED)
    assert "以欺骗手段取得" in story
    assert await refusal(file_of_copy(library, city.client, copy.id)) == "COPY_ENDED"


async def test_a_copy_ends_by_itself_and_can_be_withdrawn(city: Any, issued: Any, library: Library) -> None:
    clock = city.issuing.clock
    copy = await make_copy(city.issuing, city.client, wanting(issued, days=1), "k")
    other = await make_copy(city.issuing, city.client, wanting(issued, days=2), "k2")
    secret, until = await temporary_address(library, city.client, copy.id)
    unused, _ = await temporary_address(library, city.client, other.id)
    assert until - clock.now() == dt.timedelta(minutes=10)
    assert hashlib.sha256((await redeem(library, ANONYMOUS, secret))[1]).digest() == copy.sha256
    assert await refusal(redeem(library, ANONYMOUS, secret)) == "DOWNLOAD_UNKNOWN"
    assert await refusal(redeem(library, ANONYMOUS, "guessed")) == "DOWNLOAD_UNKNOWN"
    assert await refusal(withdraw_copy(library, STRANGER, other.id, "用途变更")) == "NOT_FOUND"
    assert (await withdraw_copy(library, city.client, other.id, "用途变更")).status is Standing.CANCELLED
    assert await refusal(redeem(library, ANONYMOUS, unused)) == "COPY_ENDED"
    assert (await verified(city, other))[::2] == (Standing.CANCELLED, "本加注件已于 2026-11-21 10:00 撤回：用途变更")
    clock.advance(days=2)
    status, original, story, _ = await verified(city, copy)
    assert (status, original, story) == (Standing.EXPIRED, Standing.IN_FORCE, "本加注件已于 2026-11-22 23:59 到期；原件仍然有效。")
    assert await refusal(file_of_copy(library, city.client, copy.id)) == "COPY_ENDED"
    clock.advance(days=40)
    assert await tidy_copies(library) == 2
    assert await tidy_copies(library) == 0
    assert (await verified(city, copy))[0] is Standing.EXPIRED  # its file is gone from here; whoever has it still learns the truth
    seen, more = await list_copies(library, city.client, certificate_id=issued.id)
    assert [one.copy.id for one in seen] == [other.id, copy.id]
    assert more is None
    assert await refusal(list_copies(library, STRANGER, certificate_id=issued.id)) == "NOT_FOUND"


async def test_refusals_are_named_audited_and_leave_the_key_free(city: Any, issued: Any) -> None:
    async def asked(actor: Actor = city.client, **changes: Any) -> str:
        return await refusal(make_copy(city.issuing, actor, wanting(issued, **changes), "k"))

    assert await asked(purpose="  ") == "PURPOSE_REQUIRED"
    assert await asked(purpose="核对 11010519491231002X") == "PURPOSE_REQUIRED"
    assert await asked(days=367) == "INVALID_INPUT"
    assert await asked(recipient="某单位") == "INVALID_INPUT"
    assert await asked(certificate_id=uuid.uuid4()) == "NOT_FOUND"
    assert await asked(certificate_id=None) == "INVALID_INPUT"
    assert await asked(STRANGER) == "SHARING_REFUSED"
    assert await asked(SYSTEM) == "SHARING_REFUSED"
    assert await asked(show_code="7Q4MXK2P9HTD") == "AUTHORISATION_UNKNOWN"
    assert await asked(purpose="核对\U00020bb7") == "GLYPH_MISSING"
    async with city.issuing.database.begin() as session:
        await set_rate(session, city.issuing.clock.now(), SYSTEM, Rule(city.client.id, Use.COPY, "", Rate(10, 0)))
    assert await asked() == "QUOTA_EXHAUSTED"
    found = await audited(city, "certs.copy")
    assert [outcome for outcome, _ in found] == ["refused"] * 11
    assert [code for _, code in found][-2:] == [
        "GLYPH_MISSING",
        "QUOTA_EXHAUSTED",
    ]
    assert await copies_kept(city) == [("void", False)]
    async with city.issuing.database.begin() as session:
        await set_rate(session, city.issuing.clock.now(), SYSTEM, Rule(city.client.id, Use.COPY, "", Rate(10, 1)))
    assert (await make_copy(city.issuing, city.client, wanting(issued), "k")).held
    assert await refusal(make_copy(city.issuing, city.client, wanting(issued), "k2")) == "QUOTA_EXHAUSTED"


async def test_without_a_grant_of_the_seals_keeper_no_copy_is_sealed(city: Any, stocked: Any) -> None:
    assert await refusal(make_copy(city.issuing, city.client, wanting(stocked.issued[1]), "k")) == "COPY_SEAL_NOT_GRANTED"
    assert await copies_kept(city) == [("void", False)]


class BreaksOnce:
    """Workers that die at their first turn of a kind."""

    def __init__(self, workers: Any, name: str) -> None:
        self._workers, self._name, self.died = workers, name, False

    async def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if function.__name__ == self._name and not self.died:
            self.died = True
            raise RuntimeError("killed")
        return await self._workers.run(function, *arguments, **named)


@pytest.mark.parametrize("step", ["render_copy", "stamp"])
async def test_what_broke_off_is_taken_up_by_the_same_key(city: Any, issued: Any, step: str) -> None:
    breaking = dataclasses.replace(city.issuing, workers=BreaksOnce(city.issuing.workers, step))
    with pytest.raises(RuntimeError, match="killed"):
        await make_copy(breaking, city.client, wanting(issued), "k")
    assert await refusal(make_copy(city.issuing, city.client, wanting(issued), "k")) == "ISSUING_IN_PROGRESS"
    city.issuing.clock.advance(minutes=3)
    copy = await make_copy(city.issuing, city.client, wanting(issued), "k")
    assert copy.held
    assert await copies_kept(city) == [("made", True)]
    async with city.issuing.database.session() as session:
        assert (await standing_of(session, city.issuing.clock.now(), city.client, Use.COPY)).left == 4999


async def test_a_holder_makes_copies_for_others(city: Any, issued: Any, library: Library) -> None:
    async with city.issuing.database.session() as session:
        certificate: Any = await get_certificate(session, issued.id)
        holder = certificate.holders[0]
    boss = Actor(ActorKind.PERSON, "boss", "Boss", holder.code, "990100", frozenset({Role.LEGAL_REPRESENTATIVE}), assurance=2)
    copy = await make_copy(city.issuing, boss, wanting(issued, recipient="示范银行", purpose="贷款申请"), "k")
    assert copy.requester == "示范银行（持证主体本人提供）"
    seen, _ = await list_copies(library, boss)
    assert [one.copy.id for one in seen] == [copy.id]


def test_a_copy_never_outlasts_its_original() -> None:
    now = dt.datetime(2026, 11, 21, 17, 30, tzinfo=dt.UTC)  # the 22nd in China
    assert expiry(now, 30, None) == dt.datetime(2026, 12, 22, 15, 59, tzinfo=dt.UTC)
    assert expiry(now, 30, dt.date(2026, 11, 30)) == dt.datetime(2026, 11, 30, 15, 59, tzinfo=dt.UTC)


async def test_the_purpose_is_written_into_the_pictures_themselves(city: Any, issued: Any, library: Library) -> None:
    original = await file_of(library, city.client, issued.id, "对照")
    plain, marked = page_pictures(original, " ")[0], page_pictures(original, "加注件 仅供示范银行用于：贷款申请")[0]
    with Image.open(io.BytesIO(plain.jpeg)) as one, Image.open(io.BytesIO(marked.jpeg)) as other:
        assert one.size == other.size
        darker = sum(abs(a - b) > 12 for a, b in zip(one.convert("L").tobytes(), other.convert("L").tobytes(), strict=True))
    assert 0.01 < darker / (one.size[0] * one.size[1]) < 0.15
    small = dataclasses.replace(marked, width_mm=85.6, height_mm=54.0)
    assert [len(sheet) for sheet in layout([small] * 4)] == [3, 1]
    assert all(place.width_mm <= 85.6 for sheet in layout([small] * 4) for place in sheet)


async def test_a_paper_that_shows_a_copy_and_its_original_is_held_against_the_copy(city: Any, issued: Any, stocked: Any) -> None:
    copy = await make_copy(city.issuing, city.client, wanting(issued), "k")
    codes = (issued.verification_code, copy.verification_code, stocked.issued[1].verification_code)
    original, shown, other = [await record_by_code(city.issuing.database, city.issuing.clock.now(), one) for one in codes]
    assert best_of([original, shown]) == (shown, False)
    assert best_of([shown, other]) == (shown, True)
    assert best_of([original, other]) == (original, True)
    assert beside([original, shown]) == issued.verification_code
    async with city.issuing.database.begin() as session:  # the certificate is disposed of
        assert await drop_files_of(session, issued.id) == [copy.sha256]
    assert await copies_kept(city) == [("made", False)]
