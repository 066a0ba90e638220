"""PDFs signed by others: ordinary approval signatures made with pyHanko, judged under our rules."""

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import algos, keys, x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from keys.custody.store import Algorithm, Purpose, StoredKey
from seal.trust import Trust
from seal.verdict import Indication, Outcome, Verdict
from seal.verification import verify
from tests.others_clock import TimedSigner
from tests.stamped import NOW, World, certificate_page

PADES, ADOBE = fields.SigSeedSubFilter.PADES, fields.SigSeedSubFilter.ADOBE_PKCS7_DETACHED


class Stranger:
    """A signer with a certificate of the world's seal authority and a key of its own."""

    def __init__(self, world: World) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        stored = world.keystore.generate(Algorithm.P256, Purpose.SEALS)
        key = StoredKey(stored.id, stored.algorithm, stored.purpose, spki, stored.wrapped)
        self.party = world.leaf("stranger", "document-signer", "seal", key=key)
        store = SimpleCertificateStore()
        store.register_multiple([x509.Certificate.load(world["seal"].certificate)])
        self.signer = signers.SimpleSigner(
            signing_cert=x509.Certificate.load(self.party.certificate),
            signing_key=keys.PrivateKeyInfo.load(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
            cert_registry=store,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
        )

    def sign(self, pdf: bytes, field: str = "Signature1", **options: object) -> bytes:
        metadata = signers.PdfSignatureMetadata(field_name=field, md_algorithm="sha256", **{"subfilter": PADES} | options)
        out = TimedSigner(metadata, self.signer).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)))
        return bytes(out.getvalue())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def stranger(world: World) -> Stranger:
    return Stranger(world)


@pytest.fixture(scope="module")
def trust(world: World) -> Trust:
    return Trust(world.trust.certificates, world.crls())


def outcomes(verdict: Verdict, name: str) -> list[Outcome]:
    return [check.outcome for signature in verdict.signatures for check in signature.checks if check.name == name]


@pytest.mark.parametrize("subfilter", [PADES, ADOBE])
def test_an_ordinary_signature_passes(stranger: Stranger, trust: Trust, subfilter: fields.SigSeedSubFilter) -> None:
    verdict = verify(stranger.sign(certificate_page(), subfilter=subfilter), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    (signature,) = verdict.signatures
    assert signature.field == "Signature1"
    assert signature.signer == "Test stranger"
    assert signature.seal is None
    assert signature.level == ("PAdES-B-B" if subfilter is PADES else "CMS")
    assert outcomes(verdict, "DOCMDP") == [Outcome.NOTICE]


def test_a_certified_document_says_so(stranger: Stranger, trust: Trust) -> None:
    verdict = verify(stranger.sign(certificate_page(), certify=True, docmdp_permissions=fields.MDPPerm.NO_CHANGES), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert outcomes(verdict, "DOCMDP") == [Outcome.PASSED]


def test_two_signatures_pass_and_the_last_covers_the_file(stranger: Stranger, trust: Trust) -> None:
    verdict = verify(stranger.sign(stranger.sign(certificate_page()), "Signature2"), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert outcomes(verdict, "COVERAGE") == [Outcome.PASSED, Outcome.PASSED]


def with_data_behind(signed: bytes, trust: Trust, title: str = "") -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(signed))
    DocumentSecurityStore.supply_dss_in_writer(writer, None, crls=[], certs=[x509.Certificate.load(trust.certificates[0])])
    if title:
        writer.root["/Lang"] = generic.pdf_string(title)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_validation_data_behind_the_last_signature_is_named_and_nothing_beside_it_passes(stranger: Stranger, trust: Trust) -> None:
    signed = stranger.sign(stranger.sign(certificate_page()), "Signature2")
    behind = with_data_behind(signed, trust)
    verdict = verify(behind, trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert outcomes(verdict, "COVERAGE") == [Outcome.PASSED, Outcome.NOTICE]
    for pdf in (behind[: behind.rindex(b"%%EOF")], behind + b"%more", signed + b"\n%more"):
        assert verify(pdf, trust, NOW).indication in (Indication.TOTAL_FAILED, Indication.UNREADABLE)
    assert outcomes(verify(with_data_behind(signed, trust, "xx"), trust, NOW), "COVERAGE")[-1] == Outcome.FAILED


def changed_digit(pdf: bytes) -> bytes:
    at = pdf.index(b"/Title") + 10
    return pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]


def lower_case(pdf: bytes) -> bytes:
    at = pdf.rindex(b"/Contents <") + len(b"/Contents <")
    return pdf[:at] + pdf[at : at + 200].swapcase() + pdf[at + 200 :]


def padded(pdf: bytes) -> bytes:
    at = pdf.index(b">", pdf.rindex(b"/Contents <"))
    return pdf[: at - 2] + b"01" + pdf[at:]


@pytest.mark.parametrize(
    ("change", "reason"), [(changed_digit, "HASH_FAILURE"), (lower_case, "FORMAT_FAILURE"), (padded, "FORMAT_FAILURE")]
)
def test_changed_files_fail(stranger: Stranger, trust: Trust, change: Callable[[bytes], bytes], reason: str) -> None:
    verdict = verify(change(stranger.sign(certificate_page())), trust, NOW)
    assert (verdict.indication, verdict.sub_indication) == (Indication.TOTAL_FAILED, reason)


def test_revocation_is_required(world: World, stranger: Stranger, trust: Trust) -> None:
    signed = stranger.sign(certificate_page())
    without = verify(signed, world.trust, NOW)
    assert (without.indication, without.sub_indication) == (Indication.INDETERMINATE, "TRY_LATER")
    stale = verify(signed, trust, NOW + dt.timedelta(days=91))
    assert stale.indication is Indication.INDETERMINATE
    revoked = world.crl("seal", {stranger.party.serial: NOW - dt.timedelta(days=1)})
    found = verify(signed, Trust(world.trust.certificates, world.crls(seal=revoked)), NOW)
    assert found.indication is not Indication.TOTAL_PASSED
    assert outcomes(found, "REVOCATION") == [Outcome.FAILED]
    assert (found.sub_indication or "").startswith("REVOKED")


def test_no_chain_and_no_validity_are_undecided(world: World, stranger: Stranger, trust: Trust, tmp_path: Path) -> None:
    signed = stranger.sign(certificate_page())
    for foreign in (Trust(), World(tmp_path, prefix="Other").trust):
        verdict = verify(signed, foreign, NOW)
        assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")
    late = verify(signed, trust, NOW + dt.timedelta(days=400))
    assert late.indication is Indication.INDETERMINATE


def test_the_chain_may_come_from_the_asker(world: World, stranger: Stranger) -> None:
    helpers = Trust((*world.trust.certificates, world["seal"].certificate), world.crls())
    assert verify(stranger.sign(certificate_page()), helpers, NOW).indication is Indication.TOTAL_PASSED


@pytest.mark.parametrize("kind", [b"/adbe.x509.sha1"])
def test_a_kind_of_signature_nobody_here_knows_is_not_taken_for_absent(stranger: Stranger, trust: Trust, kind: bytes) -> None:
    signed = stranger.sign(certificate_page())
    unknown = signed.replace(b"/SubFilter /ETSI.CAdES.detached", b"/SubFilter " + kind.ljust(20), 1)
    assert unknown != signed
    verdict = verify(unknown, trust, NOW)
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "GENERIC")
    assert kind.decode() in verdict.signatures[0].checks[0].detail
