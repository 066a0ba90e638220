"""The software key store: what it does, and everything it must refuse."""

import dataclasses
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.base.db import Database
from keys.base.ids import new_id
from keys.custody import algorithms
from keys.custody.errors import (
    CiphertextInvalid,
    KeyAlgorithmMismatch,
    KeyFileExists,
    KeyFileTooOpen,
    KeyFileUnusable,
    KeyNotFound,
    KeyPurposeMismatch,
    KeyUnreadable,
)
from keys.custody.reads import load_key, store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.models import StoredKeyRow

MESSAGE = b"message"
FAST = (Algorithm.P256, Algorithm.P384, Algorithm.ED25519, Algorithm.SM2, Algorithm.RSA2048)


def check(algorithm: Algorithm, public: bytes, signature: bytes, message: bytes) -> None:
    """Verifies with cryptography; raises InvalidSignature."""
    key = load_der_public_key(public)
    if isinstance(key, ec.EllipticCurvePublicKey):
        digest = hashes.SHA256() if algorithm is Algorithm.P256 else hashes.SHA384()
        key.verify(signature, message, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, message)


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.P384, Algorithm.ED25519, Algorithm.RSA2048, Algorithm.RSA3072])
def test_signatures_verify_elsewhere(keystore: KeyStore, algorithm: Algorithm) -> None:
    key = keystore.generate(algorithm, Purpose.DOCUMENTS)
    signature = keystore.sign(key, MESSAGE, Purpose.DOCUMENTS)
    check(algorithm, key.public, signature, MESSAGE)
    with pytest.raises(InvalidSignature):
        check(algorithm, key.public, signature, MESSAGE + b"!")


def test_every_algorithm_has_its_row() -> None:
    assert set(algorithms.SIGNING) | set(algorithms.CIPHERS) | set(algorithms.MACS) == set(Algorithm)


@pytest.mark.parametrize("algorithm", FAST)
def test_keys_differ_and_their_secret_is_not_in_the_clear(keystore: SoftwareKeyStore, algorithm: Algorithm) -> None:
    first, second = (keystore.generate(algorithm, Purpose.SEALS) for _ in range(2))
    assert first.public != second.public
    secret = keystore._unwrap(first)
    assert secret not in first.wrapped
    assert "wrapped" not in repr(first)


def test_a_key_serves_its_purpose_only(keystore: KeyStore) -> None:
    key = keystore.generate(Algorithm.P256, Purpose.TOKENS)
    with pytest.raises(KeyPurposeMismatch) as refused:
        keystore.sign(key, MESSAGE, Purpose.SEALS)
    assert (refused.value.code, refused.value.status) == ("KEY_PURPOSE_MISMATCH", 500)


def test_a_key_relabelled_does_not_open(keystore: KeyStore) -> None:
    """Purpose, algorithm, identifier and public half are authenticated with the secret."""
    key = keystore.generate(Algorithm.P256, Purpose.TOKENS)
    keystore.sign(key, MESSAGE, Purpose.TOKENS)  # so that a cache would have it
    other = keystore.generate(Algorithm.P256, Purpose.TOKENS)
    for change in ({"purpose": Purpose.SEALS}, {"algorithm": Algorithm.P384}, {"id": new_id()}, {"public": other.public}):
        relabelled = dataclasses.replace(key, **change)  # type: ignore[arg-type]
        with pytest.raises(KeyUnreadable) as refused:
            keystore.sign(relabelled, MESSAGE, relabelled.purpose)
        assert refused.value.code == "KEY_UNREADABLE"


@pytest.mark.parametrize("algorithm", [Algorithm.SM2, Algorithm.AES256])
def test_every_altered_octet_of_a_wrapped_key_is_noticed(keystore: KeyStore, algorithm: Algorithm) -> None:
    key = keystore.generate(algorithm, Purpose.SEALS)

    def use(changed: StoredKey) -> None:
        if algorithm is Algorithm.SM2:
            keystore.sign(changed, MESSAGE, Purpose.SEALS)
        else:
            keystore.encrypt(changed, MESSAGE, b"", Purpose.SEALS)

    use(key)
    for place in range(len(key.wrapped)):
        wrapped = key.wrapped[:place] + bytes([key.wrapped[place] ^ 0x40]) + key.wrapped[place + 1 :]
        with pytest.raises(KeyUnreadable):
            use(dataclasses.replace(key, wrapped=wrapped))
    for wrapped in (b"", key.wrapped[:-1], key.wrapped + b"\0"):
        with pytest.raises(KeyUnreadable):
            use(dataclasses.replace(key, wrapped=wrapped))


def test_another_store_cannot_open_it(keystore: KeyStore, tmp_path: Path) -> None:
    key = keystore.generate(Algorithm.ED25519, Purpose.LOG)
    stranger = SoftwareKeyStore.create(tmp_path / "other")
    with pytest.raises(KeyUnreadable):
        stranger.sign(key, MESSAGE, Purpose.LOG)


def test_operations_ask_for_the_right_kind(keystore: KeyStore) -> None:
    keys = {algorithm: keystore.generate(algorithm, Purpose.LOG) for algorithm in (Algorithm.P256, Algorithm.AES256, Algorithm.HMAC)}
    wrong = [
        lambda: keystore.sign(keys[Algorithm.AES256], MESSAGE, Purpose.LOG),
        lambda: keystore.sign(keys[Algorithm.HMAC], MESSAGE, Purpose.LOG),
        lambda: keystore.mac(keys[Algorithm.AES256], MESSAGE, Purpose.LOG),
        lambda: keystore.mac(keys[Algorithm.P256], MESSAGE, Purpose.LOG),
        lambda: keystore.encrypt(keys[Algorithm.HMAC], MESSAGE, b"", Purpose.LOG),
        lambda: keystore.decrypt(keys[Algorithm.P256], MESSAGE, b"", Purpose.LOG),
    ]
    for call in wrong:
        with pytest.raises(KeyAlgorithmMismatch) as refused:
            call()
        assert refused.value.code == "KEY_ALGORITHM_MISMATCH"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plaintext=st.binary(max_size=100), context=st.binary(max_size=40), place=st.integers(0, 10**6))
def test_encryption_is_undone_and_guards_every_octet(keystore: KeyStore, plaintext: bytes, context: bytes, place: int) -> None:
    key = keystore.generate(Algorithm.AES256, Purpose.PERSONAL_DATA)
    sealed = keystore.encrypt(key, plaintext, context)
    assert keystore.decrypt(key, sealed, context) == plaintext
    assert keystore.encrypt(key, plaintext, context) != sealed, "each has its own nonce"
    octet = place % len(sealed)
    altered = sealed[:octet] + bytes([sealed[octet] ^ 1]) + sealed[octet + 1 :]
    for ciphertext, said in ((altered, context), (sealed, context + b"?"), (sealed[:-1], context), (b"", context)):
        with pytest.raises(CiphertextInvalid) as refused:
            keystore.decrypt(key, ciphertext, said)
        assert refused.value.code == "CIPHERTEXT_INVALID"


def test_mac_is_rfc_2104(keystore: SoftwareKeyStore) -> None:
    """RFC 4231 case 2 through the same function, and our own key against the standard library."""
    jefe = algorithms.MACS[Algorithm.HMAC].load(b"Jefe")
    assert jefe(b"what do ya want for nothing?").hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    key = keystore.generate(Algorithm.HMAC, Purpose.PERSONAL_DATA)
    assert keystore.mac(key, b"a") == keystore.mac(key, b"a")
    assert keystore.mac(key, b"a") != keystore.mac(key, b"b")
    assert len(keystore.mac(key, b"")) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o666])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek"
    SoftwareKeyStore.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileTooOpen) as refused:
        SoftwareKeyStore(path)
    assert refused.value.code == "KEY_FILE_TOO_OPEN"
    assert f"{mode:04o}" in refused.value.detail


def test_the_key_file_is_made_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    old = os.umask(0)
    try:
        SoftwareKeyStore.create(path)
    finally:
        os.umask(old)
    before = path.read_bytes()
    assert (path.stat().st_mode & 0o7777, len(before)) == (0o600, 32)
    with pytest.raises(KeyFileExists):
        SoftwareKeyStore.create(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kek"], "no draft is left behind"


def test_of_two_who_create_one_wins(tmp_path: Path) -> None:
    def attempt(_: int) -> str:
        try:
            SoftwareKeyStore.create(tmp_path / "kek")
        except KeyFileExists as error:
            return error.code
        return "made"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == ["KEY_FILE_EXISTS"] * 7 + ["made"]


def test_key_files_that_are_none(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"too short")
    short.chmod(0o600)
    long = tmp_path / "long"
    long.write_bytes(bytes(33))
    long.chmod(0o600)
    for path in (short, long, tmp_path / "absent", tmp_path):
        with pytest.raises(KeyFileUnusable) as refused:
            SoftwareKeyStore(path)
        assert refused.value.code == "KEY_FILE_UNUSABLE"


def test_it_pickles_as_its_path_and_stays_one_store(keystore: SoftwareKeyStore) -> None:
    pickled = pickle.dumps(keystore)
    assert keystore.path.read_bytes() not in pickled
    assert len(pickled) < 600
    assert pickle.loads(pickled) is pickle.loads(pickled)


def test_another_process_signs_with_it(keystore: SoftwareKeyStore) -> None:
    key = keystore.generate(Algorithm.P256, Purpose.SEALS)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        signature = pool.submit(keystore.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
    check(Algorithm.P256, key.public, signature, MESSAGE)


def test_a_key_is_loaded_once(keystore: SoftwareKeyStore) -> None:
    key = keystore.generate(Algorithm.RSA2048, Purpose.TOKENS)
    for turn in range(5):
        again = dataclasses.replace(key, wrapped=bytes(bytearray(key.wrapped)))  # as read anew from the database
        keystore.sign(again, str(turn).encode(), Purpose.TOKENS)
    assert keystore._signer.cache_info().misses == 1
    assert keystore._signer.cache_info().hits == 4


async def test_keys_survive_the_database(database: Database, keystore: KeyStore, clock) -> None:
    key = keystore.generate(Algorithm.SM2, Purpose.SEALS)
    async with database.begin() as session:
        await store_key(session, key, clock.now())
    async with database.session() as session:
        assert await load_key(session, key.id) == key
        with pytest.raises(KeyNotFound):
            await load_key(session, new_id())


async def test_a_stored_key_of_an_unknown_kind_is_refused(database: Database, clock) -> None:
    strange = StoredKeyRow(id=new_id(), algorithm="ROT13", purpose="seals", public=b"", wrapped=b"", created_at=clock.now())
    async with database.begin() as session:
        session.add(strange)
    async with database.session() as session:
        with pytest.raises(KeyUnreadable):
            await load_key(session, strange.id)
