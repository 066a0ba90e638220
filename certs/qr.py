"""QR codes as vectors: the address a person's telephone opens (GB/T 18284, ISO/IEC 18004).

Error correction M. An address of 42 octets fits version 3, 62 octets version 4, 106 octets version 6, the largest that
still gives modules of half a millimetre at the printed size.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import zxingcpp

from keys.base.errors import InvalidInput

MOST_OCTETS = 106
QUIET = 4


@dataclass(frozen=True, slots=True)
class QrCode:
    """``rows`` of dark (True) and light modules, without the quiet zone."""

    rows: tuple[tuple[bool, ...], ...]

    @property
    def version(self) -> int:
        return (len(self.rows) - 17) // 4


@lru_cache(maxsize=64)
def encode(text: str) -> QrCode:
    """The smallest symbol for ``text`` at level M; the mask is chosen by the standard's penalty score, once."""
    if not 0 < len(text.encode()) <= MOST_OCTETS:
        raise InvalidInput("the address does not fit the printed QR code", errors=[{"field": "verify_url", "message": "长度不合 (length)"}])
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    image: Any = zxingcpp.write_barcode_to_image(symbol, scale=1, add_quiet_zones=False)  # a buffer, though its stub does not say so
    pixels = memoryview(image)
    height, width = (pixels.shape or ())[:2]
    return QrCode(tuple(tuple(pixels[y, x] < 128 for x in range(width)) for y in range(height)))


def to_svg(code: QrCode, ink: str = "#000") -> str:
    """The symbol with its quiet zone, one unit a module; each run of dark modules is one rectangle of a single path."""
    side = len(code.rows) + 2 * QUIET
    runs = "".join(f"M{x + QUIET} {y + QUIET}h{n}v1h-{n}z" for y, row in enumerate(code.rows) for x, n in _runs(row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path fill="{ink}" d="{runs}"/></svg>'
    )


def _runs(row: tuple[bool, ...]) -> list[tuple[int, int]]:
    """(start, length) of each run of dark modules."""
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((x, 1))
    return runs
