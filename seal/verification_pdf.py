"""What a verdict needs to read from a PDF: its signature fields, its validation material, its attached metadata.

Reading is strict and bounded; any irregularity raises one of :data:`UNREADABLE`, which the caller turns into a verdict.
"""
# mypy: allow-untyped-calls

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.recognition import recognised_from, subordinates_of
from seal.trust import Trust
from seal.verification_path import RevocationList, read_certificate, read_crl, read_ocsp
from seal.verification_stamp import Evidence

UNREADABLE = (PdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, AssertionError, RecursionError)
METADATA = "metadata.json"

_MAX_FIELDS = 512
_MAX_WIDTH = 4096  # a document of ours has that many pictures of seals at most (seal.placing)
_MAX_DEPTH = 8
_MAX_LISTS = 64
_MAX_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A signature field that is filled in: its name, its signature dictionary or the reference to it, and the field itself."""

    name: str
    value: generic.PdfObject
    form: Any = None

    @property
    def reference(self) -> generic.Reference | None:
        return self.value.reference if isinstance(self.value, generic.IndirectObject) else None

    @property
    def dictionary(self) -> generic.DictionaryObject:
        """The parsed signature dictionary. Raises one of :data:`UNREADABLE`."""
        value = self.value.get_object()
        if not isinstance(value, generic.DictionaryObject):
            raise TypeError("a signature that is no dictionary")
        return value

    def offset(self, reader: PdfFileReader) -> int | None:
        """Where the object of the dictionary begins in the file, if it stands there by itself."""
        offset = reader.xrefs[self.reference] if self.reference is not None else None
        return offset if isinstance(offset, int) else None


@dataclass(frozen=True, slots=True)
class SecurityStore:
    """Certificates, CRLs and OCSP responses of the DSS (EN 319 142-1 §5.4.2), DER."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    responses: tuple[bytes, ...] = ()


def entry(dictionary: Any, key: str, default: Any = None) -> Any:
    """The value behind ``key``, references followed (pyHanko's own ``get`` does not follow them)."""
    try:
        return dictionary[key]
    except KeyError:
        return default


def open_pdf(data: bytes) -> PdfFileReader:
    """A strict reader. Raises one of :data:`UNREADABLE`."""
    return PdfFileReader(io.BytesIO(data), strict=True)


def signature_fields(reader: PdfFileReader) -> list[SignatureField]:
    """The filled signature fields in the order of the form. Raises one of :data:`UNREADABLE`."""
    form = entry(reader.root, "/AcroForm")
    if form is None:
        return []
    found: list[SignatureField] = []
    for field in _leaves(entry(form, "/Fields", ()), "", None, 0):
        found.append(field)
        if len(found) > _MAX_FIELDS:
            raise ValueError("too many signature fields")
    return found


def _leaves(fields: Any, prefix: str, inherited: str | None, depth: int) -> Iterator[SignatureField]:
    if depth > _MAX_DEPTH or len(fields) > _MAX_WIDTH:
        raise ValueError("the form is too deep or too wide")
    for field in fields:
        field = field.get_object()
        name = ".".join(part for part in (prefix, str(entry(field, "/T", ""))) if part)
        kind = entry(field, "/FT", inherited)
        if kind == "/Sig" and "/V" in field:
            yield SignatureField(name, field.raw_get("/V"), field)
        elif "/Kids" in field:
            yield from _leaves(field["/Kids"], name, kind, depth + 1)


def security_store(reader: PdfFileReader) -> SecurityStore:
    """The document security store; empty where there is none. Raises one of :data:`UNREADABLE`."""
    store = entry(reader.root, "/DSS", {})
    return SecurityStore(*(_streams(entry(store, kind, ())) for kind in ("/Certs", "/CRLs", "/OCSPs")))


def _streams(references: Any) -> tuple[bytes, ...]:
    if len(references) > _MAX_LISTS:
        raise ValueError("too many entries in the document security store")
    return tuple(reference.get_object().data for reference in references)


def attached_metadata(reader: PdfFileReader) -> dict[str, Any] | None:
    """The JSON object attached as ``metadata.json`` (AFRelationship Data), if there is one that can be read."""
    try:
        content = _attachment(reader, METADATA)
        value = orjson.loads(content) if content is not None and len(content) <= _MAX_METADATA else None
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def _attachment(reader: PdfFileReader, name: str) -> bytes | None:
    for reference in entry(reader.root, "/AF", ()):
        specification = reference.get_object()
        if name in (entry(specification, "/UF"), entry(specification, "/F")):
            data: bytes = specification["/EF"]["/F"].data
            return data
    return None


def evidence_from(trust: Trust, store: SecurityStore, at: Any, embedded: tuple[bytes, ...] = ()) -> Evidence:
    """Everything at hand for chains: anchors only from ``trust``; candidates and lists from the file as well."""
    given = [party for party in map(read_certificate, trust.certificates) if party]
    offered = [party for party in map(read_certificate, (*embedded, *store.certificates)) if party]
    covered = read_lists(store.crls)
    return Evidence(
        anchors=tuple(party for party in given if party.self_issued),
        candidates=(*offered, *(party for party in given if not party.self_issued), *subordinates_of(trust.authorities)),
        crls=(*read_lists(trust.crls), *covered),  # ours first: only so many are looked at, and the file may bring any number
        at=at,
        covered=covered,
        recognised=recognised_from(trust.authorities),
        responses=tuple(one for one in map(read_ocsp, trust.responses) if one),
        rules=trust.rules,
    )


def read_lists(crls: tuple[bytes, ...]) -> tuple[RevocationList, ...]:
    """Those that can be read."""
    return tuple(crl for crl in map(read_crl, crls) if crl)
