"""the tables of certs"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_certs"
down_revision = "0003_seal"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accesses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accesses")),
        schema="certs",
    )
    op.create_index("ix_accesses_certificate_at", "accesses", ["certificate_id", "at"], unique=False, schema="certs")
    op.create_table(
        "certificates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("verification_code", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("issuer_name", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=True),
        sa.Column("seal_code", sa.Text(), nullable=True),
        sa.Column("seal_name", sa.Text(), nullable=True),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("document_hash", sa.LargeBinary(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("client_organisation", sa.Text(), nullable=True),
        sa.Column("predecessor", sa.Text(), nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.Column("trust_grade", sa.Text(), nullable=False),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
        schema="certs",
    )
    op.create_index(
        "ix_certificates_identifier",
        "certificates",
        ["identifier"],
        unique=True,
        schema="certs",
        postgresql_where=sa.text("NOT duplicate AND identifier <> ''"),
    )
    op.create_index("ix_certificates_issuer_type_date", "certificates", ["issuer", "type_code", "issued_on"], unique=False, schema="certs")
    op.create_index(
        "ix_certificates_predecessor",
        "certificates",
        ["predecessor"],
        unique=False,
        schema="certs",
        postgresql_where=sa.text("predecessor IS NOT NULL"),
    )
    op.create_index("ix_certificates_verification_code", "certificates", ["verification_code"], unique=True, schema="certs")
    op.create_table(
        "idempotency",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("answer", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "key", name=op.f("pk_idempotency")),
        sa.UniqueConstraint("certificate_id", name=op.f("uq_idempotency_certificate_id")),
        schema="certs",
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("rows_done", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("flag_counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.UniqueConstraint("file_hash", "type_code", name=op.f("uq_imports_file_hash_type_code")),
        schema="certs",
    )
    op.create_table(
        "issuing_rights",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "issuer", name=op.f("pk_issuing_rights")),
        schema="certs",
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="certs",
    )
    op.create_index("ix_outbox_pending", "outbox", ["id"], unique=False, schema="certs", postgresql_where=sa.text("published_at IS NULL"))
    op.create_table(
        "serials",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("type_code", "issuer", "year", name=op.f("pk_serials")),
        schema="certs",
    )
    op.create_table(
        "types",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_types")),
        schema="certs",
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_events_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        schema="certs",
    )
    op.create_index("ix_events_certificate_at", "events", ["certificate_id", "at"], unique=False, schema="certs")
    op.create_index(
        "uq_events_request",
        "events",
        ["certificate_id", "actor_id", "request_key"],
        unique=True,
        schema="certs",
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_table(
        "holders",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code_type", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("code_masked", sa.Text(), nullable=False),
        sa.Column("code_index", sa.LargeBinary(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_holders_certificate_id")),
        sa.PrimaryKeyConstraint("certificate_id", "position", name=op.f("pk_holders")),
        schema="certs",
    )
    op.create_index("ix_holders_code_index", "holders", ["code_index", "certificate_id"], unique=False, schema="certs")
    op.create_table(
        "import_flags",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["certs.imports.id"], name=op.f("fk_import_flags_import_id")),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_flags")),
        schema="certs",
    )
    op.create_table(
        "issuings",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("approval", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("verify_url", sa.Text(), nullable=False),
        sa.Column("unsealed_hash", sa.LargeBinary(), nullable=True),
        sa.Column("seal_place", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_issuings_certificate_id")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_issuings")),
        schema="certs",
    )
    op.create_index(
        "ix_issuings_awaiting",
        "issuings",
        ["created_at"],
        unique=False,
        schema="certs",
        postgresql_where=sa.text("stage = 'awaiting_stamp'"),
    )
    op.create_index(
        "ix_issuings_unfinished", "issuings", ["lease_until"], unique=False, schema="certs", postgresql_where=sa.text("stage = 'reserved'")
    )


def downgrade() -> None:
    op.drop_index("ix_issuings_unfinished", table_name="issuings", schema="certs", postgresql_where=sa.text("stage = 'reserved'"))
    op.drop_index("ix_issuings_awaiting", table_name="issuings", schema="certs", postgresql_where=sa.text("stage = 'awaiting_stamp'"))
    op.drop_table("issuings", schema="certs")
    op.drop_table("import_flags", schema="certs")
    op.drop_index("ix_holders_code_index", table_name="holders", schema="certs")
    op.drop_table("holders", schema="certs")
    op.drop_index("uq_events_request", table_name="events", schema="certs", postgresql_where=sa.text("request_key IS NOT NULL"))
    op.drop_index("ix_events_certificate_at", table_name="events", schema="certs")
    op.drop_table("events", schema="certs")
    op.drop_table("types", schema="certs")
    op.drop_table("serials", schema="certs")
    op.drop_index("ix_outbox_pending", table_name="outbox", schema="certs", postgresql_where=sa.text("published_at IS NULL"))
    op.drop_table("outbox", schema="certs")
    op.drop_table("issuing_rights", schema="certs")
    op.drop_table("imports", schema="certs")
    op.drop_table("idempotency", schema="certs")
    op.drop_index("ix_certificates_verification_code", table_name="certificates", schema="certs")
    op.drop_index(
        "ix_certificates_predecessor", table_name="certificates", schema="certs", postgresql_where=sa.text("predecessor IS NOT NULL")
    )
    op.drop_index("ix_certificates_issuer_type_date", table_name="certificates", schema="certs")
    op.drop_index(
        "ix_certificates_identifier",
        table_name="certificates",
        schema="certs",
        postgresql_where=sa.text("NOT duplicate AND identifier <> ''"),
    )
    op.drop_table("certificates", schema="certs")
    op.drop_index("ix_accesses_certificate_at", table_name="accesses", schema="certs")
    op.drop_table("accesses", schema="certs")
