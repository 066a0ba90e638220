"""The life of a seal: two reviewers, reasons and documents, notices, successors, expiry, and certificates that follow."""

import asyncio
import datetime as dt
import hashlib

import pytest
from sqlalchemy import text

from keys.base.actor import SYSTEM, Role
from keys.pki.reads import CertificateStatus, certificate_ends
from keys.pki.reads import status_at as certificate_status
from seal import making, reads
from seal.activation import PredecessorUnsuitable, SealExists
from seal.changes import (
    MayNotMoveSeal,
    cancel_seal,
    expire_seals,
    file_cancellation,
    move_seal,
    report_seal_lost,
    resume_seal,
    suspend_seal,
)
from seal.codes import canonical, take_code
from seal.lifecycle import Move, MoveNotAllowed, Status, Succession
from seal.material import load_material
from seal.motives import DocumentKind, Paper, SealDocumentsMalformed, SealReasonUnsuitable, Why, checked, invalid_type
from seal.notices import NoticesForbidden, mark_read, notices_of
from seal.once import Once, SealRequestReused
from seal.statistics import statistics
from seal.succession import Changes, SealChangeEmpty, SealNotSucceeded, succeed

PAPER = Paper(DocumentKind.LOSS_STATEMENT, hashlib.sha256(b"statement").digest(), "挂失声明.pdf")


async def apply(city, **changes):
    return await making.apply_for_seal(city.database, city.clock, city.keeper, city.order(**changes))


async def review(city, seal, *reviewers):
    for reviewer in reviewers:
        seal = await making.review_seal(city.database, city.clock, reviewer, seal.id)
    return seal


async def filed(city, seal):
    await review(city, seal, city.reviewer, city.admin)
    made = await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, seal.id)
    return await making.file_seal(city.database, city.clock, city.admin, made.code)


async def certificates(city, code):
    """The standing of the seal's two certificates."""
    async with city.database.begin() as session:
        rows = await session.execute(
            text(
                "SELECT signer_certificate, sm_certificate FROM seal.made_seals m JOIN seal.seals s ON s.id = m.seal_id WHERE code = :code"
            ),
            {"code": code},
        )
        now = city.clock.now()
        reports = [await certificate_status(session, certificate_ends(one).serial, now) for one in rows.one()]
    return {(one.status, one.reason) for one in reports}


async def refused(city, action):
    query = text(
        "SELECT convert_from(body, 'UTF8')::jsonb->>'code' FROM keys.audit_events "
        "WHERE action = :action AND outcome = 'refused' ORDER BY id"
    )
    async with city.database.session() as session:
        return list(await session.scalars(query, {"action": action}))


# --- review --------------------------------------------------------------------------------------------------------------------


async def test_a_review_takes_two_people_neither_of_them_the_applicant(city):
    applied = await apply(city)
    examined = await review(city, applied, city.reviewer)
    assert examined.status is Status.EXAMINED
    with pytest.raises(MoveNotAllowed):
        await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    with pytest.raises(making.ReviewedTwice):
        await review(city, applied, city.reviewer)
    with pytest.raises(making.ReviewerIsApplicant):
        await review(city, applied, city.person("keeper", Role.SECURITY_ADMIN))
    with pytest.raises(MayNotMoveSeal):
        await review(city, applied, city.person("elsewhere", Role.SECURITY_ADMIN, division="110000"))
    assert (await review(city, applied, city.admin)).status is Status.REVIEWED
    with pytest.raises(MoveNotAllowed):
        await review(city, applied, city.person("third", Role.SECURITY_ADMIN))
    codes = ["SEAL_REVIEWED_TWICE", "SEAL_REVIEWER_IS_APPLICANT", "SEAL_MOVE_FORBIDDEN", "SEAL_MOVE_NOT_ALLOWED"]
    assert await refused(city, "seal.review") == codes
    async with city.database.session() as session:
        row = (await session.execute(text("SELECT applicant, reviewer, second_reviewer FROM seal.seals"))).one()
    assert tuple(row) == ("keeper", "reviewer", "admin")


async def test_two_reviewers_at_once_are_the_first_and_the_second(city):
    applied = await apply(city)
    people = [city.person(f"admin {number}", Role.SECURITY_ADMIN) for number in range(4)]
    answers = await asyncio.gather(*(review(city, applied, one) for one in people), return_exceptions=True)
    reached = [one.status for one in answers if isinstance(one, reads.Seal)]
    assert sorted(reached) == [Status.EXAMINED, Status.REVIEWED]
    assert {type(one) for one in answers if isinstance(one, Exception)} == {MoveNotAllowed}
    async with city.database.session() as session:
        steps = [step.move for step in await reads.history_of(session, applied.id)]
    assert steps == ["apply", "examine", "review"]


async def test_one_reviewer_asking_twice_at_once_counts_once(city):
    applied = await apply(city)
    answers = await asyncio.gather(*(review(city, applied, city.reviewer) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["ReviewedTwice"] * 3 + ["Seal"]


async def test_the_second_reviewer_may_still_say_no(city):
    applied = await review(city, await apply(city), city.reviewer)
    why = Why("text_wrong", "印文缺字")
    rejected = await making.review_seal(city.database, city.clock, city.admin, applied.id, approved=False, reason=why)
    assert rejected.status is Status.REJECTED


# --- reasons, documents, requests ----------------------------------------------------------------------------------------------


async def test_every_move_carries_a_reason_and_may_carry_documents(city, approval_seal):
    why = Why("stolen", "被他人盗用", (PAPER,))
    await report_seal_lost(city.database, city.clock, city.keeper, approval_seal.code, why)
    async with city.database.session() as session:
        steps = await reads.history(session, approval_seal.code)
    assert [step.reason_code for step in steps] == [
        "first_seal", "complies", "complies", "as_reviewed", "as_reviewed", "as_reviewed", "stolen",
    ]  # fmt: skip
    assert steps[-1].documents == ({"kind": "loss_statement", "sha256": PAPER.sha256.hex(), "name": "挂失声明.pdf"},)


@pytest.mark.parametrize(
    ("why", "error"),
    [
        (Why("nothing"), SealReasonUnsuitable),
        (Why("complies"), SealReasonUnsuitable),
        (Why("other"), SealReasonUnsuitable),
        (Why(text="保管人110101199003078515遗失"), SealReasonUnsuitable),
        (Why(text="x" * 501), SealReasonUnsuitable),
        (Why(papers=(Paper(DocumentKind.OTHER, b"short", "a"),)), SealDocumentsMalformed),
        (Why(papers=(Paper(DocumentKind.OTHER, bytes(32), ""),)), SealDocumentsMalformed),
        (Why(papers=(PAPER,) * 21), SealDocumentsMalformed),
    ],
)
def test_a_reason_that_does_not_suit_is_refused(why, error):
    with pytest.raises(error):
        checked(why, Move.REPORT_LOST)


def test_every_move_has_a_usual_reason_that_suits_it():
    assert all(checked("", move).code for move in Move)


def test_ends_have_the_national_feeds_types():
    assert invalid_type(Move.CANCEL, "licence_withdrawn") == 0
    assert invalid_type(Move.CANCEL, "organisation_dissolved") == 1
    assert invalid_type(Move.REPORT_LOST, "other") == 2
    assert invalid_type(Move.SUSPEND, "ordered_from_above") is None


async def test_a_request_asked_again_is_answered_once(city, approval_seal):
    once = Once("k1", b"digest")
    first = await move_seal(city.database, city.clock, city.keeper, approval_seal.code, Move.SUSPEND, "一", once)
    again = await move_seal(city.database, city.clock, city.keeper, approval_seal.code, Move.SUSPEND, "一", once)
    assert first == again
    with pytest.raises(SealRequestReused):
        await move_seal(city.database, city.clock, city.keeper, approval_seal.code, Move.SUSPEND, "二", Once("k1", b"another"))
    async with city.database.session() as session:
        assert [one.move for one in await reads.history(session, approval_seal.code)].count("suspend") == 1


async def test_steps_of_a_journey_are_no_moves_by_themselves(city, approval_seal):
    for move in (Move.REPLACE, Move.EXPIRE, Move.ACTIVATE, Move.REVIEW):
        with pytest.raises(MayNotMoveSeal):
            await move_seal(city.database, city.clock, SYSTEM, approval_seal.code, move, "")


# --- notices -------------------------------------------------------------------------------------------------------------------


async def test_keepers_are_told_of_every_move_and_of_an_end_to_come(city, approval_seal):
    await suspend_seal(city.database, city.clock, city.admin, approval_seal.code, Why("under_inquiry", "核查"))
    city.clock.advance(days=340)
    assert await expire_seals(city.database, city.clock) == []
    assert await expire_seals(city.database, city.clock) == [], "warned of once"
    async with city.database.begin() as session:
        told = await notices_of(session, city.keeper)
        assert [one.kind for one in told] == ["expiring", "suspend", "activate", "file", "make", "review", "examine", "apply"]
        assert (told[1].reason_code, told[1].text, told[1].zh) == ("under_inquiry", "核查", "停用")
        assert await mark_read(session, city.clock.now(), city.keeper, told[1].id) == 7
        assert [one.kind for one in await notices_of(session, city.keeper, unread=True)] == ["expiring"]
        assert (await notices_of(session, city.keeper))[1].read_by == "keeper"
        assert await notices_of(session, city.person("other", Role.SEAL_KEEPER, organisation="11990100MB0000027F")) == []
        with pytest.raises(NoticesForbidden):
            await notices_of(session, city.approver)


# --- certificates follow -------------------------------------------------------------------------------------------------------


async def test_the_certificates_follow_the_seal(city, approval_seal):
    code = approval_seal.code
    assert await certificates(city, code) == {(CertificateStatus.GOOD, None)}
    await suspend_seal(city.database, city.clock, city.keeper, code, "")
    assert await certificates(city, code) == {(CertificateStatus.ON_HOLD, "certificate_hold")}
    city.clock.advance(seconds=2)
    await resume_seal(city.database, city.clock, city.admin, code, "")
    assert await certificates(city, code) == {(CertificateStatus.GOOD, None)}
    await suspend_seal(city.database, city.clock, city.keeper, code, "")
    await cancel_seal(city.database, city.clock, city.admin, code, Why("licence_withdrawn"))
    assert await certificates(city, code) == {(CertificateStatus.REVOKED, "privilege_withdrawn")}


async def test_what_was_lost_and_then_cancelled_stays_revoked_for_the_loss(city, approval_seal):
    await report_seal_lost(city.database, city.clock, city.keeper, approval_seal.code, "")
    await cancel_seal(city.database, city.clock, city.admin, approval_seal.code, "")
    assert await certificates(city, approval_seal.code) == {(CertificateStatus.REVOKED, "key_compromise")}
    closed = await file_cancellation(city.database, city.clock, city.admin, approval_seal.code)
    assert closed.status is Status.CLOSED
    with pytest.raises(MoveNotAllowed):
        await file_cancellation(city.database, city.clock, city.admin, approval_seal.code)


# --- change and re-making ------------------------------------------------------------------------------------------------------


async def test_a_change_gives_a_new_seal_and_ends_the_old_at_the_same_instant(city, approval_seal):
    changes = Changes(name="示范市住建局行政审批专用章", organisation_name="示范市住建局")
    applied = await succeed(city.database, city.clock, city.keeper, approval_seal.code, Succession.CHANGE, changes, Why("name_changed"))
    assert (applied.predecessor, applied.succession) == (approval_seal.id, Succession.CHANGE)
    new = await filed(city, applied)
    assert (await reads_of(city, approval_seal.code)).status is Status.ACTIVE, "until the new one is activated"
    city.clock.advance(hours=1)
    active = await making.activate_seal(city.database, city.clock, city.keeper, new.code)
    old = await reads_of(city, approval_seal.code)
    assert (active.code, active.status, active.name) == ("99010000000002", Status.ACTIVE, "示范市住建局行政审批专用章")
    assert (old.status, old.successor, old.status_since) == (Status.CANCELLED, active.id, active.status_since)
    assert await certificates(city, old.code) == {(CertificateStatus.GOOD, None)}, "what it stamped stays good for everybody"
    async with city.database.begin() as session:
        assert (await reads.find_seal(session, organisation=city.organisation, kind="approval")).code == active.code
        assert (await reads.history(session, old.code))[-1].reason_code == "changed"
        assert (await load_material(session, city.keystore, city.clock.now(), active.code)).code == active.code
    with pytest.raises(SealNotSucceeded):
        await succeed(city.database, city.clock, city.keeper, old.code, Succession.CHANGE, changes)


async def reads_of(city, code):
    async with city.database.session() as session:
        return await reads.get_seal(session, code)


async def test_a_lost_seal_is_made_again_with_another_code(city, approval_seal):
    await report_seal_lost(city.database, city.clock, city.keeper, approval_seal.code, "")
    with pytest.raises(SealNotSucceeded):
        await succeed(city.database, city.clock, city.keeper, approval_seal.code, Succession.CHANGE, Changes(name="x"))
    applied = await succeed(
        city.database, city.clock, city.keeper, approval_seal.code, Succession.REMAKE, Changes(), Why("was_lost", papers=(PAPER,))
    )
    new = await making.activate_seal(city.database, city.clock, city.admin, (await filed(city, applied)).code)
    assert (new.name, new.code != approval_seal.code) == (approval_seal.name, True)
    assert (await reads_of(city, approval_seal.code)).status is Status.CANCELLED
    assert await certificates(city, approval_seal.code) == {(CertificateStatus.REVOKED, "key_compromise")}


@pytest.mark.parametrize(
    ("succession", "changes"),
    [
        (Succession.CHANGE, Changes()),
        (Succession.CHANGE, Changes(name="示范市住房和城乡建设局行政审批专用章")),
        (Succession.REMAKE, Changes(name="另一枚")),
    ],
)
async def test_a_change_changes_and_a_remaking_does_not(city, approval_seal, succession, changes):
    with pytest.raises(SealChangeEmpty):
        await succeed(city.database, city.clock, city.keeper, approval_seal.code, succession, changes)
    assert await refused(city, f"seal.{succession}") == ["SEAL_CHANGE_EMPTY"]


async def test_only_one_successor_takes_the_place(city, approval_seal):
    both = [
        await filed(city, await succeed(city.database, city.clock, city.keeper, approval_seal.code, Succession.REMAKE, Changes()))
        for _ in range(2)
    ]
    answers = await asyncio.gather(
        *(making.activate_seal(city.database, city.clock, city.admin, one.code) for one in both), return_exceptions=True
    )
    assert sorted(isinstance(one, reads.Seal) for one in answers) == [False, True]
    assert [type(one) for one in answers if isinstance(one, Exception)] == [PredecessorUnsuitable]


async def test_cancelling_against_activating(city, approval_seal):
    """Whoever comes first: never two in use, never a successor of what ended otherwise, no deadlock."""
    new = await filed(city, await succeed(city.database, city.clock, city.keeper, approval_seal.code, Succession.REMAKE, Changes()))
    answers = await asyncio.wait_for(
        asyncio.gather(
            making.activate_seal(city.database, city.clock, city.admin, new.code),
            cancel_seal(city.database, city.clock, city.admin, approval_seal.code, ""),
            cancel_seal(city.database, city.clock, city.admin, new.code, ""),
            return_exceptions=True,
        ),
        30,
    )
    assert not [one for one in answers if isinstance(one, BaseException) and not hasattr(one, "code")]
    statuses = [(await reads_of(city, code)).status for code in (approval_seal.code, new.code)]
    assert statuses[0] is Status.CANCELLED or statuses[1] is not Status.ACTIVE
    assert (await reads_of(city, approval_seal.code)).status is Status.CANCELLED


@pytest.mark.parametrize("first", ["activate", "cancel"])
async def test_whoever_comes_first_at_the_predecessor_decides(city, approval_seal, first):
    """Both wait for the row of the old seal, in an order that is known: the second finds what the first did."""
    new = await filed(city, await succeed(city.database, city.clock, city.keeper, approval_seal.code, Succession.REMAKE, Changes()))
    steps = {
        "activate": lambda: making.activate_seal(city.database, city.clock, city.admin, new.code),
        "cancel": lambda: cancel_seal(city.database, city.clock, city.admin, approval_seal.code, ""),
    }
    second = next(name for name in steps if name != first)
    async with city.database.begin() as session:
        await session.execute(text("SELECT 1 FROM seal.seals WHERE code = :code FOR UPDATE"), {"code": approval_seal.code})
        tasks = {}
        for number, name in enumerate((first, second), 1):
            tasks[name] = asyncio.create_task(steps[name]())
            await until_waiting(city, number)
    answers = dict(zip(tasks, await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 30), strict=True))
    assert isinstance(answers[first], reads.Seal)
    assert getattr(answers[second], "code", "") == {"cancel": "SEAL_MOVE_NOT_ALLOWED", "activate": PredecessorUnsuitable.code}[second]
    old, now = await reads_of(city, approval_seal.code), await reads_of(city, new.code)
    assert (old.status, now.status) == (Status.CANCELLED, Status.ACTIVE if first == "activate" else Status.FILED)


async def until_waiting(city, number):
    """Until so many connections of this database wait for a lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    async with city.database.session() as session, asyncio.timeout(30):
        while await session.scalar(waiting) < number:
            await session.rollback()
            await asyncio.sleep(0.01)


async def test_several_seals_of_a_kind_are_told_apart_by_name(city):
    await city.make(kind="contract", name="合同专用章（1）", lower_text="合同专用章（1）")
    second = await city.make(kind="contract", name="合同专用章（2）", lower_text="合同专用章（2）")
    with pytest.raises(SealExists):
        await city.make(kind="contract", name="合同专用章（2）", lower_text="合同专用章（2）")
    assert second.status is Status.ACTIVE
    async with city.database.session() as session:
        assert await reads.find_seal(session, organisation=city.organisation, kind="contract") is None, "which is for the caller to say"


# --- expiry and the status of every instant ------------------------------------------------------------------------------------


async def test_a_seal_ends_with_its_period_whenever_that_is_noted(city):
    seal = await city.make(valid_to=city.clock.now() + dt.timedelta(hours=2))
    end = seal.valid_to
    city.clock.advance(hours=5)
    async with city.database.session() as session:
        assert await reads.status_at(session, seal.code, end) is Status.ACTIVE
        assert await reads.status_at(session, seal.code, end + dt.timedelta(seconds=1)) is Status.EXPIRED, "before anybody noted it"
    with pytest.raises(MoveNotAllowed):
        await suspend_seal(city.database, city.clock, city.keeper, seal.code, "")
    assert await asyncio.gather(*(expire_seals(city.database, city.clock) for _ in range(3))) != [[], [], []]
    expired = await reads_of(city, seal.code)
    assert (expired.status, expired.status_since) == (Status.EXPIRED, end)
    async with city.database.session() as session:
        last = (await reads.history(session, seal.code))[-1]
        assert await session.scalar(text("SELECT count(*) FROM seal.status_changes WHERE move = 'expire'")) == 1
    assert (last.move, last.at, last.recorded_at) == ("expire", end, city.clock.now())
    assert (await cancel_seal(city.database, city.clock, city.admin, seal.code, "")).status is Status.CANCELLED


async def test_a_seal_whose_period_is_over_is_not_activated(city):
    seal = await filed(city, await apply(city, valid_to=city.clock.now() + dt.timedelta(hours=1)))
    city.clock.advance(hours=2)
    with pytest.raises(MoveNotAllowed):
        await making.activate_seal(city.database, city.clock, city.admin, seal.code)


# --- codes ---------------------------------------------------------------------------------------------------------------------


async def test_no_code_is_ever_that_of_another_seal(city):
    """The older form of 13 digits is one number with its 14 digits."""
    assert canonical("9901000000001") == canonical("99010000000001")
    async with city.database.begin() as session:
        assert await take_code(session, "9901000000001", "others")
        assert await take_code(session, "99010000000002", "others")
        assert not await take_code(session, "99010000000001")
    assert (await city.make()).code == "99010000000003"


async def test_statistics_count_what_one_may_see(city, approval_seal):
    await city.make(kind="certificate", name="电子证照专用章")
    async with city.database.session() as session:
        now = city.clock.now()
        mine = await statistics(session, city.keeper, now)
        assert [(one.kind, one.status, one.seals) for one in mine.seals] == [("approval", "active", 1), ("certificate", "active", 1)]
        assert mine.uses == ()
        others = city.person("other", Role.SEAL_KEEPER, organisation="11990100MB0000027F")
        assert (await statistics(session, others, now)).seals == ()
        assert len((await statistics(session, city.admin, now)).seals) == 2
