"""The life of a seal as data (电子印章管理办法): which move leads from where to where, and who may make it.

Pure: ``seal.changes`` is the one place that moves a seal; ``docs/seal-lifecycle.md`` is :func:`markdown`.
"""

from dataclasses import dataclass
from enum import StrEnum

from keys.base.actor import Role
from keys.base.errors import Conflict


class Status(StrEnum):
    APPLIED = "applied"
    EXAMINED = "examined"
    REJECTED = "rejected"
    REVIEWED = "reviewed"
    MADE = "made"
    FILED = "filed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    LOST = "lost"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class Move(StrEnum):
    APPLY = "apply"
    REJECT = "reject"
    EXAMINE = "examine"
    REVIEW = "review"
    MAKE = "make"
    FILE = "file"
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REPORT_LOST = "report_lost"
    EXPIRE = "expire"
    REPLACE = "replace"
    CANCEL = "cancel"
    FILE_CANCELLATION = "file_cancellation"


class Succession(StrEnum):
    """Why a seal takes the place of another: its words change, or the same seal is made again. Both give it a new code."""

    CHANGE = "change"
    REMAKE = "remake"


STATUS_NAMES: dict[Status, tuple[str, str]] = {
    Status.APPLIED: ("已申请", "applied for"),
    Status.EXAMINED: ("已初审", "examined by one of two reviewers"),
    Status.REJECTED: ("审核未通过", "rejected"),
    Status.REVIEWED: ("已审核", "reviewed"),
    Status.MADE: ("已制作", "made"),
    Status.FILED: ("已备案", "filed"),
    Status.ACTIVE: ("使用中", "in use"),
    Status.SUSPENDED: ("已停用", "suspended"),
    Status.LOST: ("已挂失", "reported lost"),
    Status.EXPIRED: ("已到期", "expired"),
    Status.CANCELLED: ("已注销", "cancelled"),
    Status.CLOSED: ("注销已备案", "cancelled, and the cancellation filed"),
}

IN_USE = frozenset({Status.ACTIVE, Status.SUSPENDED})
"""An organisation has at most one seal of a kind and name in these."""

ENDED = frozenset({Status.LOST, Status.EXPIRED, Status.CANCELLED, Status.CLOSED})
"""From none of these does a seal come back."""

WAITING = frozenset({Status.APPLIED, Status.EXAMINED})
"""An application that waits for a reviewer."""

SUCCEEDED: dict[Succession, frozenset[Status]] = {
    Succession.CHANGE: IN_USE,
    Succession.REMAKE: IN_USE | {Status.LOST, Status.EXPIRED},
}
"""What a seal must be for another to be ordered in its place."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One move: the states it may start from (none: it begins a life), where it leads, who may make it, what it means.

    Without ``roles`` nobody makes it but the system: it follows from something else.
    """

    sources: frozenset[Status]
    target: Status
    roles: frozenset[Role]
    zh: str
    en: str


_KEEPER = frozenset({Role.SEAL_KEEPER})
_ADMIN = frozenset({Role.SECURITY_ADMIN})
_MADE = frozenset({Status.MADE, Status.FILED})

MOVES: dict[Move, Rule] = {
    Move.APPLY: Rule(frozenset(), Status.APPLIED, _KEEPER, "单位提出制章申请", "the organisation applies"),
    Move.REJECT: Rule(WAITING, Status.REJECTED, _ADMIN, "审核不通过", "a reviewer says no"),
    Move.EXAMINE: Rule(
        frozenset({Status.APPLIED}), Status.EXAMINED, _ADMIN, "由申请人以外的人初审通过", "one reviewer, not the applicant, agrees"
    ),
    Move.REVIEW: Rule(
        frozenset({Status.EXAMINED}),
        Status.REVIEWED,
        _ADMIN,
        "由申请人和初审人以外的人复审通过",
        "another reviewer, neither the applicant nor the first, agrees",
    ),
    Move.MAKE: Rule(
        frozenset({Status.REVIEWED}),
        Status.MADE,
        _ADMIN,
        "生成密钥、证书、印模，赋予编码",
        "keys, certificates, impression and code are made",
    ),
    Move.FILE: Rule(frozenset({Status.MADE}), Status.FILED, _ADMIN, "按编码备案", "it is filed under its code"),
    Move.ACTIVATE: Rule(frozenset({Status.FILED}), Status.ACTIVE, _ADMIN | _KEEPER, "启用", "it may be used"),
    Move.SUSPEND: Rule(frozenset({Status.ACTIVE}), Status.SUSPENDED, _ADMIN | _KEEPER, "停用", "it may not be used for now"),
    Move.RESUME: Rule(frozenset({Status.SUSPENDED}), Status.ACTIVE, _ADMIN, "恢复使用", "it may be used again"),
    Move.REPORT_LOST: Rule(IN_USE, Status.LOST, _ADMIN | _KEEPER, "挂失", "control over it was lost"),
    Move.EXPIRE: Rule(IN_USE | _MADE, Status.EXPIRED, frozenset(), "有效期届满", "its period is over"),
    Move.REPLACE: Rule(
        IN_USE | {Status.LOST, Status.EXPIRED},
        Status.CANCELLED,
        frozenset(),
        "变更或重制的新印章启用，旧印章同时注销",
        "a changed or re-made seal was activated, at the same instant this one ended",
    ),
    Move.CANCEL: Rule(
        IN_USE | _MADE | {Status.LOST, Status.EXPIRED, Status.REVIEWED},
        Status.CANCELLED,
        _ADMIN,
        "注销，编码永不再用",
        "it ends; its code is never given again",
    ),
    Move.FILE_CANCELLATION: Rule(frozenset({Status.CANCELLED}), Status.CLOSED, _ADMIN, "注销备案", "the cancellation is filed"),
}


class MoveNotAllowed(Conflict):
    """The seal's status has no such move; ``extra`` names both."""

    code = "SEAL_MOVE_NOT_ALLOWED"
    public = ("印章当前状态不允许此操作。", "The seal's present status does not allow this.")


def target(status: Status | None, move: Move) -> Status:
    """Where ``move`` leads from ``status`` (None: no seal yet). Raises :class:`MoveNotAllowed`."""
    rule = MOVES[move]
    if (status is None) != (not rule.sources) or (status is not None and status not in rule.sources):
        raise MoveNotAllowed(f"{move} from {status}", status=str(status), move=str(move))
    return rule.target


def markdown() -> str:
    """The table of moves for the documentation, Chinese and English."""
    lines = [
        "# 印章生命周期 · The life of a seal",
        "",
        "由 `seal/lifecycle.py` 生成。Generated from `seal/lifecycle.py`.",
        "",
        "| 操作 Move | 从 From | 到 To | 由谁 By | 含义 Meaning |",
        "|---|---|---|---|---|",
    ]
    for move, rule in MOVES.items():
        sources = "<br>".join(_label(status) for status in Status if status in rule.sources) or "—"
        roles = "<br>".join(f"`{role}`" for role in sorted(rule.roles)) or "系统 the system"
        lines.append(f"| `{move}` | {sources} | {_label(rule.target)} | {roles} | {rule.zh}。{rule.en.capitalize()}. |")
    return "\n".join(lines) + "\n"


def _label(status: Status) -> str:
    zh, en = STATUS_NAMES[status]
    return f"`{status}` {zh} {en}"
