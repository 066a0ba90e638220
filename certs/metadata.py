"""The metadata of a certificate under the short names of GB/T 36903. Pure.

The same names serve the JSON attached to the PDF and the API. A certificate can have several holders, so ``CZZT``, ``CZZTDM``,
``CZZTDMLX`` and ``CZZTDMLXDM`` are always lists, aligned by position. The code of a person is masked in them: the attachment
travels with every copy of the PDF, and whoever needs the number asks the holder (docs/decisions).
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import orjson

from certs.catalogue import CODE_TYPE_NAMES, CertificateType
from certs.records import Certificate, Holder

_NAMES = {code_type.value: name for code_type, name in CODE_TYPE_NAMES.items()}
JsonValue = str | list[str] | None


def describe(certificate: Certificate, kind: CertificateType | None) -> dict[str, JsonValue]:
    """The metadata of a record; type-specific fields stand under their ``KZ_`` names."""
    common: dict[str, JsonValue] = {
        "ZZMC": certificate.type_name,
        "ZZLXDM": certificate.type_code,
        "ZZBH": certificate.number,
        "ZZBS": certificate.identifier,
        "ZZBFJG": certificate.issuer_name,
        "ZZBFJGDM": certificate.issuer,
        "ZZBFRQ": _day(certificate.issued_on),
        "ZZYXQQSRQ": _day(certificate.valid_from),
        "ZZYXQJZRQ": _day(certificate.valid_to),
        **describe_holders(certificate.holders),
        "ZZQZR": certificate.issuer_name if certificate.seal_name else None,
        "ZZQZSJ": certificate.sealed_at.isoformat() if certificate.sealed_at else None,
        "ZZQZMC": certificate.seal_name,
    }
    present = {name: value for name, value in common.items() if value is not None}
    return present | describe_fields(certificate.fields, kind)


def describe_holders(holders: Sequence[Holder]) -> dict[str, JsonValue]:
    """The four holder names, as aligned lists."""
    return {
        "CZZT": [one.name for one in holders],
        "CZZTDM": [one.code or one.code_masked for one in holders],
        "CZZTDMLX": [_NAMES.get(one.code_type, "其他") for one in holders],
        "CZZTDMLXDM": [one.code_type for one in holders],
    }


def describe_fields(fields: Mapping[str, str], kind: CertificateType | None) -> dict[str, JsonValue]:
    """Type-specific fields under their short names; a field the type does not know keeps the name it came with."""
    shorts = {one.name: one.short for one in kind.fields} if kind else {}
    return {shorts.get(name, name): value for name, value in fields.items()}


def encode(metadata: Mapping[str, JsonValue]) -> bytes:
    """The bytes that are attached to the PDF: UTF-8 JSON, two spaces of indentation."""
    return orjson.dumps(metadata, option=orjson.OPT_INDENT_2)


def _day(day: dt.date | None) -> str | None:
    return day.isoformat() if day else None
