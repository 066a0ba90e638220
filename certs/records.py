"""What a certificate is to those who read it: frozen views of the stored record. Pure."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from certs.lifecycle import Standing, Status, standing

DISPOSED = "disposed"
"""The flag of a record whose file and personal data were disposed of: what is left says that it was (``certs.retention``)."""


class Stage(StrEnum):
    """How far issuing went; imported records count as issued."""

    RESERVED = "reserved"
    AWAITING_GLYPH = "awaiting_glyph"
    AWAITING_STAMP = "awaiting_stamp"
    ISSUED = "issued"
    VOID = "void"


class Source(StrEnum):
    ISSUED = "issued"
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class Holder:
    """A holder. ``code`` is an organisation's credit code; of people only ``code_masked`` is shown."""

    name: str
    code_type: str
    code: str | None
    code_masked: str

    @property
    def natural(self) -> bool:
        return self.code is None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate with its holders in their order. Instants are UTC, dates are civil dates in China Standard Time.

    ``type_version``: the version of its type it was issued under; none for an imported record.
    """

    id: uuid.UUID
    stage: Stage
    status: Status
    source: Source
    type_code: str
    type_name: str
    number: str
    identifier: str
    verification_code: str | None
    issuer: str
    issuer_name: str
    division: str
    issued_on: dt.date | None
    valid_from: dt.date | None
    valid_to: dt.date | None
    fields: Mapping[str, str]
    matter_code: str | None
    seal_code: str | None
    seal_name: str | None
    sealed_at: dt.datetime | None
    document_hash: bytes | None
    client_id: str | None
    client_organisation: str | None
    predecessor: str | None
    successor: str | None
    trust_grade: str
    flags: tuple[str, ...]
    created_at: dt.datetime
    issued_at: dt.datetime | None
    holders: tuple[Holder, ...]
    type_version: int | None = None

    def standing(self, today: dt.date) -> Standing:
        """What a relying party is told on the civil date ``today``."""
        if DISPOSED in self.flags:
            return Standing.DISPOSED
        return standing(self.status, today=today, valid_from=self.valid_from, valid_to=self.valid_to, superseded=self.successor is not None)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One operation in a certificate's history; codes of GB/T 36903. ``reason_code`` and ``legal_basis`` as of :mod:`certs.grounds`."""

    at: dt.datetime
    operation: str
    from_status: str | None
    to_status: str
    reason: str
    actor_kind: str
    actor_name: str
    reason_code: str | None = None
    legal_basis: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list and the cursor of the next one, if there is more."""

    items: tuple[Certificate, ...]
    next_cursor: str | None
