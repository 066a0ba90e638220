"""Reasons of moves, transfers, annual checks, and approval documents."""

revision = "0030_certificate_life"
down_revision = "0029_certificate_issuing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
