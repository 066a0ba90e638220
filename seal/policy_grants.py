"""Does a grant cover a use? One question after another; each is asked of those grants that passed the ones before. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from seal.policy_facts import REVIEW_EVERY, GrantFacts, Use, within
from seal.policy_hours import within_hours


@dataclass(frozen=True, slots=True)
class Question:
    """``objection`` names why a grant does not pass, or None; ``fine`` is said when one does."""

    rule: str
    fine: str
    objection: Callable[[GrantFacts, Use], str | None]


def _type(grant: GrantFacts, use: Use) -> str | None:
    return None if all(one.certificate_type in (None, use.certificate_type) for one in grant.chain) else "GRANT_FOR_OTHER_TYPE"


def _document_kind(grant: GrantFacts, use: Use) -> str | None:
    return None if all(one.document_kind in (None, use.document_kind) for one in grant.chain) else "GRANT_FOR_OTHER_DOCUMENT_KIND"


def _standing(grant: GrantFacts, use: Use) -> str | None:
    if grant.withdrawn:
        return "GRANT_WITHDRAWN"
    return "DELEGATION_ENDED" if any(one.withdrawn for one in grant.above) else None


def _period(grant: GrantFacts, use: Use) -> str | None:
    if any(use.now > one.valid_to for one in grant.chain):
        return "GRANT_EXPIRED"
    return "GRANT_NOT_YET_VALID" if any(use.now < one.valid_from for one in grant.chain) else None


def _review(grant: GrantFacts, use: Use) -> str | None:
    overdue = any(one.reviewed_at is not None and use.now > one.reviewed_at + REVIEW_EVERY for one in grant.chain)
    return "GRANT_REVIEW_OVERDUE" if overdue else None


def _place(grant: GrantFacts, use: Use) -> str | None:
    here, address = use.window, use.place.address if use.place else None
    elsewhere = any(
        (one.window_id is not None and (here is None or here.id != one.window_id)) or (one.networks and not within(one.networks, address))
        for one in grant.chain
    )
    return "GRANT_FOR_OTHER_PLACE" if elsewhere else None


def _hours(grant: GrantFacts, use: Use) -> str | None:
    return None if all(within_hours(one.hours, use.now) for one in grant.chain) else "GRANT_OUTSIDE_HOURS"


def _attendance(grant: GrantFacts, use: Use) -> str | None:
    return "UNATTENDED_USE_NOT_GRANTED" if use.alone and not all(one.unattended for one in grant.chain) else None


def _unattended_quota(grant: GrantFacts, use: Use) -> str | None:
    return "UNATTENDED_WITHOUT_QUOTA" if use.alone and not any(one.quota_day or one.quota_total for one in grant.chain) else None


def _quota(grant: GrantFacts, use: Use) -> str | None:
    if any(one.quota_total is not None and one.used_total >= one.quota_total for one in grant.chain):
        return "QUOTA_TOTAL_EXHAUSTED"
    spent = any(one.quota_day is not None and one.used_today >= one.quota_day for one in grant.chain)
    return "QUOTA_DAY_EXHAUSTED" if spent else None


QUESTIONS: tuple[Question, ...] = (
    Question("grant_covers_the_type", "GRANT_FOR_TYPE", _type),
    Question("grant_covers_the_document_kind", "GRANT_FOR_DOCUMENT_KIND", _document_kind),
    Question("grant_stands", "GRANT_STANDS", _standing),
    Question("grant_is_within_its_period", "GRANT_CURRENT", _period),
    Question("grant_was_reviewed", "GRANT_REVIEWED", _review),
    Question("grant_covers_the_place", "GRANT_FOR_PLACE", _place),
    Question("grant_covers_the_hour", "GRANT_WITHIN_HOURS", _hours),
    Question("unattended_use_was_granted", "UNATTENDED_USE_GRANTED", _attendance),
    Question("unattended_use_has_a_quota", "UNATTENDED_QUOTA_SET", _unattended_quota),
    Question("quota_is_left", "QUOTA_LEFT", _quota),
)


def for_the_matter(use: Use) -> tuple[GrantFacts, ...]:
    """The grants that name the matter: of these alone the questions are asked."""
    return tuple(grant for grant in use.grants if use.matter is not None and grant.matter_code == use.matter.code)


def passing(use: Use, questions: tuple[Question, ...]) -> tuple[GrantFacts, ...]:
    """Those that pass all of these questions."""
    return tuple(grant for grant in for_the_matter(use) if all(one.objection(grant, use) is None for one in questions))


def covering_grant(use: Use) -> GrantFacts | None:
    """The first grant that covers the use."""
    return next(iter(passing(use, QUESTIONS)), None)


def objection_of(question: Question, use: Use) -> tuple[bool, str | None]:
    """Whether there was a grant left to ask, and why none of those passes: the reason of the one asked last, or None if one does."""
    asked = passing(use, QUESTIONS[: QUESTIONS.index(question)])
    objections = [question.objection(grant, use) for grant in asked]
    return bool(asked), None if None in objections else next(reversed(objections), None)
