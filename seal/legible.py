"""What may stand in a name that somebody approves, or that a stamp bears: nothing that hides, reorders or only looks like another.

A title with a right-to-left override reads otherwise than it is; a Kangxi radical or a compatibility ideograph looks like the
character it stands for and makes a second, different name of the same look. Both are refused, never dropped.
"""

import unicodedata

from keys.base.errors import InvalidInput

_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_IGNORABLE = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)})
_PLANE_14 = range(0xE0000, 0xE1000)
_LOOKALIKES = (range(0x2E80, 0x2FE0), range(0xF900, 0xFB00), range(0x2F800, 0x2FA20))
"""Radicals and compatibility ideographs; a dozen of the latter are characters of their own."""


def is_legible(text: str) -> bool:
    """Whether the text reads as what it is.

    >>> is_legible("示范市住房和城乡建设局（一）"), is_legible("⼀"), is_legible("a\\u202eb")
    (True, False, False)
    """
    return all(_is_plain(one) for one in text)


def _is_plain(character: str) -> bool:
    code, category = ord(character), unicodedata.category(character)
    hides = category in _HIDING or code in _IGNORABLE or code in _PLANE_14
    imitates = any(code in block for block in _LOOKALIKES) and unicodedata.normalize("NFKC", character) != character
    return not hides and not imitates


def require_legible(**texts: str) -> None:
    """Raises ``InvalidInput`` that names the members, never their words."""
    wrong = [name for name, text in texts.items() if not is_legible(text)]
    if wrong:
        message = "has characters that hide, reorder or imitate others"
        raise InvalidInput(", ".join(wrong), errors=[{"field": name, "message": message} for name in wrong])
