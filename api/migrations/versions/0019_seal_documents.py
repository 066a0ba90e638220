"""Documents to be sealed: uploads, requests, approvals, batches, stamps by hash."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019_seal_documents"
down_revision = "0018_seal_upgrades"
branch_labels = None
depends_on = None

TABLES = (
    "hash_stamps",
    "batch_documents",
    "batches",
    "request_moves",
    "request_approvals",
    "requested_seals",
    "document_requests",
    "documents",
)


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("uploader", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source_hash", sa.LargeBinary(), nullable=False),
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("pages", postgresql.JSONB(), nullable=False),
        sa.Column("removed", postgresql.JSONB(), nullable=False),
        sa.Column("not_embedded", postgresql.JSONB(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        schema="seal",
    )
    op.create_index("uq_documents_upload", "documents", ["organisation", "uploader", "source_hash", "name"], unique=True, schema="seal")


def _document_requests() -> None:
    op.create_table(
        "document_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("document_kind", sa.Text(), nullable=True),
        sa.Column("requester_kind", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("requester_name", sa.Text(), nullable=False),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["seal.documents.id"], name=op.f("fk_document_requests_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document_requests")),
        schema="seal",
    )
    op.create_index("ix_document_requests_organisation", "document_requests", ["organisation", "id"], unique=False, schema="seal")
    op.create_index(
        "ix_document_requests_stamping",
        "document_requests",
        ["status"],
        unique=False,
        schema="seal",
        postgresql_where=sa.text("status = 'stamping'"),
    )
    op.create_index("uq_document_requests_key", "document_requests", ["requester", "idempotency_key"], unique=True, schema="seal")


def _requested_seals() -> None:
    op.create_table(
        "requested_seals",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.Column("approvals_needed", sa.BigInteger(), nullable=False),
        sa.Column("base_hash", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("stamper", postgresql.JSONB(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("permit_id", sa.Uuid(), nullable=True),
        sa.Column("sealed_hash", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["seal.document_requests.id"], name=op.f("fk_requested_seals_request_id")),
        sa.PrimaryKeyConstraint("request_id", "position", name=op.f("pk_requested_seals")),
        schema="seal",
    )
    op.create_index("ix_requested_seals_seal", "requested_seals", ["seal_code"], unique=False, schema="seal")


def _request_approvals() -> None:
    op.create_table(
        "request_approvals",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("approver_name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id", "position"],
            ["seal.requested_seals.request_id", "seal.requested_seals.position"],
            name=op.f("fk_request_approvals_request_id_position"),
        ),
        sa.PrimaryKeyConstraint("request_id", "position", "approver", name=op.f("pk_request_approvals")),
        schema="seal",
    )


def _request_moves() -> None:
    op.create_table(
        "request_moves",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["seal.document_requests.id"], name=op.f("fk_request_moves_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_moves")),
        schema="seal",
    )
    op.create_index("ix_request_moves_request", "request_moves", ["request_id", "id"], unique=False, schema="seal")


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("document_kind", sa.Text(), nullable=True),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.Column("requester_kind", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("requester_name", sa.Text(), nullable=False),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("approvals_needed", sa.BigInteger(), nullable=False),
        sa.Column("approvals", postgresql.JSONB(), nullable=False),
        sa.Column("stamper", postgresql.JSONB(), nullable=True),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        schema="seal",
    )
    op.create_index("ix_batches_organisation", "batches", ["organisation", "id"], unique=False, schema="seal")
    op.create_index("uq_batches_key", "batches", ["requester", "idempotency_key"], unique=True, schema="seal")


def _batch_documents() -> None:
    op.create_table(
        "batch_documents",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("permit_id", sa.Uuid(), nullable=True),
        sa.Column("sealed_hash", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["seal.batches.id"], name=op.f("fk_batch_documents_batch_id")),
        sa.ForeignKeyConstraint(["document_id"], ["seal.documents.id"], name=op.f("fk_batch_documents_document_id")),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_batch_documents")),
        schema="seal",
    )
    op.create_index(
        "ix_batch_documents_waiting",
        "batch_documents",
        ["batch_id", "position"],
        unique=False,
        schema="seal",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("uq_batch_documents_document", "batch_documents", ["batch_id", "document_id"], unique=True, schema="seal")


def _hash_stamps() -> None:
    op.create_table(
        "hash_stamps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("document_kind", sa.Text(), nullable=True),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sm3", sa.LargeBinary(), nullable=False),
        sa.Column("byte_range", sa.Text(), nullable=False),
        sa.Column("permit_id", sa.Uuid(), nullable=False),
        sa.Column("signing_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ses", sa.LargeBinary(), nullable=False),
        sa.Column("cms", sa.LargeBinary(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hash_stamps")),
        schema="seal",
    )
    op.create_index("uq_hash_stamps_key", "hash_stamps", ["requester", "idempotency_key"], unique=True, schema="seal")


def upgrade() -> None:
    _documents()
    _document_requests()
    _requested_seals()
    _request_approvals()
    _request_moves()
    _batches()
    _batch_documents()
    _hash_stamps()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table, schema="seal")
