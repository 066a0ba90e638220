"""Tables of the library: what is searched, what the scrubber found, what is kept how long, who looked for whom."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base, CertificateRow


class SearchRow(Base):
    """The words of a certificate: ``body`` as :func:`certs.words.normalise` wrote it, ``grams`` what it is found by."""

    __tablename__ = "search_entries"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    body: Mapped[str]
    grams: Mapped[list[int]] = mapped_column(ARRAY(Integer))

    __table_args__ = (Index("ix_search_entries_grams", "grams", postgresql_using="gin"),)


class SearchQueueRow(Base):
    """Certificates whose words are not in the search yet. Filled by a trigger, whoever inserts."""

    __tablename__ = "search_queue"

    certificate_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class ScrubRow(Base):
    """The scrubber's round: one row. ``cursor``: the last hash that was looked at; ``lease_until``: whose turn it is."""

    __tablename__ = "scrub_rounds"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    number: Mapped[int]
    cursor: Mapped[bytes]
    files: Mapped[int]
    octets: Mapped[int]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    lease_until: Mapped[dt.datetime | None]


class ScrubFindingRow(Base):
    """A file that is damaged or gone; ``mended_at`` once it was found whole again."""

    __tablename__ = "scrub_findings"

    document_hash: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    found_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime]
    mended_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_scrub_findings_open", "found_at", postgresql_where=text("mended_at IS NULL")),)


class RetentionRow(Base):
    """How many years after the end of its validity a type's certificates are kept; ``basis``: the rule's legal basis."""

    __tablename__ = "retention_rules"

    type_code: Mapped[str] = mapped_column(primary_key=True)
    years: Mapped[int] = mapped_column(SmallInteger)
    basis: Mapped[str]
    set_at: Mapped[dt.datetime]
    set_by: Mapped[str]


class LegalHoldRow(Base):
    """A certificate that must not be disposed of until the hold is lifted."""

    __tablename__ = "legal_holds"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))
    reason: Mapped[str]
    placed_at: Mapped[dt.datetime]
    placed_by: Mapped[str]
    lifted_at: Mapped[dt.datetime | None]
    lifted_by: Mapped[str | None]

    __table_args__ = (Index("uq_legal_holds_standing", "certificate_id", unique=True, postgresql_where=text("lifted_at IS NULL")),)


class DisposalRow(Base):
    """A list of certificates proposed to be disposed of; a second person agrees or refuses. ``state``: proposed, agreed, refused, done."""

    __tablename__ = "disposals"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    type_code: Mapped[str]
    reason: Mapped[str]
    state: Mapped[str]
    proposed_at: Mapped[dt.datetime]
    proposed_by: Mapped[dict[str, Any]]
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (Index("ix_disposals_organisation", "organisation", "id"),)


class DisposalItemRow(Base):
    """One certificate of a list; ``outcome``: disposed, or the code of what kept it. ``files``: what remains to be deleted."""

    __tablename__ = "disposal_items"

    disposal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.disposals.id"), primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    outcome: Mapped[str | None]
    files: Mapped[list[str]] = mapped_column(JSONB)
    done_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_disposal_items_certificate", "certificate_id"),
        Index("ix_disposal_items_waiting", "disposal_id", postgresql_where=text("done_at IS NULL")),
    )


class HolderSearchRow(Base):
    """A search for a holder: by it the holder sees who looked for them. ``access_id`` of :class:`certs.models.AccessRow`."""

    __tablename__ = "holder_searches"

    access_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.accesses.id"), primary_key=True)
    holder_index: Mapped[bytes]

    __table_args__ = (Index("ix_holder_searches_holder", "holder_index", "access_id"),)


# What lists are read by, newest first: see docs/decisions/0102-searching-two-million-records.md.
BY_NUMBER = Index("ix_certificates_number", CertificateRow.number)
BY_ISSUER = Index("ix_certificates_issuer", CertificateRow.issuer, CertificateRow.id)
BY_CLIENT = Index(
    "ix_certificates_client",
    CertificateRow.client_organisation,
    CertificateRow.id,
    postgresql_where=text("client_organisation IS NOT NULL AND client_organisation <> issuer"),
)
BY_TYPE = Index("ix_certificates_type", CertificateRow.type_code, CertificateRow.id)
