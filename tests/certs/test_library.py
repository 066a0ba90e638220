import asyncio
import datetime as dt
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, text

from certs.approvals import OutcomeStatus, Succession
from certs.finding import Search, search
from certs.issuance import approve
from certs.library import Library, decode_purpose, file_of, read, read_history
from certs.lifecycle import Standing, Status
from certs.models import AccessRow, OutboxRow
from certs.numbering import inspect_identifier
from certs.reads import get_certificate, status_at
from certs.standing import change_standing
from certs.verification import record_by_code
from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.errors import FujieError

ISSUER = "11990100MB00000435"
HOLDER = "91990100MA1TEXT14M"
STRANGER = Actor(ActorKind.CLIENT, "stranger", "stranger", "11990102MB000006XL", "990102")


def staff(organisation: str) -> Actor:
    return Actor(ActorKind.PERSON, "clerk", "Clerk", organisation, "990100", frozenset({Role.WINDOW_CLERK}))


def speaker(organisation: str, role: Role = Role.LEGAL_REPRESENTATIVE) -> Actor:
    return Actor(ActorKind.PERSON, "boss", "Boss", organisation, "990100", frozenset({role}))


@pytest.fixture
def library(city: Any) -> Library:
    issuing = city.issuing
    return Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)


@pytest.fixture
async def issued(city: Any) -> Any:
    return await approve(city.issuing, city.client, city.approval(), "key")


async def refusal(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


async def change(city: Any, actor: Actor, outcome: Any, move: str, reason: str = "整改", key: str | None = None) -> Any:
    return await change_standing(city.issuing.database, city.issuing.clock, actor, outcome.id, move, reason, key)


async def test_who_may_read_reads_and_for_others_there_is_none(city: Any, library: Library, issued: Any) -> None:
    for actor in (city.client, staff(ISSUER), speaker(HOLDER), speaker(HOLDER, Role.AGENT), city.approver(ISSUER)):
        certificate, kind = await read(library, actor, issued.id)
        assert certificate.identifier == issued.identifier
        assert kind is not None
    for actor in (STRANGER, staff("11990100MB0000035A"), speaker("91990100MA1TEXT06T"), speaker(HOLDER, Role.CITIZEN)):
        assert await refusal(read(library, actor, issued.id)) == "NOT_FOUND"
        assert await refusal(read_history(library, actor, issued.id)) == "NOT_FOUND"
        assert await refusal(file_of(library, actor, issued.id, "核验")) == "NOT_FOUND"


async def test_every_fetch_of_the_file_is_logged_with_its_purpose(city: Any, library: Library, issued: Any, blobs: FolderBlobStore) -> None:
    pdf = await file_of(library, city.client, issued.id, " 办理施工许可 ")
    certificate, _ = await read(library, city.client, issued.id)
    assert pdf == await blobs.get(certificate.document_hash or b"")
    async with library.database.session() as session:
        (access,) = list(await session.scalars(select(AccessRow)))
        audited = await session.scalar(text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.file.fetch'"))
    assert (access.kind, access.purpose, access.actor_id, access.certificate_id) == ("file", "办理施工许可", city.client.id, issued.id)
    assert audited == 1
    for purpose in ("", "  ", "长" * 201, "a\x00b", "查询990100197003131003"):
        assert await refusal(file_of(library, city.client, issued.id, purpose)) == "PURPOSE_REQUIRED"


def test_the_purpose_header_is_percent_encoded() -> None:
    assert decode_purpose(quote("办理施工许可")) == "办理施工许可"
    for header in (None, "", "%FF", "%00"):
        with pytest.raises(FujieError) as refused:
            decode_purpose(header)
        assert refused.value.code == "PURPOSE_REQUIRED"


async def test_a_damaged_file_is_not_handed_out(city: Any, library: Library, issued: Any, blobs: FolderBlobStore) -> None:
    certificate, _ = await read(library, city.client, issued.id)
    blobs.path(certificate.document_hash or b"").write_bytes(b"%PDF forged")
    assert await refusal(file_of(library, city.client, issued.id, "核验")) == "DOCUMENT_DAMAGED"


async def test_certificates_are_found_by_holder_within_what_one_may_see(city: Any, library: Library, issued: Any) -> None:
    query = Search(HOLDER, "001", "核验")
    assert [one.id for one in (await search(library, city.client, query)).items] == [issued.id]
    assert [one.id for one in (await search(library, staff(ISSUER), query)).items] == [issued.id]
    for actor in (STRANGER, staff("11990100MB0000035A"), speaker("91990100MA1TEXT06T", Role.CITIZEN)):
        assert (await search(library, actor, query)).items == ()
    assert (await search(library, city.client, Search(HOLDER, "001", "核验", "11990100MB0000035A002"))).items == ()
    assert await refusal(search(library, city.client, Search(HOLDER, "001", ""))) == "PURPOSE_REQUIRED"
    for wrong in (Search("9199", "001", "核验"), Search(HOLDER, "000", "核验"), Search(HOLDER, "001", "核验", cursor="x")):
        assert await refusal(search(library, city.client, wrong)) == "INVALID_INPUT"


async def test_status_moves_are_kept_and_answerable_for_any_instant(city: Any, issued: Any, clock: Any) -> None:
    begun = clock.now()
    clock.advance(hours=1)
    suspended = clock.now()
    assert (await change(city, city.approver(ISSUER), issued, "suspend")).status is Status.SUSPENDED
    clock.advance(hours=1)
    assert (await change(city, city.client, issued, "resume")).status is Status.VALID
    clock.advance(hours=1)
    assert (await change(city, city.client, issued, "revoke")).status is Status.REVOKED
    database = city.issuing.database
    async with database.session() as session:
        moments = [begun - dt.timedelta(1), begun, suspended, suspended + dt.timedelta(hours=1), clock.now()]
        assert [await status_at(session, issued.id, one) for one in moments] == [
            None, Status.VALID, Status.SUSPENDED, Status.VALID, Status.REVOKED,
        ]  # fmt: skip
        topics = [one.topic for one in await session.scalars(select(OutboxRow).order_by(OutboxRow.id))]
    assert topics == ["certificate.issued"] + ["certificate.status"] * 3
    assert await refusal(change(city, city.client, issued, "resume")) == "MOVE_NOT_ALLOWED"
    assert (await record_by_code(database, clock.now(), issued.verification_code)).status is Standing.REVOKED


async def test_only_the_issuers_side_changes_a_status_and_says_why(city: Any, issued: Any) -> None:
    for actor in (STRANGER, staff(ISSUER), speaker(HOLDER), city.approver("11990100MB0000035A")):
        assert await refusal(change(city, actor, issued, "suspend")) == "NOT_FOUND"
    for reason in ("", " ", "长" * 201):
        assert await refusal(change(city, city.client, issued, "suspend", reason)) == "REASON_REQUIRED"
    assert await refusal(change(city, city.client, issued, "renew")) == "MOVE_NOT_ALLOWED"
    async with city.issuing.database.session() as session:
        assert (await get_certificate(session, issued.id)).status is Status.VALID  # type: ignore[union-attr]


async def test_a_repeated_change_with_one_key_happens_once(city: Any, issued: Any, library: Library) -> None:
    first = await change(city, city.client, issued, "suspend", key="k1")
    again = await change(city, city.client, issued, "suspend", key="k1")
    assert first.status is again.status is Status.SUSPENDED
    assert len(await read_history(library, city.client, issued.id)) == 2
    assert await refusal(change(city, city.client, issued, "suspend", key="k2")) == "MOVE_NOT_ALLOWED"
    assert await refusal(change(city, city.client, issued, "resume", key="k1")) == "IDEMPOTENCY_KEY_REUSED"
    both = await asyncio.gather(*(change(city, city.client, issued, "resume", key="k3") for _ in range(3)))
    assert {one.status for one in both} == {Status.VALID}
    assert len(await read_history(library, city.client, issued.id)) == 3


async def test_a_successor_carries_its_predecessors_identifier_and_ends_it(city: Any, issued: Any, library: Library, clock: Any) -> None:
    clock.advance(days=1)
    renewal = city.approval(valid_to="2031-11-21", succeeds=Succession(issued.id, "renew", "延续"))
    outcome = await approve(city.issuing, city.client, renewal, "renewal")
    assert outcome.status is OutcomeStatus.ISSUED
    new, old = (await read(library, city.client, outcome.id))[0], (await read(library, city.client, issued.id))[0]
    assert (new.predecessor, old.successor) == (old.identifier, new.identifier)
    before, after = inspect_identifier(old.identifier).identifier, inspect_identifier(new.identifier).identifier
    assert before is not None
    assert after is not None
    assert (after.serial, after.version) == (before.serial, "002")
    assert [one.operation for one in await read_history(library, city.client, issued.id)] == ["01", "02"]
    database = city.issuing.database
    assert (await record_by_code(database, clock.now(), issued.verification_code)).status is Standing.SUPERSEDED
    assert (await record_by_code(database, clock.now(), outcome.verification_code)).status is Standing.IN_FORCE
    assert await approve(city.issuing, city.client, renewal, "renewal") == outcome
    assert await refusal(approve(city.issuing, city.client, renewal, "once-more")) == "MOVE_NOT_ALLOWED"


async def test_two_successors_at_once_leave_one(city: Any, issued: Any) -> None:
    renewal = city.approval(succeeds=Succession(issued.id, "change", "变更"))
    plain = await approve(city.issuing, city.attended, renewal, "waiting")
    assert plain.status is OutcomeStatus.AWAITING_STAMP
    assert (await approve(city.issuing, city.client, renewal, "now")).status is OutcomeStatus.ISSUED
    approver = city.approver(ISSUER)
    seen = await city.see(approver, plain.id)
    assert await refusal(city.stamp(approver, plain.id, seen.document_hash)) == "MOVE_NOT_ALLOWED"


async def test_what_a_stranger_with_the_code_is_shown(city: Any, issued: Any, clock: Any) -> None:
    database, typed = city.issuing.database, issued.verification_code
    report = await record_by_code(database, clock.now(), f" {typed[:4].lower()}-{typed[4:].replace('0', 'o').replace('1', 'l')}")
    shown = report.to_json()
    assert (shown["kind"], shown["status"], shown["signatures"]) == ("record", "in_force", [])
    assert dict(report.fields)["法定代表人"] == "钱**"
    assert [(one.name, one.code) for one in report.holders] == [("示范市白鹤建材有限公司", HOLDER)]
    proof = await approve(city.issuing, city.client, city.approval(2), "proof")
    people = await record_by_code(database, clock.now(), proof.verification_code)
    assert [(one.name, one.code) for one in people.holders] == [("卫**", "990***********1017"), ("郑**", "990***********1023")]
    assert [name for name, _ in people.fields] == ["证明权利或事项", "坐落", "不动产单元号"]
    text_shown = str(people.to_json())
    for secret in ("卫思远", "郑雨桐", "990100195409041017", "白鹤路6号"):
        assert secret not in text_shown


@pytest.mark.parametrize("code", ["", "0" * 16, "x", "%00", "'; DROP TABLE", "一" * 16, "0" * 10_000])
async def test_a_code_that_does_not_exist_is_unknown_whatever_its_shape(city: Any, code: str, clock: Any) -> None:
    report = await record_by_code(city.issuing.database, clock.now(), code)
    assert (report.status, report.certificate, report.to_json()["certificate"]) == (Standing.UNKNOWN, None, None)


async def test_validity_ends_with_its_last_day_in_china(city: Any, issued: Any, clock: Any) -> None:
    database, code = city.issuing.database, issued.verification_code
    last = dt.datetime(2031, 11, 20, 15, 59, tzinfo=dt.UTC)
    assert (await record_by_code(database, last, code)).status is Standing.IN_FORCE
    assert (await record_by_code(database, last + dt.timedelta(minutes=1), code)).status is Standing.EXPIRED
