"""The status responder: true, current, signed by whom it must be, and kept only while nothing changed."""

import asyncio
import datetime as dt

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus

from keys.custody import sm2
from keys.custody.errors import KeyStoreUnavailable
from keys.custody.store import Algorithm, Purpose
from keys.models import CertificateRow
from keys.pki.authority import authority_certificate, establish
from keys.pki.issuing import IssuedCertificate, Subject, issue
from keys.pki.ocsp import OcspService
from keys.pki.ocsp_format import RequestMalformed
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES
from keys.pki.reads import certificate_ends
from keys.pki.status import resume, revoke, suspend

SUBJECT = Subject("测试印章", "某某市水务局", "11990100MB0000001X", "990100")
CODES = {OCSPResponseStatus.UNAUTHORIZED: b"0\x03\n\x01\x06", OCSPResponseStatus.TRY_LATER: b"0\x03\n\x01\x03"}


def gladly(count: int) -> bool:
    return True


def never(count: int) -> bool:
    return False


async def certify(database, keystore, now, authority="seal", profile="document-signer") -> IssuedCertificate:
    algorithm = Algorithm.SM2 if profile.endswith("-sm") else Algorithm.P256
    public = keystore.generate(algorithm, Purpose.SEALS).public
    async with database.begin() as session:
        return await issue(session, keystore, now, authority=authority, profile=profile, subject=SUBJECT, public_key=public)


def request(issued: IssuedCertificate, algorithm=None, nonce: bytes | None = None, serial: int | None = None) -> bytes:
    algorithm = algorithm or hashes.SHA1()
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    name, key = hashes.Hash(algorithm), hashes.Hash(algorithm)
    name.update(issuer.subject.public_bytes())
    key.update(_key_octets(issuer))
    number = issued.serial if serial is None else serial
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name.finalize(), key.finalize(), number, algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def _key_octets(issuer: x509.Certificate) -> bytes:
    return issuer.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@pytest.fixture
def service(pki, keystore, clock) -> OcspService:
    return OcspService(pki, keystore, clock)


async def ask(service: OcspService, octets: bytes, may_sign=gladly) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response((await service.answer(octets, may_sign)).response)


async def test_a_good_certificate(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    answer = await ask(service, request(issued, nonce=b"n" * 32))
    assert (answer.response_status, answer.certificate_status) == (OCSPResponseStatus.SUCCESSFUL, OCSPCertStatus.GOOD)
    assert answer.serial_number == issued.serial
    assert answer.this_update_utc == answer.produced_at_utc == clock.now().replace(microsecond=0)
    assert answer.next_update_utc == answer.this_update_utc + dt.timedelta(hours=1)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32


async def test_the_responder_is_delegated_by_the_issuer(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    answer = await ask(service, request(issued))
    (responder,) = answer.certificates
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    responder.verify_directly_issued_by(issuer)
    assert list(responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert not responder.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    digest = hashes.Hash(hashes.SHA1())
    digest.update(_key_octets(responder))
    assert answer.responder_key_hash == digest.finalize()
    key = responder.public_key()
    key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert key != issuer.public_key()


async def test_revoked_held_resumed_and_revoked_again(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    asked = request(issued)

    async def seen():
        answer = await ask(service, asked)
        return answer.certificate_status, answer.revocation_time_utc, answer.revocation_reason

    assert await seen() == (OCSPCertStatus.GOOD, None, None)
    held = clock.advance(hours=2)
    async with pki.begin() as session:
        await suspend(session, held, issued.serial)
    assert await seen() == (OCSPCertStatus.REVOKED, held, x509.ReasonFlags.certificate_hold)
    async with pki.begin() as session:
        await resume(session, clock.advance(hours=2), issued.serial)
    assert await seen() == (OCSPCertStatus.GOOD, None, None)
    gone = clock.advance(hours=2)
    async with pki.begin() as session:
        await revoke(session, gone, issued.serial, "key_compromise")
    assert await seen() == (OCSPCertStatus.REVOKED, gone, x509.ReasonFlags.key_compromise)


async def test_an_unspecified_reason_is_left_out(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    async with pki.begin() as session:
        await revoke(session, clock.now(), issued.serial, "unspecified")
    answer = await ask(service, request(issued))
    assert (answer.certificate_status, answer.revocation_reason) == (OCSPCertStatus.REVOKED, None)


@pytest.mark.parametrize("serial", [1, 2**126 + 5, 2**158])
async def test_an_unknown_serial_number_is_unknown(pki, keystore, clock, service, serial):
    issued = await certify(pki, keystore, clock.now())
    answer = await ask(service, request(issued, serial=serial, nonce=b"12"))
    assert (answer.certificate_status, answer.serial_number) == (OCSPCertStatus.UNKNOWN, serial)


async def test_a_serial_number_of_another_authority_is_unknown(pki, keystore, clock, service):
    ours, theirs = await certify(pki, keystore, clock.now()), await certify(pki, keystore, clock.now(), "documents")
    answer = await ask(service, request(ours, serial=theirs.serial))
    assert answer.certificate_status is OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda one: one.name)
async def test_every_hash_that_clients_use(pki, keystore, clock, service, algorithm):
    issued = await certify(pki, keystore, clock.now())
    answer = await ask(service, request(issued, algorithm))
    assert (answer.certificate_status, answer.hash_algorithm.name) == (OCSPCertStatus.GOOD, algorithm.name)


async def test_a_wrong_hash_or_a_foreign_issuer_is_unauthorized(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    foreign = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"a" * 20, b"b" * 20, issued.serial, hashes.SHA1()).build()
    assert (await service.answer(foreign.public_bytes(serialization.Encoding.DER), never)).response == b"0\x03\n\x01\x06"
    sha224 = request(issued, hashes.SHA224())
    with pytest.raises(RequestMalformed):
        await service.answer(sha224, never)
    unknown = request(issued, hashes.SHA256()).replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040208"))
    assert (await service.answer(unknown, never)).response == CODES[OCSPResponseStatus.UNAUTHORIZED], "SHA3-256 names nobody"


async def test_without_a_nonce_the_answer_is_kept_until_anything_changes(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    first = await service.answer(request(issued), gladly)
    clock.advance(minutes=20)
    assert (await service.answer(request(issued), never)).response == first.response
    other = OcspService(pki, keystore, clock)
    assert (await other.answer(request(issued), never)).response == first.response, "kept in the database, for every process"
    clock.advance(minutes=36)
    second = await service.answer(request(issued), gladly)
    assert second.response != first.response
    assert ocsp.load_der_ocsp_response(second.response).produced_at_utc == clock.now()
    async with pki.begin() as session:
        await revoke(session, clock.now(), issued.serial, "superseded")
    for process in (service, other):
        assert (await ask(process, request(issued))).certificate_status is OCSPCertStatus.REVOKED


async def test_what_is_asked_for_is_renewed_before_it_ends(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    first = await service.answer(request(issued), gladly)
    clock.advance(minutes=40)
    assert (await service.answer(request(issued), never)).response == first.response
    async with asyncio.timeout(10):
        while (await service.answer(request(issued), never)).response == first.response:
            await asyncio.sleep(0.02)
    assert (await ask(service, request(issued), never)).produced_at_utc == clock.now()


async def test_an_answer_signed_while_the_status_changed_is_never_given_out(pki, keystore, clock, service):
    """It is kept with the count of changes it was signed at, so whoever comes next does not find it."""
    issued = await certify(pki, keystore, clock.now())
    keep = service._keep

    async def keep_late(*values) -> None:
        async with pki.begin() as session:
            await suspend(session, clock.now(), issued.serial)
        await keep(*values)

    service._keep = keep_late
    assert (await ask(service, request(issued))).certificate_status is OCSPCertStatus.GOOD
    service._keep = keep
    assert (await service.answer(request(issued), never)).response == CODES[OCSPResponseStatus.TRY_LATER]
    assert (await ask(service, request(issued))).certificate_status is OCSPCertStatus.REVOKED


async def test_a_replayed_nonce_gets_a_new_answer(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    asked = request(issued, nonce=b"once")
    first = await ask(service, asked)
    clock.advance(seconds=5)
    second = await ask(service, asked)
    assert second.produced_at_utc - first.produced_at_utc == dt.timedelta(seconds=5)
    assert second.signature != first.signature


@pytest.mark.parametrize("length", [1, 32, 128])
async def test_nonces_of_every_allowed_length(pki, keystore, clock, service, length):
    issued = await certify(pki, keystore, clock.now())
    answer = await ask(service, request(issued, nonce=b"x" * length))
    assert len(answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce) == length


@pytest.mark.parametrize("length", [0, 129, 4000])
async def test_other_nonces_are_malformed(pki, keystore, clock, service, length):
    issued = await certify(pki, keystore, clock.now())
    with pytest.raises(RequestMalformed):
        await service.answer(request(issued, nonce=b"x" * length), gladly)


async def test_whoever_makes_us_sign_too_often_gets_kept_answers(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    asked = request(issued, nonce=b"x" * 16)
    assert (await service.answer(asked, never)).response == CODES[OCSPResponseStatus.TRY_LATER]
    kept = await service.answer(request(issued), gladly)
    assert (await service.answer(asked, never)).response == kept.response, "without the nonce: the client decides"
    assert (await service.answer(request(issued, serial=99), never)).response == CODES[OCSPResponseStatus.TRY_LATER]


@pytest.mark.parametrize("plan", DEMONSTRATION_AUTHORITIES, ids=lambda plan: plan.name)
async def test_every_authority_has_a_responder(pki, keystore, clock, service, plan):
    """Asked about the authority's own certificate, its parent's responder answers."""
    async with pki.session() as session:
        own, parent = await authority_certificate(session, plan.name), await authority_certificate(session, plan.parent)
    issued = IssuedCertificate(own, (parent,), certificate_ends(own).serial)
    answer = await ask(service, sm_request(issued) if plan.parent == "root-sm" else request(issued))
    assert (answer.response_status, answer.certificate_status) == (OCSPResponseStatus.SUCCESSFUL, OCSPCertStatus.GOOD)


def sm_request(issued: IssuedCertificate, nonce: bytes | None = None) -> bytes:
    """cryptography reads no SM2 key: the hash of the issuer's key is made from its own octets."""
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    point = issuer.tbs_certificate_bytes.split(bytes.fromhex("2a811ccf5501822d034200"), 1)[1][:65]
    hashed = [hashes.Hash(hashes.SHA1()) for _ in range(2)]
    hashed[0].update(issuer.subject.public_bytes())
    hashed[1].update(point)
    name, key = (one.finalize() for one in hashed)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, issued.serial, hashes.SHA1())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


async def test_sm2_answers_are_signed_with_sm2(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now(), "seal-sm", "seal-signer-sm")
    answer = await ask(service, sm_request(issued, nonce=b"1234"))
    assert answer.certificate_status is OCSPCertStatus.GOOD
    assert answer.signature_algorithm_oid.dotted_string == sm2.SM2_WITH_SM3
    (responder,) = answer.certificates
    public = responder.tbs_certificate_bytes.split(bytes.fromhex("2a811ccf5501822d034200"), 1)[1][:65]
    assert sm2.verify(public, answer.tbs_response_bytes, answer.signature)
    assert responder.issuer == x509.load_der_x509_certificate(issued.chain[0]).subject


async def test_under_a_compromised_authority_everything_is_revoked(pki, keystore, clock, service):
    early, late = await certify(pki, keystore, clock.now()), await certify(pki, keystore, clock.now())
    await service.answer(request(late), gladly)
    before = clock.advance(minutes=1)
    async with pki.begin() as session:
        await revoke(session, before, early.serial, "superseded")
    broken = clock.advance(minutes=1)
    async with pki.begin() as session:
        await revoke(session, broken, certificate_ends(late.chain[0]).serial, "ca_compromise")
    answers = [await ask(service, request(one)) for one in (early, late)]
    assert [(one.revocation_time_utc, one.revocation_reason) for one in answers] == [
        (before, x509.ReasonFlags.superseded),
        (broken, x509.ReasonFlags.ca_compromise),
    ]


async def test_an_authority_that_may_not_issue_answers_by_itself(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    async with pki.begin() as session:
        await revoke(session, clock.now(), certificate_ends(issued.chain[0]).serial, "cessation_of_operation")
    answer = await ask(OcspService(pki, keystore, clock), request(issued))
    assert (answer.certificate_status, answer.certificates) == (OCSPCertStatus.GOOD, [])
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    issuer.public_key().verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))


async def test_a_responder_is_renewed_in_time_and_only_then(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())

    async def responder() -> int:
        return (await ask(service, request(issued, nonce=b"12"))).certificates[0].serial_number

    first = await responder()
    clock.advance(days=59)
    assert await responder() == first
    clock.advance(days=2)
    second = await responder()
    assert second != first
    clock.advance(days=61)
    assert await responder() not in (first, second)


async def test_of_many_at_once_one_makes_the_responder(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    services = [OcspService(pki, keystore, clock) for _ in range(6)]
    answers = await asyncio.gather(*(ask(one, request(issued, nonce=b"12")) for one in services))
    assert len({answer.certificates[0].serial_number for answer in answers}) == 1


async def test_status_is_told_after_the_certificate_ended(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    async with pki.begin() as session:
        await revoke(session, clock.now(), issued.serial, "superseded")
    clock.advance(days=1500)
    answer = await ask(service, request(issued))
    assert answer.certificate_status is OCSPCertStatus.REVOKED
    cutoff = next(one for one in answer.single_extensions if one.oid.dotted_string == "1.3.6.1.5.5.7.48.1.6")
    assert b"20261121" in cutoff.value.value


async def test_many_questions_get_one_answer(pki, keystore, clock, service):
    issued = [await certify(pki, keystore, clock.now()) for _ in range(3)]
    async with pki.begin() as session:
        await revoke(session, clock.now(), issued[1].serial, "superseded")
    answer = await service.answer(several([request(one) for one in issued]), gladly)
    answers = list(ocsp.load_der_ocsp_response(answer.response).responses)
    assert [one.serial_number for one in answers] == [one.serial for one in issued]
    assert [one.certificate_status.name for one in answers] == ["GOOD", "REVOKED", "GOOD"]
    assert answer.times is None


async def test_questions_about_two_authorities_are_unauthorized(pki, keystore, clock, service):
    mixed = [await certify(pki, keystore, clock.now(), name) for name in ("seal", "documents")]
    answer = await service.answer(several([request(one) for one in mixed]), gladly)
    assert answer.response == CODES[OCSPResponseStatus.UNAUTHORIZED]


async def test_up_to_a_hundred_questions(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    answer = await service.answer(several([request(issued)] * 100), gladly)
    assert len(list(ocsp.load_der_ocsp_response(answer.response).responses)) == 100
    with pytest.raises(RequestMalformed, match="more than 100"):
        await service.answer(several([request(issued)] * 101), gladly)
    with pytest.raises(RequestMalformed):
        await service.answer(several([request(issued)] * 300), gladly)
    with pytest.raises(RequestMalformed):
        await service.answer(several([]), gladly)


def several(requests: list[bytes]) -> bytes:
    """One request with all the questions of these, put together without our own code."""
    questions = [asn1_ocsp.OCSPRequest.load(one)["tbs_request"]["request_list"][0] for one in requests]
    return asn1_ocsp.OCSPRequest({"tbs_request": {"request_list": questions}}).dump()


async def test_answers_are_ready_before_anybody_asks(pki, keystore, clock, service):
    issued = await certify(pki, keystore, clock.now())
    assert await service.presign() > 0
    assert await service.presign() >= 0
    for algorithm in (hashes.SHA1(), hashes.SHA256()):
        assert (await ask(service, request(issued, algorithm), never)).certificate_status is OCSPCertStatus.GOOD
    clock.advance(minutes=35)
    assert await service.presign() > 0
    assert (await ask(service, request(issued), never)).produced_at_utc == clock.now()


class Away:
    """The key store of the test, whose device can be pulled out."""

    def __init__(self, store) -> None:
        self._store, self.away = store, False

    def __getattr__(self, name):
        if self.away:
            raise KeyStoreUnavailable("pulled out")
        return getattr(self._store, name)


async def test_kept_answers_outlive_the_key_device(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    device = Away(keystore)
    service = OcspService(pki, device, clock)
    kept = await service.answer(request(issued), gladly)
    device.away = True
    assert (await service.answer(request(issued), gladly)).response == kept.response
    with pytest.raises(KeyStoreUnavailable):
        await service.answer(request(issued, nonce=b"12"), gladly)
    device.away = False
    assert (await ask(service, request(issued, nonce=b"12"))).certificate_status is OCSPCertStatus.GOOD


async def test_a_new_authority_is_known_within_seconds(database, keystore, clock):
    service = OcspService(database, keystore, clock)
    foreign = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"a" * 20, b"b" * 20, 5, hashes.SHA1()).build()
    unauthorized = await service.answer(foreign.public_bytes(serialization.Encoding.DER), never)
    assert unauthorized.response == CODES[OCSPResponseStatus.UNAUTHORIZED]
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    issued = await certify(database, keystore, clock.now())
    clock.advance(seconds=5)
    assert (await ask(service, request(issued))).certificate_status is OCSPCertStatus.GOOD
    async with database.session() as session:
        assert (await session.get_one(CertificateRow, f"{issued.serial:032x}")).revoked_at is None
