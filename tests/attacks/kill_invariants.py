"""What must hold after a kill, read from the tables and the stored files themselves, not from the program that was killed.

Each check answers with a list of breaches; an empty list is what we want.
"""

import datetime as dt
import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from api.demo import city as demonstration
from certs.numbering import inspect_identifier
from keys.base.db import Database
from keys.evidence.verify import AuditReport, verify_log
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.attacks.kill_clients import Ledger
from tests.running import City

Row = Mapping[str, Any]
NAME = re.compile(r"[0-9a-f]{64}")


def database_url(city: City) -> str:
    """The SQLAlchemy address of the running city's database."""
    return str(json.loads((city.home / "run" / "addresses.json").read_text())["database_url"])


def plain_url(city: City) -> str:
    """The same for asyncpg."""
    return database_url(city).replace("postgresql+asyncpg:", "postgresql:")


@dataclass(frozen=True)
class Snapshot:
    """The tables that speak of issuing, at one instant."""

    certificates: list[Row]
    keys: list[Row]
    outbox: Counter[str]
    issues: Counter[str]
    permits: list[Row]
    uses: list[Row]
    serials: list[Row]
    audit: list[dict[str, Any]]

    def at(self, *stages: str) -> list[Row]:
        return [row for row in self.certificates if row["stage"] in stages]


_CERTIFICATES = """
    SELECT c.id::text, c.stage, c.identifier, c.verification_code, c.number, c.type_code, c.issuer, c.document_hash,
           i.stage AS issuing, i.unsealed_hash, i.failure, i.lease_until, i.attempts
    FROM certs.certificates c LEFT JOIN certs.issuings i ON i.certificate_id = c.id WHERE c.source = 'issued'"""


async def snapshot(url: str) -> Snapshot:
    """Read everything in one transaction."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return Snapshot(
                certificates=await connection.fetch(_CERTIFICATES),
                keys=await connection.fetch("SELECT client_id, key, certificate_id::text AS id, answer FROM certs.idempotency"),
                outbox=await _counts(connection, "SELECT subject FROM certs.outbox WHERE topic = 'certificate.issued'"),
                issues=await _counts(connection, "SELECT certificate_id::text FROM certs.events WHERE operation = '01'"),
                permits=await connection.fetch("SELECT id::text, document_hash, consumed_at FROM seal.permits"),
                uses=await connection.fetch("SELECT permit_id::text AS id, document_hash FROM seal.uses"),
                serials=await connection.fetch("SELECT type_code, issuer, year, last FROM certs.serials"),
                audit=[orjson.loads(row[0]) for row in await connection.fetch(_AUDIT)],
            )
    finally:
        await connection.close()


_AUDIT = "SELECT body FROM keys.audit_events WHERE action LIKE 'certs.issue.%' ORDER BY id"


async def _counts(connection: Any, query: str) -> Counter[str]:
    return Counter(str(row[0]) for row in await connection.fetch(query))


@dataclass
class Files:
    """The stored files of a home, and which of them were judged already."""

    city: City
    accepted: dict[str, str] = field(default_factory=dict)  # hash → the identifier inside
    trust: Trust | None = None

    def names(self) -> Iterator[Path]:
        return (path for path in (self.city.home / "blobs").rglob("*") if path.is_file())

    def path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.city.home / "blobs" / name[:2] / name[2:4] / name

    def whole(self, digest: bytes | None) -> bytes | None:
        """The file of that hash, if it is there and is what its name says."""
        if digest is None or not self.path(digest).is_file():
            return None
        data = self.path(digest).read_bytes()
        return data if hashlib.sha256(data).digest() == digest else None

    def judge(self, digest: bytes, data: bytes) -> str:
        """The identifier inside a file that passes whole, or what is wrong with it. Each file is judged once."""
        if digest.hex() not in self.accepted:
            self.trust = self.trust or Trust.from_pem((self.city.home / "trust.pem").read_bytes())
            verdict = verify(data, self.trust, dt.datetime.now(dt.UTC))
            if verdict.indication is not Indication.TOTAL_PASSED:
                return f"{verdict.indication} {verdict.sub_indication}"
            self.accepted[digest.hex()] = str((verdict.certificate or {}).get("ZZBS"))
        return self.accepted[digest.hex()]


@dataclass(frozen=True)
class Debris:
    """What a kill may leave in the store: whole files nobody names, and unfinished ones."""

    orphans: int
    unfinished: int
    damaged: int


def debris(found: Snapshot, files: Files) -> Debris:
    named = {bytes(row[column]).hex() for row in found.certificates for column in ("document_hash", "unsealed_hash") if row[column]}
    whole = [path for path in files.names() if NAME.fullmatch(path.name)]
    unfinished = sum(1 for path in files.names() if not NAME.fullmatch(path.name))
    damaged = sum(1 for path in whole if hashlib.sha256(path.read_bytes()).hexdigest() != path.name)
    return Debris(sum(1 for path in whole if path.name not in named), unfinished, damaged)


def documents(found: Snapshot, files: Files, *, settled: bool) -> list[str]:
    """No number without a document, or a recorded reason; once settled nothing is half-done."""
    breaches = []
    for row in found.certificates:
        problem = _document(row, files, settled)
        if problem:
            breaches.append(f"{row['stage']} {row['identifier']}: {problem}")
    return breaches


def _document(row: Row, files: Files, settled: bool) -> str | None:
    if row["issuing"] != row["stage"]:
        return f"its issuing stands at {row['issuing']}"
    match row["stage"]:
        case "issued":
            data = files.whole(row["document_hash"])
            if data is None:
                return "no whole document"
            inside = files.judge(bytes(row["document_hash"]), data)
            return None if inside == row["identifier"] else f"the document says {inside}"
        case "awaiting_stamp":
            return None if files.whole(row["unsealed_hash"]) else "no unsealed document"
        case "void":
            return None if row["failure"] and row["verification_code"] is None else "void without a reason"
        case "reserved":
            return "still reserved" if settled else None
        case other:
            return f"unknown stage {other}"


def traces(found: Snapshot) -> list[str]:
    """Each issued certificate has exactly one history entry, one outgoing event, one spent permit, one audit record."""
    breaches: list[str] = []
    ended: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unsealed: dict[str, str] = {}
    for event in found.audit:
        certificate = event["object"].removeprefix("certificate:")
        ended[certificate][event["action"].removeprefix("certs.issue.")] += 1
        if event["action"] == "certs.issue.record":
            unsealed[certificate] = event["details"]["unsealed"]
    uses = Counter(bytes(row["document_hash"]).hex() for row in found.uses)
    for row in found.certificates:
        issued = int(row["stage"] == "issued")
        counts = {
            "history entries": (found.issues[row["id"]], issued),
            "outgoing events": (found.outbox[row["id"]], issued),
            "audit intents": (ended[row["id"]]["reserve"], 1),
            "audit records": (ended[row["id"]]["record"], issued),
            "audit voids": (ended[row["id"]]["void"], int(row["stage"] == "void")),
            "uses of the seal": (uses[unsealed.get(row["id"], "")], issued),
        }
        breaches += [f"{row['stage']} {row['identifier']}: {is_} {what}, not {want}" for what, (is_, want) in counts.items() if is_ != want]
    return breaches


def permits(found: Snapshot) -> list[str]:
    """No permit spent twice; none spent for nothing."""
    spent = {row["id"] for row in found.permits if row["consumed_at"] is not None}
    used = Counter(row["id"] for row in found.uses)
    issued = len(found.at("issued"))
    breaches = [f"permit {one}: used {times} times" for one, times in used.items() if times != 1]
    breaches += [f"permit {one}: used but not spent, or spent but not used" for one in spent.symmetric_difference(used)]
    if len(used) != issued:
        breaches.append(f"{len(used)} uses of seals for {issued} certificates")
    return breaches


def numbers(found: Snapshot) -> list[str]:
    """No identifier and no code twice; every serial that was given out stands in a certificate."""
    breaches = []
    for column in ("identifier", "verification_code"):
        twice = [value for value, count in Counter(row[column] for row in found.certificates if row[column]).items() if count > 1]
        breaches += [f"{column} {value} stands twice" for value in twice]
    given: Counter[tuple[str, str, int]] = Counter()
    for row in found.certificates:
        report = inspect_identifier(row["identifier"])
        if report.identifier is None or report.flags:
            breaches.append(f"{row['identifier']} is malformed: {report.flags}")
            continue
        given[(row["type_code"], row["issuer"], int(report.identifier.serial[:4]))] += 1
    for row in found.serials:
        if (have := given[(row["type_code"], row["issuer"], row["year"])]) != row["last"]:
            breaches.append(f"{row['type_code']} of {row['issuer']}: {row['last']} serials given, {have} certificates")
    return breaches


def promises(found: Snapshot, ledger: Ledger, *, settled: bool) -> list[str]:
    """Nothing acknowledged is lost or changed, and a key leads to one certificate at most."""
    by_id = {row["id"]: row for row in found.certificates}
    breaches = []
    stamps = {f"stamp of {one}": answer for one, answer in ledger.stamped.items()}
    for key, answer in (ledger.issued | ledger.parked | stamps).items():
        row = by_id.get(answer["id"])
        if row is None:
            breaches.append(f"{key}: acknowledged {answer['identifier']} is gone")
            continue
        allowed = ("issued",) if answer["status"] == "issued" else ("awaiting_stamp", "issued")
        same = (row["identifier"], row["verification_code"]) == (answer["identifier"], answer["verification_code"])
        if not same or row["stage"] not in allowed:
            breaches.append(f"{key}: acknowledged {answer['identifier']} {answer['status']}, now {row['identifier']} {row['stage']}")
    return breaches + _keys(found, ledger, settled)


def _keys(found: Snapshot, ledger: Ledger, settled: bool) -> list[str]:
    breaches = []
    standing = Counter(row["number"] for row in found.certificates if row["stage"] != "void")
    for key, request in ledger.sent.items():
        count = standing[request.body["approval_number"]]
        if count > 1 or (count == 0 and ledger.answer(key) is not None):
            breaches.append(f"{key}: {count} certificates")
    unanswered = [row["key"] for row in found.keys if row["answer"] is None]
    return breaches + [f"{key}: settled, but without an answer" for key in unanswered if settled]


def leaked(city: City) -> list[str]:
    """No ID number of the city in what the process printed."""
    log = city.home.with_name(city.home.name + ".log").read_text(errors="replace")
    numbers = [person["id_number"] for person in demonstration.population()]
    return [f"an ID number stands in the log ({number[:6]}…)" for number in numbers if number in log]


async def audited(url: str, kept: list[str]) -> AuditReport:
    """The audit log recomputed, with the checkpoints that were seen from outside before."""
    database = Database(url, pool_size=2)
    try:
        return await verify_log(database, kept=kept)
    finally:
        await database.close()


def all_checks(found: Snapshot, files: Files, ledger: Ledger, city: City, *, settled: bool) -> list[str]:
    """Every check on the tables and files; while not settled, reserved certificates may stand and their traces wait."""
    breaches = documents(found, files, settled=settled) + numbers(found) + permits(found) + traces(found)
    return breaches + promises(found, ledger, settled=settled) + leaked(city)


def processes_below(pid: int) -> dict[int, str]:
    """A process and all it started, each with the tick it started at (so that a reused number is told apart)."""
    parents: dict[int, int] = {}
    started: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)], started[int(folder.name)] = int(parts[1]), parts[19]
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: started[one] for one in found if one in started}


def still_there(processes: dict[int, str]) -> list[int]:
    """Which of those processes still run; one that only waits to be reaped does not."""
    alive = []
    for pid, tick in processes.items():
        try:
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if parts[19] == tick and parts[0] != "Z":
            alive.append(pid)
    return alive


def kill_at_once(processes: list[int]) -> None:
    """SIGKILL to processes of ours."""
    for pid in processes:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
