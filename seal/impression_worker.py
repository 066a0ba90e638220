"""The inside of :mod:`seal.impression_room`: one picture on standard input, outlines or a refusal on standard output."""

import json
import sys

from keys.base.errors import FujieError
from seal.designs import Shape
from seal.drawing import Drawing
from seal.impression_room import confine
from seal.impression_scan import scan_drawing
from seal.impression_svg import svg_drawing
from seal.impressions import ImpressionUnreadable, MediaType, Upload


def main() -> None:
    media_type, width, height, shape = json.loads(sys.argv[1])
    content = sys.stdin.buffer.read()
    confine()
    sys.stdout.buffer.write(answer(Upload(content, MediaType(media_type), width, height, Shape(shape))))


def answer(upload: Upload) -> bytes:
    """The drawing, or why there is none, as a JSON object."""
    try:
        return _drawing(upload).to_bytes()
    except FujieError as refusal:
        return json.dumps({"code": refusal.code, "detail": refusal.detail, "extra": refusal.extra}).encode()
    except Exception as error:  # decoders of hostile pictures fail in ways nobody lists; each of them means the same
        unreadable = ImpressionUnreadable(type(error).__name__)
        return json.dumps({"code": unreadable.code, "detail": unreadable.detail, "extra": {}}).encode()


def _drawing(upload: Upload) -> Drawing:
    return svg_drawing(upload) if upload.media_type is MediaType.SVG else scan_drawing(upload)


if __name__ == "__main__":
    main()
