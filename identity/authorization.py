"""The authorisation request: what a portal may ask, and what has to happen before it gets its code. Pure.

A request is read (:func:`read_request`), then :func:`next_step` says what is missing: a log-in, a consent, or nothing.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlencode

import orjson

from identity.clients import SCOPES, Client
from identity.login_policy import satisfies
from identity.oauth_validation import validate_authorization
from identity.oidc_errors import (
    AuthenticationTooWeak,
    ConsentRequired,
    InvalidScope,
    LoginRequired,
    OAuthError,
    RedirectMismatch,
    RegistrationNotSupported,
    RepeatedParameter,
    RequestNotSupported,
    RequestUriNotSupported,
    UnsupportedResponseMode,
)
from identity.sessions import Session

ADDRESS = "/oauth/authorize"
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
# Added by us on the way to the log-in and back; no part of what the portal asked.
OURS = frozenset({"arrival", "decision"})
LONGEST_VALUE = 2048
NOT_SUPPORTED: dict[str, type[OAuthError]] = {
    "request": RequestNotSupported,
    "request_uri": RequestUriNotSupported,
    "registration": RegistrationNotSupported,
}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A valid request. ``scopes`` keeps the client's order; ``acr`` is what an essential acr claim demands (any one of them)."""

    client: Client
    redirect_uri: str
    state: str | None
    scopes: tuple[str, ...]
    nonce: str | None
    code_challenge: str | None
    prompts: frozenset[str]
    max_age: int | None
    acr: tuple[str, ...]
    subject: str | None

    @property
    def wants_fresh_login(self) -> bool:
        return bool(self.prompts & {"login", "select_account"}) or self.max_age == 0

    @property
    def needs_arrival(self) -> bool:
        """Whether it must be told what happened since the request arrived from what happened before."""
        return self.wants_fresh_login or "consent" in self.prompts or bool(self.acr) or self.subject is not None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of the person. ``arrived_at``: when this very request was first seen, if it was seen before."""

    session: Session | None
    consented: frozenset[str]
    consented_at: dt.datetime | None
    arrived_at: dt.datetime | None


class Step(Enum):
    LOG_IN = "log in"
    CONSENT = "consent"
    PROCEED = "proceed"


def single_values(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], frozenset[str]]:
    """The parameters, and the names that came more than once (RFC 6749 §3.1: they MUST NOT). An empty value is no value."""
    given: dict[str, str] = {}
    repeated = set()
    for name, value in pairs:
        if not value:
            continue
        if name in given:
            repeated.add(name)
        given[name] = value
    return given, frozenset(repeated)


def require_return_address(client: Client, parameters: Mapping[str, str], repeated: frozenset[str]) -> str:
    """The registered address that errors may be sent to. Raises RedirectMismatch, RepeatedParameter: shown here, sent nowhere."""
    if repeated & {"client_id", "redirect_uri"}:
        raise RepeatedParameter
    redirect_uri = parameters.get("redirect_uri", "")
    if not client.check_redirect_uri(redirect_uri):
        raise RedirectMismatch
    return redirect_uri


def read_request(client: Client, parameters: Mapping[str, str], repeated: frozenset[str], hinted: str | None) -> AuthorizationRequest:
    """The request, valid. ``hinted``: the subject of a genuine id_token_hint. Raises OAuthErrors that go to the client."""
    if repeated or any(len(value) > LONGEST_VALUE or "\0" in value for name, value in parameters.items() if name not in OURS):
        raise RepeatedParameter if repeated else OAuthError("a value is too long, or holds a NUL")
    for name, error in NOT_SUPPORTED.items():
        if name in parameters:
            raise error
    if parameters.get("response_mode", "query") != "query":
        raise UnsupportedResponseMode
    scopes = validate_authorization(client, parameters).split()
    demands = _demands(parameters.get("claims"))
    return AuthorizationRequest(
        client=client,
        redirect_uri=parameters["redirect_uri"],
        state=parameters.get("state"),
        scopes=_scopes(parameters.get("scope", ""), scopes),
        nonce=parameters.get("nonce"),
        code_challenge=parameters.get("code_challenge"),
        prompts=_prompts(parameters.get("prompt", "")),
        max_age=_max_age(parameters.get("max_age")),
        acr=demands.acr,
        subject=hinted if demands.subject is None else demands.subject,
    )


def _scopes(asked: str, allowed: list[str]) -> tuple[str, ...]:
    """Unknown words are ignored (OpenID Connect Core 1.0 §3.1.2.1); known ones that the client may not ask are refused."""
    scopes = tuple(dict.fromkeys(allowed))
    if not scopes or any(word in SCOPES and word not in scopes for word in asked.split()):
        raise InvalidScope
    return scopes


def _prompts(value: str) -> frozenset[str]:
    prompts = frozenset(value.split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise OAuthError("prompt")
    return prompts


def _max_age(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise OAuthError("max_age")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Demands:
    acr: tuple[str, ...]
    subject: str | None


def _demands(claims: str | None) -> _Demands:
    """What the ``claims`` parameter demands of the log-in (OpenID Connect Core 1.0 §5.5, §5.5.1.1).

    Other claims in it release nothing beyond the scopes: a provider may leave out what it does not release.
    """
    if claims is None:
        return _Demands((), None)
    try:
        document = orjson.loads(claims)
    except orjson.JSONDecodeError:
        raise OAuthError("claims") from None
    asked = _member(document, "id_token")
    acr, sub = _member(asked, "acr"), _member(asked, "sub")
    values = [acr.get("value"), *_list(acr.get("values"))] if acr.get("essential") is True else []
    subject = sub.get("value")
    return _Demands(tuple(value for value in values if isinstance(value, str)), subject if isinstance(subject, str) else None)


def _member(document: Any, name: str) -> dict[str, Any]:
    """An object within an object; null and absence ask nothing."""
    value = document.get(name) if isinstance(document, dict) else {}
    if isinstance(document, dict) and (value is None or isinstance(value, dict)):
        return value or {}
    raise OAuthError("claims")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def next_step(request: AuthorizationRequest, known: Situation, now: dt.datetime) -> Step:
    """What is missing before the code. Raises what the client is told instead, where ``prompt=none`` or nothing helps."""
    silent = "none" in request.prompts
    if _login_missing(request, known, now):
        if silent:
            raise LoginRequired
        return Step.LOG_IN
    if _consent_missing(request, known):
        if silent:
            raise ConsentRequired
        return Step.CONSENT
    return Step.PROCEED


def _login_missing(request: AuthorizationRequest, known: Situation, now: dt.datetime) -> bool:
    session = known.session
    if session is None:
        return True
    since_arrival = known.arrived_at is not None and session.auth_time > known.arrived_at
    if request.wants_fresh_login and not since_arrival:
        return True
    if request.subject not in {None, str(session.account_id)}:
        return _again(since_arrival, LoginRequired())
    if request.acr and not satisfies(session.acr, request.acr):
        return _again(since_arrival, AuthenticationTooWeak())
    return request.max_age is not None and not since_arrival and (now - session.auth_time).total_seconds() > request.max_age


def _again(since_arrival: bool, error: OAuthError) -> bool:
    """Ask for another log-in once; who has just logged in for this request and still does not fit is not asked in a circle."""
    if since_arrival:
        raise error
    return True


def _consent_missing(request: AuthorizationRequest, known: Situation) -> bool:
    if not known.consented.issuperset(request.scopes):
        return True
    asked_again = known.arrived_at is not None and known.consented_at is not None and known.consented_at > known.arrived_at
    return "consent" in request.prompts and not asked_again


def request_digest(parameters: Mapping[str, str]) -> str:
    """What an arrival marker is bound to: every parameter that the client sent."""
    asked = sorted((name, value) for name, value in parameters.items() if name not in OURS)
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()


def with_parameters(address: str, parameters: Mapping[str, str | None]) -> str:
    """``address`` with parameters appended to its query, which stays as it was registered (RFC 6749 §3.1.2)."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{address}{'&' if '?' in address else '?'}{query}"


def error_address(redirect_uri: str, state: str | None, issuer: str, error: OAuthError) -> str:
    """Where a refusal is sent (RFC 6749 §4.1.2.1, with ``iss`` of RFC 9207)."""
    return with_parameters(redirect_uri, {"error": error.error, "error_description": error.description, "state": state, "iss": issuer})
