"""Taking certificates out of the library: JSON lines or CSV, with their files as zip archives, in parts that can be gone on with.

1. admit    a purpose; whose certificates: a client's and staff's own organisation's. Numbers of people only with the scope for it and a
            legal basis (PIPL 13, 29)
2. log      the export's beginning, before a line leaves; for every certificate an access that its holder sees; every number that is
            opened, by certificate, before it is handed out
3. read     in the order of ids, a page at a time: memory stays flat, and the last id is where to go on
"""

import csv
import datetime as dt
import io
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert

from certs.access import STAFF
from certs.archiving import newest
from certs.holders import seal_context
from certs.library import Library, check_purpose
from certs.lifecycle import Standing
from certs.metadata import describe
from certs.models import AccessRow, CertificateRow, HolderRow
from certs.reads import holders_of, to_certificate, types_of
from certs.records import Certificate, Stage
from keys.base.actor import Actor, ActorKind
from keys.base.blobs import BlobDamaged
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, InvalidInput
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

NUMBERS = "certificates:numbers"
"""The scope of those who may have numbers of people in an export."""
PAGE = 200
PART = 500
COLUMNS = (
    "id", "identifier", "type", "type_name", "number", "issuer", "issuer_name", "issued_on", "valid_from", "valid_to", "status",
    "holders", "holder_codes", "holder_code_types", "fields", "file", "file_sha256",
)  # fmt: skip
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class MayNotExport(Forbidden):
    """Exports are for clients and staff of an organisation; numbers of people take a scope of their own."""

    code = "MAY_NOT_EXPORT"
    public = ("没有导出该内容的权限。", "You may not export this.")


class LegalBasisRequired(InvalidInput):
    """Numbers of people leave only on a legal basis."""

    code = "LEGAL_BASIS_REQUIRED"
    public = ("导出证件号码须填写法律依据（1–200 字）。", "Exporting numbers of people takes a legal basis (1–200 characters).")


class Format(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported: all that is given must hold. ``numbers``: with numbers of people, on ``legal_basis``; days: both included."""

    purpose: str
    organisation: str | None = None
    type_code: str | None = None
    issued_from: dt.date | None = None
    issued_to: dt.date | None = None
    format: Format = Format.JSON_LINES
    numbers: bool = False
    legal_basis: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One certificate of an export. ``file``: its name in the archive and its newest version's hash; None: no file is held."""

    id: uuid.UUID
    values: dict[str, Any]
    file: tuple[str, bytes] | None


async def begin(library: Library, actor: Actor, wanted: Wanted) -> Wanted:
    """Steps 1 and 2: what may be exported, logged. Raises ``PurposeRequired``, :class:`MayNotExport`, :class:`LegalBasisRequired`."""
    now = library.clock.now()
    try:
        admitted = _admitted(actor, wanted)
    except (MayNotExport, LegalBasisRequired) as error:
        await audit.record_alone(library.database, now, _event("begin", actor, wanted, audit.Outcome.REFUSED, error.code))
        raise
    await audit.record_alone(library.database, now, _event("begin", actor, admitted, audit.Outcome.INTENT))
    return admitted


async def lines(library: Library, actor: Actor, wanted: Wanted, after: uuid.UUID | None = None) -> AsyncIterator[list[Line]]:
    """Step 3, page by page; ``wanted`` is what :func:`begin` answered, ``after`` the last id that was received."""
    cursor = after or uuid.UUID(int=0)
    while True:
        async with library.database.begin() as session:
            page = await _page(session, library, actor, wanted, cursor)
        if not page:
            return
        yield page
        cursor = page[-1].id


async def end(library: Library, actor: Actor, wanted: Wanted, certificates: int) -> None:
    """The export's end, and how many certificates it took out."""
    event = _event("end", actor, wanted, audit.Outcome.DONE, certificates=certificates)
    await audit.record_alone(library.database, library.clock.now(), event)


def header(wanted: Wanted) -> bytes:
    """What stands before the first line."""
    return b"\xef\xbb\xbf" + _csv(COLUMNS) if wanted.format is Format.CSV else b""


def encode(line: Line, wanted: Wanted) -> bytes:
    """One line. In CSV several holders stand in one cell, by semicolons, and nothing is a spreadsheet's formula."""
    if wanted.format is Format.JSON_LINES:
        return orjson.dumps(line.values, option=orjson.OPT_APPEND_NEWLINE)
    flat = dict(line.values)
    for name, member in (("holders", "name"), ("holder_codes", "code"), ("holder_code_types", "code_type")):
        flat[name] = "；".join(one[member] for one in line.values["holders"])
    flat["fields"] = orjson.dumps(line.values["fields"]).decode()
    return _csv([flat[name] for name in COLUMNS])


async def file_of_line(library: Library, line: Line) -> bytes | None:
    """The file; None where none is held, or what is held is damaged: the line says its hash, and the rest goes on."""
    if line.file is None:
        return None
    try:
        return await library.blobs.get(line.file[1])
    except BlobDamaged:
        return None


def _admitted(actor: Actor, wanted: Wanted) -> Wanted:
    purpose = check_purpose(wanted.purpose)
    if wanted.numbers:
        if actor.kind is not ActorKind.SYSTEM and NUMBERS not in actor.scopes:
            raise MayNotExport("numbers")
        if not 0 < len(wanted.legal_basis.strip()) <= 200:
            raise LegalBasisRequired(errors=[{"field": "legal_basis", "message": "required"}])
    if actor.kind is ActorKind.SYSTEM:
        return replace(wanted, purpose=purpose)
    staff = actor.kind is ActorKind.CLIENT or bool(actor.roles & STAFF)
    if actor.organisation is None or not staff or wanted.organisation not in (None, actor.organisation):
        raise MayNotExport
    return replace(wanted, purpose=purpose, organisation=actor.organisation)


async def _page(session: AsyncSession, library: Library, actor: Actor, wanted: Wanted, cursor: uuid.UUID) -> list[Line]:
    rows = list(await session.scalars(_select(wanted, cursor)))
    ids = [row.id for row in rows]
    holders = await holders_of(session, ids)
    certificates = [to_certificate(row, holders) for row in rows]
    kinds = await types_of(session, certificates)
    numbers = await _open_numbers(session, library, actor, wanted, ids)
    if ids:
        await session.execute(insert(AccessRow), [_access(library, actor, wanted, one) for one in ids])
    today, found = civil_date(library.clock.now()), []
    for one in certificates:
        digest = await newest(session, one.document_hash) if one.document_hash else None
        metadata = describe(one, kinds.get((one.type_code, one.type_version)))
        found.append(_line(one, metadata, numbers.get(one.id, {}), digest, one.standing(today)))
    return found


def _select(wanted: Wanted, cursor: uuid.UUID) -> Select[CertificateRow]:
    row = CertificateRow
    statement = select(row).where(row.stage == Stage.ISSUED.value, row.id > cursor)
    if wanted.organisation is not None:
        statement = statement.where(row.issuer == wanted.organisation)
    if wanted.type_code is not None:
        statement = statement.where(row.type_code == wanted.type_code)
    if wanted.issued_from is not None:
        statement = statement.where(row.issued_on >= wanted.issued_from)
    if wanted.issued_to is not None:
        statement = statement.where(row.issued_on <= wanted.issued_to)
    return statement.order_by(row.id).limit(PAGE)


async def _open_numbers(
    session: AsyncSession, library: Library, actor: Actor, wanted: Wanted, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, dict[int, str]]:
    """Numbers by certificate and position, each certificate named in the audit: committed with this page, before it is handed out."""
    if not wanted.numbers or not ids:
        return {}
    rows = await session.scalars(select(HolderRow).where(HolderRow.certificate_id.in_(ids), HolderRow.code_sealed.is_not(None)))
    opened: dict[uuid.UUID, dict[int, str]] = {}
    for row in rows:
        number = library.personal.open(row.code_sealed or b"", seal_context(row.certificate_id, row.position))
        opened.setdefault(row.certificate_id, {})[row.position] = number
    if opened:
        listed: list[JSON] = [str(one) for one in opened]
        why: dict[str, JSON] = {"purpose": wanted.purpose, "legal_basis": wanted.legal_basis.strip(), "certificates": listed}
        await audit.record(session, library.clock.now(), Event("certs.export.reveal", "certificates", audit.Outcome.DONE, actor, why))
    return opened


def _line(certificate: Certificate, metadata: dict[str, Any], numbers: dict[int, str], digest: bytes | None, standing: Standing) -> Line:
    holders = [
        {"name": one.name, "code": numbers.get(place, one.code or one.code_masked), "code_type": one.code_type}
        for place, one in enumerate(certificate.holders)
    ]
    name = f"files/{certificate.id}.pdf"
    values: dict[str, Any] = {
        "id": str(certificate.id), "identifier": certificate.identifier, "type": certificate.type_code, "type_name": certificate.type_name,
        "number": certificate.number, "issuer": certificate.issuer, "issuer_name": certificate.issuer_name,
        "issued_on": _day(certificate.issued_on), "valid_from": _day(certificate.valid_from), "valid_to": _day(certificate.valid_to),
        "status": standing.value, "status_code": certificate.status.value, "holders": holders, "fields": dict(certificate.fields),
        "file": name if digest else "", "file_sha256": digest.hex() if digest else "",
        "metadata": {short: value for short, value in metadata.items() if not short.startswith("CZZT")},
    }  # fmt: skip
    return Line(certificate.id, values, (name, digest) if digest else None)


def _access(library: Library, actor: Actor, wanted: Wanted, certificate_id: uuid.UUID) -> dict[str, Any]:
    return {
        "id": new_id(), "certificate_id": certificate_id, "at": library.clock.now(), "kind": "export", "purpose": wanted.purpose,
        "actor_kind": actor.kind.value, "actor_id": actor.id, "organisation": actor.organisation,
    }  # fmt: skip


def _event(
    step: str, actor: Actor, wanted: Wanted, outcome: audit.Outcome, code: str | None = None, certificates: int | None = None
) -> Event:
    details: dict[str, JSON] = {
        "purpose": audit.digest(wanted.purpose), "organisation": wanted.organisation, "type": wanted.type_code,
        "from": _day(wanted.issued_from), "to": _day(wanted.issued_to), "numbers": wanted.numbers,
    }  # fmt: skip
    if certificates is not None:
        details["certificates"] = certificates
    return Event(f"certs.export.{step}", "certificates", outcome, actor, details, code)


def _csv(cells: Sequence[object]) -> bytes:
    """A row of RFC 4180. A cell that a spreadsheet would calculate begins with an apostrophe."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    buffer = io.StringIO()
    csv.writer(buffer).writerow([f"'{one}" if one.startswith(_FORMULAS) else one for one in texts])
    return buffer.getvalue().encode()


def _day(day: dt.date | None) -> str:
    return day.isoformat() if day else ""
