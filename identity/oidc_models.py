"""Tables of the OpenID provider. Secrets, codes and tokens are kept as SHA-256 digests only.

One row of ``oidc_grants`` is one authorisation: its code, and everything issued from it. Revoking that row revokes all.
"""

import datetime as dt
import uuid
from typing import cast

from sqlalchemy import CheckConstraint, ForeignKey, Index, Label, Table, literal_column
from sqlalchemy.orm import Mapped, mapped_column

from identity.models import AccountRow, Base, SessionRow


class OidcClientRow(Base):
    """A portal, an application or a resource server that is registered here."""

    __tablename__ = "oidc_clients"

    client_id: Mapped[str] = mapped_column(primary_key=True)
    name_zh: Mapped[str]
    name_en: Mapped[str]
    organisation: Mapped[str | None]
    division: Mapped[str]
    public: Mapped[bool]
    redirect_uris: Mapped[list[str]]
    post_logout_redirect_uris: Mapped[list[str]]
    grant_types: Mapped[list[str]]
    scopes: Mapped[list[str]]
    id_token_alg: Mapped[str]
    may_introspect: Mapped[bool]
    conformance_profile: Mapped[str | None]
    secret_hash: Mapped[bytes | None]
    previous_secret_hash: Mapped[bytes | None]
    previous_secret_until: Mapped[dt.datetime | None]
    active: Mapped[bool]
    created_at: Mapped[dt.datetime]

    __table_args__ = (
        CheckConstraint("public = (secret_hash IS NULL)", name="secret"),
        CheckConstraint("division ~ '^[0-9]{6}$'", name="division"),
    )


class OidcGrantRow(Base):
    """One authorisation by one person in one session for one client."""

    __tablename__ = "oidc_grants"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    code_expires_at: Mapped[dt.datetime]
    code_used_at: Mapped[dt.datetime | None]
    client_id: Mapped[str] = mapped_column(ForeignKey(OidcClientRow.client_id))
    account_id: Mapped[uuid.UUID]
    session_id: Mapped[uuid.UUID]
    redirect_uri: Mapped[str]
    scopes: Mapped[list[str]]
    nonce: Mapped[str | None]
    code_challenge: Mapped[str | None]
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str]
    amr: Mapped[list[str]]
    authenticator_level: Mapped[int]
    offline: Mapped[bool]
    created_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    revoked_because: Mapped[str | None]

    __table_args__ = (
        Index("ix_oidc_grants_session", "session_id"),
        Index("ix_oidc_grants_account", "account_id", "client_id"),
        Index("ix_oidc_grants_created_at", "created_at"),
    )


class OidcAccessTokenRow(Base):
    """An opaque access token. ``grant_id`` is absent where a client acts for itself (client credentials)."""

    __tablename__ = "oidc_access_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    grant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(OidcGrantRow.id, ondelete="CASCADE"), index=True)
    client_id: Mapped[str]
    scopes: Mapped[list[str]]
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    revoked_at: Mapped[dt.datetime | None]


class OidcRefreshTokenRow(Base):
    """A refresh token, used once. ``successor_salt`` and the used token together give the successor (grants.successor_of)."""

    __tablename__ = "oidc_refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    grant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OidcGrantRow.id, ondelete="CASCADE"), index=True)
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime | None]
    successor_salt: Mapped[bytes | None]


class OidcConsentRow(Base):
    """What a person allowed a client; asked again when a client wants more."""

    __tablename__ = "oidc_consents"

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey(OidcClientRow.client_id), primary_key=True)
    scopes: Mapped[list[str]]
    granted_at: Mapped[dt.datetime]


# The tables themselves. Statements on the hot paths are built once, at import, and given their values as parameters: building
# one anew at every request costs as much CPU as running it.
ACCOUNTS = cast(Table, AccountRow.__table__)
SESSIONS = cast(Table, SessionRow.__table__)
CLIENTS = cast(Table, OidcClientRow.__table__)
GRANTS = cast(Table, OidcGrantRow.__table__)
ACCESS_TOKENS = cast(Table, OidcAccessTokenRow.__table__)
REFRESH_TOKENS = cast(Table, OidcRefreshTokenRow.__table__)
CONSENTS = cast(Table, OidcConsentRow.__table__)

# Which version of a client's row a statement sees: the transaction that wrote it.
CLIENT_VERSION: Label[int] = literal_column(f"{CLIENTS.fullname}.xmin").label("version")
