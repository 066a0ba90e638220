"""Batches: every document once, whatever dies; paused, resumed, cancelled, halted; progress and results."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from keys.base.actor import Role
from keys.base.errors import FujieError
from seal import batch_work
from seal.batch_values import BatchOrder
from seal.batch_work import work_batches, work_until_done
from seal.batches import approve_batch, batch_documents, batch_file, get_batch, list_batches, move_batch, request_batch
from seal.changes import resume_seal, suspend_seal
from seal.document_lifecycle import BatchMove, BatchStatus
from seal.matters import Matter, get_matter, put_matter
from tests.seal import hostile_pdfs as hostile
from tests.seal.sealing_house import House, house, rebuilder

__all__ = ["house", "rebuilder"]
PLACE = {"kind": "point", "page": 1, "x_mm": 150.0, "y_mm": 240.0}


async def refusal(awaitable: Any) -> str:
    with pytest.raises(FujieError) as caught:
        await awaitable
    return caught.value.code


async def uploads(house: House, number: int, actor: Any = None) -> tuple[uuid.UUID, ...]:
    """Copies of one rebuilt upload under names of their own: what differs between them is no matter of a batch."""
    first = await house.uploaded(actor or house.city.client)
    copy = text(
        "INSERT INTO seal.documents SELECT gen_random_uuid(), organisation, uploader, 'copy ' || n, source_hash, document_hash, octets,"
        " pages, removed, not_embedded, uploaded_at FROM seal.documents, generate_series(1, :number) n WHERE id = :first RETURNING id"
    )
    async with house.city.database.begin() as session:
        return tuple((await session.execute(copy, {"number": number, "first": first})).scalars())


async def requested(house: House, number: int, **changes: Any) -> Any:
    actor = changes.pop("actor", house.city.client)
    usual: dict[str, Any] = {
        "title": "批量", "seal_code": house.seal.code, "matter_code": house.city.matter, "document_kind": None,
        "documents": await uploads(house, number, actor), "placements": (PLACE,), "unattended": True,
    }  # fmt: skip
    return await request_batch(house.sealing, actor, BatchOrder(**(usual | changes)), house.key())


async def uses(house: House) -> tuple[int, int]:
    """Rows in the log of use, and sealed documents."""
    async with house.city.database.session() as session:
        log = (await session.execute(text("SELECT count(*) FROM seal.uses"))).scalar_one()
        sealed = (await session.execute(text("SELECT count(*) FROM seal.batch_documents WHERE state = 'sealed'"))).scalar_one()
    return log, sealed


async def test_sixty_documents_by_several_workers_one_of_which_dies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short version of ``make batch-campaign``: three workers at once, one killed between stamping and recording."""
    city, sealing = house.city, house.sealing
    batch = await requested(house, 60)
    assert (batch.status, batch.total, batch.waiting) == (BatchStatus.RUNNING, 60, 60)
    real, killed = batch_work._record, []

    class Killed(BaseException):
        """The process ends here."""

    async def dies(sealing: Any, sealed: Any) -> None:
        marked = [one.claim.position for one in sealed if one.claim.position % 20 == 7 and one.claim.position not in killed]
        if marked:
            killed.extend(marked)
            raise Killed
        await real(sealing, sealed)

    monkeypatch.setattr(batch_work, "_record", dies)
    await asyncio.gather(*(work_batches(sealing, most=8) for _ in range(3)), return_exceptions=True)
    while (await work(house)) or await lapsed(house):
        city.clock.advance(seconds=1)
    done = await get_batch(sealing, city.client, batch.id)
    assert (done.status, done.sealed, done.refused) == (BatchStatus.DONE, 60, 0)
    assert await uses(house) == (60, 60)
    assert sorted(killed) == [7, 27, 47]
    results = await batch_documents(sealing, city.client, batch.id)
    assert [one.position for one in results] == list(range(60))
    assert all(one.state == "sealed" and one.failure is None for one in results)
    assert (await batch_file(sealing, city.client, batch.id, 59)).startswith(b"%PDF")


async def work(house: House) -> int:
    (answer,) = await asyncio.gather(work_batches(house.sealing), return_exceptions=True)
    return answer if isinstance(answer, int) else 1


async def lapsed(house: House) -> bool:
    """Let the leases of the dead run out; whether there were any."""
    async with house.city.database.session() as session:
        held = (await session.execute(text("SELECT count(*) FROM seal.batch_documents WHERE lease_owner IS NOT NULL"))).scalar_one()
    house.city.clock.advance(seconds=121 if held else 0)
    return bool(held)


async def test_paused_resumed_cancelled(house: House) -> None:
    client, sealing = house.city.client, house.sealing
    batch = await requested(house, 9)
    await work_batches(sealing, most=2)
    paused = await move_batch(sealing, client, batch.id, BatchMove.PAUSE, "lunch")
    assert (paused.status, paused.sealed, paused.reason) == (BatchStatus.PAUSED, 2, "lunch")
    assert await work_batches(sealing) == 0
    assert (await move_batch(sealing, client, batch.id, BatchMove.RESUME)).status is BatchStatus.RUNNING
    await work_batches(sealing, most=2)
    cancelled = await move_batch(sealing, client, batch.id, BatchMove.CANCEL, "wrong list")
    assert (cancelled.status, cancelled.sealed, cancelled.waiting) == (BatchStatus.CANCELLED, 4, 5)
    assert await work_batches(sealing) == 0
    assert await refusal(move_batch(sealing, client, batch.id, BatchMove.RESUME)) == "BATCH_MOVE_NOT_ALLOWED"
    assert await refusal(batch_file(sealing, client, batch.id, 8)) == "DOCUMENT_NOT_SEALED"
    assert await uses(house) == (4, 4)


async def test_a_cancel_between_stamp_and_record_seals_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client, sealing, real = house.city.client, house.sealing, batch_work._record
    batch = await requested(house, 1)

    async def late(*arguments: Any) -> None:
        await move_batch(sealing, client, batch.id, BatchMove.CANCEL, "stop")
        await real(*arguments)

    monkeypatch.setattr(batch_work, "_record", late)
    await work_batches(sealing)
    assert await uses(house) == (0, 0)
    assert (await get_batch(sealing, client, batch.id)).status is BatchStatus.CANCELLED


async def test_when_the_permission_falls_away_it_halts_and_goes_on_later(house: House) -> None:
    city, sealing = house.city, house.sealing
    batch = await requested(house, 4)
    await work_batches(sealing, most=1)
    await suspend_seal(city.database, city.clock, city.admin, house.seal.code, "checked")
    await work_until_done(sealing, seconds=20)
    halted = await get_batch(sealing, city.client, batch.id)
    assert (halted.status, halted.reason, halted.sealed, halted.refused) == (BatchStatus.PAUSED, "SEAL_SUSPENDED", 1, 0)
    await resume_seal(city.database, city.clock, city.admin, house.seal.code, "fine")
    await move_batch(sealing, city.client, batch.id, BatchMove.RESUME)
    await work_until_done(sealing, seconds=20)
    assert (await get_batch(sealing, city.client, batch.id)).status is BatchStatus.DONE
    assert await uses(house) == (4, 4)


async def test_one_documents_fault_is_its_own(house: House) -> None:
    client, sealing = house.city.client, house.sealing
    without = await house.uploaded(client, hostile.document(b"BT /F1 24 Tf 72 700 Td (Nothing here) Tj ET"), "other.pdf")
    documents = (*(await uploads(house, 2)), without)
    keyword = ({"kind": "keyword", "text": "Shown"},)
    batch = await requested(house, 0, documents=documents, placements=keyword)
    await work_until_done(sealing, seconds=20)
    done = await get_batch(sealing, client, batch.id)
    assert (done.status, done.sealed, done.refused) == (BatchStatus.DONE, 2, 1)
    assert [one.failure for one in await batch_documents(sealing, client, batch.id)] == [None, None, "KEYWORD_NOT_FOUND"]


async def test_a_batch_is_approved_by_its_manifest(house: House) -> None:
    city, sealing = house.city, house.sealing
    batch = await requested(house, 3, actor=house.clerk, unattended=False)
    assert batch.status is BatchStatus.AWAITING_APPROVAL
    assert await work_batches(sealing) == 0
    assert await refusal(approve_batch(sealing, city.approver, batch.id, "00" * 32)) == "APPROVED_PICTURE_CHANGED"
    assert await refusal(approve_batch(sealing, house.clerk, batch.id, batch.manifest.hex())) == "SEAL_APPROVAL_FORBIDDEN"
    stranger = replace(city.person("stranger", Role.APPROVER), organisation="11990100MB0000027F")
    assert await refusal(approve_batch(sealing, stranger, batch.id, batch.manifest.hex())) == "DOCUMENT_NOT_FOUND"
    running = await approve_batch(sealing, city.approver, batch.id, batch.manifest.hex())
    assert (running.status, len(running.approvals)) == (BatchStatus.RUNNING, 1)
    city.clock.advance(hours=13)
    await work_batches(sealing)
    lapsed = await get_batch(sealing, house.clerk, batch.id)
    assert (lapsed.status, lapsed.reason) == (BatchStatus.PAUSED, "DOCUMENT_APPROVAL_LAPSED")
    assert await uses(house) == (0, 0)


async def test_an_approved_batch_is_sealed_in_the_approvers_name(house: House) -> None:
    city, sealing = house.city, house.sealing
    batch = await requested(house, 3, actor=house.clerk, unattended=False)
    await approve_batch(sealing, city.approver, batch.id, batch.manifest.hex())
    await work_until_done(sealing, seconds=20)
    async with city.database.session() as session:
        actors = (await session.execute(text("SELECT DISTINCT actor_id, unattended FROM seal.uses"))).all()
    assert [tuple(row) for row in actors] == [("approver", False)]
    assert [one.id for one in await list_batches(sealing, city.approver)] == [batch.id]


async def test_a_batch_takes_one_to_ten_thousand_documents_each_once(house: House) -> None:
    one = await house.uploaded(house.city.client)
    for documents in ((), (one, one), tuple(uuid.uuid4() for _ in range(10_001))):
        assert await refusal(requested(house, 0, documents=documents)) == "BATCH_INVALID"
    assert await refusal(requested(house, 0, documents=(one, uuid.uuid4()))) == "DOCUMENT_NOT_FOUND"
    assert await refusal(requested(house, 1, actor=house.clerk)) == "DOCUMENT_REQUEST_FORBIDDEN"


async def test_a_quota_that_ends_within_a_round_is_used_to_its_last_and_not_beyond(house: House) -> None:
    """Recorded together, one refusal undoes all: then each by itself, and the permits of the others stay unspent."""
    city, sealing = house.city, house.sealing
    matter = replace(await matter_of(house), code="990100900077", name="另一事项")
    async with city.database.begin() as session:
        await put_matter(session, city.clock.now(), city.admin, matter)
    await city.grant(house.seal, city.client, unattended=True, quota_day=5, matter_code=matter.code)
    batch = await requested(house, 9, matter_code=matter.code)
    await work_until_done(sealing, seconds=30)
    halted = await get_batch(sealing, city.client, batch.id)
    assert (halted.status, halted.reason, halted.sealed) == (BatchStatus.PAUSED, "QUOTA_DAY_EXHAUSTED", 5)
    assert await uses(house) == (5, 5)
    city.clock.advance(days=1)
    await move_batch(sealing, city.client, batch.id, BatchMove.RESUME)
    await work_until_done(sealing, seconds=30)
    assert await uses(house) == (9, 9)
    async with city.database.session() as session:
        spent = (await session.execute(text("SELECT count(*) FROM seal.permits WHERE consumed_at IS NOT NULL"))).scalar_one()
        logged = (await session.execute(text("SELECT count(*) FROM keys.audit_events WHERE action = 'seal.use'"))).scalar_one()
    assert (spent, logged) == (9, 9)


async def matter_of(house: House) -> Matter:
    async with house.city.database.session() as session:
        found = await get_matter(session, house.city.matter)
    assert found is not None
    return found


async def test_what_another_process_took_over_in_a_round_is_recorded_by_it_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, taken = batch_work._record, []
    await requested(house, 4)

    async def overtaken(sealing: Any, sealed: Any) -> None:
        if not taken:
            taken.append(sealed[2].claim.position)
            async with house.city.database.begin() as session:
                stolen = text("UPDATE seal.batch_documents SET lease_owner = gen_random_uuid() WHERE position = :position")
                await session.execute(stolen, {"position": taken[0]})
        await real(sealing, sealed)

    monkeypatch.setattr(batch_work, "_record", overtaken)
    await work_batches(house.sealing)
    assert await uses(house) == (3, 3)
