"""A portal asks for a log-in.

:func:`authorize`
  1. *find_client*     unknown or closed: an error page, sent nowhere
  2. *check_return*    the redirect address exactly as registered: else an error page, sent nowhere
  3. *read_request*    response type, scope, PKCE, prompt …: a refusal goes to the client, with ``state`` and ``iss``
  4. *look_up*         the session, the consent, and whether this very request was seen before
  5. *next_step*       to the log-in, to the consent, or on
  6. *issue_code*      one row of ``oidc_grants``, good for 60 seconds

Where the person has to act (log in anew, consent anew) the request comes back with ``arrival``: the instant of its first
arrival, signed by us and bound to its parameters. Only a log-in or consent after that instant counts, so ``prompt=login``
asks exactly once.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import insert

from identity.authorization import (
    ADDRESS,
    OURS,
    AuthorizationRequest,
    Situation,
    Step,
    error_address,
    next_step,
    read_request,
    request_digest,
    require_return_address,
    single_values,
    with_parameters,
)
from identity.clients import Client, get_client
from identity.consents import consent_to
from identity.oauth_validation import CLIENT_ID
from identity.oidc_errors import AccessDenied, OAuthError, RepeatedParameter, UnknownClient
from identity.oidc_models import GRANTS
from identity.provider import ID_TOKEN_TYPE, Provider
from identity.sessions import Session, find_session
from identity.tokens import CODE, CODE_LIFETIME, new_token
from keys.base.actor import ANONYMOUS, Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.ids import fingerprint, new_id
from keys.evidence.audit import JSON, Event, Outcome, digest, record, record_alone

ARRIVAL_TYPE = "arrival+jwt"
LONGEST_NEXT = 4096  # what the pages take
ARRIVAL_LIFETIME = dt.timedelta(minutes=30)
Pairs = Iterable[tuple[str, str]]


async def authorize(provider: Provider, pairs: Pairs, session_secret: str | None) -> str:
    """Where the browser goes next: the client, ``/login?next=…`` or ``/consent?next=…``.

    Raises UnknownClient, RedirectMismatch, RepeatedParameter: shown on a page of ours, because the address cannot be trusted.
    """
    now = provider.clock.now()
    parameters, repeated = single_values(pairs)
    try:
        async with provider.database.begin() as session:
            client = await find_client(session, now, parameters, repeated)
            redirect_uri = require_return_address(client, parameters, repeated)
            try:
                return await _answer(provider, session, now, client, parameters, repeated, session_secret)
            except OAuthError as error:
                refusal = error
    except OAuthError as error:
        await _audit_refusal(provider, now, parameters, error)
        raise
    await _audit_refusal(provider, now, parameters, refusal)
    return error_address(redirect_uri, parameters.get("state"), provider.issuer, refusal)


async def find_client(session: AsyncSession, now: dt.datetime, parameters: Mapping[str, str], repeated: frozenset[str]) -> Client:
    """The client that the request names. Raises UnknownClient, RepeatedParameter."""
    if "client_id" in repeated:
        raise RepeatedParameter
    client_id = parameters.get("client_id", "")
    client = await get_client(session, now, client_id) if CLIENT_ID.fullmatch(client_id) else None
    if client is None:
        raise UnknownClient
    return client


async def _answer(
    provider: Provider,
    session: AsyncSession,
    now: dt.datetime,
    client: Client,
    parameters: Mapping[str, str],
    repeated: frozenset[str],
    secret: str | None,
) -> str:
    """Steps 3 to 6, inside one transaction."""
    hinted = await _hinted_subject(provider, session, now, parameters.get("id_token_hint"))
    request = read_request(client, parameters, repeated, hinted)
    if parameters.get("decision") == "deny":
        raise AccessDenied
    known = await _look_up(provider, session, now, request, parameters, secret)
    step = next_step(request, known, now)
    if known.session is None or step is not Step.PROCEED:
        return await _interrupt(provider, session, now, request, parameters, known, step)
    code = await _issue_code(session, now, request, known.session)
    return with_parameters(request.redirect_uri, {"code": code, "state": request.state, "iss": provider.issuer})


async def _hinted_subject(provider: Provider, session: AsyncSession, now: dt.datetime, hint: str | None) -> str | None:
    if hint is None:
        return None
    claims = await provider.keys.recognise(session, now, ID_TOKEN_TYPE, hint)
    if claims is None or claims.get("iss") != provider.issuer:
        raise OAuthError("id_token_hint")
    return str(claims.get("sub"))


async def _look_up(
    provider: Provider,
    session: AsyncSession,
    now: dt.datetime,
    request: AuthorizationRequest,
    parameters: Mapping[str, str],
    secret: str | None,
) -> Situation:
    found = await find_session(session, now, secret) if secret else None
    if found is None:
        return Situation(None, frozenset(), None, None)
    consent = await consent_to(session, found.account_id, request.client.client_id)
    arrived = await _arrival(provider, session, now, parameters) if request.needs_arrival else None
    scopes, when = consent or (frozenset(), None)
    return Situation(found, scopes, when, arrived)


async def _arrival(provider: Provider, session: AsyncSession, now: dt.datetime, parameters: Mapping[str, str]) -> dt.datetime | None:
    """When this very request was first seen, if the marker it carries is ours, is its own and is not old."""
    claims = await provider.keys.recognise(session, now, ARRIVAL_TYPE, parameters.get("arrival", ""))
    if claims is None or claims.get("request") != request_digest(parameters):
        return None
    arrived = dt.datetime.fromisoformat(claims["arrived"])
    return arrived if now - arrived <= ARRIVAL_LIFETIME else None


async def _interrupt(
    provider: Provider,
    session: AsyncSession,
    now: dt.datetime,
    request: AuthorizationRequest,
    parameters: Mapping[str, str],
    known: Situation,
    step: Step,
) -> str:
    """The page where the person acts, with the way back to this request."""
    resumed = {name: value for name, value in parameters.items() if name not in OURS}
    if request.needs_arrival:
        marker: dict[str, JSON] = {"request": request_digest(parameters), "arrived": (known.arrived_at or now).isoformat()}
        resumed["arrival"] = await provider.keys.sign(session, now, "ES256", ARRIVAL_TYPE, marker)
    following = f"{ADDRESS}?{urlencode(resumed)}"
    if len(following) > LONGEST_NEXT:
        raise OAuthError("too long to come back to")
    return f"{'/login' if step is Step.LOG_IN else '/consent'}?{urlencode({'next': following})}"


STORE_GRANT = insert(GRANTS)


async def _issue_code(session: AsyncSession, now: dt.datetime, request: AuthorizationRequest, login: Session) -> str:
    code = new_token(CODE)
    client = request.client
    row = {
        "id": new_id(),
        "code_hash": fingerprint(code),
        "code_expires_at": now + CODE_LIFETIME,
        "client_id": client.client_id,
        "account_id": login.account_id,
        "session_id": login.id,
        "redirect_uri": request.redirect_uri,
        "scopes": list(request.scopes),
        "nonce": request.nonce,
        "code_challenge": request.code_challenge,
        "auth_time": login.auth_time,
        "acr": login.acr,
        "amr": list(login.amr),
        "authenticator_level": login.authenticator_level,
        "offline": "offline_access" in request.scopes,
        "created_at": now,
    }
    await session.execute(STORE_GRANT, row)
    details: dict[str, JSON] = {"scopes": " ".join(request.scopes), "client_id": client.client_id}
    if request.code_challenge is None:
        details["conformance_profile"] = client.conformance_profile
    actor = Actor(ActorKind.PERSON, str(login.account_id))
    await record(session, now, Event("identity.authorize.issue_code", f"grant:{row['id']}", Outcome.DONE, actor, details))
    return code


async def _audit_refusal(provider: Provider, now: dt.datetime, parameters: Mapping[str, str], error: OAuthError) -> None:
    """What was sent enters as digests: it is anybody's text."""
    if not error.audited:
        return
    details: dict[str, JSON] = {name: digest(parameters[name]) for name in ("client_id", "redirect_uri") if name in parameters}
    event = Event("identity.authorize.refuse", "client:unverified", Outcome.REFUSED, ANONYMOUS, details, error.code)
    await record_alone(provider.database, now, event)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """What a log-in or consent page shows: who asks, for what, in which language."""

    client: Client
    scopes: tuple[str, ...]
    ui_locales: str | None
    login_hint: str | None


async def pending_request(provider: Provider, following: str) -> PendingRequest | None:
    """The authorisation request behind the ``next`` of a page; None where ``next`` is no valid request of a client.

    The consent page takes client and scopes from here and from nowhere else, when it draws and when it stores.
    """
    path, _, query = following.partition("?")
    if path != ADDRESS:
        return None
    now = provider.clock.now()
    parameters, repeated = single_values(parse_qsl(query))
    try:
        async with provider.database.session() as session:
            client = await find_client(session, now, parameters, repeated)
        require_return_address(client, parameters, repeated)
        request = read_request(client, parameters, repeated, None)
    except OAuthError:
        return None
    return PendingRequest(client, request.scopes, parameters.get("ui_locales"), parameters.get("login_hint"))


def deny_redirect(following: str) -> str:
    """Where the consent page sends a person who said no: back to the request, which answers the client ``access_denied``."""
    path, _, query = following.partition("?")
    parameters = {name: value for name, value in parse_qsl(query) if name not in OURS}
    return f"{path}?{urlencode(parameters | {'decision': 'deny'})}"
