"""Writing in the catalogue: a new type, a copy of one, a version's draft. Without JavaScript: saving offers more rows for fields."""

from dataclasses import replace
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.catalogue import require_keeper
from api.pages.catalogue_words import HOLDERS, KINDS, MASKS, SHARING
from api.pages.forms import Trouble, sent, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, translate
from api.pages.rendering import render
from certs.catalogue import MOST_HOLDERS, OFFLINE_DEFAULT, definition
from certs.catalogue_access import CatalogueForbidden
from certs.catalogue_keeping import edit_version, write_type
from certs.catalogue_reads import get_version, get_versions
from certs.forms import templates
from certs.type_rules import MOST_FIELDS, read_definition
from keys.base.errors import FujieError, InvalidInput, NotFound
from seal.kinds import KINDS as SEAL_KINDS

SPARE_ROWS = 3
_LONGEST = 2000
_ROW = ("name", "short", "kind", "mask", "mandatory", "longest", "rule")
BLANK: dict[str, Any] = {
    "code": "", "name_zh": "", "name_en": "", "holder_kind": "legal", "issued_here": True, "open_ended": False, "max_years": None,
    "exact_term": False, "own_documents": False,
    "issuers": [], "matters": [], "seal_kind": "", "template": "", "most_holders": MOST_HOLDERS,
    "sharing": {"class": "conditional", "basis": "", "condition": ""}, "aliases": [], "fields": [],
    "offline_fields": list(OFFLINE_DEFAULT),
}  # fmt: skip
NEW_FIELD: dict[str, Any] = {"name": "", "short": "KZ_", "mandatory": False, "mask": "none", "kind": "text", "longest": 200, "rule": ""}


@page
async def show_new(request: Request) -> Response:
    """The form of a new type; ``from``: it begins like that one."""
    require_keeper(request)
    source = request.query_params.get("from", "")
    if not source:
        return _form(request, BLANK)
    async with house_of(request).database.session() as session:
        kind = (await get_versions(session, source))[0].kind
    return _form(request, definition(kind) | {"code": "", "aliases": []})


@page
async def submit_new(request: Request) -> Response:
    """Keep the first draft; a refusal shows the form again with what was typed."""
    actor, house = require_keeper(request).actor, house_of(request)
    form = await sent(request, 0, fields=400)
    typed_in = _definition_of(form)
    try:
        kept = await write_type(house.database, house.clock, actor, read_definition(typed_in), typed(form, "reason", 400))
    except FujieError as error:
        return _again(request, typed_in, error)
    return redirect(f"/catalogue/{kept.code}/{kept.version}?done=1")


@page
async def show_edit(request: Request) -> Response:
    """The form of a draft."""
    require_keeper(request)
    async with house_of(request).database.session() as session:
        found = await get_version(session, request.path_params["code"], request.path_params["version"])
    return _form(request, definition(found.kind), digest=found.digest.hex(), version=found.kind.version)


@page
async def submit_edit(request: Request) -> Response:
    """Save the draft; then its page, or the form again with more rows."""
    actor, house = require_keeper(request).actor, house_of(request)
    code, version = request.path_params["code"], request.path_params["version"]
    form = await sent(request, 0, fields=400)
    typed_in = _definition_of(form) | {"code": code}
    digest = typed(form, "digest")
    try:
        kind = replace(read_definition(typed_in), version=version)
        await edit_version(house.database, house.clock, actor, kind, _seen(digest), typed(form, "reason", 400))
    except FujieError as error:
        return _again(request, typed_in, error, digest=digest, version=version)
    return redirect(f"/catalogue/{code}/{version}/edit" if typed(form, "then") == "more" else f"/catalogue/{code}/{version}?done=1")


def _seen(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        raise NotFound("digest") from None


def _definition_of(form: FormData) -> dict[str, Any]:
    """What was typed, as a definition; whether it is one is for the rules to say."""
    texts = {name: typed(form, name).strip() for name in ("code", "name_zh", "name_en", "holder_kind", "seal_kind", "template")}
    lists = {name: _listed(typed(form, name, _LONGEST)) for name in ("issuers", "matters", "offline_fields")}
    flags = {name: typed(form, name) == "1" for name in ("issued_here", "open_ended", "exact_term", "own_documents")}
    basis, condition = typed(form, "basis", 500).strip(), typed(form, "condition", 500).strip()
    return {
        **texts,
        **lists,
        **flags,
        "code": texts["code"].upper(),
        "sharing": {"class": typed(form, "sharing"), "basis": basis, "condition": condition},
        "max_years": _number(form, "max_years"),
        "most_holders": _number(form, "most_holders") or 1,
        "aliases": [one for one in typed(form, "aliases", _LONGEST).split("；") if one.strip()],
        "fields": [row for place in range(MOST_FIELDS) if (row := _row(form, place)) is not None],
    }


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").replace("，", " ").replace("、", " ").split()


def _number(form: FormData, name: str) -> int | None:
    text = typed(form, name).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _row(form: FormData, place: int) -> dict[str, Any] | None:
    """One field; a row without a label is none."""
    cells = {name: typed(form, f"f{place}_{name}", 500).strip() for name in _ROW}
    if not cells["name"]:
        return None
    choice = cells["kind"] == "choice"
    return {
        "name": cells["name"], "short": cells["short"].upper(), "mandatory": cells["mandatory"] == "1", "mask": cells["mask"],
        "kind": cells["kind"], "longest": _number(form, f"f{place}_longest") or 0, "pattern": "" if choice else cells["rule"],
        "choices": [one for one in cells["rule"].replace("，", "、").split("、") if one] if choice else [],
    }  # fmt: skip


def _again(request: Request, typed_in: dict[str, Any], error: FujieError, digest: str = "", version: int = 0) -> Response:
    if error.status >= 500 or isinstance(error, NotFound | CatalogueForbidden):
        raise error
    wrong = error.extra.get("errors")
    places = [(one["field"], one["message"]) for one in wrong] if isinstance(error, InvalidInput) and isinstance(wrong, list) else []
    return _form(request, typed_in, error.status, trouble_of(request, error), places, digest, version)


def _form(
    request: Request, kind: dict[str, Any], status: int = 200, error: Trouble | None = None,
    places: list[tuple[str, str]] | None = None, digest: str = "", version: int = 0,
) -> Response:  # fmt: skip
    locale = locale_of(request)
    rows = [{**one, "rule": "、".join(one["choices"]) or one["pattern"]} for one in kind["fields"]]
    spare = min(SPARE_ROWS, MOST_FIELDS - len(rows))
    chinese = locale == CHINESE
    return render(
        request, "catalogue_edit.html", status=status, kind=kind, rows=[*rows, *[NEW_FIELD] * spare], error=error, places=places or [],
        digest=digest, version=version, holders=[(one.value, translate(locale, words)) for one, words in HOLDERS.items()],
        sharings=[(one.value, translate(locale, words)) for one, words in SHARING.items()],
        kinds=[(one.value, translate(locale, words)) for one, words in KINDS.items()],
        masks=[(one.value, translate(locale, words)) for one, words in MASKS.items()],
        seals=[(one.value, info.zh if chinese else info.en) for one, info in SEAL_KINDS.items()],
        templates=[(name, form.name_zh if chinese else form.name_en) for name, form in templates().items()],
    )  # fmt: skip


routes: list[BaseRoute] = [
    Route("/catalogue/new", show_new, methods=["GET"]),
    Route("/catalogue/new", submit_new, methods=["POST"]),
    Route("/catalogue/{code}/{version:int}/edit", show_edit, methods=["GET"]),
    Route("/catalogue/{code}/{version:int}/edit", submit_edit, methods=["POST"]),
]
