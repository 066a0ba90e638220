"""Consent: what a portal would learn, in words, and the person's answer. The authorisation request itself is ``next``."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.errors import error_page
from api.pages.forms import posted, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, translate
from api.pages.rendering import render
from api.pages.returning import LONGEST_PATH, form_targets, local_path
from api.pages.words import SCOPES
from api.routes.oidc import provider_of
from api.session import require_login
from identity.authorize import PendingRequest, deny_redirect, pending_request
from identity.consents import grant_consent
from keys.base.errors import InvalidInput


class NothingToAllow(InvalidInput):
    """``next`` is not an authorisation request of a registered client."""

    code = "NOTHING_TO_ALLOW"
    public = ("授权请求不完整，请从要登录的门户重新开始。", "The request is incomplete. Please start again from the portal.")


async def _request_of(request: Request, following: str) -> PendingRequest:
    """The authorisation request in ``next``, as the provider reads it. Raises NothingToAllow."""
    pending = await pending_request(provider_of(request), following)
    if pending is None:
        raise NothingToAllow
    return pending


@page
async def show_consent(request: Request) -> Response:
    require_login(request)
    following = local_path(request.query_params.get("next"), default="")
    asked = await _request_of(request, following)
    locale = locale_of(request)
    return render(
        request,
        "consent.html",
        form_targets=await form_targets(request, following),
        client=asked.client.name_zh if locale == CHINESE else asked.client.name_en,
        scopes=[_in_words(scope, locale) for scope in asked.scopes],
        next=following,
    )


@page
async def submit_consent(request: Request) -> Response:
    present = require_login(request)
    form = await posted(request)
    following = local_path(typed(form, "next", LONGEST_PATH), default="")
    asked = await _request_of(request, following)
    match typed(form, "decision"):
        case "allow":
            house = house_of(request)
            async with house.database.begin() as session:
                await grant_consent(session, house.clock.now(), present.account.id, asked.client.client_id, asked.scopes)
            return redirect(following)
        case "deny":
            return redirect(deny_redirect(following))
        case _:
            return error_page(request, InvalidInput("decision"))


def _in_words(scope: str, locale: str) -> dict[str, str]:
    title, text = SCOPES.get(scope, (scope, ""))
    return {"title": translate(locale, title), "text": translate(locale, text) if text else ""}


routes: list[BaseRoute] = [
    Route("/consent", show_consent, methods=["GET"]),
    Route("/consent", submit_consent, methods=["POST"]),
]
