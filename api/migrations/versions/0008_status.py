"""Suspension and history of certificates, partitioned lists, answers of the status responder."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008_status"
down_revision = "0007_pki"
branch_labels = None
depends_on = None

# What was revoked before gets its history; who did it stands in the audit log.
HISTORY_OF_OLD = """
INSERT INTO keys.certificate_status_changes (serial, number, move, status, at, revoked_at, reason, actor_kind, actor_id)
SELECT serial, 1, 'revoke', 'revoked', revoked_at, revoked_at, coalesce(revocation_reason, 'unspecified'), 'system', 'fujie'
FROM keys.certificates WHERE revoked_at IS NOT NULL
"""
COUNT_OF_OLD = "UPDATE keys.certificates SET status_changes = 1 WHERE revoked_at IS NOT NULL"

# DER of the entries, as keys.pki.crl_format writes them: SEQUENCE{serial, UTCTime, [extensions{cRLReason}]}.
ENTRIES_OF_OLD = """
INSERT INTO keys.crl_entries (serial, authority, partition, revoked_at, entry)
SELECT serial, authority, 0, revoked_at,
       decode('30' || lpad(to_hex(octet_length(body)), 2, '0'), 'hex') || body
FROM (
    SELECT serial, authority, revoked_at,
           decode('0210', 'hex') || decode(serial, 'hex')
           || decode('170d', 'hex') || convert_to(to_char(revoked_at AT TIME ZONE 'UTC', 'YYMMDDHH24MISS') || 'Z', 'UTF8')
           || CASE WHEN code IS NULL THEN ''::bytea
              ELSE decode('300c300a0603551d1504030a01' || code, 'hex') END AS body
    FROM keys.certificates
    LEFT JOIN (VALUES ('key_compromise', '01'), ('ca_compromise', '02'), ('affiliation_changed', '03'), ('superseded', '04'),
                      ('cessation_of_operation', '05'), ('privilege_withdrawn', '09')) AS reasons (name, code)
           ON name = revocation_reason
    WHERE revoked_at IS NOT NULL
) AS revoked
"""

KEPT = """
CREATE FUNCTION keys.refuse_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'keys.% keeps what it holds', TG_TABLE_NAME;
END $$
"""


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _serial(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["serial"], ["keys.certificates.serial"], name=op.f(f"fk_{table}_serial"))


def _authority(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["authority"], ["keys.authorities.name"], name=op.f(f"fk_{table}_authority"))


def upgrade() -> None:
    _history()
    _lists()
    _ocsp()
    for statement in (HISTORY_OF_OLD, COUNT_OF_OLD, ENTRIES_OF_OLD, KEPT):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON keys.certificate_status_changes"
        " FOR EACH ROW EXECUTE FUNCTION keys.refuse_status_change()"
    )


def _history() -> None:
    op.add_column("certificates", _time("invalidity_date", nullable=True), schema="keys")
    op.add_column("certificates", sa.Column("status_changes", sa.BigInteger(), nullable=False, server_default="0"), schema="keys")
    op.alter_column("certificates", "status_changes", server_default=None, schema="keys")
    op.create_table(
        "certificate_status_changes",
        _text("serial"),
        _count("number"),
        _text("move"),
        _text("status"),
        _time("at"),
        _time("revoked_at", nullable=True),
        _text("reason", nullable=True),
        _time("invalidity_date", nullable=True),
        _text("actor_kind"),
        _text("actor_id"),
        _serial("certificate_status_changes"),
        sa.PrimaryKeyConstraint("serial", "number", name=op.f("pk_certificate_status_changes")),
        schema="keys",
    )


def _lists() -> None:
    op.add_column("crls", sa.Column("partition", sa.BigInteger(), nullable=False, server_default="0"), schema="keys")
    op.alter_column("crls", "partition", server_default=None, schema="keys")
    op.drop_constraint("pk_crls", "crls", schema="keys")
    op.create_primary_key("pk_crls", "crls", ["authority", "partition", "number"], schema="keys")
    op.create_table(
        "crl_entries",
        _text("serial"),
        _text("authority"),
        _count("partition"),
        _time("revoked_at"),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        _serial("crl_entries"),
        _authority("crl_entries"),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_crl_entries")),
        schema="keys",
    )
    op.create_index("ix_crl_entries_authority", "crl_entries", ["authority", "partition"], schema="keys")
    op.create_table(
        "crl_partitions",
        _text("authority"),
        _count("partition"),
        _count("changes"),
        _authority("crl_partitions"),
        sa.PrimaryKeyConstraint("authority", "partition", name=op.f("pk_crl_partitions")),
        schema="keys",
    )


def _ocsp() -> None:
    op.create_table(
        "ocsp_responders",
        _text("serial"),
        _text("authority"),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        _time("not_before"),
        _time("not_after"),
        _serial("ocsp_responders"),
        _authority("ocsp_responders"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.stored_keys.id"], name=op.f("fk_ocsp_responders_key_id")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_ocsp_responders")),
        schema="keys",
    )
    op.create_index("ix_ocsp_responders_authority", "ocsp_responders", ["authority"], schema="keys")
    op.create_table(
        "ocsp_answers",
        _text("serial"),
        sa.Column("algorithm", sa.LargeBinary(), nullable=False),
        _count("changes"),
        _time("produced_at"),
        _time("next_update"),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        _serial("ocsp_answers"),
        sa.PrimaryKeyConstraint("serial", "algorithm", name=op.f("pk_ocsp_answers")),
        schema="keys",
    )


def downgrade() -> None:
    op.drop_table("ocsp_answers", schema="keys")
    op.drop_table("ocsp_responders", schema="keys")
    op.drop_table("crl_partitions", schema="keys")
    op.drop_table("crl_entries", schema="keys")
    op.execute("DELETE FROM keys.crls WHERE partition > 0")
    op.drop_constraint("pk_crls", "crls", schema="keys")
    op.create_primary_key("pk_crls", "crls", ["authority", "number"], schema="keys")
    op.drop_column("crls", "partition", schema="keys")
    op.execute("DROP TRIGGER kept ON keys.certificate_status_changes")
    op.execute("DROP FUNCTION keys.refuse_status_change()")
    op.drop_table("certificate_status_changes", schema="keys")
    op.drop_column("certificates", "status_changes", schema="keys")
    op.drop_column("certificates", "invalidity_date", schema="keys")
