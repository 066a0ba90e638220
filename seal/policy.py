"""May this actor use this seal for this? Pure: frozen facts in, three-valued answers out.

Each rule answers GRANT, DENY or ABSTAIN and gives a stable reason code, whose sentences stand in ``seal.reasons``. One DENY
decides; without one, one GRANT decides; silence denies. Only :func:`a_grant_covers_it` ever grants: nobody may use a seal
by what they are, only by what they were given. ``docs/seal-authority.md`` is :func:`seal.policy_table.markdown`.

An :class:`~keys.base.actor.Actor` that asks exists only for a live session or a valid token; ``person_active`` matters where
somebody else asks about a person (``fujie seal why``).
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from keys.base.actor import ActorKind, Role
from keys.base.errors import Forbidden
from seal.divisions import covers
from seal.kinds import SealKind
from seal.lifecycle import Status
from seal.policy_facts import (
    EVERY_SEAL,
    HASH_OCTETS,
    GrantFacts,
    MatterFacts,
    Place,
    Requirements,
    SealFacts,
    Use,
    WindowFacts,
)
from seal.policy_grants import QUESTIONS, Question, covering_grant, for_the_matter, objection_of
from seal.reasons import sentences

__all__ = [
    "HASH_OCTETS", "RULES", "Answer", "Decision", "GrantFacts", "MatterFacts", "NotPermitted", "Place", "Requirements", "RuleAnswer",
    "SealFacts", "Use", "WindowFacts", "decide", "explain", "objection_to_seal",
]  # fmt: skip


class Answer(StrEnum):
    GRANT = "GRANT"
    DENY = "DENY"
    ABSTAIN = "ABSTAIN"


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What one rule said; ``zh`` and ``en`` are for the approver's page."""

    rule: str
    answer: Answer
    reason_code: str

    @property
    def zh(self) -> str:
        return sentences(self.reason_code)[0]

    @property
    def en(self) -> str:
        return sentences(self.reason_code)[1]


@dataclass(frozen=True, slots=True)
class Decision:
    """``code`` is the reason of the first DENY, else GRANTED, else NO_GRANT; ``grant`` the one that covers the use."""

    permitted: bool
    code: str
    answers: tuple[RuleAnswer, ...]
    grant: GrantFacts | None


class NotPermitted(Forbidden):
    """The policy said no; its ``code`` is the decision's and its sentences are the reason's."""

    code = "SEAL_USE_NOT_PERMITTED"

    def __init__(self, reason_code: str, detail: str = "", **extra: object) -> None:
        vars(self).update(code=reason_code, public=sentences(reason_code))
        super().__init__(detail, **extra)


Said = tuple[Answer, str]
Judge = Callable[[Use], Said]


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is what answers are known by; ``codes`` all it may ever say."""

    name: str
    judge: Judge
    codes: tuple[str, ...]

    def __call__(self, use: Use) -> Said:
        return self.judge(use)


def _no_objection(objection: bool, denied: str, fine: str) -> Said:
    return (Answer.DENY, denied) if objection else (Answer.ABSTAIN, fine)


def _said(objection: str | None, fine: str) -> Said:
    return _no_objection(objection is not None, objection or "", fine)


_UNUSABLE = {
    Status.SUSPENDED: "SEAL_SUSPENDED",
    Status.LOST: "SEAL_LOST",
    Status.EXPIRED: "SEAL_EXPIRED",
    Status.CANCELLED: "SEAL_CANCELLED",
    Status.CLOSED: "SEAL_CANCELLED",
}
"""A seal that is not yet in use, or was never made, is merely not active."""


def objection_to_status(status: Status) -> str | None:
    return None if status is Status.ACTIVE else _UNUSABLE.get(status, "SEAL_NOT_ACTIVE")


def objection_to_period(valid_from: dt.datetime, valid_to: dt.datetime, now: dt.datetime) -> str | None:
    """Both ends belong to the period, as in X.509."""
    if now < valid_from:
        return "SEAL_NOT_YET_VALID"
    return "SEAL_EXPIRED" if now > valid_to else None


def objection_to_seal(status: Status, valid_from: dt.datetime, valid_to: dt.datetime, now: dt.datetime) -> str | None:
    """Why the seal itself cannot be used at this instant, or None: asked again when a permit is spent."""
    return objection_to_status(status) or objection_to_period(valid_from, valid_to, now)


def actor_is_known(use: Use) -> Said:
    """A person or a client; the system itself and strangers never stamp."""
    return _no_objection(use.actor.kind not in (ActorKind.PERSON, ActorKind.CLIENT), "ACTOR_UNKNOWN", "ACTOR_KNOWN")


def person_is_active(use: Use) -> Said:
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    return _no_objection(not use.person_active, "PERSON_INACTIVE", "PERSON_ACTIVE")


def seal_is_active(use: Use) -> Said:
    return _said(objection_to_status(use.seal.status), "SEAL_ACTIVE")


def seal_is_within_its_validity(use: Use) -> Said:
    return _said(objection_to_period(use.seal.valid_from, use.seal.valid_to, use.now), "SEAL_VALID")


def seal_certificates_stand(use: Use) -> Said:
    return _no_objection(not use.seal.certificates_stand, "SEAL_CERTIFICATE_REVOKED", "SEAL_CERTIFICATES_STAND")


def _at_the_seals_window(use: Use) -> bool:
    return use.window is not None and use.window.keeps


def person_is_an_approver(use: Use) -> Said:
    """An approver; or a clerk at a window that keeps the seal."""
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    if Role.APPROVER not in use.actor.roles and Role.WINDOW_CLERK in use.actor.roles and _at_the_seals_window(use):
        return Answer.ABSTAIN, "ACTOR_WINDOW_CLERK"
    return _no_objection(Role.APPROVER not in use.actor.roles, "ACTOR_NOT_APPROVER", "ACTOR_APPROVER")


def actor_is_of_the_organisation(use: Use) -> Said:
    """A person uses the seals of their own organisation, or those their window keeps. A client may serve several: its grant speaks."""
    own = use.actor.organisation == use.seal.organisation
    if use.actor.kind is ActorKind.CLIENT and not own:
        return Answer.ABSTAIN, "CLIENT_SERVES_ORGANISATION"
    window = use.window
    if window is not None and window.keeps and use.actor.organisation == window.organisation and not own:
        return Answer.ABSTAIN, "ACTOR_AT_WINDOW"
    return _no_objection(not own, "ACTOR_OF_OTHER_ORGANISATION", "ACTOR_OF_ORGANISATION")


def division_covers_the_seal(use: Use) -> Said:
    """At a window it is the window's division that the actor must act in."""
    asked = use.window.division if use.window is not None and use.window.keeps else use.seal.division
    return _no_objection(not covers(use.actor.division, asked), "DIVISION_MISMATCH", "DIVISION_COVERED")


def person_is_identified(use: Use) -> Said:
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    return _no_objection(use.actor.assurance < use.seal.required.assurance, "ASSURANCE_TOO_LOW", "ASSURANCE_ENOUGH")


def person_used_two_factors(use: Use) -> Said:
    """As strong a log-in as the seal takes: two factors at least."""
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    required = use.seal.required.authenticator
    too_weak = "AUTHENTICATOR_TOO_WEAK" if required <= EVERY_SEAL.authenticator else "SEAL_NEEDS_STRONGER_LOGIN"
    return _no_objection(use.actor.authenticator < required, too_weak, "AUTHENTICATOR_ENOUGH")


def matter_is_of_the_organisation(use: Use) -> Said:
    if use.matter is None:
        return Answer.DENY, "MATTER_UNKNOWN"
    return _no_objection(use.matter.organisation != use.seal.organisation, "MATTER_OF_OTHER_ORGANISATION", "MATTER_OF_ORGANISATION")


def matter_suits_the_seal(use: Use) -> Said:
    """An approval takes the approval seal and no other, unless one is listed with its legal basis; the approval seal, no other matter."""
    if use.matter is None:
        return Answer.DENY, "MATTER_UNKNOWN"
    approval_seal = use.seal.kind == SealKind.APPROVAL
    if use.matter.is_approval and not approval_seal:
        return _no_objection(use.matter.legal_basis is None, "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL", "LEGAL_BASIS_LISTED")
    return _no_objection(approval_seal and not use.matter.is_approval, "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS", "MATTER_SUITS_SEAL")


def seal_is_used_where_it_is_kept(use: Use) -> Said:
    """A seal that windows keep is used at one of them and nowhere else (不得异地挪用); unattended use has no place."""
    if use.alone:
        return Answer.ABSTAIN, "USE_WITHOUT_PLACE"
    here = use.window
    if use.place is not None and use.place.window and here is None:
        return Answer.DENY, "NOT_AT_THIS_WINDOW"
    if not any(one.keeps for one in use.windows):
        return Answer.ABSTAIN, "SEAL_NOT_AT_WINDOWS"
    if here is None or not here.keeps:
        return Answer.DENY, "SEAL_USED_ELSEWHERE"
    if here.closed:
        return Answer.DENY, "WINDOW_CLOSED"
    return _no_objection(not covers(use.seal.division, here.division), "WINDOW_OF_OTHER_DIVISION", "SEAL_AT_ITS_WINDOW")


def document_is_named(use: Use) -> Said:
    return _no_objection(len(use.document_hash) != HASH_OCTETS, "DOCUMENT_HASH_MISSING", "DOCUMENT_BOUND")


def _agreed(use: Use) -> frozenset[str]:
    """Who agreed to the document: those who approved it for whoever asks, and the approver who stamps; never one who asked."""
    counted = [(approver, requester) for approver, requester in use.approvers if use.requester in (None, requester)]
    asked = {use.requester, *(requester for _, requester in counted)}
    stamping = {use.actor.id} if use.actor.kind is ActorKind.PERSON and Role.APPROVER in use.actor.roles else set()
    return frozenset(({approver for approver, _ in counted} | stamping) - asked)


def document_is_approved(use: Use) -> Said:
    """The approver who stamps has seen the document and counts, unless they asked for it; chosen seals take two.

    A client's unattended issuing answers for its documents by its own grant, except with a seal that takes two approvers.
    """
    needed = use.seal.required.approvals
    if use.alone and needed <= EVERY_SEAL.approvals and use.requester is None:
        return Answer.ABSTAIN, "UNATTENDED_BY_GRANT"
    agreed = len(_agreed(use))
    if agreed >= needed:
        return Answer.ABSTAIN, "DOCUMENT_APPROVED" if needed <= EVERY_SEAL.approvals else "DOCUMENT_APPROVED_BY_TWO"
    if needed > EVERY_SEAL.approvals:
        return Answer.DENY, "TWO_APPROVERS_NEEDED"
    own = use.requester == use.actor.id and Role.APPROVER in use.actor.roles
    return Answer.DENY, "REQUESTER_IS_APPROVER" if own else "DOCUMENT_NOT_APPROVED"


def _rule_of(question: Question) -> Judge:
    def judge(use: Use) -> Said:
        asked, objection = objection_of(question, use)
        return _said(objection, question.fine) if asked else (Answer.ABSTAIN, "NO_GRANT_LEFT_TO_ASK")

    judge.__name__, judge.__doc__ = question.rule, question.objection.__doc__
    return judge


def a_grant_covers_it(use: Use) -> Said:
    if covering_grant(use) is not None:
        return Answer.GRANT, "GRANTED"
    if for_the_matter(use):
        return Answer.ABSTAIN, "NO_GRANT_COVERS_IT"
    return Answer.ABSTAIN, "NO_GRANT_FOR_MATTER" if use.grants else "NO_GRANT"


_NOT_A_PERSON = "NOT_A_PERSON"
_GRANT_CODES: dict[str, tuple[str, ...]] = {
    "grant_covers_the_type": ("GRANT_FOR_TYPE", "GRANT_FOR_OTHER_TYPE"),
    "grant_covers_the_document_kind": ("GRANT_FOR_DOCUMENT_KIND", "GRANT_FOR_OTHER_DOCUMENT_KIND"),
    "grant_stands": ("GRANT_STANDS", "GRANT_WITHDRAWN", "DELEGATION_ENDED"),
    "grant_is_within_its_period": ("GRANT_CURRENT", "GRANT_EXPIRED", "GRANT_NOT_YET_VALID"),
    "grant_was_reviewed": ("GRANT_REVIEWED", "GRANT_REVIEW_OVERDUE"),
    "grant_covers_the_place": ("GRANT_FOR_PLACE", "GRANT_FOR_OTHER_PLACE"),
    "grant_covers_the_hour": ("GRANT_WITHIN_HOURS", "GRANT_OUTSIDE_HOURS"),
    "unattended_use_was_granted": ("UNATTENDED_USE_GRANTED", "UNATTENDED_USE_NOT_GRANTED"),
    "unattended_use_has_a_quota": ("UNATTENDED_QUOTA_SET", "UNATTENDED_WITHOUT_QUOTA"),
    "quota_is_left": ("QUOTA_LEFT", "QUOTA_DAY_EXHAUSTED", "QUOTA_TOTAL_EXHAUSTED"),
}


def _rule(judge: Judge, *codes: str) -> Rule:
    return Rule(judge.__name__, judge, codes)


RULES: tuple[Rule, ...] = (
    _rule(actor_is_known, "ACTOR_KNOWN", "ACTOR_UNKNOWN"),
    _rule(person_is_active, "PERSON_ACTIVE", "PERSON_INACTIVE", _NOT_A_PERSON),
    _rule(seal_is_active, "SEAL_ACTIVE", "SEAL_SUSPENDED", "SEAL_CANCELLED", "SEAL_LOST", "SEAL_EXPIRED", "SEAL_NOT_ACTIVE"),
    _rule(seal_is_within_its_validity, "SEAL_VALID", "SEAL_NOT_YET_VALID", "SEAL_EXPIRED"),
    _rule(seal_certificates_stand, "SEAL_CERTIFICATES_STAND", "SEAL_CERTIFICATE_REVOKED"),
    _rule(
        seal_is_used_where_it_is_kept,
        "SEAL_AT_ITS_WINDOW",
        "SEAL_NOT_AT_WINDOWS",
        "USE_WITHOUT_PLACE",
        "SEAL_USED_ELSEWHERE",
        "NOT_AT_THIS_WINDOW",
        "WINDOW_CLOSED",
        "WINDOW_OF_OTHER_DIVISION",
    ),
    _rule(person_is_an_approver, "ACTOR_APPROVER", "ACTOR_WINDOW_CLERK", "ACTOR_NOT_APPROVER", _NOT_A_PERSON),
    _rule(
        actor_is_of_the_organisation,
        "ACTOR_OF_ORGANISATION",
        "ACTOR_AT_WINDOW",
        "CLIENT_SERVES_ORGANISATION",
        "ACTOR_OF_OTHER_ORGANISATION",
    ),
    _rule(division_covers_the_seal, "DIVISION_COVERED", "DIVISION_MISMATCH"),
    _rule(person_is_identified, "ASSURANCE_ENOUGH", "ASSURANCE_TOO_LOW", _NOT_A_PERSON),
    _rule(person_used_two_factors, "AUTHENTICATOR_ENOUGH", "AUTHENTICATOR_TOO_WEAK", "SEAL_NEEDS_STRONGER_LOGIN", _NOT_A_PERSON),
    _rule(matter_is_of_the_organisation, "MATTER_OF_ORGANISATION", "MATTER_OF_OTHER_ORGANISATION", "MATTER_UNKNOWN"),
    _rule(
        matter_suits_the_seal,
        "MATTER_SUITS_SEAL",
        "LEGAL_BASIS_LISTED",
        "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL",
        "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS",
        "MATTER_UNKNOWN",
    ),
    _rule(document_is_named, "DOCUMENT_BOUND", "DOCUMENT_HASH_MISSING"),
    _rule(
        document_is_approved,
        "DOCUMENT_APPROVED",
        "DOCUMENT_APPROVED_BY_TWO",
        "UNATTENDED_BY_GRANT",
        "DOCUMENT_NOT_APPROVED",
        "REQUESTER_IS_APPROVER",
        "TWO_APPROVERS_NEEDED",
    ),
    *(Rule(question.rule, _rule_of(question), (*_GRANT_CODES[question.rule], "NO_GRANT_LEFT_TO_ASK")) for question in QUESTIONS),
    _rule(a_grant_covers_it, "GRANTED", "NO_GRANT", "NO_GRANT_FOR_MATTER", "NO_GRANT_COVERS_IT"),
)


def explain(use: Use) -> tuple[RuleAnswer, ...]:
    """What every rule says, in the order of :data:`RULES`."""
    return tuple(RuleAnswer(rule.name, *rule.judge(use)) for rule in RULES)


def decide(use: Use) -> Decision:
    """Deny beats grant; silence denies."""
    return conclude(use, explain(use))


def conclude(use: Use, answers: tuple[RuleAnswer, ...]) -> Decision:
    """What the answers come to."""
    denied = next((answer for answer in answers if answer.answer is Answer.DENY), None)
    granted = next((answer for answer in answers if answer.answer is Answer.GRANT), None)
    decisive = denied or granted or answers[-1]
    permitted = denied is None and granted is not None
    return Decision(permitted, decisive.reason_code, answers, covering_grant(use) if permitted else None)
