"""Who leaves ends at once: grants, delegations, approvals, postings, permits, decisions that wait for their turn."""

import datetime as dt
from dataclasses import replace

import pytest

from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.errors import FujieError
from seal import approvals, grants, windows
from seal.batch_work import work_batches, work_until_done
from seal.batches import approve_batch, get_batch
from seal.delegation import Delegation, delegate
from seal.departures import come_back, depart
from seal.document_approving import approve_request
from seal.document_carrying import sweep_requests
from seal.document_lifecycle import BatchStatus, RequestStatus
from seal.document_reads import get_request
from seal.permits import Place, consume_permit, request_permit
from seal.policy_facts import Requirements
from seal.requirements import put_requirements
from tests.seal.sealing_house import House, house, rebuilder  # noqa: F401 (fixtures)
from tests.seal.test_batches import requested as batch_requested


async def code_of(awaitable) -> str:
    with pytest.raises(FujieError) as refused:
        await awaitable
    return refused.value.code


async def leave(city, person: str, *, barred: bool = True) -> None:
    async with city.database.begin() as session:
        await depart(session, city.clock.now(), SYSTEM, person, barred=barred)


async def ask(city, seal, **changes):
    return await request_permit(city.database, city.clock, city.use(seal, **changes))


async def spend(city, permit):
    async with city.database.begin() as session:
        await consume_permit(session, city.clock.now(), permit, permit.document_hash)


@pytest.mark.parametrize("barred", [True, False])
async def test_what_was_granted_and_handed_on_ends_with_whoever_left(city, approval_seal, barred):
    own = await city.grant(approval_seal, city.approver)
    colleague, now = city.person("colleague", Role.APPROVER), city.clock.now()
    await delegate(city.database, city.clock, city.approver, Delegation(own, "colleague", now, now + dt.timedelta(days=1)))
    mine, theirs = await ask(city, approval_seal), await ask(city, approval_seal, actor=colleague)
    await leave(city, "approver", barred=barred)
    assert await code_of(spend(city, mine)) == "PERMIT_OUTDATED"
    assert await code_of(spend(city, theirs)) == "PERMIT_OUTDATED"
    assert await code_of(ask(city, approval_seal, actor=colleague)) == "DELEGATION_ENDED"
    assert await code_of(ask(city, approval_seal)) == ("PERSON_INACTIVE" if barred else "GRANT_WITHDRAWN")


async def test_what_was_handed_to_whoever_left_ends_and_the_giver_goes_on(city, approval_seal):
    own, now = await city.grant(approval_seal, city.approver), city.clock.now()
    await delegate(city.database, city.clock, city.approver, Delegation(own, "colleague", now, now + dt.timedelta(days=1)))
    permit = await ask(city, approval_seal, actor=city.person("colleague", Role.APPROVER))
    await leave(city, "colleague")
    assert await code_of(spend(city, permit)) == "PERMIT_OUTDATED"
    await spend(city, await ask(city, approval_seal))


async def test_whoever_comes_back_is_given_everything_anew(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    await leave(city, "approver")
    await city.grant(approval_seal, city.approver)
    assert await code_of(ask(city, approval_seal)) == "PERSON_INACTIVE", "a closed account is given nothing that works"
    async with city.database.begin() as session:
        await come_back(session, city.clock.now(), SYSTEM, "approver")
    await spend(city, await ask(city, approval_seal))
    listed = grants.list_grants
    async with city.database.session() as session:
        assert [
            one.withdrawn_at is not None for one in await listed(session, city.clock.now(), seal_code=approval_seal.code, withdrawn=True)
        ] == [
            True,
            False,
        ]


async def test_a_clerk_who_leaves_is_at_no_window(city, approval_seal):
    centre = "11990100MB0000027F"
    keeper = city.person("centre keeper", Role.SEAL_KEEPER, organisation=centre)
    clerk = Actor(ActorKind.PERSON, "clerk", "", centre, "990100", frozenset({Role.WINDOW_CLERK}), assurance=4, authenticator=2)
    database, clock = city.database, city.clock
    await windows.put_window(database, clock, keeper, windows.Window("W-3", "窗口", centre, "990100", "大厅", ("10.3.0.0/16",)))
    await windows.post(database, clock, keeper, window_id="W-3", person="clerk")
    await windows.hand_over(database, clock, city.keeper, window_id="W-3", seal_code=approval_seal.code)
    await city.grant(approval_seal, replace(city.approver, id="W-3"), grantee_kind="window")
    async with database.begin() as session:
        await approvals.approve_document(
            session, clock.now(), city.approver, seal_code=approval_seal.code, document_hash=city.document, requester="clerk"
        )
    here = {"actor": clerk, "place": Place("W-3", "10.3.7.7"), "requester": "clerk"}
    permit = await ask(city, approval_seal, **here)
    await leave(city, "clerk", barred=False)
    assert await code_of(spend(city, permit)) == "PERMIT_OUTDATED"
    assert await code_of(ask(city, approval_seal, **here)) == "NOT_AT_THIS_WINDOW"


async def two_approvers(house: House) -> Actor:  # noqa: F811
    city, second = house.city, house.city.person("second", Role.APPROVER)
    await city.grant(house.seal, second)
    await put_requirements(city.database, city.clock, city.admin, house.seal.code, Requirements(approvals=2))
    return second


async def test_an_approval_by_someone_who_left_since_does_not_count(house: House):  # noqa: F811
    city, second = house.city, await two_approvers(house)
    request = await house.requested()
    digest = (request.due.digest or b"").hex()
    await approve_request(house.sealing, city.approver, request.id, digest)
    await leave(city, "approver")
    city.clock.advance(seconds=1)
    half = await approve_request(house.sealing, second, request.id, digest)
    assert half.status is RequestStatus.AWAITING_APPROVAL, "one of two has left"
    assert await code_of(approve_request(house.sealing, city.approver, request.id, digest)) == "APPROVER_DEPARTED"
    third = city.person("third", Role.APPROVER)
    await city.grant(house.seal, third)
    assert (await approve_request(house.sealing, third, request.id, digest)).status is RequestStatus.SEALED


async def test_a_decision_of_someone_who_left_since_is_not_carried_out(house: House, monkeypatch):  # noqa: F811
    """The process died after the decision; whoever takes over finds that the decider is gone."""
    city = house.city
    request = await house.requested()
    with monkeypatch.context() as broken:
        broken.setattr("seal.document_carrying.stamp_document", _dies)
        with pytest.raises(RuntimeError):
            await approve_request(house.sealing, city.approver, request.id, (request.due.digest or b"").hex())
    await leave(city, "approver", barred=False)
    await city.grant(house.seal, city.approver)  # even who was given it again decides again
    city.clock.advance(minutes=3)
    await sweep_requests(house.sealing)
    async with city.database.session() as session:
        found = await get_request(session, house.clerk, request.id)
    assert (found.status, found.due.failure) == (RequestStatus.AWAITING_APPROVAL, "APPROVER_DEPARTED")


def _dies(*_: object) -> None:
    raise RuntimeError("the process died")


@pytest.mark.parametrize("who", ["approver", "second"])
async def test_a_batch_waits_for_another_when_one_of_its_approvers_left(house: House, who: str):  # noqa: F811
    city, second = house.city, await two_approvers(house)
    batch = await batch_requested(house, 3, actor=house.clerk, unattended=False)
    for approver in (city.approver, second):
        await approve_batch(house.sealing, approver, batch.id, batch.manifest.hex())
    assert await work_batches(house.sealing, most=1) == 1
    await leave(city, who)
    await work_until_done(house.sealing, seconds=20)
    halted = await get_batch(house.sealing, house.clerk, batch.id)
    assert (halted.status, halted.reason, halted.sealed) == (BatchStatus.PAUSED, "DOCUMENT_APPROVAL_LAPSED", 1)
    third = city.person("third", Role.APPROVER)
    await city.grant(house.seal, third)
    city.clock.advance(seconds=1)
    going_on = await approve_batch(house.sealing, third, batch.id, batch.manifest.hex())
    assert going_on.status is BatchStatus.RUNNING
    await work_until_done(house.sealing, seconds=20)
    assert (await get_batch(house.sealing, house.clerk, batch.id)).sealed == 3
