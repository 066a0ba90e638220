"""Validation data behind the last signature of a foreign file, which no signature covers: harmless if it is that and nothing else.

pyHanko appends it behind the document time stamp by default, Acrobat as "verification information" (EN 319 142-1 §5.4). Certificates, lists
and answers are signed by whoever made them, so it matters little who appended them; whatever else could come in beside them must not.
Each revision is read from its first octet to its last, by the plain reader, and must be this:

1. objects one behind the other, each named by the cross-reference section where it stands; no streams of objects; a plain end
2. the catalogue, if it is written again, changed in ``/DSS`` and ``/Extensions`` only
3. the DSS and its VRI, which keep what they had; what they gained are certificates, lists and answers in streams of nothing else
4. the writer's date, alone, in the information dictionary and in the XMP metadata, where they were there before
5. nothing that has a number, or is referred to, in the signed revisions; what is written again is referred to by its owner alone
"""
# mypy: allow-untyped-calls

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import ParseError, canonicalize

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.plain_pdf import PlainPdf, Stream
from seal.plain_values import Ref
from seal.verification_path import read_certificate, read_crl, read_ocsp
from seal.verification_pdf import UNREADABLE, entry
from seal.verification_trailing_parts import (
    TRAILER,
    NotOnlyData,
    References,
    raw,
    require_same_catalogue,
    require_same_information,
    require_same_trailer,
    spelled,
)

_READERS = {"/Certs": read_certificate, "/CRLs": read_crl, "/OCSPs": read_ocsp}
_VRI_KEYS = {"/Cert": "/Certs", "/CRL": "/CRLs", "/OCSP": "/OCSPs"}
_VRI_NAME = re.compile(r"/[0-9A-F]{40}")
_MEMBERS = frozenset({"/Size", "/Root", "/Info", "/Prev", "/ID"})
_STREAM_MEMBERS = _MEMBERS | {"/Type", "/W", "/Index", "/Length", "/Filter", "/DecodeParms"}
_END = re.compile(rb"[\r\n]{0,3}startxref\r?\n(\d{1,10})\r?\n%%EOF(?:\r\n|\r|\n)?")
_WHITE = re.compile(rb"[\t\n\r ]*")
_XMP_DATE = re.compile(rb'xmp:ModifyDate="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"')
_HEAD_OF_FREE = (0, 65535, False)
_MAX_REVISIONS, _MAX_STREAM = 8, 32 << 20


def require_data_only(data: bytes, reader: PdfFileReader, signed: int, end: int) -> None:
    """``signed``: the revision that the last signature closes, ``end``: where it ends. Raises :class:`NotOnlyData`."""
    try:
        pdf = PlainPdf(data, stop=end)
        if not 0 < len(pdf.sections) <= _MAX_REVISIONS or len(pdf.sections) != reader.xrefs.total_revisions - signed - 1:
            raise NotOnlyData("revisions that two readers count differently")
        if pdf.sections[-1].trailer.get("/Prev") != reader.xrefs.get_startxref_for_revision(signed):
            raise NotOnlyData("a revision of another file")
        references, start = References(reader, signed), end
        for step, section in enumerate(reversed(pdf.sections), start=1):
            start = _Revision(pdf.before(section), reader, signed + step, references).judge(start)
    except NotOnlyData:
        raise
    except (*UNREADABLE, ParseError) as error:
        raise NotOnlyData(str(error)[:120] or type(error).__name__) from error
    if start != len(data):
        raise NotOnlyData("something behind the end")


class _Revision:
    """One revision. ``pdf``: the file up to and including it, ``index``: its number, as pyHanko counts."""

    def __init__(self, pdf: PlainPdf, reader: PdfFileReader, index: int, references: References) -> None:
        self.pdf, self.section, self.references = pdf, pdf.sections[0], references
        self.now, self.then = (reader.get_historical_root(one) for one in (index, index - 1))
        self.reader, self.index = reader, index
        self.objects: dict[Ref, Any] = {}
        self.settled: set[Ref] = set()

    def judge(self, start: int) -> int:
        """Where the revision that begins at ``start`` ends."""
        self.objects = dict(self._objects(start))
        self._trailer()
        self._catalogue()
        self._store()
        self._information()
        self._metadata()
        if self.objects.keys() != self.settled:
            raise NotOnlyData("objects that are no validation data")
        self.references.known.update(ref.number for ref in self.objects)
        return self._end()

    def _objects(self, start: int) -> Iterator[tuple[Ref, Any]]:
        at, named, section, data = _skip(self.pdf.data, start), set[int](), self.section, self.pdf.data
        while at < section.at:
            ref, value, end = self.pdf.span(at)
            if section.entry(data, ref.number) != (at, ref.generation, True) or ref.number in named or ref.generation:
                raise NotOnlyData("an object that the revision does not name")
            named.add(ref.number)
            yield ref, value
            at = _skip(data, end)
        own = {self.pdf.span(section.at)[0].number} if section.rows is not None else set[int]()
        if at != section.at or named & own or own & self.references.known:
            raise NotOnlyData("octets that belong to no object")
        rest = section.numbers() - named - own
        if rest - {0} or (rest and section.entry(data, 0) != _HEAD_OF_FREE):
            raise NotOnlyData("names of no object")
        self.references.known.update(own)

    def _end(self) -> int:
        section = self.section
        end = _END.match(self.pdf.data, _skip(self.pdf.data, section.end))
        if end is None or int(end[1]) != section.at:
            raise NotOnlyData("an end that is not plain")
        return end.end()

    def _trailer(self) -> None:
        if self.section.trailer.keys() - (_MEMBERS if self.section.rows is None else _STREAM_MEMBERS):
            raise NotOnlyData("a trailer with more in it")
        require_same_trailer(*(self.reader.trailer.flatten(one) for one in (self.index, self.index - 1)))

    def _take(self, ref: Ref, owner: int | None = None) -> Any:
        """An object that this revision writes; written again, only where none but its owner refers to it."""
        if ref in self.settled:
            raise NotOnlyData("an object with two meanings")
        self.settled.add(ref)
        if ref.number in self.references.known and (owner is None or not self.references.only_from(ref.number, owner)):
            raise NotOnlyData("an object of the signed revisions was written again, or awaited there")
        return self.objects[ref]

    def _root(self) -> Ref:
        root = self.section.trailer["/Root"]
        if not isinstance(root, Ref):
            raise NotOnlyData("no catalogue")
        return root

    def _catalogue(self) -> None:
        if self._root() in self.objects:
            self.settled.add(self._root())
        require_same_catalogue(self.now, self.then)

    def _store(self) -> None:
        """The DSS by the plain reader; what it had, by pyHanko."""
        value = self._stated()
        if value is None or not any(value.get(key) for key in ("/VRI", *_READERS)):
            raise NotOnlyData("a revision without validation data")
        had = entry(self.then, "/DSS", generic.DictionaryObject())
        if value.keys() - {"/Type", "/VRI", *_READERS} or value.get("/Type", "/DSS") != "/DSS" or set(had) - value.keys():
            raise NotOnlyData("a DSS with other members")
        held = {kind: self._held(kind, value, had) for kind in _READERS}
        entries, older = self._member("/VRI", value, had), entry(had, "/VRI", {})
        if entries is None:
            return
        if set(older) - _dictionary(entries).keys():
            raise NotOnlyData("a VRI that lost something")
        for name, one in entries.items():
            if not isinstance(one, Ref) or one in self.objects:
                self._vri(name, self._take(one) if isinstance(one, Ref) else one, held)
            elif name not in older or spelled(older.raw_get(name)) != _reference(one):
                raise NotOnlyData("a VRI that is not of this revision")

    def _stated(self) -> Mapping[str, Any] | None:
        """The DSS, if this revision writes it; None if it is as it was."""
        value = raw(self.now, "/DSS")
        if isinstance(value, generic.IndirectObject) and (ref := Ref(value.idnum, value.generation)) in self.objects:
            return _dictionary(self._take(ref, self._root().number))
        if spelled(value) == spelled(raw(self.then, "/DSS")):
            return None
        return _dictionary(self.objects[self._root()]["/DSS"])

    def _member(self, key: str, value: Mapping[str, Any], had: Any) -> Any:
        """A member of the DSS, which may stand by itself; None if it is as it was."""
        found = value.get(key)
        if not isinstance(found, Ref) or found in self.objects:
            return self._take(found) if isinstance(found, Ref) else found
        if spelled(raw(had, key)) != _reference(found):
            raise NotOnlyData("a part of the DSS that is not of this revision")
        return None

    def _held(self, kind: str, value: Mapping[str, Any], had: Any) -> frozenset[Ref]:
        """What the DSS holds of a kind: what it held, and what of this revision can be read as such."""
        listed, older = self._member(kind, value, had), entry(had, kind, generic.ArrayObject())
        before = {Ref(one.idnum, one.generation) for one in (older.raw_get(index) for index in range(len(older)))}
        if listed is None:
            return frozenset(before)
        if not isinstance(listed, list) or len(set(listed)) != len(listed) or before - set(listed):
            raise NotOnlyData("a DSS that lost something")
        for ref in set(listed) - before:
            stream = self._take(ref) if ref in self.objects else None
            if not isinstance(stream, Stream) or stream.dictionary.keys() - {"/Length", "/Filter"}:
                raise NotOnlyData("a DSS with something else in it")
            if _READERS[kind](stream.data(_MAX_STREAM)) is None:
                raise NotOnlyData("a DSS with something in it that cannot be read")
        return frozenset(listed)

    def _vri(self, name: str, value: Any, held: Mapping[str, frozenset[Ref]]) -> None:
        one = _dictionary(value)
        if not _VRI_NAME.fullmatch(name) or one.keys() - {"/Type", *_VRI_KEYS} or one.get("/Type", "/VRI") != "/VRI":
            raise NotOnlyData("a VRI with other members")
        for key, kind in _VRI_KEYS.items():
            listed = one.get(key, [])
            if not isinstance(listed, list) or set(listed) - held[kind]:
                raise NotOnlyData("a VRI with something else in it")

    def _again(self, value: Any, owner: int) -> tuple[Any, Any, Any] | None:
        """An object that may be written again, if it is: as the plain reader reads it, as pyHanko does, and as it was."""
        if not isinstance(value, generic.IndirectObject) or (ref := Ref(value.idnum, value.generation)) not in self.objects:
            return None
        taken = self._take(ref, owner)
        now, then = (self.reader.get_object(value.reference, revision=one) for one in (self.index, self.index - 1))
        return taken, now, then

    def _information(self) -> None:
        if found := self._again(raw(self.reader.trailer.flatten(self.index), "/Info"), TRAILER):
            _dictionary(found[0])
            require_same_information(*found[1:])

    def _metadata(self) -> None:
        if (found := self._again(raw(self.now, "/Metadata"), self._root().number)) is None:
            return
        stream, now, then = found
        if not isinstance(stream, Stream) or stream.dictionary.keys() - {"/Type", "/Subtype", "/Length", "/Filter"}:
            raise NotOnlyData("metadata of another form")
        same_kind = all(entry(now, key) == entry(then, key) for key in ("/Type", "/Subtype"))
        if not same_kind or _undated(stream.data(_MAX_STREAM)) != _undated(bytes(then.data)):
            raise NotOnlyData("the document's metadata was changed")


def _skip(data: bytes, at: int) -> int:
    """Behind the white space between objects."""
    found = _WHITE.match(data, at)
    return found.end() if found else at


def _undated(xmp: bytes) -> str:
    """Without the date of the last change, and whatever XML says twice."""
    if b"<!" in xmp:
        raise NotOnlyData("metadata with declarations")
    return canonicalize(_XMP_DATE.sub(b"", xmp).decode(), with_comments=True)


def _reference(ref: Ref) -> bytes:
    return b"%d %d R" % (ref.number, ref.generation)


def _dictionary(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotOnlyData("no dictionary")
    return value
