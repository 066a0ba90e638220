"""The report of an import: a spreadsheet (Office Open XML) for people, CSV for programs. Written row by row, whatever their number.

No personal data: the line in the file, the identifier and what is wrong. The words stand in Chinese and English beside each other.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xlsxwriter

from certs.ingestion_rules import FLAGS

ON_A_SHEET = 1_000_000  # a sheet ends at 1,048,576 rows
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADINGS = ("行号 Line", "证照标识 Identifier", "标记 Flags", "含义", "Meaning")
_WIDTHS = (12, 72, 28, 48, 64)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the first sheet says. ``dry_run``: nothing was stored."""

    file_name: str
    rows: int
    flagged: int
    flag_counts: Mapping[str, int]
    dry_run: bool = False


class Spreadsheet:
    """A spreadsheet under way in the file ``path``: :meth:`add` in the order of the lines, then :meth:`close`."""

    def __init__(self, path: Path, facts: Facts) -> None:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._bold = self._book.add_format({"bold": True, "bg_color": "#E8EEF4", "bottom": 1})
        self._wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        self._row, self._sheet = ON_A_SHEET, self._summary(facts)

    def add(self, line: int, identifier: str, flags: tuple[str, ...]) -> None:
        if self._row >= ON_A_SHEET:
            self._sheet, self._row = self._next_sheet(), 1
        chinese, english = meanings(flags)
        for column, value in enumerate((line, identifier, " ".join(flags), chinese, english)):
            if isinstance(value, int):
                self._sheet.write_number(self._row, column, value)
            else:
                self._sheet.write_string(self._row, column, value, self._wrapped)
        self._row += 1

    def close(self) -> None:
        self._book.close()

    def _summary(self, facts: Facts) -> Any:
        sheet = self._book.add_worksheet("概要 Summary")
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 1, 14)
        sheet.set_column(2, 3, 60)
        known = (("文件 File", facts.file_name), ("行数 Rows", facts.rows), ("有标记 Flagged", facts.flagged))
        note = (("试算，未写入 Dry run, nothing stored", "是 yes"),) if facts.dry_run else ()
        for row, (name, value) in enumerate((*known, *note)):
            sheet.write_string(row, 0, name, self._bold)
            (sheet.write_number if isinstance(value, int) else sheet.write_string)(row, 1, value)
        first = len(known) + len(note) + 1
        for column, heading in enumerate(("标记 Flag", "行数 Rows", "含义", "Meaning")):
            sheet.write_string(first, column, heading, self._bold)
        for row, (flag, count) in enumerate(sorted(facts.flag_counts.items(), key=lambda one: (-one[1], one[0])), first + 1):
            chinese, english = meanings((flag,))
            for column, value in enumerate((flag, count, chinese, english)):
                (sheet.write_number if isinstance(value, int) else sheet.write_string)(row, column, value)
        return sheet

    def _next_sheet(self) -> Any:
        sheet = self._book.add_worksheet(f"行 Rows {len(self._book.worksheets())}")
        sheet.freeze_panes(1, 0)
        for column, (heading, width) in enumerate(zip(HEADINGS, _WIDTHS, strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, heading, self._bold)
        return sheet


class CommaSeparated:
    """The same as CSV, in UTF-8 with a mark."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["line", "identifier", "flags", "meaning_zh", "meaning_en"])

    def add(self, line: int, identifier: str, flags: tuple[str, ...]) -> None:
        self._writer.writerow([line, harmless(identifier), " ".join(flags), *meanings(flags)])

    def close(self) -> None:
        self._file.close()


def meanings(flags: tuple[str, ...]) -> tuple[str, str]:
    """What the flags mean, in Chinese and in English."""
    pairs = [FLAGS.get(flag, (flag, flag)) for flag in flags]
    return "".join(chinese for chinese, _ in pairs), " ".join(english for _, english in pairs)


def harmless(text: str) -> str:
    """A spreadsheet would run a cell of a CSV that begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
