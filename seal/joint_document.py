"""What a document is before it takes a seal: unsigned, open to a further seal, certified with or without prepared fields, or closed."""
# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from keys.pki.material import ValidationMaterial
from seal.joint_fields import Field, FieldName, fields_of, form_of
from seal.pdf_reading import Foreign
from seal.placing_errors import DocumentEncrypted, DocumentFinal, DocumentXfa
from seal.revision import NotStampable
from seal.verification_pdf import entry, security_store, signature_fields


class State(Enum):
    UNSIGNED = "unsigned"
    SIGNED = "signed"  # by others or by us, without certification: one more signature is nothing forbidden
    CERTIFIED = "certified"  # P 2 or P 3: only prepared fields may be filled


@dataclass(frozen=True, slots=True)
class Standing:
    """A document that takes a seal. ``fields``: those at the root of its form."""

    reading: Foreign
    state: State
    fields: Sequence[Field]

    @property
    def reader(self) -> PdfFileReader:
        return self.reading.reader

    def missing(self, validation: ValidationMaterial) -> tuple[list[bytes], list[bytes]]:
        """Certificates and CRLs that the document's DSS does not hold yet."""
        store = security_store(self.reader)
        return (
            [der for der in dict.fromkeys(validation.certificates) if der not in store.certificates],
            [der for der in dict.fromkeys(validation.crls) if der not in store.crls],
        )

    def next_ordinal(self) -> int:
        """The number of a further seal's field that no field has yet."""
        taken = [read.ordinal for field in self.fields if field.name and (read := FieldName.read(field.name))]
        return max(taken, default=0) + 1


def standing_of(document: bytes) -> Standing:
    """Raises :class:`NotStampable` and what :mod:`seal.placing_errors` names, or one of ``UNREADABLE``."""
    reading = Foreign(document)
    if reading.encrypted:
        raise DocumentEncrypted
    form = form_of(reading)
    if b"/XFA" in form or b"/NeedsRendering" in reading.root.entries:
        raise DocumentXfa
    fields = fields_of(reading)
    signatures = list(_signatures(reading.reader))
    if not signatures:
        if fields or b"/Perms" in reading.root.entries:
            raise NotStampable("an unsigned form")
        return Standing(reading, State.UNSIGNED, ())
    certified = [permission for signature in signatures if (permission := _permission(signature)) is not None]
    if any(permission < 2 for permission in certified) or any(_locks_everything(signature) for signature in signatures):
        raise DocumentFinal
    return Standing(reading, State.CERTIFIED if certified else State.SIGNED, fields)


def _signatures(reader: PdfFileReader) -> Iterator[generic.DictionaryObject]:
    return (field.dictionary for field in signature_fields(reader))


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
