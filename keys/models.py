"""The tables of ``keys``: stored keys, authorities, certificates, revocation lists, token signing keys."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from keys.base.db import TYPES, DeclarativeBase, schema_metadata


class Base(DeclarativeBase):
    metadata = schema_metadata("keys")
    type_annotation_map = TYPES


class StoredKeyRow(Base):
    """A key under the key-encryption key; harmless without it."""

    __tablename__ = "stored_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    algorithm: Mapped[str]
    purpose: Mapped[str]
    public: Mapped[bytes]
    wrapped: Mapped[bytes]
    created_at: Mapped[dt.datetime]


class AuthorityRow(Base):
    """A certificate authority. ``parent`` is the authority that certified it, itself for a root.

    ``key_identifier`` is the SubjectKeyIdentifier of its certificate, by which its children name it.
    ``revocations`` counts the certificates it ever revoked; a list that holds fewer is out of date.
    """

    __tablename__ = "authorities"

    name: Mapped[str] = mapped_column(primary_key=True)
    parent: Mapped[str] = mapped_column(ForeignKey("authorities.name"))
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    key_identifier: Mapped[bytes] = mapped_column(unique=True)
    certificate: Mapped[bytes]
    base_url: Mapped[str]
    revocations: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[dt.datetime]


class CertificateRow(Base):
    """A certificate we issued; ``serial`` is 32 hexadecimal digits. ``certificate`` is empty until it is signed."""

    __tablename__ = "certificates"
    __table_args__ = (Index("ix_certificates_revoked", "authority", postgresql_where=text("revoked_at IS NOT NULL")),)

    serial: Mapped[str] = mapped_column(primary_key=True)
    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"))
    profile: Mapped[str]
    subject: Mapped[str]
    division: Mapped[str]
    not_before: Mapped[dt.datetime]
    not_after: Mapped[dt.datetime]
    certificate: Mapped[bytes]
    issued_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    revocation_reason: Mapped[str | None]


class CrlRow(Base):
    """A certificate revocation list as it was published. ``revocations`` is the authority's count when it was made."""

    __tablename__ = "crls"

    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    this_update: Mapped[dt.datetime]
    next_update: Mapped[dt.datetime]
    revocations: Mapped[int]
    crl: Mapped[bytes]


class SigningKeyRow(Base):
    """A key that signs tokens; ``kid`` is its RFC 7638 thumbprint. A retired key is no longer published."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    alg: Mapped[str]
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    created_at: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]
