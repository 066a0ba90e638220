"""Refusals of requests and batches, by stable code."""

from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput, NotFound


class DocumentNotFound(NotFound):
    """It does not exist, or is none of the caller's business."""

    code = "DOCUMENT_NOT_FOUND"
    public = ("没有这份文件或用印申请。", "There is no such document or request.")


class UploadQuotaExceeded(Conflict):
    """What waits to be sealed is as much as a person or an organisation may hold."""

    code = "DOCUMENT_QUOTA_EXCEEDED"
    public = (
        "待用印的文件已达上限，请先处理或等待到期清除。",
        "As many files wait to be sealed as may wait: have them sealed first, or wait until the unused ones are discarded.",
    )


class RequestForbidden(Forbidden):
    code = "DOCUMENT_REQUEST_FORBIDDEN"
    public = ("您不能申请用印：需要机构工作人员账号。", "You may not ask for a seal: it takes a staff account of an organisation.")


class RequestKeyNeeded(InvalidInput):
    code = "REQUEST_KEY_NEEDED"
    public = ("请求缺少 Idempotency-Key。", "The header Idempotency-Key is missing.")


class RequestKeyReused(InvalidInput):
    code = "REQUEST_KEY_REUSED"
    public = ("同一个 Idempotency-Key 已用于另一项申请。", "This Idempotency-Key was used for another request.")


class PictureChanged(Conflict):
    code = "APPROVED_PICTURE_CHANGED"
    public = (
        "待盖章的文件或盖章位置与您看到的不同，请重新查看。",
        "The document or the places of the seal are not those you have seen. Look again.",
    )


class DocumentBeingSealed(Conflict):
    code = "DOCUMENT_BEING_SEALED"
    public = ("该文件正在盖章，请稍后查看。", "The document is being sealed. Look again shortly.")


class NotSealedYet(Conflict):
    code = "DOCUMENT_NOT_SEALED"
    public = ("该文件尚未盖章完成。", "The document is not sealed yet.")


class RejectionNeedsReason(InvalidInput):
    code = "REJECTION_REASON_REQUIRED"
    public = ("请填写退回理由（1 至 400 字）。", "Say why in 1 to 400 characters.")


class ApprovalLapsed(Conflict):
    code = "DOCUMENT_APPROVAL_LAPSED"
    public = (
        "审批后未能及时完成盖章，请重新审批。",
        "The document was not sealed soon enough after the approval. Approve it again.",
    )


class SealingFailed(FujieError):
    code = "DOCUMENT_SEALING_FAILED"
    status = 500
    public = ("盖章多次失败，已停止。", "Sealing failed again and again and was given up.")


class JointPlanWrong(InvalidInput):
    """A joint document names each seal once, takes P 2, and places of every seal."""

    code = "JOINT_DOCUMENT_INVALID"
    public = (
        "联合用印的顺序或位置不正确：每枚印章须列明一次并给出位置。",
        "The seals of a joint document are not given as they should be: each once, with its places.",
    )


class BatchEmpty(InvalidInput):
    code = "BATCH_INVALID"
    public = ("批量用印任务须含 1 至 10000 份不重复的文件。", "A batch takes 1 to 10,000 documents, each once.")
