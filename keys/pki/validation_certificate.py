"""A certificate as read for validation: strict DER, the extensions of RFC 5280 §4.2 taken apart, what is irregular named.

A certificate that cannot be read under these rules is none: :func:`read_certificate` answers None.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from keys.base import der, der_values
from keys.pki import validation_extensions as extensions
from keys.pki.validation_extensions import DistributionPoint, Extensions, GeneralName, KeyIdentifier, Subtrees
from keys.pki.validation_names import comparable, is_name, shown

UNREADABLE = (ValueError, TypeError, IndexError, OverflowError)
MAX_CERTIFICATE = 1 << 20
_SERIAL_OCTETS = 20
_EMPTY_NAME = b"\x30\x00"


@dataclass(frozen=True, slots=True)
class Party:
    """A certificate as read. ``key_usage`` is None where the extension is missing; ``path_length`` likewise.

    ``subject``, ``issuer``, ``public`` and ``algorithm_identifier`` are DER, ``algorithm`` is an OID, ``name`` is for people.
    ``irregular`` says what RFC 5280 forbids a certificate to be, ``misissued`` what it forbids an issuer to write; a validator may
    tolerate both, and an anchor, which is trusted for itself, is not asked about its issuer.
    """

    encoded: bytes
    signed: bytes
    algorithm: str
    algorithm_identifier: bytes
    signature: bytes
    subject: bytes
    issuer: bytes
    serial: int
    public: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    name: str
    is_authority: bool
    path_length: int | None
    key_usage: frozenset[str] | None
    unknown_critical: tuple[str, ...]
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
    irregular: tuple[str, ...] = ()
    misissued: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.encoded)  # everything else follows from it

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer or comparable(self.subject) == comparable(self.issuer)

    def may(self, *uses: str) -> bool:
        """Whether the key usage names one of ``uses``; a certificate without key usage may do nothing here."""
        return self.key_usage is not None and not self.key_usage.isdisjoint(uses)

    def valid_at(self, instant: dt.datetime) -> bool:
        return self.not_before <= instant.replace(microsecond=0) and instant.replace(microsecond=0) <= self.not_after


@lru_cache(maxsize=1024)
def read_certificate(encoded: bytes) -> Party | None:
    """The certificate, or None if it is none."""
    try:
        return _read(encoded)
    except UNREADABLE:
        return None


def _read(encoded: bytes) -> Party:
    if len(encoded) > MAX_CERTIFICATE:
        raise ValueError("larger than any certificate")
    tbs, algorithm, signature = der.members(der.outermost(encoded))
    version, fields = _version(der.members(tbs))
    serial, inside, issuer, validity, subject, public, *rest = fields
    if inside.encoded != algorithm.encoded:
        raise ValueError("the signature algorithm inside and outside differ")  # RFC 5280 §4.1.1.2
    if not (is_name(issuer.encoded) and is_name(subject.encoded)):
        raise ValueError("no name")
    not_before, not_after = (der_values.instant(one) for one in der.members(validity))
    found = extensions.read(_extensions(rest, version))
    number = der_values.integer(serial)
    return Party(
        encoded=encoded,
        signed=tbs.encoded,
        algorithm=der_values.dotted(der.members(algorithm)[0]),
        algorithm_identifier=algorithm.encoded,
        signature=der_values.whole_bits(signature),
        subject=subject.encoded,
        issuer=issuer.encoded,
        serial=number,
        public=public.encoded,
        not_before=not_before,
        not_after=not_after,
        name=shown(subject.encoded),
        irregular=(*_irregular(version, subject.encoded, found), *found.irregular),
        misissued=tuple(_misissued(number, issuer.encoded, subject.encoded, found)),
        **found.members(),
    )


def _version(fields: list[der.Element]) -> tuple[int, list[der.Element]]:
    if fields[0].tag != der.EXPLICIT_0:
        return 1, fields
    version = der_values.integer(der_values.inner(fields[0])) + 1
    if version not in (2, 3):
        raise ValueError("no version that is known")
    return version, fields[1:]


def _extensions(rest: list[der.Element], version: int) -> der.Element | None:
    """The SEQUENCE of extensions behind the unique identifiers, which mean nothing any more."""
    tags = [one.tag for one in rest]
    if tags != sorted(set(tags)) or not set(tags) <= {0x81, 0x82, 0xA3}:
        raise ValueError("something else than unique identifiers and extensions")
    if 0xA3 not in tags:
        return None
    if version != 3:
        raise ValueError("extensions before version 3")
    return der_values.inner(rest[-1])


def _irregular(version: int, subject: bytes, found: Extensions) -> Iterator[str]:
    """RFC 5280 §4.1 and §4.2 on the certificate itself."""
    if version != 3:
        yield "not of version 3"
    if found.is_authority and found.subject_key is None:
        yield "an authority without a subject key identifier"
    if subject != _EMPTY_NAME:
        return
    if found.is_authority:
        yield "an authority without a name"
    elif not found.alternative_names or not found.names_critical:
        yield "nobody is named in a way that must be read"


def _misissued(serial: int, issuer: bytes, subject: bytes, found: Extensions) -> Iterator[str]:
    """The same on what its issuer put there to be found by."""
    if serial <= 0:
        yield "a serial number that is not positive"
    if serial.bit_length() >= 8 * _SERIAL_OCTETS:
        yield "a serial number longer than 20 octets"
    if issuer == _EMPTY_NAME:
        yield "an issuer without a name"
    if issuer != subject and (found.authority_key is None or not found.authority_key.identifier):
        yield "no authority key identifier"
