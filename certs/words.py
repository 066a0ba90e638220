"""Full text: what a certificate is found by. Pure.

Chinese has no spaces, so a text is taken apart into every two neighbouring characters (bigrams); runs of letters and digits into every
three. Each is one 32-bit number (two code points of the basic plane, or three of ASCII), exact and without a table, so that PostgreSQL's
GIN keeps plain integers. What the index finds is compared with the text itself: a hit always contains what was asked for
(docs/decisions/0102-searching-two-million-records.md).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

from certs.privacy import hide_numbers
from keys.base.errors import InvalidInput

LONGEST_BODY = 4_000
LONGEST_QUERY = 100
MOST_WORDS = 8
_ASCII = re.compile(r"[0-9a-z]+")
_RUN = re.compile(r"[0-9a-z]+|[^\W0-9a-z_]+")
_SHORTEST_RUN = 3
_PLANE = 0xFFFF


class NothingToSearchFor(InvalidInput):
    """A word is too short to be looked for."""

    code = "SEARCH_TOO_SHORT"
    public = ("请输入至少两个汉字，或三个字母或数字。", "Type at least two Chinese characters, or three letters or digits.")


def normalise(text: str) -> str:
    """Compatibility forms, case and white space do not matter (Unicode NFKC, case folding)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def body_of(parts: Iterable[str]) -> str:
    """The text of a record: its parts on lines of their own, without numbers of people."""
    return "\n".join(filter(None, (normalise(hide_numbers(part)) for part in parts)))[:LONGEST_BODY]


def grams_of(text: str) -> list[int]:
    """Every gram of a normalised text, each once, as signed 32-bit numbers."""
    return sorted({_signed(value) for run in _RUN.findall(text) for value in _run_grams(run)})


def words_of(query: str) -> tuple[str, ...]:
    """The words of a query, normalised. Raises :class:`NothingToSearchFor`, ``InvalidInput``."""
    if len(query) > LONGEST_QUERY or "\x00" in query:
        raise InvalidInput("text", errors=[{"field": "text", "message": "too long"}])
    words = tuple(dict.fromkeys(normalise(query).split()))
    if not words or len(words) > MOST_WORDS or not all(grams_of(word) for word in words):
        raise NothingToSearchFor(errors=[{"field": "text", "message": "too short"}])
    return words


def pattern_of(word: str) -> str:
    """The LIKE pattern of what contains the word; the escape character is the backslash."""
    escaped = re.sub(r"([\\%_])", r"\\\1", word)
    return f"%{escaped}%"


def _run_grams(run: str) -> Iterator[int]:
    if _ASCII.fullmatch(run):
        for start in range(len(run) - _SHORTEST_RUN + 1):
            first, second, third = run[start : start + _SHORTEST_RUN].encode()
            yield first << 14 | second << 7 | third
        return
    for one, other in pairwise(run):
        yield (ord(one) & _PLANE) << 16 | ord(other) & _PLANE


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
