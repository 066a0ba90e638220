"""The addresses that certificates point to, fetched as a verifier would."""

from types import SimpleNamespace

import httpx2
import pytest
from asn1crypto import crl, x509
from fastapi import FastAPI

from api import problems
from api.routes import pki
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import Subject, authority_certificate, establish, issue
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES
from keys.pki.status import revoke

BASE_URL = "http://testserver"


@pytest.fixture
async def client(database, keystore, clock):
    await establish(database, keystore, clock, BASE_URL)
    app = FastAPI(openapi_url=None, routes=list(pki.routes), exception_handlers=problems.HANDLERS)
    app.state.house = SimpleNamespace(database=database, keystore=keystore, clock=clock)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE_URL) as client:
        yield client


@pytest.mark.parametrize("name", [plan.name for plan in DEMONSTRATION_AUTHORITIES])
async def test_certificate_and_list_of_every_authority(client, database, name):
    certificate = await client.get(f"/pki/{name}.crt")
    async with database.session() as session:
        assert certificate.content == await authority_certificate(session, name)
    assert (certificate.status_code, certificate.headers["content-type"]) == (200, "application/pkix-cert")
    listed = await client.get(f"/pki/{name}.crl")
    assert (listed.status_code, listed.headers["content-type"]) == (200, "application/pkix-crl")
    issuer = crl.CertificateList.load(listed.content, strict=True)["tbs_cert_list"]["issuer"]
    assert issuer == x509.Certificate.load(certificate.content, strict=True).subject
    assert (await client.get(f"/pki/{name}.crl")).content == listed.content, "made once, served again"


async def test_the_addresses_in_a_certificate_lead_there(client, database, keystore, clock):
    key = keystore.generate(Algorithm.P256, Purpose.SEALS)
    subject = Subject("某某市水务局电子印章", "某某市水务局", "", "990100")
    async with database.begin() as session:
        issued = await issue(
            session, keystore, clock.now(), authority="seal", profile="document-signer", subject=subject, public_key=key.public
        )
    certificate = x509.Certificate.load(issued.certificate)
    point = certificate.crl_distribution_points[0].url
    assert crl.CertificateList.load((await client.get(point)).content)["tbs_cert_list"]["revoked_certificates"].native is None
    access = certificate.authority_information_access_value[0]["access_location"].native
    assert (await client.get(access)).content == issued.chain[0]
    async with database.begin() as session:
        await revoke(session, clock.now(), issued.serial, "key_compromise")
    entries = crl.CertificateList.load((await client.get(point)).content)["tbs_cert_list"]["revoked_certificates"].native
    assert [entry["user_certificate"] for entry in entries] == [issued.serial]


@pytest.mark.parametrize("name", ["nobody", "SEAL", "seal%00", "%E5%8D%B0", "..", "a" * 500, "root'--"])
@pytest.mark.parametrize("ending", ["crt", "crl"])
async def test_unknown_names_are_problems(client, name, ending):
    answer = await client.get(f"/pki/{name}.{ending}", headers={"Accept-Language": "zh-CN"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "AUTHORITY_UNKNOWN"
    assert answer.json()["title"] == "没有这个证书颁发机构。"


async def test_other_endings_and_methods_are_refused(client):
    assert (await client.get("/pki/root.pem")).status_code == 404
    assert (await client.post("/pki/root.crt")).status_code == 405
