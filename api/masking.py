"""The metadata attached to a certificate as anybody may see it: people masked, organisations not."""

from collections.abc import Mapping
from typing import Any

from certs.catalogue import CertificateType, shipped_types
from certs.privacy import mask_fields
from identity.numbers import is_person, mask, mask_name

# GB/T 36903 names that never speak of a person.
_OPEN = (
    "ZZMC", "ZZLXDM", "ZZBH", "ZZBS", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "ZZQZR", "ZZQZSJ", "ZZQZMC",
    "JZJZZSJ", "JZJZZZ", "JZJYXQJZSJ", "KZ_JZJHYM", "KZ_YJZY", "KZ_YJZYSF",
)  # fmt: skip
_HOLDER = ("CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM")


def masked_metadata(metadata: Mapping[str, Any] | None, kind: CertificateType | None = None) -> dict[str, Any] | None:
    """Names and numbers of people masked; a field nobody declared is hidden, since nothing says that it is not personal.

    ``kind``: the type as the catalogue knows it; without one those that are shipped are asked, as where there is no catalogue.
    The metadata comes from a file: any value of an unexpected shape is hidden as well.
    """
    if metadata is None:
        return None
    shown: dict[str, Any] = {name: metadata[name] for name in _OPEN if isinstance(metadata.get(name), str)}
    shown |= _masked_holders(metadata)
    others = {name: value for name, value in metadata.items() if name not in _OPEN and name not in _HOLDER}
    declared = kind if kind is not None else _shipped(metadata.get("ZZLXDM"))
    return shown | _masked_fields(declared, {str(name): str(value) for name, value in others.items()})


def _masked_holders(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    names, codes, kinds, types = (_texts(metadata.get(name)) for name in _HOLDER)
    people = [position >= len(types) or is_person(types[position]) for position in range(max(len(names), len(codes)))]
    return {
        "CZZT": [mask_name(name) if people[position] else name for position, name in enumerate(names)],
        "CZZTDM": [mask(code) if people[position] else code for position, code in enumerate(codes)],
        "CZZTDMLX": kinds,
        "CZZTDMLXDM": types,
    }


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one if isinstance(one, str) else "***" for one in value] if isinstance(value, list) else []


def _shipped(type_code: object) -> CertificateType | None:
    return next((one for one in shipped_types() if one.code == type_code), None)


def _masked_fields(kind: CertificateType | None, fields: Mapping[str, str]) -> dict[str, str]:
    names = {one.short: one.name for one in kind.fields} if kind else {}
    masked = mask_fields({names.get(short, short): value for short, value in fields.items()}, kind)
    return {short: masked[names.get(short, short)] for short in fields}
