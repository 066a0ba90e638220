"""Races of stamping against everything that ends the right to stamp, on a real database.

One race: somebody asks for a permit, stamps a PDF and spends the permit, while somebody else suspends the seal, withdraws the
grant, … at a random moment. Afterwards three things must hold for whatever was stamped:

- its transaction committed before the one that ended the right: in the order in which the database wrote its log (pg_walinspect),
  not by any clock;
- the log of use dates it before the instant that the ending is dated;
- the signing times inside the PDF (``/M`` and the stamp's timeInfo) are not after that instant.
"""

import asyncio
import datetime as dt
import hashlib
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import text

from keys.base.actor import Actor, Role
from keys.base.errors import FujieError
from keys.pki.reads import certificate_ends
from keys.pki.status import resume as resume_certificate
from keys.pki.status import suspend as hold_certificate
from seal.asn1 import parse_ses_signature
from seal.changes import cancel_seal, report_seal_lost, resume_seal, suspend_seal
from seal.delegation import Delegation, delegate
from seal.extraction import extract_stamp
from seal.grants import withdraw_grant
from seal.material import SealMaterial, load_material
from seal.permits import Permit, consume_permit, request_permit
from seal.policy_facts import EVERY_SEAL, Requirements
from seal.reads import Seal
from seal.requirements import put_requirements
from seal.stamping import stamp
from tests.seal.conftest import City
from tests.stamped import PLACE, certificate_page

LONGEST_PAUSE = 0.02
_SIGNED_AT = re.compile(rb"/M ?\(D:(\d{14})")


class RunningClock:
    """Begins where the authorities of the tests begin and runs with the machine's; alike in every process of one origin."""

    def __init__(self, beginning: dt.datetime, origin: float) -> None:
        self._beginning, self._origin = beginning, origin

    def now(self) -> dt.datetime:
        return self._beginning + dt.timedelta(seconds=time.time() - self._origin)


@dataclass(frozen=True)
class Attempt:
    """``code``: why it was refused, None: it was stamped and released."""

    permit: uuid.UUID | None
    pdf: bytes
    code: str | None


@dataclass(frozen=True)
class Ending:
    """When the right ended: the transaction that committed it, and the instant it is dated."""

    kind: str
    transaction: int
    instant: dt.datetime


@dataclass
class Tally:
    """What came out, and every breach in words."""

    stamped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)

    @property
    def races(self) -> int:
        return self.stamped.total() + self.refused.total()

    def add(self, other: "Tally") -> None:
        self.stamped += other.stamped
        self.refused += other.refused
        self.codes += other.codes
        self.breaches += other.breaches


EXPECTED = {
    "suspend": {"SEAL_SUSPENDED"},
    "lost": {"SEAL_LOST"},
    "cancel": {"SEAL_CANCELLED"},
    "certificate": {"SEAL_CERTIFICATE_REVOKED"},
    "grant": {"GRANT_WITHDRAWN"},
    "delegation": {"GRANT_WITHDRAWN"},
    "delegator": {"DELEGATION_ENDED"},
    "requirements": {"PERMIT_OUTDATED", "TWO_APPROVERS_NEEDED"},
}
_STATUS = "SELECT xmin::text::bigint, at FROM seal.status_changes WHERE seal_id = :seal AND move = :move ORDER BY id DESC LIMIT 1"
_GRANT = "SELECT xmin::text::bigint, withdrawn_at FROM seal.grants WHERE id = :grant"
_REQUIREMENTS = "SELECT xmin::text::bigint, changed_at FROM seal.requirements WHERE seal_id = :seal"
_CERTIFICATE = """
SELECT c.xmin::text::bigint, CAST(:after AS timestamptz) FROM keys.certificates c WHERE c.serial = :serial"""
_USES = "SELECT permit_id, xmin::text::bigint, at FROM seal.uses WHERE permit_id = ANY(:permits)"
_COMMITS = """
SELECT xid::text::bigint, end_lsn FROM pg_get_wal_records_info(:since, :until)
WHERE resource_manager = 'Transaction' AND record_type LIKE 'COMMIT%'"""


@dataclass
class Arena:
    """One seal and its people. ``kind``, ``matter``: two arenas in one city take different seals."""

    city: City
    kind: str
    matter: str
    random: random.Random
    seal: Seal | None = None
    material: SealMaterial | None = None
    document: bytes = b""

    @property
    def colleague(self) -> Actor:
        return self.city.person(f"colleague-{self.kind}", Role.APPROVER)

    async def prepare(self) -> None:
        """A seal of its own, with what stamping needs."""
        self.seal = await self.city.make(kind=self.kind)
        self.document = self.document or certificate_page()
        async with self.city.database.begin() as session:
            self.material = await load_material(session, self.city.keystore, self.city.clock.now(), self.seal.code)

    @property
    def code(self) -> str:
        assert self.seal is not None
        return self.seal.code

    async def round(self, kind: str, stampers: int) -> tuple[list[Attempt], Ending]:
        """``stampers`` at once, and one who ends their right."""
        ending, grants, who = await self._right(kind)
        permits = [await self._permit(who) if number % 2 else None for number in range(stampers)]
        results = await asyncio.gather(self._later(ending), *(self._attempt(who, permit) for permit in permits))
        attempts: list[Attempt] = list(results[1:])
        found = await self._found(kind, grants)
        await self._restore(kind, grants)
        return attempts, found

    async def _right(self, kind: str) -> tuple[Callable[[], Awaitable[object]], list[uuid.UUID], Actor]:
        """Give what is needed; what ends it, the grants given, the one that ends first; and whose it is."""
        assert self.seal is not None
        city, approver = self.city, self.city.approver
        grants = [await city.grant(self.seal, approver, matter_code=self.matter)]
        if kind in ("delegation", "delegator"):
            now = city.clock.now()
            handed = Delegation(grants[0], self.colleague.id, now, now + dt.timedelta(days=1))
            handed_on = await delegate(city.database, city.clock, approver, handed)
            grants = [handed_on, *grants] if kind == "delegation" else [*grants, handed_on]
        who = self.colleague if kind in ("delegation", "delegator") else approver
        return self._endings(grants)[kind], grants, who

    def _endings(self, grants: list[uuid.UUID]) -> dict[str, Callable[[], Awaitable[object]]]:
        city = self.city
        database, clock, code = city.database, city.clock, self.code
        withdraw = lambda: withdraw_grant(database, clock, city.keeper, grants[0])  # noqa: E731
        return {
            "suspend": lambda: suspend_seal(database, clock, city.keeper, code, "race"),
            "lost": lambda: report_seal_lost(database, clock, city.keeper, code, "race"),
            "cancel": lambda: cancel_seal(database, clock, city.admin, code, "race"),
            "certificate": lambda: self._hold(hold_certificate),
            "grant": withdraw,
            "delegation": lambda: withdraw_grant(database, clock, city.approver, grants[0]),
            "delegator": withdraw,
            "requirements": lambda: put_requirements(database, clock, city.admin, code, Requirements(approvals=2)),
        }

    async def _hold(self, change: Callable[..., Awaitable[None]]) -> None:
        async with self.city.database.begin() as session:
            await change(session, self.city.clock.now(), self._serial())

    def _serial(self) -> int:
        assert self.material is not None
        return certificate_ends(self.material.signer_certificate).serial

    async def _later(self, ending: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(self.random.uniform(0, LONGEST_PAUSE))
        await ending()

    async def _permit(self, who: Actor) -> Permit:
        assert self.seal is not None
        digest = hashlib.sha256(self.document).digest()
        request = self.city.use(self.seal, actor=who, matter_code=self.matter, document_hash=digest)
        return await request_permit(self.city.database, self.city.clock, request)

    async def _attempt(self, who: Actor, permit: Permit | None) -> Attempt:
        """Permit (unless given before), stamp, spend: what a service does for one document."""
        assert self.material is not None
        await asyncio.sleep(self.random.uniform(0, LONGEST_PAUSE))
        pdf = b""
        try:
            permit = permit or await self._permit(who)
            signing_time = self.city.clock.now()
            pdf = await asyncio.to_thread(stamp, permit, self.document, self.material, PLACE, self.city.keystore, signing_time)  # type: ignore[assignment]
            now = self.city.clock.now()
            async with self.city.database.begin() as session:
                await consume_permit(session, now, permit, permit.document_hash)
        except FujieError as error:
            return Attempt(permit and permit.id, b"", error.code)
        return Attempt(permit.id, pdf.pdf, None)  # type: ignore[attr-defined]

    async def _found(self, kind: str, grants: list[uuid.UUID]) -> Ending:
        """Read how the ending stands in the database."""
        assert self.seal is not None
        moves = {"suspend": "suspend", "lost": "report_lost", "cancel": "cancel"}
        queries: dict[str, tuple[str, dict[str, object]]] = {
            "certificate": (_CERTIFICATE, {"serial": f"{self._serial():032x}", "after": self.city.clock.now()}),
            "requirements": (_REQUIREMENTS, {"seal": self.seal.id}),
        }
        if kind in moves:
            query = _STATUS, {"seal": self.seal.id, "move": moves[kind]}
        else:
            query = queries.get(kind, (_GRANT, {"grant": grants[0]}))  # type: ignore[assignment]
        async with self.city.database.session() as session:
            transaction, instant = (await session.execute(text(query[0]), query[1])).one()
        return Ending(kind, transaction, instant)

    async def _restore(self, kind: str, grants: list[uuid.UUID]) -> None:
        city = self.city
        if kind == "suspend":
            await resume_seal(city.database, city.clock, city.admin, self.code, "race over")
        elif kind == "certificate":
            await self._hold(resume_certificate)
        elif kind == "requirements":
            await put_requirements(city.database, city.clock, city.admin, self.code, EVERY_SEAL)
        elif kind == "lost":
            await cancel_seal(city.database, city.clock, city.admin, self.code, "race over")
        if kind in ("lost", "cancel"):
            await self.prepare()
        else:
            rest = grants[1:] if kind in ("grant", "delegation", "delegator") else grants
            for one in rest:
                await withdraw_grant(city.database, city.clock, city.keeper, one)

    async def run(self, kinds: list[str], stampers: int) -> Tally:
        """One round of each of these kinds, judged together by the database's own log."""
        since = await self._flushed()
        rounds = [await self.round(kind, stampers) for kind in kinds]
        until = await self._flushed()
        async with self.city.database.session() as session:
            commits = {row.xid: row.end_lsn for row in await session.execute(text(_COMMITS), {"since": since, "until": until})}
            permits = [one.permit for attempts, _ in rounds for one in attempts if one.permit]
            rows = (await session.execute(text(_USES), {"permits": permits})).all()
        uses = {permit: (transaction, at) for permit, transaction, at in rows}
        tally = Tally()
        for attempts, ending in rounds:
            for attempt in attempts:
                _judge(tally, attempt, ending, uses, commits)
        return tally

    async def _flushed(self) -> int:
        """How far the log of writes has come, all of it readable."""
        async with self.city.database.begin() as session:
            await session.execute(text("SET LOCAL synchronous_commit = on"))
            await session.execute(text("SELECT pg_logical_emit_message(true, 'race', 'flushed')"))  # what wrote nothing is not flushed
        async with self.city.database.session() as session:
            return int(await session.scalar(text("SELECT pg_current_wal_flush_lsn()")))


def _judge(tally: Tally, attempt: Attempt, ending: Ending, uses: dict[uuid.UUID, tuple[int, dt.datetime]], commits: dict[int, int]) -> None:
    kind = ending.kind
    if attempt.code is not None:
        tally.refused[kind] += 1
        tally.codes[attempt.code] += 1
        if attempt.code not in EXPECTED[kind]:
            tally.breaches.append(f"{kind}: refused with {attempt.code}")
        if attempt.permit in uses:
            tally.breaches.append(f"{kind}: refused, and in the log of use")
        return
    tally.stamped[kind] += 1
    assert attempt.permit is not None
    transaction, at = uses[attempt.permit]
    assert ending.transaction in commits, ending
    if not commits[transaction] < commits[ending.transaction]:
        tally.breaches.append(f"{kind}: stamped in a transaction after the one that ended it")
    if at > ending.instant:
        tally.breaches.append(f"{kind}: used at {at}, ended at {ending.instant}")
    tally.breaches += [f"{kind}: signed at {one}, ended at {ending.instant}" for one in signing_times(attempt.pdf) if one > ending.instant]


def signing_times(pdf: bytes) -> list[dt.datetime]:
    """What the document itself says: ``/M`` of its last signature and timeInfo of its stamp."""
    said = _SIGNED_AT.findall(pdf)[-1].decode()
    stamped = parse_ses_signature(extract_stamp(pdf)).time
    assert stamped is not None
    return [dt.datetime.strptime(said, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC), stamped]
