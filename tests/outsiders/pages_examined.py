"""Which test of a browser examines which page; what is no page, and why. A page that is new belongs here, or a test fails."""

from collections.abc import Iterable

from starlette.routing import Match, Route

from api.demo.portals import routes as portal_routes
from api.pages import routes as page_routes

EXAMINED = {
    "test_browser": frozenset(
        {
            "/", "/login", "/logout", "/connect", "/account", "/verify", "/v/{code}", "/check", "/approve", "/approve/{id}", "/share",
            "/wallet/{id}/show", "/seals", "/seals/supervision", "/seals/apply", "/documents", "/documents/new", "/documents/{id}",
            "/batches", "/batches/new", "/batches/{id}", "/batches/{id}/documents/{position:int}",
        }
    ),
    "test_browser_audit": frozenset({"/audit"}),
    "test_browser_pages": frozenset(
        {
            "/access", "/applications", "/bulk", "/bulk/{id}", "/catalogue", "/catalogue/matters",
            "/catalogue/matters/{code}", "/catalogue/new", "/catalogue/templates", "/catalogue/{code}/{version:int}",
            "/catalogue/{code}/{version:int}/edit", "/connections", "/connections/{id}", "/consent", "/copies", "/federation", "/imports",
            "/imports/{id}", "/issue", "/issue/done/{id}", "/issue/{code}", "/library", "/library/document", "/library/keeping",
            "/library/moves", "/library/moves/{id}", "/library/{id}", "/library/{id}/copies", "/library/{id}/life", "/merged",
            "/numbers/{code}", "/s/{code}", "/seals/{id}", "/share-requests/{id}", "/share/requests/{id}", "/showings/{id}",
            "/verify/embed", "/verify/offline", "/verify/statistics", "/wallet", "/wallet/{id}", "/wallet/{id}/copies",
        }
    ),
    "test_browser_instances": frozenset({"/federation/{id}", "/library/keeping/{id}"}),
}  # fmt: skip
_PICTURE, _FILE, _SCRIPT = "a picture in a page", "a file to be kept", "what pages load"
NO_PAGE = {
    "/approve/{id}/document.pdf": _FILE, "/approve/{id}/picture.png": _PICTURE, "/assets/{name}": _SCRIPT,
    "/audit/events/{id}/proof": _FILE, "/batches/{id}/documents/{position:int}/file": _FILE,
    "/batches/{id}/documents/{position:int}/pages/{page:int}.png": _PICTURE, "/catalogue/directory.csv": _FILE,
    "/bulk/{id}/report.csv": _FILE,
    "/catalogue/{code}": "leads to the newest version", "/documents/{id}/file": _FILE, "/documents/{id}/pages/{page:int}.png": _PICTURE,
    "/favicon.ico": _PICTURE, "/federation/card.json": _FILE, "/imports/{id}/report.{form}": _FILE, "/issue/done/{id}/file": _FILE,
    "/library/moves/{id}/report.csv": _FILE, "/library/{id}/card.png": _PICTURE, "/library/{id}/page.png": _PICTURE,
    "/seals/{id}/picture.png": _PICTURE, "/v/{code}/picture.png": _PICTURE, "/verify/button.js": _SCRIPT,
    "/verify/offline-worker.js": _SCRIPT, "/api/v1/statistics": "for programs", "/wallet/{id}/card.png": _PICTURE,
    "/wallet/{id}/page.png": _PICTURE,
}  # fmt: skip


def pages() -> frozenset[str]:
    """The paths of all that a browser may ask for, of people and of the demonstration's portals."""
    return frozenset(one.path for one in page_routes if isinstance(one, Route) and "GET" in (one.methods or ()))


def page_of(path: str) -> str:
    """The route that answers a path; empty where none does, or a portal of the demonstration."""
    scope = {"type": "http", "method": "GET", "path": path}
    for one in [*portal_routes, *page_routes]:
        if isinstance(one, Route) and one.matches(scope)[0] is Match.FULL:
            return one.path if one in page_routes else ""
    return ""


def not_examined(test: str, paths: Iterable[str]) -> list[str]:
    """The pages that the test promises to examine and did not."""
    return sorted(EXAMINED[test] - {page_of(path.partition("?")[0]) for path in paths})
