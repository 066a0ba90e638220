"""Certificates in words, shared by the pages that show them. Pure."""

import datetime as dt

from api.pages.i18n import CHINESE, day, mark, translate
from certs.records import Certificate
from certs.verification import RecordReport

OPEN_ENDED = mark("from %(first)s, without an end")
UNTIL = mark("until %(last)s")


def holders_of(certificate: Certificate) -> list[str]:
    """Each holder by name, with the code as it may be shown: masked for people."""
    return [f"{one.name}（{one.code_masked}）" if one.code_masked else one.name for one in certificate.holders]


def title_of(chinese: str, english: str, locale: str) -> str:
    """The certificate's name as it is printed; readers of English get its English name first, where it has one."""
    return chinese if locale == CHINESE or not english else f"{english} · {chinese}"


def story_of(report: RecordReport, locale: str) -> str:
    """What happened to a certificate that is not in force, and why (``certs.stories``). Empty where the record is silent."""
    return report.story[0 if locale == CHINESE else 1]


def validity_of(first: dt.date | None, last: dt.date | None, locale: str) -> str:
    """A period in words; empty where nothing is known of it."""
    if first and last:
        return f"{day(first, locale)} – {day(last, locale)}"
    if first:
        return translate(locale, OPEN_ENDED) % {"first": day(first, locale)}
    return translate(locale, UNTIL) % {"last": day(last, locale)} if last else ""
