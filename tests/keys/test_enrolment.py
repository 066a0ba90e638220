"""Sign-in certificates of people: over HTTP, on the command line, renewed and replaced; and what nobody is given."""

import asyncio
import base64
import datetime as dt
import json
import subprocess
import uuid
from types import SimpleNamespace

import orjson
import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis
from sqlalchemy import select, text
from typer.testing import CliRunner

from api.commands import users
from api.routes import est
from identity.clients import NewClient, create_client
from identity.people import NewAccount, create_account, require_account
from keys.base.actor import SYSTEM, Role
from keys.base.errors import FujieError
from keys.custody import pkcs12 as handed_out
from keys.custody.store import Algorithm, Purpose
from keys.models import CertificateRow
from keys.pki.authority import issue
from keys.pki.certificate import Subject, certified_key
from keys.pki.enrolment import MOST_IN_FORCE, Applicant, Enrolment, enrol_with_new_key, enrol_with_request, renew_with_request
from keys.pki.reads import certificate_ends, serial_text
from keys.pki.renewal import rekey, renew
from keys.pki.requests import REQUEST_OCTETS
from keys.pki.status import revoke, suspend
from keys.rotation import ensure_signing_keys
from keys.time.guard import ClockGuard
from tests.conftest import require_command
from tests.portal import City, make_app

PERSON = Applicant(uuid.UUID("0190c0de-0000-7000-8000-000000000001"), "卫思远", "990100")
CLERK = Applicant(uuid.UUID("0190c0de-0000-7000-8000-000000000002"), "窗口人员", "990100", "某某市水务局", "11990100MB0000001X")
PASSPHRASE = "correct horse battery staple"


def a_request(key=None, name="root CA of everything") -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "国务院")])
    return x509.CertificateSigningRequestBuilder().subject_name(names).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
def parts(pki, keystore, clock):
    return Enrolment(pki, keystore, clock, SYSTEM)


async def audited(database, action: str) -> list[tuple[str, str, str | None]]:
    async with database.session() as session:
        query = text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events WHERE action = :action ORDER BY id")
        events = [json.loads(row[0]) for row in await session.execute(query, {"action": action})]
    return [(event["object"], event["outcome"], event["code"]) for event in events]


async def code_of(awaitable) -> str:
    with pytest.raises(FujieError) as refused:
        await awaitable
    return refused.value.code


async def test_the_subject_is_the_account_not_the_request(parts):
    for applicant in (PERSON, CLERK):
        issued = await enrol_with_request(parts, applicant, a_request())
        certificate = x509.load_der_x509_certificate(issued.certificate)
        names = {attribute.oid: attribute.value for attribute in certificate.subject}
        assert names.pop(NameOID.SERIAL_NUMBER) == str(applicant.account)
        assert names.pop(NameOID.COMMON_NAME) == applicant.name
        assert (names.pop(NameOID.COUNTRY_NAME), names.pop(NameOID.LOCALITY_NAME)) == ("CN", "990100")
        employer = {} if applicant is PERSON else {NameOID.ORGANIZATION_NAME: "某某市水务局"}
        assert names == employer | ({NameOID.ORGANIZATION_IDENTIFIER: "NTRCN-11990100MB0000001X"} if employer else {})
        purposes = [one.dotted_string for one in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value]
        assert purposes == ["1.3.6.1.5.5.7.3.2"]
        assert "国务院".encode() not in issued.certificate
        assert len(issued.chain) == 2


async def test_bad_requests_issue_nothing_and_are_audited(parts, pki):
    key = ec.generate_private_key(ec.SECP256R1())
    await enrol_with_request(parts, PERSON, a_request(key))
    small = rsa.generate_private_key(65537, 1024)
    forged = bytearray(a_request())
    forged[-1] ^= 1
    async with pki.session() as session:
        before = len((await session.scalars(select(CertificateRow.serial))).all())
    codes = [
        await code_of(enrol_with_request(parts, CLERK, octets)) for octets in (b"garbage", a_request(small), bytes(forged), a_request(key))
    ]
    assert codes == [
        "CERTIFICATE_REQUEST_MALFORMED",
        "PUBLIC_KEY_WEAK",
        "CERTIFICATE_REQUEST_PROOF_INVALID",
        "PUBLIC_KEY_CERTIFIED_BEFORE",
    ]
    events = await audited(pki, "keys.pki.enrol")
    assert events == [(f"account:{CLERK.account}", "refused", code) for code in codes]
    async with pki.session() as session:
        assert len((await session.scalars(select(CertificateRow.serial))).all()) == before


async def test_one_person_holds_five(parts):
    tried = await asyncio.gather(*(enrol_with_request(parts, PERSON, a_request()) for _ in range(7)), return_exceptions=True)
    refused = [one.code for one in tried if isinstance(one, FujieError)]
    assert (len(tried) - len(refused), set(refused)) == (MOST_IN_FORCE, {"PERSON_CERTIFICATES_TOO_MANY"})
    assert (await enrol_with_request(parts, CLERK, a_request())).serial, "somebody else is not held up"


async def test_pkcs12_opens_with_the_passphrase_only(parts, pki, openssl, tmp_path):
    issued, file = await enrol_with_new_key(parts, PERSON, PASSPHRASE)
    key, certificate, chain = pkcs12.load_key_and_certificates(file, PASSPHRASE.encode())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == certified_key(issued.certificate)
    assert certificate.public_bytes(Encoding.DER) == issued.certificate
    assert {one.public_bytes(Encoding.DER) for one in chain} == set(issued.chain)
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(file, b"another passphrase")
    seen = openssl("pkcs12", "-in", file, "-passin", f"pass:{PASSPHRASE}", "-info", "-noout")
    assert seen.returncode == 0, seen.stderr
    assert "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256" in seen.stderr
    assert "MAC: sha256, Iteration 600000" in seen.stderr
    (tmp_path / "person.p12").write_bytes(file)
    words = ("--p12-info", "--inder", "--password", PASSPHRASE, "--infile", str(tmp_path / "person.p12"))
    gnutls = subprocess.run((require_command("certtool", "gnutls-bin"), *words), capture_output=True, text=True, timeout=30, check=False)
    assert (gnutls.returncode, gnutls.stdout.count("BEGIN CERTIFICATE")) == (0, 3), gnutls.stderr
    async with pki.session() as session:
        stored = await session.scalar(text("SELECT count(*) FROM keys.stored_keys WHERE public = :public"), {"public": spki})
    assert stored == 0, "the pair is kept nowhere"


async def test_pairs_are_handed_out_once_and_under_a_real_passphrase(parts, pki):
    assert await code_of(enrol_with_new_key(parts, PERSON, "short")) == "PASSPHRASE_WEAK"
    assert await code_of(enrol_with_new_key(parts, PERSON, "aaaaaaaaaaaaaaaa")) == "PASSPHRASE_WEAK"
    assert await code_of(enrol_with_new_key(parts, PERSON, PASSPHRASE, Algorithm.SM2)) == "KEY_ALGORITHM_MISMATCH"
    assert [event[2] for event in await audited(pki, "keys.pki.enrol")] == ["PASSPHRASE_WEAK"] * 2 + ["KEY_ALGORITHM_MISMATCH"]
    pair = handed_out.make_pair(Algorithm.RSA2048)
    issued = await enrol_with_request(parts, PERSON, a_request())
    with pytest.raises(ValueError, match="key"):  # the certificate of another key
        pair.seal(issued.certificate, issued.chain, "x", PASSPHRASE)
    with pytest.raises(FujieError) as refused:
        pair.seal(issued.certificate, issued.chain, "x", PASSPHRASE)
    assert refused.value.code == "KEY_ALGORITHM_MISMATCH"


async def test_renewed_with_the_same_key_replaced_with_another(parts, pki, clock):
    key = ec.generate_private_key(ec.SECP256R1())
    first = await enrol_with_request(parts, PERSON, a_request(key))
    clock.advance(days=100)
    second = await renew_with_request(parts, PERSON, a_request(key))
    clock.advance(days=1)
    third = await renew_with_request(parts, PERSON, a_request())
    assert certified_key(first.certificate) == certified_key(second.certificate) != certified_key(third.certificate)
    assert certificate_ends(first.certificate).subject == certificate_ends(third.certificate).subject
    async with pki.session() as session:
        rows = {row.serial: row for row in await session.scalars(select(CertificateRow).where(CertificateRow.holder == PERSON.account))}
    assert rows[serial_text(second.serial)].predecessor == serial_text(first.serial)
    assert rows[serial_text(third.serial)].predecessor == serial_text(second.serial)
    assert rows[serial_text(first.serial)].revoked_at is None
    assert await code_of(renew_with_request(parts, CLERK, a_request(key))) == "CERTIFICATE_UNKNOWN", "nobody renews another's"
    await enrol_with_request(parts, CLERK, a_request())
    assert await code_of(renew_with_request(parts, CLERK, a_request(key))) == "PUBLIC_KEY_CERTIFIED_BEFORE"
    renamed = Applicant(PERSON.account, "卫思近", "990100")
    assert await code_of(renew_with_request(parts, renamed, a_request())) == "CERTIFICATE_RENEWAL_UNSUITABLE"


async def test_successors_of_any_certificate(pki, keystore, clock):
    public, other = (keystore.generate(Algorithm.P256, Purpose.SEALS).public for _ in range(2))
    subject = Subject("某某市水务局行政审批专用章", "某某市水务局", "11990100MB0000001X", "990100")
    async with pki.begin() as session:
        first = await issue(session, keystore, clock.now(), authority="seal", profile="document-signer", subject=subject, public_key=public)
    renewed = await renew(pki, keystore, clock, SYSTEM, first.serial)
    replaced = await rekey(pki, keystore, clock, SYSTEM, first.serial, other)
    assert [certified_key(one.certificate) for one in (renewed, replaced)] == [public, other]
    assert await code_of(rekey(pki, keystore, clock, SYSTEM, first.serial, other)) == "PUBLIC_KEY_CERTIFIED_BEFORE"
    assert await code_of(renew(pki, keystore, clock, SYSTEM, 4711)) == "CERTIFICATE_UNKNOWN"
    async with pki.begin() as session:
        await suspend(session, clock.now(), renewed.serial)
        await revoke(session, clock.now(), replaced.serial, "superseded")
    for gone in (renewed, replaced):
        assert await code_of(renew(pki, keystore, clock, SYSTEM, gone.serial)) == "CERTIFICATE_RENEWAL_UNSUITABLE"
    root = certificate_ends(first.chain[-1]).serial
    assert await code_of(renew(pki, keystore, clock, SYSTEM, root)) == "CERTIFICATE_RENEWAL_UNSUITABLE"
    clock.advance(days=1097)
    assert await code_of(renew(pki, keystore, clock, SYSTEM, first.serial)) == "CERTIFICATE_RENEWAL_UNSUITABLE"
    refused = await audited(pki, "keys.pki.renew")
    assert [event[2] for event in refused] == [
        "PUBLIC_KEY_CERTIFIED_BEFORE",
        "CERTIFICATE_UNKNOWN",
        *["CERTIFICATE_RENEWAL_UNSUITABLE"] * 4,
    ]


@pytest.fixture
async def city(pki, keystore, clock, redis_url):
    await ensure_signing_keys(pki, keystore, clock)
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    async with pki.begin() as session:
        citizen = await create_account(session, clock.now(), NewAccount("weisiyuan", "一个名字", "990100"), "correct-horse-battery-staple")
        await session.execute(text("UPDATE identity.accounts SET name = '卫思远' WHERE id = :id"), {"id": citizen.id})
        citizen = await require_account(session, citizen.id)
    app = make_app(pki, redis, keystore, clock)
    app.router.routes.extend(est.routes)
    city = City(app, pki, clock, citizen)
    yield city
    await city.browser.aclose()
    await redis.aclose()


async def bearer(city, scope="openid pki:enrol") -> dict[str, str]:
    client, secret = await city.ready(scopes=("openid", "profile", "pki:enrol"))
    tokens = await city.tokens(client, secret, scope=scope)
    return {"Authorization": f"Bearer {tokens['access_token']}", "Content-Type": "application/pkcs10"}


def certificates_in(answer) -> list[bytes]:
    signed = cms.ContentInfo.load(base64.b64decode(answer.content), strict=True)["content"]
    return [one.chosen.dump() for one in signed["certificates"]]


async def test_est_certifies_the_person_of_the_token(city, openssl, tmp_path):
    headers = await bearer(city)
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await city.browser.post("/.well-known/est/simpleenroll", content=base64.encodebytes(a_request(key)), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert answer.headers["content-transfer-encoding"] == "base64"
    own, authority, root = sorted(certificates_in(answer), key=lambda der: "CA" in asn1_x509.Certificate.load(der).subject.human_friendly)
    names = asn1_x509.Certificate.load(own).subject.native
    assert (names["common_name"], names["serial_number"]) == ("卫思远", str(city.account.id))
    opened = openssl("pkcs7", "-inform", "DER", "-in", base64.b64decode(answer.content), "-print_certs", "-noout")
    assert opened.stdout.count("subject=") == 3
    known = await city.browser.get("/.well-known/est/cacerts")
    assert set(certificates_in(known)) == {authority, root}
    again = await city.browser.post("/.well-known/est/simplereenroll", content=a_request(key), headers=headers)
    assert again.status_code == 200, again.text
    renewed = next(der for der in certificates_in(again) if "CA" not in asn1_x509.Certificate.load(der).subject.human_friendly)
    assert certified_key(renewed) == certified_key(own)
    assert renewed != own


async def test_est_turns_away(city, pki, clock):
    headers = await bearer(city)
    path = "/.well-known/est/simpleenroll"
    post = city.browser.post
    assert (await post(path, content=a_request())).json()["code"] == "TOKEN_REQUIRED"
    plain = await bearer(city, "openid")
    assert (await post(path, content=a_request(), headers=plain)).json()["code"] == "INSUFFICIENT_SCOPE"
    assert (await post(path, content=b"garbage", headers=headers)).json()["code"] == "CERTIFICATE_REQUEST_MALFORMED"
    large = await post(path, content=b"A" * (REQUEST_OCTETS + 1), headers=headers)
    assert (large.status_code, large.json()["code"]) == (413, "TOO_LARGE")
    odd = await post(path, content=a_request(), headers=headers | {"Content-Type": "text/plain"})
    assert (odd.status_code, odd.json()["code"]) == (415, "CERTIFICATE_REQUEST_TYPE_UNSUITABLE")
    async with pki.begin() as session:
        new = NewClient(name_zh="系统", name_en="System", division="990100", grant_types=("client_credentials",), scopes=("verify",))
        client, secret = await create_client(session, clock.now(), new)
    own = await city.token(client, secret, grant_type="client_credentials", scope="pki:enrol")
    assert own.status_code == 400, "a client by itself is nobody to certify"
    async with pki.session() as session:
        assert (await session.scalars(select(CertificateRow).where(CertificateRow.profile == "person-sign-in"))).all() == []


async def test_nothing_is_certified_by_a_clock_in_doubt(city, pki, clock):
    headers = await bearer(city)
    city.app.state.house.guard = guard = ClockGuard(clock)
    guard.now()
    clock.advance(seconds=-1)
    answer = await city.browser.post("/.well-known/est/simpleenroll", content=a_request(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "CLOCK_UNTRUSTED")
    clock.advance(seconds=1)
    assert (await city.browser.post("/.well-known/est/simpleenroll", content=a_request(), headers=headers)).status_code == 200


async def test_the_command_certifies_and_hands_out(pki, keystore, clock, monkeypatch, tmp_path):
    async with pki.begin() as session:
        new = NewAccount("clerk", "窗口人员", "990100", frozenset({Role.WINDOW_CLERK}))
        await create_account(session, clock.now(), new, "correct-horse-battery-staple")
    loop = asyncio.get_running_loop()
    house = SimpleNamespace(database=pki, keystore=keystore, clock=clock, guard=clock)
    monkeypatch.setattr(users, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(20))

    async def run(*arguments, **more):
        return await asyncio.to_thread(CliRunner().invoke, users.app, list(arguments), **more)

    made = await run("certificate", "clerk", "-o", str(tmp_path / "clerk.p12"), input=PASSPHRASE + "\n")
    assert made.exit_code == 0, made.output
    assert set(orjson.loads(made.stdout)) == {"serial", "file"}
    assert PASSPHRASE not in made.output
    file = tmp_path / "clerk.p12"
    assert file.stat().st_mode & 0o777 == 0o600
    _, certificate, _ = pkcs12.load_key_and_certificates(file.read_bytes(), PASSPHRASE.encode())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "clerk", (
        "a name of one's own making is not certified"
    )
    (tmp_path / "clerk.csr").write_bytes(a_request())
    certified = await run("certificate", "clerk", "--request", str(tmp_path / "clerk.csr"), "-o", str(tmp_path / "clerk.pem"))
    assert certified.exit_code == 0, certified.output
    assert (tmp_path / "clerk.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 3


async def test_certificates_end_with_their_period(parts, clock):
    issued = await enrol_with_request(parts, PERSON, a_request())
    assert certificate_ends(issued.certificate).not_after == clock.now() + dt.timedelta(days=731, seconds=-1)
