"""the tables of seal"""

import sqlalchemy as sa
from alembic import op

revision = "0003_seal"
down_revision = "0002_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "code_counters",
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("division", name=op.f("pk_code_counters")),
        schema="seal",
    )
    op.create_table(
        "makers",
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("authority", name=op.f("pk_makers")),
        schema="seal",
    )
    op.create_table(
        "matters",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_approval", sa.Boolean(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_matters")),
        schema="seal",
    )
    op.create_table(
        "seals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("organisation_name", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("lower_text", sa.Text(), nullable=False),
        sa.Column("ses_version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applicant", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
        sa.UniqueConstraint("code", name=op.f("uq_seals_code")),
        schema="seal",
    )
    op.create_index("ix_seals_organisation", "seals", ["organisation", "kind"], unique=False, schema="seal")
    op.create_index(
        "uq_seals_in_use",
        "seals",
        ["organisation", "kind"],
        unique=True,
        schema="seal",
        postgresql_where=sa.text("status IN ('active', 'suspended')"),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("grantee_kind", sa.Text(), nullable=False),
        sa.Column("grantee_id", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_grants_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        schema="seal",
    )
    op.create_index("ix_grants_grantee", "grants", ["seal_id", "grantee_kind", "grantee_id", "matter_code"], unique=False, schema="seal")
    op.create_table(
        "made_seals",
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("seal_der", sa.LargeBinary(), nullable=False),
        sa.Column("svg", sa.LargeBinary(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("pdf_content", sa.LargeBinary(), nullable=False),
        sa.Column("width_mm", sa.Double(), nullable=False),
        sa.Column("height_mm", sa.Double(), nullable=False),
        sa.Column("signer_key_id", sa.Uuid(), nullable=False),
        sa.Column("signer_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("signer_chain", sa.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("sm_key_id", sa.Uuid(), nullable=False),
        sa.Column("sm_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("sm_chain", sa.ARRAY(sa.LargeBinary()), nullable=False),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_made_seals_seal_id")),
        sa.PrimaryKeyConstraint("seal_id", name=op.f("pk_made_seals")),
        schema="seal",
    )
    op.create_table(
        "status_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_status_changes_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_changes")),
        schema="seal",
    )
    op.create_index("ix_status_changes_seal", "status_changes", ["seal_id", "at", "id"], unique=False, schema="seal")
    op.create_table(
        "permits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=True),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["seal.grants.id"], name=op.f("fk_permits_grant_id")),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_permits_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
        schema="seal",
    )
    op.create_table(
        "uses",
        sa.Column("permit_id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=True),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["permit_id"], ["seal.permits.id"], name=op.f("fk_uses_permit_id")),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_uses_seal_id")),
        sa.PrimaryKeyConstraint("permit_id", name=op.f("pk_uses")),
        schema="seal",
    )
    op.create_index("ix_uses_seal", "uses", ["seal_id", "at"], unique=False, schema="seal")


def downgrade() -> None:
    op.drop_index("ix_uses_seal", table_name="uses", schema="seal")
    op.drop_table("uses", schema="seal")
    op.drop_table("permits", schema="seal")
    op.drop_index("ix_status_changes_seal", table_name="status_changes", schema="seal")
    op.drop_table("status_changes", schema="seal")
    op.drop_table("made_seals", schema="seal")
    op.drop_index("ix_grants_grantee", table_name="grants", schema="seal")
    op.drop_table("grants", schema="seal")
    op.drop_index("uq_seals_in_use", table_name="seals", schema="seal", postgresql_where=sa.text("status IN ('active', 'suspended')"))
    op.drop_index("ix_seals_organisation", table_name="seals", schema="seal")
    op.drop_table("seals", schema="seal")
    op.drop_table("matters", schema="seal")
    op.drop_table("makers", schema="seal")
    op.drop_table("code_counters", schema="seal")
