"""The wallet, the staff's library and the API's exports and disposals, over a house with three certificates."""

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.pages import error_page
from api.pages import routes as page_routes
from api.pages.cards import folder_of, prune
from api.problems import HANDLERS
from api.routes import certificates, library, oidc
from api.wiring import House
from certs.indexing import index_waiting
from certs.reads import get_certificate
from identity.clients import NewClient, create_client
from identity.people import NewAccount, create_account
from keys.base.actor import Role
from tests.pages_house import PASSWORD, add_second_factor, browser, data_codes, field_value, log_in_at, open_test_house

ISSUER, HOLDER = "11990100MB00000435", "91990100MA1TEXT14M"

pytestmark = pytest.mark.timeout(400)  # the first test waits for the city and its certificates


@pytest.fixture
async def house(
    database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path, city: Any, stocked: Any, blobs: Any
) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        await index_waiting(database)
        yield opened


@pytest.fixture
def app(house: House) -> FastAPI:
    made = FastAPI(routes=[*oidc.routes, *page_routes], exception_handlers=HANDLERS, openapi_url="/api/openapi.json")
    made.include_router(library.router)
    made.include_router(certificates.router)
    made.state.house, made.state.error_page = house, error_page
    return made


async def person(house: House, app: Any, username: str, role: Role, organisation: str, language: str = "en") -> httpx2.AsyncClient:
    """Somebody logged in with two factors."""
    async with house.database.begin() as session:
        new = NewAccount(username, username.title(), "990100", frozenset({role}), organisation)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
    code = await add_second_factor(house, account)
    client = browser(app, language)
    due = await log_in_at(client, username)
    if due.status_code != 303:
        form = {"otp": code.at(house.clock.now()), "next": field_value(due.text, "next") or ""}
        assert (await client.post("/login", data=form)).status_code == 303
    return client


async def bearer(house: House, app: Any, scopes: tuple[str, ...], organisation: str = ISSUER) -> dict[str, str]:
    async with house.database.begin() as session:
        new = NewClient(
            name_zh="档案系统", name_en="Archive", division="990100", organisation=organisation, grant_types=("client_credentials",),
            scopes=scopes,
        )  # fmt: skip
        client, secret = await create_client(session, house.clock.now(), new)
    async with browser(app) as web:
        data = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        answer = await web.post("/oauth/token", data=data, auth=(client.client_id, secret or ""))
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_wallet_shows_cards_pictures_and_who_looked(house: House, app: FastAPI, stocked: Any) -> None:
    first = stocked.issued[0].id
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, HOLDER)
    page = await boss.get("/wallet")
    assert re.findall(r'href="/wallet/([0-9a-f-]{36})"', page.text) == [str(first)]
    assert "Valid until" in page.text
    card = await boss.get(f"/wallet/{first}/card.png")
    assert card.content.startswith(b"\x89PNG")
    assert card.headers["cache-control"] == "no-store"
    kept = list(folder_of(house).glob("??/*.png"))
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o077 == 0
    assert (await boss.get(f"/wallet/{first}/card.png")).content == card.content
    clerk = await person(house, app, "clerk", Role.WINDOW_CLERK, ISSUER)
    found = await clerk.post("/library", data={"holder_code": HOLDER, "code_type": "001", "purpose": "Checking a permit"})
    assert f"/library/{first}" in found.text
    file = await clerk.post(f"/library/{first}/file", data={"purpose": "Archive request 7"})
    assert file.content.startswith(b"%PDF")
    assert "Checking a permit" in (await boss.get("/wallet")).text
    shown = await boss.get(f"/wallet/{first}")
    assert 'data-status="in_force"' in shown.text
    assert "Archive request 7" in shown.text
    own = await boss.post(f"/wallet/{first}/file")
    assert own.content == file.content
    for other in stocked.issued[1:]:
        for path in ("", "/card.png", "/page.png"):
            assert (await boss.get(f"/wallet/{other.id}{path}")).status_code == 404
    assert prune(folder_of(house), 0, house.clock.now().timestamp()) == 1


async def test_a_damaged_file_shows_its_record_all_the_same(house: House, app: FastAPI, stocked: Any, blobs: Any) -> None:
    first = stocked.issued[0].id
    async with house.database.session() as session:
        found = await get_certificate(session, first)
    assert found is not None
    blobs.path(found.document_hash or b"").write_bytes(b"broken")
    boss = await person(house, app, "boss", Role.LEGAL_REPRESENTATIVE, HOLDER, "zh")
    assert "有效期至" in (await boss.get(f"/wallet/{first}")).text
    assert (await boss.get(f"/wallet/{first}/card.png")).status_code == 500
    assert data_codes((await boss.post(f"/wallet/{first}/file")).text) == ["DOCUMENT_DAMAGED"]


async def test_addresses_of_the_library_hold_nothing_personal(house: House, app: FastAPI, stocked: Any) -> None:
    clerk = await person(house, app, "clerk", Role.APPROVER, ISSUER)
    assert f"/library/{stocked.issued[0].id}" in (await clerk.get("/library")).text
    moved = await clerk.post("/library", data={"status": "in_force", "from": "2026-01-01"})
    assert moved.headers["location"] == "/library?status=in_force&from=2026-01-01"
    assert f"/library/{stocked.issued[0].id}" in (await clerk.get(moved.headers["location"])).text
    assert f"/library/{stocked.issued[0].id}" not in (await clerk.get("/library?status=revoked")).text
    answered = await clerk.post("/library", data={"text": "许可证", "purpose": "Checking"})
    assert answered.status_code == 200
    assert f"/library/{stocked.issued[0].id}" in answered.text
    number = "990100197003131003"
    refused = await clerk.post("/library", data={"holder_code": number, "code_type": "111"})
    assert data_codes(refused.text) == ["PURPOSE_REQUIRED"]
    assert number not in refused.text
    assert data_codes((await clerk.post("/library", data={"text": "证", "purpose": "x"})).text) == ["SEARCH_TOO_SHORT"]
    missing = await clerk.post(f"/library/{stocked.issued[0].id}/file", data={"purpose": ""})
    assert data_codes(missing.text) == ["PURPOSE_REQUIRED"]
    citizen = await person(house, app, "citizen", Role.CITIZEN, ISSUER)
    assert data_codes((await citizen.get("/library")).text) == ["LIBRARY_STAFF_ONLY"]
    assert (await browser(app).get("/wallet")).headers["location"].startswith("/login")


async def test_the_api_finds_and_exports(house: House, app: FastAPI, stocked: Any) -> None:
    reading = await bearer(house, app, ("certificates:read",))
    async with browser(app) as web:
        answer = await web.post("/api/v1/certificates/search", headers=reading, json={"purpose": "核验", "text": "许可证", "limit": 5})
        assert [one["id"] for one in answer.json()["items"]] == [str(stocked.issued[0].id)]
        for body, code in (({"purpose": "核验"}, "SEARCH_EMPTY"), ({"purpose": "核验", "text": "证"}, "SEARCH_TOO_SHORT")):
            assert (await web.post("/api/v1/certificates/search", headers=reading, json=body)).json()["code"] == code
        lines = await web.post("/api/v1/certificates/export", headers=reading, json={"purpose": "移交"})
        assert [json.loads(line)["id"] for line in lines.text.splitlines()] == [str(stocked.issued[0].id)]
        again = await web.post(
            "/api/v1/certificates/export", headers=reading, json={"purpose": "移交", "cursor": str(stocked.issued[0].id)}
        )
        assert again.text == ""
        packed = await web.post("/api/v1/certificates/export", headers=reading, json={"purpose": "移交", "format": "zip"})
        names = zipfile.ZipFile(io.BytesIO(packed.content)).namelist()
        assert names == [f"files/{stocked.issued[0].id}.pdf", "certificates.jsonl"]
        numbers = {"purpose": "移交", "numbers": True, "legal_basis": "依法"}
        assert (await web.post("/api/v1/certificates/export", headers=reading, json=numbers)).json()["code"] == "INSUFFICIENT_SCOPE"
        seen = (await web.get(f"/api/v1/certificates/{stocked.issued[0].id}/accesses", headers=reading)).json()["items"]
        assert {one["kind"] for one in seen} == {"export"}


async def test_holds_over_http_and_who_may_not_dispose(house: House, app: FastAPI, stocked: Any, city: Any) -> None:
    issuing, stranger = await bearer(house, app, ("certificates:issue",)), await bearer(house, app, ("certificates:issue",), HOLDER)
    path = f"/api/v1/certificates/{stocked.issued[0].id}/hold"
    async with browser(app) as web:
        assert (await web.post(path, headers=stranger, json={"reason": "保全"})).status_code == 404
        assert (await web.post(path, headers=issuing, json={"reason": "保全"})).json()["held"] is True
        assert (await web.post(path, headers=issuing, json={"reason": "保全"})).json()["code"] == "LEGAL_HOLD"
        assert (await web.delete(path, headers=issuing)).json()["held"] is False
        assert (await web.delete(path, headers=issuing)).json()["code"] == "NO_LEGAL_HOLD"
        body = {"type": city.approval(0).certificate_type, "reason": "保管期满"}
        assert (await web.post("/api/v1/disposals", headers=issuing, json=body)).json()["code"] == "MAY_NOT_DISPOSE"
        assert (await web.get(f"/api/v1/disposals/{stocked.issued[0].id}", headers=issuing)).status_code == 404
