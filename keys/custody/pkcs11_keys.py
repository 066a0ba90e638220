"""What a token is asked for, kind by kind: templates, mechanisms, and public keys as X.509 writes them.

Every private and secret key is sensitive and not extractable; it carries the key's identifier as CKA_ID and its purpose and
algorithm as CKA_LABEL, on both halves of a pair. Only a key that has all of them is used.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from keys.custody import sm2
from keys.custody.errors import KeyStoreRefused
from keys.custody.pkcs11_device import KeyGone, Lane
from keys.custody.store import Algorithm, Purpose, StoredKey

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_KEPT = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
_SIGNING = MechanismFlag.SIGN | MechanismFlag.VERIFY
_CIPHERING = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017 §9.2, note 1
_ED25519 = bytes.fromhex("06032b6570")  # id-Ed25519 (RFC 8410)
_ED25519_OCTETS = 32
_OCTET_STRING = 0x04


def label(algorithm: Algorithm, purpose: Purpose) -> str:
    return f"fujie {purpose} {algorithm}"


@dataclass(frozen=True, slots=True)
class TokenKind:
    """``make`` a pair in a session, read the ``public`` half off its object, ``sign`` with a private one."""

    make: Callable[[pkcs11.Session, dict[str, Any]], tuple[Any, Any]]
    public: Callable[[Any], PublicKey]
    sign: Callable[[Any, bytes], bytes]


def _elliptic(curve: ec.EllipticCurve, oid: bytes, digest: Callable[[bytes], Any]) -> TokenKind:
    def make(session: pkcs11.Session, options: dict[str, Any]) -> tuple[Any, Any]:
        domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: oid}, local=True)
        return domain.generate_keypair(**options)

    def public(found: Any) -> PublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, _point(found, 1 + 2 * ((curve.key_size + 7) // 8)))

    def sign(private: Any, message: bytes) -> bytes:
        signature = private.sign(digest(message).digest(), mechanism=Mechanism.ECDSA)
        half = len(signature) // 2
        return sm2.encode_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))

    return TokenKind(make, public, sign)


def _point(found: Any, octets: int) -> bytes:
    """CKA_EC_POINT is the point in a DER OCTET STRING (PKCS #11 v2.40 §2.3.3); some tokens answer the point itself."""
    value = bytes(found[Attribute.EC_POINT])
    return value[2:] if len(value) == octets + 2 and value[:2] == bytes([_OCTET_STRING, octets]) else value


def _rsa(bits: int) -> TokenKind:
    def make(session: pkcs11.Session, options: dict[str, Any]) -> tuple[Any, Any]:
        return session.generate_keypair(KeyType.RSA, bits, **options)

    def public(found: Any) -> PublicKey:
        numbers = (int.from_bytes(found[name], "big") for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS))
        return rsa.RSAPublicNumbers(*numbers).public_key()

    def sign(private: Any, message: bytes) -> bytes:
        """The digest is made here: a revocation list of a megabyte need not travel to the device."""
        encoded = _SHA256_DIGEST_INFO + hashlib.sha256(message).digest()
        return bytes(private.sign(encoded, mechanism=Mechanism.RSA_PKCS))

    return TokenKind(make, public, sign)


def _make_ed25519(session: pkcs11.Session, options: dict[str, Any]) -> tuple[Any, Any]:
    domain = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True)
    return domain.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **options)


def _ed25519_public(found: Any) -> PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_point(found, _ED25519_OCTETS))


def _ed25519_sign(private: Any, message: bytes) -> bytes:
    return bytes(private.sign(message, mechanism=Mechanism.EDDSA))


PAIRS: Mapping[Algorithm, TokenKind] = {
    Algorithm.P256: _elliptic(ec.SECP256R1(), bytes.fromhex("06082a8648ce3d030107"), hashlib.sha256),
    Algorithm.P384: _elliptic(ec.SECP384R1(), bytes.fromhex("06052b81040022"), hashlib.sha384),
    Algorithm.RSA2048: _rsa(2048),
    Algorithm.RSA3072: _rsa(3072),
    Algorithm.RSA4096: _rsa(4096),
    Algorithm.ED25519: TokenKind(_make_ed25519, _ed25519_public, _ed25519_sign),
}
SECRETS: Mapping[Algorithm, tuple[KeyType, MechanismFlag]] = {
    Algorithm.AES256: (KeyType.AES, _CIPHERING),
    Algorithm.HMAC: (KeyType.GENERIC_SECRET, _SIGNING),
}
PRIVATE_CLASSES = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)


def spki(algorithm: Algorithm, found: Any) -> bytes:
    """SubjectPublicKeyInfo of a public key object."""
    try:
        return PAIRS[algorithm].public(found).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyStoreRefused(f"the token shows a public key that is no {algorithm} key: {error}") from error


def make_pair(lane: Lane, algorithm: Algorithm, purpose: Purpose, key_id: uuid.UUID) -> bytes:
    """A new pair that stays on the token; its SubjectPublicKeyInfo."""
    options = {"store": True, "id": key_id.bytes, "label": label(algorithm, purpose), "capabilities": _SIGNING, "private_template": _KEPT}
    with lane.token.open(rw=True) as session:
        public, _private = PAIRS[algorithm].make(session, options)
        return spki(algorithm, public)


def make_secret(lane: Lane, algorithm: Algorithm, name: str, key_id: uuid.UUID) -> None:
    """A new secret key of 256 bits that stays on the token."""
    key_type, capabilities = SECRETS[algorithm]
    with lane.token.open(rw=True) as session:
        session.generate_key(key_type, 256, store=True, id=key_id.bytes, label=name, capabilities=capabilities, template=_KEPT)


def destroy(lane: Lane, key: StoredKey) -> None:
    """Every object of this row, a pair's public half too, leaves the token."""
    lane.handles.pop(key, None)
    wanted = {Attribute.ID: key.id.bytes, Attribute.LABEL: label(key.algorithm, key.purpose)}
    with lane.token.open(rw=True) as session:
        for found in list(session.get_objects(wanted)):
            found.destroy()


def private_key(lane: Lane, key: StoredKey) -> Any:
    """The private key of this row: same identifier, purpose, algorithm and public half. Raises ``KeyGone``."""
    if (known := lane.handles.get(key)) is not None:
        return known
    if spki(key.algorithm, _one(lane, key, ObjectClass.PUBLIC_KEY)) != key.public:
        raise KeyGone(f"key {key.id} on the token has another public half than its row")
    found = _one(lane, key, ObjectClass.PRIVATE_KEY)
    lane.remember(key, found)
    return found


def secret_key(lane: Lane, key: StoredKey) -> Any:
    """The secret key of this row. Raises ``KeyGone``."""
    if (known := lane.handles.get(key)) is None:
        known = _one(lane, key, ObjectClass.SECRET_KEY)
        lane.remember(key, known)
    return known


def _one(lane: Lane, key: StoredKey, kind: ObjectClass) -> Any:
    wanted = {Attribute.CLASS: kind, Attribute.ID: key.id.bytes, Attribute.LABEL: label(key.algorithm, key.purpose)}
    found = list(lane.session.get_objects(wanted))
    if len(found) != 1:
        raise KeyGone(f"{len(found)} keys on the token have the identifier {key.id} and are {key.algorithm} for {key.purpose}")
    return found[0]
