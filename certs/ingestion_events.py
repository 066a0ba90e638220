"""That an import has ended, for subscribers of the organisation that imported: ids and counts, nothing of what stood in the file."""

import datetime as dt

from certs.models import ImportRow
from certs.outbox import write_event
from keys.base.db import AsyncSession
from keys.evidence.audit import JSON


def tell_end(session: AsyncSession, now: dt.datetime, job: ImportRow) -> None:
    """Write ``import.done``, or ``import.failed`` with the code of what ended it, in the transaction in which it ends."""
    payload: dict[str, JSON] = {"id": str(job.id), "type": job.type_code, "rows": job.rows_done, "dry_run": job.dry_run}
    if job.state == "failed":
        write_event(session, now, "import.failed", job.id, payload | {"code": job.failure}, to=_organisation(job))
    else:
        write_event(session, now, "import.done", job.id, payload | {"flagged": job.flagged}, to=_organisation(job))


def _organisation(job: ImportRow) -> tuple[str, ...]:
    return (job.organisation,) if job.organisation else ()
