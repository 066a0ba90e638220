"""The PAdES level of a sealed document, and keeping it provable: what the journey of a document asks of :mod:`seal.levels_obtaining`.

A level is that of the file once its last seal is on it, so only the last seal's signature is time-stamped; the document time stamp of
B-LTA covers them all. A time-stamping authority that is away leaves the request with the sweeper: nothing is half-stamped.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from keys.base.db import AsyncSession
from keys.time.errors import TimestampUnavailable
from seal import upgrades
from seal.levels import TOKEN_ROOM
from seal.levels_obtaining import Obtaining, Upgraded, add_document_timestamp, add_signature_timestamp, time_room
from seal.stamping import Stamped
from seal.stamping_press import TimeRoom
from seal.upgrade_policy import Renewal, Stamping


class Level(StrEnum):
    """EN 319 142-1 §6.1."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"


@dataclass(frozen=True, slots=True)
class Levels:
    """What levels above B-B need. ``kept``: whether sealed documents are kept provable from then on (``FUJIE_ARCHIVE``)."""

    obtaining: Obtaining
    kept: bool = False
    renewal: Renewal = field(default_factory=Renewal)


@dataclass(frozen=True, slots=True)
class Raised:
    """The file at its level; ``upgraded``: its document time stamp, of B-LTA."""

    pdf: bytes
    level: Level
    upgraded: Upgraded | None = None


async def room_for(levels: Levels | None, level: Level) -> TimeRoom | None:
    """What the signature must leave room for. Raises ``TimestampUnavailable`` and what :func:`time_room` raises."""
    if level is Level.B_B:
        return None
    if levels is None:
        raise TimestampUnavailable("no time stamps here")
    return TimeRoom(TOKEN_ROOM) if level is Level.B_T else await time_room(levels.obtaining)


async def raised(levels: Levels | None, level: Level, stamped: Stamped) -> Raised:
    """The stamped file at ``level``. Raises what the functions of :mod:`seal.levels_obtaining` raise."""
    if level is Level.B_B or levels is None:
        return Raised(stamped.pdf, Level.B_B)
    pdf = await add_signature_timestamp(levels.obtaining, stamped.pdf, stamped.unstamped)
    if level is not Level.B_LTA:
        return Raised(pdf, level)
    upgraded = await add_document_timestamp(levels.obtaining, pdf)
    return Raised(upgraded.pdf, level, upgraded)


async def keep(session: AsyncSession, levels: Levels | None, subject: str, document_hash: bytes, made: Raised) -> None:
    """A place in the list of files that are kept provable, if documents are; a B-LTA file is due when its time stamp ages."""
    if levels is None or not levels.kept:
        return
    last = made.upgraded
    stamping = Stamping(last.stamped_at, last.ends_at, last.algorithm) if last else None
    due = levels.renewal.due(stamping) if stamping else None
    await upgrades.enrol(session, levels.obtaining.clock.now(), subject, document_hash, f"PAdES-{made.level}", stamping, due)
