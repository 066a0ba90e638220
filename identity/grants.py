"""The token endpoint: a code, a refresh token or a client's own secret becomes tokens.

:func:`answer_token_request`
  1. *fetch*      the client and the code or refresh token it shows, in one query
  2. *validate*   client authentication, grant, redirect address, PKCE, scope: in memory (``oauth_validation``)
  3. *sign*       the ID token
  4. *spend*      the code or refresh token is marked used, the new tokens and the audit event are stored, in one statement
                  that only one of any number of simultaneous requests can win

A code used twice, or a refresh token used again after its ten seconds of grace, revokes its whole grant.
"""

import datetime as dt
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from identity.claims import Authentication, id_token_claims
from identity.clients import PERSON_SCOPES, Client
from identity.grant_statements import (
    Issue,
    Presented,
    fetch_code,
    fetch_refresh_token,
    spend_code,
    spend_refresh_token,
    store_again,
    store_own_token,
    successor_of,
)
from identity.known_clients import KnownClient
from identity.oauth_validation import authenticate, claimed_client_id, client_id_of, validate_code_exchange, validate_own, validate_refresh
from identity.oidc_errors import (
    CodeExpired,
    CodeReused,
    CodeUnknown,
    GrantRevoked,
    InvalidGrant,
    InvalidScope,
    OAuthError,
    RefreshTokenExpired,
    RefreshTokenReused,
    RefreshTokenUnknown,
    UnsupportedGrantType,
)
from identity.provider import ID_TOKEN_TYPE, Provider, charge_failure
from identity.tokens import ACCESS, ACCESS_LIFETIME, REFRESH, new_token, revoke_grant
from keys.base.actor import ANONYMOUS, Actor, ActorKind
from keys.base.ids import new_secret
from keys.evidence.audit import JSON, Event, Outcome, digest, record

GRACE = dt.timedelta(seconds=10)
ONLINE_REFRESH = dt.timedelta(hours=12)
OFFLINE_REFRESH = dt.timedelta(days=30)
OFFLINE_LONGEST = dt.timedelta(days=180)

Parameters = Mapping[str, str]
Answer = dict[str, JSON]


async def answer_token_request(provider: Provider, parameters: Parameters, authorization: str | None) -> Answer:
    """The members of a token response (RFC 6749 §5.1). Raises OAuthErrors, audited where they matter."""
    now = provider.clock.now()
    async with refusals_recorded(provider, now, parameters, authorization):
        client_id = client_id_of(parameters, authorization)
        handler = HANDLERS.get(parameters.get("grant_type", ""))
        if handler is None:
            raise UnsupportedGrantType
        return await handler(Asked(provider, now, client_id, parameters, authorization))


@asynccontextmanager
async def refusals_recorded(provider: Provider, now: dt.datetime, parameters: Parameters, authorization: str | None) -> AsyncIterator[None]:
    """Write down a refusal in a transaction of its own, and revoke the grant whose code or refresh token was used twice."""
    try:
        yield
    except OAuthError as error:
        if error.audited:
            await _refuse(provider, now, claimed_client_id(parameters, authorization), error)
        raise


async def _refuse(provider: Provider, now: dt.datetime, client_id: str, error: OAuthError) -> None:
    grant_id = error.grant_id if isinstance(error, InvalidGrant) else None
    if grant_id is None:
        await charge_failure(provider, now, client_id)
    # Without a grant nothing says that the client is who it claims to be.
    actor = Actor(ActorKind.CLIENT, client_id) if grant_id else ANONYMOUS
    subject = f"grant:{grant_id}" if grant_id else "client:unverified"
    async with provider.database.begin() as session:
        if grant_id is not None:
            await revoke_grant(session, now, grant_id, error.code)
        details: dict[str, JSON] = {"client_id": digest(client_id)}
        await record(session, now, Event("identity.token.refuse", subject, Outcome.REFUSED, actor, details, error.code))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request at the token endpoint. ``client_id`` is claimed, not yet proved."""

    provider: Provider
    now: dt.datetime
    client_id: str
    parameters: Parameters
    authorization: str | None = field(repr=False)


async def exchange_code(asked: Asked) -> Answer:
    """RFC 6749 §4.1.3: the code is bound to the client, the redirect address and the verifier; it works once."""
    found, code = await fetch_code(asked.provider.hot, asked.now, asked.client_id, asked.parameters.get("code", ""))
    client, request = authenticate(found, asked.parameters, asked.authorization)
    if "code" not in asked.parameters:
        raise OAuthError("no code")
    code = usable_code(client, code, asked.now)
    validate_code_exchange(request, code.spendable)
    issue = _issue(client, code, asked.now, code.scopes)
    answer = await _answer(asked, client, code, issue, code.nonce)
    if not await spend_code(asked.provider.hot, asked.now, issue, _event(client, issue)):
        raise CodeReused(grant_id=code.grant_id)
    return answer


def usable_code(client: Client, code: Presented | None, now: dt.datetime) -> Presented:
    """The code, if it is this client's, unused and in time. Raises CodeUnknown, CodeReused, GrantRevoked, CodeExpired."""
    if code is None or code.client_id != client.client_id:
        raise CodeUnknown
    if code.used_at is not None:
        raise CodeReused(grant_id=code.grant_id)
    if not code.stands:
        raise GrantRevoked
    if code.expires_at <= now:
        raise CodeExpired
    return code


async def refresh(asked: Asked) -> Answer:
    """RFC 6749 §6 with rotation (RFC 9700 §4.14.2). Within ten seconds a used token gives the same successor again."""
    presented = asked.parameters.get("refresh_token")
    if presented is None:
        raise OAuthError("no refresh token")
    found, token = await fetch_refresh_token(asked.provider.hot, asked.now, asked.client_id, presented)
    client, request = authenticate(found, asked.parameters, asked.authorization)
    token = usable_refresh_token(client, token, asked.now)
    validate_refresh(request, token.spendable)
    issue = _issue(client, token, asked.now, tuple(asked.parameters.get("scope", "").split()) or token.scopes)
    issue = issue.with_refresh_token(successor_of(presented, issue.salt))
    answer = await _answer(asked, client, token, issue, None)
    if token.used_at is None and await _spent(asked, client, presented, issue):
        return answer
    return answer | {"refresh_token": await _repeated(asked, client, presented, issue)}


async def _spent(asked: Asked, client: Client, presented: str, issue: Issue) -> bool:
    return await spend_refresh_token(asked.provider.hot, asked.now, presented, issue, asked.now - GRACE, _event(client, issue))


async def _repeated(asked: Asked, client: Client, presented: str, issue: Issue) -> str:
    """The answer to a token that was used moments ago, perhaps by a request that won against this one: the same successor."""
    _, spent = await fetch_refresh_token(asked.provider.hot, asked.now, client.client_id, presented)
    spent = usable_refresh_token(client, spent, asked.now)
    if spent.successor_salt is None:
        raise RefreshTokenReused(grant_id=spent.grant_id)
    if not await store_again(asked.provider.hot, asked.now, issue, _event(client, issue)):
        raise GrantRevoked
    return successor_of(presented, spent.successor_salt)


def usable_refresh_token(client: Client, token: Presented | None, now: dt.datetime) -> Presented:
    """The token, if it is this client's, in time, and unused or used moments ago. Raises InvalidGrant errors."""
    if token is None or token.client_id != client.client_id:
        raise RefreshTokenUnknown
    if not token.stands:
        raise GrantRevoked
    if token.used_at is not None and now - token.used_at > GRACE:
        raise RefreshTokenReused(grant_id=token.grant_id)
    if token.expires_at <= now:
        raise RefreshTokenExpired
    return token


async def act_for_itself(asked: Asked) -> Answer:
    """RFC 6749 §4.4: a token without a person and without a refresh token."""
    return await asked.provider.clients.answer(asked.now, asked.client_id, functools.partial(_act, asked))


async def _act(asked: Asked, known: KnownClient | None) -> Answer | None:
    """One attempt with the client as it is known; None where it is another by now."""
    client = validate_own(known.client if known else None, asked.parameters, asked.authorization)
    own = tuple(sorted(client.scopes.difference(PERSON_SCOPES)))
    scopes = tuple(dict.fromkeys(asked.parameters.get("scope", "").split())) or own
    if not scopes or not set(scopes) <= set(own):
        raise InvalidScope
    issue = Issue(client.client_id, None, new_token(ACCESS), asked.now + ACCESS_LIFETIME, scopes, None, asked.now)
    stored = known and await store_own_token(asked.provider.hot, asked.now, known.version, issue, _event(client, issue))
    return _members(issue) if stored else None


HANDLERS: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
    "authorization_code": exchange_code,
    "refresh_token": refresh,
    "client_credentials": act_for_itself,
}


def _issue(client: Client, grant: Presented, now: dt.datetime, scopes: tuple[str, ...]) -> Issue:
    return Issue(
        client_id=client.client_id,
        grant_id=grant.grant_id,
        access_token=new_token(ACCESS),
        access_expires_at=now + ACCESS_LIFETIME,
        scopes=scopes,
        refresh_token=new_token(REFRESH) if client.check_grant_type("refresh_token") else None,
        refresh_expires_at=refresh_expiry(grant, now),
        salt=new_secret().encode(),
    )


def refresh_expiry(grant: Presented, now: dt.datetime) -> dt.datetime:
    """Online tokens end with their session, 12 hours at most; offline ones after 30 idle days, 180 days after the log-in."""
    if not grant.offline:
        return now + ONLINE_REFRESH
    return min(now + OFFLINE_REFRESH, grant.auth_time + OFFLINE_LONGEST)


async def _answer(asked: Asked, client: Client, grant: Presented, issue: Issue, nonce: str | None) -> Answer:
    """The answer, its ID token signed: sent only if what it tells of is then stored."""
    answer = _members(issue)
    if "openid" in issue.scopes:
        login = Authentication(str(grant.account_id), str(grant.session_id), grant.auth_time, grant.acr, grant.amr, nonce)
        alg = client.id_token_alg
        claims = id_token_claims(asked.provider.issuer, client.client_id, asked.now, login, issue.access_token, alg)
        answer["id_token"] = await asked.provider.keys.sign(asked.now, alg, ID_TOKEN_TYPE, claims)
    return answer


def _members(issue: Issue) -> Answer:
    answer: Answer = {
        "access_token": issue.access_token,
        "token_type": "Bearer",
        "expires_in": int(ACCESS_LIFETIME.total_seconds()),
        "scope": " ".join(issue.scopes),
    }
    if issue.refresh_token is not None:
        answer["refresh_token"] = issue.refresh_token
    return answer


def _event(client: Client, issue: Issue) -> Event:
    subject = f"grant:{issue.grant_id}" if issue.grant_id else f"client:{client.client_id}"
    return Event("identity.token.issue", subject, Outcome.DONE, client.actor, {"scopes": " ".join(issue.scopes)})
