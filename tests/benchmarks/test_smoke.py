"""The benchmarks do not rot: one tiny figure is measured, and the table is drawn from its row."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cpu, instance, measure, rows, verify
from benchmarks.peers import pyhanko
from benchmarks.peers.credentials import make_credentials
from tests.stamped import NOW, World, certificate_page


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_verifying_is_measured(world: World) -> None:
    cost = verify.measure(world.stamped(), world.trust, NOW, rounds=2, count=2)
    assert 0 < cost.total < 5_000
    assert cost.wall > 0


def test_a_measurement_of_a_wrong_verdict_is_no_measurement(world: World) -> None:
    with pytest.raises(AssertionError):
        verify.measure(world.stamped()[:-1], world.trust, NOW, rounds=1, count=1)


def test_pyhanko_signs_as_a_peer(tmp_path: Path) -> None:
    made = make_credentials(tmp_path)
    signed = pyhanko.signing(made.p256)(certificate_page())
    assert signed.startswith(certificate_page())
    assert b"/ETSI.CAdES.detached" in signed


def test_take_turns_counts_what_is_burnt_where() -> None:
    burnt = {"web": 0.0}

    def burn(_: int) -> None:
        burnt["web"] += 0.004

    costs = measure.take_turns({"ours": measure.Contender(burn, lambda: dict(burnt), count=5)}, rounds=3)
    assert costs["ours"].cpu["web"] == pytest.approx(4.0)


def test_cpu_of_another_process_and_of_its_ended_children() -> None:
    """A child that burns a tenth of a second itself and two tenths in a child of its own."""
    burn = "import time\nwhile time.process_time() < {}: pass\n"
    inner = burn.format(0.2)
    outer = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}])\n{burn.format(0.1)}print('done', flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        seconds = cpu.tree_seconds(child.pid, lambda command: "all")["all"]
        assert child.pid in cpu.descendants(os.getpid())
        child.communicate(b"\n")
    assert 0.28 < seconds < 3


def test_every_process_has_its_part() -> None:
    told = {
        "postgres: walwriter": "PostgreSQL",
        "/x/bin/postgres -D data": "PostgreSQL",
        "valkey-server unixsocket:/x": "Valkey",
        "python -c from multiprocessing.spawn import spawn_main": "workers",
        "python -S -P -m seal.sandbox_core 39": "sandbox",
        "python fujie serve": "web",
    }
    assert {command: instance.part_of(command) for command in told} == told


def test_rows_become_a_table_and_json(tmp_path: Path) -> None:
    measured = [
        rows.Row("stamp", 10.0, "peer", 20.0, note="n"),
        rows.Row("sign", 500.0, "peer", 1000.0, rows.PER_SECOND),
        rows.Row("render", 12.345, "", None, note="no peer"),
    ]
    assert [row.ratio for row in measured] == [0.5, 2.0, None]
    assert "| stamp | 10.0 | peer | 20.0 | 0.50 | CPU ms | n |" in rows.as_markdown(measured)
    rows.write_json(tmp_path / "results.json", {"cores": 2}, measured)
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["rows"][2] == {
        "figure": "render", "ours": 12.3, "peer": "", "theirs": None, "ratio": None, "unit": "CPU ms", "note": "no peer",
    }  # fmt: skip
