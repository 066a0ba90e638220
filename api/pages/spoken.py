"""Certificates in words, shared by the pages that show them. Pure."""

import datetime as dt

from api.pages.i18n import day, mark, translate
from certs.records import Certificate

OPEN_ENDED = mark("from %(first)s, without an end")
UNTIL = mark("until %(last)s")


def holders_of(certificate: Certificate) -> list[str]:
    """Each holder by name, with the code as it may be shown: masked for people."""
    return [f"{one.name}（{one.code_masked}）" if one.code_masked else one.name for one in certificate.holders]


def validity_of(first: dt.date | None, last: dt.date | None, locale: str) -> str:
    """A period in words; empty where nothing is known of it."""
    if first and last:
        return f"{day(first, locale)} – {day(last, locale)}"
    if first:
        return translate(locale, OPEN_ENDED) % {"first": day(first, locale)}
    return translate(locale, UNTIL) % {"last": day(last, locale)} if last else ""
