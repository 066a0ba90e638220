"""Chains and revocation of signers and seal makers: the common validation of :mod:`keys.pki.validation` under the rules of seals.

At most four certificates from the signer's to an anchor and at most sixteen candidates; an authority without key usage certifies
nothing. A seal is judged at several instants, so validity in time and revocation are asked of a chain that stands, each by itself.
"""

import datetime as dt
import functools
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

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

T = TypeVar("T")

MAX_DEPTH = 4
MAX_CANDIDATES = 16
_MOST_LATER, _ISSUED_BY_ROOT = 8, 2
_LARGEST_REMEMBERED = 1 << 18  # octets behind one answer: what a hostile file brings is not kept
RULES = Rules(limits=Limits(depth=MAX_DEPTH, candidates=MAX_CANDIDATES), key_usage_required=True)


@functools.lru_cache(maxsize=16)
def _identifier(oid: str) -> bytes:
    return algorithm_identifier(oid)


def signature_holds(public: bytes, algorithm: str, message: bytes, signature: bytes) -> bool:
    """Whether the key (SPKI DER) signed the message under an algorithm (OID) without parameters: ECDSA with SHA-2, SM2 with SM3."""
    return verify_signature_once(public, _identifier(algorithm), message, signature, RULES.algorithms)


class _Memory:
    """Answers by the objects they follow from, which are kept as long as the answer is: then no other object has their identity."""

    def __init__(self, size: int = 512) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[object, ...], tuple[tuple[object, ...], Any]] = OrderedDict()

    def recall(self, objects: tuple[object, ...], more: tuple[object, ...], work: Callable[[], T]) -> T:
        key = (*map(id, objects), *more)
        if (kept := self._kept.get(key)) is not None:
            answer: T = kept[1]
            return answer
        answer = work()
        self._kept[key] = objects, answer
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return answer


_PATHS, _TIMES, _STATES = _Memory(), _Memory(), _Memory()


def find_path(leaf: Party, candidates: Iterable[Party], anchors: Iterable[Party]) -> tuple[Party, ...] | None:
    """The signer's certificate, its issuers and the anchor, in this order; None where no such chain stands.

    Validity in time is not looked at here: see :func:`out_of_bounds`. So the answer follows from the certificates, and is remembered.
    """
    others, ends = tuple(candidates), tuple(anchors)
    parties = (leaf, *others, *ends)
    if sum(len(party.encoded) for party in parties) > _LARGEST_REMEMBERED:
        return _path(leaf, others, ends)
    return _PATHS.recall(parties, (len(others),), lambda: _path(leaf, others, ends))


def _path(leaf: Party, candidates: tuple[Party, ...], anchors: tuple[Party, ...]) -> tuple[Party, ...] | None:
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

    Without an entry for any certificate of the path, the instant is only ever compared with the validity of its certificates and
    with thisUpdate and nextUpdate of the lists, all whole seconds: between two of them the answer cannot change, and is
    remembered. Where an entry or an OCSP response is at hand it is asked anew each time.
    """
    path, lists, answers = tuple(path), tuple(crls), tuple(responses)
    if answers or sum(len(crl.signed) for crl in lists) > _LARGEST_REMEMBERED:
        return _revocation(path, lists, at, answers)
    parts = (*path, *lists)
    times = _TIMES.recall(parts, (), lambda: _times(path, lists))
    if times is None:
        return _revocation(path, lists, at, ())
    second = at.replace(microsecond=0)
    left, right = bisect_left(times, second), bisect_right(times, second)
    return _STATES.recall(parts, (left, right, left != right and second != at), lambda: _revocation(path, lists, at, ()))


def revocation_as_of(
    path: Sequence[Party],
    crls: Sequence[RevocationList],
    at: dt.datetime,
    known: dt.datetime | None,
    responses: Sequence[OcspResponse] = (),
) -> Revoked | Unknown | None:
    """:func:`revocation` at an instant ``at`` of the past, with what has become known until ``known``.

    Lists and answers that were not yet made at ``at`` count too, while the certificates were still valid: whoever is not revoked
    then, or was revoked only after ``at``, was not revoked at ``at``.
    """
    answer = revocation(path, crls, at, responses)
    if known is None or known <= at or not isinstance(answer, Unknown):
        return answer
    made = {crl.this_update for crl in crls} | {one.this_update for response in responses for one in response.answers}
    for instant in sorted(instant for instant in made if at < instant <= known)[:_MOST_LATER]:
        if out_of_bounds(path, instant) is not None:
            break  # an expired certificate may have left its issuer's list
        later = revocation(path, crls, instant, responses)
        if later is None or (isinstance(later, Revoked) and later.depth == 0 and later.since > at and _issuers_stand(path, crls, instant)):
            return None
    return answer


def _issuers_stand(path: Sequence[Party], crls: Sequence[RevocationList], instant: dt.datetime) -> bool:
    return len(path) == _ISSUED_BY_ROOT or revocation(path[1:], crls, instant) is None


def _times(path: tuple[Party, ...], crls: tuple[RevocationList, ...]) -> tuple[dt.datetime, ...] | None:
    """The instants at which an answer can change; None where an entry's own time may be one of them."""
    serials = [party.serial.to_bytes(max(1, (party.serial.bit_length() + 8) // 8), signed=True).lstrip(b"\0") for party in path]
    if any(serial in crl.revoked for crl in crls for serial in serials):
        return None
    times = {instant for party in path for instant in (party.not_before, party.not_after)}
    times |= {instant for crl in crls for instant in (crl.this_update, crl.next_update) if instant is not None}
    return tuple(sorted(times))


def _revocation(
    path: tuple[Party, ...], crls: tuple[RevocationList, ...], at: dt.datetime, responses: tuple[OcspResponse, ...]
) -> Revoked | Unknown | None:
    material = Material(anchors=(path[-1],), candidates=path[1:-1], lists=crls, responses=responses)
    return revocation_of(path, material, at, RULES)
