"""Time stamps that wait, and the last instant the clock showed."""

import sqlalchemy as sa
from alembic import op

revision = "0009_time"
down_revision = "0008_status"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "timestamp_signers",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_timestamp_signers_key_id_stored_keys")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_timestamp_signers")),
        schema="keys",
    )
    op.create_table(
        "time_marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("instant", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_time_marks")),
        schema="keys",
    )
    # The statements that move a mark forward find it there: none of them has to make it first.
    op.execute("INSERT INTO keys.time_marks (name, instant, count) VALUES ('clock', 'epoch', 0), ('tsa', 'epoch', 0)")
    op.create_table(
        "timestamps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("stamped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timestamps")),
        schema="keys",
    )
    op.create_index("ix_timestamps_waiting", "timestamps", ["enqueued_at"], schema="keys", postgresql_where=sa.text("token IS NULL"))
    op.create_index("ix_timestamps_subject", "timestamps", ["subject"], schema="keys")


def downgrade() -> None:
    for table in ("timestamps", "time_marks", "timestamp_signers"):
        op.drop_table(table, schema="keys")
