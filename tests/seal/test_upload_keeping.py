"""Uploads that wait have a quota and an end; nothing that was sealed, refused or is being asked for is lost."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from keys.base.errors import FujieError
from seal.document_approving import approve_request, reject_request
from seal.document_errors import DocumentNotFound, UploadQuotaExceeded
from seal.document_requests import upload
from seal.document_values import UploadLimits
from seal.upload_keeping import sweep_uploads
from tests.seal.hostile_pdfs import document as page
from tests.seal.sealing_house import House, house, rebuilder

__all__ = ["house", "rebuilder"]
ROOMY = UploadLimits()


def limited(house: House, **limits: Any) -> House:
    return replace(house, sealing=replace(house.sealing, uploads=UploadLimits(**limits)))


async def names(house: House) -> set[str]:
    async with house.city.database.session() as session:
        return set(await session.scalars(text("SELECT name FROM seal.documents")))


async def octets_of(house: House) -> int:
    async with house.city.database.session() as session:
        return int(await session.scalar(text("SELECT max(octets) FROM seal.documents")) or 0)


async def test_what_waits_is_counted_for_the_person_and_the_organisation(house: House) -> None:
    await house.uploaded(name="one.pdf")
    size = await octets_of(house)
    colleague = replace(house.clerk, id="colleague")
    tight = limited(house, person=size * 2, organisation=size * 3)
    await tight.uploaded(name="two.pdf")
    with pytest.raises(UploadQuotaExceeded) as refused:
        await tight.uploaded(name="three.pdf")
    assert (refused.value.code, refused.value.extra) == ("DOCUMENT_QUOTA_EXCEEDED", {"limit": size * 2, "of": "person"})
    await tight.uploaded(colleague, name="three.pdf")
    with pytest.raises(UploadQuotaExceeded) as refused:
        await tight.uploaded(colleague, name="four.pdf")
    assert refused.value.extra["of"] == "organisation"
    assert await names(house) == {"one.pdf", "two.pdf", "three.pdf"}


async def test_two_uploads_at_once_do_not_both_take_the_last_room(house: House) -> None:
    await house.uploaded(name="one.pdf")
    tight = limited(house, person=await octets_of(house) * 2)
    answers = await asyncio.gather(*(tight.uploaded(name=f"{number}.pdf") for number in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["UUID", "UploadQuotaExceeded", "UploadQuotaExceeded"]


async def test_what_is_settled_counts_no_more_and_stays(house: House) -> None:
    sealed, refused, open_one = [await house.requested(document_id=await house.uploaded(name=name)) for name in ("a.pdf", "b.pdf", "c.pdf")]
    done = await approve_request(house.sealing, house.city.approver, sealed.id, sealed.due.digest.hex())
    assert done.status == "sealed"
    await reject_request(house.sealing, house.city.approver, refused.id, "不予用印")
    await house.uploaded(name="unused.pdf")
    size = await octets_of(house)
    tight = limited(house, person=size * 4)
    with pytest.raises(UploadQuotaExceeded):
        await tight.uploaded(name="more.pdf")
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 0
    await tight.uploaded(name="more.pdf")
    house.city.clock.advance(days=31)
    await house.uploaded(name="fresh.pdf")
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 3, "unused.pdf, more.pdf and the house's own notice.pdf"
    assert await names(house) == {"a.pdf", "b.pdf", "c.pdf", "fresh.pdf"}, "sealed, refused and asked for stay"
    assert await house.sealing.blobs.get(done.seals[0].sealed_hash)
    assert open_one.status == "awaiting_approval"
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 0


async def test_what_was_discarded_is_not_asked_for_and_can_come_again(house: House) -> None:
    old = await house.uploaded(name="old.pdf")
    house.city.clock.advance(days=20)
    again = await house.uploaded(name="old.pdf")
    assert again == old
    house.city.clock.advance(days=20)
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 0, "it came again ten days ago"
    house.city.clock.advance(days=20)
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 1
    with pytest.raises(DocumentNotFound):
        await house.requested(document_id=old)
    assert (await house.requested(document_id=await house.uploaded(name="old.pdf"))).status == "awaiting_approval"


async def test_one_that_is_being_asked_for_is_left(house: House) -> None:
    """The sweep meets the request's transaction: it passes over what that holds."""
    kept = await house.uploaded(name="kept.pdf")
    house.city.clock.advance(days=31)
    async with house.city.database.begin() as session:
        await session.execute(text("SELECT id FROM seal.documents WHERE id = :id FOR KEY SHARE"), {"id": kept})
        assert await asyncio.wait_for(sweep_uploads(house.city.database, house.city.clock, ROOMY), 20) == 0
    assert await sweep_uploads(house.city.database, house.city.clock, ROOMY) == 1


async def test_a_refusal_is_audited_and_stores_nothing(house: House) -> None:
    tight = limited(house, person=1)
    await asyncio.gather(*(tight.uploaded(name="x.pdf") for _ in range(2)), return_exceptions=True)
    with pytest.raises(FujieError):
        await upload(tight.sealing, house.clerk, page(pages=2), "y.pdf")
    assert await names(house) == set()
    async with house.city.database.session() as session:
        told = text(
            "SELECT count(*) FROM keys.audit_events WHERE action = 'seal.document.upload' AND convert_from(body, 'UTF8') LIKE :code"
        )
        assert await session.scalar(told, {"code": "%DOCUMENT_QUOTA_EXCEEDED%"}) == 3
    assert timedelta(days=ROOMY.days) == timedelta(days=30)
