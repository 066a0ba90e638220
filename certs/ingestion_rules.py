"""Judging one row of an import (GB/T 36903 short names). Pure: nothing is refused, everything odd is flagged.

The flags and what they mean stand in :data:`FLAGS`. ``duplicate_identifier`` needs the other rows and is given by ``certs.ingestion``.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from certs.catalogue import CertificateType, suits
from certs.numbering import IdentifierReport, inspect_identifier
from certs.privacy import hide_numbers, holds_number
from identity.numbers import CodeType, check, normalise

MANDATORY = ("ZZLXDM", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "CZZT", "CZZTDM", "CZZTDMLXDM")
DATES = ("ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ")
SEVERAL = "^"  # separates several holders within one cell; JSON lines may use lists instead
FLAGS: dict[str, tuple[str, str]] = {
    "identifier_format": ("电子证照标识的结构不对。", "The identifier cannot be taken apart."),
    "identifier_root": ("电子证照标识的根不是 1.2.156.3005.2。", "The identifier has another root."),
    "identifier_check": ("电子证照标识的校验位不符。", "The identifier's check character does not agree."),
    "identifier_region_issuer": ("标识中的颁发机构是行政区划代码。", "A region code stands for the issuer in the identifier."),
    "identifier_type": ("标识中的类型代码与证照类型代码不一致。", "The identifier names another type than the row."),
    "identifier_issuer": ("标识中的颁发机构与颁发机构代码不一致。", "The identifier names another issuer than the row."),
    "duplicate_identifier": ("标识与已有记录重复。", "An earlier record has the same identifier."),
    "missing_mandatory": ("缺少必填项。", "A mandatory value is missing."),
    "bad_date": ("日期不存在或无法识别。", "A date does not exist or cannot be read."),
    "validity_order": ("有效期截止早于起始。", "Validity ends before it begins."),
    "holder_code_check": ("持证主体代码不符合其编码规则。", "The holder's code breaks the rules of its kind."),
    "holder_code_type": ("持证主体代码类型未知。", "The holder's code type is unknown."),
    "holder_count": ("持证主体各项的数量不一致。", "Names, codes and code types of holders differ in number."),
    "holder_kind": ("该类证照不发给此类主体。", "This type is not given to such a holder."),
    "unknown_type": ("证照类型不在目录中。", "The type is not in the catalogue."),
    "type_mismatch": ("证照类型与导入时指定的不一致。", "The row names another type than the import."),
    "number_in_text": ("文本中含公民身份号码，已遮盖。", "An ID number stood in a text and was masked."),
    "encoding": ("含无法识别的字符。", "Some characters could not be read."),
    "malformed_row": ("该行结构不完整。", "The row cannot be read."),
    "row_too_long": ("该行过长，未读取。", "The row is too long and was passed over."),
    "file_missing": ("所附文件找不到，或不是可接受的文件。", "The attached file was not found, or is of a kind that is not taken."),
    "holder_unknown": ("人口库、法人库中没有该持证主体。", "The holder stands in neither register, of people or of legal persons."),
    "issuer_foreign": ("颁发机构不是导入机构，信任等级降为 C。", "Issued by another organisation than the importing one; trust grade C."),
}
_DATE = re.compile(r"([0-9]{4})[-/.年]?([0-9]{1,2})[-/.月]?([0-9]{1,2})日?")
_OPEN_END = frozenset({"长期", "永久", "无固定期限", "9999-12-31", "99991231"})


class DraftHolder(NamedTuple):
    name: str
    code: str
    code_type: str


class Draft(NamedTuple):
    """A row, read: what becomes the record, and the flags it earned. Dates that cannot be read stay in ``fields`` as text."""

    type_code: str
    type_name: str
    number: str
    identifier: str
    issuer: str
    issuer_name: str
    division: str
    issued_on: dt.date | None
    valid_from: dt.date | None
    valid_to: dt.date | None
    holders: tuple[DraftHolder, ...]
    fields: Mapping[str, str]
    file: str
    flags: tuple[str, ...]


def judge(row: Mapping[str, str], types: Mapping[str, CertificateType], type_code: str = "") -> Draft:
    """Read and judge one row. ``type_code`` is the import's own, if it named one; else each row's ``ZZLXDM`` counts."""
    clean = "\x00" not in "".join(row.values())
    values = {name: (value if clean else value.replace("\x00", "")).strip() for name, value in row.items()}
    if type_code:
        values["ZZLXDM"] = type_code
    kind = types.get(values.get("ZZLXDM", ""))
    dates = {name: _parse_date(values.get(name, "")) for name in DATES}
    holders = _holders(values)
    text = "\n".join([value for name, value in values.items() if name not in _NO_TEXT])
    numbers = holds_number(text)
    hide = hide_numbers if numbers else _as_it_is
    fields = _fields(values, kind, dates, hide)
    flags = [
        *_identifier_flags(values),
        *_type_flags(row, kind, type_code),
        *_date_flags(values, dates),
        *_holder_flags(values, holders, kind),
    ]
    if numbers:
        flags.append("number_in_text")
    if "\ufffd" in text:
        flags.append("encoding")
    return Draft(
        type_code=values.get("ZZLXDM", ""),
        type_name=values.get("ZZMC") or (kind.name_zh if kind else ""),
        number=hide(values.get("ZZBH", "")),
        identifier=values.get("ZZBS", ""),
        issuer=values.get("ZZBFJGDM", ""),
        issuer_name=values.get("ZZBFJG", ""),
        division=division_of(values.get("ZZBFJGDM", "")),
        issued_on=dates["ZZBFRQ"],
        valid_from=dates["ZZYXQQSRQ"],
        valid_to=dates["ZZYXQJZRQ"],
        holders=holders,
        fields=fields,
        file=values.get("file", ""),
        flags=tuple(dict.fromkeys(flags)),
    )


def _as_it_is(text: str) -> str:
    return text


@lru_cache(4096)
def division_of(issuer: str) -> str:
    """The GB/T 2260 division in an issuer's code: positions 3 to 8 of a credit code (GB 32100), or the region itself."""
    region = issuer[2:8] if len(issuer) == len("11990100MB0000027F") else issuer
    return region if re.fullmatch("[0-9]{6}", region) else ""


@lru_cache(1 << 16)
def _parse_date(text: str) -> dt.date | None:
    found = _DATE.fullmatch(text)
    if found is None or text in _OPEN_END:
        return None
    try:
        return dt.date(*(int(part) for part in found.groups()))
    except ValueError:
        return None


def _holders(values: Mapping[str, str]) -> tuple[DraftHolder, ...]:
    name, code, code_type = values.get("CZZT", ""), values.get("CZZTDM", ""), values.get("CZZTDMLXDM", "")
    if SEVERAL not in name and SEVERAL not in code and SEVERAL not in code_type:
        return (DraftHolder(name, normalise(code), code_type),)
    columns = [name.split(SEVERAL), code.split(SEVERAL), code_type.split(SEVERAL)]
    length = max(len(column) for column in columns)
    names, codes, code_types = (column + [column[-1] if column is columns[2] else ""] * (length - len(column)) for column in columns)
    return tuple(DraftHolder(n.strip(), normalise(c), t.strip()) for n, c, t in zip(names, codes, code_types, strict=True))


def _fields(
    values: Mapping[str, str], kind: CertificateType | None, dates: Mapping[str, dt.date | None], hide: Callable[[str], str]
) -> dict[str, str]:
    own = [name for name in values if name.startswith("KZ_") and values[name]]
    names = {one.short: one.name for one in kind.fields} if kind and own else {}
    fields = {names.get(name, name): hide(values[name]) for name in own}
    for name, day in dates.items():
        if day is None and (text := values.get(name)) and text not in _OPEN_END:
            fields[name] = hide(text)
    return fields


def _identifier_flags(values: Mapping[str, str]) -> list[str]:
    text = values.get("ZZBS", "")
    if not text:
        return []
    report = inspect_identifier(text)
    return [*report.flags, *_agreement(report, values)]


def _agreement(report: IdentifierReport, values: Mapping[str, str]) -> list[str]:
    found = report.identifier
    if found is None:
        return []
    flags = []
    if values.get("ZZLXDM") and found.type_code != values["ZZLXDM"]:
        flags.append("identifier_type")
    issuer = values.get("ZZBFJGDM", "")
    if issuer and found.issuer not in (issuer, division_of(issuer)):
        flags.append("identifier_issuer")
    return flags


def _type_flags(row: Mapping[str, str], kind: CertificateType | None, type_code: str) -> list[str]:
    own = row.get("ZZLXDM", "").strip()
    flags = ["type_mismatch"] if type_code and own and own != type_code else []
    return flags if kind or not (own or type_code) else [*flags, "unknown_type"]


def _date_flags(values: Mapping[str, str], dates: Mapping[str, dt.date | None]) -> list[str]:
    unread = [name for name, day in dates.items() if day is None and values.get(name)]
    bad = [name for name in unread if not (name == "ZZYXQJZRQ" and values[name] in _OPEN_END)]
    flags = ["bad_date"] if bad else []
    begins, ends = dates["ZZYXQQSRQ"] or dates["ZZBFRQ"], dates["ZZYXQJZRQ"]
    return [*flags, "validity_order"] if begins and ends and ends < begins else flags


def _holder_flags(values: Mapping[str, str], holders: tuple[DraftHolder, ...], kind: CertificateType | None) -> list[str]:
    missing = not all(map(values.get, MANDATORY)) or any(not (one.name and one.code) for one in holders)
    flags = ["missing_mandatory"] if missing else []
    if len(holders) > 1 and values.get("CZZT", "").count(SEVERAL) != values.get("CZZTDM", "").count(SEVERAL):
        flags.append("holder_count")
    for one in holders:
        flags += _code_flags(one, kind)
    return flags


def _code_flags(holder: DraftHolder, kind: CertificateType | None) -> list[str]:
    if not holder.code_type:
        return []
    if holder.code_type not in _CODE_TYPES:
        return ["holder_code_type"]
    flags = [] if not holder.code or check(holder.code_type, holder.code).passes else ["holder_code_check"]
    return flags if kind is None or suits(kind, holder.code_type) else [*flags, "holder_kind"]


_NO_TEXT = frozenset({"CZZTDM", "ZZBS"})
_CODE_TYPES = frozenset(one.value for one in CodeType)
