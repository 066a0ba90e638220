"""What must hold once everything was restarted again and again: read from the tables, the bucket and what subscribers were told.

Each check answers with a list of breaches; an empty list is what we want.
"""

import datetime as dt
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import asyncpg

from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.attacks.restart_house import RestartHouse
from tests.attacks.restart_load import Asking, Subscriber

_CERTIFICATES = """
    SELECT id::text, stage, status, identifier, verification_code, number, document_hash FROM certs.certificates
    WHERE number LIKE '示重字%'"""
_EVENTS = "SELECT id::text, topic, subject, sequence, published_at FROM certs.outbox WHERE created_at >= $1"


async def settled(url: str) -> tuple[int, int]:
    """How many certificates are half-done, and how many events wait to be told."""
    connection = await asyncpg.connect(url)
    try:
        half = await connection.fetchval("SELECT count(*) FROM certs.certificates WHERE stage = 'reserved'")
        unsent = await connection.fetchval("SELECT count(*) FROM certs.outbox WHERE published_at IS NULL")
        waiting = await connection.fetchval("SELECT count(*) FROM certs.deliveries WHERE state = 'waiting'")
        return int(half), int(unsent) + int(waiting)
    finally:
        await connection.close()


async def breaches(house: RestartHouse, asking: Asking, subscribers: Iterable[Subscriber], since: dt.datetime, judged: int) -> list[str]:
    """Everything, over all tables; ``judged``: how many files are verified as anybody would."""
    connection = await asyncpg.connect(house.database_url)
    try:
        certificates = await connection.fetch(_CERTIFICATES)
        events = await connection.fetch(_EVENTS, since)
        history = await _counts(connection, "SELECT certificate_id::text FROM certs.events WHERE operation = '01'")
        dead = await connection.fetchval("SELECT count(*) FROM certs.deliveries WHERE state <> 'delivered'")
    finally:
        await connection.close()
    found = _complete(certificates, events, history, asking) + _files(house, certificates, judged)
    found += [f"{dead} deliveries are not delivered"] if dead else []
    for one in subscribers:
        found += _told(one, events)
    return found


async def _counts(connection: Any, query: str) -> Counter[str]:
    return Counter(str(row[0]) for row in await connection.fetch(query))


def _complete(certificates: list[Any], events: list[Any], history: Counter[str], asking: Asking) -> list[str]:
    """Every acknowledged request is one issued certificate with one history entry and one event, and there is no other."""
    issued = {row["id"]: row for row in certificates if row["stage"] == "issued"}
    told = Counter(row["subject"] for row in events if row["topic"] == "certificate.issued")
    found = [f"{row['identifier']} is left {row['stage']}" for row in certificates if row["stage"] not in ("issued", "void")]
    found += [f"{key}: what was acknowledged is not there" for key, answer in asking.answered.items() if answer["id"] not in issued]
    found += [f"{key}: another identifier" for key, one in asking.answered.items() if _differs(issued.get(one["id"]), one)]
    numbers = Counter(row["number"] for row in issued.values())
    found += [f"{number} was issued {count} times" for number, count in numbers.items() if count != 1]
    if len(issued) != asking.total or len(asking.answered) != asking.total:
        found.append(f"{asking.total} asked for, {len(asking.answered)} acknowledged, {len(issued)} issued")
    found += [f"{one}: {history[one]} history entries, {told[one]} events" for one in issued if (history[one], told[one]) != (1, 1)]
    found += [
        f"{row['identifier']} has no code or no file" for row in issued.values() if not row["verification_code"] or not row["document_hash"]
    ]
    return found


def _differs(row: Any, answer: dict[str, Any]) -> bool:
    return row is not None and (row["identifier"], row["verification_code"]) != (answer["identifier"], answer["verification_code"])


def _files(house: RestartHouse, certificates: list[Any], judged: int) -> list[str]:
    """Every file is in the bucket and is what its name says; some are judged whole."""
    found: list[str] = []
    issued = [row for row in certificates if row["stage"] == "issued" and row["document_hash"]]
    sample = {row["id"] for row in random.sample(issued, min(judged, len(issued)))}
    trust, now = Trust.from_pem((house.home / "trust.pem").read_bytes()), dt.datetime.now(dt.UTC)
    for row in issued:
        data = house.s3.read(bytes(row["document_hash"]))
        if data is None or hashlib.sha256(data).digest() != bytes(row["document_hash"]):
            found.append(f"{row['identifier']}: its file is {'gone' if data is None else 'another'}")
        elif row["id"] in sample and verify(data, trust, now).indication is not Indication.TOTAL_PASSED:
            found.append(f"{row['identifier']}: its file does not pass")
    return found


def _told(subscriber: Subscriber, events: list[Any]) -> list[str]:
    """Every event at least once, none that is none, in their order, and a repetition says what the first one said."""
    name, wanted = subscriber.name, {row["id"] for row in events}
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for one in subscriber.good:
        bodies[one.id].add(one.body)
    found = [f"{name} was never told of {one}" for one in sorted(wanted - bodies.keys())]
    found += [f"{name} was told of {one}, which is no event" for one in sorted(bodies.keys() - wanted)]
    found += [f"{name}: {one} was told in two ways" for one, said in bodies.items() if len(said) > 1]
    firsts = [json.loads(next(iter(bodies[one])))["sequence"] for one in dict.fromkeys(told.id for told in subscriber.good)]
    if firsts != sorted(firsts):
        found.append(f"{name}: new events came out of order")
    if subscriber.forged:
        found.append(f"{name}: {subscriber.forged} messages with a wrong signature")
    return found
