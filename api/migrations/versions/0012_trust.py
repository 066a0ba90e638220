"""Authorities of others that we trust."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012_trust"
down_revision = "0011_evidence"
branch_labels = None
depends_on = None

LIVING = "status IN ('proposed', 'approved', 'active', 'suspended')"


def upgrade() -> None:
    op.create_table(
        "trust_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("subordinates", postgresql.JSONB(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("uses", postgresql.JSONB(), nullable=False),
        sa.Column("scope", postgresql.JSONB(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("crl_urls", postgresql.JSONB(), nullable=False),
        sa.Column("ocsp_urls", postgresql.JSONB(), nullable=False),
        sa.Column("legal_effect", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_entries")),
        schema="keys",
    )
    op.create_index(
        "ix_trust_entries_living", "trust_entries", ["fingerprint"], unique=True, schema="keys", postgresql_where=sa.text(LIVING)
    )
    op.create_table(
        "trust_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["keys.trust_entries.id"], name=op.f("fk_trust_changes_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_changes")),
        schema="keys",
    )
    op.create_index("ix_trust_changes_entry", "trust_changes", ["entry_id", "id"], unique=False, schema="keys")
    op.create_table(
        "trust_lists",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("jws", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_trust_lists")),
        schema="keys",
    )
    op.create_table(
        "trust_signers",
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("chain", postgresql.JSONB(), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["authority"], ["keys.authorities.name"], name=op.f("fk_trust_signers_authority")),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_trust_signers_key_id")),
        sa.PrimaryKeyConstraint("authority", name=op.f("pk_trust_signers")),
        schema="keys",
    )
    op.create_table(
        "trust_imports",
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("root", name=op.f("pk_trust_imports")),
        schema="keys",
    )
    op.create_table(
        "external_crls",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("issuer", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=True),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_external_crls")),
        schema="keys",
    )
    op.create_table(
        "certificate_requests",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("chain", postgresql.JSONB(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_certificate_requests_key_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_certificate_requests")),
        schema="keys",
    )


def downgrade() -> None:
    op.drop_table("certificate_requests", schema="keys")
    op.drop_table("external_crls", schema="keys")
    op.drop_table("trust_imports", schema="keys")
    op.drop_table("trust_signers", schema="keys")
    op.drop_table("trust_lists", schema="keys")
    op.drop_index("ix_trust_changes_entry", table_name="trust_changes", schema="keys")
    op.drop_table("trust_changes", schema="keys")
    op.drop_index("ix_trust_entries_living", table_name="trust_entries", schema="keys", postgresql_where=sa.text(LIVING))
    op.drop_table("trust_entries", schema="keys")
