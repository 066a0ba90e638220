"""A whole issue: ``POST /api/v1/approvals`` on a running instance, from the request to the recorded, stored, sealed PDF."""

import datetime as dt
import itertools
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

from api.demo import city
from benchmarks.bench import Bench
from benchmarks.instance import STORES, Instance
from benchmarks.measure import Contender, Cost, take_turns
from benchmarks.rows import WALL_MS, Row
from benchmarks.wire import Wire, basic, bearer
from keys.base.clock import SystemClock, civil_date

COUNT = 40
AT_ONCE = 4
NO_PEER = "no peer does the whole job"


def approvals(today: dt.date) -> "itertools.cycle[dict[str, object]]":
    """The three approvals of the demonstration city in turn, decided today."""
    return itertools.cycle(city.story_approvals(today))


class Issuer:
    """The approval platform. Each approval has a number and an idempotency key of its own."""

    def __init__(self, instance: Instance) -> None:
        self._wire = Wire(instance.base_url)
        client = instance.client("approvals")
        fields = {"grant_type": "client_credentials", "scope": "certificates:issue"}
        answer = self._wire.form("/oauth/token", fields, headers=basic(client["client_id"], client["client_secret"]))
        self._headers = {"Content-Type": "application/json", **bearer(answer.json()["access_token"])}
        self._approvals = approvals(civil_date(SystemClock().now()))

    def issue(self, _: int) -> None:
        key = uuid.uuid4().hex
        approval = next(self._approvals) | {"approval_number": f"基准〔{key[:8]}〕{key[8:16]}号"}
        headers = self._headers | {"Idempotency-Key": key}
        answer = self._wire.send("POST", "/api/v1/approvals", headers=headers, body=json.dumps(approval).encode(), expect=201)
        assert answer.json()["status"] == "issued", answer.json()


def figure(bench: Bench) -> list[Row]:
    cost, at_once = measure(bench.instance, bench.rounds, COUNT), measure_at_once(bench.instance)
    web, workers, stores = cost.of("web", "sandbox"), cost.of("workers"), cost.of(*STORES)
    return [
        Row("whole issue, our processes", web + workers, "", None, note=f"web {web:.1f} + workers {workers:.1f}; {NO_PEER}"),
        Row("whole issue, PostgreSQL", stores, "", None, note="both transactions, audit, permit; durable (fsync on)"),
        Row("whole issue, one at a time", cost.wall, "", None, WALL_MS, "request to answer, median"),
        Row(f"whole issue, {AT_ONCE} at a time", at_once, "", None, WALL_MS, "each, of all: 1000 ÷ this = certificates a second"),
    ]


def measure(instance: Instance, rounds: int, count: int) -> Cost:
    contender = Contender(Issuer(instance).issue, instance.cpu, count)
    return take_turns({"ours": contender}, rounds, warm_up=12)["ours"]


def measure_at_once(instance: Instance, count: int = COUNT) -> float:
    """Milliseconds of the wall for one certificate while ``AT_ONCE`` are under way."""
    issuers = [Issuer(instance) for _ in range(AT_ONCE)]
    began = SystemClock().now()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for done in [threads.submit(_issue_some, issuer, count // AT_ONCE) for issuer in issuers]:
            done.result()
    return (SystemClock().now() - began).total_seconds() * 1000 / count


def _issue_some(issuer: Issuer, count: int) -> None:
    for number in range(count):
        issuer.issue(number)
