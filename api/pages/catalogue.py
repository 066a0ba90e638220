"""The catalogue of certificate types for staff: search it, read a type with its versions, review one against the one before.

Who may do what is for the journeys to say; the page offers what the table of moves and the person's roles allow, and shows a refusal
where it was asked for. Each form carries the digest of what its page shows: nobody publishes what somebody else has just changed.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.catalogue_words import KINDS, MASKS, MEMBERS, MOVES_OFFERED, NO, SHARING, STATUSES, TONES, VALUES, YES, holder_words
from api.pages.forms import UNWRITABLE, Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.session import Present, require_login
from certs.availability import Saved, saved
from certs.catalogue import CertificateType, SharingClass
from certs.catalogue_access import CatalogueSecondFactorNeeded, check_reader, may
from certs.catalogue_directory import directory
from certs.catalogue_files import write_csv
from certs.catalogue_keeping import take_step, write_version
from certs.catalogue_reads import (
    Entry,
    TypeChange,
    Version,
    Wanted,
    count_being_written,
    count_by_status,
    find_types,
    get_before,
    get_entry,
    get_version,
    get_versions,
    history_of_type,
)
from certs.type_diff import Change, Difference, differences
from certs.type_lifecycle import OPEN, TYPE_MOVES, TypeMove, TypeStatus
from certs.type_schema import BASE_LABELS
from identity.organisations import names_of
from keys.base.actor import Role
from keys.base.clock import civil_date
from keys.base.errors import FujieError, NotFound
from seal.kinds import KINDS as SEAL_KINDS
from seal.kinds import SealKind

PAGE = 30
WRITERS = frozenset({Role.SYSTEM_ADMIN, Role.APPROVER})
LONGEST_REASON = 400
DONE = mark("Done. It is recorded in the type's history.")


@dataclass(frozen=True, slots=True)
class Offer:
    """A step the page offers. ``why``: it needs a reason."""

    move: str
    label: str
    meaning: str
    why: bool
    grave: bool


def require_keeper(request: Request) -> Present:
    """The member of staff at the browser, with two factors. Raises LoginRequired, ``CatalogueForbidden``."""
    present = require_login(request)
    check_reader(present.actor)
    if present.actor.authenticator < 2:
        raise CatalogueSecondFactorNeeded
    return present


@page
async def show_catalogue(request: Request) -> Response:
    """The list, what was searched for, and the figure of papers no longer asked for."""
    actor, house, locale = require_keeper(request).actor, house_of(request), locale_of(request)
    asked = {
        name: UNWRITABLE.sub("", request.query_params.get(name, ""))[:200] for name in ("q", "organisation", "status", "sharing", "open")
    }
    status, sharing = _one_of(TypeStatus, asked["status"]), _one_of(SharingClass, asked["sharing"])
    wanted = Wanted(asked["q"], asked["organisation"].strip().upper(), status, "", sharing, being_written=asked["open"] == "1")
    today = civil_date(house.clock.now())
    async with house.database.session() as session:
        found = await find_types(session, wanted, cursor=request.query_params.get("cursor"), limit=PAGE)
        counts, being_written = await count_by_status(session), await count_being_written(session)
        figure = await saved(session, today - dt.timedelta(days=364), today)
    next_page = urlencode({**{name: value for name, value in asked.items() if value}, "cursor": found.next_cursor or ""})
    return render(
        request, "catalogue.html", asked=asked, items=[_item(one, locale) for one in found.items], total=found.total,
        next_page=next_page if found.next_cursor else "", counts=_counts(counts, being_written, locale),
        statuses=_choices(STATUSES, locale), sharings=_choices(SHARING, locale), figure=_figure(figure),
        writes=bool(actor.roles & WRITERS),
    )  # fmt: skip


def _one_of(kind: Any, text: str) -> Any:
    return kind(text) if text in set(kind) else None


def _choices(words: dict[Any, str], locale: str) -> list[tuple[str, str]]:
    return [(value.value, translate(locale, label)) for value, label in words.items()]


def _counts(counts: dict[TypeStatus, int], being_written: int, locale: str) -> list[dict[str, Any]]:
    shown = [TypeStatus.PUBLISHED, TypeStatus.RETIRED]
    tags = [
        {"words": translate(locale, STATUSES[one]), "count": counts.get(one, 0), "query": f"status={one}", "tone": TONES[one]}
        for one in shown
    ]
    return [*tags, {"words": translate(locale, mark("Being written")), "count": being_written, "query": "open=1", "tone": "wait"}]


def _figure(found: Saved) -> dict[str, Any]:
    share = round(100 * found.answerable / found.required) if found.required else 0
    return {"required": found.required, "answerable": found.answerable, "share": share, "asked": found.asked, "answered": found.answered}


def _item(entry: Entry, locale: str) -> dict[str, Any]:
    return {
        "code": entry.code,
        "name": _name(entry.name_zh, entry.name_en, locale),
        "other": entry.name_en if locale == CHINESE else entry.name_zh,
        "status": translate(locale, STATUSES[entry.status]),
        "tone": TONES[entry.status],
        "open": entry.open_version is not None and entry.version is not None,
        "version": entry.version or entry.open_version or 1,
        "sharing": translate(locale, SHARING[entry.sharing]),
    }


def _name(zh: str, en: str, locale: str) -> str:
    return zh if locale == CHINESE or not en else en


@page
async def show_type(request: Request) -> Response:
    """A type: the version in force, else the newest."""
    require_keeper(request)
    async with house_of(request).database.session() as session:
        entry = await get_entry(session, request.path_params["code"])
        versions = await get_versions(session, entry.code)
    return redirect(f"/catalogue/{entry.code}/{entry.version or versions[0].kind.version}")


@page
async def show_version(request: Request) -> Response:
    done = translate(locale_of(request), DONE) if request.query_params.get("done") == "1" else ""
    return await _shown(request, done=done)


async def _shown(
    request: Request, status: int = 200, error: Trouble | None = None, asked: tuple[str, str] = ("", ""), done: str = ""
) -> Response:
    actor, locale = require_keeper(request).actor, locale_of(request)
    async with house_of(request).database.session() as session:
        found = await get_version(session, request.path_params["code"], request.path_params["version"])
        before = await get_before(session, found)
        versions, history = await get_versions(session, found.kind.code), await history_of_type(session, found.kind.code)
        names = await names_of(session, {found.kind.authority, *found.kind.issuers})
    kind = found.kind
    changes = differences(before.kind if before else None, kind)
    offers = [] if found.status not in (*OPEN, TypeStatus.PUBLISHED) else _offers(found, actor, locale)
    return render(
        request, "catalogue_type.html", status=status, view=_view(found, names, locale), fields=_fields(kind, changes, locale),
        changes=[_difference(one, _labels(kind, before), locale) for one in changes],
        compared=before.kind.version if before else 0, offers=offers,
        versions=[_listed(one, locale) for one in versions], history=[_step(one, locale) for one in reversed(history)], error=error,
        asked=asked, done=done, may_edit=found.status is TypeStatus.DRAFT and may(actor, TypeMove.EDIT, kind),
        may_copy=bool(actor.roles & WRITERS),
        may_begin=not any(one.status in OPEN for one in versions) and may(actor, TypeMove.WRITE, kind),
    )  # fmt: skip


def _view(version: Version, names: dict[str, str], locale: str) -> dict[str, Any]:
    kind = version.kind
    span = translate(locale, mark("At most %(years)s years")) % {"years": kind.max_years} if kind.max_years else ""
    return {
        "code": kind.code,
        "version": kind.version,
        "digest": version.digest.hex(),
        "name": _name(kind.name_zh, kind.name_en, locale),
        "other": kind.name_en if locale == CHINESE else kind.name_zh,
        "status": translate(locale, STATUSES[version.status]),
        "tone": TONES[version.status],
        "authority": _organisation(kind.authority, names),
        "issuers": [_organisation(one, names) for one in kind.issuers],
        "matters": list(kind.matters),
        "holder": holder_words(kind, locale),
        "validity": " · ".join(one for one in (span, translate(locale, mark("may be open-ended")) if kind.open_ended else "") if one),
        "seal": _seal_name(kind.seal_kind, locale),
        "template": kind.template,
        "sharing": translate(locale, SHARING[kind.sharing.sharing_class]),
        "basis": kind.sharing.basis,
        "condition": kind.sharing.condition,
        "offline": [_offline_name(one, kind, locale) for one in kind.offline_fields],
        "published": moment(version.published_at, locale) if version.published_at else "",
        "retired": moment(version.retired_at, locale) if version.retired_at else "",
    }


def _seal_name(seal_kind: str, locale: str) -> str:
    info = SEAL_KINDS.get(SealKind(seal_kind)) if seal_kind in set(SealKind) else None
    return (info.zh if locale == CHINESE else info.en) if info else seal_kind


def _organisation(uscc: str, names: dict[str, str]) -> str:
    return f"{names[uscc]} {uscc}" if uscc in names else uscc


def _offline_name(short: str, kind: CertificateType, locale: str) -> str:
    own = next((one.name for one in kind.fields if one.short == short), None)
    return own or BASE_LABELS[short][locale != CHINESE]


def _fields(kind: CertificateType, changes: Sequence[Difference], locale: str) -> list[dict[str, Any]]:
    touched = {one.member.split(".")[1] for one in changes if one.member.startswith("fields.") and one.change is not Change.REMOVED}
    return [
        {
            "name": one.name,
            "short": one.short,
            "mandatory": one.mandatory,
            "mask": translate(locale, MASKS[one.mask]),
            "kind": translate(locale, KINDS[one.kind]),
            "rule": one.pattern or "、".join(one.choices),
            "longest": one.longest,
            "offline": one.short in kind.offline_fields,
            "changed": one.short in touched,
        }
        for one in kind.fields
    ]


def _labels(kind: CertificateType, before: Version | None) -> dict[str, str]:
    """What fields are called on paper, by their short names; a removed one as it was called."""
    return {one.short: one.name for one in (*(before.kind.fields if before else ()), *kind.fields)}


def _difference(one: Difference, labels: dict[str, str], locale: str) -> dict[str, str]:
    """A line of the comparison, in words: what, before, after."""
    parts = one.member.split(".")
    member = f"field.{parts[2]}" if len(parts) == 3 else parts[0] if len(parts) == 1 else ""
    words = translate(locale, MEMBERS.get(member, "")) if member else ""
    field = f"{labels.get(parts[1], '')} {parts[1]}".strip() if len(parts) > 1 else ""
    return {
        "what": " · ".join(text for text in (field, words) if text),
        "change": one.change.value,
        "before": _said(one.before, member, locale),
        "after": _said(one.after, member, locale),
    }


def _said(value: Any, member: str, locale: str) -> str:
    """A value of a definition in words."""
    if isinstance(value, bool):
        return translate(locale, YES if value else NO)
    if isinstance(value, list):
        return "、".join(str(one) for one in value) or "—"
    if isinstance(value, dict):
        told = [translate(locale, SHARING[SharingClass(value["class"])]), value["basis"], value["condition"]]
        return " · ".join(one for one in told if one)
    words = VALUES.get((member, str(value)))
    return translate(locale, words) if words else str(value if value is not None else "") or "—"


def _listed(version: Version, locale: str) -> dict[str, Any]:
    at = version.retired_at or version.published_at or version.written_at
    return {
        "version": version.kind.version, "status": translate(locale, STATUSES[version.status]), "tone": TONES[version.status],
        "at": moment(at, locale),
    }  # fmt: skip


def _step(change: TypeChange, locale: str) -> dict[str, str]:
    rule = TYPE_MOVES[change.move]
    meaning = rule.zh if locale == CHINESE else rule.en
    return {
        "title": f"{change.version} · {meaning}",
        "tone": TONES[change.status],
        "at": moment(change.at, locale),
        "text": "" if change.move is TypeMove.SHIP else change.reason,
        "by": change.actor_name or change.actor_id,
    }


def _offers(version: Version, actor: Any, locale: str) -> list[Offer]:
    return [
        Offer(move.value, translate(locale, label), TYPE_MOVES[move].zh if locale == CHINESE else TYPE_MOVES[move].en, why, grave)
        for move, (label, why, grave) in MOVES_OFFERED.items()
        if version.status in TYPE_MOVES[move].sources and may(actor, move, version.kind, version.writers)
    ]


@page
async def submit_step(request: Request) -> Response:
    """Take a step; a refusal shows the page again, as things stand now."""
    actor, house = require_keeper(request).actor, house_of(request)
    form, code, version = await posted(request), request.path_params["code"], request.path_params["version"]
    move = next((one for one in MOVES_OFFERED if one.value == typed(form, "move")), None)
    reason = typed(form, "reason", LONGEST_REASON)
    if move is None:
        raise NotFound("move")
    try:
        seen = bytes.fromhex(typed(form, "digest"))
        await take_step(house.database, house.clock, actor, code, version, move, seen=seen, reason=reason)
    except ValueError:
        raise NotFound("digest") from None
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, error.status, trouble_of(request, error), (move.value, shown_again(reason)))
    return redirect(f"/catalogue/{code}/{version}?done=1")


@page
async def begin_version(request: Request) -> Response:
    """The next version, from the one in force; its draft is edited at once."""
    actor, house, code = require_keeper(request).actor, house_of(request), request.path_params["code"]
    kept = await write_version(house.database, house.clock, actor, code)
    return redirect(f"/catalogue/{code}/{kept.version}/edit")


@page
async def send_directory(request: Request) -> Response:
    """The directory of GB/T 36902 as a file."""
    require_keeper(request)
    organisation = request.query_params.get("organisation", "").strip().upper()[:18]
    async with house_of(request).database.session() as session:
        document = write_csv(await directory(session, organisation))
    named = {"Content-Disposition": 'attachment; filename="certificate-types.csv"', "Cache-Control": "no-store"}
    return protect(Response(document, media_type="text/csv; charset=utf-8", headers=named))


routes: list[BaseRoute] = [
    Route("/catalogue", show_catalogue, methods=["GET"]),
    Route("/catalogue/directory.csv", send_directory, methods=["GET"]),
    Route("/catalogue/{code}", show_type, methods=["GET"]),
    Route("/catalogue/{code}/versions", begin_version, methods=["POST"]),
    Route("/catalogue/{code}/{version:int}", show_version, methods=["GET"]),
    Route("/catalogue/{code}/{version:int}", submit_step, methods=["POST"]),
]
