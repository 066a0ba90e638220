"""The one revision that stamping appends to a PDF (ISO 32000-1 §12.8), written by :class:`seal.increment.Increment`.

The base file stays as it is; the revision adds the seal's appearance, a signature field, the certification (DocMDP P1),
the validation material (DSS) and the signature dictionary with a hole for the CMS. Only the page and the catalogue are
written again. Equal input, equal octets.
"""
# mypy: allow-untyped-calls

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.rw_common import find_inherited_value_in_tree

from keys.base.errors import FujieError
from seal.increment import UNREADABLE, Increment, extended, references, serial, stream, text
from seal.placement import Placement
from seal.signature_dictionary import blank, byte_range

POINTS_PER_MM = 72 / 25.4
FIELD = "Seal"


class NotStampable(FujieError):
    """The document cannot take a first, certifying signature."""

    code = "DOCUMENT_NOT_STAMPABLE"
    status = 422
    public = (
        "该文件不能加盖电子印章：不是可用的 PDF，或者已有签名或已加密。",
        "This file cannot be stamped: it is not a usable PDF, or it is already signed or encrypted.",
    )


@dataclass(frozen=True, slots=True)
class Appearance:
    """A form XObject: PDF operators in points, origin lower left, bounding box [0 0 width height]."""

    content: bytes
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class Stampee:
    """What goes into the revision beside the signature itself. ``title``: the seal's name, for assistive technology."""

    appearance: Appearance
    placement: Placement
    title: str
    organisation: str
    certificates: Sequence[bytes]
    crls: Sequence[bytes]
    signing_time: datetime
    reserved: int


@dataclass(frozen=True, slots=True)
class Hollow:
    """A complete file whose ``/Contents`` is still zeros: ``start`` is the offset of its ``<``, ``end`` is behind its ``>``."""

    octets: bytearray
    start: int
    end: int

    @property
    def byte_range(self) -> str:
        """As GM/T 0031 puts it into propertyInfo: ``[a b c d]``."""
        return f"[0 {self.start} {self.end} {len(self.octets) - self.end}]"

    def covered(self) -> tuple[memoryview, memoryview]:
        """The octets that both signatures cover."""
        view = memoryview(self.octets)
        return view[: self.start], view[self.end :]

    def filled(self, der: bytes) -> bytes:
        """The finished file; the rest of the hole stays zero, as PDF readers expect."""
        text = der.hex().encode()
        if len(text) > self.end - self.start - 2:
            raise OverflowError(f"{len(der)} octets do not fit into the reserved {(self.end - self.start - 2) // 2}")
        head, tail = self.covered()
        return b"".join((head, b"<", text.ljust(self.end - self.start - 2, b"0"), b">", tail))


def append_revision(document: bytes, stampee: Stampee) -> Hollow:
    """The document with the stamping revision. Raises :class:`NotStampable`."""
    try:
        return _assemble(_first(Increment(document)), stampee)
    except UNREADABLE as error:
        raise NotStampable(type(error).__name__) from error


def _first(increment: Increment) -> Increment:
    reader = increment.reader
    if reader.encrypted or "/AcroForm" in reader.root or "/Perms" in reader.root:
        raise NotStampable("encrypted, a form or already certified")
    return increment


def _assemble(increment: Increment, stampee: Stampee) -> Hollow:
    appearance = increment.add(_form(stampee.appearance))
    field, signature = increment.number(), increment.number()
    page = increment.reader.find_page_for_modification(stampee.placement.page)[0].reference
    dictionary = page.get_object()
    security_store = increment.add(_security_store(increment, stampee))
    increment.write(page.idnum, _with_annotation(dictionary, field), page.generation)
    increment.write(field, _field(page, _rectangle(dictionary, stampee), stampee.title, appearance, signature))
    catalogue = _catalogue(increment.reader.root, field, signature, security_store)
    increment.write(increment.root.idnum, catalogue, increment.root.generation)
    hole = blank(stampee.signing_time, stampee.organisation, stampee.reserved)
    at = increment.write(signature, hole.body)
    out = increment.finish()
    written = byte_range(at + hole.start, at + hole.end, len(out))
    out[at + hole.range_at : at + hole.range_at + len(written)] = written
    return Hollow(out, at + hole.start, at + hole.end)


def _security_store(increment: Increment, stampee: Stampee) -> bytes:
    certificates = [increment.add(stream(der)) for der in stampee.certificates]
    crls = [increment.add(stream(der)) for der in stampee.crls]
    return b"<</Type/DSS/Certs[%b]/CRLs[%b]>>" % (references(certificates), references(crls))


def _field(page: generic.Reference, rectangle: tuple[float, float, float, float], title: str, appearance: int, signature: int) -> bytes:
    # Flags: Print + Locked (ISO 19005-3 §6.3.2 wants Print set and Hidden, Invisible, NoView clear).
    return b"<</Type/Annot/Subtype/Widget/FT/Sig/T(%b)/TU%b/F 132/P %d %d R/Rect[%.3f %.3f %.3f %.3f]/AP<</N %d 0 R>>/V %d 0 R>>" % (
        FIELD.encode(),
        text(title),
        page.idnum,
        page.generation,
        *rectangle,
        appearance,
        signature,
    )


def _catalogue(root: generic.DictionaryObject, field: int, signature: int, security_store: int) -> bytes:
    additions = b"/AcroForm<</Fields[%d 0 R]/SigFlags 3>>/Perms<</DocMDP %d 0 R>>/DSS %d 0 R" % (field, signature, security_store)
    # EN 319 142-1 §5.4.1: the DSS is announced as an extension of PDF 1.7.
    present = root["/Extensions"] if "/Extensions" in root else generic.DictionaryObject()
    extensions = extended(present, b"/ESIC<</BaseVersion/1.7/ExtensionLevel 1>>", {"/ESIC"})
    return extended(root, additions + b"/Extensions" + extensions, {"/Extensions", "/DSS"})


def _rectangle(page: generic.DictionaryObject, stampee: Stampee) -> tuple[float, float, float, float]:
    """The annotation's rectangle in points; the placement counts from the page's top left corner."""
    box = find_inherited_value_in_tree(page, "/MediaBox", "/Parent")
    left, top = float(box[0]), float(box[3])
    place, look = stampee.placement, stampee.appearance
    x = left + (place.x_mm - look.width_mm / 2) * POINTS_PER_MM
    y = top - (place.y_mm + look.height_mm / 2) * POINTS_PER_MM
    return x, y, x + look.width_mm * POINTS_PER_MM, y + look.height_mm * POINTS_PER_MM


def _form(appearance: Appearance) -> bytes:
    width, height = appearance.width_mm * POINTS_PER_MM, appearance.height_mm * POINTS_PER_MM
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 %.3f %.3f]/Resources<<>>/Filter/FlateDecode" % (width, height)
    return stream(_deflated(appearance.content), head)


@lru_cache(maxsize=256)
def _deflated(content: bytes) -> bytes:
    return zlib.compress(content, 9)


def _with_annotation(page: generic.DictionaryObject, field: int) -> bytes:
    annotations = page["/Annots"] if "/Annots" in page else generic.ArrayObject()
    present = b" ".join(serial(annotation) for annotation in annotations)
    return extended(page, b"/Annots[%b %d 0 R]" % (present, field), {"/Annots"})
