"""The fast path writes what pyHanko would: the same base whoever reads it, the same objects, the same attributes, the same verdict."""

import asyncio
import datetime as dt
import hashlib
import io
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp, x509
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, Signer
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from certs.pictures import picture
from keys.custody import sm2
from keys.custody.store import Purpose
from keys.pki.material import ValidationMaterial
from seal import stamping_press
from seal.extraction import first_value
from seal.revision import POINTS_PER_MM
from seal.stamping import SealUnfit, stamp, stamp_plainly
from seal.stamping_press import press_for
from seal.verdict import Indication
from seal.verification import verify
from tests.stamped import NOW, PLACE, World, certificate_page

SES = "2.25.318914147478244946130053354457434415611"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


# --- beside pyHanko as the signer --------------------------------------------------------------------------------------------


class Reference(Signer):
    """pyHanko's signer over our key store: what it writes is the reference."""

    def __init__(self, world: World) -> None:
        material = world.material()
        registry = SimpleCertificateStore()
        registry.register_multiple([x509.Certificate.load(one) for one in material.signer_chain[:-1]])
        super().__init__(
            signing_cert=x509.Certificate.load(material.signer_certificate),
            cert_registry=registry,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            embed_roots=False,
        )
        self._world, self._key = world, material.signer_key

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        return self._world.keystore.sign(self._key, data, Purpose.SEALS)


class Then(PdfSigner):
    """Signs at the time of the test: whoever states a time that has not come is not believed."""

    def init_signing_session(self, *args: Any, **options: Any) -> Any:
        session = super().init_signing_session(*args, **options)
        session.system_time = NOW
        return session


def by_pyhanko(world: World, document: bytes) -> bytes:
    """The document with the same seal, store and certification, all of it written by pyHanko."""
    material = world.material()
    side = material.width_mm * POINTS_PER_MM
    left = PLACE.x_mm * POINTS_PER_MM - side / 2
    bottom = 841.8898 - PLACE.y_mm * POINTS_PER_MM - side / 2
    box = tuple(round(one) for one in (left, bottom, left + side, bottom + side))
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        b"",
        certs=[x509.Certificate.load(one) for one in signer_store(world).certificates],
        crls=[core.Asn1Value.load(one) for one in signer_store(world).crls],
    )
    look = RawContent(material.pdf_content, box=BoxConstraints(width=round(side), height=round(side)))
    style = StaticStampStyle(background=look, border_width=0, background_opacity=1)
    metadata = PdfSignatureMetadata(
        field_name="Seal",
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        name=material.organisation_name,
    )
    signer = Then(metadata, Reference(world), stamp_style=style, new_field_spec=SigFieldSpec("Seal", on_page=0, box=box))
    return bytes(asyncio.run(signer.async_sign_pdf(writer, bytes_reserved=16384)).getbuffer())


def signer_store(world: World) -> ValidationMaterial:
    signer = world["signer"]
    return ValidationMaterial((signer.certificate, *signer.chain), (world.crl("seal"), world.crl("root")))


@pytest.fixture(scope="module")
def three(world: World) -> dict[str, bytes]:
    document = certificate_page()
    plain = stamp_plainly(world.permit(document), document, world.material(), PLACE, world.keystore, NOW).pdf
    return {"pyhanko": by_pyhanko(world, document), "plain": plain, "whole": world.stamped()}


def told(pdf: bytes) -> dict[str, Any]:
    """What the signature and its surroundings say, without numbers of objects, offsets, times and the picture's own operators."""
    reader = PdfFileReader(io.BytesIO(pdf))
    (signature,) = reader.embedded_signatures
    field, value = signature.sig_field, signature.sig_object
    reference = value["/Reference"][0]
    page = reader.root["/Pages"]["/Kids"][0]
    return {
        "signature": {key: str(value[key]) for key in ("/Type", "/Filter", "/SubFilter", "/Name")},
        "certification": {
            "method": str(reference["/TransformMethod"]),
            "P": int(reference["/TransformParams"]["/P"]),
            "V": str(reference["/TransformParams"]["/V"]),
            "named": reader.root["/Perms"].raw_get("/DocMDP").reference == field.raw_get("/V").reference,
        },
        "range": (signature.byte_range[0], signature.byte_range[2] + signature.byte_range[3] == len(pdf)),
        "field": {key: str(field[key]) for key in ("/FT", "/T", "/Subtype")} | {"seen": bool(int(field["/F"]) & 4)},
        "rectangle": [round(float(one)) for one in field["/Rect"]],
        "form": (len(reader.root["/AcroForm"]["/Fields"]), int(reader.root["/AcroForm"]["/SigFlags"])),
        "on the page": field.container_ref in [one.reference for one in page["/Annots"]],
        "catalogue": sorted(set(reader.root) - {"/Extensions", "/Version"}),
        "untouched": pdf.startswith(certificate_page()),
    }


def test_the_objects_say_what_pyhankos_say(three: dict[str, bytes]) -> None:
    assert told(three["plain"]) == told(three["pyhanko"])
    assert told(three["whole"]) == told(three["pyhanko"])


def stores(pdf: bytes) -> list[set[bytes]]:
    store = PdfFileReader(io.BytesIO(pdf)).root["/DSS"]
    return [{hashlib.sha256(one.get_object().data).digest() for one in store[kind]} for kind in ("/Certs",)]


def test_the_store_holds_the_same_certificates(three: dict[str, bytes]) -> None:
    assert stores(three["plain"]) == stores(three["pyhanko"])
    assert stores(three["pyhanko"])[0] <= stores(three["whole"])[0]
    lists = [len(PdfFileReader(io.BytesIO(three[name])).root["/DSS"]["/CRLs"]) for name in ("plain", "pyhanko")]
    assert lists == [2, 2]


def test_the_seal_looks_the_same(three: dict[str, bytes]) -> None:
    assert picture(three["plain"]) == picture(three["whole"])
    assert picture(three["pyhanko"]) != picture(certificate_page())


def signed_data(pdf: bytes) -> cms.SignedData:
    (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    return cms.ContentInfo.load(first_value(bytes(signature.pkcs7_content)))["content"]


def attributes(pdf: bytes) -> dict[str, bytes]:
    (signer,) = signed_data(pdf)["signer_infos"]
    return {one["type"].dotted: one["values"].dump() for one in signer["signed_attrs"]}


CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_CERTIFICATE = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.16.2.47"


def named_certificate(attribute: bytes) -> bytes:
    """The digest in SigningCertificateV2. pyHanko adds the issuer and serial, which RFC 5035 §4 leaves open and SignerInfo says."""
    (value,) = core.SetOf.load(attribute, spec=tsp.SigningCertificateV2)
    (identifier,) = value["certs"]
    assert identifier["hash_algorithm"]["algorithm"].native == "sha256"
    return bytes(identifier["cert_hash"].native)


def test_the_attributes_are_those_of_pyhanko(three: dict[str, bytes]) -> None:
    ours, theirs, whole = (attributes(three[name]) for name in ("plain", "pyhanko", "whole"))
    assert ours.keys() == theirs.keys()
    assert ours[CONTENT_TYPE] == theirs[CONTENT_TYPE]
    assert named_certificate(ours[SIGNING_CERTIFICATE]) == named_certificate(theirs[SIGNING_CERTIFICATE])
    assert whole.keys() - ours.keys() == {SES}
    assert all(whole[key] == ours[key] for key in (CONTENT_TYPE, SIGNING_CERTIFICATE))
    for name in three:
        (signature,) = PdfFileReader(io.BytesIO(three[name])).embedded_signatures
        assert attributes(three[name])[MESSAGE_DIGEST].endswith(signature.compute_digest())


def test_the_messages_say_the_same_of_signer_and_algorithms(three: dict[str, bytes]) -> None:
    ours, theirs = signed_data(three["plain"]), signed_data(three["pyhanko"])
    for part in ("version", "digest_algorithms"):
        assert ours[part].native == theirs[part].native, part
    assert ours["encap_content_info"]["content_type"].native == theirs["encap_content_info"]["content_type"].native
    assert {one.dump() for one in ours["certificates"]} == {one.dump() for one in theirs["certificates"]}
    for part in ("version", "sid", "digest_algorithm", "signature_algorithm"):
        assert ours["signer_infos"][0][part].native == theirs["signer_infos"][0][part].native, part
    assert len(theirs["signer_infos"][0]["unsigned_attrs"]) == len(ours["signer_infos"][0]["unsigned_attrs"]) == 0


@pytest.mark.parametrize("name", ["pyhanko", "plain", "whole"])
async def test_pyhanko_says_the_same_of_each(world: World, three: dict[str, bytes], name: str) -> None:
    reader = PdfFileReader(io.BytesIO(three[name]))
    context = ValidationContext(
        trust_roots=[x509.Certificate.load(world["root"].certificate)],
        crls=list(world.crls()),
        revocation_mode="require",
        allow_fetching=False,
        moment=NOW,
    )
    status = await async_validate_pdf_signature(reader.embedded_signatures[0], context)
    assert (status.bottom_line, status.coverage.name, status.modification_level.name) == (True, "ENTIRE_FILE", "NONE")


def test_a_plain_signature_is_judged_as_any_of_others(world: World, three: dict[str, bytes]) -> None:
    for name, seal in (("plain", False), ("pyhanko", False), ("whole", True)):
        verdict = verify(three[name], world.trust, NOW + dt.timedelta(minutes=1))
        assert verdict.indication is Indication.TOTAL_PASSED, name
        assert (verdict.signatures[0].seal is not None) is seal


# --- what is kept from one stamp to the next ---------------------------------------------------------------------------------


@pytest.fixture
def judgements(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime]:
    """The instants at which a stamp was judged whole."""
    made: list[dt.datetime] = []
    genuine = stamping_press.judge_stamp

    def counted(ses: bytes, evidence: Any, covered: Any) -> Any:
        made.append(evidence.at)
        return genuine(ses, evidence, covered)

    monkeypatch.setattr(stamping_press, "judge_stamp", counted)
    press_for.cache_clear()
    return made


def test_a_seal_is_judged_once_a_minute(world: World, judgements: list[dt.datetime]) -> None:
    material = world.material()
    for seconds in (1, 2, 30, 59, 61, 62, 125):
        world.stamped(material=material, at=NOW + dt.timedelta(seconds=seconds))
    assert judgements == [NOW + dt.timedelta(seconds=seconds) for seconds in (1, 61, 125)]


def test_another_octet_of_material_is_another_judgement(world: World, judgements: list[dt.datetime]) -> None:
    material = world.material()
    renewed = world.material(seal_der=material.seal_der, validation=ValidationMaterial(material.validation.certificates, world.crls()))
    for one in (material, renewed, material, renewed):
        world.stamped(material=one, at=NOW + dt.timedelta(seconds=1))
    assert len(judgements) == 2


@pytest.mark.parametrize("end", ["seal", "list", "signer", "maker of the seal"])
def test_what_ends_within_the_minute_ends_at_once(tmp_path_factory: pytest.TempPathFactory, end: str) -> None:
    """Judged good a second before, and yet refused a second after: every instant of the material is compared for every stamp."""
    world, last = World(tmp_path_factory.mktemp(end.replace(" ", "-"))), NOW + dt.timedelta(seconds=30)
    if end == "signer":
        world.leaf("signer", "document-signer", "seal", not_after=last)
    if end == "maker of the seal":
        world.leaf("maker", "seal-maker", "seal-maker", not_after=last)
    material = world.material()
    if end == "seal":
        material = world.material(seal_der=world.seal(valid_to=last))
    if end == "maker of the seal":
        material = world.material(seal_der=world.seal(version=4))
    if end == "list":
        lists = world.crls(seal=world.crl("seal", this=last - dt.timedelta(days=90)))
        material = world.material(validation=ValidationMaterial(material.validation.certificates, lists))
    world.stamped(material=material, at=last - dt.timedelta(seconds=1))
    with pytest.raises(SealUnfit):
        world.stamped(material=material, at=last + dt.timedelta(seconds=1))


def test_a_revocation_that_begins_within_the_minute_counts_at_once(world: World) -> None:
    since = NOW + dt.timedelta(seconds=20)
    lists = world.crls(seal=world.crl("seal", {world["signer"].serial: since}))
    material = world.material(validation=ValidationMaterial(world.material().validation.certificates, lists))
    world.stamped(material=material, at=since - dt.timedelta(seconds=1))
    with pytest.raises(SealUnfit):
        world.stamped(material=material, at=since)


@pytest.mark.parametrize("length", [0, 255, 8191, 8192, 8193, 40_000, 131_072, 131_073])
def test_a_beginning_that_was_hashed_before_changes_no_digest(world: World, length: int) -> None:
    point = sm2.public_point(world["signer-sm"].key.public)
    for end in (b"a", b"b", b"a"):
        message = bytes(max(length - 1, 0)) + end
        assert sm2.message_digest(point, message) == sm2.sm3(sm2.z_value(point) + message)
    other = b"\1" + bytes(length)
    assert sm2.message_digest(point, other) == sm2.sm3(sm2.z_value(point) + other)


def test_an_unfit_seal_stays_unfit(world: World) -> None:
    material = world.material(seal_der=world.seal(valid_to=NOW - dt.timedelta(hours=1)))
    for _ in range(2):
        with pytest.raises(SealUnfit):
            world.stamped(material=material)


def test_times_that_go_back_are_judged_by_their_own_instant(world: World, judgements: list[dt.datetime]) -> None:
    material = world.material(seal_der=world.seal(created=NOW - dt.timedelta(seconds=10), valid_from=NOW - dt.timedelta(seconds=10)))
    world.stamped(material=material, at=NOW)
    with pytest.raises(SealUnfit):
        world.stamped(material=material, at=NOW - dt.timedelta(seconds=20))
    assert len(judgements) == 2


def test_stamping_is_the_same_in_whatever_order(world: World) -> None:
    """A press that was used gives what a new one gives, but for the random half of each signature."""
    document, material = certificate_page(), world.material()
    press_for.cache_clear()
    made = [stamp(world.permit(document), document, material, PLACE, world.keystore, NOW).pdf for _ in range(2)]
    assert len(set(made)) == 2
    assert {len(one) for one in made} == {len(made[0])}
