"""Taking GM/T 0031 structures out of documents, for verifiers that read nothing else (docs/verification.md). Nothing is judged here.

A document holds a stamp (SES_Signature) as a signed attribute of a PAdES signature, as the whole of a ``GM.sm2seal`` signature, or as the
SignedValue.dat of an OFD; the seal (SESeal) stands within the stamp.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asn1crypto import cms

from keys.base import der
from keys.base.errors import FujieError
from seal.asn1_structures import SES_ATTRIBUTE
from seal.ofd import OfdRefused, OfdUnreadable, read_ofd
from seal.verification_pdf import UNREADABLE, entry, open_pdf, signature_fields

_BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d{1,10})\s+(\d{1,10})\s+\d{1,10}\s*\]")


class NoStamp(FujieError):
    """The file holds no SES_Signature, or none in the signature that was asked for."""

    code = "NO_STAMP"
    status = 422
    public = ("该文件中没有符合 GM/T 0031 的电子签章。", "There is no GM/T 0031 stamp in this file.")


@dataclass(frozen=True, slots=True)
class FoundStamp:
    """``name``: of the PDF's signature field, or the identifier in the OFD's list; empty where the file gives none."""

    name: str
    encoded: bytes


def extract_stamp(document: bytes, field: str | None = None) -> bytes:
    """The DER SES_Signature of the last signature that carries one, or of the one named. Raises :class:`NoStamp`.

    ``field``: the name of a signature field, an identifier of an OFD's list, or a number: 1 is the first stamp of the file.
    """
    found = stamps_in(document)
    if not found:
        raise NoStamp
    if field is None:
        return found[-1].encoded
    named = [one for one in found if one.name == field]
    if len(named) == 1:
        return named[0].encoded
    if not named and field.isascii() and field.isdigit() and 1 <= int(field) <= len(found):
        return found[int(field) - 1].encoded
    raise NoStamp(f"no single stamp {field[:40]!r} among {', '.join(one.name[:40] or '-' for one in found[:20])}")


def extract_seal(document: bytes, field: str | None = None) -> bytes:
    """The DER SESeal within that stamp. Raises :class:`NoStamp`."""
    try:
        return der.members(der.members(der.read(extract_stamp(document, field)))[0])[1].encoded
    except (der.NotDer, IndexError) as error:
        raise NoStamp("a stamp that cannot be read") from error


def stamps_in(document: bytes) -> list[FoundStamp]:
    """Every stamp in the order of the file's signatures; empty where it has none or cannot be read."""
    if document.startswith(b"PK\x03\x04"):
        return _in_package(document)
    if document.startswith(b"\x30"):
        return [FoundStamp("", document)] if _is_stamp(document) else []
    return _in_fields(document) or _in_ranges(document)


def _in_package(document: bytes) -> list[FoundStamp]:
    try:
        ofd = read_ofd(document)
        values = [(signature.id, ofd.value(signature)) for signature in ofd.signatures]
    except (OfdRefused, OfdUnreadable) as error:
        raise NoStamp(error.detail) from error
    return [FoundStamp(name, value) for name, value in values if _is_stamp(value)]


def _in_fields(document: bytes) -> list[FoundStamp]:
    try:
        fields = signature_fields(open_pdf(document))
        held = [(field.name, entry(field.dictionary, "/Contents").original_bytes) for field in fields]
    except UNREADABLE:
        return []
    return [FoundStamp(name, stamp) for name, contents in held if (stamp := _stamp_in(contents))]


def _in_ranges(document: bytes) -> list[FoundStamp]:
    """What a file holds that is no PDF that can be read."""
    return [FoundStamp("", stamp) for contents in _gaps(document) if (stamp := _stamp_in(contents))]


def _gaps(document: bytes) -> Iterator[bytes]:
    for found in _BYTE_RANGE.finditer(document):
        try:
            yield bytes.fromhex(document[int(found[1]) + 1 : int(found[2]) - 1].decode("ascii"))
        except ValueError:
            continue


def _stamp_in(contents: bytes) -> bytes | None:
    try:
        message = first_value(contents)
        return message if _is_stamp(message) else _attribute(message)
    except UNREADABLE:
        return None


def _attribute(message: bytes) -> bytes | None:
    (signer_info,) = cms.ContentInfo.load(message)["content"]["signer_infos"]
    for attribute in signer_info["signed_attrs"]:
        if attribute["type"].dotted == SES_ATTRIBUTE:
            return der.read(attribute["values"][0].dump()).value
    return None


def _is_stamp(value: bytes) -> bool:
    """SEQUENCE { toSign SEQUENCE { version, eseal … } … }: a seal begins with SEQUENCE { header SEQUENCE … }, a CMS with an OID."""
    try:
        first = der.members(der.members(der.outermost(value))[0])
    except (der.NotDer, IndexError):
        return False
    return len(first) > 1 and (first[0].tag, first[1].tag) == (der.INTEGER, der.SEQUENCE)


def first_value(octets: bytes) -> bytes:
    """The DER value at the start of a padded ``/Contents``. Raises IndexError on fewer than two octets."""
    count = octets[1] & 0x7F if octets[1] & 0x80 else 0
    length = int.from_bytes(octets[2 : 2 + count]) if count else octets[1]
    return octets[: 2 + count + length]
