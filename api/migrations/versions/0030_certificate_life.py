"""Reasons of moves, transfers, annual checks, and moves of many at once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030_certificate_life"
down_revision = "0029_certificate_issuing"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
EXPIRING = "stage = 'issued' AND status IN ('01', '02') AND valid_to >= (created_at AT TIME ZONE 'Asia/Shanghai')::date"
TABLES = ("move_job_items", "move_jobs", "annual_checks", "annual_rules", "transfers", "move_reasons")


def upgrade() -> None:
    op.add_column("events", sa.Column("reason_code", sa.Text(), nullable=True), schema="certs")
    op.add_column("events", sa.Column("legal_basis", sa.Text(), nullable=True), schema="certs")
    op.create_index("ix_certificates_expiring", "certificates", ["valid_to"], schema="certs", postgresql_where=sa.text(EXPIRING))
    _reasons()
    _transfers()
    _annual_checks()
    _jobs()


def _reasons() -> None:
    op.create_table(
        "move_reasons",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("moves", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("zh", "en", "basis_zh", "basis_en")),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("retired_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_move_reasons")),
        schema="certs",
    )


def _transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("from_organisation", "to_organisation", "state", "reason")),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_transfers_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        schema="certs",
    )
    op.create_index(
        "uq_transfers_open", "transfers", ["certificate_id"], unique=True, schema="certs", postgresql_where=sa.text("state = 'open'")
    )
    op.create_index("ix_transfers_to", "transfers", ["to_organisation", "id"], schema="certs")
    op.create_index("ix_transfers_from", "transfers", ["from_organisation", "id"], schema="certs")


def _annual_checks() -> None:
    op.create_table(
        "annual_rules",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.SmallInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type_code", name=op.f("pk_annual_rules")),
        schema="certs",
    )
    op.create_table(
        "annual_checks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("organisation", "actor_kind", "actor_id", "actor_name")),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_annual_checks_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annual_checks")),
        schema="certs",
    )
    op.create_index("ix_annual_checks_certificate", "annual_checks", ["certificate_id", "year"], schema="certs")
    op.create_index(
        "uq_annual_checks_request", "annual_checks", ["certificate_id", "actor_id", "request_key"], unique=True, schema="certs",
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )  # fmt: skip


def _jobs() -> None:
    op.create_table(
        "move_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("legal_basis", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("actor", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_move_jobs")),
        schema="certs",
    )
    op.create_index("uq_move_jobs_request", "move_jobs", ["actor_id", "request_key"], unique=True, schema="certs")
    op.create_index("ix_move_jobs_organisation", "move_jobs", ["organisation", "id"], schema="certs")
    op.create_index("ix_move_jobs_open", "move_jobs", ["id"], schema="certs", postgresql_where=sa.text("finished_at IS NULL"))
    op.create_table(
        "move_job_items",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("done_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["certs.move_jobs.id"], name=op.f("fk_move_job_items_job_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_move_job_items")),
        schema="certs",
    )
    op.create_index(
        "ix_move_job_items_open", "move_job_items", ["job_id", "position"], schema="certs", postgresql_where=sa.text("outcome IS NULL")
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table, schema="certs")
    op.drop_index("ix_certificates_expiring", table_name="certificates", schema="certs")
    op.drop_column("events", "legal_basis", schema="certs")
    op.drop_column("events", "reason_code", schema="certs")
