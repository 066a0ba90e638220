"""The kinds of seals this house makes (电子印章管理办法 art. 3), as data.

Round seals with a star only. A seal with the national emblem takes an uploaded impression and is never drawn; oval invoice
seals and personal-name seals are not made here.
"""

from dataclasses import dataclass
from enum import StrEnum


class SealKind(StrEnum):
    STATUTORY = "statutory"
    INTERNAL = "internal"
    BRANCH = "branch"
    FINANCE = "finance"
    CONTRACT = "contract"
    APPROVAL = "approval"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class KindInfo:
    """Its names, and the text that stands below the star unless the order says otherwise."""

    zh: str
    en: str
    lower_text: str = ""


KINDS: dict[SealKind, KindInfo] = {
    SealKind.STATUTORY: KindInfo("法定名称章", "statutory-name seal"),
    SealKind.INTERNAL: KindInfo("内设机构章", "seal of an internal body"),
    SealKind.BRANCH: KindInfo("分支机构章", "seal of a branch"),
    SealKind.FINANCE: KindInfo("财务专用章", "finance seal", "财务专用章"),
    SealKind.CONTRACT: KindInfo("合同专用章", "contract seal", "合同专用章"),
    SealKind.APPROVAL: KindInfo("行政审批专用章", "administrative-approval seal", "行政审批专用章"),
    SealKind.CERTIFICATE: KindInfo("电子证照专用章", "e-certificate seal", "电子证照专用章"),
}
