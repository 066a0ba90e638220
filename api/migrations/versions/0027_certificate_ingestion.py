"""Stock certificates: re-checks and scans."""

revision = "0027_certificate_ingestion"
down_revision = "0026_certificate_library"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
