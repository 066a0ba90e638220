"""The token endpoint's statements. One query fetches all that a request is judged by; one statement spends and stores."""

import datetime as dt
import hashlib
import hmac
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import CTE, ColumnElement, Insert, Row, RowMapping, Select, and_, insert, literal, select, update

from identity.clients import Client, client_of
from identity.oauth_validation import Spendable
from identity.oidc_models import ACCESS_TOKENS, ACCOUNTS, CLIENTS, GRANTS, REFRESH_TOKENS, SESSIONS
from identity.tokens import REFRESH, standing
from keys.base.db import AsyncSession
from keys.base.ids import fingerprint


@dataclass(frozen=True, slots=True)
class Presented:
    """The grant behind a code or refresh token that somebody shows.

    ``used_at``, ``expires_at``  of the code or refresh token
    ``stands``  the grant is not revoked, the account is active, the session lasts or is not needed
    """

    grant_id: uuid.UUID
    client_id: str
    account_id: uuid.UUID
    session_id: uuid.UUID
    redirect_uri: str
    scopes: tuple[str, ...]
    nonce: str | None
    code_challenge: str | None
    auth_time: dt.datetime
    acr: str
    amr: tuple[str, ...]
    offline: bool
    stands: bool
    used_at: dt.datetime | None
    expires_at: dt.datetime
    successor_salt: bytes | None = field(repr=False)

    @property
    def spendable(self) -> Spendable:
        return Spendable(self.client_id, " ".join(self.scopes), self.redirect_uri, self.code_challenge)


# The client that a request names, if there is one, and what it shows, if that exists, whoever's it is.
Fetched = tuple[Client | None, Presented | None]


@dataclass(frozen=True, slots=True)
class Issue:
    """What is about to be stored and sent. ``salt`` turns a spent refresh token into this one."""

    client_id: str
    grant_id: uuid.UUID | None
    access_token: str = field(repr=False)
    access_expires_at: dt.datetime
    scopes: tuple[str, ...]
    refresh_token: str | None = field(repr=False)
    refresh_expires_at: dt.datetime
    salt: bytes = field(default=b"", repr=False)

    def with_refresh_token(self, token: str) -> "Issue":
        return replace(self, refresh_token=token)


def successor_of(token: str, salt: bytes) -> str:
    """The refresh token that replaces ``token``: HMAC-SHA256 keyed with the 256 random bits of ``token`` itself.

    So the same successor can be given twice while the table holds nothing that opens anything: neither the table alone nor
    an old token alone tells the successor.
    """
    return REFRESH + urlsafe_b64encode(hmac.digest(token.encode(), salt, hashlib.sha256)).rstrip(b"=").decode()


async def fetch_client(session: AsyncSession, now: dt.datetime, client_id: str) -> Client | None:
    row = (await session.execute(select(CLIENTS).where(CLIENTS.c.client_id == client_id, CLIENTS.c.active))).mappings().one_or_none()
    return client_of(row, now) if row else None


_GRANT_COLUMNS = ("id", "account_id", "session_id", "redirect_uri", "nonce", "code_challenge", "auth_time", "acr", "amr", "offline")
_PERSON = GRANTS.join(ACCOUNTS, ACCOUNTS.c.id == GRANTS.c.account_id).outerjoin(SESSIONS, SESSIONS.c.id == GRANTS.c.session_id)


def _of_client(client_id: str) -> ColumnElement[bool]:
    return and_(CLIENTS.c.client_id == client_id, CLIENTS.c.active)


def _columns(now: dt.datetime) -> list[ColumnElement[Any]]:
    return [
        *CLIENTS.c,
        *GRANTS.c[_GRANT_COLUMNS],
        GRANTS.c.client_id.label("grant_client_id"),
        GRANTS.c.scopes.label("grant_scopes"),
        standing(now).label("stands"),
    ]


def _code_query(now: dt.datetime, client_id: str, code: str) -> Select[Any]:
    return (
        select(*_columns(now), GRANTS.c.code_used_at.label("used_at"), GRANTS.c.code_expires_at.label("expires_at"))
        .select_from(CLIENTS.outerjoin(_PERSON, GRANTS.c.code_hash == fingerprint(code)))
        .where(_of_client(client_id))
    )


def _refresh_query(now: dt.datetime, client_id: str, token: str) -> Select[Any]:
    chain = REFRESH_TOKENS.join(_PERSON, GRANTS.c.id == REFRESH_TOKENS.c.grant_id)
    return (
        select(*_columns(now), *REFRESH_TOKENS.c["used_at", "expires_at", "successor_salt"])
        .select_from(CLIENTS.outerjoin(chain, REFRESH_TOKENS.c.token_hash == fingerprint(token)))
        .where(_of_client(client_id))
    )


async def fetch_code(session: AsyncSession, now: dt.datetime, client_id: str, code: str) -> Fetched:
    """The client, and the grant of ``code``."""
    return _fetched((await session.execute(_code_query(now, client_id, code))).one_or_none(), now)


async def fetch_refresh_token(session: AsyncSession, now: dt.datetime, client_id: str, token: str) -> Fetched:
    """The client, and the grant of the refresh token."""
    return _fetched((await session.execute(_refresh_query(now, client_id, token))).one_or_none(), now)


def _fetched(row: Row[Any] | None, now: dt.datetime) -> Fetched:
    if row is None:
        return None, None
    known = row._mapping
    return client_of(known, now), _presented(known) if known["id"] is not None else None


def _presented(known: RowMapping) -> Presented:
    return Presented(
        grant_id=known["id"],
        client_id=known["grant_client_id"],
        account_id=known["account_id"],
        session_id=known["session_id"],
        redirect_uri=known["redirect_uri"],
        scopes=tuple(known["grant_scopes"]),
        nonce=known["nonce"],
        code_challenge=known["code_challenge"],
        auth_time=known["auth_time"],
        acr=known["acr"],
        amr=tuple(known["amr"]),
        offline=known["offline"],
        stands=bool(known["stands"]),
        used_at=known["used_at"],
        expires_at=known["expires_at"],
        successor_salt=known.get("successor_salt"),
    )


async def spend_code(session: AsyncSession, now: dt.datetime, issue: Issue) -> bool:
    """Mark the code used and store what it gave. False if another request was first: then nothing is stored."""
    spent = (
        update(GRANTS)
        .where(GRANTS.c.id == issue.grant_id, GRANTS.c.code_used_at.is_(None), GRANTS.c.revoked_at.is_(None))
        .values(code_used_at=now)
        .returning(GRANTS.c.id.label("grant_id"))
        .cte("spent")
    )
    return await _store_if(session, now, spent, issue)


async def spend_refresh_token(session: AsyncSession, now: dt.datetime, token: str, issue: Issue, forget: dt.datetime) -> bool:
    """Mark the token used and store its successor. False if another request was first: then nothing is stored.

    Salts of tokens that were used before ``forget`` are wiped with it: their successors are nobody's business any more.
    """
    spent = (
        update(REFRESH_TOKENS)
        .where(REFRESH_TOKENS.c.token_hash == fingerprint(token), REFRESH_TOKENS.c.used_at.is_(None))
        .values(used_at=now, successor_salt=issue.salt)
        .returning(REFRESH_TOKENS.c.grant_id)
        .cte("spent")
    )
    wiped = (
        update(REFRESH_TOKENS)
        .where(REFRESH_TOKENS.c.grant_id == issue.grant_id, REFRESH_TOKENS.c.used_at < forget)
        .values(successor_salt=None)
        .cte("wiped")
    )
    return await _store_if(session, now, spent, issue, wiped)


async def _store_if(session: AsyncSession, now: dt.datetime, spent: CTE, issue: Issue, *others: CTE) -> bool:
    """Store the tokens in the statement that spends, exactly if it spent something."""
    parts = [_access_insert(now, issue, spent).cte("access")]
    if issue.refresh_token is not None:
        parts.append(_refresh_insert(now, issue, issue.refresh_token, spent).cte("refresh"))
    statement = select(spent.c.grant_id).add_cte(*parts, *others)
    return (await session.execute(statement)).one_or_none() is not None


def _access_insert(now: dt.datetime, issue: Issue, spent: CTE) -> Insert:
    table = ACCESS_TOKENS.c
    values = {
        table.token_hash: fingerprint(issue.access_token),
        table.client_id: issue.client_id,
        table.scopes: list(issue.scopes),
        table.issued_at: now,
        table.expires_at: issue.access_expires_at,
    }
    literals = [literal(value, column.type) for column, value in values.items()]
    return insert(ACCESS_TOKENS).from_select([*values, table.grant_id], select(*literals, spent.c.grant_id))


def _refresh_insert(now: dt.datetime, issue: Issue, token: str, spent: CTE) -> Insert:
    table = REFRESH_TOKENS.c
    values = {table.token_hash: fingerprint(token), table.issued_at: now, table.expires_at: issue.refresh_expires_at}
    literals = [literal(value, column.type) for column, value in values.items()]
    return insert(REFRESH_TOKENS).from_select([*values, table.grant_id], select(*literals, spent.c.grant_id))


async def store_access_token(session: AsyncSession, now: dt.datetime, issue: Issue) -> None:
    """Store an access token alone: a client acting for itself, or a refresh answered again."""
    row = {
        "token_hash": fingerprint(issue.access_token),
        "grant_id": issue.grant_id,
        "client_id": issue.client_id,
        "scopes": list(issue.scopes),
        "issued_at": now,
        "expires_at": issue.access_expires_at,
    }
    await session.execute(insert(ACCESS_TOKENS), [row])
