"""Which public keys may be certified: of a known kind, in their one spelling, and not weak. Plain functions.

What is known against a key anywhere (``keys.custody.verifying_keys``: RSA below 2048 bits, small or even exponents, ROCA) is
refused here too; more is asked of a key that we are to certify: the sizes we know, no small factor, primes apart, and for
Ed25519 a point that generates the group.
"""

import math
from collections.abc import Collection

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from keys.custody import sm2
from keys.custody.errors import PublicKeyInvalid
from keys.custody.store import Algorithm
from keys.custody.verifying_keys import read_public_key, weakness
from keys.pki.errors import PublicKeyUnsuitable, PublicKeyWeak

_SM2_CURVE_OID = bytes.fromhex("06082a811ccf5501822d")
_CURVES = {"secp256r1": Algorithm.P256, "secp384r1": Algorithm.P384}
_RSA_SIZES = {2048: Algorithm.RSA2048, 3072: Algorithm.RSA3072, 4096: Algorithm.RSA4096}

_SPKI_OCTETS = 600  # RSA-4096 takes 550
_SIEVE = 752  # CA/Browser Forum BR §6.1.6: no factor smaller than 752
_SMALL_FACTORS = math.prod(number for number in range(2, _SIEVE) if all(number % divisor for divisor in range(2, math.isqrt(number) + 1)))
_EXPONENT = 65537  # what every maker of keys takes
_FERMAT_ROUNDS = 100  # BR §6.1.1.3: what 100 rounds of Fermat's method factor is refused

_ED25519_PRIME = 2**255 - 19
_ED25519_D = -121665 * pow(121666, -1, _ED25519_PRIME) % _ED25519_PRIME
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_ROOT_OF_MINUS_ONE = pow(2, (_ED25519_PRIME - 1) // 4, _ED25519_PRIME)
_NEUTRAL = (0, 1)


def key_algorithm(public_key: bytes) -> Algorithm:
    """The kind of a public key in its canonical SPKI, DER. Raises ``PublicKeyUnsuitable`` or ``PublicKeyWeak``."""
    if len(public_key) > _SPKI_OCTETS:
        raise PublicKeyUnsuitable(f"a public key of {len(public_key)} octets")
    if _is_sm2(public_key):
        return _sm2(public_key)
    if read_public_key(public_key) is None:
        raise PublicKeyUnsuitable("no SubjectPublicKeyInfo that we know")
    if (known := weakness(public_key)) is not None:
        raise PublicKeyWeak(known)
    return _international(public_key)


def _international(public_key: bytes) -> Algorithm:
    try:
        key = load_der_public_key(public_key)
    except Exception as error:  # it raises several kinds for malformed octets, and all mean the same here
        raise PublicKeyUnsuitable("no public key, or a point that is not on its curve") from error
    algorithm = _kind(key)
    if algorithm is None or key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public_key:
        raise PublicKeyUnsuitable("a kind of key that is not certified here, or not in its one spelling")
    if (found := _weakness(key)) is not None:
        raise PublicKeyWeak(found)
    return algorithm


def _weakness(key: object) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        modulus = key.public_numbers().n
        if key.public_numbers().e != _EXPONENT:
            return f"an RSA exponent other than {_EXPONENT}: one modulus could come as many keys"
        if math.gcd(modulus, _SMALL_FACTORS) != 1:
            return "an RSA modulus with a small factor"
        return "an RSA modulus whose primes are close to each other" if has_close_primes(modulus) else None
    if isinstance(key, ed25519.Ed25519PublicKey) and not generates_the_group(key.public_bytes_raw()):
        return "an Ed25519 key with a part in a small subgroup"
    return None


def has_close_primes(modulus: int) -> bool:
    """Whether a hundred rounds of Fermat's method find the two primes of an odd number: a² − n = b² gives (a − b)(a + b)."""
    first = math.isqrt(modulus - 1) + 1
    return any(math.isqrt(rest := a * a - modulus) ** 2 == rest for a in range(first, first + _FERMAT_ROUNDS))


def generates_the_group(encoded: bytes) -> bool:
    """Whether an Ed25519 point (RFC 8032 §5.1.3, in its one spelling) has the order of the base point.

    To any other point, one of small order may have been added: eight public keys for which one private key can sign.
    """
    y = int.from_bytes(encoded, "little") & (1 << 255) - 1
    x = _ed25519_root((y * y - 1) * pow(_ED25519_D * y * y + 1, -1, _ED25519_PRIME) % _ED25519_PRIME)
    if x is None or y >= _ED25519_PRIME or (x, y) == _NEUTRAL:
        return False
    total, doubled = _NEUTRAL, (x, y)  # whichever of the two signs x has: a point and its opposite have one order
    for bit in range(_ED25519_ORDER.bit_length()):
        total = _ed25519_sum(total, doubled) if _ED25519_ORDER >> bit & 1 else total
        doubled = _ed25519_sum(doubled, doubled)
    return total == _NEUTRAL


def _ed25519_root(square: int) -> int | None:
    root = pow(square, (_ED25519_PRIME + 3) // 8, _ED25519_PRIME)
    for candidate in (root, root * _ROOT_OF_MINUS_ONE % _ED25519_PRIME):
        if candidate * candidate % _ED25519_PRIME == square:
            return candidate
    return None


def _ed25519_sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The complete addition law of the twisted Edwards curve −x² + y² = 1 + d·x²·y²."""
    (a, b), (c, d) = one, other
    product = _ED25519_D * a * b * c * d
    x, y = (a * d + b * c) * pow(1 + product, -1, _ED25519_PRIME), (b * d + a * c) * pow(1 - product, -1, _ED25519_PRIME)
    return x % _ED25519_PRIME, y % _ED25519_PRIME


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
    """Refuses what is none of these kinds in its canonical SPKI (``PublicKeyUnsuitable``) and what is weak (``PublicKeyWeak``)."""
    algorithm = key_algorithm(public_key)
    if algorithm not in algorithms:
        raise PublicKeyUnsuitable(f"{algorithm} is none of {', '.join(sorted(algorithms))}")
    return algorithm


def same_family(authority: Algorithm, subject: Algorithm | bytes) -> bool:
    """Whether both are SM2 or neither is (``subject``: a kind of key, or SPKI DER)."""
    is_sm2 = _is_sm2(subject) if isinstance(subject, bytes) else subject is Algorithm.SM2
    return (authority is Algorithm.SM2) == is_sm2
