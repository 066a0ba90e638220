"""What a verdict on a PDF of ours needs to know of its structure, read by the plain reader or by pyHanko's: one answer.

Everything is read from the newest revision. Raises one of :data:`seal.verification_pdf.UNREADABLE`.
"""
# mypy: allow-untyped-calls

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.plain_pdf import PlainPdf
from seal.plain_values import NotPlain, Ref, text_of
from seal.verification_pdf import (
    METADATA,
    SecurityStore,
    attached_metadata,
    security_store,
    signature_fields,
)

_MAX_FIELDS = 64
_MAX_LISTS = 64
_MAX_STREAM = 32 << 20
_MAX_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """A filled signature field: the object of its value, and where that begins if it stands by itself."""

    name: str
    value: Ref | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class ReadPdf:
    """``certification``: which signature the catalogue calls the certifying one. ``plain``: the plain reader, where it read the file."""

    fields: tuple[FieldPlace, ...]
    certification: Ref | None
    store: SecurityStore
    metadata: dict[str, Any] | None
    encrypted: bool = False
    plain: PlainPdf | None = None


def read_plain(data: bytes) -> ReadPdf:
    """By the plain reader. Raises :class:`NotPlain` also where a signature field is anything but plain."""
    try:
        pdf = PlainPdf(data)
        root = pdf.root
        return ReadPdf(
            tuple(_plain_fields(pdf, root)),
            _certification(pdf, root),
            plain_store(pdf, root),
            _plain_metadata(pdf, root),
            plain=pdf,
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotPlain(type(error).__name__) from error


def _plain_fields(pdf: PlainPdf, root: Any) -> Iterator[FieldPlace]:
    if "/AcroForm" not in root:
        return
    fields = pdf.array(pdf.dictionary(root["/AcroForm"]).get("/Fields", []))
    if len(fields) > _MAX_FIELDS or len(set(fields)) != len(fields):
        raise NotPlain("a form that is too wide, or names a field twice")
    for one in fields:
        field = pdf.dictionary(one)
        value = field.get("/V")
        if field.get("/FT") != "/Sig" or "/Kids" in field or "/Parent" in field or not isinstance(value, Ref):
            raise NotPlain("a form with other than filled signature fields")
        yield FieldPlace(text_of(field.get("/T")), value, pdf.offset(value))


def _certification(pdf: PlainPdf, root: Any) -> Ref | None:
    permissions = pdf.dictionary(root.get("/Perms", {}))
    found = permissions.get("/DocMDP")
    if permissions.keys() - {"/DocMDP"} or not isinstance(found, Ref | None):
        raise NotPlain("other permissions")
    return found


def plain_store(pdf: PlainPdf, root: Any) -> SecurityStore:
    """The document security store; empty where there is none."""
    store = pdf.dictionary(root.get("/DSS", {}))
    return SecurityStore(*(_streams(pdf, store.get(kind, [])) for kind in ("/Certs", "/CRLs", "/OCSPs")))


def _streams(pdf: PlainPdf, value: Any) -> tuple[bytes, ...]:
    references = pdf.array(value)
    if len(references) > _MAX_LISTS:
        raise NotPlain("too many entries in the document security store")
    return tuple(pdf.stream(reference).data(_MAX_STREAM) for reference in references)


def _plain_metadata(pdf: PlainPdf, root: Any) -> dict[str, Any] | None:
    for reference in pdf.array(root.get("/AF", [])):
        specification = pdf.dictionary(reference)
        if METADATA not in (text_of(specification.get("/UF")), text_of(specification.get("/F"))):
            continue
        content = pdf.stream(pdf.dictionary(specification["/EF"])["/F"]).data(_MAX_METADATA)
        try:
            value = orjson.loads(content)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None
    return None


def read_general(reader: PdfFileReader) -> ReadPdf:
    """By pyHanko's reader."""
    fields = []
    for field in signature_fields(reader):
        reference = field.reference
        value = Ref(reference.idnum, reference.generation) if reference is not None else None
        fields.append(FieldPlace(field.name, value, field.offset(reader)))
    certification = None
    if "/Perms" in reader.root and "/DocMDP" in reader.root["/Perms"]:
        named = reader.root["/Perms"].raw_get("/DocMDP").reference
        certification = Ref(named.idnum, named.generation)
    return ReadPdf(tuple(fields), certification, security_store(reader), attached_metadata(reader), bool(reader.encrypted))
