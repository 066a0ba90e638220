"""Our own profile at every level, judged when it is proven to have existed and now (EN 319 102-1 §5.5, §5.6)."""

import datetime as dt
from dataclasses import replace

import pytest
from asn1crypto import cms

from seal import levels
from seal.cms import token_of, with_token
from seal.extraction import first_value
from seal.trust import Trust
from seal.verdict import Indication, Outcome, SignatureVerdict, Verdict
from seal.verification import verify
from tests.stamped import NOW, World

PASSED, FAILED, OPEN = Indication.TOTAL_PASSED, Indication.TOTAL_FAILED, Indication.INDETERMINATE
SECOND, DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
SOON = NOW + dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, bytes]:
    made = {level: world.stamped_at_level(level) for level in ("B-B", "B-T", "B-LT")}
    made["B-LTA"] = world.archived(made["B-LT"], NOW + 2 * SECOND)
    made["B-B to B-LTA"] = world.archived(made["B-B"], NOW + 3 * SECOND)
    made["renewed"] = world.archived(made["B-LTA"], NOW + 4 * SECOND)
    made["renewed twice"] = world.archived(made["renewed"], NOW + 5 * SECOND)
    return made


@pytest.fixture(scope="module")
def trust(world: World) -> Trust:
    return Trust(world.trust.certificates, (world.crl("tsa"),))


def found(signature: SignatureVerdict, name: str) -> list[tuple[Outcome, str]]:
    return [(check.outcome, check.detail) for check in signature.checks if check.name == name]


def seal_of(verdict: Verdict) -> SignatureVerdict:
    return verdict.signatures[0]


LEVELS = {
    "B-B": ("PAdES-B-B", 0),
    "B-T": ("PAdES-B-T", 0),
    "B-LT": ("PAdES-B-LT", 0),
    "B-LTA": ("PAdES-B-LTA", 1),
    "B-B to B-LTA": ("PAdES-B-LTA", 1),
    "renewed": ("PAdES-B-LTA", 2),
    "renewed twice": ("PAdES-B-LTA", 3),
}


@pytest.mark.parametrize("name", LEVELS)
def test_every_level_passes_and_says_when(files: dict[str, bytes], trust: Trust, name: str) -> None:
    verdict = verify(files[name], trust, SOON)
    assert (verdict.indication, verdict.sub_indication) == (PASSED, None), verdict.to_json()
    seal, *stamps = verdict.signatures
    assert (seal.level, len(stamps)) == LEVELS[name]
    assert {stamp.level for stamp in stamps} <= {"TIMESTAMP"}
    ((outcome, detail),) = found(seal, "TIMESTAMP")
    expected = (NOW + 3 * SECOND) if name == "B-B to B-LTA" else NOW + SECOND
    assert (outcome is Outcome.PASSED and f"{expected:%Y-%m-%dT%H:%M:%SZ}" in detail) is (name != "B-B")
    assert [one for one, _ in found(seal, "STATUS_NOW")] == ([] if name == "B-B" else [Outcome.PASSED])


@pytest.mark.parametrize("name", ["B-LT", "B-LTA", "renewed twice"])
def test_an_expired_signer_passes_with_a_valid_time_stamp(world: World, files: dict[str, bytes], name: str) -> None:
    """The signer's certificate ends; the authority's, and its lists, go on."""
    short = World(world.folder, end=NOW + 400 * DAY)
    short.leaf("signer", "document-signer", "seal", not_after=NOW + 10 * DAY)
    pdf = short.stamped_at_level("B-LT")
    for step in range({"B-LT": 0, "B-LTA": 1, "renewed twice": 3}[name]):
        pdf = short.archived(pdf, NOW + (2 + step) * SECOND)
    fresh = tuple(short.crl(one, this=NOW + 19 * DAY) for one in ("root", "seal", "root-sm", "seal-sm", "seal-maker", "tsa"))
    trust = Trust(short.trust.certificates, fresh)
    verdict = verify(pdf, trust, NOW + 20 * DAY)
    assert verdict.indication is PASSED, verdict.to_json()
    ((outcome, detail),) = found(seal_of(verdict), "STATUS_NOW")
    assert outcome is Outcome.NOTICE
    assert "not within its validity now" in detail
    bare = verify(short.stamped(), trust, NOW + 20 * DAY)
    assert (bare.indication, bare.sub_indication) == (OPEN, "OUT_OF_BOUNDS_NO_POE")


def revoked(world: World, since: dt.datetime, this: dt.datetime) -> Trust:
    lists = [world.crl(one, this=this) for one in ("root", "root-sm", "seal-sm", "seal-maker", "tsa")]
    return Trust(world.trust.certificates, (*lists, world.crl("seal", {world["signer"].serial: since}, this=this)))


@pytest.mark.parametrize("name", ["B-T", "B-LT", "B-LTA", "B-B to B-LTA"])
def test_a_signer_revoked_after_the_proven_time_passes_with_a_notice(world: World, files: dict[str, bytes], name: str) -> None:
    at = NOW + 6 * DAY
    verdict = verify(files[name], revoked(world, NOW + 5 * DAY, at), at)
    assert verdict.indication is PASSED, verdict.to_json()
    ((outcome, detail),) = found(seal_of(verdict), "STATUS_NOW")
    assert outcome is Outcome.NOTICE
    assert "it would not be good today" in detail


@pytest.mark.parametrize("name", ["B-B", "B-T", "B-LT", "B-LTA", "renewed"])
def test_a_signer_revoked_before_the_proven_time_fails(world: World, files: dict[str, bytes], name: str) -> None:
    at = NOW + 6 * DAY
    verdict = verify(files[name], revoked(world, NOW - DAY, at), at)
    assert (verdict.indication, verdict.sub_indication) == (FAILED, "REVOKED")


def test_without_a_time_stamp_a_later_revocation_leaves_it_open(world: World, files: dict[str, bytes]) -> None:
    at = NOW + 6 * DAY
    verdict = verify(files["B-B"], revoked(world, NOW + 5 * DAY, at), at)
    assert (verdict.indication, verdict.sub_indication) == (OPEN, "REVOKED_NO_POE")


def test_a_revoked_time_stamping_authority_proves_nothing(world: World, files: dict[str, bytes]) -> None:
    at = NOW + 6 * DAY
    crl = world.crl("tsa", {world["stamper"].serial: NOW - DAY}, this=NOW + 5 * DAY)
    verdict = verify(files["B-LTA"], replace(revoked(world, NOW + 5 * DAY, at), crls=(*revoked(world, NOW + 5 * DAY, at).crls, crl)), at)
    assert verdict.indication is OPEN


def test_a_time_stamp_by_a_stranger_proves_nothing(world: World, trust: Trust) -> None:
    stranger = World(world.folder, prefix="Stranger")
    pdf = world.stamped_at_level("B-LT")
    hollow, digest = levels.prepare(pdf, levels.Store())
    verdict = verify(levels.stamped(hollow, stranger.token(digest, NOW + 2 * SECOND)), trust, SOON)
    assert verdict.indication is OPEN


def test_a_time_stamp_older_than_the_claimed_time_does_not_pass(world: World, trust: Trust) -> None:
    hollow, digest = levels.prepare(world.stamped(), levels.Store())
    verdict = verify(levels.stamped(hollow, world.token(digest, NOW - dt.timedelta(hours=1))), trust, SOON)
    assert verdict.indication is OPEN
    assert verdict.sub_indication == "TIMESTAMP_ORDER_FAILURE"


def tampered(pdf: bytes, change: bytes, where: int) -> bytes:
    out = bytearray(pdf)
    out[where : where + len(change)] = change
    return bytes(out)


def test_no_octet_of_a_token_can_be_changed(world: World, files: dict[str, bytes], trust: Trust) -> None:
    """Every eleventh octet of the signature's token in B-T, of the document's in B-LTA: none passes with its time stamp."""
    message = levels.look(files["B-T"]).signatures[-1]
    token = token_of(first_value(bytes.fromhex(message.contents.decode())))
    assert token is not None
    start = message.start + 1 + bytes.fromhex(message.contents.decode()).index(token) * 2
    for step in range(0, len(token), 11):
        at = start + 2 * step
        pdf = tampered(files["B-T"], b"%02x" % (int(files["B-T"][at : at + 2], 16) ^ 1), at)
        assert verify(pdf, trust, SOON).indication is not PASSED, step
    stamp = levels.look(files["B-LTA"]).timestamps[-1]
    used = len(first_value(bytes.fromhex(stamp.contents.decode())))
    for step in range(0, used, 11):
        at = stamp.start + 1 + 2 * step
        pdf = tampered(files["B-LTA"], b"%02x" % (int(files["B-LTA"][at : at + 2], 16) ^ 1), at)
        assert verify(pdf, trust, SOON).indication is not PASSED, step


def test_a_token_over_another_signature_fails(world: World, files: dict[str, bytes], trust: Trust) -> None:
    place = levels.look(files["B-T"]).signatures[-1]
    text = bytes.fromhex(place.contents.decode())
    message = first_value(text)
    token = token_of(message)
    assert token is not None
    bare = first_value(bytes.fromhex(levels.look(world.stamped_at_level("B-T")).signatures[-1].contents.decode()))
    assert token_of(bare) is not None
    other = world.token(b"\7" * 32, NOW + SECOND)
    again = with_token(_without_token(message, token), other)
    digits = again.hex().encode().ljust(len(place.contents), b"0")
    verdict = verify(tampered(files["B-T"], digits, place.start + 1), trust, SOON)
    assert verdict.indication is not PASSED


def _without_token(message: bytes, token: bytes) -> bytes:
    info = cms.ContentInfo.load(message)
    (signer_info,) = info["content"]["signer_infos"]
    signer_info["unsigned_attrs"] = None
    return bytes(info.dump(force=True))
