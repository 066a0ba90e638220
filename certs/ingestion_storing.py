"""A prepared batch goes into the tables, by COPY on the session's own connection and in its transaction."""

import io
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from certs.ingestion_rows import CERTIFICATE, EVENT, FLAGGED, HOLDER, Prepared, finished, flag_line
from certs.ingestion_scans import SCAN, Scans, scan_line
from keys.base.db import AsyncSession
from keys.base.errors import FujieError


class ImportBatchRefused(FujieError):
    """The database refused a batch. It names no value: what a batch holds is personal."""

    code = "IMPORT_BATCH_REFUSED"
    status = 500
    public = ("导入的一批数据未能写入，请重试。", "A batch of the import could not be stored. Please try again.")


async def store_records(
    session: AsyncSession, batch: Prepared, hashes: Mapping[int, bytes], import_id: uuid.UUID, scans: Scans | None
) -> None:
    """Records, holders and first events. ``hashes``: the stored file of a row; of a scan it waits to be sealed."""
    lines = batch.records.copy()
    for place in batch.changed | hashes.keys():
        lines[place] = finished(lines[place], None if scans else hashes.get(place), batch.flags[place])
    await _copy(session, "certificates", CERTIFICATE, _octets(lines))
    await _copy(session, "holders", HOLDER, batch.holders)
    await _copy(session, "events", EVENT, batch.events)
    if scans:
        waiting = [scan_line(batch.ids[place], str(import_id), digest, scans) for place, digest in sorted(hashes.items())]
        await _copy(session, "scans", SCAN, _octets(waiting))


async def store_flags(session: AsyncSession, import_id: uuid.UUID, batch: Prepared, *, with_records: bool) -> int:
    """The flagged rows, for the report; how many."""
    key = str(import_id)
    told = {
        line: flag_line(key, line, one if with_records else None, identifier, flags)
        for line, one, identifier, flags in zip(batch.lines, batch.ids, batch.identifiers, batch.flags, strict=True)
        if flags
    }
    told |= {line: flag_line(key, line, None, "", flags) for line, flags in batch.unread}
    await _copy(session, "import_flags", FLAGGED, _octets(told[line] for line in sorted(told)))
    return len(told)


def _octets(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode()


async def _copy(session: AsyncSession, table: str, columns: Iterable[str], octets: bytes) -> None:
    if not octets:
        return
    raw: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    try:
        await raw.copy_to_table(table, source=io.BytesIO(octets), columns=columns, schema_name="certs", format="text")
    except asyncpg.PostgresError as error:  # its text cites the row
        raise ImportBatchRefused(f"{table}: {error.sqlstate}") from None
