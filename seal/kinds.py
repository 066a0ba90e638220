"""The kinds of seals (电子印章管理办法 art. 3), as data, and how each is drawn unless the order says otherwise.

Sizes: 国发〔1999〕25号 (round, ≤ 4.5 cm, a star) and the customs of STANDARDS.md §3; the invoice seal is that of
国家税务总局公告2011年第7号 (oval, 40 × 30 mm, the tax number in the middle). A seal with the national emblem takes an
uploaded impression and is never drawn (:func:`bears_emblem`). 骑缝章 is a placement and no kind.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from seal.designs import Shape


class SealKind(StrEnum):
    STATUTORY = "statutory"
    INTERNAL = "internal"
    BRANCH = "branch"
    FINANCE = "finance"
    CONTRACT = "contract"
    APPROVAL = "approval"
    CERTIFICATE = "certificate"
    INVOICE = "invoice"
    PERSONAL_NAME = "personal_name"


@dataclass(frozen=True, slots=True)
class KindInfo:
    """Its names, the text below the middle, and its shape.

    ``personal``  the seal of a person: no code is cut into it, and the SESeal says type 2
    """

    zh: str
    en: str
    lower_text: str = ""
    shape: Shape = Shape.ROUND
    width_mm: float = 42.0
    height_mm: float = 42.0
    star: bool = True
    personal: bool = False


KINDS: dict[SealKind, KindInfo] = {
    SealKind.STATUTORY: KindInfo("法定名称章", "statutory-name seal"),
    SealKind.INTERNAL: KindInfo("内设机构章", "seal of an internal body"),
    SealKind.BRANCH: KindInfo("分支机构章", "seal of a branch"),
    SealKind.FINANCE: KindInfo("财务专用章", "finance seal", "财务专用章", width_mm=38, height_mm=38),
    SealKind.CONTRACT: KindInfo("合同专用章", "contract seal", "合同专用章", width_mm=38, height_mm=38),
    SealKind.APPROVAL: KindInfo("行政审批专用章", "administrative-approval seal", "行政审批专用章"),
    SealKind.CERTIFICATE: KindInfo("电子证照专用章", "e-certificate seal", "电子证照专用章"),
    SealKind.INVOICE: KindInfo("发票专用章", "invoice seal", "发票专用章", Shape.OVAL, 40, 30, star=False),
    SealKind.PERSONAL_NAME: KindInfo(
        "个人名章", "personal-name seal", shape=Shape.SQUARE, width_mm=20, height_mm=20, star=False, personal=True
    ),
}

_EMBLEM = re.compile(
    r"(?:(?<!乡)(?<!镇)(?<!苏木)人民政府|人民代表大会常务委员会|人大常委会|监察委员会|人民法院|人民检察院"
    r"|^国务院.*|^中华人民共和国.*(?:部|委员会|署|总局|银行))$"
)


def bears_emblem(kind: str, organisation_name: str) -> bool:
    """Whether this seal bears the national emblem, so that no house may draw it.

    Governments of counties, districts and upwards (国发〔1999〕25号), and the standing committees, supervision commissions,
    courts and procuratorates of the same levels (国徽法 art. 9): their statutory-name seals only. Governments of townships have a
    star.
    """
    return kind == SealKind.STATUTORY and _EMBLEM.search(organisation_name) is not None
