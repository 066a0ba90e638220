"""Uploaded impressions (印模): what is sent, what becomes of it, and every reason to refuse it. Pure values.

:func:`seal.impression_room.redraw` turns an :class:`Upload` into a :class:`~seal.drawing.Drawing` in a confined process. Whatever the
picture was, only outlines of ours are left: nothing of the file reaches a seal (docs/decisions/0066).
"""

from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import FujieError, InvalidInput
from seal.designs import Shape

MAX_OCTETS = 5 * 1024 * 1024
MAX_SIDE = 10_000
MAX_PIXELS = 40_000_000
LEAST_MM, MOST_MM = 10.0, 60.0
LEAST_DPI = 200


class MediaType(StrEnum):
    PNG = "image/png"
    JPEG = "image/jpeg"
    SVG = "image/svg+xml"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture of an impression as it was sent, and the real size of the impression in mm.

    ``shape``: what lies outside of it is cut off: a circle or an oval of that size, or its whole rectangle.
    """

    content: bytes
    media_type: MediaType
    width_mm: float
    height_mm: float
    shape: Shape = Shape.ROUND


class ImpressionRefused(InvalidInput):
    """The picture cannot become an impression; a more exact code says why."""

    code = "IMPRESSION_REFUSED"
    public = ("印模图片不符合要求。", "The picture cannot become an impression.")


class ImpressionTooLarge(FujieError):
    """More octets than an impression needs."""

    code = "IMPRESSION_TOO_LARGE"
    status = 413
    public = ("印模图片过大，最大 5 MB。", "The picture is too large; 5 MB is the limit.")


class ImpressionTypeUnknown(FujieError):
    """The octets are no PNG, JPEG or SVG, or another one than was said."""

    code = "IMPRESSION_TYPE_UNKNOWN"
    status = 415
    public = ("印模图片须为 PNG、JPEG 或 SVG 格式。", "An impression is a PNG, a JPEG or an SVG.")


class ImpressionTooManyPixels(ImpressionRefused):
    code = "IMPRESSION_TOO_MANY_PIXELS"
    public = ("印模图片像素过多，每边最多 10000，合计最多 4000 万。", "The picture has too many pixels: 10,000 a side, 40 million in all.")


class ImpressionUnreadable(ImpressionRefused):
    code = "IMPRESSION_UNREADABLE"
    public = ("印模图片已损坏或无法读取。", "The picture is damaged or cannot be read.")


class ImpressionAnimated(ImpressionRefused):
    code = "IMPRESSION_ANIMATED"
    public = ("印模不能是动画。", "An impression does not move.")


class ImpressionSize(ImpressionRefused):
    """No such real size, or another one than the picture's own."""

    code = "IMPRESSION_SIZE"
    public = (
        "印模尺寸不正确：每边 10 至 60 毫米，且须与图片一致。",
        "The real size is 10 to 60 mm a side, and that of the picture.",
    )


class ImpressionProportions(ImpressionRefused):
    code = "IMPRESSION_PROPORTIONS"
    public = (
        "图片中的印迹与所报尺寸的宽高比不一致，请正对印迹扫描。",
        "The print has other proportions than the stated size: scan it straight on.",
    )


class ImpressionTooCoarse(ImpressionRefused):
    code = "IMPRESSION_TOO_COARSE"
    public = ("印模图片分辨率过低，至少 200 dpi。", "The picture is too coarse; it takes at least 200 dpi.")


class ImpressionEmpty(ImpressionRefused):
    """Nothing, or next to nothing, prints."""

    code = "IMPRESSION_EMPTY"
    public = ("图片中没有找到印迹。", "There is no print in the picture.")


class ImpressionSolid(ImpressionRefused):
    """Nearly everything prints: no seal, or a scan without a clear ground."""

    code = "IMPRESSION_SOLID"
    public = ("图片几乎全部着色，无法分辨印迹。", "Nearly the whole picture prints; the seal cannot be told from its ground.")


class ImpressionTooComplex(ImpressionRefused):
    code = "IMPRESSION_TOO_COMPLEX"
    public = ("印模图形过于复杂。", "The drawing is too complex for an impression.")


class ImpressionTookTooLong(ImpressionRefused):
    """Reading it took more time or memory than a picture may take."""

    code = "IMPRESSION_TOOK_TOO_LONG"
    public = ("处理印模图片超出时间或内存限制。", "Reading the picture took more time or memory than it may.")


class SvgMalformed(ImpressionRefused):
    code = "IMPRESSION_SVG_MALFORMED"
    public = ("SVG 文件格式不正确。", "The SVG is not well-formed.")


class SvgEntities(ImpressionRefused):
    """A document type, an entity or a processing instruction."""

    code = "IMPRESSION_SVG_ENTITIES"
    public = ("SVG 中不得有 DTD、实体或处理指令。", "An SVG here has no document type, entities or processing instructions.")


class SvgScript(ImpressionRefused):
    code = "IMPRESSION_SVG_SCRIPT"
    public = ("SVG 中不得有脚本或事件。", "An SVG here has no scripts and no events.")


class SvgReference(ImpressionRefused):
    code = "IMPRESSION_SVG_REFERENCE"
    public = ("SVG 中不得有任何引用（href、url()、@import）。", "An SVG here refers to nothing: no href, no url(), no @import.")


class SvgElement(ImpressionRefused):
    """An element or attribute outside of the allowed ones; ``extra['name']`` names it where its name is harmless."""

    code = "IMPRESSION_SVG_ELEMENT"
    public = (
        "SVG 中只允许路径、基本图形、分组和变换；文字请先转为轮廓。",
        "Only paths, basic shapes, groups and transforms are allowed; turn text into outlines first.",
    )


class SvgPaint(ImpressionRefused):
    """A light or half-transparent paint: it would cover what lies below, and an impression has one ink."""

    code = "IMPRESSION_SVG_PAINT"
    public = (
        "SVG 中只能用一种不透明的深色，底色须透明，镂空须为真正的镂空。",
        "One opaque dark ink on a transparent ground: what is blank must be a hole, not white paint.",
    )


class SvgFrame(ImpressionRefused):
    """Something lies outside of the frame, where nobody would see it."""

    code = "IMPRESSION_SVG_FRAME"
    public = ("SVG 中有图形超出画面。", "Something in the SVG lies outside of its frame.")
