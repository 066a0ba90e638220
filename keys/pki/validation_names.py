"""Distinguished names: how they compare (RFC 5280 §7.1, RFC 4518) and how they are shown.

Case, runs of spaces and the choice of string type make no difference; neither does the order of attributes within one RDN.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from keys.base import der, der_values

Name = tuple[tuple[tuple[bytes, str | bytes], ...], ...]
"""A name in the form that compares: RDNs, each its sorted attributes (OID octets, text or, for what is no text, DER)."""

EMAIL_ADDRESS = bytes.fromhex("2a864886f70d010901")
_COMMON_NAME, _ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_CHARACTERS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_MOST_ATTRIBUTES = 64


def _attributes(rdn: der.Element) -> Iterator[tuple[bytes, der.Element]]:
    for attribute in der_values.children(rdn):
        kind, value = der.members(attribute)
        if kind.tag != der.OBJECT_IDENTIFIER:
            raise der.NotDer("an attribute without its type")
        yield kind.value, value


def _text(value: der.Element) -> str | None:
    characters = _CHARACTERS.get(value.tag)
    if characters is None:
        return None
    try:
        return value.value.decode(characters)
    except UnicodeDecodeError:
        return None


def _prepared(value: der.Element) -> str | bytes:
    text = _text(value)
    return value.encoded if text is None else " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=4096)
def comparable(name: bytes) -> Name:
    """The comparable form of a Name (DER). Octets that are no Name equal only themselves."""
    try:
        rdns = der.members(der.outermost(name))
        found = tuple(tuple(sorted((kind, _prepared(value)) for kind, value in _attributes(rdn))) for rdn in rdns)
    except (ValueError, TypeError):
        return (((b"", name),),)
    return found


def is_name(name: bytes) -> bool:
    """Whether the octets are a Name in DER, of a size a name may have."""
    try:
        rdns = der.members(der.outermost(name))
        sizes = [len(list(_attributes(rdn))) for rdn in rdns if rdn.tag == der_values.SET]
    except (ValueError, TypeError):
        return False
    return len(sizes) == len(rdns) and 0 not in sizes and sum(sizes) <= _MOST_ATTRIBUTES


def same(one: bytes, other: bytes) -> bool:
    return one == other or comparable(one) == comparable(other)


def within(base: bytes, name: bytes) -> bool:
    """Whether the name stands in the subtree below ``base`` (both DER)."""
    above = comparable(base)
    return comparable(name)[: len(above)] == above


def texts(name: bytes, kind: bytes) -> tuple[str, ...]:
    """The values of one attribute type in a Name (DER), as written."""
    found = (_text(value) for rdn in der.members(der.outermost(name)) for one, value in _attributes(rdn) if one == kind)
    return tuple(text for text in found if text is not None)


def shown(name: bytes) -> str:
    """The common name, else the organisation, else nothing."""
    return " / ".join(texts(name, _COMMON_NAME) or texts(name, _ORGANIZATION))
