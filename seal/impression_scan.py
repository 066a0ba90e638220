"""PNG pictures and JPEG scans of an impression, cleaned up to outlines.

:func:`scan_drawing`
  1. the header first: octets, pixels, no animation; only then is anything decoded
  2. on white ground, the paper's shade is divided out
  3. which ink: red before blue before black, so that text that was printed under a red seal is left out
  4. where the print is, and whether its proportions and its resolution are those of the stated size
  5. that part at 600 dpi, cut off outside of the circle or oval
  6. outlines; specks and pinholes below 0.02 mm² are dropped
"""

import io
import math
import zlib
from collections.abc import Callable, Iterator, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageMath, UnidentifiedImageError

from seal.designs import Shape
from seal.drawing import Drawing, Layer, Segment
from seal.impressions import (
    LEAST_DPI,
    MAX_PIXELS,
    MAX_SIDE,
    ImpressionAnimated,
    ImpressionEmpty,
    ImpressionProportions,
    ImpressionTooCoarse,
    ImpressionTooComplex,
    ImpressionTooManyPixels,
    ImpressionUnreadable,
    MediaType,
    Upload,
)
from seal.tracing import Contour, area, contours, simplified

CLEAN_DPI = 600
MM_PER_INCH = 25.4
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SPECK_MM2 = 0.02
OFF_PROPORTION = 0.08
MAX_POINTS = 40_000
TOLERANCES_MM = (0.012, 0.02, 0.035)
_KEPT_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_SURVEY = 900
"""Longest side, in pixels, of the picture in which the print is looked for."""
_LEAST_INK = 0.0008
"""Part of the picture that must be of an ink."""
_STRONG, _PALE = 0.55, 0.15
"""Of full ink: what is surely ink, what is surely paper."""


def scan_drawing(upload: Upload) -> Drawing:
    """See the module's steps. Raises an :class:`~seal.impressions.ImpressionRefused`."""
    picture = _decoded(upload)
    score = _scorer(_survey(picture))
    box = _print_box(picture, score)
    _check_box(box, upload)
    return _outlined(_cleaned(picture.crop(box), score, upload), upload)


# What is decoded


def _decoded(upload: Upload) -> Image.Image:
    """The picture on white ground."""
    octets = _plain_png(upload.content) if upload.media_type is MediaType.PNG else upload.content
    try:
        picture = Image.open(io.BytesIO(octets), formats=("PNG" if upload.media_type is MediaType.PNG else "JPEG",))
        _check_pixels(*picture.size)
        return _on_white(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
        raise ImpressionUnreadable(type(error).__name__) from error


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    ground = Image.new("RGB", rgba.size, "white")
    ground.paste(rgba, mask=rgba.getchannel("A"))
    return ground


def _check_pixels(width: int, height: int) -> None:
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE or width * height > MAX_PIXELS:
        raise ImpressionTooManyPixels(f"{width} × {height}")


def _plain_png(content: bytes) -> bytes:
    """The same picture without whatever a PNG may carry beside it. Reads lengths and check sums only; decodes nothing."""
    kept = [PNG_MAGIC]
    names: list[bytes] = []
    for name, chunk in _chunks(content):
        names.append(name)
        if len(names) == 1:
            if name != b"IHDR" or len(chunk) != 25:
                raise ImpressionUnreadable("it does not begin with its header")
            _check_pixels(int.from_bytes(chunk[8:12], "big"), int.from_bytes(chunk[12:16], "big"))
        if name in _ANIMATION:
            raise ImpressionAnimated
        if name in _KEPT_CHUNKS:
            kept.append(chunk)
    if names[-1:] != [b"IEND"]:
        raise ImpressionUnreadable("it does not end where its end is")
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's name and all of its octets. Raises ``ImpressionUnreadable``."""
    at = len(PNG_MAGIC)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 12 + length
        if end > len(content) or zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            raise ImpressionUnreadable("a chunk is cut off or damaged")
        yield content[at + 4 : at + 8], content[at:end]
        at = end


# What is ink

Scorer = Callable[[Image.Image], Image.Image]
"""From a picture to how much of each pixel is ink, 0 to 255."""


def _survey(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((_SURVEY, _SURVEY), Image.Resampling.BOX)
    return _on_white_paper(small)


def _on_white_paper(picture: Image.Image) -> Image.Image:
    """Shadows and the shade of the paper are divided out."""
    tiny = picture.resize((max(1, picture.width // 24), max(1, picture.height // 24)), Image.Resampling.BOX)
    paper = tiny.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(3)).resize(picture.size, Image.Resampling.BICUBIC)
    bands = [_divided(band, ground) for band, ground in zip(picture.split(), paper.split(), strict=True)]
    return Image.merge("RGB", bands)


def _divided(band: Image.Image, ground: Image.Image) -> Image.Image:
    quotient = ImageMath.lambda_eval(
        lambda names: names["min"](names["band"] * 255 / names["max"](names["ground"], 64), 255), band=band, ground=ground
    )
    divided: Image.Image = quotient.convert("L")
    return divided


def _redness(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return ImageChops.subtract(red, ImageChops.add(green, blue, scale=2))


def _blueness(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return ImageChops.subtract(blue, ImageChops.add(red, green, scale=2))


def _darkness(picture: Image.Image) -> Image.Image:
    return ImageChops.invert(picture.convert("L"))


def _scorer(survey: Image.Image) -> Scorer:
    """The first ink of which there is enough, and how strong it is at its full. Raises ``ImpressionEmpty``."""
    for measure, least in ((_redness, 60), (_blueness, 50), (_darkness, 110)):
        histogram = measure(survey).histogram()
        inked = sum(histogram[least:])
        if inked >= _LEAST_INK * survey.width * survey.height:
            return _scaled(measure, _full(histogram, least, inked))
    raise ImpressionEmpty("no red, blue or black print")


def _full(histogram: Sequence[int], least: int, inked: int) -> int:
    """The level above which the strongest fifth of the ink lies."""
    above = 0
    for level in range(255, least, -1):
        above += histogram[level]
        if above >= inked / 5:
            return level
    return least


def _scaled(measure: Scorer, full: int) -> Scorer:
    table = [round(min(1.0, max(0.0, (level / full - _PALE) / (_STRONG - _PALE))) * 255) for level in range(256)]
    return lambda picture: measure(picture).point(table)


# Where the print is


def _print_box(picture: Image.Image, score: Scorer) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the print, in pixels of the picture: the largest inked figure and all of similar size."""
    survey = _survey(picture)
    found = [contour for contour in contours(score(survey).filter(ImageFilter.MedianFilter(3))) if len(contour) > 8]
    sizes = [_extent(contour) for contour in found]
    least = 0.12 * max((max(right - left, bottom - top) for left, top, right, bottom in sizes), default=0)
    boxes = [box for box in sizes if max(box[2] - box[0], box[3] - box[1]) >= max(least, 4)]
    if not boxes:
        raise ImpressionEmpty("only specks")
    factor = picture.width / survey.width, picture.height / survey.height
    left, top = (min(box[side] for box in boxes) * factor[side] for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) * factor[side - 2] for side in (2, 3))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _extent(contour: Contour) -> tuple[float, float, float, float]:
    across, down = [x for x, _ in contour], [y for _, y in contour]
    return min(across), min(down), max(across), max(down)


def _check_box(box: tuple[int, int, int, int], upload: Upload) -> None:
    width, height = box[2] - box[0], box[3] - box[1]
    if abs(math.log(width / height / (upload.width_mm / upload.height_mm))) > OFF_PROPORTION:
        raise ImpressionProportions(f"{width} × {height} pixels for {upload.width_mm} × {upload.height_mm} mm")
    if width * MM_PER_INCH / upload.width_mm < LEAST_DPI:
        raise ImpressionTooCoarse(f"{width} pixels for {upload.width_mm} mm")


# Cleaning and drawing


def _cleaned(part: Image.Image, score: Scorer, upload: Upload) -> Image.Image:
    """How much of each pixel is ink, at 600 dpi; nothing outside of the seal's shape."""
    size = round(upload.width_mm / MM_PER_INCH * CLEAN_DPI), round(upload.height_mm / MM_PER_INCH * CLEAN_DPI)
    inked = score(_on_white_paper(part)).resize(size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.7))
    if upload.shape is Shape.SQUARE:
        return inked
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=255)
    return ImageChops.multiply(inked, mask)


def _outlined(inked: Image.Image, upload: Upload) -> Drawing:
    scale = upload.width_mm / inked.width, upload.height_mm / inked.height
    speck = SPECK_MM2 / (scale[0] * scale[1])
    found = [contour for contour in contours(inked) if abs(area(contour)) >= speck]
    for tolerance in TOLERANCES_MM:
        kept = [simplified(contour, tolerance / scale[0]) for contour in found]
        if sum(map(len, kept)) <= MAX_POINTS:
            break
    else:
        raise ImpressionTooComplex(f"{sum(map(len, kept))} points")
    path: list[Segment] = []
    for contour in kept:
        first, *rest = ((x * scale[0] - upload.width_mm / 2, upload.height_mm / 2 - y * scale[1]) for x, y in contour)
        path += [("M", (first,)), *(("L", (point,)) for point in rest), ("Z", ())]
    return Drawing((Layer(tuple(path), fill=True, stroke=0, even_odd=True),), upload.width_mm, upload.height_mm)
