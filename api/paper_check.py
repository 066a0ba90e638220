"""A paper that no signature vouches for, held against the record its codes lead to.

1. the codes on it: addresses of ours, addresses of others, an offline code                 in the sandbox
2. the offline code is judged; it must be of the same certificate as the address beside it
3. the record behind the code
4. the text of the paper against that record, field by field

Whoever tries values against one record is slowed down: the answer tells whether a guess was right.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from api.code_services import code_services
from api.limits import throttle_on
from api.offline_trust import code_in_address
from api.wiring import House
from certs.offline_code import OfflineCodeMalformed, decode_offline, is_offline_code
from certs.offline_verdict import judge_offline
from certs.paper import Paper
from certs.print_comparison import Agreement, PrintedField, compare
from certs.verification import RecordReport, record_by_code
from seal.sandbox import Room, Silent
from seal.trust import Trust
from seal.verdict import Indication, Kind, Verdict

ROOM = Room("certs.paper_room")
SECONDS = 5.0
AT_ONCE = 2
MOST_COMPARED = 30
MOST_CODES = 4
HOUR = 3600
_FREE = asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class PaperFinding:
    """What the paper says against what is recorded.

    ``elsewhere``  hosts of addresses that look like ours and are not
    ``conflict``   the codes on the paper are of different certificates
    ``offline``    the verdict on its offline code
    """

    report: RecordReport | None
    fields: tuple[PrintedField, ...] = ()
    elsewhere: tuple[str, ...] = ()
    conflict: bool = False
    offline: Verdict | None = None

    @property
    def differs(self) -> bool:
        """Whether the paper says something else than the record."""
        return self.conflict or bool(self.elsewhere) or any(one.agreement is Agreement.DIFFERENT for one in self.fields)

    def to_json(self) -> dict[str, object]:
        """``paper`` of ``POST /api/v1/verify``."""
        return {
            "differs": self.differs,
            "codes_disagree": self.conflict,
            "addresses_elsewhere": list(self.elsewhere),
            "fields": [one.to_json() for one in self.fields],
            "record": self.report.to_json() if self.report else None,
        }


async def check_paper(request: Request, file: int, verdict: Verdict, now: dt.datetime) -> PaperFinding | None:
    """The finding on a picture, or on a PDF that did not pass; None where there is nothing to hold against a record.

    Raises ``Throttled`` past so many comparisons with one record in an hour.
    """
    if verdict.kind is Kind.QR:
        paper = Paper(verdict.codes)
    elif verdict.kind is Kind.PDF and verdict.indication is not Indication.TOTAL_PASSED:
        paper = await look(file, now)
    else:
        return None
    return await _finding(request, paper, now) if paper.codes else None


async def look(file: int, now: dt.datetime) -> Paper:
    """What the sandbox sees on the paper."""
    async with _FREE:
        try:
            answer = await asyncio.to_thread(ROOM.answer, file, Trust(), now, SECONDS)
        except Silent:
            return Paper()
    return Paper(tuple(answer.get("codes", ())), answer.get("text", "")) if isinstance(answer, dict) else Paper()


async def _finding(request: Request, paper: Paper, now: dt.datetime) -> PaperFinding | None:
    house: House = request.app.state.house
    own, elsewhere = sorted_addresses(paper.codes, house.base_url)
    reports = [await record_by_code(house.database, now, code) for code in own[:MOST_CODES]]
    said, offline = await _offline(request, paper.codes, beside(reports), now)
    if said is not None and said not in {shown for one in reports for shown in codes_of(one)}:
        reports.append(await record_by_code(house.database, now, said))
    if not reports:
        return PaperFinding(None, elsewhere=elsewhere, offline=offline) if elsewhere or offline else None
    report, conflict = best_of(reports)
    fields: tuple[PrintedField, ...] = ()
    if report.certificate is not None and paper.text:
        await throttle_on(request, "print-comparison", str(report.certificate.id), limit=MOST_COMPARED, seconds=HOUR)
        fields = compare(paper.text, report)
    return PaperFinding(report, fields, elsewhere, conflict, offline)


def codes_of(report: RecordReport) -> tuple[str, ...]:
    """The codes a paper with this record shows: its own, and a copy's original's. Pure."""
    original = report.certificate.verification_code if report.certificate and report.copy else None
    return (report.code, original) if original else (report.code,)


def beside(reports: Sequence[RecordReport]) -> str | None:
    """The code of the certificate that an offline code on the same paper must be of. Pure."""
    return codes_of(best_of(reports)[0])[-1] if reports else None


def best_of(reports: Sequence[RecordReport]) -> tuple[RecordReport, bool]:
    """The record a paper is held against, and whether its codes belong to different ones. Pure.

    An annotated copy shows its original, code and all: the two belong together, and the copy is what lies there.
    """
    copy = next((one for one in reports if one.copy is not None), None)
    if copy is None:
        return reports[0], len(reports) > 1
    own = set(codes_of(copy))
    return copy, any(one.code not in own for one in reports)


def sorted_addresses(codes: Sequence[str], base_url: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The verification codes in addresses of ours, and the hosts of addresses of the same form that are not ours. Pure."""
    found = [(code, urlsplit(text).netloc) for text in codes if (code := code_in_address(text)) is not None]
    home = urlsplit(base_url).netloc
    own = dict.fromkeys(code for code, host in found if host == home)
    return tuple(own), tuple(dict.fromkeys(host[:100] for _, host in found if host != home))


async def _offline(request: Request, codes: Sequence[str], beside: str | None, now: dt.datetime) -> tuple[str | None, Verdict | None]:
    """The verification code that a good offline code names, and the verdict on it."""
    text = next(filter(is_offline_code, codes), None)
    if text is None:
        return None, None
    try:
        code = decode_offline(text).code
    except OfflineCodeMalformed:
        return None, judge_offline(text, await code_services(request).trust(), now)
    verdict = judge_offline(text, await code_services(request).trust(code.status.list), now, beside)
    return (code.verification_code if verdict.certificate is not None else None), verdict
