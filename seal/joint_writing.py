"""The revisions of documents with several seals or pictures, written by :class:`seal.increment.Increment`.

Three kinds, each with one order of its objects:

``open_with``    the first seal: its pictures, the fields prepared for later seals, DSS, pages, catalogue, signature
``fill``         a later seal in its prepared field: its pictures, what the DSS lacks, the fields again, signature. No page and no catalogue
                 is written again, so that it is exactly "filling in a form" (DocMDP P 2)
``add_to``       a further seal on a document that others signed without certifying it: one picture in a field of its own

Equal input, equal octets: the judge of such documents writes ``fill`` again and compares (:mod:`seal.verification_joint`).
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from seal.increment import Increment, references, stream
from seal.joint_dictionary import Terms, blank
from seal.joint_fields import (
    PICTURE_KIND,
    Field,
    changed,
    empty_form,
    fields_of,
    form_of,
    inked_form,
    shown,
    signature_kind,
    widget,
)
from seal.joint_pictures import Picture, Size
from seal.pdf_reading import Node, Reading
from seal.pdf_syntax import REFERENCE, members, spelled
from seal.placing import Certification
from seal.revision import Hollow, announced, finished


@lru_cache(maxsize=256)
def _deflated(content: bytes) -> bytes:
    """A seal's impression is the same on every document: compressed once."""
    return zlib.compress(content, 9)


@dataclass(frozen=True, slots=True)
class Ink:
    """A seal's impression: deflated PDF operators, and the box they draw into."""

    deflated: bytes
    size: Size

    @classmethod
    def of(cls, content: bytes, size: Size) -> "Ink":
        return cls(_deflated(content), size)

    def body(self) -> bytes:
        # A group, so that overlapping strokes stay one red when the whole is laid over the page as ink is (joint_fields.inked_form).
        group = b"/Group<</S/Transparency/CS/DeviceRGB/I true>>"
        head = b"/Type/XObject/Subtype/Form/BBox[0 0 %.3f %.3f]%b/Resources<<>>/Filter/FlateDecode" % (*self.size.points, group)
        return stream(self.deflated, head)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the first seal declares of a later one: the names of its fields, what they say to people, its pictures."""

    names: Sequence[str]
    title: str
    pictures: Sequence[Picture]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.pictures):
            raise ValueError("a field for every picture")


@dataclass(frozen=True, slots=True)
class Store:
    """The DSS as it stands: where, and its arrays, members as references."""

    node: Node
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]

    @classmethod
    def read(cls, reading: Reading) -> "Store | None":
        """The document's DSS where it is an object of its own. Raises ValueError or KeyError."""
        value = reading.root.entries.get(b"/DSS")
        if value is None or not REFERENCE.fullmatch(value):
            return None
        node = reading.node(value)
        arrays = [node.entries.get(key, b"[]") for key in (b"/Certs", b"/CRLs")]
        certificates, crls = (tuple(members(reading.array(one) if REFERENCE.fullmatch(one) else one)) for one in arrays)
        return cls(node, certificates, crls)

    def lists(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        return self.certificates, self.crls

    def with_more(self, certificates: Iterable[int], crls: Iterable[int]) -> bytes:
        """The same dictionary with more in it."""
        more = [(*self.certificates, *_referred(certificates)), (*self.crls, *_referred(crls))]
        arrays = b"/Certs[%b]/CRLs[%b]" % (b" ".join(more[0]), b" ".join(more[1]))
        return spelled(self.node.entries, arrays, frozenset({b"/Certs", b"/CRLs"}))


def _referred(numbers: Iterable[int]) -> list[bytes]:
    return [b"%d 0 R" % number for number in numbers]


def open_with(
    increment: Increment,
    seal: Prepared,
    later: Sequence[Prepared],
    ink: Ink,
    material: tuple[Sequence[bytes], Sequence[bytes]],
    terms: Terms,
) -> Hollow:
    """The first seal; ``material``: certificates and CRLs, DER. Raises what the readers raise."""
    impression = increment.add(ink.body())
    forms = _Forms(increment)
    inked = [forms.inked(picture.head, impression) for picture in seal.pictures]
    empty = [[forms.empty(picture.head) for picture in one.pictures] for one in later]
    signature = increment.number()
    written = [_fields(increment, seal, inked, signature)]
    written += [_fields(increment, one, numbers, None) for one, numbers in zip(later, empty, strict=True)]
    store = increment.add(_new_store(increment, *material))
    everyone = (seal, *later)
    _annotate(
        increment,
        [(picture, number) for one, own in zip(everyone, written, strict=True) for picture, number in zip(one.pictures, own, strict=True)],
    )
    root = increment.reading.root
    body = _catalogue(increment.reading, [number for own in written for number in own], signature, store, terms.certification)
    increment.write(root.number, body, root.generation)
    return _signed(increment, signature, terms)


def fill(
    increment: Increment,
    fields: Sequence[tuple[Field, bytes]],
    ink: Ink,
    store: Store | None,
    material: tuple[Sequence[bytes], Sequence[bytes]],
    terms: Terms,
) -> Hollow:
    """A later seal.

    ``fields``    its signature field and its further pictures, each with the head of its form
    ``material``  certificates and CRLs that the DSS lacks
    """
    impression = increment.add(ink.body())
    forms = _Forms(increment)
    inked = [forms.inked(head, impression) for _, head in fields]
    if store is not None and any(material):
        certificates, crls = ([increment.add(stream(der)) for der in ders] for ders in material)
        increment.write(store.node.number, store.with_more(certificates, crls), store.node.generation)
    signature = increment.number()
    for index, ((field, _), form) in enumerate(zip(fields, inked, strict=True)):
        increment.write(field.node.number, changed(field, form, None if index else signature), field.node.generation)
    return _signed(increment, signature, terms)


def add_to(increment: Increment, seal: Prepared, ink: Ink, material: tuple[Sequence[bytes], Sequence[bytes]], terms: Terms) -> Hollow:
    """A further seal on a document signed by others: one picture. ``material``: what the DSS lacks. Raises what the readers raise."""
    impression = increment.add(ink.body())
    (form,) = (_Forms(increment).inked(picture.head, impression) for picture in seal.pictures)
    signature = increment.number()
    (field,) = _fields(increment, seal, [form], signature)
    store = _grown_store(increment, *material)
    _annotate(increment, [(seal.pictures[0], field)])
    _join_form(increment, field, store)
    return _signed(increment, signature, terms)


class _Forms:
    """The form XObjects of pictures; equal ones are written once."""

    def __init__(self, increment: Increment) -> None:
        self._increment = increment
        self._known: dict[bytes, int] = {}

    def inked(self, head: bytes, impression: int) -> int:
        return self._once(inked_form(head, impression))

    def empty(self, head: bytes) -> int:
        return self._once(empty_form(head))

    def _once(self, body: bytes) -> int:
        if body not in self._known:
            self._known[body] = self._increment.add(body)
        return self._known[body]


def _fields(increment: Increment, seal: Prepared, forms: Sequence[int], signature: int | None) -> list[int]:
    numbers = [increment.number() for _ in seal.pictures]
    for index, (picture, name, form) in enumerate(zip(seal.pictures, seal.names, forms, strict=True)):
        kind = PICTURE_KIND if index else signature_kind(seal.names[1:])
        look = shown(form, signature=None if index else signature, picture=bool(index))
        increment.write(numbers[index], b"<<%b%b>>" % (widget(kind, name, seal.title, picture), look))
    return numbers


def _new_store(increment: Increment, certificates: Sequence[bytes], crls: Sequence[bytes]) -> bytes:
    numbers = [[increment.add(stream(der)) for der in ders] for ders in (certificates, crls)]
    return b"<</Type/DSS/Certs[%b]/CRLs[%b]>>" % (references(numbers[0]), references(numbers[1]))


def _grown_store(increment: Increment, certificates: Sequence[bytes], crls: Sequence[bytes]) -> int | None:
    """Writes the DSS with more in it; its number where it is new to the catalogue."""
    store = Store.read(increment.reading)
    if store is None:
        return increment.add(_new_store(increment, certificates, crls))
    numbers = [[increment.add(stream(der)) for der in ders] for ders in (certificates, crls)]
    increment.write(store.node.number, store.with_more(*numbers), store.node.generation)
    return None


def _annotate(increment: Increment, annotations: Iterable[tuple[Picture, int]]) -> None:
    """Writes every page once with its new annotations behind those it has."""
    pages: dict[int, list[int]] = {}
    for picture, number in annotations:
        pages.setdefault(picture.page.index, []).append(number)
    for index, numbers in sorted(pages.items()):
        node = increment.reading.page(index).node
        present = node.entries.get(b"/Annots", b"[]")
        if REFERENCE.fullmatch(present):
            present = increment.reading.array(present)
        array = b"/Annots[%b]" % b" ".join((*members(present), *_referred(numbers)))
        increment.write(node.number, spelled(node.entries, array, frozenset({b"/Annots"})), node.generation)


def _catalogue(reading: Reading, fields: Sequence[int], signature: int, store: int, certification: Certification) -> bytes:
    form = b"/AcroForm<</Fields[%b]/SigFlags 3>>" % references(fields)
    certified = b"/Perms<</DocMDP %d 0 R>>" % signature if certification else b""
    additions = b"%b%b/DSS %d 0 R/Extensions%b" % (form, certified, store, announced(reading))
    return spelled(reading.root.entries, additions, frozenset({b"/AcroForm", b"/Extensions", b"/DSS"}))


def _join_form(increment: Increment, field: int, store: int | None) -> None:
    """The form with one more field, where it stands: in the catalogue or in an object of its own; the DSS into the catalogue."""
    reading = increment.reading
    root, value = reading.root, reading.root.entries.get(b"/AcroForm", b"<<>>")
    present = [b"%d %d R" % (one.node.number, one.node.generation) for one in fields_of(reading)]
    more = b"/Fields[%b]/SigFlags 3" % b" ".join((*present, b"%d 0 R" % field))
    form = spelled(form_of(reading), more, frozenset({b"/Fields", b"/SigFlags"}))
    additions, replaced = b"", set[bytes]()
    if REFERENCE.fullmatch(value):
        node = reading.node(value)
        increment.write(node.number, form, node.generation)
    else:
        additions, replaced = b"/AcroForm" + form, {b"/AcroForm"}
    if store is not None:
        additions += b"/DSS %d 0 R/Extensions%b" % (store, announced(reading))
        replaced |= {b"/DSS", b"/Extensions"}
    if replaced:
        increment.write(root.number, spelled(root.entries, additions, frozenset(replaced)), root.generation)


def _signed(increment: Increment, signature: int, terms: Terms) -> Hollow:
    hole = blank(terms)
    return finished(increment, increment.write(signature, hole.body), hole)
