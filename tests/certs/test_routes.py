"""The certificate API over HTTP, with real tokens."""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from api import problems
from api.routes import certificates, oidc
from certs.reads import grant_issuing
from identity.clients import NewClient, create_client
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.rotation import ensure_signing_keys
from keys.schedule import DEFAULT
from seal.grants import Grant, grant_use
from tests.certs.conftest import CITY, YEAR, approvals

BASE = "http://127.0.0.1:8000"


@pytest.fixture
async def api(
    database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, redis_url: str, city: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    await ensure_signing_keys(database, keystore, clock)
    redis: Redis = Redis.from_url(redis_url)
    app = FastAPI(routes=list(oidc.routes), exception_handlers=problems.HANDLERS, openapi_url="/api/openapi.json")
    app.include_router(certificates.router)
    app.state.house = SimpleNamespace(
        database=database, redis=redis, keystore=keystore, clock=clock, personal=personal, base_url=BASE, issuing=city.issuing,
        blobs=city.issuing.blobs, rotation=DEFAULT,
    )  # fmt: skip
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE) as client:
        yield client
    await redis.aclose()


async def token(
    api: httpx2.AsyncClient,
    city: Any,
    organisation: str = CITY,
    *,
    unattended: bool = True,
    scopes: tuple[str, ...] = ("certificates:issue", "certificates:read"),
) -> dict[str, str]:
    """A client of the organisation, with the right to issue for the first issuer and perhaps an unattended grant."""
    issuing, one = city.issuing, approvals()[0]
    now = issuing.clock.now()
    new = NewClient(
        name_zh="审批系统", name_en="Approvals", division="990100", organisation=organisation,
        grant_types=("client_credentials",), scopes=scopes,
    )  # fmt: skip
    keeper = Actor(
        ActorKind.PERSON, "keeper", "Keeper", one["issuer"], "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2
    )
    async with issuing.database.begin() as session:
        client, secret = await create_client(session, now, new)
        if organisation == CITY:
            for each in approvals():
                await grant_issuing(session, now, client.client_id, each["issuer"], "test")
        if unattended:
            seal = city.seals[one["issuer"]]
            await grant_use(session, now, keeper, Grant(seal, "client", client.client_id, one["matter_code"], None, now, now + YEAR, True))
    data = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
    answer = await api.post("/oauth/token", data=data, auth=(client.client_id, secret or ""))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def post(
    api: httpx2.AsyncClient, bearer: dict[str, str], key: str | None = "key-1", number: int = 0, **changes: Any
) -> httpx2.Response:
    headers = bearer | ({"Idempotency-Key": key} if key is not None else {})
    return await api.post("/api/v1/approvals", json=approvals()[number] | changes, headers=headers)


async def test_an_approval_becomes_a_certificate_that_is_read_fetched_and_verified(api: httpx2.AsyncClient, city: Any) -> None:
    bearer = await token(api, city)
    answer = await post(api, bearer)
    assert answer.status_code == 201, answer.text
    issued = answer.json()
    assert set(issued) == {"id", "identifier", "verification_code", "status", "links"}
    assert issued["status"] == "issued"
    assert (await post(api, bearer)).json() == issued
    record = (await api.get(issued["links"]["self"], headers=bearer)).json()
    assert (record["status"], record["status_code"], record["identifier"]) == ("in_force", "01", issued["identifier"])
    assert record["metadata"]["ZZBH"] == "示排许字〔2026〕第0001号"
    assert list(record["fields"]) == list(approvals()[0]["fields"])
    assert (await api.get(issued["links"]["file"], headers=bearer)).json()["code"] == "PURPOSE_REQUIRED"
    file = await api.get(issued["links"]["file"], headers=bearer | {"Purpose": quote("办理施工许可")})
    assert (file.status_code, file.headers["content-type"], file.content[:4]) == (200, "application/pdf", b"%PDF")
    assert file.headers["cache-control"] == "no-store"
    events = (await api.get(issued["links"]["events"], headers=bearer)).json()["items"]
    assert [one["operation"] for one in events] == ["01"]
    verified = (await api.get(f"/api/v1/verify/{issued['verification_code']}")).json()
    assert (verified["kind"], verified["status"], verified["signatures"]) == ("record", "in_force", [])
    assert verified["certificate"]["identifier"] == issued["identifier"]


async def test_without_an_unattended_grant_it_waits(api: httpx2.AsyncClient, city: Any) -> None:
    bearer = await token(api, city, unattended=False)
    answer = await post(api, bearer)
    assert (answer.status_code, answer.json()["status"]) == (202, "awaiting_stamp")
    assert (await api.get(f"/api/v1/verify/{answer.json()['verification_code']}")).json()["status"] == "unknown"
    record = (await api.get(answer.json()["links"]["self"], headers=bearer)).json()
    assert (record["status"], record["status_code"]) == ("awaiting_stamp", None)
    fetched = await api.get(answer.json()["links"]["file"], headers=bearer | {"Purpose": "x"})
    assert (fetched.status_code, fetched.json()["code"]) == (404, "DOCUMENT_NOT_HELD")
    stamped = await api.post(answer.json()["links"]["self"] + "/stamp", json={"document_hash": "0" * 64}, headers=bearer)
    assert (stamped.status_code, stamped.json()["code"]) == (404, "NOT_FOUND")


async def test_another_organisations_client_sees_nothing(api: httpx2.AsyncClient, city: Any) -> None:
    issued = (await post(api, await token(api, city))).json()
    other = await token(api, city, "11990102MB000006XL", unattended=False)
    for path in ("self", "file", "events"):
        answer = await api.get(issued["links"][path], headers=other | {"Purpose": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    body = {"holder_code": "91990100MA1TEXT14M", "code_type": "001", "purpose": "核验"}
    assert (await api.post("/api/v1/certificates/search", json=body, headers=other)).json() == {"items": [], "next_cursor": None}
    refused = await post(api, other, "other")
    assert (refused.status_code, refused.json()["code"]) == (403, "ISSUER_NOT_ALLOWED")


async def test_status_is_changed_with_a_reason_and_found_by_holder(api: httpx2.AsyncClient, city: Any) -> None:
    bearer = await token(api, city)
    issued = (await post(api, bearer)).json()
    own = issued["links"]["self"]
    for move, status in (("suspend", "suspended"), ("resume", "in_force"), ("cancel", "cancelled")):
        answer = await api.post(f"{own}/{move}", json={"reason": "整改"}, headers=bearer | {"Idempotency-Key": move})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    refused = await api.post(f"{own}/revoke", json={"reason": "整改"}, headers=bearer | {"Idempotency-Key": "revoke"})
    assert (refused.status_code, refused.json()["code"]) == (409, "MOVE_NOT_ALLOWED")
    assert (await api.post(f"{own}/suspend", json={"reason": "x"}, headers=bearer)).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    body = {"holder_code": "91990100MA1TEXT14M", "code_type": "001", "purpose": "核验"}
    found = (await api.post("/api/v1/certificates/search", json=body, headers=bearer)).json()["items"]
    assert [(one["id"], one["status"]) for one in found] == [(issued["id"], "cancelled")]


async def test_a_renewal_takes_its_place(api: httpx2.AsyncClient, city: Any) -> None:
    bearer = await token(api, city)
    issued = (await post(api, bearer)).json()
    headers = bearer | {"Idempotency-Key": "renew"}
    bare = await api.post(issued["links"]["self"] + "/renew", json={"reason": "延续"}, headers=headers)
    assert (bare.status_code, bare.json()["code"]) == (422, "INVALID_INPUT")
    body = {"reason": "延续", "approval": approvals()[0]}
    answer = await api.post(issued["links"]["self"] + "/renew", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    new = (await api.get(answer.json()["links"]["self"], headers=bearer)).json()
    assert new["predecessor"] == issued["identifier"]
    assert (await api.get(f"/api/v1/verify/{issued['verification_code']}")).json()["status"] == "superseded"


REFUSED: list[tuple[int, str, Any]] = [
    (400, "IDEMPOTENCY_KEY_REQUIRED", {"key": None}),
    (422, "IDEMPOTENCY_KEY_REUSED", {"approval_number": "另一份"}),
    (422, "UNKNOWN_CERTIFICATE_TYPE", {"key": "2", "certificate_type": "11990100MB0000035A999"}),
    (422, "INVALID_INPUT", {"key": "2", "fields": "no object"}),
    (422, "INVALID_INPUT", {"key": "2", "colour": "red"}),
    (422, "INVALID_INPUT", {"key": "2", "valid_from": "2026-02-30"}),
    (
        422,
        "ID_NUMBER_INVALID",
        {"key": "2", "number": 2, "holders": [{"name": "卫思远", "code": "990100195402301017", "code_type": "111"}]},
    ),
    (422, "INVALID_INPUT", {"key": "2", "holders": [{"name": "卫思远", "code": 990100195409041017, "code_type": "111"}]}),
    (403, "MATTER_OF_OTHER_ORGANISATION", {"key": "2", "matter_code": "000131015000"}),
]


async def test_refusals_are_problem_documents_with_a_code_and_no_number_of_anybody(api: httpx2.AsyncClient, city: Any) -> None:
    bearer = await token(api, city)
    assert (await post(api, bearer)).status_code == 201
    for status, code, changes in REFUSED:
        answer = await post(api, bearer, **({"key": "key-1"} | changes))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert not [number for number in ("990100195409041017", "990100195402301017") if number in answer.text]
    for raw in (b"", b"{", b"[]", b"\xff", b'{"holders": ' + b"[" * 5000):
        answer = await api.post("/api/v1/approvals", content=raw, headers=bearer | {"Idempotency-Key": "raw"})
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")


async def test_scopes_and_tokens_are_asked_for(api: httpx2.AsyncClient, city: Any) -> None:
    reader = await token(api, city, scopes=("certificates:read",))
    assert (await post(api, reader)).json()["code"] == "INSUFFICIENT_SCOPE"
    assert (await post(api, {})).status_code == 401
    assert (await api.get("/api/v1/certificates/00000000-0000-0000-0000-000000000000")).status_code == 401
    for wrong in ("x", "00000000-0000-0000-0000-000000000000"):
        assert (await api.get(f"/api/v1/certificates/{wrong}", headers=reader)).json()["code"] == "NOT_FOUND"


async def test_an_unknown_code_has_its_own_answer(api: httpx2.AsyncClient) -> None:
    for code in ("0000000000000000", "x", "%E4%B8%80"):
        answer = await api.get(f"/api/v1/verify/{code}")
        assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (404, "unknown", "UNKNOWN_CODE")


async def test_the_openapi_document_describes_the_bodies(api: httpx2.AsyncClient) -> None:
    document = (await api.get("/api/openapi.json")).json()
    body = document["paths"]["/api/v1/approvals"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(approvals()[0]) <= set(body["properties"])
    assert body["properties"]["holders"]["items"]["properties"]["code_type"]
    assert "$defs" not in json.dumps(document)
    assert {
        f"/api/v1/certificates/{{certificate_id}}/{move}" for move in ("suspend", "resume", "revoke", "cancel", "renew", "change")
    } <= set(document["paths"])
