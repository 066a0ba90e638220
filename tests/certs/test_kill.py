"""kill -9 while issuing: afterwards no number without a document, no document without a record, nothing acknowledged lost."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from certs.blobs import FolderBlobStore
from certs.issuance import approve, sweep
from certs.models import CertificateRow, EventRow, IssuingRow
from keys.base.clock import SystemClock

ISSUER = Path(__file__).with_name("issuer_process.py")
KILLS = int(os.environ.get("FUJIE_TEST_KILLS", "3"))


async def issue_until_killed(database_url: str, city: Any, blobs_root: Path, key_file: Path, seconds: float, first: int) -> list[str]:
    """Start a process that issues without pause, kill it after a while; what it had acknowledged by then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ISSUER), database_url, str(blobs_root), str(key_file), city.client.id, str(first),
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    await asyncio.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    acknowledged = (await process.stdout.read()).decode().split()
    await process.wait()
    return acknowledged


@pytest.mark.timeout(60 + 15 * KILLS)
async def test_killed_at_random_moments_nothing_is_lost_or_left_half_done(
    city: Any, database_url: str, blobs: FolderBlobStore, tmp_path: Path, clock: Any
) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    acknowledged: list[str] = []
    for turn in range(KILLS):
        acknowledged += await issue_until_killed(
            database_url, city, tmp_path / "blobs", tmp_path / "key-encryption-key", chance.uniform(0.0, 1.5), turn * 1000
        )
    clock.instant = SystemClock().now()
    clock.advance(seconds=20)
    while await sweep(city.issuing):
        pass
    async with city.issuing.database.session() as session:
        certificates = list(await session.scalars(select(CertificateRow)))
        unfinished = list(await session.scalars(select(IssuingRow.certificate_id).where(IssuingRow.stage == "reserved")))
        events = list(await session.scalars(select(EventRow.certificate_id)))
    assert not unfinished
    assert {one.stage for one in certificates} == {"issued"}
    assert sorted(events) == sorted(one.id for one in certificates), "each was issued once"
    assert set(acknowledged) <= {one.identifier for one in certificates}
    assert len({one.identifier for one in certificates}) == len(certificates)
    for one in certificates:
        assert (await blobs.get(one.document_hash)).startswith(b"%PDF")
    print(f"{len(acknowledged)} acknowledged, {len(certificates)} issued")
    again = await approve(city.issuing, city.client, city.approval(), "key-0")
    assert again.identifier in {one.identifier for one in certificates}
