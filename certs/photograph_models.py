"""The table of photographs that wait for their print. Imported only inside this package."""

import uuid

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base, CertificateRow


class PhotographRow(Base):
    """A holder's photograph until it is printed, an envelope: from then on the certificate's own file has it, and this row is gone."""

    __tablename__ = "photographs"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(CertificateRow.id), primary_key=True)
    photo_sealed: Mapped[bytes]

    __table_args__ = (Index("ix_photographs_photo_data_key", text("substr(photo_sealed, 2, 16)")),)


def photograph_context(certificate_id: uuid.UUID | str) -> str:
    """What the envelope is bound to."""
    return f"certs.photograph:{certificate_id}"
