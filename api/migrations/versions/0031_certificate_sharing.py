"""Finding and fetching by other departments, consents and show codes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031_certificate_sharing"
down_revision = "0030_certificate_life"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
CERTIFICATES = "certs.certificates.id"


def upgrade() -> None:
    op.create_table(
        "share_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("asked_by", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("want", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("holder_index", sa.LargeBinary(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("good_until", TIME, nullable=True),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("withdrawn_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], [CERTIFICATES], name=op.f("fk_share_requests_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_requests")),
        schema="certs",
    )
    op.create_index("ix_share_requests_holder", "share_requests", ["holder_index", "id"], schema="certs")
    op.create_index("ix_share_requests_organisation", "share_requests", ["organisation", "id"], schema="certs")
    op.create_index(
        "ix_share_requests_certificate",
        "share_requests",
        ["certificate_id"],
        schema="certs",
        postgresql_where=sa.text("certificate_id IS NOT NULL"),
    )
    _showings()


def _showings() -> None:
    op.create_table(
        "showings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("holder_index", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=True),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("want", sa.Text(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("stopped_at", TIME, nullable=True),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("used_by", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], [CERTIFICATES], name=op.f("fk_showings_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_showings")),
        schema="certs",
    )
    op.create_index("ix_showings_account", "showings", ["account_id", "id"], schema="certs")
    op.create_index("ix_showings_certificate", "showings", ["certificate_id"], schema="certs")
    op.create_table(
        "show_codes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("showing_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["showing_id"], ["certs.showings.id"], name=op.f("fk_show_codes_showing_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_show_codes")),
        schema="certs",
    )
    op.create_index("ix_show_codes_expires_at", "show_codes", ["expires_at"], schema="certs")
    op.create_index("ix_show_codes_showing", "show_codes", ["showing_id"], schema="certs")


def downgrade() -> None:
    for table in ("show_codes", "showings", "share_requests"):
        op.drop_table(table, schema="certs")
