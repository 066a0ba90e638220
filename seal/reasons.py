"""Why a seal may or may not be used: reason code → (Chinese, English), one full sentence each."""

REASONS: dict[str, tuple[str, str]] = {
    # in favour, or no objection
    "GRANTED": ("该用印事项已获授权。", "This use is covered by a grant."),
    "SEAL_ACTIVE": ("印章处于使用状态。", "The seal is in use."),
    "SEAL_VALID": ("印章在有效期内。", "The seal is within its period of validity."),
    "DOCUMENT_BOUND": ("许可只对这一份文件有效。", "The permission is bound to this one document."),
    "ACTOR_KNOWN": ("用印人身份明确。", "Who asks is known."),
    "NOT_A_PERSON": ("由系统调用，此项不适用。", "A client asks, so this does not apply."),
    "ACTOR_APPROVER": ("用印人具有审批人角色。", "The person holds the role of approver."),
    "ACTOR_OF_ORGANISATION": ("用印人属于印章所属单位。", "Who asks belongs to the seal's organisation."),
    "CLIENT_SERVES_ORGANISATION": (
        "调用系统为印章所属单位服务，须有该单位授权。",
        "The client serves the seal's organisation and needs its grant.",
    ),
    "DIVISION_COVERED": ("行政区划相符。", "The division covers the seal."),
    "ASSURANCE_ENOUGH": ("用印人已实名。", "The person's identity is assured."),
    "AUTHENTICATOR_ENOUGH": ("用印人已用两个因素登录。", "The person logged in with two factors."),
    "MATTER_OF_ORGANISATION": ("事项由印章所属单位办理。", "The matter belongs to the seal's organisation."),
    "MATTER_SUITS_SEAL": ("事项与印章种类相符。", "The matter suits this kind of seal."),
    "ATTENDED": ("由本人当场用印。", "A person is present at this use."),
    "UNATTENDED_USE_GRANTED": ("已单独授权无人值守用印。", "Unattended use has its own grant."),
    # silence
    "NO_GRANT": ("没有使用此印章的授权。", "There is no grant to use this seal."),
    "NO_GRANT_FOR_MATTER": ("没有将此印章用于该事项的授权。", "There is no grant to use this seal for this matter."),
    "GRANT_FOR_OTHER_TYPE": ("授权的证照类型与此不同。", "The grant is for another type of certificate."),
    "GRANT_WITHDRAWN": ("授权已被收回。", "The grant was withdrawn."),
    "GRANT_EXPIRED": ("授权已过期。", "The grant has expired."),
    "GRANT_NOT_YET_VALID": ("授权尚未生效。", "The grant is not yet in force."),
    # against
    "SEAL_UNKNOWN": ("没有这枚印章。", "There is no such seal."),
    "SEAL_NOT_ACTIVE": ("印章尚未启用。", "The seal is not in use."),
    "SEAL_SUSPENDED": ("印章已停用。", "The seal is suspended."),
    "SEAL_CANCELLED": ("印章已注销。", "The seal is cancelled."),
    "SEAL_LOST": ("印章已挂失。", "The seal was reported lost."),
    "SEAL_NOT_YET_VALID": ("印章尚未生效。", "The seal is not yet valid."),
    "SEAL_EXPIRED": ("印章已过有效期。", "The seal has expired."),
    "DOCUMENT_HASH_MISSING": ("没有指明要盖章的文件。", "The document to be stamped is not named."),
    "ACTOR_UNKNOWN": ("用印人身份不明。", "Who asks is not known."),
    "ACTOR_NOT_APPROVER": ("用印人没有审批人角色。", "The person does not hold the role of approver."),
    "ACTOR_OF_OTHER_ORGANISATION": ("用印人不属于印章所属单位。", "Who asks does not belong to the seal's organisation."),
    "DIVISION_MISMATCH": ("行政区划不符。", "The division does not cover the seal."),
    "ASSURANCE_TOO_LOW": ("用印人实名等级不足。", "The person's identity is not assured enough."),
    "AUTHENTICATOR_TOO_WEAK": ("请用两个因素登录后再用印。", "Log in with two factors before stamping."),
    "MATTER_UNKNOWN": ("没有这个事项。", "There is no such matter."),
    "MATTER_OF_OTHER_ORGANISATION": ("事项不由印章所属单位办理。", "The matter does not belong to the seal's organisation."),
    "APPROVAL_MATTER_NEEDS_APPROVAL_SEAL": ("审批事项只能使用行政审批专用章。", "An approval takes the approval seal and no other."),
    "APPROVAL_SEAL_ONLY_FOR_APPROVAL_MATTERS": ("行政审批专用章只能用于审批事项。", "The approval seal takes approval matters only."),
    "UNATTENDED_USE_NOT_GRANTED": ("没有无人值守用印的单独授权。", "Unattended use has no grant of its own."),
}

_DEFAULT = ("不允许使用此印章。", "This use of the seal is not permitted.")


def sentences(code: str) -> tuple[str, str]:
    """(Chinese, English) for a reason code; a general sentence for one that is not listed."""
    return REASONS.get(code, _DEFAULT)
