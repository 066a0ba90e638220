"""A portal and its browser for tests of the OpenID provider: the real routes, the real database, no pages.

The log-in itself is a row in ``identity.sessions``; its secret goes into the cookie as the log-in page would put it.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette

from api.cookies import SESSION_COOKIE
from api.problems import on_fujie_error
from api.routes.oidc import routes
from identity.clients import Client, NewClient, create_client
from identity.consents import grant_consent
from identity.login_policy import PASSWORD, Strength
from identity.people import Account
from identity.sessions import Session, open_session
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.schedule import DEFAULT

ISSUER = "http://127.0.0.1:8000"
CALLBACK = "http://127.0.0.1:9999/callback"
PORTAL = NewClient(
    name_zh="水务门户",
    name_en="Water portal",
    division="990100",
    redirect_uris=(CALLBACK, "http://localhost:9999/callback"),
    post_logout_redirect_uris=("http://127.0.0.1:9999/bye",),
    grant_types=("authorization_code", "refresh_token"),
    scopes=("openid", "profile", "real_name", "offline_access"),
)


def make_app(database: Database, redis: Any, keystore: Any, clock: Any, base_url: str = ISSUER) -> Starlette:
    """The provider's routes over a house of the few parts they use."""
    app = Starlette(routes=routes, exception_handlers={FujieError: on_fujie_error})
    app.state.house = SimpleNamespace(
        database=database, redis=redis, keystore=keystore, clock=clock, guard=clock, base_url=base_url, rotation=DEFAULT
    )
    return app


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query))


@dataclass
class City:
    """The provider under test with one browser in front of it."""

    app: Starlette
    database: Database
    clock: Any
    account: Account
    browser: httpx2.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.browser = self.new_browser()

    def new_browser(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=ISSUER)

    async def register(self, **changes: Any) -> tuple[Client, str | None]:
        parts = {name: getattr(PORTAL, name) for name in PORTAL.__dataclass_fields__} | changes
        async with self.database.begin() as session:
            return await create_client(session, self.clock.now(), NewClient(**parts))

    async def log_in(self, strength: Strength = PASSWORD) -> Session:
        """Give the browser a session, as the log-in page does."""
        async with self.database.begin() as session:
            secret, opened = await open_session(session, self.clock.now(), self.account.id, strength)
        self.browser.cookies.set(SESSION_COOKIE, secret)
        return opened

    async def consent(self, client: Client, scopes: Any = None) -> None:
        async with self.database.begin() as session:
            await grant_consent(session, self.clock.now(), self.account.id, client.client_id, scopes or client.scopes)

    async def authorize(self, client: Client, verifier: str = "v" * 43, **changes: str | None) -> httpx2.Response:
        """The browser at the authorisation endpoint; ``None`` leaves a parameter out."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": CALLBACK,
            "scope": "openid profile",
            "state": "st",
            "nonce": "no",
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        parameters |= changes
        return await self.browser.get("/oauth/authorize", params={name: value for name, value in parameters.items() if value is not None})

    async def code(self, client: Client, verifier: str = "v" * 43, **changes: str | None) -> str:
        response = await self.authorize(client, verifier, **changes)
        assert response.status_code == 303, response.text
        return query_of(response.headers["location"])["code"]

    async def token(self, client: Client, secret: str | None, **fields: str) -> httpx2.Response:
        """The portal's server at the token endpoint: another machine, so no cookie."""
        auth = (client.client_id, secret) if secret else None
        named = {} if secret else {"client_id": client.client_id}
        async with self.new_browser() as portal:
            return await portal.post("/oauth/token", data=named | fields, auth=auth)

    async def exchange(self, client: Client, secret: str | None, code: str, verifier: str = "v" * 43, **changes: str) -> httpx2.Response:
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier}
        return await self.token(client, secret, **(fields | changes))

    async def tokens(self, client: Client, secret: str | None, **changes: str | None) -> dict[str, Any]:
        """A whole log-in at the portal."""
        verifier = secrets.token_urlsafe(32)
        answer = await self.exchange(client, secret, await self.code(client, verifier, **changes), verifier)
        assert answer.status_code == 200, answer.text
        members: dict[str, Any] = answer.json()
        return members

    async def userinfo(self, access_token: str) -> httpx2.Response:
        async with self.new_browser() as portal:
            return await portal.get("/oauth/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    async def post(self, path: str, client: Client, secret: str | None, **fields: str) -> httpx2.Response:
        async with self.new_browser() as portal:
            return await portal.post(path, data=fields, auth=(client.client_id, secret or ""))

    async def id_token(self, token: str) -> jwt.Token:
        """The ID token, its signature checked against the published keys."""
        keys = KeySet.import_key_set((await self.browser.get("/oauth/jwks")).json())
        return jwt.decode(token, keys, algorithms=["ES256", "RS256"])

    async def ready(self, **changes: Any) -> tuple[Client, str | None]:
        """A portal, a person logged in who has consented to all it may ask."""
        client, secret = await self.register(**changes)
        await self.log_in()
        await self.consent(client)
        self.clock.advance(seconds=1)
        return client, secret
