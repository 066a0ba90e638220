"""How a key is written down: what is authenticated with it, and which store its octets belong to.

The first octet of ``StoredKey.wrapped`` names the store, so that no store takes a key of another for a damaged one of its own:
``1`` wrapped by the software store, ``2`` a reference to a key on a token, ``3`` wrapped under a key that stays on a token.
"""

import hashlib
import secrets

from cryptography.exceptions import InvalidTag

from keys.custody.algorithms import Aead
from keys.custody.errors import KeyOfAnotherStore, KeyPurposeMismatch
from keys.custody.store import Purpose, StoredKey

SOFTWARE, ON_TOKEN, UNDER_TOKEN = b"\x01", b"\x02", b"\x03"
NONCE_OCTETS = 12
TAG_OCTETS = 16
_VERSION = b"\x01"
REFERENCE = ON_TOKEN + b"PKCS #11"

_SOFTWARE_ONLY = "was made by the software store; this service keeps its keys on a PKCS #11 token (FUJIE_PKCS11_MODULE)"
_TOKEN_ONLY = "is kept on a PKCS #11 token; this service has the software store (FUJIE_PKCS11_MODULE is not set)"  # noqa: S105


def identity(key: StoredKey) -> bytes:
    """What is authenticated with a wrapped key; every part has a fixed length or ends with a NUL."""
    names = f"fujie wrapped key\0{key.algorithm}\0{key.purpose}\0".encode()
    return names + key.id.bytes + hashlib.sha256(key.public).digest()


def require_software(key: StoredKey) -> None:
    if key.wrapped[:1] in (ON_TOKEN, UNDER_TOKEN):
        raise KeyOfAnotherStore(f"key {key.id} {_TOKEN_ONLY}")


def require_token(key: StoredKey) -> None:
    if key.wrapped[:1] == SOFTWARE:
        raise KeyOfAnotherStore(f"key {key.id} {_SOFTWARE_ONLY}")


def require_purpose(key: StoredKey, purpose: Purpose) -> None:
    if key.purpose is not purpose:
        raise KeyPurposeMismatch(f"key {key.id} is for {key.purpose}, not for {purpose}")


def seal(cipher: Aead, plaintext: bytes, context: bytes) -> bytes:
    """``version(1) ‖ nonce(12) ‖ ciphertext ‖ tag(16)``."""
    nonce = secrets.token_bytes(NONCE_OCTETS)
    return _VERSION + nonce + cipher.encrypt(nonce, plaintext, context)


def unseal(cipher: Aead, sealed: bytes, context: bytes) -> bytes | None:
    """What was sealed; None when anything differs."""
    if sealed[:1] != _VERSION or len(sealed) < 1 + NONCE_OCTETS + TAG_OCTETS:
        return None
    try:
        return cipher.decrypt(sealed[1 : 1 + NONCE_OCTETS], sealed[1 + NONCE_OCTETS :], context)
    except InvalidTag:
        return None
