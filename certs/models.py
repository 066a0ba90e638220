"""Tables of certificates, in the schema ``certs``. Imported only inside this package.

Numbers of people stand in no plain column: a holder row has their blind index, the sealed number and the masked one.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from keys.base.db import TYPES, DeclarativeBase, schema_metadata


class Base(DeclarativeBase):
    metadata = schema_metadata("certs")
    type_annotation_map = TYPES


class TypeRow(Base):
    """One certificate type: what lists and searches show of it. The definitions are :class:`certs.catalogue_models.TypeVersionRow`.

    ``status`` of the type as a whole, ``version`` in force or last in force, ``open_version`` the one being worked on
    (:func:`certs.type_lifecycle.standing_of`). Names and the rest are those of the version in force, else of the latest.
    """

    __tablename__ = "types"

    code: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    version: Mapped[int | None]
    open_version: Mapped[int | None]
    name_zh: Mapped[str]
    name_en: Mapped[str]
    holder_kind: Mapped[str]
    sharing_class: Mapped[str]
    issuers: Mapped[list[str]] = mapped_column(JSONB)
    search: Mapped[str]
    updated_at: Mapped[dt.datetime]


class SerialRow(Base):
    """The last serial number given for a type by an issuer in a year."""

    __tablename__ = "serials"

    type_code: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last: Mapped[int]


class IssuingRightRow(Base):
    """A client may issue for an organisation other than its own."""

    __tablename__ = "issuing_rights"

    client_id: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    granted_at: Mapped[dt.datetime]
    granted_by: Mapped[str]


EXPIRING = "stage = 'issued' AND status IN ('01', '02') AND valid_to >= (created_at AT TIME ZONE 'Asia/Shanghai')::date"
"""What has a last day that it may still see here; what was over when it came into the library had no move here (``certs.expiring``)."""


class CertificateRow(Base):
    """A certificate: reserved, awaiting its stamp, issued, or void.

    ``status`` is the code of GB/T 36903; ``stage`` says how far issuing went and is ``issued`` for imported records too.
    ``document_hash`` is the SHA-256 of the sealed PDF. ``duplicate`` marks a later row of an import with a known identifier.
    ``type_version``: the version of the type it was issued under; none for what was imported.
    """

    __tablename__ = "certificates"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    stage: Mapped[str]
    status: Mapped[str]
    source: Mapped[str]
    type_code: Mapped[str]
    type_version: Mapped[int | None]
    type_name: Mapped[str]
    number: Mapped[str]
    identifier: Mapped[str]
    duplicate: Mapped[bool]
    verification_code: Mapped[str | None]
    issuer: Mapped[str]
    issuer_name: Mapped[str]
    division: Mapped[str]
    issued_on: Mapped[dt.date | None]
    valid_from: Mapped[dt.date | None]
    valid_to: Mapped[dt.date | None]
    fields: Mapped[dict[str, Any]]
    matter_code: Mapped[str | None]
    seal_code: Mapped[str | None]
    seal_name: Mapped[str | None]
    sealed_at: Mapped[dt.datetime | None]
    document_hash: Mapped[bytes | None]
    client_id: Mapped[str | None]
    client_organisation: Mapped[str | None]
    predecessor: Mapped[str | None]
    successor: Mapped[str | None]
    trust_grade: Mapped[str]
    flags: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[dt.datetime]
    issued_at: Mapped[dt.datetime | None]
    import_id: Mapped[uuid.UUID | None]

    __table_args__ = (
        Index("ix_certificates_verification_code", "verification_code", unique=True),
        Index("ix_certificates_identifier", "identifier", unique=True, postgresql_where=text("NOT duplicate AND identifier <> ''")),
        Index("ix_certificates_issuer_type_date", "issuer", "type_code", "issued_on"),
        Index("ix_certificates_predecessor", "predecessor", postgresql_where=text("predecessor IS NOT NULL")),
        Index("ix_certificates_import", "import_id", "id", postgresql_where=text("import_id IS NOT NULL")),
        Index("ix_certificates_document_hash", "document_hash", postgresql_where=text("document_hash IS NOT NULL")),
        Index(
            "ix_certificates_expiring",
            "valid_to",
            postgresql_where=text(EXPIRING),
        ),
    )


class HolderRow(Base):
    """One holder of a certificate. ``code`` is filled for organisations only; ``code_index`` for everybody."""

    __tablename__ = "holders"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str]
    code_type: Mapped[str]
    code: Mapped[str | None]
    code_masked: Mapped[str]
    code_index: Mapped[bytes]
    code_sealed: Mapped[bytes | None]

    __table_args__ = (
        Index("ix_holders_code_index", "code_index", "certificate_id"),
        Index("ix_holders_code_data_key", text("substr(code_sealed, 2, 16)")),
    )


class IssuingRow(Base):
    """What the journey of one certificate still needs. ``actor`` is who asked; ``seal_place`` is page and millimetres.

    A process works on it only while it holds the lease; a lease that ran out is anybody's.
    """

    __tablename__ = "issuings"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    stage: Mapped[str]
    actor: Mapped[dict[str, Any]]
    approval: Mapped[dict[str, Any]]
    verify_url: Mapped[str]
    unsealed_hash: Mapped[bytes | None]
    seal_place: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    lease_owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    failure: Mapped[str | None]
    created_at: Mapped[dt.datetime]

    __table_args__ = (
        Index("ix_issuings_unfinished", "lease_until", postgresql_where=text("stage = 'reserved'")),
        Index("ix_issuings_awaiting", "created_at", postgresql_where=text("stage = 'awaiting_stamp'")),
    )


class IdempotencyRow(Base):
    """A client's key, the keyed digest of the body it came with, and the answer once there is one."""

    __tablename__ = "idempotency"

    client_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[bytes]
    certificate_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[dt.datetime]


class EventRow(Base):
    """The history of a certificate: one row an operation (GB/T 36903 codes). ``reason_code``, ``legal_basis``: ``certs.grounds``."""

    __tablename__ = "events"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))
    at: Mapped[dt.datetime]
    operation: Mapped[str]
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    reason: Mapped[str]
    reason_code: Mapped[str | None]
    legal_basis: Mapped[str | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    request_key: Mapped[str | None]

    __table_args__ = (
        Index("ix_events_certificate_at", "certificate_id", "at"),
        Index(
            "uq_events_request", "certificate_id", "actor_id", "request_key", unique=True, postgresql_where=text("request_key IS NOT NULL")
        ),
    )


class AccessRow(Base):
    """Somebody fetched a file or searched by holder, and why."""

    __tablename__ = "accesses"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID | None]
    at: Mapped[dt.datetime]
    kind: Mapped[str]
    purpose: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    organisation: Mapped[str | None]

    __table_args__ = (Index("ix_accesses_certificate_at", "certificate_id", "at"),)


class OutboxRow(Base):
    """An event for subscribers, written in the transaction it speaks of (``certs.outbox``).

    ``published_at`` once it stands in its subscribers' queues (``certs.dispatch``). From then on ``sequence`` is its place among all
    events, given one after the other, so that whoever read up to one has missed none before it; ``organisations`` is everybody who is
    told, not only those the writer named; ``to_all``: every organisation may be; ``type_code`` of the certificate it speaks of.
    """

    __tablename__ = "outbox"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    topic: Mapped[str]
    subject: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]
    organisations: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))
    published_at: Mapped[dt.datetime | None]
    sequence: Mapped[int | None]
    type_code: Mapped[str | None]
    to_all: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        Index("ix_outbox_pending", "id", postgresql_where=text("published_at IS NULL")),
        Index("ix_outbox_sequence", "sequence", unique=True, postgresql_where=text("sequence IS NOT NULL")),
        Index("ix_outbox_subject", "subject"),
    )


class ImportRow(Base):
    """One import of a file: how many of its rows are in, so that an interrupted one goes on where it stopped.

    ``state``: receiving, waiting, running, done, failed (``certs.import_jobs``). ``organisation``: who imports, a USCC; empty: the city's
    operator. ``content_key`` opens the parts of an upload, sealed; none for a file that stayed where it was.
    """

    __tablename__ = "imports"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    file_hash: Mapped[bytes]
    type_code: Mapped[str]
    file_name: Mapped[str]
    rows_done: Mapped[int]
    finished: Mapped[bool]
    flag_counts: Mapped[dict[str, Any]]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    state: Mapped[str]
    dry_run: Mapped[bool]
    grade: Mapped[str]
    encoding: Mapped[str]
    organisation: Mapped[str]
    actor: Mapped[dict[str, Any]]
    flagged: Mapped[int]
    octets: Mapped[int]
    octets_done: Mapped[int]
    failure: Mapped[str | None]
    content_key: Mapped[bytes | None]
    lease_owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("uq_imports_file", "file_hash", "type_code", "organisation", unique=True, postgresql_where=text("NOT dry_run")),
        Index("ix_imports_organisation", "organisation", "id"),
        Index("ix_imports_open", "id", postgresql_where=text("state IN ('waiting', 'running')")),
        Index("ix_imports_content_key_data_key", text("substr(content_key, 2, 16)")),
    )


class ImportFlagRow(Base):
    """A flagged row of an import, for its report. No personal data: the row's number in the file and what is wrong with it.

    ``certificate_id`` is absent where nothing of the row could be read, and in a dry run.
    """

    __tablename__ = "import_flags"

    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.imports.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID | None]
    identifier: Mapped[str]
    flags: Mapped[list[str]] = mapped_column(JSONB)
