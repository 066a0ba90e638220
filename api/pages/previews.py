"""The picture an approver decides on: the document as it is, and faintly on it the seal where it will stand."""

import io

from PIL import Image

from certs.pictures import picture
from seal.placement import Placement
from seal.reads import SealPictures

DPI = 110
FAINTNESS = 0.45
MILLIMETRES = 25.4


def preview(pdf: bytes, place: Placement, seal: SealPictures) -> bytes:
    """The page that will be sealed, as a PNG. Runs in a worker; raises PictureFailed."""
    page = Image.open(io.BytesIO(picture(pdf, place.page, DPI))).convert("RGBA")
    impression = _faint(Image.open(io.BytesIO(seal.png)).convert("RGBA").resize((_pixels(seal.width_mm), _pixels(seal.height_mm))))
    corner = (_pixels(place.x_mm) - impression.width // 2, _pixels(place.y_mm) - impression.height // 2)
    layer = Image.new("RGBA", page.size)
    layer.paste(impression, corner)
    buffer = io.BytesIO()
    Image.alpha_composite(page, layer).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _faint(image: Image.Image) -> Image.Image:
    faint = image.copy()
    faint.putalpha(image.getchannel("A").point([round(level * FAINTNESS) for level in range(256)]))
    return faint


def _pixels(millimetres: float) -> int:
    return round(millimetres / MILLIMETRES * DPI)
