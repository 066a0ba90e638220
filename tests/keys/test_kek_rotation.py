"""A new key-encryption key: every key is wrapped anew, whatever dies in between and whoever goes on working."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from keys.base.db import Database
from keys.custody.encryption_keys import EncryptionKeys, read_key_file
from keys.custody.errors import KeyUnreadable
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.private_file import in_memory
from keys.custody.reads import erase_key, load_key, store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey
from keys.kek_rotation import SETTLE, KeyEncryptionKeyElsewhere, KeyEncryptionKeyUnsettled, finish, own_store, rewrap_all, rotate

KINDS = (Algorithm.P256, Algorithm.SM2, Algorithm.ED25519)


async def _make(database: Database, store: SoftwareKeyStore, clock: Any, count: int = 6) -> list[StoredKey]:
    keys = [store.generate(KINDS[place % 3], Purpose.SEALS) for place in range(count)]
    async with database.begin() as session:
        for key in keys:
            await store_key(session, key, clock.now())
    return keys


async def _all_sign(database: Database, store: SoftwareKeyStore, keys: list[StoredKey]) -> bool:
    async with database.session() as session:
        stored = [await load_key(session, key.id) for key in keys]
    return all(store.sign(key, b"message", Purpose.SEALS) for key in stored)


def _settled(clock: Any, store: SoftwareKeyStore) -> None:
    since = store.encryption_keys.kept_since()
    assert since is not None
    clock.instant = since + SETTLE


async def test_every_key_is_wrapped_anew_and_the_old_one_is_forgotten(database: Database, keystore: SoftwareKeyStore, clock: Any) -> None:
    keys, old = await _make(database, keystore, clock), read_key_file(keystore.path)
    async with database.begin() as session:
        await erase_key(session, keys[-1].id)
    assert await rotate(database, keystore, clock) == 5
    files = keystore.encryption_keys
    assert read_key_file(files.previous) == old != read_key_file(files.path)
    assert not files.next.exists()
    assert files.path.stat().st_mode & 0o777 == 0o600
    _settled(clock, keystore)
    clock.advance(seconds=-1)
    assert not await finish(database, keystore, clock), "a slow process may not have read the new one"
    _settled(clock, keystore)
    assert await finish(database, keystore, clock)
    assert not files.previous.exists()
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), keys[:-1])
    assert not await finish(database, keystore, clock), "only once"
    (stranger := keystore.path.with_name("old")).write_bytes(old)
    stranger.chmod(0o600)
    with pytest.raises(KeyUnreadable):
        await _all_sign(database, SoftwareKeyStore(stranger), keys[:1])


async def test_a_process_that_runs_all_the_while_reads_and_makes_keys(database: Database, keystore: SoftwareKeyStore, clock: Any) -> None:
    running = SoftwareKeyStore(keystore.path)
    keys = await _make(database, running, clock)
    await rotate(database, keystore, clock)
    assert await _all_sign(database, running, keys)
    made = await _make(database, running, clock, 3)
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), made)
    assert running.sign(keys[0], b"message", Purpose.SEALS), "a key as it was wrapped before"


async def test_a_key_that_a_slow_process_wrapped_under_the_old_one_is_not_lost(
    database: Database, keystore: SoftwareKeyStore, clock: Any
) -> None:
    late = keystore.generate(Algorithm.P256, Purpose.SEALS)
    await rotate(database, keystore, clock)
    async with database.begin() as session:
        await store_key(session, late, clock.now())
    _settled(clock, keystore)
    assert await finish(database, keystore, clock)
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), [late])


async def _half(database: Database, store: SoftwareKeyStore) -> None:
    store.encryption_keys.begin()
    async with database.begin() as session:
        first = await session.scalar(text("SELECT id FROM keys.stored_keys ORDER BY id LIMIT 1"))
        key = store.rewrapped(await load_key(session, first))
        await session.execute(text("UPDATE keys.stored_keys SET wrapped = :new WHERE id = :id"), {"new": key.wrapped, "id": key.id})


async def _begun(_: Database, store: SoftwareKeyStore) -> None:
    store.encryption_keys.begin()


async def _rewrapped(database: Database, store: SoftwareKeyStore) -> None:
    store.encryption_keys.begin()
    await rewrap_all(database, store)


async def _linked(database: Database, store: SoftwareKeyStore) -> None:
    await _rewrapped(database, store)
    os.link(store.path, store.encryption_keys.previous)


@pytest.mark.parametrize("killed", [_begun, _half, _rewrapped, _linked])
async def test_killed_anywhere_every_key_opens_and_the_command_goes_on(
    database: Database, keystore: SoftwareKeyStore, clock: Any, killed: Callable[..., Any]
) -> None:
    keys = await _make(database, keystore, clock)
    await killed(database, keystore)
    fresh = SoftwareKeyStore(keystore.path)
    assert await _all_sign(database, fresh, keys)
    keys += await _make(database, fresh, clock, 3)
    assert not await finish(database, fresh, clock), "nothing is forgotten before the switch"
    await rotate(database, fresh, clock)
    _settled(clock, fresh)
    assert await finish(database, fresh, clock)
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), keys)


async def test_a_second_change_waits_for_the_first(database: Database, keystore: SoftwareKeyStore, clock: Any) -> None:
    keys = await _make(database, keystore, clock)
    await rotate(database, keystore, clock)
    clock.instant = dt.datetime.now(dt.UTC)
    with pytest.raises(KeyEncryptionKeyUnsettled) as refused:
        await rotate(database, keystore, clock)
    assert (refused.value.code, refused.value.status) == ("KEY_ENCRYPTION_KEY_UNSETTLED", 409)
    _settled(clock, keystore)
    await rotate(database, keystore, clock)
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), keys)


async def test_a_key_that_opens_under_none_stops_the_change_and_loses_nothing(
    database: Database, keystore: SoftwareKeyStore, clock: Any, tmp_path: Path
) -> None:
    keys = await _make(database, keystore, clock)
    await _make(database, SoftwareKeyStore.create(tmp_path / "stranger"), clock, 1)
    with pytest.raises(KeyUnreadable):
        await rotate(database, keystore, clock)
    files = keystore.encryption_keys
    assert files.next.exists()
    assert files.path.exists()
    assert await _all_sign(database, SoftwareKeyStore(keystore.path), keys)


async def test_it_is_audited(database: Database, keystore: SoftwareKeyStore, clock: Any) -> None:
    await _make(database, keystore, clock)
    await rotate(database, keystore, clock)
    _settled(clock, keystore)
    await finish(database, keystore, clock)
    async with database.session() as session:
        bodies = [orjson.loads(body) for body in await session.scalars(text("SELECT body FROM keys.audit_events ORDER BY id"))]
    assert [(body["action"], body["outcome"], body["details"]) for body in bodies] == [
        ("keys.encryption_key.rotate", "intent", {}),
        ("keys.encryption_key.rotate", "done", {"keys": 6}),
        ("keys.encryption_key.forget", "done", {"keys": 0}),
    ]


def test_a_key_from_elsewhere_is_not_changed_here(token_store: Pkcs11KeyStore) -> None:
    held = SoftwareKeyStore(in_memory("key", bytes(range(32))))
    for store in (held, token_store):
        with pytest.raises(KeyEncryptionKeyElsewhere):
            own_store(store)


def test_files_are_read_again_only_when_they_changed(keystore: SoftwareKeyStore) -> None:
    files = EncryptionKeys(keystore.path)
    assert not files.reread()
    files.begin()
    assert not files.reread()
    assert keystore.encryption_keys.reread()
