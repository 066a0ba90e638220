"""What stands in each revision of a document of ours with several seals, and whether our writer wrote it.

The first revision is whatever its seal covers; of it only the form must be ours: one signed field, the fields prepared for later seals,
and the pictures of both, each in our spelling and without any action. Every later revision is written again, octet by octet, from the
few values it may choose (impression, validation material, time, name of the organisation, room), and compared. What our writer would
not have written is not an update of ours, whatever a reader makes of it.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from seal.increment import Increment
from seal.joint_dictionary import Terms
from seal.joint_fields import Field, FieldName, extent, fields_of, head_of, pictures_of_field
from seal.joint_pictures import Size
from seal.joint_writing import Ink, Store, fill
from seal.levels import Store as Material
from seal.levels import append_timestamp
from seal.pdf_reading import Foreign, Node, Page, Reading, read
from seal.pdf_syntax import Entries, dictionary, members
from seal.placing import Certification
from seal.placing_geometry import POINTS_PER_MM
from seal.revision import Hollow
from seal.signature_dictionary import Place

MAX_SIDE_MM = 110
_HEAD = re.compile(rb"(\d{1,10}) (\d{1,5}) obj\n")
_STREAM = re.compile(rb"<<([^\n]{0,400}?)/Length (\d{1,9})>>stream\n")
_STREAM_END = b"\nendstream\nendobj\n"
_OBJECT_END = b"\nendobj\n"
_SIZE = re.compile(rb"/Size (\d{1,10})/Root")
_TAIL = 1 << 16
_LAST = re.compile(rb"startxref\n(\d{1,10})\n%%EOF\n\Z")
_COMMON = {b"/Type": b"/Annot", b"/Subtype": b"/Widget", b"/F": b"132"}
_SIGNATURE_KEYS = frozenset({*_COMMON, b"/FT", b"/T", b"/TU", b"/P", b"/Rect", b"/AP", b"/Lock", b"/V"})
_PICTURE_KEYS = frozenset({*_COMMON, b"/FT", b"/Ff", b"/T", b"/TU", b"/P", b"/Rect", b"/AP", b"/AS"})


class NotOurs(ValueError):
    """A revision that our writer did not write. The message is an English sentence without data of the file."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One seal or document time stamp of a file: its field's name, where its dictionary stands, and what that says (None: a time stamp)."""

    name: str
    place: Place
    terms: Terms | None

    @property
    def end(self) -> int:
        """Where its revision ends, by its own ByteRange."""
        return self.place.covered[1] + self.place.covered[2]


@dataclass(frozen=True, slots=True)
class Told:
    """Reading of a base that is known from the revisions before it: nothing of it is read twice."""

    size: int
    previous: int
    streams: bool
    trailer: Entries
    root: Node
    encrypted: bool = False

    def node(self, reference: bytes) -> Node:
        raise NotOurs("a revision that asks for more than ours do")

    def array(self, reference: bytes) -> bytes:
        raise NotOurs("a revision that asks for more than ours do")

    def stream(self, reference: bytes) -> bytes:
        raise NotOurs("a revision that asks for more than ours do")

    def offset(self, reference: bytes) -> int:
        raise NotOurs("a revision that asks for more than ours do")

    def page(self, index: int) -> Page:
        raise NotOurs("a revision that asks for more than ours do")


@dataclass(slots=True)
class History:
    """The document as it stood after the revisions read so far.

    ``certificates``, ``crls``  what each revision added to the DSS, DER
    """

    reading: Reading
    fields: list[Field]
    heads: dict[str, bytes]
    store: Store | None
    certified: Certification
    certificates: list[tuple[bytes, ...]] = field(default_factory=list)
    crls: list[tuple[bytes, ...]] = field(default_factory=list)


def begin(data: bytes, first: Sealed) -> History:
    """The revision of the first seal. Raises :class:`NotOurs` or one of ``UNREADABLE``."""
    reading = read(data[: first.end])
    fields = fields_of(reading)
    heads = dict(_checked(data, reading, fields))
    signed = [one for one in fields if one.filled]
    if [one.name for one in signed] != [first.name] or first.terms is None:
        raise NotOurs("the first seal is not the only one of its revision")
    store = Store.read(reading)
    if store is None or set(store.node.entries) != {b"/Type", b"/Certs", b"/CRLs"}:
        raise NotOurs("the validation material has another form")
    _require_certified(reading, signed[0], first.terms)
    _require_locked(fields, first)
    history = History(reading, fields, heads, store, first.terms.certification)
    history.certificates.append(tuple(reading.stream(one) for one in store.certificates))
    history.crls.append(tuple(reading.stream(one) for one in store.crls))
    return history


def _checked(data: bytes, reading: Reading, fields: Sequence[Field]) -> Iterator[tuple[str, bytes]]:
    """The name of every field with BBox and Matrix of what it shows."""
    seen: set[str] = set()
    for one in fields:
        read = FieldName.read(one.name or "")
        if one.name is None or read is None or one.name in seen:
            raise NotOurs("a field that is not one of a seal")
        seen.add(one.name)
        _require_widget(one, read)
        yield one.name, head_of(data, reading, one)


def _require_widget(one: Field, read: FieldName) -> None:
    entries = one.node.entries
    allowed = _SIGNATURE_KEYS if one.is_signature else _PICTURE_KEYS
    plain = all(entries.get(key) == value for key, value in _COMMON.items())
    kind = b"/Sig" if read.picture is None else b"/Btn"
    if not plain or not set(entries) <= allowed or entries.get(b"/FT") != kind:
        raise NotOurs("a field of another form than ours")
    left, bottom, right, top = (float(number) for number in members(entries[b"/Rect"]))
    if max(right - left, top - bottom) > MAX_SIDE_MM * POINTS_PER_MM or min(right - left, top - bottom) <= 0:
        raise NotOurs("a field larger than any seal")


def _require_certified(reading: Reading, signed: Field, terms: Terms) -> None:
    permissions = reading.root.entries.get(b"/Perms")
    expected = b"<</DocMDP %b>>" % signed.node.entries[b"/V"] if terms.certification else None
    if permissions != expected:
        raise NotOurs("the catalogue and the first seal disagree about the certification")


def _require_locked(fields: Sequence[Field], sealed: Sealed) -> None:
    """Every further picture of a seal is locked by its signature, and nothing else."""
    own = pictures_of_field(fields, sealed.name)
    if sealed.terms is None or [(one.name or "").encode() for one in own[1:]] != list(sealed.terms.locked):
        raise NotOurs("the lock does not name the seal's own pictures")


def advance(data: bytes, history: History, sealed: Sealed, start: int, digest: bytes) -> None:
    """One more revision, from ``start`` to the end of its seal; ``digest``: SHA-256 of the octets before it. Raises :class:`NotOurs`."""
    if sealed.terms is None:
        _advance_stamped(data, history, sealed, start)
    else:
        _advance_sealed(data, history, sealed, start, _scan(data, start, sealed.end), digest)


def _advance_sealed(data: bytes, history: History, sealed: Sealed, start: int, scanned: "_Scanned", digest: bytes) -> None:
    own = pictures_of_field(history.fields, sealed.name)
    terms = sealed.terms
    if not own or own[0].filled or terms is None or history.certified is Certification.P1:
        raise NotOurs("a seal in a field that was not prepared for it")
    heads = [history.heads[one.name or ""] for one in own]
    width, height = extent(heads)
    ink = Ink(scanned.impression, Size(width / POINTS_PER_MM, height / POINTS_PER_MM))
    added = scanned.added(history.store)
    hollow = fill(
        Increment(data[:start], _told(history.reading, data, start), digest),
        list(zip(own, heads, strict=True)),
        ink,
        history.store,
        added,
        replace(terms, certification=Certification.NONE, locked=tuple((one.name or "").encode() for one in own[1:])),
    )
    _require_equal(data, hollow, sealed, start)
    signature = b"%d 0 R" % scanned.signature
    history.fields = [_filled(one, signature) if one is own[0] else one for one in history.fields]
    history.reading = _told(history.reading, data, sealed.end)
    if history.store is not None and scanned.store is not None:
        history.store = _grown(history.store, scanned.store)
    history.certificates.append(tuple(added[0]))
    history.crls.append(tuple(added[1]))


def _advance_stamped(data: bytes, history: History, sealed: Sealed, start: int) -> None:
    """A document time stamp and the DSS before it, as :mod:`seal.levels` writes them."""
    digits = sealed.place.end - sealed.place.start - 2
    base = data[:start]
    before = Foreign(base)
    material = _material_of(Foreign(data[: sealed.end]))
    hollow = append_timestamp(base, material, digits // 2)
    _require_equal(data, hollow, sealed, start)
    had = _material_of(before)
    history.reading = after = Foreign(data[: sealed.end])
    history.fields = fields_of(after)
    history.store = Store.read(after)
    history.certificates.append(tuple(one for one in material.certificates if one not in had.certificates))
    history.crls.append(tuple(one for one in material.crls if one not in had.crls))


def _material_of(reading: Foreign) -> Material:
    value = reading.root.entries.get(b"/DSS", b"<<>>")
    entries = dictionary(value)[0] if value.startswith(b"<<") else reading.node(value).entries
    lists = [[reading.stream(one) for one in members(entries.get(key, b"[]"))] for key in (b"/Certs", b"/CRLs", b"/OCSPs")]
    return Material(*lists)


def _require_equal(data: bytes, hollow: Hollow, sealed: Sealed, start: int) -> None:
    place, written = sealed.place, hollow.octets
    same = (
        len(written) == sealed.end
        and (hollow.start, hollow.end) == (place.start, place.end)
        and written[start : hollow.start] == data[start : hollow.start]
        and written[hollow.end :] == data[hollow.end : sealed.end]
    )
    if not same:
        raise NotOurs("a revision that is not exactly a seal in a prepared field or a time stamp")


def _told(reading: Reading, data: bytes, end: int) -> Told:
    """What an increment must know of ``data[:end]``, whose last revision is one of ours."""
    last, sizes = _LAST.search(data, max(0, end - 64), end), _SIZE.findall(data, max(0, end - _TAIL), end)
    if last is None or not sizes:
        raise NotOurs("a revision without an end of ours")
    return Told(int(sizes[-1]), int(last[1]), reading.streams, reading.trailer, reading.root)


def _filled(one: Field, signature: bytes) -> Field:
    return replace(one, node=replace(one.node, entries={**one.node.entries, b"/V": signature}))


def _grown(store: Store, entries: Entries) -> Store:
    arrays = [tuple(members(entries.get(key, b"[]"))) for key in (b"/Certs", b"/CRLs")]
    return Store(replace(store.node, entries={**store.node.entries, b"/Certs": entries[b"/Certs"], b"/CRLs": entries[b"/CRLs"]}), *arrays)


@dataclass(slots=True)
class _Scanned:
    """The chosen values of a revision, read without trust: the comparison decides."""

    impression: bytes = b""
    streams: list[bytes] = field(default_factory=list)
    others: dict[int, bytes] = field(default_factory=dict)
    signature: int = 0
    store: Entries | None = None

    def added(self, store: Store | None) -> tuple[list[bytes], list[bytes]]:
        """Certificates and CRLs that the revision adds to the DSS."""
        body = self.others.get(store.node.number) if store else None
        if store is None or body is None:
            return [], []
        self.store = dictionary(body)[0]
        count = len(members(self.store.get(b"/Certs", b"[]"))) - len(store.certificates)
        return self.streams[:count], self.streams[count:]


def _scan(data: bytes, start: int, end: int) -> _Scanned:
    scanned, at = _Scanned(), start
    while (head := _HEAD.match(data, at, end)) is not None:
        number = int(head[1])
        if (stream := _STREAM.match(data, head.end(), end)) is not None:
            content = data[stream.end() : stream.end() + int(stream[2])]
            if not stream[1]:
                scanned.streams.append(content)
            elif not scanned.impression:
                scanned.impression = content
            at = stream.end() + int(stream[2]) + len(_STREAM_END)
            continue
        stop = data.find(_OBJECT_END, head.end(), end)
        if stop < 0:
            break
        body = data[head.end() : stop]
        if body.startswith(b"<</Type/Sig/"):
            scanned.signature = number
        elif body.startswith(b"<</Type/DSS"):
            scanned.others[number] = body
        at = stop + len(_OBJECT_END)
    return scanned


def digests(data: bytes, ends: Sequence[int]) -> list[bytes]:
    """SHA-256 of the octets before each of the ascending ``ends``, every octet hashed once."""
    found, running, at = [], hashlib.sha256(), 0
    for end in ends:
        running.update(memoryview(data)[at:end])
        found.append(running.digest())
        at = end
    return found
