"""A portal whose people log in with Fujie: everything a portal needs to do."""

from collections.abc import Awaitable, Callable
from typing import Any

from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

Draw = Callable[[Request, dict[str, Any] | None], Awaitable[Response]]


def portal(name: str, home: str, issuer: str, session_key: str, draw: Draw) -> Starlette:
    """A portal at ``issuer + home``. ``draw`` makes its page for a person, or for nobody yet."""
    settings = {"scope": "openid profile real_name", "code_challenge_method": "S256", "token_endpoint_auth_method": "none"}
    fujie = OAuth().register(
        "fujie",
        client_id=name,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs=settings | {"trust_env": False},
    )

    async def show(request: Request) -> Response:
        return await draw(request, request.session.get("person"))

    async def log_in(request: Request) -> Response:
        request.session.clear()
        return await fujie.authorize_redirect(request, f"{issuer}{home}/callback")  # type: ignore[no-any-return]

    async def callback(request: Request) -> Response:
        try:
            token = await fujie.authorize_access_token(request)  # checks state, nonce, iss, aud and the signature
        except OAuthError:
            return RedirectResponse(home)  # declined, or the answer to a question we did not ask
        claims = await fujie.userinfo(token=token)
        request.session["person"] = {"name": claims["name"], "level": claims["identity_assurance_level"]}
        request.session["id_token"] = token["id_token"]
        return RedirectResponse(home)

    async def log_out(request: Request) -> Response:
        id_token = request.session.pop("id_token", None)
        request.session.clear()
        return await fujie.logout_redirect(request, f"{issuer}{home}", id_token)  # type: ignore[no-any-return]

    routes = [
        Route(home, show),
        Route(f"{home}/login", log_in),
        Route(f"{home}/callback", callback),
        Route(f"{home}/logout", log_out, methods=["POST"]),
    ]
    secure = issuer.startswith("https:")
    session = Middleware(SessionMiddleware, secret_key=session_key, session_cookie=name, path=home, same_site="lax", https_only=secure)
    return Starlette(routes=routes, middleware=[session])
