"""``fujie import`` as an operator runs it, in a home of its own; the first in a process that is loaded for it."""

import csv
import subprocess
from pathlib import Path

import pytest

from tests.running import PROGRAM, ROOT, environment, free_port

LEGACY = Path(__file__).parents[1] / "data" / "legacy_certificates.csv"


def run_import(home: Path, *arguments: str, program: tuple[str, ...] = PROGRAM) -> subprocess.CompletedProcess[str]:
    command = [*program, "import", *arguments]
    return subprocess.run(
        command, env=environment(home, free_port(), LANG="en_US.UTF-8", LC_ALL=""), cwd=ROOT, capture_output=True, text=True, timeout=100
    )


@pytest.mark.timeout(240)
def test_the_legacy_certificates_are_imported_and_the_flagged_rows_reported(tmp_path: Path, loaded_fujie: str) -> None:
    with LEGACY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plain = tmp_path / "legacy.csv"
    with plain.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "defect"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    wanted = {(str(line), row["ZZBS"], row["defect"]) for line, row in enumerate(rows, start=2) if row["defect"]}
    done = run_import(tmp_path / "home", str(plain))
    assert done.returncode == 0, done.stderr
    assert "imported 300 rows, 71 flagged" in done.stdout
    assert {tuple(line.split("\t")) for line in done.stdout.splitlines() if "\t" in line} == wanted
    with (tmp_path / "legacy.csv.flagged.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {(row["line"], row["identifier"], row["flags"]) for row in csv.DictReader(file)} == wanted
    again = run_import(tmp_path / "home", str(plain), program=(loaded_fujie,))
    assert (again.returncode, "300 rows were imported before" in again.stdout) == (0, True)
    broken = tmp_path / "picture.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    refused = run_import(tmp_path / "home", str(broken), program=(loaded_fujie,))
    assert refused.returncode == 1
    assert "IMPORT_UNREADABLE" in refused.stderr
    assert "Traceback" not in refused.stderr
