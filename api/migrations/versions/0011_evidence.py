"""Anchors, witnesses and their checkpoints."""

revision = "0011_evidence"
down_revision = "0010_rotation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
