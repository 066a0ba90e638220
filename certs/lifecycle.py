"""The certificate's lifecycle as data: status codes, operations and the one table of moves (GB/T 36903).

Pure. ``certs.standing`` applies a move to a record and writes its history.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import Conflict


class Status(StrEnum):
    """Status codes of GB/T 36903."""

    VALID = "01"
    SUSPENDED = "02"
    REVOKED = "03"
    CANCELLED = "04"
    EXPIRED = "05"
    TRANSFERRED = "06"
    WITHDRAWN = "07"
    OTHER = "99"


class Operation(StrEnum):
    """Operation codes of GB/T 36903."""

    ISSUE = "01"
    RENEW = "02"
    SUSPEND = "03"
    EXPIRE = "04"
    CANCEL = "05"
    RESUME = "06"
    OTHER = "07"
    TRANSFER_IN = "08"
    CHANGE = "09"
    UNDO_TRANSFER = "10"


class Standing(StrEnum):
    """What a relying party is told (CONTRACT.md, ``data-status``)."""

    IN_FORCE = "in_force"
    NOT_YET_VALID = "not_yet_valid"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    DISPOSED = "disposed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Move:
    """One named move: from which statuses, to which, recorded as which operation."""

    name: str
    sources: frozenset[Status]
    target: Status
    operation: Operation


class MoveNotAllowed(Conflict):
    """The certificate's status does not allow this move."""

    code = "MOVE_NOT_ALLOWED"
    public = ("证照当前状态不允许此操作。", "The certificate's present status does not allow this.")


_IN_USE = frozenset({Status.VALID, Status.SUSPENDED})
MOVES: tuple[Move, ...] = (
    Move("suspend", frozenset({Status.VALID}), Status.SUSPENDED, Operation.SUSPEND),
    Move("resume", frozenset({Status.SUSPENDED}), Status.VALID, Operation.RESUME),
    Move("revoke", _IN_USE, Status.REVOKED, Operation.OTHER),
    Move("withdraw", _IN_USE, Status.WITHDRAWN, Operation.OTHER),
    Move("cancel", _IN_USE | {Status.EXPIRED}, Status.CANCELLED, Operation.CANCEL),
    Move("expire", _IN_USE, Status.EXPIRED, Operation.EXPIRE),
    Move("renew", frozenset({Status.VALID, Status.EXPIRED}), Status.EXPIRED, Operation.RENEW),
    Move("change", frozenset({Status.VALID}), Status.EXPIRED, Operation.CHANGE),
    Move("transfer", frozenset({Status.VALID}), Status.TRANSFERRED, Operation.OTHER),
    Move("undo_transfer", frozenset({Status.TRANSFERRED}), Status.VALID, Operation.UNDO_TRANSFER),
    Move("transfer_in", frozenset({Status.TRANSFERRED}), Status.TRANSFERRED, Operation.TRANSFER_IN),
)

SUCCESSIONS = frozenset({"renew", "change", "transfer_in"})
"""Moves that take a successor: they happen when it is issued, in its transaction. What has a successor moves no more."""

PLAIN_MOVES = ("suspend", "resume", "revoke", "withdraw", "cancel")
"""Moves that need nothing but a decision with its reason; the others have journeys of their own."""

TRANSFER_IN = "transfer_in"
ENDING_MOVES = frozenset({"revoke", "withdraw", "cancel"})
"""Plain moves that nothing undoes."""

_STANDINGS = {
    Status.SUSPENDED: Standing.SUSPENDED,
    Status.REVOKED: Standing.REVOKED,
    Status.WITHDRAWN: Standing.REVOKED,
    Status.CANCELLED: Standing.CANCELLED,
    Status.TRANSFERRED: Standing.CANCELLED,
    Status.EXPIRED: Standing.EXPIRED,
    Status.OTHER: Standing.UNKNOWN,
}


def find_move(name: str, status: Status) -> Move:
    """The move ``name`` out of ``status``; :class:`MoveNotAllowed` when the table has none."""
    for move in MOVES:
        if move.name == name and status in move.sources:
            return move
    raise MoveNotAllowed(f"{name} from {status}", status=status.value)


def markdown() -> str:
    """The table of moves for the documentation."""
    lines = [
        "# 证照状态 · The life of a certificate",
        "",
        "由 `certs/lifecycle.py` 生成。Generated from `certs/lifecycle.py`. Codes of GB/T 36903.",
        "",
        "| 操作 Move | 从 From | 到 To | 操作代码 Operation |",
        "|---|---|---|---|",
    ]
    for move in MOVES:
        sources = ", ".join(f"{status.value} {status.name.lower()}" for status in Status if status in move.sources)
        note = "（由后继证照引起 when its successor is issued）" if move.name in SUCCESSIONS else ""
        target = f"{move.target.value} {move.target.name.lower()}"
        lines.append(f"| `{move.name}` | {sources} | {target}{note} | {move.operation.value} {move.operation.name.lower()} |")
    return "\n".join(lines) + "\n"


def standing(status: Status, *, today: dt.date, valid_from: dt.date | None, valid_to: dt.date | None, superseded: bool = False) -> Standing:
    """What holds on the civil date ``today``: a decision against the certificate, then a successor, then its dates."""
    if superseded and status in (Status.VALID, Status.EXPIRED):
        return Standing.SUPERSEDED
    if status is not Status.VALID:
        return _STANDINGS[status]
    if valid_to is not None and today > valid_to:
        return Standing.EXPIRED
    if valid_from is not None and today < valid_from:
        return Standing.NOT_YET_VALID
    return Standing.IN_FORCE
