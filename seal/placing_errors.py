"""Why a document or a plan cannot take a seal: one code a reason, so that a program can tell its people what to do."""

from seal.revision import NotStampable


class DocumentEncrypted(NotStampable):
    code = "DOCUMENT_PASSWORD_PROTECTED"
    public = (
        "该文件已加密，不能加盖电子印章；请先取消密码保护。",
        "This file is encrypted and cannot be stamped. Remove the password protection first.",
    )


class DocumentFinal(NotStampable):
    code = "DOCUMENT_CERTIFIED_FINAL"
    public = (
        "该文件的签名人已声明不允许任何后续更改，不能再加盖电子印章。",
        "A signer of this file permits no further change: it cannot take another seal.",
    )


class DocumentXfa(NotStampable):
    code = "DOCUMENT_XFA"
    public = (
        "该文件是 XFA 动态表单，不能加盖电子印章；请先转换为普通 PDF。",
        "This file is an XFA form and cannot be stamped. Convert it to an ordinary PDF first.",
    )


class KeywordNotFound(NotStampable):
    code = "KEYWORD_NOT_FOUND"
    public = (
        "文件中没有找到用于定位印章的关键字，未加盖任何印章。",
        "The keyword that should place the seal does not occur in this file. Nothing was stamped.",
    )


class PlaceOutside(NotStampable):
    code = "PLACEMENT_OUTSIDE_PAGE"
    public = ("印章位置超出页面范围。", "The seal would lie outside the page.")


class PageMissing(NotStampable):
    code = "PLACEMENT_PAGE_MISSING"
    public = ("文件中没有指定的页码。", "The file has no such page.")


class PlanContradictory(NotStampable):
    code = "STAMP_PLAN_CONTRADICTORY"
    public = ("用印方案自相矛盾或不完整。", "The plan for stamping contradicts itself or is not complete.")


class FieldNotPrepared(NotStampable):
    code = "SEAL_FIELD_NOT_PREPARED"
    public = (
        "该文件没有为这枚印章预留签章域，首枚印章未声明后续用印。",
        "The first seal of this file declared no such later seal: there is no place prepared for it.",
    )


class FieldUnfit(NotStampable):
    code = "SEAL_FIELD_UNFIT"
    public = (
        "预留的签章域已被使用，或其尺寸与印章不符。",
        "The prepared place is already used, or its size is not that of the seal.",
    )


class OnePlaceOnly(NotStampable):
    code = "PLACEMENT_NEEDS_PREPARATION"
    public = (
        "已签名的文件上，新增印章只能显示在一处；多处或骑缝用印须由首枚印章预留。",
        "On a file that is already signed a new seal can show in one place only. More places must be prepared by the first seal.",
    )
