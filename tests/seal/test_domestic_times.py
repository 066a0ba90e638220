"""SM2 in CMS as others write it: their time stamps asked as for PAdES, a time that has not come, and BER."""

import datetime as dt
import io

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers

from seal.trust import Trust
from seal.verdict import Indication, Outcome, SignatureVerdict
from seal.verification import verify
from tests.attacks.forged_bases import OwnStamper
from tests.attacks.forged_trailing import ber_tricks
from tests.domestic_pdf import covered, filled, gap, hollow, in_ber, sm2_signed
from tests.ofd_by_hand import LIST, Signing, description, listing, plain, signed_data, zipped
from tests.seal.test_verification_foreign import Stranger
from tests.ses_by_hand import DAY, TokenSpec, with_time
from tests.stamped import NOW, World, certificate_page

ETSI, ADOBE = "/ETSI.CAdES.detached", "/adbe.pkcs7.detached"
LATER = NOW + 40 * DAY


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    with_time(world)
    world.leaf("brief-stamper", "tsa-signer", "tsa", not_before=NOW - 20 * DAY, not_after=NOW + 10 * DAY)
    return world


def trust_of(world: World, at: dt.datetime = NOW, **revoked: dt.datetime) -> Trust:
    names = ("root", "root-sm", "seal", "seal-sm", "seal-maker", "tsa")
    dead = {world[name.replace("_", "-")].serial: since for name, since in revoked.items()}
    return Trust(tuple(world[name].certificate for name in names), tuple(world.crl(name, dead, this=at) for name in names))


def judged(pdf: bytes, trust: Trust, at: dt.datetime = NOW) -> tuple[Indication, str | None, SignatureVerdict]:
    verdict = verify(pdf, trust, at)
    return verdict.indication, verdict.sub_indication, verdict.signatures[0]


def outcomes(verdict: SignatureVerdict, name: str) -> list[Outcome]:
    return [check.outcome for check in verdict.checks if check.name == name]


def stamped(world: World, stamper: str, at: dt.datetime = NOW) -> bytes:
    return sm2_signed(world, certificate_page(), gm=True, subfilter=ETSI, timestamp=TokenSpec(world[stamper], at))


# ── time stamps


def test_a_time_stamp_proves_while_its_authority_is_good_now(world: World) -> None:
    dead = trust_of(world, LATER, signer_sm=NOW + DAY)
    pdf = stamped(world, "stamper")
    assert outcomes(judged(pdf, trust_of(world))[2], "TIMESTAMP") == [Outcome.PASSED]
    assert judged(pdf, dead, LATER)[0] is Indication.TOTAL_PASSED  # the signer was revoked after the proven instant


@pytest.mark.parametrize(
    ("stamper", "at", "revoked"),
    [
        pytest.param("brief-stamper", NOW, {}, id="expired since"),
        pytest.param("stamper", NOW, {"stamper": NOW + 2 * DAY}, id="revoked since"),
        pytest.param("stamper", NOW, {"tsa": NOW + 2 * DAY}, id="its authority revoked since"),
        pytest.param("stamper", LATER + DAY, {}, id="a time that has not come"),
        pytest.param("signer", NOW, {}, id="not for time stamping"),
    ],
)
def test_a_time_stamp_that_is_not_good_now_proves_nothing(
    world: World, stamper: str, at: dt.datetime, revoked: dict[str, dt.datetime]
) -> None:
    """The signer was revoked after the time that the token states: only a token that holds would save it."""
    dead = trust_of(world, LATER, signer_sm=NOW + DAY, **revoked)
    indication, reason, signature = judged(stamped(world, stamper, at), dead, LATER)
    assert (indication, reason) == (Indication.INDETERMINATE, "REVOKED_NO_POE")
    assert outcomes(signature, "TIMESTAMP") == [Outcome.NOTICE]


# ── the time that a signer states


def test_a_time_that_has_not_come_is_not_believed(world: World) -> None:
    trust = trust_of(world)
    tomorrow = (NOW + DAY).strftime("%y%m%d%H%M%SZ").encode()
    indication, reason, signature = judged(sm2_signed(world, certificate_page(), gm=False, subfilter=ADOBE, time=tomorrow), trust)
    assert (indication, reason) == (Indication.INDETERMINATE, "NOT_YET_VALID")
    assert outcomes(signature, "SIGNING_TIME") == [Outcome.FAILED]
    soon = (NOW + dt.timedelta(seconds=40)).strftime("%y%m%d%H%M%SZ").encode()  # clocks differ by seconds
    assert judged(sm2_signed(world, certificate_page(), gm=False, subfilter=ADOBE, time=soon), trust)[0] is Indication.TOTAL_PASSED


def test_a_time_that_has_not_come_is_not_believed_of_other_producers_either(world: World) -> None:
    """What pyHanko signed, judged a day before it says so."""
    pdf = Stranger(world).sign(certificate_page())
    indication, reason, signature = judged(pdf, trust_of(world, NOW - DAY), NOW - DAY)
    assert (indication, reason) == (Indication.INDETERMINATE, "NOT_YET_VALID")
    assert outcomes(signature, "SIGNING_TIME") == [Outcome.FAILED]
    assert outcomes(judged(pdf, trust_of(world))[2], "SIGNING_TIME") == []


def test_a_document_time_stamp_that_has_not_come_is_not_believed(world: World) -> None:
    tool = signers.PdfTimeStamper(OwnStamper(world, NOW + DAY))
    pdf = bytes(tool.timestamp_pdf(IncrementalPdfFileWriter(io.BytesIO(certificate_page())), "sha256").getvalue())
    assert judged(pdf, trust_of(world))[:2] == (Indication.INDETERMINATE, "NOT_YET_VALID")
    assert judged(pdf, trust_of(world, NOW + DAY), NOW + DAY)[0] is Indication.TOTAL_PASSED


# ── BER


@pytest.mark.parametrize("gm", [True, False], ids=["GB/T 35275", "RFC 5652"])
@pytest.mark.parametrize("subfilter", [ETSI, ADOBE])
def test_a_message_without_lengths_is_judged_in_der_and_said(world: World, gm: bool, subfilter: str) -> None:
    pdf = ber_signed(world, gm=gm, subfilter=subfilter)
    indication, _, signature = judged(pdf, trust_of(world))
    assert indication is Indication.TOTAL_PASSED, signature.checks
    assert outcomes(signature, "CMS_FORM")[0] is Outcome.NOTICE
    at = pdf.index(b"/Title") + 10
    assert judged(pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :], trust_of(world))[:2] == (Indication.TOTAL_FAILED, "HASH_FAILURE")


def ber_signed(world: World, *, gm: bool, subfilter: str) -> bytes:
    empty = hollow(certificate_page(), subfilter=subfilter)
    return filled(empty, in_ber(signed_data(world, covered(empty), gm=gm)))


def test_what_ber_leaves_to_a_forger_is_not_taken(world: World) -> None:
    trust = trust_of(world)
    forged = dict(ber_tricks(ber_signed(world, gm=False, subfilter=ADOBE)))
    assert len(forged) == 13
    for trick, pdf in forged.items():
        assert verify(pdf, trust, NOW).indication in (Indication.TOTAL_FAILED, Indication.UNREADABLE), trick


def test_every_octet_of_such_a_message_counts(world: World) -> None:
    pdf = ber_signed(world, gm=True, subfilter=ETSI)
    trust = trust_of(world)
    start, end, _ = gap(pdf)
    message = bytes.fromhex(pdf[start + 1 : end - 1].decode()).rstrip(b"\0")
    for at in range(0, len(message), 37):
        bent = message[:at] + bytes([message[at] ^ 0x41]) + message[at + 1 :]
        assert verify(filled(pdf, bent), trust, NOW).indication is not Indication.TOTAL_PASSED, at


def test_an_ofd_with_a_message_without_lengths_passes_with_a_notice(world: World) -> None:
    """SignedValue.dat is no hole of a fixed size: nothing may stand behind the message."""
    how = Signing(type="Sign", with_seal=False)
    encoded = description(plain(), how)
    message = in_ber(signed_data(world, encoded))
    parts = plain() | {f"{how.folder}/Signature.xml": encoded, f"{how.folder}/SignedValue.dat": message, LIST: listing([how])}
    indication, _, signature = judged(zipped(parts), trust_of(world))
    assert indication is Indication.TOTAL_PASSED, signature.checks
    assert outcomes(signature, "CMS_FORM") == [Outcome.NOTICE]
    behind = parts | {f"{how.folder}/SignedValue.dat": message + b"\0"}
    assert judged(zipped(behind), trust_of(world))[:2] == (Indication.TOTAL_FAILED, "FORMAT_FAILURE")
