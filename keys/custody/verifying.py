"""The one place where signatures of others are checked: certificates, CRLs, OCSP answers, time stamps, requests.

1. the AlgorithmIdentifier is one the policy names, its parameters spelled as its standard says   (RFC 4055, 5758, 8410)
2. the key is of the kind that algorithm needs and not weak                                      (:mod:`keys.custody.verifying_keys`)
3. the signature holds, in canonical DER where it is a SEQUENCE                                   (cryptography; SM2 by ours)

Whatever else the octets are, the answer is False, never an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keys.base import der, der_values
from keys.custody import sm2
from keys.custody.verifying_keys import DSA, EC, ED25519, RSA, RSA_PSS, SM2, STRICT_KEYS, KeyPolicy, read_public_key, weakness

ECDSA_WITH_SHA256, ECDSA_WITH_SHA384, ECDSA_WITH_SHA512 = (f"1.2.840.10045.4.3.{number}" for number in (2, 3, 4))
RSA_WITH_SHA256, RSA_WITH_SHA384, RSA_WITH_SHA512 = (f"1.2.840.113549.1.1.{number}" for number in (11, 12, 13))
DSA_WITH_SHA1, DSA_WITH_SHA256 = "1.2.840.10040.4.3", "2.16.840.1.101.3.4.3.2"
SM2_WITH_SM3 = sm2.SM2_WITH_SM3

_MGF1 = "1.2.840.113549.1.1.8"
_NULL = b"\x05\x00"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    ECDSA_WITH_SHA256: hashes.SHA256(),
    ECDSA_WITH_SHA384: hashes.SHA384(),
    ECDSA_WITH_SHA512: hashes.SHA512(),
    RSA_WITH_SHA256: hashes.SHA256(),
    RSA_WITH_SHA384: hashes.SHA384(),
    RSA_WITH_SHA512: hashes.SHA512(),
    DSA_WITH_SHA1: hashes.SHA1(),  # noqa: S303  only a policy that names it lets it in: none of the product does
    DSA_WITH_SHA256: hashes.SHA256(),
}
_FAILURES = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, OverflowError, IndexError)


@dataclass(frozen=True, slots=True)
class AlgorithmPolicy:
    """Which signature algorithms (OIDs) and which keys are accepted."""

    signatures: frozenset[str]
    keys: KeyPolicy = STRICT_KEYS


STRICT = AlgorithmPolicy(
    frozenset(
        {
            ECDSA_WITH_SHA256,
            ECDSA_WITH_SHA384,
            ECDSA_WITH_SHA512,
            RSA_WITH_SHA256,
            RSA_WITH_SHA384,
            RSA_WITH_SHA512,
            RSA_PSS,
            ED25519,
            SM2_WITH_SM3,
        }
    )
)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What is to be checked. ``parameters``: the DER behind the algorithm's OID."""

    public: bytes
    oid: str
    parameters: bytes
    message: bytes
    signature: bytes


def algorithm_identifier(oid: str, parameters: bytes = b"") -> bytes:
    """AlgorithmIdentifier DER; ``parameters`` is DER or empty where they are absent."""
    return der.sequence(der.object_identifier(oid), parameters)


def verify_signature(public: bytes, algorithm: bytes, message: bytes, signature: bytes, policy: AlgorithmPolicy = STRICT) -> bool:
    """Whether the key (SPKI DER) signed the message under the algorithm (AlgorithmIdentifier DER). Never raises."""
    try:
        oid, parameters = read_algorithm(algorithm)
        check = _CHECKS.get(oid)
        if oid not in policy.signatures or check is None or weakness(public, policy.keys):
            return False
        return check(_Claim(public, oid, parameters, message, signature))
    except _FAILURES:
        return False


@lru_cache(maxsize=256)
def verify_signature_once(public: bytes, algorithm: bytes, message: bytes, signature: bytes, policy: AlgorithmPolicy = STRICT) -> bool:
    """:func:`verify_signature`, remembered: the same few certificates and lists stand behind every stamp a worker makes."""
    return verify_signature(public, algorithm, message, signature, policy)


@lru_cache(maxsize=64)
def read_algorithm(algorithm: bytes) -> tuple[str, bytes]:
    """(OID, DER of the parameters or empty). Raises ``NotDer``."""
    identifier, *parameters = der.members(der.read(algorithm))
    if len(parameters) > 1:
        raise der.NotDer("no AlgorithmIdentifier")
    return der_values.dotted(identifier), parameters[0].encoded if parameters else b""


def _ecdsa(claim: _Claim) -> bool:
    key = _loaded(claim.public)
    if claim.parameters or not isinstance(key, ec.EllipticCurvePublicKey) or not _canonical_pair(claim.signature):
        return False
    key.verify(claim.signature, claim.message, ec.ECDSA(_DIGESTS[claim.oid]))
    return True


def _canonical_pair(signature: bytes) -> bool:
    """SEQUENCE of two positive INTEGERs in DER (RFC 3279 §2.2.3)."""
    members = der.members(der.read(signature))
    return len(members) == 2 and all(der_values.integer(one) > 0 for one in members)


def _rsa_pkcs1(claim: _Claim) -> bool:
    key = _loaded(claim.public)
    if claim.parameters != _NULL or not _is(claim.public, RSA) or not isinstance(key, rsa.RSAPublicKey):
        return False
    key.verify(claim.signature, claim.message, padding.PKCS1v15(), _DIGESTS[claim.oid])
    return True


def _rsa_pss(claim: _Claim) -> bool:
    stated = read_public_key(claim.public)
    key = _loaded(claim.public)
    if stated is None or not isinstance(key, rsa.RSAPublicKey):
        return False
    if stated.kind == RSA_PSS and stated.parameters not in (b"", claim.parameters):
        return False  # RFC 4055 §3.3: the key allows one set of parameters only
    digest, salt = _pss_parameters(claim.parameters)
    key.verify(claim.signature, claim.message, padding.PSS(padding.MGF1(digest), salt), digest)
    return True


def _pss_parameters(encoded: bytes) -> tuple[hashes.HashAlgorithm, int]:
    """RFC 4055 §3.1, in the only form accepted: SHA-2, MGF1 with the same hash, a salt as long as it, the usual trailer."""
    members = {one.tag: der.read(one.value) for one in der.members(der.read(encoded))}
    digest = _hash(members[0xA0].encoded) if 0xA0 in members else None
    if digest is None or not {0xA0, 0xA1, 0xA2} <= set(members) <= {0xA0, 0xA1, 0xA2, 0xA3}:
        raise ValueError("PSS parameters left to their old defaults")
    mask, masked = der.members(members[0xA1])
    salt = der_values.integer(members[0xA2])
    trailer = der_values.integer(members[0xA3]) if 0xA3 in members else 1
    if der_values.dotted(mask) != _MGF1 or _hash(masked.encoded) is not digest or salt != digest.digest_size or trailer != 1:
        raise ValueError("PSS parameters that do not belong together")
    return digest, salt


def _hash(identifier: bytes) -> hashes.HashAlgorithm | None:
    oid, parameters = read_algorithm(identifier)
    return _HASHES.get(oid) if parameters in (b"", _NULL) else None


def _ed25519(claim: _Claim) -> bool:
    key = _loaded(claim.public)
    if claim.parameters or not isinstance(key, ed25519.Ed25519PublicKey):
        return False
    key.verify(claim.signature, claim.message)
    return True


def _dsa(claim: _Claim) -> bool:
    key = _loaded(claim.public)
    if claim.parameters or not _is(claim.public, DSA) or not isinstance(key, dsa.DSAPublicKey) or not _canonical_pair(claim.signature):
        return False
    key.verify(claim.signature, claim.message, _DIGESTS[claim.oid])
    return True


def _sm2(claim: _Claim) -> bool:
    # GM/T 0015 leaves the parameters absent; issuers that write NULL mean the same.
    return claim.parameters in (b"", _NULL) and sm2.verify(claim.public, claim.message, claim.signature)


def _is(public: bytes, kind: str) -> bool:
    key = read_public_key(public)
    return key is not None and key.kind == kind


@lru_cache(maxsize=256)
def _loaded(public: bytes) -> object:
    key = read_public_key(public)
    if key is not None and key.kind == EC and key.curve == SM2:
        return None  # an SM2 key signs with SM2 only
    if key is not None and key.modulus:
        return rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()  # the library reads no key that is for PSS alone
    return load_der_public_key(public)


_CHECKS: Mapping[str, Callable[[_Claim], bool]] = {
    **dict.fromkeys((ECDSA_WITH_SHA256, ECDSA_WITH_SHA384, ECDSA_WITH_SHA512), _ecdsa),
    **dict.fromkeys((RSA_WITH_SHA256, RSA_WITH_SHA384, RSA_WITH_SHA512), _rsa_pkcs1),
    **dict.fromkeys((DSA_WITH_SHA1, DSA_WITH_SHA256), _dsa),
    RSA_PSS: _rsa_pss,
    ED25519: _ed25519,
    SM2_WITH_SM3: _sm2,
}
