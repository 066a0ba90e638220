"""The session cookie: one name, one set of attributes, for the pages and the OpenID provider alike."""

from starlette.requests import Request
from starlette.responses import Response

# ``__Host-`` would be stronger but is refused over http, where the demonstration runs.
SESSION_COOKIE = "fujie_session"


def session_secret(request: Request) -> str | None:
    """The secret in the browser's session cookie."""
    return request.cookies.get(SESSION_COOKIE) or None


def set_session_cookie(response: Response, request: Request, secret: str) -> None:
    """Give the browser its session: a cookie without lifetime, out of reach of scripts and of other sites' posts."""
    secure = request.app.state.house.base_url.startswith("https:")
    response.set_cookie(SESSION_COOKIE, secret, path="/", secure=secure, httponly=True, samesite="lax")


def clear_session_cookie(response: Response, request: Request) -> None:
    """Make the browser forget its session."""
    secure = request.app.state.house.base_url.startswith("https:")
    response.delete_cookie(SESSION_COOKIE, path="/", secure=secure, httponly=True, samesite="lax")
