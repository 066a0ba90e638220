"""The first page with its four doors, and what a portal's developer needs to know."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.demo.names import PORTALS
from api.pages.guard import house_of, page
from api.pages.i18n import locale_of
from api.pages.rendering import render


@page
async def show_home(request: Request) -> Response:
    return render(request, "home.html")


@page
async def show_connect(request: Request) -> Response:
    locale = locale_of(request)
    portals = [{"home": one.home, "title": one.title(locale)} for one in PORTALS]
    return render(request, "connect.html", issuer=house_of(request).base_url, portals=portals)


routes: list[BaseRoute] = [
    Route("/", show_home, methods=["GET"]),
    Route("/connect", show_connect, methods=["GET"]),
]
