"""What checking a certificate needs beyond its record."""

revision = "0025_certificate_verification"
down_revision = "0024_certificate_templates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
