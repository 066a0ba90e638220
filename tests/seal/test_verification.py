"""Verdicts on every kind of file, and on none: an answer, never an exception."""

import datetime as dt
import io
import json
import zipfile

import pytest
import qrcode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from seal.asn1 import assemble_ses_signature, build_tbs_sign
from seal.extraction import NoStamp, extract_stamp
from seal.trust import Trust, TrustUnreadable
from seal.verdict import (
    SUB_INDICATIONS,
    Indication,
    Kind,
    Outcome,
    claimed,
    conclude,
    failed,
    from_json,
    notice,
    open_question,
    passed,
)
from seal.verification import verify
from tests.stamped import NOW, World, certificate_page, pem


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def sealed(world: World) -> bytes:
    return world.stamped()


def answer(data: bytes, trust: Trust, at: dt.datetime = NOW) -> tuple[Kind, Indication, str | None]:
    verdict = verify(data, trust, at)
    return verdict.kind, verdict.indication, verdict.sub_indication


def package(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"<x/>")
    return out.getvalue()


def picture(text: str | None, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    image = qrcode.make(text).get_image() if text else Image.new("L", (40, 40), 255)
    image.convert("L").save(out, form)
    return out.getvalue()


def test_an_unsigned_pdf_has_no_signature(world: World) -> None:
    assert answer(certificate_page(), world.trust) == (Kind.PDF, Indication.NO_SIGNATURE, None)


@pytest.mark.parametrize("data", [b"", b"\0", b"hello", b"%PDF-1.7", b"%PDF-1.7\nstartxref\n0\n%%EOF", b"startxref", b"\xff" * 5000])
def test_what_is_nothing_is_unreadable(world: World, data: bytes) -> None:
    kind, indication, sub_indication = answer(data, world.trust)
    assert (indication, sub_indication) == (Indication.UNREADABLE, "FORMAT_FAILURE"), kind


def test_what_is_no_ofd_is_unreadable(world: World) -> None:
    verdict = verify(package("OFD.xml", "Doc_0/Document.xml"), world.trust, NOW)
    assert (verdict.kind, verdict.indication) == (Kind.OFD, Indication.UNREADABLE)
    assert "root is not OFD" in verdict.checks[0].detail
    assert answer(package("other.xml"), world.trust)[1] is Indication.UNREADABLE
    assert answer(b"PK\x03\x04broken", world.trust)[1] is Indication.UNREADABLE


def test_a_qr_code_is_a_claim(world: World) -> None:
    for form in ("PNG", "JPEG"):
        verdict = verify(picture("https://example.invalid/v/0123456789ABCDEF", form), world.trust, NOW)
        assert (verdict.kind, verdict.indication) == (Kind.QR, Indication.INDETERMINATE)
        assert "https://example.invalid/v/0123456789ABCDEF" in verdict.checks[0].detail
    assert answer(picture(None), world.trust)[:2] == (Kind.QR, Indication.UNREADABLE)
    assert answer(b"\x89PNG\r\n\x1a\nbroken", world.trust)[:2] == (Kind.QR, Indication.UNREADABLE)


def test_a_stamp_by_itself_lacks_what_was_stamped(world: World, sealed: bytes) -> None:
    helpers = Trust((*world.trust.certificates, world["seal-sm"].certificate, world["seal-maker"].certificate), world.crls())
    verdict = verify(extract_stamp(sealed), helpers, NOW)
    assert (verdict.kind, verdict.indication, verdict.sub_indication) == (Kind.SEAL, Indication.INDETERMINATE, "SIGNED_DATA_NOT_FOUND")
    (signature,) = verdict.signatures
    assert [check.name for check in signature.checks if check.outcome is Outcome.INDETERMINATE] == ["DATA_HASH"]
    assert signature.seal is not None
    assert signature.level == "SES"


def test_a_seal_by_itself_passes_when_everything_is_at_hand(world: World) -> None:
    helpers = Trust((*world.trust.certificates, world["seal-maker"].certificate), world.crls())
    assert answer(world.seal(), helpers) == (Kind.SEAL, Indication.TOTAL_PASSED, None)
    assert answer(world.seal(version=4), helpers) == (Kind.SEAL, Indication.TOTAL_PASSED, None)
    assert answer(world.seal(), world.trust)[1:] == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")
    assert answer(world.seal(), helpers, NOW + dt.timedelta(days=301))[1] is Indication.INDETERMINATE


def test_every_changed_octet_of_a_seal_is_noticed(world: World) -> None:
    helpers = Trust((*world.trust.certificates, world["seal-maker"].certificate), world.crls())
    seal = world.seal(picture=b"\x89PNG" + bytes(40))
    for offset in range(len(seal)):
        changed = bytearray(seal)
        changed[offset] ^= 0x01
        assert verify(bytes(changed), helpers, NOW).indication is not Indication.TOTAL_PASSED, offset


def test_der_that_is_no_seal_is_unreadable(world: World) -> None:
    for data in (b"\x30\x00", b"\x30\x80\x00\x00", world["root"].certificate, b"\x30\x03\x02\x01\x05", b"\x30\x84\xff\xff\xff\xff"):
        assert answer(data, world.trust)[:2] == (Kind.SEAL, Indication.UNREADABLE)


def test_a_stamp_by_a_stranger_to_the_seal_is_told(world: World) -> None:
    tbs = build_tbs_sign(world.seal(), NOW, bytes(32), "/Doc_0/Signs/Sign_0/Signature.xml")
    maker = world["maker"]
    stamp = assemble_ses_signature(tbs, maker.certificate, world.keystore.sign(maker.key, tbs, maker.key.purpose))
    (signature,) = verify(stamp, world.trust, NOW).signatures
    assert {check.name for check in signature.checks if check.outcome is Outcome.FAILED} == {"SIGNER_NOT_AUTHORISED"}


def test_the_verdict_travels_as_json(world: World, sealed: bytes) -> None:
    verdict = verify(sealed, world.trust, NOW)
    document = json.loads(json.dumps(verdict.to_json("a.pdf")))
    assert document["file"] == "a.pdf"
    assert from_json(document).to_json("a.pdf") == document
    assert set(document) == {"file", "kind", "indication", "sub_indication", "signatures", "certificate"}
    (signature,) = document["signatures"]
    assert set(signature) == {"field", "indication", "sub_indication", "signer", "signing_time", "level", "seal", "checks"}
    assert all(set(check) == {"name", "outcome", "detail"} for check in signature["checks"])
    names = {check["name"] for check in signature["checks"]}
    assert names >= {"FORMAT", "COVERAGE", "DOCMDP", "CMS_FORM", "DATA_HASH", "SIGNATURE", "CHAIN", "REVOCATION", "TIMESTAMP"}


def test_what_a_qr_text_says_is_cut() -> None:
    verdict = claimed("x" * 9000)
    assert verdict.indication is Indication.INDETERMINATE
    assert len(verdict.checks[0].detail) < 600


def test_the_first_fatal_check_decides_then_any_failed_then_any_open() -> None:
    order = [notice("TIMESTAMP", ""), open_question("CHAIN", ""), failed("SEAL_EXPIRED", ""), failed("DATA_HASH", "")]
    assert conclude(order) == (Indication.TOTAL_FAILED, "HASH_FAILURE")
    assert conclude(order[:3]) == (Indication.INDETERMINATE, "OUT_OF_BOUNDS_NO_POE")
    assert conclude(order[:2]) == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")
    assert conclude([*order[:1], passed("FORMAT")]) == (Indication.TOTAL_PASSED, None)


def test_every_decisive_check_has_a_sub_indication() -> None:
    assert all(name.isupper() and value.isupper() for name, value in SUB_INDICATIONS.items())


def test_trust_is_read_from_pem(world: World) -> None:
    from_pem = Trust.from_pem(pem("CERTIFICATE", world["root"].certificate) + b"\ncomment\n" + pem("X509 CRL", world.crl("root")))
    assert from_pem.certificates == (world["root"].certificate,)
    assert len(from_pem.crls) == 1
    assert Trust.from_pem(b"") == Trust()
    for broken in (b"no pem", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"):
        with pytest.raises(TrustUnreadable):
            Trust.from_pem(broken)


def test_the_stamp_is_taken_out_of_a_pdf_only(sealed: bytes) -> None:
    assert extract_stamp(sealed).startswith(b"\x30\x82")
    for data in (certificate_page(), b"", b"/ByteRange[0 1 2 3]", b"/ByteRange[0 999 9999 3]"):
        with pytest.raises(NoStamp):
            extract_stamp(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from([b"%PDF-1.7\n", b"\x30\x82", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b""]),
    body=st.binary(max_size=300),
    tail=st.sampled_from([b"", b"\nstartxref\n9\n%%EOF", b"\ntrailer\n<</Root 1 0 R/Size 9>>\nstartxref\n0\n%%EOF"]),
)
def test_no_octets_raise_or_pass(head: bytes, body: bytes, tail: bytes) -> None:
    assert verify(head + body + tail, Trust(), NOW).indication is not Indication.TOTAL_PASSED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_spliced_certificate_passes(world: World, sealed: bytes, data: st.DataObject) -> None:
    """Cut something out or paste it elsewhere: whatever comes out is not the certificate."""
    start = data.draw(st.integers(0, len(sealed) - 1))
    end = data.draw(st.integers(start + 1, min(len(sealed), start + 2000)))
    to = data.draw(st.integers(0, len(sealed)))
    spliced = data.draw(st.sampled_from([sealed[:start] + sealed[end:], sealed[:to] + sealed[start:end] + sealed[to:]]))
    if spliced != sealed:
        assert verify(spliced, world.trust, NOW).indication is not Indication.TOTAL_PASSED
