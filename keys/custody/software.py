"""Keys kept by software: wrapped with AES-256-GCM under one key-encryption key that lives in a file of mode 0600,
or, given in the environment, in memory that has a path (:func:`keys.custody.private_file.in_memory`).

A wrapped key is ``version(1) ‖ nonce(12) ‖ ciphertext ‖ tag(16)``. Its identifier, algorithm, purpose and public half are
authenticated with it, so a key that is given another name, purpose or public half does not open.
"""

import dataclasses
import functools
import secrets
from pathlib import Path

from keys.base.ids import new_id
from keys.custody import algorithms, wrapping
from keys.custody.algorithms import Aead, Authenticator, Signer
from keys.custody.encryption_keys import KEK_OCTETS, EncryptionKeys, write_key_file
from keys.custody.errors import CiphertextInvalid, KeyAlgorithmMismatch, KeyUnreadable
from keys.custody.store import Algorithm, Purpose, StoredKey

_CACHED_KEYS = 2048


class SoftwareKeyStore:
    """A key store over the key-encryption key in ``path``.

    Loaded keys are cached for the life of the process; it pickles as its path, and unpickling in one process
    always gives the same store, so worker processes load each key once.
    Raises ``KeyFileUnusable`` or ``KeyFileTooOpen`` when the file cannot be trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.encryption_keys = EncryptionKeys(self.path)
        self._signer = functools.lru_cache(_CACHED_KEYS)(self._load_signer)
        self._cipher = functools.lru_cache(_CACHED_KEYS)(self._load_cipher)
        self._authenticator = functools.lru_cache(_CACHED_KEYS)(self._load_authenticator)

    @classmethod
    def create(cls, path: Path) -> "SoftwareKeyStore":
        """Makes a new key-encryption key at ``path`` (mode 0600) and opens it; never replaces one (``KeyFileExists``)."""
        write_key_file(path, secrets.token_bytes(KEK_OCTETS))
        return cls(path)

    def same_key(self, other: "SoftwareKeyStore") -> bool:
        """Whether what one has wrapped opens in the other."""
        sealed = wrapping.seal(self.encryption_keys.sealing(), b"", b"same key?")
        return wrapping.unseal(other.encryption_keys.sealing(), sealed, b"same key?") is not None

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return _open, (self.path,)

    def check(self) -> None:
        """Nothing to ask: the key-encryption key was read when the store was opened."""

    def require_own(self, key: StoredKey) -> None:
        self._unwrap(key)

    def generate(self, algorithm: Algorithm, purpose: Purpose) -> StoredKey:
        material = algorithms.make(algorithm)
        bare = StoredKey(new_id(), algorithm, purpose, material.public, b"")
        return self._wrapped(bare, material.secret)

    def rewrapped(self, key: StoredKey) -> StoredKey:
        """The key under the present key-encryption key: itself, if it is already."""
        wrapping.require_software(key)
        present = self.encryption_keys.sealing()
        if wrapping.unseal(present, key.wrapped, wrapping.identity(key)) is not None:
            return key
        return self._wrapped(key, self._unwrap(key))

    def _wrapped(self, key: StoredKey, secret: bytes) -> StoredKey:
        return dataclasses.replace(key, wrapped=wrapping.seal(self.encryption_keys.sealing(), secret, wrapping.identity(key)))

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        wrapping.require_purpose(key, purpose)
        return self._signer(key)(message)

    def encrypt(self, key: StoredKey, plaintext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        return wrapping.seal(self._cipher(key), plaintext, context)

    def decrypt(self, key: StoredKey, ciphertext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        opened = wrapping.unseal(self._cipher(key), ciphertext, context)
        if opened is None:
            raise CiphertextInvalid(f"a ciphertext does not open under key {key.id}")
        return opened

    def mac(self, key: StoredKey, message: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        wrapping.require_purpose(key, purpose)
        return self._authenticator(key)(message)

    def destroy(self, key: StoredKey) -> None:
        """Its row held all there was of it; what is loaded is forgotten."""
        for loaded in (self._signer, self._cipher, self._authenticator):
            loaded.cache_clear()

    def _load_signer(self, key: StoredKey) -> Signer:
        kind = algorithms.SIGNING.get(key.algorithm)
        if kind is None:
            raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) does not sign")
        return kind.load(self._unwrap(key), key.public)

    def _load_cipher(self, key: StoredKey) -> Aead:
        kind = algorithms.CIPHERS.get(key.algorithm)
        if kind is None:
            raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) does not encrypt")
        return kind.load(self._unwrap(key))

    def _load_authenticator(self, key: StoredKey) -> Authenticator:
        kind = algorithms.MACS.get(key.algorithm)
        if kind is None:
            raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) makes no message authentication codes")
        return kind.load(self._unwrap(key))

    def _unwrap(self, key: StoredKey) -> bytes:
        wrapping.require_software(key)
        secret = self._opened(key)
        if secret is None and self.encryption_keys.reread():
            secret = self._opened(key)
        if secret is None:
            raise KeyUnreadable(f"key {key.id} ({key.algorithm}, {key.purpose}) does not open under this key-encryption key")
        return secret

    def _opened(self, key: StoredKey) -> bytes | None:
        identity = wrapping.identity(key)
        opened = (wrapping.unseal(kek, key.wrapped, identity) for kek in self.encryption_keys.opening())
        return next((secret for secret in opened if secret is not None), None)


@functools.cache
def _open(path: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore(path)
