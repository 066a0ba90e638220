"""A portal asks for a log-in.

:func:`authorize`
  1. *fetch*           the client, the session and the consent, in one query
  2. *find_client*     unknown or closed: an error page, sent nowhere
  3. *check_return*    the redirect address as registered: else an error page, sent nowhere
  4. *read_request*    response type, scope, PKCE, prompt …: a refusal goes to the client, with ``state`` and ``iss``
  5. *next_step*       to the log-in, to the consent, or on
  6. *issue_code*      one row of ``oidc_grants``, good for 60 seconds, and the audit event, in one statement

Where the person has to act (log in anew, consent anew) the request comes back with ``arrival``: the instant of its first
arrival, signed by us and bound to its parameters. Only a log-in or consent after that instant counts, so ``prompt=login``
asks exactly once.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import and_, bindparam, insert, select

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
from identity.clients import ASKING, Client, client_of, get_client
from identity.oauth_validation import CLIENT_ID
from identity.oidc_errors import AccessDenied, OAuthError, RepeatedParameter, UnknownClient
from identity.oidc_models import ACCOUNTS, CLIENTS, CONSENTS, GRANTS, SESSIONS
from identity.provider import ID_TOKEN_TYPE, Provider
from identity.sessions import LIVE, MARK_SEEN, SESSION_COLUMNS, Session, live_parameters, seen_parameters, session_of
from identity.tokens import CODE, CODE_LIFETIME, new_token
from keys.base.actor import ANONYMOUS, Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.hot import Record, Statement
from keys.base.ids import fingerprint, new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Outcome, digest, record_alone

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
        row = await _fetch(provider, now, parameters, repeated, session_secret)
        client = client_of(row, now)
        redirect_uri = require_return_address(client, parameters, repeated)
        try:
            return await _answer(provider, now, client, row, parameters, repeated)
        except OAuthError as error:
            refusal = error
    except OAuthError as error:
        await _audit_refusal(provider, now, parameters, error)
        raise
    await _audit_refusal(provider, now, parameters, refusal)
    return error_address(redirect_uri, parameters.get("state"), provider.issuer, refusal)


async def find_client(session: AsyncSession, now: dt.datetime, parameters: Mapping[str, str], repeated: frozenset[str]) -> Client:
    """The client that the request names. Raises UnknownClient, RepeatedParameter."""
    client = await get_client(session, now, _named_client(parameters, repeated))
    if client is None:
        raise UnknownClient
    return client


# The client and, of the browser in front of it, the live session and the consent.
FETCH = Statement(
    select(*CLIENTS.c, *SESSION_COLUMNS, CONSENTS.c.scopes.label("consented"), CONSENTS.c.granted_at.label("consented_at"))
    .select_from(
        CLIENTS.outerjoin(SESSIONS.join(ACCOUNTS, ACCOUNTS.c.id == SESSIONS.c.account_id), LIVE).outerjoin(
            CONSENTS, and_(CONSENTS.c.account_id == SESSIONS.c.account_id, CONSENTS.c.client_id == CLIENTS.c.client_id)
        )
    )
    .where(ASKING)
)
MARK_SESSION_SEEN = Statement(MARK_SEEN)


async def _fetch(
    provider: Provider, now: dt.datetime, parameters: Mapping[str, str], repeated: frozenset[str], secret: str | None
) -> Record:
    """Raises UnknownClient, RepeatedParameter."""
    client_id = _named_client(parameters, repeated)
    row = await provider.hot.row(FETCH, {"client_id": client_id, **live_parameters(now, secret or "")})
    if row is None:
        raise UnknownClient
    return row


def _named_client(parameters: Mapping[str, str], repeated: frozenset[str]) -> str:
    if "client_id" in repeated:
        raise RepeatedParameter
    client_id = parameters.get("client_id", "")
    if not CLIENT_ID.fullmatch(client_id):
        raise UnknownClient
    return client_id


async def _answer(
    provider: Provider, now: dt.datetime, client: Client, row: Record, parameters: Mapping[str, str], repeated: frozenset[str]
) -> str:
    """Steps 4 to 6."""
    hinted = await _hinted_subject(provider, now, parameters.get("id_token_hint"))
    request = read_request(client, parameters, repeated, hinted)
    if parameters.get("decision") == "deny":
        raise AccessDenied
    known = await _situation(provider, now, request, parameters, row)
    step = next_step(request, known, now)
    if known.session is None or step is not Step.PROCEED:
        return await _interrupt(provider, now, request, parameters, known, step)
    code = await _issue_code(provider, now, request, known.session)
    return with_parameters(request.redirect_uri, {"code": code, "state": request.state, "iss": provider.issuer})


async def _hinted_subject(provider: Provider, now: dt.datetime, hint: str | None) -> str | None:
    if hint is None:
        return None
    claims = await provider.keys.recognise(now, ID_TOKEN_TYPE, hint)
    if claims is None or claims.get("iss") != provider.issuer:
        raise OAuthError("id_token_hint")
    return str(claims.get("sub"))


async def _situation(
    provider: Provider, now: dt.datetime, request: AuthorizationRequest, parameters: Mapping[str, str], row: Record
) -> Situation:
    """The session, which is thereby seen, the consent, and whether this very request was seen before."""
    if row["session_id"] is None:
        return Situation(None, frozenset(), None, None)
    found = session_of(row)
    if seen := seen_parameters(now, found):
        await provider.hot.row(MARK_SESSION_SEEN, seen)
    arrived = await _arrival(provider, now, parameters) if request.needs_arrival else None
    return Situation(found, frozenset(row["consented"] or ()), row["consented_at"], arrived)


async def _arrival(provider: Provider, now: dt.datetime, parameters: Mapping[str, str]) -> dt.datetime | None:
    """When this very request was first seen, if the marker it carries is ours, is its own and is not old."""
    claims = await provider.keys.recognise(now, ARRIVAL_TYPE, parameters.get("arrival", ""))
    if claims is None or claims.get("request") != request_digest(parameters):
        return None
    arrived = dt.datetime.fromisoformat(claims["arrived"])
    return arrived if now - arrived <= ARRIVAL_LIFETIME else None


async def _interrupt(
    provider: Provider,
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
        resumed["arrival"] = await provider.keys.sign(now, "ES256", ARRIVAL_TYPE, marker)
    following = f"{ADDRESS}?{urlencode(resumed)}"
    if len(following) > LONGEST_NEXT:
        raise OAuthError("too long to come back to")
    return f"{'/login' if step is Step.LOG_IN else '/consent'}?{urlencode({'next': following})}"


_GRANT = (
    *("id", "code_hash", "code_expires_at", "client_id", "account_id", "session_id", "redirect_uri", "scopes", "nonce"),
    *("code_challenge", "auth_time", "acr", "amr", "authenticator_level", "offline", "created_at"),
)
_STORED = (
    insert(GRANTS)
    .from_select(_GRANT, select(*(bindparam(f"grant_{name}", type_=GRANTS.c[name].type) for name in _GRANT)))
    .returning(GRANTS.c.id)
    .cte("stored")
)
STORE_CODE = Statement(select(_STORED.c.id).add_cte(audit.recorded(_STORED)))


async def _issue_code(provider: Provider, now: dt.datetime, request: AuthorizationRequest, login: Session) -> str:
    code = new_token(CODE)
    client = request.client
    grant_id = new_id()
    row = {
        "id": grant_id,
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
    details: dict[str, JSON] = {"scopes": " ".join(request.scopes), "client_id": client.client_id}
    if request.code_challenge is None:
        details["conformance_profile"] = client.conformance_profile
    actor = Actor(ActorKind.PERSON, str(login.account_id))
    event = audit.Event("identity.authorize.issue_code", f"grant:{grant_id}", Outcome.DONE, actor, details)
    await provider.hot.row(STORE_CODE, {f"grant_{name}": value for name, value in row.items()} | audit.parameters(now, event))
    return code


async def _audit_refusal(provider: Provider, now: dt.datetime, parameters: Mapping[str, str], error: OAuthError) -> None:
    """What was sent enters as digests: it is anybody's text."""
    if not error.audited:
        return
    details: dict[str, JSON] = {name: digest(parameters[name]) for name in ("client_id", "redirect_uri") if name in parameters}
    event = audit.Event("identity.authorize.refuse", "client:unverified", Outcome.REFUSED, ANONYMOUS, details, error.code)
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
