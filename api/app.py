"""The application: every route behind one door, the hot ones by exact path before all others."""

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.demo.portals import routes as portal_routes
from api.limits import MEGABYTE, BodyLimit
from api.metrics import Measured
from api.openapi import document
from api.pages import error_page
from api.pages import routes as page_routes
from api.pages.bulk import MEGABYTES as LARGEST_BULK
from api.pages.imports import MEGABYTES as LARGEST_IMPORT
from api.routes import (
    access,
    audit,
    authorities,
    bulk_issues,
    certificate_life,
    certificate_types,
    certificates,
    codes,
    copies,
    documents,
    entrances,
    est,
    events,
    federation,
    foreign_rules,
    gbt36906,
    health,
    identity,
    imports,
    issuing,
    library,
    log,
    matters,
    ocsp,
    oidc,
    pki,
    seal_authority,
    seal_batches,
    seal_documents,
    seal_pictures,
    seal_status,
    seals,
    sharing,
    templates,
    trust,
    tsa,
    verification,
    verify_code,
    verify_file,
)
from api.wiring import House

STREAMED = frozenset(
    {gbt36906.VERIFY_PATH, "/api/v1/verify", "/verify", "/api/v1/seal-documents", "/api/v1/documents", imports.PATH, bulk_issues.PATH}
)
"""Uploads: their routes count the octets themselves."""
PICTURES = {"/api/v1/seals": 8 * MEGABYTE, "/api/v1/seals/preview": 8 * MEGABYTE}
"""Orders and previews may carry an uploaded impression of 5 MB, base64."""
APPROVALS = {
    "/api/v1/approvals": 8 * MEGABYTE, "/api/v1/approvals/check": 8 * MEGABYTE, "/api/v1/approvals/preview": 8 * MEGABYTE,
    "/api/v1/applications": 16 * MEGABYTE,
}  # fmt: skip
"""They may carry photographs of 4 MB, base64."""
SUCCESSORS = {"/api/v1/certificates/": 8 * MEGABYTE, "/api/v1/entrances/": 2 * MEGABYTE, "/issue/": 8 * MEGABYTE}
"""Approvals under addresses of their own, and the form of a window. An entrance reads a message before it knows who signed it: less."""
SEARCHES = {"/api/v1/certificates/search": MEGABYTE}
"""Beneath the address of certificates, and no place for a photograph."""
FILES = {certificate_types.IMPORT_PATH: certificate_types.LARGEST_FILE, matters.IMPORT_PATH: matters.LARGEST_FILE}
"""A whole catalogue in one file."""

LEAN: tuple[Iterable[BaseRoute], ...] = (
    oidc.routes,
    pki.routes,
    est.routes,
    tsa.routes,
    trust.routes,
    ocsp.routes,
    log.routes,
    health.routes,
    verify_file.routes,
    verify_code.routes,
    codes.routes,
    seal_status.routes,
)


def _tails(route: Route) -> list[tuple[str, str, str]]:
    """(parameter, method, what stands before it) of a route that ends in its only parameter."""
    head, _, last = route.path.rpartition("/")
    if "{" in head or not (last.startswith("{") and last.endswith("}")) or ":" in last:
        return []
    return [(last[1:-1], method, head) for method in route.methods or ()]


class ExactPaths:
    """Sends requests whose method and path are in the table straight to their route; all else goes on to the application.

    Finding a route behind 150 parameter routes costs 350 µs; a dictionary costs nothing.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        plain = [route for route in routes if isinstance(route, Route) and "{" not in route.path]
        self._table = {(method, route.path): route for route in plain for method in route.methods or ()}
        self._tails = {found[1:]: (found[0], route) for route in routes if isinstance(route, Route) for found in _tails(route)}
        self._exact = ExceptionMiddleware(self._dispatch, handlers=problems.HANDLERS)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["route"].handle(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[Route | None, dict[str, str]]:
        """The route, and what stands for its last part."""
        route = self._table.get((scope["method"], scope["path"]))
        if route is not None:
            return route, {}
        head, _, last = scope["path"].rpartition("/")
        name, tail = self._tails.get((scope["method"], head), ("", None))
        return (tail, {name: last}) if tail is not None and last else (None, {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, parameters = self._found(scope) if scope["type"] == "http" else (None, {})
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"], scope["route"], scope["endpoint"] = parameters, route, route.endpoint
        await self._exact(scope, receive, send)


def uploads_on_pages(house: House) -> dict[str, int]:
    """Octets of the forms that take files, with room for their other fields."""
    one = house.settings.document_megabytes * MEGABYTE
    return {
        "/imports": (LARGEST_IMPORT + 1) * MEGABYTE, "/bulk": (LARGEST_BULK + 1) * MEGABYTE, "/seals/apply": 16 * MEGABYTE,
        "/documents/new": one + MEGABYTE, "/library/document": one + MEGABYTE,
        "/batches/new": max(one, 512 * MEGABYTE) + MEGABYTE,
    }  # fmt: skip


def create_app(house: House) -> FastAPI:
    """The whole application around ``house``."""
    lean = [route for group in LEAN for route in group]
    larger = PICTURES | APPROVALS | SEARCHES | FILES | uploads_on_pages(house)
    bodies = Middleware(BodyLimit, own=STREAMED, larger=larger, under=SUCCESSORS)
    app = FastAPI(
        title="Fujie 符节",
        version="1",
        openapi_url=None,
        redirect_slashes=False,  # it would build an absolute address from the Host header
        telemetry={"tracing": False, "metrics": False, "logs": False},  # looked for at every request; ours is api.metrics
        docs_url=None,
        redoc_url=None,
        exception_handlers=problems.HANDLERS,
        middleware=[Middleware(Measured), bodies, Middleware(ExactPaths, routes=lean)],
    )
    app.state.house = house
    app.router.routes.append(Route("/api/openapi.json", lambda request: JSONResponse(document(app, house.base_url))))
    app.state.error_page = error_page
    app.router.routes.extend(lean)
    app.include_router(library.router)
    app.include_router(imports.router)
    app.include_router(certificates.router)
    app.include_router(certificate_life.router)
    app.include_router(documents.router)
    app.include_router(issuing.router)
    app.include_router(bulk_issues.router)
    app.include_router(events.router)
    app.include_router(entrances.router)
    app.include_router(verification.router)
    app.include_router(copies.router)
    app.include_router(access.router)
    app.include_router(gbt36906.router)
    app.include_router(certificate_types.router)
    app.include_router(templates.router)
    app.include_router(matters.router)
    app.include_router(sharing.router)
    app.include_router(identity.router)
    app.include_router(audit.router)
    app.include_router(authorities.router)
    app.include_router(foreign_rules.router)
    app.include_router(federation.router)
    app.include_router(seal_status.router)
    app.include_router(seal_authority.router)
    app.include_router(seal_documents.router)
    app.include_router(seal_batches.router)
    app.include_router(seals.router)
    app.include_router(seal_pictures.router)
    app.router.routes.extend(page_routes)
    if house.settings.demo:
        app.router.routes.extend(portal_routes)
    return app
