"""The one revision that stamping appends to a PDF (ISO 32000-1 §12.8), written by :class:`seal.increment.Increment`.

The base file stays as it is; the revision adds the seal's appearance, a signature field, the certification (DocMDP P1),
the validation material (DSS) and the signature dictionary with a hole for the CMS. Only the page and the catalogue are
written again. Equal input, equal octets.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives import hashes

from keys.base.errors import FujieError
from seal.increment import Increment, references, stream, text
from seal.pdf_reading import UNREADABLE, Box, Foreign, Node, Page, Plain, Reading
from seal.pdf_syntax import NotPlain, dictionary, members, spelled
from seal.placement import Placement
from seal.signature_dictionary import Blank, blank, byte_range

POINTS_PER_MM = 72 / 25.4
FIELD = "Seal"
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(), "sm3": hashes.SM3()}


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
    """What goes into the revision beside the signature itself. ``title``: the seal's name, for assistive technology.

    ``permission``  of the certification, ISO 32000-1 table 254: 1 no change, 2 filling in and further signatures
    ``plain``       a PAdES signature alone, which must not be taken for one of our profile
    """

    appearance: Appearance
    placement: Placement
    title: str
    organisation: str
    certificates: Sequence[bytes]
    crls: Sequence[bytes]
    signing_time: datetime
    reserved: int
    permission: int = 1
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Hollow:
    """A complete file whose ``/Contents`` is still zeros: ``start`` is the offset of its ``<``, ``end`` is behind its ``>``."""

    octets: bytearray | bytes
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

    def digest(self, algorithm: str = "sha256") -> bytes:
        """Of the octets around the hole, with ``sha256``, ``sha384``, ``sha512`` or ``sm3``."""
        digest = hashes.Hash(_HASHES[algorithm])
        for part in self.covered():
            digest.update(part)
        return digest.finalize()

    def filled(self, der: bytes) -> bytes:
        """The finished file; the rest of the hole stays zero, as PDF readers expect."""
        text = der.hex().encode()
        if len(text) > self.end - self.start - 2:
            raise OverflowError(f"{len(der)} octets do not fit into the reserved {(self.end - self.start - 2) // 2}")
        head, tail = self.covered()
        return b"".join((head, b"<", text.ljust(self.end - self.start - 2, b"0"), b">", tail))


def append_revision(document: bytes, stampee: Stampee, digest: bytes | None = None) -> Hollow:
    """The document with the stamping revision; ``digest``: its SHA-256, where it is known. Raises :class:`NotStampable`."""
    try:
        try:
            return _append(document, Plain(document), stampee, digest)
        except NotPlain:
            return _append(document, Foreign(document), stampee, digest)
    except UNREADABLE as error:
        raise NotStampable(type(error).__name__) from error


def _append(document: bytes, reading: Reading, stampee: Stampee, digest: bytes | None) -> Hollow:
    if reading.encrypted or b"/AcroForm" in reading.root.entries or b"/Perms" in reading.root.entries:
        raise NotStampable("encrypted, a form or already certified")
    increment = Increment(document, reading, digest)
    appearance = increment.add(form(stampee.appearance))
    field, signature = increment.number(), increment.number()
    page = reading.page(stampee.placement.page)
    annotated = _with_annotation(reading, page.node, field)
    security_store = increment.add(_security_store(increment, stampee))
    increment.write(page.node.number, annotated, page.node.generation)
    increment.write(field, _field(page, _rectangle(page.box, stampee), stampee.title, appearance, signature))
    root = reading.root
    increment.write(root.number, _catalogue(reading, field, signature, security_store), root.generation)
    hole = blank(stampee.signing_time, stampee.organisation, stampee.reserved, stampee.permission, plain=stampee.plain)
    return finished(increment, increment.write(signature, hole.body), hole)


def finished(increment: Increment, at: int, hole: Blank) -> Hollow:
    """The increment, closed; the dictionary ``hole`` was written into it at ``at``."""
    out = increment.finish()
    written = byte_range(at + hole.start, at + hole.end, len(out))
    out[at + hole.range_at : at + hole.range_at + len(written)] = written
    return Hollow(out, at + hole.start, at + hole.end)


def _security_store(increment: Increment, stampee: Stampee) -> bytes:
    certificates, crls = increment.add_streams(tuple(stampee.certificates)), increment.add_streams(tuple(stampee.crls))
    return b"<</Type/DSS/Certs[%b]/CRLs[%b]>>" % (references(certificates), references(crls))


def _field(page: Page, rectangle: Box, title: str, appearance: int, signature: int) -> bytes:
    # Flags: Print + Locked (ISO 19005-3 §6.3.2 wants Print set and Hidden, Invisible, NoView clear).
    return b"<</Type/Annot/Subtype/Widget/FT/Sig/T(%b)/TU%b/F 132/P %d %d R/Rect[%.3f %.3f %.3f %.3f]/AP<</N %d 0 R>>/V %d 0 R>>" % (
        FIELD.encode(),
        text(title),
        page.node.number,
        page.node.generation,
        *rectangle,
        appearance,
        signature,
    )


def _catalogue(reading: Reading, field: int, signature: int, security_store: int) -> bytes:
    additions = b"/AcroForm<</Fields[%d 0 R]/SigFlags 3>>/Perms<</DocMDP %d 0 R>>/DSS %d 0 R" % (field, signature, security_store)
    extensions = announced(reading)
    return spelled(reading.root.entries, additions + b"/Extensions" + extensions, frozenset({b"/Extensions", b"/DSS"}))


def announced(reading: Reading) -> bytes:
    """/Extensions of the catalogue, the DSS among them: an extension of PDF 1.7 (EN 319 142-1 §5.4.1)."""
    present = reading.root.entries.get(b"/Extensions", b"<<>>")
    entries = dictionary(present)[0] if present.startswith(b"<<") else reading.node(present).entries
    return spelled(entries, b"/ESIC<</BaseVersion/1.7/ExtensionLevel 1>>", frozenset({b"/ESIC"}))


def _rectangle(box: Box, stampee: Stampee) -> Box:
    """The annotation's rectangle in points; the placement counts from the page's top left corner."""
    left, top = box[0], box[3]
    place, look = stampee.placement, stampee.appearance
    x = left + (place.x_mm - look.width_mm / 2) * POINTS_PER_MM
    y = top - (place.y_mm + look.height_mm / 2) * POINTS_PER_MM
    return x, y, x + look.width_mm * POINTS_PER_MM, y + look.height_mm * POINTS_PER_MM


@lru_cache(maxsize=256)
def form(appearance: Appearance) -> bytes:
    """The form XObject, compressed once."""
    width, height = appearance.width_mm * POINTS_PER_MM, appearance.height_mm * POINTS_PER_MM
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 %.3f %.3f]/Resources<<>>/Filter/FlateDecode" % (width, height)
    return stream(zlib.compress(appearance.content, 9), head)


def _with_annotation(reading: Reading, page: Node, field: int) -> bytes:
    present = page.entries.get(b"/Annots", b"[]")
    if not present.startswith(b"["):
        present = reading.array(present)
    annotations = b" ".join((*members(present), b"%d 0 R" % field))
    return spelled(page.entries, b"/Annots[%b]" % annotations, frozenset({b"/Annots"}))
