"""The catalogue as files: the directory others read, and tables that somebody brings. Pure.

The directory has the members of GB/T 36902 under their English names, as deployed directories write them; what the standard does not
know stands behind them under ``x_``. Several values in one cell are separated by ``^``. A table to be imported is CSV with a header line or
JSON lines, in UTF-8 (with or without a mark) or GB 18030, with any line ends; a column may bear our name or that of the directory.
"""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from certs.catalogue import CertificateType, HolderKind
from certs.tables import UNREADABLE, TableRow, TableUnreadable, open_table
from keys.base.errors import FujieError

SEPARATOR = "^"
_HOLDERS = {HolderKind.NATURAL: "自然人", HolderKind.LEGAL: "法人", HolderKind.BOTH: "自然人^法人"}
_LEVELS = (("国家级", slice(0, 6), "100000"), ("省级", slice(2, 6), "0000"), ("地市级", slice(4, 6), "00"))
_OPEN_END = "长期"
DIRECTORY = (
    "CertificateTypeName", "CertificateTypeCode", "CertificateDefineAuthorityName", "CertificateDefineAuthorityCode",
    "CertificateDefineAuthorityLevel", "RelatedItemName", "RelatedItemCode", "CertificateHolderCategory", "ValidityRange",
    "CertificateIssuingAuthorityLevel", "x_name_en", "x_version", "x_issuers", "x_sharing", "x_sharing_basis",
)  # fmt: skip
"""The columns of the directory, in their order."""

_OUR_NAMES = {
    "type_code": "code", "CertificateTypeCode": "code", "name": "name_zh", "CertificateTypeName": "name_zh", "x_name_en": "name_en",
    "RelatedItemCode": "matters", "x_issuers": "issuers", "x_sharing": "sharing_class", "x_sharing_basis": "sharing_basis",
}  # fmt: skip
_LISTS = frozenset({"issuers", "matters", "aliases", "offline_fields"})
_FLAGS = frozenset({"issued_here", "open_ended", "exact_term", "own_documents"})
_NUMBERS = frozenset({"max_years", "most_holders"})
_TEXTS = frozenset({"code", "name_zh", "name_en", "holder_kind", "seal_kind", "template"})
_TRUE, _FALSE = frozenset({"1", "true", "yes", "是"}), frozenset({"0", "false", "no", "否", ""})
_KNOWN = _LISTS | _FLAGS | _NUMBERS | _TEXTS | {"sharing_class", "sharing_basis", "sharing_condition", "fields", "sharing"}


class CatalogueFileUnreadable(FujieError):
    """The file is neither a CSV with known columns nor JSON lines."""

    code = "CATALOGUE_FILE_UNREADABLE"
    status = 422
    public = (
        "文件不是带已知列名的 CSV，也不是 JSON Lines（UTF-8 或 GB 18030）。",
        "The file is neither a CSV with known columns nor JSON lines (UTF-8 or GB 18030).",
    )


def directory_entry(kind: CertificateType, organisations: Mapping[str, str], matters: Mapping[str, str]) -> dict[str, str]:
    """A type in the directory. ``organisations`` and ``matters``: names by code; what is unknown there has an empty name."""
    values = (
        kind.name_zh, kind.code, organisations.get(kind.authority, ""), kind.authority, level_of(kind.authority),
        SEPARATOR.join(matters.get(code, "") for code in kind.matters), SEPARATOR.join(kind.matters), _HOLDERS[kind.holder_kind],
        validity_range(kind), SEPARATOR.join(dict.fromkeys(level_of(one) for one in kind.issuers)), kind.name_en, str(kind.version),
        SEPARATOR.join(kind.issuers), kind.sharing.sharing_class.value, kind.sharing.basis,
    )  # fmt: skip
    return dict(zip(DIRECTORY, values, strict=True))


def level_of(uscc: str) -> str:
    """The level of an organisation, from the division in its credit code (GB 32100, characters 3 to 8).

    >>> level_of("11100000MB0143028R"), level_of("11990100MB0000035A"), level_of("11990102MB000006XL")
    ('国家级', '地市级', '区县级')
    """
    division = uscc[2:8]
    return next((name for name, part, zeros in _LEVELS if division[part] == zeros), "区县级")


def validity_range(kind: CertificateType) -> str:
    """``5年``, ``长期``, or both; empty where nothing bounds it but the approval."""
    parts = [f"{kind.max_years}年"] if kind.max_years is not None else []
    return SEPARATOR.join([*parts, *([_OPEN_END] if kind.open_ended else [])])


def write_csv(entries: Iterable[Mapping[str, str]], columns: Sequence[str] = DIRECTORY) -> bytes:
    """UTF-8 with a mark, so that spreadsheets read it. A cell that a spreadsheet would compute is written as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for entry in entries:
        writer.writerow([_harmless(entry[name]) for name in columns])
    return out.getvalue().encode("utf-8-sig")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def read_table(document: bytes) -> Iterator[TableRow]:
    """The rows of a table under our names. Raises :class:`CatalogueFileUnreadable`."""
    return (row if row.fault else _named(row) for row in read_cells(document, "code"))


def read_cells(document: bytes, key: str) -> Iterator[TableRow]:
    """The rows as they stand; a CSV without a column ``key`` is none. Raises :class:`CatalogueFileUnreadable`."""
    if document.removeprefix(BOM_UTF8).lstrip()[:1] == b"[":
        return _listed(document)
    try:
        table = open_table(io.BytesIO(document))
    except TableUnreadable as error:
        raise CatalogueFileUnreadable(str(error)) from None
    if table.header is not None and key not in {_OUR_NAMES.get(name, name) for name in table.header}:
        raise CatalogueFileUnreadable(f"no column {key}")
    return table.rows


def _listed(document: bytes) -> Iterator[TableRow]:
    """A JSON document with a list of objects."""
    try:
        found = orjson.loads(document.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        raise CatalogueFileUnreadable("no JSON") from None
    for number, one in enumerate(found, 1):
        yield TableRow(number, one) if isinstance(one, dict) else TableRow(number, {}, UNREADABLE)


def _named(row: TableRow) -> TableRow:
    """Under our names, each value of its own kind; what is not ours (the directory's derived columns) is left out."""
    members: dict[str, Any] = {}
    for name, value in row.members.items():
        ours = _OUR_NAMES.get(name, name)
        if ours not in _KNOWN:
            continue
        try:
            members[ours] = _value(ours, value)
        except ValueError:
            return TableRow(row.line, {"code": row.members.get("code", "")}, f"{ours}: not understood")
    return TableRow(row.line, _with_sharing(members))


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if name in _LISTS:
        return [one.strip() for one in text.replace(";", SEPARATOR).split(SEPARATOR) if one.strip()]
    if name in _FLAGS:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError(name)
        return text.lower() in _TRUE
    if name in _NUMBERS:
        return int(text) if text else None
    return orjson.loads(text) if name in ("fields", "sharing") and text else text


def _with_sharing(members: dict[str, Any]) -> dict[str, Any]:
    names = {"sharing_class": "class", "sharing_basis": "basis", "sharing_condition": "condition"}
    sharing = {short: members.pop(name) for name, short in names.items() if name in members}
    if sharing.get("class") == "":
        del sharing["class"]
    return members | ({"sharing": sharing} if sharing else {})
