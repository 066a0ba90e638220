"""Imports as the house runs them: what they need, and their turns in the background."""

import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from api.wiring import House
from certs.import_jobs import ImportView, work_imports
from certs.import_rechecks import work_rechecks
from certs.ingestion import Ingestion, flagged_rows
from certs.ingestion_report import CommaSeparated, Facts, Spreadsheet
from certs.scan_sealing import work_scans

IMPORT_SECONDS = 2.0
Step = Callable[[], Awaitable[object]]


def ingestion_of(house: House) -> Ingestion:
    """What an import needs."""
    return Ingestion(house.database, house.personal, house.clock, house.blobs, house.workers)


def import_steps(house: House) -> dict[str, tuple[float, Step]]:
    """Name → seconds between turns, and the step."""
    needed = ingestion_of(house)
    return {
        "imports": (IMPORT_SECONDS, lambda: work_imports(needed)),
        "re-checks": (IMPORT_SECONDS, lambda: work_rechecks(needed)),
        "scans": (IMPORT_SECONDS, lambda: work_scans(house.issuing)),
    }


async def write_report(house: House, view: ImportView, form: str) -> Path:
    """The report in a file of its own, which the caller removes. ``form``: xlsx or csv."""
    with tempfile.NamedTemporaryFile(prefix="fujie-import-", suffix=f".{form}", delete=False) as file:
        path = Path(file.name)
    facts = Facts(view.file_name, view.rows, view.flagged, view.flag_counts, view.dry_run)
    report = Spreadsheet(path, facts) if form == "xlsx" else CommaSeparated(path)
    async for row in flagged_rows(house.database, view.id):
        report.add(row.line, row.identifier, row.flags)
    report.close()
    return path


def report_name(import_id: uuid.UUID, form: str) -> str:
    """What a browser saves it as."""
    return f"import-{import_id}.{form}"
