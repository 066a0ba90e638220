"""Annotated copies in words. Pure."""

from typing import Any

from api.pages.i18n import CHINESE, mark, moment, translate
from api.pages.spoken import title_of
from api.pages.words import STATUS_TAGS, Answer
from certs.copy_reading import Seen
from certs.lifecycle import Standing
from certs.verification import RecordReport

GENUINE = Answer(
    "good",
    mark("This annotated copy is genuine and in force"),
    mark("It was made for one requester and one purpose, and counts for nothing else. Compare it with the paper in your hand."),
)
OVER = Answer(
    "bad",
    mark("This annotated copy has ended"),
    mark("It was genuine, and is worth nothing any more. Ask for a new copy, or verify the original."),
)
ORIGINAL_OVER = Answer(
    "bad",
    mark("The original of this copy is not in force"),
    mark("A copy is worth what its original is worth. Do not rely on it."),
)
LABELS = {
    "requester": mark("Made for"),
    "purpose": mark("For the purpose"),
    "made_at": mark("Copy made at"),
    "until": mark("Copy valid until"),
    "original": mark("Its original"),
}
COPY_OF = mark("Annotated copy of %(title)s")


def answer_of(report: RecordReport) -> Answer:
    """What is said of a copy before all else."""
    if report.status is Standing.IN_FORCE:
        return GENUINE
    return OVER if report.status is Standing.CANCELLED or report.original is Standing.IN_FORCE else ORIGINAL_OVER


def annotations_of(report: RecordReport, locale: str) -> tuple[tuple[str, str], ...]:
    """What the copy says of itself; empty for a certificate."""
    copy = report.copy
    if copy is None:
        return ()
    values = {
        "requester": copy.requester,
        "purpose": copy.purpose,
        "made_at": moment(copy.made_at, locale),
        "until": moment(copy.expires_at, locale),
        "original": translate(locale, STATUS_TAGS[report.original][1]),
    }
    return tuple((translate(locale, LABELS[name]), value) for name, value in values.items())


def title_with_copy(report: RecordReport, locale: str) -> str:
    """The name of what lies there: the certificate, or the copy of it."""
    name = title_of(report.certificate.type_name, report.type_name_en, locale) if report.certificate else ""
    return translate(locale, COPY_OF) % {"title": name} if report.copy else name


def row_of(seen: Seen, locale: str) -> dict[str, Any]:
    """A copy in a list."""
    copy, (tone, label) = seen.copy, STATUS_TAGS[seen.status]
    why = copy.story(seen.status, seen.original)[0 if locale == CHINESE else 1]
    return {
        "id": str(copy.id), "certificate": str(copy.certificate_id), "requester": copy.requester, "purpose": copy.purpose, "tone": tone,
        "status": translate(locale, label), "made_at": moment(copy.made_at, locale), "until": moment(copy.expires_at, locale),
        "code": copy.verification_code, "open": seen.status is Standing.IN_FORCE and copy.held, "why": why,
        "standing": seen.status is Standing.IN_FORCE,
    }  # fmt: skip
