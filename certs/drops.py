"""The file drop: approvals that an old system lays down in a folder become certificates, and it finds a receipt.

1. find     files that have settled, one after the other, in the folder of each client (``certs.drop_files``)
2. issue    every row is an approval of that client; its key follows from its number and type: whatever is laid down twice, or was half done
            when the machine died, is given the answer it was given before
3. receipt  a line for every row, written whole
4. away     the file leaves the inbox last

Killed anywhere it begins that file again. A row that is refused says why, and the rows after it go on; while the database, the store or a
key device is away the file waits.
"""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import Approval, IssuingInProgress, Outcome
from certs.drop_files import (
    DONE,
    REFUSED,
    DropUnreadable,
    Found,
    Row,
    Watch,
    forget_old,
    put_away,
    read_file,
    rows_of,
    watches,
    write_receipt,
)
from certs.entrances import client_that_issues
from certs.event_models import DropRow
from certs.issuance import approve
from certs.stages import Issuing
from identity.personal_data import PersonalData
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, InvalidInput, Throttled
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event

log = structlog.get_logger("fujie.certs.drops")

TOGETHER = 4
_SERVER_ERROR = 500
_AWAY = frozenset({503, 507})
"""The store, a key device, the database or the clock is away: it comes back."""
Parse = Callable[[Mapping[str, Any]], Approval]


@dataclass(frozen=True, slots=True)
class Drop:
    """A file and what became of its rows; ``trouble``: why it was refused as a whole, or waits."""

    client_id: str
    file_name: str
    state: str
    issued: int
    waiting: int
    refused: int
    trouble: str | None
    found_at: dt.datetime
    ended_at: dt.datetime | None


class NotNow(Exception):
    """Something of ours is away: the file is begun again later."""


@dataclass
class Dropping:
    """The watch over one folder: an asynchronous context manager. ``parse`` makes an approval of a row's members, or raises InvalidInput.

    Each client's inbox has a task of its own, so that a long file keeps nobody else waiting.
    """

    issuing: Issuing
    root: Path
    parse: Parse
    _watches: dict[Path, Watch] = field(default_factory=dict)
    _running: dict[Path, asyncio.Task[int]] = field(default_factory=dict)

    async def step(self) -> None:
        """One look at every inbox that nobody works on; returns without waiting for what it began."""
        found = await asyncio.to_thread(watches, self.root)
        self._watches = {one.folder: self._watches.get(one.folder, one) for one in found}
        for folder, watch in self._watches.items():
            if folder not in self._running:
                self._running[folder] = task = asyncio.create_task(self._look(watch), name=f"drop {watch.client_id}")
                task.add_done_callback(partial(self._ended, folder))

    def _ended(self, folder: Path, task: asyncio.Task[int]) -> None:
        del self._running[folder]

    async def settle(self) -> int:
        """Wait until what was begun has ended; how many files were put away."""
        return sum(await asyncio.gather(*self._running.values()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, watch: Watch) -> int:
        try:
            return await self._turn(watch)
        except Exception:  # the database is away, or the folder: another look follows
            log.exception("a folder was not looked through", folder=watch.client_id)
            return 0

    async def _turn(self, watch: Watch) -> int:
        """How many files were put away. Only one process works in a client's folder at a time."""
        ready = await asyncio.to_thread(lambda: list(watch.ready()))
        await asyncio.to_thread(forget_old, watch, self.issuing.clock.now().timestamp())
        if not ready:
            return 0
        async with self.issuing.database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            name = func.hashtextextended(f"certs.drops.{watch.client_id}", 0)
            if not await connection.scalar(select(func.pg_try_advisory_lock(name))):
                return 0
            try:
                return await self._work(watch, ready)
            finally:
                await connection.scalar(select(func.pg_advisory_unlock(name)))

    async def _work(self, watch: Watch, ready: list[Path]) -> int:
        async with self.issuing.database.session() as session:
            actor = await client_that_issues(session, self.issuing.clock.now(), watch.client_id)
        if actor is None:
            log.warning("a folder of no client that may issue", folder=watch.client_id)
            return 0
        done = 0
        for path in ready:
            try:
                done += await self._file(watch, actor, path)
            except NotNow as error:
                log.warning("a dropped file waits", client=watch.client_id, code=str(error))
                break
        return done

    async def _file(self, watch: Watch, actor: Actor, path: Path) -> int:
        try:
            found = await asyncio.to_thread(read_file, path)
            rows = await asyncio.to_thread(lambda: list(rows_of(found)))
        except FileNotFoundError:
            return 0
        except DropUnreadable as error:
            await self._refuse(watch, actor, path, error)
            return 1
        began = await self._note(watch, found, "working")
        lines = await self._issue(actor, rows)
        counts = Counter(str(one["status"]) for one in lines)
        await asyncio.to_thread(write_receipt, watch, found, lines)
        await asyncio.to_thread(put_away, watch, found, DONE)
        issued, refused = counts["issued"], counts["refused"] + counts["failed"]
        tally = {"issued": issued, "refused": refused, "waiting": len(lines) - issued - refused}
        await self._note(watch, found, "done", **tally, ended_at=self.issuing.clock.now())
        await self._audit(actor, began, audit.Outcome.DONE, {"file": found.digest.hex(), **tally})
        return 1

    async def _refuse(self, watch: Watch, actor: Actor, path: Path, error: DropUnreadable) -> None:
        found = Found(path, b"" if error.detail == "size" else (await asyncio.to_thread(read_file, path)).content)
        await asyncio.to_thread(write_receipt, watch, found, [{"row": None, **_told(error)}])
        await asyncio.to_thread(put_away, watch, found, REFUSED)
        drop = await self._note(watch, found, "refused", trouble=error.code, ended_at=self.issuing.clock.now())
        await self._audit(actor, drop, audit.Outcome.REFUSED, {"file": found.digest.hex()}, error.code)

    async def _issue(self, actor: Actor, rows: list[Row]) -> list[dict[str, object]]:
        free = asyncio.Semaphore(TOGETHER)

        async def one(row: Row) -> dict[str, object]:
            async with free:
                return await self._row(actor, row)

        answers = await asyncio.gather(*(one(row) for row in rows), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, dict)]

    async def _row(self, actor: Actor, row: Row) -> dict[str, object]:
        """The receipt's line. Raises :class:`NotNow`."""
        number = str(row.members.get("approval_number", ""))[:500]
        told: dict[str, object] = {"row": row.number, "approval_number": number}
        try:
            if row.fault:
                raise InvalidInput(row.fault, errors=[{"field": "row", "message": row.fault}])
            approval = self.parse(row.members)
            outcome = await approve(self.issuing, actor, approval, key_of(self.issuing.personal, approval))
        except FujieError as error:
            if error.status in _AWAY or isinstance(error, IssuingInProgress | Throttled):
                raise NotNow(error.code) from error
            return told | _told(error)
        return told | _answer(self.issuing.base_url, outcome)

    async def _note(self, watch: Watch, found: Found, state: str, **values: Any) -> str:
        now = self.issuing.clock.now()
        fresh = {"state": state, "issued": 0, "waiting": 0, "refused": 0, "trouble": None, "ended_at": None, "found_at": now, **values}
        statement = insert(DropRow).values(
            id=new_id(), client_id=watch.client_id, file_name=found.path.name[:200], file_hash=found.digest, **fresh
        )
        kept = {name: value for name, value in fresh.items() if name != "found_at"}
        again = statement.on_conflict_do_update(index_elements=[DropRow.client_id, DropRow.file_hash], set_=kept)
        async with self.issuing.database.begin() as session:
            return str(await session.scalar(again.returning(DropRow.id)))

    async def _audit(
        self, actor: Actor, drop: str, outcome: audit.Outcome, details: dict[str, audit.JSON], code: str | None = None
    ) -> None:
        event = Event("certs.drop.work", f"drop:{drop}", outcome, actor, details, code)
        await audit.record_alone(self.issuing.database, self.issuing.clock.now(), event)


def key_of(personal: PersonalData, approval: Approval) -> str:
    """The key of a row: the same approval in another file, or in the same one again, is the same request. Keyed, for what stands as a
    number may be a person's.
    """
    parts = f"{approval.approval_number.strip()}\n{approval.certificate_type}\n{approval.issuer or ''}"
    return f"drop-{personal.subject('certs.drop', parts).hex()}"


def _told(error: FujieError) -> dict[str, object]:
    """Why a row or a file was refused, in words, without a value of it."""
    status = "refused" if error.status < _SERVER_ERROR else "failed"
    told: dict[str, object] = {"status": status, "code": error.code, "zh": error.public[0], "en": error.public[1]}
    return told | ({"errors": error.extra["errors"]} if "errors" in error.extra else {})


def _answer(base_url: str, outcome: Outcome) -> dict[str, object]:
    return {
        "status": outcome.status.value, "id": str(outcome.id), "identifier": outcome.identifier,
        "verification_code": outcome.verification_code, "certificate": f"{base_url}/api/v1/certificates/{outcome.id}",
    }  # fmt: skip


async def drops_of(session: AsyncSession, clients: Collection[str] | None, limit: int = 50) -> list[Drop]:
    """The files that were laid down last; of these clients, or of all."""
    statement = select(DropRow).order_by(DropRow.found_at.desc(), DropRow.id.desc()).limit(limit)
    if clients is not None:
        statement = statement.where(DropRow.client_id.in_(clients))
    return [
        Drop(one.client_id, one.file_name, one.state, one.issued, one.waiting, one.refused, one.trouble, one.found_at, one.ended_at)
        for one in await session.scalars(statement)
    ]
