"""A backup comes back as it was, a damaged one is refused, and nothing that is there is overwritten."""

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from api import backup
from keys.base.actor import SYSTEM
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.object_store import ObjectBlobStore, S3Address
from keys.custody.reads import load_key, store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.log import establish_log, latest_checkpoint, sequence
from keys.evidence.verify import verify_log


class Instance:
    """What a backup is made of: a log with entries, a key, two documents."""

    def __init__(self, database: Database, url: str, keystore: SoftwareKeyStore, clock: Clock, folder: Path) -> None:
        self.database, self.url, self.keystore, self.clock = database, url, keystore, clock
        self.blobs, self.target = folder / "blobs", folder / "backup"

    async def fill(self) -> None:
        await establish_log(self.database, self.keystore, self.clock, "backup.example/log")
        for number in range(20):
            await record_alone(self.database, self.clock.now(), Event("test.event", f"thing:{number}", Outcome.DONE, SYSTEM))
        await sequence(self.database, self.keystore, self.clock)
        self.key = self.keystore.generate(Algorithm.P256, Purpose.TOKENS)
        async with self.database.begin() as session:
            await store_key(session, self.key, self.clock.now())
        self.digests = [await FolderBlobStore(self.blobs).put(content) for content in (b"one", b"two")]

    async def back_up(self) -> backup.Manifest:
        async with self.database.session() as session:
            row = await latest_checkpoint(session)
        assert row is not None
        return backup.back_up(self.url, self.blobs, self.target, now=self.clock.now(), checkpoint=row.note)


@pytest.fixture
async def instance(database: Database, database_url: str, keystore: SoftwareKeyStore, clock: Clock, tmp_path: Path) -> Instance:
    made = Instance(database, database_url, keystore, clock, tmp_path)
    await made.fill()
    return made


async def test_what_comes_back_is_what_was(instance: Instance, empty_url: str, tmp_path: Path) -> None:
    manifest = await instance.back_up()
    assert manifest.files == 2
    restored = tmp_path / "restored"
    assert backup.restore(empty_url, restored, instance.target) == manifest
    assert [await FolderBlobStore(restored).get(digest) for digest in instance.digests] == [b"one", b"two"]
    database = Database(empty_url)
    report = await verify_log(database, kept=[manifest.checkpoint])
    assert report.whole
    assert report.entries == 20
    async with database.session() as session:
        key = await load_key(session, instance.key.id)
        guards = await session.scalar(text("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'audit_%'"))
    await database.close()
    assert guards == 2
    assert instance.keystore.sign(key, b"still signs", Purpose.TOKENS)


async def test_a_backup_holds_no_key_that_opens_it(instance: Instance) -> None:
    await instance.back_up()
    kek = instance.keystore.path.read_bytes()
    assert all(kek not in path.read_bytes() for path in instance.target.rglob("*") if path.is_file())


async def test_modes_let_nobody_else_read(instance: Instance) -> None:
    await instance.back_up()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (instance.target / "blobs").rglob("*"))
    assert instance.target.stat().st_mode & 0o077 == 0


async def test_an_instance_without_documents_comes_back(instance: Instance, empty_url: str, tmp_path: Path) -> None:
    instance.blobs = tmp_path / "none"
    assert (await instance.back_up()).files == 0
    assert backup.restore(empty_url, tmp_path / "restored", instance.target).files == 0


async def test_an_existing_folder_is_not_touched(instance: Instance) -> None:
    instance.target.mkdir()
    with pytest.raises(backup.BackupExists):
        await instance.back_up()
    assert list(instance.target.iterdir()) == []


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", ["dump", "file", "file gone", "file more", "manifest", "no manifest"])
async def test_a_damaged_backup_restores_nothing(instance: Instance, empty_url: str, tmp_path: Path, harm: str) -> None:
    await instance.back_up()
    document = next((instance.target / "blobs").glob("??/??/*"))
    if harm == "dump":
        _flip(instance.target / "database.dump")
    elif harm == "file":
        _flip(document)
    elif harm == "file gone":
        document.unlink()
    elif harm == "file more":
        document.with_name("f" * 64).write_bytes(b"")
    elif harm == "manifest":
        (instance.target / "manifest.json").write_text('{"format": 1}')
    else:
        (instance.target / "manifest.json").unlink()
    with pytest.raises(backup.BackupDamaged):
        backup.restore(empty_url, tmp_path / "restored", instance.target)
    assert not (tmp_path / "restored").exists()
    assert not backup.holds_tables(empty_url)


async def test_nothing_is_overwritten(instance: Instance, empty_url: str, tmp_path: Path) -> None:
    await instance.back_up()
    with pytest.raises(backup.RestoreWouldOverwrite):
        backup.restore(instance.url, tmp_path / "restored", instance.target)
    occupied = tmp_path / "occupied"
    await FolderBlobStore(occupied).put(b"somebody's")
    with pytest.raises(backup.RestoreWouldOverwrite):
        backup.restore(empty_url, occupied, instance.target)


def test_the_password_travels_in_the_environment() -> None:
    found = backup.connection_parameters("postgresql+asyncpg://fu%40jie:s%2Fecret@db.example:5433/fujie?ssl=require")
    assert found == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "fu@jie",
        "PGPASSWORD": "s/ecret",
        "PGDATABASE": "fujie",
        "PGSSLMODE": "require",
    }
    assert backup.connection_parameters("postgresql+asyncpg://u:p@/d?host=/run/x")["PGHOST"] == os.fspath(Path("/run/x"))


async def test_files_in_a_bucket_are_backed_up_and_come_back(instance: Instance, empty_url: str, s3_address: S3Address) -> None:
    bucket = ObjectBlobStore(s3_address)
    kept = [await bucket.put(content) for content in (b"one", b"two", b"three")]
    async with instance.database.session() as session:
        row = await latest_checkpoint(session)
    assert row is not None
    made = await asyncio.to_thread(
        backup.back_up, instance.url, ObjectBlobStore(s3_address), instance.target, now=instance.clock.now(), checkpoint=row.note
    )
    assert made.files == 3
    for digest in kept[:2]:
        await bucket.forget(digest)
    assert await asyncio.to_thread(backup.restore, empty_url, ObjectBlobStore(s3_address), instance.target) == made
    assert [await bucket.get(digest) for digest in kept] == [b"one", b"two", b"three"]
    await bucket.put(b"somebody's")
    with pytest.raises(backup.RestoreWouldOverwrite):
        await asyncio.to_thread(backup.restore, empty_url, ObjectBlobStore(s3_address), instance.target)
