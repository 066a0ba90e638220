"""Key ceremonies."""

import sqlalchemy as sa
from alembic import op

revision = "0013_ceremony"
down_revision = "0012_trust"
branch_labels = None
depends_on = None

KEPT = """
CREATE FUNCTION keys.ceremony_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a ceremony that was held stays as it was written down';
END $$"""


def upgrade() -> None:
    op.create_table(
        "ceremonies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("administrator", sa.Text(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("configuration", sa.LargeBinary(), nullable=False),
        sa.Column("transcript", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ceremonies")),
        sa.UniqueConstraint("sha256", name=op.f("uq_ceremonies_sha256")),
        schema="keys",
    )
    op.execute(KEPT)
    op.execute("CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON keys.ceremonies FOR EACH ROW EXECUTE FUNCTION keys.ceremony_kept()")


def downgrade() -> None:
    op.drop_table("ceremonies", schema="keys")
    op.execute("DROP FUNCTION keys.ceremony_kept()")
