"""The life of an entry of the trust list as data: which move leads from where to where, and what it takes.

Pure: ``keys.trust.proposals`` is the one place that moves an entry; ``docs/trust-list.md`` holds :func:`markdown`.
"""

from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import Conflict


class Status(StrEnum):
    PROPOSED = "proposed"
    REJECTED = "rejected"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class Move(StrEnum):
    PROPOSE = "propose"
    REJECT = "reject"
    APPROVE = "approve"
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    WITHDRAW = "withdraw"


STATUS_NAMES: dict[Status, tuple[str, str]] = {
    Status.PROPOSED: ("已提议", "proposed"),
    Status.REJECTED: ("未获批准", "rejected"),
    Status.APPROVED: ("已批准", "approved"),
    Status.ACTIVE: ("受信任", "trusted"),
    Status.SUSPENDED: ("已暂停", "suspended"),
    Status.WITHDRAWN: ("已撤出", "withdrawn"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One move: the states it may start from (none: it begins a life), where it leads, what it means.

    ``other_than``  the move whose author may not make this one: what widens trust takes two people, what narrows it takes one
    """

    sources: frozenset[Status]
    target: Status
    zh: str
    en: str
    other_than: Move | None = None


MOVES: dict[Move, Rule] = {
    Move.PROPOSE: Rule(frozenset(), Status.PROPOSED, "提议信任某机构", "somebody proposes an authority"),
    Move.REJECT: Rule(frozenset({Status.PROPOSED}), Status.REJECTED, "不予批准", "the proposal is refused"),
    Move.APPROVE: Rule(
        frozenset({Status.PROPOSED}), Status.APPROVED, "由提议人以外的人批准", "another person than the proposer agrees", Move.PROPOSE
    ),
    Move.ACTIVATE: Rule(frozenset({Status.APPROVED}), Status.ACTIVE, "开始信任", "it is trusted from now on", Move.PROPOSE),
    Move.SUSPEND: Rule(frozenset({Status.ACTIVE}), Status.SUSPENDED, "暂停信任", "it is not trusted for now"),
    Move.RESUME: Rule(
        frozenset({Status.SUSPENDED}), Status.ACTIVE, "由暂停人以外的人恢复", "another person than who suspended it agrees", Move.SUSPEND
    ),
    Move.WITHDRAW: Rule(
        frozenset({Status.APPROVED, Status.ACTIVE, Status.SUSPENDED}), Status.WITHDRAWN, "撤出，不再恢复", "it is trusted no more, for good"
    ),
}

LIVING = frozenset({Status.PROPOSED, Status.APPROVED, Status.ACTIVE, Status.SUSPENDED})
"""One certificate has at most one entry in these."""


class TrustMoveNotAllowed(Conflict):
    """The entry's status has no such move; ``extra`` names both."""

    code = "TRUST_MOVE_NOT_ALLOWED"
    public = ("该信任条目的当前状态不允许此操作。", "The present status of this entry does not allow this.")


def target(status: Status | None, move: Move) -> Status:
    """Where ``move`` leads from ``status`` (None: no entry yet). Raises :class:`TrustMoveNotAllowed`."""
    rule = MOVES[move]
    if (status is None) != (not rule.sources) or (status is not None and status not in rule.sources):
        raise TrustMoveNotAllowed(f"{move} from {status}", status=str(status), move=str(move))
    return rule.target


def markdown() -> str:
    """The table of moves for the documentation, Chinese and English."""
    lines = ["| 操作 Move | 从 From | 到 To | 不得是同一人 Not the same person as who made | 含义 Meaning |", "|---|---|---|---|---|"]
    for move, rule in MOVES.items():
        sources = "<br>".join(_label(status) for status in Status if status in rule.sources) or "—"
        other = f"`{rule.other_than}`" if rule.other_than else "—"
        lines.append(f"| `{move}` | {sources} | {_label(rule.target)} | {other} | {rule.zh}。{rule.en.capitalize()}. |")
    return "\n".join(lines) + "\n"


def _label(status: Status) -> str:
    zh, en = STATUS_NAMES[status]
    return f"`{status}` {zh} {en}"
