"""Documents at PAdES levels above B-B, and kept provable: what a request may ask for, and what an absent authority leaves behind."""

import datetime as dt
import hashlib
from dataclasses import dataclass, replace

import pytest

from keys.base.actor import Role
from keys.base.errors import FujieError
from keys.pki.crl import current_crls
from keys.pki.reads import get_authorities
from keys.time.errors import TimestampUnavailable
from keys.time.reading import read_token
from keys.time.source import LocalTimestampSource, TimestampSource
from seal import levels
from seal.batch_values import BatchOrder
from seal.batch_work import work_batches, work_until_done
from seal.batches import batch_file, get_batch, move_batch, request_batch
from seal.document_approving import approve_request, sealed_file
from seal.document_carrying import sweep_requests
from seal.document_levels import Levels
from seal.document_lifecycle import BatchMove, BatchStatus, RequestStatus
from seal.document_reads import get_request
from seal.document_values import SealRequest
from seal.grants import Grant, grant_use
from seal.levels_obtaining import Obtaining
from seal.making import make_seal
from seal.matters import Matter, put_matter
from seal.trust import Trust
from seal.upgrades import Upgrading, backlog, keep_up, version_of
from seal.verdict import Indication
from seal.verification import verify
from tests.seal import hostile_pdfs as hostile
from tests.seal.sealing_house import House, house, rebuilder, trust_of

__all__ = ["house", "rebuilder"]
TOLD = {"B-T": "PAdES-B-T", "B-LT": "PAdES-B-T", "B-LTA": "PAdES-B-LTA"}


@dataclass(eq=False)
class Source:
    inner: TimestampSource
    away: bool = False

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        if self.away:
            raise TimestampUnavailable("nobody answers")
        return await self.inner.stamp(digest, algorithm)


def stamping(house: House, *, kept: bool = False) -> Source:
    """Gives the house time stamps."""
    city = house.city
    source = Source(LocalTimestampSource(city.database, city.keystore, city.clock))
    obtaining = Obtaining(city.database, city.keystore, city.clock, house.sealing.workers, source)
    house.sealing = replace(house.sealing, levels=Levels(obtaining, kept))
    return source


async def trust_with_lists(house: House) -> Trust:
    """The roots and every authority's current list, as whoever verifies here has them."""
    city, roots = house.city, await trust_of(house)
    async with city.database.begin() as session:
        lists = await current_crls(session, city.keystore, city.clock.now(), await get_authorities(session))
    return Trust(roots.certificates, tuple(lists.values()))


async def approved(house: House, request: SealRequest) -> SealRequest:
    assert request.due.digest is not None
    return await approve_request(house.sealing, house.city.approver, request.id, request.due.digest.hex())


@pytest.mark.parametrize("level", TOLD)
async def test_a_request_chooses_its_level(house: House, level: str) -> None:
    stamping(house)
    done = await approved(house, await house.requested(level=level))
    assert done.status is RequestStatus.SEALED
    pdf = await sealed_file(house.sealing, house.clerk, done.id)
    found = levels.look(pdf)
    assert found.level == TOLD[level]
    authority = set(read_token(found.tokens[0]).certificates)
    assert (authority <= set(found.store.certificates)) == (level != "B-T"), "the authority's chain is in the file from B-LT on"
    verdict = verify(pdf, await trust_with_lists(house), house.city.clock.now())
    assert verdict.indication is Indication.TOTAL_PASSED, verdict
    alone = verify(pdf, await trust_of(house), house.city.clock.now()).indication
    assert alone is (Indication.INDETERMINATE if level == "B-T" else Indication.TOTAL_PASSED), "B-T does not bring the authority's lists"
    async with house.city.database.session() as session:
        assert await version_of(session, hashlib.sha256(pdf).digest()) is None


async def test_the_last_seal_of_a_joint_document_brings_the_level(house: House) -> None:
    stamping(house)
    city, health, matter = house.city, "11990100MB0000051T", "990100900777"
    keeper, doctor = (city.person(one, role, organisation=health) for one, role in (("k", Role.SEAL_KEEPER), ("doctor", Role.APPROVER)))
    order = city.order(organisation=health, organisation_name="示范市卫生健康委员会", name="示范市卫生健康委员会行政审批专用章")
    other = await make_seal(city.database, city.keystore, city.clock, keeper, order, reviewers=(city.reviewer, city.admin))
    now = city.clock.now()
    async with city.database.begin() as session:
        await put_matter(session, now, city.admin, Matter(matter, "联合审批", True, health))
        await grant_use(session, now, keeper, Grant(other.code, doctor.kind, doctor.id, matter, None, now, now + dt.timedelta(days=1)))
    second = house.line(other, matter, {"kind": "point", "page": 1, "x_mm": 60.0, "y_mm": 240.0})
    request = await approved(house, await house.requested(seals=(house.line(), second), level="B-LTA"))
    assert request.status is RequestStatus.AWAITING_APPROVAL
    assert request.seals[0].sealed_hash is not None
    assert levels.look(await house.sealing.blobs.get(request.seals[0].sealed_hash)).tokens == ()
    assert request.due.digest is not None
    done = await approve_request(house.sealing, doctor, request.id, request.due.digest.hex())
    pdf = await sealed_file(house.sealing, house.clerk, done.id)
    found = levels.look(pdf)
    assert (len(found.signatures), len(found.timestamps), len(found.tokens)) == (2, 1, 2)
    verdict = verify(pdf, await trust_of(house), house.city.clock.now())
    assert verdict.indication is Indication.TOTAL_PASSED, verdict


async def test_an_authority_that_is_away_seals_nothing_until_it_is_back(house: House) -> None:
    source = stamping(house)
    source.away = True
    request = await house.requested(level="B-LTA")
    with pytest.raises(TimestampUnavailable):
        await approved(house, request)
    async with house.city.database.session() as session:
        waiting = await get_request(session, house.clerk, request.id)
    assert (waiting.status, waiting.due.sealed_hash) == (RequestStatus.STAMPING, None)
    source.away = False
    house.city.clock.advance(seconds=30)
    assert await sweep_requests(house.sealing) == 1
    assert levels.look(await sealed_file(house.sealing, house.clerk, request.id)).level == "PAdES-B-LTA"


async def test_a_batch_has_a_level_its_approver_agrees_to_and_its_files_are_kept(house: House) -> None:
    city, source = house.city, stamping(house, kept=True)
    documents = tuple([await house.uploaded(city.client, hostile.document(pages=number)) for number in (1, 2)])
    place = {"kind": "point", "page": 1, "x_mm": 150.0, "y_mm": 240.0}
    order = BatchOrder("批量", house.seal.code, city.matter, None, documents, (place,), unattended=True, level="B-LTA")
    with pytest.raises(FujieError) as caught:
        await request_batch(house.sealing, city.client, replace(order, level="B-X"), house.key())
    assert caught.value.code == "STAMP_PLAN_INVALID"
    batch = await request_batch(house.sealing, city.client, order, house.key())
    lower = await request_batch(house.sealing, city.client, replace(order, level="B-B"), house.key())
    assert (batch.level, lower.level) == ("B-LTA", "B-B")
    assert batch.manifest != lower.manifest, "who agrees, agrees to the level"
    await move_batch(house.sealing, city.client, lower.id, BatchMove.CANCEL, "only the other")
    source.away = True
    await work_batches(house.sealing)
    assert (await get_batch(house.sealing, city.client, batch.id)).sealed == 0, "no authority, nothing half-stamped"
    source.away = False
    city.clock.advance(seconds=5)
    await work_until_done(house.sealing, seconds=60)
    done = await get_batch(house.sealing, city.client, batch.id)
    assert (done.status, done.sealed) == (BatchStatus.DONE, 2)
    for position in (0, 1):
        pdf = await batch_file(house.sealing, city.client, batch.id, position)
        assert levels.look(pdf).level == "PAdES-B-LTA"
        async with city.database.session() as session:
            version = await version_of(session, hashlib.sha256(pdf).digest())
        assert version is not None
        assert version.subject == f"batch:{batch.id}:{position}"


@pytest.mark.parametrize(("level", "due"), [("B-B", 1), ("B-LTA", 0)])
async def test_what_is_sealed_is_kept_provable_where_the_operator_says_so(house: House, level: str, due: int) -> None:
    stamping(house, kept=True)
    done = await approved(house, await house.requested(level=level))
    assert house.sealing.levels is not None
    async with house.city.database.session() as session:
        listed = await backlog(session, house.city.clock.now())
    assert (listed.kept, listed.due) == (1, due)
    upgrading = Upgrading(house.city.database, house.city.clock, house.sealing.blobs, house.sealing.levels.obtaining)
    assert await keep_up(upgrading) == due
    pdf = await sealed_file(house.sealing, house.clerk, done.id)
    assert levels.look(pdf).level == "PAdES-B-LTA"
    assert done.seals[-1].sealed_hash is not None
    async with house.city.database.session() as session:
        found = [await version_of(session, one) for one in (done.seals[-1].sealed_hash, hashlib.sha256(pdf).digest())]
    assert [one and (one.subject, one.superseded) for one in found] == [(f"request:{done.id}", bool(due)), (f"request:{done.id}", False)]


@pytest.mark.parametrize("wrong", [{"level": "B-X"}, {"level": "B-T", "profile": "gm.sm2seal"}])
async def test_a_level_that_there_is_not_is_refused(house: House, wrong: dict[str, str]) -> None:
    with pytest.raises(FujieError) as refused:
        await house.requested(**wrong)
    assert refused.value.code == "STAMP_PLAN_INVALID"
