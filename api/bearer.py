"""Bearer tokens of the API (RFC 6750): in the header only; what is asked for stands at the top of each route::

actor = await require_scope(request, "certificates:issue")
"""

import re

from starlette.requests import Request

from identity.tokens import authenticate_bearer
from keys.base.actor import Actor
from keys.base.errors import Forbidden, FujieError, InvalidInput

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
REALM = 'Bearer realm="fujie"'


class TokenRequired(FujieError):
    """No token was sent."""

    code = "TOKEN_REQUIRED"
    status = 401
    public = ("请使用访问令牌。", "An access token is required.")

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": REALM}


class InvalidToken(FujieError):
    """The token is unknown, expired or revoked."""

    code = "INVALID_TOKEN"
    status = 401
    public = ("访问令牌无效或已过期。", "The access token is invalid or has expired.")

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token", error_description="The access token is invalid or has expired"'}


class InsufficientScope(Forbidden):
    """The token is good but does not reach this far; ``extra['scope']`` is the scope it needs."""

    code = "INSUFFICIENT_SCOPE"
    public = ("访问令牌的权限不足。", "The access token does not allow this.")

    def __init__(self, scope: str) -> None:
        super().__init__(scope=scope)
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{self.scope}"'}


class TokenInAddress(InvalidInput):
    """A token in an address ends in logs and histories (RFC 9700 §4.3.2): such a request is refused unread."""

    code = "TOKEN_IN_ADDRESS"
    status = 400
    public = ("访问令牌不得放在网址中。", "An access token must not stand in the address.")

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'{REALM}, error="invalid_request", error_description="The token must be sent in the header"'}


def bearer_token(request: Request) -> str:
    """The token of the Authorization header. Raises TokenRequired, InvalidToken, TokenInAddress."""
    if "access_token" in request.query_params:
        raise TokenInAddress
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenRequired
    if not B64TOKEN.fullmatch(token.strip()):
        raise InvalidToken
    return token.strip()


async def require_scope(request: Request, scope: str) -> Actor:
    """Who sent the request, if their token holds ``scope``. Raises what :func:`bearer_token` raises, and InsufficientScope."""
    token = bearer_token(request)
    house = request.app.state.house
    actor = await authenticate_bearer(house.database.hot, house.clock.now(), token)
    if actor is None:
        raise InvalidToken
    if scope not in actor.scopes:
        raise InsufficientScope(scope)
    return actor
