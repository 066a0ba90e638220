"""The table: one row for each figure and peer."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPU_MS, WALL_MS, PER_SECOND = "CPU ms", "wall ms", "1/CPU s"


@dataclass(frozen=True, slots=True)
class Row:
    """``ours`` and ``theirs`` in ``unit``; ``theirs`` is None where there is no peer or it is not installed (the note says)."""

    figure: str
    ours: float | None
    peer: str
    theirs: float | None
    unit: str = CPU_MS
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the peer's cost ours is: below 1 we are cheaper, whatever the unit."""
        if not self.ours or not self.theirs:
            return None
        return self.theirs / self.ours if self.unit == PER_SECOND else self.ours / self.theirs

    def to_json(self) -> dict[str, Any]:
        ratio = self.ratio
        return {
            "figure": self.figure,
            "ours": None if self.ours is None else float(number(self.ours)),
            "peer": self.peer,
            "theirs": None if self.theirs is None else float(number(self.theirs)),
            "ratio": None if ratio is None else round(ratio, 3),
            "unit": self.unit,
            "note": self.note,
        }


def number(value: float | None) -> str:
    """Three significant digits, no exponent."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(row: Row) -> tuple[str, ...]:
    """What stands in the table."""
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    return row.figure, number(row.ours), row.peer, number(row.theirs), ratio, row.unit, row.note


HEADINGS = ("figure", "ours", "peer", "peer's", "ratio", "unit", "note")


def as_markdown(rows: Iterable[Row]) -> str:
    lines = [HEADINGS, ("---", "---:", "---", "---:", "---:", "---", "---"), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_json(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    content = {"machine": machine, "rows": [row.to_json() for row in rows]}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
