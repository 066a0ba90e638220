"""``fujie import FILE [--type CODE]``: take certificates that were issued elsewhere.

The file may be imported again: what is in stays in, an interrupted import goes on, a finished one only shows its report.
"""

import csv
import sys
from collections import Counter
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
from certs.ingestion import FlaggedRow, Ingestion, Report, Request
from certs.ingestion import import_file as import_rows
from certs.ingestion_rules import FLAGS
from certs.reads import add_missing_types
from keys.base.actor import SYSTEM

_SHOWN = 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV with a header line, or JSON lines")],
    type_code: Annotated[str, typer.Option("--type", help="the type of every row; else each row's ZZLXDM counts")] = "",
    grade: Annotated[str, typer.Option(help="trust grade of the source: A, B, C or D")] = "B",
    encoding: Annotated[str, typer.Option(help="of the file, for example gb18030")] = "utf-8",
    report: Annotated[Path | None, typer.Option(help="where the flagged rows are written; beside the file by default")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge every row, store nothing")] = False,
) -> None:
    """Import certificates; report the rows that were flagged. Nothing is refused silently; exit code 0 with flagged rows too."""
    _check_options(grade, encoding)
    result = with_house(lambda house: _import(house, Request(file, type_code, grade, encoding, dry_run)))
    _show(result, file)
    if result.flagged:
        name = file.name + ".flagged.csv"
        _write_report([report] if report else [file.with_name(name), settings().home / "imports" / name], result.flagged)


def _check_options(grade: str, encoding: str) -> None:
    if grade not in {"A", "B", "C", "D"}:
        raise typer.BadParameter("A, B, C or D", param_hint="--grade")
    try:
        "".encode(encoding)
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

        ingestion = Ingestion(house.database, house.personal, house.clock, house.blobs, tell)
        return await import_rows(ingestion, SYSTEM, request)


def _show(report: Report, file: Path) -> None:
    console = Console()
    console.print(_headline(report, file), markup=False)
    if not report.flag_counts:
        return
    table = Table(_say("标记", "Flag"), _say("行数", "Rows"), _say("含义", "Meaning"))
    for flag, count in Counter(report.flag_counts).most_common():
        table.add_row(flag, f"{count:,}", _sentence(flag))
    console.print(table)
    if not console.is_terminal:  # for a pipe: every row, whole, one a line
        for row in report.flagged:
            print(row.line, _visible(row.identifier), ",".join(row.flags), sep="\t")
        return
    shown = Table(_say("行", "Line"), _say("证照标识", "Identifier"), _say("标记", "Flags"))
    for row in report.flagged[:_SHOWN]:
        shown.add_row(str(row.line), Text(_visible(row.identifier)), ", ".join(row.flags))
    console.print(shown)


def _headline(report: Report, file: Path) -> str:
    flagged = len(report.flagged)
    if report.import_id is None:
        return _say(f"{file.name}：试算 {report.rows:,} 行，{flagged:,} 行有标记，未写入。",
                    f"{file.name}: judged {report.rows:,} rows, {flagged:,} flagged, nothing stored.")  # fmt: skip
    if report.already_done:
        return _say(f"{file.name}：此前已导入 {report.rows:,} 行，{flagged:,} 行有标记。",
                    f"{file.name}: {report.rows:,} rows were imported before, {flagged:,} flagged.")  # fmt: skip
    resumed = report.resumed_at
    since = _say(f"（自第 {resumed:,} 行续传）", f" (went on after row {resumed:,})") if resumed else ""
    return _say(f"{file.name}：导入 {report.rows:,} 行{since}，{flagged:,} 行有标记。",
                f"{file.name}: imported {report.rows:,} rows{since}, {flagged:,} flagged.")  # fmt: skip


def _write_report(places: list[Path], flagged: tuple[FlaggedRow, ...]) -> None:
    """Write the report to the first place that takes it: the folder of the file may be read-only."""
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_rows(path, flagged)
        except OSError as error:
            print(_say(f"无法写入报告 {path}：{error.strerror}", f"cannot write the report {path}: {error.strerror}"), file=sys.stderr)
            continue
        print(_say(f"有标记的行见 {path}", f"flagged rows: {path}"))
        return


def _write_rows(path: Path, flagged: tuple[FlaggedRow, ...]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "identifier", "flags", "meaning"])
        for row in flagged:
            meaning = " ".join(_sentence(flag) for flag in row.flags)
            writer.writerow([row.line, _harmless(row.identifier), " ".join(row.flags), meaning])


def _visible(text: str) -> str:
    """For a terminal, which obeys control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _harmless(text: str) -> str:
    """A spreadsheet would run a cell that begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _sentence(flag: str) -> str:
    return _say(*FLAGS.get(flag, (flag, flag)))


def _say(chinese: str, english: str) -> str:
    return chinese if language() == "zh" else english
