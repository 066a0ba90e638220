"""PAdES above B-B: signature time stamps, validation material, document time stamps (EN 319 142-1 §5.4, §6.3).

What is written, and why so:

* **B-T**: a signature time stamp in the room that was left for it beside the signature, in the same revision, before anyone got
  the file. The room is outside what is signed, so not one covered octet changes.
* **B-LT**: the same, with the chain and the lists of the time-stamping authority in the DSS of the signature's own revision. So
  nothing stands behind the last signature, and "the whole file is signed" stays true.
* **B-LTA**, and every renewal: one more revision with what the DSS lacked and then a document time stamp over everything; nothing
  after it. A file that left us as B-B gets its trusted time from this document time stamp (EN 319 142-1 table 1 takes either).

Plain functions over octets, for worker processes; who asks for the time stamp is :mod:`seal.levels_obtaining`. They judge nothing:
what they are given was stamped by us, or judged before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from keys.base.errors import FujieError
from seal.cms import Unstamped, token_of, with_token
from seal.extraction import first_value
from seal.increment import Increment, stream
from seal.joint_dictionary import recognise
from seal.pdf_reading import UNREADABLE, Foreign, Node, Plain, Reading
from seal.pdf_syntax import Entries, NotPlain, dictionary, members, spelled
from seal.revision import Hollow, announced, finished
from seal.signature_dictionary import Place, blank_timestamp, recognise_timestamp

LTA = "PAdES-B-LTA"
TOKEN_ROOM = 8192
"""Octets; ours need 2,000. A token that is larger is asked for again with room for it."""

T = TypeVar("T")
_KINDS = (b"/Certs", b"/CRLs", b"/OCSPs")
_PREFIX = "Timestamp"
# It has no place on a page, so no page is written again for its sake; readers want the rectangle all the same (§12.7.4.5).
_FIELD = b"<</Type/Annot/Subtype/Widget/FT/Sig/T%b/F 132/Rect[0 0 0 0]/V %d 0 R>>"


class NotUpgradable(FujieError):
    """The file is none whose last signature is ours, or what it holds cannot be read."""

    code = "DOCUMENT_NOT_UPGRADABLE"
    status = 422
    public = (
        "该文件不能升级签名级别：其最后一个签名不是本系统所签，或者文件无法读取。",
        "The signature level of this file cannot be raised: its last signature is not one of ours, or the file cannot be read.",
    )


class TokenTooLarge(FujieError):
    """The time stamp does not fit into the room; ``needed`` octets would do. Ask again with more room."""

    code = "TIMESTAMP_TOO_LARGE"
    status = 502
    public = ("时间戳超出预留空间，请重试。", "The time stamp is larger than the room that was left for it. Please try again.")

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} octets")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Store:
    """Validation material, DER: certificates, CRLs, OCSP responses."""

    certificates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    responses: Sequence[bytes] = ()

    def lists(self) -> tuple[Sequence[bytes], ...]:
        return self.certificates, self.crls, self.responses


@dataclass(frozen=True, slots=True)
class Found:
    """What a sealed file holds. ``store``: its DSS.

    ``signatures``, ``timestamps``   where each stands, in the order of the form; document time stamps apart
    ``tokens``    every time stamp, DER: of the signatures, then of the document, oldest first
    """

    signatures: tuple[Place, ...]
    timestamps: tuple[Place, ...]
    tokens: tuple[bytes, ...]
    store: Store

    @property
    def last(self) -> Place:
        return max((*self.signatures, *self.timestamps), key=lambda one: one.start)

    @property
    def level(self) -> str:
        """By what is there, not by what it is worth."""
        if self.timestamps:
            return LTA
        return "PAdES-B-T" if self.tokens else "PAdES-B-B"


def look(pdf: bytes) -> Found:
    """What a file of ours holds. Raises :class:`NotUpgradable`."""
    return _reading(pdf, lambda reading: _found(pdf, reading))


def unstamped(pdf: bytes) -> Unstamped:
    """The signature that a time stamp is to be asked for, over its ``imprint``. Raises :class:`NotUpgradable`."""
    place = _reading(pdf, lambda reading: _last_signature(pdf, reading))
    try:
        return Unstamped.at(place.start, place.end, _message(place))
    except ValueError as error:
        raise NotUpgradable(str(error)) from error


def with_signature_timestamp(pdf: bytes, signature: Unstamped, token: bytes) -> bytes:
    """The file with a time stamp of the signature that stamping told of, or :func:`unstamped` found: room was left for it (B-T, B-LT).

    Raises :class:`NotUpgradable`, :class:`TokenTooLarge`.
    """
    try:
        message = with_token(signature.message, token)
    except ValueError as error:
        raise NotUpgradable(str(error)) from error
    return _filled(Hollow(pdf, signature.start, signature.end), message)


def append_timestamp(pdf: bytes, store: Store, room: int = TOKEN_ROOM) -> Hollow:
    """The file with one more revision: what its DSS lacked of ``store``, and a document time stamp whose token is due.

    The stamp is asked for :meth:`Hollow.digest` and goes in by :func:`stamped`. Raises :class:`NotUpgradable`.
    """
    return _reading(pdf, lambda reading: _append(pdf, reading, store, room))


def prepare(pdf: bytes, store: Store, room: int = TOKEN_ROOM, algorithm: str = "sha256") -> tuple[Hollow, bytes]:
    """As :func:`append_timestamp`, with the digest that the token must be over. Raises :class:`NotUpgradable`."""
    hollow = append_timestamp(pdf, store, room)
    return hollow, hollow.digest(algorithm)


def stamped(hollow: Hollow, token: bytes) -> bytes:
    """The finished B-LTA file. Raises :class:`TokenTooLarge`."""
    return _filled(hollow, token)


def _filled(hollow: Hollow, message: bytes) -> bytes:
    try:
        return hollow.filled(message)
    except OverflowError:
        raise TokenTooLarge(len(message)) from None


def _reading(pdf: bytes, work: Callable[[Reading], T]) -> T:
    try:
        try:
            return work(Plain(pdf))
        except NotPlain:
            return work(Foreign(pdf))
    except UNREADABLE as error:
        raise NotUpgradable(f"{type(error).__name__}: {error}"[:120]) from error


def _found(pdf: bytes, reading: Reading) -> Found:
    signatures, timestamps = _places(pdf, reading)
    tokens = [token for place in signatures if (token := token_of(_message(place))) is not None]
    return Found(signatures, timestamps, (*tokens, *map(_message, timestamps)), _store(reading))


def _places(pdf: bytes, reading: Reading) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Signatures in the order of the form, document time stamps from the oldest."""
    places = [place for field in _fields(reading) if (place := _place(pdf, reading, field)) is not None]
    signatures = tuple(place for place, is_timestamp in places if not is_timestamp)
    if not signatures:
        raise ValueError("no signature of ours")
    return signatures, tuple(sorted((place for place, is_timestamp in places if is_timestamp), key=lambda one: one.start))


def _fields(reading: Reading) -> list[Node]:
    return [reading.node(one) for one in members(_form(reading).get(b"/Fields", b"[]"))]


def _form(reading: Reading) -> Entries:
    return _entries(reading, reading.root.entries[b"/AcroForm"])


def _entries(reading: Reading, value: bytes) -> Entries:
    return dictionary(value)[0] if value.startswith(b"<<") else reading.node(value).entries


def _place(pdf: bytes, reading: Reading, field: Node) -> tuple[Place, bool] | None:
    """Where the value of a signature field stands, and whether it is a document time stamp; None: a field of another kind."""
    if field.entries.get(b"/FT") != b"/Sig" or b"/V" not in field.entries:
        return None
    offset = reading.offset(field.entries[b"/V"])
    timestamp = recognise_timestamp(pdf, offset)
    signature = None if timestamp else recognise(pdf, offset)
    place = timestamp or (signature[0] if signature else None)
    if place is None or place.covered[:2] != (place.start, place.end):
        raise ValueError("a signature that is not spelled as ours are")
    return place, timestamp is not None


def _message(place: Place) -> bytes:
    """The DER value in ``/Contents``, without the zeros behind it."""
    return first_value(place.octets)


def _last_signature(pdf: bytes, reading: Reading) -> Place:
    signatures, timestamps = _places(pdf, reading)
    if timestamps:
        raise ValueError("the last signature is a document time stamp")
    last = max(signatures, key=lambda one: one.start)
    _require_last(pdf, last)
    return last


def _require_last(pdf: bytes, last: Place) -> None:
    if last.end + last.covered[2] != len(pdf):
        raise ValueError("something stands behind the last signature")


def _store(reading: Reading) -> Store:
    if b"/DSS" not in reading.root.entries:
        return Store()
    entries = _entries(reading, reading.root.entries[b"/DSS"])
    return Store(*([reading.stream(one) for one in _listed(reading, entries, kind)] for kind in _KINDS))


def _listed(reading: Reading, store: Entries, kind: bytes) -> tuple[bytes, ...]:
    value = store.get(kind, b"[]")
    return members(value if value.startswith(b"[") else reading.array(value))


def _append(pdf: bytes, reading: Reading, store: Store, room: int) -> Hollow:
    signatures, timestamps = _places(pdf, reading)
    _require_last(pdf, max((*signatures, *timestamps), key=lambda one: one.start))
    increment = Increment(pdf, reading)
    security_store = increment.add(_grown(increment, reading, _store(reading), store))
    field, stamp = increment.number(), increment.number()
    names = {one.entries.get(b"/T") for one in _fields(reading)}
    increment.write(field, _FIELD % (_free(names), stamp))
    additions = b"/AcroForm%b/DSS %d 0 R/Extensions%b" % (_with_field(_form(reading), field), security_store, announced(reading))
    root = reading.root
    increment.write(root.number, spelled(root.entries, additions, frozenset({b"/AcroForm", b"/DSS", b"/Extensions"})), root.generation)
    hole = blank_timestamp(room)
    return finished(increment, increment.write(stamp, hole.body), hole)


def _grown(increment: Increment, reading: Reading, present: Store, store: Store) -> bytes:
    """The DSS with what it lacked. What it had is referred to, not written again; VRI says nothing that a verifier needs (0072)."""
    entries = _entries(reading, reading.root.entries.get(b"/DSS", b"<<>>"))
    out = bytearray(b"<</Type/DSS")
    for kind, had, given in zip(_KINDS, present.lists(), store.lists(), strict=True):
        new = [increment.add(stream(one)) for one in dict.fromkeys(given) if one not in had]
        listed = [*_listed(increment.reading, entries, kind), *(b"%d 0 R" % number for number in new)]
        if listed:
            out += b"%b[%b]" % (kind, b" ".join(listed))
    return bytes(out + b">>")


def _with_field(form: Entries, field: int) -> bytes:
    fields = b" ".join((*members(form.get(b"/Fields", b"[]")), b"%d 0 R" % field))
    return spelled(form, b"/Fields[%b]/SigFlags 3" % fields, frozenset({b"/Fields", b"/SigFlags"}))


def _free(names: set[bytes | None]) -> bytes:
    return next(name for name in _names() if name not in names)


def _names() -> Iterator[bytes]:
    """``Timestamp1`` …, as canonical strings."""
    number = 0
    while True:
        number += 1
        yield b"<" + f"{_PREFIX}{number}".encode().hex().encode() + b">"
