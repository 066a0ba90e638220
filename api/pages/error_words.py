"""What an error's code says to people, where only its code was kept: in reports of many rows."""

from collections.abc import Iterator
from functools import cache

from api.pages.i18n import CHINESE, mark, translate
from keys.base.errors import FujieError

_OTHERS = {"ROW_UNREADABLE": mark("The row cannot be read.")}


@cache
def _public() -> dict[str, tuple[str, str]]:
    return {one.code: one.public for one in _below(FujieError)}


def _below(base: type[FujieError]) -> Iterator[type[FujieError]]:
    for derived in base.__subclasses__():
        yield derived
        yield from _below(derived)


def words_of(code: str, locale: str) -> str:
    """The sentence in the reader's language; the code itself where there is none.

    >>> words_of("NOT_FOUND", "en") != "NOT_FOUND", words_of("NO_SUCH_CODE", "en")
    (True, 'NO_SUCH_CODE')
    """
    if code in _OTHERS:
        return translate(locale, _OTHERS[code])
    told = _public().get(code)
    return told[0 if locale == CHINESE else 1] if told else code
