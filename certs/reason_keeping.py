"""The reasons of moves as they stand: the shipped ones and the house's own."""

import re
from collections.abc import Iterable

from sqlalchemy import select

from certs.grounds import MAX_BASIS, MAX_REASON, Grounds, MoveReason, settled, shipped_reasons
from certs.life_models import MoveReasonRow
from certs.lifecycle import MOVES
from certs.records import HistoryEntry
from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, InvalidInput, NotFound
from keys.evidence import audit
from keys.evidence.audit import Event

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,39}")


class ReasonTaken(Conflict):
    """The code is in use, or was."""

    code = "REASON_CODE_TAKEN"
    public = ("该理由代码已经使用过，请另取代码。", "This reason code is or was in use. Choose another.")


class ReasonMalformed(InvalidInput):
    """A reason needs a code in capitals, both languages, and moves that exist."""

    code = "REASON_MALFORMED"
    public = (
        "理由须有大写字母代码、中英文说明和适用的操作。",
        "A reason needs a code in capital letters, words in both languages, and the changes it is for.",
    )


async def find_reason(session: AsyncSession, code: str) -> MoveReason | None:
    """The reason with this code, retired or not."""
    shipped = shipped_reasons().get(code)
    if shipped is not None:
        return shipped
    row = await session.get(MoveReasonRow, code)
    return to_reason(row) if row else None


async def all_reasons(session: AsyncSession) -> tuple[MoveReason, ...]:
    """The shipped reasons in their order, then the house's own by code."""
    rows = await session.scalars(select(MoveReasonRow).order_by(MoveReasonRow.code))
    return (*shipped_reasons().values(), *(to_reason(row) for row in rows))


async def reasons_of(session: AsyncSession, entries: Iterable[HistoryEntry]) -> dict[str, MoveReason]:
    """The reasons that these entries name, by code; those of the house are read, the shipped ones are at hand."""
    codes = {one.reason_code for one in entries if one.reason_code}
    own = codes - shipped_reasons().keys()
    rows = await session.scalars(select(MoveReasonRow).where(MoveReasonRow.code.in_(own))) if own else ()
    return {code: shipped_reasons()[code] for code in codes - own} | {row.code: to_reason(row) for row in rows}


async def settle(session: AsyncSession, move: str, grounds: Grounds) -> Grounds:
    """The grounds as they are written down. Raises what :func:`certs.grounds.settled` raises."""
    return settled(grounds, move, await find_reason(session, grounds.code) if grounds.code is not None else None)


async def add_reason(database: Database, clock: Clock, actor: Actor, reason: MoveReason) -> MoveReason:
    """Add one of the house's own. Raises :class:`ReasonTaken`, :class:`ReasonMalformed`. Who may is the caller's question."""
    _require_whole(reason)
    now = clock.now()
    async with database.begin() as session:
        if await find_reason(session, reason.code) is not None:
            raise ReasonTaken
        row = MoveReasonRow(
            code=reason.code, moves=list(reason.moves), zh=reason.zh.strip(), en=reason.en.strip(), basis_zh=reason.basis_zh.strip(),
            basis_en=reason.basis_en.strip(), added_at=now, added_by=actor.id, retired_at=None,
        )  # fmt: skip
        session.add(row)
        await audit.record(session, now, Event("certs.reason.add", f"reason:{reason.code}", audit.Outcome.DONE, actor))
        return to_reason(row)


async def retire_reason(database: Database, clock: Clock, actor: Actor, code: str) -> MoveReason:
    """Take one of the house's own out of use; histories go on speaking by it. Raises ``NotFound``."""
    now = clock.now()
    async with database.begin() as session:
        row = await session.get(MoveReasonRow, code, with_for_update=True)
        if row is None:
            raise NotFound("reason")
        if row.retired_at is None:
            row.retired_at = now
            await audit.record(session, now, Event("certs.reason.retire", f"reason:{code}", audit.Outcome.DONE, actor))
        return to_reason(row)


def to_reason(row: MoveReasonRow) -> MoveReason:
    """The view of a row."""
    return MoveReason(row.code, tuple(row.moves), row.zh, row.en, row.basis_zh, row.basis_en, row.retired_at is None, shipped=False)


def _require_whole(reason: MoveReason) -> None:
    known = {move.name for move in MOVES}
    texts = ((reason.zh, MAX_REASON), (reason.en, MAX_REASON))
    whole = all(0 < len(text.strip()) <= longest for text, longest in texts)
    bases = all(len(text) <= MAX_BASIS for text in (reason.basis_zh, reason.basis_en))
    if not (_CODE.fullmatch(reason.code) and whole and bases and reason.moves and known.issuperset(reason.moves)):
        raise ReasonMalformed
