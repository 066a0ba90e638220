"""What a token is worth (RFC 7662), and giving tokens back (RFC 7009). Both for authenticated clients only."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select, true, update

from identity.clients import ASKING, Client, get_client
from identity.grants import refusals_recorded
from identity.known_clients import KnownClient
from identity.oauth_validation import authenticate, client_id_of
from identity.oidc_errors import ClientAuthenticationFailed, OAuthError
from identity.oidc_models import ACCESS_TOKENS, CLIENT_VERSION, CLIENTS, GRANTS, REFRESH_TOKENS
from identity.provider import Provider
from identity.tokens import GRANT_AND_PERSON, LIVE_TOKEN, NOW, REFRESH, SHOWN, STANDING, access_token_of, revoke_grant
from keys.base.db import AsyncSession
from keys.base.hot import Record, Statement
from keys.base.ids import fingerprint
from keys.evidence.audit import JSON, Event, Outcome, record

INACTIVE: dict[str, JSON] = {"active": False}


async def introspect(provider: Provider, parameters: Mapping[str, str], authorization: str | None) -> dict[str, JSON]:
    """Who holds a live token and what for. A client sees its own tokens; a resource server every access token.

    RFC 7662 §2.2: what may not be seen is answered like what does not exist.
    """
    now = provider.clock.now()

    async def attempt(known: KnownClient | None) -> dict[str, JSON] | None:
        client, _ = authenticate(known.client if known else None, parameters, authorization)
        # RFC 7662 §2.1: the endpoint needs authorization, and a public client has shown nothing.
        if client.public:
            raise ClientAuthenticationFailed("a public client")
        token = _token(parameters)
        query, describe = (REFRESH_QUERY, _refresh_token) if token.startswith(REFRESH) else (ACCESS_QUERY, _access_token)
        row = await provider.hot.row(query, {"now": now, "shown": fingerprint(token), "client_id": client.client_id})
        if row is None or known is None or row["version"] != known.version:
            return None
        return describe(provider, client, row) if row["client_id"] is not None else INACTIVE

    async with refusals_recorded(provider, now, parameters, authorization):
        return await provider.clients.answer(now, client_id_of(parameters, authorization), attempt)


def _access_token(provider: Provider, client: Client, row: Record) -> dict[str, JSON]:
    found = access_token_of(row)
    if not (client.may_introspect or found.client_id == client.client_id):
        return INACTIVE
    answer = _described(provider, found.client_id, found.scopes, found.issued_at, found.expires_at) | {"token_type": "Bearer"}
    if found.person is None:
        return answer | {"sub": found.client_id}
    return answer | {"sub": str(found.person.account_id), "acr": found.person.acr, "auth_time": int(found.person.auth_time.timestamp())}


def _refresh_token(provider: Provider, client: Client, row: Record) -> dict[str, JSON]:
    """Only its own client sees a refresh token."""
    if row["client_id"] != client.client_id:
        return INACTIVE
    answer = _described(provider, client.client_id, row["scopes"], row["issued_at"], row["expires_at"])
    return answer | {"sub": str(row["account_id"])}


LIVE_REFRESH_TOKEN = (
    select(*GRANTS.c["client_id", "scopes", "account_id"], *REFRESH_TOKENS.c["issued_at", "expires_at"])
    .select_from(REFRESH_TOKENS.join(GRANT_AND_PERSON, GRANTS.c.id == REFRESH_TOKENS.c.grant_id))
    .where(REFRESH_TOKENS.c.token_hash == SHOWN, REFRESH_TOKENS.c.used_at.is_(None), REFRESH_TOKENS.c.expires_at > NOW, STANDING)
)


def _asked_about(live_token: Select[Any]) -> Statement:
    """The version of the client that asks, and the token if it is live."""
    token = live_token.subquery("token")
    return Statement(select(CLIENT_VERSION, *token.c).select_from(CLIENTS.outerjoin(token, true())).where(ASKING))


ACCESS_QUERY, REFRESH_QUERY = _asked_about(LIVE_TOKEN), _asked_about(LIVE_REFRESH_TOKEN)


def _described(provider: Provider, client_id: str, scopes: Any, issued_at: dt.datetime, expires_at: dt.datetime) -> dict[str, JSON]:
    return {
        "active": True,
        "iss": provider.issuer,
        "client_id": client_id,
        "scope": " ".join(sorted(scopes)),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }


async def revoke(provider: Provider, parameters: Mapping[str, str], authorization: str | None) -> None:
    """Revoke a token of the client that asks; with a refresh token goes its whole family (RFC 7009 §2.1).

    An unknown token or another client's is no error and changes nothing (§2.2).
    """
    now = provider.clock.now()
    async with refusals_recorded(provider, now, parameters, authorization), provider.database.begin() as session:
        client = await _authenticated(session, now, parameters, authorization)
        token = _token(parameters)
        revoked = await (_revoke_family if token.startswith(REFRESH) else _revoke_access_token)(session, now, client, token)
        if revoked:
            await record(session, now, Event("identity.token.revoke", revoked, Outcome.DONE, client.actor))


async def _revoke_family(session: AsyncSession, now: dt.datetime, client: Client, token: str) -> str | None:
    query = select(GRANTS.c.id).join(REFRESH_TOKENS, REFRESH_TOKENS.c.grant_id == GRANTS.c.id)
    grant_id = await session.scalar(query.where(REFRESH_TOKENS.c.token_hash == fingerprint(token), GRANTS.c.client_id == client.client_id))
    if grant_id is None or not await revoke_grant(session, now, grant_id, "revoked by its client"):
        return None
    return f"grant:{grant_id}"


async def _revoke_access_token(session: AsyncSession, now: dt.datetime, client: Client, token: str) -> str | None:
    done = await session.execute(
        update(ACCESS_TOKENS)
        .where(
            ACCESS_TOKENS.c.token_hash == fingerprint(token),
            ACCESS_TOKENS.c.client_id == client.client_id,
            ACCESS_TOKENS.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
        .returning(ACCESS_TOKENS.c.grant_id)
    )
    row = done.one_or_none()
    return None if row is None else f"grant:{row.grant_id}" if row.grant_id else f"client:{client.client_id}"


def _token(parameters: Mapping[str, str]) -> str:
    token = parameters.get("token")
    if not token:
        raise OAuthError("no token")
    return token


async def _authenticated(session: AsyncSession, now: dt.datetime, parameters: Mapping[str, str], authorization: str | None) -> Client:
    client_id = client_id_of(parameters, authorization)
    client, _ = authenticate(await get_client(session, now, client_id), parameters, authorization)
    return client
