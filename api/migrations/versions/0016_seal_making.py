"""How a seal is made: shape, uploaded impressions, signer lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_seal_making"
down_revision = "0015_seal_life"
branch_labels = None
depends_on = None

_IN_USE = "status IN ('active', 'suspended')"
_SINGLE = f"{_IN_USE} AND kind IN ('statutory', 'approval', 'certificate')"


def upgrade() -> None:
    op.add_column("seals", sa.Column("look", postgresql.JSONB(), server_default="{}", nullable=False), schema="seal")
    op.add_column("seals", sa.Column("signer_list", sa.Text(), server_default="certificates", nullable=False), schema="seal")
    op.drop_index("uq_seals_in_use", table_name="seals", schema="seal")
    op.create_index("uq_seals_in_use", "seals", ["organisation", "kind"], unique=True, schema="seal", postgresql_where=sa.text(_SINGLE))
    op.create_table(
        "impressions",
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("drawing", sa.LargeBinary(), nullable=False),
        sa.Column("width_mm", sa.Float(), nullable=False),
        sa.Column("height_mm", sa.Float(), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name="fk_impressions_seal_id"),
        sa.PrimaryKeyConstraint("seal_id", name="pk_impressions"),
        schema="seal",
    )


def downgrade() -> None:
    op.drop_table("impressions", schema="seal")
    op.drop_index("uq_seals_in_use", table_name="seals", schema="seal")
    op.create_index("uq_seals_in_use", "seals", ["organisation", "kind"], unique=True, schema="seal", postgresql_where=sa.text(_IN_USE))
    op.drop_column("seals", "signer_list", schema="seal")
    op.drop_column("seals", "look", schema="seal")
