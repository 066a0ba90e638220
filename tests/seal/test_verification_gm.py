"""PDFs of domestic systems: ``GM.sm2seal`` with stamps of three generations, and CMS with SM2 and SM3; as strict as for PAdES."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from asn1crypto import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation.dss import DocumentSecurityStore

from keys.trust.certificates import fingerprint
from seal.document_stamping import stamp_document
from seal.extraction import NoStamp, extract_seal, extract_stamp, stamps_in
from seal.foreign_rules import AuthorityRules, SystemRules, Tolerance
from seal.placing import AtPoint, Profile, StampPlan
from seal.sandbox import verify_guarded
from seal.trust import Trust
from seal.verdict import Indication, Outcome, Verdict
from seal.verification import verify
from tests.domestic_pdf import GM, covered, filled, gap, hollow, sm2_signed, stamped
from tests.ofd_by_hand import seal_of, signed_data
from tests.seal.test_verification_foreign import Stranger
from tests.ses_by_hand import StampSpec, octets, usual
from tests.stamped import NOW, World, certificate_page

ETSI, ADOBE = "/ETSI.CAdES.detached", "/adbe.pkcs7.detached"
Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def trust(world: World) -> Trust:
    names = ("root", "root-sm", "seal", "seal-sm", "seal-maker")
    return Trust(tuple(world[name].certificate for name in names), tuple(world.crl(name) for name in names))


@pytest.fixture(scope="module")
def sealed(world: World) -> bytes:
    return stamped(world, certificate_page())


def faults(verdict: Verdict) -> set[str]:
    wrong = (Outcome.FAILED, Outcome.INDETERMINATE)
    return {check.name for signature in verdict.signatures for check in signature.checks if check.outcome in wrong}


def told(pdf: bytes, trust: Trust) -> tuple[Indication, set[str]]:
    verdict = verify(pdf, trust, NOW)
    return verdict.indication, faults(verdict)


@pytest.mark.parametrize("version", [1, 4, 5])
def test_a_stamp_of_each_generation_passes(world: World, trust: Trust, version: int) -> None:
    spec = usual(world, version=version)
    verdict = verify(stamped(world, certificate_page(), replace(spec, seal=replace(spec.seal, version=version))), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, faults(verdict)
    (signature,) = verdict.signatures
    assert (signature.field, signature.level, signature.signing_time) == ("Seal1", "SES", NOW)
    assert signature.seal is not None
    assert signature.seal.version == version
    assert [check.name for check in signature.checks][:5] == ["FORMAT", "COVERAGE", "DOCMDP", "CMS_FORM", "STAMP_FORMAT"]


def test_the_sandbox_judges_it(trust: Trust, sealed: bytes) -> None:
    assert verify_guarded(sealed, trust, NOW).indication is Indication.TOTAL_PASSED


def test_what_the_product_stamps_for_receivers_that_know_nothing_else_passes(world: World, trust: Trust) -> None:
    document = certificate_page()
    plan = StampPlan((AtPoint(0, 150, 240),), profile=Profile.GM)
    pdf = stamp_document(world.permit(document), document, world.material(), plan, world.keystore, NOW).pdf
    assert re.search(rb"/SubFilter\s*/GM\.sm2seal", pdf)
    verdict = verify(pdf, trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, faults(verdict)
    assert extract_seal(pdf) == world.material().seal_der or len(extract_seal(pdf)) > 1000


@pytest.mark.parametrize("subfilter", [ETSI, ADOBE, GM])
@pytest.mark.parametrize("gm", [True, False], ids=["GB/T 35275", "RFC 5652"])
def test_sm2_and_sm3_in_a_cms_pass(world: World, trust: Trust, subfilter: str, gm: bool) -> None:
    verdict = verify(sm2_signed(world, certificate_page(), gm=gm, subfilter=subfilter), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, faults(verdict)
    assert (verdict.signatures[0].level, verdict.signatures[0].signing_time) == ("CMS", NOW)


def test_a_cms_without_attributes_passes_too(world: World, trust: Trust) -> None:
    pdf = sm2_signed(world, certificate_page(), gm=True, subfilter=ADOBE, attributes=False)
    assert told(pdf, trust) == (Indication.TOTAL_PASSED, set())
    at = pdf.index(b"/Title") + 10
    assert told(pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :], trust) == (Indication.TOTAL_FAILED, {"SIGNATURE"})


def test_a_certified_document_says_so(world: World, trust: Trust) -> None:
    verdict = verify(stamped(world, certificate_page(), certify=1), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert [check.detail for check in verdict.signatures[0].checks if check.name == "DOCMDP"] == ["changes permitted by the signer: P 1"]


def test_several_of_them_pass_one_after_another(world: World, trust: Trust, sealed: bytes) -> None:
    stranger = Stranger(world)
    for pdf in (
        stamped(world, sealed, field="Seal2"),
        sm2_signed(world, sealed, gm=True, subfilter=ETSI, field="Seal2"),
        stranger.sign(sealed, "Other"),
        stamped(world, stranger.sign(certificate_page(), "Other"), field="Seal2"),
    ):
        verdict = verify(pdf, trust, NOW)
        assert verdict.indication is Indication.TOTAL_PASSED, [(one.field, faults(verdict)) for one in verdict.signatures]
        assert len(verdict.signatures) == 2


# ── what was done afterwards


def appended(pdf: bytes, *, page: bool = False) -> bytes:
    """One more revision: validation data, or another content of the first page."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    if page:
        first = writer.find_page_for_modification(0)[0].get_object()
        first["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"BT ET"))
        writer.mark_update(writer.find_page_for_modification(0)[0])
    out = io.BytesIO()
    if not page:
        DocumentSecurityStore.supply_dss_in_writer(writer, None, crls=[], certs=[x509.Certificate.load(_CERTIFICATE[0])])
    writer.write(out)
    return out.getvalue()


_CERTIFICATE: list[bytes] = []


@pytest.fixture(autouse=True)
def certificate(world: World) -> None:
    _CERTIFICATE[:] = [world["root"].certificate]


def test_what_is_appended_is_said(trust: Trust, sealed: bytes) -> None:
    assert told(appended(sealed), trust) == (Indication.TOTAL_FAILED, {"COVERAGE"})
    assert told(appended(sealed, page=True), trust)[1] >= {"COVERAGE", "DOCMDP"}
    for tail in (b"\n", b"%more", b"\n%%EOF\n"):
        assert verify(sealed + tail, trust, NOW).indication is not Indication.TOTAL_PASSED


def test_a_page_changed_before_a_later_signature_is_said(world: World, trust: Trust, sealed: bytes) -> None:
    for pdf in (
        stamped(world, appended(sealed, page=True), field="Seal2"),
        Stranger(world).sign(appended(sealed, page=True), "Other"),
        sm2_signed(world, appended(sealed, page=True), gm=True, subfilter=ADOBE, field="Seal2"),
    ):
        indication, names = told(pdf, trust)
        assert (indication, "DOCMDP" in names) == (Indication.TOTAL_FAILED, True)


def test_a_seal_on_a_document_closed_by_another_is_said(world: World, trust: Trust) -> None:
    closed = stamped(world, certificate_page(), certify=1)
    assert told(stamped(world, closed, field="Seal2"), trust) == (Indication.TOTAL_FAILED, {"DOCMDP"})


def test_every_kind_of_changed_content_is_said(world: World, trust: Trust, sealed: bytes) -> None:
    at = sealed.index(b"/Title") + 10
    assert told(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], trust) == (Indication.TOTAL_FAILED, {"DATA_HASH"})
    signed = sm2_signed(world, certificate_page(), gm=True, subfilter=ETSI)
    at = signed.index(b"/Title") + 10
    assert told(signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :], trust) == (Indication.TOTAL_FAILED, {"DATA_HASH"})


def test_contents_have_one_spelling(trust: Trust, sealed: bytes) -> None:
    start, end, _ = gap(sealed)
    tail = sealed[: end - 2] + b"1" + sealed[end - 1 :]
    mixed = sealed[: start + 1] + sealed[start + 1 : start + 200].upper() + sealed[start + 200 :]
    spaced = sealed[: start + 1] + b" " + sealed[start + 1 : end - 2] + sealed[end - 1 :]
    for pdf in (tail, mixed, spaced):
        assert "CMS_FORM" in told(pdf, trust)[1] or verify(pdf, trust, NOW).indication is Indication.UNREADABLE


def _ranged(pdf: bytes, text: bytes) -> bytes:
    found = list(re.finditer(rb"/ByteRange\s*\[[^\]]*\]", pdf))[-1]
    return pdf[: found.start()] + b"/ByteRange [" + text.ljust(found.end() - found.start() - 13) + b"]" + pdf[found.end() :]


def test_ranges_that_are_not_the_whole_are_said(trust: Trust, sealed: bytes) -> None:
    start, end, rest = gap(sealed)
    for text in (
        b"0 %d %d %d" % (start, end, rest - 1),
        b"1 %d %d %d" % (start - 1, end, rest),
        b"0 %d %d %d" % (start - 5, end, rest),
        b"0 %d %d %d" % (start, end - 20, rest + 20),
        b"0 %d %d" % (start, end),
        b"0 0 0 0",
        b"0 -1 5 9",
        b"0 9 9999999 9",
        b"",
    ):
        indication, names = told(_ranged(sealed, text), trust)
        assert indication is Indication.TOTAL_FAILED, text
        assert names & {"COVERAGE", "FORMAT", "CMS_FORM"}, text


@pytest.mark.parametrize("contents", [b"", b"\x30\x00", b"\x30\x02\x05\x00", b"\x06\x01\x00", b"\xff" * 40])
@pytest.mark.parametrize("subfilter", [GM, ETSI])
def test_contents_that_are_nothing_never_pass_or_raise(trust: Trust, contents: bytes, subfilter: str) -> None:
    pdf = filled(hollow(certificate_page(), subfilter=subfilter), contents)
    assert verify(pdf, trust, NOW).indication in (Indication.TOTAL_FAILED, Indication.UNREADABLE)


CMS_CHANGES: dict[str, Change] = {
    "no set": lambda cms: cms.replace(b"\x31", b"\x30", 1),
    "another content type": lambda cms: cms.replace(bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010705"), 1),
    "another algorithm": lambda cms: cms.replace(bytes.fromhex("06082a811ccf55018375"), bytes.fromhex("06082a811ccf5501837f"), 1),
    "another digest": lambda cms: cms.replace(bytes.fromhex("06082a811ccf55018311"), bytes.fromhex("06082a811ccf55018312")),
    "another time": lambda cms: cms.replace(b"261121020000Z", b"261120020000Z"),
    "cut": lambda cms: cms[:-3],
}


@pytest.mark.parametrize("kind", CMS_CHANGES)
def test_a_bent_cms_is_said(world: World, trust: Trust, kind: str) -> None:
    empty = hollow(certificate_page(), subfilter=ADOBE)
    bent = CMS_CHANGES[kind](signed_data(world, covered(empty), gm=False))
    assert bent != signed_data(world, covered(empty), gm=False)[: len(bent)] or kind == "cut"
    indication, names = told(filled(empty, bent), trust)
    assert indication in (Indication.TOTAL_FAILED, Indication.UNREADABLE), names


def test_a_signer_who_is_revoked_or_unknown_is_said(world: World, trust: Trust) -> None:
    pdf = sm2_signed(world, certificate_page(), gm=True, subfilter=ETSI)
    dead = replace(trust, crls=world.crls(seal_sm=world.crl("seal-sm", {world["signer-sm"].serial: world.start})))
    assert told(pdf, dead) == (Indication.TOTAL_FAILED, {"REVOCATION"})
    assert told(pdf, Trust()) == (Indication.INDETERMINATE, {"CHAIN", "REVOCATION"})
    assert told(pdf, replace(trust, crls=())) == (Indication.INDETERMINATE, {"REVOCATION"})


# ── how others spell propertyInfo


def test_another_spelling_of_the_range_takes_a_rule(world: World, trust: Trust) -> None:
    empty = hollow(certificate_page())
    pdf = stamped(world, certificate_page(), named=",".join(map(str, (0, *gap(empty)))))
    assert told(pdf, trust) == (Indication.TOTAL_FAILED, {"DATA_HASH"})
    rules = AuthorityRules(fingerprint(world["root-sm"].certificate), SystemRules(tolerances=frozenset({Tolerance.PROPERTY_INFO})))
    verdict = verify(pdf, replace(trust, rules=(rules,)), NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert "TOLERATED" in {check.name for check in verdict.signatures[0].checks}


# ── taking the structures out


def test_stamps_are_taken_out_by_field_or_number(world: World, sealed: bytes) -> None:
    twice = stamped(world, sealed, field="Seal2")
    assert [one.name for one in stamps_in(twice)] == ["Seal1", "Seal2"]
    assert extract_stamp(twice) == extract_stamp(twice, "Seal2") == extract_stamp(twice, "2")
    assert extract_stamp(twice, "Seal1") == extract_stamp(sealed) == extract_stamp(twice, "1")
    assert extract_seal(twice, "Seal1") == seal_of(extract_stamp(sealed))
    assert extract_stamp(extract_stamp(sealed)) == extract_stamp(sealed)
    for field in ("Seal3", "0", "3", "-1"):
        with pytest.raises(NoStamp):
            extract_stamp(twice, field)
    with pytest.raises(NoStamp):
        extract_stamp(sm2_signed(world, certificate_page(), gm=True, subfilter=ETSI))
    with pytest.raises(NoStamp):
        extract_stamp(extract_seal(sealed))


def test_a_stamp_by_somebody_else_is_not_authorised(world: World, trust: Trust) -> None:
    spec = StampSpec(replace(usual(world).seal, listed=(octets(world["maker"].certificate),)), world["signer-sm"])
    assert "SIGNER_NOT_AUTHORISED" in told(stamped(world, certificate_page(), spec), trust)[1]
