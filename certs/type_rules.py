"""What a definition of a certificate type must be before it may be kept. Pure.

Everything that is wrong is named at once, under the member's place in the definition; values are not repeated.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from certs.approvals import is_clean
from certs.catalogue import MOST_HOLDERS, CertificateType, Field, FieldKind, SharingClass, parse_type
from certs.forms import templates
from certs.offline_code import FULL_NAME
from certs.type_schema import BASE_LABELS, check_schema
from identity.numbers import CodeType, check
from keys.base.errors import InvalidInput
from seal.kinds import SealKind

MOST_FIELDS = 24
MOST_OFFLINE = 8
LONGEST_NAME = 200
LONGEST_LABEL = 20
LONGEST_FIELD = 2000
MOST_YEARS = 100
MOST_LISTED = 1000
_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}[0-9A-Z]{3}")
_SHORT = re.compile(r"KZ_[A-Z0-9_]{1,40}")
_MATTER = re.compile(r"[0-9A-Za-z_-]{1,64}")
Fault = tuple[str, str]


class TypeMalformed(InvalidInput):
    """``extra['errors']`` names every member that is wrong, and how."""

    code = "CERTIFICATE_TYPE_MALFORMED"
    public = ("证照类型的定义不正确。", "The definition of the certificate type is not well-formed.")


def read_definition(row: object) -> CertificateType:
    """A type from what somebody sent: its shape first, then :func:`check_type`. Raises :class:`TypeMalformed`."""
    if not isinstance(row, Mapping):
        raise _malformed([("definition", "an object")])
    missing = [(name, "missing") for name in ("code", "name_zh", "holder_kind") if not str(row.get(name) or "").strip()]
    if missing:
        raise _malformed(missing)
    defaults: dict[str, object] = {"name_en": "", "issued_here": False, "open_ended": True, "max_years": None, "fields": []}
    try:
        kind = parse_type(defaults | _trimmed(row))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _malformed([("definition", "a member has the wrong shape or an unknown value")]) from None
    check_type(kind)
    return kind


def _trimmed(row: Mapping[Any, Any]) -> dict[str, object]:
    return {str(name): value.strip() if isinstance(value, str) else value for name, value in row.items()}


def check_type(kind: CertificateType) -> None:
    """Raises :class:`TypeMalformed`."""
    faults = [fault for rule in _RULES for fault in rule(kind)]
    if not faults:
        faults = list(_schema_faults(kind))
    if faults:
        raise _malformed(faults)


def _malformed(faults: list[Fault]) -> TypeMalformed:
    return TypeMalformed("definition", errors=[{"field": field, "message": message} for field, message in faults])


def _line(text: str, longest: int, *, empty: bool = False) -> bool:
    return (empty or bool(text.strip())) and len(text) <= longest and is_clean(text)


def _names(kind: CertificateType) -> Iterator[Fault]:
    """GB/T 36904: the defining body's credit code and three characters. A wrong check digit passes: some live codes have one."""
    if not _CODE.fullmatch(kind.code) or not check(CodeType.USCC, kind.code[:18]).well_formed:
        yield "code", "GB/T 36904: 18 characters of the defining body's credit code and 3 digits or letters"
    if not _line(kind.name_zh, LONGEST_NAME):
        yield "name_zh", f"1–{LONGEST_NAME} printable characters"
    if not _line(kind.name_en, LONGEST_NAME, empty=True):
        yield "name_en", f"at most {LONGEST_NAME} printable characters"
    if len(kind.aliases) > 20 or not all(_line(one, LONGEST_NAME) for one in kind.aliases):
        yield "aliases", "at most 20 printable names"


def _validity(kind: CertificateType) -> Iterator[Fault]:
    if kind.max_years is not None and not 1 <= kind.max_years <= MOST_YEARS:
        yield "max_years", f"1–{MOST_YEARS}"
    if kind.exact_term and (kind.max_years is None or kind.open_ended):
        yield "exact_term", "needs max_years, and no open end"


def _parties(kind: CertificateType) -> Iterator[Fault]:
    if len(kind.issuers) > MOST_LISTED or not all(check(CodeType.USCC, one).well_formed for one in kind.issuers):
        yield "issuers", "credit codes of 18 characters"
    if len(set(kind.issuers)) != len(kind.issuers):
        yield "issuers", "one stands twice"
    if len(kind.matters) > MOST_LISTED or not all(_MATTER.fullmatch(one) for one in kind.matters):
        yield "matters", "codes of matters"
    if kind.seal_kind and kind.seal_kind not in set(SealKind):
        yield "seal_kind", "not a kind of seal"
    if kind.template and kind.template not in templates():
        yield "template", "no template of this name is installed"
    if not 1 <= kind.most_holders <= MOST_HOLDERS:
        yield "most_holders", f"1–{MOST_HOLDERS}"


def _sharing(kind: CertificateType) -> Iterator[Fault]:
    if not _line(kind.sharing.basis, 500, empty=True) or not _line(kind.sharing.condition, 500, empty=True):
        yield "sharing", "at most 500 printable characters"
    if kind.sharing.sharing_class is SharingClass.NOT_SHARED and not kind.sharing.basis.strip():
        yield "sharing.basis", "not sharing needs a law, regulation or decision that says so"


def _fields(kind: CertificateType) -> Iterator[Fault]:
    if len(kind.fields) > MOST_FIELDS:
        yield "fields", f"at most {MOST_FIELDS}"
    for part in ("name", "short"):
        values = [getattr(one, part) for one in kind.fields]
        if len(set(values)) != len(values):
            yield "fields", f"a {part} stands twice"
    for position, field in enumerate(kind.fields):
        yield from ((f"fields.{position}.{member}", message) for member, message in _field(field))


def _field(field: Field) -> Iterator[Fault]:
    if not _line(field.name, LONGEST_LABEL):
        yield "name", f"1–{LONGEST_LABEL} printable characters"
    if not _SHORT.fullmatch(field.short):
        yield "short", "KZ_ and capital letters, digits or _"
    if not 1 <= field.longest <= LONGEST_FIELD:
        yield "longest", f"1–{LONGEST_FIELD}"
    if len(field.pattern) > 200 or (field.pattern and field.kind is not FieldKind.TEXT):
        yield "pattern", "at most 200 characters, of a text only"
    if (field.kind is FieldKind.CHOICE) != bool(field.choices):
        yield "choices", "a field of kind choice has choices, another has none"
    if len(set(field.choices)) != len(field.choices) or not all(_line(one, field.longest) for one in field.choices):
        yield "choices", "printable, none twice, none longer than the field"


def _offline(kind: CertificateType) -> Iterator[Fault]:
    known = {*BASE_LABELS, FULL_NAME, *(one.short for one in kind.fields)}
    if not set(kind.offline_fields) <= known or len(set(kind.offline_fields)) != len(kind.offline_fields):
        yield "offline_fields", "short names of GB/T 36903 or of the type's own fields, none twice"
    if len(kind.offline_fields) > MOST_OFFLINE:
        yield "offline_fields", f"at most {MOST_OFFLINE}: more do not fit the printed code"


def _schema_faults(kind: CertificateType) -> Iterator[Fault]:
    try:
        check_schema(kind)
    except ValueError:
        yield "fields", "a pattern is no regular expression of the linear-time syntax (no look-around, no back-references)"


_RULES: tuple[Callable[[CertificateType], Iterator[Fault]], ...] = (_names, _validity, _parties, _sharing, _fields, _offline)
