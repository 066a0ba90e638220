"""Levels above B-B: what is written, in which order, and what is refused."""

import datetime as dt
import io
import subprocess
from pathlib import Path

import pytest
from asn1crypto import cms as cms_structures
from asn1crypto import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import ModificationLevel, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from keys.time.imprints import imprint_of
from keys.time.verification import verify_token
from seal import levels
from seal.cms import token_of, with_token
from seal.extraction import first_value
from seal.levels import NotUpgradable, Store, TokenTooLarge
from seal.pdf_reading import Foreign, Plain
from seal.signature_dictionary import recognise
from seal.stamping import stamp
from seal.stamping_press import TimeRoom
from tests.conftest import require_command
from tests.stamped import NOW, PLACE, World, certificate_page, pem

LATER = NOW + dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, bytes]:
    made = {level: world.stamped_at_level(level) for level in ("B-B", "B-T", "B-LT")}
    made["B-LTA"] = world.archived(made["B-LT"], NOW + dt.timedelta(seconds=2))
    made["renewed"] = world.archived(world.archived(made["B-B"], NOW + dt.timedelta(seconds=3)), NOW + dt.timedelta(seconds=4))
    made["again"] = world.archived(made["B-LTA"], NOW + dt.timedelta(seconds=4))
    return made


def context(world: World, at: dt.datetime = LATER) -> ValidationContext:
    return ValidationContext(
        trust_roots=[x509.Certificate.load(world["root"].certificate)],
        crls=[*world.crls(), world.crl("tsa")],
        revocation_mode="require",
        allow_fetching=False,
        moment=at,
    )


def contents(pdf: bytes, number: int = -1) -> bytes:
    signature = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[number]
    return first_value(bytes(signature.pkcs7_content))


def test_what_a_file_holds(files: dict[str, bytes]) -> None:
    told = {name: levels.look(pdf) for name, pdf in files.items()}
    assert {name: one.level for name, one in told.items()} == {
        "B-B": "PAdES-B-B",
        "B-T": "PAdES-B-T",
        "B-LT": "PAdES-B-T",
        "B-LTA": "PAdES-B-LTA",
        "renewed": "PAdES-B-LTA",
        "again": "PAdES-B-LTA",
    }
    assert [len(told[name].tokens) for name in files] == [0, 1, 1, 2, 2, 3]
    assert [len(told[name].timestamps) for name in files] == [0, 0, 0, 1, 2, 2]


def test_a_signature_time_stamp_changes_no_covered_octet(world: World) -> None:
    document = certificate_page()
    bare = stamp(world.permit(document), document, world.material(), PLACE, world.keystore, NOW, time_room=TimeRoom(levels.TOKEN_ROOM)).pdf
    stamped = world.time_stamped(bare)
    place = levels.look(stamped).last
    assert (stamped[: place.start], stamped[place.end :]) == (bare[: place.start], bare[place.end :])
    before, after = (cms_structures.ContentInfo.load(contents(one))["content"]["signer_infos"][0] for one in (bare, stamped))
    assert before["signature"].dump() == after["signature"].dump()
    assert before["signed_attrs"].dump() == after["signed_attrs"].dump()
    assert [one["type"].native for one in after["unsigned_attrs"]] == ["signature_time_stamp_token"]


def test_the_tokens_are_over_what_they_ought_to(world: World, files: dict[str, bytes]) -> None:
    pdf = files["B-LTA"]
    first, second = levels.look(pdf).tokens
    anchors = (world["root"].certificate,)
    assert verify_token(first, imprint_of(levels.unstamped(files["B-LT"]).imprint, "sha256"), anchors).instant > NOW
    signature = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[-1]
    assert verify_token(second, imprint_of(bytes(signature.compute_digest()), "sha256"), anchors).path[-1] == anchors[0]


@pytest.mark.parametrize("name", ["B-T", "B-LT"])
def test_nothing_stands_behind_the_signature_below_lta(files: dict[str, bytes], name: str) -> None:
    reader = PdfFileReader(io.BytesIO(files[name]))
    assert reader.total_revisions == 2
    (signature,) = reader.embedded_signatures
    signature.compute_integrity_info()
    assert signature.coverage is SignatureCoverageLevel.ENTIRE_FILE


def test_the_store_of_lt_brings_the_authority_that_will_stamp(world: World, files: dict[str, bytes]) -> None:
    store = levels.look(files["B-LT"]).store
    assert {world["stamper"].certificate, *world["stamper"].chain} <= set(store.certificates)
    assert set(world.material().validation.certificates) <= set(store.certificates)


def test_lta_writes_the_store_before_the_time_stamp_and_nothing_after_it(files: dict[str, bytes]) -> None:
    before, after = files["B-LT"], files["B-LTA"]
    assert after.startswith(before)
    reader = PdfFileReader(io.BytesIO(after))
    assert reader.total_revisions == 3
    last = reader.embedded_timestamp_signatures[-1]
    last.compute_integrity_info()
    assert last.coverage is SignatureCoverageLevel.ENTIRE_FILE
    store = int(reader.xrefs[reader.root.raw_get("/DSS").reference])
    assert len(before) <= store < last.byte_range[1]
    assert last.sig_object["/Type"] == "/DocTimeStamp"
    assert last.sig_object["/SubFilter"] == "/ETSI.RFC3161"


def test_what_the_store_had_is_not_written_again(world: World) -> None:
    pdf = world.stamped()
    had = levels.look(pdf).store
    again = world.archived(pdf, store=Store(had.certificates, had.crls))
    assert levels.look(again).store == had
    assert had.certificates[0] not in again[len(pdf) :]


def test_answers_of_a_responder_go_into_the_store(world: World) -> None:
    again = world.archived(world.stamped(), store=Store((), (), (b"\x30\x03\x0a\x01\x00",)))
    assert list(levels.look(again).store.responses) == [b"\x30\x03\x0a\x01\x00"]


@pytest.mark.parametrize("name", ["B-T", "B-LT", "B-LTA", "renewed"])
async def test_pyhanko_accepts_each_level(world: World, files: dict[str, bytes], name: str) -> None:
    reader = PdfFileReader(io.BytesIO(files[name]))
    status = await async_validate_pdf_signature(reader.embedded_regular_signatures[0], context(world))
    assert status.bottom_line
    assert status.modification_level is (ModificationLevel.LTA_UPDATES if reader.embedded_timestamp_signatures else ModificationLevel.NONE)
    if name != "renewed":
        assert status.timestamp_validity is not None
        assert status.timestamp_validity.valid
        assert status.timestamp_validity.trusted


@pytest.mark.parametrize("name", ["B-LTA", "again"])
async def test_pyhanko_validates_for_the_long_term(world: World, files: dict[str, bytes], name: str) -> None:
    """EN 319 102-1 §5.6.3, a month before the end of the lists, with nothing but the root and the file's own material."""
    trust = SimpleTrustManager.build(trust_roots=[x509.Certificate.load(world["root"].certificate)])
    policy = CertValidationPolicySpec(trust, CertRevTrustPolicy(REQUIRE_REVINFO), time_tolerance=dt.timedelta(0))
    gathering = RevocationInfoGatheringSpec(online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY)
    spec = PdfSignatureValidationSpec(SignatureValidationSpec(policy, gathering, ts_cert_validation_policy=policy))
    at = NOW + dt.timedelta(days=60)
    timing = ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=True)
    reader = PdfFileReader(io.BytesIO(files[name]))
    result = await ades_lta_validation(reader.embedded_regular_signatures[0], spec, timing)
    assert result.ades_subindic is AdESPassed.OK


def test_openssl_verifies_both_tokens_and_the_signature(world: World, files: dict[str, bytes], tmp_path: Path) -> None:
    openssl = require_command("openssl", "openssl")
    pdf = files["B-LTA"]
    (tmp_path / "root.pem").write_bytes(pem("CERTIFICATE", world["root"].certificate))
    chain = b"".join(pem("CERTIFICATE", one) for one in world["stamper"].chain[:-1])
    (tmp_path / "chain.pem").write_bytes(chain)
    at = str(int(LATER.timestamp()))
    covered = bytes(levels.Hollow(bytearray(pdf), *_span(pdf)).digest())
    digests = (levels.unstamped(files["B-LT"]).imprint, covered)
    for token, digest in zip(levels.look(pdf).tokens, digests, strict=True):
        (tmp_path / "token.der").write_bytes(token)
        command = [openssl, "ts", "-verify", "-token_in", "-in", "token.der", "-digest", digest.hex()]
        command += ["-CAfile", "root.pem", "-untrusted", "chain.pem", "-attime", at]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert "Verification: OK" in done.stdout, done.stderr
    place = levels.look(files["B-LT"]).last
    (tmp_path / "cms.der").write_bytes(contents(files["B-LT"]))
    (tmp_path / "covered.bin").write_bytes(files["B-LT"][: place.start] + files["B-LT"][place.end :])
    verify = [
        "cms",
        "-verify",
        "-cades",
        "-inform",
        "DER",
        "-in",
        "cms.der",
        "-content",
        "covered.bin",
        "-binary",
        "-CAfile",
        "root.pem",
        "-out",
        "/dev/null",
        "-attime",
    ]
    done = subprocess.run([openssl, *verify, at], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert "CAdES Verification successful" in done.stderr


def _span(pdf: bytes) -> tuple[int, int]:
    place = levels.look(pdf).last
    return place.start, place.end


def test_other_digests_are_stamped_when_sha256_ages(world: World) -> None:
    hollow, digest = levels.prepare(world.stamped(), Store(), algorithm="sha512")
    assert len(digest) == 64
    whole = levels.stamped(hollow, world.token(digest, algorithm="sha512"))
    signature = PdfFileReader(io.BytesIO(whole)).embedded_timestamp_signatures[-1]
    assert signature.compute_digest() == digest


def test_a_token_without_room_says_how_much_it_needs(world: World) -> None:
    pdf = world.stamped()
    with pytest.raises(TokenTooLarge):
        world.time_stamped(pdf)
    hollow = levels.append_timestamp(pdf, Store(), room=100)
    token = world.token(hollow.digest())
    with pytest.raises(TokenTooLarge) as refused:
        levels.stamped(hollow, token)
    assert refused.value.needed == len(token)


def test_a_signature_is_time_stamped_once(world: World, files: dict[str, bytes]) -> None:
    with pytest.raises(NotUpgradable):
        world.time_stamped(files["B-T"])
    with pytest.raises(NotUpgradable):
        world.time_stamped(files["B-LTA"])


@pytest.mark.parametrize("document", [b"", b"%PDF-1.7", certificate_page()], ids=["empty", "header", "unsigned"])
def test_what_is_not_sealed_by_us_is_not_upgraded(document: bytes) -> None:
    for refused in (levels.look, levels.unstamped, lambda pdf: levels.append_timestamp(pdf, Store())):
        with pytest.raises(NotUpgradable):
            refused(document)


def test_a_file_with_something_behind_its_signature_is_not_upgraded(files: dict[str, bytes]) -> None:
    for tail in (b"\n", b"% more\n", certificate_page()):
        with pytest.raises(NotUpgradable):
            levels.append_timestamp(files["B-B"] + tail, Store())


def test_the_token_can_be_read_back(world: World, files: dict[str, bytes]) -> None:
    message, token = contents(files["B-B"]), world.token(bytes(32))
    assert token_of(message) is None
    assert token_of(with_token(message, token)) == token


def test_both_readers_give_the_same_upgrade(files: dict[str, bytes]) -> None:
    store = Store((b"\x30\x00",), (b"\x30\x01\x00",))
    for pdf in files.values():
        made = [levels._append(pdf, reader(pdf), store, 64).octets for reader in (Plain, Foreign)]
        assert made[0] == made[1]


def test_a_p2_certification_is_spelled_so(world: World) -> None:
    document = certificate_page()
    pdf = stamp(world.permit(document), document, world.material(), PLACE, world.keystore, NOW, permission=2).pdf
    written = recognise(pdf, pdf.rindex(b"\n", 0, pdf.rindex(b" obj\n<</Type/Sig/")) + 1)
    assert written is not None
    assert written.permission == 2
    (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    assert signature.docmdp_level is not None
    assert signature.docmdp_level.value == 2
