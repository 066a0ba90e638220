"""Every error leaves as an RFC 9457 problem document with a stable code."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from asyncpg import InterfaceError, PostgresError
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from keys.base.errors import FujieError, InvalidInput, NotFound

log = structlog.get_logger("fujie.problems")

HTTP_CODES = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}


def wants_page(request: Request) -> bool:
    """People's browsers ask for HTML; everything under ``/api``, ``/pki``, ``/log`` and ``/oauth/token``-like answers JSON."""
    return not request.url.path.startswith(("/api/", "/pki/", "/log/")) and "text/html" in request.headers.get("accept", "")


def problem_document(error: FujieError, language: str = "en") -> dict[str, object]:
    """The members of RFC 9457 §3.1 with ``code`` and the error's public members."""
    chinese, english = error.public
    return {
        "type": f"urn:fujie:problem:{error.code}",
        "title": chinese if language == "zh" else english,
        "status": error.status,
        "code": error.code,
        **error.extra,
    }


def preferred_language(request: Request) -> str:
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def problem_response(request: Request, error: FujieError) -> Response:
    headers = {"Cache-Control": "no-store", **error.headers}
    if (seconds := error.extra.get("retry_after")) is not None:
        headers["Retry-After"] = str(seconds)
    return JSONResponse(problem_document(error, preferred_language(request)), error.status, headers, media_type="application/problem+json")


async def on_fujie_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FujieError)  # noqa: S101 - registered for this type only
    if error.status >= 500:
        log.error("failure", code=error.code, detail=error.detail, path=request.url.path)
    return _answer(request, error)


def _field(item: dict[str, Any]) -> str:
    """Where the error is. A member we do not know goes unnamed: its name came from outside and may be anything."""
    where = [str(part) for part in item["loc"] if part != "body"]
    if item["type"] == "extra_forbidden":
        where[-1] = "(unknown member)"
    return ".".join(where)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """What FastAPI refuses: where and why, never the value, which may be an ID number."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [{"field": _field(item), "message": item["msg"]} for item in error.errors()]
    return _answer(request, InvalidInput("request", errors=errors))


class HttpRefusal(FujieError):
    """An error of the HTTP layer itself: its status decides the code."""

    code = "HTTP_ERROR"
    status = 400
    public = ("请求无法处理。", "The request cannot be handled.")

    def __init__(self, error: HTTPException) -> None:
        vars(self).update(code=HTTP_CODES.get(error.status_code, "HTTP_ERROR"), status=error.status_code)
        super().__init__()
        self._headers = dict(error.headers or {})

    @property
    def headers(self) -> dict[str, str]:
        return self._headers


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, FujieError):  # FastAPI takes whatever stops it from reading a body for a malformed one
        return _answer(request, error.__cause__)
    return _answer(request, NotFound("route") if error.status_code == 404 else HttpRefusal(error))


DATA_EXCEPTION = "22"
"""The class of SQLSTATE for values that PostgreSQL cannot hold: a NUL in a text, a number beyond the column's."""
AWAY = ("08", "53", "57P")
"""Of connections that broke, of servers that are full, and of those that stop or start."""


class DatabaseUnavailable(FujieError):
    """PostgreSQL or Valkey is away, starting, or takes no more connections: what was asked may be asked again as it is."""

    code = "DATABASE_UNAVAILABLE"
    status = 503
    public = ("数据库暂时不可用，请稍后再试。", "The database is not available at the moment. Please try again shortly.")


async def on_database_error(request: Request, error: Exception) -> Response:
    """A database that is away is waited for. A value that no table can hold names nothing and is nothing: refused, wherever it stood, as
    not well-formed."""
    state = str(getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) or "")
    if state.startswith(DATA_EXCEPTION):
        log.warning("unfit value", path=request.url.path)
        return _answer(request, InvalidInput("a value that cannot be kept"))
    broken = isinstance(error, InterfaceError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return await (on_unavailable if broken or state.startswith(AWAY) else on_crash)(request, error)


async def on_unavailable(request: Request, error: Exception) -> Response:
    log.error("database unavailable", path=request.url.path, error=type(error).__name__)
    return _answer(request, DatabaseUnavailable(type(error).__name__, retry_after=2))


async def on_system_error(request: Request, error: Exception) -> Response:
    """A server that cannot be connected to in time. Its socket in a folder is then a file not found, one without a name."""
    gone = isinstance(error, ConnectionError | TimeoutError) or (isinstance(error, FileNotFoundError) and error.filename is None)
    return await (on_unavailable if gone else on_crash)(request, error)


async def on_crash(request: Request, error: Exception) -> Response:
    log.exception("crash", path=request.url.path, exc_info=error)
    return _answer(request, FujieError("crash"))


def _answer(request: Request, error: FujieError) -> Response:
    page = getattr(request.app.state, "error_page", None)
    if page is not None and wants_page(request):
        response: Response = page(request, error)
        response.headers.update(error.headers)
        return response
    return problem_response(request, error)


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    FujieError: on_fujie_error,
    RequestValidationError: on_invalid_request,
    HTTPException: on_http_error,
    DBAPIError: on_database_error,
    PostgresError: on_database_error,
    InterfaceError: on_database_error,
    PoolTimeout: on_unavailable,
    RedisError: on_unavailable,
    OSError: on_system_error,
    Exception: on_crash,
}
