"""Documents to be sealed over HTTP and on the approver's page, in both languages, with a real client's token."""

import datetime as dt
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from PIL import Image

from api import problems
from api.routes import seal_batches, seal_documents
from api.sealing import sealing_of
from api.wiring import House
from identity.clients import NewClient, create_client
from keys.base.actor import Actor, ActorKind, Role
from seal.batch_work import work_until_done
from seal.grants import Grant, grant_use
from tests.certs.conftest import approvals
from tests.furnished import Furnished, open_furnished
from tests.pages_house import add_approver, browser, data_codes, field_value, make_app
from tests.seal import hostile_pdfs as hostile

PLACE = {"kind": "point", "page": -1, "x_mm": 150, "y_mm": 240}


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened
        sealing_of(opened).rebuilder.close()


@asynccontextmanager
async def bearer(house: House, seal: str, *, unattended: bool) -> AsyncIterator[tuple[httpx2.AsyncClient, dict[str, str]]]:
    """A client of the first issuer and its token."""
    asked, now, scopes = approvals()[0], house.clock.now(), ("documents:seal", "seals:hash")
    new = NewClient(
        name_zh="公文系统", name_en="Letters", division="990100", organisation=asked["issuer"], grant_types=("client_credentials",),
        scopes=scopes,
    )  # fmt: skip
    keeper = Actor(ActorKind.PERSON, "keeper", "", asked["issuer"], "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
    async with house.database.begin() as session:
        client, secret = await create_client(session, now, new)
        if unattended:
            year = now + dt.timedelta(days=365)
            grant = Grant(seal, "client", client.client_id, asked["matter_code"], None, now, year, True, quota_day=1000)
            await grant_use(session, now, keeper, grant)
    app = make_app(house)
    api = FastAPI(routes=list(app.routes), exception_handlers=problems.HANDLERS)
    api.include_router(seal_documents.router)
    api.include_router(seal_batches.router)
    api.state.house = house
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api), base_url="http://127.0.0.1:8000") as http:
        data = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        answer = await http.post("/oauth/token", data=data, auth=(client.client_id, secret or ""))
        assert answer.status_code == 200, answer.text
        yield http, {"Authorization": f"Bearer {answer.json()['access_token']}"}


def body(document: str, seal: str, **changes: Any) -> dict[str, Any]:
    one = {"seal": seal, "matter_code": approvals()[0]["matter_code"], "placements": [PLACE]}
    return {"document_id": document, "title": "关于停水的通知", "seals": [one]} | changes


async def test_a_client_uploads_seals_and_fetches_one_document_and_a_batch(house: House, furnished: Furnished) -> None:
    seal = furnished.seals[approvals()[0]["issuer"]]
    async with bearer(house, seal, unattended=True) as (http, token):
        pdf = hostile.document(change=hostile.with_scripts)
        made = await http.post("/api/v1/seal-documents", content=pdf, headers=token | {"Document-Name": "%E9%80%9A%E7%9F%A5.pdf"})
        assert (made.status_code, made.json()["name"]) == (201, "通知.pdf")
        assert made.json()["removed"]["scripts"] >= 1
        again = await http.post("/api/v1/seal-documents", content=pdf, headers=token | {"Document-Name": "%E9%80%9A%E7%9F%A5.pdf"})
        assert again.json() == made.json()
        key = token | {"Idempotency-Key": "k1"}
        sealed = await http.post("/api/v1/seal-requests", json=body(made.json()["id"], seal, unattended=True), headers=key)
        assert (sealed.status_code, sealed.json()["status"]) == (201, "sealed"), sealed.text
        own = sealed.json()["links"]["self"]
        file = await http.get(f"{own}/file", headers=token)
        assert file.content.startswith(b"%PDF-1.7")
        picture = await http.get(f"{own}/pages/1?dpi=50", headers=token)
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"
        assert (await http.get(f"{own}/pages/2", headers=token)).json()["code"] == "DOCUMENT_PAGE_MISSING"
        events = (await http.get(f"{own}/events", headers=token)).json()["items"]
        assert [one["move"] for one in events] == ["submit_unattended", "finish"]
        listed = (await http.get("/api/v1/seal-requests?status=sealed", headers=token)).json()
        assert [one["id"] for one in listed["items"]] == [sealed.json()["id"]]
        await _batch(house, http, token, made.json()["id"], seal)
        await _refusals(http, token, made.json()["id"], seal)


async def _batch(house: House, http: httpx2.AsyncClient, token: dict[str, str], document: str, seal: str) -> None:
    order = {
        "title": "批量", "seal": seal, "matter_code": approvals()[0]["matter_code"], "documents": [document], "placements": [PLACE],
        "unattended": True,
    }  # fmt: skip
    made = await http.post("/api/v1/seal-batches", json=order, headers=token | {"Idempotency-Key": "b1"})
    assert (made.status_code, made.json()["progress"]["waiting"]) == (202, 1), made.text
    own = made.json()["links"]["self"]
    assert (await http.post(f"{own}/pause", json={"reason": "lunch"}, headers=token)).json()["status"] == "paused"
    assert (await http.post(f"{own}/resume", json={}, headers=token)).json()["status"] == "running"
    await work_until_done(sealing_of(house), seconds=20)
    assert (await http.get(own, headers=token)).json()["progress"] == {"total": 1, "sealed": 1, "refused": 0, "waiting": 0}
    (result,) = (await http.get(f"{own}/documents", headers=token)).json()["items"]
    assert result["state"] == "sealed"
    assert (await http.get(f"{own}/documents/0/file", headers=token)).content.startswith(b"%PDF")
    assert (await http.get("/api/v1/seal-batches", headers=token)).json()["items"][0]["status"] == "done"
    material = (await http.get(f"/api/v1/seal-hashes/material/{seal}", headers=token)).json()
    assert material["reserved"] > 5000
    assert (await http.get(f"/api/v1/seal-hashes?seal={seal}", headers=token)).json()["items"] == []


async def _refusals(http: httpx2.AsyncClient, token: dict[str, str], document: str, seal: str) -> None:
    async def code(method: str, path: str, **more: Any) -> tuple[int, str]:
        answer = await http.request(method, f"/api/v1/{path}", **({"headers": token} | more))
        return answer.status_code, answer.json()["code"]

    assert await code("POST", "seal-documents", content=b"GIF89a") == (422, "DOCUMENT_NOT_PDF")
    announced = token | {"Content-Length": str(500 << 20)}
    assert await code("POST", "seal-documents", headers=announced, content=b"x") == (413, "DOCUMENT_TOO_LARGE")
    assert await code("POST", "seal-documents", headers={}, content=b"x") == (401, "TOKEN_REQUIRED")
    assert await code("GET", "seal-requests/nonsense") == (404, "DOCUMENT_NOT_FOUND")
    assert await code("POST", "seal-requests", json=body(document, seal)) == (422, "REQUEST_KEY_NEEDED")
    key = token | {"Idempotency-Key": "other"}
    assert await code("POST", "seal-requests", json=body(document, seal) | {"more": 1}, headers=key) == (422, "INVALID_INPUT")


@pytest.mark.parametrize(("language", "words"), [("en", "Exactly as it will be sealed."), ("zh", "盖章后的样子与此完全一致")])
async def test_an_approver_sees_exactly_what_will_be_sealed_and_seals_it(
    house: House, furnished: Furnished, language: str, words: str
) -> None:
    seal = furnished.seals[approvals()[0]["issuer"]]
    approver = await add_approver(house, furnished.seals)
    async with bearer(house, seal, unattended=False) as (http, token), browser(make_app(house), language) as person:
        made = await http.post("/api/v1/seal-documents", content=hostile.document(change=hostile.with_layers), headers=token)
        asked = [
            (await http.post("/api/v1/seal-requests", json=body(made.json()["id"], seal), headers=token | {"Idempotency-Key": key})).json()
            for key in ("one", "two")
        ]
        assert [one["status"] for one in asked] == ["awaiting_approval"] * 2
        first, second = (f"/documents/{one['id']}" for one in asked)
        await approver.log_in(house, person)
        waiting = (await person.get("/documents")).text
        assert first in waiting
        shown = (await person.get(first)).text
        assert words in shown
        assert 'data-status="awaiting_approval"' in shown
        picture = await person.get(f"{first}/pages/1.png")
        assert Image.open(io.BytesIO(picture.content)).size[0] > 1000
        refused = await person.post(first, data={"digest": "00" * 32})
        assert (refused.status_code, data_codes(refused.text)[0]) == (409, "APPROVED_PICTURE_CHANGED")
        done = await person.post(first, data={"digest": field_value(shown, "digest") or ""})
        assert done.status_code == 303, done.text
        assert 'data-status="sealed"' in (await person.get(first)).text
        assert (await person.get(f"{first}/file")).content.startswith(b"%PDF")
        no_reason = await person.post(second, data={"decision": "decline", "reason": " "})
        assert data_codes(no_reason.text)[0] == "REJECTION_REASON_REQUIRED"
        assert (await person.post(second, data={"decision": "decline", "reason": "wrong date"})).status_code == 303
        assert 'data-status="rejected"' in (await person.get(second)).text
