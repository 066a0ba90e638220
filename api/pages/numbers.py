"""How the certificates of a type are numbered, for staff: the rules, the series with their gaps, and what a licence may take up."""

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, translate
from api.pages.rendering import render
from api.session import require_login
from certs.catalogue_access import check_reader, may
from certs.catalogue_reads import get_entry
from certs.issuing_keeping import issuing_rules, merge_rules, put_issuing_rule
from certs.issuing_rules import LONGEST_NUMBER, InForce, IssuingRule
from certs.numbers import Series, list_series, series_of
from certs.reads import get_type
from certs.type_lifecycle import TypeMove
from identity.organisations import names_of
from keys.base.errors import FujieError, InvalidInput, NotFound

IN_FORCE = {
    InForce.ANY: mark("As many valid ones as are issued"),
    InForce.ONE_PER_ISSUER: mark("One valid one from each issuer"),
    InForce.ONE: mark("One valid one"),
}
MOST_SERIES = 12
DONE = mark("Kept. It holds for what is issued from now on.")


@page
async def show_numbers(request: Request) -> Response:
    return await _page(request)


@page
async def submit_rule(request: Request) -> Response:
    """The rule in place of the one before; what is wrong is said beside the pattern."""
    present, house, code = require_login(request), house_of(request), request.path_params["code"]
    rule = _rule(code, await posted(request))
    try:
        await put_issuing_rule(house.database, house.clock, present.actor, rule)
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _page(request, error.status, trouble_of(request, error), rule)
    return redirect(f"/numbers/{code}?done=1")


def _rule(code: str, form: FormData) -> IssuingRule:
    try:
        in_force = InForce(typed(form, "in_force") or InForce.ANY)
    except ValueError:
        raise InvalidInput("in_force", errors=[{"field": "in_force", "message": "unknown"}]) from None
    return IssuingRule(
        code, typed(form, "issuer", 18).strip(), typed(form, "pattern", 2 * LONGEST_NUMBER).strip(), bool(typed(form, "yearly")),
        bool(typed(form, "common")), bool(typed(form, "unique")), in_force,
    )  # fmt: skip


async def _page(request: Request, status: int = 200, error: Trouble | None = None, tried: IssuingRule | None = None) -> Response:
    present, house, locale = require_login(request), house_of(request), locale_of(request)
    check_reader(present.actor)
    code = request.path_params["code"]
    async with house.database.session() as session:
        entry, kind = await get_entry(session, code), await get_type(session, code)
        rules, merges = await issuing_rules(session, code), await merge_rules(session, code)
        listed = await list_series(session, code)
        series = [await series_of(session, code, one.issuer, one.year) or one for one in listed[:MOST_SERIES]]
        codes = {one.issuer for one in rules} | {one.issuer for one in series} | {one.department for one in merges}
        names = await names_of(session, codes)
        absorbed = {one.absorbed: (await get_entry(session, one.absorbed)).name_zh for one in merges}
    own = next((one for one in rules if not one.issuer), None)
    asked = tried or own or IssuingRule(code)
    view = {
        "code": code,
        "name": entry.name_zh if locale == CHINESE else entry.name_en or entry.name_zh,
        "keeps": kind is not None and may(present.actor, TypeMove.WRITE, kind),
        "rules": [_shown(one, names, locale) for one in rules],
        "series": [_counted(one, names) for one in series],
        "merges": [(absorbed[one.absorbed], names.get(one.department, ""), one.claim_days, one.basis) for one in merges],
        "in_force": [(one.value, translate(locale, words)) for one, words in IN_FORCE.items()],
    }
    done = translate(locale, DONE) if request.query_params.get("done") else ""
    pattern = shown_again(asked.pattern)
    return render(request, "numbers.html", status=status, view=view, asked=asked, pattern=pattern, error=error, done=done)


def _shown(rule: IssuingRule, names: dict[str, str], locale: str) -> dict[str, object]:
    return {
        "issuer": names.get(rule.issuer, rule.issuer), "pattern": rule.pattern, "yearly": rule.yearly, "common": rule.common,
        "in_force": translate(locale, IN_FORCE[rule.in_force]),
    }  # fmt: skip


def _counted(series: Series, names: dict[str, str]) -> dict[str, object]:
    gaps = [(f"{one.first}" if one.first == one.last else f"{one.first}–{one.last}", one.why) for one in series.gaps]
    return {
        "issuer": names.get(series.issuer, series.issuer),
        "year": series.year or "",
        "last": series.last,
        "used": series.used,
        "gaps": gaps,
    }


routes: list[BaseRoute] = [
    Route("/numbers/{code}", show_numbers, methods=["GET"]),
    Route("/numbers/{code}", submit_rule, methods=["POST"]),
]
