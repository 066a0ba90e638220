"""Public keys of others: which kind, how strong, and whether their maker is known to have made weak ones.

A SubjectPublicKeyInfo is read here octet by octet, so that every library behind it sees only what was understood: named curves,
points in their one uncompressed spelling, RSA numbers in canonical DER (RFC 3279, RFC 4055, RFC 5480, RFC 8410, GB/T 35276).
"""

from dataclasses import dataclass
from functools import lru_cache

from keys.base import der, der_values

RSA, RSA_PSS, DSA, EC, ED25519 = (
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.10",
    "1.2.840.10040.4.1",
    "1.2.840.10045.2.1",
    "1.3.101.112",
)
P256, P384, P521, SM2 = "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35", "1.2.156.10197.1.301"
_COORDINATE = {P256: 32, P384: 48, P521: 66, SM2: 32}
_NULL = b"\x05\x00"

# CVE-2017-15361: moduli of the affected library are powers of 65537 modulo each of these primes.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def _powers(prime: int) -> frozenset[int]:
    found, value = set(), 1
    while value not in found:
        found.add(value)
        value = value * 65537 % prime
    return frozenset(found)


_ROCA = tuple((prime, _powers(prime)) for prime in _ROCA_PRIMES)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``kind`` is the key's OID, ``curve`` the OID of an elliptic curve or empty; ``modulus`` and ``exponent`` are 0 unless RSA.

    ``parameters`` is the DER behind the OID: a PSS key may restrict itself there, a DSA key may leave them to its issuer.
    """

    kind: str
    curve: str = ""
    modulus: int = 0
    exponent: int = 0
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Which keys may verify anything: bounds in bits, smallest public exponent, curves by OID, kinds by OID."""

    kinds: frozenset[str] = frozenset({RSA, RSA_PSS, EC, ED25519})
    curves: frozenset[str] = frozenset({P256, P384, P521, SM2})
    rsa_bits: tuple[int, int] = (2048, 8192)
    rsa_exponent: int = 65537


STRICT_KEYS = KeyPolicy()
_MOST_EXPONENT_BITS = 256  # FIPS 186-5 §5.4: above it, verifying costs what signing does


@lru_cache(maxsize=512)
def read_public_key(public: bytes) -> PublicKey | None:
    """The key in SubjectPublicKeyInfo DER, or None where it is none that can be used here."""
    try:
        return _read(public)
    except (ValueError, IndexError):
        return None


def _read(public: bytes) -> PublicKey:
    algorithm, bits = der.members(der.read(public))
    if bits.tag != der.BIT_STRING or bits.value[:1] != b"\0":
        raise ValueError("no BIT STRING of whole octets")
    identifier, *parameters = der.members(algorithm)
    kind, stated = der_values.dotted(identifier), b"".join(one.encoded for one in parameters)
    content = bits.value[1:]
    if kind in (RSA, RSA_PSS):
        return _read_rsa(kind, stated, content)
    if kind == EC:
        return _read_point(stated, content)
    if (kind == ED25519 and not stated and len(content) == 32) or kind == DSA:
        return PublicKey(kind, parameters=stated)
    raise ValueError("no key of a known kind")


def _read_rsa(kind: str, parameters: bytes, content: bytes) -> PublicKey:
    if kind == RSA and parameters != _NULL:
        raise ValueError("rsaEncryption without NULL")
    modulus, exponent = (der_values.integer(one) for one in der.members(der.read(content)))
    return PublicKey(kind, "", modulus, exponent, parameters)


def _read_point(parameters: bytes, content: bytes) -> PublicKey:
    curve = der_values.dotted(der.read(parameters))
    width = _COORDINATE.get(curve)
    if width is None or len(content) != 2 * width + 1 or content[0] != 0x04:
        raise ValueError("no uncompressed point of a named curve")
    return PublicKey(EC, curve)


def weakness(public: bytes, policy: KeyPolicy = STRICT_KEYS) -> str | None:
    """Why the key (SPKI DER) may not be relied on, in a few words; None where nothing is known against it."""
    key = read_public_key(public)
    if key is None:
        return "not a public key of a known kind"
    if key.kind not in policy.kinds:
        return "a kind of key that is not accepted"
    if key.kind == EC:
        return None if key.curve in policy.curves else "a curve that is not accepted"
    return _rsa_weakness(key, policy) if key.modulus or key.kind in (RSA, RSA_PSS) else None


def _rsa_weakness(key: PublicKey, policy: KeyPolicy) -> str | None:
    bits, (least, most) = key.modulus.bit_length(), policy.rsa_bits
    if not least <= bits <= most or bits % 8:
        return f"an RSA modulus of {bits} bits"
    if not key.modulus & 1 or key.modulus < 0:
        return "an RSA modulus that is no product of two primes"
    exponent = key.exponent
    if exponent < policy.rsa_exponent or not exponent & 1 or exponent.bit_length() > _MOST_EXPONENT_BITS:
        return "an RSA exponent that is even, too small or too large"
    return "an RSA key of a library that made weak ones (ROCA)" if is_roca(key.modulus) else None


def is_roca(modulus: int) -> bool:
    """Whether the modulus bears the fingerprint of CVE-2017-15361; by chance one in 2²⁷ does."""
    return all(modulus % prime in powers for prime, powers in _ROCA)
