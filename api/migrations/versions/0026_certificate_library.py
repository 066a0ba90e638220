"""Search, retention and the scrubber of the library."""

revision = "0026_certificate_library"
down_revision = "0025_certificate_verification"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
