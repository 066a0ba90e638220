"""The extensions of RFC 5280 §4.2 as values. An extension that breaks its own syntax makes the certificate unreadable."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from keys.base import der, der_values
from keys.pki.validation_names import is_name

GeneralName = tuple[int, bytes]
"""Context tag number and content; a directoryName [4] is its Name in DER."""
Subtrees = tuple[GeneralName, ...]

OTHER, EMAIL, DNS, DIRECTORY, URI, ADDRESS = 0, 1, 2, 4, 6, 7
ANY_POLICY = "2.5.29.32.0"
USES = (
    "digital_signature",
    "non_repudiation",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
ALL_REASONS = frozenset(range(1, 9))
"""The bits of ReasonFlags (RFC 5280 §4.2.1.13), bit 0 being unused."""

_DNS_NAME = re.compile(rb"(?:\*\.)?(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)*(?!-)(?![0-9]+\Z)[A-Za-z0-9-]{1,63}(?<!-)")
_MAILBOX = re.compile(rb"[^@\s\x00-\x1f\x7f-\xff]+@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+")
_MOST = 4096


@dataclass(frozen=True, slots=True)
class KeyIdentifier:
    """AuthorityKeyIdentifier: the key, or its issuer's certificate by issuer and serial number."""

    identifier: bytes | None
    issuer: tuple[GeneralName, ...] = ()
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """Where a CRL is and what it covers. ``relative``: an RDN (DER of its SET) below the issuer's name, instead of ``names``."""

    names: tuple[GeneralName, ...] = ()
    relative: bytes | None = None
    reasons: frozenset[int] = ALL_REASONS
    issuer: tuple[GeneralName, ...] = ()


@dataclass
class Extensions:
    """What was found, under the names of ``Party``."""

    is_authority: bool = False
    path_length: int | None = None
    key_usage: frozenset[str] | None = None
    unknown_critical: tuple[str, ...] = ()
    extended_key_usage: frozenset[str] | None = None
    subject_key: bytes | None = None
    authority_key: KeyIdentifier | None = None
    policies: tuple[str, ...] | None = None
    mappings: tuple[tuple[str, str], ...] = ()
    explicit_policy: int | None = None
    mapping_inhibited: int | None = None
    any_policy_inhibited: int | None = None
    permitted: Subtrees = ()
    excluded: Subtrees = ()
    alternative_names: tuple[GeneralName, ...] = ()
    points: tuple[DistributionPoint, ...] = ()
    unchecked: bool = False
    names_critical: bool = False
    irregular: tuple[str, ...] = ()

    def members(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("names_critical", "irregular")}

    def complain(self, holds: bool, text: str) -> None:
        if holds:
            self.irregular += (text,)


def read(sequence: der.Element | None) -> Extensions:
    """Every extension of a certificate. Raises ``NotDer`` for one that is malformed or there twice."""
    found, seen = Extensions(), set()
    for extension in der.members(sequence) if sequence is not None else ():
        oid, critical, value = split(extension)
        if oid in seen:
            raise der.NotDer("an extension that is there twice")
        seen.add(oid)
        reader = _READERS.get(oid)
        if reader is not None:
            reader(found, critical, der.outermost(value))
        elif critical:
            found.unknown_critical += (oid,)
    if sequence is not None and not seen:
        raise der.NotDer("an empty list of extensions")
    _judge_together(found)
    return found


def split(extension: der.Element) -> tuple[str, bool, bytes]:
    """OID, whether it is critical, and the content of the OCTET STRING."""
    members = der.members(extension)
    if len(members) not in (2, 3):
        raise der.NotDer("no extension")
    # Some issuers write the default FALSE out, against DER: it is signed and says nothing else.
    critical = len(members) == 3 and der_values.boolean(members[1])
    return der_values.dotted(members[0]), critical, der_values.octets(members[-1])


def _judge_together(found: Extensions) -> None:
    certifies = found.key_usage is not None and "key_cert_sign" in found.key_usage
    constrained = bool(found.permitted or found.excluded)
    found.complain(certifies and not found.is_authority, "key usage for certificates without being an authority")
    found.complain(found.path_length is not None and not found.is_authority, "a path length without being an authority")
    found.complain(constrained and not found.is_authority, "name constraints without being an authority")


def _basic_constraints(found: Extensions, critical: bool, value: der.Element) -> None:
    members = der.members(value)
    if members and members[0].tag == der_values.BOOLEAN:
        found.is_authority = der_values.boolean(members.pop(0))
    if members:
        found.path_length = der_values.integer(members.pop(0))
    if members or (found.path_length or 0) < 0:
        raise der.NotDer("no BasicConstraints")
    found.complain(found.is_authority and not critical, "basic constraints of an authority that are not critical")


def _key_usage(found: Extensions, _critical: bool, value: der.Element) -> None:
    found.key_usage = frozenset(USES[bit] for bit in der_values.bits(value) if bit < len(USES))


def _extended_key_usage(found: Extensions, _critical: bool, value: der.Element) -> None:
    found.extended_key_usage = frozenset(der_values.dotted(one) for one in der.members(value))
    found.complain(not found.extended_key_usage, "an empty extended key usage")


def _policies(found: Extensions, _critical: bool, value: der.Element) -> None:
    policies = tuple(der_values.dotted(der.members(one)[0]) for one in der.members(value))
    if not policies or len(set(policies)) != len(policies):
        raise der.NotDer("no certificate policies, or one twice")
    found.policies = policies


def _mappings(found: Extensions, _critical: bool, value: der.Element) -> None:
    pairs = [der.members(one) for one in der.members(value)]
    found.mappings = tuple((der_values.dotted(one), der_values.dotted(other)) for one, other in pairs)


def _policy_constraints(found: Extensions, critical: bool, value: der.Element) -> None:
    members = {one.tag: der_values.integer(one, one.tag) for one in der.members(value)}
    if not members or not set(members) <= {0x80, 0x81} or min(members.values()) < 0:
        raise der.NotDer("no PolicyConstraints")
    found.explicit_policy, found.mapping_inhibited = members.get(0x80), members.get(0x81)
    found.complain(not critical, "policy constraints that are not critical")


def _inhibit_any_policy(found: Extensions, _critical: bool, value: der.Element) -> None:
    found.any_policy_inhibited = der_values.integer(value)
    if found.any_policy_inhibited < 0:
        raise der.NotDer("no InhibitAnyPolicy")


def _name_constraints(found: Extensions, critical: bool, value: der.Element) -> None:
    members = {one.tag: one for one in der.members(value)}
    if not members or not set(members) <= {0xA0, 0xA1}:
        raise der.NotDer("no NameConstraints")
    found.permitted = _subtrees(members[0xA0]) if 0xA0 in members else ()
    found.excluded = _subtrees(members[0xA1]) if 0xA1 in members else ()
    found.complain(not critical, "name constraints that are not critical")


def _subtrees(element: der.Element) -> Subtrees:
    subtrees = der_values.children(element)
    if not subtrees:
        raise der.NotDer("no subtree")
    bases = []
    for subtree in subtrees:
        base, *bounds = der.members(subtree)
        if bounds:  # RFC 5280 §4.2.1.10: minimum is zero and therefore absent, maximum is absent
            raise der.NotDer("a subtree with bounds")
        bases.append(general_name(base))
    return tuple(bases)


def general_name(element: der.Element) -> GeneralName:
    number = element.tag & 0x1F
    if element.tag & 0xC0 != 0x80 or number > 8:
        raise der.NotDer("no GeneralName")
    if number != DIRECTORY:
        return number, element.value
    name = der_values.inner(element).encoded
    if not is_name(name):
        raise der.NotDer("no name")
    return number, name


def general_names(element: der.Element) -> tuple[GeneralName, ...]:
    """GeneralNames under any tag."""
    members = der_values.children(element)
    if not 0 < len(members) <= _MOST:
        raise der.NotDer("no GeneralNames, or too many")
    return tuple(general_name(one) for one in members)


def _alternative_names(found: Extensions, critical: bool, value: der.Element) -> None:
    der.members(value)
    found.alternative_names, found.names_critical = general_names(value), critical
    found.complain(not all(_well_formed(*one) for one in found.alternative_names), "an alternative name that is malformed")


def _well_formed(number: int, value: bytes) -> bool:
    if number == DNS:
        return _DNS_NAME.fullmatch(value) is not None and not _is_address(value) and len(value) <= 253
    if number == EMAIL:
        return _MAILBOX.fullmatch(value) is not None
    return number != ADDRESS or len(value) in (4, 16)


def _is_address(text: bytes) -> bool:
    try:
        ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return False
    return True


def _subject_key(found: Extensions, critical: bool, value: der.Element) -> None:
    found.subject_key = der_values.octets(value)
    found.complain(critical, "a subject key identifier that is critical")


def _authority_key(found: Extensions, critical: bool, value: der.Element) -> None:
    found.authority_key = key_identifier(value)
    found.complain(critical, "an authority key identifier that is critical")


def key_identifier(value: der.Element) -> KeyIdentifier:
    members = {one.tag: one for one in der.members(value)}
    if not set(members) <= {0x80, 0xA1, 0x82}:
        raise der.NotDer("no AuthorityKeyIdentifier")
    return KeyIdentifier(
        members[0x80].value if 0x80 in members else None,
        general_names(members[0xA1]) if 0xA1 in members else (),
        der_values.integer(members[0x82], 0x82) if 0x82 in members else None,
    )


def _points(found: Extensions, _critical: bool, value: der.Element) -> None:
    found.points = tuple(_point(one) for one in der.members(value))
    if not found.points:
        raise der.NotDer("no distribution point")


def _point(element: der.Element) -> DistributionPoint:
    members = {one.tag: one for one in der.members(element)}
    if not members or not set(members) <= {0xA0, 0x81, 0xA2}:
        raise der.NotDer("no DistributionPoint")
    names, relative = point_name(members[0xA0]) if 0xA0 in members else ((), None)
    reasons = der_values.bits(members[0x81], 0x81) & ALL_REASONS if 0x81 in members else ALL_REASONS
    return DistributionPoint(names, relative, reasons, general_names(members[0xA2]) if 0xA2 in members else ())


def point_name(element: der.Element) -> tuple[tuple[GeneralName, ...], bytes | None]:
    """DistributionPointName: full names, or an RDN below the issuer's name as the DER of its SET."""
    choice = der_values.inner(element)
    if choice.tag == 0xA0:
        return general_names(choice), None
    if choice.tag != 0xA1:
        raise der.NotDer("no DistributionPointName")
    return (), der.encode(der_values.SET, choice.value)


def _unchecked(found: Extensions, _critical: bool, value: der.Element) -> None:
    found.unchecked = value.tag == der_values.NULL


def _information_access(found: Extensions, critical: bool, value: der.Element) -> None:
    descriptions = [der.members(one) for one in der.members(value)]
    if not descriptions or any(len(one) != 2 for one in descriptions):
        raise der.NotDer("no AccessDescription")
    for _, location in descriptions:
        general_name(location)
    found.complain(critical, "authority information access that is critical")


def _issuer_names(_found: Extensions, _critical: bool, value: der.Element) -> None:
    der.members(value)
    general_names(value)


_READERS: Mapping[str, Callable[[Extensions, bool, der.Element], None]] = {
    "2.5.29.14": _subject_key,
    "2.5.29.15": _key_usage,
    "2.5.29.17": _alternative_names,
    "2.5.29.18": _issuer_names,
    "2.5.29.19": _basic_constraints,
    "2.5.29.30": _name_constraints,
    "2.5.29.31": _points,
    "2.5.29.32": _policies,
    "2.5.29.33": _mappings,
    "2.5.29.35": _authority_key,
    "2.5.29.36": _policy_constraints,
    "2.5.29.37": _extended_key_usage,
    "2.5.29.54": _inhibit_any_policy,
    "1.3.6.1.5.5.7.1.1": _information_access,
    "1.3.6.1.5.5.7.48.1.5": _unchecked,
}
