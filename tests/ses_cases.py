"""Structures with one fault each, and the verdict each must get: the table of ``tests/seal/test_stamps_by_hand.py``."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from keys.trust.entries import Scope
from seal.foreign_rules import Algorithm as SealAlgorithm
from seal.foreign_rules import Encoding, SystemRules, Tolerance
from seal.verdict import Indication, Outcome
from tests.ses_by_hand import DAY, RSA_SHA256, SIGNATURE_XML, SM2_UNDER_CURVE, StampSpec, TokenSpec, digest_of, extension, octets
from tests.stamped import NOW, World

P, F, U, N = Outcome.PASSED, Outcome.FAILED, Outcome.INDETERMINATE, Outcome.NOTICE
HASH = bytes(32)


@dataclass(frozen=True)
class Asked:
    """How a case is asked: what is revoked (name → when), when it is judged, what is covered, rules, trust."""

    revoked: dict[str, dt.datetime] = field(default_factory=dict)
    at: dt.datetime = NOW
    digest: bytes = HASH
    named: str = SIGNATURE_XML
    rules: SystemRules | None = None
    scope: Scope | None = None
    proven: dt.datetime | None = None


Bend = Callable[[World, StampSpec], StampSpec]


def seal(**changes: Any) -> Bend:
    return lambda world, spec: replace(spec, seal=replace(spec.seal, **_resolved(world, changes)))


def stamp(**changes: Any) -> Bend:
    return lambda world, spec: replace(spec, **_resolved(world, changes))


def both(first: Bend, second: Bend) -> Bend:
    return lambda world, spec: second(world, first(world, spec))


def _resolved(world: World, changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value(world) if callable(value) else value for name, value in changes.items()}


def of(version: int) -> Bend:
    return both(seal(version=version), stamp(version=version))


def party(name: str) -> Callable[[World], Any]:
    return lambda world: world[name]


def listing(*names: str) -> Callable[[World], Any]:
    return lambda world: tuple(octets(world[name].certificate) for name in names)


def digests(*names: str, kind: str = "SM3") -> Callable[[World], Any]:
    return lambda world: tuple(digest_of(world[name].certificate, kind) for name in names)


def time_stamp(name: str = "stamper", **changes: Any) -> Callable[[World], Any]:
    return lambda world: TokenSpec(world[name], **changes)


SAME: Bend = lambda world, spec: spec  # noqa: E731 - a bend that bends nothing


@dataclass(frozen=True)
class Case:
    """``name``: the check; ``outcome``: what it says; ``whole``: what that makes of everything."""

    id: str
    bend: Bend
    name: str
    outcome: Outcome
    whole: tuple[Indication, str | None]
    asked: Asked = Asked()
    lacking: str = ""


PASSED = (Indication.TOTAL_PASSED, None)


def broken(sub: str) -> tuple[Indication, str]:
    return Indication.TOTAL_FAILED, sub


def opened(sub: str) -> tuple[Indication, str]:
    return Indication.INDETERMINATE, sub


LOOSE = SystemRules(tolerances=frozenset(Tolerance))
LATER = NOW + 40 * DAY
CRITICAL = (extension(), extension(critical=True))
BRIEFLY = stamp(timestamp=time_stamp("brief-stamper"))
OLD_SEAL = seal(timestamp=time_stamp("brief-stamper", at=NOW - DAY))
CASES = [
    # What is right, in every generation and spelling of the list of signers
    *(Case(f"good-{v}", of(v), "STAMP_SIGNATURE", P, PASSED) for v in (1, 4, 5)),
    *(
        Case(f"good-{v}-digests", both(of(v), seal(stated_type=2, listed=digests("signer-sm"))), "SIGNER_NOT_AUTHORISED", P, PASSED)
        for v in (4, 5)
    ),
    Case(
        "good-digest-oid", seal(stated_type=2, listed=digests("signer-sm", kind="1.2.156.10197.1.401")), "SIGNER_NOT_AUTHORISED", P, PASSED
    ),
    Case("good-digest-sha256", seal(stated_type=2, listed=digests("signer-sm", kind="SHA-256")), "SIGNER_NOT_AUTHORISED", P, PASSED),
    Case("good-extensions", both(seal(extensions=(extension(),)), stamp(extensions=(extension(),))), "STAMP_FORMAT", P, PASSED),
    # Marked critical and known to nobody: nothing is forged, and nobody may rely on it
    *(Case(f"critical-stamp-{v}", both(of(v), stamp(extensions=CRITICAL)), "STAMP_EXTENSION", U, opened("GENERIC")) for v in (4, 5)),
    *(Case(f"critical-seal-{v}", both(of(v), seal(extensions=CRITICAL)), "SEAL_EXTENSION", U, opened("GENERIC")) for v in (1, 4, 5)),
    Case("never-critical", stamp(extensions=CRITICAL), "STAMP_EXTENSION", U, opened("GENERIC"), Asked(rules=LOOSE)),
    Case("good-oid-of-the-curve", both(seal(algorithm=SM2_UNDER_CURVE), stamp(algorithm=SM2_UNDER_CURVE)), "SEAL_SIGNATURE", P, PASSED),
    Case("seal-4-in-stamp-5", seal(version=4), "SEAL_FORMAT", P, PASSED),
    # r || s instead of DER: believed, with a notice
    *(Case(f"raw-{v}", both(of(v), stamp(raw_signature=True)), "SIGNATURE_ENCODING", N, PASSED) for v in (1, 4, 5)),
    *(Case(f"raw-{v}-passes", both(of(v), stamp(raw_signature=True)), "STAMP_SIGNATURE", P, PASSED) for v in (1, 4, 5)),
    Case("raw-seal", seal(raw_signature=True), "SEAL_SIGNATURE", P, PASSED),
    # The stamp
    *(Case(f"broken-{v}", both(of(v), stamp(broken=True)), "STAMP_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE")) for v in (1, 4, 5)),
    *(
        Case(f"broken-raw-{v}", both(of(v), stamp(broken=True, raw_signature=True)), "STAMP_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE"))
        for v in (1, 4, 5)
    ),
    Case("algorithm", stamp(algorithm=RSA_SHA256), "STAMP_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE")),
    Case("unlisted", seal(listed=listing("other-signer")), "SIGNER_NOT_AUTHORISED", F, opened("SIG_CONSTRAINTS_FAILURE")),
    Case("unlisted-1", both(of(1), seal(listed=listing("other-signer"))), "SIGNER_NOT_AUTHORISED", F, opened("SIG_CONSTRAINTS_FAILURE")),
    Case("unlisted-empty", seal(listed=()), "SIGNER_NOT_AUTHORISED", F, opened("SIG_CONSTRAINTS_FAILURE")),
    Case(
        "unlisted-digest",
        seal(stated_type=2, listed=digests("other-signer")),
        "SIGNER_NOT_AUTHORISED",
        F,
        opened("SIG_CONSTRAINTS_FAILURE"),
    ),
    Case(
        "unlisted-md5",
        seal(stated_type=2, listed=digests("signer-sm", kind="MD5")),
        "SIGNER_NOT_AUTHORISED",
        F,
        opened("SIG_CONSTRAINTS_FAILURE"),
    ),
    Case("list-of-another-type", seal(stated_type=2), "SEAL_FORMAT", F, broken("FORMAT_FAILURE")),
    Case("list-type-3", seal(stated_type=3), "SEAL_FORMAT", F, broken("FORMAT_FAILURE")),
    Case("no-list-type", seal(stated_type=None), "SEAL_FORMAT", F, broken("FORMAT_FAILURE")),
    Case("version-3", stamp(version=3), "STAMP_FORMAT", F, broken("FORMAT_FAILURE")),
    Case("utc-time", stamp(utc_times=True), "STAMP_FORMAT", F, broken("FORMAT_FAILURE")),
    Case("no-time-1", both(of(1), stamp(time_info=b"")), "STAMP_FORMAT", F, broken("FORMAT_FAILURE")),
    Case(
        "stranger",
        both(seal(listed=listing("strange-signer")), stamp(signer=party("strange-signer"))),
        "SIGNER_CHAIN",
        U,
        opened("NO_CERTIFICATE_CHAIN_FOUND"),
    ),
    Case(
        "signer-no-signature-use",
        both(seal(listed=listing("seal-sm")), stamp(signer=party("seal-sm"))),
        "SIGNER_KEY_USAGE",
        F,
        opened("CHAIN_CONSTRAINTS_FAILURE"),
    ),
    Case("future", stamp(time=NOW + DAY), "STAMP_TIME_INVALID", F, opened("NOT_YET_VALID")),
    Case(
        "expired-signer",
        both(seal(listed=listing("old-signer")), stamp(signer=party("old-signer"))),
        "STAMP_TIME_INVALID",
        F,
        opened("OUT_OF_BOUNDS_NO_POE"),
    ),
    Case(
        "expired-since",
        both(
            seal(listed=listing("old-signer"), created=NOW - 9 * DAY, valid_from=NOW - 9 * DAY),
            stamp(signer=party("old-signer"), time=NOW - 2 * DAY),
        ),
        "STAMP_TIME_INVALID",
        U,
        opened("OUT_OF_BOUNDS_NO_POE"),
    ),
    Case(
        "expired-since-proven",
        both(
            seal(listed=listing("old-signer"), created=NOW - 9 * DAY, valid_from=NOW - 9 * DAY),
            stamp(signer=party("old-signer"), time=NOW - 2 * DAY, timestamp=time_stamp(at=NOW - 2 * DAY)),
        ),
        "STAMP_TIME_INVALID",
        P,
        PASSED,
    ),
    Case("revoked-signer", SAME, "SIGNER_REVOKED", F, broken("REVOKED"), Asked({"signer-sm": NOW - DAY})),
    Case("revoked-after", SAME, "SIGNER_REVOKED", F, opened("REVOKED_NO_POE"), Asked({"signer-sm": NOW + DAY}, at=LATER)),
    Case("revoked-after-proven", stamp(timestamp=time_stamp()), "SIGNER_REVOKED", P, PASSED, Asked({"signer-sm": NOW + DAY}, at=LATER)),
    Case("revoked-after-proven-around", SAME, "SIGNER_REVOKED", P, PASSED, Asked({"signer-sm": NOW + DAY}, at=LATER, proven=NOW)),
    Case("hash", SAME, "DATA_HASH", F, broken("HASH_FAILURE"), Asked(digest=b"\1" * 32)),
    *(Case(f"hash-{v}", of(v), "DATA_HASH", F, broken("HASH_FAILURE"), Asked(digest=b"\1" * 32)) for v in (1, 4)),
    Case("short-hash", stamp(digest=bytes(31)), "DATA_HASH", F, broken("HASH_FAILURE")),
    Case("place", SAME, "DATA_HASH", F, broken("FORMAT_FAILURE"), Asked(named="/Doc_0/Signs/Sign_1/Signature.xml")),
    Case("time-stamp", stamp(timestamp=time_stamp()), "STAMP_TIMESTAMP", P, PASSED),
    Case("time-stamp-of-else", stamp(timestamp=time_stamp(over=b"else")), "STAMP_TIMESTAMP", F, opened("NO_POE")),
    Case("time-stamp-of-stranger", stamp(timestamp=time_stamp("strange-stamper")), "STAMP_TIMESTAMP", U, opened("NO_POE")),
    Case("time-stamp-too-old", stamp(timestamp=time_stamp(at=NOW - DAY / 24)), "STAMP_TIMESTAMP", F, opened("SIG_CONSTRAINTS_FAILURE")),
    Case("time-stamp-to-come", stamp(timestamp=time_stamp(at=NOW + DAY)), "STAMP_TIMESTAMP", F, opened("NOT_YET_VALID")),
    Case("time-stamp-good-then", BRIEFLY, "STAMP_TIMESTAMP", P, PASSED),
    Case("time-stamp-expired", BRIEFLY, "STAMP_TIMESTAMP", U, opened("OUT_OF_BOUNDS_NO_POE"), Asked(at=LATER)),
    Case("time-stamp-proves-no-more", BRIEFLY, "SIGNER_REVOKED", F, opened("REVOKED_NO_POE"), Asked({"signer-sm": NOW + DAY}, at=LATER)),
    Case(
        "time-stamp-due-expired",
        BRIEFLY,
        "STAMP_TIMESTAMP",
        F,
        opened("NO_POE"),
        Asked(at=LATER, rules=SystemRules(timestamp_required=True)),
    ),
    Case("time-stamp-authority-revoked", stamp(timestamp=time_stamp()), "STAMP_TIMESTAMP", U, opened("NO_POE"), Asked({"tsa": NOW - DAY})),
    Case("time-stamp-for-else", stamp(timestamp=time_stamp("signer")), "STAMP_TIMESTAMP", F, opened("NO_POE")),
    Case("time-stamp-revoked", stamp(timestamp=time_stamp()), "STAMP_TIMESTAMP", U, opened("NO_POE"), Asked({"stamper": NOW - DAY})),
    # The seal
    *(Case(f"broken-seal-{v}", both(of(v), seal(broken=True)), "SEAL_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE")) for v in (1, 4, 5)),
    Case("made-outside", both(seal(maker=party("young-maker")), SAME), "SEAL_MADE_TIME", F, opened("SIG_CONSTRAINTS_FAILURE")),
    Case("made-outside-4", both(of(4), seal(maker=party("young-maker"))), "SEAL_FORMAT", P, PASSED, lacking="SEAL_MADE_TIME"),
    Case("strange-maker", seal(maker=party("strange-maker")), "MAKER_CHAIN", U, opened("NO_CERTIFICATE_CHAIN_FOUND")),
    Case("maker-no-signature-use", seal(maker=party("seal-maker")), "MAKER_KEY_USAGE", F, opened("CHAIN_CONSTRAINTS_FAILURE")),
    Case("expired-maker-5", seal(maker=party("old-maker")), "MAKER_EXPIRED", N, PASSED),
    *(
        Case(f"expired-maker-{v}", both(of(v), seal(maker=party("old-maker"))), "MAKER_EXPIRED", F, opened("OUT_OF_BOUNDS_NO_POE"))
        for v in (1, 4)
    ),
    Case("revoked-maker-5", SAME, "MAKER_REVOKED", N, PASSED, Asked({"maker": NOW - DAY / 2})),
    *(Case(f"revoked-maker-{v}", of(v), "MAKER_REVOKED", F, opened("REVOKED_NO_POE"), Asked({"maker": NOW - DAY / 2})) for v in (1, 4)),
    *(Case(f"made-after-revocation-{v}", of(v), "MAKER_REVOKED", F, broken("REVOKED"), Asked({"maker": NOW - 2 * DAY})) for v in (1, 4, 5)),
    Case("seal-not-yet", seal(valid_from=NOW + DAY), "SEAL_NOT_YET_VALID", F, opened("NOT_YET_VALID")),
    *(
        Case(f"seal-expired-{v}", both(of(v), seal(valid_to=NOW - DAY / 2)), "SEAL_EXPIRED", F, opened("OUT_OF_BOUNDS_NO_POE"))
        for v in (1, 4, 5)
    ),
    Case("seal-time-stamp", seal(timestamp=time_stamp(at=NOW - DAY)), "SEAL_TIMESTAMP", P, PASSED),
    Case("seal-time-stamp-expired", OLD_SEAL, "SEAL_TIMESTAMP", U, opened("OUT_OF_BOUNDS_NO_POE"), Asked(at=LATER)),
    Case("seal-time-stamp-expired-proven", both(OLD_SEAL, stamp(timestamp=time_stamp())), "SEAL_TIMESTAMP", P, PASSED, Asked(at=LATER)),
    Case("seal-time-stamp-expired-proven-around", OLD_SEAL, "SEAL_TIMESTAMP", P, PASSED, Asked(at=LATER, proven=NOW)),
    Case("seal-time-stamp-of-else", seal(timestamp=time_stamp(at=NOW - DAY, over=b"else")), "SEAL_TIMESTAMP", F, opened("NO_POE")),
    Case("seal-time-stamp-of-stranger", seal(timestamp=time_stamp("strange-stamper", at=NOW - DAY)), "SEAL_TIMESTAMP", U, opened("NO_POE")),
    Case(
        "seal-time-stamped-before-made",
        seal(timestamp=time_stamp(at=NOW - 2 * DAY)),
        "SEAL_TIME_ORDER",
        F,
        opened("SIG_CONSTRAINTS_FAILURE"),
    ),
    Case(
        "seal-time-stamped-after-use",
        both(stamp(time=NOW - DAY / 2), seal(timestamp=time_stamp(at=NOW))),
        "SEAL_TIME_ORDER",
        F,
        opened("SIG_CONSTRAINTS_FAILURE"),
    ),
    Case("used-before-made", stamp(time=NOW - 2 * DAY), "SEAL_TIME_ORDER", F, opened("NOT_YET_VALID")),
    Case(
        "validity-backwards", seal(valid_from=NOW - DAY / 4, valid_to=NOW - DAY / 2), "SEAL_TIME_ORDER", F, opened("OUT_OF_BOUNDS_NO_POE")
    ),
    Case("no-order-in-4", both(of(4), seal(created=NOW + DAY / 24)), "SEAL_FORMAT", P, PASSED, lacking="SEAL_TIME_ORDER"),
    # The bounds of trust
    Case("in-scope", SAME, "OUT_OF_SCOPE", P, PASSED, Asked(scope=Scope(divisions=("990100",)))),
    Case("out-of-scope", SAME, "OUT_OF_SCOPE", F, opened("SIG_CONSTRAINTS_FAILURE"), Asked(scope=Scope(divisions=("990200",)))),
    # What rules for a system put up with, and what they do not
    Case("tolerated-utc", both(stamp(utc_times=True), seal(utc_times=True)), "TOLERATED", N, PASSED, Asked(rules=LOOSE)),
    Case("tolerated-no-type", seal(stated_type=None), "TOLERATED", N, PASSED, Asked(rules=LOOSE)),
    Case("tolerated-place", stamp(named=SIGNATURE_XML[1:]), "TOLERATED", N, PASSED, Asked(rules=LOOSE)),
    Case("tolerated-range", stamp(named="0,10,20,30"), "TOLERATED", N, PASSED, Asked(rules=LOOSE, named="[0 10 20 30]")),
    Case("tolerated-stranger", stamp(timestamp=time_stamp("strange-stamper")), "TOLERATED", N, PASSED, Asked(rules=LOOSE)),
    Case(
        "tolerated-seal-stranger", seal(timestamp=time_stamp("strange-stamper", at=NOW - DAY)), "TOLERATED", N, PASSED, Asked(rules=LOOSE)
    ),
    Case(
        "other-rules",
        stamp(utc_times=True),
        "STAMP_FORMAT",
        F,
        broken("FORMAT_FAILURE"),
        Asked(rules=SystemRules(timestamp_required=False)),
    ),
    Case("never-another-place", stamp(named="/Doc_0/Other.xml"), "DATA_HASH", F, broken("FORMAT_FAILURE"), Asked(rules=LOOSE)),
    Case("never-hash", SAME, "DATA_HASH", F, broken("HASH_FAILURE"), Asked(rules=LOOSE, digest=b"\1" * 32)),
    Case("never-signature", stamp(broken=True), "STAMP_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE"), Asked(rules=LOOSE)),
    Case("never-seal-signature", seal(broken=True), "SEAL_SIGNATURE", F, broken("SIG_CRYPTO_FAILURE"), Asked(rules=LOOSE)),
    Case("never-unlisted", seal(listed=()), "SIGNER_NOT_AUTHORISED", F, opened("SIG_CONSTRAINTS_FAILURE"), Asked(rules=LOOSE)),
    Case("never-revoked", SAME, "SIGNER_REVOKED", F, broken("REVOKED"), Asked({"signer-sm": NOW - DAY}, rules=LOOSE)),
    Case("never-token-of-else", stamp(timestamp=time_stamp(over=b"else")), "STAMP_TIMESTAMP", F, opened("NO_POE"), Asked(rules=LOOSE)),
    Case(
        "only-der",
        stamp(raw_signature=True),
        "SIGNATURE_ENCODING",
        F,
        broken("FORMAT_FAILURE"),
        Asked(rules=SystemRules(encodings=frozenset({Encoding.DER}))),
    ),
    Case("time-stamp-due", SAME, "STAMP_TIMESTAMP", F, opened("NO_POE"), Asked(rules=SystemRules(timestamp_required=True))),
    Case(
        "time-stamp-given", stamp(timestamp=time_stamp()), "STAMP_TIMESTAMP", P, PASSED, Asked(rules=SystemRules(timestamp_required=True))
    ),
    Case(
        "no-sm2",
        SAME,
        "STAMP_SIGNATURE",
        F,
        broken("SIG_CRYPTO_FAILURE"),
        Asked(rules=SystemRules(algorithms=frozenset({SealAlgorithm.RSA_SHA256}))),
    ),
]
