"""OCSP answers of others, bought certificates of seals, and the API's idempotency of moves of trust."""

import sqlalchemy as sa
from alembic import op

revision = "0014_trust_answers"
down_revision = "0013_ceremony"
branch_labels = None
depends_on = None

BOUGHT = ("document_signer", "seal_signer", "maker")


def upgrade() -> None:
    op.create_table(
        "external_answers",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_external_answers")),
        schema="keys",
    )
    op.create_table(
        "trust_requests",
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "key", name=op.f("pk_trust_requests")),
        schema="keys",
    )
    for name in BOUGHT:
        op.add_column("seals", sa.Column(name, sa.Text(), nullable=True), schema="seal")


def downgrade() -> None:
    for name in BOUGHT:
        op.drop_column("seals", name, schema="seal")
    op.drop_table("trust_requests", schema="keys")
    op.drop_table("external_answers", schema="keys")
