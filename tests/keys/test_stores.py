"""What every key store must do, asked of both: software, and a PKCS #11 token (SoftHSM)."""

import dataclasses
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.ids import new_id
from keys.custody import algorithms, sm2
from keys.custody.errors import CiphertextInvalid, KeyAlgorithmMismatch, KeyOfAnotherStore, KeyPurposeMismatch, KeyUnreadable
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.reads import require_own_keys, store_key
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from tests.softhsm import Hsm

MESSAGE = b"message"
DIGESTS = {Algorithm.P256: hashes.SHA256(), Algorithm.P384: hashes.SHA384()}
SIGNING = [Algorithm.P256, Algorithm.P384, Algorithm.ED25519, Algorithm.RSA2048, Algorithm.SM2]


@pytest.fixture(params=["software", "token"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "software":
        return SoftwareKeyStore.create(tmp_path / "kek")
    found: Pkcs11KeyStore = request.getfixturevalue("token_store")
    return found


def check(algorithm: Algorithm, public: bytes, signature: bytes, message: bytes) -> None:
    """Verifies with another implementation; raises InvalidSignature."""
    if algorithm is Algorithm.SM2:
        if not sm2.verify_without_libcrypto(point := sm2.public_point(public), sm2.message_digest(point, message), *_numbers(signature)):
            raise InvalidSignature
        return
    key = load_der_public_key(public)
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(DIGESTS[algorithm]))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, message)


def _numbers(signature: bytes) -> tuple[int, int]:
    numbers = sm2.decode_signature(signature)
    assert numbers is not None
    return numbers


@pytest.mark.parametrize("algorithm", SIGNING)
def test_signatures_verify_elsewhere(store: KeyStore, algorithm: Algorithm) -> None:
    key = store.generate(algorithm, Purpose.DOCUMENTS)
    for message in (MESSAGE, b"", bytes(100_000)):
        signature = store.sign(key, message, Purpose.DOCUMENTS)
        check(algorithm, key.public, signature, message)
        with pytest.raises(InvalidSignature):
            check(algorithm, key.public, signature, message + b"!")
    assert store.generate(algorithm, Purpose.DOCUMENTS).public != key.public


@pytest.mark.parametrize("algorithm", [Algorithm.RSA3072])
def test_long_keys_sign_as_well(store: KeyStore, algorithm: Algorithm) -> None:
    key = store.generate(algorithm, Purpose.AUTHORITY)
    public = load_der_public_key(key.public)
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 3072
    check(algorithm, key.public, store.sign(key, MESSAGE, Purpose.AUTHORITY), MESSAGE)


def test_a_key_serves_its_purpose_only(store: KeyStore) -> None:
    for algorithm in (Algorithm.P256, Algorithm.SM2):
        key = store.generate(algorithm, Purpose.TOKENS)
        with pytest.raises(KeyPurposeMismatch):
            store.sign(key, MESSAGE, Purpose.SEALS)


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.SM2])
def test_a_row_that_was_changed_or_swapped_signs_nothing(store: KeyStore, algorithm: Algorithm) -> None:
    """Purpose, algorithm, identifier and public half belong to the key, not to its row."""
    key, other = (store.generate(algorithm, Purpose.TOKENS) for _ in range(2))
    store.sign(key, MESSAGE, Purpose.TOKENS)  # so that a cache would have it
    for change in (
        {"purpose": Purpose.SEALS},
        {"algorithm": Algorithm.P384},
        {"id": new_id()},
        {"id": other.id},
        {"public": other.public},
        {"id": other.id, "wrapped": other.wrapped},
        {"public": other.public, "wrapped": other.wrapped},
    ):
        changed = dataclasses.replace(key, **change)
        with pytest.raises(KeyUnreadable):
            store.sign(changed, MESSAGE, changed.purpose)
    check(algorithm, key.public, store.sign(key, MESSAGE, Purpose.TOKENS), MESSAGE)


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.AES256, Algorithm.SM2, Algorithm.SM4, Algorithm.HMAC_SM3])
def test_every_altered_octet_of_a_row_is_noticed(store: KeyStore, algorithm: Algorithm) -> None:
    key = store.generate(algorithm, Purpose.SEALS)
    _use(store, key)
    changes = [key.wrapped[:place] + bytes([octet ^ 0x40]) + key.wrapped[place + 1 :] for place, octet in enumerate(key.wrapped)]
    for wrapped in (*changes, b"", key.wrapped[:-1], key.wrapped + b"\0"):
        with pytest.raises(KeyUnreadable):
            _use(store, dataclasses.replace(key, wrapped=wrapped))


def _use(store: KeyStore, key: StoredKey) -> object:
    if key.algorithm in algorithms.SIGNING:
        return store.sign(key, MESSAGE, key.purpose)
    if key.algorithm in algorithms.CIPHERS:
        return store.encrypt(key, MESSAGE, b"", key.purpose)
    return store.mac(key, MESSAGE, key.purpose)


def test_operations_ask_for_the_right_kind(store: KeyStore) -> None:
    keys: dict[Algorithm, StoredKey] = {
        a: store.generate(a, Purpose.LOG) for a in Algorithm if a not in {Algorithm.RSA3072, Algorithm.RSA4096}
    }
    sealed = {a: store.encrypt(keys[a], MESSAGE, b"", Purpose.LOG) for a in algorithms.CIPHERS}
    operations: list[tuple[object, Callable[[StoredKey], object]]] = [
        (algorithms.SIGNING, lambda key: store.sign(key, MESSAGE, Purpose.LOG)),
        (algorithms.CIPHERS, lambda key: store.encrypt(key, MESSAGE, b"", Purpose.LOG)),
        (algorithms.CIPHERS, lambda key: store.decrypt(key, sealed.get(key.algorithm, MESSAGE), b"", Purpose.LOG)),
        (algorithms.MACS, lambda key: store.mac(key, MESSAGE, Purpose.LOG)),
    ]
    for kinds, operation in operations:
        for algorithm, key in keys.items():
            if algorithm in kinds:  # type: ignore[operator]
                assert operation(key)
            else:
                with pytest.raises(KeyAlgorithmMismatch):
                    operation(key)


@pytest.mark.parametrize("algorithm", [Algorithm.AES256, Algorithm.SM4])
def test_encryption_is_undone_and_guards_every_octet(store: KeyStore, algorithm: Algorithm) -> None:
    key, other = (store.generate(algorithm, Purpose.PERSONAL_DATA) for _ in range(2))
    for plaintext, context in ((b"", b""), (b"a", b"context"), ("姓名".encode(), b""), (bytes(70_000), bytes(3000))):
        sealed = store.encrypt(key, plaintext, context)
        assert store.decrypt(key, sealed, context) == plaintext
        assert store.encrypt(key, plaintext, context) != sealed, "each has its own nonce"
        assert len(plaintext) < 6 or plaintext not in sealed
        with pytest.raises(CiphertextInvalid):
            store.decrypt(key, sealed, context + b"?")
    sealed = store.encrypt(key, MESSAGE, b"context")
    changed = [sealed[:place] + bytes([octet ^ 1]) + sealed[place + 1 :] for place, octet in enumerate(sealed)]
    for ciphertext in (*changed, sealed[:-1], sealed + b"\0", sealed[:20], b"", b"\x01"):
        with pytest.raises(CiphertextInvalid):
            store.decrypt(key, ciphertext, b"context")
    with pytest.raises(CiphertextInvalid):
        store.decrypt(other, sealed, b"context")


@pytest.mark.parametrize("algorithm", [Algorithm.HMAC, Algorithm.HMAC_SM3])
def test_macs_are_of_the_key_and_the_message(store: KeyStore, algorithm: Algorithm) -> None:
    key, other = (store.generate(algorithm, Purpose.PERSONAL_DATA) for _ in range(2))
    macs = {store.mac(key, b""), store.mac(key, b"a"), store.mac(key, b"b"), store.mac(other, b"a"), store.mac(key, bytes(10_000))}
    assert len(macs) == 5
    assert {len(mac) for mac in macs} == {32}
    assert store.mac(key, b"a") == store.mac(key, b"a")


def test_sm4_gcm_is_that_of_rfc_8998() -> None:
    """RFC 8998, appendix A.1."""
    cipher = algorithms.CIPHERS[Algorithm.SM4].load(bytes.fromhex("0123456789abcdeffedcba9876543210"))
    nonce = bytes.fromhex("00001234567800000000abcd")
    associated = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plaintext = bytes.fromhex("a" * 16 + "b" * 16 + "c" * 16 + "d" * 16 + "e" * 16 + "f" * 16 + "e" * 16 + "a" * 16)
    expected = (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert cipher.encrypt(nonce, plaintext, associated).hex() == expected
    assert cipher.decrypt(nonce, bytes.fromhex(expected), associated) == plaintext


def test_hmac_sm3_is_that_of_gb_t_15852_2() -> None:
    """The same as openssl's ``dgst -sm3 -mac HMAC`` says of this key and message."""
    secret = bytes(range(32))
    assert algorithms.MACS[Algorithm.HMAC_SM3].load(secret)(b"abc").hex() == HMAC_SM3


HMAC_SM3 = "a8f95cf26f204957e7ca73c9602a25dda35f168b28103b51dfc968c810416b63"


def test_it_pickles_without_secrets_and_stays_one_store(store: KeyStore) -> None:
    pickled = pickle.dumps(store)
    assert isinstance(store, SoftwareKeyStore | Pkcs11KeyStore)
    secret = store.path if isinstance(store, SoftwareKeyStore) else store.location.pin_file
    assert secret.read_bytes().strip() not in pickled
    assert secret.read_bytes().strip() not in repr(store).encode()
    assert len(pickled) < 800
    assert pickle.loads(pickled) is pickle.loads(pickled)


def test_another_process_signs_with_it(store: KeyStore) -> None:
    """Spawned and forked: each opens its own sessions."""
    keys = {algorithm: store.generate(algorithm, Purpose.SEALS) for algorithm in (Algorithm.P256, Algorithm.SM2)}
    for way in ("spawn", "fork"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)) as pool:
            for algorithm, key in keys.items():
                signature = pool.submit(store.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
                check(algorithm, key.public, signature, MESSAGE)
    check(Algorithm.P256, keys[Algorithm.P256].public, store.sign(keys[Algorithm.P256], MESSAGE, Purpose.SEALS), MESSAGE)


def test_a_key_made_by_one_process_is_seen_by_another(store: KeyStore) -> None:
    store.generate(Algorithm.P256, Purpose.SEALS)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        key = pool.submit(store.generate, Algorithm.P256, Purpose.SEALS).result(timeout=60)
    check(Algorithm.P256, key.public, store.sign(key, MESSAGE, Purpose.SEALS), MESSAGE)


def test_threads_share_it(store: KeyStore) -> None:
    keys = {algorithm: store.generate(algorithm, Purpose.SEALS) for algorithm in (Algorithm.P256, Algorithm.SM2, Algorithm.ED25519)}

    def use(turn: int) -> None:
        algorithm = list(keys)[turn % 3]
        message = str(turn).encode()
        check(algorithm, keys[algorithm].public, store.sign(keys[algorithm], message, Purpose.SEALS), message)

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(use, range(60))) == [None] * 60


def test_keys_do_not_move_between_stores(token_store: Pkcs11KeyStore, keystore: SoftwareKeyStore) -> None:
    for algorithm in (Algorithm.P256, Algorithm.SM2, Algorithm.AES256, Algorithm.HMAC, Algorithm.SM4, Algorithm.HMAC_SM3):
        for maker, stranger in ((token_store, keystore), (keystore, token_store)):
            key = maker.generate(algorithm, Purpose.TOKENS)
            with pytest.raises(KeyOfAnotherStore) as refused:
                _use(stranger, key)
            assert refused.value.code == "KEY_OF_ANOTHER_STORE"
            assert "FUJIE_PKCS11_MODULE" in refused.value.detail
            maker.require_own(key)
            with pytest.raises(KeyOfAnotherStore):
                stranger.require_own(key)


async def test_a_house_does_not_start_on_the_keys_of_another_store_or_token(
    token_store: Pkcs11KeyStore, keystore: SoftwareKeyStore, hsm: Hsm, database: Database, clock: Clock
) -> None:
    other = hsm.token()
    stranger = Pkcs11KeyStore.open(token_store.location.module, other.label, other.pin_file)
    async with database.begin() as session:
        await require_own_keys(session, keystore)
        await store_key(session, token_store.generate(Algorithm.HMAC, Purpose.LOG), clock.now())
        await require_own_keys(session, token_store)
        with pytest.raises(KeyOfAnotherStore):
            await require_own_keys(session, keystore)
        with pytest.raises(KeyUnreadable):
            await require_own_keys(session, stranger)
        await store_key(session, keystore.generate(Algorithm.HMAC, Purpose.LOG), clock.now())
        for store in (token_store, keystore):
            with pytest.raises(KeyOfAnotherStore):
                await require_own_keys(session, store)
    stranger.close()
