"""The values of plain PDF syntax (ISO 32000-1 §7.3): names, numbers, strings, arrays, dictionaries, references.

Strict: a key that is there twice, a comment, an unbalanced string or a token this does not expect raises :class:`NotPlain`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_TOKEN = re.compile(
    rb"[\0\t\n\f\r ]*(?:"
    rb"(?P<name>/(?:[^\0\t\n\f\r ()<>\[\]{}/%#]|#[0-9A-Fa-f]{2})*)(?!#)"
    rb"|(?P<ref>(\d{1,10}) (\d{1,5}) R(?![^\0\t\n\f\r ()<>\[\]{}/%]))"
    rb"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?![^\0\t\n\f\r ()<>\[\]{}/%]))"
    rb"|(?P<open><<)|(?P<shut>>>)"
    rb"|(?P<hex><[0-9A-Fa-f]*>)"
    rb"|(?P<text>\((?:[^()\\]|\\.)*\))"
    rb"|(?P<array>\[)|(?P<end>\])"
    rb"|(?P<word>true|false|null)(?![^\0\t\n\f\r ()<>\[\]{}/%])"
    rb")",
    re.DOTALL,
)
_CODED = re.compile(rb"#([0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|\r\n|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}
_WORDS: Mapping[bytes, bool | None] = {b"true": True, b"false": False, b"null": None}
_MAX_DEPTH = 32


class NotPlain(ValueError):
    """The file is none of those this reader understands; what it is, another reader must say."""


class Name(str):
    """A name with its slash, as ``/Catalog``."""

    __slots__ = ()


class Ref(NamedTuple):
    """An indirect reference."""

    number: int
    generation: int = 0


def value_at(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends."""
    token = _TOKEN.match(data, at)
    if token is None or depth > _MAX_DEPTH:
        raise NotPlain("a spelling that is not plain")
    kind = token.lastgroup
    if kind == "open":
        return _dictionary(data, token.end(), depth)
    if kind == "array":
        return _array(data, token.end(), depth)
    if kind in ("shut", "end"):
        raise NotPlain("an end without a beginning")
    return _simple(token), token.end()


def _dictionary(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while True:
        token = _TOKEN.match(data, at)
        if token is None or token.lastgroup not in ("name", "shut"):
            raise NotPlain("a dictionary that is not plain")
        if token.lastgroup == "shut":
            return found, token.end()
        key = _name(token["name"])
        if key in found:
            raise NotPlain("a key that is there twice")
        found[key], at = value_at(data, token.end(), depth + 1)


def _array(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        token = _TOKEN.match(data, at)
        if token is not None and token.lastgroup == "end":
            return found, token.end()
        value, at = value_at(data, at, depth + 1)
        found.append(value)


def _simple(token: re.Match[bytes]) -> Any:
    kind = token.lastgroup
    if kind == "ref":
        return Ref(int(token[3]), int(token[4]))
    text = token[kind or 0]
    if kind == "name":
        return _name(text)
    if kind == "number":
        return float(text) if b"." in text else int(text)
    if kind == "hex":
        return bytes.fromhex((text[1:-1] + b"0" * (len(text) % 2)).decode())
    if kind == "text":
        return _ESCAPE.sub(_unescaped, text[1:-1])
    return _WORDS[text]


def _name(text: bytes) -> Name:
    if b"#" in text:
        text = _CODED.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    return Name(text.decode("latin-1"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[0] in b"01234567":
        return bytes((int(code, 8) & 0xFF,))
    return _ESCAPED.get(code, code)


def text_of(value: Any) -> str:
    """A text string: UTF-16 or UTF-8 with its mark, else Latin-1 (which agrees with PDFDocEncoding where it matters here)."""
    if not isinstance(value, bytes):
        return ""
    if value.startswith(b"\xfe\xff"):
        return value[2:].decode("utf-16-be", "replace")
    return value.removeprefix(b"\xef\xbb\xbf").decode("utf-8" if value.startswith(b"\xef\xbb\xbf") else "latin-1", "replace")
