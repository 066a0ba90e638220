"""Tables of what checks a certificate without its record: the keys of offline codes, and where each certificate's status stands."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, LargeBinary, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base, CertificateRow

ORDINALS = Sequence("status_ordinals", metadata=Base.metadata, schema="certs")
"""Counts the certificates that were given a place in a status list. A gap is no harm."""


class CodeKeyRow(Base):
    """A key that signs offline codes and status lists; rows are kept for ever, so that no kid ever returns.

    It signs from ``signs_from`` until ``signs_until``; what it signed is believed until ``good_until``, unless it was compromised.
    """

    __tablename__ = "code_keys"

    kid: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    algorithm: Mapped[int]
    key_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime]
    signs_from: Mapped[dt.datetime]
    signs_until: Mapped[dt.datetime]
    good_until: Mapped[dt.datetime]
    compromised_at: Mapped[dt.datetime | None]


class StatusEntryRow(Base):
    """Where a certificate's status stands: a random index of a list. ``offline_text``: its offline code, signed once."""

    __tablename__ = "status_entries"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    list: Mapped[int]
    index: Mapped[int]
    offline_text: Mapped[str | None]

    __table_args__ = (UniqueConstraint("list", "index"),)


class StatusTokenRow(Base):
    """A status list as it was last signed. ``content``: the SHA-256 of its entries, uncompressed."""

    __tablename__ = "status_tokens"

    list: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    built_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    jwt: Mapped[bytes] = mapped_column(LargeBinary)
    cwt: Mapped[bytes] = mapped_column(LargeBinary)


Index("ix_certificates_not_valid", CertificateRow.id, postgresql_where=text("status <> '01'"))
