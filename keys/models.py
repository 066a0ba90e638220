"""The tables of ``keys``: stored keys, authorities, certificates, revocation lists, token signing keys."""

import datetime as dt
import uuid

from sqlalchemy import ARRAY, ForeignKey, Index, LargeBinary, text
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
    """A certificate authority. ``parent`` is the authority of ours that certified it; itself for a root, and where others did.

    ``profile`` is its kind in ``keys.pki.profiles``. ``certificate`` is empty until it has one.
    ``key_identifier`` is the SubjectKeyIdentifier of its certificate, by which its children name it.
    ``external_chain`` holds the certificates above it that others issued, its issuer first, their root last; empty where we did.
    ``revocations`` counts the certificates it ever revoked; a list that holds fewer is out of date.
    """

    __tablename__ = "authorities"

    name: Mapped[str] = mapped_column(primary_key=True)
    parent: Mapped[str] = mapped_column(ForeignKey("authorities.name"))
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    profile: Mapped[str]
    key_identifier: Mapped[bytes] = mapped_column(unique=True)
    certificate: Mapped[bytes]
    external_chain: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), default=list)
    base_url: Mapped[str]
    revocations: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[dt.datetime]


class SerialRow(Base):
    """A serial number, written down and committed before anything is signed under it.

    One without a :class:`CertificateRow` belongs to an issuance that was refused or broke off: no certificate of that
    number ever left this house. No foreign key: writing it must wait for no lock of the transaction it precedes.
    """

    __tablename__ = "serials"

    serial: Mapped[str] = mapped_column(primary_key=True)
    authority: Mapped[str]
    profile: Mapped[str]
    public_key: Mapped[bytes]
    reserved_at: Mapped[dt.datetime]


class CertificateRow(Base):
    """A certificate we issued; ``serial`` is 32 hexadecimal digits.

    ``public_key``   SHA-256 of its SubjectPublicKeyInfo: no key is certified twice unless a certificate is renewed
    ``predecessor``  the serial number of the certificate that it renews or replaces
    ``holder``       the account that it was issued to, if it is a person's
    ``revoked_at`` and ``revocation_reason`` stand while it is on hold too; ``status_changes`` counts the rows of its history.
    """

    __tablename__ = "certificates"
    __table_args__ = (
        Index("ix_certificates_revoked", "authority", postgresql_where=text("revoked_at IS NOT NULL")),
        Index("ix_certificates_public_key", "public_key"),
        Index("ix_certificates_holder", "holder", postgresql_where=text("holder IS NOT NULL")),
    )

    serial: Mapped[str] = mapped_column(primary_key=True)
    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"))
    profile: Mapped[str]
    subject: Mapped[str]
    division: Mapped[str]
    public_key: Mapped[bytes]
    predecessor: Mapped[str | None]
    holder: Mapped[uuid.UUID | None]
    not_before: Mapped[dt.datetime]
    not_after: Mapped[dt.datetime]
    certificate: Mapped[bytes]
    issued_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    revocation_reason: Mapped[str | None]
    invalidity_date: Mapped[dt.datetime | None]
    status_changes: Mapped[int] = mapped_column(default=0)


class CrlRow(Base):
    """A certificate revocation list as it was published: the full one (partition 0) or a partition's.

    ``revocations`` is the authority's (the partition's) count of changes when it was made.
    """

    __tablename__ = "crls"

    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, default=0)
    number: Mapped[int] = mapped_column(primary_key=True)
    this_update: Mapped[dt.datetime]
    next_update: Mapped[dt.datetime]
    revocations: Mapped[int]
    crl: Mapped[bytes]


class SigningKeyRow(Base):
    """A key that signs tokens; ``kid`` is its RFC 7638 thumbprint. Rows are kept for ever, so that no kid ever returns.

    It signs from ``signs_from`` until ``signs_until`` and is published from its making until ``published_until``;
    an end that is not set is not known yet. One that was compromised does neither.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    alg: Mapped[str]
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    created_at: Mapped[dt.datetime]
    signs_from: Mapped[dt.datetime]
    signs_until: Mapped[dt.datetime | None]
    published_until: Mapped[dt.datetime | None]
    compromised_at: Mapped[dt.datetime | None]
