"""A certificate's life over HTTP: reasons, status at an instant, transfers, annual checks, moves of many (docs/life.md).

The plain moves themselves stand in ``api.routes.certificates``. What changes something carries an ``Idempotency-Key``.
"""

import csv
import datetime as dt
import io
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from api.bearer import require_scope
from api.routes.certificates import ISSUE, NO_STORE, READ, Body, Line, _documented, _parse, identifier_of, library_of
from certs.annual_checks import AnnualCheck, Found, Result, annual_rule, checks_of, overdue, overdue_year, record_check
from certs.bulk_moves import BulkMove, Job, ask, get_job, list_jobs, report_lines
from certs.bulk_moves import Line as ReportLine
from certs.grounds import Grounds, MoveReason
from certs.idempotency import require_key
from certs.library import readable
from certs.life import status_then
from certs.reads import history
from certs.reason_keeping import all_reasons
from certs.records import Certificate
from certs.transfers import Transfer, list_transfers, transfer, undo_transfer
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound

router = APIRouter(prefix="/api/v1", tags=["life of certificates"])
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
HEADER = ("position", "name", "certificate", "outcome")


class GroundsBody(Body):
    """Why: in words, by a code of ``/move-reasons`` (its words then suffice), by which law where it is not the code's."""

    reason: Line = ""
    reason_code: Line | None = None
    legal_basis: Line | None = None

    def grounds(self) -> Grounds:
        """The core's value."""
        return Grounds(self.reason, self.reason_code, self.legal_basis)


class TransferBody(GroundsBody):
    """``to``: credit code of the organisation that will issue the successor."""

    to: Line


class AnnualCheckBody(Body):
    """What the check found. ``suspend``: suspend the certificate, if it was not passed."""

    year: Annotated[int, Field(ge=1900, le=2200)]
    result: Literal["passed", "conditional", "failed"]
    remark: Line = ""
    suspend: bool = False


class BulkMoveBody(GroundsBody):
    """``certificates``: ids, identifiers or verification codes; ``dry_run`` asks everything and moves nothing."""

    move: Literal["suspend", "resume", "revoke", "withdraw", "cancel"]
    certificates: Annotated[list[Line], Field(min_length=1, max_length=100_000)]
    dry_run: bool = False


@router.get("/move-reasons")
async def get_reasons(request: Request) -> Response:
    """Reasons with their code, words and legal basis; ``?move=`` narrows them. Retired ones are told, for histories speak by them."""
    await require_scope(request, READ)
    move = request.query_params.get("move")
    async with request.app.state.house.database.session() as session:
        found = await all_reasons(session)
    return JSONResponse({"items": [reason_json(one) for one in found if move is None or move in one.moves]}, headers=NO_STORE)


@router.get("/certificates/{certificate_id}/status")
async def get_status(request: Request, certificate_id: str) -> Response:
    """The status that stood at an instant: ``?at=`` in ISO 8601 with an offset; without it, now."""
    actor, library = await require_scope(request, READ), library_of(request)
    instant = _instant(request.query_params.get("at"), library.clock.now())
    async with library.database.session() as session:
        certificate = await readable(session, actor, identifier_of(certificate_id))
        found = status_then(certificate, await history(session, certificate.id), instant)
    entry = found.entry
    content = {
        "id": str(certificate.id), "identifier": certificate.identifier, "at": found.at.isoformat(), "status": found.standing.value,
        "status_code": found.status.value if found.status else None, "since": entry.at.isoformat() if entry else None,
        "reason": entry.reason if entry else None, "reason_code": entry.reason_code if entry else None,
        "legal_basis": entry.legal_basis if entry else None,
    }  # fmt: skip
    return JSONResponse(content, headers=NO_STORE)


@router.post("/certificates/{certificate_id}/transfer", openapi_extra=_documented(TransferBody))
async def post_transfer(request: Request, certificate_id: str) -> Response:
    """Let a certificate pass to another issuer (迁出): it is out of force until that one issues its successor (``transfer-in``)."""
    actor, key = await require_scope(request, ISSUE), require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, TransferBody), request.app.state.house
    moved = await transfer(house.database, house.clock, actor, identifier_of(certificate_id), body.to, body.grounds(), key)
    return JSONResponse(standing_json(request, moved), headers=NO_STORE)


@router.post("/certificates/{certificate_id}/undo-transfer", openapi_extra=_documented(GroundsBody))
async def post_undo_transfer(request: Request, certificate_id: str) -> Response:
    """Take a transfer back before the other issuer has issued its successor."""
    actor, key = await require_scope(request, ISSUE), require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, GroundsBody), request.app.state.house
    moved = await undo_transfer(house.database, house.clock, actor, identifier_of(certificate_id), body.grounds(), key)
    return JSONResponse(standing_json(request, moved), headers=NO_STORE)


@router.get("/transfers")
async def get_transfers(request: Request) -> Response:
    """Transfers to and from the client's organisation, newest first; ``?state=`` open, received or undone."""
    actor = await require_scope(request, READ)
    async with request.app.state.house.database.session() as session:
        found = await list_transfers(session, actor.organisation or "", state=request.query_params.get("state"))
    return JSONResponse({"items": [transfer_json(one) for one in found], "next_cursor": None}, headers=NO_STORE)


@router.get("/certificates/{certificate_id}/annual-checks")
async def get_annual_checks(request: Request, certificate_id: str) -> Response:
    """Annual checks, the newest year first; ``overdue``: the year whose check is missing, or null."""
    actor, library = await require_scope(request, READ), library_of(request)
    async with library.database.session() as session:
        certificate = await readable(session, actor, identifier_of(certificate_id))
        checks, rule = await checks_of(session, certificate.id), await annual_rule(session, certificate.type_code)
    late = overdue_year(rule, certificate.issued_on, checks, civil_date(library.clock.now())) if rule else None
    due = {"month": rule.month, "day": rule.day, "basis": rule.basis} if rule else None
    return JSONResponse({"items": [check_json(one) for one in checks], "rule": due, "overdue": late}, headers=NO_STORE)


@router.post("/certificates/{certificate_id}/annual-checks", status_code=201, openapi_extra=_documented(AnnualCheckBody))
async def post_annual_check(request: Request, certificate_id: str) -> Response:
    """Record what the annual check (年检) found."""
    actor, key = await require_scope(request, ISSUE), require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, AnnualCheckBody), request.app.state.house
    found = Found(body.year, Result(body.result), body.remark, body.suspend)
    checked = await record_check(house.database, house.clock, actor, identifier_of(certificate_id), found, key)
    return JSONResponse(standing_json(request, checked) | {"year": body.year, "result": body.result}, 201, NO_STORE)


@router.get("/annual-checks/overdue")
async def get_overdue(request: Request) -> Response:
    """The organisation's certificates of ``?type=`` whose check is overdue, in pages."""
    actor, library = await require_scope(request, READ), library_of(request)
    cursor = request.query_params.get("cursor")
    async with library.database.session() as session:
        rule = await annual_rule(session, request.query_params.get("type", ""))
        if rule is None:
            raise NotFound("annual rule")
        after = identifier_of(cursor) if cursor else None
        found = await overdue(session, civil_date(library.clock.now()), actor.organisation or "", rule, cursor=after)
    items = [standing_json(request, one) for one in found]
    return JSONResponse({"items": items, "next_cursor": str(found[-1].id) if found else None}, headers=NO_STORE)


@router.post("/certificate-moves", status_code=202, openapi_extra=_documented(BulkMoveBody))
async def post_bulk_move(request: Request) -> Response:
    """One move for many certificates. It runs beside; the answer says where to look."""
    actor, house = await require_scope(request, ISSUE), request.app.state.house
    key, body = require_key(request.headers.get("idempotency-key")), await _parse(request, BulkMoveBody)
    wanted = BulkMove(body.move, body.grounds(), tuple(body.certificates), body.dry_run)
    job = await ask(house.database, house.clock, actor, wanted, key)
    content = job_json(request, job)
    return JSONResponse(content, 202, NO_STORE | {"Location": content["links"]["self"]})


@router.get("/certificate-moves")
async def get_bulk_moves(request: Request) -> Response:
    """The organisation's bulk moves, newest first."""
    actor = await require_scope(request, ISSUE)
    async with request.app.state.house.database.session() as session:
        jobs = await list_jobs(session, actor)
    return JSONResponse({"items": [job_json(request, one) for one in jobs], "next_cursor": None}, headers=NO_STORE)


@router.get("/certificate-moves/{job_id}")
async def get_bulk_move(request: Request, job_id: str) -> Response:
    """How far it is: counts by outcome."""
    actor = await require_scope(request, ISSUE)
    async with request.app.state.house.database.session() as session:
        job = await get_job(session, actor, identifier_of(job_id))
    return JSONResponse(job_json(request, job), headers=NO_STORE)


@router.get("/certificate-moves/{job_id}/report", response_class=StreamingResponse)
async def get_report(request: Request, job_id: str) -> Response:
    """One line for each name, as CSV (UTF-8 with a mark, so that spreadsheets read it)."""
    actor, database = await require_scope(request, ISSUE), request.app.state.house.database
    async with database.session() as session:
        job = await get_job(session, actor, identifier_of(job_id))
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="moves-{job.id}.csv"'}
    return StreamingResponse(report_csv(report_lines(database, job.id)), media_type="text/csv; charset=utf-8", headers=headers)


async def report_csv(parts: AsyncIterator[Sequence[ReportLine]]) -> AsyncIterator[bytes]:
    """The report as CSV. A name that a spreadsheet would take for a formula is quoted as a text."""
    yield b"\xef\xbb\xbf" + csv_rows([HEADER])
    async for part in parts:
        yield csv_rows([(one.position, harmless(one.name), str(one.certificate_id or ""), one.outcome) for one in part])


def harmless(text: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_rows(rows: Sequence[Sequence[object]]) -> bytes:
    """Lines of CSV as spreadsheets read them, in UTF-8."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()


def reason_json(one: MoveReason) -> dict[str, Any]:
    return {
        "code": one.code, "moves": list(one.moves), "reason": {"zh": one.zh, "en": one.en},
        "legal_basis": {"zh": one.basis_zh, "en": one.basis_en} if one.basis_zh else None, "active": one.active, "shipped": one.shipped,
    }  # fmt: skip


def standing_json(request: Request, certificate: Certificate) -> dict[str, Any]:
    """A certificate as a move answers with it."""
    house = request.app.state.house
    return {
        "id": str(certificate.id), "identifier": certificate.identifier, "number": certificate.number,
        "status": certificate.standing(civil_date(house.clock.now())).value, "status_code": certificate.status.value,
        "links": {"self": f"{house.base_url}/api/v1/certificates/{certificate.id}"},
    }  # fmt: skip


def transfer_json(one: Transfer) -> dict[str, Any]:
    return {
        "id": str(one.id), "certificate": str(one.certificate_id), "identifier": one.identifier, "type": one.type_code,
        "type_name": one.type_name, "from": one.from_organisation, "to": one.to_organisation, "state": one.state, "reason": one.reason,
        "opened_at": one.opened_at.isoformat(), "closed_at": one.closed_at.isoformat() if one.closed_at else None,
        "successor": one.successor,
    }  # fmt: skip


def check_json(one: AnnualCheck) -> dict[str, Any]:
    return {
        "year": one.year, "result": one.result.value, "remark": one.remark, "at": one.at.isoformat(), "organisation": one.organisation,
    }  # fmt: skip


def job_json(request: Request, job: Job) -> dict[str, Any]:
    own = f"{request.app.state.house.base_url}/api/v1/certificate-moves/{job.id}"
    return {
        "id": str(job.id), "move": job.move, "reason": job.reason, "reason_code": job.reason_code, "dry_run": job.dry_run,
        "items": job.items, "done": job.done, "outcomes": dict(job.outcomes), "created_at": job.created_at.isoformat(),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None, "links": {"self": own, "report": f"{own}/report"},
    }  # fmt: skip


def _instant(text: str | None, now: dt.datetime) -> dt.datetime:
    """An instant with its offset, or now. Raises ``InvalidInput``."""
    if text is None:
        return now
    try:
        found = dt.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput("at", errors=[{"field": "at", "message": "ISO 8601 with an offset"}])
    return found.astimezone(dt.UTC)
