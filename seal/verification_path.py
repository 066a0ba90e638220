"""Chains and revocation of signers and seal makers: the common validation of :mod:`keys.pki.validation` under the rules of seals.

At most four certificates from the signer's to an anchor and at most sixteen candidates; an authority without key usage certifies
nothing. A seal is judged at several instants, so validity in time and revocation are asked of a chain that stands, each by itself.
"""

import datetime as dt
import functools
from collections.abc import Iterable, Sequence

from keys.custody.verifying import algorithm_identifier, verify_signature_once
from keys.pki.validation import (
    Limits,
    Material,
    OcspResponse,
    Party,
    RevocationList,
    Revoked,
    Rules,
    Unknown,
    read_certificate,
    read_crl,
    read_ocsp,
    revocation_of,
)
from keys.pki.validation import find_path as find_any_path

__all__ = [
    "MAX_CANDIDATES",
    "MAX_DEPTH",
    "RULES",
    "OcspResponse",
    "Party",
    "RevocationList",
    "Revoked",
    "Unknown",
    "find_path",
    "out_of_bounds",
    "read_certificate",
    "read_crl",
    "read_ocsp",
    "revocation",
    "signature_holds",
]

MAX_DEPTH = 4
MAX_CANDIDATES = 16
RULES = Rules(limits=Limits(depth=MAX_DEPTH, candidates=MAX_CANDIDATES), key_usage_required=True)


@functools.lru_cache(maxsize=16)
def _identifier(oid: str) -> bytes:
    return algorithm_identifier(oid)


def signature_holds(public: bytes, algorithm: str, message: bytes, signature: bytes) -> bool:
    """Whether the key (SPKI DER) signed the message under an algorithm (OID) without parameters: ECDSA with SHA-2, SM2 with SM3."""
    return verify_signature_once(public, _identifier(algorithm), message, signature, RULES.algorithms)


def find_path(leaf: Party, candidates: Iterable[Party], anchors: Iterable[Party]) -> tuple[Party, ...] | None:
    """The signer's certificate, its issuers and the anchor, in this order; None where no such chain stands.

    Validity in time is not looked at here: see :func:`out_of_bounds`.
    """
    found = find_any_path(leaf, candidates, anchors, RULES)
    return found.path if found.fault is None else None


def out_of_bounds(path: Sequence[Party], instant: dt.datetime) -> Party | None:
    """The first certificate of the path that is not valid at that instant."""
    return next((party for party in path if not party.valid_at(instant)), None)


def revocation(
    path: Sequence[Party], crls: Iterable[RevocationList], at: dt.datetime, responses: Iterable[OcspResponse] = ()
) -> Revoked | Unknown | None:
    """What lists and OCSP responses say at the instant ``at`` of every certificate of the path below the anchor; None: nothing is revoked.

    A revoked certificate outweighs an unknown one, the deepest authority a lower one: whoever reads the answer needs the worst.
    """
    material = Material(anchors=(path[-1],), candidates=tuple(path[1:-1]), lists=tuple(crls), responses=tuple(responses))
    return revocation_of(tuple(path), material, at, RULES)
