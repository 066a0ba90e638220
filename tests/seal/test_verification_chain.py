"""Foreign PDFs under an authority of their own: every kind of key, OCSP in the file, time stamps, crowds of certificates."""

import datetime as dt
import io
import time
from typing import Any

import pytest
from asn1crypto import algos, keys, x509
from asn1crypto import ocsp as ocsp_structures
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ExtendedKeyUsage, OCSPNoCheck
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from seal.trust import Trust
from seal.verdict import Indication, Outcome, Verdict
from seal.verification import verify
from tests.chains import NOW, Key, Maker, root
from tests.others_clock import TimedSigner
from tests.stamped import certificate_page

ANSWERING = ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
STAMPING = ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
MECHANISMS: dict[str, tuple[Any, Any]] = {
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), "sha256_ecdsa"),
    "P-384": (lambda: ec.generate_private_key(ec.SECP384R1()), "sha384_ecdsa"),
    "RSA": (lambda: rsa.generate_private_key(65537, 2048), "sha256_rsa"),
    "RSA, the digest beside it": (lambda: rsa.generate_private_key(65537, 2048), "rsassa_pkcs1v15"),
}


def private(key: Key) -> keys.PrivateKeyInfo:
    return keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def loaded(maker: Maker) -> x509.Certificate:
    return x509.Certificate.load(maker.der)


def signed(signer: Maker, mechanism: str, carried: list[Maker], stamper: Any = None, pdf: bytes | None = None, **metadata: Any) -> bytes:
    store = SimpleCertificateStore()
    store.register_multiple([loaded(one) for one in carried])
    simple = signers.SimpleSigner(
        signing_cert=loaded(signer),
        signing_key=private(signer.key),
        cert_registry=store,
        signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": mechanism}),
    )
    digest = "sha384" if "384" in mechanism else "sha256"
    options = {"field_name": "Signature1", "md_algorithm": digest, "subfilter": fields.SigSeedSubFilter.PADES} | metadata
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf or certificate_page()))
    return bytes(TimedSigner(signers.PdfSignatureMetadata(**options), simple, timestamper=stamper).sign_pdf(writer).getvalue())


def with_store(pdf: bytes, *answers: bytes) -> bytes:
    """The page with a DSS that holds OCSP responses, before anything is signed."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    loaded_answers = [ocsp_structures.OCSPResponse.load(one) for one in answers]
    DocumentSecurityStore.supply_dss_in_writer(writer, None, certs=[], crls=[], ocsps=loaded_answers)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def outcome(verdict: Verdict, name: str) -> list[Outcome]:
    return [check.outcome for signature in verdict.signatures for check in signature.checks if check.name == name]


@pytest.fixture(scope="module")
def top() -> Maker:
    return root()


@pytest.mark.parametrize("kind", MECHANISMS)
def test_every_kind_of_key_passes(top: Maker, kind: str) -> None:
    make, mechanism = MECHANISMS[kind]
    signer = top.certify(Maker("signer", make()))
    pdf = signed(signer, mechanism, [])
    assert verify(pdf, Trust((top.der,), (top.list(),)), NOW).indication is Indication.TOTAL_PASSED
    assert signer.certificate is not None
    refused = verify(pdf, Trust((top.der,), (top.list({signer.certificate.serial_number: None}),)), NOW)
    assert refused.sub_indication == "REVOKED_NO_POE"
    assert verify(pdf, Trust((top.der,)), NOW).sub_indication == "TRY_LATER"


def test_an_ocsp_answer_in_the_file_is_heard(top: Maker) -> None:
    signer = top.certify(Maker("signer"))
    responder = top.certify(Maker("responder"), ANSWERING, OCSPNoCheck())
    stranger = root("stranger")
    trust = Trust((top.der,))
    for by, expected in ((responder, Indication.TOTAL_PASSED), (stranger, Indication.INDETERMINATE)):
        pdf = signed(signer, "sha256_ecdsa", [], pdf=with_store(certificate_page(), by.answer(signer, top)))
        assert verify(pdf, trust, NOW).indication is expected


def stamper(maker: Maker) -> DummyTimeStamper:
    return DummyTimeStamper(tsa_cert=loaded(maker), tsa_key=private(maker.key), fixed_dt=NOW - dt.timedelta(minutes=1))


def test_a_time_stamp_counts_only_from_an_authority_that_is_trusted_and_may_stamp(top: Maker) -> None:
    signer = top.certify(Maker("signer"))
    trust = Trust((top.der,), (top.list(),))
    key = rsa.generate_private_key(65537, 2048)
    stampers = (
        (top.certify(Maker("stamper", key), STAMPING, critical=(ExtendedKeyUsage,)), Outcome.PASSED),
        (top.certify(Maker("no stamper", key)), Outcome.NOTICE),
        (root("stranger").certify(Maker("stranger's stamper", key), STAMPING, critical=(ExtendedKeyUsage,)), Outcome.NOTICE),
    )
    for maker, expected in stampers:
        verdict = verify(signed(signer, "sha256_ecdsa", [], stamper(maker)), trust, NOW)
        assert outcome(verdict, "TIMESTAMP") == [expected], maker.name
        assert verdict.indication is Indication.TOTAL_PASSED, "a time stamp that does not count does no harm"


def test_a_crowd_of_certificates_costs_little(top: Maker) -> None:
    """Fifteen authorities that certify one another: pyHanko would walk them in every order."""
    crowd = [Maker("crowd") for _ in range(15)]
    for number, one in enumerate(crowd):
        crowd[number - 1].certify(one, authority=True)
    signer = crowd[0].certify(Maker("signer"))
    start = time.process_time()
    verdict = verify(signed(signer, "sha256_ecdsa", crowd), Trust((top.der,), (top.list(),)), NOW)
    assert verdict.sub_indication in ("NO_CERTIFICATE_CHAIN_FOUND", "CERTIFICATE_CHAIN_GENERAL_FAILURE")
    assert time.process_time() - start < 10


def test_a_weak_key_signs_nothing(top: Maker) -> None:
    signer = top.certify(Maker("signer", rsa.generate_private_key(65537, 1024)))
    verdict = verify(signed(signer, "sha256_rsa", []), Trust((top.der,), (top.list(),)), NOW)
    assert verdict.indication is not Indication.TOTAL_PASSED
    assert outcome(verdict, "SIGNATURE") == [Outcome.FAILED]


def test_a_certificate_for_another_use_signs_nothing(top: Maker) -> None:
    authority = top.certify(Maker("authority as signer"), authority=True)
    verdict = verify(signed(authority, "sha256_ecdsa", []), Trust((top.der,), (top.list(),)), NOW)
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "CHAIN_CONSTRAINTS_FAILURE")
