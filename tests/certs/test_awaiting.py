import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from certs.approvals import OutcomeStatus
from certs.awaiting import agree_awaiting, awaiting_document, decline_awaiting, stamp_awaiting
from certs.issuance import approve, sweep
from certs.lifecycle import Standing
from certs.models import CertificateRow
from certs.reads import awaiting_stamp
from certs.verification import record_by_code
from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.errors import FujieError
from seal import windows
from seal.changes import suspend_seal
from seal.grants import Grant, grant_use
from seal.use_log import read_uses

ISSUER = "11990100MB00000435"


@pytest.fixture
async def parked(city: Any) -> Any:
    outcome = await approve(city.issuing, city.attended, city.approval(), "key")
    assert outcome.status is OutcomeStatus.AWAITING_STAMP
    return outcome


async def stage(city: Any) -> str:
    async with city.issuing.database.session() as session:
        return (await session.scalars(select(CertificateRow.stage))).one()


async def refusal(journey: Any) -> str:
    with pytest.raises(FujieError) as refused:
        await journey
    return refused.value.code


async def test_without_an_unattended_grant_an_approver_stamps(city: Any, parked: Any, blobs: FolderBlobStore) -> None:
    approver = city.approver(ISSUER)
    async with city.issuing.database.session() as session:
        (waiting,) = await awaiting_stamp(session, [ISSUER])
        assert await awaiting_stamp(session, ["11990100MB0000035A"]) == ()
    assert waiting.id == parked.id
    assert (await record_by_code(city.issuing.database, city.issuing.clock.now(), parked.verification_code)).status is Standing.UNKNOWN
    seen = await awaiting_document(city.issuing, approver, parked.id)
    outcome = await stamp_awaiting(city.issuing, approver, parked.id, seen.document_hash)
    assert (outcome.status, outcome.identifier) == (OutcomeStatus.ISSUED, parked.identifier)
    async with city.issuing.database.session() as session:
        row = (await session.scalars(select(CertificateRow))).one()
    sealed = await blobs.get(row.document_hash)
    assert sealed.startswith(seen.pdf), "what was approved is what was sealed"
    assert await stamp_awaiting(city.issuing, approver, parked.id, seen.document_hash) == outcome
    assert await approve(city.issuing, city.attended, city.approval(), "key") == parked, "the same key, the same answer"
    record = await record_by_code(city.issuing.database, city.issuing.clock.now(), parked.verification_code)
    assert record.status is Standing.IN_FORCE


async def test_who_may_not_stamp_does_not_and_it_goes_on_waiting(city: Any, parked: Any) -> None:
    approver = city.approver(ISSUER)
    seen = await awaiting_document(city.issuing, approver, parked.id)
    stranger = city.approver("11990100MB0000035A")
    assert await refusal(awaiting_document(city.issuing, stranger, parked.id)) == "NOT_FOUND"
    assert await refusal(stamp_awaiting(city.issuing, stranger, parked.id, seen.document_hash)) == "NOT_FOUND"
    assert await refusal(stamp_awaiting(city.issuing, city.attended, parked.id, seen.document_hash)) == "NOT_FOUND"
    assert await refusal(stamp_awaiting(city.issuing, approver, uuid.uuid4(), seen.document_hash)) == "NOT_FOUND"
    assert await refusal(stamp_awaiting(city.issuing, approver, parked.id, "0" * 64)) == "DOCUMENT_CHANGED"
    weak = type(approver)(**{name: getattr(approver, name) for name in approver.__slots__} | {"authenticator": 1})
    assert await refusal(stamp_awaiting(city.issuing, weak, parked.id, seen.document_hash)) == "AUTHENTICATOR_TOO_WEAK"
    assert await stage(city) == "awaiting_stamp"
    async with city.issuing.database.session() as session:
        audited = await session.scalar(text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.stamp' AND outcome = 'refused'"))
    assert audited == 5
    assert (await stamp_awaiting(city.issuing, approver, parked.id, seen.document_hash)).status is OutcomeStatus.ISSUED


async def test_a_seal_suspended_meanwhile_stamps_nothing(city: Any, parked: Any) -> None:
    approver = city.approver(ISSUER)
    seen = await awaiting_document(city.issuing, approver, parked.id)
    await suspend_seal(city.issuing.database, city.issuing.clock, city.keeper_of_nothing, city.seals[ISSUER], reason="lost")
    assert await refusal(stamp_awaiting(city.issuing, approver, parked.id, seen.document_hash)) == "SEAL_SUSPENDED"
    assert await stage(city) == "awaiting_stamp"
    assert await refusal(approve(city.issuing, city.client, city.approval(), "another")) == "SEAL_SUSPENDED"


async def test_an_altered_document_is_never_sealed(city: Any, parked: Any, blobs: FolderBlobStore) -> None:
    approver = city.approver(ISSUER)
    seen = await awaiting_document(city.issuing, approver, parked.id)
    path = blobs.path(bytes.fromhex(seen.document_hash))
    path.write_bytes(path.read_bytes().replace(b"/Type", b"/Tope", 1))
    assert await refusal(stamp_awaiting(city.issuing, approver, parked.id, seen.document_hash)) == "DOCUMENT_DAMAGED"
    assert await stage(city) == "awaiting_stamp"


async def test_an_approver_can_send_it_back(city: Any, parked: Any) -> None:
    await decline_awaiting(city.issuing, city.approver(ISSUER), parked.id, "资料不全")
    assert await stage(city) == "void"
    approver = city.approver(ISSUER)
    assert await refusal(awaiting_document(city.issuing, approver, parked.id)) == "NOT_AWAITING_STAMP"
    again = await approve(city.issuing, city.attended, city.approval(), "key")
    assert again.id != parked.id
    async with city.issuing.database.session() as session:
        told = await session.scalar(text("SELECT payload FROM certs.outbox WHERE topic = 'certificate.declined'"))
        audited = await session.scalar(text("SELECT e::text FROM keys.audit_events e WHERE action = 'certs.decline'"))
    assert told["reason"] == "资料不全"
    assert told["code"] == "DECLINED_BY_APPROVER"
    assert "资料不全" not in audited, "the audit keeps a digest"


@pytest.mark.parametrize("reason", ["", "  ", "长" * 201, "持证人 990100197003131003 不符"])
async def test_nothing_is_sent_back_without_a_reason_that_may_be_kept(city: Any, parked: Any, reason: str) -> None:
    assert await refusal(decline_awaiting(city.issuing, city.approver(ISSUER), parked.id, reason)) == "REASON_REQUIRED"
    assert await stage(city) == "awaiting_stamp"
    async with city.issuing.database.session() as session:
        refused = text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.decline' AND outcome = 'refused'")
        assert await session.scalar(refused) == 1


async def test_the_sweeper_leaves_what_waits_for_a_person(city: Any, parked: Any, clock: Any) -> None:
    clock.advance(days=3)
    assert await sweep(city.issuing) == 0
    assert await stage(city) == "awaiting_stamp"


async def test_a_seal_at_a_window_stamps_certificates_there_by_its_clerk_and_nowhere_else(city: Any, parked: Any) -> None:
    issuing, centre, code = city.issuing, "11990100MB0000019L", city.seals[ISSUER]
    database, clock, approver = issuing.database, issuing.clock, city.approver(ISSUER)
    owner = replace(approver, id="keeper", roles=frozenset({Role.SEAL_KEEPER}))
    keeper = Actor(ActorKind.PERSON, "centre", "", centre, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
    clerk = replace(keeper, id="clerk", roles=frozenset({Role.WINDOW_CLERK}))
    await windows.put_window(database, clock, keeper, windows.Window("W-3", "窗口", centre, "990100", "大厅", ("10.3.0.0/16",)))
    await windows.post(database, clock, keeper, window_id="W-3", person="clerk")
    assert await refusal(awaiting_document(issuing, clerk, parked.id)) == "NOT_FOUND", "the window does not keep it yet"
    await windows.hand_over(database, clock, owner, window_id="W-3", seal_code=code)
    now = clock.now()
    async with database.begin() as session:
        matter = city.approval().matter_code
        await grant_use(session, now, owner, Grant(code, "window", "W-3", matter, None, now, now + dt.timedelta(days=30)))
    seen = await awaiting_document(issuing, clerk, parked.id, address="10.3.7.7")
    digest = seen.document_hash
    assert (seen.use.requester, seen.use.place.address) == (city.attended.id, "10.3.7.7")
    assert await refusal(stamp_awaiting(issuing, approver, parked.id, digest, address="10.3.7.7")) == "SEAL_USED_ELSEWHERE"
    assert await refusal(stamp_awaiting(issuing, clerk, parked.id, digest, address="10.3.7.7")) == "DOCUMENT_NOT_APPROVED"
    assert await refusal(agree_awaiting(issuing, clerk, parked.id, digest)) == "SEAL_APPROVAL_FORBIDDEN"
    assert await refusal(agree_awaiting(issuing, approver, parked.id, "0" * 64)) == "DOCUMENT_CHANGED"
    await agree_awaiting(issuing, approver, parked.id, digest)
    for elsewhere in (None, "10.9.7.7"):
        assert await refusal(stamp_awaiting(issuing, clerk, parked.id, digest, address=elsewhere)) == "SEAL_USED_ELSEWHERE"
    outcome = await stamp_awaiting(issuing, clerk, parked.id, digest, address="10.3.7.7")
    assert outcome.status is OutcomeStatus.ISSUED
    async with database.session() as session:
        (used,) = await read_uses(session, owner, code)
    assert (used.window_id, used.address, used.actor_id, used.requester) == ("W-3", "10.3.7.7", "clerk", city.attended.id)
