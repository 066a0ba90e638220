"""Forgeries of a stamped certificate: what an attacker without the keys can do to the file, and what one with some key can."""

import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import cms, core
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from keys.base import der
from keys.custody import sm2
from keys.pki.material import ValidationMaterial
from seal.asn1 import parse_ses_signature
from seal.trust import Trust
from seal.verdict import Indication, Outcome, Verdict
from seal.verification import verify
from tests.attacks.campaign_bytes import campaign
from tests.stamped import NOW, World, certificate_page, forged

PASSED, FAILED, OPEN = Indication.TOTAL_PASSED, Indication.TOTAL_FAILED, Indication.INDETERMINATE


def judged(pdf: bytes, world: World, at: dt.datetime = NOW, trust: Trust | None = None) -> Verdict:
    return verify(pdf, trust or world.trust, at)


def outcome(verdict: Verdict, name: str) -> list[Outcome]:
    return [check.outcome for signature in verdict.signatures for check in signature.checks if check.name == name]


def hole(pdf: bytes) -> tuple[int, int]:
    """Offsets of ``<`` and behind ``>`` of the signature's Contents."""
    found = re.findall(rb"/ByteRange\[0 (\d+) (\d+)", pdf)[-1]
    return int(found[0]), int(found[1])


def with_contents(pdf: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The file with the digits of Contents changed; their number stays."""
    start, end = hole(pdf)
    changed = change(pdf[start + 1 : end - 1])
    assert len(changed) == end - start - 2
    return pdf[: start + 1] + changed + pdf[end - 1 :]


def with_message(pdf: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The file with its CMS changed and put back in the same spelling."""

    def digits(text: bytes) -> bytes:
        octets = bytes.fromhex(text.decode())
        count = octets[1] & 0x7F
        used = 2 + count + int.from_bytes(octets[2 : 2 + count])
        return change(octets[:used]).hex().encode().ljust(len(text), b"0")

    return with_contents(pdf, digits)


def updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def first_page(writer: IncrementalPdfFileWriter) -> generic.IndirectObject:
    return writer.find_page_for_modification(0)[0]


def overlay(writer: IncrementalPdfFileWriter) -> None:
    """Paint something over the page."""
    content = generic.StreamObject(stream_data=b"1 g 0 0 600 900 re f")
    writer.add_stream_to_page(0, writer.add_object(content))


def annotation(writer: IncrementalPdfFileWriter) -> None:
    square = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/Square"),
            generic.pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 300, 300))),
        }
    )
    writer.register_annotation(first_page(writer), writer.add_object(square))


def replace_page(writer: IncrementalPdfFileWriter) -> None:
    """Shadow attack "replace": the page gets another content."""
    page = first_page(writer)
    page.get_object()["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 g 10 10 50 50 re f"))
    writer.mark_update(page.reference)


def hide_seal(writer: IncrementalPdfFileWriter) -> None:
    """Shadow attack "hide": the seal disappears from the page."""
    page = first_page(writer)
    page.get_object()["/Annots"] = generic.ArrayObject()
    writer.mark_update(page.reference)


def empty_appearance(writer: IncrementalPdfFileWriter) -> None:
    """The seal's picture becomes another one."""
    field = writer.root["/AcroForm"]["/Fields"][0]
    field["/AP"] = generic.DictionaryObject({generic.pdf_name("/N"): writer.add_object(generic.StreamObject(stream_data=b""))})
    writer.update_container(field)


def drop_certification(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/Perms"]
    writer.update_root()


def metadata_only(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/Lang"] = generic.pdf_string("xx")
    writer.update_root()


def test_the_genuine_one_passes(world: World, genuine: bytes) -> None:
    verdict = judged(genuine, world)
    assert (verdict.indication, verdict.sub_indication) == (PASSED, None)
    (signature,) = verdict.signatures
    assert {check.outcome for check in signature.checks} == {Outcome.PASSED, Outcome.NOTICE}
    assert signature.seal is not None
    assert signature.seal.code == "99010000000001"
    assert verdict.certificate is not None
    assert verdict.certificate["ZZMC"] == "排污许可证"


@pytest.mark.timeout(300)
def test_no_single_changed_octet_passes(world: World, genuine: bytes) -> None:
    answers, passed = campaign(genuine, world.trust, 300)
    assert passed == []
    assert sum(answers.values()) == 300


@pytest.mark.parametrize(
    "change", [overlay, annotation, replace_page, hide_seal, empty_appearance, drop_certification, metadata_only], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("end", [b"%%EOF\n", b"", b"%%EOF\nmore"], ids=["eof", "no-eof", "text-after"])
def test_an_appended_revision_fails(world: World, genuine: bytes, change: Callable[..., None], end: bytes) -> None:
    pdf = updated(genuine, change)
    pdf = pdf[: pdf.rindex(b"%%EOF")] + end
    verdict = judged(pdf, world)
    assert verdict.indication in (FAILED, Indication.UNREADABLE)
    if end == b"%%EOF\n":
        assert verdict.indication is FAILED
        assert Outcome.FAILED in outcome(verdict, "COVERAGE") + outcome(verdict, "FORMAT")


@pytest.mark.parametrize("tail", [b"\n", b"%", b" " * 100, b"%%EOF\n", bytes(5000)])
def test_octets_after_the_end_fail(world: World, genuine: bytes, tail: bytes) -> None:
    assert judged(genuine + tail, world).indication in (FAILED, Indication.UNREADABLE)


def test_truncated_files_never_pass(world: World, genuine: bytes) -> None:
    cuts = [0, 1, 5, 100, len(genuine) // 2, hole(genuine)[0], hole(genuine)[1], len(genuine) - 7, len(genuine) - 1]
    for cut in cuts:
        assert judged(genuine[:cut], world).indication is not PASSED, cut


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.upper(),
        lambda text: text[:40].upper() + text[40:],
        lambda text: text[:-2] + b"01",
        lambda text: text[:-1] + b"\n",
        lambda text: text[:-1] + b" ",
        lambda text: b" " + text[:-1],
        lambda text: text[:1000].rstrip() + b"  " + text[1000:-2],
    ],
    ids=["upper", "some-upper", "padding", "newline", "space", "space-first", "space-within"],
)
def test_another_spelling_of_contents_fails(world: World, genuine: bytes, change: Callable[[bytes], bytes]) -> None:
    assert judged(with_contents(genuine, change), world).indication in (FAILED, Indication.UNREADABLE)


def test_more_der_after_the_cms_fails(world: World, genuine: bytes) -> None:
    verdict = judged(with_message(genuine, lambda message: message + der.octet_string(b"hidden")), world)
    assert outcome(verdict, "CMS_FORM") == [Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "FORMAT_FAILURE")


def _unsigned_attribute(message: bytes) -> bytes:
    info = cms.ContentInfo.load(message)
    (signer_info,) = info["content"]["signer_infos"]
    signer_info["unsigned_attrs"] = [cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(b"hidden")]})]
    return bytes(info.dump(force=True))


def _reordered_certificates(message: bytes) -> bytes:
    info = cms.ContentInfo.load(message)
    certificates = [one.chosen.dump() for one in info["content"]["certificates"]]
    first, second = sorted(certificates)
    assert first + second in message
    return message.replace(first + second, second + first)


def _with_crl(world: World) -> Callable[[bytes], bytes]:
    def change(message: bytes) -> bytes:
        info = cms.ContentInfo.load(message)
        info["content"]["crls"] = [cms.RevocationInfoChoice({"crl": cms.CertificateList.load(world.crl("seal"))})]
        return bytes(info.dump(force=True))

    return change


def test_unsigned_parts_of_the_cms_cannot_be_changed(world: World, genuine: bytes) -> None:
    for change in (_unsigned_attribute, _reordered_certificates, _with_crl(world)):
        verdict = judged(with_message(genuine, change), world)
        assert outcome(verdict, "CMS_FORM") == [Outcome.FAILED], change
        assert verdict.indication is FAILED


def test_a_moved_byte_range_fails(world: World, genuine: bytes) -> None:
    """Signature wrapping: the range leaves out more than the signature, and something else lives in there."""
    start, end = hole(genuine)
    old = re.findall(rb"/ByteRange(\[[^\]]*\] *)", genuine)[-1]
    for moved in (f"[0 {start} {end + 20} {len(genuine) - end - 20}]", f"[0 {start - 9} {end} {len(genuine) - end}]", "[0 10 20 30]"):
        verdict = judged(genuine.replace(old, moved.encode().ljust(len(old))), world)
        assert verdict.indication is FAILED
        assert Outcome.FAILED in outcome(verdict, "COVERAGE") + outcome(verdict, "FORMAT")


def test_a_signature_wrapped_into_a_larger_file_fails(world: World, genuine: bytes) -> None:
    start, end = hole(genuine)
    evil = b"9999 0 obj\n<</Evil true>>\nendobj\n"
    assert judged(genuine[:end] + evil + genuine[end:], world).indication is not PASSED
    assert judged(evil + genuine, world).indication is not PASSED
    assert judged(genuine[:start] + b"<" + evil.hex().encode() + b">" + genuine[start:], world).indication is not PASSED


def test_a_crl_swapped_in_the_dss_fails(world: World) -> None:
    revoked = world.crl("seal", {world["signer"].serial: NOW - dt.timedelta(days=1)})
    pdf = forged(world, replace(world.material(), validation=ValidationMaterial(world.material().validation.certificates, (revoked,))))
    clean = world.crl("seal")
    swapped = pdf.replace(revoked, clean.ljust(len(revoked), b"\0"))
    assert swapped != pdf
    verdict = judged(swapped, world)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "HASH_FAILURE")


def with_crls(world: World, **lists: bytes) -> ValidationMaterial:
    return ValidationMaterial(world.material().validation.certificates, world.crls(**lists))


def test_a_revoked_signer_whose_list_is_covered_fails_for_good(world: World) -> None:
    crl = world.crl("seal", {world["signer"].serial: NOW - dt.timedelta(days=1)})
    verdict = judged(forged(world, world.material(validation=with_crls(world, seal=crl))), world)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "REVOKED")
    assert outcome(verdict, "REVOCATION") == [Outcome.FAILED]


def test_a_signer_revoked_later_is_undecided(world: World, genuine: bytes) -> None:
    later = NOW + dt.timedelta(days=10)
    crl = world.crl("seal", {world["signer"].serial: NOW + dt.timedelta(days=5)}, this=NOW + dt.timedelta(days=6))
    trust = Trust(world.trust.certificates, (crl,))
    verdict = judged(genuine, world, later, trust)
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "REVOKED_NO_POE")
    assert judged(genuine, world, NOW + dt.timedelta(days=1), trust).indication is PASSED


def test_a_revoked_stamp_signer_or_maker_fails(world: World) -> None:
    before = NOW - dt.timedelta(days=5)
    stamper = world.material(validation=with_crls(world, seal_sm=world.crl("seal-sm", {world["signer-sm"].serial: before})))
    verdict = judged(forged(world, stamper), world)
    assert outcome(verdict, "SIGNER_REVOKED") == [Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "REVOKED")
    maker = world.material(validation=with_crls(world, seal_maker=world.crl("seal-maker", {world["maker"].serial: before})))
    verdict = judged(forged(world, maker), world)
    assert outcome(verdict, "MAKER_REVOKED") == [Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "REVOKED")


def test_a_maker_revoked_after_making_is_a_notice_in_version_5_and_a_fault_in_4(world: World) -> None:
    crls = with_crls(world, seal_maker=world.crl("seal-maker", {world["maker"].serial: NOW - dt.timedelta(hours=1)}))
    five = judged(forged(world, world.material(validation=crls)), world)
    assert (five.indication, outcome(five, "MAKER_REVOKED")) == (PASSED, [Outcome.NOTICE])
    four = judged(forged(world, world.material(validation=crls, seal_der=world.seal(version=4))), world)
    assert (four.indication, four.sub_indication) == (OPEN, "REVOKED_NO_POE")
    assert outcome(four, "MAKER_REVOKED") == [Outcome.FAILED]


def test_without_current_revocation_lists_nothing_passes(world: World) -> None:
    none = forged(world, world.material(validation=ValidationMaterial(world.material().validation.certificates, ())))
    verdict = judged(none, world)
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "TRY_LATER")
    stale = judged(forged(world), world, NOW + dt.timedelta(days=91))
    assert (stale.indication, stale.sub_indication) == (OPEN, "TRY_LATER")
    fresh = Trust(world.trust.certificates, tuple(_later_lists(world)))
    assert judged(forged(world), world, NOW + dt.timedelta(days=91), fresh).indication is PASSED


def _later_lists(world: World) -> list[bytes]:
    names = ("root", "seal", "root-sm", "seal-sm", "seal-maker")
    return [world.crl(name, this=NOW + dt.timedelta(days=90)) for name in names]


def test_a_list_of_another_issuer_is_not_believed(world: World, tmp_path: Path) -> None:
    impostor = World(tmp_path)  # the same names, other keys
    lists = impostor.crls()
    verdict = judged(forged(world, world.material(validation=ValidationMaterial(world.material().validation.certificates, lists))), world)
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "TRY_LATER")


def test_an_expired_chain_is_undecided(world: World, genuine: bytes) -> None:
    verdict = judged(genuine, world, NOW + dt.timedelta(days=400))
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "OUT_OF_BOUNDS_NO_POE")
    early = judged(genuine, world, NOW - dt.timedelta(days=31))
    assert (early.indication, early.sub_indication) == (OPEN, "NOT_YET_VALID")


def test_a_foreign_root_is_undecided(world: World, tmp_path: Path) -> None:
    stranger = World(tmp_path, prefix="Stranger")
    for trust in (world.trust, Trust()):
        verdict = judged(stranger.stamped(), world, trust=trust)
        assert (verdict.indication, verdict.sub_indication) == (OPEN, "NO_CERTIFICATE_CHAIN_FOUND")
        assert outcome(verdict, "MAKER_CHAIN") == [Outcome.INDETERMINATE]
    half = judged(world.stamped(), world, trust=Trust((world["root"].certificate,)))
    assert (half.indication, half.sub_indication) == (OPEN, "NO_CERTIFICATE_CHAIN_FOUND")


def test_an_impostor_with_the_same_names_is_undecided(world: World, tmp_path: Path) -> None:
    impostor = World(tmp_path)
    assert judged(impostor.stamped(), world).sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"


def test_the_stamp_of_another_document_fails(world: World, genuine: bytes) -> None:
    """A thief of the P-256 key alone has no new stamp, only old ones."""
    start, end = hole(genuine)
    (signer_info,) = cms.ContentInfo.load(bytes.fromhex(genuine[start + 1 : end - 1].decode()))["content"]["signer_infos"]
    old = next(one["values"][0].native for one in signer_info["signed_attrs"] if isinstance(one["values"][0].native, bytes))
    stamps = [one["values"][0].native for one in signer_info["signed_attrs"] if len(one["values"][0].dump()) > 5000]
    assert len(stamps) == 1, old
    verdict = judged(forged(world, document=certificate_page('{"ZZMC": "别的证"}'), ses=lambda _: stamps[0]), world)
    assert outcome(verdict, "DATA_HASH") == [Outcome.PASSED, Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "HASH_FAILURE")


def test_a_cut_out_stamp_fails(world: World, genuine: bytes) -> None:
    def cut(message: bytes) -> bytes:
        info = cms.ContentInfo.load(message)
        (signer_info,) = info["content"]["signer_infos"]
        kept = [one for one in signer_info["signed_attrs"] if len(one.dump()) < 5000]
        assert len(kept) == 3
        signer_info["signed_attrs"] = cms.CMSAttributes(kept)
        return bytes(info.dump(force=True))

    verdict = judged(with_message(genuine, cut), world)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "FORMAT_FAILURE")


def test_a_raw_signature_passes_with_a_notice(world: World) -> None:
    def raw(ses: bytes) -> bytes:
        numbers = sm2.decode_signature(parse_ses_signature(ses).signature)
        assert numbers is not None
        parts = der.members(der.read(ses))
        value = b"".join(number.to_bytes(32, "big") for number in numbers)
        return der.sequence(*(part.encoded for part in parts[:3]), der.bit_string(value))

    verdict = judged(forged(world, ses=raw), world)
    assert verdict.indication is PASSED
    assert outcome(verdict, "STAMP_SIGNATURE") == [Outcome.PASSED]
    assert outcome(verdict, "SIGNATURE_ENCODING") == [Outcome.NOTICE]


def test_a_changed_stamp_signature_fails(world: World) -> None:
    def flip(ses: bytes) -> bytes:
        return ses[:-1] + bytes([ses[-1] ^ 1])

    verdict = judged(forged(world, ses=flip), world)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "SIG_CRYPTO_FAILURE")
    assert outcome(verdict, "STAMP_SIGNATURE") == [Outcome.FAILED]


@pytest.mark.parametrize(
    ("content", "check"),
    [
        ({"valid_to": NOW - dt.timedelta(hours=1)}, "SEAL_EXPIRED"),
        ({"valid_from": NOW + dt.timedelta(hours=1)}, "SEAL_NOT_YET_VALID"),
        ({"created": NOW + dt.timedelta(hours=1)}, "SEAL_TIME_ORDER"),
        ({"created": NOW - dt.timedelta(days=60)}, "SEAL_MADE_TIME"),
    ],
)
def test_a_seal_out_of_time_does_not_pass(world: World, content: dict[str, object], check: str) -> None:
    verdict = judged(forged(world, world.material(seal_der=world.seal(**content))), world)
    assert verdict.indication is OPEN
    assert outcome(verdict, check) == [Outcome.FAILED]


def test_a_signer_the_seal_does_not_name_does_not_pass(world: World) -> None:
    verdict = judged(forged(world, world.material(seal_der=world.seal(certificates=(world["maker"].certificate,)))), world)
    assert outcome(verdict, "SIGNER_NOT_AUTHORISED") == [Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "SIG_CONSTRAINTS_FAILURE")


def test_a_seal_made_by_anybody_does_not_pass(world: World) -> None:
    seal = bytearray(world.seal())
    seal[-1] ^= 1
    verdict = judged(forged(world, world.material(seal_der=bytes(seal))), world)
    assert outcome(verdict, "SEAL_SIGNATURE") == [Outcome.FAILED]
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "SIG_CRYPTO_FAILURE")


def test_a_stamp_time_unlike_the_files_does_not_pass(world: World) -> None:
    verdict = judged(forged(world, stamp_time=NOW - dt.timedelta(minutes=1)), world)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "FORMAT_FAILURE")
    future = judged(forged(world, at=NOW + dt.timedelta(days=1)), world)
    assert future.indication is OPEN
    assert outcome(future, "STAMP_TIME_INVALID") == [Outcome.FAILED]


def test_certificates_beside_the_chain_do_not_pass(world: World) -> None:
    material = world.material()
    fat = replace(material, signer_chain=(material.signer_chain[0], world["seal-sm"].certificate, material.signer_chain[1]))
    assert judged(forged(world, fat), world).indication is FAILED
