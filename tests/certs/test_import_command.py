"""``fujie import`` as an operator runs it, in a process and a home of its own."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, environment, free_port

LEGACY = Path(__file__).parents[1] / "data" / "legacy_certificates.csv"


def run_import(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api", "import", *arguments]
    return subprocess.run(
        command, env=environment(home, free_port(), LANG="en_US.UTF-8", LC_ALL=""), cwd=ROOT, capture_output=True, text=True, timeout=100
    )


@pytest.mark.timeout(240)
def test_the_legacy_certificates_are_imported_and_the_flagged_rows_reported(tmp_path: Path) -> None:
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
    again = run_import(tmp_path / "home", str(plain))
    assert (again.returncode, "300 rows were imported before" in again.stdout) == (0, True)
    broken = tmp_path / "picture.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    refused = run_import(tmp_path / "home", str(broken))
    assert refused.returncode == 1
    assert "IMPORT_UNREADABLE" in refused.stderr
    assert "Traceback" not in refused.stderr
