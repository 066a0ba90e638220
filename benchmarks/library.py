"""Finding in a library of two million certificates: by code and by holder over HTTP at 100 requests a second while others are issued,
and every named select by itself, with the plan PostgreSQL makes for it.

``python -m benchmarks.library [ROWS] [--no-http]`` (``make library-benchmark``) fills a city of its own; nothing else needs to run.
"""

import argparse
import asyncio
import datetime as dt
import json
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.compiler import compiles

from api.demo.city import SERVICE_CENTRE
from api.embedded import embedded_servers
from api.migrations import upgrade
from benchmarks import instance
from benchmarks.instance import Instance
from benchmarks.issue import Issuer
from benchmarks.library_stock import Stock, fill
from benchmarks.wire import Wire, basic, bearer
from certs.library_reads import Marks, Scope, found, page_of
from certs.lifecycle import Standing
from certs.reads import certificate_by_code
from identity.personal_data import PersonalData, open_personal_data
from keys.base.clock import SystemClock, civil_date
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore

ROWS = 2_000_000
A_SECOND, SECONDS, THREADS = 100, 20, 12
PURPOSE = "性能测试"


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each request, sorted."""

    name: str
    values: list[float]

    def at(self, part: float) -> float:
        return self.values[min(len(self.values) - 1, int(len(self.values) * part))]

    def __str__(self) -> str:
        return f"{self.name:<34} p50 {self.at(0.5):7.2f}   p95 {self.at(0.95):7.2f}   p99 {self.at(0.99):7.2f} ms   n {len(self.values)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library", description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=ROWS)
    parser.add_argument("--no-http", action="store_true", help="the selects and their plans only: a database, and no service")
    options = parser.parse_args()
    if options.no_http:
        with tempfile.TemporaryDirectory(prefix="fujie-bench-") as folder, embedded_servers(Path(folder)) as addresses:
            key = SoftwareKeyStore.create(Path(folder) / "key-encryption-key")
            asyncio.run(_measured(addresses.database_url, key, options.rows))
        return
    with instance.running() as house:
        key = SoftwareKeyStore(house.home / "secrets" / "key-encryption-key")
        stock = asyncio.run(_measured(house.addresses()["database_url"], key, options.rows))
        for quiet in (True, False):
            for times in over_http(house, stock, quiet):
                print(times, flush=True)


async def _measured(url: str, keystore: SoftwareKeyStore, rows: int) -> Stock:
    """Fill, tell the plans, and time each select by itself."""
    await upgrade(url)
    database, clock = Database(url), SystemClock()
    personal = await open_personal_data(database, keystore, clock)
    began = time.perf_counter()
    stock = await fill(database, personal, rows, SERVICE_CENTRE)
    async with database.session() as session:
        size = await session.scalar(text("SELECT pg_size_pretty(pg_database_size(current_database()))"))
    print(f"{rows:,} certificates copied in and indexed in {time.perf_counter() - began:.0f} s; database {size}", flush=True)
    today = civil_date(clock.now())
    await plans(database, personal, stock, today)
    for name, step in selects(database, personal, stock, today).items():
        print(await _timed(name, step, 200), flush=True)
    await database.close()
    return stock


def selects(database: Database, personal: PersonalData, stock: Stock, today: dt.date) -> dict[str, Callable[[int], Awaitable[object]]]:
    """The named selects, each with the n-th thing to look for."""

    async def by_code(number: int) -> object:
        async with database.session() as session:
            return await certificate_by_code(session, stock.codes[number % len(stock.codes)])

    async def by(marks: Marks, scope: Scope) -> object:
        async with database.begin() as session:
            return await found(session, scope, marks, today)

    return {"select by code": by_code} | {
        f"select {name}": lambda number, name=name: by(*marks_of(personal, stock, number)[name]) for name in marks_of(personal, stock, 0)
    }


def marks_of(personal: PersonalData, stock: Stock, number: int) -> dict[str, tuple[Marks, Scope]]:
    """What is looked for, and by whom."""
    place = number % len(stock.codes)
    code, kind = stock.holders[place]
    holder, window = personal.index(kind, code), Scope(organisation=SERVICE_CENTRE)
    issuer = stock.identifiers[place].split(".")[6]
    return {
        "by holder, a client": (Marks(holder=holder), window),
        "by holder, the holder": (Marks(), Scope(holders=(holder,))),
        "by identifier": (Marks(identifier=stock.identifiers[place]), Scope(organisation=issuer)),
        "by number": (Marks(number=stock.numbers[place]), Scope(organisation=issuer)),
        "an issuer's newest": (Marks(), Scope(organisation=issuer)),
        "an issuer's, cancelled": (Marks(standing=Standing.CANCELLED), Scope(organisation=issuer)),
        "an issuer's, of a month": (
            Marks(issued_from=dt.date(2020, 3, 1), issued_to=dt.date(2020, 3, 31)), Scope(organisation=issuer),
        ),
        "of a type, everywhere": (Marks(type_code=stock.identifiers[place].split(".")[5]), Scope()),
        "by words, rare": (Marks(text=stock.numbers[place]), Scope(organisation=issuer)),
        "by words, common": (Marks(text="有限公司"), window),
        "by words, an issuer's": (Marks(text="餐饮 许可"), Scope(organisation=issuer)),
    }  # fmt: skip


async def plans(database: Database, personal: PersonalData, stock: Stock, today: dt.date) -> dict[str, str]:
    """The plan of each page of ids: which indexes are read, and whether any table is read from end to end."""
    told = {}
    for name, (marks, scope) in marks_of(personal, stock, 7).items():
        told[name] = await explain(database, page_of(scope, marks, today, None, 51))
        used = sorted({line.split(" using ")[1].split(" ")[0] for line in told[name].splitlines() if " using " in line})
        bitmaps = sorted({line.split(" on ")[1].split(" ")[0] for line in told[name].splitlines() if "Bitmap Index Scan" in line})
        whole = [line.strip() for line in told[name].splitlines() if "Seq Scan on" in line]
        print(f"plan {name:<28} {', '.join(used + bitmaps)} {'WHOLE TABLE ' + '; '.join(whole) if whole else ''}")
    return told


class Explain(Executable, ClauseElement):
    """``EXPLAIN`` of a statement, with its values bound as they are when it runs."""

    inherit_cache = False

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement


@compiles(Explain)
def _explained(element: Explain, compiler: Any, **more: Any) -> str:
    return f"EXPLAIN {compiler.process(element.statement, **more)}"


async def explain(database: Database, statement: ClauseElement) -> str:
    """PostgreSQL's plan for the statement with its values."""
    async with database.begin() as session:
        return "\n".join(row[0] for row in await session.execute(Explain(statement)))


async def _timed(name: str, step: Callable[[int], Awaitable[object]], count: int) -> Times:
    values = []
    for number in range(count + 10):
        began = time.perf_counter()
        await step(number)
        values.append((time.perf_counter() - began) * 1000)
    return Times(name, sorted(values[10:]))


def over_http(house: Instance, stock: Stock, quiet: bool) -> list[Times]:
    """Half by code, half by holder, on a timetable; a request's time begins when it was due, so a queue counts."""
    stop = threading.Event()
    issuing = threading.Thread(target=_issue_until, args=(house, stop), daemon=True)
    if not quiet:
        issuing.start()
    wires = [_Finder(house, stock) for _ in range(THREADS)]
    began, count = time.perf_counter() + 1.0, A_SECOND * SECONDS
    with ThreadPoolExecutor(THREADS) as threads:
        done = list(threads.map(lambda one: _run(wires[one], one, began, count), range(THREADS)))
    stop.set()
    if not quiet:
        issuing.join()
    when = "alone" if quiet else "while issuing"
    merged: dict[str, list[float]] = {"by code": [], "by holder": []}
    for part in done:
        for name, values in part.items():
            merged[name] += values
    return [Times(f"HTTP {name}, {A_SECOND}/s, {when}", sorted(values)) for name, values in merged.items()]


def _run(finder: "_Finder", first: int, began: float, count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"by code": [], "by holder": []}
    for number in range(first, count, THREADS):
        due = began + number / A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        name = "by code" if number % 2 else "by holder"
        (finder.by_code if number % 2 else finder.by_holder)(number)
        times[name].append((time.perf_counter() - due) * 1000)
    return times


class _Finder:
    """One connection of a client that looks for certificates."""

    def __init__(self, house: Instance, stock: Stock) -> None:
        self._wire, self._stock = Wire(house.base_url), stock
        client = house.client("window")
        answer = self._wire.form(
            "/oauth/token", {"grant_type": "client_credentials", "scope": "certificates:read"},
            headers=basic(client["client_id"], client["client_secret"]),
        )  # fmt: skip
        self._headers = {"Content-Type": "application/json", **bearer(answer.json()["access_token"])}

    def by_code(self, number: int) -> None:
        code = self._stock.codes[number % len(self._stock.codes)]
        self._wire.send("GET", f"/api/v1/verify/{code}", expect=200)

    def by_holder(self, number: int) -> None:
        code, kind = self._stock.holders[number % len(self._stock.holders)]
        body = json.dumps({"holder_code": code, "code_type": kind, "purpose": PURPOSE}).encode()
        self._wire.send("POST", "/api/v1/certificates/search", headers=self._headers, body=body, expect=200)


def _issue_until(house: Instance, stop: threading.Event) -> None:
    issuer, number = Issuer(house), 0
    while not stop.is_set():
        issuer.issue(number)
        number += 1
    print(f"{number} certificates were issued meanwhile")


if __name__ == "__main__":
    main()
