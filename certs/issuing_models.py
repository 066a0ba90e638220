"""Tables of issuing beyond one certificate for one approval, in the schema ``certs``. Imported only inside this package."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class IssuingRuleRow(Base):
    """How certificates of a type are numbered, and what keeps a further one from being issued (:class:`certs.issuing_rules.IssuingRule`).

    ``issuer`` is a credit code; empty: every issuer that has no rule of its own.
    """

    __tablename__ = "issuing_rules"

    type_code: Mapped[str] = mapped_column(ForeignKey("certs.types.code"), primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    pattern: Mapped[str]
    yearly: Mapped[bool]
    common: Mapped[bool]
    unique_number: Mapped[bool]
    in_force: Mapped[str]
    updated_at: Mapped[dt.datetime]
    updated_by: Mapped[str]


class NumberSeriesRow(Base):
    """The last number given in a series: of a type, of an issuer (empty: all of them together), of a year (0: no year begins it anew)."""

    __tablename__ = "number_series"

    type_code: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last: Mapped[int]


class NumberGivenRow(Base):
    """One number of a series, and whose it is. What is missing between 1 and the last, or is void, is a gap."""

    __tablename__ = "numbers_given"

    type_code: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    serial: Mapped[int] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))

    __table_args__ = (Index("ix_numbers_given_certificate", "certificate_id"),)


class ApplicationRow(Base):
    """One application that leads to several certificates (一件事), with its sender's key and the keyed digest of its body."""

    __tablename__ = "applications"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    key: Mapped[str]
    request: Mapped[bytes]
    number: Mapped[str]
    title: Mapped[str]
    organisation: Mapped[str | None]
    actor_name: Mapped[str]
    created_at: Mapped[dt.datetime]

    __table_args__ = (
        UniqueConstraint("client_id", "key"),
        Index("ix_applications_organisation", "organisation", "id"),
    )


class ApplicationItemRow(Base):
    """One certificate of an application, in the order it was asked for."""

    __tablename__ = "application_items"

    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.applications.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), unique=True)


class MergeRuleRow(Base):
    """A type of licence takes up another type (多证合一): on what basis, and how many days the department has to claim its item."""

    __tablename__ = "merge_rules"

    type_code: Mapped[str] = mapped_column(ForeignKey("certs.types.code"), primary_key=True)
    absorbed: Mapped[str] = mapped_column(ForeignKey("certs.types.code"), primary_key=True)
    department: Mapped[str]
    claim_days: Mapped[int] = mapped_column(SmallInteger)
    basis: Mapped[str]
    updated_at: Mapped[dt.datetime]
    updated_by: Mapped[str]


class MergedItemRow(Base):
    """One item on a licence that absorbed it. ``opened_at``: the licence was issued, from then on the department may claim the item.

    ``absorbed_id`` is the certificate that the licence took the place of, where the holder had one.
    """

    __tablename__ = "merged_items"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))
    position: Mapped[int] = mapped_column(SmallInteger)
    type_code: Mapped[str]
    name: Mapped[str]
    department: Mapped[str]
    absorbed_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("certs.certificates.id"))
    claim_days: Mapped[int] = mapped_column(SmallInteger)
    opened_at: Mapped[dt.datetime | None]
    due_on: Mapped[dt.date | None]
    claimed_at: Mapped[dt.datetime | None]
    claimed_by: Mapped[str | None]
    note: Mapped[str]
    alerted_at: Mapped[dt.datetime | None]

    __table_args__ = (
        UniqueConstraint("certificate_id", "position"),
        Index("ix_merged_items_department", "department", "id", postgresql_where=text("opened_at IS NOT NULL")),
        Index("ix_merged_items_due", "due_on", postgresql_where=text("claimed_at IS NULL AND alerted_at IS NULL AND due_on IS NOT NULL")),
        Index("ix_merged_items_absorbed", "absorbed_id", postgresql_where=text("absorbed_id IS NOT NULL")),
    )
