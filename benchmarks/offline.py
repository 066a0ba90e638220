"""Verification for anyone: an offline code, a status list built anew, and a verification code over HTTP on 16 connections."""

import datetime as dt
import random
import threading
import time
from statistics import quantiles

from benchmarks.bench import Bench
from benchmarks.instance import Instance
from benchmarks.measure import Contender, take_turns
from benchmarks.rows import CPU_MS, PER_SECOND, WALL_MS, Row
from benchmarks.wire import Wire
from certs.code_key_set import PublicCodeKey
from certs.numbering import make_identifier
from certs.offline_code import CodeAlgorithm, CodeHolder, OfflineCode, StatusReference, encode_offline
from certs.offline_verdict import OfflineTrust, believed_list, judge_offline
from certs.token_status import ENTRIES, TokenStatus, compress, jwt_claims, pack, sign_cwt
from keys.base.clock import SystemClock, civil_date
from keys.custody.algorithms import SIGNING
from keys.custody.store import Algorithm
from seal.verdict import Indication

SET = ENTRIES // 100
CONNECTIONS, EACH = 16, 200
DAY = dt.timedelta(days=1)
KID = b"8 octets"


def figure(bench: Bench) -> list[Row]:
    now = SystemClock().now()
    return [*_code_rows(now, bench.rounds), *_served_rows(bench.instance)]


def _code_rows(now: dt.datetime, rounds: int) -> list[Row]:
    made = SIGNING[Algorithm.P256].make()
    sign = SIGNING[Algorithm.P256].load(made.secret, made.public)
    key = PublicCodeKey(KID, CodeAlgorithm.ES256, made.public, now - DAY, now + 365 * DAY, now + 4000 * DAY)
    marked = [(index, TokenStatus(1 + index % 2)) for index in random.Random(1).sample(range(1, ENTRIES), SET)]
    lists: list[bytes] = []

    def rebuild(_: int) -> None:
        lists[:] = [sign_cwt("https://id.example/status-lists/1", now, compress(pack(marked)), CodeAlgorithm.ES256, KID, sign)]

    built = take_turns({"ours": Contender(rebuild, count=5)}, rounds)["ours"].total
    text = encode_offline(_code(civil_date(now)), CodeAlgorithm.ES256, KID, sign)
    trust = OfflineTrust((key,), dict([believed_list(lists[0], (key,))]))

    def judge(_: int) -> None:
        assert judge_offline(text, trust, now).indication is Indication.TOTAL_PASSED

    judged = take_turns({"ours": Contender(judge, count=500)}, rounds, warm_up=3)["ours"].total
    lst = len(jwt_claims("", "", now, compress(pack(marked)))["status_list"]["lst"])
    sizes = f"CWT {len(lists[0]) / 1000:.1f} kB, lst of the JWT {lst / 1000:.1f} kB; aim: 1 s and 50 kB"
    return [
        Row("offline code, verified", judged, "", None, CPU_MS, f"{len(text)} characters, ES256, status looked up; aim: 0.2 ms"),
        Row(f"status list of {ENTRIES:,}, 1 % set, built and signed", built, "", None, CPU_MS, sizes),
    ]


def _code(today: dt.date) -> OfflineCode:
    return OfflineCode(
        identifier=str(make_identifier("11990100MB0000035A001", "11990100MB0000035A", "20260000001")),
        name="食品经营许可证", number="JY29901000000017", issuer="示范市市场监督管理局",
        issued_on=today, valid_from=today, valid_to=today + 1800 * DAY,
        holders=(CodeHolder("示范市江畔餐饮管理有限公司", "91990100MA1TEXT06T"),), status=StatusReference(1, 0), verification_code="0" * 16,
    )  # fmt: skip


def _served_rows(instance: Instance) -> list[Row]:
    """Closed loop: each connection asks again as soon as it was answered; the asking takes its share of the machine."""
    path = f"/api/v1/verify/{instance.demo['certificate']['verification_code']}"
    _load(instance, path, 50)
    before = instance.cpu()
    waited = _load(instance, path, EACH)
    after = instance.cpu()
    spent = {part: after[part] - before.get(part, 0.0) for part in after}
    web, stores = spent["web"], spent.get("PostgreSQL", 0.0)
    note = f"{CONNECTIONS} connections; PostgreSQL beside it {stores / len(waited) * 1000:.2f} ms; aim: 1,000/s a core"
    p99 = quantiles(waited, n=100)[98] * 1000
    return [
        Row("verify by code over HTTP", len(waited) / web, "", None, PER_SECOND, note),
        Row("verify by code over HTTP, p99", p99, "", None, WALL_MS, "closed loop of 16, asking on the same cores; aim: 10 ms"),
    ]


def _load(instance: Instance, path: str, each: int) -> list[float]:
    """Seconds of every answer."""
    waited: list[float] = []

    def ask() -> None:
        wire = Wire(instance.base_url)
        for _ in range(each):
            began = time.perf_counter()
            answer = wire.send("GET", path)
            waited.append(time.perf_counter() - began)
            assert answer.json()["status"] == "in_force"

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waited
