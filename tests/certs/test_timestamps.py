"""Every certificate gets its time stamp; while the clock is in doubt, or stamps are overdue, there are no new ones."""

import dataclasses
import datetime as dt
import hashlib
from typing import Any

import pytest

from certs import carrying
from certs.approvals import OutcomeStatus
from certs.issuance import approve, sweep
from certs.library import Library
from certs.models import CertificateRow
from certs.timestamps import TimestampNotHeld, TimestampPending, timestamp_of
from keys.base.blobs import FolderBlobStore
from keys.base.errors import NotFound
from keys.pki.authority import authority_certificate
from keys.time.backlog import Backlog, IssuingClock
from keys.time.errors import ClockUntrusted, TimestampsOverdue
from keys.time.guard import ClockGuard
from keys.time.imprints import imprint_of
from keys.time.queue import obtain
from keys.time.source import LocalTimestampSource
from keys.time.verification import verify_token
from tests.certs.test_issuing import audit_trail, rows


@pytest.fixture
def guarded(city: Any, clock: Any) -> tuple[Any, Backlog]:
    """The city issues by a guarded clock, as a running house does; its uptime goes with the clock as long as nobody sets that."""
    backlog = Backlog(dt.timedelta(minutes=10))
    guard = ClockGuard(clock, lambda: clock.now().timestamp())
    return dataclasses.replace(city.issuing, gate=IssuingClock(guard, backlog)), backlog


async def test_a_certificate_gets_its_time_stamp_over_the_sealed_file(city: Any, blobs: FolderBlobStore) -> None:
    issuing = city.issuing
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    outcome = await approve(issuing, city.client, city.approval(0), "key-1")
    with pytest.raises(TimestampPending):
        await timestamp_of(library, city.client, outcome.id)
    source = LocalTimestampSource(issuing.database, issuing.keystore, issuing.clock)
    assert await obtain(issuing.database, issuing.clock, source) == 1
    token = await timestamp_of(library, city.client, outcome.id)
    async with issuing.database.session() as session:
        (row,) = await rows(issuing.database, CertificateRow)
        root = await authority_certificate(session, "root")
    assert hashlib.sha256(await blobs.get(row.document_hash)).digest() == row.document_hash
    assert verify_token(token, imprint_of(row.document_hash, "sha256"), [root]).instant >= row.issued_at
    with pytest.raises(NotFound):
        await timestamp_of(library, dataclasses.replace(city.client, id="somebody-else", organisation=None), outcome.id)


async def test_what_was_not_issued_has_none(city: Any) -> None:
    issuing = city.issuing
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    outcome = await approve(issuing, city.attended, city.approval(0), "key-1")
    assert outcome.status is OutcomeStatus.AWAITING_STAMP
    with pytest.raises(TimestampNotHeld):
        await timestamp_of(library, city.attended, outcome.id)


async def test_nothing_is_issued_by_a_clock_that_runs_backwards(city: Any, clock: Any, guarded: tuple[Any, Backlog]) -> None:
    issuing, _ = guarded
    await approve(issuing, city.client, city.approval(0), "key-1")
    clock.advance(seconds=-90)
    with pytest.raises(ClockUntrusted):
        await approve(issuing, city.client, city.approval(1), "key-2")
    assert len(await rows(issuing.database, CertificateRow)) == 1, "no number was taken"
    assert ("failed", "CLOCK_UNTRUSTED") in await audit_trail(issuing.database, "certs.issue.approve")
    clock.advance(seconds=91)
    assert (await approve(issuing, city.client, city.approval(1), "key-2")).status is OutcomeStatus.ISSUED


async def test_a_clock_that_is_set_while_a_certificate_is_made_does_not_get_into_its_seal(
    city: Any, clock: Any, guarded: tuple[Any, Backlog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits reserved, costs no attempt meanwhile, and is finished when the clock is right again."""
    issuing, _ = guarded
    printed = carrying.print_document

    async def then_set(*arguments: Any) -> Any:
        rendered = await printed(*arguments)
        clock.advance(seconds=-60)
        return rendered

    monkeypatch.setattr(carrying, "print_document", then_set)
    with pytest.raises(ClockUntrusted):
        await approve(issuing, city.client, city.approval(0), "key-1")
    monkeypatch.undo()
    for _ in range(10):
        clock.advance(seconds=3)
        assert await sweep(issuing) == 0
    clock.advance(minutes=2)
    assert await sweep(issuing) == 1
    (row,) = await rows(issuing.database, CertificateRow)
    assert row.stage == "issued"


async def test_overdue_time_stamps_stop_issuing_until_they_are_made(city: Any, clock: Any, guarded: tuple[Any, Backlog]) -> None:
    issuing, backlog = guarded
    await approve(issuing, city.client, city.approval(0), "key-1")
    backlog.oldest = clock.now()
    clock.advance(minutes=11)
    with pytest.raises(TimestampsOverdue):
        await approve(issuing, city.client, city.approval(1), "key-2")
    assert ("failed", "TIMESTAMPS_OVERDUE") in await audit_trail(issuing.database, "certs.issue.approve")
    backlog.oldest = None
    assert (await approve(issuing, city.client, city.approval(1), "key-2")).status is OutcomeStatus.ISSUED
