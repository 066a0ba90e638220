"""Logging in and out at a browser.

``/login`` takes ``username`` and ``password``; where a second factor is due it asks for ``otp`` next. Between the two the
half log-in lies in a cookie that lives five minutes, so that no page carries the password.
"""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, translate
from api.pages.rendering import render
from api.pages.returning import END_SESSION, LONGEST_PATH, form_targets, local_path, parameters_of
from api.routes.oidc import provider_of
from api.session import clear_session_cookie, session_secret, set_session_cookie
from identity.authorize import pending_request
from identity.login import (
    BadCredentials,
    BadSecondFactor,
    LoggedIn,
    LogIn,
    LoginExpired,
    SecondFactorDue,
    SecondFactorNotEnrolled,
    finish_second_factor,
    log_in,
)
from identity.logout import log_out_confirmed
from keys.base.errors import FujieError, Throttled

HALF_COOKIE = "fujie_half_login"
HALF_SECONDS = 300
LONGEST_PASSWORD = 1024
REQUIRED = {"username": mark("Please enter your username."), "password": mark("Please enter your password.")}


@dataclass(frozen=True, slots=True)
class Errors:
    """What is wrong, beside each field."""

    username: Trouble | None = None
    password: Trouble | None = None
    otp: Trouble | None = None


NO_ERRORS = Errors()


def login_of(request: Request) -> LogIn:
    house = house_of(request)
    return LogIn(house.database, house.redis, house.clock, house.personal)


def remote_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@page
async def show_login(request: Request) -> Response:
    return await _form(request, local_path(request.query_params.get("next")))


@page
async def submit_login(request: Request) -> Response:
    form = await posted(request)
    following = local_path(typed(form, "next", LONGEST_PATH) or request.query_params.get("next"))
    missing = {} if _continues(request, form) else _missing(request, form)
    if missing:
        return await _form(request, following, status=422, username=typed(form, "username"), errors=Errors(**missing))
    try:
        logged_in = await _attempt(request, form)
    except SecondFactorDue as due:
        return await _ask_code(request, following, due.pending)
    except (BadCredentials, BadSecondFactor, LoginExpired, SecondFactorNotEnrolled, Throttled) as error:
        return await _refused(request, form, following, error)
    response = redirect(following)
    set_session_cookie(response, request, logged_in.secret)
    _forget_half_login(request, response)
    return response


def _continues(request: Request, form: FormData) -> bool:
    """Whether this is the second step: a code, no name, and the half log-in in the cookie."""
    return "otp" in form and not typed(form, "username") and HALF_COOKIE in request.cookies


def _missing(request: Request, form: FormData) -> dict[str, Trouble]:
    locale = locale_of(request)
    return {
        name: Trouble("REQUIRED", translate(locale, text)) for name, text in REQUIRED.items() if not typed(form, name, LONGEST_PASSWORD)
    }


async def _attempt(request: Request, form: FormData) -> LoggedIn:
    login, remote, previous = login_of(request), remote_of(request), session_secret(request)
    otp = typed(form, "otp").replace(" ", "")
    if _continues(request, form):
        return await finish_second_factor(login, request.cookies[HALF_COOKIE], otp, remote, previous)
    return await log_in(login, typed(form, "username"), typed(form, "password", LONGEST_PASSWORD), otp or None, remote, previous)


async def _form(
    request: Request,
    following: str,
    *,
    status: int = 200,
    second_factor: bool = False,
    username: str = "",
    trouble: Trouble | None = None,
    errors: Errors = NO_ERRORS,
) -> Response:
    """The form; what looks like an ID number typed as a username is not shown again."""
    return render(
        request,
        "login.html",
        status=status,
        form_targets=await form_targets(request, following),
        portal=await _portal(request, following),
        next=following,
        second_factor=second_factor,
        username=shown_again(username),
        trouble=trouble,
        errors=errors,
    )


async def _portal(request: Request, following: str) -> str:
    """The name of the portal that sent the person here; empty where none did."""
    pending = await pending_request(provider_of(request), following)
    if pending is None:
        return ""
    return pending.client.name_zh if locale_of(request) == CHINESE else pending.client.name_en


async def _ask_code(request: Request, following: str, pending: str) -> Response:
    response = await _form(request, following, second_factor=True)
    secure = house_of(request).settings.secure
    response.set_cookie(HALF_COOKIE, pending, max_age=HALF_SECONDS, path="/login", secure=secure, httponly=True, samesite="lax")
    return response


async def _refused(request: Request, form: FormData, following: str, error: FujieError) -> Response:
    """The form again, the error beside the field it belongs to."""
    trouble, username = trouble_of(request, error), typed(form, "username")
    match error:
        case BadCredentials():
            return await _form(request, following, status=error.status, username=username, errors=Errors(password=trouble))
        case BadSecondFactor() if _continues(request, form):
            return await _form(request, following, status=error.status, second_factor=True, errors=Errors(otp=trouble))
        case Throttled():
            response = await _form(request, following, status=error.status, username=username, trouble=trouble)
            response.headers["Retry-After"] = str(error.extra.get("retry_after", 60))
            return response
        case _:
            return await _form(request, following, status=error.status, username=username, trouble=trouble)


def _forget_half_login(request: Request, response: Response) -> None:
    if HALF_COOKIE in request.cookies:
        response.delete_cookie(HALF_COOKIE, path="/login", secure=house_of(request).settings.secure, httponly=True, samesite="lax")


@page
async def show_logout(request: Request) -> Response:
    """Asks before logging out; where nobody is logged in there is nothing to ask."""
    following = local_path(request.query_params.get("next"), default="")
    targets = await form_targets(request, following)
    return render(request, "logout.html", form_targets=targets, done=request.state.present is None, next=following)


@page
async def submit_logout(request: Request) -> Response:
    """End the session and go where the portal's request, if there is one, leads; only registered addresses are outside."""
    form = await posted(request)
    following = local_path(typed(form, "next", LONGEST_PATH), default="")
    parameters = dict(parameters_of(following)) if following.partition("?")[0] == END_SESSION else {}
    response = redirect(await log_out_confirmed(provider_of(request), parameters, session_secret(request)))
    clear_session_cookie(response, request)
    return response


routes: list[BaseRoute] = [
    Route("/login", show_login, methods=["GET"]),
    Route("/login", submit_login, methods=["POST"]),
    Route("/logout", show_logout, methods=["GET"]),
    Route("/logout", submit_logout, methods=["POST"]),
]
