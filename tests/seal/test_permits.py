"""Permits on a real database: once, bound, short-lived, and never after a suspension."""

import asyncio
import datetime as dt
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text

from keys.base.actor import Role
from keys.base.errors import FujieError
from seal import grants, permits, reads
from seal.changes import resume_seal, suspend_seal
from seal.matters import Matter, get_matter, list_matters, put_matter
from seal.policy import Answer, NotPermitted


async def consume(city, permit, document=None):
    async with city.database.begin() as session:
        await permits.consume_permit(session, city.clock.now(), permit, document or city.document)


async def outcomes(city, action):
    async with city.database.session() as session:
        rows = await session.execute(
            text("SELECT outcome, convert_from(body, 'UTF8') FROM keys.audit_events WHERE action = :action ORDER BY id"), {"action": action}
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def permit(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    return await permits.request_permit(city.database, city.clock, city.use(approval_seal))


async def test_a_permit_is_given_used_once_and_logged(city, approval_seal, permit):
    assert permit.expires - city.clock.now() == dt.timedelta(minutes=5)
    await consume(city, permit)
    with pytest.raises(permits.PermitUsed):
        await consume(city, permit)
    async with city.database.session() as session:
        (use,) = await reads.uses_of(session, approval_seal.code)
    assert (use.permit_id, use.document_hash, use.actor_id, use.matter_code) == (permit.id, city.document, "approver", city.matter)
    assert use.at == city.clock.now()
    assert [row[0] for row in await outcomes(city, "seal.permit.request")] == ["done"]
    assert [row[0] for row in await outcomes(city, "seal.use")] == ["done"]


async def test_a_rolled_back_use_leaves_the_permit_whole(city, approval_seal, permit):
    async def interrupted():
        async with city.database.begin() as session:
            await permits.consume_permit(session, city.clock.now(), permit, city.document)
            raise RuntimeError("the disk was full")

    with pytest.raises(RuntimeError):
        await interrupted()
    async with city.database.session() as session:
        assert await reads.uses_of(session, approval_seal.code) == []
    await consume(city, permit)


async def test_a_permit_is_bound_to_document_seal_and_time(city, approval_seal, permit):
    with pytest.raises(permits.PermitMismatch):
        await consume(city, permit, b"\x22" * 32)
    with pytest.raises(permits.PermitUnknown):
        await consume(city, replace(permit, id=uuid.uuid4()))
    with pytest.raises(permits.PermitMismatch):
        await consume(city, replace(permit, seal_code="99010099999999"))
    other = await city.make(kind="certificate", name="另一枚")
    with pytest.raises(permits.PermitMismatch):
        await consume(city, replace(permit, seal_code=other.code))
    city.clock.advance(minutes=5)
    with pytest.raises(permits.PermitExpired):
        await consume(city, permit)
    with pytest.raises(permits.PermitExpired):
        await consume(city, replace(permit, expires=permit.expires + dt.timedelta(days=1)))


async def test_of_twenty_at_once_one_wins(city, approval_seal, permit):
    results = await asyncio.gather(*(consume(city, permit) for _ in range(20)), return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(result, permits.PermitUsed) for result in results) == 19
    async with city.database.session() as session:
        assert len(await reads.uses_of(session, approval_seal.code)) == 1


async def test_a_suspended_seal_takes_no_permit_and_spends_none(city, approval_seal, permit):
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    with pytest.raises(NotPermitted) as refusal:
        await consume(city, permit)
    assert refusal.value.code == "SEAL_SUSPENDED"
    with pytest.raises(NotPermitted):
        await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    await resume_seal(city.database, city.clock, city.admin, approval_seal.code, "")
    await consume(city, permit)


async def test_a_suspension_waits_for_a_use_under_way_and_is_dated_after_it(city, approval_seal, permit):
    async with city.database.begin() as session:
        await permits.consume_permit(session, city.clock.now(), permit, city.document)
        suspension = asyncio.create_task(suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, ""))
        done, _ = await asyncio.wait({suspension}, timeout=0.3)
        assert not done
        used = city.clock.now()
        city.clock.advance(seconds=1)
    suspended = await suspension
    assert suspended.status_since > used


async def test_suspension_against_uses_leaves_no_use_after_it(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    many = [await permits.request_permit(city.database, city.clock, city.use(approval_seal)) for _ in range(12)]
    order = []

    async def one(permit):
        async with city.database.begin() as session:
            await permits.consume_permit(session, city.clock.now(), permit, city.document)
            order.append("use")

    async def suspend():
        await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
        order.append("suspended")

    tasks = [one(permit) for permit in many]
    results = await asyncio.gather(*tasks[:6], suspend(), *tasks[6:], return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, NotPermitted) and error.code == "SEAL_SUSPENDED" for error in failed)
    assert "use" not in order[order.index("suspended") :]
    async with city.database.session() as session:
        assert len(await reads.uses_of(session, approval_seal.code)) == 12 - len(failed)


async def test_a_withdrawn_grant_takes_its_permits_with_it(city, approval_seal):
    grant = await city.grant(approval_seal, city.approver)
    permit = await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    await grants.withdraw_grant(city.database, city.clock, city.keeper, grant)
    with pytest.raises(NotPermitted) as refusal:
        await consume(city, permit)
    assert refusal.value.code == "GRANT_WITHDRAWN"
    with pytest.raises(NotPermitted) as refusal:
        await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    assert refusal.value.code == "GRANT_WITHDRAWN"
    with pytest.raises(grants.GrantAlreadyWithdrawn):
        await grants.withdraw_grant(city.database, city.clock, city.keeper, grant)


async def test_refusals_are_audited_with_their_reason_and_leave_no_permit(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    certificate_seal = await city.make(kind="certificate", name="证照章")
    refused = [
        (city.use(approval_seal, matter_code=city.other_matter), "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS"),
        (city.use(certificate_seal), "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL"),
        (city.use(approval_seal, matter_code="nothing"), "MATTER_UNKNOWN"),
        (city.use(approval_seal, seal_code="99010099999999"), "SEAL_NOT_FOUND"),
        (city.use(approval_seal, document_hash=b""), "DOCUMENT_HASH_MISSING"),
        (city.use(approval_seal, unattended=True), "UNATTENDED_USE_NOT_GRANTED"),
        (city.use(approval_seal, actor=city.person("other", Role.APPROVER)), "NO_GRANT"),
    ]
    for request, code in refused:
        with pytest.raises(FujieError) as refusal:
            await permits.request_permit(city.database, city.clock, request)
        assert refusal.value.code == code
    entries = await outcomes(city, "seal.permit.request")
    assert [outcome for outcome, _ in entries] == ["refused"] * len(refused)
    assert all(code in body for (_, body), (_, code) in zip(entries, refused, strict=True))
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.permits")) == 0


async def test_use_after_the_seal_s_period(city, approval_seal):
    await city.grant(approval_seal, city.approver, valid_to=city.clock.now() + dt.timedelta(days=500))
    city.clock.advance(days=364, hours=23, minutes=58)
    permit = await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    city.clock.advance(minutes=3)
    with pytest.raises(NotPermitted) as refusal:
        await consume(city, permit)
    assert refusal.value.code == "SEAL_EXPIRED"
    with pytest.raises(NotPermitted) as refusal:
        await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    assert refusal.value.code == "SEAL_EXPIRED"


async def test_a_client_needs_a_grant_for_unattended_use(city, approval_seal):
    request = city.use(approval_seal, actor=city.client, unattended=False)
    await city.grant(approval_seal, city.client)
    with pytest.raises(NotPermitted) as refusal:
        await permits.request_permit(city.database, city.clock, request)
    assert refusal.value.code == "UNATTENDED_USE_NOT_GRANTED"
    await city.grant(approval_seal, city.client, unattended=True, certificate_type=city.certificate_type)
    await consume(city, await permits.request_permit(city.database, city.clock, request))
    async with city.database.session() as session:
        (use,) = await reads.uses_of(session, approval_seal.code)
        listed = await grants.grants_of(session, grantee_kind="client", grantee_id="approvals")
    assert use.unattended
    assert [grant.unattended for _, grant in listed] == [False, True]


async def test_the_approver_is_told_what_each_rule_says(city, approval_seal):
    async with city.database.session() as session:
        answers = await permits.explain_use(session, city.clock.now(), city.use(approval_seal))
    assert {answer.reason_code for answer in answers if answer.answer is Answer.DENY} == set()
    assert answers[-1].reason_code == "NO_GRANT"
    await city.grant(approval_seal, city.approver)
    async with city.database.session() as session:
        answers = await permits.explain_use(session, city.clock.now(), city.use(approval_seal))
    assert answers[-1].answer is Answer.GRANT
    assert await outcomes(city, "seal.permit.request") == []


async def test_a_refused_use_can_be_audited(city, approval_seal, permit):
    await consume(city, permit)
    with pytest.raises(permits.PermitUsed) as refusal:
        await consume(city, permit)
    await permits.audit_refused_use(city.database, city.clock.now(), permit, city.approver, refusal.value)
    ((outcome, body),) = await outcomes(city, "seal.permit.consume")
    assert (outcome, "PERMIT_USED" in body) == ("refused", True)


async def test_who_may_grant_and_what(city, approval_seal):
    now = city.clock.now()
    usual = grants.Grant(approval_seal.code, "person", "approver", city.matter, None, now, now + dt.timedelta(days=1))
    stranger = city.person("keeper of others", Role.SEAL_KEEPER, organisation="11990100MB0000027F")
    cases = [
        (stranger, usual, grants.GrantForbidden),
        (city.approver, usual, grants.GrantForbidden),
        (city.client, usual, grants.GrantForbidden),
        (city.keeper, replace(usual, grantee_kind="robot"), grants.GrantInvalid),
        (city.keeper, replace(usual, grantee_id=""), grants.GrantInvalid),
        (city.keeper, replace(usual, valid_to=now), grants.GrantInvalid),
        (city.keeper, replace(usual, matter_code="nothing"), grants.GrantInvalid),
        (city.keeper, replace(usual, seal_code="99010099999999"), reads.SealNotFound),
    ]
    for actor, grant, refusal in cases:
        with pytest.raises(refusal):
            async with city.database.begin() as session:
                await grants.grant_use(session, now, actor, grant)
    async with city.database.begin() as session:
        given = await grants.grant_use(session, now, city.admin, usual)
        assert await grants.grants_of(session, grantee_kind="person", grantee_id="approver") == [(given, usual)]
    with pytest.raises(grants.GrantForbidden):
        await grants.withdraw_grant(city.database, city.clock, stranger, given)
    with pytest.raises(grants.GrantNotFound):
        await grants.withdraw_grant(city.database, city.clock, city.admin, uuid.uuid4())


async def test_matters_are_added_changed_and_listed(city):
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(city.matter, "改名", False, city.organisation))
        assert await get_matter(session, city.matter) == Matter(city.matter, "改名", False, city.organisation)
        assert await get_matter(session, "nothing") is None
        assert [matter.code for matter in await list_matters(session, organisation=city.organisation)] == [city.matter, city.other_matter]
    assert len(await outcomes(city, "seal.matter.put")) == 3
