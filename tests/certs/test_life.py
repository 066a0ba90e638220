"""A certificate's life: reasons with their law, status at any instant, expiry, transfers, annual checks, moves of many."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from certs.annual_checks import (
    AnnualCheck,
    AnnualCheckMalformed,
    AnnualRule,
    AnnualRuleMalformed,
    Found,
    Result,
    checks_of,
    overdue,
    overdue_year,
    record_check,
    set_rule,
)
from certs.approvals import IdempotencyKeyReused, Outcome, Succession
from certs.bulk_moves import BulkMove, BulkMoveForbidden, BulkMoveMalformed, ask, get_job, report_lines, work
from certs.expiring import expire_due
from certs.grounds import Grounds, LegalBasisMalformed, MoveReason, ReasonCodeUnknown, settled, shipped_reasons
from certs.issuance import approve
from certs.life import status_then
from certs.lifecycle import MOVES, MoveNotAllowed, Standing, Status
from certs.models import CertificateRow, OutboxRow
from certs.reads import get_certificate, history
from certs.reason_keeping import ReasonMalformed, ReasonTaken, add_reason, all_reasons, retire_reason
from certs.standing import change_standing, end_with_successor
from certs.transfers import ReceiverUnknown, list_transfers, transfer, undo_transfer
from certs.verification import record_by_code
from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.errors import NotFound
from tests.certs.conftest import approvals

FRAUD = Grounds(code="FRAUD")
STRANGER = Actor(ActorKind.CLIENT, "stranger", "stranger", "91990100TEST000000", "990100")


@pytest.fixture
def issued(stocked: Any) -> Any:
    return stocked.issued


async def read(city: Any, outcome: Outcome) -> Any:
    async with city.issuing.database.session() as session:
        return await get_certificate(session, outcome.id)


async def move(
    city: Any, outcome: Outcome, name: str, why: str | Grounds = "理由", key: str | None = None, actor: Actor | None = None
) -> Any:
    return await change_standing(city.issuing.database, city.issuing.clock, actor or city.client, outcome.id, name, why, key)


async def audited(city: Any, action: str) -> list[tuple[str, str | None]]:
    async with city.issuing.database.session() as session:
        rows = await session.execute(
            text("SELECT outcome, convert_from(body, 'UTF8')::jsonb->>'code' FROM keys.audit_events WHERE action = :action"),
            {"action": action},
        )
        return [(row[0], row[1]) for row in rows]


def test_every_shipped_reason_is_for_moves_that_exist_and_speaks_both_languages() -> None:
    names = {one.name for one in MOVES}
    for one in shipped_reasons().values():
        assert names.issuperset(one.moves), one.code
        assert one.zh, one.code
        assert one.en, one.code
        assert bool(one.basis_zh) == bool(one.basis_en), one.code
    assert names == {name for one in shipped_reasons().values() for name in one.moves}, "every move has a reason"


def test_grounds_are_settled_by_their_code() -> None:
    fraud = shipped_reasons()["FRAUD"]
    assert settled(FRAUD, "revoke", fraud) == Grounds(fraud.zh, "FRAUD", fraud.basis_zh)
    own = Grounds("伪造材料", "FRAUD", "《某条例》第三条")
    assert settled(own, "revoke", fraud) == own
    for grounds, name, reason in (
        (FRAUD, "suspend", fraud), (Grounds(code="NONE"), "revoke", None), (FRAUD, "revoke", replace(fraud, active=False)),
    ):  # fmt: skip
        with pytest.raises(ReasonCodeUnknown):
            settled(grounds, name, reason)
    with pytest.raises(LegalBasisMalformed):
        settled(Grounds("理由", None, "法" * 301), "revoke", None)


async def test_a_house_adds_reasons_of_its_own_and_retires_them(city: Any, issued: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    own = MoveReason("SEWER_CLOSED", ("cancel",), "管网停用", "The sewer was closed", "《某办法》第九条", "Some rules, art. 9")
    await add_reason(database, clock, SYSTEM, own)
    with pytest.raises(ReasonTaken):
        await add_reason(database, clock, SYSTEM, own)
    with pytest.raises(ReasonMalformed):
        await add_reason(database, clock, SYSTEM, replace(own, code="lower"))
    await move(city, issued[0], "cancel", Grounds(code="SEWER_CLOSED"))
    report = await record_by_code(database, clock.now(), issued[0].verification_code)
    assert "管网停用" in report.story[0]
    assert "Legal basis: Some rules, art. 9." in report.story[1]
    await retire_reason(database, clock, SYSTEM, "SEWER_CLOSED")
    with pytest.raises(ReasonCodeUnknown):
        await move(city, issued[1], "cancel", Grounds(code="SEWER_CLOSED"))
    async with database.session() as session:
        assert [one.active for one in await all_reasons(session) if not one.shipped] == [False]


async def test_what_was_revoked_says_until_when_it_was_valid_why_and_by_which_law(city: Any, issued: Any, clock: Any) -> None:
    clock.advance(days=3)
    await move(city, issued[0], "suspend", Grounds(code="UNDER_INVESTIGATION"))
    clock.advance(days=4)
    await move(city, issued[0], "revoke", FRAUD)
    report = await record_by_code(city.issuing.database, clock.now(), issued[0].verification_code)
    told = report.to_json()
    first, last = civil_date(clock.now() - dt.timedelta(days=4)), civil_date(clock.now())
    zh = "该证照曾有效至{}，{}因“以欺骗、贿赂等不正当手段取得”被撤销。依据：《中华人民共和国行政许可法》第六十九条第二款。"
    en = (
        "It was valid until {}; it was revoked on {} because “Obtained by deceit, bribery or other improper means”. "
        "Legal basis: Administrative Licensing Law of the PRC, art. 69, para. 2."
    )
    days = [f"{day.year}年{day.month}月{day.day}日" for day in (first, last)], [f"{day:%-d %B %Y}" for day in (first, last)]
    assert told["story"] == {"zh": zh.format(*days[0]), "en": en.format(*days[1])}
    assert report.changed is not None
    assert report.changed.reason_code == "FRAUD"
    async with city.issuing.database.session() as session:
        entry = (await history(session, issued[0].id))[-1]
    assert (entry.reason_code, entry.legal_basis) == ("FRAUD", "《中华人民共和国行政许可法》第六十九条第二款")


async def test_withdrawn_as_a_penalty_is_told_apart_from_revoked(city: Any, issued: Any) -> None:
    assert (await move(city, issued[0], "withdraw", Grounds(code="LICENCE_REVOKED_AS_PENALTY"))).status is Status.WITHDRAWN
    report = await record_by_code(city.issuing.database, city.issuing.clock.now(), issued[0].verification_code)
    assert report.status is Standing.REVOKED
    assert "被吊销" in report.story[0]
    assert "it was withdrawn on" in report.story[1]


async def test_a_key_that_was_used_for_another_end_is_refused(city: Any, issued: Any) -> None:
    await move(city, issued[0], "revoke", key="one")
    assert (await move(city, issued[0], "revoke", key="one")).status is Status.REVOKED
    with pytest.raises(IdempotencyKeyReused):
        await move(city, issued[0], "withdraw", key="one")


async def test_status_at_an_instant_is_answered_from_the_history(city: Any, issued: Any, clock: Any) -> None:
    begun = clock.now()
    instants = {}
    for days, name in ((1, "suspend"), (1, "resume"), (1, "revoke")):
        clock.advance(days=days)
        await move(city, issued[0], name)
        instants[name] = clock.now()
    certificate = await read(city, issued[0])
    async with city.issuing.database.session() as session:
        entries = await history(session, issued[0].id)

    def then(at: dt.datetime) -> Standing:
        return status_then(certificate, entries, at).standing

    tick = dt.timedelta(seconds=1)
    assert then(begun - dt.timedelta(days=1)) is Standing.UNKNOWN
    assert then(instants["suspend"] - tick) is Standing.IN_FORCE
    assert then(instants["suspend"]) is Standing.SUSPENDED
    assert then(instants["resume"]) is Standing.IN_FORCE
    assert then(instants["revoke"]) is Standing.REVOKED
    assert status_then(certificate, entries, instants["revoke"]).status is Status.REVOKED


async def test_the_end_of_the_period_becomes_an_operation_and_renewal_stays_open(city: Any, issued: Any, clock: Any) -> None:
    certificate = next(one for one in [await read(city, each) for each in issued] if one.valid_to is not None)
    await move(city, Outcome(certificate.id, "", "", issued[0].status), "suspend")
    assert await expire_due(city.issuing.database, clock) == 0, "nothing before its last day"
    clock.advance(days=(certificate.valid_to - civil_date(clock.now())).days)
    assert certificate.id not in await _expired(city, clock), "the last day is a valid one"
    clock.advance(days=1)
    assert certificate.id in await _expired(city, clock)
    assert await expire_due(city.issuing.database, clock) == 0, "once"
    async with city.issuing.database.session() as session:
        last = (await history(session, certificate.id))[-1]
        told = list(await session.scalars(select(OutboxRow).where(OutboxRow.subject == str(certificate.id))))
    assert (last.operation, last.to_status, last.reason_code) == ("04", "05", "PERIOD_OVER")
    assert told[-1].payload["move"] == "expire"
    ended = await move(city, Outcome(certificate.id, "", "", issued[0].status), "cancel", Grounds(code="NOT_RENEWED"))
    assert ended.status is Status.CANCELLED, "what ran out is struck from the register (行政许可法 art. 70)"


async def _expired(city: Any, clock: Any) -> list[Any]:
    await expire_due(city.issuing.database, clock)
    async with city.issuing.database.session() as session:
        return list(await session.scalars(select(CertificateRow.id).where(CertificateRow.status == "05")))


async def test_what_was_over_when_it_came_has_no_move_here(city: Any, issued: Any, clock: Any) -> None:
    async with city.issuing.database.begin() as session:
        row = await session.get_one(CertificateRow, issued[0].id)
        row.source, row.valid_to = "imported", civil_date(row.created_at) - dt.timedelta(days=1)
    assert await expire_due(city.issuing.database, clock) == 0


async def test_a_certificate_passes_to_another_issuer(city: Any, issued: Any) -> None:
    issuing = city.issuing
    certificate, receiver = await read(city, issued[0]), _other_issuer(city, await read(city, issued[0]))
    with pytest.raises(ReceiverUnknown):
        await transfer(issuing.database, issuing.clock, city.client, certificate.id, certificate.issuer, "迁移")
    gone = await transfer(issuing.database, issuing.clock, city.client, certificate.id, receiver, Grounds(code="HOLDER_MOVED"), "t-1")
    assert gone.status is Status.TRANSFERRED
    assert await transfer(issuing.database, issuing.clock, city.client, certificate.id, receiver, "迁移", "t-1") == gone
    report = await record_by_code(issuing.database, issuing.clock.now(), issued[0].verification_code)
    assert (report.status, "迁出" in report.story[0]) == (Standing.CANCELLED, True)
    async with issuing.database.session() as session:
        told = await session.scalar(select(OutboxRow).where(OutboxRow.topic == "certificate.transfer"))
        [open_one] = await list_transfers(session, receiver, state="open")
    assert told is not None
    assert receiver in told.organisations
    assert open_one.identifier == certificate.identifier
    back = await undo_transfer(issuing.database, issuing.clock, city.client, certificate.id, Grounds(code="TRANSFER_ENDED"))
    assert back.status is Status.VALID
    with pytest.raises(MoveNotAllowed):
        await undo_transfer(issuing.database, issuing.clock, city.client, certificate.id, "再次撤回")
    with pytest.raises(NotFound):
        await transfer(issuing.database, issuing.clock, STRANGER, certificate.id, receiver, "迁移")
    assert ("refused", "NOT_FOUND") in await audited(city, "certs.transfer")


async def test_the_receiver_issues_the_successor_and_the_transfer_is_closed(city: Any, issued: Any) -> None:
    issuing, certificate = city.issuing, await read(city, issued[0])
    # The type is one that either issuer may give: the same approval, by the issuer that receives it.
    receiver = _other_issuer(city, certificate)
    here = next(one for one in approvals() if one["issuer"] == receiver)
    changes = {"issuer": receiver, "matter_code": here["matter_code"], "seal": here["seal"], "approval_number": "迁入 2026-1"}
    succeeds = Succession(uuid.UUID(str(certificate.id)), "transfer_in", "迁入", "HOLDER_MOVED")
    order = city.approval(0, **changes, succeeds=succeeds)
    with pytest.raises(NotFound):
        await approve(issuing, city.client, order, "in-0")
    await transfer(issuing.database, issuing.clock, city.client, certificate.id, receiver, "迁移")
    done = await approve(issuing, city.client, order, "in-1")
    after, successor = await read(city, issued[0]), await read(city, done)
    assert (after.status, after.successor) == (Status.TRANSFERRED, successor.identifier)
    assert (successor.issuer, successor.predecessor) == (receiver, certificate.identifier)
    assert receiver in successor.identifier, "an identifier of its own, for the issuer's code stands in it"
    async with issuing.database.session() as session:
        [closed] = await list_transfers(session, receiver)
        first = (await history(session, done.id))[0]
    assert (closed.state, closed.successor, first.operation) == ("received", successor.identifier, "08")
    with pytest.raises(MoveNotAllowed):
        await undo_transfer(issuing.database, issuing.clock, city.client, certificate.id, "撤回")


def _other_issuer(city: Any, certificate: Any) -> str:
    return next(str(one) for one in city.seals if one != certificate.issuer)


async def test_ended_with_a_successor_it_moves_no_more(city: Any, issued: Any) -> None:
    issuing = city.issuing
    other = await read(city, issued[1])
    async with issuing.database.begin() as session:
        ended = await end_with_successor(
            session, issuing.clock.now(), SYSTEM, issued[0].id, other.identifier, Grounds(code="MERGED"), move="cancel"
        )
    assert (ended.status, ended.successor) == (Status.CANCELLED, other.identifier)
    report = await record_by_code(issuing.database, issuing.clock.now(), issued[0].verification_code)
    assert report.story[1].endswith("Another certificate has taken its place.")
    with pytest.raises(MoveNotAllowed):
        await move(city, issued[0], "revoke")


def test_an_annual_check_is_overdue_from_the_day_after_its_day() -> None:
    rule = AnnualRule("T", 6, 30, "《某办法》第一条")
    passed = AnnualCheck(2026, Result.PASSED, "", dt.datetime(2026, 6, 1, tzinfo=dt.UTC), "O", "N")
    issued_on = dt.date(2025, 3, 1)
    assert overdue_year(rule, issued_on, (), dt.date(2025, 12, 31)) is None, "not in the year of issue"
    assert overdue_year(rule, issued_on, (), dt.date(2026, 6, 30)) is None
    assert overdue_year(rule, issued_on, (), dt.date(2026, 7, 1)) == 2026
    assert overdue_year(rule, issued_on, (passed,), dt.date(2026, 7, 1)) is None
    assert overdue_year(rule, issued_on, (passed,), dt.date(2027, 7, 1)) == 2027
    assert overdue_year(AnnualRule("T", 2, 29, "x"), issued_on, (), dt.date(2026, 3, 1)) == 2026


async def test_an_annual_check_is_recorded_and_may_suspend(city: Any, issued: Any, clock: Any) -> None:
    database, certificate = city.issuing.database, await read(city, issued[0])
    with pytest.raises(AnnualRuleMalformed):
        await set_rule(database, clock, SYSTEM, AnnualRule(certificate.type_code, 2, 30, "依据"))
    rule = await set_rule(database, clock, SYSTEM, AnnualRule(certificate.type_code, 6, 30, "《某办法》第一条"))
    clock.advance(days=365)
    year = civil_date(clock.now()).year
    async with database.session() as session:
        late = await overdue(session, civil_date(clock.now()), certificate.issuer, rule)
    assert [one.id for one in late] == [certificate.id]
    with pytest.raises(AnnualCheckMalformed):
        await record_check(database, clock, city.client, certificate.id, Found(year + 1, Result.PASSED))
    found = Found(year, Result.FAILED, "未按要求整改", suspend=True)
    for _ in range(2):
        checked = await record_check(database, clock, city.client, certificate.id, found, "check-1")
    assert checked.status is Status.SUSPENDED
    async with database.session() as session:
        [check] = await checks_of(session, certificate.id)
        entry = (await history(session, certificate.id))[-1]
    assert (check.year, check.result, check.remark) == (year, Result.FAILED, "未按要求整改")
    assert (entry.reason, entry.reason_code) == ("未按要求整改", "ANNUAL_CHECK_FAILED")
    with pytest.raises(IdempotencyKeyReused):
        await record_check(database, clock, city.client, certificate.id, Found(year, Result.PASSED), "check-1")
    with pytest.raises(NotFound):
        await record_check(database, clock, STRANGER, certificate.id, Found(year, Result.PASSED))


async def test_many_are_moved_and_each_has_its_line(city: Any, issued: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    await move(city, issued[2], "revoke")
    names = (str(issued[0].id), issued[1].identifier, issued[2].verification_code, issued[0].identifier, "没有这个", "11010519491231002X")
    wanted = BulkMove("suspend", Grounds(code="UNDER_INVESTIGATION"), names, dry_run=True)
    dry = await _worked(city, wanted, "dry")
    assert dry.outcomes == {"WOULD_MOVE": 2, "MOVE_NOT_ALLOWED": 1, "NAMED_TWICE": 1, "NOT_FOUND": 2}
    assert (await read(city, issued[0])).status is Status.VALID, "a dry run moves nothing"
    job = await _worked(city, replace(wanted, dry_run=False), "real")
    assert job.outcomes == {"MOVED": 2, "MOVE_NOT_ALLOWED": 1, "NAMED_TWICE": 1, "NOT_FOUND": 2}
    assert (job.done, job.items, job.finished_at is not None) == (6, 6, True)
    lines = [line async for part in report_lines(database, job.id) for line in part]
    assert [line.outcome for line in lines] == ["MOVED", "MOVED", "MOVE_NOT_ALLOWED", "NAMED_TWICE", "NOT_FOUND", "NOT_FOUND"]
    assert "11010519491231002X" not in lines[5].name, "a number that strayed among the names is not kept"
    assert (await read(city, issued[1])).status is Status.SUSPENDED
    assert (await ask(database, clock, city.client, replace(wanted, dry_run=False), "real")).id == job.id
    with pytest.raises(IdempotencyKeyReused):
        await ask(database, clock, city.client, wanted, "real")
    async with database.session() as session:
        with pytest.raises(NotFound):
            await get_job(session, STRANGER, job.id)


async def _worked(city: Any, wanted: BulkMove, key: str) -> Any:
    database, clock = city.issuing.database, city.issuing.clock
    job = await ask(database, clock, city.client, wanted, key)
    while await work(database, clock, most=2):
        pass
    async with database.session() as session:
        return await get_job(session, city.client, job.id)


async def test_who_may_not_move_one_moves_none_of_many(city: Any, issued: Any) -> None:
    database, clock = city.issuing.database, city.issuing.clock
    job = await ask(database, clock, STRANGER, BulkMove("revoke", FRAUD, (str(issued[0].id),)), "s")
    await work(database, clock)
    async with database.session() as session:
        assert (await get_job(session, STRANGER, job.id)).outcomes == {"NOT_FOUND": 1}
    assert (await read(city, issued[0])).status is Status.VALID
    citizen = Actor(ActorKind.PERSON, "citizen", "citizen")
    for actor, wanted, refusal in (
        (citizen, BulkMove("revoke", FRAUD, ("x",)), BulkMoveForbidden),
        (city.client, BulkMove("renew", FRAUD, ("x",)), BulkMoveMalformed),
        (city.client, BulkMove("revoke", FRAUD, (" ",)), BulkMoveMalformed),
        (city.client, BulkMove("suspend", FRAUD, ("x",)), ReasonCodeUnknown),
    ):
        with pytest.raises(refusal):
            await ask(database, clock, actor, wanted, "k")
    assert {code for outcome, code in await audited(city, "certs.bulk_move.ask") if outcome == "refused"} == {
        "BULK_MOVE_FORBIDDEN", "BULK_MOVE_MALFORMED", "REASON_CODE_UNKNOWN",
    }  # fmt: skip
