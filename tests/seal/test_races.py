"""Nothing is stamped after the right to stamp has ended: three hundred races; ``make race-campaign`` runs ten thousand."""

import asyncio
import random
import time

import pytest
from sqlalchemy import text

from keys.base.db import Database
from keys.base.errors import FujieError
from seal import permits, reads
from seal.policy import NotPermitted
from tests.conftest import BEGINNING
from tests.seal.conftest import City
from tests.seal.races import EXPECTED, Arena, RunningClock, Tally

STAMPERS = 6
ROUNDS = ["suspend", "grant", "delegation", "delegator", "certificate", "requirements"] * 8 + ["lost", "cancel"]


@pytest.fixture
async def racing(database, database_url, keystore, city):
    """The city of the tests with a clock that runs."""
    async with database.begin() as session:
        await session.execute(text("CREATE EXTENSION IF NOT EXISTS pg_walinspect"))
    wide = Database(database_url, pool_size=32)
    yield City(wide, keystore, RunningClock(BEGINNING, time.time()))
    await wide.close()


@pytest.mark.timeout(300)
async def test_three_hundred_races_leave_no_stamp_after_the_end(racing):
    arena = Arena(racing, "approval", racing.matter, random.Random(20261122))
    await arena.prepare()
    tally = Tally()
    for start in range(0, len(ROUNDS), 10):
        tally.add(await arena.run(ROUNDS[start : start + 10], STAMPERS))
    assert tally.breaches == []
    assert tally.races == len(ROUNDS) * STAMPERS >= 300
    assert set(tally.stamped) | set(tally.refused) == set(EXPECTED)
    assert min(tally.stamped.total(), tally.refused.total()) >= 20, (tally.stamped, tally.refused)


@pytest.mark.parametrize("quota", [{"quota_total": 1}, {"quota_day": 1}])
async def test_of_sixty_four_at_once_one_comes_under_a_quota_of_one(city, approval_seal, database_url, quota):
    await city.grant(approval_seal, city.approver, **quota)
    given = [await permits.request_permit(city.database, city.clock, city.use(approval_seal)) for _ in range(64)]
    wide = Database(database_url, pool_size=64)
    together = asyncio.Barrier(64)

    async def one(permit):
        async with wide.begin() as session:
            await session.execute(text("SELECT 1"))  # every one has a connection of its own
            await together.wait()
            await permits.consume_permit(session, city.clock.now(), permit, city.document)

    results = await asyncio.gather(*(one(permit) for permit in given), return_exceptions=True)
    await wide.close()
    refused = [result for result in results if isinstance(result, NotPermitted)]
    assert results.count(None) == 1
    assert {error.code for error in refused} == {"QUOTA_TOTAL_EXHAUSTED" if "quota_total" in quota else "QUOTA_DAY_EXHAUSTED"}
    assert len(refused) == 63
    async with city.database.session() as session:
        assert len(await reads.uses_of(session, approval_seal.code)) == 1
        assert await session.scalar(text("SELECT used FROM seal.grant_counters")) == 1
    with pytest.raises(FujieError) as refusal:
        await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    assert refusal.value.code.startswith("QUOTA_")
