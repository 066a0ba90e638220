"""What every key store does: make keys, wrap them, use them. The private key never leaves it."""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Algorithm(StrEnum):
    """Kinds of keys; the value is what the database holds."""

    P256 = "EC_P256"
    P384 = "EC_P384"
    RSA2048 = "RSA_2048"
    RSA3072 = "RSA_3072"
    RSA4096 = "RSA_4096"
    ED25519 = "ED25519"
    SM2 = "SM2"
    AES256 = "AES_256_GCM"
    HMAC = "HMAC_SHA256"
    SM4 = "SM4_GCM"
    HMAC_SM3 = "HMAC_SM3"


class Purpose(StrEnum):
    """What a key was made for. It is bound into the wrapping: a key of one purpose does not open as one of another."""

    AUTHORITY = "authority"
    TOKENS = "tokens"
    SEALS = "seals"
    DOCUMENTS = "documents"
    TIME = "time"
    LOG = "log"
    PERSONAL_DATA = "personal_data"
    STATUS = "status"
    TRUST = "trust"
    CODES = "codes"
    FEDERATION = "federation"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is stored and passed between processes: useless without its key store.

    ``public``   SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7); ``b""`` for a symmetric key
    ``wrapped``  the private or secret key, encrypted under a key-encryption key, or only a reference to a key on a token
    """

    id: uuid.UUID
    algorithm: Algorithm
    purpose: Purpose
    public: bytes
    wrapped: bytes = field(repr=False)


class KeyStore(Protocol):
    """Synchronous, thread-safe and picklable, so that worker processes can use it.

    A key does only what it was made for: whoever signs, encrypts or authenticates names the purpose (what is secret here is
    personal data, unless another purpose is named), and ``KeyPurposeMismatch`` is raised unless it is the key's own.
    Every method raises ``KeyUnreadable`` when the wrapped key does not open or is not the one on the token,
    ``KeyOfAnotherStore`` when another kind of store made it, ``KeyAlgorithmMismatch`` when the operation does not exist for the
    key's algorithm, and ``KeyStoreUnavailable`` within about a second while the device is away.
    """

    def check(self) -> None:
        """Raises ``KeyStoreUnavailable`` unless keys can be used now; takes a second at most."""
        ...

    def require_own(self, key: StoredKey) -> None:
        """Raises ``KeyOfAnotherStore`` or ``KeyUnreadable`` unless this store can use the key."""
        ...

    def generate(self, algorithm: Algorithm, purpose: Purpose) -> StoredKey:
        """A new key. ``Sm2Unavailable`` when SM2 is asked of a machine without it."""
        ...

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        """The signature over ``message`` (not over a digest the caller made).

        P-256: ECDSA with SHA-256; P-384: with SHA-384; SM2: with SM3 and signer id 1234567812345678; each as
        DER SEQUENCE{r, s}. RSA: PKCS #1 v1.5 with SHA-256. Ed25519: 64 octets.
        Raises ``KeyPurposeMismatch`` unless ``purpose`` is the key's own.
        """
        ...

    def encrypt(self, key: StoredKey, plaintext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        """AES-256-GCM or SM4-GCM (RFC 8998 §3) with a random nonce.

        ``context`` is authenticated, not stored: give the same one to decrypt.
        """
        ...

    def decrypt(self, key: StoredKey, ciphertext: bytes, context: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        """The plaintext; ``CiphertextInvalid`` when anything differs from what was encrypted."""
        ...

    def mac(self, key: StoredKey, message: bytes, purpose: Purpose = Purpose.PERSONAL_DATA) -> bytes:
        """HMAC (RFC 2104) with SHA-256 or SM3, as the key says: 32 octets."""
        ...

    def destroy(self, key: StoredKey) -> None:
        """The key is gone from this store and from this process's memory; one that is gone already is no error.

        Whoever calls has erased its row before, and knows that nothing needs it.
        """
        ...
