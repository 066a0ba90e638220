"""The OpenID provider over HTTP: lean Starlette routes around the journeys of ``identity``."""

from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.bearer import B64TOKEN, REALM, bearer_token
from api.cookies import clear_session_cookie, session_secret
from identity.authorization import single_values
from identity.authorize import authorize
from identity.claims import userinfo_claims
from identity.grants import answer_token_request
from identity.introspection import introspect, revoke
from identity.logout import log_out_for_client
from identity.oidc_errors import OAuthError, RepeatedParameter
from identity.provider import Provider, metadata, open_provider
from identity.reads import name_evidence
from identity.tokens import find_access_token
from keys.base.errors import FujieError

LARGEST_FORM = 16_384
MOST_FIELDS = 40
FORM = "application/x-www-form-urlencoded"
# RFC 6749 §5.1: responses with tokens are never stored.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# What holds no cookie and answers only what the caller brings or what is public may be read by scripts of any site.
ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT = {
    **ANY_ORIGIN,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}
PUBLIC = {**ANY_ORIGIN, "Cache-Control": "public, max-age=300"}


def provider_of(request: Request) -> Provider:
    """The provider of this house, opened at its first request."""
    state = request.app.state
    if getattr(state, "provider", None) is None:
        house = state.house
        state.provider = open_provider(house.database, house.redis, house.keystore, house.clock, house.base_url, house.rotation)
    return cast(Provider, state.provider)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def _see_other(location: str) -> Response:
    """RFC 9700 §4.12: 303, so that no form is posted on. The address goes out as it is, not quoted anew."""
    return Response(status_code=303, headers={"Location": location, **NO_STORE})


async def _form(request: Request) -> list[tuple[str, str]]:
    """The fields of a form body of at most 16 KiB. Raises OAuthError: anything else is a malformed request."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("content type")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise OAuthError("body too large")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise OAuthError("not a form") from None


async def _parameters(request: Request) -> dict[str, str]:
    """The form's fields; RFC 6749 §3.2: none may come twice."""
    parameters, repeated = single_values(await _form(request))
    if repeated:
        raise RepeatedParameter
    return parameters


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of a request that a browser brings by GET or POST."""
    if request.method == "POST":
        return await _form(request)
    try:
        return parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise OAuthError("not a query") from None


def _answers_oauth_errors(route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Errors of an endpoint that programs call, in the shape of RFC 6749 §5.2 with our stable ``code`` added."""

    async def answer(request: Request) -> Response:
        try:
            return await route(request)
        except OAuthError as error:
            body = {"error": error.error, "error_description": error.description, "code": error.code}
            return _json(body, error.status, {**NO_STORE, **ANY_ORIGIN, **error.headers})

    return answer


async def discovery(request: Request) -> Response:
    return _json(metadata(provider_of(request).issuer), headers=PUBLIC)


async def jwks(request: Request) -> Response:
    provider = provider_of(request)
    published = await provider.keys.published(provider.clock.now())
    # Keys are changed by this promise: none signs before every copy of a set without it is thrown away (keys.rotation).
    headers = {**ANY_ORIGIN, "Cache-Control": f"public, max-age={int(provider.keys.schedule.cached.total_seconds())}"}
    return Response(orjson.dumps(published), headers=headers, media_type="application/jwk-set+json")


async def authorization_endpoint(request: Request) -> Response:
    """OpenID Connect Core 1.0 §3.1.2.1: GET and POST alike. What cannot be sent to the client is raised, and shown as a page."""
    location = await authorize(provider_of(request), await _pairs(request), session_secret(request))
    return _see_other(location)


@_answers_oauth_errors
async def token_endpoint(request: Request) -> Response:
    answer = await answer_token_request(provider_of(request), await _parameters(request), request.headers.get("authorization"))
    return _json(answer, headers={**NO_STORE, **ANY_ORIGIN})


@_answers_oauth_errors
async def introspection_endpoint(request: Request) -> Response:
    answer = await introspect(provider_of(request), await _parameters(request), request.headers.get("authorization"))
    return _json(answer, headers=NO_STORE)


@_answers_oauth_errors
async def revocation_endpoint(request: Request) -> Response:
    await revoke(provider_of(request), await _parameters(request), request.headers.get("authorization"))
    return Response(status_code=200, headers={**NO_STORE, **ANY_ORIGIN})


async def _userinfo_token(request: Request) -> str:
    """RFC 6750 §2.1 and §2.2: the header, or the body of a form post, never both and never the address."""
    posted = request.method == "POST" and request.headers.get("content-type", "").startswith(FORM)
    token = (await _parameters(request)).get("access_token") if posted else None
    if token is None:
        return bearer_token(request)
    if "authorization" in request.headers or "access_token" in request.query_params:
        raise OAuthError("more than one token")
    return token


async def userinfo(request: Request) -> Response:
    """OpenID Connect Core 1.0 §5.3; errors as RFC 6750 §3."""
    headers = {**NO_STORE, **ANY_ORIGIN}
    try:
        token = await _userinfo_token(request)
    except OAuthError as error:
        return _json({"error": error.error, "error_description": error.description}, 400, headers)
    except FujieError as error:
        return _json({"error": "invalid_token", "code": error.code}, error.status, headers | error.headers)
    provider = provider_of(request)
    found = await find_access_token(provider.database.hot, provider.clock.now(), token) if B64TOKEN.fullmatch(token) else None
    if found is None:
        challenge = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
        return _json({"error": "invalid_token", "code": "INVALID_TOKEN"}, 401, headers | challenge)
    if found.person is None or "openid" not in found.scopes:
        challenge = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="openid"'}
        return _json({"error": "insufficient_scope", "code": "INSUFFICIENT_SCOPE"}, 403, headers | challenge)
    named = "real_name" in found.scopes and found.person.real_name is not None
    evidence = await name_evidence(provider.hot, found.person.account_id) if named else None
    return _json(userinfo_claims(found.person, found.scopes, evidence), headers=headers)


async def logout(request: Request) -> Response:
    """OpenID Connect RP-Initiated Logout 1.0 §2: GET and POST alike."""
    parameters, repeated = single_values(await _pairs(request))
    if repeated:
        raise RepeatedParameter
    location, over = await log_out_for_client(provider_of(request), parameters, session_secret(request))
    response = _see_other(location)
    if over:
        clear_session_cookie(response, request)
    return response


async def preflight(request: Request) -> Response:
    return Response(status_code=204, headers=PREFLIGHT)


def _open_to_scripts(path: str, endpoint: Callable[[Request], Awaitable[Response]], methods: list[str]) -> list[BaseRoute]:
    return [Route(path, endpoint, methods=methods), Route(path, preflight, methods=["OPTIONS"])]


routes: list[BaseRoute] = [
    *_open_to_scripts("/oauth/token", token_endpoint, ["POST"]),
    *_open_to_scripts("/oauth/userinfo", userinfo, ["GET", "POST"]),
    Route("/oauth/introspect", introspection_endpoint, methods=["POST"]),
    *_open_to_scripts("/oauth/revoke", revocation_endpoint, ["POST"]),
    Route("/oauth/authorize", authorization_endpoint, methods=["GET", "POST"]),
    Route("/oauth/logout", logout, methods=["GET", "POST"]),
    *_open_to_scripts("/oauth/jwks", jwks, ["GET"]),
    *_open_to_scripts("/.well-known/openid-configuration", discovery, ["GET"]),
    *_open_to_scripts("/.well-known/oauth-authorization-server", discovery, ["GET"]),
]
