"""Keeping numbers of people out of free text, and what a stranger with a verification code is shown. Pure."""

import re
from collections.abc import Mapping

from certs.catalogue import CertificateType, Mask
from identity.numbers import CodeType, check, mask, mask_name

# The first digit stands before the question what precedes it: so the search leaps from digit to digit.
_CANDIDATE = re.compile(r"[0-9](?<![0-9]{2})[0-9]{16}[0-9Xx](?![0-9])")
_ADDRESS_SHOWN = 6


def holds_number(text: str) -> bool:
    """Whether a well-formed resident ID number stands in the text."""
    return any(_is_number(found.group()) for found in _CANDIDATE.finditer(text))


def hide_numbers(text: str) -> str:
    """The text with every well-formed resident ID number masked."""
    return _CANDIDATE.sub(lambda found: mask(found.group()) if _is_number(found.group()) else found.group(), text)


def mask_fields(fields: Mapping[str, str], kind: CertificateType | None) -> dict[str, str]:
    """Fields as anybody may see them. A field the type does not declare is hidden: nothing says that it is not personal."""
    masks = {one.name: one.mask for one in kind.fields} if kind else {}
    return {name: _mask(value, masks.get(name, Mask.HIDDEN)) for name, value in fields.items()}


def _mask(value: str, how: Mask) -> str:
    match how:
        case Mask.NONE:
            return value
        case Mask.NAME:
            return mask_name(value)
        case Mask.NUMBER:
            return mask(value)
        case Mask.ADDRESS:
            return value[:_ADDRESS_SHOWN] + "***" if len(value) > _ADDRESS_SHOWN else "***"
        case Mask.HIDDEN:
            return "***"


def _is_number(text: str) -> bool:
    return check(CodeType.RESIDENT_ID, text).passes
