"""Judging a seal and a stamp in the order of STANDARDS.md §3; each step's name is the check's name.

The seal is judged at the instant of stamping, revocation lists at the instant of judging. GM/T 0031-2025 (version 5) lets a
maker's certificate expire or be revoked after the seal was made; GB/T 38540-2020 (version 4) does not.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from keys.base.errors import FujieError
from keys.custody import sm2
from keys.trust.entries import Use
from seal.asn1 import ParsedSeal, ParsedStamp, SealFormat, parse_seal, parse_ses_signature
from seal.foreign_rules import Algorithm, SystemRules, Tolerance
from seal.recognition import SealFacts, bounds_checks
from seal.verdict import Check, SealReport, failed, notice, open_question, passed
from seal.verification_evidence import Covered, Evidence
from seal.verification_path import Party, Revoked, Unknown, find_path, out_of_bounds, read_certificate, revocation
from seal.verification_rules import extension_checks, form_checks, plain_property, signature_checks, tolerated
from seal.verification_stamp_time import SKEW, TokenJudgement, judge_token

__all__ = [
    "Covered",
    "Evidence",
    "StampJudgement",
    "judge_seal",
    "judge_stamp",
    "report_of",
    "revocation_check",
    "seal_checks",
]

_MAKING_USES = ("digital_signature", "non_repudiation")


@dataclass(frozen=True, slots=True)
class StampJudgement:
    checks: tuple[Check, ...]
    seal: SealReport | None = None
    signer: str | None = None
    time: dt.datetime | None = None
    seal_encoded: bytes | None = None


def judge_stamp(encoded: bytes, evidence: Evidence, covered: Covered | None) -> StampJudgement:
    """A DER SES_Signature; ``covered`` None: what it was made over is not at hand."""
    try:
        stamp = _read_stamp(encoded, bool(evidence.rules))
    except FujieError as error:
        return StampJudgement((failed(error.code, error.detail, "FORMAT_FAILURE"),))
    signer = read_certificate(stamp.certificate)
    if signer is None or stamp.time is None:
        return StampJudgement((failed("STAMP_FORMAT", "its certificate or its time cannot be read"),))
    rules = evidence.rules_for(signer, Use.SEAL_SIGNER, stamp.time)
    form = (*form_checks("STAMP_FORMAT", stamp, rules), *extension_checks("STAMP_EXTENSION", stamp))
    checks = (*form, *_stamp_checks(stamp, signer, stamp.time, evidence, covered, rules))
    return StampJudgement(checks, report_of(stamp.seal, stamp.time), signer.name, stamp.time, stamp.seal.encoded)


def judge_seal(encoded: bytes, evidence: Evidence) -> StampJudgement:
    """A DER SESeal by itself, judged now."""
    try:
        seal = _read_seal(encoded, bool(evidence.rules))
    except FujieError as error:
        return StampJudgement((failed(error.code, error.detail, "FORMAT_FAILURE"),))
    maker = read_certificate(seal.maker_certificate)
    return StampJudgement(tuple(seal_checks(seal, evidence.at, evidence)), report_of(seal, None), maker.name if maker else None)


def _read_stamp(encoded: bytes, loose: bool) -> ParsedStamp:
    """Strictly; a second look takes in what rules may put up with."""
    try:
        return parse_ses_signature(encoded)
    except FujieError:
        if not loose:
            raise
        return parse_ses_signature(encoded, loose=True)


def _read_seal(encoded: bytes, loose: bool) -> ParsedSeal:
    try:
        return parse_seal(encoded)
    except SealFormat:
        if not loose:
            raise
        return parse_seal(encoded, loose=True)


def report_of(seal: ParsedSeal, stamped_at: dt.datetime | None) -> SealReport:
    maker = read_certificate(seal.maker_certificate)
    return SealReport(
        code=seal.es_id,
        name=seal.name,
        version=seal.version,
        maker=maker.name if maker else "",
        valid_from=seal.valid_from,
        valid_to=seal.valid_to,
        width_mm=seal.width_mm,
        height_mm=seal.height_mm,
        stamped_at=stamped_at,
        sha256=hashlib.sha256(seal.encoded).hexdigest(),
    )


def _stamp_checks(
    stamp: ParsedStamp, signer: Party, time: dt.datetime, evidence: Evidence, covered: Covered | None, rules: SystemRules
) -> Iterator[Check]:
    yield from signature_checks("STAMP_SIGNATURE", signer, stamp.algorithm, stamp.signed, stamp.signature, rules)
    if _is_listed(stamp.seal, stamp.certificate):
        yield passed("SIGNER_NOT_AUTHORISED", "the seal names this certificate")
    else:
        yield failed("SIGNER_NOT_AUTHORISED", "the seal does not name this certificate: it must be made again")
    token = _own_token(stamp, time, evidence)
    proven = min((one for one in (token and token.proven, covered and covered.proven) if one), default=None)
    yield from seal_checks(stamp.seal, time, evidence, proven)
    yield from _signer_checks(stamp.seal, signer, time, evidence, proven)
    yield from _covers(stamp, covered, rules)
    yield from _token_checks(stamp, token, rules)


def _own_token(stamp: ParsedStamp, time: dt.datetime, evidence: Evidence) -> TokenJudgement | None:
    """The token over the signature value; it is not older than the time the stamp states."""
    if stamp.timestamp is None:
        return None
    judged = judge_token("STAMP_TIMESTAMP", stamp.timestamp, stamp.signature, evidence.surroundings)
    if judged.proven is not None and judged.proven < time - SKEW:
        return TokenJudgement(failed("STAMP_TIMESTAMP", "older than the time the stamp states", "SIG_CONSTRAINTS_FAILURE"))
    return judged


def _token_checks(stamp: ParsedStamp, token: TokenJudgement | None, rules: SystemRules) -> Iterator[Check]:
    if token is not None and token.untrusted and Tolerance.UNTRUSTED_TIMESTAMP in rules.tolerances:
        yield tolerated(Tolerance.UNTRUSTED_TIMESTAMP)
    elif token is not None:
        yield token.check
    elif stamp.time_token is not None:
        yield notice("STAMP_TIMESTAMP", "version 1 states its time as a token, which is taken for the signer's claim")
    if rules.timestamp_required and (token is None or token.proven is None):
        yield failed("STAMP_TIMESTAMP", "the rules for this system ask for a trusted time stamp")


def _covers(stamp: ParsedStamp, covered: Covered | None, rules: SystemRules) -> Iterator[Check]:
    if covered is None:
        yield open_question("DATA_HASH", "what was stamped is not at hand", "SIGNED_DATA_NOT_FOUND")
        return
    named, digest = _digest_of(stamp, covered, rules)
    same_part = stamp.property_info == covered.property_info
    respelled = not same_part and plain_property(stamp.property_info) == plain_property(covered.property_info)
    if digest is None or stamp.data_hash != digest:
        yield failed("DATA_HASH", f"{named}: the stamp was made over other content")
    elif not same_part and not (respelled and Tolerance.PROPERTY_INFO in rules.tolerances):
        yield failed("DATA_HASH", "the stamp names another part of the file", "FORMAT_FAILURE")
    elif covered.signing_time is not None and stamp.time != covered.signing_time:
        yield failed("STAMP_FORMAT", "the stamp and the file state different times")
    else:
        yield passed("DATA_HASH", named)
        if respelled:
            yield tolerated(Tolerance.PROPERTY_INFO)


def _digest_of(stamp: ParsedStamp, covered: Covered, rules: SystemRules) -> tuple[str, bytes | None]:
    """SM3, unless the stamp is signed with another algorithm that the rules allow."""
    algorithm = rules.algorithm(stamp.algorithm)
    return ("SM3", covered.digest) if algorithm in (None, Algorithm.SM2_SM3) else ("SHA-256", covered.sha256)


def _is_listed(seal: ParsedSeal, certificate: bytes) -> bool:
    return certificate in seal.certificates or any(_digest(kind, certificate) == value for kind, value in seal.digests)


def _digest(kind: str, certificate: bytes) -> bytes | None:
    name = kind.lower().replace("-", "")
    if name in ("sm3", sm2.SM3):
        return sm2.sm3(certificate)
    return hashlib.sha256(certificate).digest() if name in ("sha256", "2.16.840.1.101.3.4.2.1") else None


def seal_checks(seal: ParsedSeal, instant: dt.datetime, evidence: Evidence, proven: dt.datetime | None = None) -> Iterator[Check]:
    """The seal at ``instant``: the time of stamping, or now for a seal by itself. ``proven``: it existed then, in a stamp."""
    maker = read_certificate(seal.maker_certificate)
    if maker is None:
        yield failed("SEAL_FORMAT", "the maker's certificate cannot be read")
        return
    rules = evidence.rules_for(maker, Use.SEAL_MAKER, seal.created)
    yield from form_checks("SEAL_FORMAT", seal, rules)
    yield from extension_checks("SEAL_EXTENSION", seal)
    yield from signature_checks("SEAL_SIGNATURE", maker, seal.algorithm, seal.signed, seal.signature, rules)
    if seal.version == 5:
        yield _made_in_time(seal, maker)
    yield from _maker_checks(seal, maker, instant, evidence)
    yield _bound("SEAL_NOT_YET_VALID", instant >= seal.valid_from, f"valid from {seal.valid_from:%Y-%m-%d}")
    yield _bound("SEAL_EXPIRED", instant <= seal.valid_to, f"valid to {seal.valid_to:%Y-%m-%d}")
    if seal.version == 5:
        yield from _seal_times(seal, instant, evidence.as_of(proven), rules)


def _seal_times(seal: ParsedSeal, instant: dt.datetime, evidence: Evidence, rules: SystemRules) -> Iterator[Check]:
    """Version 5: the seal's time stamp, and made, then time-stamped, then used."""
    token = None
    if seal.timestamp is not None:
        token = judge_token("SEAL_TIMESTAMP", seal.timestamp, seal.signature, evidence.surroundings)
        borne = token.untrusted and Tolerance.UNTRUSTED_TIMESTAMP in rules.tolerances
        yield tolerated(Tolerance.UNTRUSTED_TIMESTAMP) if borne else token.check
    proven = token.proven if token else None
    in_order = seal.created <= instant and seal.valid_from <= seal.valid_to
    if proven is not None:
        in_order = in_order and seal.created - SKEW <= proven <= instant + SKEW
    yield _bound("SEAL_TIME_ORDER", in_order, "made, then time-stamped, then used" if proven else "made, then valid, then used")


def _bound(name: str, holds: bool, detail: str) -> Check:
    return passed(name, detail) if holds else failed(name, detail)


def _made_in_time(seal: ParsedSeal, maker: Party) -> Check:
    if maker.valid_at(seal.created):
        return passed("SEAL_MADE_TIME", "made while the maker's certificate was valid")
    return failed("SEAL_MADE_TIME", "made outside the validity of the maker's certificate")


def _maker_checks(seal: ParsedSeal, maker: Party, instant: dt.datetime, evidence: Evidence) -> Iterator[Check]:
    standpoint = evidence.standpoint
    path = find_path(maker, evidence.candidates, standpoint.anchors(Use.SEAL_MAKER, seal.created))
    if path is None:
        objection = standpoint.objection(maker, Use.SEAL_MAKER, seal.created)
        yield open_question("MAKER_CHAIN", objection or "no chain from the seal's maker to a trusted root")
    elif outside := out_of_bounds(path[1:], evidence.at):
        yield open_question("MAKER_CHAIN", f"expired or not yet valid: {outside.name}", "OUT_OF_BOUNDS_NO_POE")
    else:
        yield passed("MAKER_CHAIN", _names(path))
    yield _bound("MAKER_KEY_USAGE", maker.may(*_MAKING_USES), "the maker's certificate is one for signatures")
    if not maker.valid_at(instant):
        yield _tolerated(seal, "MAKER_EXPIRED", "the maker's certificate was not valid at that time")
    if path is not None:
        yield _maker_revocation(seal, evidence.revocation(path))
        yield from bounds_checks(standpoint, path, Use.SEAL_MAKER, seal.created, _facts(seal))


def _facts(seal: ParsedSeal) -> SealFacts:
    return SealFacts(seal.es_id, seal.name)


def _maker_revocation(seal: ParsedSeal, answer: Revoked | Unknown | None) -> Check:
    if answer is None:
        return passed("MAKER_REVOKED", "not revoked")
    if isinstance(answer, Unknown):
        return open_question("MAKER_REVOKED", answer.reason, "TRY_LATER")
    if answer.since <= seal.created:
        return failed("MAKER_REVOKED", f"revoked {answer.since:%Y-%m-%d}, before the seal was made", "REVOKED")
    return _tolerated(seal, "MAKER_REVOKED", f"revoked {answer.since:%Y-%m-%d}, after the seal was made")


def _tolerated(seal: ParsedSeal, name: str, detail: str) -> Check:
    """Good when the seal was made: a notice in version 5, a fault before."""
    return notice(name, detail) if seal.version == 5 else failed(name, detail)


def _signer_checks(seal: ParsedSeal, signer: Party, time: dt.datetime, evidence: Evidence, proven: dt.datetime | None) -> Iterator[Check]:
    standpoint = evidence.standpoint
    path = find_path(signer, evidence.candidates, standpoint.anchors(Use.SEAL_SIGNER, time))
    if path is None:
        objection = standpoint.objection(signer, Use.SEAL_SIGNER, time)
        yield open_question("SIGNER_CHAIN", objection or "no chain from the stamp's signer to a trusted root")
    else:
        yield passed("SIGNER_CHAIN", _names(path))
    yield _bound("SIGNER_KEY_USAGE", signer.may(*_MAKING_USES), "the signer's certificate is one for signatures")
    yield _stamp_time(path or (signer,), time, evidence.at, proven)
    if path is not None:
        answer = evidence.revocation(path)
        known = revocation(path, evidence.covered, evidence.at)
        yield revocation_check("SIGNER_REVOKED", answer, time, isinstance(known, Revoked), proven)
        yield from bounds_checks(standpoint, path, Use.SEAL_SIGNER, time, _facts(seal))


def _stamp_time(path: tuple[Party, ...], time: dt.datetime, at: dt.datetime, proven: dt.datetime | None) -> Check:
    """Within validity at its own time; once a certificate has expired, only a time stamp tells a stamp of then from one of now."""
    outside = out_of_bounds(path, time)
    if time > at:
        return failed("STAMP_TIME_INVALID", "stamped later than the time of judging", "NOT_YET_VALID")
    if outside is not None:
        return failed("STAMP_TIME_INVALID", f"stamped outside the validity of {outside.name}")
    expired = out_of_bounds(path, at if proven is None else min(proven, at))
    if expired is not None:
        return open_question("STAMP_TIME_INVALID", f"expired since, and nothing proves that it stamped earlier: {expired.name}")
    return passed("STAMP_TIME_INVALID", "stamped within the validity of every certificate")


def revocation_check(
    name: str,
    answer: Revoked | Unknown | None,
    signing_time: dt.datetime | None,
    proven_before: bool,
    proven: dt.datetime | None = None,
) -> Check:
    """What revocation means for a signature that no trusted time stamp dates (EN 319 102-1 §5.2.6, §5.5.4).

    ``proven_before``: the list that says so is itself covered by the signature, which is therefore younger. A signer who
    claims a time after the revocation gives the same proof. ``proven``: it existed at this instant, says a trusted time stamp.
    """
    if answer is None:
        return passed(name, "not revoked")
    if isinstance(answer, Unknown):
        return open_question(name, answer.reason, "TRY_LATER")
    detail = f"revoked {answer.since:%Y-%m-%dT%H:%M:%SZ}"
    if proven_before or (signing_time is not None and answer.since <= signing_time):
        return failed(name, f"{detail}, before it signed", "REVOKED")
    if proven is not None and proven < answer.since:
        return passed(name, f"{detail}, after a time stamp of {proven:%Y-%m-%dT%H:%M:%SZ}")
    kind = "REVOKED_NO_POE" if answer.depth == 0 else "REVOKED_CA_NO_POE"
    return failed(name, f"{detail}; nothing proves that it signed earlier", kind)


def _names(path: tuple[Party, ...]) -> str:
    return " < ".join(party.name for party in path)
