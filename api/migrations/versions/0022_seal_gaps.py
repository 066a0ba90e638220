"""Uploads that wait to be sealed: when they were settled, and what names them."""

import sqlalchemy as sa
from alembic import op

revision = "0022_seal_gaps"
down_revision = "0021_authority_life"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("settled_at", sa.DateTime(timezone=True)), schema="seal")
    waiting = {"schema": "seal", "postgresql_where": sa.text("settled_at IS NULL")}
    op.create_index("ix_documents_waiting", "documents", ["organisation", "uploader"], **waiting)
    op.create_index("ix_document_requests_document", "document_requests", ["document_id"], schema="seal")
    op.create_index("ix_batch_documents_document", "batch_documents", ["document_id"], schema="seal")


def downgrade() -> None:
    op.drop_index("ix_batch_documents_document", "batch_documents", schema="seal")
    op.drop_index("ix_document_requests_document", "document_requests", schema="seal")
    op.drop_index("ix_documents_waiting", "documents", schema="seal")
    op.drop_column("documents", "settled_at", schema="seal")
