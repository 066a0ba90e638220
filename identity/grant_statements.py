"""The token endpoint's statements. One query fetches all that a request is judged by; one statement spends, stores and records.

Each is one round trip and one transaction (``keys.base.hot``).
"""

import datetime as dt
import hashlib
import hmac
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import CTE, ColumnElement, Table, bindparam, delete, insert, select, update

from identity.clients import ASKING, Client, client_of
from identity.oauth_validation import Spendable
from identity.oidc_models import ACCESS_TOKENS, CLIENT_VERSION, CLIENTS, GRANTS, REFRESH_TOKENS
from identity.tokens import GRANT_AND_PERSON, NOW, REFRESH, SHOWN, STANDING
from keys.base.db import AsyncSession
from keys.base.hot import Hot, Record, Statement
from keys.base.ids import fingerprint
from keys.evidence import audit


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


_GRANT_COLUMNS = ("id", "account_id", "session_id", "redirect_uri", "nonce", "code_challenge", "auth_time", "acr", "amr", "offline")
_COLUMNS = (
    *CLIENTS.c,
    *GRANTS.c[_GRANT_COLUMNS],
    GRANTS.c.client_id.label("grant_client_id"),
    GRANTS.c.scopes.label("grant_scopes"),
    STANDING.label("stands"),
)
FETCH_CODE = Statement(
    select(*_COLUMNS, GRANTS.c.code_used_at.label("used_at"), GRANTS.c.code_expires_at.label("expires_at"))
    .select_from(CLIENTS.outerjoin(GRANT_AND_PERSON, GRANTS.c.code_hash == SHOWN))
    .where(ASKING)
)
FETCH_REFRESH_TOKEN = Statement(
    select(*_COLUMNS, *REFRESH_TOKENS.c["used_at", "expires_at", "successor_salt"])
    .select_from(
        CLIENTS.outerjoin(
            REFRESH_TOKENS.join(GRANT_AND_PERSON, GRANTS.c.id == REFRESH_TOKENS.c.grant_id), REFRESH_TOKENS.c.token_hash == SHOWN
        )
    )
    .where(ASKING)
)


async def fetch_code(hot: Hot, now: dt.datetime, client_id: str, code: str) -> Fetched:
    """The client, and the grant of ``code``."""
    return await _fetch(hot, FETCH_CODE, now, client_id, code)


async def fetch_refresh_token(hot: Hot, now: dt.datetime, client_id: str, token: str) -> Fetched:
    """The client, and the grant of the refresh token."""
    return await _fetch(hot, FETCH_REFRESH_TOKEN, now, client_id, token)


async def _fetch(hot: Hot, query: Statement, now: dt.datetime, client_id: str, shown: str) -> Fetched:
    row = await hot.row(query, {"now": now, "client_id": client_id, "shown": fingerprint(shown)})
    if row is None:
        return None, None
    return client_of(row, now), _presented(row) if row["id"] is not None else None


def _presented(known: Record) -> Presented:
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


_ACCESS = ("token_hash", "client_id", "scopes", "issued_at", "expires_at")
_REFRESH = ("token_hash", "issued_at", "expires_at")


def _storing(done: CTE, *others: CTE, grant: ColumnElement[Any] | None = None, with_refresh_token: bool = False) -> Statement:
    """A statement that stores new tokens and the event, exactly if what comes before has ``done`` its row."""
    parts = [_inserted(ACCESS_TOKENS, "access", _ACCESS, done, grant)]
    if with_refresh_token:
        parts.append(_inserted(REFRESH_TOKENS, "refresh", _REFRESH, done, grant))
    return Statement(select(*done.c).add_cte(*parts, *others, audit.recorded(done)))


def _inserted(table: Table, name: str, columns: tuple[str, ...], done: CTE, grant: ColumnElement[Any] | None) -> CTE:
    """The insertion of one token; its values are the parameters ``<name>_<column>``."""
    values: dict[str, ColumnElement[Any]] = {column: bindparam(f"{name}_{column}", type_=table.c[column].type) for column in columns}
    if grant is not None:
        values["grant_id"] = grant
    return insert(table).from_select(list(values), select(*values.values()).select_from(done)).cte(name)


_SPENT_CODE = (
    update(GRANTS)
    .where(GRANTS.c.id == bindparam("grant"), GRANTS.c.code_used_at.is_(None), GRANTS.c.revoked_at.is_(None))
    .values(code_used_at=NOW)
    .returning(GRANTS.c.id.label("grant_id"))
    .cte("spent")
)
_SPENT_REFRESH_TOKEN = (
    update(REFRESH_TOKENS)
    .where(REFRESH_TOKENS.c.token_hash == SHOWN, REFRESH_TOKENS.c.used_at.is_(None))
    .values(used_at=NOW, successor_salt=bindparam("salt"))
    .returning(REFRESH_TOKENS.c.grant_id)
    .cte("spent")
)
# Salts of tokens that were used before the grace are wiped with it: their successors are nobody's business any more.
_WIPED = (
    update(REFRESH_TOKENS)
    .where(REFRESH_TOKENS.c.grant_id == bindparam("grant"), REFRESH_TOKENS.c.used_at < bindparam("forget"))
    .values(successor_salt=None)
    .cte("wiped")
)
# The client acting for itself, if its row is still the version that was judged.
_ACTING = select(CLIENTS.c.client_id).where(ASKING, CLIENT_VERSION.element == bindparam("version")).cte("acting")
# A refresh that is answered again: the grant it is about, if it still stands.
_AGAIN = select(GRANTS.c.id.label("grant_id")).where(GRANTS.c.id == bindparam("grant"), GRANTS.c.revoked_at.is_(None)).cte("again")

SPEND_CODE = {
    with_token: _storing(_SPENT_CODE, grant=_SPENT_CODE.c.grant_id, with_refresh_token=with_token) for with_token in (False, True)
}
SPEND_REFRESH_TOKEN = _storing(_SPENT_REFRESH_TOKEN, _WIPED, grant=_SPENT_REFRESH_TOKEN.c.grant_id, with_refresh_token=True)
STORE_OWN_TOKEN = _storing(_ACTING)
STORE_AGAIN = _storing(_AGAIN, grant=_AGAIN.c.grant_id)


async def spend_code(hot: Hot, now: dt.datetime, issue: Issue, event: audit.Event) -> bool:
    """Mark the code used, store what it gave and the event. False if another request was first: then nothing is stored."""
    statement = SPEND_CODE[issue.refresh_token is not None]
    return await hot.row(statement, _values(now, issue, event)) is not None


async def spend_refresh_token(hot: Hot, now: dt.datetime, token: str, issue: Issue, forget: dt.datetime, event: audit.Event) -> bool:
    """Mark the token used, store its successor and the event. False if another request was first: then nothing is stored."""
    values = _values(now, issue, event) | {"shown": fingerprint(token), "salt": issue.salt, "forget": forget}
    return await hot.row(SPEND_REFRESH_TOKEN, values) is not None


async def store_own_token(hot: Hot, now: dt.datetime, version: int, issue: Issue, event: audit.Event) -> bool:
    """Store the token of a client acting for itself. False if its row is not of that ``version`` any more."""
    values = _values(now, issue, event) | {"client_id": issue.client_id, "version": version}
    return await hot.row(STORE_OWN_TOKEN, values) is not None


async def store_again(hot: Hot, now: dt.datetime, issue: Issue, event: audit.Event) -> bool:
    """Store the access token of a refresh that is answered again. False if its grant has been revoked."""
    return await hot.row(STORE_AGAIN, _values(now, issue, event)) is not None


def _values(now: dt.datetime, issue: Issue, event: audit.Event) -> dict[str, Any]:
    values = audit.parameters(now, event) | {
        "now": now,
        "grant": issue.grant_id,
        "access_token_hash": fingerprint(issue.access_token),
        "access_client_id": issue.client_id,
        "access_scopes": list(issue.scopes),
        "access_issued_at": now,
        "access_expires_at": issue.access_expires_at,
    }
    if issue.refresh_token is not None:
        values |= {"refresh_token_hash": fingerprint(issue.refresh_token), "refresh_issued_at": now}
        values["refresh_expires_at"] = issue.refresh_expires_at
    return values


async def forget_old(session: AsyncSession, now: dt.datetime) -> None:
    """Housekeeping: tokens a day after their time, grants a week after they were given if no refresh token is left.

    A used refresh token stays until it would have expired, so that its reuse is still noticed.
    """
    day = dt.timedelta(days=1)
    await session.execute(delete(ACCESS_TOKENS).where(ACCESS_TOKENS.c.expires_at < now - day))
    await session.execute(delete(REFRESH_TOKENS).where(REFRESH_TOKENS.c.expires_at < now - day))
    left = select(REFRESH_TOKENS.c.grant_id).where(REFRESH_TOKENS.c.grant_id == GRANTS.c.id)
    await session.execute(delete(GRANTS).where(GRANTS.c.created_at < now - 7 * day, ~left.exists()))
