"""Registered clients: who may ask for a log-in, how they authenticate, what they may ask for.

A client's secret is 256 random bits, shown once and kept as SHA-256 (a slow hash protects guessable secrets only).
Two secrets are valid while one replaces the other.
"""

import datetime as dt
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from identity.oidc_models import CLIENTS
from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput, NotFound
from keys.base.ids import fingerprint, new_secret
from keys.evidence.audit import Event, Outcome, record

# Scopes about a person; the others are given to a client acting for itself as well.
PERSON_SCOPES = ("openid", "profile", "real_name", "offline_access", "pki:enrol", "trust:manage", "seals:manage", "catalogue:manage")
SCOPES = (
    *PERSON_SCOPES,
    "certificates:issue",
    "certificates:read",
    "certificates:numbers",
    "events:receive",
    "identity:check",
    "verify",
    "seals:read",
    "documents:seal",
    "seals:hash",
)
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
ID_TOKEN_ALGORITHMS = ("ES256", "RS256")
# The OpenID Foundation's basic certification profile sends confidential clients without PKCE.
CONFORMANCE_PROFILES = ("oidcc-basic",)
SECRET_OVERLAP = dt.timedelta(days=14)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


# The addresses of the loopback interface as literals: ``localhost`` is a name, and may lead elsewhere (RFC 8252 §8.3).
_LOOPBACK_ADDRESS = re.compile(r"http://(127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?((?:[/?][\x21-\x7e]*)?)")


def without_loopback_port(uri: str) -> tuple[str, str] | None:
    """Host, and path with query, of an http address of the loopback interface; None for every other address.

    >>> without_loopback_port("http://127.0.0.1:51004/callback?x=1")
    ('127.0.0.1', '/callback?x=1')
    """
    parts = _LOOPBACK_ADDRESS.fullmatch(uri)
    if parts is None or not 0 < int(parts[2] or 80) < 65_536:
        return None
    return parts[1], parts[3]


class ClientNotFound(NotFound):
    code = "CLIENT_NOT_FOUND"
    public = ("没有这个应用。", "There is no such client.")


@dataclass(frozen=True, slots=True)
class NewClient:
    """What an administrator registers.

    ``public``     no secret: an application that cannot keep one
    ``grant_types``  of :data:`GRANT_TYPES`; a client with ``refresh_token`` gets one from every authorisation
    ``may_introspect``  a resource server: it may see every client's tokens, not only its own
    ``conformance_profile``  lifts the demand for PKCE for this client alone; audited
    """

    name_zh: str
    name_en: str
    division: str
    organisation: str | None = None
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code",)
    scopes: tuple[str, ...] = ("openid", "profile")
    id_token_alg: str = "ES256"  # noqa: S105 - an algorithm
    public: bool = False
    may_introspect: bool = False
    conformance_profile: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc]  # Authlib is untyped
    """A registered client as Authlib's validation asks it (``check_…``, ``get_…``) and as journeys read it."""

    client_id: str
    name_zh: str
    name_en: str
    organisation: str | None
    division: str
    public: bool
    redirect_uris: frozenset[str]
    post_logout_redirect_uris: frozenset[str]
    grant_types: frozenset[str]
    scopes: frozenset[str]
    id_token_alg: str
    may_introspect: bool
    conformance_profile: str | None
    secret_hashes: tuple[bytes, ...] = field(repr=False)

    @property
    def needs_pkce(self) -> bool:
        return self.conformance_profile not in CONFORMANCE_PROFILES

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.CLIENT, self.client_id, self.name_zh, self.organisation, self.division)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: redirect_uri is REQUIRED in every request (OpenID Connect Core 1.0 §3.1.2.1)."""

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(word for word in (scope or "").split() if word in self.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Simple string comparison (RFC 9700 §2.1); a public client on loopback may listen on any port (RFC 8252 §7.3)."""
        if redirect_uri in self.redirect_uris:
            return True
        anywhere = without_loopback_port(redirect_uri) if self.public else None
        return anywhere is not None and anywhere in map(without_loopback_port, self.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        presented = fingerprint(client_secret)
        return any(hmac.compare_digest(presented, known) for known in self.secret_hashes)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method == "none") is self.public

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


def client_of(row: Mapping[str, Any], now: dt.datetime) -> Client:
    """A client from a row of ``oidc_clients``; an outlived previous secret is left out."""
    secrets = [row["secret_hash"]]
    if row["previous_secret_until"] is not None and now < row["previous_secret_until"]:
        secrets.append(row["previous_secret_hash"])
    return Client(
        client_id=row["client_id"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        organisation=row["organisation"],
        division=row["division"],
        public=row["public"],
        redirect_uris=frozenset(row["redirect_uris"]),
        post_logout_redirect_uris=frozenset(row["post_logout_redirect_uris"]),
        grant_types=frozenset(row["grant_types"]),
        scopes=frozenset(row["scopes"]),
        id_token_alg=row["id_token_alg"],
        may_introspect=row["may_introspect"],
        conformance_profile=row["conformance_profile"],
        secret_hashes=tuple(secret for secret in secrets if secret is not None),
    )


# Which client a statement is about: the active one of the parameter ``client_id``.
ASKING = and_(CLIENTS.c.client_id == bindparam("client_id"), CLIENTS.c.active)
FIND_CLIENT = select(CLIENTS).where(ASKING)


async def get_client(session: AsyncSession | AsyncConnection, now: dt.datetime, client_id: str) -> Client | None:
    """The active client of that identifier."""
    row = (await session.execute(FIND_CLIENT, {"client_id": client_id})).mappings().one_or_none()
    return client_of(cast("Mapping[str, Any]", row), now) if row else None


async def list_clients(session: AsyncSession, now: dt.datetime) -> tuple[Client, ...]:
    """Every active client, by identifier."""
    found = await session.execute(select(CLIENTS).where(CLIENTS.c.active).order_by(CLIENTS.c.client_id))
    return tuple(client_of(cast("Mapping[str, Any]", row), now) for row in found.mappings())


def problem_with_uri(uri: str) -> str | None:
    """Why ``uri`` may not be registered as a redirect address, or None.

    https, or http on loopback (RFC 8252 §7.3), or a private-use scheme with a dot (§7.1); absolute, no fragment
    (RFC 6749 §3.1.2), no user information.
    """
    if any(ord(character) <= 0x20 or ord(character) >= 0x7F for character in uri):
        return "characters"
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return "not an address"
    if "#" in uri or "@" in parts.netloc or "*" in parts.netloc:
        return "fragment, user information or wildcard"
    if parts.scheme in {"http", "https"}:
        return None if host and (parts.scheme == "https" or host in LOOPBACK) else "http is for loopback addresses only"
    return None if "." in parts.scheme else "scheme"


def check_new_client(new: NewClient) -> None:
    """Raise InvalidInput where the registration contradicts itself."""
    problems: list[tuple[str, str]] = []
    for name, uris in (("redirect_uris", new.redirect_uris), ("post_logout_redirect_uris", new.post_logout_redirect_uris)):
        problems += [(name, problem) for problem in map(problem_with_uri, uris) if problem]
    unknown = (
        ("grant_types", set(new.grant_types) - set(GRANT_TYPES)),
        ("scopes", set(new.scopes) - set(SCOPES)),
        ("id_token_alg", {new.id_token_alg} - set(ID_TOKEN_ALGORITHMS)),
        ("conformance_profile", {new.conformance_profile} - {None, *CONFORMANCE_PROFILES}),
    )
    problems += [(name, "unknown value") for name, values in unknown if values]
    if "authorization_code" in new.grant_types and not new.redirect_uris:
        problems.append(("redirect_uris", "required"))
    if new.public and "client_credentials" in new.grant_types:
        problems.append(("grant_types", "a public client cannot act for itself"))
    if problems:
        raise InvalidInput("client registration", errors=[{"field": name, "message": text} for name, text in problems])


async def create_client(session: AsyncSession, now: dt.datetime, new: NewClient, actor: Actor = SYSTEM) -> tuple[Client, str | None]:
    """Register a client. Answers it and its secret, which is shown this once (None for a public client)."""
    check_new_client(new)
    secret = None if new.public else new_secret()
    row: dict[str, Any] = {
        "client_id": new.client_id or uuid.uuid4().hex,
        "name_zh": new.name_zh,
        "name_en": new.name_en,
        "organisation": new.organisation,
        "division": new.division,
        "public": new.public,
        "redirect_uris": list(new.redirect_uris),
        "post_logout_redirect_uris": list(new.post_logout_redirect_uris),
        "grant_types": list(new.grant_types),
        "scopes": list(new.scopes),
        "id_token_alg": new.id_token_alg,
        "may_introspect": new.may_introspect,
        "conformance_profile": new.conformance_profile,
        "secret_hash": fingerprint(secret) if secret else None,
        "previous_secret_hash": None,
        "previous_secret_until": None,
        "active": True,
        "created_at": now,
    }
    await session.execute(insert(CLIENTS), [row])
    await _audit(session, now, actor, "identity.clients.create", row["client_id"], new.conformance_profile)
    return client_of(row, now), secret


async def rotate_secret(session: AsyncSession, now: dt.datetime, client_id: str, actor: Actor = SYSTEM) -> str:
    """Give a confidential client a new secret; the present one stays valid for two weeks."""
    secret = new_secret()
    changed = await session.execute(
        update(CLIENTS)
        .where(CLIENTS.c.client_id == client_id, CLIENTS.c.active, CLIENTS.c.public.is_(False))
        .values(secret_hash=fingerprint(secret), previous_secret_hash=CLIENTS.c.secret_hash, previous_secret_until=now + SECRET_OVERLAP)
        .returning(CLIENTS.c.client_id)
    )
    if changed.one_or_none() is None:
        raise ClientNotFound(client_id)
    await _audit(session, now, actor, "identity.clients.rotate_secret", client_id, None)
    return secret


async def _audit(session: AsyncSession, now: dt.datetime, actor: Actor, action: str, client_id: str, profile: str | None) -> None:
    details = {"conformance_profile": profile} if profile else {}
    await record(session, now, Event(action, f"client:{client_id}", Outcome.DONE, actor, details))
