"""Tables of rare characters: who waits for which, what was supplied, what was agreed instead."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class GlyphWaitRow(Base):
    """A certificate waits for a character. Gone once it goes on."""

    __tablename__ = "glyph_waits"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    character: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[dt.datetime]

    __table_args__ = (Index("ix_glyph_waits_character", "character"),)


class GlyphRow(Base):
    """The outline of a character (see :mod:`certs.glyphs`), for every certificate; ``licence``: by what right it is used."""

    __tablename__ = "glyphs"

    character: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    source: Mapped[str]
    source_hash: Mapped[bytes]
    licence: Mapped[str]
    supplied_by: Mapped[str]
    supplied_at: Mapped[dt.datetime]


class SubstituteRow(Base):
    """What is printed in place of a character on one certificate, and who agreed to it."""

    __tablename__ = "glyph_substitutes"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    character: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    agreement: Mapped[str]
    agreed_by: Mapped[str]
    agreed_at: Mapped[dt.datetime]
