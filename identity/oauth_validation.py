"""Authlib's request validation, run in memory: what it would query is fetched beforehand, what it would save is saved after.

Authlib 1.9 has no asynchronous server. Its request, client and grant models validate values; nothing here reads or writes.
Where its defaults are too wide they are narrowed: S256 only and for every client, no default redirect address, one way of
authenticating per request, the same answer for an unknown client and a wrong secret (docs/decisions/0002-openid-provider.md).
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge

from identity.clients import Client
from identity.oidc_errors import (
    ClientAuthenticationFailed,
    CodeRedirectMismatch,
    CodeUnknown,
    InvalidScope,
    OAuthError,
    PkceFailed,
    PkceRequired,
    RedirectMismatch,
    RefreshTokenUnknown,
    UnauthorizedClient,
    UnsupportedResponseType,
)

AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
# BASE64URL(SHA-256(…)) is always 43 characters (RFC 7636 §4.2).
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Request(OAuth2Request):  # type: ignore[misc]  # Authlib is untyped
    """A request as values. Its address is not the real one: behind a proxy Authlib would refuse plain http with a 500.

    ``proven`` is the client that authenticated itself with it.
    """

    proven: Client | None = None

    def __init__(self, method: str, parameters: Mapping[str, str], authorization: str | None = None) -> None:
        super().__init__(method, "https://localhost/", headers={"Authorization": authorization} if authorization else {})
        self.payload = BasicOAuth2Payload(dict(parameters))

    @property
    def form(self) -> Mapping[str, str]:
        parameters: Mapping[str, str] = self.payload.data
        return parameters


class Server(AuthorizationServer):  # type: ignore[misc]
    """An authorization server that knows the one client which was fetched for this request."""

    def __init__(self, client: Client | None) -> None:
        super().__init__()
        self.client = client

    def query_client(self, client_id: str) -> Client | None:
        return self.client if self.client is not None and self.client.client_id == client_id else None

    def authenticate_client(self, request: Request, methods: list[str], endpoint: str = "token") -> Client:
        """Authenticate once: a grant that asks again is given who proved itself before, by one of its own methods."""
        if request.proven is None or request.auth_method not in methods:
            request.proven = super().authenticate_client(request, methods, endpoint)
        return request.proven

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Spendable:
    """A code or refresh token as Authlib's grants ask it."""

    client_id: str
    scope: str
    redirect_uri: str | None = None
    code_challenge: str | None = None
    code_challenge_method: ClassVar[str] = "S256"

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id


class StrictCodeChallenge(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256, demanded of confidential clients too (RFC 9700 §2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        parameters = grant.request.payload.data
        challenge = parameters.get("code_challenge")
        if not challenge and "code_challenge_method" not in parameters and not grant.request.client.needs_pkce:
            return
        # A missing method means `plain` (RFC 7636 §4.3), which is refused like a spelt-out one.
        if not challenge or not S256_CHALLENGE.fullmatch(challenge) or parameters.get("code_challenge_method") != "S256":
            raise PkceRequired

    def validate_code_verifier(self, grant: AuthorizationCodeGrant, result: object) -> None:
        if grant.request.client.needs_pkce and not grant.request.authorization_code.code_challenge:
            raise PkceFailed("a code without challenge")
        super().validate_code_verifier(grant, result)


def _same_s256(verifier: str, challenge: str) -> bool:
    return hmac.compare_digest(create_s256_code_challenge(verifier), challenge)


StrictCodeChallenge.CODE_CHALLENGE_METHODS = {"S256": _same_s256}


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """The code flow over one fetched code."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = AUTH_METHODS
    code: Spendable | None = None

    def query_authorization_code(self, code: str, client: Client) -> Spendable | None:
        return self.code if self.code is not None and self.code.check_client(client) else None


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    """The refresh of one fetched token."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = AUTH_METHODS
    token: Spendable | None = None

    def authenticate_refresh_token(self, refresh_token: str) -> Spendable | None:
        return self.token


class OwnGrant(ClientCredentialsGrant):  # type: ignore[misc]
    """A client acting for itself."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = ["client_secret_basic", "client_secret_post"]


def validate_authorization(client: Client, parameters: Mapping[str, str]) -> str:
    """The scope of a valid authorisation request, narrowed to what exists.

    Raises RedirectMismatch, which must never be sent to the address, and OAuthErrors that may be.
    """
    # Compared before Authlib sees them: it puts both values into its error texts and fails on a quotation mark in one.
    if not client.check_redirect_uri(parameters.get("redirect_uri", "")):
        raise RedirectMismatch
    if parameters.get("response_type") != "code":
        raise UnsupportedResponseType
    grant = CodeGrant(Request("GET", parameters), Server(client))
    StrictCodeChallenge(required=True)(grant)
    try:
        grant.validate_authorization_request()
    except OAuth2Error as error:
        raise translated(error) from error
    scope: str = grant.request.scope
    return scope


def client_id_of(parameters: Mapping[str, str], authorization: str | None) -> str:
    """Which client claims to ask, so that it can be fetched. Raises ClientAuthenticationFailed.

    RFC 6749 §2.3: a client MUST NOT use more than one authentication method in each request.
    """
    presented = parameters.get("client_id", "")
    if authorization is not None:
        basic = _basic_client_id(authorization)
        if "client_secret" in parameters or presented not in {"", basic}:
            raise ClientAuthenticationFailed("two ways of authenticating")
        presented = basic
    if not CLIENT_ID.fullmatch(presented):
        raise ClientAuthenticationFailed("no client named")
    return presented


def claimed_client_id(parameters: Mapping[str, str], authorization: str | None) -> str:
    """Which client a refused request claimed to come from; nothing where it claimed none."""
    try:
        return client_id_of(parameters, authorization)
    except ClientAuthenticationFailed:
        return ""


def _basic_client_id(authorization: str) -> str:
    try:
        client_id, secret = extract_basic_authorization({"Authorization": authorization})
    except ValueError:
        raise ClientAuthenticationFailed("not UTF-8") from None
    if not client_id or not secret:
        raise ClientAuthenticationFailed("not Basic")
    return str(client_id)


def authenticate(client: Client | None, parameters: Mapping[str, str], authorization: str | None) -> tuple[Client, Request]:
    """The client, if it is who it says, and the request that proves it. Raises ClientAuthenticationFailed."""
    request = Request("POST", parameters, authorization)
    try:
        return Server(client).authenticate_client(request, AUTH_METHODS), request
    except OAuth2Error as error:
        raise ClientAuthenticationFailed from error


def validate_code_exchange(request: Request, code: Spendable | None) -> Client:
    """The authenticated client of a code request whose redirect address and verifier match.

    Raises CodeUnknown for another client's code too, CodeRedirectMismatch, PkceFailed and other OAuthErrors.
    """
    grant = CodeGrant(request, Server(request.proven))
    grant.code = code
    StrictCodeChallenge(required=True)(grant)
    return _validated(grant)


def validate_refresh(request: Request, token: Spendable | None) -> Client:
    """The authenticated client of a refresh request within its scope. Raises RefreshTokenUnknown and other OAuthErrors."""
    grant = RefreshGrant(request, Server(request.proven))
    grant.token = token
    return _validated(grant)


def validate_own(client: Client | None, parameters: Mapping[str, str], authorization: str | None) -> Client:
    """The authenticated client that may act for itself. Raises OAuthErrors."""
    return _validated(OwnGrant(Request("POST", parameters, authorization), Server(client)))


def _validated(grant: CodeGrant | RefreshGrant | OwnGrant) -> Client:
    try:
        grant.validate_token_request()
    except OAuth2Error as error:
        raise translated(error) from error
    client: Client = grant.request.client
    return client


# Authlib's ``error``, and a word of its description where that tells apart, to ours. The descriptions themselves are not
# passed on: they repeat what was sent and tell an unknown client from a wrong secret.
TRANSLATIONS: tuple[tuple[str, str, type[OAuthError]], ...] = (
    ("invalid_client", "", ClientAuthenticationFailed),
    ("unauthorized_client", "", UnauthorizedClient),
    ("invalid_scope", "", InvalidScope),
    ("invalid_request", "code_verifier", PkceFailed),
    ("invalid_grant", "challenge", PkceFailed),
    ("invalid_grant", "redirect_uri", CodeRedirectMismatch),
    ("invalid_grant", "'code'", CodeUnknown),
    ("invalid_grant", "", RefreshTokenUnknown),
)


def translated(error: OAuth2Error) -> OAuthError:
    """Our error for Authlib's."""
    description = str(error.description or "")
    for name, word, ours in TRANSLATIONS:
        if error.error == name and word in description:
            return ours(description)
    return OAuthError(description)
