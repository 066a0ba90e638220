"""Two portals of the demonstration city, ``/demo/water`` and ``/demo/market``: log in at one, be known at the other."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.demo.names import MARKET, PORTALS, WATER, Portal
from api.demo.portal import portal
from api.pages.errors import error_page
from api.pages.guard import house_of, origin_of, require_own_origin
from api.pages.i18n import locale_of
from api.pages.rendering import render
from api.wiring import House
from identity.clients import NewClient, create_client, get_client
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError

DIVISION = "990100"


async def register_portals(database: Database, clock: Clock, base_url: str) -> None:
    """Register the two clients where they are not yet: public ones, since a secret in a demonstration is none."""
    async with database.begin() as session:
        for one in PORTALS:
            if await get_client(session, clock.now(), one.client_id) is None:
                await create_client(session, clock.now(), _registration(one, base_url))


def _registration(one: Portal, base_url: str) -> NewClient:
    return NewClient(
        name_zh=one.name_zh,
        name_en=one.name_en,
        division=DIVISION,
        redirect_uris=(f"{base_url}{one.home}/callback",),
        post_logout_redirect_uris=(f"{base_url}{one.home}",),
        scopes=("openid", "profile", "real_name"),
        public=True,
        client_id=one.client_id,
    )


class Lazily:
    """The portal's application, made when it is first asked for: only then is there a house, with its issuer."""

    def __init__(self, one: Portal) -> None:
        self._portal = one
        self._built: tuple[House, ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        house = house_of(request)
        try:
            require_own_origin(request)
        except FujieError as error:
            await error_page(request, error)(scope, receive, send)
            return
        if self._built is None or self._built[0] is not house:
            self._built = house, _build(self._portal, house)
        await self._built[1](scope, receive, send)


def _build(one: Portal, house: House) -> ASGIApp:
    """Every process of the house derives the same key for the portal's cookie."""
    other = MARKET if one is WATER else WATER

    async def draw(request: Request, person: dict[str, Any] | None) -> Response:
        locale = locale_of(request)
        return render(
            request,
            "portal.html",
            form_targets=(origin_of(house.base_url),),
            title=one.title(locale),
            home=one.home,
            person=person,
            other={"home": other.home, "title": other.title(locale)},
        )

    app = portal(one.client_id, one.home, house.base_url, house.personal.subject("demo.portal", one.client_id).hex(), draw)
    app.state.house = house
    app.router.redirect_slashes = False  # it would build an absolute address from the Host header
    return app


routes: list[BaseRoute] = [Route(one.home + rest, lazy) for one in PORTALS for lazy in (Lazily(one),) for rest in ("", "/{rest:path}")]
