"""Every rule and every reason it may give, each by a row; a rule or code without one fails."""

import dataclasses
import datetime as dt
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.errors import InvalidInput
from seal.kinds import SealKind
from seal.lifecycle import Status
from seal.policy import RULES, Answer, decide, explain
from seal.policy_facts import GrantFacts, MatterFacts, Place, Requirements, SealFacts, Use, WindowFacts, within
from seal.policy_hours import check_hours, minutes_of_week, parse_hours, within_hours
from seal.policy_table import markdown
from seal.reasons import REASONS

NOW = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)  # a Monday, 10:00 in civil time
DAY = dt.timedelta(days=1)
OWN, CENTRE = "11990100MB00000435", "11990100MB0000027F"
SEAL = SealFacts("99010000000001", SealKind.APPROVAL, OWN, "990100", Status.ACTIVE, NOW - DAY, NOW + 500 * DAY)
MATTER = MatterFacts("000117004000", True, OWN)
GRANT = GrantFacts(uuid.UUID(int=2), MATTER.code, None, NOW - DAY, NOW + DAY, unattended=False, withdrawn=False, reviewed_at=NOW - DAY)
ABOVE = replace(GRANT, id=uuid.UUID(int=1))
APPROVER = Actor(ActorKind.PERSON, "a", "", OWN, "990100", frozenset({Role.APPROVER}), assurance=4, authenticator=2)
CLERK = Actor(ActorKind.PERSON, "w", "", CENTRE, "990102", frozenset({Role.WINDOW_CLERK}), assurance=4, authenticator=2)
CLIENT = Actor(ActorKind.CLIENT, "c", "", CENTRE, "990100")
WINDOW = WindowFacts("W-3", CENTRE, "990102", ("10.3.0.0/16",))
USE = Use(NOW, APPROVER, SEAL, MATTER, "type", b"\x01" * 32, unattended=False, grants=(GRANT,))
ALONE = replace(USE, actor=CLIENT, unattended=True, grants=(replace(GRANT, unattended=True, quota_day=9),))
AT_WINDOW = replace(
    USE, actor=CLERK, windows=(WINDOW,), place=Place("W-3", "10.3.1.2"), grants=(replace(GRANT, window_id="W-3"),),
    approvers=frozenset({("b", "w")}), requester="w",
)  # fmt: skip


def seal(**changes):
    return replace(USE, seal=replace(SEAL, **changes))


def actor(**changes):
    return replace(USE, actor=replace(APPROVER, **changes))


def grant(**changes):
    return replace(USE, grants=(replace(GRANT, **changes),))


def window(**changes):
    return replace(AT_WINDOW, windows=(replace(WINDOW, **changes),))


TWO = seal(required=Requirements(approvals=2))
A, D, G = Answer.ABSTAIN, Answer.DENY, Answer.GRANT
ROWS = [
    ("actor_is_known", USE, A, "ACTOR_KNOWN"),
    ("actor_is_known", replace(USE, actor=SYSTEM), D, "ACTOR_UNKNOWN"),
    ("person_is_active", USE, A, "PERSON_ACTIVE"),
    ("person_is_active", replace(USE, person_active=False), D, "PERSON_INACTIVE"),
    ("person_is_active", ALONE, A, "NOT_A_PERSON"),
    ("seal_is_active", USE, A, "SEAL_ACTIVE"),
    ("seal_is_active", seal(status=Status.SUSPENDED), D, "SEAL_SUSPENDED"),
    ("seal_is_active", seal(status=Status.CANCELLED), D, "SEAL_CANCELLED"),
    ("seal_is_active", seal(status=Status.LOST), D, "SEAL_LOST"),
    ("seal_is_active", seal(status=Status.MADE), D, "SEAL_NOT_ACTIVE"),
    ("seal_is_active", seal(status=Status.EXPIRED), D, "SEAL_EXPIRED"),
    ("seal_is_active", seal(status=Status.CLOSED), D, "SEAL_CANCELLED"),
    ("seal_is_within_its_validity", USE, A, "SEAL_VALID"),
    ("seal_is_within_its_validity", seal(valid_from=NOW + DAY), D, "SEAL_NOT_YET_VALID"),
    ("seal_is_within_its_validity", seal(valid_to=NOW - DAY / 2), D, "SEAL_EXPIRED"),
    ("seal_certificates_stand", USE, A, "SEAL_CERTIFICATES_STAND"),
    ("seal_certificates_stand", seal(certificates_stand=False), D, "SEAL_CERTIFICATE_REVOKED"),
    ("person_is_an_approver", USE, A, "ACTOR_APPROVER"),
    ("person_is_an_approver", AT_WINDOW, A, "ACTOR_WINDOW_CLERK"),
    ("person_is_an_approver", replace(AT_WINDOW, place=None), D, "ACTOR_NOT_APPROVER"),
    ("person_is_an_approver", actor(roles=frozenset({Role.SEAL_KEEPER})), D, "ACTOR_NOT_APPROVER"),
    ("person_is_an_approver", ALONE, A, "NOT_A_PERSON"),
    ("actor_is_of_the_organisation", USE, A, "ACTOR_OF_ORGANISATION"),
    ("actor_is_of_the_organisation", AT_WINDOW, A, "ACTOR_AT_WINDOW"),
    ("actor_is_of_the_organisation", ALONE, A, "CLIENT_SERVES_ORGANISATION"),
    ("actor_is_of_the_organisation", actor(organisation=CENTRE), D, "ACTOR_OF_OTHER_ORGANISATION"),
    ("division_covers_the_seal", USE, A, "DIVISION_COVERED"),
    ("division_covers_the_seal", AT_WINDOW, A, "DIVISION_COVERED"),
    ("division_covers_the_seal", actor(division="990200"), D, "DIVISION_MISMATCH"),
    ("division_covers_the_seal", window(division="990103"), D, "DIVISION_MISMATCH"),
    ("person_is_identified", USE, A, "ASSURANCE_ENOUGH"),
    ("person_is_identified", actor(assurance=1), D, "ASSURANCE_TOO_LOW"),
    (
        "person_is_identified",
        replace(seal(required=Requirements(assurance=4)), actor=replace(APPROVER, assurance=3)),
        D,
        "ASSURANCE_TOO_LOW",
    ),
    ("person_is_identified", ALONE, A, "NOT_A_PERSON"),
    ("person_used_two_factors", USE, A, "AUTHENTICATOR_ENOUGH"),
    ("person_used_two_factors", actor(authenticator=1), D, "AUTHENTICATOR_TOO_WEAK"),
    ("person_used_two_factors", seal(required=Requirements(authenticator=3)), D, "SEAL_NEEDS_STRONGER_LOGIN"),
    ("person_used_two_factors", ALONE, A, "NOT_A_PERSON"),
    ("matter_is_of_the_organisation", USE, A, "MATTER_OF_ORGANISATION"),
    ("matter_is_of_the_organisation", replace(USE, matter=replace(MATTER, organisation=CENTRE)), D, "MATTER_OF_OTHER_ORGANISATION"),
    ("matter_is_of_the_organisation", replace(USE, matter=None), D, "MATTER_UNKNOWN"),
    ("matter_suits_the_seal", USE, A, "MATTER_SUITS_SEAL"),
    ("matter_suits_the_seal", replace(seal(kind=SealKind.CONTRACT), matter=replace(MATTER, is_approval=False)), A, "MATTER_SUITS_SEAL"),
    (
        "matter_suits_the_seal",
        replace(seal(kind=SealKind.STATUTORY), matter=replace(MATTER, legal_basis="…第十条")),
        A,
        "LEGAL_BASIS_LISTED",
    ),
    ("matter_suits_the_seal", seal(kind=SealKind.STATUTORY), D, "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"),
    ("matter_suits_the_seal", replace(USE, matter=replace(MATTER, is_approval=False)), D, "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS"),
    ("matter_suits_the_seal", replace(USE, matter=None), D, "MATTER_UNKNOWN"),
    ("seal_is_used_where_it_is_kept", AT_WINDOW, A, "SEAL_AT_ITS_WINDOW"),
    ("seal_is_used_where_it_is_kept", replace(AT_WINDOW, place=Place(None, "10.3.9.9")), A, "SEAL_AT_ITS_WINDOW"),
    ("seal_is_used_where_it_is_kept", USE, A, "SEAL_NOT_AT_WINDOWS"),
    ("seal_is_used_where_it_is_kept", replace(ALONE, windows=(WINDOW,)), A, "USE_WITHOUT_PLACE"),
    ("seal_is_used_where_it_is_kept", replace(USE, windows=(replace(WINDOW, staffed=False),)), D, "SEAL_USED_ELSEWHERE"),
    ("seal_is_used_where_it_is_kept", replace(AT_WINDOW, place=Place(None, "10.4.1.1")), D, "SEAL_USED_ELSEWHERE"),
    (
        "seal_is_used_where_it_is_kept",
        replace(AT_WINDOW, windows=(replace(WINDOW, keeps=False), replace(WINDOW, id="W-4", staffed=False))),
        D,
        "SEAL_USED_ELSEWHERE",
    ),
    ("seal_is_used_where_it_is_kept", replace(AT_WINDOW, place=Place("W-3", "10.4.1.1")), D, "NOT_AT_THIS_WINDOW"),
    ("seal_is_used_where_it_is_kept", window(staffed=False), D, "NOT_AT_THIS_WINDOW"),
    ("seal_is_used_where_it_is_kept", window(closed=True), D, "WINDOW_CLOSED"),
    ("seal_is_used_where_it_is_kept", window(division="990200"), D, "WINDOW_OF_OTHER_DIVISION"),
    ("document_is_named", USE, A, "DOCUMENT_BOUND"),
    ("document_is_named", replace(USE, document_hash=b"\x01" * 20), D, "DOCUMENT_HASH_MISSING"),
    ("document_is_approved", USE, A, "DOCUMENT_APPROVED"),
    ("document_is_approved", replace(USE, requester="x"), A, "DOCUMENT_APPROVED"),
    ("document_is_approved", AT_WINDOW, A, "DOCUMENT_APPROVED"),
    ("document_is_approved", ALONE, A, "UNATTENDED_BY_GRANT"),
    ("document_is_approved", replace(TWO, approvers=frozenset({("b", "x")})), A, "DOCUMENT_APPROVED_BY_TWO"),
    ("document_is_approved", replace(USE, requester="a"), D, "REQUESTER_IS_APPROVER"),
    ("document_is_approved", replace(AT_WINDOW, requester="x", approvers=frozenset()), D, "DOCUMENT_NOT_APPROVED"),
    ("document_is_approved", replace(AT_WINDOW, requester="x", approvers=frozenset({("b", "y")})), D, "DOCUMENT_NOT_APPROVED"),
    ("document_is_approved", replace(ALONE, requester="x"), D, "DOCUMENT_NOT_APPROVED"),
    ("document_is_approved", TWO, D, "TWO_APPROVERS_NEEDED"),
    ("document_is_approved", replace(TWO, approvers=frozenset({("a", "x")})), D, "TWO_APPROVERS_NEEDED"),
    ("document_is_approved", replace(TWO, approvers=frozenset({("b", "a")})), D, "TWO_APPROVERS_NEEDED"),
    ("document_is_approved", replace(ALONE, seal=TWO.seal), D, "TWO_APPROVERS_NEEDED"),
    ("grant_covers_the_type", USE, A, "GRANT_FOR_TYPE"),
    ("grant_covers_the_type", grant(certificate_type="other"), D, "GRANT_FOR_OTHER_TYPE"),
    ("grant_covers_the_type", grant(above=(replace(ABOVE, certificate_type="other"),)), D, "GRANT_FOR_OTHER_TYPE"),
    ("grant_covers_the_type", replace(USE, grants=()), A, "NO_GRANT_LEFT_TO_ASK"),
    ("grant_covers_the_document_kind", replace(grant(document_kind="letter"), document_kind="letter"), A, "GRANT_FOR_DOCUMENT_KIND"),
    ("grant_covers_the_document_kind", grant(document_kind="letter"), D, "GRANT_FOR_OTHER_DOCUMENT_KIND"),
    ("grant_stands", USE, A, "GRANT_STANDS"),
    ("grant_stands", grant(withdrawn=True), D, "GRANT_WITHDRAWN"),
    ("grant_stands", grant(above=(replace(ABOVE, withdrawn=True),)), D, "DELEGATION_ENDED"),
    ("grant_is_within_its_period", USE, A, "GRANT_CURRENT"),
    ("grant_is_within_its_period", grant(valid_to=NOW - DAY / 2), D, "GRANT_EXPIRED"),
    ("grant_is_within_its_period", grant(above=(replace(ABOVE, valid_to=NOW - DAY / 2),)), D, "GRANT_EXPIRED"),
    ("grant_is_within_its_period", grant(valid_from=NOW + DAY / 2), D, "GRANT_NOT_YET_VALID"),
    ("grant_was_reviewed", USE, A, "GRANT_REVIEWED"),
    ("grant_was_reviewed", grant(reviewed_at=NOW - 366 * DAY), A, "GRANT_REVIEWED"),
    ("grant_was_reviewed", grant(reviewed_at=NOW - 367 * DAY), D, "GRANT_REVIEW_OVERDUE"),
    ("grant_covers_the_place", AT_WINDOW, A, "GRANT_FOR_PLACE"),
    ("grant_covers_the_place", replace(grant(networks=("10.0.0.0/8",)), place=Place(None, "10.9.9.9")), A, "GRANT_FOR_PLACE"),
    ("grant_covers_the_place", grant(networks=("10.0.0.0/8",)), D, "GRANT_FOR_OTHER_PLACE"),
    ("grant_covers_the_place", grant(window_id="W-3"), D, "GRANT_FOR_OTHER_PLACE"),
    ("grant_covers_the_hour", grant(hours=("mon-fri 08:30-17:30",)), A, "GRANT_WITHIN_HOURS"),
    ("grant_covers_the_hour", grant(hours=("sat 00:00-24:00", "mon 11:00-12:00")), D, "GRANT_OUTSIDE_HOURS"),
    ("unattended_use_was_granted", ALONE, A, "UNATTENDED_USE_GRANTED"),
    ("unattended_use_was_granted", replace(ALONE, grants=(GRANT,)), D, "UNATTENDED_USE_NOT_GRANTED"),
    ("unattended_use_has_a_quota", ALONE, A, "UNATTENDED_QUOTA_SET"),
    ("unattended_use_has_a_quota", replace(ALONE, grants=(replace(GRANT, unattended=True),)), D, "UNATTENDED_WITHOUT_QUOTA"),
    ("quota_is_left", grant(quota_day=2, used_today=1), A, "QUOTA_LEFT"),
    ("quota_is_left", grant(quota_day=2, used_today=2), D, "QUOTA_DAY_EXHAUSTED"),
    ("quota_is_left", grant(quota_total=2, used_total=2), D, "QUOTA_TOTAL_EXHAUSTED"),
    ("quota_is_left", grant(above=(replace(ABOVE, quota_day=1, used_today=1),)), D, "QUOTA_DAY_EXHAUSTED"),
    ("a_grant_covers_it", USE, G, "GRANTED"),
    ("a_grant_covers_it", AT_WINDOW, G, "GRANTED"),
    ("a_grant_covers_it", ALONE, G, "GRANTED"),
    ("a_grant_covers_it", replace(USE, grants=()), A, "NO_GRANT"),
    ("a_grant_covers_it", grant(matter_code="other"), A, "NO_GRANT_FOR_MATTER"),
    ("a_grant_covers_it", grant(withdrawn=True), A, "NO_GRANT_COVERS_IT"),
]
SHARED = {"NO_GRANT_LEFT_TO_ASK"}


@pytest.mark.parametrize(("rule", "use", "answer", "code"), ROWS, ids=[f"{n}-{row[0]}-{row[3]}" for n, row in enumerate(ROWS)])
def test_each_row(rule, use, answer, code):
    (said,) = (one for one in explain(use) if one.rule == rule)
    assert (said.answer, said.reason_code) == (answer, code)
    decision = decide(use)
    if answer is Answer.DENY:
        assert not decision.permitted
    if answer is Answer.GRANT:
        assert (decision.permitted, decision.grant) == (True, use.grants[0])


def test_every_rule_and_every_code_has_its_row():
    rows = {(rule, code) for rule, _, _, code in ROWS}
    wanted = {(rule.name, code) for rule in RULES for code in rule.codes if code not in SHARED}
    assert wanted - rows == set()
    assert rows - {(rule.name, code) for rule in RULES for code in rule.codes} == set()
    assert {code for _, _, _, code in ROWS} >= SHARED


def test_no_rule_says_what_it_does_not_list():
    codes = {rule.name: set(rule.codes) for rule in RULES}
    for _, use, _, _ in ROWS:
        for said in explain(use):
            assert said.reason_code in codes[said.rule]
            assert said.reason_code in REASONS


def test_what_narrows_a_grant_narrows_every_grant_below_it():
    """Never wider: whatever stops the grant above stops the one that was handed on."""
    stops = [
        {"withdrawn": True}, {"valid_to": NOW - DAY / 2}, {"valid_from": NOW + DAY / 2}, {"reviewed_at": NOW - 400 * DAY},
        {"certificate_type": "other"}, {"document_kind": "letter"}, {"window_id": "W-3"}, {"networks": ("10.0.0.0/8",)},
        {"hours": ("sun 00:00-24:00",)}, {"quota_day": 1, "used_today": 1}, {"quota_total": 1, "used_total": 1},
    ]  # fmt: skip
    for stop in stops:
        assert not decide(grant(above=(replace(ABOVE, **stop),))).permitted, stop
    narrowing = {one for stop in stops for one in stop}
    identifying = {"id", "matter_code", "unattended", "above"}
    assert {one.name for one in dataclasses.fields(GrantFacts)} == narrowing | identifying


def test_the_page_is_the_table():
    page = Path(__file__).parents[2] / "docs" / "seal-authority.md"
    assert markdown() in page.read_text(encoding="utf-8"), "run: python -m seal.policy_table"


@pytest.mark.parametrize(
    ("spans", "at", "answer"),
    [
        ((), "2026-11-22T23:00", True),
        (("mon-fri 08:30-17:30",), "2026-11-23T08:29", False),
        (("mon-fri 08:30-17:30",), "2026-11-23T08:30", True),
        (("mon-fri 08:30-17:30",), "2026-11-23T17:29", True),
        (("mon-fri 08:30-17:30",), "2026-11-23T17:30", False),
        (("mon-fri 08:30-17:30",), "2026-11-22T10:00", False),
        (("fri-mon 00:00-24:00",), "2026-11-22T23:59", True),
        (("fri-mon 00:00-24:00",), "2026-11-24T00:00", False),
        (("SUN 10:00-11:00", "sat 10:00-11:00"), "2026-11-22T10:30", True),
    ],
)
def test_hours_are_civil_time(spans, at, answer):
    civil = dt.datetime.fromisoformat(at).replace(tzinfo=dt.timezone(dt.timedelta(hours=8)))
    assert within_hours(spans, civil.astimezone(dt.UTC)) is answer
    minute = civil.weekday() * 1440 + civil.hour * 60 + civil.minute
    assert (minute in minutes_of_week(spans)) is answer


UNREADABLE = (
    "", "mon", "mon 8:00-9:00", "mon 09:00-09:00", "mon 10:00-09:00", "mon 08:00-24:01", "mon 08:60-09:00", "abc 08:00-09:00",
    "mon-xyz 08:00-09:00",
)  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
def test_hours_that_cannot_be_read(text):
    with pytest.raises(InvalidInput):
        parse_hours(text)
    with pytest.raises(InvalidInput):
        check_hours(["mon 08:00-09:00"] * 22)


def test_addresses_that_lie_in_networks():
    assert within(("10.1.0.0/16", "2001:db8::/32"), "2001:db8::1")
    assert within(("10.1.0.0/16",), "::ffff:10.1.2.3")
    assert not within(("10.1.0.0/16",), "10.2.0.1")
    assert not within(("10.1.0.0/16",), None)
    assert not within(("10.1.0.0/16",), "unknown")
