"""Sealed files that are upgraded and renewed."""

import sqlalchemy as sa
from alembic import op

revision = "0018_seal_upgrades"
down_revision = "0017_seal_authority"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sealed_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("first_hash", sa.LargeBinary(), nullable=False),
        sa.Column("current_hash", sa.LargeBinary(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("enrolled_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sealed_files")),
        sa.UniqueConstraint("subject", name=op.f("uq_sealed_files_subject")),
        sa.UniqueConstraint("first_hash", name=op.f("uq_sealed_files_first_hash")),
        sa.UniqueConstraint("current_hash", name=op.f("uq_sealed_files_current_hash")),
        schema="seal",
    )
    op.create_index("ix_sealed_files_due", "sealed_files", ["due_at"], schema="seal")
    op.create_table(
        "sealed_versions",
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("stamped_at", TIME, nullable=True),
        sa.Column("ends_at", TIME, nullable=True),
        sa.Column("algorithm", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("document_hash", name=op.f("pk_sealed_versions")),
        sa.ForeignKeyConstraint(["file_id"], ["seal.sealed_files.id"], name=op.f("fk_sealed_versions_file_id_sealed_files")),
        schema="seal",
    )
    op.create_index("ix_sealed_versions_file", "sealed_versions", ["file_id"], schema="seal")
    op.create_index(
        "ix_certificates_document_hash",
        "certificates",
        ["document_hash"],
        schema="certs",
        postgresql_where=sa.text("document_hash IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_certificates_document_hash", "certificates", schema="certs")
    op.drop_table("sealed_versions", schema="seal")
    op.drop_table("sealed_files", schema="seal")
