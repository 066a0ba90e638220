"""Keys on a PKCS #11 token: sensitive, not extractable, found by identifier; nothing of them is in the database.

RSA, P-256, P-384, Ed25519, AES-256 and HMAC-SHA256 keys live on the token, and ``StoredKey.wrapped`` is only a reference.
SM2, SM4 and HMAC-SM3 keys, which few tokens know, are wrapped under an AES key that never leaves the token and are unwrapped in
memory: while they are in use, their secret is in this process. They go with the token: within a second of its going away
nothing signs with them any more and they are dropped from memory. Nothing ever falls back to files.
"""

import dataclasses
import functools
import secrets
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeVar

from pkcs11 import Attribute, Mechanism

from keys.base.ids import new_id
from keys.custody import algorithms, pkcs11_keys, wrapping
from keys.custody.algorithms import Aead, Authenticator, Signer
from keys.custody.errors import CiphertextInvalid, KeyAlgorithmMismatch, KeyUnreadable
from keys.custody.pkcs11_device import CALL_SECONDS, MAKE_SECONDS, Device, KeyGone, Lane
from keys.custody.pkcs11_location import Location
from keys.custody.pkcs11_wrapping import SealBroken, gcm, open_sealed, unwrap, wrap
from keys.custody.store import Algorithm, Purpose, StoredKey

T = TypeVar("T")

_CACHED_KEYS = 2048
_PREFIX = b"\x01"  # of ciphertexts: version, then the nonce
_HEADER = 1 + wrapping.NONCE_OCTETS


class Pkcs11KeyStore:
    """The key store on the token at ``location``. It pickles as that: each process opens its own sessions and reads the PIN itself.

    Nothing is asked of the token before the first use; :meth:`open` asks at once.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._device = Device(location, self._forget)
        self._unwrapped: dict[str, Callable[[StoredKey], Any]] = {}
        self._forget()

    @classmethod
    def open(cls, module: Path, label: str, pin_file: Path) -> "Pkcs11KeyStore":
        """Raises ``KeyStoreMisconfigured``, ``KeyStoreLoginRefused``, ``KeyStoreUnavailable`` or an error of the PIN's file."""
        store = _open(Location(module.absolute(), label, pin_file.absolute()))
        store._device.location.read_pin()
        store.check(MAKE_SECONDS)
        return store

    def __reduce__(self) -> tuple[object, tuple[Location]]:
        return _open, (self.location,)

    def __repr__(self) -> str:
        return f"Pkcs11KeyStore({self.location.label!r})"

    def close(self) -> None:
        """End its threads. Only for tests: a service keeps its store for life."""
        self._device.close()

    def check(self, seconds: float = CALL_SECONDS) -> None:
        self._device.call(lambda lane: lane.token.slot.get_token() and None, seconds)

    def require_own(self, key: StoredKey) -> None:
        wrapping.require_token(key)
        if key.algorithm in pkcs11_keys.PAIRS:
            self._on_token(key, lambda lane: pkcs11_keys.private_key(lane, key) and None)
        elif key.algorithm in pkcs11_keys.SECRETS:
            self._on_token(key, lambda lane: pkcs11_keys.secret_key(lane, key) and None)
        else:
            self._unwrap(key)

    def describe(self) -> str:
        """One line about the token and the keys on it, for the operator."""

        def count(lane: Lane) -> str:
            keys = sum(len(list(lane.session.get_objects({Attribute.CLASS: kind}))) for kind in pkcs11_keys.PRIVATE_CLASSES)
            maker, serial = f"{lane.token.manufacturer_id} {lane.token.model}", lane.token.serial.decode(errors="replace")
            return f"token {lane.token.label!r} ({maker}, serial {serial}), {keys} keys"

        return self._device.call(count, MAKE_SECONDS)

    def generate(self, algorithm: Algorithm, purpose: Purpose) -> StoredKey:
        key_id = new_id()
        if algorithm in pkcs11_keys.PAIRS:
            public = self._device.call(lambda lane: pkcs11_keys.make_pair(lane, algorithm, purpose, key_id), MAKE_SECONDS)
            return StoredKey(key_id, algorithm, purpose, public, wrapping.REFERENCE)
        if algorithm in pkcs11_keys.SECRETS:
            name = pkcs11_keys.label(algorithm, purpose)
            self._device.call(lambda lane: pkcs11_keys.make_secret(lane, algorithm, name, key_id), MAKE_SECONDS)
            return StoredKey(key_id, algorithm, purpose, b"", wrapping.REFERENCE)
        return self._generate_wrapped(algorithm, purpose)

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        wrapping.require_purpose(key, purpose)
        if key.algorithm not in algorithms.SIGNING:
            raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) does not sign")
        kind = pkcs11_keys.PAIRS.get(key.algorithm)
        if kind is None:
            signer: Signer = self._in_memory("signer", key)
            return signer(message)
        return self._on_token(key, lambda lane: kind.sign(pkcs11_keys.private_key(lane, key), message))

    def encrypt(self, key: StoredKey, plaintext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        _require(algorithms.CIPHERS, key, "does not encrypt")
        if key.algorithm not in pkcs11_keys.SECRETS:
            cipher: Aead = self._in_memory("cipher", key)
            return wrapping.seal(cipher, plaintext, context)
        nonce = secrets.token_bytes(wrapping.NONCE_OCTETS)
        sealed = self._on_token(key, lambda lane: bytes(pkcs11_keys.secret_key(lane, key).encrypt(plaintext, **gcm(nonce, context))))
        return _PREFIX + nonce + sealed

    def decrypt(self, key: StoredKey, ciphertext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        _require(algorithms.CIPHERS, key, "does not decrypt")
        opened = self._decrypt(key, ciphertext, context)
        if opened is None:
            raise CiphertextInvalid(f"a ciphertext does not open under key {key.id}")
        return opened

    def _decrypt(self, key: StoredKey, ciphertext: bytes, context: bytes) -> bytes | None:
        if key.algorithm not in pkcs11_keys.SECRETS:
            cipher: Aead = self._in_memory("cipher", key)
            return wrapping.unseal(cipher, ciphertext, context)
        nonce, sealed = ciphertext[1:_HEADER], ciphertext[_HEADER:]
        if ciphertext[:1] != _PREFIX or len(sealed) < wrapping.TAG_OCTETS:
            return None
        try:
            return self._on_token(key, lambda lane: open_sealed(pkcs11_keys.secret_key(lane, key), nonce, sealed, context, lane))
        except SealBroken:
            return None

    def mac(self, key: StoredKey, message: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        _require(algorithms.MACS, key, "makes no message authentication codes")
        if key.algorithm not in pkcs11_keys.SECRETS:
            authenticate: Authenticator = self._in_memory("authenticator", key)
            return authenticate(message)
        return self._on_token(key, lambda lane: bytes(pkcs11_keys.secret_key(lane, key).sign(message, mechanism=Mechanism.SHA256_HMAC)))

    def _on_token(self, key: StoredKey, job: Callable[[Lane], T]) -> T:
        wrapping.require_token(key)
        if key.wrapped != wrapping.REFERENCE:
            raise KeyUnreadable(f"key {key.id} does not refer to a key on a token")
        try:
            return self._device.call(job)
        except KeyGone as error:
            raise KeyUnreadable(f"{self.location.label!r}: {error}") from error

    def destroy(self, key: StoredKey) -> None:
        if key.wrapped == wrapping.REFERENCE:
            self._device.call(lambda lane: pkcs11_keys.destroy(lane, key), MAKE_SECONDS)
        self._forget()

    # Keys that the token cannot hold

    def _generate_wrapped(self, algorithm: Algorithm, purpose: Purpose) -> StoredKey:
        material = algorithms.make(algorithm)
        bare = StoredKey(new_id(), algorithm, purpose, material.public, b"")
        return dataclasses.replace(bare, wrapped=wrap(self._device, material.secret, wrapping.identity(bare), MAKE_SECONDS))

    def _in_memory(self, kind: str, key: StoredKey) -> Any:
        """The loaded key, while the token is there. Another process's token may go at the same moment: a second late at most."""
        wrapping.require_token(key)
        self._device.require()
        return self._unwrapped[kind](key)

    def _forget(self) -> None:
        """Drop all unwrapped keys (libcrypto clears an SM2 key as it is freed)."""
        loaders = {
            "signer": lambda key: algorithms.SIGNING[key.algorithm].load(self._unwrap(key), key.public),
            "cipher": lambda key: algorithms.CIPHERS[key.algorithm].load(self._unwrap(key)),
            "authenticator": lambda key: algorithms.MACS[key.algorithm].load(self._unwrap(key)),
        }
        self._unwrapped = {name: functools.lru_cache(_CACHED_KEYS)(load) for name, load in loaders.items()}

    def _unwrap(self, key: StoredKey) -> bytes:
        try:
            return unwrap(self._device, key.wrapped, wrapping.identity(key), f"key {key.id} ({key.algorithm}, {key.purpose})")
        except KeyGone as error:
            raise KeyUnreadable(str(error)) from error


@functools.cache
def _open(location: Location) -> Pkcs11KeyStore:
    return Pkcs11KeyStore(location)


def _require(kinds: Container[Algorithm], key: StoredKey, refusal: str) -> None:
    if key.algorithm not in kinds:
        raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) {refusal}")
