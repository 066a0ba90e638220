"""A CRL as read for validation (RFC 5280 §5): complete, delta, partitioned or indirect. Its entries are looked at only when asked for."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from keys.base import der, der_values
from keys.pki.validation_certificate import UNREADABLE
from keys.pki.validation_extensions import (
    ALL_REASONS,
    DIRECTORY,
    GeneralName,
    KeyIdentifier,
    general_names,
    key_identifier,
    point_name,
    split,
)
from keys.pki.validation_names import is_name, same

REMOVE_FROM_CRL, CERTIFICATE_HOLD = 8, 6
MAX_CRL = 64 << 20
_TRUE, _LONGEST_OID = b"\x01\x01\xff", 128
_VERSION_2 = b"\x02\x01\x01"
_AUTHORITY_KEY, _NUMBER, _DELTA, _POINT, _FRESHEST = "2.5.29.35", "2.5.29.20", "2.5.29.27", "2.5.29.28", "2.5.29.46"
_ISSUER_NAMES, _INFORMATION_ACCESS = "2.5.29.18", "1.3.6.1.5.5.7.1.1"
_REASON, _ENTRY_ISSUER, _INVALIDITY = "2.5.29.21", "2.5.29.29", "2.5.29.24"


@dataclass(frozen=True, slots=True)
class IssuingPoint:
    """IssuingDistributionPoint (§5.2.5): what the list covers. ``names`` and ``relative`` as in ``DistributionPoint``."""

    names: tuple[GeneralName, ...] = ()
    relative: bytes | None = None
    users_only: bool = False
    authorities_only: bool = False
    reasons: frozenset[int] = ALL_REASONS
    indirect: bool = False
    attributes_only: bool = False

    @property
    def named(self) -> bool:
        return bool(self.names) or self.relative is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """One revoked certificate. ``issuer``: whose it is (DER Name); ``strange``: a critical extension that is not understood."""

    serial: int
    since: dt.datetime
    reason: int | None
    issuer: bytes
    strange: bool = False


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL as read; whether it may be believed depends on its issuer.

    ``revoked``: the content octets of revokedCertificates. ``base``: for a delta, the number it adds to.
    """

    signed: bytes = field(repr=False)
    algorithm: str
    algorithm_identifier: bytes
    signature: bytes
    issuer: bytes
    this_update: dt.datetime
    next_update: dt.datetime | None
    unknown_critical: tuple[str, ...]
    revoked: bytes = field(repr=False)
    number: int | None = None
    base: int | None = None
    point: IssuingPoint | None = None
    authority_key: KeyIdentifier | None = None
    irregular: tuple[str, ...] = ()

    @property
    def indirect(self) -> bool:
        return self.point is not None and self.point.indirect

    def fresh_at(self, instant: dt.datetime) -> bool:
        return self.this_update <= instant and self.next_update is not None and instant <= self.next_update


@lru_cache(maxsize=64)
def read_crl(encoded: bytes) -> RevocationList | None:
    """The CRL, or None if it is none."""
    try:
        return _read(encoded)
    except UNREADABLE:
        return None


def _read(encoded: bytes) -> RevocationList:
    if len(encoded) > MAX_CRL:
        raise ValueError("larger than any revocation list")
    tbs, algorithm, signature = der.members(der.outermost(encoded))
    fields = der.members(tbs)
    if fields[0].tag == der.INTEGER and fields.pop(0).encoded != _VERSION_2:
        raise ValueError("no version that is known")
    inside, issuer, this_update, *rest = fields
    if inside.encoded != algorithm.encoded or not is_name(issuer.encoded):
        raise ValueError("the signature algorithm inside and outside differ, or no name")
    next_update = der_values.instant(rest.pop(0)) if rest and rest[0].tag in (der_values.UTC_TIME, der.GENERALIZED_TIME) else None
    revoked = rest.pop(0).value if rest and rest[0].tag == der.SEQUENCE else b""
    found = _Extensions()
    for extension in der.members(der_values.inner(_only(rest, 0xA0))) if rest else ():
        found.take(*split(extension))
    return RevocationList(
        signed=tbs.encoded,
        algorithm=der_values.dotted(der.members(algorithm)[0]),
        algorithm_identifier=algorithm.encoded,
        signature=der_values.whole_bits(signature),
        issuer=issuer.encoded,
        this_update=der_values.instant(this_update),
        next_update=next_update,
        unknown_critical=tuple(found.unknown),
        revoked=revoked,
        number=found.number,
        base=found.base,
        point=found.point,
        authority_key=found.authority_key,
        irregular=tuple(found.complaints()),
    )


def _only(rest: list[der.Element], tag: int) -> der.Element:
    if len(rest) != 1 or rest[0].tag != tag:
        raise ValueError("something else than extensions at the end")
    return rest[0]


class _Extensions:
    """What the extensions of one CRL say (§5.2)."""

    def __init__(self) -> None:
        self.seen: dict[str, bool] = {}
        self.unknown: list[str] = []
        self.number: int | None = None
        self.base: int | None = None
        self.point: IssuingPoint | None = None
        self.authority_key: KeyIdentifier | None = None

    def take(self, oid: str, critical: bool, content: bytes) -> None:
        if oid in self.seen:
            raise ValueError("an extension that is there twice")
        self.seen[oid] = critical
        if oid == _NUMBER:
            self.number = der_values.integer(der.outermost(content))
        elif oid == _DELTA:
            self.base = der_values.integer(der.outermost(content))
        elif oid == _POINT:
            self.point = _issuing_point(der.outermost(content))
        elif oid == _AUTHORITY_KEY:
            self.authority_key = key_identifier(der.outermost(content))
        elif critical and oid not in (_FRESHEST, _ISSUER_NAMES, _INFORMATION_ACCESS):
            self.unknown.append(oid)

    def complaints(self) -> Iterator[str]:
        if _NUMBER not in self.seen:
            yield "a list without a number"
        if self.seen.get(_NUMBER):
            yield "a list number that is critical"
        if _AUTHORITY_KEY not in self.seen:
            yield "a list without an authority key identifier"


def _issuing_point(element: der.Element) -> IssuingPoint:
    members = {one.tag: one for one in der.members(element)}
    if not set(members) <= {0xA0, 0x81, 0x82, 0x83, 0x84, 0x85}:
        raise ValueError("no IssuingDistributionPoint")
    names, relative = point_name(members[0xA0]) if 0xA0 in members else ((), None)
    flags = {tag: tag in members and der_values.boolean(members[tag], tag) for tag in (0x81, 0x82, 0x84, 0x85)}
    return IssuingPoint(
        names,
        relative,
        users_only=flags[0x81],
        authorities_only=flags[0x82],
        reasons=der_values.bits(members[0x83], 0x83) & ALL_REASONS if 0x83 in members else ALL_REASONS,
        indirect=flags[0x84],
        attributes_only=flags[0x85],
    )


def find_entry(crl: RevocationList, serial: int, issuer: bytes) -> Entry | None:
    """The last word of the list about a certificate: its serial number and its issuer's name (DER). Raises ``NotDer``.

    The octets of the number are looked for first: a list of a million entries that does not hold them is passed in milliseconds.
    """
    if serial.to_bytes(max(1, (serial.bit_length() + 8) // 8), signed=True).lstrip(b"\0") not in crl.revoked:
        return None
    found = None
    for entry in _entries(crl) if crl.indirect else (_entry(crl, one) for one in _with_serial(crl.revoked, serial)):
        if entry.serial == serial and same(entry.issuer, issuer):
            found = entry
    return found


def _with_serial(revoked: bytes, serial: int) -> Iterator[der.Element]:
    """The entries that begin with this number, however it is spelled; the others are stepped over, a microsecond each."""
    at, end = 0, len(revoked)
    while at < end:
        entry_end = _end_of(revoked, at)
        number = at + (2 if revoked[at + 1] < 0x80 else 2 + (revoked[at + 1] & 0x7F))
        if revoked[at] != der.SEQUENCE or revoked[number] != der.INTEGER or entry_end > end:
            raise der.NotDer("no entry of a revocation list")
        if int.from_bytes(revoked[number + 2 : _end_of(revoked, number)], signed=True) == serial:
            yield der.outermost(revoked[at:entry_end])
        at = entry_end


def _end_of(data: bytes, at: int) -> int:
    size = data[at + 1]
    if size < 0x80:
        return at + 2 + size
    count = size & 0x7F
    return at + 2 + count + int.from_bytes(data[at + 2 : at + 2 + count])


def _entries(crl: RevocationList) -> Iterator[Entry]:
    """Every entry; that of an indirect list is its issuer's whom it or the one before it names (§5.3.3)."""
    issuer = crl.issuer
    for element in der.members(der.outermost(der.encode(der.SEQUENCE, crl.revoked))):
        entry = _entry(crl, element, issuer)
        issuer = entry.issuer
        yield entry


def _entry(crl: RevocationList, element: der.Element, issuer: bytes | None = None) -> Entry:
    serial, since, *rest = der.members(element)
    whose, reason, strange = issuer or crl.issuer, None, False
    for oid, critical, content in map(split, der.members(rest[0]) if rest else ()):
        if oid == _REASON:
            reason = der_values.integer(der.outermost(content), der_values.ENUMERATED)
        elif oid == _ENTRY_ISSUER and crl.indirect:
            whose = _directory_name(general_names(der.outermost(content)))
        elif critical and oid != _INVALIDITY:
            strange = True
    return Entry(der_values.integer(serial), der_values.instant(since), reason, whose, strange)


def _directory_name(names: tuple[GeneralName, ...]) -> bytes:
    return next((value for number, value in names if number == DIRECTORY), b"")


def names_strange_entries(crl: RevocationList) -> bool:
    """Whether an entry holds a critical extension that is not understood: then who is *not* listed proves nothing (§5.3)."""
    return _may_hold_critical(crl.revoked) and any(entry.strange for entry in _entries(crl))


def _may_hold_critical(revoked: bytes) -> bool:
    """Whether somewhere a TRUE follows an OBJECT IDENTIFIER; seldom by chance, never not where an extension is critical."""
    at = revoked.find(_TRUE)
    while at >= 0:
        if any(revoked[at - length - 2 : at - length] == bytes((der.OBJECT_IDENTIFIER, length)) for length in range(1, _LONGEST_OID)):
            return True
        at = revoked.find(_TRUE, at + 1)
    return False
