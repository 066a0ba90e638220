"""SM2 signatures with SM3 (GB/T 32918.2, GB/T 35276) for keys whose public half is at hand.

The digest that is signed is SM3(Z ‖ M), with Z = SM3(ENTL ‖ signer id ‖ a ‖ b ‖ G ‖ public point).
A signature is DER SEQUENCE{r INTEGER, s INTEGER} in its one canonical spelling.
"""

import functools

from cryptography.hazmat.primitives import hashes

from keys.custody import libcrypto, sm2_math
from keys.custody.errors import PublicKeyInvalid

SIGNER_ID = b"1234567812345678"
SM2_CURVE = "1.2.156.10197.1.301"
SM2_WITH_SM3 = "1.2.156.10197.1.501"
SM3 = "1.2.156.10197.1.401"

# SubjectPublicKeyInfo of an uncompressed point: AlgorithmIdentifier{id-ecPublicKey, SM2 curve}, BIT STRING
_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_POINT_OCTETS = 65
_LONG, _LONGEST, _OWN = 8192, 131_072, 256  # messages of which the beginning is kept, and how many octets at the end are their own
_CURVE = b"".join(value.to_bytes(32, "big") for value in (sm2_math.A, sm2_math.B, sm2_math.GX, sm2_math.GY))


def sm3(data: bytes) -> bytes:
    """The SM3 digest (GB/T 32905), 32 octets."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


@functools.lru_cache(maxsize=1024)
def public_point(public: bytes) -> bytes:
    """The 65-octet uncompressed point of an SM2 public key (SPKI DER or the point itself), on the curve.

    Raises ``PublicKeyInvalid``.
    """
    point = public[len(_SPKI_PREFIX) :] if public.startswith(_SPKI_PREFIX) else public
    if len(point) != _POINT_OCTETS or point[0] != 0x04 or not sm2_math.on_curve(*_coordinates(point)):
        raise PublicKeyInvalid("not an SM2 public key")
    return point


def public_spki(public: bytes) -> bytes:
    """The SubjectPublicKeyInfo of an SM2 public key, 91 octets DER. Raises ``PublicKeyInvalid``."""
    return _SPKI_PREFIX + public_point(public)


def _coordinates(point: bytes) -> tuple[int, int]:
    return int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:65], "big")


@functools.lru_cache(maxsize=1024)
def z_value(point: bytes, user_id: bytes = SIGNER_ID) -> bytes:
    """Z (GB/T 32918.2 §5.5): binds the signer's id, the curve and the public point, 32 octets."""
    bits = len(user_id) * 8
    return sm3(bits.to_bytes(2, "big") + user_id + _CURVE + point[1:])


def message_digest(point: bytes, message: bytes, user_id: bytes = SIGNER_ID) -> bytes:
    """e = SM3(Z ‖ message), what SM2 signs.

    Stamps of one seal begin with the same octets, the seal, which are hashed once: what is kept is the state behind them.
    """
    z = z_value(point, user_id)
    if not _LONG <= len(message) <= _LONGEST:
        return sm3(z + message)
    digest = _begun(z, message[:-_OWN]).copy()
    digest.update(message[-_OWN:])
    return digest.finalize()


@functools.lru_cache(maxsize=64)
def _begun(z: bytes, beginning: bytes) -> hashes.Hash:
    """SM3 after these octets; to be copied, never to be gone on with."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(z)
    digest.update(beginning)
    return digest


def encode_signature(r: int, s: int) -> bytes:
    """DER SEQUENCE{r, s} of two non-negative integers below 2²⁵⁶."""
    body = b"".join(_integer(value) for value in (r, s))
    return b"\x30" + bytes([len(body)]) + body


def _integer(value: int) -> bytes:
    octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(octets)]) + octets


def decode_signature(signature: bytes) -> tuple[int, int] | None:
    """(r, s) of a canonical DER signature with both in [1, n−1], else None.

    What re-encodes to other octets is refused: trailing bytes, padded integers, long lengths.
    """
    if len(signature) < 8 or signature[0] != 0x30 or signature[2] != 0x02:
        return None
    split = 4 + signature[3]
    r, s = int.from_bytes(signature[4:split], "big"), int.from_bytes(signature[split + 2 :], "big")
    if not (1 <= r < sm2_math.N and 1 <= s < sm2_math.N):
        return None
    return (r, s) if encode_signature(r, s) == signature else None


def verify(public: bytes, message: bytes, signature: bytes, user_id: bytes = SIGNER_ID) -> bool:
    """Whether ``signature`` is that of ``public`` (SPKI DER or 65-octet point) over ``message``.

    Nothing verifies under octets that are no SM2 public key: the answer is then False, not an error.
    """
    try:
        point = public_point(public)
    except PublicKeyInvalid:
        return False
    numbers = decode_signature(signature)
    if numbers is None:
        return False
    digest = message_digest(point, message, user_id)
    if libcrypto.available():
        return libcrypto.verify_digest(_loaded(point), digest, signature)
    return verify_without_libcrypto(point, digest, *numbers)


def verify_without_libcrypto(point: bytes, digest: bytes, r: int, s: int) -> bool:
    """The same answer in plain Python, some milliseconds slower."""
    return sm2_math.verify_digest(*_coordinates(point), int.from_bytes(digest, "big"), r, s)


@functools.lru_cache(maxsize=256)
def _loaded(point: bytes) -> libcrypto.Key:
    return libcrypto.load_public(_SPKI_PREFIX + point)
