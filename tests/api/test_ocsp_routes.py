"""OCSP over HTTP: both methods, caches, limits, and a protocol-correct word for every bad request."""

import base64
from types import SimpleNamespace
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from fastapi import FastAPI
from starlette.middleware import Middleware

from api import problems
from api.app import ExactPaths
from api.limits import BodyLimit
from api.routes import ocsp as ocsp_routes
from api.routes import pki
from api.routes.ocsp import Signatures
from keys.custody.errors import KeyStoreUnavailable
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import establish
from keys.pki.issuing import Subject, issue
from keys.pki.status import revoke

BASE_URL = "http://testserver"
SUBJECT = Subject("测试印章", "某某市水务局", "11990100MB0000001X", "990100")


@pytest.fixture
async def house(database, keystore, clock):
    await establish(database, keystore, clock, BASE_URL)
    return SimpleNamespace(database=database, keystore=keystore, clock=clock)


@pytest.fixture
async def client(house):
    routes = [*ocsp_routes.routes, *pki.routes]
    middleware = [Middleware(BodyLimit), Middleware(ExactPaths, routes=routes)]
    app = FastAPI(openapi_url=None, routes=routes, exception_handlers=problems.HANDLERS, middleware=middleware)
    app.state.house = house
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE_URL) as client:
        yield client


@pytest.fixture
async def issued(house):
    public = house.keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with house.database.begin() as session:
        return await issue(
            *(session, house.keystore, house.clock.now()), authority="seal", profile="document-signer", subject=SUBJECT, public_key=public
        )


def request(issued, nonce: bytes | None = None) -> bytes:
    certificate, issuer = (x509.load_der_x509_certificate(one) for one in (issued.certificate, issued.chain[0]))
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def address(octets: bytes) -> str:
    return "/pki/ocsp/" + quote(base64.b64encode(octets).decode(), safe="")


def read(answer: httpx2.Response) -> ocsp.OCSPResponse:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/ocsp-response")
    return ocsp.load_der_ocsp_response(answer.content)


async def test_post(client, issued):
    answer = await client.post("/pki/ocsp", content=request(issued, b"12345678"))
    assert read(answer).certificate_status is OCSPCertStatus.GOOD
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("safe", ["", "/+="])
async def test_get_may_be_cached(client, issued, house, safe):
    """RFC 5019 §6.2, with the path percent-encoded as it should be and as some clients leave it."""
    path = "/pki/ocsp/" + quote(base64.b64encode(request(issued)).decode(), safe=safe)
    answer = await client.get(path)
    assert read(answer).certificate_status is OCSPCertStatus.GOOD
    assert answer.headers["cache-control"] == "max-age=300, public, no-transform, must-revalidate"
    assert answer.headers["last-modified"] == "Sat, 21 Nov 2026 02:00:00 GMT"
    assert answer.headers["expires"] == "Sat, 21 Nov 2026 02:05:00 GMT"
    again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    async with house.database.begin() as session:
        await revoke(session, house.clock.now(), issued.serial, "key_compromise")
    changed = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert read(changed).certificate_status is OCSPCertStatus.REVOKED


async def test_get_with_a_nonce_is_not_cached(client, issued):
    answer = await client.get(address(request(issued, b"12345678")))
    assert read(answer).certificate_status is OCSPCertStatus.GOOD
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize("path", ["%%%", "a", "AAAA", "AAA", "=AAA", "é", "MEUwQ", "%00", "a" * 5000, "{}"])
async def test_get_with_broken_base64_is_malformed(client, path):
    answer = await client.get("/pki/ocsp/" + quote(path))
    assert read(answer).response_status is OCSPResponseStatus.MALFORMED_REQUEST
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("body", [b"", b"garbage", b"\x30\x80", b"0" * 30_000, b"\x30\x82\xff\xff"])
async def test_garbage_is_malformed(client, body):
    assert read(await client.post("/pki/ocsp", content=body)).response_status is OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize("size", [32 * 1024 + 1, 2_000_000])
async def test_an_oversized_request_is_refused_by_http(client, size):
    answer = await client.post("/pki/ocsp", content=bytes(size))
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


async def test_an_unknown_issuer_is_unauthorized(client):
    foreign = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"a" * 20, b"b" * 20, 5, hashes.SHA1()).build()
    answer = await client.post("/pki/ocsp", content=foreign.public_bytes(serialization.Encoding.DER))
    assert read(answer).response_status is OCSPResponseStatus.UNAUTHORIZED


async def test_while_the_keys_are_away_clients_are_told_to_come_back(client, issued, house, monkeypatch):
    def away(*_):
        raise KeyStoreUnavailable("pulled out")

    with monkeypatch.context() as patch:
        patch.setattr(house.keystore, "sign", away)
        patch.setattr(house.keystore, "generate", away)
        answer = await client.post("/pki/ocsp", content=request(issued, b"12"))
    assert read(answer).response_status is OCSPResponseStatus.TRY_LATER
    assert read(await client.post("/pki/ocsp", content=request(issued, b"12"))).certificate_status is OCSPCertStatus.GOOD


async def test_no_stranger_makes_us_sign_without_bound(client, issued, monkeypatch):
    monkeypatch.setattr(ocsp_routes, "Signatures", lambda: Signatures(limit=3))
    answers = [read(await client.post("/pki/ocsp", content=request(issued, b"12"))) for _ in range(6)]
    statuses = [answer.response_status for answer in answers]
    assert statuses == [OCSPResponseStatus.SUCCESSFUL] * 3 + [OCSPResponseStatus.TRY_LATER] * 3


def test_signatures_are_counted_by_address():
    signatures = Signatures(limit=5)
    assert [signatures.take("a", 2) for _ in range(3)] == [True, True, False]
    assert signatures.take("a", 1)
    assert not signatures.take("a", 1)
    assert signatures.take("b", 5)
    assert not signatures.take("b", 100)


async def test_partitions_over_http(client):
    listed = await client.get("/pki/persons/64.crl")
    assert (listed.status_code, listed.headers["content-type"]) == (200, "application/pkix-crl")
    for path in ("persons/65", "persons/0", "seal/1", "nobody/1", "persons/-1", "persons/x"):
        assert (await client.get(f"/pki/{path}.crl")).status_code == 404
