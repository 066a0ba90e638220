"""The OpenID provider: what its journeys stand on, and what it says of itself (discovery)."""

import datetime as dt
import functools
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import rfc9207
from authlib.oidc.discovery import OpenIDProviderMetadata
from authlib.oidc.rpinitiated import OpenIDProviderMetadata as LogoutMetadata
from redis.asyncio import Redis

from identity.claims import CLAIMS
from identity.clients import GRANT_TYPES, ID_TOKEN_ALGORITHMS, SCOPES
from identity.id_tokens import KeyRing
from identity.known_clients import KnownClients
from identity.login_policy import ACR_VALUES
from identity.oidc_errors import TooManyFailures
from identity.throttle import Limit, Subject, Throttle
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import Throttled
from keys.base.hot import Hot
from keys.base.ids import fingerprint
from keys.custody.store import KeyStore
from keys.schedule import DEFAULT, Schedule

ID_TOKEN_TYPE = "JWT"  # noqa: S105 - a media type
CLIENT_FAILURES = Limit("client_failures", 60, dt.timedelta(minutes=1), dt.timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Provider:
    """What the journeys need. ``issuer`` is the base URL; ``redis`` only counts failures and may be lost.

    ``hot`` is the database's own, for the statements of every request.
    """

    database: Database
    redis: Redis | None
    keystore: KeyStore
    clock: Clock
    issuer: str
    keys: KeyRing
    clients: KnownClients

    @property
    def hot(self) -> Hot:
        return self.database.hot


def open_provider(
    database: Database, redis: Redis | None, keystore: KeyStore, clock: Clock, issuer: str, schedule: Schedule = DEFAULT
) -> Provider:
    return Provider(database, redis, keystore, clock, issuer, KeyRing(database, keystore, schedule), KnownClients(database.hot))


@functools.lru_cache(maxsize=8)
def metadata(issuer: str) -> dict[str, Any]:
    """Discovery (OpenID Connect Discovery 1.0 §3, RFC 8414 §2), checked by Authlib's models; nothing that is not so."""
    methods = ["client_secret_basic", "client_secret_post"]
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
        "acr_values_supported": list(ACR_VALUES),
        "claim_types_supported": ["normal"],
        "claims_supported": list(CLAIMS),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": ["zh-CN", "en"],
        # It may demand an acr or a subject (authorization._demands); no claim is released by it, so it is not promised.
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "authorization_response_iss_parameter_supported": True,
    }
    # Authlib demands https of what a demonstration on loopback serves over http: only the scheme differs in what it checks.
    secure = {name: _https(value) for name, value in document.items()}
    OpenIDProviderMetadata(secure).validate(metadata_classes=[rfc9207.AuthorizationServerMetadata, LogoutMetadata])
    return document


def _https(value: object) -> object:
    return value.replace("http://", "https://", 1) if isinstance(value, str) else value


async def charge_failure(provider: Provider, now: dt.datetime, client_id: str) -> None:
    """Charge a client's failure. Raises TooManyFailures above 60 a minute.

    Secrets have 256 bits, so this spares the audit trail and the database, it guards no secret: good requests are never
    charged, and a client whose name is abused is not locked out.
    """
    subject = Subject(CLIENT_FAILURES, fingerprint(client_id))
    try:
        await Throttle(provider.database, provider.redis).charge(now, subject)
    except Throttled as error:
        raise TooManyFailures(retry_after=error.extra["retry_after"]) from error
