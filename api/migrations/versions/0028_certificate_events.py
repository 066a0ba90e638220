"""Events to subscribers, and their deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028_certificate_events"
down_revision = "0027_certificate_ingestion"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("notice_marks", "drops", "entrances", "deliveries", "subscriptions")


def upgrade() -> None:
    _outbox()
    _subscriptions()
    _deliveries()
    _entrances()
    _drops()
    op.create_table(
        "notice_marks",
        sa.Column("reader", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("reader", name=op.f("pk_notice_marks")),
        schema="certs",
    )


def _outbox() -> None:
    nobody = sa.text("'[]'::jsonb")
    organisations = sa.Column("organisations", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default=nobody)
    op.add_column("outbox", organisations, schema="certs")
    op.add_column("outbox", sa.Column("sequence", sa.BigInteger(), nullable=True), schema="certs")
    op.add_column("outbox", sa.Column("type_code", sa.Text(), nullable=True), schema="certs")
    op.add_column("outbox", sa.Column("to_all", sa.Boolean(), nullable=False, server_default=sa.text("false")), schema="certs")
    given = sa.text("sequence IS NOT NULL")
    op.create_index("ix_outbox_sequence", "outbox", ["sequence"], unique=True, schema="certs", postgresql_where=given)
    op.create_index("ix_outbox_subject", "outbox", ["subject"], schema="certs")


def _secrets() -> list[sa.Column]:
    return [
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("former", sa.LargeBinary(), nullable=True),
        sa.Column("former_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
    ]


def _index_secrets(table: str) -> None:
    op.create_index(f"ix_{table}_organisation", table, ["organisation"], schema="certs")
    for column in ("secret", "former"):
        op.create_index(f"ix_{table}_{column}_data_key", table, [sa.text(f"substr({column}, 2, 16)")], schema="certs")


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("types", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        *_secrets(),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("lease_owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("failed_at", TIME, nullable=True),
        sa.Column("succeeded_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        schema="certs",
    )
    _index_secrets("subscriptions")


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("queued_at", TIME, nullable=False),
        sa.Column("tried_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("answer", sa.SmallInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["subscription_id"], ["certs.subscriptions.id"], name=op.f("fk_deliveries_subscription_id")),
        sa.ForeignKeyConstraint(["event_id"], ["certs.outbox.id"], name=op.f("fk_deliveries_event_id")),
        sa.PrimaryKeyConstraint("subscription_id", "sequence", name=op.f("pk_deliveries")),
        schema="certs",
    )
    for state in ("waiting", "dead"):
        op.create_index(
            f"ix_deliveries_{state}", "deliveries", ["subscription_id", "sequence"], schema="certs",
            postgresql_where=sa.text(f"state = '{state}'"),
        )  # fmt: skip
    op.create_index("ix_deliveries_ended", "deliveries", ["ended_at"], schema="certs", postgresql_where=sa.text("state = 'delivered'"))
    op.create_index("ix_deliveries_event", "deliveries", ["event_id"], schema="certs")


def _entrances() -> None:
    op.create_table(
        "entrances",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        *_secrets(),
        sa.Column("used_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entrances")),
        schema="certs",
    )
    _index_secrets("entrances")


def _drops() -> None:
    op.create_table(
        "drops",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drops")),
        schema="certs",
    )
    op.create_index("ix_drops_file", "drops", ["client_id", "file_hash"], unique=True, schema="certs")


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table, schema="certs")
    for index in ("subject", "sequence"):
        op.drop_index(f"ix_outbox_{index}", table_name="outbox", schema="certs")
    for column in ("to_all", "type_code", "sequence", "organisations"):
        op.drop_column("outbox", column, schema="certs")
