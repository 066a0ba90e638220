"""Finding and fetching by other departments, consents and show codes."""

revision = "0031_certificate_sharing"
down_revision = "0030_certificate_life"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
