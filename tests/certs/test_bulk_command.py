"""``fujie bulk issue|status|rows|cancel``: what they do, what they print, how they refuse."""

import csv
import io
import json
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.commands import bulk
from certs.reads import count_certificates
from identity.clients import NewClient, create_client
from keys.base.actor import Actor
from tests.certs.conftest import approvals
from tests.commanding import Commanding


@pytest.fixture
async def client(city: Any) -> Actor:
    """The city's client, registered as a client that issues; another that does not."""
    async with city.issuing.database.begin() as session:
        for name, scope in ((city.client.id, "certificates:issue"), ("reader", "certificates:read")):
            new = NewClient(
                "批量", "Bulk", "990100", city.client.organisation, grant_types=("client_credentials",), scopes=(scope,), client_id=name
            )
            await create_client(session, city.issuing.clock.now(), new)
    return city.client  # type: ignore[no-any-return]


@pytest.fixture
async def fujie(city: Any, client: Actor, monkeypatch: pytest.MonkeyPatch) -> Commanding:
    issuing = city.issuing
    house = SimpleNamespace(database=issuing.database, clock=issuing.clock, issuing=issuing)
    commands = Commanding(bulk.app, house, {})
    commands.replace_in(monkeypatch, bulk)
    monkeypatch.setenv("COLUMNS", "200")
    return commands


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "renewals.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def row(number: int, **changes: Any) -> dict[str, Any]:
    return approvals()[0] | {"approval_number": f"批〔2026〕{number:05d}号"} | changes


async def test_a_file_is_issued_and_reported(fujie: Commanding, client: Actor, city: Any, tmp_path: Path) -> None:
    """One row is issued, one refused: exit code 1. The same file again changes nothing and says the same."""
    file = written(tmp_path, row(1), row(2, valid_to="2020-01-01"))
    done = await fujie("issue", file, "--client", client.id)
    assert done.exit_code == 1, (done.output, done.exception)
    (line,) = [one for one in done.stdout.splitlines() if "renewals.jsonl" in one]
    cells = [one.strip() for one in line.strip("│┃ ").split("│")]
    job = str(uuid.UUID(cells[0]))
    assert cells[1:] == ["renewals.jsonl", "finished", "2", "2", "1"]
    again = await fujie("issue", file, "--client", client.id, "--no-wait")
    assert (again.exit_code, job in again.stdout) == (1, True)
    async with city.issuing.database.session() as session:
        assert await count_certificates(session) == 1
    told = await fujie("rows", job)
    report = list(csv.DictReader(io.StringIO(told.stdout)))
    assert [(one["row"], one["state"], bool(one["certificate"])) for one in report] == [("1", "issued", True), ("2", "refused", False)]
    assert (report[1]["code"] != "", "valid" in report[1]["fields"]) == (True, True)
    only = await fujie("rows", job, "--state", "refused")
    assert [one["row"] for one in csv.DictReader(io.StringIO(only.stdout))] == ["2"]
    for words in (("status",), ("status", job)):
        assert job in (await fujie(*words)).stdout
    assert await fujie.refusal("cancel", job) == "BULK_ISSUE_ENDED"


async def test_a_job_that_nobody_began_is_cancelled(fujie: Commanding, client: Actor, city: Any, tmp_path: Path) -> None:
    left = await fujie("issue", written(tmp_path, row(1)), "--client", client.id, "--no-wait", "--name", "年检换证")
    assert (left.exit_code, "running" in left.stdout, "年检换证" in left.stdout) == (0, True, True)
    (job,) = [word for word in left.stdout.replace("│", " ").split() if len(word) == 36]
    cancelled = await fujie("cancel", job)
    assert (cancelled.exit_code, "cancelled" in cancelled.stdout) == (0, True)
    async with city.issuing.database.session() as session:
        assert await count_certificates(session) == 0


async def test_what_is_no_job_is_refused_by_name(fujie: Commanding, client: Actor, tmp_path: Path) -> None:
    file = written(tmp_path, row(1))
    for name in ("nobody", "reader"):
        assert "no active client that issues" in await fujie.misused("issue", file, "--client", name)
    (tmp_path / "empty").write_bytes(b"")
    assert await fujie.refusal("issue", tmp_path / "empty", "--client", client.id) == "BULK_ISSUE_UNREADABLE"
    await fujie.misused("issue", tmp_path / "none", "--client", client.id)
    await fujie.misused("issue", file)
    for command in ("status", "rows", "cancel"):
        assert "a valid UUID" in await fujie.misused(command, "xyz")
        assert await fujie.refusal(command, uuid.UUID(int=1)) == "NOT_FOUND"
