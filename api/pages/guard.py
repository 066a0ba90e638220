"""What stands before every page: where the request comes from, who is at the browser, what becomes of an error."""

import functools
import uuid
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.pages.errors import error_page
from api.pages.rendering import protect
from api.session import LoginRequired, current
from api.wiring import House
from keys.base.errors import Forbidden, FujieError, NotFound

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
Page = Callable[[Request], Awaitable[Response]]


class OriginRefused(Forbidden):
    """A form of another site was sent here in the person's name."""

    code = "ORIGIN_REFUSED"
    public = ("该请求来自其他网站，已拒绝。", "This request came from another site and was refused.")


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, as browsers write an origin.

    >>> origin_of("https://Example.org:443/a?b")
    'https://example.org'
    """
    parts = urlsplit(address)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, default) else ""
    host = parts.hostname or ""
    return f"{parts.scheme}://[{host}]{port}" if ":" in host else f"{parts.scheme}://{host}{port}"


def require_own_origin(request: Request) -> None:
    """An unsafe request that names another origin than ours is refused (CONTRACT.md: missing accepted, wrong refused).

    Browsers send Origin with every form post; what sends none is not a browser and carries nobody's cookie by itself.
    Ours is the issuer's, or the very host the request was sent to. Raises OriginRefused.
    """
    origin = request.headers.get("origin")
    if request.method in SAFE_METHODS or origin is None:
        return
    own = {origin_of(house_of(request).base_url), origin_of(f"{request.url.scheme}://{request.headers.get('host', '')}")}
    if origin not in own:
        raise OriginRefused


def house_of(request: Request) -> House:
    return cast(House, request.app.state.house)


def identifier_of(request: Request, missing: type[FujieError] = NotFound) -> uuid.UUID:
    """The id in the path; raises ``missing`` where it is none."""
    try:
        return uuid.UUID(request.path_params["id"])
    except ValueError as error:
        raise missing("identifier") from error


def to_login(request: Request) -> Response:
    """Off to the log-in, and afterwards back here; after a form post, back to the page of the form."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query and request.method in SAFE_METHODS else "")
    return redirect(f"/login?next={quote(path, safe='')}")


def redirect(address: str) -> Response:
    return protect(RedirectResponse(address, status_code=303))


def page(endpoint: Page) -> Page:
    """A page's route: origin checked, the person known as ``request.state.present``, errors shown as pages."""

    @functools.wraps(endpoint)
    async def guarded(request: Request) -> Response:
        try:
            require_own_origin(request)
            request.state.present = await current(request)
            return await endpoint(request)
        except LoginRequired:
            return to_login(request)
        except FujieError as error:
            return error_page(request, error)

    return guarded
