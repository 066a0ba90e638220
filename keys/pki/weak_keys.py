"""Which public keys may be certified: of a known kind, in their one spelling, and not weak. Plain functions."""

from collections.abc import Collection

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from keys.custody import sm2
from keys.custody.errors import PublicKeyInvalid
from keys.custody.store import Algorithm
from keys.pki.errors import PublicKeyUnsuitable

_SM2_CURVE_OID = bytes.fromhex("06082a811ccf5501822d")
_CURVES = {"secp256r1": Algorithm.P256, "secp384r1": Algorithm.P384}
_RSA_SIZES = {2048: Algorithm.RSA2048, 3072: Algorithm.RSA3072, 4096: Algorithm.RSA4096}


def key_algorithm(public_key: bytes) -> Algorithm:
    """The kind of a public key in its canonical SPKI, DER. Raises ``PublicKeyUnsuitable``."""
    if _is_sm2(public_key):
        return _sm2(public_key)
    try:
        key = load_der_public_key(public_key)
    except Exception as error:  # it raises several kinds for malformed octets, and all mean the same here
        raise PublicKeyUnsuitable("no SubjectPublicKeyInfo that we know") from error
    algorithm = _kind(key)
    if algorithm is None or key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public_key:
        raise PublicKeyUnsuitable("a kind of key that is not certified here, or not in its one spelling")
    return algorithm


def _is_sm2(public_key: bytes) -> bool:
    return _SM2_CURVE_OID in public_key[:32]


def _sm2(public_key: bytes) -> Algorithm:
    try:
        canonical = sm2.public_spki(public_key)
    except PublicKeyInvalid as error:
        raise PublicKeyUnsuitable("not a point of the SM2 curve") from error
    if canonical != public_key:
        raise PublicKeyUnsuitable("an SM2 key that is not in its one spelling")
    return Algorithm.SM2


def _kind(key: object) -> Algorithm | None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name)
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA_SIZES.get(key.key_size)
    return Algorithm.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else None


def check_public_key(public_key: bytes, algorithms: Collection[Algorithm]) -> Algorithm:
    """Refuses what is none of these kinds in its canonical SPKI: ``PublicKeyUnsuitable``."""
    algorithm = key_algorithm(public_key)
    if algorithm not in algorithms:
        raise PublicKeyUnsuitable(f"{algorithm} is none of {', '.join(sorted(algorithms))}")
    return algorithm


def same_family(authority: Algorithm, subject: Algorithm | bytes) -> bool:
    """Whether both are SM2 or neither is (``subject``: a kind of key, or SPKI DER)."""
    is_sm2 = _is_sm2(subject) if isinstance(subject, bytes) else subject is Algorithm.SM2
    return (authority is Algorithm.SM2) == is_sm2
