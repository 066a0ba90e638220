"""``python -m benchmarks [FIGURE …]``: every figure beside its peers, as one table and in ``benchmarks/results.json``."""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import (
    catalogue,
    floors,
    importing,
    instance,
    issue,
    joint,
    log,
    machine,
    ocsp,
    offline,
    parts,
    sign_in,
    sm2,
    stamp,
    timestamps,
    verify,
)
from benchmarks.bench import Bench
from benchmarks.measure import pace
from benchmarks.peers.credentials import make_credentials
from benchmarks.rows import HEADINGS, Row, as_markdown, cells, write_json
from benchmarks.sample import take_sample

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "figures.md"
MARKS = "<!-- table -->\n", "<!-- end of table -->\n"
WIDTH = 190
FAILED = "failed: "
FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "issue": issue.figure,
    "parts": parts.figure,
    "stamp": stamp.figure,
    "verify": verify.figure,
    "joint": joint.figure,
    "sign_in": sign_in.figure,
    "ocsp": ocsp.figure,
    "timestamps": timestamps.figure,
    "log": log.figure,
    "offline": offline.figure,
    "floors": floors.figure,
    "sm2": sm2.figure,
    "catalogue": catalogue.figure,
    "import": importing.figure,
}


def main() -> None:
    """Exit 1 if a figure failed; a missing peer is no failure."""
    options = _options()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    facts, began = machine.shape(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fujie-bench-") as folder, instance.running() as house:
        made = make_credentials(Path(folder))
        bench = Bench(house, take_sample(house), made, Path(folder), options.rounds, began + options.seconds)
        paces, rows = [_pace()], []
        for name in options.figures or FIGURES:
            rows += _figure(bench, name, console)
            paces.append(_pace())
    console.print(_table(rows), _neighbours(paces), sep="\n")
    if not options.figures:
        write_json(HERE / "results.json", facts | {"seconds": round(time.monotonic() - began), "paces_ms": paces}, rows)
    if options.document:
        _document(rows)
    raise SystemExit(any(row.note.startswith(FAILED) for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(FIGURES)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", choices=[*FIGURES, []], help=f"of {names}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender; the median counts")
    parser.add_argument("--seconds", type=float, default=360, help="no figure begins after that")
    parser.add_argument("--document", action="store_true", help="put the table into docs/figures.md too")
    return parser.parse_args()


def _figure(bench: Bench, name: str, console: Console) -> list[Row]:
    """A figure's rows, or one that says why there are none: the others go on."""
    if bench.out_of_time:
        return [Row(name, None, "", None, note="not measured: out of time, see --seconds")]
    with console.status(f"{name} …") if console.is_terminal else contextlib.nullcontext():
        try:
            return FIGURES[name](bench)
        except Exception as error:
            return [Row(name, None, "", None, note=f"{FAILED}{type(error).__name__}: {error}"[:300])]


def _pace() -> float:
    return round(median(pace() for _ in range(5)), 1)


def _neighbours(paces: list[float]) -> str:
    """How steady the machine was: a fixed loop, between the figures."""
    return (
        f"a fixed loop took {min(paces):.0f} to {max(paces):.0f} CPU ms between the figures: the further apart, the busier the neighbours"
    )


def _table(rows: Iterable[Row]) -> Table:
    table = Table(title="ratio: ours ÷ peer's, below 1 ours is cheaper", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in {"ours", "peer's", "ratio"} else "left", no_wrap=heading != "note")
    for row in rows:
        table.add_row(*cells(row))
    return table


def _document(rows: list[Row]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    table, _, after = rest.partition(MARKS[1])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n{_merged(table, rows)}\n{MARKS[1]}{after}", encoding="utf-8")


def _merged(table: str, rows: list[Row]) -> str:
    """The rows measured now in the place of those they replace, by the name of the figure; what was not measured stays."""
    heading, rule, *measured = as_markdown(rows).splitlines()
    old = [line for line in table.splitlines() if line.startswith("| ")][2:]
    named = {_name(line) for line in measured}
    at = next((index for index, line in enumerate(old) if _name(line) in named), len(old))
    kept = [[line for line in part if _name(line) not in named] for part in (old[:at], old[at:])]
    return "\n".join((heading, rule, *kept[0], *measured, *kept[1])) + "\n"


def _name(line: str) -> str:
    return line.split("|")[1].strip()


if __name__ == "__main__":
    main()
