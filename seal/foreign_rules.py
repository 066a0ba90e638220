"""What may differ in the seals of a system that already exists: the rules of one authority of the trust list. Plain values, no I/O.

Without rules a seal is judged strictly. Rules say which algorithms and which spelling of a signature value its seals have, and which
departures from the standard are put up with: a departure then is a ``TOLERATED`` notice with a warning instead of a fault. What can be
put up with is listed here and concerns spelling only. No rule makes a digest, a signature, a chain, a revocation or a signer's missing
authorisation pass, and no algorithm can be named that the product does not hold to be strong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keys.base.errors import InvalidInput

JSON = dict[str, Any]
FORMAT = "fujie-foreign-rules/1"
_FINGERPRINT_DIGITS = 64


class RulesMalformed(InvalidInput):
    """Rules that name something that is none, or that cannot be put up with."""

    code = "FOREIGN_RULES_MALFORMED"
    public = ("互认规则的内容不正确。", "The rules for this system are not well-formed.")


class Algorithm(StrEnum):
    """Signature algorithms of seals and stamps; the digest of what is stamped goes with them."""

    SM2_SM3 = "sm2-sm3"
    ECDSA_SHA256 = "ecdsa-sha256"
    RSA_SHA256 = "rsa-sha256"


class Encoding(StrEnum):
    """How an SM2 signature value is spelled: DER SEQUENCE{r, s}, or r ‖ s of 64 octets."""

    DER = "der"
    RAW = "raw"


class Tolerance(StrEnum):
    """A departure from the standard that can be put up with."""

    UTC_TIME = "utc-time"
    CERT_LIST_TYPE_ABSENT = "cert-list-type-absent"
    PROPERTY_INFO = "property-info"
    UNTRUSTED_TIMESTAMP = "untrusted-timestamp"


TOLERANCE_NAMES: Mapping[Tolerance, tuple[str, str]] = {
    Tolerance.UTC_TIME: ("时间用 UTCTime 书写", "a time is written as UTCTime"),
    Tolerance.CERT_LIST_TYPE_ABSENT: ("缺少 certListType", "certListType is missing"),
    Tolerance.PROPERTY_INFO: ("propertyInfo 写法不同", "propertyInfo is spelled otherwise"),
    Tolerance.UNTRUSTED_TIMESTAMP: ("时间戳机构不受信任", "the time stamp is of an authority not trusted here"),
}

OIDS: Mapping[Algorithm, frozenset[str]] = {
    # STANDARDS.md §3: SM2-with-SM3 and its name beneath the curve. Light on purpose: no parser is loaded for these two.
    Algorithm.SM2_SM3: frozenset({"1.2.156.10197.1.501", "1.2.156.10197.1.301.1"}),
    Algorithm.ECDSA_SHA256: frozenset({"1.2.840.10045.4.3.2"}),
    Algorithm.RSA_SHA256: frozenset({"1.2.840.113549.1.1.11"}),
}


@dataclass(frozen=True, slots=True)
class SystemRules:
    """The rules of one system. ``timestamp_required``: a stamp without a trusted time stamp is not believed."""

    algorithms: frozenset[Algorithm] = frozenset({Algorithm.SM2_SM3})
    encodings: frozenset[Encoding] = frozenset({Encoding.DER, Encoding.RAW})
    tolerances: frozenset[Tolerance] = frozenset()
    timestamp_required: bool = False

    def algorithm(self, oid: str) -> Algorithm | None:
        """The algorithm behind an OID, if the rules allow it."""
        return next((one for one in sorted(self.algorithms) if oid in OIDS[one]), None)

    def to_json(self) -> JSON:
        return {
            "algorithms": sorted(self.algorithms),
            "encodings": sorted(self.encodings),
            "tolerances": sorted(self.tolerances),
            "timestamp_required": self.timestamp_required,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SystemRules":
        """The inverse of :meth:`to_json`; what is missing is as strict as it is without rules. Raises :class:`RulesMalformed`."""
        strict = STRICT.to_json()
        if unknown := set(value) - set(strict):
            raise RulesMalformed(f"unknown: {sorted(unknown)[0][:40]}")
        given = strict | dict(value)
        required = given["timestamp_required"]
        rules = cls(
            frozenset(_chosen(Algorithm, given["algorithms"])),
            frozenset(_chosen(Encoding, given["encodings"])),
            frozenset(_chosen(Tolerance, given["tolerances"])),
            required is True,
        )
        if not rules.algorithms or not rules.encodings or not isinstance(required, bool):
            raise RulesMalformed("no algorithm, or no encoding")
        return rules


def _chosen(kind: type[Any], values: Any) -> list[Any]:
    try:
        if not isinstance(values, list):
            raise TypeError("no list")
        return [kind(value) for value in values]
    except (ValueError, TypeError) as error:
        raise RulesMalformed(f"{kind.__name__.lower()}: {error}"[:120]) from error


STRICT = SystemRules()


@dataclass(frozen=True, slots=True)
class AuthorityRules:
    """Rules and whose they are: ``authority`` is SHA-256 of its certificate, as on the trust list."""

    authority: bytes
    rules: SystemRules

    def to_json(self) -> JSON:
        return {"authority": self.authority.hex(), **self.rules.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AuthorityRules":
        """Raises :class:`RulesMalformed`."""
        if not isinstance(value, Mapping) or not isinstance(value.get("authority"), str):
            raise RulesMalformed("no authority")
        try:
            authority = bytes.fromhex(value["authority"])
        except ValueError as error:
            raise RulesMalformed("no fingerprint") from error
        if len(authority) * 2 != _FINGERPRINT_DIGITS:
            raise RulesMalformed("no SHA-256 fingerprint")
        return cls(authority, SystemRules.from_json({key: one for key, one in value.items() if key != "authority"}))


def rules_document(rules: Iterable[AuthorityRules]) -> JSON:
    """What ``fujie seal rules export`` writes and ``fujie verify --trust`` reads."""
    return {"format": FORMAT, "rules": [one.to_json() for one in rules]}


def read_rules_document(document: Any) -> tuple[AuthorityRules, ...]:
    """The inverse of :func:`rules_document`. Raises :class:`RulesMalformed`."""
    if not isinstance(document, Mapping) or document.get("format") != FORMAT or not isinstance(document.get("rules"), list):
        raise RulesMalformed(f"not of format {FORMAT}")
    return tuple(AuthorityRules.from_json(one) for one in document["rules"])
