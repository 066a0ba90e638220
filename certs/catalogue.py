"""The catalogue of certificate types: what each holds, for whom, for how long, and what of it is personal.

Pure. Types are data: the shipped ones lie in ``certs/data/certificate_types.json``; ``certs.reads`` loads and finds them in the database.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import orjson

from identity.numbers import CodeType, is_person
from keys.base.errors import FujieError, InvalidInput

MAX_FIELD_LENGTH = 500
CODE_TYPE_NAMES = {
    CodeType.USCC: "统一社会信用代码",
    CodeType.OTHER_LEGAL_PERSON: "其他法人或其他组织证件号码",
    CodeType.RESIDENT_ID: "公民身份号码",
    CodeType.SERVICE_OFFICER: "军官证",
    CodeType.ARMED_POLICE_OFFICER: "武警警官证",
    CodeType.SERVICE_SOLDIER: "士兵证",
    CodeType.ARMED_POLICE_SOLDIER: "武警士兵证",
    CodeType.SERVICE_CIVILIAN: "军队文职人员证",
    CodeType.SERVICE_STUDENT: "军队学员证",
    CodeType.DIPLOMATIC_PASSPORT: "外交护照",
    CodeType.SERVICE_PASSPORT: "公务护照",
    CodeType.PUBLIC_AFFAIRS_PASSPORT: "公务普通护照",
    CodeType.PASSPORT: "普通护照",
    CodeType.TAIWAN_PERMIT: "台湾居民来往大陆通行证",
    CodeType.HONG_KONG_MACAO_PERMIT: "港澳居民来往内地通行证",
    CodeType.PERMANENT_RESIDENT: "外国人永久居留身份证",
    CodeType.RESIDENCE_PERMIT: "港澳台居民居住证",
    CodeType.OTHER_PERSON: "其他自然人证件号码",
}


_CODE_TYPES = frozenset(one.value for one in CodeType)


class HolderKind(StrEnum):
    LEGAL = "legal"
    NATURAL = "natural"
    BOTH = "both"


class Mask(StrEnum):
    """How a field is shown to somebody who only knows the verification code."""

    NONE = "none"
    NAME = "name"
    ADDRESS = "address"
    NUMBER = "number"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type: its printed ``name``, its GB/T 36903 ``short`` name (``KZ_…``), and who may see it in full."""

    name: str
    short: str
    mandatory: bool
    mask: Mask


@dataclass(frozen=True, slots=True)
class CertificateType:
    """A type of certificate. ``issued_here``: there is a template; others can be imported only.

    ``open_ended`` allows a certificate without a last day; ``max_years`` bounds the span of validity.
    """

    code: str
    name_zh: str
    name_en: str
    holder_kind: HolderKind
    issued_here: bool
    open_ended: bool
    max_years: int | None
    fields: tuple[Field, ...]


class UnknownCertificateType(FujieError):
    """No such type, or none that can be issued here."""

    code = "UNKNOWN_CERTIFICATE_TYPE"
    status = 422
    public = ("没有这种证照类型，或本系统不签发该类型。", "There is no such certificate type, or it is not issued here.")


def shipped_types() -> tuple[CertificateType, ...]:
    """The types the product ships."""
    return parse_types(resources.files("certs").joinpath("data/certificate_types.json").read_bytes())


def parse_types(document: bytes) -> tuple[CertificateType, ...]:
    """Types from a JSON list; ``KeyError`` or ``ValueError`` when it is malformed."""
    return tuple(parse_type(row) for row in orjson.loads(document))


def parse_type(row: Mapping[str, object]) -> CertificateType:
    """One type from its JSON object."""
    fields = row["fields"]
    if not isinstance(fields, list):
        raise ValueError("fields is a list")
    max_years = row["max_years"]
    return CertificateType(
        code=str(row["code"]),
        name_zh=str(row["name_zh"]),
        name_en=str(row["name_en"]),
        holder_kind=HolderKind(str(row["holder_kind"])),
        issued_here=bool(row["issued_here"]),
        open_ended=bool(row["open_ended"]),
        max_years=max_years if isinstance(max_years, int) else None,
        fields=tuple(Field(one["name"], one["short"], bool(one["mandatory"]), Mask(one["mask"])) for one in fields),
    )


def definition(kind: CertificateType) -> dict[str, object]:
    """The JSON object of a type; the inverse of :func:`parse_type`."""
    return {
        "code": kind.code,
        "name_zh": kind.name_zh,
        "name_en": kind.name_en,
        "holder_kind": kind.holder_kind.value,
        "issued_here": kind.issued_here,
        "open_ended": kind.open_ended,
        "max_years": kind.max_years,
        "fields": [{"name": one.name, "short": one.short, "mandatory": one.mandatory, "mask": one.mask.value} for one in kind.fields],
    }


def order_fields(kind: CertificateType, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The fields in the type's order; raises :class:`InvalidInput` naming every field that is unknown, missing or too long."""
    known = {one.name for one in kind.fields}
    errors = [_field_error(name, "unknown field") for name in given if name not in known]
    errors += [_field_error(one.name, "missing") for one in kind.fields if one.mandatory and not given.get(one.name, "").strip()]
    errors += [_field_error(name, "too long") for name, value in given.items() if len(value) > MAX_FIELD_LENGTH]
    if errors:
        raise InvalidInput("fields do not fit the type", errors=errors)
    return tuple((one.name, given[one.name].strip()) for one in kind.fields if given.get(one.name, "").strip())


def check_validity(kind: CertificateType, valid_from: dt.date, valid_to: dt.date | None) -> None:
    """Raise :class:`InvalidInput` unless the span fits the type's rule."""
    message = _validity_error(kind, valid_from, valid_to)
    if message is not None:
        raise InvalidInput(message, errors=[_field_error("valid_to", message)])


def _validity_error(kind: CertificateType, valid_from: dt.date, valid_to: dt.date | None) -> str | None:
    if valid_to is None:
        return None if kind.open_ended else "this type needs a last day of validity"
    if valid_to < valid_from:
        return "ends before it begins"
    if kind.max_years is not None and valid_to > _years_later(valid_from, kind.max_years):
        return f"longer than {kind.max_years} years"
    return None


def _years_later(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, month=3, day=1)


def check_holder_kind(kind: CertificateType, code_types: tuple[str, ...]) -> None:
    """Raise :class:`InvalidInput` when a holder's code type is unknown or not one the type can be given to."""
    errors = [
        _field_error(f"holders.{position}.code_type", "not a holder of this type")
        for position, code_type in enumerate(code_types)
        if not suits(kind, code_type)
    ]
    if errors:
        raise InvalidInput("holders do not fit the type", errors=errors)


def suits(kind: CertificateType, code_type: str) -> bool:
    """Whether somebody with a code of that type can hold a certificate of this one."""
    if code_type not in _CODE_TYPES:
        return False
    wanted = HolderKind.NATURAL if is_person(code_type) else HolderKind.LEGAL
    return kind.holder_kind in (wanted, HolderKind.BOTH)


def _field_error(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}
