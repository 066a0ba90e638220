"""The tables of ``seal``: seals and their history, what was made, matters, grants, permits, uses."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, LargeBinary, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from keys.base.db import TYPES, DeclarativeBase, schema_metadata


class Base(DeclarativeBase):
    metadata = schema_metadata("seal")
    type_annotation_map = TYPES


class SealRow(Base):
    """A seal from its application on. ``code`` is given when it is made; ``status`` is the last row of its history."""

    __tablename__ = "seals"
    __table_args__ = (
        Index(
            "uq_seals_in_use",
            "organisation",
            "kind",
            unique=True,
            postgresql_where=text("status IN ('active', 'suspended') AND kind IN ('statutory', 'approval', 'certificate')"),
        ),
        Index("uq_seals_named", "organisation", "kind", "name", unique=True, postgresql_where=text("status IN ('active', 'suspended')")),
        Index("ix_seals_valid_to", "valid_to", postgresql_where=text("status IN ('active', 'suspended', 'made', 'filed')")),
        Index("ix_seals_organisation", "organisation", "kind"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]
    organisation: Mapped[str]
    organisation_name: Mapped[str]
    division: Mapped[str]
    lower_text: Mapped[str]
    ses_version: Mapped[int]
    status: Mapped[str]
    status_since: Mapped[dt.datetime]
    applicant: Mapped[str]
    reviewer: Mapped[str | None]
    valid_from: Mapped[dt.datetime]
    valid_to: Mapped[dt.datetime]
    document_signer: Mapped[str | None]
    seal_signer: Mapped[str | None]
    maker: Mapped[str | None]
    second_reviewer: Mapped[str | None]
    succession: Mapped[str | None]
    predecessor: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("seals.id"), index=True)
    successor: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("seals.id"))
    authority_version: Mapped[int] = mapped_column(server_default=text("0"))
    """Counts what narrowed its use beside grants; a permit given before such a change is worth nothing."""
    look: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """What the order says of the picture (``seal.looks``)."""
    signer_list: Mapped[str] = mapped_column(server_default=text("'certificates'"))


class StatusChangeRow(Base):
    """One move of one seal. The history is never changed: what the status was at T is the last row not after T.

    ``at`` is when it counts from, ``recorded_at`` when it was written: an expiry counts from the end of the period, whenever it is noted.
    """

    __tablename__ = "status_changes"
    __table_args__ = (Index("ix_status_changes_seal", "seal_id", "at", "id"), Index("ix_status_changes_recorded_at", "recorded_at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    move: Mapped[str]
    old: Mapped[str | None]
    new: Mapped[str]
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    reason: Mapped[str]
    reason_code: Mapped[str] = mapped_column(server_default="other")
    documents: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    recorded_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class MadeSealRow(Base):
    """What the maker delivered: the SESeal, the pictures, the two keys and their certificates (DER; chain: issuer … root)."""

    __tablename__ = "made_seals"

    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"), primary_key=True)
    seal_der: Mapped[bytes]
    svg: Mapped[bytes]
    png: Mapped[bytes]
    pdf_content: Mapped[bytes]
    width_mm: Mapped[float]
    height_mm: Mapped[float]
    signer_key_id: Mapped[uuid.UUID]
    signer_certificate: Mapped[bytes]
    signer_chain: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    sm_key_id: Mapped[uuid.UUID]
    sm_certificate: Mapped[bytes]
    sm_chain: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))


class MakerRow(Base):
    """Who makes seals: one key and certificate under each authority of makers."""

    __tablename__ = "makers"

    authority: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID]
    certificate: Mapped[bytes]
    not_after: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]


class CodeCounterRow(Base):
    """The last serial given to a seal of a division. It only grows: a code is unique for ever."""

    __tablename__ = "code_counters"

    division: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class MatterRow(Base):
    """A matter an organisation acts in; ``is_approval`` decides which seal it takes."""

    __tablename__ = "matters"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_approval: Mapped[bool]
    organisation: Mapped[str]
    changed_at: Mapped[dt.datetime]


class GrantRow(Base):
    """Who may use a seal for which matter, type, kind of document, place, hours and period, how often.

    ``networks``       CIDR; none: from anywhere. ``hours``: as ``seal.policy_hours`` reads them; none: at any time
    ``ancestors``      the grants it was handed on from, the first first; each must stand as well
    ``delegable``      how many times it may be handed on
    ``reviewed_at``    when somebody last confirmed that it is still needed
    """

    __tablename__ = "grants"
    __table_args__ = (Index("ix_grants_grantee", "seal_id", "grantee_kind", "grantee_id", "matter_code"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    grantee_kind: Mapped[str]
    grantee_id: Mapped[str]
    matter_code: Mapped[str]
    certificate_type: Mapped[str | None]
    valid_from: Mapped[dt.datetime]
    valid_to: Mapped[dt.datetime]
    unattended: Mapped[bool]
    granted_at: Mapped[dt.datetime]
    granted_by: Mapped[str]
    withdrawn_at: Mapped[dt.datetime | None]
    withdrawn_by: Mapped[str | None]
    document_kind: Mapped[str | None]
    window_id: Mapped[str | None]
    networks: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    hours: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    quota_day: Mapped[int | None]
    quota_total: Mapped[int | None]
    ancestors: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    delegable: Mapped[int] = mapped_column(server_default=text("0"))
    reviewed_at: Mapped[dt.datetime | None]
    reviewed_by: Mapped[str | None]


class PermitRow(Base):
    """One permission to stamp one document once. ``document_hash`` is SHA-256 of the document before it is stamped."""

    __tablename__ = "permits"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    grant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("grants.id"))
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    matter_code: Mapped[str]
    certificate_type: Mapped[str | None]
    unattended: Mapped[bool]
    document_hash: Mapped[bytes]
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    consumed_at: Mapped[dt.datetime | None]
    document_kind: Mapped[str | None]
    requester: Mapped[str | None]
    window_id: Mapped[str | None]
    address: Mapped[str | None]
    ancestors: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    authority_version: Mapped[int] = mapped_column(server_default=text("0"))


class UseRow(Base):
    """The log of a seal: one row for each permit that was used."""

    __tablename__ = "uses"
    __table_args__ = (Index("ix_uses_seal", "seal_id", "at"),)

    permit_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("permits.id"), primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    document_hash: Mapped[bytes]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    matter_code: Mapped[str]
    certificate_type: Mapped[str | None]
    unattended: Mapped[bool]
    at: Mapped[dt.datetime]
    document_kind: Mapped[str | None]
    requester: Mapped[str | None]
    window_id: Mapped[str | None]
    address: Mapped[str | None]
    grant_id: Mapped[uuid.UUID | None]
