"""Which files are referred to: by any column of ``certs`` or ``seal`` that holds a hash.

The columns are read from the database's own catalogue, not listed here: a table that is added tomorrow protects its files from the day
it exists. Better a file too many is kept than one is lost (docs/decisions/0101-files-in-a-folder-or-s3.md).
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_COLUMNS = text(
    """
SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), quote_ident(column_name)
  FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
 WHERE table_schema IN ('certs', 'seal') AND table_type = 'BASE TABLE' AND data_type = 'bytea'
   AND (column_name LIKE '%hash' OR column_name LIKE '%digest')
   AND table_name NOT IN ('scrub_findings', 'imports', 'idempotency')
 ORDER BY 1, 2"""
)
_KEPT = frozenset(
    {
        ("certs.certificates", "document_hash"), ("certs.issuings", "unsealed_hash"), ("seal.documents", "document_hash"),
        ("seal.requested_seals", "base_hash"), ("seal.requested_seals", "sealed_hash"), ("seal.batch_documents", "sealed_hash"),
        ("seal.sealed_files", "first_hash"), ("seal.sealed_files", "current_hash"), ("seal.sealed_versions", "document_hash"),
        ("certs.copies", "document_hash"),
        ("certs.scans", "scan_digest"),
    }
)  # fmt: skip
"""Columns whose files must be there: the scrubber asks for each. Others name files that were never ours or may be gone."""


async def hash_columns(session: AsyncSession) -> list[tuple[str, str]]:
    """Table and column, quoted for SQL."""
    return [(table, column) for table, column in await session.execute(_COLUMNS)]


async def referred_to(session: AsyncSession, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the hashes that any row names."""
    found: set[bytes] = set()
    for table, column in await hash_columns(session):
        rows = await session.scalars(text(f"SELECT {column} FROM {table} WHERE {column} = ANY(:digests)"), {"digests": list(digests)})  # noqa: S608
        found.update(rows)
    return found


async def next_kept(session: AsyncSession, after: bytes, limit: int) -> list[bytes]:
    """The next hashes, in their order, of files that must be there. What is only half issued is not asked for yet."""
    parts = [
        f"(SELECT {column} AS digest FROM {table} WHERE {column} > :after{_certain(table, column)} ORDER BY {column} LIMIT :most)"  # noqa: S608
        for table, column in await hash_columns(session)
        if (table, column) in _KEPT
    ]
    merged = text(f"SELECT DISTINCT digest FROM ({' UNION ALL '.join(parts)}) AS kept ORDER BY digest LIMIT :most")  # noqa: S608
    return list(await session.scalars(merged, {"after": after, "most": limit}))


def _certain(table: str, column: str) -> str:
    # An unsealed file matters only while it waits for its stamp; afterwards the sealed one stands for it.
    return " AND stage = 'awaiting_stamp'" if (table, column) == ("certs.issuings", "unsealed_hash") else ""
