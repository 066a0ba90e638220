"""Other systems' seals: their rules and their answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020_recognition"
down_revision = "0019_seal_documents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "foreign_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("authority", sa.LargeBinary(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_foreign_rules")),
        schema="seal",
    )
    for status in ("active", "proposed"):
        op.create_index(
            f"uq_foreign_rules_{status}",
            "foreign_rules",
            ["authority"],
            unique=True,
            schema="seal",
            postgresql_where=sa.text(f"status = '{status}'"),
        )


def downgrade() -> None:
    for status in ("proposed", "active"):
        op.drop_index(f"uq_foreign_rules_{status}", table_name="foreign_rules", schema="seal")
    op.drop_table("foreign_rules", schema="seal")
