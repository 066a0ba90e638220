"""The tables of certificate status: the history, what is on the lists, the responders of OCSP and their kept answers."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base


class CertificateStatusChangeRow(Base):
    """One change of a certificate's status; the database lets nobody alter or drop it.

    ``at``          when it was made; ``status``, ``revoked_at``, ``reason``: what held from then on
    ``actor_kind``, ``actor_id``  who made it
    """

    __tablename__ = "certificate_status_changes"

    serial: Mapped[str] = mapped_column(ForeignKey("certificates.serial"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    move: Mapped[str]
    status: Mapped[str]
    at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    reason: Mapped[str | None]
    invalidity_date: Mapped[dt.datetime | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]


class CrlEntryRow(Base):
    """What is on the lists of an authority now: the revokedCertificates entry of a certificate, DER, ready to be strung together."""

    __tablename__ = "crl_entries"
    __table_args__ = (Index("ix_crl_entries_authority", "authority", "partition"),)

    serial: Mapped[str] = mapped_column(ForeignKey("certificates.serial"), primary_key=True)
    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"))
    partition: Mapped[int]
    revoked_at: Mapped[dt.datetime]
    entry: Mapped[bytes]


class CrlPartitionRow(Base):
    """How often the entries of a partition changed; a published list of it that counts fewer is out of date."""

    __tablename__ = "crl_partitions"

    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    changes: Mapped[int]


class OcspResponderRow(Base):
    """A delegated responder's key and certificate (RFC 6960 §4.2.2.2). The newest of an authority answers for it."""

    __tablename__ = "ocsp_responders"

    serial: Mapped[str] = mapped_column(ForeignKey("certificates.serial"), primary_key=True)
    authority: Mapped[str] = mapped_column(ForeignKey("authorities.name"), index=True)
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    certificate: Mapped[bytes]
    not_before: Mapped[dt.datetime]
    not_after: Mapped[dt.datetime]


class OcspAnswerRow(Base):
    """A kept answer about one certificate, without a nonce; may be lost at any time.

    ``algorithm``  the AlgorithmIdentifier of the CertID it repeats, DER
    ``changes``    the certificate's count of changes when it was signed: of another count it is void
    """

    __tablename__ = "ocsp_answers"

    serial: Mapped[str] = mapped_column(ForeignKey("certificates.serial"), primary_key=True)
    algorithm: Mapped[bytes] = mapped_column(primary_key=True)
    changes: Mapped[int]
    produced_at: Mapped[dt.datetime]
    next_update: Mapped[dt.datetime]
    answer: Mapped[bytes]
