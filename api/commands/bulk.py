"""``fujie bulk issue FILE --client ID``: issue up to 100,000 certificates from a file; ``fujie bulk status``, ``rows``, ``cancel``.

The file may be given again: what was issued stays issued, an interrupted job goes on. ``fujie serve`` and ``fujie worker`` help with it.
"""

import asyncio
import csv
import hashlib
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from api.approval_rows import approval_of
from api.commands.house import with_house
from api.wiring import House
from certs.bulk_issuing import REFUSED, RUNNING, BulkJob, cancel, get_job, list_jobs, report_lines, submit
from certs.bulk_work import work_bulk
from certs.entrances import client_that_issues
from keys.base.actor import SYSTEM

PAUSE_SECONDS = 1.0
app = typer.Typer(help="批量制证 issue many certificates from one file", no_args_is_help=True)


@app.command("issue")
def issue(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON lines or CSV with a header line")],
    client: Annotated[str, typer.Option("--client", help="the client in whose name they are issued")],
    name: Annotated[str, typer.Option("--name", help="what people call the job; the file's name by default")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="work on it and show the progress, or leave it to the service")] = True,
) -> None:
    """Submit FILE and work on it until every row is settled. Exit code 1 if rows were refused."""
    job = with_house(lambda house: _issue(house, file, client, name or file.name, wait=wait))
    _show([job])
    raise typer.Exit(1 if job.counts.get(REFUSED) else 0)


@app.command("status")
def status(job: Annotated[uuid.UUID | None, typer.Argument(help="its id; all of the latest if left out")] = None) -> None:
    """How far jobs are."""
    _show(with_house(lambda house: _status(house, job)))


@app.command("rows")
def rows(
    job: Annotated[uuid.UUID, typer.Argument(help="its id")],
    state: Annotated[str, typer.Option("--state", help="only rows of this state, such as refused")] = "",
) -> None:
    """The report as CSV on standard output."""
    with_house(lambda house: _rows(house, job, state))


@app.command("cancel")
def cancel_job(job: Annotated[uuid.UUID, typer.Argument(help="its id")]) -> None:
    """End a job: what was not begun is not issued."""
    _show([with_house(lambda house: cancel(house.issuing, SYSTEM, job))])


async def _issue(house: House, file: Path, client: str, name: str, *, wait: bool) -> BulkJob:
    async with house.database.session() as session:
        actor = await client_that_issues(session, house.clock.now(), client)
    if actor is None:
        raise typer.BadParameter("no active client that issues", param_hint="--client")
    with file.open("rb") as content:
        key = f"file-{hashlib.file_digest(content, 'sha256').hexdigest()}"
        content.seek(0)
        job = await submit(house.issuing, actor, name, content, key)
    return await _work(house, job) if wait else job


async def _work(house: House, job: BulkJob) -> BulkJob:
    """Until nothing waits: rows that were given back after a failure are waited for."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("制证 issuing", total=job.items, completed=job.done)
        while job.state == RUNNING:
            if not await work_bulk(house.issuing, approval_of, job_id=job.id):
                await asyncio.sleep(PAUSE_SECONDS)
            async with house.database.session() as session:
                job = await get_job(session, SYSTEM, job.id)
            progress.update(bar, completed=job.done)
    return job


async def _status(house: House, job_id: uuid.UUID | None) -> list[BulkJob]:
    async with house.database.session() as session:
        return [await get_job(session, SYSTEM, job_id)] if job_id else await list_jobs(session, SYSTEM)


async def _rows(house: House, job_id: uuid.UUID, state: str) -> None:
    async with house.database.session() as session:
        await get_job(session, SYSTEM, job_id)
    out = csv.writer(sys.stdout)
    out.writerow(("row", "state", "certificate", "code", "fields"))
    async for part in report_lines(house.database, job_id, only=state or None):
        for one in part:
            fields = " ".join(str(error.get("field", "")) for error in one.errors)
            out.writerow((one.row, one.state, one.certificate_id or "", one.code or "", fields))


def _show(jobs: list[BulkJob]) -> None:
    table = Table("任务 job", "名称 name", "状态 state", "行 rows", "完成 done", "拒绝 refused")
    for one in jobs:
        refused = str(one.counts.get(REFUSED, 0))
        table.add_row(str(one.id), one.name, one.state, str(one.items), str(one.done), refused)
    Console().print(table)
