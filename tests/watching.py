"""Looking at a running city from below while it is asked over HTTP: its tables, its stored files, its memory."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import orjson

from api.app import create_app
from keys.base.errors import FujieError
from seal.reasons import REASONS
from tests.running import City

SCHEMAS = ("identity", "seal", "certs")
NOTED = frozenset(
    {"seal.alerts", "certs.search_entries", "certs.search_queue", "certs.scrub_rounds", "certs.status_tokens"},
)
"""What the house notes by itself, some seconds or a minute later: an alert after five refusals in a row, the words of what was
issued before, the scrubber's round, a status list signed anew. It is no half-done work.
"""
CHINESE = re.compile(r"[\u4e00-\u9fff].*。$", re.DOTALL)
ENGLISH = re.compile(r"[A-Z][ -~’“”–—]+[.]$")


def plain_url(city: City) -> str:
    """The address of the city's own database, for asyncpg."""
    addresses = orjson.loads((city.home / "run" / "addresses.json").read_bytes())
    return str(addresses["database_url"]).replace("postgresql+asyncpg:", "postgresql:")


@asynccontextmanager
async def connected(city: City) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(plain_url(city))
    try:
        yield connection
    finally:
        await connection.close()


async def tables(connection: Any, schemas: Iterable[str] = SCHEMAS) -> list[str]:
    query = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY($1) ORDER BY 1"
    return [row[0] for row in await connection.fetch(query, list(schemas))]


@dataclass
class Watch:
    """What changed since it began. ``events``: the new audit entries, oldest first."""

    city: City
    rows: dict[str, int] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    last: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    new_files: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)

    async def begin(self) -> None:
        async with connected(self.city) as connection:
            self.rows = await _rows(connection)
            self.last = await connection.fetchval("SELECT max(id::text) FROM keys.audit_events") or ""
        self.files = _files(self.city)

    async def end(self) -> None:
        async with connected(self.city) as connection:
            now = await _rows(connection)
            bodies = await connection.fetch("SELECT body FROM keys.audit_events WHERE id::text > $1 ORDER BY id", self.last)
        self.changed = {name: now[name] - self.rows[name] for name in now if now[name] != self.rows[name]}
        self.new_files = _files(self.city) - self.files
        self.events = [orjson.loads(row[0]) for row in bodies]

    def refusals(self, code: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["outcome"] == "refused" and event["code"] == code]


async def _rows(connection: Any) -> dict[str, int]:
    return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in await tables(connection) if name not in NOTED}


def _files(city: City) -> set[str]:
    return {path.name for path in (city.home / "blobs").rglob("*") if path.is_file()}


# What a refused question may leave: how often somebody asked.
COUNTERS = frozenset({"identity.throttles"})


@asynccontextmanager
async def nothing_changes(city: City, *, but: Iterable[str] = ()) -> AsyncIterator[Watch]:
    """No table of identity, seal and certs grows or shrinks, and no file is stored; the audit trail may say why."""
    watch = Watch(city)
    await watch.begin()
    yield watch
    await watch.end()
    allowed = COUNTERS | set(but)
    assert {name: count for name, count in watch.changed.items() if name not in allowed} == {}
    assert watch.new_files == set()


def all_sentences(code: str) -> list[tuple[str, str]]:
    """(Chinese, English) of every error that bears the code; each is one clear sentence."""
    found = [REASONS[code]] if code in REASONS else [error.public for error in _errors(FujieError) if error.code == code]
    assert found, code
    for chinese, english in found:
        assert CHINESE.search(chinese), chinese
        assert ENGLISH.fullmatch(english), english
    return found


def sentences(code: str) -> tuple[str, str]:
    """(Chinese, English) of a code that only one error bears."""
    (found,) = set(all_sentences(code))
    return found


assert create_app  # loading the application makes every error known


def _errors(kind: type[FujieError]) -> Iterable[type[FujieError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _errors(one)


def says(answer: httpx2.Response, status: int, code: str, language: str = "en") -> dict[str, Any]:
    """The problem document of a refusal, after checking its status, its stable code and its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["title"] in {pair[0 if language == "zh" else 1] for pair in all_sentences(code)}
    return problem


def resident_memory(pid: int) -> int:
    """Octets of memory the process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024
