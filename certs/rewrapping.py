"""Every table with envelopes of personal data: those of ``identity`` and our own, for ``identity.rewrapping``."""

from typing import cast

from sqlalchemy import Table

from certs.bulk_models import BulkIssueItemRow, body_context
from certs.event_models import EntranceRow, SubscriptionRow
from certs.holders import seal_context
from certs.import_parts import key_context
from certs.models import HolderRow, ImportRow
from certs.photograph_models import PhotographRow, photograph_context
from certs.shared_secrets import secret_context
from identity import rewrapping

SEALED = (
    *rewrapping.SEALED,
    rewrapping.SealedTable(
        cast(Table, HolderRow.__table__), {"code_sealed": lambda row: seal_context(row["certificate_id"], row["position"])}
    ),
    rewrapping.SealedTable(cast(Table, BulkIssueItemRow.__table__), {"body": lambda row: body_context(row["job_id"], row["position"])}),
    rewrapping.SealedTable(cast(Table, PhotographRow.__table__), {"photo_sealed": lambda row: photograph_context(row["certificate_id"])}),
    rewrapping.SealedTable(cast(Table, ImportRow.__table__), {"content_key": lambda row: key_context(row["id"])}),
    *(
        rewrapping.SealedTable(cast(Table, table), {name: (lambda row: secret_context(row["id"])) for name in ("secret", "former")})
        for table in (SubscriptionRow.__table__, EntranceRow.__table__)
    ),
)
