"""Certificates that wait for a rare character."""

revision = "0024_certificate_templates"
down_revision = "0023_certificate_catalogue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
