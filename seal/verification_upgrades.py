"""Revisions behind a sealed one: only what raising its level appends is let by, object by object (EN 319 142-1 §5.4, §5.5).

Anybody can have a document time stamp made over anything. So a revision behind the seal is read as a whole, from the first octet to
the last, and must be this and nothing else:

1. the objects stand one behind the other, each named by the revision's cross-reference section where it stands
2. the catalogue, changed only in its DSS, in one signature field more, and in the extension that announces the DSS
3. a DSS that keeps what it had; what it gained are certificates, lists and answers, each readable as such
4. one field without a place on any page, and the document time stamp in it, spelled as ours are
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seal.plain_pdf import PlainPdf, Section, Stream
from seal.plain_values import NotPlain, Ref, text_of
from seal.signature_dictionary import Place, recognise_timestamp
from seal.verification_path import read_certificate, read_crl, read_ocsp

_READERS = {"/Certs": read_certificate, "/CRLs": read_crl, "/OCSPs": read_ocsp}
_FIELD = frozenset({"/Type", "/Subtype", "/FT", "/T", "/F", "/Rect", "/V"})
_WRITTEN_AGAIN = frozenset({"/AcroForm", "/DSS", "/Extensions"})
_TRAILER = frozenset({"/Size", "/Root", "/Info", "/Prev", "/ID"})
_STREAM_TRAILER = _TRAILER | {"/Type", "/W", "/Index", "/Length", "/Filter"}
_END = re.compile(rb"\nstartxref\n(\d{1,10})\n%%EOF\n")
_MAX_UPGRADES = 64


class NotAnUpgrade(ValueError):
    """What stands behind the sealed revision is not what an upgrade appends; the message says what."""


@dataclass(frozen=True, slots=True)
class DocumentStamp:
    """A document time stamp: its field's name, its place, and where the revision it ends ends."""

    name: str
    place: Place
    end: int


@dataclass(frozen=True, slots=True)
class Upgraded:
    """``sealed``: the file as it was up to the sealed revision. ``stamps``: the oldest first."""

    sealed: PlainPdf
    stamps: tuple[DocumentStamp, ...]


def read_upgrades(pdf: PlainPdf, sealed_end: int) -> Upgraded:
    """What was appended behind octet ``sealed_end``. Raises :class:`NotAnUpgrade`."""
    try:
        later = [section for section in pdf.sections if section.at >= sealed_end]
        sealed = pdf.before(pdf.sections[len(later)])
        if len(later) > _MAX_UPGRADES or _end_of(pdf, sealed.sections[0]) != sealed_end:
            raise NotAnUpgrade("the sealed revision does not end where its signature says")
        stamps, start = [], sealed_end
        for section in reversed(later):
            stamps.append(_Upgrade(pdf.before(section), start).stamp())
            start = stamps[-1].end
    except (NotPlain, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise NotAnUpgrade(str(error)[:120] or type(error).__name__) from error
    if start != len(pdf.data):
        raise NotAnUpgrade("something stands behind the last revision")
    return Upgraded(sealed, tuple(stamps))


def _end_of(pdf: PlainPdf, section: Section) -> int:
    """Where a revision ends that ends as ours do."""
    end = _END.match(pdf.data, section.end if section.rows is None else section.end - 1)
    if end is None or int(end[1]) != section.at:
        raise NotAnUpgrade("a revision that does not end as ours do")
    return end.end()


class _Upgrade:
    """One revision. ``pdf``: the file up to and including it; ``start``: where the one before it ends."""

    def __init__(self, pdf: PlainPdf, start: int) -> None:
        self.pdf, self.section = pdf, pdf.sections[0]
        self.older = pdf.before(pdf.sections[1])
        self.objects = dict(self._objects(start))
        self.settled: set[Ref] = set()

    def stamp(self) -> DocumentStamp:
        self._trailers()
        root, before = self._take(self._root()), self.older.root
        if {key: root[key] for key in root.keys() - _WRITTEN_AGAIN} != {key: before[key] for key in before.keys() - _WRITTEN_AGAIN}:
            raise NotAnUpgrade("the catalogue was changed")
        self._extensions(root.get("/Extensions", {}), before.get("/Extensions", {}))
        self._store(root, before)
        found = self._field(self._new_field(root, before))
        if self.objects.keys() != self.settled:
            raise NotAnUpgrade("objects that an upgrade does not need")
        return found

    def _objects(self, start: int) -> Iterator[tuple[Ref, Any]]:
        """Every octet belongs to an object that the section names where it stands, or to the section."""
        at, named = start, set()
        while at < self.section.at:
            ref, value, end = self.pdf.span(at)
            if self.section.entry(self.pdf.data, ref.number) != (at, ref.generation, True) or ref.number in named:
                raise NotAnUpgrade("an object that the revision does not name")
            named.add(ref.number)
            yield ref, value
            at = end
        rest = self.section.numbers() - named
        own = {self.pdf.span(self.section.at)[0].number} if self.section.rows is not None else set()
        if at != self.section.at or rest != own:
            raise NotAnUpgrade("octets or names that belong to no object")

    def _trailers(self) -> None:
        new, old = self.section.trailer, self.older.trailer
        if new.keys() - (_TRAILER if self.section.rows is None else _STREAM_TRAILER):
            raise NotAnUpgrade("a trailer with more in it")
        first = [trailer.get("/ID", [None])[0] for trailer in (new, old)]
        if any(new.get(key) != old.get(key) for key in ("/Root", "/Info")) or first[0] != first[1]:
            raise NotAnUpgrade("a trailer that names another document")
        size = old["/Size"]
        if new["/Size"] != max([size, *(number + 1 for number in self.section.numbers())]):
            raise NotAnUpgrade("a trailer that counts otherwise: readers would look for the objects by themselves")
        if any(ref.number < size for ref in self.objects if ref != self._root()):
            raise NotAnUpgrade("an object of the sealed revision was written again")

    def _root(self) -> Ref:
        root = self.section.trailer["/Root"]
        if not isinstance(root, Ref):
            raise NotAnUpgrade("no catalogue")
        return root

    def _take(self, ref: Any) -> Mapping[str, Any]:
        """A dictionary that this revision writes."""
        value = self.objects.get(ref)
        if not isinstance(value, dict) or ref in self.settled:
            raise NotAnUpgrade("a dictionary that the revision does not write")
        self.settled.add(ref)
        return value

    def _extensions(self, value: Any, before: Any) -> None:
        now, then = self.pdf.dictionary(value), self.older.dictionary(before)
        if any(now.get(key) != then[key] for key in then) or not now.keys() - then.keys() <= {"/ESIC"}:
            raise NotAnUpgrade("other extensions")

    def _store(self, root: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        store, older = self._take(root["/DSS"]), self.older.dictionary(before.get("/DSS", {}))
        if store.keys() - {"/Type", *_READERS} or store.get("/Type", "/DSS") != "/DSS" or older.keys() - store.keys() - {"/Type"}:
            raise NotAnUpgrade("a DSS with other members")
        for kind, read in _READERS.items():
            had, has = self.older.array(older.get(kind, [])), self.pdf.array(store.get(kind, []))
            if has[: len(had)] != had or len(set(has)) != len(has):
                raise NotAnUpgrade("a DSS that lost something")
            for ref in has[len(had) :]:
                value = self.objects.get(ref)
                if not isinstance(value, Stream) or value.dictionary.keys() != {"/Length"} or read(value.raw) is None:
                    raise NotAnUpgrade("a DSS with something else in it")
                self.settled.add(ref)

    def _new_field(self, root: Mapping[str, Any], before: Mapping[str, Any]) -> Any:
        form, older = self.pdf.dictionary(root["/AcroForm"]), self.older.dictionary(before["/AcroForm"])
        fields, had = self.pdf.array(form["/Fields"]), self.older.array(older["/Fields"])
        kept = form.keys() | {"/SigFlags"} == older.keys() | {"/SigFlags"} and all(
            form[key] == older[key] for key in older.keys() - {"/Fields", "/SigFlags"}
        )
        if not kept or form.get("/SigFlags") != 3 or fields[:-1] != had or fields[-1] in had:
            raise NotAnUpgrade("a form with other changes than one field more")
        return fields[-1]

    def _field(self, ref: Any) -> DocumentStamp:
        field = self._take(ref)
        plain = field.keys() == _FIELD and (field["/Subtype"], field["/FT"], field["/Rect"]) == ("/Widget", "/Sig", [0, 0, 0, 0])
        value = field.get("/V")
        if not plain or not isinstance(value, Ref) or field["/F"] not in (4, 132):
            raise NotAnUpgrade("a field of another form")
        self._take(value)
        place, end = recognise_timestamp(self.pdf.data, self.pdf.offset(value)), _end_of(self.pdf, self.section)
        if place is None or place.covered != (place.start, place.end, end - place.end):
            raise NotAnUpgrade("a document time stamp of another form, or over less than its revision")
        return DocumentStamp(text_of(field["/T"]), place, end)
