"""the tables of keys"""

import sqlalchemy as sa
from alembic import op

revision = "0001_keys"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sa.UniqueConstraint("position", name=op.f("uq_audit_events_position")),
        schema="keys",
    )
    op.create_index("ix_audit_events_actor", "audit_events", ["actor_id", "id"], unique=False, schema="keys")
    op.create_index("ix_audit_events_object", "audit_events", ["object", "id"], unique=False, schema="keys")
    op.create_index(
        "ix_audit_events_pending", "audit_events", ["id"], unique=False, schema="keys", postgresql_where=sa.text("position IS NULL")
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
        schema="keys",
    )
    op.create_table(
        "log_identity",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_log_identity")),
        schema="keys",
    )
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_log_tiles")),
        schema="keys",
    )
    op.create_table(
        "stored_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_keys")),
        schema="keys",
    )
    op.create_table(
        "authorities",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("key_identifier", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("revocations", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_authorities_key_id")),
        sa.ForeignKeyConstraint(["parent"], ["keys.authorities.name"], name=op.f("fk_authorities_parent")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_authorities")),
        sa.UniqueConstraint("key_identifier", name=op.f("uq_authorities_key_identifier")),
        schema="keys",
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("alg", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_signing_keys_key_id")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
        schema="keys",
    )
    op.create_table(
        "certificates",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revocation_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["authority"], ["keys.authorities.name"], name=op.f("fk_certificates_authority")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificates")),
        schema="keys",
    )
    op.create_index(
        "ix_certificates_revoked",
        "certificates",
        ["authority"],
        unique=False,
        schema="keys",
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.create_table(
        "crls",
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revocations", sa.BigInteger(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["authority"], ["keys.authorities.name"], name=op.f("fk_crls_authority")),
        sa.PrimaryKeyConstraint("authority", "number", name=op.f("pk_crls")),
        schema="keys",
    )


def downgrade() -> None:
    op.drop_table("crls", schema="keys")
    op.drop_index("ix_certificates_revoked", table_name="certificates", schema="keys", postgresql_where=sa.text("revoked_at IS NOT NULL"))
    op.drop_table("certificates", schema="keys")
    op.drop_table("signing_keys", schema="keys")
    op.drop_table("authorities", schema="keys")
    op.drop_table("stored_keys", schema="keys")
    op.drop_table("log_tiles", schema="keys")
    op.drop_table("log_identity", schema="keys")
    op.drop_table("log_checkpoints", schema="keys")
    op.drop_index("ix_audit_events_pending", table_name="audit_events", schema="keys", postgresql_where=sa.text("position IS NULL"))
    op.drop_index("ix_audit_events_object", table_name="audit_events", schema="keys")
    op.drop_index("ix_audit_events_actor", table_name="audit_events", schema="keys")
    op.drop_table("audit_events", schema="keys")
