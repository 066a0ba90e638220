"""May this actor use this seal for this? Pure: frozen facts in, three-valued answers out.

Each rule answers GRANT, DENY or ABSTAIN and gives a stable reason code, whose sentences stand in ``seal.reasons``. One DENY
decides; without one, one GRANT decides; silence denies. Only :func:`a_grant_covers_it` ever grants: nobody may use a seal
by what they are, only by what they were given.

An :class:`~keys.base.actor.Actor` exists only for a live session or a valid token, so a disabled account never gets here.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import Forbidden
from seal.divisions import covers
from seal.kinds import SealKind
from seal.lifecycle import Status
from seal.reasons import sentences

REQUIRED_ASSURANCE = 2
"""A person who stamps is known by name and number (STANDARDS.md §1)."""
REQUIRED_AUTHENTICATOR = 2
"""… and logged in with two factors (AAL 2)."""
HASH_OCTETS = 32


class Answer(StrEnum):
    GRANT = "GRANT"
    DENY = "DENY"
    ABSTAIN = "ABSTAIN"


@dataclass(frozen=True, slots=True)
class SealFacts:
    code: str
    kind: str
    organisation: str
    division: str
    status: Status
    valid_from: dt.datetime
    valid_to: dt.datetime


@dataclass(frozen=True, slots=True)
class MatterFacts:
    code: str
    is_approval: bool
    organisation: str


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """A grant to the actor on the seal. ``certificate_type`` None covers every type and none."""

    id: uuid.UUID
    matter_code: str
    certificate_type: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime
    unattended: bool
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Use:
    """One intended use. ``document_hash`` is SHA-256 of what is to be stamped; ``matter`` None: there is no such matter."""

    now: dt.datetime
    actor: Actor
    seal: SealFacts
    matter: MatterFacts | None
    certificate_type: str | None
    document_hash: bytes
    unattended: bool
    grants: tuple[GrantFacts, ...]


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
Rule = Callable[[Use], Said]


def _no_objection(objection: bool, denied: str, fine: str) -> Said:
    return (Answer.DENY, denied) if objection else (Answer.ABSTAIN, fine)


def _said(objection: str | None, fine: str) -> Said:
    return _no_objection(objection is not None, objection or "", fine)


_UNUSABLE = {Status.SUSPENDED: "SEAL_SUSPENDED", Status.CANCELLED: "SEAL_CANCELLED", Status.LOST: "SEAL_LOST"}


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


def seal_is_active(use: Use) -> Said:
    return _said(objection_to_status(use.seal.status), "SEAL_ACTIVE")


def seal_is_within_its_validity(use: Use) -> Said:
    return _said(objection_to_period(use.seal.valid_from, use.seal.valid_to, use.now), "SEAL_VALID")


def document_is_named(use: Use) -> Said:
    return _no_objection(len(use.document_hash) != HASH_OCTETS, "DOCUMENT_HASH_MISSING", "DOCUMENT_BOUND")


def actor_is_known(use: Use) -> Said:
    """A person or a client; the system itself and strangers never stamp."""
    return _no_objection(use.actor.kind not in (ActorKind.PERSON, ActorKind.CLIENT), "ACTOR_UNKNOWN", "ACTOR_KNOWN")


def person_is_an_approver(use: Use) -> Said:
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    return _no_objection(Role.APPROVER not in use.actor.roles, "ACTOR_NOT_APPROVER", "ACTOR_APPROVER")


def actor_is_of_the_organisation(use: Use) -> Said:
    """A person uses the seals of their own organisation. A client may serve several: there the grant alone speaks."""
    own = use.actor.organisation == use.seal.organisation
    if use.actor.kind is ActorKind.CLIENT and not own:
        return Answer.ABSTAIN, "CLIENT_SERVES_ORGANISATION"
    return _no_objection(not own, "ACTOR_OF_OTHER_ORGANISATION", "ACTOR_OF_ORGANISATION")


def division_covers_the_seal(use: Use) -> Said:
    return _no_objection(not covers(use.actor.division, use.seal.division), "DIVISION_MISMATCH", "DIVISION_COVERED")


def person_is_identified(use: Use) -> Said:
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    return _no_objection(use.actor.assurance < REQUIRED_ASSURANCE, "ASSURANCE_TOO_LOW", "ASSURANCE_ENOUGH")


def person_used_two_factors(use: Use) -> Said:
    if use.actor.kind is not ActorKind.PERSON:
        return Answer.ABSTAIN, "NOT_A_PERSON"
    return _no_objection(use.actor.authenticator < REQUIRED_AUTHENTICATOR, "AUTHENTICATOR_TOO_WEAK", "AUTHENTICATOR_ENOUGH")


def matter_is_of_the_organisation(use: Use) -> Said:
    if use.matter is None:
        return Answer.DENY, "MATTER_UNKNOWN"
    return _no_objection(use.matter.organisation != use.seal.organisation, "MATTER_OF_OTHER_ORGANISATION", "MATTER_OF_ORGANISATION")


def matter_suits_the_seal(use: Use) -> Said:
    """An approval takes the approval seal and no other; the approval seal takes no other matter."""
    if use.matter is None:
        return Answer.DENY, "MATTER_UNKNOWN"
    approval_seal = use.seal.kind == SealKind.APPROVAL
    if use.matter.is_approval and not approval_seal:
        return Answer.DENY, "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"
    return _no_objection(approval_seal and not use.matter.is_approval, "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS", "MATTER_SUITS_SEAL")


def unattended_use_was_granted(use: Use) -> Said:
    """A client is nobody's hand on the seal: whatever it says, its use is unattended."""
    if use.actor.kind is not ActorKind.CLIENT and not use.unattended:
        return Answer.ABSTAIN, "ATTENDED"
    allowed = any(grant.unattended for grant in use.grants if _covers_but_attendance(grant, use))
    return _no_objection(not allowed, "UNATTENDED_USE_NOT_GRANTED", "UNATTENDED_USE_GRANTED")


def a_grant_covers_it(use: Use) -> Said:
    if covering_grant(use) is not None:
        return Answer.GRANT, "GRANTED"
    return Answer.ABSTAIN, _why_no_grant(use)


RULES: tuple[Rule, ...] = (
    actor_is_known,
    seal_is_active,
    seal_is_within_its_validity,
    person_is_an_approver,
    actor_is_of_the_organisation,
    division_covers_the_seal,
    person_is_identified,
    person_used_two_factors,
    matter_is_of_the_organisation,
    matter_suits_the_seal,
    document_is_named,
    unattended_use_was_granted,
    a_grant_covers_it,
)


def _covers_but_attendance(grant: GrantFacts, use: Use) -> bool:
    return (
        not grant.withdrawn
        and grant.matter_code == (use.matter and use.matter.code)
        and grant.certificate_type in (None, use.certificate_type)
        and grant.valid_from <= use.now <= grant.valid_to
    )


def covering_grant(use: Use) -> GrantFacts | None:
    """The first grant that covers the use; an unattended use needs a grant that says so."""
    unattended = use.unattended or use.actor.kind is ActorKind.CLIENT
    return next((grant for grant in use.grants if _covers_but_attendance(grant, use) and (grant.unattended or not unattended)), None)


def _why_no_grant(use: Use) -> str:
    """The nearest miss, so that a page can say what to ask for."""
    about = [grant for grant in use.grants if grant.matter_code == (use.matter and use.matter.code)]
    if not about:
        return "NO_GRANT_FOR_MATTER" if use.grants else "NO_GRANT"
    typed = [grant for grant in about if grant.certificate_type in (None, use.certificate_type)]
    if not typed:
        return "GRANT_FOR_OTHER_TYPE"
    kept = [grant for grant in typed if not grant.withdrawn]
    if not kept:
        return "GRANT_WITHDRAWN"
    if all(use.now > grant.valid_to for grant in kept):
        return "GRANT_EXPIRED"
    current = any(grant.valid_from <= use.now <= grant.valid_to for grant in kept)
    return "UNATTENDED_USE_NOT_GRANTED" if current else "GRANT_NOT_YET_VALID"


def explain(use: Use) -> tuple[RuleAnswer, ...]:
    """What every rule says, in the order of :data:`RULES`."""
    return tuple(RuleAnswer(rule.__name__, *rule(use)) for rule in RULES)


def decide(use: Use) -> Decision:
    """Deny beats grant; silence denies."""
    answers = explain(use)
    denied = next((answer for answer in answers if answer.answer is Answer.DENY), None)
    granted = next((answer for answer in answers if answer.answer is Answer.GRANT), None)
    decisive = denied or granted or answers[-1]
    permitted = denied is None and granted is not None
    return Decision(permitted, decisive.reason_code, answers, covering_grant(use) if permitted else None)
