"""Bringing in certificates that were issued elsewhere: an approver gives the organisation's file, sees how far it is and which rows are
odd, takes the report as a spreadsheet, and has everything checked again later.
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from api.importing import ingestion_of, report_name, write_report
from api.pages.forms import Trouble, sent, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.session import require_login
from certs.import_jobs import ImportView, Order, accept, get_import, list_imports, require_importer
from certs.import_parts import ImportEmpty
from certs.import_rechecks import RecheckView, rechecks_of, request_recheck
from certs.ingestion import flagged_rows
from certs.ingestion_report import XLSX, meanings
from certs.privacy import hide_numbers
from keys.base.actor import Actor
from keys.base.errors import FujieError, NotFound

MEGABYTES = 256
"""Of a file through a browser; the command line and the interface take larger ones."""
SHOWN = 50
_CHUNK = 1 << 20
_NAME = 120
FORMS = {"xlsx": XLSX, "csv": "text/csv; charset=utf-8"}
STATES = {
    "waiting": ("wait", mark("Waiting its turn")),
    "running": ("wait", mark("Being read")),
    "done": ("good", mark("Imported")),
    "failed": ("bad", mark("Not imported")),
}
JUDGED = mark("Judged, nothing stored")
GRADES = {
    "A": mark("A: from the issuer itself"),
    "B": mark("B: checked against the original"),
    "C": mark("C: brought by the holder"),
    "D": mark("D: made from other records"),
}


def importer(request: Request) -> Actor:
    """The approver at the browser. Raises LoginRequired, ``ImportForbidden``."""
    actor = require_login(request).actor
    require_importer(actor)
    return actor


@page
async def show_imports(request: Request) -> Response:
    return await _listed(request, importer(request))


async def _listed(request: Request, actor: Actor, status: int = 200, trouble: Trouble | None = None) -> Response:
    locale = locale_of(request)
    found = await list_imports(ingestion_of(house_of(request)), actor)
    return render(
        request, "imports.html", status=status, items=[_item(one, locale) for one in found], trouble=trouble, most=MEGABYTES,
        grades=[(grade, translate(locale, words)) for grade, words in GRADES.items()],
    )  # fmt: skip


@page
async def submit_import(request: Request) -> Response:
    """Take the file in; a refusal shows the form again."""
    actor = importer(request)
    form = await sent(request, files=1)
    upload = form.get("file")
    name = hide_numbers((getattr(upload, "filename", None) or "")[-_NAME:]).encode("utf-8", "replace").decode()
    order = Order(name or "upload", typed(form, "type").strip(), typed(form, "grade") or "B", "", bool(typed(form, "dry_run")))
    try:
        if not isinstance(upload, UploadFile):
            raise ImportEmpty
        async with contextlib.aclosing(_chunks(upload)) as chunks:
            view = await accept(ingestion_of(house_of(request)), actor, order, chunks)
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _listed(request, actor, error.status, trouble_of(request, error))
    finally:
        await form.close()
    return redirect(f"/imports/{view.id}")


async def _chunks(upload: UploadFile) -> AsyncGenerator[bytes]:
    while chunk := await upload.read(_CHUNK):
        yield chunk


@page
async def show_import(request: Request) -> Response:
    """How far it is, how many rows have which flag, and the first flagged rows."""
    actor, house, locale = importer(request), house_of(request), locale_of(request)
    needed = ingestion_of(house)
    view = await get_import(needed, actor, identifier_of(request))
    checks = await rechecks_of(needed, view.id)
    rows = [row async for row in flagged_rows(house.database, view.id, most=SHOWN)]
    return render(
        request, "import.html", view=_item(view, locale) | _facts(view, locale), most=SHOWN,
        rows=[{"line": row.line, "identifier": row.identifier, "words": _words(row.flags, locale)} for row in rows],
        checks=[_check(one, locale) for one in checks], checking=any(one.finished_at is None for one in checks),
    )  # fmt: skip


@page
async def submit_recheck(request: Request) -> Response:
    actor, identifier = importer(request), identifier_of(request)
    await request_recheck(ingestion_of(house_of(request)), actor, identifier)
    return redirect(f"/imports/{identifier}")


@page
async def send_report(request: Request) -> Response:
    """The whole report as a file."""
    actor, house, form = importer(request), house_of(request), request.path_params["form"]
    if form not in FORMS:
        raise NotFound("report")
    view = await get_import(ingestion_of(house), actor, identifier_of(request))
    path = await write_report(house, view, form)
    gone = BackgroundTask(path.unlink, missing_ok=True)
    answer = FileResponse(path, media_type=FORMS[form], filename=report_name(view.id, form), background=gone)
    protect(answer)
    return answer


def _item(view: ImportView, locale: str) -> dict[str, Any]:
    tone, words = STATES[view.state]
    if view.dry_run and view.state == "done":
        words = JUDGED
    return {
        "id": str(view.id), "name": view.file_name, "tone": tone, "status": translate(locale, words), "rows": view.rows,
        "flagged": view.flagged, "dry_run": view.dry_run, "begun": moment(view.started_at, locale), "state": view.state,
        "octets": view.octets, "octets_done": view.octets_done,
    }  # fmt: skip


def _facts(view: ImportView, locale: str) -> dict[str, Any]:
    counted = sorted(view.flag_counts.items(), key=lambda one: (-one[1], one[0]))
    return {
        "type": view.type_code, "grade": translate(locale, GRADES[view.grade]), "failure": view.failure,
        "open": view.state in ("waiting", "running"),
        "flags": [{"flag": flag, "rows": count, "words": _words((flag,), locale)} for flag, count in counted],
    }  # fmt: skip


def _words(flags: tuple[str, ...], locale: str) -> str:
    chinese, english = meanings(flags)
    return chinese if locale == CHINESE else english


def _check(one: RecheckView, locale: str) -> dict[str, Any]:
    return {
        "begun": moment(one.started_at, locale), "rows": one.rows, "open": one.finished_at is None,
        "gained": sum(one.gained.values()), "lost": sum(one.lost.values()),
        "words": [(_words((flag,), locale), f"+{count}") for flag, count in sorted(one.gained.items())]
        + [(_words((flag,), locale), f"−{count}") for flag, count in sorted(one.lost.items())],
    }  # fmt: skip


routes: list[BaseRoute] = [
    Route("/imports", show_imports),
    Route("/imports", submit_import, methods=["POST"]),
    Route("/imports/{id}", show_import),
    Route("/imports/{id}/recheck", submit_recheck, methods=["POST"]),
    Route("/imports/{id}/report.{form}", send_report),
]
