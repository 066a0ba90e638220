"""The policy, over every combination that matters: what it permits is exactly what stands in ``permitted_by_hand``."""

import datetime as dt
import uuid
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.base.actor import ANONYMOUS, SYSTEM, Actor, ActorKind, Role
from seal.divisions import covers
from seal.kinds import SealKind
from seal.lifecycle import Status
from seal.policy import RULES, Answer, GrantFacts, MatterFacts, NotPermitted, SealFacts, Use, decide, explain
from seal.reasons import REASONS, sentences

NOW = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ORGANISATION, OTHER = "11990100MB00000435", "11990100MB0000027F"
SEAL = SealFacts("99010000000001", SealKind.APPROVAL, ORGANISATION, "990100", Status.ACTIVE, NOW - DAY, NOW + DAY)
MATTER = MatterFacts("000117004000", True, ORGANISATION)
GRANT = GrantFacts(uuid.UUID(int=1), MATTER.code, None, NOW - DAY, NOW + DAY, unattended=False, withdrawn=False, quota_day=9)
APPROVER = Actor(ActorKind.PERSON, "a", "", ORGANISATION, "990100", frozenset({Role.APPROVER}), assurance=4, authenticator=2)
CLIENT = Actor(ActorKind.CLIENT, "c", "", OTHER, "990100")
USE = Use(NOW, APPROVER, SEAL, MATTER, "type", b"\x01" * 32, unattended=False, grants=(GRANT,))


def with_seal(**changes):
    return replace(USE, seal=replace(SEAL, **changes))


def with_actor(**changes):
    return replace(USE, actor=replace(APPROVER, **changes))


def with_grant(**changes):
    return replace(USE, grants=(replace(GRANT, **changes),))


BY_CLIENT = replace(USE, actor=CLIENT, unattended=True, grants=(replace(GRANT, unattended=True),))

CASES = [
    (USE, "GRANTED"),
    (BY_CLIENT, "GRANTED"),
    (replace(BY_CLIENT, actor=replace(CLIENT, organisation=ORGANISATION)), "GRANTED"),
    (replace(BY_CLIENT, unattended=False, grants=(GRANT,)), "UNATTENDED_USE_NOT_GRANTED"),
    (replace(BY_CLIENT, grants=(GRANT,)), "UNATTENDED_USE_NOT_GRANTED"),
    (replace(BY_CLIENT, actor=replace(CLIENT, division="110000")), "DIVISION_MISMATCH"),
    (replace(BY_CLIENT, grants=()), "NO_GRANT"),
    (replace(USE, unattended=True), "UNATTENDED_USE_NOT_GRANTED"),
    (replace(USE, unattended=True, grants=(replace(GRANT, unattended=True),)), "GRANTED"),
    (with_grant(unattended=True), "GRANTED"),
    (replace(USE, grants=()), "NO_GRANT"),
    (with_grant(matter_code="other"), "NO_GRANT_FOR_MATTER"),
    (with_grant(certificate_type="type"), "GRANTED"),
    (with_grant(certificate_type="other type"), "GRANT_FOR_OTHER_TYPE"),
    (with_grant(withdrawn=True), "GRANT_WITHDRAWN"),
    (with_grant(valid_to=NOW - DAY / 2), "GRANT_EXPIRED"),
    (with_grant(valid_from=NOW + DAY / 2), "GRANT_NOT_YET_VALID"),
    (with_grant(valid_from=NOW, valid_to=NOW), "GRANTED"),
    (replace(USE, grants=(replace(GRANT, withdrawn=True), GRANT)), "GRANTED"),
    (with_seal(status=Status.SUSPENDED), "SEAL_SUSPENDED"),
    (with_seal(status=Status.CANCELLED), "SEAL_CANCELLED"),
    (with_seal(status=Status.LOST), "SEAL_LOST"),
    (with_seal(status=Status.FILED), "SEAL_NOT_ACTIVE"),
    (with_seal(valid_to=NOW - DAY / 2), "SEAL_EXPIRED"),
    (with_seal(valid_from=NOW + DAY / 2), "SEAL_NOT_YET_VALID"),
    (with_seal(kind=SealKind.CERTIFICATE), "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"),
    (with_seal(kind=SealKind.STATUTORY), "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"),
    (replace(USE, matter=replace(MATTER, is_approval=False)), "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS"),
    (replace(with_seal(kind=SealKind.CERTIFICATE), matter=replace(MATTER, is_approval=False)), "GRANTED"),
    (replace(USE, matter=None), "MATTER_UNKNOWN"),
    (replace(USE, matter=replace(MATTER, organisation=OTHER)), "MATTER_OF_OTHER_ORGANISATION"),
    (with_actor(roles=frozenset({Role.SEAL_KEEPER, Role.SYSTEM_ADMIN})), "ACTOR_NOT_APPROVER"),
    (with_actor(organisation=OTHER), "ACTOR_OF_OTHER_ORGANISATION"),
    (with_actor(organisation=None), "ACTOR_OF_OTHER_ORGANISATION"),
    (with_actor(division="990200"), "DIVISION_MISMATCH"),
    (with_actor(division=None), "DIVISION_MISMATCH"),
    (with_actor(division="990000"), "GRANTED"),
    (with_actor(assurance=1), "ASSURANCE_TOO_LOW"),
    (with_actor(authenticator=1), "AUTHENTICATOR_TOO_WEAK"),
    (replace(USE, actor=SYSTEM), "ACTOR_UNKNOWN"),
    (replace(USE, actor=ANONYMOUS), "ACTOR_UNKNOWN"),
    (replace(USE, document_hash=b""), "DOCUMENT_HASH_MISSING"),
    (replace(USE, document_hash=b"\x01" * 20), "DOCUMENT_HASH_MISSING"),
]


@pytest.mark.parametrize(("use", "code"), CASES, ids=[f"{number}-{code}" for number, (_, code) in enumerate(CASES)])
def test_each_reason_decides_its_case(use, code):
    decision = decide(use)
    assert decision.code == code
    assert decision.permitted is (code == "GRANTED")
    assert (decision.grant is not None) is decision.permitted
    assert [answer.rule for answer in decision.answers] == [rule.name for rule in RULES]


def permitted_by_hand(use: Use) -> bool:
    """The whole policy written a second time, as one sentence."""
    person = use.actor.kind is ActorKind.PERSON
    client = use.actor.kind is ActorKind.CLIENT
    able = person and Role.APPROVER in use.actor.roles and use.actor.authenticator >= 2 and use.actor.assurance >= 2
    able = able and use.actor.organisation == use.seal.organisation
    if not (able or client) or use.matter is None or len(use.document_hash) != 32:
        return False
    fits = use.matter.organisation == use.seal.organisation and use.matter.is_approval == (use.seal.kind == "approval")
    alive = use.seal.status == "active" and use.seal.valid_from <= use.now <= use.seal.valid_to
    near = covers(use.actor.division, use.seal.division)
    alone = client or use.unattended
    given_ = any(
        grant.matter_code == use.matter.code
        and grant.certificate_type in (None, use.certificate_type)
        and not grant.withdrawn
        and grant.valid_from <= use.now <= grant.valid_to
        and (grant.unattended or not alone)
        and (grant.quota_day or not alone)
        for grant in use.grants
    )
    return fits and alive and near and given_


@pytest.mark.parametrize("actor", [APPROVER, replace(APPROVER, authenticator=1), CLIENT, SYSTEM])
def test_every_combination_of_the_facts(actor):
    count = 0
    for status, kind, approval, own, unattended, alone, withdrawn, typed, late in product(
        (Status.ACTIVE, Status.SUSPENDED), SealKind, *[(True, False)] * 7
    ):
        grant = replace(
            GRANT,
            unattended=unattended,
            withdrawn=withdrawn,
            certificate_type="type" if typed else "other",
            valid_to=NOW + (-DAY / 2 if late else DAY),
        )
        use = Use(
            NOW,
            actor,
            replace(SEAL, status=status, kind=kind),
            replace(MATTER, is_approval=approval, organisation=ORGANISATION if own else OTHER),
            "type",
            b"\x01" * 32,
            alone,
            (grant,),
        )
        permitted = permitted_by_hand(use)
        assert decide(use).permitted is permitted
        count += permitted
    assert (count > 0) is (actor in (APPROVER, CLIENT))


SEALS = st.builds(
    SealFacts,
    st.just("99010000000001"),
    st.sampled_from(list(SealKind)),
    st.sampled_from([ORGANISATION, OTHER]),
    st.sampled_from(["990100", "990102", "110000"]),
    st.sampled_from(list(Status)),
    st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
    st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
)
GRANTS = st.builds(
    GrantFacts,
    st.uuids(),
    st.sampled_from([MATTER.code, "other"]),
    st.sampled_from([None, "type", "other type"]),
    st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
    st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
    st.booleans(),
    st.booleans(),
    quota_day=st.sampled_from([None, 9]),
)
ACTORS = st.builds(
    Actor,
    st.sampled_from(list(ActorKind)),
    st.just("someone"),
    st.just(""),
    st.sampled_from([ORGANISATION, OTHER, None]),
    st.sampled_from(["990100", "990000", "990102", None]),
    st.frozensets(st.sampled_from([Role.APPROVER, Role.SEAL_KEEPER])),
    assurance=st.integers(0, 4),
    authenticator=st.integers(0, 3),
)
USES = st.builds(
    Use,
    st.just(NOW),
    ACTORS,
    SEALS,
    st.one_of(st.none(), st.builds(MatterFacts, st.just(MATTER.code), st.booleans(), st.sampled_from([ORGANISATION, OTHER]))),
    st.sampled_from([None, "type"]),
    st.sampled_from([b"", b"\x01" * 32]),
    st.booleans(),
    st.lists(GRANTS, max_size=3).map(tuple),
)


@given(USES)
def test_any_facts_are_judged_as_by_hand(use):
    decision = decide(use)
    assert decision.permitted is permitted_by_hand(use)
    denied = any(answer.answer is Answer.DENY for answer in decision.answers)
    granted = any(answer.answer is Answer.GRANT for answer in decision.answers)
    assert decision.permitted is (granted and not denied)


@given(USES)
def test_every_reason_has_its_sentences(use):
    for answer in explain(use):
        assert answer.reason_code in REASONS
        assert answer.zh.endswith("。")
        assert answer.en.endswith(".")


def test_only_the_rule_about_grants_ever_grants():
    granting = {answer.rule for use, _ in CASES for answer in explain(use) if answer.answer is Answer.GRANT}
    assert granting == {"a_grant_covers_it"}


def test_a_refusal_speaks_with_its_reason():
    refusal = NotPermitted("SEAL_SUSPENDED", "detail", rules=[])
    assert (refusal.code, refusal.public, refusal.status) == ("SEAL_SUSPENDED", sentences("SEAL_SUSPENDED"), 403)
    assert NotPermitted("UNHEARD_OF").public == sentences("UNHEARD_OF")
    assert NotPermitted.code == "SEAL_USE_NOT_PERMITTED"


@pytest.mark.parametrize(
    ("division", "other", "answer"),
    [
        ("990100", "990100", True),
        ("990100", "990102", True),
        ("990000", "990102", True),
        ("990102", "990100", False),
        ("990100", "990200", False),
        (None, "990100", False),
        ("99", "990100", False),
        ("990100", "99010x", False),
    ],
)
def test_which_division_covers_which(division, other, answer):
    assert covers(division, other) is answer
