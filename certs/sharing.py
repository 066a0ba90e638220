"""May this requester have this certificate, or this answer, now: for this purpose and matter, with this authorisation? Pure.

Rules are small functions over :class:`Ask` that answer GRANT, DENY or ABSTAIN with a reason code; deny beats grant, silence denies.
What is asked about is a *type* first: the same answer whether or not the holder has such a certificate, so that no refusal tells who
holds what. With ``certificate`` its issuer, whoever had it issued and its holder are known too: they have it by their own right.

=================  ==================================================================================================
unconditional      the matter asks for it: yes or no, and where the matter must see it the record, file or copy
conditional        yes or no where the paper names its basis; anything more where the holder agreed, or a right opened
                   after an application says that the law needs no consent
not shared         nobody but those who have it by their own right; a holder's own showing of its face is no sharing
=================  ==================================================================================================

``docs/sharing.md`` holds :func:`certs.sharing_table.markdown`.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from certs.catalogue import Sharing, SharingClass
from certs.sharing_reasons import SharingRefused, sentences
from keys.base.actor import Actor, ActorKind, Role

ASKS = frozenset({Role.WINDOW_CLERK, Role.APPROVER})
"""The staff who ask for their organisation."""


class Want(StrEnum):
    """What is wanted, each more than the one before: ``data`` holds a valid one, yes or no; ``record`` its fields; ``copy`` an annotated
    copy (加注件); ``file`` the original."""

    DATA = "data"
    RECORD = "record"
    COPY = "copy"
    FILE = "file"


_AMOUNT = {want: position for position, want in enumerate(Want)}


class Means(StrEnum):
    """How the holder agreed: on their phone to a request, or by showing a code."""

    CONSENT = "consent"
    SHOW_CODE = "show_code"


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """``sharing`` None: the catalogue does not know the type."""

    code: str
    sharing: Sharing | None


@dataclass(frozen=True, slots=True)
class PaperFacts:
    """A paper a matter asks for. ``types``: what answers it; ``must_see``: yes or no is not enough; ``basis``: the rule it rests on."""

    code: str
    types: frozenset[str]
    must_see: bool = False
    basis: str = ""


@dataclass(frozen=True, slots=True)
class MatterFacts:
    """``organisation`` acts in it; ``papers`` is what it asks for."""

    code: str
    organisation: str
    papers: tuple[PaperFacts, ...]


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """``issuer`` and ``client_organisation``: who issued it and who had it issued, USCCs; ``gone``: void, not issued yet or disposed of."""

    id: uuid.UUID
    issuer: str
    client_organisation: str | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The holder agreed, once: ``organisation`` may have up to ``want`` of ``type_code`` in ``matter`` until ``expires_at``.

    ``same_holder``: who agreed holds the certificate, or is the holder asked about.
    """

    id: uuid.UUID
    means: Means
    organisation: str
    matter: str
    type_code: str
    want: Want
    expires_at: dt.datetime
    same_holder: bool
    used_at: dt.datetime | None = None
    withdrawn_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Right:
    """Access that was applied for, reviewed and opened. ``matters`` empty: any of the organisation's; ``without_holder``: the law named in
    ``basis`` needs no consent of the holder (个人信息保护法 §13)."""

    organisation: str
    type_code: str
    wants: frozenset[Want]
    valid_from: dt.datetime
    valid_to: dt.datetime
    matters: frozenset[str] = frozenset()
    without_holder: bool = False
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``organisation``: for whom, a USCC; ``serves``: the client may act for it though it is not its own;
    ``is_holder``: the number bound to the account is the holder's, or the actor speaks for the organisation that is;
    ``quota_left``: how many more the requester may have, None where nobody counts."""

    actor: Actor
    organisation: str
    want: Want
    type: TypeFacts
    purpose: str
    now: dt.datetime
    serves: bool = False
    matter: MatterFacts | None = None
    certificate: CertificateFacts | None = None
    authorisation: Authorisation | None = None
    right: Right | None = None
    is_holder: bool = False
    quota_left: int | None = None


class Answer(StrEnum):
    GRANT = "GRANT"
    DENY = "DENY"
    ABSTAIN = "ABSTAIN"


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What one rule said."""

    rule: str
    answer: Answer
    reason_code: str


@dataclass(frozen=True, slots=True)
class Decision:
    """``code`` is the reason of the first DENY, else that of the grant, else NOTHING_GRANTS; ``spends``: the authorisation that came
    with the question, to be used up when what was asked for is handed out, needed or not."""

    permitted: bool
    code: str
    answers: tuple[RuleAnswer, ...]
    spends: Authorisation | None = None

    @property
    def public(self) -> tuple[str, str]:
        """(zh, en) of the reason."""
        return sentences(self.code)


Said = tuple[Answer, str]
Judge = Callable[[Ask], Said]


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is what answers are known by; ``codes`` all it may ever say."""

    judge: Judge
    codes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.judge.__name__


def _unless(objection: bool, denied: str, fine: str) -> Said:
    return (Answer.DENY, denied) if objection else (Answer.ABSTAIN, fine)


def own_right(ask: Ask) -> str | None:
    """Why they have it whatever its class is, or None."""
    if ask.is_holder:
        return "HOLDER_OWNS_IT"
    certificate = ask.certificate
    if certificate is None:
        return None
    if ask.organisation == certificate.issuer:
        return "ISSUER_KNOWS_IT"
    return "CLIENT_HAD_IT_ISSUED" if ask.organisation == certificate.client_organisation else None


def covering_right(ask: Ask) -> Right | None:
    """The opened right, where it covers this question."""
    right = ask.right
    if right is None or (right.organisation, right.type_code) != (ask.organisation, ask.type.code) or ask.want not in right.wants:
        return None
    if not right.valid_from <= ask.now < right.valid_to:
        return None
    named = ask.matter.code if ask.matter is not None else ""
    return right if not right.matters or named in right.matters else None


def answering_papers(ask: Ask) -> tuple[PaperFacts, ...]:
    """The papers of the matter that a certificate of this type answers."""
    return tuple(paper for paper in ask.matter.papers if ask.type.code in paper.types) if ask.matter else ()


def requester_is_known(ask: Ask) -> Said:
    """A person or a client: neither strangers nor the system itself ask for certificates."""
    return _unless(ask.actor.kind not in (ActorKind.PERSON, ActorKind.CLIENT), "REQUESTER_UNKNOWN", "REQUESTER_KNOWN")


def requester_asks_for_the_organisation(ask: Ask) -> Said:
    """Its clients, clients that serve it, and its clerks and approvers."""
    if ask.is_holder:
        return Answer.ABSTAIN, "HOLDER_OWNS_IT"
    if ask.actor.kind is ActorKind.PERSON and not ask.actor.roles & ASKS:
        return Answer.DENY, "REQUESTER_NOT_STAFF"
    own = bool(ask.organisation) and ask.actor.organisation == ask.organisation
    served = ask.serves and ask.actor.kind is ActorKind.CLIENT
    return _unless(not (own or served), "REQUESTER_OF_OTHER_ORGANISATION", "REQUESTER_OF_ORGANISATION")


def purpose_is_stated(ask: Ask) -> Said:
    return _unless(not ask.purpose.strip(), "PURPOSE_MISSING", "PURPOSE_STATED")


def type_is_known(ask: Ask) -> Said:
    return _unless(ask.type.sharing is None, "TYPE_UNKNOWN", "TYPE_KNOWN")


def type_is_shared(ask: Ask) -> Said:
    """Not even the holder's agreement opens a type that its rule closes to other departments."""
    if (own := own_right(ask)) is not None:
        return Answer.ABSTAIN, own
    closed = ask.type.sharing is None or ask.type.sharing.sharing_class is SharingClass.NOT_SHARED
    return _unless(closed, "TYPE_NOT_SHARED", "TYPE_SHARED")


def matter_is_of_the_organisation(ask: Ask) -> Said:
    if (own := own_right(ask)) is not None:
        return Answer.ABSTAIN, own
    if ask.matter is None:
        return _unless(covering_right(ask) is None, "MATTER_MISSING", "RIGHT_OPENED")
    return _unless(ask.matter.organisation != ask.organisation, "MATTER_OF_OTHER_ORGANISATION", "MATTER_OF_ORGANISATION")


def matter_asks_for_it(ask: Ask) -> Said:
    """Nobody collects what their matter does not need; a right that was opened stands in for the table."""
    if (own := own_right(ask)) is not None:
        return Answer.ABSTAIN, own
    if answering_papers(ask):
        return Answer.ABSTAIN, "MATTER_ASKS_FOR_IT"
    return _unless(covering_right(ask) is None, "MATTER_DOES_NOT_ASK", "RIGHT_OPENED")


def no_more_than_needed(ask: Ask) -> Said:
    """Where yes or no is all the matter needs, that is all it gets, whoever agrees to more."""
    if (own := own_right(ask)) is not None:
        return Answer.ABSTAIN, own
    if ask.want is Want.DATA or covering_right(ask) is not None:
        return Answer.ABSTAIN, "NO_MORE_THAN_NEEDED"
    must_see = any(paper.must_see for paper in answering_papers(ask))
    return _unless(not must_see, "DATA_IS_ENOUGH", "MATTER_MUST_SEE_IT")


def authorisation_is_good(ask: Ask) -> Said:
    """What the holder agreed to covers exactly this, and was not used before."""
    if ask.authorisation is None:
        return Answer.ABSTAIN, "NO_AUTHORISATION"
    objection = objection_to(ask.authorisation, ask)
    return _unless(objection is not None, objection or "", "AUTHORISATION_GOOD")


def objection_to(given: Authorisation, ask: Ask) -> str | None:
    """What is wrong with an authorisation, or None."""
    matter = ask.matter.code if ask.matter is not None else ""
    objections = {
        "AUTHORISATION_OF_OTHER_HOLDER": not given.same_holder,
        "AUTHORISATION_FOR_OTHER_ORGANISATION": given.organisation != ask.organisation,
        "AUTHORISATION_FOR_OTHER_MATTER": given.matter != matter,
        "AUTHORISATION_FOR_OTHER_TYPE": given.type_code != ask.type.code,
        "AUTHORISATION_FOR_LESS": _AMOUNT[ask.want] > _AMOUNT[given.want],
        "AUTHORISATION_USED": given.used_at is not None,
        "AUTHORISATION_WITHDRAWN": given.withdrawn_at is not None,
        "AUTHORISATION_EXPIRED": ask.now >= given.expires_at,
    }
    return next((code for code, wrong in objections.items() if wrong), None)


def holder_agreed_where_needed(ask: Ask) -> Said:
    if (own := own_right(ask)) is not None:
        return Answer.ABSTAIN, own
    if ask.type.sharing is None or ask.type.sharing.sharing_class is not SharingClass.CONDITIONAL:
        return Answer.ABSTAIN, "SHARED_UNCONDITIONALLY"
    if ask.authorisation is not None:
        return Answer.ABSTAIN, "HOLDER_AGREED"
    right = covering_right(ask)
    if right is not None and right.without_holder:
        return Answer.ABSTAIN, "LAW_NEEDS_NO_CONSENT"
    based = ask.want is Want.DATA and any(paper.basis.strip() for paper in answering_papers(ask))
    return _unless(not based, "HOLDER_MUST_AGREE", "BASIS_NAMED")


def quota_is_left(ask: Ask) -> Said:
    if ask.quota_left is None:
        return Answer.ABSTAIN, "NO_QUOTA"
    return _unless(ask.quota_left <= 0, "QUOTA_EXHAUSTED", "QUOTA_LEFT")


def certificate_is_there(ask: Ask) -> Said:
    if ask.certificate is None:
        return Answer.ABSTAIN, "ASKED_OF_THE_TYPE"
    return _unless(ask.certificate.gone, "CERTIFICATE_GONE", "CERTIFICATE_THERE")


def it_is_their_own(ask: Ask) -> Said:
    own = own_right(ask)
    return (Answer.GRANT, own) if own is not None else (Answer.ABSTAIN, "NOT_THEIR_OWN")


def sharing_grants_it(ask: Ask) -> Said:
    """For a matter that asks for it, or by a right that was opened."""
    if covering_right(ask) is not None:
        return Answer.GRANT, "GRANTED_BY_RIGHT"
    return (Answer.GRANT, "GRANTED_FOR_MATTER") if answering_papers(ask) else (Answer.ABSTAIN, "NOTHING_GRANTS")


_OWN = ("HOLDER_OWNS_IT", "ISSUER_KNOWS_IT", "CLIENT_HAD_IT_ISSUED")
_FAULTS = ("OF_OTHER_HOLDER", "FOR_OTHER_ORGANISATION", "FOR_OTHER_MATTER", "FOR_OTHER_TYPE", "FOR_LESS", "USED", "WITHDRAWN", "EXPIRED")


def _rule(judge: Judge, *codes: str) -> Rule:
    return Rule(judge, codes)


RULES: tuple[Rule, ...] = (
    _rule(requester_is_known, "REQUESTER_KNOWN", "REQUESTER_UNKNOWN"),
    _rule(
        requester_asks_for_the_organisation, "REQUESTER_OF_ORGANISATION", "HOLDER_OWNS_IT", "REQUESTER_NOT_STAFF",
        "REQUESTER_OF_OTHER_ORGANISATION",
    ),
    _rule(purpose_is_stated, "PURPOSE_STATED", "PURPOSE_MISSING"),
    _rule(type_is_known, "TYPE_KNOWN", "TYPE_UNKNOWN"),
    _rule(type_is_shared, "TYPE_SHARED", *_OWN, "TYPE_NOT_SHARED"),
    _rule(
        matter_is_of_the_organisation, "MATTER_OF_ORGANISATION", *_OWN, "RIGHT_OPENED", "MATTER_MISSING", "MATTER_OF_OTHER_ORGANISATION"
    ),
    _rule(matter_asks_for_it, "MATTER_ASKS_FOR_IT", *_OWN, "RIGHT_OPENED", "MATTER_DOES_NOT_ASK"),
    _rule(no_more_than_needed, "NO_MORE_THAN_NEEDED", *_OWN, "MATTER_MUST_SEE_IT", "DATA_IS_ENOUGH"),
    _rule(authorisation_is_good, "NO_AUTHORISATION", "AUTHORISATION_GOOD", *(f"AUTHORISATION_{fault}" for fault in _FAULTS)),
    _rule(
        holder_agreed_where_needed, "SHARED_UNCONDITIONALLY", *_OWN, "HOLDER_AGREED", "LAW_NEEDS_NO_CONSENT", "BASIS_NAMED",
        "HOLDER_MUST_AGREE",
    ),
    _rule(quota_is_left, "NO_QUOTA", "QUOTA_LEFT", "QUOTA_EXHAUSTED"),
    _rule(certificate_is_there, "ASKED_OF_THE_TYPE", "CERTIFICATE_THERE", "CERTIFICATE_GONE"),
    _rule(it_is_their_own, "NOT_THEIR_OWN", *_OWN),
    _rule(sharing_grants_it, "GRANTED_FOR_MATTER", "GRANTED_BY_RIGHT", "NOTHING_GRANTS"),
)  # fmt: skip


def explain(ask: Ask) -> tuple[RuleAnswer, ...]:
    """What every rule says, in the order of :data:`RULES`."""
    return tuple(RuleAnswer(rule.name, *rule.judge(ask)) for rule in RULES)


def decide(ask: Ask) -> Decision:
    """Deny beats grant; silence denies."""
    answers = explain(ask)
    denied = next((one for one in answers if one.answer is Answer.DENY), None)
    granted = next((one for one in answers if one.answer is Answer.GRANT), None)
    permitted = denied is None and granted is not None
    return Decision(permitted, (denied or granted or answers[-1]).reason_code, answers, ask.authorisation if permitted else None)


def require(ask: Ask) -> Decision:
    """The decision, where it is yes. Raises :class:`SharingRefused`."""
    decision = decide(ask)
    if not decision.permitted:
        raise SharingRefused(decision.code)
    return decision
