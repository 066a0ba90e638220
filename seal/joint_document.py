"""What a document is before it takes a seal: unsigned, open to a further seal, certified with or without prepared fields, or closed.

Seals of ours are recognised by their octets; pyHanko reads the signatures of others only.
"""
# mypy: allow-untyped-calls

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from keys.pki.material import ValidationMaterial
from seal.joint_dictionary import recognise
from seal.joint_fields import Field, FieldName, fields_of, form_of
from seal.joint_writing import Store
from seal.pdf_reading import Foreign, Reading
from seal.placing_errors import DocumentEncrypted, DocumentFinal, DocumentXfa
from seal.revision import NotStampable
from seal.signature_dictionary import recognise_timestamp
from seal.verification_pdf import entry, signature_fields


class State(Enum):
    UNSIGNED = "unsigned"
    SIGNED = "signed"  # by others or by us, without certification: one more signature is nothing forbidden
    CERTIFIED = "certified"  # P 2 or P 3: only prepared fields may be filled


@dataclass(frozen=True)
class Standing:
    """A document that takes a seal. ``fields``: those at the root of its form."""

    document: bytes
    reading: Reading
    state: State
    fields: Sequence[Field]

    @cached_property
    def reader(self) -> PdfFileReader:
        """pyHanko's reader, for what only it reads."""
        return self.reading.reader if isinstance(self.reading, Foreign) else PdfFileReader(io.BytesIO(self.document))

    @cached_property
    def store(self) -> Store | None:
        """The DSS, where it is an object of its own."""
        return Store.read(self.reading)

    def missing(self, validation: ValidationMaterial) -> tuple[list[bytes], list[bytes]]:
        """Certificates and CRLs that the DSS does not hold yet."""
        certificates, crls = ({self.reading.stream(one) for one in had} for had in (self.store.lists() if self.store else ((), ())))
        return (
            [der for der in dict.fromkeys(validation.certificates) if der not in certificates],
            [der for der in dict.fromkeys(validation.crls) if der not in crls],
        )

    def next_ordinal(self) -> int:
        """The number of a further seal's field that no field has yet."""
        taken = [read.ordinal for field in self.fields if field.name and (read := FieldName.read(field.name))]
        return max(taken, default=0) + 1


@dataclass(frozen=True, slots=True)
class _Said:
    """What a signature says about later changes: P of its certification, and whether its lock leaves no field open."""

    permission: int | None
    locks_everything: bool


def standing_of(document: bytes, reading: Reading) -> Standing:
    """Raises :class:`NotStampable` and what :mod:`seal.placing_errors` names, or one of ``UNREADABLE``."""
    if reading.encrypted:
        raise DocumentEncrypted
    form = form_of(reading)
    if b"/XFA" in form or b"/NeedsRendering" in reading.root.entries:
        raise DocumentXfa
    fields = fields_of(reading)
    said = _of_ours(document, reading, fields)
    if said is None:
        said = _of_others(PdfFileReader(io.BytesIO(document)))
    if not said:
        if fields or b"/Perms" in reading.root.entries:
            raise NotStampable("an unsigned form")
        return Standing(document, reading, State.UNSIGNED, ())
    certified = [one.permission for one in said if one.permission is not None]
    if any(permission < 2 for permission in certified) or any(one.locks_everything for one in said):
        raise DocumentFinal
    return Standing(document, reading, State.CERTIFIED if certified else State.SIGNED, fields)


def _of_ours(document: bytes, reading: Reading, fields: Sequence[Field]) -> list[_Said] | None:
    """What the seals say; None where the form holds something that is not of our spelling."""
    found: list[_Said] = []
    for field in fields:
        value = field.node.entries.get(b"/V")
        if b"/Kids" in field.node.entries or (value is not None and not field.is_signature):
            return None
        if value is None:
            continue
        offset = reading.offset(value)
        if recognise_timestamp(document, offset) is not None:
            continue
        spelled = recognise(document, offset)
        if spelled is None:
            return None
        found.append(_Said(int(spelled[1].certification) or None, False))
    return found


def _of_others(reader: PdfFileReader) -> list[_Said]:
    signatures = [field.dictionary for field in signature_fields(reader)]
    return [_Said(_permission(signature), _locks_everything(signature)) for signature in signatures]


def _transforms(signature: generic.DictionaryObject, method: str) -> Iterator[Any]:
    for reference in entry(signature, "/Reference", ()):
        reference = reference.get_object()
        if entry(reference, "/TransformMethod") == method:
            yield entry(reference, "/TransformParams", {})


def _permission(signature: generic.DictionaryObject) -> int | None:
    """P of a certification; 2 is the default (ISO 32000-1 table 254)."""
    return next((int(entry(parameters, "/P", 2)) for parameters in _transforms(signature, "/DocMDP")), None)


def _locks_everything(signature: generic.DictionaryObject) -> bool:
    """A field lock that leaves no other field open (ISO 32000-1 table 256; /P: ISO 32000-2)."""
    return any(
        entry(parameters, "/Action") in ("/All", "/Exclude") or int(entry(parameters, "/P", 2)) < 2
        for parameters in _transforms(signature, "/FieldMDP")
    )
