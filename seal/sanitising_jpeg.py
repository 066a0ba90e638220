"""Photographs without their camera's notes: Exif, XMP, IPTC and comments leave a JPEG (ITU-T T.81 §B.1.1.4), its picture stays."""
# mypy: allow-untyped-calls

from typing import Any

import pikepdf

_TOLD = frozenset({0xE1, 0xED, 0xFE}) | frozenset(range(0xE3, 0xED))
"""APP1 (Exif, XMP), APP3–APP12, APP13 (IPTC), COM. APP0 (JFIF), APP2 (colour profile) and APP14 (Adobe) say how to draw."""
_SCAN, _END = 0xDA, 0xD9


def without_metadata(image: Any) -> bool:
    """Whether something was taken out of this image stream."""
    if image.get("/Filter") not in (pikepdf.Name("/DCTDecode"), pikepdf.Array([pikepdf.Name("/DCTDecode")])):
        return False
    data = image.read_raw_bytes()
    cleaned = stripped(data)
    if cleaned == data:
        return False
    image.write(cleaned, filter=image["/Filter"], decode_parms=image.get("/DecodeParms"))
    return True


def stripped(data: bytes) -> bytes:
    """The JPEG without segments that only tell; as it was where it is not understood. Pure."""
    if data[:2] != b"\xff\xd8":
        return data
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN:
            end = data.rfind(bytes((0xFF, _END)))  # what follows the end of the image is no part of it
            return b"".join((*parts, data[at : end + 2] if end > at else data[at:]))
        if size < 2 or marker in (0x00, 0xFF, _END):
            return data
        if marker not in _TOLD:
            parts.append(data[at : at + 2 + size])
        at += 2 + size
    return data
