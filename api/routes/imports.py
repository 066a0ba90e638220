"""``/api/v1/imports``: certificates that were issued elsewhere, brought in by the organisation that answers for them.

The file is the body, as it is: CSV with a header line or JSON lines, of any length; it is stored as it arrives and read beside the
requests. What is asked of it stands in the address, which holds nothing personal.
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

from api.bearer import require_scope
from api.importing import ingestion_of, report_name, write_report
from api.routes.certificates import ISSUE, NO_STORE, identifier_of
from certs.import_jobs import PAGE as JOBS
from certs.import_jobs import ImportView, Order, accept, get_import, list_imports
from certs.import_rechecks import RecheckView, rechecks_of, request_recheck
from certs.ingestion import flagged_rows
from certs.ingestion_report import XLSX
from certs.ingestion_rules import FLAGS
from certs.privacy import hide_numbers
from keys.base.errors import InvalidInput, NotFound

PATH = "/api/v1/imports"
PAGE = 500
TYPES = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
router = APIRouter(prefix="/api/v1", tags=["imports"])
_NAME = 200
_BODY: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "schema": {"type": "string"}, "description": words}
        for name, words in (
            ("type", "the type code of every row; else each row's ZZLXDM counts"),
            ("grade", "trust grade of the source, A to D; B by default"),
            ("encoding", "of the file; found out by default"),
            ("dry_run", "true: judge every row, store nothing"),
            ("name", "the file's name, for the report"),
        )
    ],
    "requestBody": {
        "required": True,
        "content": {one: {"schema": {"type": "string", "format": "binary"}} for one in ("text/csv", "application/jsonl")},
    },
}


class ImportInterrupted(InvalidInput):
    """The connection ended before the file did."""

    code = "IMPORT_INTERRUPTED"
    status = 400
    public = ("上传中断，请重新上传。", "The upload was interrupted. Please send the file again.")


@router.post("/imports", status_code=202, openapi_extra=_BODY)
async def post_import(request: Request) -> Response:
    """Begin an import; the same file again is the same import. Progress and flags: the address in ``links.self``."""
    actor, asked = await require_scope(request, ISSUE), request.query_params
    order = Order(
        hide_numbers(asked.get("name", ""))[:_NAME].replace("/", "_") or "upload", asked.get("type", "").strip(), asked.get("grade", "B"),
        asked.get("encoding", ""), asked.get("dry_run", "").lower() in ("true", "1"),
    )  # fmt: skip
    async with contextlib.aclosing(_body(request)) as chunks:
        view = await accept(ingestion_of(request.app.state.house), actor, order, chunks)
    return JSONResponse(import_json(request, view), 202, NO_STORE)


async def _body(request: Request) -> AsyncGenerator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise ImportInterrupted("disconnected") from error


@router.get("/imports")
async def get_imports(request: Request) -> Response:
    """The organisation's imports, the newest first."""
    actor = await require_scope(request, ISSUE)
    cursor = request.query_params.get("cursor")
    found = await list_imports(ingestion_of(request.app.state.house), actor, identifier_of(cursor) if cursor else None)
    following = str(found[-1].id) if len(found) == JOBS else None
    return JSONResponse({"items": [import_json(request, one) for one in found], "next_cursor": following}, headers=NO_STORE)


@router.get("/imports/{import_id}")
async def show_import(request: Request, import_id: str) -> Response:
    """One import and how far it is, with its re-checks."""
    actor, needed = await require_scope(request, ISSUE), ingestion_of(request.app.state.house)
    view = await get_import(needed, actor, identifier_of(import_id))
    checks = [recheck_json(one) for one in await rechecks_of(needed, view.id)]
    return JSONResponse(import_json(request, view) | {"rechecks": checks}, headers=NO_STORE)


@router.get("/imports/{import_id}/rows")
async def show_flagged(request: Request, import_id: str) -> Response:
    """The flagged rows in the file's order, 500 at a time; ``cursor``: the line to go on after."""
    actor, house = await require_scope(request, ISSUE), request.app.state.house
    view = await get_import(ingestion_of(house), actor, identifier_of(import_id))
    after = _line(request.query_params.get("cursor"))
    rows = [row async for row in flagged_rows(house.database, view.id, after, PAGE)]
    items = [{"line": row.line, "identifier": row.identifier, "flags": list(row.flags)} for row in rows]
    following = str(rows[-1].line) if len(rows) == PAGE else None
    return JSONResponse({"items": items, "next_cursor": following}, headers=NO_STORE)


@router.get("/imports/{import_id}/report.{form}", response_class=FileResponse)
async def get_report(request: Request, import_id: str, form: str) -> Response:
    """The report as a spreadsheet (``xlsx``) or ``csv``."""
    actor, house = await require_scope(request, ISSUE), request.app.state.house
    if form not in TYPES:
        raise NotFound("report")
    view = await get_import(ingestion_of(house), actor, identifier_of(import_id))
    path = await write_report(house, view, form)
    gone = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type=TYPES[form], filename=report_name(view.id, form), headers=NO_STORE, background=gone)


@router.post("/imports/{import_id}/recheck", status_code=202)
async def post_recheck(request: Request, import_id: str) -> Response:
    """Check what the import brought by today's rules, catalogue and registers; one that is under way is answered again."""
    actor = await require_scope(request, ISSUE)
    view = await request_recheck(ingestion_of(request.app.state.house), actor, identifier_of(import_id))
    return JSONResponse(recheck_json(view), 202, NO_STORE)


def import_json(request: Request, view: ImportView) -> dict[str, Any]:
    """``flags``: how many rows have each flag, with its meaning."""
    own = f"{request.app.state.house.base_url}{PATH}/{view.id}"
    flags = [
        {"flag": flag, "rows": count, "zh": FLAGS.get(flag, (flag, flag))[0], "en": FLAGS.get(flag, (flag, flag))[1]}
        for flag, count in sorted(view.flag_counts.items())
    ]
    return {
        "id": str(view.id), "file": view.file_name, "state": view.state, "dry_run": view.dry_run, "type": view.type_code or None,
        "grade": view.grade, "rows": view.rows, "flagged": view.flagged, "flags": flags, "failure": view.failure,
        "octets": {"total": view.octets, "read": view.octets_done},
        "started_at": view.started_at.isoformat(), "finished_at": view.finished_at.isoformat() if view.finished_at else None,
        "links": {"self": own, "rows": f"{own}/rows", "report": f"{own}/report.xlsx", "recheck": f"{own}/recheck"},
    }  # fmt: skip


def recheck_json(view: RecheckView) -> dict[str, Any]:
    """``gained``, ``lost``: rows by flag."""
    return {
        "id": str(view.id), "import": str(view.import_id), "rows": view.rows, "gained": view.gained, "lost": view.lost,
        "started_at": view.started_at.isoformat(), "finished_at": view.finished_at.isoformat() if view.finished_at else None,
    }  # fmt: skip


def _line(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not cursor.isdecimal() or len(cursor) > 12:
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}])
    return int(cursor)
