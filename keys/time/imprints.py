"""The digests a time stamp may cover: SHA-2 and SM3, by name and by AlgorithmIdentifier."""

from collections.abc import Mapping
from dataclasses import dataclass

from keys.base import der

_NULL = b"\x05\x00"


@dataclass(frozen=True, slots=True)
class Imprint:
    """MessageImprint (RFC 3161 §2.4.1): ``digest`` under ``algorithm``."""

    algorithm: str
    digest: bytes

    def encode(self) -> bytes:
        """DER, the parameters NULL: what most readers expect, and every reader accepts (RFC 5754 §2)."""
        kind = ALGORITHMS[self.algorithm]
        return der.sequence(der.sequence(kind.oid, _NULL), der.octet_string(self.digest))


@dataclass(frozen=True, slots=True)
class HashAlgorithm:
    """``oid`` is the encoded OBJECT IDENTIFIER, ``size`` the digest's octets."""

    name: str
    oid: bytes
    size: int


ALGORITHMS: Mapping[str, HashAlgorithm] = {
    name: HashAlgorithm(name, der.object_identifier(dotted), size)
    for name, dotted, size in (
        ("sha256", "2.16.840.1.101.3.4.2.1", 32),
        ("sha384", "2.16.840.1.101.3.4.2.2", 48),
        ("sha512", "2.16.840.1.101.3.4.2.3", 64),
        ("sm3", "1.2.156.10197.1.401", 32),
    )
}
BY_OID: Mapping[bytes, HashAlgorithm] = {one.oid: one for one in ALGORITHMS.values()}


def imprint_of(digest: bytes, algorithm: str) -> Imprint:
    """Raises ValueError for a digest that no such algorithm makes: the caller's mistake."""
    kind = ALGORITHMS.get(algorithm)
    if kind is None or len(digest) != kind.size:
        raise ValueError(f"{len(digest)} octets are no {algorithm[:20]!r} digest that can be stamped")
    return Imprint(algorithm, digest)
