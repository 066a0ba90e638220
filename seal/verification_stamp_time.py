"""Time stamps within seals and stamps (GM/T 0031-2025): RFC 3161 tokens over the signature value, judged with ours.

1. the token is intact: over this value, signed by the certificate it carries             (:mod:`keys.time.verification`)
2. its authority is trusted for time stamps, its chain valid when it stamped *and* at the instant of judging, and nothing in it revoked:
   whoever holds the key of an expired authority, which no list mentions any more, can state any time (EN 319 102-1 §5.4)
3. it does not state a time that had not come by that instant
4. what it proves fits what is stated: a seal is stamped after it was made and before it is used, a stamp not before its own time
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from keys.base.errors import FujieError
from keys.custody import sm2
from keys.time.imprints import Imprint, imprint_of
from keys.time.reading import read_token
from keys.time.verification import verify_token
from keys.trust.entries import Use
from seal.verdict import Check, failed, open_question, passed
from seal.verification_path import Party, Revoked, Unknown, out_of_bounds, read_certificate

SKEW = dt.timedelta(minutes=1)
"""How far the clocks of a signer and of a time-stamping authority may differ before one of them is called wrong."""

_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "sha256": lambda value: hashlib.sha256(value).digest(),
    "sha384": lambda value: hashlib.sha384(value).digest(),
    "sha512": lambda value: hashlib.sha512(value).digest(),
    "sm3": sm2.sm3,
}
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a token is judged with: the anchors for time stamps at an instant, helpers, and what is known of revocation.

    ``at`` is the instant that is judged: now, or one at which a time stamp around it proves that it existed.
    """

    anchors: Callable[[Use, dt.datetime], tuple[Party, ...]]
    candidates: tuple[Party, ...]
    revocation: Callable[[tuple[Party, ...]], Revoked | Unknown | None]
    at: dt.datetime


def time_checks(claimed: dt.datetime | None, now: dt.datetime) -> Iterator[Check]:
    """``SIGNING_TIME``, only where a signer of somebody else's file states a time that has not come (EN 319 102-1 §5.2.8)."""
    if claimed is not None and claimed > now + SKEW:
        yield failed("SIGNING_TIME", f"signed {claimed:%Y-%m-%dT%H:%M:%SZ}, it says: later than the time of judging", "NOT_YET_VALID")


@dataclass(frozen=True, slots=True)
class TokenJudgement:
    """``proven``: the value existed at that instant; None where nothing is proven. ``untrusted``: intact, but of a stranger.

    ``beside``: it carries certificates that are not of its signer's chain, which nobody has judged.
    """

    check: Check
    proven: dt.datetime | None = None
    untrusted: bool = False
    beside: bool = False


def judge_token(name: str, token: bytes, value: bytes, surroundings: Surroundings) -> TokenJudgement:
    """The check ``name`` about a token over ``value``. Never raises."""
    try:
        read = read_token(token)
        imprint = imprint_of(_DIGESTS[read.info.imprint.algorithm](value), read.info.imprint.algorithm)
        verify_token(token, imprint, read.certificates)  # by itself: whoever signed it vouches for themselves
    except (*_UNREADABLE, FujieError) as error:
        reason = error.detail if isinstance(error, FujieError) else ""
        return TokenJudgement(failed(name, f"the time stamp does not hold: {reason}".rstrip(": ")))
    return _trusted(name, token, imprint, read.info.instant.replace(microsecond=0), surroundings)


def _trusted(name: str, token: bytes, imprint: Imprint, instant: dt.datetime, surroundings: Surroundings) -> TokenJudgement:
    anchors = [party.encoded for party in surroundings.anchors(Use.TIMESTAMP, instant)]
    try:
        stamped = verify_token(token, imprint, anchors, [party.encoded for party in surroundings.candidates])
    except FujieError:
        return TokenJudgement(open_question(name, "the time stamp is of an authority that is not trusted here"), untrusted=True)
    path = tuple(party for party in map(read_certificate, stamped.path) if party)
    if instant > surroundings.at + SKEW:
        return TokenJudgement(failed(name, "the time stamp states a time that had not come", "NOT_YET_VALID"))
    if (outside := out_of_bounds(path, max(instant, surroundings.at))) is not None:
        detail = f"out of its validity, and nothing proves that it stamped earlier: {outside.name}"
        return TokenJudgement(open_question(name, detail, "OUT_OF_BOUNDS_NO_POE"))
    answer = surroundings.revocation(path)
    if isinstance(answer, Unknown):
        return TokenJudgement(open_question(name, answer.reason, "TRY_LATER"))
    if isinstance(answer, Revoked):
        return TokenJudgement(open_question(name, f"a certificate behind the time stamp was revoked {answer.since:%Y-%m-%d}"))
    beside = not set(read_token(token).certificates) <= set(stamped.path)
    return TokenJudgement(passed(name, f"{instant:%Y-%m-%dT%H:%M:%SZ}, {stamped.signer}"), instant, beside=beside)
