"""When the seals of a joint document are known to have existed: by the document time stamps behind each, and by its own time stamp."""

import datetime as dt
from collections.abc import Iterator, Sequence

from keys.base.errors import FujieError
from keys.time.reading import read_token
from seal.extraction import first_value
from seal.signature_dictionary import Place
from seal.verdict import Check, failed, notice, passed
from seal.verification_evidence import Evidence
from seal.verification_existence import Stamping, judge_stampings, today
from seal.verification_path import Party
from seal.verification_pdf import UNREADABLE
from seal.verification_stamp_time import SKEW, TokenJudgement


def token_in(place: Place) -> bytes:
    """The DER value in a document time stamp's ``/Contents``. Raises one of ``UNREADABLE``."""
    return first_value(place.octets)


def certificates_in(token: bytes) -> tuple[bytes, ...]:
    """Those a token carries; none where it is no token, which its judgement will say."""
    try:
        return tuple(read_token(token).certificates)
    except (FujieError, *UNREADABLE):
        return ()


def judge_document_stamp(data: bytes, place: Place, end: int, evidence: Evidence, proven: dt.datetime | None) -> TokenJudgement:
    """A document time stamp; ``proven``: since when it exists itself, by those behind it."""
    covered = data[: place.start] + data[place.end : end]
    (judgement,), _ = judge_stampings([Stamping(token_in(place), covered)], evidence.as_of(proven))
    return judgement


def earliest(instants: Sequence[dt.datetime | None]) -> dt.datetime | None:
    return min((one for one in instants if one is not None), default=None)


def judge_own(token: bytes | None, signature: bytes, evidence: Evidence, proven: dt.datetime | None) -> TokenJudgement | None:
    """A seal's own time stamp, over its signature value."""
    if token is None:
        return None
    (judgement,), _ = judge_stampings([Stamping(token, signature)], evidence.as_of(proven))
    return judgement


def not_before_claimed(proven: dt.datetime | None, claimed: dt.datetime) -> dt.datetime | None:
    """Two clocks differ by seconds: what was sealed is not judged at an instant before it says it was sealed."""
    return max(proven, claimed) if proven is not None and claimed <= proven + SKEW else proven


def time_checks(
    signer: Party, evidence: Evidence, claimed: dt.datetime, own: TokenJudgement | None, proven: dt.datetime | None
) -> Iterator[Check]:
    """``TIMESTAMP`` and ``STATUS_NOW``; ``evidence`` is of the instant of judging."""
    if own is not None and not (own.untrusted and proven is not None):
        yield own.check
    elif proven is not None:
        yield passed("TIMESTAMP", f"{proven:%Y-%m-%dT%H:%M:%SZ}, by a document time stamp")
    else:
        yield notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim")
    if proven is None:
        return
    if claimed > proven + SKEW:
        yield failed("TIMESTAMP", "the time stamp is older than the time the seal states", "TIMESTAMP_ORDER_FAILURE")
    yield from today(signer, evidence, claimed, proven)
