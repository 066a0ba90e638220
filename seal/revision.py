"""The one revision that stamping appends to a PDF, assembled octet by octet (ISO 32000-1 §7.5.6, §12.8).

The base file stays as it is; the revision adds the seal's appearance, a signature field, the certification (DocMDP P1),
the validation material (DSS) and the signature dictionary with a hole for the CMS. Only the page and the catalogue are
written again. Nothing depends on the clock, on chance or on the state of a library: equal input, equal octets.
"""
# mypy: allow-untyped-calls

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import find_inherited_value_in_tree

from keys.base.errors import FujieError
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
        base = _Base(document)
        return _Assembly(base, stampee).assemble()
    except (PdfError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise NotStampable(type(error).__name__) from error


class _Base:
    """The unsealed file as far as the revision needs to know it."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.reader = reader = PdfFileReader(io.BytesIO(document))
        self.root = reader.root_ref
        if reader.encrypted or "/AcroForm" in reader.root or "/Perms" in reader.root:
            raise NotStampable("encrypted, a form or already certified")
        if reader.last_startxref is None:
            raise NotStampable("no cross-reference table")
        self.last_startxref = reader.last_startxref

    def page(self, index: int) -> tuple[generic.Reference, generic.DictionaryObject]:
        page = self.reader.find_page_for_modification(index)[0]
        return page.reference, page.get_object()


class _Assembly:
    """Numbers objects, remembers their offsets, and writes the cross-reference section."""

    def __init__(self, base: _Base, stampee: Stampee) -> None:
        self.base = base
        self.stampee = stampee
        self.out = bytearray(base.document)
        if not self.out.endswith((b"\n", b"\r")):
            self.out += b"\n"
        self.next_number = int(base.reader.trailer["/Size"])
        self.offsets: dict[tuple[int, int], int] = {}

    def assemble(self) -> Hollow:
        appearance = self._add(_form(self.stampee.appearance))
        field, signature = self._number(), self._number()
        page, page_dictionary = self.base.page(self.stampee.placement.page)
        security_store = self._add(self._security_store())
        self._write(page.idnum, _with_annotation(page_dictionary, field), page.generation)
        self._write(field, self._field(page, page_dictionary, appearance, signature))
        self._write(self.base.root.idnum, self._catalogue(field, signature, security_store), self.base.root.generation)
        hole = blank(self.stampee.signing_time, self.stampee.organisation, self.stampee.reserved)
        self._write(signature, hole.body)
        at = len(self.out) - len(b"\nendobj\n") - len(hole.body)
        start, end = at + hole.start, at + hole.end
        self._cross_references()
        written = byte_range(start, end, len(self.out))
        self.out[at + hole.range_at : at + hole.range_at + len(written)] = written
        return Hollow(self.out, start, end)

    def _number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def _add(self, body: bytes) -> int:
        number = self._number()
        self._write(number, body)
        return number

    def _write(self, number: int, body: bytes, generation: int = 0) -> None:
        self.offsets[number, generation] = len(self.out)
        self.out += b"%d %d obj\n%b\nendobj\n" % (number, generation, body)

    def _security_store(self) -> bytes:
        certificates = [self._add(_stream(der)) for der in self.stampee.certificates]
        crls = [self._add(_stream(der)) for der in self.stampee.crls]
        return b"<</Type/DSS/Certs[%b]/CRLs[%b]>>" % (_references(certificates), _references(crls))

    def _field(self, page: generic.Reference, dictionary: generic.DictionaryObject, appearance: int, signature: int) -> bytes:
        left, bottom, right, top = _rectangle(dictionary, self.stampee)
        # Flags: Print + Locked (ISO 19005-3 §6.3.2 wants Print set and Hidden, Invisible, NoView clear).
        return b"<</Type/Annot/Subtype/Widget/FT/Sig/T(%b)/TU%b/F 132/P %d %d R/Rect[%.3f %.3f %.3f %.3f]/AP<</N %d 0 R>>/V %d 0 R>>" % (
            FIELD.encode(),
            _text(self.stampee.title),
            page.idnum,
            page.generation,
            left,
            bottom,
            right,
            top,
            appearance,
            signature,
        )

    def _catalogue(self, field: int, signature: int, security_store: int) -> bytes:
        root = self.base.reader.root
        additions = b"/AcroForm<</Fields[%d 0 R]/SigFlags 3>>/Perms<</DocMDP %d 0 R>>/DSS %d 0 R" % (field, signature, security_store)
        # EN 319 142-1 §5.4.1: the DSS is announced as an extension of PDF 1.7.
        present = root["/Extensions"] if "/Extensions" in root else generic.DictionaryObject()
        extensions = _extended(present, b"/ESIC<</BaseVersion/1.7/ExtensionLevel 1>>", {"/ESIC"})
        return _extended(root, additions + b"/Extensions" + extensions, {"/Extensions", "/DSS"})

    def _cross_references(self) -> None:
        at = len(self.out)
        if self.base.reader.has_xref_stream:
            self._cross_reference_stream(at)
        else:
            self._cross_reference_table()
        self.out += b"startxref\n%d\n%%%%EOF\n" % at

    def _cross_reference_table(self) -> None:
        self.out += b"xref\n"
        for first, run in _runs(self.offsets):
            self.out += b"%d %d\n" % (first, len(run))
            for offset, generation in run:
                self.out += b"%010d %05d n\r\n" % (offset, generation)
        self.out += b"trailer\n<<%b>>\n" % self._trailer(self.next_number)

    def _cross_reference_stream(self, at: int) -> None:
        number = self._number()
        self.offsets[number, 0] = at
        runs = _runs(self.offsets)
        index = b" ".join(b"%d %d" % (first, len(run)) for first, run in runs)
        rows = b"".join(
            b"\x01" + offset.to_bytes(4, "big") + generation.to_bytes(2, "big") for _, run in runs for offset, generation in run
        )
        head = b"/Type/XRef/W[1 4 2]/Index[%b]%b" % (index, self._trailer(self.next_number))
        self.out += b"%d 0 obj\n%b\nendobj\n" % (number, _stream(rows, head))

    def _trailer(self, size: int) -> bytes:
        trailer = self.base.reader.trailer
        kept = b"".join(key.encode() + b" " + _serial(trailer.raw_get(key)) for key in ("/Root", "/Info") if key in trailer)
        return b"/Size %d%b/Prev %d%b" % (size, kept, self.base.last_startxref, self._identifier())

    def _identifier(self) -> bytes:
        """The first half stays; the second, which tells revisions apart, is derived from the base and the time (§14.4)."""
        if "/ID" not in self.base.reader.trailer:
            return b""
        first = self.base.reader.trailer["/ID"][0]
        second = _fingerprint(self.base.document, self.stampee.signing_time)
        return b"/ID[%b<%b>]" % (_serial(first), second.hex().encode())


def _fingerprint(document: bytes, instant: datetime) -> bytes:
    """Sixteen octets that differ between revisions; an identifier, not a protection."""
    tail = zlib.crc32(document), zlib.adler32(document), len(document), int(instant.timestamp())
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in tail)


def _runs(offsets: dict[tuple[int, int], int]) -> list[tuple[int, list[tuple[int, int]]]]:
    """Cross-reference subsections: the first number of each and its (offset, generation) pairs."""
    runs: list[tuple[int, list[tuple[int, int]]]] = []
    for (number, generation), offset in sorted(offsets.items()):
        if not runs or runs[-1][0] + len(runs[-1][1]) != number:
            runs.append((number, []))
        runs[-1][1].append((offset, generation))
    return runs


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
    return _stream(_deflated(appearance.content), head)


@lru_cache(maxsize=256)
def _deflated(content: bytes) -> bytes:
    return zlib.compress(content, 9)


def _stream(data: bytes, head: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (head, len(data), data)


def _references(numbers: Sequence[int]) -> bytes:
    return b" ".join(b"%d 0 R" % number for number in numbers)


def _text(text: str) -> bytes:
    """A PDF text string, UTF-16BE with its mark, in hexadecimal (ISO 32000-1 §7.9.2.2)."""
    return b"<feff" + text.encode("utf-16-be").hex().encode() + b">"


def _serial(value: generic.PdfObject) -> bytes:
    out = io.BytesIO()
    value.write_to_stream(out, None)
    return out.getvalue()


def _extended(dictionary: generic.DictionaryObject, additions: bytes, replaced: set[str]) -> bytes:
    kept = generic.DictionaryObject({key: dictionary.raw_get(key) for key in dictionary if key not in replaced})
    return _serial(kept).rstrip().removesuffix(b">>") + additions + b">>"


def _with_annotation(page: generic.DictionaryObject, field: int) -> bytes:
    annotations = page["/Annots"] if "/Annots" in page else generic.ArrayObject()
    present = b" ".join(_serial(annotation) for annotation in annotations)
    return _extended(page, b"/Annots[%b %d 0 R]" % (present, field), {"/Annots"})
