"""Tables of sharing: what holders are asked on their phones, and the codes they show. Imported only inside this package.

Holders stand here as blind indexes; a code stands as its SHA-256 digest.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class ShareRequestRow(Base):
    """A department asks a holder; allowed, it is an authorisation for one use until ``good_until``.

    ``state``: pending, allowed, refused, withdrawn; ``asked_by``: kind, id and name of who asked; ``certificate_id``: the one the holder
    chose; ``expires_at``: until when the holder may answer.
    """

    __tablename__ = "share_requests"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    organisation: Mapped[str]
    asked_by: Mapped[dict[str, Any]]
    matter_code: Mapped[str]
    type_code: Mapped[str]
    want: Mapped[str]
    purpose: Mapped[str]
    holder_index: Mapped[bytes]
    certificate_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("certs.certificates.id"))
    asked_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None]
    good_until: Mapped[dt.datetime | None]
    used_at: Mapped[dt.datetime | None]
    withdrawn_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_share_requests_holder", "holder_index", "id"),
        Index("ix_share_requests_organisation", "organisation", "id"),
        Index("ix_share_requests_certificate", "certificate_id", postgresql_where=text("certificate_id IS NOT NULL")),
    )


class ShowingRow(Base):
    """A holder shows a certificate: a series of codes of which one is used, once.

    ``purpose``: a code of ``certs.show_purposes``, or ``matter`` with the matter in ``matter_code`` and its ``organisation``, to which up
    to ``want`` is then open. ``used_by``: kind, id, organisation and name of who checked.
    """

    __tablename__ = "showings"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))
    account_id: Mapped[str]
    holder_index: Mapped[bytes]
    purpose: Mapped[str]
    matter_code: Mapped[str | None]
    organisation: Mapped[str | None]
    want: Mapped[str]
    started_at: Mapped[dt.datetime]
    ends_at: Mapped[dt.datetime]
    stopped_at: Mapped[dt.datetime | None]
    used_at: Mapped[dt.datetime | None]
    used_by: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (Index("ix_showings_account", "account_id", "id"), Index("ix_showings_certificate", "certificate_id"))


class ShowCodeRow(Base):
    """One code of a showing: good until ``expires_at``, if no code of the showing was used before."""

    __tablename__ = "show_codes"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    showing_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.showings.id"))
    expires_at: Mapped[dt.datetime]

    __table_args__ = (Index("ix_show_codes_expires_at", "expires_at"), Index("ix_show_codes_showing", "showing_id"))
