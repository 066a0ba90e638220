"""Approve and stamp, the page behind the QR code, the full check of a file: what each says, and what it keeps to itself."""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import zxingcpp
from PIL import Image
from sqlalchemy import text

from api.verdict_words import ADDED_UNSEEN
from api.wiring import House
from certs.reads import get_certificate
from certs.records import Stage
from identity.consents import consent_to
from tests.furnished import Furnished, open_furnished
from tests.pages_house import (
    NAME,
    NUMBER,
    add_approver,
    add_person,
    browser,
    data_codes,
    field_value,
    log_in_at,
    make_app,
    send_approval,
)


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@pytest.fixture
def seals(furnished: Furnished) -> dict[str, str]:
    return furnished.seals


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(make_app(house)) as opened:
        yield opened


def status_of(html: str) -> str | None:
    found = re.search(r'<html[^>]* data-status="([a-z_]+)"', html)
    return found.group(1) if found else None


def image(answer: httpx2.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


async def test_an_approver_sees_what_will_be_sealed_and_why_stamps_and_it_stands(
    house: House, seals: dict[str, str], client: httpx2.AsyncClient
) -> None:
    waiting = await send_approval(house)
    approver = await add_approver(house, seals)
    await approver.log_in(house, client)
    assert "示排许字〔2026〕第0001号" in (await client.get("/approve")).text
    address = f"/approve/{waiting.id}"
    page = await client.get(address)
    assert status_of(page.text) == "awaiting_stamp"
    for words in ("The matter suits this kind of seal.", "This use is covered by a grant.", "The person logged in with two factors."):
        assert words in page.text
    assert image(await client.get(f"{address}/picture.png")).width > 2000, "sharp enough to read the small print"
    stamped = await client.post(address, data={"document": field_value(page.text, "document")})
    assert (stamped.status_code, stamped.headers["location"]) == (303, address)
    after = await client.get(address)
    assert status_of(after.text) == "issued"
    assert "<form" not in after.text
    assert image(await client.get(f"{address}/picture.png")).width > 800
    async with house.database.session() as session:
        fetched = await session.execute(text("SELECT kind, actor_id FROM certs.accesses WHERE certificate_id = :id"), {"id": waiting.id})
    assert fetched.all() == [("file", str(approver.account.id))], "the sealed document is shown to nobody unrecorded"
    assert status_of((await client.get(f"/v/{waiting.verification_code}")).text) == "in_force"


async def test_without_a_grant_there_is_no_button_and_a_forged_post_changes_nothing(
    house: House, seals: dict[str, str], client: httpx2.AsyncClient
) -> None:
    waiting = await send_approval(house)
    stranger = await add_approver(house, seals, granted=False)
    await stranger.log_in(house, client)
    page = await client.get(f"/approve/{waiting.id}")
    assert "You may not use this seal for this matter." in page.text
    assert 'name="document"' not in page.text
    async with house.database.session() as session:
        row = await get_certificate(session, waiting.id)
    assert row is not None
    document = re.search(r"[0-9a-f]{64}", page.text)
    forged = await client.post(f"/approve/{waiting.id}", data={"document": document.group() if document else "0" * 64})
    assert forged.status_code in {403, 409}
    async with house.database.session() as session:
        row = await get_certificate(session, waiting.id)
    assert row is not None
    assert row.stage is Stage.AWAITING_STAMP


async def test_an_approver_sends_back_with_a_reason(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    waiting = await send_approval(house)
    await (await add_approver(house, seals)).log_in(house, client)
    address = f"/approve/{waiting.id}"
    refused = await client.post(address, data={"decision": "decline", "reason": " "})
    assert (refused.status_code, data_codes(refused.text)) == (422, ["REASON_REQUIRED"])
    assert '<details class="aside" open>' in refused.text
    number = await client.post(address, data={"decision": "decline", "reason": f"持证人 {NUMBER} 不符"})
    assert data_codes(number.text) == ["REASON_REQUIRED"]
    assert NUMBER not in number.text, "not even in the field it was typed in"
    assert status_of((await client.get(address)).text) == "awaiting_stamp"
    done = await client.post(address, data={"decision": "decline", "reason": "经营场所与现场核查不符"})
    assert (done.status_code, done.headers["location"]) == (303, "/approve?done=sent-back")
    page = await client.get("/approve?done=sent-back")
    assert "Sent back, not stamped." in page.text
    assert str(waiting.id) not in page.text
    assert "已退回，未用印。" in (await client.get("/approve?done=sent-back&lang=zh")).text
    assert (await client.get(address)).status_code == 409
    async with house.database.session() as session:
        row = await get_certificate(session, waiting.id)
        audited = await session.scalar(text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.decline'"))
    assert row is not None
    assert row.stage is Stage.VOID
    assert audited == 3, "two refusals and the decision"


async def test_types_have_english_names_for_readers_of_english(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    waiting = await send_approval(house, 1)
    await (await add_approver(house, seals, 1)).log_in(house, client)
    page = (await client.get(f"/approve/{waiting.id}")).text
    assert "<h1>Food business licence</h1>" in page
    assert '<p class="lead" lang="zh-CN">食品经营许可证</p>' in page
    assert "<strong>Food business licence</strong>" in (await client.get("/approve")).text
    chinese = (await client.get(f"/approve/{waiting.id}?lang=zh")).text
    assert "<h1>食品经营许可证</h1>" in chinese
    assert "Food business licence" not in chinese


async def test_a_document_that_changed_is_not_stamped(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    waiting = await send_approval(house)
    await (await add_approver(house, seals)).log_in(house, client)
    answer = await client.post(f"/approve/{waiting.id}", data={"document": "0" * 64})
    assert answer.status_code == 409
    assert data_codes(answer.text) == ["DOCUMENT_CHANGED"]
    assert status_of(answer.text) == "awaiting_stamp"


async def test_what_waits_is_hidden_from_everybody_else(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    waiting = await send_approval(house)
    addresses = [f"/approve/{waiting.id}", f"/approve/{waiting.id}/picture.png"]
    for address in addresses:
        assert (await client.get(address)).headers["location"].startswith("/login?next=")
    await add_person(house, "xiaoming")
    await log_in_at(client, "xiaoming")
    for address in ("/approve", *addresses):
        refused = await client.get(address)
        assert refused.status_code == 403
        assert data_codes(refused.text) == ["APPROVERS_ONLY"]
    await (await add_approver(house, seals, number=1)).log_in(house, client)
    for address in (*addresses, "/approve/nonsense"):
        assert (await client.get(address)).status_code == 404
    assert (await client.get(f"/v/{waiting.verification_code}")).status_code == 404, "not issued, not known"


async def test_the_record_of_an_organisation(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    answer = await client.get(f"/v/{issued.verification_code.lower()}")
    assert answer.status_code == 200
    page = answer.text
    assert status_of(page) == "in_force"
    assert "The record is genuine and in force" in page
    assert "示范市白鹤建材有限公司" in page, "organisations are not masked"
    assert "行政审批专用章" in page
    assert "钱晓明" not in page, "the legal representative is a person"
    assert "no signature was checked yet" in page
    chinese = await client.get(f"/v/{issued.verification_code}?lang=zh")
    assert "记录真实，证照有效" in chinese.text
    assert '<html lang="zh-CN" data-status="in_force">' in chinese.text


async def test_the_public_picture_is_drawn_from_the_masked_record(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    picture = image(await client.get(f"/v/{issued.verification_code}/picture.png"))
    assert picture.width > 800
    codes = [one.text for one in zxingcpp.read_barcodes(picture)]
    assert codes == [f"http://127.0.0.1:8000/v/{issued.verification_code}"]
    async with house.database.session() as session:
        certificate = await get_certificate(session, issued.id)
    assert certificate is not None
    assert certificate.document_hash is not None


async def test_people_are_masked_for_strangers_and_whole_for_the_holder(
    house: House, seals: dict[str, str], client: httpx2.AsyncClient
) -> None:
    holder = {"name": NAME, "code": NUMBER, "code_type": "111"}
    issued = await send_approval(house, 2, unattended=True, holders=[holder])
    address = f"/v/{issued.verification_code}"
    page = (await client.get(address)).text
    assert NAME not in page
    assert NUMBER not in page
    assert "钱**" in page
    assert "with parts of people's names covered" in page
    stranger = (await client.get(f"{address}/picture.png")).content
    await add_person(house, "xiaoming")
    await log_in_at(client, "xiaoming")
    assert (await client.get(f"{address}/picture.png")).content == stranger, "an account without a real name is a stranger"
    await client.post("/account/real-name", data={"name": NAME, "code": NUMBER, "code_type": "111"})
    account = (await client.get("/account")).text
    assert "<strong>Real estate registration proof</strong>" in account
    assert "不动产登记证明" in account
    assert "Real estate" not in (await client.get("/account?lang=zh")).text
    await client.get("/account?lang=en")
    assert "you see it in full" in (await client.get(address)).text
    own = (await client.get(f"{address}/picture.png")).content
    assert own != stranger


@pytest.mark.parametrize("code", ["0000000000000000", "short", "%3Cscript%3E", "A" * 500, "7QKX-3M2F-9TWB-04HD"])
async def test_a_code_that_does_not_exist(seals: dict[str, str], client: httpx2.AsyncClient, code: str) -> None:
    answer = await client.get(f"/v/{code}")
    assert answer.status_code == 404
    assert status_of(answer.text) == "unknown"
    assert "do not rely on it" in answer.text
    assert (await client.get(f"/v/{code}/picture.png")).status_code == 404


async def test_a_typed_code_goes_to_its_record(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/verify", params={"code": " 7qkx-3m2f-9twb-o4hd "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/v/7QKX3M2F9TWB04HD")
    wrong = await client.get("/verify", params={"code": "12345"})
    assert wrong.status_code == 422
    assert data_codes(wrong.text) == ["CODE_MALFORMED"]
    assert field_value(wrong.text, "code") == "12345"


async def test_the_full_check_of_a_file(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    async with house.database.session() as session:
        certificate = await get_certificate(session, issued.id)
    assert certificate is not None
    pdf = await house.blobs.get(certificate.document_hash or b"")
    good = await client.post("/verify", params={"code": issued.verification_code}, files={"file": ("permit.pdf", pdf, "application/pdf")})
    assert good.status_code == 200
    assert 'data-indication="TOTAL_PASSED" data-status="in_force"' in good.text
    assert "The file is genuine and unaltered" in good.text
    assert "STAMP_SIGNATURE" in good.text
    assert f"/v/{issued.verification_code}" in good.text
    assert "钱晓明" not in good.text
    other = await client.post("/verify", params={"code": "0000000000000000"}, files={"file": ("permit.pdf", pdf, "application/pdf")})
    assert "This file is another certificate" in other.text
    bent = pdf.replace(b"/Producer", b"/Producar", 1) if b"/Producer" in pdf else pdf[:2000] + bytes([pdf[2000] ^ 1]) + pdf[2001:]
    bad = await client.post("/verify", files={"file": ("<b>permit</b>.pdf", bent, "application/pdf")})
    assert 'data-indication="TOTAL_PASSED"' not in bad.text
    assert "Do not rely on this file" in bad.text or "Not enough to say" in bad.text or "cannot be read" in bad.text
    assert "<b>permit" not in bad.text


async def test_what_is_wrong_with_a_file_is_said_in_plain_words(house: House, seals: dict[str, str], client: httpx2.AsyncClient) -> None:
    issued = await send_approval(house, unattended=True)
    async with house.database.session() as session:
        certificate = await get_certificate(session, issued.id)
    assert certificate is not None
    pdf = await house.blobs.get(certificate.document_hash or b"")
    changed, longer = pdf.replace(b"/Title", b"/Titlf", 1), pdf + b"\n%more\n"
    for content, english, chinese in (
        (changed, "This document was changed after it was sealed.", "文件在用印后被改动。"),
        (longer, f"{ADDED_UNSEEN[1]}.", f"{ADDED_UNSEEN[0]}。"),
    ):
        page = await client.post("/verify?lang=en", files={"file": ("permit.pdf", content, "application/pdf")})
        assert f'<p class="story">{english}</p>' in page.text
        page = await client.post("/verify?lang=zh", files={"file": ("permit.pdf", content, "application/pdf")})
        assert f'<p class="story">{chinese}</p>' in page.text
        assert '<p class="soft small detail" lang="en">' in page.text, "the technical sentence stays, small"


async def test_a_genuine_file_of_a_revoked_certificate_is_not_called_good(
    house: House, seals: dict[str, str], client: httpx2.AsyncClient, clock: Any
) -> None:
    issued = await send_approval(house, unattended=True)
    async with house.database.session() as session:
        certificate = await get_certificate(session, issued.id)
    assert certificate is not None
    pdf = await house.blobs.get(certificate.document_hash or b"")
    clock.advance(days=2000)
    late = await client.get(f"/v/{issued.verification_code}")
    assert status_of(late.text) == "expired"
    assert "The record is genuine and in force" not in late.text
    answer = await client.post("/verify", files={"file": ("permit.pdf", pdf, "application/pdf")})
    assert "The file is genuine and unaltered" not in answer.text


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"not a pdf at all", b"\x00" * 100_000])
async def test_any_octets_get_an_answer(seals: dict[str, str], client: httpx2.AsyncClient, content: bytes) -> None:
    answer = await client.post("/verify", files={"file": ("a.pdf", content, "application/pdf")})
    assert answer.status_code in {200, 422}
    assert "TOTAL_PASSED" not in answer.text


async def test_no_file_is_named_beside_the_field(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/verify", data={"code": "x"}, files={"other": ("a", b"a")})
    assert answer.status_code == 422
    assert data_codes(answer.text) == ["UPLOAD_MISSING"]


async def test_binding_a_real_name(house: House, client: httpx2.AsyncClient) -> None:
    await add_person(house, "xiaoming")
    await log_in_at(client, "xiaoming")
    assert "not checked yet" in (await client.get("/account")).text
    for name, code, expected in (
        (NAME, "990100197013133003", "REAL_NAME_ID_INVALID"),
        ("别人", NUMBER, "REAL_NAME_NAME_DIFFERS"),
        (NAME, "", "INVALID_INPUT"),
    ):
        answer = await client.post("/account/real-name", data={"name": name, "code": code, "code_type": "111"})
        assert answer.status_code == 422
        assert data_codes(answer.text) == [expected]
        assert not code or code not in answer.text, "a number is never shown again"
        assert field_value(answer.text, "name") == name
        assert re.search(r'<input id="code"[^>]*autocomplete="off"', answer.text)
    swapped = await client.post("/account/real-name", data={"name": NUMBER, "code": NAME, "code_type": "111"})
    assert NUMBER not in swapped.text, "not even in the wrong field"
    done = await client.post("/account/real-name", data={"name": NAME, "code": NUMBER, "code_type": "111"})
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=real-name")
    page = (await client.get(done.headers["location"])).text
    assert "Level 2" in page
    assert NUMBER not in page
    assert "990***********1003" in page or "***" in page


async def test_errors_are_pages(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/no/such/page")
    assert answer.status_code == 404
    assert data_codes(answer.text) == ["NOT_FOUND"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_consent_names_what_is_asked_and_no_means_no(house: House, client: httpx2.AsyncClient) -> None:
    account = await add_person(house, "xiaoming")
    await log_in_at(client, "xiaoming")
    nothing = await client.get("/consent", params={"next": "/account"})
    assert nothing.status_code == 422
    assert data_codes(nothing.text) == ["NOTHING_TO_ALLOW"]
    async with house.database.session() as session:
        assert await consent_to(session, account.id, "demo-water") is None
