"""Every table with envelopes of personal data: those of ``identity`` and our own, for ``identity.rewrapping``."""

from typing import cast

from sqlalchemy import Table

from certs.holders import seal_context
from certs.models import HolderRow
from identity import rewrapping

SEALED = (
    *rewrapping.SEALED,
    rewrapping.SealedTable(
        cast(Table, HolderRow.__table__), {"code_sealed": lambda row: seal_context(row["certificate_id"], row["position"])}
    ),
)
