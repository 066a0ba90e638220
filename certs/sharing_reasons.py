"""Why a certificate may or may not be shared: reason code → (Chinese, English), one full sentence each."""

from keys.base.errors import Forbidden

REASONS: dict[str, tuple[str, str]] = {
    # in favour, or no objection
    "GRANTED_FOR_MATTER": ("该事项需要此证照，可以提供。", "The matter asks for it, and it may be given."),
    "GRANTED_BY_RIGHT": ("已开通的使用权限允许提供。", "A right that was opened allows it."),
    "HOLDER_OWNS_IT": ("证照属于本人（本单位）。", "It is the asker's own certificate."),
    "ISSUER_KNOWS_IT": ("证照由本单位签发。", "The asker's organisation issued it."),
    "CLIENT_HAD_IT_ISSUED": ("证照由本单位申请签发。", "The asker's organisation had it issued."),
    "REQUESTER_KNOWN": ("使用方身份明确。", "Who asks is known."),
    "REQUESTER_OF_ORGANISATION": ("使用方代表该单位。", "The asker acts for the organisation."),
    "PURPOSE_STATED": ("已说明用途。", "A purpose is stated."),
    "TYPE_KNOWN": ("证照类型在目录中。", "The catalogue knows the type."),
    "TYPE_SHARED": ("该类型可以共享。", "The type is shared."),
    "MATTER_OF_ORGANISATION": ("事项由该单位办理。", "The organisation acts in the matter."),
    "MATTER_ASKS_FOR_IT": ("事项的申请材料包含此证照。", "The matter asks for this type."),
    "RIGHT_OPENED": ("已开通使用权限。", "A right was opened for it."),
    "NO_MORE_THAN_NEEDED": ("所要内容不超过需要。", "No more is wanted than is needed."),
    "MATTER_MUST_SEE_IT": ("事项需要查看证照。", "The matter must see the certificate."),
    "NO_AUTHORISATION": ("未附持证主体授权。", "No authorisation of the holder came with it."),
    "AUTHORISATION_GOOD": ("持证主体的授权有效。", "The holder's authorisation is good."),
    "SHARED_UNCONDITIONALLY": ("该类型无条件共享。", "The type is shared without condition."),
    "HOLDER_AGREED": ("持证主体已同意。", "The holder agreed."),
    "LAW_NEEDS_NO_CONSENT": ("依法无需持证主体同意。", "The law needs no consent of the holder here."),
    "BASIS_NAMED": ("事项材料写明了依据，可以告知有无。", "The paper names its basis: yes or no may be told."),
    "NO_QUOTA": ("未设使用限额。", "Nobody counts the uses."),
    "QUOTA_LEFT": ("未超出使用限额。", "The quota is not used up."),
    "ASKED_OF_THE_TYPE": ("只对类型作判断。", "The question is about the type."),
    "CERTIFICATE_THERE": ("证照在库。", "The certificate is held here."),
    # silence
    "NOT_THEIR_OWN": ("不是本人（本单位）的证照。", "It is not the asker's own certificate."),
    "NOTHING_GRANTS": ("没有可以提供的理由。", "Nothing allows it to be given."),
    # against
    "REQUESTER_UNKNOWN": ("使用方身份不明。", "Who asks is not known."),
    "REQUESTER_NOT_STAFF": ("只有窗口人员和审批人可以代表单位使用证照。", "Only clerks and approvers ask for their organisation."),
    "REQUESTER_OF_OTHER_ORGANISATION": ("使用方不能代表该单位。", "The asker does not act for that organisation."),
    "PURPOSE_MISSING": ("未说明用途。", "No purpose was stated."),
    "TYPE_UNKNOWN": ("目录中没有该证照类型。", "The catalogue does not know this type."),
    "TYPE_NOT_SHARED": ("该类型不予共享。", "This type is not shared."),
    "MATTER_MISSING": ("未说明办理的事项。", "No matter was named."),
    "MATTER_OF_OTHER_ORGANISATION": ("该事项不由本单位办理。", "Another organisation acts in this matter."),
    "MATTER_DOES_NOT_ASK": ("该事项的申请材料不含此证照。", "The matter does not ask for this type."),
    "DATA_IS_ENOUGH": (
        "该事项只需核对有无，不提供证照内容。",
        "The matter needs no more than yes or no; the certificate is not handed out.",
    ),
    "AUTHORISATION_OF_OTHER_HOLDER": ("授权不是由该持证主体作出的。", "The authorisation was given by somebody else."),
    "AUTHORISATION_FOR_OTHER_ORGANISATION": ("授权是给其他单位的。", "The authorisation is for another organisation."),
    "AUTHORISATION_FOR_OTHER_MATTER": ("授权用于其他事项。", "The authorisation is for another matter."),
    "AUTHORISATION_FOR_OTHER_TYPE": ("授权针对其他证照类型。", "The authorisation is for another type of certificate."),
    "AUTHORISATION_FOR_LESS": ("持证主体只同意提供较少的内容。", "The holder agreed to less than this."),
    "AUTHORISATION_USED": ("授权只能使用一次，已被使用。", "The authorisation was for one use, and it was used."),
    "AUTHORISATION_WITHDRAWN": ("持证主体已撤回授权。", "The holder took the authorisation back."),
    "AUTHORISATION_EXPIRED": ("授权已过期。", "The authorisation has expired."),
    "HOLDER_MUST_AGREE": (
        "需要持证主体同意：请其出示亮证码，或在手机上同意。",
        "The holder must agree: by showing a code, or on their phone.",
    ),
    "QUOTA_EXHAUSTED": ("使用次数已达上限。", "The quota is used up."),
    "CERTIFICATE_GONE": ("证照不在库中。", "The certificate is not held here."),
}


def sentences(code: str) -> tuple[str, str]:
    """(zh, en) of a reason; ``KeyError`` for one that does not exist."""
    return REASONS[code]


class SharingRefused(Forbidden):
    """The rules said no; ``extra['reason']`` is the decision's code, and the sentences are the reason's."""

    code = "SHARING_REFUSED"
    public = ("该证照不能提供给您。", "This certificate may not be given to you.")

    def __init__(self, reason: str) -> None:
        vars(self).update(public=sentences(reason))
        super().__init__(reason, reason=reason)
        self.reason = reason
