"""From rows of a file to rows of tables, as PostgreSQL's COPY takes them: the CPU work of an import, done in a worker process.

1. judge   the row (``certs.ingestion_rules``)
2. seal    the numbers of people, each in its own envelope with its own blind index
3. write   the record, its holders and its first event as lines of COPY's text form

What only the database knows is added to a record's line afterwards (:func:`finished`): whether its identifier is known already, whether
its holder stands in a register, which file it has.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from certs.catalogue import CertificateType
from certs.holders import holder_values
from certs.ingestion_files import SourceRow
from certs.ingestion_rules import Draft, judge
from certs.lifecycle import Operation, Status
from certs.records import Source, Stage
from identity.numbers import CodeType
from identity.personal_data import PersonalData
from keys.base.ids import new_ids

CERTIFICATE = (
    "id", "type_code", "type_name", "number", "identifier", "issuer", "issuer_name", "division", "issued_on", "valid_from", "valid_to",
    "fields", "stage", "status", "source", "client_id", "client_organisation", "created_at", "import_id",
    "trust_grade", "document_hash", "duplicate", "flags",
)  # fmt: skip
HOLDER = ("certificate_id", "position", "name", "code_type", "code", "code_masked", "code_index", "code_sealed")
EVENT = ("id", "certificate_id", "at", "operation", "to_status", "reason", "actor_kind", "actor_id", "actor_name")
NULL = "\\N"
LOWEST_UNSURE = "C"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_REGISTERED = frozenset({CodeType.RESIDENT_ID.value, CodeType.RESIDENCE_PERMIT.value})


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every row of an import. ``importers``: issuers it may speak for; empty: all."""

    type_code: str
    grade: str
    now: dt.datetime
    import_id: str
    importers: frozenset[str] = frozenset()
    client_id: str | None = None
    client_organisation: str | None = None


@dataclass(slots=True)
class Prepared:
    """A batch, ready to be stored: lists over its rows, so that little is sent between processes.

    ``records``: whole lines, as far as the worker knows; what is only known later is added by :meth:`add_flag` and :func:`finished`.
    ``holders``, ``events``: COPY's octets, ready to be forwarded. ``people``, ``organisations``: (row, what a register is asked).
    ``files``: the file a row names. ``unread``: rows of which nothing could be read; they are told and not stored.
    """

    octets: int
    ids: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)
    flags: list[tuple[str, ...]] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    holders: bytes = b""
    events: bytes = b""
    people: list[tuple[int, bytes]] = field(default_factory=list)
    organisations: list[tuple[int, str]] = field(default_factory=list)
    files: dict[int, str] = field(default_factory=dict)
    unread: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)

    @property
    def rows(self) -> int:
        return len(self.lines) + len(self.unread)

    def add_flag(self, place: int, flag: str) -> None:
        """A flag that only the database or the files could tell."""
        self.flags[place] = (*self.flags[place], flag)
        self.changed.add(place)


def prepare(rows: Sequence[SourceRow], kinds: Mapping[str, CertificateType], terms: Terms, personal: PersonalData) -> Prepared:
    """Steps 1 to 3 for a batch. ``kinds``: at least the types that its rows name."""
    made, tail, event = Prepared(rows[-1].octets if rows else 0), _record_tail(terms), _event_tail(terms)
    keys, holders, events = iter(new_ids(2 * len(rows))), list[str](), list[str]()
    for row in rows:
        if row.fault and not any(row.values.values()):
            made.unread.append((row.line, row.faults))
            continue
        draft, key = judge(row.values, kinds, terms.type_code), next(keys)
        events.append(f"{next(keys)}\t{key}{event}")
        flags = _add(made, row, draft, terms, key, tail)
        for position, one in enumerate(draft.holders):
            values = holder_values(personal, key, position, name=one.name, code_type=one.code_type, code=one.code)
            holders.append(_holder(key, position, values))
            if one.code and "holder_code_check" not in flags:
                _ask_register(made, len(made.lines) - 1, one.code_type, one.code, values["code_index"])
    made.holders, made.events = "".join(holders).encode(), "".join(events).encode()
    return made


def _add(made: Prepared, row: SourceRow, draft: Draft, terms: Terms, key: str, tail: str) -> tuple[str, ...]:
    flags, grade = draft.flags + row.faults, terms.grade
    if terms.importers and draft.issuer not in terms.importers:
        flags, grade = (*flags, "issuer_foreign"), max(grade, LOWEST_UNSURE)
    if draft.file:
        made.files[len(made.lines)] = draft.file
    made.ids.append(key)
    made.lines.append(row.line)
    made.identifiers.append(draft.identifier)
    made.flags.append(flags)
    made.records.append(f"{_record(key, draft)}{tail}\t{grade}{_told(NULL, flags)}")
    return flags


def _ask_register(made: Prepared, place: int, code_type: str, code: str, index: object) -> None:
    if code_type == CodeType.USCC:
        made.organisations.append((place, code))
    elif code_type in _REGISTERED and isinstance(index, bytes):
        made.people.append((place, index))


def _record(key: str, draft: Draft) -> str:
    fields = orjson.dumps(draft.fields).decode().replace("\\", "\\\\") if draft.fields else "{}"
    named = (draft.type_code, draft.type_name, draft.number, draft.identifier, draft.issuer, draft.issuer_name, draft.division)
    days = "\t".join([NULL if day is None else day.isoformat() for day in (draft.issued_on, draft.valid_from, draft.valid_to)])
    return f"{key}\t{_texts(named)}\t{days}\t{fields}"


def _record_tail(terms: Terms) -> str:
    client = (NULL if one is None else _text(one) for one in (terms.client_id, terms.client_organisation))
    fixed = (Stage.ISSUED.value, Status.VALID.value, Source.IMPORTED.value, *client, terms.now.isoformat(), terms.import_id)
    return "\t" + "\t".join(fixed)


def _event_tail(terms: Terms) -> str:
    fixed = (terms.now.isoformat(), Operation.OTHER.value, Status.VALID.value, "import", "system", "import", "import")
    return "\t" + "\t".join(fixed) + "\n"


def _holder(key: str, position: int, values: Mapping[str, object]) -> str:
    shown = "\t".join([NULL if (one := values[name]) is None else _text(str(one)) for name in ("name", "code_type", "code", "code_masked")])
    return f"{key}\t{position}\t{shown}\t{_octets(values['code_index'])}\t{_octets(values['code_sealed'])}\n"


def _octets(value: object) -> str:
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else NULL


def _text(value: str) -> str:
    """A value in COPY's text form; what PostgreSQL cannot keep is not in it (``judge`` takes NUL out, decoding takes lone surrogates)."""
    return value.translate(_ESCAPES) if "\\" in value or not value.isprintable() else value


def _texts(values: tuple[str, ...]) -> str:
    """Several of them; hardly ever does one need its escapes."""
    joined = "".join(values)
    plain = joined.isprintable() and "\\" not in joined
    return "\t".join(values if plain else map(_text, values))


def _told(document_hash: str, flags: tuple[str, ...]) -> str:
    """The end of a record's line: what may still be added to it."""
    return f"\t{document_hash}\t{'t' if 'duplicate_identifier' in flags else 'f'}\t{_flags(flags)}\n"


def _flags(flags: tuple[str, ...]) -> str:
    return orjson.dumps(flags).decode() if flags else "[]"


def finished(record: str, document_hash: bytes | None, flags: tuple[str, ...]) -> str:
    """The line of a record with what was only learnt after it was written."""
    return record.rsplit("\t", 3)[0] + _told(_octets(document_hash), flags)


def flag_line(import_id: str, line: int, certificate_id: str | None, identifier: str, flags: tuple[str, ...]) -> str:
    """A flagged row as COPY takes it, in the order of :data:`FLAGGED`."""
    return f"{import_id}\t{line}\t{certificate_id or NULL}\t{_text(identifier)}\t{_flags(flags)}\n"


FLAGGED = ("import_id", "line", "certificate_id", "identifier", "flags")
