"""Issuing in bulk: jobs, and a row for each approval of one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034_certificate_figures"
down_revision = "0033_federation"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bulk_issues",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "key", "state")),
        sa.Column("upload", sa.Uuid(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_issues")),
        schema="certs",
    )
    op.create_index("uq_bulk_issues_key", "bulk_issues", ["client_id", "key"], unique=True, schema="certs")
    op.create_index("ix_bulk_issues_running", "bulk_issues", ["id"], schema="certs", postgresql_where=sa.text("state = 'running'"))
    op.create_index("ix_bulk_issues_organisation", "bulk_issues", ["organisation", "id"], schema="certs")
    _items()


def _items() -> None:
    table, key = "bulk_issue_items", ["job_id", "position"]
    op.create_table(
        table,
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["certs.bulk_issues.id"], name=op.f("fk_bulk_issue_items_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_bulk_issue_items")),
        schema="certs",
    )
    for state in ("waiting", "refused"):
        op.create_index(f"ix_{table}_{state}", table, key, schema="certs", postgresql_where=sa.text(f"state = '{state}'"))
    op.create_index(f"ix_{table}_body_data_key", table, [sa.text("substr(body, 2, 16)")], schema="certs")
    op.execute(
        f"CREATE TRIGGER body_data_key BEFORE INSERT OR UPDATE OF body ON certs.{table} FOR EACH ROW"
        " WHEN (NOT identity.data_key_stands(NEW.body)) EXECUTE FUNCTION identity.refuse_envelope()"
    )


def downgrade() -> None:
    op.drop_table("bulk_issue_items", schema="certs")
    op.drop_table("bulk_issues", schema="certs")
