"""Why a PDF cannot be rebuilt, by stable code. Light: imported by who asks and by the child that works."""

from keys.base.errors import FujieError


class NotRebuildable(FujieError):
    """The uploaded document cannot become one that is sealed; the file that was sent is left as it is."""

    code = "DOCUMENT_NOT_REBUILDABLE"
    status = 422
    public = ("该文件无法用于盖章。", "This document cannot be prepared for sealing.")


class NotPdf(NotRebuildable):
    code = "DOCUMENT_NOT_PDF"
    public = ("该文件不是 PDF 文件。", "This file is not a PDF.")


class Malformed(NotRebuildable):
    code = "DOCUMENT_MALFORMED"
    public = (
        "该 PDF 文件已损坏或格式不正确，请重新导出后再上传。",
        "This PDF is damaged or malformed. Export it again from the program that made it.",
    )


class Encrypted(NotRebuildable):
    code = "DOCUMENT_ENCRYPTED"
    public = (
        "该 PDF 已加密或设有权限限制，请先去除后再上传。",
        "This PDF is encrypted or restricted. Remove the protection first.",
    )


class AlreadySigned(NotRebuildable):
    code = "DOCUMENT_ALREADY_SIGNED"
    public = (
        "该 PDF 已有电子签名，重建会使原签名失效，因此不予受理。",
        "This PDF is already signed; rebuilding it would break that signature, so it is not taken.",
    )


class Certified(NotRebuildable):
    code = "DOCUMENT_CERTIFIED"
    public = (
        "该 PDF 已被认证签名锁定，不允许任何更改，因此不能再盖章。",
        "This PDF is certified and locked against changes, so it cannot be sealed again.",
    )


class HasXfa(NotRebuildable):
    code = "DOCUMENT_HAS_XFA"
    public = (
        "该 PDF 是动态表单（XFA），不同软件显示的内容不同，请打印为普通 PDF 后再上传。",
        "This PDF is a dynamic form (XFA), which programs show differently. Print it to an ordinary PDF first.",
    )


class RefersOutside(NotRebuildable):
    code = "DOCUMENT_REFERS_OUTSIDE"
    public = ("该 PDF 引用了文件之外的内容。", "This PDF takes content from outside the file.")


class TooManyPages(NotRebuildable):
    """``extra['limit']`` is the number of pages taken."""

    code = "DOCUMENT_TOO_MANY_PAGES"
    public = ("该 PDF 页数超过上限。", "This PDF has more pages than are taken.")


class PageUnusual(NotRebuildable):
    code = "DOCUMENT_PAGE_UNUSUAL"
    public = ("该 PDF 的页面尺寸不正常（小于 1 厘米或大于 5 米）。", "A page of this PDF is smaller than 1 cm or larger than 5 m.")


class TooComplex(NotRebuildable):
    code = "DOCUMENT_TOO_COMPLEX"
    public = (
        "处理该 PDF 所需的时间或内存超过上限，请简化后再上传。",
        "This PDF takes more time or memory than is allowed. Simplify it first.",
    )


class ChangedByRebuilding(NotRebuildable):
    """``extra['page']`` counts from 1."""

    code = "DOCUMENT_CHANGED_BY_REBUILDING"
    public = (
        "该 PDF 去除脚本、表单和隐藏内容后显示不同，不能用于盖章；请打印为普通 PDF 后再上传。",
        "Without scripts, forms and hidden content this PDF looks different. Print it to an ordinary PDF first.",
    )


class DocumentTooLarge(FujieError):
    """``extra['limit']`` is in octets."""

    code = "DOCUMENT_TOO_LARGE"
    status = 413
    public = ("文件超过大小上限。", "The document is larger than is taken.")


class RebuildingBusy(FujieError):
    code = "REBUILDING_BUSY"
    status = 503
    public = ("当前处理的文件较多，请稍后再试。", "Too many documents are being prepared. Please try again shortly.")


class NoSuchPage(FujieError):
    code = "DOCUMENT_PAGE_MISSING"
    status = 404
    public = ("没有这一页。", "There is no such page.")


REFUSALS: dict[str, type[FujieError]] = {
    one.code: one
    for one in (
        NotRebuildable, NotPdf, Malformed, Encrypted, AlreadySigned, Certified, HasXfa, RefersOutside, TooManyPages,
        PageUnusual, TooComplex, ChangedByRebuilding, NoSuchPage,
    )
}  # fmt: skip
"""By code: what a child process may answer."""
