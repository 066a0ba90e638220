"""QR codes as vectors (GB/T 18284, ISO/IEC 18004): the address a person's telephone opens, and the offline code. Error correction M.

An address of 42 octets fits version 3, 62 octets version 4, 106 octets version 6, the largest that still gives modules of half a
millimetre at 20 mm. An offline code is alphanumeric: 483 characters fit version 13, 600 version 15, the largest that is still read
from a bad scan at 150 dpi when it is printed at 35 mm.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import zxingcpp

from keys.base.errors import InvalidInput

MOST_OCTETS = 106
MOST_OFFLINE = 600
ALPHANUMERIC = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
QUIET = 4
_DARK = re.compile(b"\x01+")
_DARK_OCTETS = bytes(octet < 128 for octet in range(256))


@dataclass(frozen=True, slots=True)
class QrCode:
    """``rows`` of dark (1) and light (0) modules, without the quiet zone."""

    rows: tuple[bytes, ...]

    @property
    def version(self) -> int:
        return (len(self.rows) - 17) // 4


@lru_cache(maxsize=64)
def encode(text: str) -> QrCode:
    """The smallest symbol for ``text`` at level M; the mask is chosen by the standard's penalty score, once."""
    if not 0 < len(text.encode()) <= MOST_OCTETS:
        raise InvalidInput("the address does not fit the printed QR code", errors=[{"field": "verify_url", "message": "长度不合 (length)"}])
    return _symbol(text)


def encode_offline(text: str) -> QrCode:
    """The symbol of an offline code: alphanumeric mode throughout. Raises InvalidInput if it cannot be, or would be too fine to read."""
    if not 0 < len(text) <= MOST_OFFLINE or not set(text) <= ALPHANUMERIC:
        raise InvalidInput(
            "the offline code cannot be printed", errors=[{"field": "offline_text", "message": "长度或字符不合 (length or alphabet)"}]
        )
    return _symbol(text)


def _symbol(text: str) -> QrCode:
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    image: Any = zxingcpp.write_barcode_to_image(symbol, scale=1, add_quiet_zones=False)  # a buffer, though its stub does not say so
    pixels = memoryview(image)
    width, modules = (pixels.shape or (0,))[0], pixels.tobytes().translate(_DARK_OCTETS)
    return QrCode(tuple(modules[start : start + width] for start in range(0, len(modules), width)))


def squares(code: QrCode) -> bytes:
    """The dark modules as one filled path of PDF operators, one unit a module, y downwards, the quiet zone's corner at the origin."""
    corners, widths = _spelled(len(code.rows))
    runs = map(re.Match.span, _DARK.finditer(b"\0".join(code.rows)))
    return "".join([corners[start] + widths[end - start] for start, end in runs] + ["f"]).encode()


@cache
def _spelled(side: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The corner of each module, rows joined by one light module; and each width with its operator: spelled once for all symbols."""
    corners = tuple(f"{x + QUIET} {y + QUIET} " for y in range(side) for x in range(side + 1))
    return corners, tuple(f"{width} 1 re\n" for width in range(side + 1))


def to_svg(code: QrCode, ink: str = "#000") -> str:
    """The symbol with its quiet zone, one unit a module; each run of dark modules is one rectangle of a single path."""
    side = len(code.rows) + 2 * QUIET
    runs = "".join(f"M{x + QUIET} {y + QUIET}h{n}v1h-{n}z" for y, row in enumerate(code.rows) for x, n in _runs(row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path fill="{ink}" d="{runs}"/></svg>'
    )


def _runs(row: bytes) -> Iterator[tuple[int, int]]:
    """(start, length) of each run of dark modules."""
    return ((run.start(), run.end() - run.start()) for run in _DARK.finditer(row))
