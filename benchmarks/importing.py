"""Importing stock: rows a second with all checks, and what a row costs us and PostgreSQL, in a database of its own.

``python -m benchmarks.importing [ROWS]`` for any number of rows: memory and pace as it goes.
"""

import argparse
import asyncio
import csv
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from api.embedded import embedded_servers
from api.migrations import upgrade
from api.workers import ProcessWorkers
from benchmarks.bench import Bench
from benchmarks.cpu import tree_seconds
from benchmarks.library_stock import resident
from benchmarks.rows import CPU_MS, Row
from certs.catalogue import shipped_types
from certs.ingestion import Ingestion, Request, import_file
from certs.numbering import make_identifier
from certs.reads import add_missing_types
from identity.personal_data import open_personal_data
from keys.base.actor import SYSTEM
from keys.base.blobs import FolderBlobStore
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore

ROWS = 40_000
COLUMNS = "ZZMC ZZLXDM ZZBH ZZBS ZZBFJG ZZBFJGDM ZZBFRQ ZZYXQQSRQ ZZYXQJZRQ CZZT CZZTDM CZZTDMLXDM KZ_DZ".split()  # noqa: SIM905
_TYPES = ("11100000MB03271699022", "11100000000013338W032", "11990100MB00000435001")
_ISSUERS = (
    ("11990100MB0000027F", "示范市行政审批服务局"),
    ("11990100MB0000035A", "示范市市场监督管理局"),
    ("11990100MB00000435", "示范市住房和城乡建设局"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """For a number of rows: seconds on the wall, of CPU of ours (the worker's included) and of PostgreSQL's."""

    rows: int
    flagged: int
    wall: float
    ours: float
    theirs: float
    load: float


def figure(_bench: Bench) -> list[Row]:
    """CPU for a thousand rows; the pace on this machine stands in the note."""
    spent = measured(ROWS)
    pace = f"{spent.rows / spent.wall:,.0f} rows a second on the wall at a load of {spent.load:.1f}"
    thousand = 1e6 / spent.rows
    return [
        Row("import: 1,000 rows with all checks, we", spent.ours * thousand, "", None, CPU_MS, pace),
        Row("import: 1,000 rows with all checks, PostgreSQL", spent.theirs * thousand, "", None, CPU_MS, "three tables, twelve indexes"),
    ]


def write_stock(path: Path, rows: int) -> None:
    """A table of nobody's certificates; two in three holders are people."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            (issuer, name), kind, year = _ISSUERS[number % 3], _TYPES[number % 3], 2010 + number % 14
            serial, natural, day = f"{year}{number:09}", number % 3 != 2, f"{1 + number % 12:02}-{1 + number % 28:02}"
            holder = ("陈喆堃", resident(number), "111") if natural else ("示范市江畔餐饮管理有限公司", "91990100MA1TEXT06T", "001")
            writer.writerow(
                ["证照", kind, f"示证{serial}", make_identifier(kind, issuer, serial), name, issuer, f"{year}-{day}", f"{year}-{day}",
                 f"{year + 5}-{day}", *holder, f"示范区{number}号"]
            )  # fmt: skip


def measured(rows: int, *, tell: bool = False) -> Spent:
    """Import so many rows into an empty database."""
    with tempfile.TemporaryDirectory(prefix="fujie-bench-") as folder, embedded_servers(Path(folder)) as addresses:
        file = Path(folder) / "stock.csv"
        write_stock(file, rows)
        return asyncio.run(_measured(addresses.database_url, Path(folder), file, tell))


async def _measured(url: str, folder: Path, file: Path, tell: bool) -> Spent:
    await upgrade(url)
    database, clock, workers = Database(url), SystemClock(), ProcessWorkers(1, ("certs.ingestion_rows",))
    personal = await open_personal_data(database, SoftwareKeyStore.create(folder / "key-encryption-key"), clock)
    async with database.begin() as session:
        await add_missing_types(session, clock.now(), shipped_types())
    await workers.run(os.getpid)  # started, its modules loaded
    needed = Ingestion(
        database, personal, clock, FolderBlobStore(folder / "blobs"), workers, _Teller() if tell else lambda rows, octets, flagged: None
    )
    before, began = _cpu(), time.perf_counter()
    report = await import_file(needed, SYSTEM, Request(file))
    wall, after = time.perf_counter() - began, _cpu()
    workers.close()
    await database.close()
    ours, theirs = (after.get(part, 0.0) - before.get(part, 0.0) for part in ("we", "PostgreSQL"))
    return Spent(report.rows, report.flagged, wall, ours, theirs, os.getloadavg()[0])


def _cpu() -> dict[str, float]:
    return tree_seconds(os.getpid(), lambda command: "PostgreSQL" if "postgres" in command else "we")


class _Teller:
    """Every 100,000 rows: the pace so far, and the most memory this process has held."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def __call__(self, rows: int, octets: int, flagged: int) -> None:
        if rows % 100_000 == 0:
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{rows:>9,} rows  {rows / (time.perf_counter() - self._began):>7,.0f}/s  {held} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=ROWS)
    spent = measured(parser.parse_args().rows, tell=True)
    print(
        f"{spent.rows:,} rows, {spent.flagged:,} flagged, {spent.wall:.1f} s: {spent.rows / spent.wall:,.0f} rows/s;"
        f" CPU a row: we {spent.ours / spent.rows * 1e6:.0f} µs, PostgreSQL {spent.theirs / spent.rows * 1e6:.0f} µs; load {spent.load:.1f}"
    )


if __name__ == "__main__":
    main()
