"""Tables of the catalogue, in the schema ``certs``. Imported only inside this package."""

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class TypeVersionRow(Base):
    """One version of a type; ``definition`` is the object of :func:`certs.catalogue.definition`, ``digest`` its SHA-256.

    The database refuses to change the definition of a version that was published, and to delete any. ``writers`` are the ids of all
    who wrote in it: none of them reviews it.
    """

    __tablename__ = "type_versions"

    type_code: Mapped[str] = mapped_column(ForeignKey("certs.types.code"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    definition: Mapped[dict[str, Any]]
    digest: Mapped[bytes]
    writers: Mapped[list[str]]
    written_at: Mapped[dt.datetime]
    published_at: Mapped[dt.datetime | None]
    retired_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_type_versions_status", "status", "type_code"),)


class TypeMoveRow(Base):
    """The history of a version, one row a move; append-only. ``digest``: of the definition as it stood after the move."""

    __tablename__ = "type_moves"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    type_code: Mapped[str]
    version: Mapped[int]
    move: Mapped[str]
    old: Mapped[str | None]
    new: Mapped[str]
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    reason: Mapped[str]
    digest: Mapped[bytes]

    __table_args__ = (
        ForeignKeyConstraint(["type_code", "version"], ["certs.type_versions.type_code", "certs.type_versions.version"]),
        Index("ix_type_moves_version", "type_code", "version", "id"),
    )


class CatalogueRequestRow(Base):
    """An ``Idempotency-Key`` of somebody who changes the catalogue, and what it was about."""

    __tablename__ = "catalogue_requests"

    actor_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    type_code: Mapped[str]
    version: Mapped[int]
    at: Mapped[dt.datetime]


class MatterPaperRow(Base):
    """One paper that a matter asks for. ``types``: the certificate types any of which answers it.

    ``enough``: ``data`` where "holds a valid one" is all the matter needs, ``copy`` where it must see the document.
    ``basis``: the rule under which the matter's organisation may ask where the type is shared conditionally.
    """

    __tablename__ = "matter_papers"

    matter_code: Mapped[str] = mapped_column(primary_key=True)
    paper_code: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    name_zh: Mapped[str]
    name_en: Mapped[str]
    mandatory: Mapped[bool]
    types: Mapped[list[str]]
    enough: Mapped[str]
    basis: Mapped[str]
    updated_at: Mapped[dt.datetime]


class MatterAnswerRow(Base):
    """How often a paper of a matter was asked for on a civil day, and how often the library answered. No personal data."""

    __tablename__ = "matter_answers"

    day: Mapped[dt.date] = mapped_column(primary_key=True)
    matter_code: Mapped[str] = mapped_column(primary_key=True)
    paper_code: Mapped[str] = mapped_column(primary_key=True)
    asked: Mapped[int]
    answered: Mapped[int]
