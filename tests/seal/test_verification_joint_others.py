"""Our seals beside the signatures of others: on a document they signed first, and theirs on one of ours."""

import datetime as dt
import io

import pytest
from asn1crypto import algos, x509
from asn1crypto import keys as key_structures
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko_certvalidator.registry import SimpleCertificateStore

from keys.custody.store import Algorithm, Purpose, StoredKey
from seal.cms import Signed
from seal.extraction import first_value
from seal.joint_dictionary import recognise
from seal.placing import AtPoint, Certification, CrossPage, StampPlan
from seal.placing_errors import DocumentFinal, FieldNotPrepared, OnePlaceOnly
from seal.revision import NotStampable
from seal.trust import Trust
from seal.verdict import Indication, Verdict
from seal.verification import verify
from seal.verification_pdf import open_pdf, signature_fields
from seal.verification_signed_data import read_stated
from tests.joint import Town, approval, code, extra_revision
from tests.others_clock import TimedSigner
from tests.stamped import NOW, World

LATER = NOW + dt.timedelta(hours=1)
FAILED, PASSED, INDETERMINATE = Indication.TOTAL_FAILED, Indication.TOTAL_PASSED, Indication.INDETERMINATE


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(World(tmp_path_factory.mktemp("town")))


def judged(town: Town, pdf: bytes) -> Verdict:
    return verify(pdf, town.world.trust, LATER)


def test_others_signed_first(town: Town) -> None:
    """An approval signature of somebody else takes our seal as a further one; both are judged, and our stamp with them."""
    foreign = signed_by_others(town, approval())
    trust = Trust(town.world.trust.certificates, town.world.crls())
    assert verify(foreign, trust, LATER).indication is PASSED
    both = town.stamp(foreign, StampPlan((AtPoint(1, 100, 100),)), 1, NOW + dt.timedelta(minutes=2))
    verdict = verify(both, trust, LATER)
    assert verdict.indication is PASSED, verdict.to_json()
    assert [one.seal.code if one.seal else None for one in verdict.signatures] == [None, code(1)]
    third = town.stamp(both, StampPlan((AtPoint(0, 100, 100),)), 2, NOW + dt.timedelta(minutes=3))
    assert verify(third, trust, LATER).indication is PASSED
    assert verify(extra_revision(both), trust, LATER).indication is not PASSED
    with pytest.raises(OnePlaceOnly):
        town.stamp(foreign, StampPlan((CrossPage(),)), 1)


def test_our_stamp_on_a_document_of_others_is_judged(town: Town) -> None:
    """The signature holds, the seal in it has expired: the document does not pass."""
    trust = Trust(town.world.trust.certificates, town.world.crls())
    at = NOW + dt.timedelta(minutes=2)
    both = town.stamp(signed_by_others(town, approval()), StampPlan((AtPoint(1, 100, 100),)), 1, at)
    names = {check.name for check in verify(both, trust, LATER).signatures[1].checks}
    assert {"STAMP_SIGNATURE", "SEAL_SIGNATURE", "SIGNER_NOT_AUTHORISED", "SEAL_EXPIRED", "CMS_FORM"} <= names
    assert verify(both, trust, NOW).indication is not PASSED  # a stamp from the future


def test_nobody_else_signs_around_our_stamp(town: Town) -> None:
    """The stamp is genuine and of this document; the signature around it is of another person whom the roots know."""
    trust = Trust(town.world.trust.certificates, town.world.crls())
    both = town.stamp(signed_by_others(town, approval()), StampPlan((AtPoint(1, 100, 100),)), 1, NOW + dt.timedelta(minutes=2))
    reader = open_pdf(both)
    found = recognise(both, signature_fields(reader)[1].offset(reader) or 0)
    assert found is not None
    place = found[0]
    stated = read_stated(first_value(bytes.fromhex(place.contents.decode())))

    def signed_by(name: str) -> bytes:
        party = town.world[name]
        signed = Signed((party.certificate, *party.chain[:-1]), stated.digest, stated.ses)
        message = signed.content_info(town.world.keystore.sign(party.key, signed.attributes(), Purpose.SEALS))
        return both[: place.start + 1] + message.hex().encode().ljust(len(place.contents), b"0") + both[place.end - 1 :]

    town.world.leaf("thief", "document-signer", "seal")
    assert verify(signed_by("signer"), trust, LATER).indication is PASSED
    assert verify(signed_by("thief"), trust, LATER).indication is FAILED


def test_a_strangers_signature_on_our_certified_document_fails(town: Town) -> None:
    later = (town.later(2, AtPoint(1, 60, 60)), town.later(3, AtPoint(2, 60, 60)))
    joint = town.stamp(approval(), StampPlan((AtPoint(0, 60, 60), CrossPage()), Certification.P2, later))
    assert judged(town, signed_by_others(town, town.stamp(joint, StampPlan(), 2))).indication is FAILED
    alone = town.stamp(approval(), StampPlan((AtPoint(0, 60, 60),), Certification.P2))
    assert judged(town, signed_by_others(town, alone)).indication is FAILED


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"certify": True, "docmdp_permissions": fields.MDPPerm.NO_CHANGES}, DocumentFinal),
        ({"certify": True, "docmdp_permissions": fields.MDPPerm.FILL_FORMS}, FieldNotPrepared),
        ({"certify": True, "docmdp_permissions": fields.MDPPerm.ANNOTATE}, FieldNotPrepared),
    ],
)
def test_what_others_certified(town: Town, options: dict[str, object], error: type[NotStampable]) -> None:
    with pytest.raises(error):
        town.stamp(signed_by_others(town, approval(), **options), StampPlan((AtPoint(1, 100, 100),)))


def test_what_others_locked(town: Town) -> None:
    everything = fields.FieldMDPSpec(fields.FieldMDPAction.ALL)
    spec = fields.SigFieldSpec("Theirs", field_mdp_spec=everything)
    with pytest.raises(DocumentFinal):
        town.stamp(signed_by_others(town, approval(), spec), StampPlan((AtPoint(1, 100, 100),)))


def signed_by_others(town: Town, document: bytes, spec: fields.SigFieldSpec | None = None, **options: object) -> bytes:
    """With a key of the attacker's or partner's own, certified by the same authority; made by pyHanko."""
    world = town.world
    if "partner" not in world.parties:
        private = ec.generate_private_key(ec.SECP256R1())
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        stored = world.keystore.generate(Algorithm.P256, Purpose.SEALS)
        world.leaf("partner", "document-signer", "seal", key=StoredKey(stored.id, stored.algorithm, stored.purpose, spki, stored.wrapped))
        PRIVATE["partner"] = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    store = SimpleCertificateStore()
    store.register_multiple([x509.Certificate.load(world["seal"].certificate)])
    signer = signers.SimpleSigner(
        signing_cert=x509.Certificate.load(world["partner"].certificate),
        signing_key=key_structures.PrivateKeyInfo.load(PRIVATE["partner"]),
        cert_registry=store,
        signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
    )
    meta = signers.PdfSignatureMetadata(field_name="Theirs", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES, **options)
    writer = IncrementalPdfFileWriter(io.BytesIO(document), strict=False)
    signed = TimedSigner(meta, signer=signer, new_field_spec=spec).sign_pdf(writer, existing_fields_only=False)
    return bytes(signed.getvalue())


PRIVATE: dict[str, bytes] = {}
