"""A look at a certificate before it is signed: TBSCertificate in, findings out. Pure; it shares no code with the builder.

An ERROR is a rule of RFC 5280, GB/T 20518 or the profile broken: nothing is signed. A NOTICE is unusual and allowed.
The octets are read by the strict reader of ``keys.base.der``, and the whole is encoded again to see that it is DER.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from asn1crypto import core, x509

from keys.base import der
from keys.pki.profiles import PROFILES, Profile

_SERIAL_LEAST_BITS, _SERIAL_MOST_OCTETS = 64, 20
_GENERALIZED_FROM = 2050
_NAME_LIMITS = {
    "common_name": 64,
    "organization_name": 64,
    "organizational_unit_name": 64,
    "locality_name": 128,
    "serial_number": 64,
    "organization_identifier": 128,
}
_MUST_BE_CRITICAL = frozenset({"basic_constraints", "key_usage"})
_NEVER_CRITICAL = frozenset(
    {
        "key_identifier",
        "authority_key_identifier",
        "crl_distribution_points",
        "authority_information_access",
        "ocsp_no_check",
        "subject_alt_name",
    }
)
_KNOWN = _MUST_BE_CRITICAL | _NEVER_CRITICAL | {"extended_key_usage"}
_SM2_WITH_SM3, _SM2_CURVE = "1.2.156.10197.1.501", "1.2.156.10197.1.301"
# RFC 5280 §4.2.1.12 and RFC 3279, 5480, 8410: the bits of key usage that a purpose can be exercised with.
_PURPOSE_NEEDS = {
    "1.3.6.1.5.5.7.3.1": frozenset({"digital_signature", "key_encipherment", "key_agreement"}),
    "1.3.6.1.5.5.7.3.2": frozenset({"digital_signature", "key_agreement"}),
    "1.3.6.1.5.5.7.3.4": frozenset({"digital_signature", "non_repudiation", "key_encipherment", "key_agreement"}),
    "1.3.6.1.5.5.7.3.8": frozenset({"digital_signature", "non_repudiation"}),
    "1.3.6.1.5.5.7.3.9": frozenset({"digital_signature", "non_repudiation"}),
    "1.3.6.1.5.5.7.3.36": frozenset({"digital_signature", "non_repudiation"}),
}
_ALONE = frozenset({"1.3.6.1.5.5.7.3.8"})  # RFC 3161 §2.3
_ENCIPHERING = frozenset({"key_encipherment", "data_encipherment"})


class Severity(StrEnum):
    ERROR = "error"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that does not hold; ``rule`` is stable, ``source`` the clause it comes from."""

    severity: Severity
    rule: str
    source: str


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the rules look at: the certificate, its extensions by name, and what it should be."""

    tbs: x509.TbsCertificate
    extensions: Mapping[str, x509.Extension]
    profile: Profile
    signature: bytes
    issuer: bytes

    @property
    def is_root(self) -> bool:
        return bool(self.tbs["subject"].dump() == self.issuer and self.profile.name == "root")


def lint(tbs: bytes, profile: str, signature: bytes, issuer: bytes) -> tuple[Finding, ...]:
    """What is wrong with a TBSCertificate (DER) that is about to be signed.

    ``profile`` names what it should be; ``signature`` is the AlgorithmIdentifier (DER) that will stand beside the signature;
    ``issuer`` the Name (DER) of the authority. A value that cannot be read is a single finding.
    """
    try:
        der.read(tbs)
        parsed = x509.TbsCertificate.load(tbs, strict=True)
        if parsed.copy().dump(force=True) != tbs:
            return (Finding(Severity.ERROR, "not_der", "X.690 §10, 11"),)
        names = [extension["extn_id"].native for extension in parsed["extensions"]]
        subject = _Subject(parsed, dict(zip(names, parsed["extensions"], strict=True)), PROFILES[profile], signature, issuer)
        repeated = [Finding(Severity.ERROR, "extension_twice", "RFC 5280 §4.2")] if len(set(names)) != len(names) else []
        return (*repeated, *(finding for rules in _RULES for finding in rules(subject)))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return (Finding(Severity.ERROR, "unreadable", "RFC 5280 §4.1"),)


def errors(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """The rules that forbid signing."""
    return tuple(finding.rule for finding in findings if finding.severity is Severity.ERROR)


def _broken(checks: list[tuple[bool, str, str]]) -> Iterator[Finding]:
    for holds, rule, source in checks:
        if not holds:
            yield Finding(Severity.ERROR, rule, source)


def _basics(one: _Subject) -> Iterator[Finding]:
    serial, octets = one.tbs["serial_number"].native, one.tbs["serial_number"].contents
    yield from _broken(
        [
            (one.tbs["version"].native == "v3", "version_not_3", "RFC 5280 §4.1.2.1"),
            (serial > 0, "serial_not_positive", "RFC 5280 §4.1.2.2"),
            (serial.bit_length() >= _SERIAL_LEAST_BITS, "serial_too_short", "CA/Browser Forum BR §7.1"),
            (len(octets) <= _SERIAL_MOST_OCTETS, "serial_too_long", "RFC 5280 §4.1.2.2"),
            (one.tbs["signature"].dump() == one.signature, "signature_algorithm_differs", "RFC 5280 §4.1.1.2"),
            (one.tbs["issuer"].dump() == one.issuer, "issuer_differs", "RFC 5280 §4.1.2.4"),
            (one.tbs["issuer_unique_id"].native is None, "unique_identifier", "RFC 5280 §4.1.2.8"),
            (one.tbs["subject_unique_id"].native is None, "unique_identifier", "RFC 5280 §4.1.2.8"),
        ]
    )


def _validity(one: _Subject) -> Iterator[Finding]:
    begin, end = one.tbs["validity"]["not_before"], one.tbs["validity"]["not_after"]
    days = (end.native - begin.native + dt.timedelta(seconds=1)) / dt.timedelta(days=1)
    for instant in (begin, end):
        form = "utc_time" if instant.native.year < _GENERALIZED_FROM else "general_time"
        length = 13 if form == "utc_time" else 15  # with seconds, in Z, without fractions
        right = instant.name == form and len(instant.chosen.contents) == length and instant.chosen.contents.endswith(b"Z")
        yield from _broken([(right, "validity_encoding", "RFC 5280 §4.1.2.5")])
    yield from _broken(
        [
            (begin.native < end.native, "validity_empty", "RFC 5280 §4.1.2.5"),
            (one.profile.is_authority or days <= max(one.profile.days, _LONGEST_ORDER), "validity_too_long", "profile"),
        ]
    )


_LONGEST_ORDER = 7305  # an order may end with what it serves (a seal), never after its authority: 20 years


def _name(one: _Subject) -> Iterator[Finding]:
    for rdn in one.tbs["subject"].chosen:
        for attribute in rdn:
            kind, value = attribute["type"].native, attribute["value"]
            text = value.native
            limit = _NAME_LIMITS.get(kind)
            yield from _broken(
                [
                    (limit is None or len(text) <= limit, "name_too_long", "RFC 5280 appendix A.1"),
                    (bool(text.strip()), "name_empty", "RFC 5280 §4.1.2.4"),
                    (kind != "country_name" or (len(text) == 2 and text.isupper()), "country_not_two_letters", "ISO 3166-1"),
                    (_is_directory_string(kind, value), "name_encoding", "RFC 5280 §4.1.2.4"),
                ]
            )
    kinds = [attribute["type"].native for rdn in one.tbs["subject"].chosen for attribute in rdn]
    yield from _broken(
        [
            ("common_name" in kinds, "no_common_name", "profile"),
            ("country_name" in kinds, "no_country", "GB/T 20518 §5.2.4"),
            (len(set(kinds)) == len(kinds), "name_attribute_twice", "profile"),
        ]
    )


def _is_directory_string(kind: str, value: core.Asn1Value) -> bool:
    chosen = value.chosen if isinstance(value, core.Choice) else value
    if kind in ("country_name", "serial_number"):
        return isinstance(chosen, core.PrintableString)
    return isinstance(chosen, core.UTF8String | core.PrintableString)


def _extensions(one: _Subject) -> Iterator[Finding]:
    for name, extension in one.extensions.items():
        critical = bool(extension["critical"].native)
        yield from _broken(
            [
                (name in _KNOWN, f"extension_unknown:{name}"[:60], "profile"),
                (critical or name not in _MUST_BE_CRITICAL, f"not_critical:{name}", "RFC 5280 §4.2.1"),
                (not critical or name not in _NEVER_CRITICAL, f"critical:{name}", "RFC 5280 §4.2.1, 4.2.2"),
            ]
        )
    wanted = {"basic_constraints", "key_usage", "key_identifier", "authority_key_identifier", "crl_distribution_points"}
    if not one.is_root:
        wanted.add("authority_information_access")
    for name in sorted(wanted - set(one.extensions)):
        yield Finding(Severity.ERROR, f"missing:{name}", "RFC 5280 §4.2; profile")


def _identifiers(one: _Subject) -> Iterator[Finding]:
    own, above = one.extensions.get("key_identifier"), one.extensions.get("authority_key_identifier")
    if own is None or above is None:
        return  # said already
    key = one.tbs["subject_public_key_info"]["public_key"].contents[1:]
    identifier = own["extn_value"].parsed.native
    issuer = above["extn_value"].parsed["key_identifier"].native
    yield from _broken(
        [
            (identifier == hashlib.sha256(key).digest()[:20], "key_identifier_wrong", "RFC 7093 §2"),
            (bool(issuer), "authority_key_identifier_empty", "RFC 5280 §4.2.1.1"),
            ((issuer == identifier) == one.is_root, "authority_key_identifier_wrong", "RFC 5280 §4.2.1.1"),
        ]
    )


def _constraints(one: _Subject) -> Iterator[Finding]:
    extension = one.extensions.get("basic_constraints")
    if extension is None:
        return
    value = extension["extn_value"].parsed
    is_authority, path_length = bool(value["ca"].native), value["path_len_constraint"].native
    yield from _broken(
        [
            (is_authority == one.profile.is_authority, "authority_or_not", "RFC 5280 §4.2.1.9; profile"),
            (path_length == one.profile.path_length, "path_length", "RFC 5280 §4.2.1.9; profile"),
        ]
    )


def _usage(one: _Subject) -> Iterator[Finding]:
    usage = one.extensions.get("key_usage")
    if usage is None:
        return
    bits = frozenset(usage["extn_value"].parsed.native)
    extended = one.extensions.get("extended_key_usage")
    purposes = tuple(purpose.dotted for purpose in extended["extn_value"].parsed) if extended else ()
    key = one.tbs["subject_public_key_info"]["algorithm"]["algorithm"].native
    yield from _broken(
        [
            (bits == one.profile.key_usage, "key_usage_differs", "profile"),
            (purposes == one.profile.extended_key_usage, "extended_key_usage_differs", "profile"),
            (len(set(purposes)) == len(purposes), "purpose_twice", "RFC 5280 §4.2.1.12"),
            (("key_cert_sign" in bits) == one.profile.is_authority, "certificate_signing", "RFC 5280 §4.2.1.3"),
            (all(bits & _PURPOSE_NEEDS.get(purpose, bits) for purpose in purposes), "usage_without_purpose", "RFC 5280 §4.2.1.12"),
            (not set(purposes) & _ALONE or len(purposes) == 1, "time_stamping_not_alone", "RFC 3161 §2.3"),
            (_critical(extended) == one.profile.extended_critical, "extended_key_usage_criticality", "RFC 3161 §2.3; profile"),
            (("ocsp_no_check" in one.extensions) == one.profile.no_check, "ocsp_no_check", "RFC 6960 §4.2.2.2.1"),
            ("subject_alt_name" not in one.extensions or one.profile.named, "hosts_named", "profile"),
            (not bits & _ENCIPHERING or key != "ed25519", "usage_impossible", "RFC 8410 §5"),
        ]
    )


def _critical(extension: x509.Extension | None) -> bool:
    return extension is not None and bool(extension["critical"].native)


def _addresses(one: _Subject) -> Iterator[Finding]:
    points, access = one.extensions.get("crl_distribution_points"), one.extensions.get("authority_information_access")
    if points is not None:
        urls = [name.native for point in points["extn_value"].parsed for name in point["distribution_point"].chosen]
        yield from _broken([(bool(urls) and all(map(_fetchable, urls)), "crl_address", "RFC 5280 §4.2.1.13")])
    if access is not None:
        described = {one["access_method"].native: one["access_location"].native for one in access["extn_value"].parsed}
        right = {"ca_issuers", "ocsp"} <= set(described) and all(map(_fetchable, described.values()))
        yield from _broken([(right, "access_addresses", "RFC 5280 §4.2.2.1, RFC 6960 §4.2.2.1")])


def _fetchable(url: object) -> bool:
    return isinstance(url, str) and url.isascii() and url.startswith(("http://", "https://"))


def _sm2(one: _Subject) -> Iterator[Finding]:
    """GB/T 20518: an SM2 key is certified with SM2-with-SM3, and nothing else is."""
    algorithm = one.tbs["subject_public_key_info"]["algorithm"]
    curve = algorithm["parameters"].native if algorithm["algorithm"].native == "ec" else None
    signed = one.tbs["signature"]["algorithm"].dotted == _SM2_WITH_SM3
    yield from _broken([((curve == _SM2_CURVE) == signed, "families_mixed", "GB/T 20518 §5.2.3")])


_RULES: tuple[Callable[[_Subject], Iterator[Finding]], ...] = (
    _basics,
    _validity,
    _name,
    _extensions,
    _identifiers,
    _constraints,
    _usage,
    _addresses,
    _sm2,
)
