"""Every key is tried: one that does not open, or opens to another key, is found among those that work."""

from pathlib import Path

import pytest
from sqlalchemy import text

from keys.base.clock import Clock
from keys.base.db import Database
from keys.checking import DESTROYED, WORKS, WRONG, KeyCheck, check_keys
from keys.custody.reads import store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey

SMALL = [algorithm for algorithm in Algorithm if not algorithm.startswith("RSA_3") and not algorithm.startswith("RSA_4")]


@pytest.fixture
async def stored(database: Database, keystore: SoftwareKeyStore, clock: Clock) -> list[StoredKey]:
    keys = [keystore.generate(algorithm, Purpose.SEALS) for algorithm in SMALL]
    async with database.begin() as session:
        for key in keys:
            await store_key(session, key, clock.now())
    return keys


async def _checked(database: Database, keystore: SoftwareKeyStore) -> dict[str, KeyCheck]:
    return {str(check.id): check async for check in check_keys(database, keystore)}


async def test_all_kinds_of_keys_work(database: Database, keystore: SoftwareKeyStore, stored: list[StoredKey]) -> None:
    checks = await _checked(database, keystore)
    assert {check.algorithm: check.result for check in checks.values()} == dict.fromkeys(map(str, SMALL), WORKS)


async def test_another_key_encryption_key_opens_none(database: Database, stored: list[StoredKey], tmp_path: Path) -> None:
    other = SoftwareKeyStore.create(tmp_path / "another")
    checks = await _checked(database, other)
    assert {check.result for check in checks.values()} == {"KEY_UNREADABLE"}
    assert not any(check.healthy for check in checks.values())


async def test_one_bad_key_does_not_hide_the_others(database: Database, keystore: SoftwareKeyStore, stored: list[StoredKey]) -> None:
    bad, gone = stored[0], stored[1]
    async with database.begin() as session:
        await session.execute(text("UPDATE keys.stored_keys SET wrapped = public WHERE id = :id"), {"id": bad.id})
        await session.execute(text("UPDATE keys.stored_keys SET wrapped = '' WHERE id = :id"), {"id": gone.id})
    checks = await _checked(database, keystore)
    assert checks[str(bad.id)].result == "KEY_UNREADABLE"
    assert checks[str(gone.id)].result == DESTROYED
    assert checks[str(gone.id)].healthy
    assert [check.healthy for check in checks.values()].count(False) == 1


class Confused(SoftwareKeyStore):
    """A key store that signs with the wrong key."""

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        return super().sign(key, message[1:], purpose)


async def test_a_key_that_is_not_its_public_halfs_is_found(database: Database, keystore: SoftwareKeyStore, stored: list[StoredKey]) -> None:
    checks = await _checked(database, Confused(keystore.path))
    signing = {check.result for check in checks.values() if check.algorithm in ("EC_P256", "SM2", "ED25519", "RSA_2048")}
    assert signing == {WRONG}
