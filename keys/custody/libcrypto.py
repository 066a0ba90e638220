"""SM2 through ctypes on libcrypto ≥ 3: key generation, signing and verification of a digest.

Only ``EVP_PKEY`` calls of the stable 3.x interface are used. ctypes releases the GIL around each call, every thread has
its own contexts, and a key is only read once made, so keys may be shared between threads. libcrypto's error queue belongs to
the thread and is shared with Python's ``ssl``: it is emptied after each failure.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keys.custody.errors import KeyUnreadable, PublicKeyInvalid, Sm2Unavailable

_MINIMUM = 0x3000_0000
_SIGNATURE_ROOM = 80  # DER SEQUENCE of two INTEGERs of at most 33 octets: 72
_DER_ROOM = 512

_PTR, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SIZE_REF, _OCTETS = ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p
_PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "OpenSSL_version_num": (ctypes.c_ulong, ()),
    "ERR_clear_error": (None, ()),
    "EVP_PKEY_CTX_new_from_name": (_PTR, (_PTR, _OCTETS, _OCTETS)),
    "EVP_PKEY_CTX_new_from_pkey": (_PTR, (_PTR, _PTR, _OCTETS)),
    "EVP_PKEY_CTX_free": (None, (_PTR,)),
    "EVP_PKEY_free": (None, (_PTR,)),
    "EVP_PKEY_is_a": (_INT, (_PTR, _OCTETS)),
    "EVP_PKEY_keygen_init": (_INT, (_PTR,)),
    "EVP_PKEY_generate": (_INT, (_PTR, ctypes.POINTER(_PTR))),
    "EVP_PKEY_sign_init": (_INT, (_PTR,)),
    "EVP_PKEY_sign": (_INT, (_PTR, _OCTETS, _SIZE_REF, _OCTETS, _SIZE)),
    "EVP_PKEY_verify_init": (_INT, (_PTR,)),
    "EVP_PKEY_verify": (_INT, (_PTR, _OCTETS, _SIZE, _OCTETS, _SIZE)),
    "EVP_PKEY_encrypt_init": (_INT, (_PTR,)),
    "EVP_PKEY_encrypt": (_INT, (_PTR, _OCTETS, _SIZE_REF, _OCTETS, _SIZE)),
    "i2d_PUBKEY": (_INT, (_PTR, ctypes.POINTER(_PTR))),
    "i2d_PrivateKey": (_INT, (_PTR, ctypes.POINTER(_PTR))),
    "d2i_PUBKEY": (_PTR, (_PTR, ctypes.POINTER(_PTR), ctypes.c_long)),
    "d2i_AutoPrivateKey": (_PTR, (_PTR, ctypes.POINTER(_PTR), ctypes.c_long)),
}


def _candidates() -> Iterator[str]:
    """Names to try: the usual one, what the linker knows, and the library Python's own ssl module is linked with."""
    yield "libcrypto.so.3"
    if found := ctypes.util.find_library("crypto"):
        yield found
    spec = importlib.util.find_spec("_ssl")
    if spec and spec.origin and spec.has_location:
        yield spec.origin  # looking a symbol up in an extension module searches what it is linked with, too


def _declare(library: ctypes.CDLL) -> None:
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _usable(name: str) -> ctypes.CDLL | None:
    """The library under this name, declared, if it is libcrypto ≥ 3 and has SM2."""
    try:
        library = ctypes.CDLL(name)
        _declare(library)
    except (OSError, AttributeError):
        return None
    if library.OpenSSL_version_num() < _MINIMUM:
        return None
    context = library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    library.ERR_clear_error()
    library.EVP_PKEY_CTX_free(context)
    return library if context else None


@functools.cache
def _library() -> ctypes.CDLL | None:
    return next((library for name in _candidates() if (library := _usable(name))), None)


def available() -> bool:
    """Whether this machine has a libcrypto with SM2."""
    return _library() is not None


def _required() -> ctypes.CDLL:
    if (library := _library()) is None:
        raise Sm2Unavailable("no libcrypto >= 3 with SM2 on this machine: install OpenSSL 3 (Debian: libssl3) built with SM2")
    return library


class _Operation:
    """An ``EVP_PKEY_CTX`` ready to sign or to verify, again and again, in one thread. It holds the key by itself."""

    __slots__ = ("_library", "context")

    def __init__(self, library: ctypes.CDLL, key: int, initialise: str) -> None:
        self._library = library
        self.context = library.EVP_PKEY_CTX_new_from_pkey(None, key, None)
        if not self.context or getattr(library, initialise)(self.context) != 1:
            library.ERR_clear_error()
            raise KeyUnreadable("libcrypto does not take this SM2 key")

    def __del__(self) -> None:
        self._library.EVP_PKEY_CTX_free(self.context)


class Key:
    """An ``EVP_PKEY`` that is freed with its owner."""

    __slots__ = ("__weakref__", "_library", "_operations", "pointer")

    def __init__(self, library: ctypes.CDLL, pointer: int) -> None:
        self._library = library
        self._operations = threading.local()
        self.pointer = pointer

    def context(self, initialise: str) -> int:
        """This thread's context of this key for signing or verifying: making one costs as much as a hundredth of a signature."""
        made: _Operation | None = getattr(self._operations, initialise, None)
        if made is None:
            made = _Operation(self._library, self.pointer, initialise)
            setattr(self._operations, initialise, made)
        return made.context  # type: ignore[no-any-return]

    def __del__(self) -> None:
        self._library.EVP_PKEY_free(self.pointer)


@contextmanager
def _context(library: ctypes.CDLL, pointer: int | None) -> Iterator[int | None]:
    """Frees an ``EVP_PKEY_CTX`` and empties the error queue, whatever happened in between."""
    try:
        yield pointer
    finally:
        library.EVP_PKEY_CTX_free(pointer)
        library.ERR_clear_error()


def generate() -> Key:
    """A new SM2 key pair."""
    library, made = _required(), ctypes.c_void_p()
    with _context(library, library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)) as context:
        ready = library.EVP_PKEY_keygen_init(context) == 1 and library.EVP_PKEY_generate(context, ctypes.byref(made)) == 1
    if not ready or not made.value:
        raise Sm2Unavailable("libcrypto could not generate an SM2 key")
    return Key(library, made.value)


def _encode(key: Key, function: str) -> bytes:
    library = _required()
    room = ctypes.create_string_buffer(_DER_ROOM)
    if not 0 < getattr(library, function)(key.pointer, None) <= _DER_ROOM:
        library.ERR_clear_error()
        raise KeyUnreadable("libcrypto could not encode an SM2 key")
    length = getattr(library, function)(key.pointer, ctypes.byref(ctypes.c_void_p(ctypes.addressof(room))))
    encoded = room.raw[:length]
    ctypes.memset(room, 0, _DER_ROOM)
    return encoded


def public_der(key: Key) -> bytes:
    """SubjectPublicKeyInfo: id-ecPublicKey with the SM2 curve, 91 octets."""
    return _encode(key, "i2d_PUBKEY")


def private_der(key: Key) -> bytes:
    """ECPrivateKey (RFC 5915) with its named curve, DER. To be wrapped at once."""
    return _encode(key, "i2d_PrivateKey")


def _decode(function: str, der: bytes) -> Key | None:
    library = _required()
    room = ctypes.create_string_buffer(der, len(der))
    start = ctypes.addressof(room)
    cursor = ctypes.c_void_p(start)
    pointer = getattr(library, function)(None, ctypes.byref(cursor), len(der))
    library.ERR_clear_error()
    ctypes.memset(room, 0, len(der))
    if not pointer:
        return None
    key = Key(library, pointer)
    whole = cursor.value == start + len(der)
    return key if whole and library.EVP_PKEY_is_a(pointer, b"SM2") == 1 else None


def load_private(der: bytes) -> Key:
    """The key from :func:`private_der`."""
    if (key := _decode("d2i_AutoPrivateKey", der)) is None:
        raise KeyUnreadable("not an SM2 private key")
    return key


def load_public(spki: bytes) -> Key:
    """The key from SubjectPublicKeyInfo; ``PublicKeyInvalid`` when it is none or its point is not on the curve."""
    if (key := _decode("d2i_PUBKEY", spki)) is None:
        raise PublicKeyInvalid("not an SM2 public key")
    return key


def sign_digest(key: Key, digest: bytes) -> bytes:
    """DER SEQUENCE{r, s} over the 32-octet ``digest`` = SM3(Z ‖ M)."""
    library = _required()
    room, length = ctypes.create_string_buffer(_SIGNATURE_ROOM), ctypes.c_size_t(_SIGNATURE_ROOM)
    if library.EVP_PKEY_sign(key.context("EVP_PKEY_sign_init"), room, ctypes.byref(length), digest, len(digest)) != 1:
        library.ERR_clear_error()
        raise KeyUnreadable("libcrypto could not sign with this SM2 key")
    return room.raw[: length.value]


def verify_digest(key: Key, digest: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (DER) is this key's over the 32-octet ``digest``."""
    library = _required()
    if library.EVP_PKEY_verify(key.context("EVP_PKEY_verify_init"), signature, len(signature), digest, len(digest)) == 1:
        return True
    library.ERR_clear_error()
    return False


def encrypt(key: Key, plaintext: bytes) -> bytes:
    """SM2 encryption (GB/T 32918.4) to a public key: DER SM2Cipher{x, y, hash, ciphertext} (GB/T 35276 §7.2)."""
    library, length = _required(), ctypes.c_size_t()
    with _context(library, library.EVP_PKEY_CTX_new_from_pkey(None, key.pointer, None)) as context:
        ready = (
            context
            and library.EVP_PKEY_encrypt_init(context) == 1
            and library.EVP_PKEY_encrypt(context, None, ctypes.byref(length), plaintext, len(plaintext)) == 1
        )
        room = ctypes.create_string_buffer(length.value)
        done = ready and library.EVP_PKEY_encrypt(context, room, ctypes.byref(length), plaintext, len(plaintext)) == 1
    if not done:
        raise PublicKeyInvalid("libcrypto could not encrypt to this SM2 key")
    return room.raw[: length.value]
