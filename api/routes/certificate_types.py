"""The catalogue of certificate types over HTTP: ``/api/v1/certificate-types`` (``docs/catalogue.md``).

Scope ``catalogue:manage``, in a token that speaks for a person who logged in with two factors: one writes, another reviews. Scope
``certificates:read`` for looking; a client sees what is or was in force, staff see drafts too. What changes something carries an
``Idempotency-Key``, and the digest of what its sender saw.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import InsufficientScope, bearer_token, require_scope
from api.catalogue_views import change_json, entry_json, kept_json, version_json
from api.limits import MEGABYTE
from api.wiring import House
from certs.catalogue import SharingClass
from certs.catalogue_access import check_reader
from certs.catalogue_directory import directory
from certs.catalogue_files import write_csv
from certs.catalogue_import import Step, import_types, step_many
from certs.catalogue_keeping import STEPS, Kept, Once, TypeUnknown, edit_version, take_step, write_type, write_version
from certs.catalogue_reads import Version, Wanted, find_types, get_before, get_entry, get_version, get_versions, history_of_type
from certs.idempotency import require_key
from certs.type_diff import differences
from certs.type_lifecycle import EVER_PUBLISHED, TypeMove, TypeStatus
from certs.type_rules import read_definition
from certs.type_schema import json_schema
from identity.tokens import authenticate_bearer
from keys.base.actor import Actor, ActorKind
from keys.base.errors import InvalidInput

MANAGE, READ = "catalogue:manage", "certificates:read"
LARGEST_FILE = 32 * MEGABYTE
IMPORT_PATH = "/api/v1/certificate-types/import"
router = APIRouter(prefix="/api/v1/certificate-types", tags=["catalogue"])
Line = Annotated[str, StringConstraints(max_length=500)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TypeBody(_Body):
    """``definition``: the members of docs/catalogue.md; ``code`` GB/T 36904."""

    definition: dict[str, Any]
    reason: Line = ""


class DraftBody(_Body):
    """Without a ``definition`` the draft begins as the version in force is."""

    definition: dict[str, Any] | None = None
    reason: Line = ""


class CopyBody(_Body):
    """The new type's code and names; the rest is the copied type's."""

    code: Line
    name_zh: Line
    name_en: Line = ""


class EditBody(TypeBody):
    """``digest`` of the draft that was changed, as it was read."""

    digest: Digest


class StepBody(_Body):
    """``digest`` of the version as it was read; ``reason`` is kept in the history, and required to send back, retire and abandon."""

    digest: Digest
    reason: Line = ""


class StepItem(_Body):
    code: Line
    version: int
    digest: Digest


class StepsBody(_Body):
    """The same move for many versions."""

    move: Line
    items: Annotated[list[StepItem], Field(min_length=1, max_length=5000)]
    reason: Line = ""


async def keeper(request: Request) -> Actor:
    """Whoever sent a token of scope ``catalogue:manage``; whether they may is for each journey to say, and to record."""
    return await require_scope(request, MANAGE)


async def reader(request: Request) -> Actor:
    """Whoever sent a token of scope ``certificates:read`` or ``catalogue:manage``."""
    house: House = request.app.state.house
    actor = await authenticate_bearer(house.database.hot, house.clock.now(), bearer_token(request))
    if actor is None or not actor.scopes & {MANAGE, READ}:
        if actor is not None:
            raise InsufficientScope(READ)
        return await require_scope(request, READ)
    check_reader(actor)
    return actor


Keeper = Annotated[Actor, Depends(keeper)]
Reader = Annotated[Actor, Depends(reader)]


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def once_of(request: Request, body: bytes) -> Once:
    """The request's ``Idempotency-Key`` with what it is recognised by."""
    key = require_key(request.headers.get("idempotency-key"))
    return Once(key, hashlib.sha256(f"{request.method} {request.url}\n".encode() + body).digest())


def _kept(kept: Kept, status: int = 200) -> Response:
    location = {"Location": f"/api/v1/certificate-types/{kept.code}/versions/{kept.version}"} if status == 201 else {}
    return JSONResponse(kept_json(kept), status, _NO_STORE | location)


def _visible(actor: Actor, version: Version) -> Version:
    """What a client sees: drafts of others are nothing to build on. Raises ``TypeUnknown``."""
    if actor.kind is ActorKind.CLIENT and version.status not in EVER_PUBLISHED:
        raise TypeUnknown(version.kind.code)
    return version


# --- looking -------------------------------------------------------------------------------------------------------------------


@router.get("", name="list_certificate_types", operation_id="list_certificate_types")
async def list_all(
    request: Request,
    actor: Reader,
    q: Line = "",
    organisation: Line = "",
    status: TypeStatus | None = None,
    sharing: SharingClass | None = None,
    being_written: bool = False,
    cursor: Line | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Types by name, code or any part of them; `organisation` defines or issues it. A client sees those in force or retired."""
    wanted = Wanted(q, organisation, status, "", sharing, being_written, ever_published=actor.kind is ActorKind.CLIENT)
    async with _house(request).database.session() as session:
        found = await find_types(session, wanted, cursor=cursor, limit=limit)
    content = {"items": [entry_json(one) for one in found.items], "total": found.total, "next_cursor": found.next_cursor}
    return JSONResponse(content, headers=_NO_STORE)


@router.get("/directory", name="get_catalogue_directory", operation_id="get_catalogue_directory", response_class=Response)
async def get_directory(request: Request, actor: Reader, organisation: Line = "", format: str = "json") -> Response:
    """The directory of GB/T 36902: every type in force, of one organisation where it is named; `format` is `json` or `csv`."""
    if format not in ("json", "csv"):
        raise InvalidInput("format", errors=[{"field": "format", "message": "json or csv"}])
    async with _house(request).database.session() as session:
        entries = await directory(session, organisation)
    if format == "json":
        return JSONResponse({"items": entries}, headers=_NO_STORE)
    named = {"Content-Disposition": 'attachment; filename="certificate-types.csv"', "X-Content-Type-Options": "nosniff"}
    return Response(write_csv(entries), media_type="text/csv; charset=utf-8", headers=_NO_STORE | named)


@router.get("/{code}", name="get_certificate_type", operation_id="get_certificate_type")
async def get_one(request: Request, actor: Reader, code: str) -> Response:
    """One type: its entry and its versions, newest first."""
    async with _house(request).database.session() as session:
        entry, versions = await get_entry(session, code), await get_versions(session, code)
    shown = [one for one in versions if actor.kind is not ActorKind.CLIENT or one.status in EVER_PUBLISHED]
    if not shown:
        raise TypeUnknown(code[:21])
    return JSONResponse(entry_json(entry) | {"versions": [version_json(one) for one in shown]}, headers=_NO_STORE)


@router.get("/{code}/history", name="get_certificate_type_history", operation_id="get_certificate_type_history")
async def get_history(request: Request, actor: Reader, code: str) -> Response:
    """Every move of every version, oldest first."""
    async with _house(request).database.session() as session:
        await get_entry(session, code)
        changes = await history_of_type(session, code)
    published = {one.version for one in changes if one.status in EVER_PUBLISHED}
    shown = [change_json(one) for one in changes if actor.kind is not ActorKind.CLIENT or one.version in published]
    return JSONResponse({"items": shown, "next_cursor": None}, headers=_NO_STORE)


@router.get("/{code}/versions/{version}", name="get_type_version", operation_id="get_type_version")
async def get_one_version(request: Request, actor: Reader, code: str, version: int) -> Response:
    """One version, and what it changes against the one in force before it."""
    async with _house(request).database.session() as session:
        found = _visible(actor, await get_version(session, code, version))
        before = await get_before(session, found)
    changes = [one.to_json() for one in differences(before.kind if before else None, found.kind)]
    compared = before.kind.version if before else None
    return JSONResponse(version_json(found) | {"compared_with": compared, "differences": changes}, headers=_NO_STORE)


@router.get("/{code}/versions/{version}/schema", name="get_type_schema", operation_id="get_type_schema", response_class=Response)
async def get_schema(request: Request, actor: Reader, code: str, version: int) -> Response:
    """The JSON Schema (draft 2020-12) of the metadata of certificates of this version."""
    async with _house(request).database.session() as session:
        found = _visible(actor, await get_version(session, code, version))
    return JSONResponse(json_schema(found.kind), media_type="application/schema+json", headers=_NO_STORE)


# --- changing ------------------------------------------------------------------------------------------------------------------


@router.post("", status_code=201, name="post_certificate_type", operation_id="post_certificate_type")
async def post_type(request: Request, actor: Keeper, body: TypeBody) -> Response:
    """A new type, as a draft. Header `Idempotency-Key` is required, as everywhere below."""
    house, once = _house(request), once_of(request, body.model_dump_json().encode())
    return _kept(await write_type(house.database, house.clock, actor, read_definition(body.definition), body.reason, once), 201)


_TABLE = {"schema": {"type": "string"}}
TABLE_BODY = {"requestBody": {"required": True, "content": {"text/csv": _TABLE, "application/x-ndjson": _TABLE}}}


@router.post("/import", name="import_certificate_types", operation_id="import_certificate_types", openapi_extra=TABLE_BODY)
async def post_import(request: Request, actor: Keeper, dry_run: bool = False, submit: bool = False, reason: Line = "") -> Response:
    """Types from CSV or JSON lines (at most 20,000), as drafts or with `submit` for review; a report for every row.

    What is refused holds up no other row. `dry_run` writes nothing. Repeating it changes nothing more.
    """
    house, document = _house(request), await request.body()
    require_key(request.headers.get("idempotency-key"))
    report = await import_types(house.database, house.clock, actor, document, dry_run=dry_run, submit=submit, reason=reason)
    counts = {outcome: sum(one.outcome == outcome for one in report) for outcome in ("new", "changed", "unchanged", "refused")}
    return JSONResponse({"dry_run": dry_run, "counts": counts, "rows": [one.to_json() for one in report]}, headers=_NO_STORE)


@router.post("/steps", name="post_catalogue_steps", operation_id="post_catalogue_steps")
async def post_steps(request: Request, actor: Keeper, body: StepsBody) -> Response:
    """The same move for many versions, as after an import; each is done or refused by itself."""
    require_key(request.headers.get("idempotency-key"))
    house, move = _house(request), _step_named(body.move)
    steps = [Step(one.code, one.version, bytes.fromhex(one.digest)) for one in body.items]
    done = await step_many(house.database, house.clock, actor, move, steps, body.reason)
    rows = [{"code": step.code, "version": step.version, "error": error.code if error else None} for step, error in done]
    return JSONResponse({"done": sum(row["error"] is None for row in rows), "rows": rows}, headers=_NO_STORE)


@router.post("/{code}/copy", status_code=201, name="copy_certificate_type", operation_id="copy_certificate_type")
async def post_copy(request: Request, actor: Keeper, code: str, body: CopyBody) -> Response:
    """A new type, as a draft, that is like this one but for its code and names."""
    house, once = _house(request), once_of(request, body.model_dump_json().encode())
    async with house.database.session() as session:
        source = (await get_versions(session, code))[0].kind
    kind = replace(source, code=body.code.strip(), name_zh=body.name_zh.strip(), name_en=body.name_en.strip(), aliases=())
    return _kept(await write_type(house.database, house.clock, actor, kind, f"copy of {code}", once), 201)


@router.post("/{code}/versions", status_code=201, name="post_type_version", operation_id="post_type_version")
async def post_version(request: Request, actor: Keeper, code: str, body: DraftBody) -> Response:
    """The next version of a type, as a draft."""
    house, once = _house(request), once_of(request, body.model_dump_json().encode())
    kind = read_definition(_of(body.definition, code)) if body.definition is not None else None
    return _kept(await write_version(house.database, house.clock, actor, code, kind, body.reason, once), 201)


@router.put("/{code}/versions/{version}", name="put_type_version", operation_id="put_type_version")
async def put_version(request: Request, actor: Keeper, code: str, version: int, body: EditBody) -> Response:
    """Another definition in a draft."""
    house, once = _house(request), once_of(request, body.model_dump_json().encode())
    kind = replace(read_definition(_of(body.definition, code)), version=version)
    return _kept(await edit_version(house.database, house.clock, actor, kind, bytes.fromhex(body.digest), body.reason, once))


def _of(given: Mapping[str, Any], code: str) -> dict[str, Any]:
    """The definition of the type in the address; one that names another is refused."""
    if given.get("code", code) != code:
        raise InvalidInput("another code", errors=[{"field": "code", "message": "is not the one in the address"}])
    return {**given, "code": code}


def _step_named(name: str) -> TypeMove:
    found = next((one for one in STEPS if one.value == name), None)
    if found is None:
        raise InvalidInput("move", errors=[{"field": "move", "message": f"one of {', '.join(STEPS)}"}])
    return found


_STEPS = {
    TypeMove.SUBMIT: "Ask for a review of a draft.",
    TypeMove.SEND_BACK: "Send a version in review back to its writers; `reason` is required.",
    TypeMove.PUBLISH: "Agree and publish: in force from now on, in place of the version before. Not by who wrote in it.",
    TypeMove.RETIRE: "End the type: no new certificates, those issued stay what they are. `reason` is required.",
    TypeMove.ABANDON: "Give a draft up; `reason` is required.",
}


def _add_step(move: TypeMove, description: str) -> None:
    async def endpoint(request: Request, actor: Keeper, code: str, version: int, body: StepBody) -> Response:
        house, once = _house(request), once_of(request, body.model_dump_json().encode())
        seen = bytes.fromhex(body.digest)
        return _kept(await take_step(house.database, house.clock, actor, code, version, move, seen=seen, reason=body.reason, once=once))

    router.add_api_route(
        f"/{{code}}/versions/{{version}}/{move.value}", endpoint, methods=["POST"], name=f"post_type_{move.value}",
        operation_id=f"post_type_{move.value}", description=description,
    )  # fmt: skip


for _move, _description in _STEPS.items():
    _add_step(_move, _description)
