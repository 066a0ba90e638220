"""The form fields of seals: how they are named and spelled, prepared and found again.

One signature field a seal, whose widget is the seal's first picture: a signature field never refers to more than one annotation
(ISO 32000-1 §12.7.4.5). Every further picture is the widget of a read-only push button without any action, named after the signature
field. A field prepared for a later seal shows an empty form XObject that already says which part of that seal goes there.
docs/decisions/0074 tells what readers make of it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seal.increment import stream, text
from seal.joint_pictures import Picture
from seal.pdf_reading import Node, Reading
from seal.pdf_syntax import REFERENCE, Entries, dictionary, members, spelled
from seal.placing import MAX_TOTAL

FIRST = "Seal"

_NAME = re.compile(r"Seal(?P<ordinal>[1-9]\d{0,3})?(?:-(?P<code>\d{13,14}))?(?:_(?P<picture>[1-9]\d{0,3}))?")
_HEX = re.compile(rb"<((?:[0-9a-f]{2})*)>")
_FORM = b"/Type/XObject/Subtype/Form%b/Resources<<%b>>"
_BOX = re.compile(rb"/BBox\[(-?\d+\.\d{3}) (-?\d+\.\d{3}) (-?\d+\.\d{3}) (-?\d+\.\d{3})\]/Matrix\[[-01 ]{11,15}\]")
_PREPARED = re.compile(rb"\d{1,10} 0 obj\n<</Type/XObject/Subtype/Form(%b)/Resources<<" % _BOX.pattern)
_LOCK = b"/Lock<</Type/SigFieldLock/Action/Include/Fields[%b]>>"
_BUTTON = 65537  # ReadOnly + Pushbutton (ISO 32000-1 tables 221 and 226)


@dataclass(frozen=True, slots=True)
class FieldName:
    """``Seal2-99010000000002_3``: the second seal, to be that of this code, its third further picture."""

    ordinal: int
    code: str | None
    picture: int | None

    @classmethod
    def read(cls, name: str) -> "FieldName | None":
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        return cls(int(found["ordinal"] or 1), found["code"], int(found["picture"]) if found["picture"] else None)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form as it stands in the file. ``name``: its partial name; None where it is no plain ASCII."""

    node: Node
    name: str | None

    @property
    def is_signature(self) -> bool:
        return self.node.entries.get(b"/FT") == b"/Sig"

    @property
    def filled(self) -> bool:
        return b"/V" in self.node.entries


def names(ordinal: int, code: str | None, pictures: int) -> list[str]:
    """The signature field's name, then those of its further pictures."""
    name = f"{FIRST}{ordinal if ordinal > 1 else ''}{f'-{code}' if code else ''}"
    return [name, *(f"{name}_{index}" for index in range(1, pictures))]


def form_of(reading: Reading) -> Entries:
    """The entries of the document's AcroForm; empty where there is none. Raises ValueError or KeyError."""
    value = reading.root.entries.get(b"/AcroForm")
    if value is None:
        return {}
    return reading.node(value).entries if REFERENCE.fullmatch(value) else dictionary(value)[0]


def fields_of(reading: Reading) -> list[Field]:
    """The fields at the root of the form. Raises ValueError or KeyError."""
    value = form_of(reading).get(b"/Fields", b"[]")
    references = members(reading.array(value) if REFERENCE.fullmatch(value) else value)
    if len(references) > MAX_TOTAL:
        raise ValueError("a form of too many fields")
    return [field_from(reading.node(reference)) for reference in references]


def field_from(node: Node) -> Field:
    spelling = _HEX.fullmatch(node.entries.get(b"/T", b""))
    octets = bytes.fromhex(spelling[1].decode()) if spelling else b""
    if octets.startswith(b"\xfe\xff"):
        octets = octets[2:].decode("utf-16-be", "replace").encode("ascii", "replace")
    return Field(node, octets.decode() if octets.isascii() and octets else None)


def pictures_of_field(fields: Iterable[Field], name: str) -> list[Field]:
    """The signature field ``name`` and its further pictures, in their order; empty where there is none."""
    own = {field.name: field for field in fields if field.name is not None}
    found = [own[name]] if name in own else []
    while found and (following := own.get(f"{name}_{len(found)}")):
        found.append(following)
    return found


def empty_form(head: bytes) -> bytes:
    """A picture before there is ink in it."""
    return stream(b"", _FORM % (head, b""))


def inked_form(head: bytes, impression: int) -> bytes:
    """A picture: the part of the impression, an XObject, that ``head`` says; black words under it stay black, as under real ink."""
    return stream(b"/M gs /S Do", _FORM % (head, b"/ExtGState<</M<</BM/Multiply>>>>/XObject<</S %d 0 R>>" % impression))


def head_of(document: bytes, reading: Reading, field: Field) -> bytes:
    """BBox and Matrix of the form XObject that a field shows, as we spelled them. Raises ValueError or KeyError."""
    found = _PREPARED.match(document, reading.offset(appearance_of(field)))
    if found is None:
        raise ValueError("not a picture of our spelling")
    return found[1]


def extent(heads: Iterable[bytes]) -> tuple[float, float]:
    """Width and height, in points, of the seal that these parts make up. Raises ValueError."""
    boxes = [tuple(float(number) for number in found.groups()) for head in heads if (found := _BOX.fullmatch(head))]
    return max((box[2] for box in boxes), default=0.0), max((box[3] for box in boxes), default=0.0)


def widget(kind: bytes, name: str, title: str, picture: Picture) -> bytes:
    """The entries that stay. Flags: Print + Locked (ISO 19005-3 §6.3.2)."""
    return b"/Type/Annot/Subtype/Widget%b/T(%b)/TU%b/F 132/P %d %d R/Rect[%.3f %.3f %.3f %.3f]" % (
        kind,
        name.encode(),
        text(title),
        picture.page.number,
        picture.page.generation,
        *picture.rectangle,
    )


def signature_kind(pictures: Sequence[str]) -> bytes:
    """A signature field; ``pictures``: the fields nobody may change once it is signed."""
    return b"/FT/Sig" + (_LOCK % b"".join(b"(%b)" % name.encode() for name in pictures) if pictures else b"")


PICTURE_KIND = b"/FT/Btn/Ff %d" % _BUTTON


def shown(form: int, *, signature: int | None = None, picture: bool = False) -> bytes:
    """The entries that change: the appearance, and the value of a signed field.

    ISO 19005-3 §6.3.3: the normal appearance of a button is a dictionary of its states.
    """
    if picture:
        return b"/AP<</N<</On %d 0 R>>>>/AS/On" % form
    return b"/AP<</N %d 0 R>>%b" % (form, b"" if signature is None else b"/V %d 0 R" % signature)


_CHANGING = frozenset({b"/AP", b"/AS", b"/V"})


def changed(field: Field, form: int, signature: int | None) -> bytes:
    """The field with another appearance; ``signature``: the number of its value if it is the signature field."""
    return spelled(field.node.entries, shown(form, signature=signature, picture=not field.is_signature), _CHANGING)


def appearance_of(field: Field) -> bytes:
    """The reference of the form XObject that a field shows. Raises ValueError."""
    appearance = dictionary(field.node.entries.get(b"/AP", b""))[0].get(b"/N", b"")
    if appearance.startswith(b"<<"):
        appearance = dictionary(appearance)[0].get(b"/On", b"")
    if not REFERENCE.fullmatch(appearance):
        raise ValueError("a field without an appearance")
    return appearance
