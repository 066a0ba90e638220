"""The life of a request to seal a document, and of a batch, as tables of moves. Pure.

``seal.document_requests`` and ``seal.batches`` apply a move to a row and write its history.
"""

from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import Conflict


class RequestStatus(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    STAMPING = "stamping"
    SEALED = "sealed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RequestMove(StrEnum):
    SUBMIT = "submit"
    SUBMIT_UNATTENDED = "submit_unattended"
    APPROVE = "approve"
    DECIDE = "decide"
    NEXT = "next"
    CONTINUE = "continue"
    FINISH = "finish"
    SEND_BACK = "send_back"
    REJECT = "reject"
    CANCEL = "cancel"
    FAIL = "fail"


class BatchStatus(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class BatchMove(StrEnum):
    SUBMIT = "submit"
    SUBMIT_UNATTENDED = "submit_unattended"
    APPROVE = "approve"
    DECIDE = "decide"
    REJECT = "reject"
    PAUSE = "pause"
    HALT = "halt"
    RESUME = "resume"
    CANCEL = "cancel"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Step:
    """One move: from which statuses (none: a beginning), to which."""

    sources: frozenset[str]
    target: str
    meaning: str


def _step(sources: tuple[str, ...], target: str, meaning: str) -> Step:
    return Step(frozenset(sources), target, meaning)


_R, _B = RequestStatus, BatchStatus

REQUEST_MOVES: dict[RequestMove, Step] = {
    RequestMove.SUBMIT: _step((), _R.AWAITING_APPROVAL, "somebody asks for the seal"),
    RequestMove.SUBMIT_UNATTENDED: _step((), _R.STAMPING, "a client asks that may use the seal unattended"),
    RequestMove.APPROVE: _step((_R.AWAITING_APPROVAL,), _R.AWAITING_APPROVAL, "an approver agrees; another is needed"),
    RequestMove.DECIDE: _step((_R.AWAITING_APPROVAL,), _R.STAMPING, "the last approver agrees and stamps"),
    RequestMove.NEXT: _step((_R.STAMPING,), _R.AWAITING_APPROVAL, "stamped; the next seal of a joint document is due"),
    RequestMove.CONTINUE: _step((_R.STAMPING,), _R.STAMPING, "stamped; the next seal is used unattended as well"),
    RequestMove.FINISH: _step((_R.STAMPING,), _R.SEALED, "stamped with the last seal"),
    RequestMove.SEND_BACK: _step((_R.STAMPING,), _R.AWAITING_APPROVAL, "the seal was not to be used, or nobody finished in time"),
    RequestMove.REJECT: _step((_R.AWAITING_APPROVAL,), _R.REJECTED, "an approver refuses"),
    RequestMove.CANCEL: _step((_R.AWAITING_APPROVAL,), _R.CANCELLED, "whoever asked takes it back"),
    RequestMove.FAIL: _step((_R.STAMPING,), _R.FAILED, "an unattended use was refused, or stamping failed again and again"),
}

BATCH_MOVES: dict[BatchMove, Step] = {
    BatchMove.SUBMIT: _step((), _B.AWAITING_APPROVAL, "somebody asks for the seal"),
    BatchMove.SUBMIT_UNATTENDED: _step((), _B.RUNNING, "a client asks that may use the seal unattended"),
    BatchMove.APPROVE: _step((_B.AWAITING_APPROVAL, _B.PAUSED), _B.AWAITING_APPROVAL, "an approver agrees; another is needed"),
    BatchMove.DECIDE: _step((_B.AWAITING_APPROVAL, _B.PAUSED), _B.RUNNING, "the last approver agrees"),
    BatchMove.REJECT: _step((_B.AWAITING_APPROVAL,), _B.REJECTED, "an approver refuses"),
    BatchMove.PAUSE: _step((_B.RUNNING,), _B.PAUSED, "somebody pauses it; what is being stamped is finished"),
    BatchMove.HALT: _step((_B.RUNNING,), _B.PAUSED, "the permission fell away: every further document would be refused"),
    BatchMove.RESUME: _step((_B.PAUSED,), _B.RUNNING, "goes on where it stopped"),
    BatchMove.CANCEL: _step((_B.AWAITING_APPROVAL, _B.RUNNING, _B.PAUSED), _B.CANCELLED, "what is not sealed yet stays unsealed"),
    BatchMove.FINISH: _step((_B.RUNNING,), _B.DONE, "every document is sealed or refused"),
}


class RequestMoveNotAllowed(Conflict):
    """``extra['status']`` is the present status."""

    code = "DOCUMENT_MOVE_NOT_ALLOWED"
    public = ("用印申请当前状态不允许此操作。", "The request's present status does not allow this.")


class BatchMoveNotAllowed(Conflict):
    """``extra['status']`` is the present status."""

    code = "BATCH_MOVE_NOT_ALLOWED"
    public = ("批量用印任务当前状态不允许此操作。", "The batch's present status does not allow this.")


def request_target(status: str | None, move: RequestMove) -> RequestStatus:
    """Where the move leads. Raises :class:`RequestMoveNotAllowed`."""
    step = REQUEST_MOVES[move]
    if (status is None and not step.sources) or status in step.sources:
        return RequestStatus(step.target)
    raise RequestMoveNotAllowed(f"{move} from {status}", status=status)


def batch_target(status: str | None, move: BatchMove) -> BatchStatus:
    """Where the move leads. Raises :class:`BatchMoveNotAllowed`."""
    step = BATCH_MOVES[move]
    if (status is None and not step.sources) or status in step.sources:
        return BatchStatus(step.target)
    raise BatchMoveNotAllowed(f"{move} from {status}", status=status)
