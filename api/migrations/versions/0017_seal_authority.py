"""Authority over seals: approvals, delegation, quotas, places, reviews, alerts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017_seal_authority"
down_revision = "0016_seal_making"
branch_labels = None
depends_on = None

TABLES = (
    "alerts",
    "refusals",
    "grant_counters",
    "postings",
    "window_seals",
    "windows",
    "legal_bases",
    "approvals",
    "requirements",
)
USE_COLUMNS = ("document_kind", "requester", "window_id", "address")


def _grants() -> None:
    columns = (
        sa.Column("document_kind", sa.Text(), nullable=True),
        sa.Column("window_id", sa.Text(), nullable=True),
        sa.Column("networks", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("hours", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("quota_day", sa.BigInteger(), nullable=True),
        sa.Column("quota_total", sa.BigInteger(), nullable=True),
        sa.Column("ancestors", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("delegable", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
    )
    for column in columns:
        op.add_column("grants", column, schema="seal")
    op.execute("UPDATE seal.grants SET quota_day = 10000 WHERE unattended")


def _permits_and_uses() -> None:
    for table in ("permits", "uses"):
        for name in USE_COLUMNS:
            op.add_column(table, sa.Column(name, sa.Text(), nullable=True), schema="seal")
    ancestors = sa.Column("ancestors", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False)
    op.add_column("permits", ancestors, schema="seal")
    for table in ("permits", "seals"):
        version = sa.Column("authority_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
        op.add_column(table, version, schema="seal")
    op.add_column("uses", sa.Column("grant_id", sa.Uuid(), nullable=True), schema="seal")


def _rules() -> None:
    op.create_table(
        "requirements",
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("assurance", sa.BigInteger(), nullable=False),
        sa.Column("authenticator", sa.BigInteger(), nullable=False),
        sa.Column("approvals", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_requirements_seal_id")),
        sa.PrimaryKeyConstraint("seal_id", name=op.f("pk_requirements")),
        schema="seal",
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("approver_name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_approvals_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        schema="seal",
    )
    op.create_index("ix_approvals_document", "approvals", ["document_hash", "seal_id"], unique=False, schema="seal")
    op.create_index(
        "uq_approvals_standing",
        "approvals",
        ["seal_id", "document_hash", "approver", "requester"],
        unique=True,
        schema="seal",
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    op.create_table(
        "legal_bases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_legal_bases_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_bases")),
        schema="seal",
    )
    op.create_index(
        "uq_legal_bases_standing",
        "legal_bases",
        ["seal_id", "matter_code"],
        unique=True,
        schema="seal",
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )


def _windows() -> None:
    op.create_table(
        "windows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("networks", postgresql.JSONB(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
        schema="seal",
    )
    op.create_table(
        "window_seals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("window_id", sa.Text(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returned_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_window_seals_seal_id")),
        sa.ForeignKeyConstraint(["window_id"], ["seal.windows.id"], name=op.f("fk_window_seals_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_seals")),
        schema="seal",
    )
    op.create_index(
        "uq_window_seals_kept",
        "window_seals",
        ["seal_id", "window_id"],
        unique=True,
        schema="seal",
        postgresql_where=sa.text("returned_at IS NULL"),
    )
    op.create_table(
        "postings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("window_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("posted_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["window_id"], ["seal.windows.id"], name=op.f("fk_postings_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
        schema="seal",
    )
    op.create_index(
        "uq_postings_standing",
        "postings",
        ["person", "window_id"],
        unique=True,
        schema="seal",
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _watch() -> None:
    op.create_table(
        "grant_counters",
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grant_id"], ["seal.grants.id"], name=op.f("fk_grant_counters_grant_id")),
        sa.PrimaryKeyConstraint("grant_id", "period", name=op.f("pk_grant_counters")),
        schema="seal",
    )
    op.create_table(
        "refusals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_refusals_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
        schema="seal",
    )
    op.create_index("ix_refusals_seal", "refusals", ["seal_id", "at"], unique=False, schema="seal")
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_alerts_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        schema="seal",
    )
    op.create_index(
        "ix_alerts_open", "alerts", ["seal_id", "at"], unique=False, schema="seal", postgresql_where=sa.text("acknowledged_at IS NULL")
    )
    op.create_index("uq_alerts_occasion", "alerts", ["seal_id", "rule", "mark"], unique=True, schema="seal")


def upgrade() -> None:
    _grants()
    _permits_and_uses()
    _rules()
    _windows()
    _watch()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table, schema="seal")
    op.drop_column("uses", "grant_id", schema="seal")
    for table in ("permits", "seals"):
        op.drop_column(table, "authority_version", schema="seal")
    op.drop_column("permits", "ancestors", schema="seal")
    for table in ("permits", "uses"):
        for name in USE_COLUMNS:
            op.drop_column(table, name, schema="seal")
    for name in (
        "document_kind", "window_id", "networks", "hours", "quota_day", "quota_total", "ancestors", "delegable", "reviewed_at", "reviewed_by"
    ):  # fmt: skip
        op.drop_column("grants", name, schema="seal")
