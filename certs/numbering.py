"""Certificate identifiers and their check character (GB/T 36904).

``1.2.156.3005.2.<type code>.<issuer>.<serial>.<version>.<check>``: the root is the arc of e-certificates, the type code is the
defining body's unified social credit code and three more characters, the version starts at ``001``.
"""

import re
from functools import lru_cache
from typing import NamedTuple

ROOT = "1.2.156.3005.2"
FIRST_VERSION = "001"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Root, type code, issuer, serial, version and check character, each after a dot.
_IDENTIFIER = re.compile(r"(?:(.*)\.)?([0-9A-Z]{21})\.([0-9A-Z]{18}|[0-9]{6})\.([0-9A-Z]{1,30})\.([0-9A-Z]{3})\.([0-9A-Z])", re.DOTALL)
_OUTSIDE = 0
"""No product of the check (ISO 7064) is ever 0."""
_LAST_VERSION = 999


class Identifier(NamedTuple):
    """The parts of a certificate identifier; ``str()`` gives the whole of it."""

    type_code: str
    issuer: str
    serial: str
    version: str
    check: str

    def __str__(self) -> str:
        return f"{ROOT}.{self.type_code}.{self.issuer}.{self.serial}.{self.version}.{self.check}"


class IdentifierReport(NamedTuple):
    """What is wrong with an identifier found somewhere; ``identifier`` is absent when it cannot be taken apart."""

    identifier: Identifier | None
    flags: tuple[str, ...]


def _next_products(product: int) -> bytes:
    """What ``product`` becomes under each octet; outside the alphabet, and ever after, it is ``_OUTSIDE``."""
    followed = {ord(character): ((product + value) % 36 or 36) * 2 % 37 for value, character in enumerate(_ALPHABET)}
    return bytes(followed.get(octet, _OUTSIDE) if product != _OUTSIDE else _OUTSIDE for octet in range(256))


_PRODUCTS = tuple(_next_products(product) for product in range(37))
"""The check's arithmetic, done once: it is read for every character of millions of rows."""


def check_character(text: str) -> str:
    """ISO 7064 hybrid MOD 37,36 over ``text`` (characters 0-9 and A-Z; any other raises ``ValueError``)."""
    return _check_after(36, text)


def _check_after(product: int, text: str) -> str:
    product = _product(product, text)
    if product == _OUTSIDE:
        raise ValueError("a character outside 0-9 and A-Z")
    return _ALPHABET[(37 - product) % 36]


def _product(product: int, text: str) -> int:
    for octet in text.encode("ascii"):
        product = _PRODUCTS[product][octet]
    return product


@lru_cache(4096)
def _product_of(type_code: str, issuer: str) -> int:
    """Most of an identifier's characters, and the same for all of an issuer's certificates of a type."""
    return _product(36, type_code + issuer)


def make_identifier(type_code: str, issuer: str, serial: str, version: str = FIRST_VERSION) -> Identifier:
    """A new identifier. The check covers type, issuer, serial and version without dots; the root is not included."""
    return Identifier(type_code, issuer, serial, version, _check_after(_product_of(type_code, issuer), serial + version))


def next_version(identifier: Identifier) -> Identifier:
    """The same type, issuer and serial, one version on; raises ``ValueError`` after version 999 or where it is no number."""
    version = int(identifier.version) + 1
    if version > _LAST_VERSION:
        raise ValueError("no version left")
    return make_identifier(identifier.type_code, identifier.issuer, identifier.serial, f"{version:03d}")


def format_serial(year: int, number: int) -> str:
    """The serial segment of what is issued here: the year, then seven digits at least."""
    return f"{year:04d}{number:07d}"


def inspect_identifier(text: str) -> IdentifierReport:
    """Judge an identifier that came from outside; legacy data is flagged, never refused.

    Flags: ``identifier_format`` (cannot be taken apart), ``identifier_root``, ``identifier_check``, ``identifier_region_issuer``
    (a six-digit region stands where the issuer's credit code belongs).
    """
    found = _IDENTIFIER.fullmatch(text)
    if found is None:
        return IdentifierReport(None, ("identifier_format",))
    root, *segments = found.groups()
    identifier = Identifier(*segments)
    flags = [] if root == ROOT else ["identifier_root"]
    if identifier.check != make_identifier(*segments[:-1]).check:
        flags.append("identifier_check")
    if len(identifier.issuer) == len("990100"):
        flags.append("identifier_region_issuer")
    return IdentifierReport(identifier, tuple(flags))
