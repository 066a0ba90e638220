"""PDF objects in one canonical spelling: what a revision copies from the base file is spelled alike, whichever reader read it.

A strict reading of its own for the plain syntax that renderers write, and the same spelling for pyHanko's objects. Spelling: no
white space that is not needed, strings in hexadecimal, numbers without idle digits, references as they are. What is not plain
(escapes, comments, names with ``#``) raises :class:`NotPlain`, and is for pyHanko to read.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from pyhanko.pdf_utils import generic

Entries = Mapping[bytes, bytes]
"""A dictionary: names with their solidus, values in canonical spelling."""

_MAX_DEPTH = 32
_KEPT = 1024
_MAX_OCTETS = 1 << 16
_TOKEN = re.compile(
    rb"[\t\n\r ]*(?:"
    rb"(?P<open><<|\[)|(?P<close>>>|\])"
    rb"|(?P<name>/[A-Za-z0-9_.+:*-]+)"
    rb"|(?P<reference>(?:[1-9]\d{0,9}) (?:0|[1-9]\d{0,4}) R)(?![^\t\n\r /<>\[\]()])"
    rb"|(?P<number>-?(?:0|[1-9]\d{0,14})(?:\.\d{1,12})?)(?![^\t\n\r /<>\[\]()])"
    rb"|(?P<word>true|false|null)(?![^\t\n\r /<>\[\]()])"
    rb"|\((?P<literal>[ !-'*-\[\]-~\x80-\xff]*)\)"
    rb"|<(?P<hex>(?:[0-9A-Fa-f]{2})*)>"
    rb")"
)
_SPACED = frozenset({"number", "reference", "word"})
_REGULAR = frozenset({"name", "number", "reference", "word"})
_NAME = re.compile(rb"/[A-Za-z0-9_.+:*-]+")
REFERENCE = re.compile(rb"([1-9]\d{0,9}) (0|[1-9]\d{0,4}) R")


class NotPlain(ValueError):
    """Not the plain syntax that is read here; nothing is said about whether it is PDF."""


def dictionary(data: bytes, at: int = 0) -> tuple[Entries, int]:
    """The dictionary that begins at ``at``, and where it ends. Raises :class:`NotPlain`."""
    reading = _Reading(data, at)
    if reading.take() != ("open", b"<<"):
        raise NotPlain("no dictionary")
    entries: dict[bytes, bytes] = {}
    while (token := reading.take()) != ("close", b">>"):
        kind, name = token
        if kind != "name" or name in entries:
            raise NotPlain("no key, or one twice")
        entries[name] = reading.value(reading.take())
    return entries, reading.at


@lru_cache(maxsize=_KEPT)
def whole_dictionary(data: bytes) -> Entries:
    """The dictionary that ``data`` is, white space around it apart. Raises :class:`NotPlain`.

    Kept by its octets: documents of one template have the same catalogue and page tree, and only few objects are ever read.
    """
    entries, end = dictionary(data)
    if data[end:].strip(b"\t\n\r "):
        raise NotPlain("not a dictionary alone")
    return entries


@lru_cache(maxsize=_KEPT)
def members(array: bytes) -> tuple[bytes, ...]:
    """The members of an array in canonical spelling, kept as dictionaries are. Raises :class:`NotPlain`."""
    reading = _Reading(array, 0)
    if reading.take() != ("open", b"["):
        raise NotPlain("no array")
    found: list[bytes] = []
    while (token := reading.take()) != ("close", b"]"):
        found.append(reading.value(token))
    return tuple(found)


def spelled(entries: Entries, additions: bytes = b"", replaced: frozenset[bytes] = frozenset()) -> bytes:
    """The dictionary without the entries ``replaced``, with ``additions`` (PDF syntax) behind the others."""
    kept = b"".join(_entry(name, value) for name, value in entries.items() if name not in replaced)
    return b"<<%b%b>>" % (kept, additions)


def _entry(name: bytes, value: bytes) -> bytes:
    return name + value if value[:1] in b"/<[" else name + b" " + value


class _Reading:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.limit = data, at, at + _MAX_OCTETS

    def take(self) -> tuple[str, bytes]:
        match = _TOKEN.match(self.data, self.at)
        if match is None or match.lastgroup is None or match.end() > self.limit:
            raise NotPlain("not plain syntax")
        self.at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def value(self, token: tuple[str, bytes]) -> bytes:
        """The value that begins with this token, spelled canonically."""
        out, depth, before = bytearray(), 0, ""
        stack: list[bytes] = []
        while True:
            kind, octets = token
            if kind == "open":
                stack.append(b">>" if octets == b"<<" else b"]")
            elif kind == "close" and (not stack or stack.pop() != octets):
                raise NotPlain("a bracket that does not fit")
            if kind in _SPACED and before in _REGULAR:
                out += b" "
            out += _spelling(kind, octets)
            depth, before = len(stack), kind
            if depth == 0:
                return bytes(out)
            if depth > _MAX_DEPTH:
                raise NotPlain("nested too deeply")
            token = self.take()


def _spelling(kind: str, octets: bytes) -> bytes:
    if kind == "literal":
        return b"<" + octets.hex().encode() + b">"
    if kind == "hex":
        return b"<" + octets.lower() + b">"
    return _number(octets) if kind == "number" else octets


def _number(octets: bytes) -> bytes:
    if b"." in octets:
        octets = octets.rstrip(b"0").rstrip(b".")
    return b"0" if octets == b"-0" else octets


def canonical(value: generic.PdfObject) -> bytes:
    """An object that pyHanko read, in the same spelling. Raises ``ValueError`` for what does not belong into a dictionary."""
    return _Spelling().of(value, 0)


def entries_of(value: generic.PdfObject) -> Entries:
    """A dictionary that pyHanko read. Raises ``ValueError`` if it is none."""
    if not isinstance(value, generic.DictionaryObject):
        raise ValueError("no dictionary")
    return {_name(key): canonical(value.raw_get(key)) for key in value}


def _name(name: str) -> bytes:
    octets = name.encode("utf-8")
    if _NAME.fullmatch(octets):
        return octets
    return b"/" + b"".join(bytes((one,)) if _NAME.fullmatch(b"/" + bytes((one,))) else b"#%02x" % one for one in octets[1:])


class _Spelling:
    def of(self, value: generic.PdfObject, depth: int) -> bytes:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(value, generic.IndirectObject):
            return b"%d %d R" % (value.idnum, value.generation)
        if isinstance(value, generic.DictionaryObject):
            if isinstance(value, generic.StreamObject):
                raise ValueError("a stream within an object")
            return spelled({_name(key): self.of(value.raw_get(key), depth + 1) for key in value})
        if isinstance(value, generic.ArrayObject):
            return b"[%b]" % self._joined([self.of(value.raw_get(index), depth + 1) for index in range(len(value))])
        return self._plain(value)

    @staticmethod
    def _joined(parts: list[bytes]) -> bytes:
        out = bytearray()
        for part in parts:
            if out and part[:1] not in b"/<[" and not out.endswith((b">", b"]")):
                out += b" "
            out += part
        return bytes(out)

    @staticmethod
    def _plain(value: generic.PdfObject) -> bytes:
        if isinstance(value, generic.NameObject):
            return _name(str(value))
        if isinstance(value, generic.BooleanObject):
            return b"true" if value.value else b"false"
        if isinstance(value, generic.NullObject):
            return b"null"
        if isinstance(value, generic.FloatObject):
            return _number(format(Decimal(value), "f").encode())
        if isinstance(value, generic.NumberObject):
            return b"%d" % int(value)
        if isinstance(value, generic.TextStringObject | generic.ByteStringObject):
            return b"<" + bytes(value.original_bytes).hex().encode() + b">"
        raise ValueError(f"unexpected {type(value).__name__}")
