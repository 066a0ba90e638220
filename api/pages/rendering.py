"""From a template to a response: escaping, language, assets and the headers every page carries."""

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from api.pages import i18n
from certs.privacy import holds_number

HERE = Path(__file__).parent
ASSETS = {path.name: path.read_bytes() for path in sorted((HERE / "assets").iterdir())}
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in ASSETS.items()}
YEAR = 31_536_000
DATE = re.compile(r"([0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日|[0-9]{1,2} [A-Z][a-z]+ [0-9]{4})")
UNBROKEN = Markup('<span class="date">{}</span>')


def asset(name: str) -> str:
    """The address of an asset; it changes with the content, so browsers may keep it for ever."""
    return f"/assets/{name}?v={VERSIONS[name]}"


def group(code: str) -> str:
    """A code in groups of four, as people read it aloud."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def dates(text: str) -> Markup:
    """A text in which no date is broken across lines."""
    return Markup("").join(UNBROKEN.format(part) if place % 2 else part for place, part in enumerate(DATE.split(text)))


def _environment(locale: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(i18n.CATALOGUES[locale], newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {"asset": asset, "locale": locale, "lang": i18n.TAGS[locale]}
    spoken = {"day": partial(i18n.day, locale=locale), "moment": partial(i18n.moment, locale=locale)}
    environment.filters |= spoken | {"group": group, "dates": dates}
    return environment


ENVIRONMENTS = {locale: _environment(locale) for locale in i18n.CATALOGUES}


def policy(form_targets: Sequence[str] = (), *, pictures_within: bool = False, fetching: bool = False) -> str:
    """The content security policy. ``form_targets``: origins a form's redirects may end at; ``pictures_within``: the page holds pictures
    itself, of what must not be kept anywhere else; ``fetching``: its script fetches from here, and a worker of ours keeps it.

    Chromium checks ``form-action`` against every redirect that follows a form post, so a form after which the
    browser goes back to a client must name that client's origin.
    """
    forms = " ".join(["'self'", *form_targets])
    images = "'self' data:" if pictures_within else "'self'"
    fetched = "connect-src 'self'; worker-src 'self'; " if fetching else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {images}; font-src 'self'; {fetched}"
        f"form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    )


def protect(response: Response, form_targets: Sequence[str] = ()) -> Response:
    """The headers of every page."""
    response.headers["Content-Security-Policy"] = policy(form_targets)
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    response.headers["Cache-Control"] = "no-store"
    return response


def other_language(request: Request) -> str:
    """The same page in the other language. After a form post: the page the form stands on, or the start."""
    query = [(name, value) for name, value in parse_qsl(request.url.query) if name != "lang"]
    query.append(("lang", "en" if i18n.locale_of(request) == i18n.CHINESE else "zh"))
    # One slash: an address beginning with two would lead to another site.
    path = "/" + urlsplit(str(request.url)).path.lstrip("/\\")
    address = f"{path}?{urlencode(query)}"
    # An ID number is not repeated, not even from an address.
    return f"/?{urlencode(query[-1:])}" if holds_number(address) else address


def remember_language(request: Request, response: Response) -> None:
    """A language chosen by ``?lang=`` stays chosen."""
    chosen = request.query_params.get("lang")
    if chosen in i18n.SHORT:
        response.set_cookie(
            i18n.COOKIE, chosen, max_age=YEAR, path="/", samesite="lax", httponly=True, secure=request.url.scheme == "https"
        )


def render(
    request: Request, template: str, *, status: int = HTTPStatus.OK, form_targets: Sequence[str] = (), **context: object
) -> HTMLResponse:
    """A page in the reader's language. ``request.state.present`` (set by the guard) names who is logged in."""
    environment = ENVIRONMENTS[i18n.locale_of(request)]
    present = getattr(request.state, "present", None)
    demonstration = request.app.state.house.settings.demo
    html = environment.get_template(template).render(
        present=present, demonstration=demonstration, other_language=other_language(request), **context
    )
    response = HTMLResponse(html, status_code=status)
    protect(response, form_targets)
    remember_language(request, response)
    response.headers["Content-Language"] = i18n.TAGS[i18n.locale_of(request)]
    response.headers["Vary"] = "Accept-Language, Cookie"
    return response


async def send_asset(request: Request) -> Response:
    """One of our own few files, from memory. With its version in the address it never changes."""
    name = request.path_params["name"]
    if name not in ASSETS:
        return Response("", status_code=HTTPStatus.NOT_FOUND)
    known = request.query_params.get("v") == VERSIONS[name]
    headers = {
        "Cache-Control": f"public, max-age={YEAR}, immutable" if known else "public, max-age=300",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "ETag": f'"{VERSIONS[name]}"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(ASSETS[name], media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)


async def send_favicon(request: Request) -> Response:
    """Browsers ask for it by this name whatever the page says."""
    return Response(ASSETS["favicon.svg"], media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


routes: list[BaseRoute] = [
    Route("/assets/{name}", send_asset, methods=["GET"]),
    Route("/favicon.ico", send_favicon, methods=["GET"]),
]
