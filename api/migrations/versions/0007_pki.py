"""Authorities that others certify, serial numbers written down before use, keys that may not come twice."""

import hashlib

import sqlalchemy as sa
from alembic import op
from asn1crypto import x509

revision = "0007_pki"
down_revision = "0005_guards"
branch_labels = None
depends_on = None

KINDS = {
    "root": "root",
    "root-sm": "root",
    "seal": "seal-ca",
    "seal-sm": "seal-ca",
    "seal-maker": "seal-maker-ca",
}
"""The authorities that there could be until now, and the profiles they have from now on."""


def upgrade() -> None:
    op.create_table(
        "serials",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_serials")),
        schema="keys",
    )
    op.add_column("authorities", sa.Column("profile", sa.Text(), nullable=True), schema="keys")
    op.add_column(
        "authorities", sa.Column("external_chain", sa.ARRAY(sa.LargeBinary()), nullable=False, server_default="{}"), schema="keys"
    )
    op.alter_column("authorities", "external_chain", server_default=None, schema="keys")
    op.add_column("certificates", sa.Column("public_key", sa.LargeBinary(), nullable=True), schema="keys")
    op.add_column("certificates", sa.Column("predecessor", sa.Text(), nullable=True), schema="keys")
    op.add_column("certificates", sa.Column("holder", sa.Uuid(), nullable=True), schema="keys")
    _fill()
    op.alter_column("authorities", "profile", nullable=False, schema="keys")
    op.alter_column("certificates", "public_key", nullable=False, schema="keys")
    op.create_index("ix_certificates_public_key", "certificates", ["public_key"], schema="keys")
    op.create_index("ix_certificates_holder", "certificates", ["holder"], schema="keys", postgresql_where=sa.text("holder IS NOT NULL"))


def _fill() -> None:
    connection = op.get_bind()
    named = sa.text("UPDATE keys.authorities SET profile = :profile WHERE name = :name")
    for name, profile in KINDS.items():
        connection.execute(named, {"name": name, "profile": profile})
    _rename_profiles(connection)
    digested = sa.text("UPDATE keys.certificates SET public_key = :digest WHERE serial = :serial")
    for serial, der in connection.execute(sa.text("SELECT serial, certificate FROM keys.certificates")).all():
        key = x509.Certificate.load(der)["tbs_certificate"]["subject_public_key_info"].dump() if der else serial.encode()
        connection.execute(digested, {"digest": hashlib.sha256(key).digest(), "serial": serial})


def _rename_profiles(connection: sa.Connection) -> None:
    """An authority's own certificate carries the profile that the authority has."""
    pairs = connection.execute(sa.text("SELECT certificate, profile FROM keys.authorities WHERE certificate <> ''")).all()
    renamed = sa.text("UPDATE keys.certificates SET profile = :profile WHERE certificate = :certificate")
    for certificate, profile in pairs:
        connection.execute(renamed, {"certificate": certificate, "profile": profile})


def downgrade() -> None:
    op.drop_index("ix_certificates_holder", table_name="certificates", schema="keys")
    op.drop_index("ix_certificates_public_key", table_name="certificates", schema="keys")
    for column in ("holder", "predecessor", "public_key"):
        op.drop_column("certificates", column, schema="keys")
    for column in ("external_chain", "profile"):
        op.drop_column("authorities", column, schema="keys")
    op.drop_table("serials", schema="keys")
