"""The kinds of keys as a table: how each is made and what it does once loaded.

Private keys are PKCS #8 DER, SM2's an ECPrivateKey (RFC 5915), symmetric keys plain octets; only ever held in memory.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_der_private_key

from keys.custody import libcrypto, sm2
from keys.custody.errors import KeyUnreadable
from keys.custody.store import Algorithm

Signer = Callable[[bytes], bytes]
Authenticator = Callable[[bytes], bytes]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_TAG_OCTETS = 16
_PUBLIC_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class Material:
    """A key in the clear, about to be wrapped. ``public`` is SPKI DER or empty."""

    public: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class SigningKind:
    """``make`` a key pair; ``load`` its secret (and public) half into a function that signs a message."""

    make: Callable[[], Material]
    load: Callable[[bytes, bytes], Signer]


class Aead(Protocol):
    """Authenticated encryption; the tag (16 octets) ends the ciphertext. ``decrypt`` raises ``InvalidTag``."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


class Sm4Gcm:
    """SM4 (GB/T 32907) in GCM (RFC 8998 §3), as ``AESGCM`` is for AES."""

    def __init__(self, key: bytes) -> None:
        self._cipher = SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        state = Cipher(self._cipher, GCM(nonce)).encryptor()
        state.authenticate_additional_data(associated_data or b"")
        return state.update(data) + state.finalize() + state.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        state = Cipher(self._cipher, GCM(nonce, data[-_TAG_OCTETS:], _TAG_OCTETS)).decryptor()
        state.authenticate_additional_data(associated_data or b"")
        return state.update(data[:-_TAG_OCTETS]) + state.finalize()


@dataclass(frozen=True, slots=True)
class CipherKind:
    """A secret of so many octets, and what it becomes once loaded."""

    octets: int
    load: Callable[[bytes], Aead]


@dataclass(frozen=True, slots=True)
class MacKind:
    """HMAC (RFC 2104) over ``digest``, whose length the secret has as well."""

    digest: Callable[[], hashes.HashAlgorithm]

    @property
    def octets(self) -> int:
        return self.digest().digest_size

    def load(self, secret: bytes) -> Authenticator:
        keyed = hmac.HMAC(secret, self.digest())

        def authenticate(message: bytes) -> bytes:
            state = keyed.copy()
            state.update(message)
            return state.finalize()

        return authenticate


CIPHERS: Mapping[Algorithm, CipherKind] = {Algorithm.AES256: CipherKind(32, AESGCM), Algorithm.SM4: CipherKind(16, Sm4Gcm)}
MACS: Mapping[Algorithm, MacKind] = {Algorithm.HMAC: MacKind(hashes.SHA256), Algorithm.HMAC_SM3: MacKind(hashes.SM3)}


def make(algorithm: Algorithm) -> Material:
    """A new key in the clear: a pair, or as many random octets as the algorithm takes."""
    if algorithm in SIGNING:
        return SIGNING[algorithm].make()
    kind = CIPHERS.get(algorithm) or MACS[algorithm]
    return Material(b"", secrets.token_bytes(kind.octets))


def _material(key: PrivateKey) -> Material:
    return Material(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )


def _elliptic(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> SigningKind:
    scheme = ec.ECDSA(digest)

    def load(secret: bytes, _public: bytes) -> Signer:
        key = load_der_private_key(secret, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyUnreadable("not an elliptic curve key")
        return lambda message: key.sign(message, scheme)

    return SigningKind(lambda: _material(ec.generate_private_key(curve)), load)


def _rsa(bits: int) -> SigningKind:
    def load(secret: bytes, _public: bytes) -> Signer:
        # The wrapping proves that these are the octets we generated: testing the primes again would cost 30 ms.
        key = load_der_private_key(secret, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyUnreadable("not an RSA key")
        return lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    return SigningKind(lambda: _material(rsa.generate_private_key(_PUBLIC_EXPONENT, bits)), load)


def _load_ed25519(secret: bytes, _public: bytes) -> Signer:
    key = load_der_private_key(secret, None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyUnreadable("not an Ed25519 key")
    return key.sign


def _make_sm2() -> Material:
    key = libcrypto.generate()
    return Material(libcrypto.public_der(key), libcrypto.private_der(key))


def _load_sm2(secret: bytes, public: bytes) -> Signer:
    key, point = libcrypto.load_private(secret), sm2.public_point(public)
    return lambda message: libcrypto.sign_digest(key, sm2.message_digest(point, message))


SIGNING: Mapping[Algorithm, SigningKind] = {
    Algorithm.P256: _elliptic(ec.SECP256R1(), hashes.SHA256()),
    Algorithm.P384: _elliptic(ec.SECP384R1(), hashes.SHA384()),
    Algorithm.RSA2048: _rsa(2048),
    Algorithm.RSA3072: _rsa(3072),
    Algorithm.RSA4096: _rsa(4096),
    Algorithm.ED25519: SigningKind(lambda: _material(ed25519.Ed25519PrivateKey.generate()), _load_ed25519),
    Algorithm.SM2: SigningKind(_make_sm2, _load_sm2),
}
