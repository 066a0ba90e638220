"""Matters and the papers they ask for: ``/api/v1/matters`` (``docs/catalogue.md``).

``POST /api/v1/matters/{code}/available`` says which papers of a holder the library answers already (scope ``certificates:read``; the
organisation that acts in the matter, or the holder). The tables are kept with scope ``catalogue:manage``.
"""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import require_scope
from api.limits import MEGABYTE
from api.routes.certificate_types import TABLE_BODY, Keeper, Reader
from api.routes.certificates import _documented, _parse
from api.wiring import House
from certs.availability import Answered, Question, available, saved
from certs.idempotency import require_key
from certs.library import Library
from certs.matter_papers import Enough, Paper, import_papers, papers_of, put_papers
from identity.numbers import normalise
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput
from seal.matters import Matter, find_matters

READ = "certificates:read"
IMPORT_PATH = "/api/v1/matters/import"
LARGEST_FILE = 8 * MEGABYTE
MOST_DAYS = 3660
router = APIRouter(prefix="/api/v1/matters", tags=["catalogue"])
Line = Annotated[str, StringConstraints(max_length=500)]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PaperBody(_Body):
    """``types``: certificate types any of which answers it; ``enough``: ``data`` where yes or no is all the matter needs, else ``copy``.

    ``basis``: the rule under which the matter's organisation may be told about types shared conditionally.
    """

    paper: Line
    name_zh: Line
    name_en: Line = ""
    mandatory: bool = True
    types: Annotated[list[Line], Field(max_length=50)] = []
    enough: Enough = Enough.DATA
    basis: Line = ""

    def of(self) -> Paper:
        return Paper(self.paper, self.name_zh, self.name_en, self.mandatory, tuple(self.types), self.enough, self.basis)


class PapersBody(_Body):
    """The whole list, in order."""

    papers: Annotated[list[PaperBody], Field(max_length=200)]


class AvailableBody(_Body):
    """The holder, as everywhere: numbers of people stand in a body, never in an address. ``purpose``: 1–200 characters, logged."""

    holder_code: Line
    code_type: Line
    purpose: Line


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def _library(request: Request) -> Library:
    house = _house(request)
    return Library(house.database, house.clock, house.blobs, house.personal)


def _matter(matter: Matter) -> dict[str, object]:
    return {"code": matter.code, "name": matter.name, "is_approval": matter.is_approval, "organisation": matter.organisation}


def _answer(one: Answered) -> dict[str, object]:
    paper = one.paper
    return {
        "paper": paper.code,
        "name_zh": paper.name_zh,
        "name_en": paper.name_en,
        "mandatory": paper.mandatory,
        "available": one.available,
        "by_type": one.by or None,
        "enough": paper.enough.value if one.available else None,
    }


@router.get("", name="list_matters", operation_id="list_matters")
async def list_all(request: Request, actor: Reader, q: Line = "", organisation: Line = "", cursor: Line = "") -> Response:
    """Matters by code; `q` is any part of code or name."""
    async with _house(request).database.session() as session:
        found, more = await find_matters(session, text=q, organisation=normalise(organisation), after=cursor)
    return JSONResponse({"items": [_matter(one) for one in found], "next_cursor": more}, headers=_NO_STORE)


@router.get("/statistics", name="get_matter_statistics", operation_id="get_matter_statistics")
async def get_statistics(
    request: Request, actor: Reader, since: Annotated[dt.date | None, Query()] = None, until: Annotated[dt.date | None, Query()] = None
) -> Response:
    """Papers no longer asked for: of those the matters require how many the library can answer, and how many it did in these days."""
    house = _house(request)
    last = until or civil_date(house.clock.now())
    first = since or last - dt.timedelta(days=364)
    if not dt.timedelta(0) <= last - first <= dt.timedelta(days=MOST_DAYS):
        raise InvalidInput("days", errors=[{"field": "since", "message": "before until, and at most ten years"}])
    async with house.database.session() as session:
        found = await saved(session, first, last)
    share = found.answerable / found.required if found.required else None
    content = {
        "since": first.isoformat(), "until": last.isoformat(), "matters": found.matters, "papers_required": found.required,
        "papers_answerable": found.answerable, "share": share, "asked": found.asked, "no_longer_asked_for": found.answered,
    }  # fmt: skip
    return JSONResponse(content, headers=_NO_STORE)


@router.post("/import", name="import_matter_papers", operation_id="import_matter_papers", openapi_extra=TABLE_BODY)
async def post_import(request: Request, actor: Keeper, dry_run: bool = False) -> Response:
    """Papers of many matters from CSV or JSON lines; a report for every row. Repeating it changes nothing more."""
    house, document = _house(request), await request.body()
    require_key(request.headers.get("idempotency-key"))
    report = await import_papers(house.database, house.clock, actor, document, dry_run=dry_run)
    return JSONResponse({"dry_run": dry_run, "rows": [one.to_json() for one in report]}, headers=_NO_STORE)


@router.get("/{code}/papers", name="get_matter_papers", operation_id="get_matter_papers")
async def get_papers(request: Request, actor: Reader, code: str) -> Response:
    """What a matter asks for."""
    async with _house(request).database.session() as session:
        papers = await papers_of(session, code)
    return JSONResponse({"matter": code, "papers": [one.to_json() for one in papers]}, headers=_NO_STORE)


@router.put("/{code}/papers", name="put_matter_papers", operation_id="put_matter_papers")
async def put_list(request: Request, actor: Keeper, code: str, body: PapersBody) -> Response:
    """The whole list of a matter, in place of the one before. Needs an `Idempotency-Key`, as everywhere; repeating changes nothing."""
    require_key(request.headers.get("idempotency-key"))
    house = _house(request)
    papers = await put_papers(house.database, house.clock, actor, code, [one.of() for one in body.papers])
    return JSONResponse({"matter": code, "papers": [one.to_json() for one in papers]}, headers=_NO_STORE)


@router.post(
    "/{code}/available", name="post_matter_available", operation_id="post_matter_available", openapi_extra=_documented(AvailableBody)
)
async def post_available(request: Request, code: str) -> Response:
    """Which of the papers a matter asks for the library already answers for this holder: yes or no, and by which type.

    `enough` is `data` where that yes is all the matter needs, `copy` where it must also see the document. No certificate and one that may
    not be told of are the same no. The question is logged with its purpose, and the holder sees it.
    """
    actor = await require_scope(request, READ)
    body = await _parse(request, AvailableBody)
    found = await available(_library(request), actor, Question(code, body.holder_code, body.code_type, body.purpose))
    answered = sum(one.available for one in found.answers)
    content = {
        "matter": _matter(found.matter), "papers": [_answer(one) for one in found.answers], "required": len(found.answers),
        "answered": answered,
    }  # fmt: skip
    return JSONResponse(content, headers=_NO_STORE)
