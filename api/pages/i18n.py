"""Two languages, Chinese first. Messages are written in English in the code and translated in ``locales/zh_Hans_CN``.

The catalogues are read straight from the ``.po`` files when the process starts: nothing to compile, nothing to forget. After a change of
messages: ``pybabel extract -F api/pages/babel.cfg -k mark -o messages.pot api/pages`` and ``pybabel update``; a test names what is missing.
"""

import datetime as dt
from gettext import NullTranslations
from pathlib import Path

from babel.core import negotiate_locale
from babel.dates import format_date
from babel.messages.pofile import read_po
from starlette.requests import Request

from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.errors import FujieError

LOCALES = Path(__file__).parent / "locales"
CHINESE, ENGLISH = "zh_Hans_CN", "en"
DEFAULT = CHINESE
COOKIE = "fujie_lang"
SHORT = {"zh": CHINESE, "en": ENGLISH}
TAGS = {CHINESE: "zh-CN", ENGLISH: "en"}


class Catalogue(NullTranslations):
    """The translations of one locale; a message that is missing is shown in English."""

    def __init__(self, locale: str) -> None:
        super().__init__()
        with (LOCALES / locale / "messages.po").open("rb") as file:
            messages = read_po(file, locale=locale)
        self._texts = {m.id: m.string for m in messages if isinstance(m.id, str) and isinstance(m.string, str) and m.id and m.string}

    def gettext(self, message: str) -> str:
        return self._texts.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Chinese has no plural: the plural form is translated. English chooses."""
        return self.gettext(msgid1 if n == 1 and msgid1 not in self._texts else msgid2)


CATALOGUES = {locale: Catalogue(locale) for locale in (CHINESE, ENGLISH)}


def mark(message: str) -> str:
    """Marks a message in a table for extraction; it is translated where it is shown."""
    return message


def translate(locale: str, message: str) -> str:
    return CATALOGUES[locale].gettext(message)


def public_sentence(error: FujieError, locale: str) -> str:
    """What a person is told of an error, in their language."""
    return error.public[0 if locale == CHINESE else 1]


def accepted(header: str) -> str:
    """The locale an ``Accept-Language`` header asks for (RFC 9110 §12.5.4); Chinese where it asks for neither of ours.

    >>> accepted("fr, en-GB;q=0.8, zh;q=0.5")
    'en'
    """
    wanted = sorted(_weighted(header), key=lambda item: -item[0])
    found = negotiate_locale([tag for weight, tag in wanted if weight > 0], ["zh", "en"], sep="-")
    return SHORT.get(found or "", DEFAULT)


def _weighted(header: str) -> list[tuple[float, str]]:
    """``(weight, primary language)`` of each item; what cannot be read is left out."""
    items: list[tuple[float, str]] = []
    for item in header[:512].split(","):
        tag, _, parameter = item.partition(";")
        weight = parameter.strip().removeprefix("q=") or "1"
        if weight.replace(".", "", 1).isdecimal():
            items.append((float(weight), tag.strip().split("-")[0].lower()))
    return items


def locale_of(request: Request) -> str:
    """``?lang=`` before the cookie before ``Accept-Language`` before Chinese."""
    for asked in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if asked in SHORT:
            return SHORT[asked]
    return accepted(request.headers.get("accept-language", ""))


def day(value: dt.date, locale: str) -> str:
    """A calendar date in words: 2026年11月21日, 21 November 2026."""
    return format_date(value, "long", locale) if locale == CHINESE else format_date(value, "d MMMM y", locale)


def moment(value: dt.datetime, locale: str) -> str:
    """An instant in China Standard Time, to the second."""
    local = value.astimezone(CHINA_STANDARD_TIME)
    return f"{day(local.date(), locale)} {local:%H:%M:%S}"
