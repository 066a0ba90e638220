"""Issuing in bulk over HTTP (``docs/bulk-issuing.md``): a file of approvals, its progress, its report (``/api/v1/bulk-issues``).

Scope ``certificates:issue``. The file is the body: JSON lines, each as ``POST /api/v1/approvals`` takes it, or CSV with a header line.
"""

import tempfile
import uuid
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from api.addresses import address_of
from api.bearer import require_scope
from api.routes.certificates import ISSUE, NO_STORE
from api.wiring import House
from certs.bulk_issuing import BulkJob, BulkLine, BulkUnreadable, cancel, get_job, list_jobs, report_lines, submit
from keys.base.errors import NotFound

MOST_OCTETS = 256 << 20
IN_MEMORY = 1 << 20
PATH = "/api/v1/bulk-issues"
router = APIRouter(prefix=PATH, tags=["issuing"])
_FILE = {"requestBody": {"required": True, "content": {"application/x-ndjson": {}, "text/csv": {}}}}


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


@router.post("", name="post_bulk_issue", operation_id="post_bulk_issue", status_code=202, openapi_extra=_FILE)
async def post_bulk_issue(request: Request, name: str = "") -> Response:
    """Take a file of up to 100,000 approvals; 202 with the job. ``Idempotency-Key`` is required; ``name``: what people call it."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        received = 0
        async for part in request.stream():
            received += len(part)
            if received > MOST_OCTETS:
                raise BulkUnreadable("too large", errors=[{"field": "file", "message": f"more than {MOST_OCTETS} octets"}])
            file.write(part)
        file.seek(0)
        key, address = request.headers.get("Idempotency-Key"), address_of(request)
        job = await submit(house.issuing, actor, name, file, key, address=address)  # type: ignore[arg-type]
    headers = NO_STORE | {"Location": f"{house.base_url}/api/v1/bulk-issues/{job.id}"}
    return JSONResponse(job_json(house.base_url, job), 202, headers)


@router.get("", name="get_bulk_issues", operation_id="get_bulk_issues")
async def get_bulk_issues(request: Request) -> Response:
    """The organisation's jobs, newest first."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    async with house.database.session() as session:
        jobs = await list_jobs(session, actor)
    return JSONResponse({"items": [job_json(house.base_url, one) for one in jobs]}, headers=NO_STORE)


@router.get("/{job_id}", name="get_bulk_issue", operation_id="get_bulk_issue")
async def get_bulk_issue(request: Request, job_id: str) -> Response:
    """How far it is: rows by state."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    async with house.database.session() as session:
        job = await get_job(session, actor, _id(job_id))
    return JSONResponse(job_json(house.base_url, job), headers=NO_STORE)


@router.get("/{job_id}/rows", name="get_bulk_issue_rows", operation_id="get_bulk_issue_rows", response_class=Response)
async def get_bulk_issue_rows(request: Request, job_id: str, state: str = "") -> Response:
    """The report as JSON lines, one for each row; ``state``: only rows of that state, such as ``refused``."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    async with house.database.session() as session:
        job = await get_job(session, actor, _id(job_id))

    async def lines() -> AsyncIterator[bytes]:
        async for part in report_lines(house.database, job.id, only=state or None):
            yield b"".join(orjson.dumps(line_json(house.base_url, one)) + b"\n" for one in part)

    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=NO_STORE)


@router.post("/{job_id}/cancel", name="cancel_bulk_issue", operation_id="cancel_bulk_issue")
async def cancel_bulk_issue(request: Request, job_id: str) -> Response:
    """End it: what was not begun is not issued, what was issued stays."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    return JSONResponse(job_json(house.base_url, await cancel(house.issuing, actor, _id(job_id))), headers=NO_STORE)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound("job") from None


def job_json(base_url: str, job: BulkJob) -> dict[str, Any]:
    own = f"{base_url}/api/v1/bulk-issues/{job.id}"
    return {
        "id": str(job.id), "name": job.name, "state": job.state, "rows": job.items, "done": job.done, "counts": dict(job.counts),
        "created_at": job.created_at.isoformat(), "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "links": {"self": own, "rows": f"{own}/rows", "refused": f"{own}/rows?state=refused"},
    }  # fmt: skip


def line_json(base_url: str, line: BulkLine) -> dict[str, Any]:
    told: dict[str, Any] = {"row": line.row, "state": line.state}
    if line.certificate_id is not None:
        told |= {"certificate": f"{base_url}/api/v1/certificates/{line.certificate_id}", "id": str(line.certificate_id)}
    if line.code is not None:
        told |= {"code": line.code, "errors": list(line.errors)}
    return told
