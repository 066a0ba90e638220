"""``fujie import FILE [--type CODE]``: take certificates that were issued elsewhere.

The file may be imported again: what is in stays in, an interrupted import goes on, a finished one only shows its report.
"""

import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from api.commands.house import with_house
from api.commands.run import settings
from api.settings import language
from api.wiring import House
from certs.catalogue import shipped_types
from certs.ingestion import FlaggedRow, Ingestion, Report, Request, flagged_rows
from certs.ingestion import import_file as import_rows
from certs.ingestion_report import CommaSeparated, Facts, Spreadsheet
from certs.ingestion_rules import FLAGS
from certs.ingestion_scans import Scans, table_of
from certs.reads import add_missing_types
from certs.scan_sealing import grant_scans, scan_states, try_again, unlisted, work_scans
from keys.base.actor import SYSTEM

_SHOWN = 20


def import_file(
    file: Annotated[Path, typer.Argument(exists=True, readable=True, help="CSV with a header line, JSON lines, or a folder of scans")],
    type_code: Annotated[str, typer.Option("--type", help="the type of every row; else each row's ZZLXDM counts")] = "",
    grade: Annotated[str, typer.Option(help="trust grade of the source: A, B, C or D; scans: B or lower")] = "B",
    encoding: Annotated[str, typer.Option(help="of the file, for example gb18030; found out by default")] = "",
    report: Annotated[Path | None, typer.Option(help="where the flagged rows are written; beside the file by default")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge every row, store nothing")] = False,
    seal: Annotated[str, typer.Option(help="scans: the seal of the copies of paper")] = "",
    matter: Annotated[str, typer.Option(help="scans: the matter under which they are sealed")] = "",
) -> None:
    """Import certificates; report the rows that were flagged. Nothing is refused silently; exit code 0 with flagged rows too."""
    _check_options(grade, encoding)
    folder = file.is_dir()
    if folder and not (seal and matter):
        raise typer.BadParameter("a folder of scans needs --seal and --matter", param_hint="--seal")
    scans = Scans(seal, matter) if folder else None
    table = table_of(file) if folder else file
    with_house(lambda house: _run(house, Request(table, type_code, grade, encoding, dry_run, scans=scans), report))


async def _run(house: House, request: Request, report: Path | None) -> None:
    scans = request.scans
    if scans is not None and not request.dry_run:
        async with house.database.begin() as session:
            await grant_scans(session, house.clock.now(), SYSTEM, scans.seal_code, scans.matter_code)
    result = await _import(house, request)
    await _show(house, result, request.path)
    if scans is not None and not request.dry_run:
        await _seal_scans(house, result, request.path.parent)
    if result.flagged:
        name = request.path.name + ".flagged"
        chosen = report.with_suffix("") if report and report.suffix in (".csv", ".xlsx") else report
        places = [chosen] if chosen else [request.path.with_name(name), settings().home / "imports" / name]
        await _write_report(house, result, request.path.name, places)


async def _seal_scans(house: House, report: Report, folder: Path) -> None:
    """Seal what waits, as ``fujie worker`` would; tell what was not sealed, and scans that no row names."""
    await try_again(house.database, report.import_id)
    while await work_scans(house.issuing):
        pass
    for state, failure, count in await scan_states(house.database, report.import_id):
        sealed, waits = _say("已加盖", "sealed"), _say("待加盖", "waiting to be sealed")
        words = {"done": sealed, "waiting": waits}.get(state, _say("未加盖", "not sealed"))
        print(_say(f"扫描件 {count:,} 份{words}", f"{count:,} scans {words}"), failure or "")
    for name in await unlisted(house.database, report.import_id, folder):
        print(_say(f"未被引用的扫描件：{_visible(name)}", f"a scan that no row names: {_visible(name)}"))


def _check_options(grade: str, encoding: str) -> None:
    if grade not in {"A", "B", "C", "D"}:
        raise typer.BadParameter("A, B, C or D", param_hint="--grade")
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise typer.BadParameter("unknown encoding", param_hint="--encoding") from None


async def _import(house: House, request: Request) -> Report:
    async with house.database.begin() as session:
        await add_missing_types(session, house.clock.now(), shipped_types())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(request.path.name, total=request.path.stat().st_size, note="")

        def tell(rows: int, octets: int, flagged: int) -> None:
            note = _say(f"{rows:,} 行，{flagged:,} 行有标记", f"{rows:,} rows, {flagged:,} flagged")
            progress.update(task, completed=octets, note=note)

        ingestion = Ingestion(house.database, house.personal, house.clock, house.blobs, house.workers, tell)
        return await import_rows(ingestion, SYSTEM, request)


async def _show(house: House, report: Report, file: Path) -> None:
    console = Console()
    console.print(_headline(report, file), markup=False)
    if not report.flag_counts:
        return
    table = Table(_say("标记", "Flag"), _say("行数", "Rows"), _say("含义", "Meaning"))
    for flag, count in Counter(report.flag_counts).most_common():
        table.add_row(flag, f"{count:,}", _sentence(flag))
    console.print(table)
    if not console.is_terminal:  # for a pipe: every row, whole, one a line
        async for row in flagged_rows(house.database, report.import_id):
            print(row.line, _visible(row.identifier), ",".join(row.flags), sep="\t")
        return
    shown = Table(_say("行", "Line"), _say("证照标识", "Identifier"), _say("标记", "Flags"))
    async for row in flagged_rows(house.database, report.import_id, most=_SHOWN):
        shown.add_row(str(row.line), Text(_visible(row.identifier)), ", ".join(row.flags))
    console.print(shown)


def _headline(report: Report, file: Path) -> str:
    flagged = report.flagged
    if report.dry_run:
        return _say(f"{file.name}：试算 {report.rows:,} 行，{flagged:,} 行有标记，未写入。",
                    f"{file.name}: judged {report.rows:,} rows, {flagged:,} flagged, nothing stored.")  # fmt: skip
    if report.already_done:
        return _say(f"{file.name}：此前已导入 {report.rows:,} 行，{flagged:,} 行有标记。",
                    f"{file.name}: {report.rows:,} rows were imported before, {flagged:,} flagged.")  # fmt: skip
    resumed = report.resumed_at
    since = _say(f"（自第 {resumed:,} 行续传）", f" (went on after row {resumed:,})") if resumed else ""
    return _say(f"{file.name}：导入 {report.rows:,} 行{since}，{flagged:,} 行有标记。",
                f"{file.name}: imported {report.rows:,} rows{since}, {flagged:,} flagged.")  # fmt: skip


async def _write_report(house: House, report: Report, name: str, places: list[Path]) -> None:
    """Write the report to the first place that takes it: the folder of the file may be read-only."""
    facts = Facts(name, report.rows, report.flagged, report.flag_counts, report.dry_run)
    for place in places:
        csv, sheet = place.with_name(f"{place.name}.csv"), place.with_name(f"{place.name}.xlsx")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            await _write_rows(csv, sheet, facts, flagged_rows(house.database, report.import_id))
        except OSError as error:
            print(_say(f"无法写入报告 {place}：{error.strerror}", f"cannot write the report {place}: {error.strerror}"), file=sys.stderr)
            continue
        print(_say(f"有标记的行见 {csv} 与 {sheet.name}", f"flagged rows: {csv} and {sheet.name}"))
        return


async def _write_rows(csv: Path, sheet: Path, facts: Facts, rows: AsyncIterator[FlaggedRow]) -> None:
    writers = (CommaSeparated(csv), Spreadsheet(sheet, facts))
    async for row in rows:
        for writer in writers:
            writer.add(row.line, row.identifier, row.flags)
    for writer in writers:
        writer.close()


def _visible(text: str) -> str:
    """For a terminal, which obeys control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _sentence(flag: str) -> str:
    return _say(*FLAGS.get(flag, (flag, flag)))


def _say(chinese: str, english: str) -> str:
    return chinese if language() == "zh" else english
