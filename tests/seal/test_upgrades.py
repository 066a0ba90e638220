"""Files kept provable: upgraded, renewed, found by any of their hashes; and what a kill or an absent authority leaves behind."""

import asyncio
import datetime as dt
import hashlib
import signal
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from keys.base.blobs import FolderBlobStore
from keys.pki.ocsp import OcspService
from keys.time.errors import TimestampUnavailable
from keys.time.source import LocalTimestampSource, TimestampSource
from seal import levels, levels_obtaining, upgrades
from seal.levels_obtaining import Obtaining, add_document_timestamp, add_signature_timestamp, time_room
from seal.material import load_material
from seal.permits import request_permit
from seal.stamping import stamp
from seal.upgrade_policy import Renewal, Stamping, read_sunsets
from seal.upgrades import Upgrading, backlog, current_hash, enrol, keep_up, version_of
from tests.running import ROOT
from tests.stamped import PLACE, certificate_page

SUBJECT = "certificate:0190"


@dataclass(eq=False)
class Failing:
    """A source that is away until it is told to answer."""

    inner: TimestampSource
    away: bool = True
    asked: list[str] = field(default_factory=list)

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        self.asked.append(algorithm)
        if self.away:
            raise TimestampUnavailable("nobody answers")
        return await self.inner.stamp(digest, algorithm)


@dataclass(eq=False)
class Other:
    """A source that stamps something else than it was asked for."""

    inner: TimestampSource

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        return await self.inner.stamp(digest[::-1], algorithm)


CHILD = """
import asyncio, datetime as dt, os, signal, sys
from pathlib import Path
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.evidence import audit
from keys.time.source import LocalTimestampSource
from seal.levels_obtaining import Obtaining
from seal.upgrades import Upgrading, keep_up
from tests.conftest import TestClock
from tests.seal.sealing_house import Direct

url, key, blobs, now, step = sys.argv[1:]

class Store(FolderBlobStore):
    async def put(self, content):
        digest = await super().put(content)
        if step == "the file is written":
            os.kill(os.getpid(), signal.SIGKILL)
        return digest

async def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    database, keystore, clock = Database(url), SoftwareKeyStore(Path(key)), TestClock(dt.datetime.fromisoformat(now))
    obtaining = Obtaining(database, keystore, clock, Direct(), LocalTimestampSource(database, keystore, clock))
    if step == "everything is written but the commit":
        audit.record = killed
    await keep_up(Upgrading(database, clock, Store(Path(blobs)), obtaining))

asyncio.run(main())
"""


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def upgrading(city, workers, tmp_path: Path) -> Upgrading:
    source = Failing(LocalTimestampSource(city.database, city.keystore, city.clock), away=False)
    ocsp = OcspService(city.database, city.keystore, city.clock)
    obtaining = Obtaining(city.database, city.keystore, city.clock, workers, source, ocsp)
    return Upgrading(city.database, city.clock, FolderBlobStore(tmp_path / "blobs"), obtaining)


async def sealed(city, seal, **options) -> bytes:
    document = certificate_page()
    await city.grant(seal, city.approver)
    permit = await request_permit(city.database, city.clock, city.use(seal, document_hash=hashlib.sha256(document).digest()))
    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, city.clock.now(), seal.code)
    return stamp(permit, document, material, PLACE, city.keystore, city.clock.now(), **options).pdf


async def enrolled(city, seal, upgrading: Upgrading) -> bytes:
    """The hash of a sealed file that is kept up."""
    digest = await upgrading.blobs.put(await sealed(city, seal))
    async with city.database.begin() as session:
        await enrol(session, city.clock.now(), SUBJECT, digest)
    return digest


async def newest(upgrading: Upgrading, digest: bytes) -> bytes:
    async with upgrading.database.session() as session:
        return await current_hash(session, digest)


async def test_a_file_is_upgraded_and_both_hashes_lead_to_it(city, approval_seal, upgrading):
    first = await enrolled(city, approval_seal, upgrading)
    assert await keep_up(upgrading) == 1
    second = await newest(upgrading, first)
    pdf = await upgrading.blobs.get(second)
    assert pdf.startswith(await upgrading.blobs.get(first))
    found = levels.look(pdf)
    assert found.level == "PAdES-B-LTA"
    assert found.store.responses, "answers of the responder are kept with the lists"
    assert len(found.store.crls) == 6, "the lists of the authority that stamped it, too"
    async with city.database.session() as session:
        old, new = await version_of(session, first), await version_of(session, second)
        assert await version_of(session, bytes(32)) is None
    assert old is not None
    assert new is not None
    assert (old.subject, old.superseded, old.level) == (SUBJECT, True, "PAdES-B-B")
    assert (new.subject, new.superseded, new.first_hash) == (SUBJECT, False, first)
    assert await keep_up(upgrading) == 0, "nothing is due now"


async def test_a_file_is_renewed_before_the_stampers_certificate_ends(city, approval_seal, upgrading):
    first = await enrolled(city, approval_seal, upgrading)
    await keep_up(upgrading)
    second = await newest(upgrading, first)
    async with city.database.session() as session:
        row = (await session.execute(text("SELECT due_at, (SELECT max(ends_at) FROM seal.sealed_versions) FROM seal.sealed_files"))).one()
    due, ends = row
    assert city.clock.now() < due < ends
    city.clock.instant = due
    assert await keep_up(upgrading) == 1
    third = await newest(upgrading, first)
    assert third not in (first, second)
    assert len(levels.look(await upgrading.blobs.get(third)).timestamps) == 2


async def test_a_digest_that_ages_makes_the_next_one_due(city, approval_seal, upgrading):
    """What was stamped over SHA-256 is stamped over SHA-512 once an end of it is announced."""
    first = await enrolled(city, approval_seal, upgrading)
    announced = city.clock.now() + dt.timedelta(days=30)
    sunsets = read_sunsets(f"sha256={announced:%Y-%m-%d},sha384={announced:%Y-%m-%d}")
    assert await keep_up(replace(upgrading, renewal=Renewal(sunsets))) == 1
    assert upgrading.obtaining.source.asked[-1] == "sha512"
    place = levels.look(await upgrading.blobs.get(await newest(upgrading, first))).last
    assert place.covered[0] > 0


async def test_an_end_announced_later_makes_older_stamps_due(city, approval_seal, upgrading):
    first = await enrolled(city, approval_seal, upgrading)
    assert await keep_up(upgrading) == 1
    second = await newest(upgrading, first)
    city.clock.advance(days=2)
    sunset = city.clock.now() + dt.timedelta(days=1)
    warned = replace(upgrading, renewal=Renewal(read_sunsets(f"sha256={sunset:%Y-%m-%d}")))
    assert await keep_up(upgrading) == 0
    assert await keep_up(warned) == 1
    assert await newest(upgrading, first) != second
    assert upgrading.obtaining.source.asked[-1] == "sha384"
    assert await keep_up(warned) == 0


async def test_where_every_digest_has_ended_nothing_is_stamped_again_and_again(city, approval_seal, upgrading):
    await enrolled(city, approval_seal, upgrading)
    ended = replace(upgrading, renewal=Renewal(read_sunsets("sha256=2020-01-01,sha384=2020-01-01,sha512=2020-01-01")))
    assert await keep_up(ended) == 1
    assert await keep_up(ended) == 0


async def test_a_token_larger_than_its_room_is_asked_for_again(city, approval_seal, upgrading, monkeypatch):
    monkeypatch.setattr(levels_obtaining, "TOKEN_ROOM", 64)
    made = await levels_obtaining.add_document_timestamp(upgrading.obtaining, await sealed(city, approval_seal))
    assert levels.look(made.pdf).level == made.level == "PAdES-B-LTA"
    assert len(upgrading.obtaining.source.asked) == 3, "who signs, too little room, enough"


async def test_a_new_signer_is_noticed_in_its_first_token(city, approval_seal, upgrading):
    """Its chain and lists must stand in the DSS that it stamps, and the one who stamped a minute ago is remembered."""
    pdf = await sealed(city, approval_seal)
    before = await levels_obtaining.add_document_timestamp(upgrading.obtaining, pdf)
    rest = (city.clock.now() + (before.ends_at - city.clock.now()) / 2) - city.clock.now()
    upgrading.obtaining.source.inner = LocalTimestampSource(city.database, city.keystore, city.clock)
    known = levels_obtaining._stampers[upgrading.obtaining.source]
    city.clock.instant += rest + dt.timedelta(days=1)
    levels_obtaining._stampers[upgrading.obtaining.source] = replace(known, seen_at=city.clock.now())
    after = await levels_obtaining.add_document_timestamp(upgrading.obtaining, pdf)
    assert after.ends_at > before.ends_at
    certificates = levels.look(after.pdf).store.certificates
    assert levels_obtaining._stampers[upgrading.obtaining.source].certificate in certificates


async def test_an_authority_that_is_away_leaves_everything_due(city, approval_seal, upgrading):
    first = await enrolled(city, approval_seal, upgrading)
    upgrading.obtaining.source.away = True
    assert await keep_up(upgrading) == 0
    assert await newest(upgrading, first) == first
    async with city.database.session() as session:
        waiting = await backlog(session, city.clock.now())
    assert (waiting.kept, waiting.due, waiting.failing) == (1, 1, 1)
    assert await keep_up(upgrading) == 0, "it is not asked again at once"
    assert len(upgrading.obtaining.source.asked) == 1
    upgrading.obtaining.source.away = False
    city.clock.advance(minutes=2)
    assert await keep_up(upgrading) == 1
    assert await newest(upgrading, first) != first
    async with city.database.session() as session:
        assert (await backlog(session, city.clock.now())).due == 0


@pytest.mark.parametrize("step", ["before the file", "after the file"])
async def test_a_kill_leaves_the_old_version_in_force_and_the_work_due(city, approval_seal, upgrading, monkeypatch, step):
    first = await enrolled(city, approval_seal, upgrading)

    async def killed(*_: object) -> None:
        raise Killed

    target = (FolderBlobStore, "put") if step == "before the file" else (upgrades, "_record")
    with monkeypatch.context() as patched:
        patched.setattr(*target, killed)
        with pytest.raises(Killed):
            await keep_up(upgrading)
    assert await newest(upgrading, first) == first
    assert await keep_up(upgrading) == 0, "another process may still have it in hand"
    city.clock.advance(minutes=6)
    assert await keep_up(upgrading) == 1
    assert levels.look(await upgrading.blobs.get(await newest(upgrading, first))).level == "PAdES-B-LTA"


@pytest.mark.parametrize("step", ["the file is written", "everything is written but the commit"])
async def test_a_process_that_is_killed_leaves_the_old_version_in_force(city, approval_seal, upgrading, database_url, tmp_path, step):
    """SIGKILL: no handler runs, PostgreSQL loses its client in the middle of the transaction."""
    first = await enrolled(city, approval_seal, upgrading)
    arguments = (database_url, str(city.keystore.path), str(tmp_path / "blobs"), city.clock.now().isoformat(), step)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, *arguments, cwd=ROOT)
    assert await asyncio.wait_for(process.wait(), 100) == -signal.SIGKILL
    assert await newest(upgrading, first) == first
    async with city.database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM seal.sealed_versions"))).scalar() == 1
        assert (await backlog(session, city.clock.now())).due == 1
    city.clock.advance(minutes=6)
    assert await keep_up(upgrading) == 1
    assert levels.look(await upgrading.blobs.get(await newest(upgrading, first))).level == "PAdES-B-LTA"


async def test_a_token_over_something_else_is_not_written(city, approval_seal, upgrading):
    pdf = await sealed(city, approval_seal, time_room=await time_room(upgrading.obtaining))
    source = Other(upgrading.obtaining.source)
    with pytest.raises(levels.NotUpgradable):
        await add_signature_timestamp(replace(upgrading.obtaining, source=source), pdf)
    with pytest.raises(levels.NotUpgradable):
        await add_document_timestamp(replace(upgrading.obtaining, source=source), pdf)


async def test_two_that_renew_one_file_at_once_make_one_version(city, approval_seal, upgrading):
    first = await enrolled(city, approval_seal, upgrading)
    (file,) = await upgrades._take(upgrading)
    assert await upgrades._renew(upgrading, file)
    winner = await newest(upgrading, first)
    assert await upgrades._renew(upgrading, file)
    assert await newest(upgrading, first) == winner
    async with city.database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM seal.sealed_versions"))).scalar() == 2


async def test_a_file_that_is_gone_stays_due_and_says_so(city, approval_seal, upgrading):
    async with city.database.begin() as session:
        await enrol(session, city.clock.now(), SUBJECT, bytes(32))
        await enrol(session, city.clock.now(), SUBJECT, bytes(32))
    assert await keep_up(upgrading) == 0
    async with city.database.session() as session:
        assert (await session.execute(text("SELECT failure FROM seal.sealed_files"))).scalars().all() == ["DOCUMENT_GONE"]


async def test_a_file_is_stamped_at_bt_and_blt_with_what_its_verifier_needs(city, approval_seal, upgrading):
    room = await time_room(upgrading.obtaining)
    bare = await sealed(city, approval_seal, time_room=room)
    whole = await add_signature_timestamp(upgrading.obtaining, bare)
    found = levels.look(whole)
    assert found.level == "PAdES-B-T"
    assert set(room.validation.certificates) <= set(found.store.certificates)
    assert len(room.validation.crls) == 2


NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
YEAR = dt.timedelta(days=365)


@pytest.mark.parametrize(
    ("ends", "sunsets", "due"),
    [
        (NOW + 3 * YEAR, "", NOW + 3 * YEAR - dt.timedelta(days=180)),
        (NOW + dt.timedelta(days=100), "", NOW + dt.timedelta(days=50)),
        (NOW + 3 * YEAR, "sha256=2027-11-21", NOW + YEAR - dt.timedelta(days=180)),
        (NOW + 3 * YEAR, "sha256=2020-01-01", NOW + dt.timedelta(days=1)),
        (NOW - YEAR, "", NOW + dt.timedelta(days=1)),
    ],
)
def test_when_the_next_time_stamp_is_due(ends: dt.datetime, sunsets: str, due: dt.datetime) -> None:
    assert Renewal(read_sunsets(sunsets)).due(Stamping(NOW, ends, "sha256")) == due


@pytest.mark.parametrize(
    ("sunsets", "algorithm"), [("", "sha256"), ("sha256=2026-12-31", "sha384"), ("sha256=2020-01-01,sha384=2020-01-01", "sha512")]
)
def test_which_digest_is_taken(sunsets: str, algorithm: str) -> None:
    assert Renewal(read_sunsets(sunsets)).algorithm(NOW) == algorithm


@pytest.mark.parametrize("wrong", ["md5=2020-01-01", "sha256", "sha256=tomorrow", "=2020-01-01"])
def test_a_sunset_that_cannot_be_read_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_sunsets(wrong)
