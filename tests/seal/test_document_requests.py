"""A document's way from upload to sealed file: who may, what is approved, what a kill leaves behind."""

import asyncio
import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image, ImageChops
from sqlalchemy import text

from keys.base.actor import Role
from keys.base.errors import FujieError
from seal import document_carrying
from seal.changes import suspend_seal
from seal.document_approving import approve_request, cancel_request, picture_of, reject_request, sealed_file
from seal.document_carrying import sweep_requests
from seal.document_lifecycle import BATCH_MOVES, REQUEST_MOVES, BatchMove, RequestMove, RequestStatus, request_target
from seal.document_reads import awaiting_requests, get_request, history_of, list_requests
from seal.document_requests import request_sealing, upload
from seal.document_values import SealingOrder
from seal.grants import Grant, grant_use
from seal.making import make_seal
from seal.matters import Matter, put_matter
from seal.verdict import Indication
from seal.verification import verify
from tests.seal.sealing_house import House, document, house, rebuilder, trust_of

__all__ = ["house", "rebuilder"]


async def refusal(awaitable: Any) -> str:
    with pytest.raises(FujieError) as caught:
        await awaitable
    return caught.value.code


def digest(request: Any) -> str:
    return request.due.digest.hex()


async def count(house: House, table: str) -> int:
    async with house.city.database.session() as session:
        return (await session.execute(text(f"SELECT count(*) FROM seal.{table}"))).scalar_one()


async def test_from_upload_to_sealed_file(house: House) -> None:
    request = await house.requested()
    assert request.status is RequestStatus.AWAITING_APPROVAL
    async with house.city.database.session() as session:
        assert [one.id for one in await awaiting_requests(session, house.city.organisation)] == [request.id]
    assert await refusal(sealed_file(house.sealing, house.clerk, request.id)) == "DOCUMENT_NOT_SEALED"
    sealed = await approve_request(house.sealing, house.city.approver, request.id, digest(request))
    assert sealed.status is RequestStatus.SEALED
    pdf = await sealed_file(house.sealing, house.clerk, request.id)
    assert hashlib.sha256(pdf).digest() == sealed.seals[0].sealed_hash
    base = await house.sealing.blobs.get(sealed.seals[0].base_hash or b"")
    assert pdf.startswith(base)
    assert verify(pdf, await trust_of(house), house.city.clock.now()).indication is Indication.TOTAL_PASSED
    async with house.city.database.session() as session:
        moves = [one.move for one in await history_of(session, request.id)]
    assert moves == ["submit", "decide", "finish"]
    assert await count(house, "uses") == 1


async def test_the_picture_is_what_is_sealed(house: House) -> None:
    """The approver's picture and the sealed file's, drawn by the same means, are the same picture; without the seal it is another."""
    request = await house.requested()
    before = await picture_of(house.sealing, house.city.approver, request.id, 0, 72)
    await approve_request(house.sealing, house.city.approver, request.id, digest(request))
    after = await picture_of(house.sealing, house.city.approver, request.id, 0, 72)
    (bare,) = await house.sealing.rebuilder.draw(await house.sealing.blobs.get(request.seals[0].base_hash or b""), [0], 72)
    shown, sealed, plain = (Image.open(io.BytesIO(one)).convert("RGB") for one in (before, after, bare))
    assert ImageChops.difference(shown, sealed).getbbox() is None
    assert ImageChops.difference(shown, plain).getbbox() is not None


async def test_an_approval_is_for_one_digest(house: House) -> None:
    request = await house.requested()
    assert await refusal(approve_request(house.sealing, house.city.approver, request.id, "00" * 32)) == "APPROVED_PICTURE_CHANGED"
    elsewhere = await house.requested(seals=(house.line(None, None, {"kind": "point", "page": 1, "x_mm": 60, "y_mm": 60}),))
    assert elsewhere.due.base_hash == request.due.base_hash
    assert digest(elsewhere) != digest(request)
    assert await refusal(approve_request(house.sealing, house.city.approver, request.id, digest(elsewhere))) == "APPROVED_PICTURE_CHANGED"


async def test_who_asked_does_not_approve(house: House) -> None:
    request = await house.requested(house.city.approver)
    assert await refusal(approve_request(house.sealing, house.city.approver, request.id, digest(request))) == "REQUESTER_APPROVES"
    assert await count(house, "uses") == 0


async def test_strangers_see_and_decide_nothing(house: House) -> None:
    request = await house.requested()
    stranger = replace(house.city.person("stranger", Role.APPROVER), organisation="11990100MB0000027F")
    citizen = house.city.person("citizen", Role.CITIZEN)
    for actor in (stranger, citizen):
        assert await refusal(approve_request(house.sealing, actor, request.id, digest(request))) == "DOCUMENT_NOT_FOUND"
        assert await refusal(picture_of(house.sealing, actor, request.id, 0)) == "DOCUMENT_NOT_FOUND"
        assert await refusal(cancel_request(house.sealing, actor, request.id, "mine")) == "DOCUMENT_NOT_FOUND"
        async with house.city.database.session() as session:
            assert await refusal(get_request(session, actor, request.id)) == "DOCUMENT_NOT_FOUND"
            assert await list_requests(session, replace(actor, roles=frozenset())) == []
    assert await refusal(upload(house.sealing, citizen, document(), "x.pdf")) == "DOCUMENT_REQUEST_FORBIDDEN"


async def test_without_a_grant_it_goes_back_and_another_approver_seals(house: House) -> None:
    request = await house.requested()
    other = house.city.person("other", Role.APPROVER)
    assert await refusal(approve_request(house.sealing, other, request.id, digest(request))) == "NO_GRANT"
    async with house.city.database.session() as session:
        back = await get_request(session, house.clerk, request.id)
    assert (back.status, back.due.failure) == (RequestStatus.AWAITING_APPROVAL, "NO_GRANT")
    assert (await approve_request(house.sealing, house.city.approver, request.id, digest(request))).status is RequestStatus.SEALED


async def test_a_suspended_seal_seals_nothing(house: House) -> None:
    request = await house.requested()
    city = house.city
    await suspend_seal(city.database, city.clock, city.admin, house.seal.code, "lost sight of")
    assert await refusal(approve_request(house.sealing, city.approver, request.id, digest(request))) == "SEAL_SUSPENDED"
    assert await count(house, "uses") == 0


async def test_rejected_and_cancelled_requests_stay_so(house: House) -> None:
    city, sealing = house.city, house.sealing
    request = await house.requested()
    assert await refusal(reject_request(sealing, city.approver, request.id, "  ")) == "REJECTION_REASON_REQUIRED"
    assert await refusal(reject_request(sealing, house.clerk, request.id, "no")) == "SEAL_APPROVAL_FORBIDDEN"
    assert (await reject_request(sealing, city.approver, request.id, "wrong date")).status is RequestStatus.REJECTED
    assert await refusal(approve_request(sealing, city.approver, request.id, digest(request))) == "DOCUMENT_MOVE_NOT_ALLOWED"
    request = await house.requested()
    assert (await cancel_request(sealing, house.clerk, request.id, "sent twice")).status is RequestStatus.CANCELLED
    assert await refusal(approve_request(sealing, city.approver, request.id, digest(request))) == "DOCUMENT_MOVE_NOT_ALLOWED"
    assert await count(house, "uses") == 0


async def test_a_key_has_one_answer(house: House) -> None:
    document_id = await house.uploaded()
    order = SealingOrder(document_id, "t", None, (house.line(),))
    first, *others = await asyncio.gather(*(request_sealing(house.sealing, house.clerk, order, "same") for _ in range(4)))
    assert {one.id for one in others} == {first.id}
    assert await refusal(request_sealing(house.sealing, house.clerk, replace(order, title="u"), "same")) == "REQUEST_KEY_REUSED"
    assert await refusal(request_sealing(house.sealing, house.clerk, order, None)) == "REQUEST_KEY_NEEDED"
    assert await house.uploaded() == document_id


async def test_what_the_places_cannot_be_is_refused_before_anybody_approves(house: House) -> None:
    document_id = await house.uploaded()

    async def code(*places: dict[str, Any]) -> str:
        return await refusal(house.requested(document_id=document_id, seals=(house.line(None, None, *places),)))

    assert await code({"kind": "keyword", "text": "不存在的关键字"}) == "KEYWORD_NOT_FOUND"
    assert await code({"kind": "point", "page": 7, "x_mm": 1, "y_mm": 1}) == "STAMP_PLAN_INVALID"
    assert await code({"kind": "somewhere"}) == "STAMP_PLAN_INVALID"
    assert await code({"kind": "point", "page": 1, "x_mm": "1", "y_mm": 1}) == "STAMP_PLAN_INVALID"
    twice = (house.line(), house.line())
    assert await refusal(house.requested(document_id=document_id, seals=twice)) == "JOINT_DOCUMENT_INVALID"
    assert await count(house, "document_requests") == 0


async def test_a_client_with_an_unattended_grant_seals_at_once(house: House) -> None:
    sealed = await house.requested(house.city.client, unattended=True)
    assert sealed.status is RequestStatus.SEALED
    assert (await sealed_file(house.sealing, house.city.client, sealed.id)).startswith(b"%PDF-1.7")
    assert await refusal(house.requested(unattended=True)) == "DOCUMENT_REQUEST_FORBIDDEN"


async def test_an_unattended_use_that_is_refused_ends(house: House) -> None:
    stranger = replace(house.city.client, id="another")
    document_id = await house.uploaded(stranger)
    assert await refusal(house.requested(stranger, document_id=document_id, unattended=True)) == "NO_GRANT"
    async with house.city.database.session() as session:
        (request,) = await list_requests(session, stranger)
    assert (request.status, request.due.failure) == (RequestStatus.FAILED, "NO_GRANT")


STEPS = ("request_permit", "load_material", "stamp_document", "consume_permit")


class Killed(BaseException):
    """The process ends here: no handler may run."""


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_it_is_finished_by_the_sweeper_and_sealed_once(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    request = await house.requested()

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(document_carrying, step, dies)
        with pytest.raises(Killed):
            await approve_request(house.sealing, house.city.approver, request.id, digest(request))
    assert await count(house, "uses") == 0
    assert await sweep_requests(house.sealing) == 0  # its lease still stands
    house.city.clock.advance(seconds=121)
    assert await sweep_requests(house.sealing) == 1
    assert await count(house, "uses") == 1
    assert await sweep_requests(house.sealing) == 0
    assert (await sealed_file(house.sealing, house.clerk, request.id)).startswith(b"%PDF")


async def test_a_decision_is_not_carried_out_late(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await house.requested()

    def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(document_carrying, "request_permit", dies)
        with pytest.raises(Killed):
            await approve_request(house.sealing, house.city.approver, request.id, digest(request))
    house.city.clock.advance(minutes=6)
    assert await sweep_requests(house.sealing) == 1
    async with house.city.database.session() as session:
        back = await get_request(session, house.clerk, request.id)
    assert (back.status, back.due.failure) == (RequestStatus.AWAITING_APPROVAL, "DOCUMENT_APPROVAL_LAPSED")
    assert await count(house, "uses") == 0


async def test_a_run_whose_lease_was_taken_records_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process thought dead comes back after another finished its work."""
    request, real = await house.requested(), document_carrying._record
    late: list[Any] = []

    async def delayed(sealing: Any, task: Any, *rest: Any) -> Any:
        if not late:
            late.append((sealing, task, *rest))
            raise Killed
        return await real(sealing, task, *rest)

    monkeypatch.setattr(document_carrying, "_record", delayed)
    with pytest.raises(Killed):
        await approve_request(house.sealing, house.city.approver, request.id, digest(request))
    house.city.clock.advance(seconds=121)
    assert await sweep_requests(house.sealing) == 1
    assert await refusal(real(*late[0])) == "DOCUMENT_BEING_SEALED"
    assert await count(house, "uses") == 1


async def test_sixty_four_approvals_at_once_seal_once(house: House) -> None:
    request = await house.requested()
    answers = await asyncio.gather(
        *(approve_request(house.sealing, house.city.approver, request.id, digest(request)) for _ in range(16)), return_exceptions=True
    )
    codes = {one.code for one in answers if isinstance(one, FujieError)}
    assert codes <= {"DOCUMENT_BEING_SEALED"}
    assert await count(house, "uses") == 1


async def test_departments_seal_one_after_another(house: House) -> None:
    """Two departments, each with its own matter, approver and permit, on the document as it then is."""
    city, health, matter = house.city, "11990100MB0000051T", "990100900777"
    keeper = city.person("health keeper", Role.SEAL_KEEPER, organisation=health)
    order = city.order(organisation=health, organisation_name="示范市卫生健康委员会", name="示范市卫生健康委员会行政审批专用章")
    from_health = await make_seal(city.database, city.keystore, city.clock, keeper, order, reviewers=(city.reviewer, city.admin))
    doctor = city.person("doctor", Role.APPROVER, organisation=health)
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, Matter(matter, "联合审批", True, health))
        grant = Grant(from_health.code, doctor.kind, doctor.id, matter, None, city.clock.now(), city.clock.now() + timedelta(days=1))
        await grant_use(session, city.clock.now(), keeper, grant)
    second = house.line(from_health, matter, {"kind": "point", "page": 1, "x_mm": 60.0, "y_mm": 240.0})
    request = await house.requested(seals=(house.line(), second))
    assert request.seals[1].digest is None
    assert await refusal(approve_request(house.sealing, doctor, request.id, digest(request))) == "SEAL_APPROVAL_FORBIDDEN"
    half = await approve_request(house.sealing, city.approver, request.id, digest(request))
    assert (half.status, half.position) == (RequestStatus.AWAITING_APPROVAL, 1)
    assert half.due.base_hash == half.seals[0].sealed_hash
    assert await refusal(sealed_file(house.sealing, house.clerk, request.id)) == "DOCUMENT_NOT_SEALED"
    assert await refusal(approve_request(house.sealing, city.approver, request.id, digest(half))) == "SEAL_APPROVAL_FORBIDDEN"
    whole = await approve_request(house.sealing, doctor, request.id, digest(half))
    assert whole.status is RequestStatus.SEALED
    pdf = await sealed_file(house.sealing, doctor, request.id)
    assert pdf.startswith(await house.sealing.blobs.get(half.seals[0].sealed_hash or b""))
    verdict = verify(pdf, await trust_of(house), city.clock.now())
    assert [one.indication for one in verdict.signatures] == [Indication.TOTAL_PASSED] * 2


async def test_chosen_seals_take_two_approvers(house: House) -> None:
    city, second = house.city, house.city.person("second", Role.APPROVER)
    await city.grant(house.seal, second)
    async with city.database.begin() as session:
        await session.execute(
            text(
                "INSERT INTO seal.requirements (seal_id, assurance, authenticator, approvals, changed_at, changed_by)"
                " SELECT id, 2, 2, 2, now(), 'test' FROM seal.seals WHERE code = :code"
            ),
            {"code": house.seal.code},
        )
    request = await house.requested()
    for _ in range(2):
        once = await approve_request(house.sealing, city.approver, request.id, digest(request))
        assert (once.status, len(once.due.approvals)) == (RequestStatus.AWAITING_APPROVAL, 1)
    assert await count(house, "uses") == 0
    assert (await approve_request(house.sealing, second, request.id, digest(request))).status is RequestStatus.SEALED
    waiting = await house.requested(city.client, unattended=True)
    assert waiting.status is RequestStatus.AWAITING_APPROVAL
    await approve_request(house.sealing, city.approver, waiting.id, digest(waiting))
    assert (await approve_request(house.sealing, second, waiting.id, digest(waiting))).status is RequestStatus.SEALED


def test_moves_are_a_table() -> None:
    assert set(REQUEST_MOVES) == set(RequestMove)
    assert set(BATCH_MOVES) == set(BatchMove)
    for move, step in REQUEST_MOVES.items():
        for status in (None, *RequestStatus):
            allowed = status in step.sources or (status is None and not step.sources)
            if allowed:
                assert request_target(status, move) == step.target
            else:
                with pytest.raises(FujieError):
                    request_target(status, move)
    final = {RequestStatus.SEALED, RequestStatus.REJECTED, RequestStatus.CANCELLED, RequestStatus.FAILED}
    assert not any(final & step.sources for step in REQUEST_MOVES.values())
