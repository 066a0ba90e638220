"""What may stand in print: pure checks made before anything is typeset.

A certificate is read by eye. A character that hides, reorders or breaks text could make the print say something other
than the data, so it is refused (INVALID_INPUT), never dropped. A character no font has would print as an empty box; it
is named precisely (GLYPH_MISSING) so that a clerk can act on it.
"""

import unicodedata
from collections.abc import Iterable

from certs.fonts import missing_characters
from keys.base.errors import FujieError, InvalidInput

# Unicode Default_Ignorable_Code_Point outside category Cf (DerivedCoreProperties.txt): they print as nothing.
IGNORABLE = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x2065, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)})
PLANE_14 = range(0xE0000, 0xE1000)
HIDING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
SPACES = frozenset(" \u00a0\u3000")
MOST_COMBINING_MARKS = 2


class GlyphMissing(FujieError):
    """Some characters are in none of the fonts; ``extra['characters']`` lists them, each once."""

    code = "GLYPH_MISSING"
    status = 422
    public = (
        "有的字没有可用的字形，无法印在证照上；请核对这些字或联系管理员补充字库。",
        "Some characters have no glyph in the certificate fonts. Please check them or ask for the font to be extended.",
    )

    @property
    def characters(self) -> list[str]:
        """What is missing, each once."""
        named = self.extra.get("characters")
        return [str(one) for one in named] if isinstance(named, list) else []


def check_legible(texts: Iterable[tuple[str, str]], supplied: frozenset[str] = frozenset()) -> None:
    """``texts`` is (name of the field, text to print); ``supplied``: characters with an outline of their own.

    Raises InvalidInput, then GlyphMissing.
    """
    pairs = tuple(texts)
    errors = [{"field": name, "message": complaint} for name, text in pairs if (complaint := complaint_about(text))]
    if errors:
        raise InvalidInput("text that could mislead a reader", errors=errors)
    missing = [one for one in missing_characters(text for _, text in pairs) if one not in supplied]
    if missing:
        raise GlyphMissing(" ".join(f"U+{ord(c):04X}" for c in missing), characters=missing)


def complaint_about(text: str) -> str | None:
    """Why ``text`` may not be printed as it stands, or None."""
    if any(hides(c) for c in text):
        return "含有控制、零宽、换行或变体选择字符 (control, zero-width, line-breaking or variation characters)"
    if text != text.strip():
        return "首尾有空白 (leading or trailing space)"
    if stacks(text):
        return "组合附加符号过多 (too many combining marks)"
    return None


def hides(character: str) -> bool:
    """Whether the character prints as nothing, reorders its neighbours or ends a line."""
    code, category = ord(character), unicodedata.category(character)
    if category == "Zs":
        return character not in SPACES
    return category in HIDING or code in IGNORABLE or code in PLANE_14


def stacks(text: str) -> bool:
    """Whether marks pile up on one letter until they cover other lines, or stand on nothing."""
    run = MOST_COMBINING_MARKS
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > MOST_COMBINING_MARKS:
            return True
    return False
