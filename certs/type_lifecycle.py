"""The life of a version of a certificate type as data: one table of moves. Pure.

Each version of a type lives by itself. At most one is in force (*published*) and at most one is being worked on (*draft* or
*review*); the others are *retired*, because a later one took their place or because the type ended, or were *abandoned* before anybody
saw them. What was once published never changes, whatever becomes of it: certificates were issued under it.
``certs.catalogue_keeping`` applies a move to a row and writes its history.
"""

from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import Conflict


class TypeStatus(StrEnum):
    DRAFT = "draft"
    REVIEW = "review"
    PUBLISHED = "published"
    RETIRED = "retired"
    ABANDONED = "abandoned"


class TypeMove(StrEnum):
    WRITE = "write"
    EDIT = "edit"
    SUBMIT = "submit"
    SEND_BACK = "send_back"
    PUBLISH = "publish"
    RETIRE = "retire"
    SUPERSEDE = "supersede"
    ABANDON = "abandon"
    SHIP = "ship"


@dataclass(frozen=True, slots=True)
class TypeStep:
    """From which statuses (none: a beginning), to which, and what it means. ``reviews``: it takes a person who did not write it."""

    sources: frozenset[TypeStatus]
    target: TypeStatus
    zh: str
    en: str
    reviews: bool = False


def _step(sources: tuple[TypeStatus, ...], target: TypeStatus, zh: str, en: str, *, reviews: bool = False) -> TypeStep:
    return TypeStep(frozenset(sources), target, zh, en, reviews)


_S = TypeStatus

TYPE_MOVES: dict[TypeMove, TypeStep] = {
    TypeMove.WRITE: _step((), _S.DRAFT, "起草新版本", "somebody begins a version"),
    TypeMove.EDIT: _step((_S.DRAFT,), _S.DRAFT, "修改草稿", "the draft is changed"),
    TypeMove.SUBMIT: _step((_S.DRAFT,), _S.REVIEW, "提交审核", "the writer asks for a review"),
    TypeMove.SEND_BACK: _step((_S.REVIEW,), _S.DRAFT, "退回修改", "the reviewer wants it changed", reviews=True),
    TypeMove.PUBLISH: _step((_S.REVIEW,), _S.PUBLISHED, "审核通过并发布", "the reviewer agrees: in force from now on", reviews=True),
    TypeMove.RETIRE: _step(
        (_S.PUBLISHED,), _S.RETIRED, "停用该类型", "the type ends: no new certificates, old ones stay valid", reviews=True
    ),
    TypeMove.SUPERSEDE: _step((_S.PUBLISHED,), _S.RETIRED, "被新版本取代", "the next version was published"),
    TypeMove.ABANDON: _step((_S.DRAFT, _S.REVIEW), _S.ABANDONED, "放弃草稿", "it is given up; its number is not used again"),
    TypeMove.SHIP: _step((), _S.PUBLISHED, "随系统提供", "it came with the product, or stood before there were versions"),
}

OPEN = frozenset({_S.DRAFT, _S.REVIEW})
"""A version that is being worked on."""

EVER_PUBLISHED = frozenset({_S.PUBLISHED, _S.RETIRED})
"""A version under which certificates may have been issued."""

STATUS_NAMES: dict[TypeStatus, tuple[str, str]] = {
    _S.DRAFT: ("草稿", "draft"),
    _S.REVIEW: ("审核中", "in review"),
    _S.PUBLISHED: ("已发布", "published"),
    _S.RETIRED: ("已停用", "retired"),
    _S.ABANDONED: ("已放弃", "abandoned"),
}


class TypeMoveNotAllowed(Conflict):
    """``extra['status']`` is the version's present status."""

    code = "TYPE_MOVE_NOT_ALLOWED"
    public = ("该证照类型版本的当前状态不允许此操作。", "The present status of this version of the type does not allow this.")


def type_target(status: TypeStatus | None, move: TypeMove) -> TypeStatus:
    """Where the move leads. Raises :class:`TypeMoveNotAllowed`."""
    step = TYPE_MOVES[move]
    if (status is None and not step.sources) or status in step.sources:
        return step.target
    raise TypeMoveNotAllowed(f"{move} from {status}", status=status)


def standing_of(versions: dict[int, TypeStatus]) -> tuple[TypeStatus, int | None, int | None]:
    """What the type as a whole is: its status, the version in force (or last in force), the version being worked on."""
    by_status = {status: max(one for one, its in versions.items() if its is status) for status in set(versions.values())}
    being_written = next((by_status[status] for status in (_S.DRAFT, _S.REVIEW) if status in by_status), None)
    if _S.PUBLISHED in by_status:
        return _S.PUBLISHED, by_status[_S.PUBLISHED], being_written
    if _S.RETIRED in by_status:
        return _S.RETIRED, by_status[_S.RETIRED], being_written
    return (versions[being_written] if being_written is not None else _S.ABANDONED), None, being_written


def markdown() -> str:
    """The table of moves for the documentation."""
    lines = ["| 操作 Move | 从 From | 到 To | 含义 Meaning |", "|---|---|---|---|"]
    for move, step in TYPE_MOVES.items():
        sources = ", ".join(status.value for status in TypeStatus if status in step.sources) or "—"
        note = "（须由未起草者 not by a writer）" if step.reviews else ""
        lines.append(f"| `{move.value}` | {sources} | {step.target.value} | {step.zh} {step.en}{note} |")
    return "\n".join(lines) + "\n"
