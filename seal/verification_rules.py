"""A signature and a structure judged under the rules of a system (:mod:`seal.foreign_rules`), which are strict unless agreed otherwise."""

import re
from collections.abc import Iterator
from functools import lru_cache

from keys.custody import sm2
from keys.custody.verifying import ECDSA_WITH_SHA256, RSA_WITH_SHA256, algorithm_identifier, verify_signature
from seal.asn1 import ParsedSeal, ParsedStamp
from seal.foreign_rules import STRICT, TOLERANCE_NAMES, Algorithm, Encoding, SystemRules, Tolerance
from seal.verdict import Check, failed, notice, open_question, passed
from seal.verification_path import Party

_ALGORITHM_WORDS = {
    Algorithm.SM2_SM3: "SM2 with SM3",
    Algorithm.ECDSA_SHA256: "ECDSA with SHA-256",
    Algorithm.RSA_SHA256: "RSA with SHA-256",
}
_OID_OF = {Algorithm.ECDSA_SHA256: ECDSA_WITH_SHA256, Algorithm.RSA_SHA256: RSA_WITH_SHA256}
_PARAMETERS = {Algorithm.RSA_SHA256: b"\x05\x00"}
_LARGEST_REMEMBERED = 1 << 18
_RAW_OCTETS = 64
_MOST_NAMED = 3
_NUMBERS = re.compile(r"[\[\](){},;:\s\d]+")


def form_checks(name: str, read: ParsedSeal | ParsedStamp, rules: SystemRules) -> Iterator[Check]:
    """Departures that the rules do not name are faults."""
    beyond = sorted(read.departures - rules.tolerances)
    if beyond:
        yield failed(name, f"departs from the standard: {', '.join(TOLERANCE_NAMES[one][1] for one in beyond)}")
        return
    yield passed(name, f"version {read.version}")
    for departure in sorted(read.departures):
        yield tolerated(departure)


def extension_checks(name: str, read: ParsedSeal | ParsedStamp) -> Iterator[Check]:
    """Whoever marks an extension critical asks that nobody who does not know it relies on the rest (X.509 §7.3, as in GM/T 0031).

    This version knows none. Nothing is malformed or forged, so the question stays open; no rule for a system closes it.
    """
    unknown = [one.oid for one in read.extensions if one.critical]
    if unknown:
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        yield open_question(name, f"marked critical, and not known here: {', '.join(unknown[:_MOST_NAMED])}{more}", "GENERIC")


def tolerated(departure: Tolerance) -> Check:
    """The warning in place of a fault."""
    return notice("TOLERATED", f"by the rules for this system: {TOLERANCE_NAMES[departure][1]}")


def plain_property(property_info: str) -> str:
    """A ByteRange as its numbers, a path without its slashes at the beginning."""
    text = property_info.strip()
    if _NUMBERS.fullmatch(text):
        return " ".join(re.findall(r"\d+", text))
    return text.replace("\\", "/").lstrip("/")


def signature_checks(
    name: str, party: Party, algorithm: str, message: bytes, signature: bytes, rules: SystemRules = STRICT
) -> Iterator[Check]:
    """The check ``name``: the party signed the message under an algorithm (OID) that the rules allow."""
    kind = rules.algorithm(algorithm)
    encoded = signature
    if len(signature) == _RAW_OCTETS and sm2.decode_signature(signature) is None:
        encoded = sm2.encode_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    if kind is None:
        yield failed(name, "an algorithm that is not accepted")
        return
    holds = _holds_once if name == "SEAL_SIGNATURE" and len(message) <= _LARGEST_REMEMBERED else _holds
    if not holds(kind, party.public, message, encoded if kind is Algorithm.SM2_SM3 else signature):
        yield failed(name, f"the {kind.partition('-')[0].upper()} signature does not hold")
        return
    yield passed(name, _ALGORITHM_WORDS[kind])
    if kind is Algorithm.SM2_SM3:
        yield from _encoding(Encoding.DER if encoded is signature else Encoding.RAW, rules)


def _holds(kind: Algorithm, public: bytes, message: bytes, signature: bytes) -> bool:
    if kind is Algorithm.SM2_SM3:
        return sm2.verify(public, message, signature)
    identifier = algorithm_identifier(_OID_OF[kind], _PARAMETERS.get(kind, b""))
    return verify_signature(public, identifier, message, signature)


_holds_once = lru_cache(maxsize=64)(_holds)  # the same few seals are in every stamp


def _encoding(found: Encoding, rules: SystemRules) -> Iterator[Check]:
    if found not in rules.encodings:
        yield failed("SIGNATURE_ENCODING", "a spelling that the rules for this system do not allow", "FORMAT_FAILURE")
    elif found is Encoding.RAW:
        yield notice("SIGNATURE_ENCODING", "the signature is a raw r || s instead of DER")
