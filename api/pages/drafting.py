"""A template seen while it is written: form and document beside pictures of the pages with sample words, or what is wrong and where.

Nothing of a draft is kept here: the finished files go into a release (``certs/templates/README.md``).
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.drafting import previewed
from api.pages.catalogue import WRITERS, require_keeper
from api.pages.forms import Trouble, sent, trouble_of, typed
from api.pages.guard import page
from api.pages.i18n import CHINESE, locale_of
from api.pages.rendering import policy, render
from certs.catalogue_access import CatalogueForbidden
from certs.forms import templates
from certs.previewing import MOST_TEXT, MOST_WORDS, Draft, Preview, shipped_draft
from keys.base.errors import FujieError, NotFound

BEGIN = "general_portrait"
_LONGEST_WORDS = 8000


def require_writer(request: Request) -> None:
    """Whoever writes types may try templates. Raises LoginRequired, ``CatalogueForbidden``, ``CatalogueSecondFactorNeeded``."""
    if not require_keeper(request).actor.roles & WRITERS:
        raise CatalogueForbidden("no writer")


@page
async def show_draft(request: Request) -> Response:
    """An installed template's text to begin from."""
    require_writer(request)
    form = templates().get(request.query_params.get("from", BEGIN))
    if form is None:
        raise NotFound("template")
    draft = shipped_draft(form)
    return _shown(request, {"form": draft.form, "source": draft.source, "words": ""}, chosen=form.name)


@page
async def submit_draft(request: Request) -> Response:
    """The pages, or the faults with their lines."""
    require_writer(request)
    form = await sent(request, 0, fields=8, part=4 * MOST_TEXT)
    asked = {name: typed(form, name, MOST_TEXT) for name in ("form", "source")} | {"words": typed(form, "words", _LONGEST_WORDS)}
    try:
        seen = await previewed(Draft(asked["form"], asked["source"], words_of(asked["words"])))
    except FujieError as error:
        if error.status >= 500:
            raise
        return _shown(request, asked, status=error.status, error=trouble_of(request, error))
    return _shown(request, asked, seen=seen)


def words_of(text: str) -> dict[str, str]:
    """Sample values by label: one a line, a colon between."""
    pairs = [line.replace("：", ":", 1).partition(":") for line in text.splitlines() if line.strip()][: MOST_WORDS + 1]
    return {label.strip(): value.strip() for label, _, value in pairs}


def _shown(
    request: Request, asked: dict[str, str], *, chosen: str = "", seen: Preview | None = None, status: int = 200,
    error: Trouble | None = None,
) -> Response:  # fmt: skip
    chinese = locale_of(request) == CHINESE
    named = [(name, form.name_zh if chinese else form.name_en) for name, form in templates().items()]
    faults: list[dict[str, Any]] = [
        {"file": one.file, "line": one.line, "words": one.zh if chinese else one.en, "hints": one.hints}
        for one in (seen.faults if seen else ())
    ]
    response = render(
        request, "drafting.html", status=status, asked=asked, chosen=chosen, named=named, faults=faults, error=error,
        pages=seen.pages if seen else (),
    )  # fmt: skip
    response.headers["Content-Security-Policy"] = policy(pictures_within=True)
    return response


routes: list[BaseRoute] = [
    Route("/catalogue/templates", show_draft, methods=["GET"]),
    Route("/catalogue/templates", submit_draft, methods=["POST"]),
]
