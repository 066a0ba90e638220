"""Attacks on custody: what a crash leaves behind, two processes at once, backups that were changed or broke off."""

import dataclasses
import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text

from api import backup
from identity.id_tokens import KeyRing
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.base.ids import new_id
from keys.custody import wrapping
from keys.custody.encryption_keys import EncryptionKeys
from keys.custody.errors import KeyPurposeMismatch, KeyUnreadable
from keys.custody.reads import load_key, store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey
from keys.evidence.log import establish_log
from keys.jwks import SigningKey, add_signing_key, sign_jws, thumbprint
from keys.rotation import ensure_signing_keys
from tests.conftest import TestClock


def _planted(kek: bytes) -> StoredKey:
    """A key that somebody who may write to the database wraps under a key-encryption key of their own choice."""
    bare = StoredKey(new_id(), Algorithm.AES256, Purpose.PERSONAL_DATA, b"", b"")
    return dataclasses.replace(bare, wrapped=wrapping.seal(AESGCM(kek), bytes(32), wrapping.identity(bare)))


def test_what_is_left_of_a_forgotten_key_opens_nothing(keystore: SoftwareKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the old key was overwritten and before its file is gone: nobody may know what stands there."""
    files = keystore.encryption_keys
    files.begin()
    files.switch()

    class Killed(BaseException):
        pass

    def killed(_: Path, missing_ok: bool = False) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            files.forget_previous()
    with pytest.raises(KeyUnreadable):
        SoftwareKeyStore(keystore.path).require_own(_planted(bytes(32)))


def test_a_file_that_is_renamed_while_it_is_looked_for_is_no_failure(keystore: SoftwareKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process switches between our look and our reading."""
    ours, theirs = EncryptionKeys(keystore.path), EncryptionKeys(keystore.path)
    theirs.begin()
    really, old = Path.open, ours.opening()[0]

    def switched(path: Path, *options: Any) -> Any:
        if path == theirs.next and path.exists():
            theirs.switch()
        return really(path, *options)

    monkeypatch.setattr(Path, "open", switched)
    assert ours.sealing() is not old


def test_changes_one_after_another_disturb_no_reader(keystore: SoftwareKeyStore) -> None:
    """Three threads make and open keys, with stores of their own, while the key-encryption key changes twenty times."""
    stores, ended, failed = [SoftwareKeyStore(keystore.path) for _ in range(3)], threading.Event(), []

    def work(store: SoftwareKeyStore) -> None:
        while not ended.is_set():
            try:
                key = store.generate(Algorithm.AES256, Purpose.PERSONAL_DATA)
                store.decrypt(key, store.encrypt(key, b"x", b""), b"")
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for _ in range(20):
        keystore.encryption_keys.begin()
        keystore.encryption_keys.switch()
        keystore.encryption_keys.forget_previous()
    ended.set()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.fixture
async def saved(database: Database, database_url: str, keystore: SoftwareKeyStore, clock: TestClock, tmp_path: Path) -> Path:
    """A backup with a log's key and three documents."""
    await establish_log(database, keystore, clock, "backup.example/log")
    for content in (b"one", b"two", b"three"):
        await FolderBlobStore(tmp_path / "blobs").put(content)
    backup.back_up(database_url, tmp_path / "blobs", tmp_path / "saved", now=clock.now(), checkpoint="")
    return tmp_path / "saved"


def _documents(folder: Path) -> Iterator[Path]:
    return (path for path in sorted((folder / "blobs").rglob("*")) if path.is_file())


async def test_a_document_in_another_place_of_the_backup_is_damage(saved: Path) -> None:
    """Restored as it stands, nobody would find it."""
    backup.check(saved)
    document = next(_documents(saved))
    elsewhere = saved / "blobs" / "zz" / "zz" / document.name
    elsewhere.parent.mkdir(parents=True)
    document.rename(elsewhere)
    with pytest.raises(backup.BackupDamaged):
        backup.check(saved)


async def test_a_restore_that_was_killed_is_done_again(
    saved: Path, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two documents, and after the last: the same command finishes, and nothing is missing."""
    target, copy = tmp_path / "new" / "blobs", shutil.copyfile
    copied: list[Path] = []

    class Killed(BaseException):
        pass

    def killed(source: Path, place: Path) -> None:
        if len(copied) == 2:
            place.write_bytes(source.read_bytes()[:1])
            raise Killed
        copy(source, place)
        copied.append(place)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", killed)
        with pytest.raises(Killed):
            backup.restore(empty_url, target, saved)
    backup.restore(empty_url, target, saved)
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in _documents(tmp_path / "new")} == {
        path.name for path in _documents(saved)
    }
    with pytest.raises(backup.RestoreWouldOverwrite):
        backup.restore(empty_url, target, saved)


async def test_documents_of_others_are_not_mixed_with_restored_ones(saved: Path, empty_url: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "blobs"
    await FolderBlobStore(target).put(b"somebody's")
    with pytest.raises(backup.RestoreWouldOverwrite):
        backup.restore(empty_url, target, saved)
    assert not backup.holds_tables(empty_url)


SWAPS = {
    "wrapped": "UPDATE keys.stored_keys a SET wrapped = b.wrapped FROM keys.stored_keys b WHERE a.id = :a AND b.id = :b",
    "public": "UPDATE keys.stored_keys a SET public = b.public FROM keys.stored_keys b WHERE a.id = :a AND b.id = :b",
    "both": "UPDATE keys.stored_keys a SET wrapped = b.wrapped, public = b.public FROM keys.stored_keys b WHERE a.id = :a AND b.id = :b",
    "purpose": "UPDATE keys.stored_keys SET purpose = 'authority' WHERE id IN (:a, :b)",
    "algorithm": "UPDATE keys.stored_keys SET algorithm = 'SM2' WHERE id IN (:a, :b)",
}


async def test_rows_that_were_swapped_in_the_database_sign_nothing(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock
) -> None:
    for statement in SWAPS.values():
        seals, tokens = keystore.generate(Algorithm.P256, Purpose.SEALS), keystore.generate(Algorithm.P256, Purpose.TOKENS)
        async with database.begin() as session:
            for key in (seals, tokens):
                await store_key(session, key, clock.now())
            await session.execute(text(statement), {"a": seals.id, "b": tokens.id})
        async with database.session() as session:
            changed = await load_key(session, seals.id)
        assert changed != seals
        for purpose in (Purpose.SEALS, Purpose.TOKENS, Purpose.AUTHORITY):
            with pytest.raises((KeyUnreadable, KeyPurposeMismatch)):
                SoftwareKeyStore(keystore.path).sign(changed, b"message", purpose)


async def test_a_key_written_to_the_database_is_not_published_and_not_believed(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock, tmp_path: Path
) -> None:
    """The forger has the database alone, and a key store of their own."""
    await ensure_signing_keys(database, keystore, clock)
    ring, forger = KeyRing(database, keystore), SoftwareKeyStore.create(tmp_path / "forger")
    made = forger.generate(Algorithm.P256, Purpose.TOKENS)
    forged = SigningKey(thumbprint(made.public), "ES256", made, clock.now(), clock.advance(days=-1))
    seal = keystore.generate(Algorithm.P256, Purpose.SEALS)
    other = SigningKey(thumbprint(seal.public), "ES256", seal, clock.now(), clock.now())
    clock.advance(days=2)
    async with database.begin() as session:
        await add_signing_key(session, forged)
        await add_signing_key(session, other)
    now = clock.now()
    published = {key["kid"] for key in (await ring.published(now))["keys"]}
    assert len(published) == 2
    assert not published & {forged.kid, other.kid}
    claims = orjson.dumps({"sub": "somebody else"})
    assert await ring.recognise(now, "JWT", sign_jws(forger, forged, {"typ": "JWT"}, claims)) is None
    assert await ring.recognise(now, "JWT", await ring.sign(now, "ES256", "JWT", {"sub": "us"})) == {"sub": "us"}


async def test_a_public_half_put_in_place_of_ours_is_not_published(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock
) -> None:
    await ensure_signing_keys(database, keystore, clock)
    theirs = keystore.generate(Algorithm.P256, Purpose.TOKENS).public
    async with database.begin() as session:
        await session.execute(text("UPDATE keys.stored_keys SET public = :theirs WHERE algorithm = 'EC_P256'"), {"theirs": theirs})
    assert [key["alg"] for key in (await KeyRing(database, keystore).published(clock.now()))["keys"]] == ["RS256"]
