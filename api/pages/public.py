"""For everybody and for other sites: figures without persons, and a button that leads here."""

import datetime as dt

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.pages.guard import house_of, page
from api.pages.i18n import locale_of, moment
from api.pages.rendering import ASSETS, render
from certs.public_statistics import TypeFigures, public_figures

CALM = dt.timedelta(minutes=10)
SHOWN = 100


async def _figures(request: Request) -> tuple[dt.datetime, tuple[TypeFigures, ...]]:
    """Counted at most every ten minutes by a process."""
    state, now = request.app.state, house_of(request).clock.now()
    kept: tuple[dt.datetime, tuple[TypeFigures, ...]] | None = getattr(state, "public_figures", None)
    if kept is None or not dt.timedelta(0) <= now - kept[0] < CALM:
        kept = state.public_figures = (now, await public_figures(house_of(request).database))
    return kept


@page
async def show_statistics(request: Request) -> Response:
    """The figures as a table; the many types of which there are few are left to the JSON."""
    at, figures = await _figures(request)
    counted = moment(at, locale_of(request))
    return render(request, "statistics.html", figures=figures[:SHOWN], more=max(0, len(figures) - SHOWN), counted_at=counted)


async def send_statistics(request: Request) -> Response:
    """``GET /api/v1/statistics``: null stands for one to nine; everything else is rounded down to tens."""
    at, figures = await _figures(request)
    content = {"counted_at": at.isoformat(), "grain": 10, "types": [one.to_json() for one in figures]}
    return JSONResponse(content, headers={"Cache-Control": "public, max-age=600", "Access-Control-Allow-Origin": "*"})


async def send_button(request: Request) -> Response:
    """``<fujie-verify>`` for pages of others: a module that draws a link to this service and does nothing else."""
    script = ASSETS["verify-button.js"].replace(b"BASE_URL", house_of(request).base_url.encode())
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    return Response(script, media_type="text/javascript; charset=utf-8", headers=headers)


@page
async def show_embed(request: Request) -> Response:
    """What to put into a page of one's own."""
    return render(request, "embed.html", base_url=house_of(request).base_url)


routes: list[BaseRoute] = [
    Route("/verify/statistics", show_statistics, methods=["GET"]),
    Route("/verify/embed", show_embed, methods=["GET"]),
    Route("/verify/button.js", send_button, methods=["GET"]),
    Route("/api/v1/statistics", send_statistics, methods=["GET"]),
]
