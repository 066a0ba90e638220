"""A holder's photograph, made ready for print: decoded, cut to the proportions of the frame, written anew.

What is printed is our own JPEG, never the octets that came in: nothing hides in it (position, thumbnail, comment), and a damaged or
enormous picture is refused here. CPU-bound: runs where rendering runs.
"""

import base64
import binascii
import io

from PIL import Image, ImageOps, UnidentifiedImageError

from keys.base.errors import InvalidInput

MOST_OCTETS = 4 << 20
MOST_PIXELS = 24_000_000
WIDTH, HEIGHT = 354, 496  # 20 × 28 mm at 450 dpi
QUALITY = 88
KEPT_QUALITY = 95
LONGEST_TEXT = (MOST_OCTETS + 2) // 3 * 4
FORMATS = ("JPEG", "PNG")


class PhotographUnusable(InvalidInput):
    """Not base64, neither JPEG nor PNG, damaged, or larger than 4 MB or 24 million pixels; ``extra['errors']`` says which."""

    code = "PHOTOGRAPH_UNUSABLE"
    public = (
        "照片不可用：应为 JPEG 或 PNG，不超过 4 MB、2400 万像素。",
        "The photograph cannot be used: it must be a JPEG or PNG of at most 4 MB and 24 million pixels.",
    )


def decoded(text: str) -> bytes:
    """A photograph as it stands in JSON, base64. Raises PhotographUnusable; whether it is a picture is :func:`prepared`'s question."""
    if len(text) > LONGEST_TEXT:
        raise _refused("larger than 4 MB")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("not base64") from None


def kept(octets: bytes) -> bytes:
    """As it is kept until it is printed: as printed, but finer, for the print writes it anew. Raises PhotographUnusable."""
    return prepared(octets, KEPT_QUALITY)


def photo_svg(octets: bytes) -> str:
    """The photograph as an SVG of the frame's proportions, for the typesetter. Raises PhotographUnusable."""
    data = base64.b64encode(prepared(octets)).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<image width="{WIDTH}" height="{HEIGHT}" href="data:image/jpeg;base64,{data}"/></svg>'
    )


def prepared(octets: bytes, quality: int = QUALITY) -> bytes:
    """A JPEG of :data:`WIDTH` × :data:`HEIGHT`, upright, without metadata. Raises PhotographUnusable."""
    if len(octets) > MOST_OCTETS:
        raise _refused("larger than 4 MB")
    try:
        with Image.open(io.BytesIO(octets), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _refused(f"{picture.width} x {picture.height} pixels")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _refused("not a JPEG or PNG") from error
    buffer, fitted = io.BytesIO(), ImageOps.fit(upright, (WIDTH, HEIGHT), Image.Resampling.LANCZOS, centering=(0.5, 0.4))
    fitted.info.clear()  # or the comment of the picture that came in would be written again
    fitted.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _refused(why: str) -> PhotographUnusable:
    return PhotographUnusable(f"photograph: {why}", errors=[{"field": "photo", "message": f"照片不可用 ({why})"}])
