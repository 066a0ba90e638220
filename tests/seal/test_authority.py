"""Delegation, approvals, windows, requirements, legal bases, reviews and alerts on a real database."""

import datetime as dt
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text

from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import FujieError, InvalidInput
from seal import alerts, approvals, grants, legal_bases, permits, requirements, reviews, use_log, windows
from seal.authority_access import AuthorityForbidden, AuthorityHidden
from seal.delegation import Delegation, DelegationForbidden, DelegationFromNothing, DelegationNotAllowed, DelegationWider, delegate
from seal.grants import Grant, GrantForbidden, GrantInvalid
from seal.matters import Matter, put_matter
from seal.permit_facts import certificate_serials
from seal.permits import Place
from seal.policy import NotPermitted
from seal.policy_facts import EVERY_SEAL, Requirements
from tests.seal.conftest import HOUSING

CENTRE = "11990100MB0000027F"
BASIS = "《城镇排水与污水处理条例》第二十一条"


async def refused(awaitable) -> str:
    with pytest.raises(FujieError) as refusal:
        await awaitable
    return refusal.value.code


async def ask(city, seal, **changes):
    return await permits.request_permit(city.database, city.clock, city.use(seal, **changes))


async def spend(city, permit):
    async with city.database.begin() as session:
        await permits.consume_permit(session, city.clock.now(), permit, permit.document_hash)


def colleague(city):
    return city.person("colleague", Role.APPROVER)


def handing(city, grant, **changes):
    now = city.clock.now()
    return replace(Delegation(grant, "colleague", now, now + dt.timedelta(days=1)), **changes)


async def test_what_is_handed_on_works_and_ends_with_what_it_came_from(city, approval_seal):
    own = await city.grant(approval_seal, city.approver, quota_total=2)
    handed = await delegate(city.database, city.clock, city.approver, handing(city, own))
    first = await ask(city, approval_seal, actor=colleague(city))
    await spend(city, first)
    second, third = [await ask(city, approval_seal, actor=colleague(city)) for _ in range(2)]
    await spend(city, await ask(city, approval_seal))
    assert await refused(spend(city, second)) == "QUOTA_TOTAL_EXHAUSTED", "both count under the grant above"
    await grants.withdraw_grant(city.database, city.clock, city.keeper, own)
    assert await refused(spend(city, third)) == "DELEGATION_ENDED"
    assert await refused(ask(city, approval_seal, actor=colleague(city))) == "DELEGATION_ENDED"
    async with city.database.session() as session:
        listed = await grants.list_grants(session, city.clock.now(), seal_code=approval_seal.code, withdrawn=True)
    assert [(one.id, one.ancestors, one.used_total) for one in listed] == [(own, (), 2), (handed, (own,), 1)]


async def test_delegation_ends_at_once_by_whoever_handed_it_on(city, approval_seal):
    own = await city.grant(approval_seal, city.approver)
    handed = await delegate(city.database, city.clock, city.approver, handing(city, own))
    permit = await ask(city, approval_seal, actor=colleague(city))
    stranger = city.person("stranger", Role.APPROVER)
    with pytest.raises(GrantForbidden):
        await grants.withdraw_grant(city.database, city.clock, stranger, handed)
    with pytest.raises(GrantForbidden):
        await grants.withdraw_grant(city.database, city.clock, city.approver, own)
    await grants.withdraw_grant(city.database, city.clock, city.approver, handed)
    assert await refused(spend(city, permit)) == "GRANT_WITHDRAWN"
    await spend(city, await ask(city, approval_seal))


WIDER = [
    ({}, {"valid_to": 400}, "valid_to"),
    ({}, {"valid_from": -1}, "valid_from"),
    ({"certificate_type": "A"}, {"certificate_type": "B"}, "certificate_type"),
    ({"document_kind": "letter"}, {"document_kind": "decree"}, "document_kind"),
    ({"networks": ("10.1.0.0/16",)}, {"networks": ("10.0.0.0/8",)}, "networks"),
    ({"networks": ("10.1.0.0/16",)}, {"networks": ("2001:db8::/32",)}, "networks"),
    ({"hours": ("mon-fri 08:00-12:00",)}, {"hours": ("mon-sat 08:00-12:00",)}, "hours"),
    ({"quota_day": 3}, {"quota_day": 4}, "quota_day"),
    ({"quota_total": 3}, {"quota_total": 4}, "quota_total"),
]


async def test_delegation_is_never_wider(city, approval_seal):
    for above, wanted, field in WIDER:
        own = await city.grant(approval_seal, city.approver, **above)
        days = {name: city.clock.now() + dt.timedelta(days=value) for name, value in wanted.items() if name.startswith("valid")}
        with pytest.raises(DelegationWider) as refusal:
            await delegate(city.database, city.clock, city.approver, handing(city, own, **wanted | days))
        assert refusal.value.extra["field"] == field


async def test_who_may_hand_on_and_how_far(city, approval_seal):
    own = await city.grant(approval_seal, city.approver)
    cases = [
        (colleague(city), {}, DelegationForbidden),
        (replace(city.approver, authenticator=1), {}, DelegationForbidden),
        (replace(city.approver, roles=frozenset()), {}, DelegationForbidden),
        (city.approver, {"further": 1}, DelegationNotAllowed),
        (city.approver, {"to": "approver"}, GrantInvalid),
        (city.approver, {"hours": ("whenever",)}, InvalidInput),
    ]
    for actor, changes, refusal in cases:
        with pytest.raises(refusal):
            await delegate(city.database, city.clock, actor, handing(city, own, **changes))
    handed = await delegate(city.database, city.clock, city.approver, handing(city, own))
    with pytest.raises(DelegationNotAllowed):
        await delegate(city.database, city.clock, colleague(city), handing(city, handed, to="third"))
    chained = await city.grant(approval_seal, city.approver, delegable=2, matter_code=city.matter)
    second = await delegate(city.database, city.clock, city.approver, handing(city, chained, further=1))
    third = await delegate(
        city.database, city.clock, colleague(city), handing(city, second, to="third", valid_to=city.clock.now() + dt.timedelta(hours=1))
    )
    permit = await ask(city, approval_seal, actor=city.person("third", Role.APPROVER))
    await grants.withdraw_grant(city.database, city.clock, city.approver, second)
    assert await refused(spend(city, permit)) == "DELEGATION_ENDED"
    with pytest.raises(DelegationFromNothing):
        await delegate(city.database, city.clock, colleague(city), handing(city, second, to="fourth"))
    await grants.withdraw_grant(city.database, city.clock, city.approver, third)
    own_key = uuid.uuid4()
    again = [await delegate(city.database, city.clock, city.approver, handing(city, own, to="fifth"), own_key) for _ in range(2)]
    assert again == [own_key, own_key]


async def test_two_approvers_and_an_approval_taken_back(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    await city.grant(approval_seal, city.client, unattended=True)
    await requirements.put_requirements(city.database, city.clock, city.keeper, approval_seal.code, Requirements(approvals=2))
    assert await refused(ask(city, approval_seal)) == "TWO_APPROVERS_NEEDED"
    assert await refused(ask(city, approval_seal, actor=city.client)) == "TWO_APPROVERS_NEEDED"

    async def agree(actor, requester="clerk"):
        async with city.database.begin() as session:
            return await approvals.approve_document(
                session, city.clock.now(), actor, seal_code=approval_seal.code, document_hash=city.document, requester=requester
            )

    assert await refused(agree(colleague(city), "colleague")) == "REQUESTER_APPROVES"
    for actor in (city.keeper, city.client, replace(colleague(city), authenticator=1), replace(colleague(city), organisation=CENTRE)):
        assert await refused(agree(actor)) == "SEAL_APPROVAL_FORBIDDEN"
    given = await agree(colleague(city))
    assert await agree(colleague(city)) == given
    assert await refused(ask(city, approval_seal, requester="approver")) == "TWO_APPROVERS_NEEDED"
    permit = await ask(city, approval_seal, requester="clerk")
    assert await refused(approvals.withdraw_approval(city.database, city.clock, city.approver, given)) == "SEAL_APPROVAL_FORBIDDEN"
    await approvals.withdraw_approval(city.database, city.clock, colleague(city), given)
    assert await refused(spend(city, permit)) == "PERMIT_OUTDATED"
    assert await refused(approvals.withdraw_approval(city.database, city.clock, colleague(city), given)) == "SEAL_APPROVAL_WITHDRAWN"
    assert await agree(colleague(city)) != given
    city.clock.advance(days=31)
    await city.grant(approval_seal, city.approver)
    assert await refused(ask(city, approval_seal, requester="clerk")) == "TWO_APPROVERS_NEEDED", "an approval counts for a month"
    async with city.database.session() as session:
        (listed,) = await approvals.approvals_of(session, city.document)
    assert (listed.approver, listed.requester, listed.seal_code) == ("colleague", "clerk", approval_seal.code)


async def test_requirements_are_raised_by_a_keeper_and_lowered_by_an_administrator(city, approval_seal):
    put = requirements.put_requirements
    await put(city.database, city.clock, city.keeper, approval_seal.code, Requirements(3, 3, 1))
    await city.grant(approval_seal, city.approver)
    assert await refused(ask(city, approval_seal)) == "SEAL_NEEDS_STRONGER_LOGIN"
    await ask(city, approval_seal, actor=replace(city.approver, authenticator=3))
    with pytest.raises(AuthorityForbidden):
        await put(city.database, city.clock, city.keeper, approval_seal.code, EVERY_SEAL)
    with pytest.raises(requirements.RequirementsInvalid):
        await put(city.database, city.clock, city.admin, approval_seal.code, Requirements(1, 2, 1))
    with pytest.raises(GrantForbidden):
        await put(city.database, city.clock, city.approver, approval_seal.code, Requirements(4, 3, 2))
    await put(city.database, city.clock, city.admin, approval_seal.code, EVERY_SEAL)
    await spend(city, await ask(city, approval_seal))


async def test_a_seal_at_a_window_is_used_there_and_nowhere_else(city, approval_seal):
    database, clock = city.database, city.clock
    keeper = city.person("centre keeper", Role.SEAL_KEEPER, organisation=CENTRE)
    clerk = Actor(ActorKind.PERSON, "clerk", "", CENTRE, "990100", frozenset({Role.WINDOW_CLERK}), assurance=4, authenticator=2)
    window = windows.Window("W-3", "综合窗口 3 号", CENTRE, "990100", "政务服务大厅一层", ("10.3.0.0/16",))
    for wrong in ({"id": "a b"}, {"name": ""}, {"division": "99"}, {"networks": ("10.3.0.1/16",)}):
        assert await refused(windows.put_window(database, clock, keeper, replace(window, **wrong))) == "WINDOW_INVALID"
    assert await refused(windows.put_window(database, clock, city.keeper, window)) == "WINDOW_FORBIDDEN"
    await windows.put_window(database, clock, keeper, window)
    await windows.post(database, clock, keeper, window_id="W-3", person="clerk")
    assert await refused(windows.post(database, clock, keeper, window_id="W-3", person="clerk")) == "ALREADY_AT_WINDOW"
    await city.grant(approval_seal, city.approver)
    await city.grant(approval_seal, city.client, unattended=True)
    before = await ask(city, approval_seal)
    kept = {"window_id": "W-3", "seal_code": approval_seal.code}
    assert await refused(windows.hand_over(database, clock, keeper, **kept)) == "SEAL_GRANT_FORBIDDEN"
    await windows.hand_over(database, clock, city.keeper, **kept)
    assert await refused(spend(city, before)) == "PERMIT_OUTDATED"
    assert await refused(ask(city, approval_seal)) == "SEAL_USED_ELSEWHERE"
    await spend(city, await ask(city, approval_seal, actor=city.client))

    now = clock.now()
    granted = Grant(
        approval_seal.code, "window", "W-3", city.matter, None, now, now + dt.timedelta(days=30), hours=("mon-sun 09:00-17:00",)
    )
    async with database.begin() as session:
        await grants.grant_use(session, now, city.keeper, granted)
        given = await approvals.approve_document(
            session, now, city.approver, seal_code=approval_seal.code, document_hash=city.document, requester="clerk"
        )
    here = {"actor": clerk, "place": Place("W-3", "10.3.7.7"), "requester": "clerk"}
    assert await refused(ask(city, approval_seal, **here | {"place": Place("W-3", "10.9.7.7")})) == "NOT_AT_THIS_WINDOW"
    assert await refused(ask(city, approval_seal, **here | {"place": None})) == "SEAL_USED_ELSEWHERE"
    assert await refused(ask(city, approval_seal, **here | {"document_hash": b"\x22" * 32})) == "DOCUMENT_NOT_APPROVED"
    assert await refused(ask(city, approval_seal, **here | {"matter_code": city.other_matter})) == "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS"
    await spend(city, await ask(city, approval_seal, **here))
    late = await ask(city, approval_seal, **here | {"place": Place(None, "10.3.7.7")})
    await windows.end_posting(database, clock, keeper, window_id="W-3", person="clerk")
    assert await refused(spend(city, late)) == "PERMIT_OUTDATED"
    assert await refused(ask(city, approval_seal, **here)) == "NOT_AT_THIS_WINDOW"
    async with database.session() as session:
        (used, _) = await use_log.read_uses(session, city.keeper, approval_seal.code)
        assert (used.window_id, used.address, used.requester, used.actor_id) == ("W-3", "10.3.7.7", "clerk", "clerk")
        assert await refused(use_log.read_uses(session, keeper, approval_seal.code)) == "SEAL_AUTHORITY_HIDDEN"
        auditor = city.person("auditor", Role.AUDITOR)
        assert [one.permit_id for one in await use_log.read_uses(session, auditor, approval_seal.code, before=used.permit_id)] != []
        (listed,) = await windows.list_windows(session, organisation=CENTRE)
    assert (listed.seals, listed.people, listed.closed) == ((approval_seal.code,), (), False)
    await windows.take_back(database, clock, city.keeper, **kept)
    assert await refused(windows.take_back(database, clock, city.keeper, **kept)) == "NOT_AT_WINDOW"
    await windows.close_window(database, clock, keeper, "W-3")
    assert await refused(windows.hand_over(database, clock, city.keeper, **kept)) == "WINDOW_UNSUITABLE"
    await approvals.withdraw_approval(database, clock, city.admin, given)
    await spend(city, await ask(city, approval_seal))


async def test_a_window_keeps_the_seals_it_was_given_and_no_other(city, approval_seal):
    """One seal at a window changes nothing for another: neither for its approver anywhere, nor for the clerk at that window."""
    database, clock = city.database, city.clock
    centre = city.person("centre keeper", Role.SEAL_KEEPER, organisation=CENTRE)
    clerk = Actor(ActorKind.PERSON, "clerk", "", CENTRE, "990100", frozenset({Role.WINDOW_CLERK}), assurance=4, authenticator=2)
    await windows.put_window(database, clock, centre, windows.Window("W-3", "综合窗口 3 号", CENTRE, "990100", "政务服务大厅一层"))
    await windows.post(database, clock, centre, window_id="W-3", person="clerk")
    other = await city.make(name="示范市住房和城乡建设局合同专用章", kind="contract")
    matter = {"matter_code": city.other_matter}
    await city.grant(other, city.approver, **matter)
    await windows.hand_over(database, clock, city.keeper, window_id="W-3", seal_code=approval_seal.code)
    await spend(city, await ask(city, other, **matter))
    now = clock.now()
    async with database.begin() as session:
        granted = Grant(other.code, "window", "W-3", city.other_matter, None, now, now + dt.timedelta(days=30))
        await grants.grant_use(session, now, city.keeper, granted)
        await approvals.approve_document(session, now, city.approver, seal_code=other.code, document_hash=city.document, requester="clerk")
    here = {"actor": clerk, "place": Place("W-3", None), "requester": "clerk"} | matter
    assert await refused(ask(city, other, **here)) == "ACTOR_NOT_APPROVER", "the window does not keep it"


async def test_an_approval_matter_takes_another_seal_by_its_legal_basis_only(city):
    seal = await city.make(kind="statutory", name="示范市住房和城乡建设局")
    await city.grant(seal, city.approver)
    database, clock = city.database, city.clock
    assert await refused(ask(city, seal)) == "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"
    wanted = {"seal_code": seal.code, "matter_code": city.matter, "basis": BASIS}
    for actor, changes, code in (
        (city.approver, {}, "SEAL_GRANT_FORBIDDEN"),
        (city.keeper, {"basis": " "}, "SEAL_LEGAL_BASIS_INVALID"),
        (city.keeper, {"matter_code": city.other_matter}, "SEAL_LEGAL_BASIS_INVALID"),
    ):
        assert await refused(legal_bases.propose_legal_basis(database, clock, actor, **wanted | changes)) == code
    proposed = await legal_bases.propose_legal_basis(database, clock, city.admin, **wanted)
    assert await refused(legal_bases.propose_legal_basis(database, clock, city.keeper, **wanted)) == "SEAL_LEGAL_BASIS_EXISTS"
    assert await refused(ask(city, seal)) == "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL", "it waits for the second person"
    for actor in (city.admin, city.keeper):
        assert await refused(legal_bases.confirm_legal_basis(database, clock, actor, proposed)) == "SEAL_LEGAL_BASIS_NEEDS_ANOTHER"
    other = city.person("other admin", Role.SECURITY_ADMIN)
    await legal_bases.confirm_legal_basis(database, clock, other, proposed)
    assert await refused(legal_bases.confirm_legal_basis(database, clock, other, proposed)) == "SEAL_LEGAL_BASIS_SETTLED"
    await spend(city, await ask(city, seal))
    permit = await ask(city, seal)
    await legal_bases.withdraw_legal_basis(database, clock, city.admin, proposed)
    assert await refused(spend(city, permit)) == "PERMIT_OUTDATED"
    assert await refused(ask(city, seal)) == "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"
    async with database.session() as session:
        assert await legal_bases.legal_bases_of(session, seal.code) == []


async def test_a_matter_that_changes_outdates_permits(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    permit = await ask(city, approval_seal)
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(city.matter, "改名", True, HOUSING))
    await spend(city, permit)
    permit = await ask(city, approval_seal)
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(city.matter, "改名", False, HOUSING))
    assert await refused(spend(city, permit)) == "PERMIT_OUTDATED"


async def test_a_grant_lapses_unless_it_is_confirmed_within_a_year(city, approval_seal):
    seal = await city.make(kind="contract", name="合同章", valid_to=city.clock.now() + dt.timedelta(days=1500))
    own = await city.grant(seal, city.approver, matter_code=city.other_matter, valid_to=city.clock.now() + dt.timedelta(days=1200))
    city.clock.advance(days=340)
    async with city.database.session() as session:
        assert [one.id for one in await reviews.due_reviews(session, city.clock.now(), organisation=HOUSING)] == [own]
    assert await refused(reviews.confirm_grant(city.database, city.clock, city.approver, own)) == "SEAL_GRANT_FORBIDDEN"
    city.clock.advance(days=27)
    late = city.use(seal, matter_code=city.other_matter)
    assert await refused(permits.request_permit(city.database, city.clock, late)) == "GRANT_REVIEW_OVERDUE"
    await reviews.confirm_grant(city.database, city.clock, city.keeper, own, "needed")
    await spend(city, await permits.request_permit(city.database, city.clock, late))
    given = await city.grant(seal, city.person("keeper", Role.SEAL_KEEPER), matter_code=city.other_matter)
    assert await refused(reviews.confirm_grant(city.database, city.clock, city.keeper, given)) == "SEAL_REVIEW_OF_OWN_GRANT"
    async with city.database.session() as session:
        assert await reviews.due_reviews(session, city.clock.now(), organisation=HOUSING) == []


async def test_alerts_are_told_once_and_acknowledged(city, approval_seal):
    city.clock.instant = city.clock.instant.replace(hour=15)  # a Saturday, 23:00 in civil time
    await city.grant(approval_seal, city.approver)
    await city.grant(approval_seal, city.client, unattended=True, quota_day=5)
    for address in ("10.1.1.1", "10.1.1.1", "10.2.2.2"):
        await spend(city, await ask(city, approval_seal, place=Place(None, address)))
        city.clock.advance(seconds=1)
    for _ in range(4):
        await spend(city, await ask(city, approval_seal, actor=city.client))
    for _ in range(5):
        await refused(ask(city, approval_seal, actor=city.person("stranger", Role.APPROVER)))
    for _ in range(28):
        await spend(city, await ask(city, approval_seal))
    assert await alerts.watch_uses(city.database, city.clock) == 5
    assert await alerts.watch_uses(city.database, city.clock) == 0
    city.clock.advance(days=340)
    assert await alerts.watch_uses(city.database, city.clock) == 1
    async with city.database.session() as session:
        found = await alerts.list_alerts(session, city.keeper, approval_seal.code)
        with pytest.raises(AuthorityHidden):
            await alerts.list_alerts(session, city.approver, approval_seal.code)
    assert {one.rule for one in found} == {rule.code for rule in alerts.RULES}
    assert next(one for one in found if one.rule == "REFUSED_IN_A_ROW").details["actor"] == "stranger"
    assert next(one for one in found if one.rule == "USE_FROM_ANOTHER_PLACE").details["address"] == "10.2.2.2"
    await alerts.acknowledge(city.database, city.clock, city.keeper, found[0].id, "looked")
    with pytest.raises(alerts.AlertAcknowledged):
        await alerts.acknowledge(city.database, city.clock, city.keeper, found[0].id, "again")
    async with city.database.session() as session:
        assert len(await alerts.list_alerts(session, city.keeper, approval_seal.code)) == 5
        assert len(await alerts.list_alerts(session, city.keeper, approval_seal.code, everything=True)) == 6


async def test_a_revoked_certificate_stamps_nothing(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    permit = await ask(city, approval_seal)
    async with city.database.begin() as session:
        await session.execute(text("UPDATE keys.certificates SET revoked_at = now() WHERE serial = ANY(:serials)"), {
            "serials": list(await certificate_serials(session, approval_seal.code))
        })  # fmt: skip
    with pytest.raises(NotPermitted) as refusal:
        await spend(city, permit)
    assert refusal.value.code == "SEAL_CERTIFICATE_REVOKED"
    assert await refused(ask(city, approval_seal)) == "SEAL_CERTIFICATE_REVOKED"
