"""Certificates in words, shared by the pages that show them. Pure."""

import datetime as dt

from api.pages.i18n import CHINESE, day, mark, translate
from api.pages.words import STORIES, STORIES_WITH_REASON
from certs.lifecycle import Standing
from certs.records import Certificate
from certs.verification import RecordReport
from keys.base.clock import civil_date

OPEN_ENDED = mark("from %(first)s, without an end")
UNTIL = mark("until %(last)s")


def holders_of(certificate: Certificate) -> list[str]:
    """Each holder by name, with the code as it may be shown: masked for people."""
    return [f"{one.name}（{one.code_masked}）" if one.code_masked else one.name for one in certificate.holders]


def title_of(chinese: str, english: str, locale: str) -> str:
    """The certificate's name as it is printed; readers of English get its English name first, where it has one."""
    return chinese if locale == CHINESE or not english else f"{english} · {chinese}"


def story_of(report: RecordReport, locale: str) -> str:
    """What happened to a certificate that is not in force: the day, and the issuer's reason. Empty where the record is silent."""
    status, changed, on = report.status.value, report.changed, _day_of(report)
    if on is None or status not in STORIES:
        return ""
    reason = changed.reason.rstrip("。.！!；; ") if changed else ""
    told = STORIES_WITH_REASON[status] if reason and status in STORIES_WITH_REASON else STORIES[status]
    return translate(locale, told) % {"day": day(on, locale), "reason": reason}


def _day_of(report: RecordReport) -> dt.date | None:
    """The day that matters: the first or the last of the period where that decides, else the day of the change."""
    found = report.certificate
    if found is not None and report.status is Standing.NOT_YET_VALID:
        return found.valid_from
    if found is not None and report.status is Standing.EXPIRED and found.valid_to is not None:
        return found.valid_to
    return civil_date(report.changed.at) if report.changed else None


def validity_of(first: dt.date | None, last: dt.date | None, locale: str) -> str:
    """A period in words; empty where nothing is known of it."""
    if first and last:
        return f"{day(first, locale)} – {day(last, locale)}"
    if first:
        return translate(locale, OPEN_ENDED) % {"first": day(first, locale)}
    return translate(locale, UNTIL) % {"last": day(last, locale)} if last else ""
