"""An error as a page: what happened in a sentence, its stable code, and a way on."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from api.pages.i18n import locale_of, mark, public_sentence, translate
from api.pages.rendering import render
from keys.base.errors import FujieError, NotFound

log = structlog.get_logger("fujie.pages")

TITLES = {
    401: mark("Please log in"),
    403: mark("Not allowed"),
    404: mark("Not found"),
    409: mark("Not possible now"),
    413: mark("Too large"),
    422: mark("Something is not right yet"),
    429: mark("A little patience"),
    503: mark("Back in a moment"),
}
MISTYPED = mark("The address may be mistyped, or what it names is gone.")
FALLBACK = mark("Something went wrong")
ADVICE = {
    429: mark("Nothing is lost. Wait a little, then try again."),
}


def error_page(request: Request, error: FujieError) -> Response:
    """The page for ``error``, in the reader's language. Failures of ours are logged; refusals are audited where they arise."""
    if error.status >= 500:
        log.error("failure", code=error.code, detail=error.detail, path=request.url.path)
    locale = locale_of(request)
    response = render(
        request,
        "error.html",
        status=error.status,
        code=error.code,
        title=translate(locale, TITLES.get(error.status, FALLBACK)),
        text=translate(locale, MISTYPED) if error.code == NotFound.code else public_sentence(error, locale),
        advice=translate(locale, ADVICE[error.status]) if error.status in ADVICE else "",
        tone="bad" if error.status >= 500 or error.status == 403 else "wait",
        login=error.status == 401,
    )
    if (seconds := error.extra.get("retry_after")) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response
