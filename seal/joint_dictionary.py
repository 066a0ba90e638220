"""The signature dictionaries of documents with several seals or pictures: one spelling, written and recognised here.

As :mod:`seal.signature_dictionary` does for a certificate's single seal, but any of: a certification (DocMDP P 1 or 2) or none, a lock on
the fields that show the seal's further pictures (FieldMDP, ISO 32000-1 §12.8.2.4), and the SubFilter of PAdES or of GM/T 0031 alone.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base import der
from seal.placing import Certification, Profile
from seal.signature_dictionary import Blank, Written, hexadecimal

_RANGE_WIDTH = 44
_SUB_FILTERS = {Profile.PADES: b"ETSI.CAdES.detached", Profile.GM: b"GM.sm2seal"}
_DOC_MDP = b"<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/V/1.2/P %d>>>>"
_FIELD_MDP = b"<</Type/SigRef/TransformMethod/FieldMDP/TransformParams<</Type/TransformParams/V/1.2/Action/Include/Fields[%b]>>>>"

_WRITTEN = re.compile(
    rb"\d{1,10} \d{1,5} obj\n"
    rb"<</Type/Sig/Filter/Adobe\.PPKLite/SubFilter/(ETSI\.CAdES\.detached|GM\.sm2seal)/M\(D:(\d{14})Z\)/Name<([0-9a-f]{4,2048})>"
    rb"(?:/Reference\[(?:"
    + re.escape(_DOC_MDP).replace(b"%d", rb"([12])")
    + rb")?(?:"
    + re.escape(_FIELD_MDP).replace(b"%b", rb"((?:\(Seal[0-9_-]{1,40}\)){1,1000})")
    + rb")?\])?/ByteRange(\[0 (\d{1,10}) (\d{1,10}) (\d{1,10})\]) *"
    rb"/Contents(?=<)"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a signature dictionary says beside the signature. ``locked``: names of the fields that no one may change."""

    signing_time: dt.datetime
    organisation: bytes
    certification: Certification
    locked: tuple[bytes, ...]
    profile: Profile
    reserved: int


def organisation_name(name: str) -> bytes:
    """``/Name`` as it is spelled: UTF-16BE in hexadecimal."""
    return (b"\xfe\xff" + name.encode("utf-16-be")).hex().encode()


def blank(terms: Terms) -> Blank:
    """The dictionary with ``reserved`` octets of room."""
    instant = terms.signing_time.astimezone(dt.UTC).strftime("%Y%m%d%H%M%S").encode()
    head = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/%b/M(D:%bZ)/Name<%b>%b/ByteRange" % (
        _SUB_FILTERS[terms.profile],
        instant,
        terms.organisation,
        _reference(terms.certification, terms.locked),
    )
    start = len(head) + _RANGE_WIDTH + len(b"/Contents")
    body = b"".join((head, b" " * _RANGE_WIDTH, b"/Contents<", b"0" * (2 * terms.reserved), b">>>"))
    return Blank(body, len(head), start, start + 2 * terms.reserved + 2)


def _reference(certification: Certification, locked: Sequence[bytes]) -> bytes:
    certified = _DOC_MDP % certification if certification else b""
    lock = _FIELD_MDP % b"".join(b"(%b)" % name for name in locked) if locked else b""
    return b"/Reference[%b%b]" % (certified, lock) if certified or lock else b""


def recognise(data: bytes, offset: int) -> tuple[Written, Terms] | None:
    """The dictionary of the object that begins at ``offset``, if it is spelled exactly as ours are."""
    found = _WRITTEN.match(data, offset)
    spelled = hexadecimal(data, found.end()) if found else None
    if found is None or spelled is None:
        return None
    try:
        signing_time = der.parse_time(found[2] + b"Z")
    except ValueError:
        return None
    start, (contents, octets) = found.end(), spelled
    end = start + len(contents) + 2
    terms = Terms(
        signing_time=signing_time,
        organisation=found[3],
        certification=Certification(int(found[4] or 0)),
        locked=tuple(re.findall(rb"\(([^)]*)\)", found[5] or b"")),
        profile=Profile.GM if found[1] == b"GM.sm2seal" else Profile.PADES,
        reserved=(end - start - 2) // 2,
    )
    covered = int(found[7]), int(found[8]), int(found[9])
    permission = int(terms.certification) or None
    return Written(start, end, contents, octets, found[6].decode(), covered, signing_time, permission), terms
