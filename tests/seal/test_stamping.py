"""Stamping: what comes out, what stays, what is refused before anything is made."""

import datetime as dt
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer

from keys.custody.store import Algorithm
from keys.pki.material import ValidationMaterial
from seal.asn1 import parse_ses_signature
from seal.extraction import extract_stamp
from seal.permits import PermitExpired, PermitMismatch
from seal.placement import Placement
from seal.revision import POINTS_PER_MM, NotStampable
from seal.stamping import SealUnfit, stamp
from seal.verdict import Indication
from seal.verification import verify
from tests.stamped import NOW, PLACE, World, certificate_page


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def sealed(world: World) -> bytes:
    return world.stamped()


def without_hole(pdf: bytes) -> bytes:
    start, end = (int(number) for number in re.findall(rb"/ByteRange\[0 (\d+) (\d+)", pdf)[-1])
    return pdf[:start] + pdf[end:]


def test_the_document_itself_is_untouched(sealed: bytes) -> None:
    assert sealed.startswith(certificate_page())
    reader = PdfFileReader(io.BytesIO(sealed))
    assert reader.total_revisions == 2
    assert reader.trailer["/ID"][0] == PdfFileReader(io.BytesIO(certificate_page())).trailer["/ID"][0]


def test_metadata_stay_as_they_were(sealed: bytes) -> None:
    before, after = PdfFileReader(io.BytesIO(certificate_page())), PdfFileReader(io.BytesIO(sealed))
    assert after.root.raw_get("/Metadata").reference.idnum == before.root.raw_get("/Metadata").reference.idnum
    assert after.root["/Metadata"].data == before.root["/Metadata"].data


def test_equal_input_gives_equal_octets_but_for_the_signature(world: World, sealed: bytes) -> None:
    again = world.stamped()
    assert again != sealed
    material = world.material(seal_der=world.material().seal_der)
    assert without_hole(world.stamped(material=material)) == without_hole(world.stamped(material=material))


def test_the_seal_lies_where_it_was_placed(world: World) -> None:
    place = Placement(0, 105.0, 100.0)
    document = certificate_page()
    pdf = stamp(world.permit(document), document, world.material(), place, world.keystore, NOW).pdf
    reader = PdfFileReader(io.BytesIO(pdf))
    field = reader.root["/AcroForm"]["/Fields"][0]
    left, bottom, right, top = (float(number) for number in field["/Rect"])
    assert (left + right) / 2 == pytest.approx(105.0 * POINTS_PER_MM, abs=0.01)
    assert (bottom + top) / 2 == pytest.approx(841.8898 - 100.0 * POINTS_PER_MM, abs=0.01)
    assert right - left == pytest.approx(42 * POINTS_PER_MM, abs=0.01)
    assert field["/AP"]["/N"].data == world.material().pdf_content
    assert field["/F"] & 4, "printed"
    assert field["/TU"] == world.material().name


def test_all_validation_material_is_in_the_signed_revision(world: World, sealed: bytes) -> None:
    store = PdfFileReader(io.BytesIO(sealed)).root["/DSS"]
    assert {one.get_object().data for one in store["/Certs"]} == set(world.material().validation.certificates)
    assert len(store["/CRLs"]) == 5


def test_both_signatures_speak_of_the_same_octets(sealed: bytes) -> None:
    ses = parse_ses_signature(extract_stamp(sealed))
    start, end = (int(number) for number in re.findall(rb"/ByteRange\[0 (\d+) (\d+)", sealed)[-1])
    assert ses.property_info == f"[0 {start} {end} {len(sealed) - end}]"
    assert ses.time == NOW
    assert ses.version == 5


def test_the_answer_names_the_file(world: World) -> None:
    document = certificate_page()
    stamped = stamp(world.permit(document), document, world.material(), PLACE, world.keystore, NOW)
    assert stamped.sha256 == hashlib.sha256(stamped.pdf).hexdigest()


def test_a_time_with_microseconds_is_cut_to_the_second(world: World) -> None:
    pdf = world.stamped(at=NOW + dt.timedelta(microseconds=999_999))
    assert verify(pdf, world.trust, NOW).signatures[0].signing_time == NOW


def test_a_file_with_cross_reference_streams_is_stamped_likewise(world: World) -> None:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(certificate_page())), {"stream_xrefs": True})
    assert isinstance(writer, PdfFileWriter)
    out = io.BytesIO()
    writer.write(out)
    pdf = world.stamped(out.getvalue())
    assert b"/Type/XRef" in pdf[len(out.getvalue()) :]
    assert verify(pdf, world.trust, NOW).indication is Indication.TOTAL_PASSED


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"document_hash": bytes(32)}, PermitMismatch),
        ({"seal_code": "99010000000002"}, PermitMismatch),
        ({"expires": NOW}, PermitExpired),
    ],
)
def test_the_permit_must_fit(world: World, change: dict[str, object], refusal: type[Exception]) -> None:
    document = certificate_page()
    with pytest.raises(refusal):
        stamp(world.permit(document, **change), document, world.material(), PLACE, world.keystore, NOW)


@pytest.mark.parametrize("document", [b"x", b"", b"%PDF-1.7\nnothing", certificate_page()[:-300]], ids=["x", "empty", "header", "cut"])
def test_what_is_no_whole_pdf_is_refused(world: World, document: bytes) -> None:
    with pytest.raises(NotStampable):
        world.stamped(document or b" ")


def test_a_stamped_file_is_not_stamped_again(world: World, sealed: bytes) -> None:
    with pytest.raises(NotStampable):
        world.stamped(sealed)


def test_a_page_that_does_not_exist_is_refused(world: World) -> None:
    document = certificate_page()
    with pytest.raises(NotStampable):
        stamp(world.permit(document), document, world.material(), Placement(7, 10, 10), world.keystore, NOW)


def unfit(world: World, **changed: object) -> str:
    with pytest.raises(SealUnfit) as refusal:
        world.stamped(material=world.material(**changed))
    return str(refusal.value.extra["check"])


def test_a_seal_that_would_not_pass_is_not_used(world: World) -> None:
    expired = world.seal(valid_to=NOW - dt.timedelta(hours=1))
    assert unfit(world, seal_der=expired) == "SEAL_EXPIRED"
    assert unfit(world, seal_der=world.seal(valid_from=NOW + dt.timedelta(hours=1))) == "SEAL_NOT_YET_VALID"
    stranger = world.seal(certificates=(world["maker"].certificate,))
    assert unfit(world, seal_der=stranger) == "SIGNER_NOT_AUTHORISED"
    lists = world.material().validation
    assert unfit(world, validation=ValidationMaterial(lists.certificates, lists.crls[:2])) == "MAKER_REVOKED"


def test_a_reissued_signer_asks_for_the_seal_to_be_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    material = world.material()
    renewed = world.leaf("signer-sm", "seal-signer-sm", "seal-sm", key=material.sm_key)
    certificates = (*material.validation.certificates, renewed.certificate)
    changed = replace(material, sm_certificate=renewed.certificate, validation=replace(material.validation, certificates=certificates))
    with pytest.raises(SealUnfit) as refusal:
        world.stamped(material=changed)
    assert refusal.value.extra["check"] == "SIGNER_NOT_AUTHORISED"


def test_revoked_and_expired_signers_are_not_used(tmp_path: Path) -> None:
    world = World(tmp_path)
    revoked = world.crl("seal", {world["signer"].serial: NOW - dt.timedelta(days=1)})
    assert unfit(world, validation=ValidationMaterial(world.material().validation.certificates, world.crls(seal=revoked))) == "REVOCATION"
    revoked = world.crl("seal-sm", {world["signer-sm"].serial: NOW - dt.timedelta(days=1)})
    lists = ValidationMaterial(world.material().validation.certificates, world.crls(seal_sm=revoked))
    assert unfit(world, validation=lists) == "SIGNER_REVOKED"
    world.leaf("signer", "document-signer", "seal", not_after=NOW - dt.timedelta(days=1))
    assert unfit(world) == "CHAIN"


def test_a_key_of_another_kind_makes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.keystore.generate(Algorithm.SM2, world["signer-sm"].key.purpose)
    assert unfit(world, sm_key=other) == "STAMP_SIGNATURE"


def test_later_changes_need_a_new_file(world: World, sealed: bytes) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(sealed))
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    assert verify(out.getvalue(), world.trust, NOW).indication is Indication.TOTAL_FAILED
