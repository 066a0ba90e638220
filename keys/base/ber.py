"""A signed message in BER, X.690 §8, brought into DER: the lengths that common programs leave out around what they sign.

Nothing else that BER leaves to taste is taken. The frame of a ContentInfo with a SignedData (RFC 5652 §3, §5.1) may have no lengths,
and its encapsulated content may come in pieces. Certificates, lists, signers and everything within them stand in DER, as they
are signed, and are copied octet by octet.
"""

import re

from keys.base.der import EXPLICIT_0, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, Element, NotDer, encode, header, members, read
from keys.base.der_values import children

_INDEFINITE, _CONSTRUCTED = 0x80, 0x20
_IN_PIECES = OCTET_STRING | _CONSTRUCTED
_END_OF_CONTENTS, _SEQUENCE = b"\0\0", bytes((SEQUENCE,))
_MEMBERS = re.compile(rb"\x02\x31\x30\xa0?\xa1?\x31")  # version, digests, content, certificates, lists, signers
_SIGNED_DATA = 2  # how deep: ContentInfo > [0] > SignedData
_CONTENT = 5  # SignedData > EncapsulatedContentInfo > [0] > OCTET STRING


def first_message(octets: bytes) -> tuple[bytes, int]:
    """The message at the start of ``octets`` in DER, and how many octets it takes there. Raises :class:`NotDer`.

    DER comes back as it is. What stands behind the message is for the caller to judge.
    """
    if octets[1:2] != bytes((_INDEFINITE,)):
        end = header(octets, 0, len(octets))[2]
        message = octets[:end]
    else:
        message, end = _value(octets, 0, len(octets), 0, within_content=False)
    _require_frame(read(message))
    return message, end


def _require_frame(message: Element) -> None:
    """Nothing but the members of a ContentInfo, its ``[0]`` and a SignedData: what nobody reads, nobody may put there."""
    try:
        kind, explicit = members(message)
        (signed_data,) = children(explicit)
        tags = bytes(one.tag for one in members(signed_data))
    except ValueError as error:
        raise NotDer("another frame than that of a SignedData") from error
    if kind.tag != OBJECT_IDENTIFIER or explicit.tag != EXPLICIT_0 or not _MEMBERS.fullmatch(tags):
        raise NotDer("another frame than that of a SignedData")


def _value(data: bytes, at: int, limit: int, depth: int, *, within_content: bool) -> tuple[bytes, int]:
    """The value at ``at`` in DER, and where it ends. ``within_content``: within the EncapsulatedContentInfo."""
    tag, start, end = _head(data, at, limit)
    frame = depth <= _SIGNED_DATA or (within_content and depth <= _CONTENT)
    if end is None and not (tag & _CONSTRUCTED and (frame or depth == _SIGNED_DATA + 1)):
        raise NotDer(f"indefinite length at octet {at}")
    in_pieces = tag == _IN_PIECES
    if in_pieces and not (within_content and depth == _CONTENT):
        raise NotDer(f"a string in pieces at octet {at}")
    if end is not None and not (frame and tag & _CONSTRUCTED):
        return data[at:end], end
    parts, after = _parts(data, start, (end, limit), depth, within_content)
    return encode(OCTET_STRING, *map(_piece, parts)) if in_pieces else encode(tag, *parts), after


def _head(data: bytes, at: int, limit: int) -> tuple[int, int, int | None]:
    """Tag, where the content begins and where it ends; None: at its end-of-contents octets."""
    if at + 2 > limit or not data[at] or data[at] & 0x1F == 0x1F:
        raise NotDer(f"no value at octet {at}")
    return (data[at], at + 2, None) if data[at + 1] == _INDEFINITE else header(data, at, limit)


def _parts(data: bytes, at: int, bounds: tuple[int | None, int], depth: int, within_content: bool) -> tuple[list[bytes], int]:
    """The members of a value, and where it ends itself."""
    end, limit = bounds
    parts: list[bytes] = []
    while at != end if end is not None else data[at : at + 2] != _END_OF_CONTENTS:
        # The one SEQUENCE among the members of a SignedData is its EncapsulatedContentInfo.
        inside = within_content or (depth == _SIGNED_DATA and data[at : at + 1] == _SEQUENCE)
        part, at = _value(data, at, limit if end is None else end, depth + 1, within_content=inside)
        parts.append(part)
    if end is None and at + 2 > limit:
        raise NotDer(f"no end of contents at octet {at}")
    return parts, at if end is not None else at + 2


def _piece(part: bytes) -> bytes:
    if part[0] != OCTET_STRING:
        raise NotDer("a piece of another kind")
    return part[header(part, 0, len(part))[1] :]
