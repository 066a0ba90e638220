"""Taking the GM/T 0031 stamp out of a PDF of ours, for verifiers that read nothing else (docs/verification.md)."""

import re

from asn1crypto import cms

from keys.base import der
from keys.base.errors import FujieError
from seal.asn1_structures import SES_ATTRIBUTE

_BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d{1,10})\s+(\d{1,10})\s+\d{1,10}\s*\]")
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class NoStamp(FujieError):
    """The file holds no SES_Signature as a signed attribute."""

    code = "NO_STAMP"
    status = 422
    public = ("该文件中没有符合 GM/T 0031 的电子签章。", "There is no GM/T 0031 stamp in this file.")


def extract_stamp(document: bytes) -> bytes:
    """The DER SES_Signature of the last signature that carries one; it is not judged. Raises :class:`NoStamp`."""
    for found in reversed(list(_BYTE_RANGE.finditer(document))):
        start, end = int(found[1]), int(found[2])
        stamp = _stamp_in(document[start + 1 : end - 1])
        if stamp is not None:
            return stamp
    raise NoStamp


def _stamp_in(contents: bytes) -> bytes | None:
    try:
        message = first_value(bytes.fromhex(contents.decode("ascii")))
        (signer_info,) = cms.ContentInfo.load(message)["content"]["signer_infos"]
        for attribute in signer_info["signed_attrs"]:
            if attribute["type"].dotted == SES_ATTRIBUTE:
                return der.read(attribute["values"][0].dump()).value
    except _UNREADABLE:
        return None
    return None


def first_value(octets: bytes) -> bytes:
    """The DER value at the start of a padded ``/Contents``. Raises IndexError on fewer than two octets."""
    count = octets[1] & 0x7F if octets[1] & 0x80 else 0
    length = int.from_bytes(octets[2 : 2 + count]) if count else octets[1]
    return octets[: 2 + count + length]
