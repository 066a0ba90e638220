"""Tables of the schema ``identity``: who people and organisations are, and how they prove it.

Imported only inside this package; others read the frozen views of ``people``, ``organisations`` and ``sessions``.
No column holds a number of a person in plain: ``*_index`` is a blind index (HMAC), ``*_sealed`` an envelope (``personal_data``).
"""

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from keys.base.db import TYPES, DeclarativeBase, schema_metadata


class Base(DeclarativeBase):
    """The package's declarative base; every table of ``identity`` hangs on it."""

    metadata = schema_metadata("identity")
    type_annotation_map = TYPES


class PersonalDataKeyRow(Base):
    """Which keys of custody protect personal data. Of the ``data`` keys the one that began last seals; older ones still open,
    until nothing is under them and they are destroyed."""

    __tablename__ = "personal_data_keys"
    __table_args__ = (
        CheckConstraint("role IN ('index', 'data')", name="role"),
        Index("uq_personal_data_keys_index", "role", unique=True, postgresql_where="role = 'index'"),
    )

    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    created_at: Mapped[dt.datetime]
    seals_from: Mapped[dt.datetime]
    destroyed_at: Mapped[dt.datetime | None]


def data_key_index(name: str, column: str) -> Index:
    """The index by which envelopes are found under their data key, whose identifier is octets 2 to 17."""
    return Index(name, text(f"substr({column}, 2, 16)"))


class OrganisationRow(Base):
    """An organisation that acts here: issuer, keeper of seals, employer of staff."""

    __tablename__ = "organisations"

    uscc: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    division: Mapped[str]
    kind: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    updated_at: Mapped[dt.datetime]


class AccountRow(Base):
    """A person's account. ``display_name`` is chosen; ``name`` is the verified one, set by binding.

    The verified name stands in plain: the person's own pages and every portal they consent to show it. A registry's names,
    of people who never came here, are sealed (:class:`PopulationRow`).
    """

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("division ~ '^[0-9]{6}$'", name="division"),
        CheckConstraint("identity_level BETWEEN 0 AND 4", name="identity_level"),
        CheckConstraint(
            "jsonb_exists(roles, 'system_admin')::int + jsonb_exists(roles, 'security_admin')::int"
            " + jsonb_exists(roles, 'auditor')::int <= 1",
            name="separate_administrators",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    name: Mapped[str | None]
    division: Mapped[str]
    organisation: Mapped[str | None]
    roles: Mapped[list[str]]
    identity_level: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class CredentialRow(Base):
    """How an account proves itself: an argon2id hash, and perhaps a TOTP secret in an envelope."""

    __tablename__ = "credentials"
    __table_args__ = (data_key_index("ix_credentials_totp_data_key", "totp_sealed"),)

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    password_hash: Mapped[str]
    password_changed_at: Mapped[dt.datetime]
    totp_sealed: Mapped[bytes | None]
    totp_last_step: Mapped[int] = mapped_column(default=-1)
    totp_enrolled_at: Mapped[dt.datetime | None]


class SessionRow(Base):
    """A log-in. ``secret_hash`` is the SHA-256 of the cookie's secret."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_live", "account_id", postgresql_where="ended_at IS NULL"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    auth_time: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    amr: Mapped[list[str]]
    acr: Mapped[str]
    authenticator_level: Mapped[int]
    ended_at: Mapped[dt.datetime | None]
    end_reason: Mapped[str | None]


class HalfLoginRow(Base):
    """The password was right and the second factor is due; spent once, within minutes."""

    __tablename__ = "half_logins"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    spent_at: Mapped[dt.datetime | None]


class ThrottleRow(Base):
    """Attempts charged to one subject (a keyed hash of an account name, an address, a client) in the present window."""

    __tablename__ = "throttles"

    subject: Mapped[bytes] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    window_started: Mapped[dt.datetime] = mapped_column(index=True)
    locked_until: Mapped[dt.datetime | None]


class BindingRow(Base):
    """One account, one number; one number, one account."""

    __tablename__ = "bindings"
    __table_args__ = (data_key_index("ix_bindings_number_data_key", "number_sealed"),)

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code_type: Mapped[str]
    number_index: Mapped[bytes] = mapped_column(unique=True)
    number_sealed: Mapped[bytes]
    number_masked: Mapped[str]
    bound_at: Mapped[dt.datetime]
    checked_at: Mapped[dt.datetime]


class IdentityEvidenceRow(Base):
    """What a source answered, when, to whom. ``claim_digest`` is a keyed digest of what was asked, never the claim."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_account", "account_id", "checked_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    check_id: Mapped[uuid.UUID] = mapped_column(index=True)
    account_id: Mapped[uuid.UUID | None]
    asked_by: Mapped[str]
    claim_digest: Mapped[bytes]
    source: Mapped[str]
    outcome: Mapped[str]
    mobile_outcome: Mapped[str | None]
    flags: Mapped[list[str]]
    level: Mapped[int]
    checked_at: Mapped[dt.datetime]


class PopulationRow(Base):
    """The population registry: keyed by blind index; name and mobile as digests tied to the number, and in envelopes."""

    __tablename__ = "population"
    __table_args__ = (
        data_key_index("ix_population_number_data_key", "number_sealed"),
        data_key_index("ix_population_name_data_key", "name_sealed"),
        data_key_index("ix_population_mobile_data_key", "mobile_sealed"),
    )

    number_index: Mapped[bytes] = mapped_column(primary_key=True)
    code_type: Mapped[str]
    name_index: Mapped[bytes]
    mobile_index: Mapped[bytes | None]
    number_sealed: Mapped[bytes]
    name_sealed: Mapped[bytes]
    mobile_sealed: Mapped[bytes | None]
    loaded_at: Mapped[dt.datetime]


class LegalPersonRow(Base):
    """The legal-person registry; public facts, so in plain. ``flags`` names a check digit that the registry keeps all the same."""

    __tablename__ = "legal_persons"

    uscc: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str]
    representative_index: Mapped[bytes | None]
    flags: Mapped[list[str]]
    loaded_at: Mapped[dt.datetime]
