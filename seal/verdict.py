"""The answer about a file: one indication, and every check that led to it (ETSI EN 319 102-1 §5, GM/T 0031, CONTRACT.md).

A verdict is a report, not an exception: whoever asks sees PASSED, INDETERMINATE, FAILED or NOTICE for each named check.
``docs/verification.md`` explains each name.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from seal.comparison import Comparison

JSON = dict[str, Any]


class Outcome(StrEnum):
    PASSED = "PASSED"
    INDETERMINATE = "INDETERMINATE"
    FAILED = "FAILED"
    NOTICE = "NOTICE"


class Indication(StrEnum):
    """EN 319 102-1 table 5, and two of our own for files that hold nothing to judge."""

    TOTAL_PASSED = "TOTAL_PASSED"
    TOTAL_FAILED = "TOTAL_FAILED"
    INDETERMINATE = "INDETERMINATE"
    UNREADABLE = "UNREADABLE"
    NO_SIGNATURE = "NO_SIGNATURE"


class Kind(StrEnum):
    PDF = "pdf"
    OFD = "ofd"
    SEAL = "seal"
    QR = "qr"


# The worst first; CONTRACT.md orders the exit codes 1 > 3 > 2 > 0.
SEVERITY = (
    Indication.TOTAL_FAILED,
    Indication.UNREADABLE,
    Indication.NO_SIGNATURE,
    Indication.INDETERMINATE,
    Indication.TOTAL_PASSED,
)

FATAL = frozenset({"FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE", "REVOKED"})

# What a check means for the whole where it does not say so itself (STANDARDS.md §3).
SUB_INDICATIONS: Mapping[str, str] = {
    "FORMAT": "FORMAT_FAILURE",
    "COVERAGE": "FORMAT_FAILURE",
    "DOCMDP": "FORMAT_FAILURE",
    "CMS_FORM": "FORMAT_FAILURE",
    "DATA_HASH": "HASH_FAILURE",
    "SIGNATURE": "SIG_CRYPTO_FAILURE",
    "CHAIN": "NO_CERTIFICATE_CHAIN_FOUND",
    "REVOCATION": "TRY_LATER",
    "TIMESTAMP": "NO_POE",
    "SEAL_FORMAT": "FORMAT_FAILURE",
    "SEAL_SIGNATURE": "SIG_CRYPTO_FAILURE",
    "SEAL_MADE_TIME": "SIG_CONSTRAINTS_FAILURE",
    "MAKER_CHAIN": "NO_CERTIFICATE_CHAIN_FOUND",
    "MAKER_KEY_USAGE": "CHAIN_CONSTRAINTS_FAILURE",
    "MAKER_EXPIRED": "OUT_OF_BOUNDS_NO_POE",
    "MAKER_REVOKED": "REVOKED_NO_POE",
    "SEAL_NOT_YET_VALID": "NOT_YET_VALID",
    "SEAL_EXPIRED": "OUT_OF_BOUNDS_NO_POE",
    "SEAL_TIMESTAMP": "NO_POE",
    "SEAL_TIME_ORDER": "SIG_CONSTRAINTS_FAILURE",
    "STAMP_FORMAT": "FORMAT_FAILURE",
    "STAMP_SIGNATURE": "SIG_CRYPTO_FAILURE",
    "SIGNER_NOT_AUTHORISED": "SIG_CONSTRAINTS_FAILURE",
    "SIGNER_CHAIN": "NO_CERTIFICATE_CHAIN_FOUND",
    "SIGNER_KEY_USAGE": "CHAIN_CONSTRAINTS_FAILURE",
    "STAMP_TIME_INVALID": "OUT_OF_BOUNDS_NO_POE",
    "SIGNER_REVOKED": "REVOKED_NO_POE",
    "STAMP_TIMESTAMP": "NO_POE",
    "SEAL_EXTENSION": "GENERIC",
    "STAMP_EXTENSION": "GENERIC",
    "SIGNING_TIME": "NOT_YET_VALID",
    "SEAL_SUSPENDED": "SIG_CONSTRAINTS_FAILURE",
    "SEAL_CANCELLED": "SIG_CONSTRAINTS_FAILURE",
    "OUT_OF_SCOPE": "SIG_CONSTRAINTS_FAILURE",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One named question and its answer. ``detail``: one English sentence without personal data.

    ``sub_indication`` is what the check means for the whole when it did not pass, where that differs from the table above.
    """

    name: str
    outcome: Outcome
    detail: str = ""
    sub_indication: str | None = None

    def meaning(self) -> str | None:
        return self.sub_indication or SUB_INDICATIONS.get(self.name)

    def to_json(self) -> JSON:
        return {"name": self.name, "outcome": self.outcome, "detail": self.detail}


def passed(name: str, detail: str = "") -> Check:
    return Check(name, Outcome.PASSED, detail)


def failed(name: str, detail: str, sub_indication: str | None = None) -> Check:
    return Check(name, Outcome.FAILED, detail, sub_indication)


def open_question(name: str, detail: str, sub_indication: str | None = None) -> Check:
    return Check(name, Outcome.INDETERMINATE, detail, sub_indication)


def notice(name: str, detail: str) -> Check:
    return Check(name, Outcome.NOTICE, detail)


def conclude(checks: Iterable[Check]) -> tuple[Indication, str | None]:
    """The first check that makes the whole fail decides, else the first that did not pass, else everything passed.

    Only four reasons make a signature fail for good (EN 319 102-1 table 5); any other leaves it INDETERMINATE. Notices never decide.
    """
    troubles = [check for check in checks if check.outcome in (Outcome.FAILED, Outcome.INDETERMINATE)]
    fatal = next((check for check in troubles if check.outcome is Outcome.FAILED and check.meaning() in FATAL), None)
    if fatal:
        return Indication.TOTAL_FAILED, fatal.meaning()
    if troubles:
        first = min(troubles, key=lambda check: check.outcome is not Outcome.FAILED)
        return Indication.INDETERMINATE, first.meaning()
    return Indication.TOTAL_PASSED, None


@dataclass(frozen=True, slots=True)
class SealReport:
    """The electronic seal a stamp was made with. Times are instants, sizes millimetres; ``sha256``: of DER(SESeal), hexadecimal."""

    code: str
    name: str
    version: int
    maker: str
    valid_from: dt.datetime
    valid_to: dt.datetime
    width_mm: int
    height_mm: int
    stamped_at: dt.datetime | None = None
    sha256: str = ""

    def to_json(self) -> JSON:
        return {
            "code": self.code,
            "name": self.name,
            "version": self.version,
            "maker": self.maker,
            "valid_from": _text(self.valid_from),
            "valid_to": _text(self.valid_to),
            "width_mm": self.width_mm,
            "height_mm": self.height_mm,
            "stamped_at": _text(self.stamped_at),
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What was found out about one signature. ``level``: PAdES-B-B, PAdES-B-T …, CMS, SES or TIMESTAMP."""

    field: str
    checks: tuple[Check, ...]
    signer: str | None = None
    signing_time: dt.datetime | None = None
    level: str | None = None
    seal: SealReport | None = None
    indication: Indication = Indication.INDETERMINATE
    sub_indication: str | None = None

    def to_json(self) -> JSON:
        return {
            "field": self.field,
            "indication": self.indication,
            "sub_indication": self.sub_indication,
            "signer": self.signer,
            "signing_time": _text(self.signing_time),
            "level": self.level,
            "seal": self.seal.to_json() if self.seal else None,
            "checks": [check.to_json() for check in self.checks],
        }


def judged(
    field: str,
    checks: Iterable[Check],
    *,
    signer: str | None = None,
    signing_time: dt.datetime | None = None,
    level: str | None = None,
    seal: SealReport | None = None,
) -> SignatureVerdict:
    """The verdict of one signature from its checks."""
    checks = tuple(checks)
    indication, sub_indication = conclude(checks)
    return SignatureVerdict(field, checks, signer, signing_time, level, seal, indication, sub_indication)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about one file.

    ``certificate``  the metadata of the certificate (GB/T 36903 short names) as attached to the file, **unmasked**: whoever
                     shows it masks the numbers of people first. Only of a file whose signatures all passed.
    ``codes``        what the QR codes in a picture say, as they were read
    ``comparison``   of a changed PDF: which pages look different from the sealed revision. Pictures never go into the JSON.
    """

    kind: Kind
    indication: Indication
    sub_indication: str | None = None
    signatures: tuple[SignatureVerdict, ...] = ()
    certificate: Mapping[str, Any] | None = None
    checks: tuple[Check, ...] = field(default=())
    comparison: Comparison | None = None
    codes: tuple[str, ...] = ()

    def to_json(self, file: str = "") -> JSON:
        """CONTRACT.md's object; ``checks`` (of the file itself) is there when a file could not be judged at all."""
        document: JSON = {
            "file": file,
            "kind": self.kind,
            "indication": self.indication,
            "sub_indication": self.sub_indication,
            "signatures": [signature.to_json() for signature in self.signatures],
            "certificate": dict(self.certificate) if self.certificate is not None else None,
        }
        if self.comparison is not None:
            document["changed_pages"] = list(self.comparison.pages)
        if self.codes:
            document["codes"] = list(self.codes)
        if self.checks:
            document["checks"] = [check.to_json() for check in self.checks]
        return document


def summed_up(kind: Kind, signatures: Iterable[SignatureVerdict], certificate: Mapping[str, Any] | None = None) -> Verdict:
    """The worst signature speaks for the file."""
    signatures = tuple(signatures)
    worst = min(signatures, key=lambda signature: SEVERITY.index(signature.indication))
    shown = certificate if worst.indication is not Indication.TOTAL_FAILED else None
    return Verdict(kind, worst.indication, worst.sub_indication, signatures, shown)


def unreadable(kind: Kind, detail: str) -> Verdict:
    return Verdict(kind, Indication.UNREADABLE, "FORMAT_FAILURE", checks=(failed("FORMAT", detail),))


def unsigned(kind: Kind) -> Verdict:
    return Verdict(kind, Indication.NO_SIGNATURE)


def claimed(text: str, codes: tuple[str, ...] = ()) -> Verdict:
    """What a QR code says is a claim: only the record behind it can be judged, and only its issuer has the record.

    ``codes``: all that a picture holds.
    """
    checks = (passed("FORMAT", f"a QR code that says: {text[:500]}"), open_question("RECORD", "ask the issuer's service for the record"))
    return Verdict(Kind.QR, Indication.INDETERMINATE, "SIGNED_DATA_NOT_FOUND", checks=checks, codes=codes)


def _text(instant: dt.datetime | None) -> str | None:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if instant else None


def _instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _check_from(document: JSON) -> Check:
    return Check(document["name"], Outcome(document["outcome"]), document["detail"])


def _seal_from(document: JSON | None) -> SealReport | None:
    if document is None:
        return None
    times = {name: _instant(document[name]) for name in ("valid_from", "valid_to", "stamped_at")}
    return SealReport(**{**document, **times})


def _signature_from(document: JSON) -> SignatureVerdict:
    return SignatureVerdict(
        field=document["field"],
        checks=tuple(_check_from(check) for check in document["checks"]),
        signer=document["signer"],
        signing_time=_instant(document["signing_time"]),
        level=document["level"],
        seal=_seal_from(document["seal"]),
        indication=Indication(document["indication"]),
        sub_indication=document["sub_indication"],
    )


def from_json(document: JSON) -> Verdict:
    """The inverse of :meth:`Verdict.to_json`: the sandbox sends its verdict as JSON. Raises KeyError, TypeError, ValueError."""
    return Verdict(
        kind=Kind(document["kind"]),
        indication=Indication(document["indication"]),
        sub_indication=document["sub_indication"],
        signatures=tuple(_signature_from(signature) for signature in document["signatures"]),
        certificate=document["certificate"],
        checks=tuple(_check_from(check) for check in document.get("checks", ())),
        codes=tuple(document.get("codes", ())),
    )
