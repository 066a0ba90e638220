"""Judging a seal and a stamp in the order of STANDARDS.md §3; each step's name is the check's name.

The seal is judged at the instant of stamping, revocation lists at the instant of judging. GM/T 0031-2025 (version 5) lets a
maker's certificate expire or be revoked after the seal was made; GB/T 38540-2020 (version 4) does not.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keys.base.errors import FujieError
from keys.custody import sm2
from keys.trust.entries import Use
from seal.asn1 import ParsedSeal, ParsedStamp, parse_seal, parse_ses_signature
from seal.recognition import Recognised, SealFacts, Standpoint, bounds_checks
from seal.verdict import Check, SealReport, failed, notice, open_question, passed
from seal.verification_path import (
    OcspResponse,
    Party,
    RevocationList,
    Revoked,
    Unknown,
    find_path,
    out_of_bounds,
    read_certificate,
    revocation,
)

_SM2_ALGORITHMS = frozenset({sm2.SM2_WITH_SM3, f"{sm2.SM2_CURVE}.1"})
_RAW_OCTETS = 64
_MAKING_USES = ("digital_signature", "non_repudiation")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judgement may rest on. ``covered``: the lists of the file's own signed revision, which existed before it was signed.

    ``anchors`` are trusted for every use, ``recognised`` within the bounds of the trust list.
    """

    anchors: tuple[Party, ...]
    candidates: tuple[Party, ...]
    crls: tuple[RevocationList, ...]
    at: dt.datetime
    covered: tuple[RevocationList, ...] = ()
    recognised: tuple[Recognised, ...] = ()
    responses: tuple[OcspResponse, ...] = ()

    @property
    def standpoint(self) -> Standpoint:
        return Standpoint(self.anchors, self.recognised, self.candidates, self.at)

    def revocation(self, path: Sequence[Party]) -> Revoked | Unknown | None:
        """What everything at hand says of the path, at the instant of judging."""
        return revocation(path, self.crls, self.at, self.responses)


@dataclass(frozen=True, slots=True)
class Covered:
    """What the stamp must speak of: SM3 of the octets, how propertyInfo names them, and the time the file states."""

    digest: bytes
    property_info: str
    signing_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class StampJudgement:
    checks: tuple[Check, ...]
    seal: SealReport | None = None
    signer: str | None = None
    time: dt.datetime | None = None


def judge_stamp(encoded: bytes, evidence: Evidence, covered: Covered | None) -> StampJudgement:
    """A DER SES_Signature; ``covered`` None: what it was made over is not at hand."""
    try:
        stamp = parse_ses_signature(encoded)
    except FujieError as error:
        return StampJudgement((failed(error.code, error.detail, "FORMAT_FAILURE"),))
    signer = read_certificate(stamp.certificate)
    if signer is None or stamp.time is None:
        return StampJudgement((failed("STAMP_FORMAT", "its certificate or its time cannot be read"),))
    checks = (passed("STAMP_FORMAT", f"version {stamp.version}"), *_stamp_checks(stamp, signer, stamp.time, evidence, covered))
    return StampJudgement(checks, report_of(stamp.seal, stamp.time), signer.name, stamp.time)


def judge_seal(encoded: bytes, evidence: Evidence) -> StampJudgement:
    """A DER SESeal by itself, judged now."""
    try:
        seal = parse_seal(encoded)
    except FujieError as error:
        return StampJudgement((failed(error.code, error.detail, "FORMAT_FAILURE"),))
    maker = read_certificate(seal.maker_certificate)
    return StampJudgement(tuple(seal_checks(seal, evidence.at, evidence)), report_of(seal, None), maker.name if maker else None)


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
    )


def _stamp_checks(stamp: ParsedStamp, signer: Party, time: dt.datetime, evidence: Evidence, covered: Covered | None) -> Iterator[Check]:
    yield from _signature("STAMP_SIGNATURE", signer, stamp.algorithm, stamp.signed, stamp.signature)
    if _is_listed(stamp.seal, stamp.certificate):
        yield passed("SIGNER_NOT_AUTHORISED", "the seal names this certificate")
    else:
        yield failed("SIGNER_NOT_AUTHORISED", "the seal does not name this certificate: it must be made again")
    yield from seal_checks(stamp.seal, time, evidence)
    yield from _signer_checks(stamp.seal, signer, time, evidence)
    yield from _covers(stamp, covered)
    if stamp.timestamp is not None or stamp.time_token is not None:
        yield notice("STAMP_TIMESTAMP", "there is a time stamp, which this version does not judge; the stated time was used")


def _covers(stamp: ParsedStamp, covered: Covered | None) -> Iterator[Check]:
    if covered is None:
        yield open_question("DATA_HASH", "what was stamped is not at hand", "SIGNED_DATA_NOT_FOUND")
    elif stamp.data_hash != covered.digest:
        yield failed("DATA_HASH", "SM3: the stamp was made over other content")
    elif stamp.property_info != covered.property_info:
        yield failed("DATA_HASH", "the stamp names another part of the file", "FORMAT_FAILURE")
    elif covered.signing_time is not None and stamp.time != covered.signing_time:
        yield failed("STAMP_FORMAT", "the stamp and the file state different times")
    else:
        yield passed("DATA_HASH", "SM3")


def _signature(name: str, party: Party, algorithm: str, message: bytes, signature: bytes) -> Iterator[Check]:
    encoded = signature
    if len(signature) == _RAW_OCTETS and sm2.decode_signature(signature) is None:
        encoded = sm2.encode_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    if algorithm not in _SM2_ALGORITHMS or not sm2.verify(party.public, message, encoded):
        yield failed(name, "the SM2 signature does not hold")
        return
    yield passed(name, "SM2 with SM3")
    if encoded is not signature:
        yield notice("SIGNATURE_ENCODING", "the signature is a raw r || s instead of DER")


def _is_listed(seal: ParsedSeal, certificate: bytes) -> bool:
    return certificate in seal.certificates or any(_digest(kind, certificate) == value for kind, value in seal.digests)


def _digest(kind: str, certificate: bytes) -> bytes | None:
    name = kind.lower().replace("-", "")
    if name in ("sm3", sm2.SM3):
        return sm2.sm3(certificate)
    return hashlib.sha256(certificate).digest() if name in ("sha256", "2.16.840.1.101.3.4.2.1") else None


def seal_checks(seal: ParsedSeal, instant: dt.datetime, evidence: Evidence) -> Iterator[Check]:
    """The seal at ``instant``: the time of stamping, or now for a seal by itself."""
    maker = read_certificate(seal.maker_certificate)
    if maker is None:
        yield failed("SEAL_FORMAT", "the maker's certificate cannot be read")
        return
    yield passed("SEAL_FORMAT", f"version {seal.version}")
    yield from _signature("SEAL_SIGNATURE", maker, seal.algorithm, seal.signed, seal.signature)
    if seal.version == 5:
        yield _made_in_time(seal, maker)
    yield from _maker_checks(seal, maker, instant, evidence)
    yield _bound("SEAL_NOT_YET_VALID", instant >= seal.valid_from, f"valid from {seal.valid_from:%Y-%m-%d}")
    yield _bound("SEAL_EXPIRED", instant <= seal.valid_to, f"valid to {seal.valid_to:%Y-%m-%d}")
    if seal.version == 5:
        yield _bound("SEAL_TIME_ORDER", seal.created <= instant and seal.valid_from <= seal.valid_to, "made, then valid, then used")
    if seal.timestamp is not None:
        yield notice("SEAL_TIMESTAMP", "there is a time stamp, which this version does not judge")


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


def _signer_checks(seal: ParsedSeal, signer: Party, time: dt.datetime, evidence: Evidence) -> Iterator[Check]:
    standpoint = evidence.standpoint
    path = find_path(signer, evidence.candidates, standpoint.anchors(Use.SEAL_SIGNER, time))
    if path is None:
        objection = standpoint.objection(signer, Use.SEAL_SIGNER, time)
        yield open_question("SIGNER_CHAIN", objection or "no chain from the stamp's signer to a trusted root")
    else:
        yield passed("SIGNER_CHAIN", _names(path))
    yield _bound("SIGNER_KEY_USAGE", signer.may(*_MAKING_USES), "the signer's certificate is one for signatures")
    yield _stamp_time(path or (signer,), time, evidence.at)
    if path is not None:
        answer = evidence.revocation(path)
        known = revocation(path, evidence.covered, evidence.at)
        yield revocation_check("SIGNER_REVOKED", answer, time, isinstance(known, Revoked))
        yield from bounds_checks(standpoint, path, Use.SEAL_SIGNER, time, _facts(seal))


def _stamp_time(path: tuple[Party, ...], time: dt.datetime, at: dt.datetime) -> Check:
    outside = out_of_bounds(path, time)
    if time > at:
        return failed("STAMP_TIME_INVALID", "stamped later than the time of judging", "NOT_YET_VALID")
    if outside is not None:
        return failed("STAMP_TIME_INVALID", f"stamped outside the validity of {outside.name}")
    return passed("STAMP_TIME_INVALID", "stamped within the validity of every certificate")


def revocation_check(name: str, answer: Revoked | Unknown | None, signing_time: dt.datetime | None, proven_before: bool) -> Check:
    """What revocation means for a signature that no trusted time stamp dates (EN 319 102-1 §5.2.6, §5.5.4).

    ``proven_before``: the list that says so is itself covered by the signature, which is therefore younger. A signer who
    claims a time after the revocation gives the same proof.
    """
    if answer is None:
        return passed(name, "not revoked")
    if isinstance(answer, Unknown):
        return open_question(name, answer.reason, "TRY_LATER")
    detail = f"revoked {answer.since:%Y-%m-%dT%H:%M:%SZ}"
    if proven_before or (signing_time is not None and answer.since <= signing_time):
        return failed(name, f"{detail}, before it signed", "REVOKED")
    kind = "REVOKED_NO_POE" if answer.depth == 0 else "REVOKED_CA_NO_POE"
    return failed(name, f"{detail}; nothing proves that it signed earlier", kind)


def _names(path: tuple[Party, ...]) -> str:
    return " < ".join(party.name for party in path)
