"""Proof of existence: since when a signature is known to have existed, by the time stamps around it (EN 319 102-1 §5.6).

From the outermost time stamp inwards: each is judged at the instant the one around it proves, the outermost at the instant of judging.
Whoever's certificate is good at the proven instant is good for the signature, whatever became of it later; both are said.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keys.trust.entries import Use
from seal.verdict import Check, failed, notice, passed
from seal.verification_evidence import Evidence
from seal.verification_path import Party, Revoked, Unknown, find_path, out_of_bounds
from seal.verification_stamp_time import TokenJudgement, judge_token


@dataclass(frozen=True, slots=True)
class Stamping:
    """A time-stamp token and the octets it is over."""

    token: bytes
    value: bytes


def judge_stampings(stampings: Sequence[Stamping], evidence: Evidence) -> tuple[list[TokenJudgement], dt.datetime | None]:
    """The judgement of each, the outermost first, and the earliest instant that they prove; None: nothing is proven."""
    judgements: list[TokenJudgement] = []
    proven: dt.datetime | None = None
    for stamping in stampings:
        judgement = judge_token("TIMESTAMP", stamping.token, stamping.value, evidence.as_of(proven).surroundings)
        if judgement.beside:
            judgement = TokenJudgement(failed("TIMESTAMP", "the token carries other certificates than its chain", "FORMAT_FAILURE"))
        judgements.append(judgement)
        if judgement.proven is not None:
            proven = judgement.proven if proven is None else min(proven, judgement.proven)
    return judgements, proven


def today(signer: Party, evidence: Evidence, signing_time: dt.datetime | None, proven: dt.datetime) -> Iterator[Check]:
    """What of it holds at the instant of judging too; ``evidence`` is of that instant."""
    path = find_path(signer, evidence.candidates, evidence.standpoint.anchors(Use.DOCUMENT_SIGNER, signing_time))
    if path is None:
        return
    outside, answer = out_of_bounds(path, evidence.at), evidence.revocation(path)
    then = f"judged at {proven:%Y-%m-%dT%H:%M:%SZ}, which a time stamp proves"
    if isinstance(answer, Revoked):
        yield notice("STATUS_NOW", f"{then}; revoked {answer.since:%Y-%m-%dT%H:%M:%SZ}: it would not be good today")
    elif outside is not None:
        yield notice("STATUS_NOW", f"{then}; not within its validity now: {outside.name}")
    elif isinstance(answer, Unknown):
        yield notice("STATUS_NOW", f"{then}; nothing at hand says whether it is revoked now")
    else:
        yield passed("STATUS_NOW", f"{then}; good at that time and now")
