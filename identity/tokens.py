"""Opaque access and refresh tokens: 256 random bits, kept as SHA-256; a look-up says what one is worth now.

A token lives while nobody revoked its grant, its account is active and, unless the grant is offline, its session lasts.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import DateTime, LargeBinary, and_, bindparam, case, literal_column, or_, select, update

from identity.oidc_models import ACCESS_TOKENS, ACCOUNTS, CLIENTS, GRANTS, SESSIONS
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.base.hot import Hot, Record, Statement
from keys.base.ids import fingerprint, new_secret

ACCESS_LIFETIME = dt.timedelta(minutes=10)
CODE_LIFETIME = dt.timedelta(seconds=60)
# Kinds are told apart at sight, by us and by scanners for leaked secrets.
CODE, ACCESS, REFRESH = "fjc_", "fja_", "fjr_"


def new_token(kind: str) -> str:
    """A new code or token of ``kind`` (:data:`CODE`, :data:`ACCESS`, :data:`REFRESH`)."""
    return kind + new_secret()


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token speaks for: the account as it is now, and how they logged in then."""

    account_id: uuid.UUID
    username: str
    display_name: str
    real_name: str | None
    division: str
    organisation: str | None
    roles: frozenset[Role]
    identity_level: int
    updated_at: dt.datetime
    auth_time: dt.datetime
    acr: str
    authenticator_level: int


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A live access token. ``person`` is absent where the client acts for itself."""

    client_id: str
    client_name: str
    organisation: str | None
    division: str
    scopes: frozenset[str]
    issued_at: dt.datetime
    expires_at: dt.datetime
    person: Person | None

    @property
    def actor(self) -> Actor:
        """Who acts when this token is shown."""
        person = self.person
        if person is None:
            return Actor(ActorKind.CLIENT, self.client_id, self.client_name, self.organisation, self.division, scopes=self.scopes)
        return Actor(
            ActorKind.PERSON,
            str(person.account_id),
            person.display_name,
            person.organisation,
            person.division,
            person.roles,
            self.scopes,
            person.identity_level,
            person.authenticator_level,
        )


NOW = bindparam("now", type_=DateTime(timezone=True))
# Named unlike any column: SQLAlchemy sets columns of an UPDATE from parameters that bear their names.
SHOWN = bindparam("shown", type_=LargeBinary)
LOGGED_IN = and_(SESSIONS.c.ended_at.is_(None), SESSIONS.c.expires_at > NOW)
# Whether a grant, joined with its account and its session, still stands. A session forgotten by housekeeping is over.
STANDING = and_(
    GRANTS.c.revoked_at.is_(None),
    ACCOUNTS.c.active,
    or_(GRANTS.c.offline, LOGGED_IN),
)
GRANT_AND_PERSON = GRANTS.join(ACCOUNTS, ACCOUNTS.c.id == GRANTS.c.account_id).outerjoin(SESSIONS, SESSIONS.c.id == GRANTS.c.session_id)
LIVE_TOKEN = (
    select(
        *ACCESS_TOKENS.c["client_id", "scopes", "issued_at", "expires_at", "grant_id"],
        *CLIENTS.c["name_zh", "organisation", "division"],
        ACCOUNTS.c.id.label("account_id"),
        *ACCOUNTS.c["username", "display_name", "roles", "identity_level", "updated_at"],
        ACCOUNTS.c.name.label("real_name"),
        ACCOUNTS.c.division.label("person_division"),
        ACCOUNTS.c.organisation.label("person_organisation"),
        *GRANTS.c["auth_time", "acr"],
        # An offline token outlives the log-in: with nobody at the browser it carries no factor, so nobody stamps with it.
        case((LOGGED_IN, GRANTS.c.authenticator_level), else_=literal_column("0")).label("authenticator_level"),
    )
    .select_from(
        ACCESS_TOKENS.join(CLIENTS, CLIENTS.c.client_id == ACCESS_TOKENS.c.client_id).outerjoin(
            GRANT_AND_PERSON, and_(GRANTS.c.id == ACCESS_TOKENS.c.grant_id, STANDING)
        )
    )
    .where(
        ACCESS_TOKENS.c.token_hash == SHOWN,
        ACCESS_TOKENS.c.expires_at > NOW,
        ACCESS_TOKENS.c.revoked_at.is_(None),
        CLIENTS.c.active,
        or_(ACCESS_TOKENS.c.grant_id.is_(None), GRANTS.c.id.is_not(None)),
    )
)
FIND_TOKEN = Statement(LIVE_TOKEN)


async def find_access_token(hot: Hot, now: dt.datetime, token: str) -> AccessToken | None:
    """The live access token, in one query; None if it is unknown, expired, revoked, or its grant no longer stands."""
    row = await hot.row(FIND_TOKEN, {"now": now, "shown": fingerprint(token)})
    return access_token_of(row) if row else None


def access_token_of(row: Record) -> AccessToken:
    """The token of a row of :data:`LIVE_TOKEN`."""
    return AccessToken(
        client_id=row["client_id"],
        client_name=row["name_zh"],
        organisation=row["organisation"],
        division=row["division"],
        scopes=frozenset(row["scopes"]),
        issued_at=row["issued_at"],
        expires_at=row["expires_at"],
        person=_person(row) if row["grant_id"] else None,
    )


def _person(row: Record) -> Person:
    return Person(
        account_id=row["account_id"],
        username=row["username"],
        display_name=row["display_name"],
        real_name=row["real_name"],
        division=row["person_division"],
        organisation=row["person_organisation"],
        roles=frozenset(map(Role, row["roles"])),
        identity_level=row["identity_level"],
        updated_at=row["updated_at"],
        auth_time=row["auth_time"],
        acr=row["acr"],
        authenticator_level=row["authenticator_level"],
    )


async def authenticate_bearer(hot: Hot, now: dt.datetime, token: str) -> Actor | None:
    """Who acts when ``token`` is shown: a client, or a person through a portal, with the token's scopes."""
    found = await find_access_token(hot, now, token)
    return found.actor if found else None


async def revoke_grant(session: AsyncSession, now: dt.datetime, grant_id: uuid.UUID, because: str) -> bool:
    """Revoke everything issued from one authorisation. False if it was revoked before."""
    done = await session.execute(
        update(GRANTS)
        .where(GRANTS.c.id == grant_id, GRANTS.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_because=because)
        .returning(GRANTS.c.id)
    )
    return done.one_or_none() is not None
