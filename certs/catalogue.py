"""The catalogue of certificate types: what each holds, for whom, for how long, and what of it is personal.

Pure. Types are data: the shipped ones lie in ``certs/data/certificate_types.json``; ``certs.reads`` finds them in the database,
``certs.catalogue_keeping`` changes them. A value of :class:`CertificateType` is one *version* of a type: a certificate remembers
which one it was issued under, and a published version never changes.
"""

import datetime as dt
import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import orjson

from identity.numbers import CodeType, is_person
from keys.base.errors import FujieError, InvalidInput

MAX_FIELD_LENGTH = 500
MOST_HOLDERS = 50
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


class FieldKind(StrEnum):
    """What a value must look like. Values are texts always; the kind says which texts."""

    TEXT = "text"
    DATE = "date"
    INTEGER = "integer"
    DECIMAL = "decimal"
    CHOICE = "choice"


class SharingClass(StrEnum):
    """无条件共享, 有条件共享, 不予共享 (国发〔2016〕51号 §3)."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not_shared"


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whom other than the issuer a certificate of the type is open to. ``basis``: the rule that says so; ``condition``: in words."""

    sharing_class: SharingClass = SharingClass.CONDITIONAL
    basis: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type: its printed ``name``, its GB/T 36903 ``short`` name (``KZ_…``), and who may see it in full.

    ``longest`` in characters; ``pattern`` is a regular expression that the whole value must match; ``choices`` are those of a
    field of kind ``choice``.
    """

    name: str
    short: str
    mandatory: bool
    mask: Mask
    kind: FieldKind = FieldKind.TEXT
    longest: int = MAX_FIELD_LENGTH
    pattern: str = ""
    choices: tuple[str, ...] = ()


OFFLINE_DEFAULT = ("ZZMC", "ZZBH", "ZZBS", "ZZBFJG", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "CZZT")
"""What the offline code tells unless the type says otherwise: eight compact fields (about 332 octets, version 13-M)."""


@dataclass(frozen=True, slots=True)
class CertificateType:
    """One version of a type of certificate. ``issued_here``: there is a template; others can be imported only.

    ``open_ended``      allows a certificate without a last day; ``max_years`` bounds the span of validity
    ``version``         of the type: 1, 2, …; not the version in a certificate's identifier
    ``issuers``         credit codes of the organisations that may issue it; none: whoever has the right to issue for its organisation
    ``matters``         codes of the matters whose approvals lead to it; none: any
    ``seal_kind``       a ``seal.kinds.SealKind``; empty: any kind the seal's own policy allows
    ``template``        the name of the template, without its ending; empty: the one installed for the type's code
    ``most_holders``    how many people or organisations can hold one certificate together
    ``offline_fields``  short names (GB/T 36903 or ``KZ_…``) of what stands in the offline code, in its order
    ``exact_term``      the certificate runs ``max_years`` and no less; its last day is the anniversary or the day before
    ``own_documents``   approval documents (批文): issuers bring their own PDF, and it is numbered, sealed and registered
    ``aliases``         other names it is searched by
    """

    code: str
    name_zh: str
    name_en: str
    holder_kind: HolderKind
    issued_here: bool
    open_ended: bool
    max_years: int | None
    fields: tuple[Field, ...]
    version: int = 1
    issuers: tuple[str, ...] = ()
    matters: tuple[str, ...] = ()
    seal_kind: str = ""
    template: str = ""
    most_holders: int = MOST_HOLDERS
    offline_fields: tuple[str, ...] = OFFLINE_DEFAULT
    sharing: Sharing = Sharing()
    exact_term: bool = False
    aliases: tuple[str, ...] = ()
    own_documents: bool = False

    @property
    def authority(self) -> str:
        """The credit code of the defining body (GB/T 36904)."""
        return self.code[:18]


class CertificateTypeRetired(FujieError):
    """The type has ended: certificates issued under it stay what they are, new ones are refused."""

    code = "CERTIFICATE_TYPE_RETIRED"
    status = 422
    public = (
        "该证照类型已停用，不再签发新证照；已签发的证照不受影响。",
        "This type of certificate was retired: no new ones are issued; those issued before are not affected.",
    )


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
        fields=tuple(_parse_field(one) for one in fields),
        **_optional_members(row),
    )


def _parse_field(one: Mapping[str, Any]) -> Field:
    return Field(
        one["name"],
        one["short"],
        bool(one["mandatory"]),
        Mask(one["mask"]),
        FieldKind(one.get("kind", FieldKind.TEXT)),
        int(one.get("longest", MAX_FIELD_LENGTH)),
        str(one.get("pattern", "")),
        tuple(str(choice) for choice in one.get("choices", ())),
    )


def _optional_members(row: Mapping[str, Any]) -> dict[str, Any]:
    """Members that older definitions lack: what is absent keeps its default."""
    read: dict[str, Callable[[Any], Any]] = {
        "version": int, "issuers": _texts, "matters": _texts, "seal_kind": str, "template": str, "most_holders": int,
        "offline_fields": _texts, "sharing": _parse_sharing, "exact_term": bool, "own_documents": bool,
        "aliases": _texts,
    }  # fmt: skip
    return {name: reader(row[name]) for name, reader in read.items() if name in row}


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of texts")
    return tuple(str(one) for one in value)


def _parse_sharing(value: Any) -> Sharing:
    return Sharing(SharingClass(value["class"]), str(value.get("basis", "")), str(value.get("condition", "")))


def definition(kind: CertificateType) -> dict[str, object]:
    """The JSON object of a type; the inverse of :func:`parse_type`."""
    # Absent where it is not: older definitions keep their digest.
    own: dict[str, object] = {"own_documents": True} if kind.own_documents else {}
    return own | {
        "code": kind.code,
        "name_zh": kind.name_zh,
        "name_en": kind.name_en,
        "holder_kind": kind.holder_kind.value,
        "issued_here": kind.issued_here,
        "open_ended": kind.open_ended,
        "max_years": kind.max_years,
        "fields": [_field_definition(one) for one in kind.fields],
        "version": kind.version,
        "issuers": list(kind.issuers),
        "matters": list(kind.matters),
        "seal_kind": kind.seal_kind,
        "template": kind.template,
        "most_holders": kind.most_holders,
        "offline_fields": list(kind.offline_fields),
        "sharing": {"class": kind.sharing.sharing_class.value, "basis": kind.sharing.basis, "condition": kind.sharing.condition},
        "exact_term": kind.exact_term,
        "aliases": list(kind.aliases),
    }


def _field_definition(one: Field) -> dict[str, object]:
    return {
        "name": one.name, "short": one.short, "mandatory": one.mandatory, "mask": one.mask.value, "kind": one.kind.value,
        "longest": one.longest, "pattern": one.pattern, "choices": list(one.choices),
    }  # fmt: skip


def definition_digest(kind: CertificateType) -> bytes:
    """The SHA-256 of the definition in canonical JSON: what a reviewer agrees to."""
    return hashlib.sha256(orjson.dumps(definition(kind), option=orjson.OPT_SORT_KEYS)).digest()


def search_text(kind: CertificateType) -> str:
    """What a search looks in: code, names and field names, folded as :func:`folded` folds what is searched for."""
    return folded(" ".join((kind.code, kind.name_zh, kind.name_en, *kind.aliases, *(one.name for one in kind.fields))))


def folded(text: str) -> str:
    """Width and case make no difference: NFKC, lower case, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def order_fields(kind: CertificateType, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The fields in the type's order; raises :class:`InvalidInput` naming every field that is unknown, missing or too long."""
    known = {one.name: one for one in kind.fields}
    errors = [_field_error(name, "unknown field") for name in given if name not in known]
    errors += [_field_error(one.name, "missing") for one in kind.fields if one.mandatory and not given.get(one.name, "").strip()]
    errors += [_field_error(name, "too long") for name, value in given.items() if len(value) > _longest(known.get(name))]
    if errors:
        raise InvalidInput("fields do not fit the type", errors=errors)
    return tuple((one.name, given[one.name].strip()) for one in kind.fields if given.get(one.name, "").strip())


def _longest(field: Field | None) -> int:
    return field.longest if field else MAX_FIELD_LENGTH


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
    if kind.max_years is None:
        return None
    end = _years_later(valid_from, kind.max_years)
    if valid_to > end:
        return f"longer than {kind.max_years} years"
    if kind.exact_term and valid_to < end - dt.timedelta(days=1):
        return f"shorter than {kind.max_years} years"
    return None


def _years_later(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, month=3, day=1)


def check_holder_kind(kind: CertificateType, code_types: tuple[str, ...]) -> None:
    """Raise :class:`InvalidInput` when a holder's code type is not one the type can be given to, or there are too many holders."""
    if len(code_types) > kind.most_holders:
        raise InvalidInput("too many holders", errors=[_field_error("holders", f"at most {kind.most_holders} holders of this type")])
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
