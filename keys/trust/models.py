"""Tables of trust: entries, their history, the lists we signed and those we imported, revocation data of others, requests, answers."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base

LIVING = "status IN ('proposed', 'approved', 'active', 'suspended')"


class TrustEntryRow(Base):
    """An authority of somebody else. ``fingerprint`` is SHA-256 of its certificate: one entry of it lives at a time.

    ``source`` says where the certificate came from: a file, or the issuer of a list and its version.
    """

    __tablename__ = "trust_entries"
    __table_args__ = (Index("ix_trust_entries_living", "fingerprint", unique=True, postgresql_where=text(LIVING)),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    certificate: Mapped[bytes]
    subordinates: Mapped[list[str]]
    subject: Mapped[str]
    uses: Mapped[list[str]]
    scope: Mapped[dict[str, Any]]
    valid_from: Mapped[dt.datetime]
    valid_to: Mapped[dt.datetime]
    crl_urls: Mapped[list[str]]
    ocsp_urls: Mapped[list[str]]
    legal_effect: Mapped[bool]
    source: Mapped[str]
    status: Mapped[str]
    status_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]


class TrustChangeRow(Base):
    """One move of an entry."""

    __tablename__ = "trust_changes"
    __table_args__ = (Index("ix_trust_changes_entry", "entry_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("trust_entries.id"))
    move: Mapped[str]
    old: Mapped[str | None]
    new: Mapped[str]
    at: Mapped[dt.datetime]
    actor_id: Mapped[str]
    reason: Mapped[str]


class TrustRequestRow(Base):
    """A request of a person that was carried out, by the key it came with: asked again it changes nothing more."""

    __tablename__ = "trust_requests"

    actor_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    entry_id: Mapped[uuid.UUID]
    at: Mapped[dt.datetime]


class TrustListRow(Base):
    """A list we signed. ``content`` is the digest of what it says of authorities, ``digest`` SHA-256 of ``jws``."""

    __tablename__ = "trust_lists"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issued_at: Mapped[dt.datetime]
    next_update: Mapped[dt.datetime]
    content: Mapped[bytes]
    digest: Mapped[bytes]
    jws: Mapped[bytes]


class TrustSignerRow(Base):
    """Who signs our list under an authority; ``chain`` is hexadecimal DER, its issuer first."""

    __tablename__ = "trust_signers"

    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"), primary_key=True)
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    certificate: Mapped[bytes]
    chain: Mapped[list[str]]
    not_after: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]


class TrustImportRow(Base):
    """The newest list imported from a signer, by SHA-256 of the root of its chain: an older one is refused."""

    __tablename__ = "trust_imports"

    root: Mapped[bytes] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    version: Mapped[int]
    digest: Mapped[bytes]
    imported_at: Mapped[dt.datetime]


class ExternalCrlRow(Base):
    """A revocation list of somebody else, verified before it was kept. ``issuer`` is SHA-256 of its issuer's certificate.

    ``crl`` is empty until the first one arrived; ``failure`` is the code of the last attempt if that failed.
    """

    __tablename__ = "external_crls"

    url: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[bytes]
    this_update: Mapped[dt.datetime | None]
    next_update: Mapped[dt.datetime | None]
    crl: Mapped[bytes]
    fetched_at: Mapped[dt.datetime | None]
    tried_at: Mapped[dt.datetime]
    failure: Mapped[str | None]


class ExternalAnswerRow(Base):
    """An OCSP answer of somebody else about one certificate (``subject``: its SHA-256), verified before it was kept.

    Kept where its ``issuer`` (SHA-256) has no list that can be used; ``answer`` is empty until the first one arrived, and believed
    until ``until``. ``failure`` is the code of the last attempt if that failed.
    """

    __tablename__ = "external_answers"

    subject: Mapped[bytes] = mapped_column(primary_key=True)
    issuer: Mapped[bytes]
    this_update: Mapped[dt.datetime | None]
    until: Mapped[dt.datetime | None]
    answer: Mapped[bytes]
    fetched_at: Mapped[dt.datetime | None]
    tried_at: Mapped[dt.datetime]
    failure: Mapped[str | None]


class CertificateRequestRow(Base):
    """A key of ours that waits for, or has, a certificate of somebody else. ``chain`` is hexadecimal DER, its issuer first."""

    __tablename__ = "certificate_requests"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    request: Mapped[bytes]
    requested_at: Mapped[dt.datetime]
    certificate: Mapped[bytes | None]
    chain: Mapped[list[str]]
    accepted_at: Mapped[dt.datetime | None]
