"""Annotated copies, applications for access, and rates of requesters."""

revision = "0032_certificate_copies"
down_revision = "0031_certificate_sharing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
