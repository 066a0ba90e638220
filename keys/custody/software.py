"""Keys kept by software: wrapped with AES-256-GCM under one key-encryption key that lives in a file of mode 0600.

A wrapped key is ``version(1) ‖ nonce(12) ‖ ciphertext ‖ tag(16)``. Its identifier, algorithm, purpose and public half are
authenticated with it, so a key that is given another name, purpose or public half does not open.
"""

import functools
import hashlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.base.ids import new_id
from keys.custody import algorithms
from keys.custody.algorithms import Authenticator, Signer
from keys.custody.errors import (
    CiphertextInvalid,
    KeyAlgorithmMismatch,
    KeyFileExists,
    KeyFileTooOpen,
    KeyFileUnusable,
    KeyPurposeMismatch,
    KeyUnreadable,
)
from keys.custody.store import Algorithm, Purpose, StoredKey

_KEK_OCTETS = 32
_VERSION = b"\x01"
_NONCE_OCTETS = 12
_TAG_OCTETS = 16
_CACHED_KEYS = 2048


class SoftwareKeyStore:
    """A key store over the key-encryption key in ``path``.

    Loaded keys are cached for the life of the process; it pickles as its path, and unpickling in one process
    always gives the same store, so worker processes load each key once.
    Raises ``KeyFileUnusable`` or ``KeyFileTooOpen`` when the file cannot be trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._wrapping = AESGCM(_read_kek(self.path))
        self._signer = functools.lru_cache(_CACHED_KEYS)(self._load_signer)
        self._cipher = functools.lru_cache(_CACHED_KEYS)(self._load_cipher)
        self._authenticator = functools.lru_cache(_CACHED_KEYS)(self._load_authenticator)

    @classmethod
    def create(cls, path: Path) -> "SoftwareKeyStore":
        """Makes a new key-encryption key at ``path`` (mode 0600) and opens it; never replaces one (``KeyFileExists``)."""
        _write_kek(path)
        return cls(path)

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return _open, (self.path,)

    def generate(self, algorithm: Algorithm, purpose: Purpose) -> StoredKey:
        kind = algorithms.SIGNING.get(algorithm)
        material = kind.make() if kind else algorithms.make_secret()
        bare = StoredKey(new_id(), algorithm, purpose, material.public, b"")
        return StoredKey(bare.id, algorithm, purpose, material.public, _seal(self._wrapping, material.secret, _identity(bare)))

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        if key.purpose is not purpose:
            raise KeyPurposeMismatch(f"key {key.id} is for {key.purpose}, not for {purpose}")
        return self._signer(key)(message)

    def encrypt(self, key: StoredKey, plaintext: bytes, context: bytes) -> bytes:
        return _seal(self._cipher(key), plaintext, context)

    def decrypt(self, key: StoredKey, ciphertext: bytes, context: bytes) -> bytes:
        opened = _unseal(self._cipher(key), ciphertext, context)
        if opened is None:
            raise CiphertextInvalid(f"a ciphertext does not open under key {key.id}")
        return opened

    def mac(self, key: StoredKey, message: bytes) -> bytes:
        return self._authenticator(key)(message)

    def _load_signer(self, key: StoredKey) -> Signer:
        kind = algorithms.SIGNING.get(key.algorithm)
        if kind is None:
            raise KeyAlgorithmMismatch(f"key {key.id} ({key.algorithm}) does not sign")
        return kind.load(self._unwrap(key), key.public)

    def _load_cipher(self, key: StoredKey) -> AESGCM:
        _require(key, Algorithm.AES256)
        return algorithms.load_cipher(self._unwrap(key))

    def _load_authenticator(self, key: StoredKey) -> Authenticator:
        _require(key, Algorithm.HMAC)
        return algorithms.load_authenticator(self._unwrap(key))

    def _unwrap(self, key: StoredKey) -> bytes:
        secret = _unseal(self._wrapping, key.wrapped, _identity(key))
        if secret is None:
            raise KeyUnreadable(f"key {key.id} ({key.algorithm}, {key.purpose}) does not open under this key-encryption key")
        return secret


@functools.cache
def _open(path: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore(path)


def _require(key: StoredKey, algorithm: Algorithm) -> None:
    if key.algorithm is not algorithm:
        raise KeyAlgorithmMismatch(f"key {key.id} is {key.algorithm}; this needs {algorithm}")


def _identity(key: StoredKey) -> bytes:
    """What is authenticated with a wrapped key; every part has a fixed length or ends with a NUL."""
    names = f"fujie wrapped key\0{key.algorithm}\0{key.purpose}\0".encode()
    return names + key.id.bytes + hashlib.sha256(key.public).digest()


def _seal(cipher: AESGCM, plaintext: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    return _VERSION + nonce + cipher.encrypt(nonce, plaintext, context)


def _unseal(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes | None:
    if sealed[:1] != _VERSION or len(sealed) < 1 + _NONCE_OCTETS + _TAG_OCTETS:
        return None
    try:
        return cipher.decrypt(sealed[1 : 1 + _NONCE_OCTETS], sealed[1 + _NONCE_OCTETS :], context)
    except InvalidTag:
        return None


def _read_kek(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            _refuse_wide(path, os.fstat(file.fileno()))
            kek = file.read(_KEK_OCTETS + 1)
    except OSError as error:
        raise KeyFileUnusable(f"{path}: {error.strerror}") from error
    if len(kek) != _KEK_OCTETS:
        raise KeyFileUnusable(f"{path}: a key-encryption key has {_KEK_OCTETS} octets")
    return kek


def _refuse_wide(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileUnusable(f"{path} is not a plain file")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileTooOpen(f"{path} belongs to another user")
    if found.st_mode & 0o077:
        raise KeyFileTooOpen(f"{path} has mode {stat.S_IMODE(found.st_mode):04o}; only its owner may read it: chmod 600")


def _write_kek(path: Path) -> None:
    """Written beside its place, made durable, then linked there: no crash leaves half a key, no second caller replaces the first's."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEK_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError as error:
        raise KeyFileExists(f"{path} exists") from error
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
