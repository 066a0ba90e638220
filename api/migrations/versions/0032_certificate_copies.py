"""Annotated copies, applications for access, and rates of requesters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032_certificate_copies"
down_revision = "0031_certificate_sharing"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _copies()
    _applications()
    _rates()


def _copies() -> None:
    op.create_table(
        "copies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("verification_code", sa.Text(), nullable=False),
        sa.Column("original_hash", sa.LargeBinary(), nullable=False),
        sa.Column("requester_kind", sa.Text(), nullable=False),
        sa.Column("requester_id", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("requester_name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("withdrawn_at", _TIME, nullable=True),
        sa.Column("withdrawn_reason", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("document_hash", sa.LargeBinary(), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_copies_certificate_id_certificates")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_copies")),
        sa.UniqueConstraint("verification_code", name=op.f("uq_copies_verification_code")),
        sa.UniqueConstraint("requester_id", "request_key", name=op.f("uq_copies_requester_id_request_key")),
        schema="certs",
    )
    _index("copies", "certificate", ["certificate_id", "id"])
    _index("copies", "organisation", ["organisation", "id"], "organisation IS NOT NULL")
    _index("copies", "sha256", ["sha256"], "sha256 IS NOT NULL")
    _index("copies", "document_hash", ["document_hash"], "document_hash IS NOT NULL")
    _index("copies", "kept", ["expires_at"], "document_hash IS NOT NULL")
    op.create_table(
        "copy_seals",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_copy_seals")),
        schema="certs",
    )
    op.create_table(
        "copy_downloads",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("copy_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["copy_id"], ["certs.copies.id"], name=op.f("fk_copy_downloads_copy_id_copies")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_copy_downloads")),
        schema="certs",
    )
    _index("copy_downloads", "expires_at", ["expires_at"])


def _applications() -> None:
    op.create_table(
        "access_applications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("uses", postgresql.JSONB(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("without_holder", sa.Boolean(), nullable=False),
        sa.Column("per_day", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("applicant_kind", sa.Text(), nullable=False),
        sa.Column("applicant_id", sa.Text(), nullable=False),
        sa.Column("applicant_name", sa.Text(), nullable=False),
        sa.Column("submitted_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("overdue_at", _TIME, nullable=True),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_applications")),
        sa.UniqueConstraint("applicant_id", "request_key", name=op.f("uq_access_applications_applicant_id_request_key")),
        schema="certs",
    )
    _index("access_applications", "organisation", ["organisation", "id"])
    _index("access_applications", "open", ["organisation", "type_code"], "stage = 'open'")
    _index("access_applications", "waiting", ["due_at"], "stage = 'submitted'")


def _rates() -> None:
    op.create_table(
        "requester_rates",
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("per_minute", sa.BigInteger(), nullable=False),
        sa.Column("per_day", sa.BigInteger(), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("requester", "use", "type_code", name=op.f("pk_requester_rates")),
        schema="certs",
    )
    op.create_table(
        "requester_uses",
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("requester", "use", "type_code", "day", name=op.f("pk_requester_uses")),
        schema="certs",
    )
    op.create_table(
        "working_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("works", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_working_days")),
        schema="certs",
    )


def _index(table: str, name: str, columns: list[str], where: str | None = None) -> None:
    op.create_index(f"ix_{table}_{name}", table, columns, schema="certs", postgresql_where=sa.text(where) if where else None)


def downgrade() -> None:
    for table in (
        "working_days", "requester_uses", "requester_rates", "access_applications", "copy_downloads", "copy_seals", "copies",
    ):  # fmt: skip
        op.drop_table(table, schema="certs")
