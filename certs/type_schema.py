"""The JSON Schema (draft 2020-12) of the metadata of one version of a certificate type. Pure.

The common members are those of GB/T 36903 as :func:`certs.metadata.describe` writes them, the type's own stand under their ``KZ_``
names. Beside what validators read, each member says in ``x-label`` what it is called on paper, in ``x-mask`` how it is shown to
somebody who only has the verification code, and in ``x-offline`` its place in the offline code (from 1; absent: not in it).

Patterns run on a linear-time engine: whoever writes a type cannot make an approval hang.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

from certs.catalogue import CODE_TYPE_NAMES, CertificateType, Field, FieldKind, Mask, suits
from keys.base.errors import InvalidInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LINEAR = jsonschema_rs.RegexOptions(size_limit=1 << 18)
_DAY = {"type": "string", "format": "date"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}

BASE_LABELS: dict[str, tuple[str, str]] = {
    "ZZMC": ("证照名称", "name of the certificate"),
    "ZZLXDM": ("证照类型代码", "code of its type"),
    "ZZBH": ("证照编号", "number"),
    "ZZBS": ("电子证照标识", "identifier"),
    "ZZBFJG": ("证照颁发机构", "issuer"),
    "ZZBFJGDM": ("证照颁发机构代码", "code of the issuer"),
    "ZZBFRQ": ("证照颁发日期", "date of issue"),
    "ZZYXQQSRQ": ("证照有效期起始日期", "valid from"),
    "ZZYXQJZRQ": ("证照有效期截止日期", "valid to"),
    "CZZT": ("持证主体", "holder"),
    "CZZTDM": ("持证主体代码", "code of the holder"),
    "CZZTDMLX": ("持证主体代码类型", "kind of that code"),
    "CZZTDMLXDM": ("持证主体代码类型代码", "code of that kind"),
    "ZZQZR": ("证照签章人", "sealed by"),
    "ZZQZSJ": ("证照签章时间", "sealed at"),
    "ZZQZMC": ("证照签章名称", "name of the seal"),
}
"""The members of GB/T 36903 that every certificate has, in their order, with what they are called (zh, en)."""

NEVER_EMPTY = ("ZZMC", "ZZLXDM", "ZZBS", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM")
_SPOKEN = {
    "required": "missing", "maxLength": "too long", "pattern": "not of the form this field has", "format": "not a date (YYYY-MM-DD)",
    "enum": "not one of the choices", "additionalProperties": "unknown field",
}  # fmt: skip


def json_schema(kind: CertificateType) -> dict[str, Any]:
    """The schema of a certificate's metadata, self-contained: a validator needs nothing else."""
    base = _base_members(kind)
    own = {one.short: _own_member(one) for one in kind.fields}
    required = [*NEVER_EMPTY, *([] if kind.open_ended else ["ZZYXQJZRQ"]), *(one.short for one in kind.fields if one.mandatory)]
    return {
        "$schema": DIALECT,
        "$id": f"urn:fujie:certificate-type:{kind.code}:{kind.version}",
        "title": kind.name_zh,
        "description": kind.name_en,
        "type": "object",
        "properties": {name: _placed(name, member, kind) for name, member in (base | own).items()},
        "required": required,
        "additionalProperties": False,
    }


def fields_schema(kind: CertificateType) -> dict[str, Any]:
    """The schema of the ``KZ_`` members alone: what an approval brings."""
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": {one.short: _own_member(one) for one in kind.fields},
        "required": [one.short for one in kind.fields if one.mandatory],
        "additionalProperties": False,
    }


def check_fields(kind: CertificateType, fields: Mapping[str, str]) -> None:
    """Raise :class:`InvalidInput` naming every field, by its printed name, that the version's schema refuses. Values are never repeated."""
    shorts, names = {one.name: one.short for one in kind.fields}, {one.short: one.name for one in kind.fields}
    given = {shorts.get(name, name): value for name, value in fields.items()}
    errors = [
        {"field": names.get(_member_of(one), _member_of(one)), "message": _SPOKEN.get(str(one.schema_path[-1]), "does not fit")}
        for one in _validator(kind).iter_errors(given)
    ]
    if errors:
        raise InvalidInput("fields do not fit the type", errors=errors)


def check_schema(kind: CertificateType) -> None:
    """Raise ``ValueError`` where the schema of this type is none, its patterns included."""
    try:
        jsonschema_rs.meta.validate(json_schema(kind))
        _validator(kind)
    except jsonschema_rs.ValidationError as error:
        raise ValueError(error.message) from None


@lru_cache(maxsize=1024)
def _validator(kind: CertificateType) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(fields_schema(kind), validate_formats=True, pattern_options=_LINEAR)


def _member_of(error: jsonschema_rs.ValidationError) -> str:
    return str(error.instance_path[0]) if error.instance_path else "fields"


def _base_members(kind: CertificateType) -> dict[str, dict[str, Any]]:
    codes = [one.value for one in CODE_TYPE_NAMES if suits(kind, one.value)]
    held = {"type": "array", "minItems": 1, "maxItems": kind.most_holders, "items": _TEXT}
    issuer: dict[str, Any] = {"enum": sorted(kind.issuers)} if kind.issuers else _TEXT
    members: dict[str, dict[str, Any]] = {
        "ZZMC": {"const": kind.name_zh},
        "ZZLXDM": {"const": kind.code},
        "ZZBH": _TEXT,
        "ZZBS": {"type": "string", "pattern": r"^1\.2\.156\.3005\.2\."},
        "ZZBFJG": _TEXT,
        "ZZBFJGDM": issuer,
        "ZZBFRQ": _DAY,
        "ZZYXQQSRQ": _DAY,
        "ZZYXQJZRQ": _DAY,
        "CZZT": held,
        "CZZTDM": held,
        "CZZTDMLX": held,
        "CZZTDMLXDM": held | {"items": {"enum": codes}},
        "ZZQZR": _TEXT,
        "ZZQZSJ": {"type": "string", "format": "date-time"},
        "ZZQZMC": _TEXT,
    }
    masks = {"CZZT": Mask.NAME, "CZZTDM": Mask.NUMBER}
    return {
        name: member | {"x-label": BASE_LABELS[name][0], "x-mask": masks.get(name, Mask.NONE).value} for name, member in members.items()
    }


def _own_member(field: Field) -> dict[str, Any]:
    member: dict[str, Any] = {"type": "string", "maxLength": field.longest, "x-label": field.name, "x-mask": field.mask.value}
    if field.mandatory:
        member["minLength"] = 1
    match field.kind:
        case FieldKind.DATE:
            member["format"] = "date"
        case FieldKind.CHOICE:
            member["enum"] = list(field.choices)
        case FieldKind.INTEGER:
            member["pattern"] = "^-?(?:0|[1-9][0-9]{0,17})$"
        case FieldKind.DECIMAL:
            member["pattern"] = r"^-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,8})?$"
        case FieldKind.TEXT if field.pattern:
            member["pattern"] = f"^(?:{field.pattern})$"
        case _:
            pass
    return member


def _placed(name: str, member: dict[str, Any], kind: CertificateType) -> dict[str, Any]:
    places = {short: place for place, short in enumerate(kind.offline_fields, 1)}
    return member | ({"x-offline": places[name]} if name in places else {})
