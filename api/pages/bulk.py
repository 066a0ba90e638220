"""Many certificates from one file: an approver gives the file and says which system issues, sees how far it is and why rows were refused,
takes the report for a spreadsheet, ends the job.

A file that was sent twice is one job. What was issued stays issued, whatever becomes of the rest.
"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from api.addresses import address_of
from api.pages.error_words import words_of
from api.pages.forms import Beside, sent, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, ENGLISH, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.routes.certificate_life import csv_rows, harmless
from api.session import require_login
from certs.bulk_issuing import (
    CANCELLED,
    FINISHED,
    MOST_ROWS,
    NOT_ISSUED,
    RECEIVING,
    REFUSED,
    RUNNING,
    WAITING,
    BulkJob,
    BulkLine,
    BulkUnreadable,
    cancel,
    get_job,
    list_jobs,
    report_lines,
)
from certs.bulk_requests import require_bulk_approver, submit_for, systems_of
from keys.base.actor import Actor
from keys.base.errors import FujieError
from keys.base.ids import new_code

MEGABYTES = 256
SHOWN = 50
LOOK_AGAIN = 5
"""Seconds: how soon the page of a job under way asks for itself again."""
STATES = {
    RECEIVING: ("wait", mark("Being received")),
    RUNNING: ("wait", mark("Being issued")),
    FINISHED: ("good", mark("Finished")),
    CANCELLED: ("mute", mark("Ended before its end")),
}
ROWS = {
    "issued": ("good", mark("Issued")),
    "awaiting_stamp": ("wait", mark("Waiting for the seal")),
    "awaiting_glyph": ("wait", mark("Waiting for a rare character")),
    WAITING: ("mute", mark("Waiting its turn")),
    REFUSED: ("bad", mark("Refused")),
    NOT_ISSUED: ("mute", mark("Not issued: the job was ended")),
}
HEADER = ("行号 Row", "状态 State", "证照 Certificate", "代码 Code", "原因", "Reason", "字段 Members")
_FIELDS = {"BULK_ISSUE_UNREADABLE": "file", "INVALID_INPUT": "client"}


def _approver(request: Request) -> Actor:
    """Raises LoginRequired, ``BulkForApprovers``, ``SecondFactorNeeded``."""
    actor = require_login(request).actor
    require_bulk_approver(actor)
    return actor


@page
async def show_jobs(request: Request) -> Response:
    return await _listed(request, _approver(request))


async def _listed(
    request: Request, actor: Actor, status: int = 200, errors: Beside | None = None, key: str = "", client: str = ""
) -> Response:
    house, locale = house_of(request), locale_of(request)
    async with house.database.session() as session:
        jobs = await list_jobs(session, actor)
        systems = await systems_of(session, house.clock.now(), actor.organisation or "")
    return render(
        request, "bulk.html", status=status, jobs=[_shown(one, locale) for one in jobs], errors=errors or Beside(), key=key or new_code(),
        systems=[(one.client_id, one.name_zh if locale == CHINESE else one.name_en or one.name_zh) for one in systems], client=client,
        most=MEGABYTES, most_rows=f"{MOST_ROWS:,}",
    )  # fmt: skip


@page
async def submit_file(request: Request) -> Response:
    """Take the file in; a refusal shows the form again."""
    actor, house = _approver(request), house_of(request)
    form = await sent(request, files=1)
    upload, key = form.get("file"), typed(form, "key", 40)
    key = key if key.isalnum() else new_code()
    try:
        if not isinstance(upload, UploadFile):
            raise BulkUnreadable("no file")
        name = (upload.filename or "").encode("utf-8", "replace").decode()
        job = await submit_for(house.issuing, actor, typed(form, "client"), name, upload.file, key, address=address_of(request))
    except FujieError as error:
        if error.status >= 500:
            raise
        errors = Beside({_FIELDS.get(error.code, "form"): trouble_of(request, error)})
        return await _listed(request, actor, error.status, errors, key, typed(form, "client"))
    finally:
        await form.close()
    return redirect(f"/bulk/{job.id}")


@page
async def show_job(request: Request) -> Response:
    """How far it is, and the first rows that were refused, each with its reason. It asks for itself again while the job is under way."""
    actor, house, locale = _approver(request), house_of(request), locale_of(request)
    async with house.database.session() as session:
        job = await get_job(session, actor, identifier_of(request))
    refused = await _first_refused(request, job)
    reasons = Counter(one.code or "" for one in refused).most_common()
    response = render(
        request, "bulk_job.html", job=_shown(job, locale), most=SHOWN, rows=[_line(one, locale) for one in refused],
        counts=[(ROWS[state][0], translate(locale, ROWS[state][1]), job.counts[state]) for state in ROWS if job.counts.get(state)],
        reasons=[(code, words_of(code, locale), count) for code, count in reasons] if len(refused) < SHOWN else [],
    )  # fmt: skip
    if job.state in (RECEIVING, RUNNING):
        response.headers["Refresh"] = str(LOOK_AGAIN)
    return response


async def _first_refused(request: Request, job: BulkJob) -> list[BulkLine]:
    async for part in report_lines(house_of(request).database, job.id, only=REFUSED):
        return part[:SHOWN]
    return []


@page
async def end_job(request: Request) -> Response:
    """What was not begun is not issued."""
    actor, house, wanted = _approver(request), house_of(request), identifier_of(request)
    await cancel(house.issuing, actor, wanted)
    return redirect(f"/bulk/{wanted}")


@page
async def send_report(request: Request) -> Response:
    """The report for a spreadsheet: every row, or those that were refused."""
    actor, database = _approver(request), house_of(request).database
    async with database.session() as session:
        job = await get_job(session, actor, identifier_of(request))
    only = REFUSED if request.query_params.get("state") == REFUSED else None
    headers = {"Content-Disposition": f'attachment; filename="bulk-{job.id}.csv"'}
    return protect(StreamingResponse(_report(request, job, only), media_type="text/csv; charset=utf-8", headers=headers))


async def _report(request: Request, job: BulkJob, only: str | None) -> AsyncIterator[bytes]:
    base = house_of(request).base_url
    yield b"\xef\xbb\xbf" + csv_rows([HEADER])
    async for part in report_lines(house_of(request).database, job.id, only=only):
        yield csv_rows([_cells(base, one) for one in part])


def _cells(base_url: str, line: BulkLine) -> tuple[object, ...]:
    state = ROWS[line.state][1]
    where = f"{base_url}/library/{line.certificate_id}" if line.certificate_id else ""
    told = (words_of(line.code, CHINESE), words_of(line.code, ENGLISH)) if line.code else ("", "")
    return (line.row, f"{translate(CHINESE, state)} {translate(ENGLISH, state)}", where, line.code or "", *told, harmless(_members(line)))


def _members(line: BulkLine) -> str:
    return " ".join(str(one.get("field", "")) for one in line.errors)


def _line(line: BulkLine, locale: str) -> dict[str, object]:
    return {"row": line.row, "code": line.code or "", "words": words_of(line.code or "", locale), "members": _members(line)}


def _shown(job: BulkJob, locale: str) -> dict[str, Any]:
    tone, words = STATES[job.state]
    refused = job.counts.get(REFUSED, 0)
    return {
        "id": str(job.id), "name": job.name, "state": job.state, "tone": "wait" if job.state == FINISHED and refused else tone,
        "status": translate(locale, words), "rows": job.items, "done": job.done, "refused": refused, "client": job.client_id,
        "begun": moment(job.created_at, locale), "ended": moment(job.finished_at, locale) if job.finished_at else "",
        "open": job.state in (RECEIVING, RUNNING),
    }  # fmt: skip


routes: list[BaseRoute] = [
    Route("/bulk", show_jobs, methods=["GET"]),
    Route("/bulk", submit_file, methods=["POST"]),
    Route("/bulk/{id}", show_job, methods=["GET"]),
    Route("/bulk/{id}/end", end_job, methods=["POST"]),
    Route("/bulk/{id}/report.csv", send_report, methods=["GET"]),
]
