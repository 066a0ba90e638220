"""Pictures of certificates: for the approver what will be sealed, for everybody what the public record says.

Nothing here draws a stored document for strangers: their picture is typeset anew from the masked record
(docs/decisions/0005-public-picture.md). These functions burn CPU and run in a worker.
"""

import io

from PIL import Image, ImageDraw, ImageFont
from pylopdf_fonts_zh_cn import sans_path

from certs.fonts import REQUIRED_FONTS, FontSet
from certs.pictures import as_png, picture
from certs.rendering import RenderJob, render
from certs.verification import RecordReport
from seal.placement import Placement
from seal.reads import SealPictures

DPI = 110
SHARP = 200  # what an approver reads before it is sealed: the small print too
FAINT = 0.45
FULL = 1.0
MILLIMETRES = 25.4
UNISSUED = "预览 不具效力 PREVIEW"
UNISSUED_INK = (176, 24, 24)


def preview(pdf: bytes, place: Placement, seal: SealPictures) -> bytes:
    """The document that will be sealed, and faintly on it the seal where it will stand; PNG. Raises PictureFailed."""
    return _sealed(pdf, place, seal, FAINT, SHARP)


def redrawn(job: RenderJob, seal: SealPictures, fonts: FontSet = REQUIRED_FONTS) -> bytes:
    """The certificate as the public record tells it, people's names covered; PNG. Raises what ``render`` raises."""
    made = render(job, fonts)
    return _sealed(made.pdf, made.seal_place, seal, FULL, DPI)


def unissued(pdf: bytes) -> bytes:
    """The document as it would be issued, written over so that nobody takes it for one that was; PNG. Raises PictureFailed."""
    page = Image.open(io.BytesIO(picture(pdf, 0, DPI))).convert("RGBA")
    layer = Image.new("RGBA", page.size)
    font = ImageFont.truetype(sans_path(), page.width // 14)
    pen, step = ImageDraw.Draw(layer), page.height // 3
    for middle in range(step // 2, page.height, step):
        pen.text((page.width / 2, middle), UNISSUED, font=font, fill=(*UNISSUED_INK, 84), anchor="mm")
    return as_png(Image.alpha_composite(page, layer.rotate(12, resample=Image.Resampling.BICUBIC)).convert("RGB"))


def public_job(report: RecordReport, base_url: str) -> RenderJob | None:
    """What a stranger's picture is typeset from: the report's masked words. None where the record holds no document. Pure."""
    certificate = report.certificate
    if certificate is None or certificate.document_hash is None or certificate.issued_on is None or report.own_document:
        return None
    return RenderJob(
        type_code=certificate.type_code,
        title_zh=certificate.type_name,
        title_en=report.type_name_en,
        number=certificate.number,
        identifier=certificate.identifier,
        holders=tuple(one.name for one in report.holders),
        fields=report.fields,
        issuer=certificate.issuer_name,
        issued_on=certificate.issued_on,
        valid_from=certificate.valid_from,
        valid_to=certificate.valid_to,
        verify_url=f"{base_url}/v/{report.code}",
        verification_code=report.code,
        metadata=b"{}",
        timestamp=certificate.created_at,
        template=report.template,
    )


def _sealed(pdf: bytes, place: Placement, seal: SealPictures, strength: float, dpi: int) -> bytes:
    page = Image.open(io.BytesIO(picture(pdf, place.page, dpi))).convert("RGBA")
    size = _pixels(seal.width_mm, dpi), _pixels(seal.height_mm, dpi)
    impression = Image.open(io.BytesIO(seal.png)).convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    impression.putalpha(impression.getchannel("A").point([round(level * strength) for level in range(256)]))
    layer = Image.new("RGBA", page.size)
    layer.paste(impression, (_pixels(place.x_mm, dpi) - size[0] // 2, _pixels(place.y_mm, dpi) - size[1] // 2))
    return as_png(Image.alpha_composite(page, layer).convert("RGB"))


def _pixels(millimetres: float, dpi: int) -> int:
    return round(millimetres / MILLIMETRES * dpi)
