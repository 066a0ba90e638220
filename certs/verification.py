"""Is there such a certificate, and is it in force? What a verification code answers to anybody.

It speaks of the record only and never claims that a signature was checked: that takes the file (``seal.verification``).
A code that does not exist, is malformed, or belongs to a certificate not yet issued takes the same queries and says the same.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from certs.catalogue import CertificateType
from certs.copy_records import Copy, copy_by_code, original_of
from certs.grounds import MoveReason
from certs.library import ordered_fields
from certs.lifecycle import Standing
from certs.privacy import hide_numbers, mask_fields
from certs.reads import certificate_by_code, history, type_of
from certs.reason_keeping import reasons_of
from certs.records import Certificate, HistoryEntry
from certs.stories import Change, Words, change_of, story
from identity.numbers import mask_holder
from keys.base.clock import civil_date
from keys.base.db import Database
from keys.base.ids import CROCKFORD, normalise_code

CODE_LENGTH = 16
_ALPHABET = frozenset(CROCKFORD)


@dataclass(frozen=True, slots=True)
class ShownHolder:
    """A holder as anybody may see them: people masked, organisations not."""

    name: str
    code: str
    code_type: str


@dataclass(frozen=True, slots=True)
class RecordReport:
    """The answer. ``certificate`` is for this process only (a picture may be drawn of its document); the rest may be shown.

    ``fields`` and ``holders`` are masked; ``checked_at`` is the instant the answer holds for. ``changed`` is the operation
    that led to the present status, where the history tells it. ``template`` is the one its type names, for pictures;
    ``own_document``: the paper is the issuer's own, and no picture can be drawn from the record.
    ``copy``: the code is that of an annotated copy; ``status`` is then the copy's, ``original`` that of the certificate it was made of.
    """

    code: str
    status: Standing
    checked_at: dt.datetime
    certificate: Certificate | None
    type_name_en: str
    holders: tuple[ShownHolder, ...]
    fields: tuple[tuple[str, str], ...]
    changed: Change | None = None
    template: str = ""
    own_document: bool = False
    copy: Copy | None = None
    original: Standing = Standing.UNKNOWN

    def to_json(self) -> dict[str, object]:
        """The JSON of ``GET /api/v1/verify/{code}`` (CONTRACT.md)."""
        copy = {"copy": self.copy.to_json(self.original)} if self.copy else {}
        return copy | {
            "file": None,
            "kind": "record",
            "status": self.status.value,
            "indication": "INDETERMINATE",
            "sub_indication": "NO_FILE_CHECKED",
            "signatures": [],
            "checked_at": self.checked_at.isoformat(),
            "story": {"zh": self.story[0], "en": self.story[1]} if self.story[0] else None,
            "change": self.changed.to_json() if self.changed else None,
            "certificate": self._certificate_json(),
        }

    @property
    def story(self) -> Words:
        """What became of the certificate, in both languages; empty texts where it is in force or the record is silent."""
        own = self.copy.story(self.status, self.original) if self.copy else ("", "")
        return own if own[0] else story(self.status, self.certificate, self.changed)

    def _certificate_json(self) -> dict[str, object] | None:
        found = self.certificate
        if found is None:
            return None
        return {
            "identifier": found.identifier,
            "type": found.type_code,
            "type_name": {"zh": found.type_name, "en": self.type_name_en},
            "number": found.number,
            "issuer": {"code": found.issuer, "name": found.issuer_name},
            "issued_on": _day(found.issued_on),
            "valid_from": _day(found.valid_from),
            "valid_to": _day(found.valid_to),
            "holders": [{"name": one.name, "code": one.code, "code_type": one.code_type} for one in self.holders],
            "fields": dict(self.fields),
            "seal": {"name": found.seal_name, "code": found.seal_code} if found.seal_code else None,
            "document_sha256": found.document_hash.hex() if found.document_hash else None,
            "trust_grade": found.trust_grade,
        }


async def record_by_code(database: Database, now: dt.datetime, code: str) -> RecordReport:
    """What stands behind a verification code, as a person may have typed it."""
    wanted = wanted_code(code)
    async with database.session() as session:
        found = await certificate_by_code(session, wanted)
        copy = await copy_by_code(session, wanted) if found is None else None
        about = await original_of(session, copy) if copy else found
        kind = await type_of(session, about)
        entries = await history(session, about.id if about else uuid.UUID(int=0))
        reasons = await reasons_of(session, entries[-1:])
    if about is None:
        return unknown_report(wanted, now)
    report = report_of(about, kind, now, entries, reasons)
    return report if copy is None else report_of_copy(report, copy)


def report_of_copy(report: RecordReport, copy: Copy) -> RecordReport:
    """The record of an annotated copy: its original's, with what the copy itself is worth. Pure."""
    found = report.certificate
    purpose = mask_text(copy.purpose, found, dict(report.fields)) if found else ""
    status = copy.standing(report.checked_at, report.status)
    return replace(report, code=copy.verification_code, status=status, original=report.status, copy=replace(copy, purpose=purpose))


def wanted_code(code: str) -> str:
    """A code as a person may have typed it; empty where it can be none."""
    wanted = normalise_code(code[:64])
    return wanted if len(wanted) == CODE_LENGTH and _ALPHABET.issuperset(wanted) else ""


def unknown_report(wanted: str, now: dt.datetime) -> RecordReport:
    """There is no such certificate, or none that may be told of."""
    return RecordReport(wanted, Standing.UNKNOWN, now, None, "", (), ())


def report_of(
    found: Certificate,
    kind: CertificateType | None,
    now: dt.datetime,
    entries: tuple[HistoryEntry, ...] = (),
    reasons: Mapping[str, MoveReason] = MappingProxyType({}),
) -> RecordReport:
    """The record as anybody may see it. ``reasons``: those that the entries name by code. Pure."""
    shown = mask_fields(found.fields, kind)
    return RecordReport(
        code=found.verification_code or "",
        status=found.standing(civil_date(now)),
        checked_at=now,
        certificate=found,
        type_name_en=kind.name_en if kind else "",
        holders=tuple(ShownHolder(mask_holder(one.code_type, one.name), one.code_masked, one.code_type) for one in found.holders),
        fields=tuple((name, shown[name]) for name, _ in ordered_fields(found, kind)),
        changed=change_of(found, entries, reasons, lambda text: mask_text(text, found, shown)),
        template=kind.template if kind else "",
        own_document=bool(kind and kind.own_documents),
    )


def mask_text(reason: str, found: Certificate, shown: Mapping[str, str]) -> str:
    """A reason is free text: where it repeats a person's name or a masked field, it repeats it masked."""
    names = {one.name: mask_holder(one.code_type, one.name) for one in found.holders}
    values = {value: shown[name] for name, value in found.fields.items() if len(value) > 1}
    for plain, masked in sorted((names | values).items(), key=lambda pair: -len(pair[0])):
        if plain != masked:
            reason = reason.replace(plain, masked)
    return hide_numbers(reason)


def _day(day: dt.date | None) -> str | None:
    return day.isoformat() if day else None
