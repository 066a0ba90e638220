"""Attacks on what the PKI certifies, answers and believes: each was tried before it was refused."""

import asyncio
import datetime as dt
import hashlib
from types import SimpleNamespace
from unittest.mock import AsyncMock

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from starlette.applications import Starlette

from api.problems import on_fujie_error
from api.routes.ocsp import routes as ocsp_routes
from api.routes.pki import routes as pki_routes
from keys.base import der
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.der import NotDer
from keys.base.errors import FujieError
from keys.ceremony.holding import AuthorityExists, Hall, People, hold
from keys.ceremony.plan import read_plan
from keys.custody.store import Algorithm, Purpose
from keys.custody.verifying import ECDSA_WITH_SHA256, ECDSA_WITH_SHA384
from keys.models import AuthorityRow
from keys.pki.authority import establish
from keys.pki.certificate import Subject, key_identifier
from keys.pki.issuing import IssuedCertificate, issue
from keys.pki.ocsp import OcspService
from keys.pki.ocsp_format import RequestMalformed, ResponseStatus, failure, parse_request
from keys.pki.reads import CertificateStatus, status_at
from keys.pki.renewal import rekey, renew
from keys.pki.status import revoke, suspend
from keys.pki.validation import Material, Reason, validate
from keys.pki.weak_keys import key_algorithm
from keys.time.request import Rejected
from keys.time.request import read_request as read_time_request
from keys.trust.models import ExternalCrlRow
from seal.trust import Trust
from seal.verification_path import Revoked, find_path, read_certificate, revocation
from seal.verification_pdf import SecurityStore, evidence_from
from tests.chains import DAY, NOW, Maker, root

SUBJECT = Subject("某某市水务局行政审批专用章", "某某市水务局", "11990100MB0000001X", "990100")


@pytest.fixture
async def pki(database, keystore, clock):
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    return database


async def certify(database, keystore, now, public: bytes | None = None) -> IssuedCertificate:
    public = public or keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with database.begin() as session:
        return await issue(session, keystore, now, authority="documents", profile="document-signer", subject=SUBJECT, public_key=public)


async def code_of(awaitable) -> str:
    with pytest.raises(FujieError) as refused:
        await awaitable
    return refused.value.code


# --- one key in two spellings -------------------------------------------------------------------------------------------------


def spki(key) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_one_modulus_under_another_exponent_is_no_new_key():
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    assert key_algorithm(spki(rsa.RSAPublicNumbers(65537, modulus).public_key())) is Algorithm.RSA2048
    for exponent in (65539, 2**64 + 13):
        with pytest.raises(FujieError, match="exponent"):
            key_algorithm(spki(rsa.RSAPublicNumbers(exponent, modulus).public_key()))


_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ORDER_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def _point(encoded: bytes) -> tuple[int, int]:
    y, sign = int.from_bytes(encoded, "little") & (1 << 255) - 1, encoded[31] >> 7
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    x = x if x * x % _P == square else x * pow(2, (_P - 1) // 4, _P) % _P
    assert x * x % _P == square
    return (x if x & 1 == sign else _P - x), y


def _sum(one: tuple[int, int], other: tuple[int, int]) -> bytes:
    (a, b), (c, d) = one, other
    k = _D * a * b * c * d
    x, y = (a * d + b * c) * pow(1 + k, -1, _P) % _P, (b * d + a * c) * pow(1 - k, -1, _P) % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_an_ed25519_key_shifted_by_a_point_of_small_order_is_no_new_key():
    """Signatures of one private key can be made to verify under all eight shifts of its public key."""
    prefix = bytes.fromhex("302a300506032b6570032100")
    for _ in range(3):
        own = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        assert key_algorithm(prefix + own) is Algorithm.ED25519
        with pytest.raises(FujieError) as refused:
            key_algorithm(prefix + _sum(_point(own), _point(_ORDER_EIGHT)))
        assert refused.value.code == "PUBLIC_KEY_WEAK"


# --- keys that are known to others ----------------------------------------------------------------------------------------------


async def test_a_compromised_key_takes_every_certificate_of_it_along(pki, keystore, clock):
    """A certificate and its renewal share a key: whoever revokes one for compromise must not leave the other in force."""
    first = await certify(pki, keystore, clock.now())
    second = await renew(pki, keystore, clock, SYSTEM, first.serial)
    third = await renew(pki, keystore, clock, SYSTEM, second.serial)
    other = await certify(pki, keystore, clock.now())
    async with pki.begin() as session:
        await suspend(session, clock.now(), third.serial)
    since = clock.now() - dt.timedelta(minutes=5)
    async with pki.begin() as session:
        await revoke(session, clock.now(), second.serial, "key_compromise", invalidity_date=since)
    async with pki.session() as session:
        found = {one.serial: await status_at(session, one.serial, clock.now()) for one in (first, second, third, other)}
    assert {found[one.serial].reason for one in (first, second, third)} == {"key_compromise"}
    assert found[other.serial].status is CertificateStatus.GOOD
    assert await code_of(renew(pki, keystore, clock, SYSTEM, first.serial)) == "CERTIFICATE_RENEWAL_UNSUITABLE"


async def test_another_reason_leaves_the_renewal_in_force(pki, keystore, clock):
    first = await certify(pki, keystore, clock.now())
    second = await renew(pki, keystore, clock, SYSTEM, first.serial)
    async with pki.begin() as session:
        await revoke(session, clock.now(), first.serial, "superseded")
        assert (await status_at(session, second.serial, clock.now())).status is CertificateStatus.GOOD


async def test_two_reports_of_one_compromise_at_once_do_not_block_each_other(pki, keystore, clock):
    first = await certify(pki, keystore, clock.now())
    second = await renew(pki, keystore, clock, SYSTEM, first.serial)

    async def report(serial: int) -> str | None:
        try:
            async with pki.begin() as session:
                await revoke(session, clock.now(), serial, "key_compromise")
        except FujieError as error:
            return error.code
        return None

    outcomes = await asyncio.gather(*(report(one.serial) for one in (first, second) * 3))
    assert sorted(outcomes, key=str) == [*["CERTIFICATE_ALREADY_REVOKED"] * 5, None]


async def test_the_key_of_a_stranger_or_of_an_authority_is_not_certified_by_rekeying(pki, keystore, clock):
    mine, yours = await certify(pki, keystore, clock.now()), await certify(pki, keystore, clock.now())
    for taken in (yours.certificate, *yours.chain):
        key = spki(x509.load_der_x509_certificate(taken).public_key())
        assert await code_of(rekey(pki, keystore, clock, SYSTEM, mine.serial, key)) == "PUBLIC_KEY_CERTIFIED_BEFORE"


async def test_an_authority_that_somebody_else_revoked_issues_nothing(pki, keystore, clock):
    """Our authority under a licensed root: their list, as last fetched, is believed as our own register is."""
    above = root("licensed root")
    async with pki.begin() as session:
        row = await session.get_one(AuthorityRow, "documents")
        public = x509.load_der_x509_certificate(row.certificate).public_key()
        ours = above.certify(Maker("documents", SimpleNamespace(public_key=lambda: public)), authority=True)
        row.parent, row.certificate, row.external_chain = "documents", ours.der, [above.der]
        listed = ExternalCrlRow(url="http://127.0.0.1:1/1.crl", issuer=hashlib.sha256(above.der).digest(), tried_at=clock.now())
        listed.this_update, listed.next_update, listed.crl = clock.now() - DAY, clock.now() + DAY, above.list(this=clock.now() - DAY)
        session.add(listed)
    assert len((await certify(pki, keystore, clock.now())).chain) == 2
    async with pki.begin() as session:
        listed = await session.get_one(ExternalCrlRow, listed.url)
        revoked = {ours.certificate.serial_number: x509.ReasonFlags.cessation_of_operation}
        listed.crl = above.list(revoked, this=clock.now() - DAY, since=clock.now() - DAY)
    assert await code_of(certify(pki, keystore, clock.now())) == "AUTHORITY_REVOKED"


# --- OCSP -----------------------------------------------------------------------------------------------------------------------


def question(issued: IssuedCertificate) -> bytes:
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    builder = ocsp.OCSPRequestBuilder().add_certificate(x509.load_der_x509_certificate(issued.certificate), issuer, hashes.SHA1())
    return builder.build().public_bytes(serialization.Encoding.DER)


def _many(request: bytes, count: int) -> bytes:
    """The one question of a request, many times."""
    one = der.members(der.members(der.members(der.read(request))[0])[0])[0].encoded
    return der.sequence(der.sequence(der.sequence(one * count)))


async def test_a_responder_that_was_revoked_answers_no_more(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    answer = await OcspService(pki, keystore, clock).answer(question(issued), lambda count: True)
    responder = ocsp.load_der_ocsp_response(answer.response).certificates[0]
    async with pki.begin() as session:
        await revoke(session, clock.now(), responder.serial_number, "key_compromise")
    clock.advance(minutes=70)
    answer = await OcspService(pki, keystore, clock).answer(question(issued), lambda count: True)
    assert ocsp.load_der_ocsp_response(answer.response).certificates[0].serial_number != responder.serial_number


async def test_a_hundred_questions_without_allowance_cost_no_look_at_the_register(pki, keystore, clock, monkeypatch):
    issued = await certify(pki, keystore, clock.now())
    service = OcspService(pki, keystore, clock)
    await service.answer(question(issued), lambda count: True)
    asked = AsyncMock(wraps=service._ask)
    monkeypatch.setattr(service, "_ask", asked)
    counted: list[int] = []
    answer = await service.answer(_many(question(issued), 100), lambda count: bool(counted.append(count)))
    assert (answer.response, counted, asked.await_count) == (failure(ResponseStatus.TRY_LATER), [100], 0)


def test_a_revocation_is_not_hidden_behind_a_copy_of_it_under_another_algorithm():
    """The octets that are signed do not say under which algorithm: what was refused under one is asked again under another."""
    top = root()
    middle = top.certify(Maker("middle"), authority=True)
    leaf = middle.certify(Maker("leaf"))
    genuine = middle.answer(leaf, middle, ocsp.OCSPCertStatus.REVOKED)
    bent = genuine.replace(der.object_identifier(ECDSA_WITH_SHA256), der.object_identifier(ECDSA_WITH_SHA384))
    assert bent != genuine
    material = Material.read([top.der], [middle.der], [top.list(), middle.list()], [bent, genuine])
    fault = validate(leaf.der, material, NOW + dt.timedelta(hours=1)).fault
    assert fault is not None
    assert fault.reason is Reason.REVOKED


@pytest.mark.parametrize("read", [parse_request, read_time_request])
def test_nothing_is_made_of_members_that_no_request_has(read):
    """32 KiB of NULLs cost a responder 80 ms of work; honest requests cost 0.1 ms."""
    padding = der.sequence(b"\5\0" * 2000)
    for octets in (padding, der.sequence(padding), der.sequence(der.sequence(padding))):
        with pytest.raises((NotDer, RequestMalformed, Rejected), match=r"more than|missing|no TimeStampReq|not a TimeStampReq"):
            read(octets)


# --- lists ----------------------------------------------------------------------------------------------------------------------


def test_a_file_full_of_old_lists_does_not_hide_ours():
    """A signer is revoked; the file brings as many older lists, still current, as are looked at at all."""
    top = root()
    signer = top.certify(Maker("signer"))
    assert signer.certificate is not None
    fresh = top.list({signer.certificate.serial_number: x509.ReasonFlags.key_compromise})
    stale = tuple(top.list(this=NOW - dt.timedelta(seconds=number), days=30) for number in range(1, 70))
    trust = Trust((top.der,), (fresh,))
    evidence = evidence_from(trust, SecurityStore((), stale), NOW + dt.timedelta(hours=1))
    party = read_certificate(signer.der)
    assert party is not None
    path = find_path(party, evidence.candidates, evidence.anchors)
    assert path is not None
    assert isinstance(revocation(path, evidence.crls, evidence.at), Revoked)


# --- doors ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def door(pki, keystore, clock):
    """The public addresses of the PKI over the real routes."""
    app = Starlette(routes=[*pki_routes, *ocsp_routes], exception_handlers={FujieError: on_fujie_error})
    app.state.house = SimpleNamespace(database=pki, keystore=keystore, clock=clock)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1:8000") as client:
        yield client


async def test_addresses_that_name_nothing_are_answered_all_the_same(door):
    for number in ("0", "65", "9" * 4000, "9" * 5000, "1" + "0" * 60_000, "１", "-1"):
        assert (await door.get(f"/pki/persons/{number}.crl")).status_code == 404
    assert (await door.get("/pki/persons/%31.crl")).status_code == 200
    for name in ("%00", "a%00b", "..%2f..%2fetc", "%ff", "a" * 60_000, "'--", "Root"):
        for address in (f"/pki/{name}.crl", f"/pki/{name}.crt", f"/pki/{name}/1.crl"):
            assert (await door.get(address)).status_code == 404
    for octets in ("", "%00", "=", "MA==", "%2F%2F%2F%2F", "A" * 60_000, "MIIBAA==" * 100, "é"):
        answer = await door.get(f"/pki/ocsp/{octets}")
        assert (answer.status_code, answer.content) == (200, failure(ResponseStatus.MALFORMED_REQUEST))


# --- ceremony -------------------------------------------------------------------------------------------------------------------

PLAN = """
title = "根密钥仪式"
organisation = "某市数据局"
division = "990100"
legal_effect = false
[roles]
administrator = "zhang"
witness = "li"
[[authorities]]
name = "waiting"
profile = "root"
algorithm = "EC_P256"
common_name = "某市根CA"
""".encode()


async def test_a_name_that_waits_for_somebody_elses_certificate_is_not_made_at_a_ceremony(pki, keystore, clock):
    key = keystore.generate(Algorithm.P256, Purpose.AUTHORITY)
    async with pki.begin() as session:
        documents = await session.get_one(AuthorityRow, "documents")
        waiting = AuthorityRow(name="waiting", parent="waiting", profile="root", certificate=b"", external_chain=[], created_at=clock.now())
        waiting.key_id, waiting.key_identifier, waiting.base_url = documents.key_id, key_identifier(key.public), documents.base_url
        session.add(waiting)
    administrator = Actor(ActorKind.PERSON, "1", "张三", roles=frozenset({Role.SECURITY_ADMIN}), authenticator=2)
    witness = Actor(ActorKind.PERSON, "2", "李四", roles=frozenset({Role.AUDITOR}), authenticator=2)
    hall = Hall(pki, keystore, clock, "http://127.0.0.1:8000", "software")
    with pytest.raises(AuthorityExists, match="waiting"):
        await hold(hall, read_plan(PLAN), PLAN, People(administrator, witness), AsyncMock(return_value=True))
