"""The tables of documents to be sealed: uploads, requests with their seals and approvals, batches, stamps by hash."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class DocumentRow(Base):
    """An uploaded document and what it was rebuilt to. Hashes are SHA-256; the rebuilt file is kept, the source is not."""

    __tablename__ = "documents"
    __table_args__ = (
        Index("uq_documents_upload", "organisation", "uploader", "source_hash", "name", unique=True),
        Index("ix_documents_waiting", "organisation", "uploader", postgresql_where=text("settled_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    uploader: Mapped[str]
    name: Mapped[str]
    source_hash: Mapped[bytes]
    document_hash: Mapped[bytes]
    octets: Mapped[int]
    pages: Mapped[list[dict[str, Any]]]
    removed: Mapped[dict[str, Any]]
    not_embedded: Mapped[list[str]]
    uploaded_at: Mapped[dt.datetime]
    settled_at: Mapped[dt.datetime | None]
    """When nothing that was asked about it was open any more (``seal.upload_keeping``); None: it waits, and counts."""


class SealRequestRow(Base):
    """A document to be sealed with one seal, or with several in their order. ``position``: the seal that is due, from 0."""

    __tablename__ = "document_requests"
    __table_args__ = (
        Index("uq_document_requests_key", "requester", "idempotency_key", unique=True),
        Index("ix_document_requests_organisation", "organisation", "id"),
        Index("ix_document_requests_document", "document_id"),
        Index("ix_document_requests_stamping", "status", postgresql_where=text("status = 'stamping'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id"))
    organisation: Mapped[str]
    title: Mapped[str]
    matter_code: Mapped[str]
    document_kind: Mapped[str | None]
    requester_kind: Mapped[str]
    requester: Mapped[str]
    requester_name: Mapped[str]
    unattended: Mapped[bool]
    idempotency_key: Mapped[str]
    order_digest: Mapped[bytes]
    position: Mapped[int]
    status: Mapped[str]
    status_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]


class RequestedSealRow(Base):
    """One seal of a request. ``base_hash``: the document as it is when this seal's turn has come; ``digest``: what is approved.

    ``stamper`` is the actor as they were when they decided; ``lease_owner`` is one run's right to go on.
    """

    __tablename__ = "requested_seals"
    __table_args__ = (Index("ix_requested_seals_seal", "seal_code"),)

    request_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("document_requests.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    seal_code: Mapped[str]
    organisation: Mapped[str]
    matter_code: Mapped[str]
    plan: Mapped[dict[str, Any]]
    approvals_needed: Mapped[int]
    base_hash: Mapped[bytes | None]
    digest: Mapped[bytes | None]
    stamper: Mapped[dict[str, Any] | None]
    decided_at: Mapped[dt.datetime | None]
    lease_owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    attempts: Mapped[int]
    failure: Mapped[str | None]
    permit_id: Mapped[uuid.UUID | None]
    sealed_hash: Mapped[bytes | None]
    sealed_at: Mapped[dt.datetime | None]


class RequestApprovalRow(Base):
    """Who agreed to which digest of which seal of a request."""

    __tablename__ = "request_approvals"
    __table_args__ = (
        ForeignKeyConstraint(["request_id", "position"], ["seal.requested_seals.request_id", "seal.requested_seals.position"]),
    )

    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    approver: Mapped[str] = mapped_column(primary_key=True)
    approver_name: Mapped[str]
    digest: Mapped[bytes]
    at: Mapped[dt.datetime]


class RequestMoveRow(Base):
    """One move of one request. Never changed."""

    __tablename__ = "request_moves"
    __table_args__ = (Index("ix_request_moves_request", "request_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("document_requests.id"))
    position: Mapped[int]
    move: Mapped[str]
    old: Mapped[str | None]
    new: Mapped[str]
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    reason: Mapped[str]


class BatchRow(Base):
    """Many documents, one seal, one matter, one plan. ``manifest``: SHA-256 of all that is approved at once."""

    __tablename__ = "batches"
    __table_args__ = (
        Index("uq_batches_key", "requester", "idempotency_key", unique=True),
        Index("ix_batches_organisation", "organisation", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    title: Mapped[str]
    seal_code: Mapped[str]
    matter_code: Mapped[str]
    document_kind: Mapped[str | None]
    plan: Mapped[dict[str, Any]]
    requester_kind: Mapped[str]
    requester: Mapped[str]
    requester_name: Mapped[str]
    unattended: Mapped[bool]
    approvals_needed: Mapped[int]
    approvals: Mapped[list[dict[str, Any]]]
    stamper: Mapped[dict[str, Any] | None]
    manifest: Mapped[bytes]
    total: Mapped[int]
    idempotency_key: Mapped[str]
    order_digest: Mapped[bytes]
    status: Mapped[str]
    status_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]
    reason: Mapped[str]


class BatchDocumentRow(Base):
    """One document of a batch. ``state``: ``waiting``, ``sealed`` or ``refused`` (``failure``: its code)."""

    __tablename__ = "batch_documents"
    __table_args__ = (
        Index("ix_batch_documents_waiting", "batch_id", "position", postgresql_where=text("state = 'waiting'")),
        Index("uq_batch_documents_document", "batch_id", "document_id", unique=True),
        Index("ix_batch_documents_document", "document_id"),
    )

    batch_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id"))
    document_hash: Mapped[bytes]
    state: Mapped[str]
    lease_owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    attempts: Mapped[int]
    failure: Mapped[str | None]
    permit_id: Mapped[uuid.UUID | None]
    sealed_hash: Mapped[bytes | None]
    sealed_at: Mapped[dt.datetime | None]


class HashStampRow(Base):
    """A stamp over digests alone: the document never came here. ``sha256``, ``sm3``: of the octets of ``byte_range``."""

    __tablename__ = "hash_stamps"
    __table_args__ = (Index("uq_hash_stamps_key", "requester", "idempotency_key", unique=True),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    seal_code: Mapped[str]
    matter_code: Mapped[str]
    document_kind: Mapped[str | None]
    requester: Mapped[str]
    reason: Mapped[str]
    sha256: Mapped[bytes]
    sm3: Mapped[bytes]
    byte_range: Mapped[str]
    permit_id: Mapped[uuid.UUID]
    signing_time: Mapped[dt.datetime]
    ses: Mapped[bytes]
    cms: Mapped[bytes]
    idempotency_key: Mapped[str]
    order_digest: Mapped[bytes]
