"""The rules of sharing: every class, every objection, who has it by their own right; nothing is left without words or without a rule."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest

from certs.catalogue import Sharing, SharingClass
from certs.sharing import (
    RULES,
    Ask,
    Authorisation,
    CertificateFacts,
    MatterFacts,
    Means,
    PaperFacts,
    Right,
    SharingRefused,
    TypeFacts,
    Want,
    decide,
    require,
)
from certs.sharing_reasons import REASONS
from certs.sharing_table import PAGE, markdown
from keys.base.actor import ANONYMOUS, SYSTEM, Actor, ActorKind, Role

NOW = dt.datetime(2026, 11, 22, 4, tzinfo=dt.UTC)
HERE, ISSUER = "11990100MB00000435", "11990100MB0000027F"
CLIENT = Actor(ActorKind.CLIENT, "market", "market", HERE, "990100")
CLERK = Actor(ActorKind.PERSON, "clerk", "clerk", HERE, "990100", frozenset({Role.WINDOW_CLERK}))
COPY = PaperFacts("premises", frozenset({"T"}), must_see=True, basis="第十四条")
DATA = PaperFacts("licence", frozenset({"T"}))
AGREED = Authorisation(
    uuid.UUID(int=1), Means.CONSENT, HERE, "m", "T", Want.FILE, NOW + dt.timedelta(minutes=5), same_holder=True
)  # fmt: skip
RIGHT = Right(HERE, "T", frozenset({Want.DATA, Want.RECORD}), NOW, NOW + dt.timedelta(days=9))
UNCONDITIONAL, CONDITIONAL, CLOSED = (Sharing(one) for one in SharingClass)


def matter(*papers: PaperFacts, organisation: str = HERE) -> MatterFacts:
    return MatterFacts("m", organisation, papers)


def asked(sharing: Sharing | None = UNCONDITIONAL, want: Want = Want.RECORD, *papers: PaperFacts, **more: Any) -> Ask:
    base = Ask(CLIENT, HERE, want, TypeFacts("T", sharing), "核验", NOW, matter=matter(*(papers or (COPY,))))
    return replace(base, **more)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (asked(), "GRANTED_FOR_MATTER"),
        (asked(actor=CLERK), "GRANTED_FOR_MATTER"),
        (asked(UNCONDITIONAL, Want.FILE), "GRANTED_FOR_MATTER"),
        (asked(UNCONDITIONAL, Want.RECORD, DATA), "DATA_IS_ENOUGH"),
        (asked(UNCONDITIONAL, Want.DATA, DATA), "GRANTED_FOR_MATTER"),
        (asked(CONDITIONAL, Want.DATA), "GRANTED_FOR_MATTER"),
        (asked(CONDITIONAL, Want.DATA, DATA), "HOLDER_MUST_AGREE"),
        (asked(CONDITIONAL), "HOLDER_MUST_AGREE"),
        (asked(CONDITIONAL, authorisation=AGREED), "GRANTED_FOR_MATTER"),
        (asked(CONDITIONAL, Want.RECORD, DATA, authorisation=AGREED), "DATA_IS_ENOUGH"),
        (asked(CLOSED), "TYPE_NOT_SHARED"),
        (asked(CLOSED, authorisation=AGREED), "TYPE_NOT_SHARED"),
        (asked(None), "TYPE_UNKNOWN"),
        (asked(purpose="  "), "PURPOSE_MISSING"),
        (asked(matter=None), "MATTER_MISSING"),
        (asked(matter=matter(COPY, organisation=ISSUER)), "MATTER_OF_OTHER_ORGANISATION"),
        (asked(matter=matter(PaperFacts("p", frozenset({"U"})))), "MATTER_DOES_NOT_ASK"),
        (asked(matter=matter()), "MATTER_DOES_NOT_ASK"),
        (asked(actor=ANONYMOUS), "REQUESTER_UNKNOWN"),
        (asked(actor=SYSTEM), "REQUESTER_UNKNOWN"),
        (asked(actor=replace(CLERK, roles=frozenset({Role.CITIZEN}))), "REQUESTER_NOT_STAFF"),
        (asked(actor=replace(CLIENT, organisation=ISSUER)), "REQUESTER_OF_OTHER_ORGANISATION"),
        (asked(actor=replace(CLIENT, organisation=ISSUER), serves=True), "GRANTED_FOR_MATTER"),
        (asked(actor=replace(CLERK, organisation=ISSUER), serves=True), "REQUESTER_OF_OTHER_ORGANISATION"),
        (asked(actor=replace(CLIENT, organisation=None), organisation=""), "REQUESTER_OF_OTHER_ORGANISATION"),
        (asked(quota_left=1), "GRANTED_FOR_MATTER"),
        (asked(quota_left=0), "QUOTA_EXHAUSTED"),
        (asked(certificate=CertificateFacts(uuid.UUID(int=2), ISSUER)), "GRANTED_FOR_MATTER"),
        (asked(certificate=CertificateFacts(uuid.UUID(int=2), ISSUER, gone=True)), "CERTIFICATE_GONE"),
    ],
)
def test_who_may_have_what(ask: Ask, code: str) -> None:
    decision = decide(ask)
    assert decision.code == code
    assert decision.permitted is code.startswith("GRANTED")
    if not decision.permitted:
        with pytest.raises(SharingRefused) as refusal:
            require(ask)
        assert (refusal.value.reason, refusal.value.public) == (code, REASONS[code])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"same_holder": False}, "AUTHORISATION_OF_OTHER_HOLDER"),
        ({"organisation": ISSUER}, "AUTHORISATION_FOR_OTHER_ORGANISATION"),
        ({"matter": "n"}, "AUTHORISATION_FOR_OTHER_MATTER"),
        ({"type_code": "U"}, "AUTHORISATION_FOR_OTHER_TYPE"),
        ({"want": Want.DATA}, "AUTHORISATION_FOR_LESS"),
        ({"used_at": NOW}, "AUTHORISATION_USED"),
        ({"withdrawn_at": NOW}, "AUTHORISATION_WITHDRAWN"),
        ({"expires_at": NOW}, "AUTHORISATION_EXPIRED"),
    ],
)
@pytest.mark.parametrize("sharing", [CONDITIONAL, UNCONDITIONAL])
def test_an_agreement_covers_exactly_what_was_agreed(sharing: Sharing, changes: dict[str, Any], code: str) -> None:
    """What is wrong with it is said even where none was needed: it was meant for something else."""
    assert decide(asked(sharing, authorisation=replace(AGREED, **changes))).code == code


def test_an_agreement_that_came_along_is_used_up_whether_needed_or_not() -> None:
    for sharing in (CONDITIONAL, UNCONDITIONAL):
        assert decide(asked(sharing, authorisation=AGREED)).spends is AGREED
    assert decide(asked(CLOSED, authorisation=AGREED)).spends is None


def test_own_right_needs_neither_matter_nor_class() -> None:
    for certificate in (CertificateFacts(uuid.UUID(int=2), HERE), CertificateFacts(uuid.UUID(int=2), ISSUER, HERE)):
        assert decide(asked(CLOSED, matter=None, certificate=certificate)).permitted
    holder = replace(CLERK, roles=frozenset({Role.CITIZEN}), organisation=None)
    assert decide(asked(CLOSED, matter=None, organisation="", actor=holder, is_holder=True)).code == "HOLDER_OWNS_IT"
    assert not decide(asked(CLOSED, matter=None, certificate=CertificateFacts(uuid.UUID(int=2), ISSUER, ISSUER))).permitted


def test_an_opened_right_stands_in_for_the_table_within_its_bounds() -> None:
    ask = asked(UNCONDITIONAL, matter=None, right=RIGHT)
    assert decide(ask).code == "GRANTED_BY_RIGHT"
    for narrower in (
        {"want": Want.FILE}, {"now": RIGHT.valid_to}, {"now": NOW - dt.timedelta(1)}, {"right": replace(RIGHT, matters=frozenset({"m"}))},
        {"right": replace(RIGHT, type_code="U")}, {"right": replace(RIGHT, organisation=ISSUER)},
    ):  # fmt: skip
        assert decide(replace(ask, **narrower)).code == "MATTER_MISSING", narrower
    assert decide(asked(UNCONDITIONAL, Want.RECORD, DATA, right=replace(RIGHT, matters=frozenset({"m"})))).permitted
    conditional = replace(ask, type=TypeFacts("T", CONDITIONAL))
    assert decide(conditional).code == "HOLDER_MUST_AGREE"
    assert decide(replace(conditional, right=replace(RIGHT, without_holder=True))).permitted
    assert decide(replace(ask, type=TypeFacts("T", CLOSED))).code == "TYPE_NOT_SHARED"


def test_a_refusal_is_the_same_whether_or_not_there_is_a_certificate() -> None:
    other = CertificateFacts(uuid.UUID(int=2), ISSUER)
    for sharing in (UNCONDITIONAL, CONDITIONAL, CLOSED):
        for want in Want:
            for paper in (DATA, COPY):
                ask = asked(sharing, want, paper)
                assert decide(ask).code == decide(replace(ask, certificate=other)).code


def test_every_answer_is_declared_and_has_words_and_the_page_is_up_to_date() -> None:
    declared = {code for rule in RULES for code in rule.codes}
    assert declared == set(REASONS)
    assert len({rule.name for rule in RULES}) == len(RULES)
    for ask in (asked(sharing, want, paper) for sharing in (UNCONDITIONAL, CONDITIONAL, CLOSED) for want in Want for paper in (DATA, COPY)):
        for rule, answer in zip(RULES, decide(ask).answers, strict=True):
            assert answer.reason_code in rule.codes
    assert markdown() in PAGE.read_text(encoding="utf-8"), "python -m certs.sharing_table"
