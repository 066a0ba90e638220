"""The form of a window: what a clerk types for one certificate, and the approval it stands for. Pure but for :func:`choices_for` and
:func:`with_photograph`.
"""

import base64
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from api.pages.forms import typed
from api.pages.guard import house_of
from certs.approvals import Approval, HolderInput
from certs.catalogue import CODE_TYPE_NAMES, CertificateType, suits
from certs.forms import Form, form_of
from certs.issuing_rules import IssuingRule
from certs.merging import MERGED_FIELD
from certs.numbers import rule_for
from certs.photographs import MOST_OCTETS, decoded, kept
from certs.privacy import holds_number
from certs.windows import issuers_at
from identity.numbers import CodeType
from keys.base.actor import Actor
from keys.base.errors import InvalidInput, NotFound
from keys.base.ids import new_code
from seal.lifecycle import Status
from seal.matters import list_matters
from seal.reads import Seal, Wanted, find_seals

MOST_HOLDERS = 10
MOST_SEALS = 100
LONGEST_PHOTO = 1 << 19
"""Of one that was made ready, in base64."""
COPIES_EN: Mapping[str, str] = {"正本": "Original 正本", "副本": "Duplicate 副本"}
CODE_TYPES_EN: Mapping[str, str] = {
    CodeType.USCC: "Unified social credit code", CodeType.OTHER_LEGAL_PERSON: "Other organisation's number",
    CodeType.RESIDENT_ID: "Resident ID number", CodeType.PASSPORT: "Passport", CodeType.TAIWAN_PERMIT: "Taiwan residents' permit",
    CodeType.HONG_KONG_MACAO_PERMIT: "Hong Kong and Macao residents' permit", CodeType.PERMANENT_RESIDENT: "Permanent residence ID card",
    CodeType.RESIDENCE_PERMIT: "Residence permit", CodeType.OTHER_PERSON: "Other person's number",
}  # fmt: skip
"""Those a window offers; systems may send any of GB/T 36903."""


@dataclass(frozen=True, slots=True)
class HolderTyped:
    """One holder as typed. The number has no ``repr``."""

    name: str = ""
    code: str = ""
    code_type: str = ""

    def __repr__(self) -> str:
        return f"HolderTyped(code_type={self.code_type!r})"

    @property
    def empty(self) -> bool:
        return not self.name.strip() and not self.code.strip()


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, as it is shown again. ``fields`` by short name; ``key``: the form's own, so that sent twice it issues once.

    ``photo``: base64 of what was uploaded, made ready; the page keeps it, and nobody else, until it is issued.
    """

    number: str = ""
    matter: str = ""
    seal: str = ""
    valid_from: str = ""
    valid_to: str = ""
    holders: tuple[HolderTyped, ...] = (HolderTyped(),)
    fields: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    photo: str = field(default="", repr=False)
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the form offers: seals of the eligible issuers and matters as (code, words), kinds of numbers, and the number rule."""

    seals: list[tuple[str, str]]
    matters: list[tuple[str, str]]
    code_types: list[tuple[str, str]]
    rule: IssuingRule
    issuers: Mapping[str, str]
    """Seal code → its organisation's credit code."""


class DateUnreadable(InvalidInput):
    """A day is not written as the form asks for it."""

    code = "DATE_UNREADABLE"
    public = ("请按“年-月-日”填写日期，例如 2026-11-22。", "Write the day as year-month-day, for example 2026-11-22.")


def empty_form(today: dt.date) -> Typed:
    return Typed(valid_from=today.isoformat(), key=new_code())


def read_form(form: FormData, kind: CertificateType) -> Typed:
    """As it was typed: a number of a certificate may be long, and only what is issued says whether it is one of a person."""
    count = min(max(int(text) if (text := typed(form, "holders", 2)).isdecimal() else 1, 1), MOST_HOLDERS)
    holders = tuple(
        HolderTyped(typed(form, f"holder_name_{n}"), typed(form, f"holder_code_{n}", 64).strip(), typed(form, f"holder_type_{n}", 3))
        for n in range(count)
    )
    fields = {one.short: typed(form, one.short, 2000) for one in kind.fields}
    return Typed(
        typed(form, "number", 64), typed(form, "matter", 64), typed(form, "seal", 64), typed(form, "valid_from", 10),
        typed(form, "valid_to", 10), holders, fields, typed(form, "key", 64) or new_code(),
        "" if typed(form, "photo_out", 1) else typed(form, "photo_kept", LONGEST_PHOTO), typed(form, "copy", 16),
    )  # fmt: skip


async def with_photograph(request: Request, form: FormData, asked: Typed) -> Typed:
    """With the photograph that was chosen, in place of one that was there. Raises ``PhotographUnusable``."""
    chosen = form.get("photo")
    if not isinstance(chosen, UploadFile) or not chosen.filename:
        return asked
    ready = await house_of(request).workers.run(kept, await chosen.read(MOST_OCTETS + 1))
    return replace(asked, photo=base64.b64encode(ready).decode())


def printed_form(kind: CertificateType) -> Form | None:
    """The form that the type is printed with; None for a type that is not printed from one, or whose form is away."""
    try:
        return None if kind.own_documents else form_of(kind.code, kind.template)
    except NotFound:
        return None


def copies_of(kind: CertificateType, *, chinese: bool) -> list[tuple[str, str]]:
    """The copies there are to choose from; none where there is one."""
    form = printed_form(kind)
    return [(one, one if chinese else COPIES_EN.get(one, one)) for one in form.copies] if form and len(form.copies) > 1 else []


def shown(asked: Typed) -> Typed:
    """As it is shown again: an ID number stands in the field of a holder's number only."""
    holders = tuple(replace(one, name=_unless_number(one.name)) for one in asked.holders)
    fields = {short: _unless_number(text) for short, text in asked.fields.items()}
    return replace(asked, number=_unless_number(asked.number), holders=holders, fields=fields)


def _unless_number(text: str) -> str:
    return "" if holds_number(text) else text


def with_another_holder(asked: Typed) -> Typed:
    return replace(asked, holders=(*asked.holders, HolderTyped())[:MOST_HOLDERS])


def approval_of(kind: CertificateType, asked: Typed, choices: Choices, *, window: str | None, by: str) -> Approval:
    """The approval that the form stands for; its issuer is the seal's organisation. Raises :class:`DateUnreadable`,
    ``PhotographUnusable``.
    """
    return Approval(
        approval_number=asked.number.strip(),
        matter_code=asked.matter,
        certificate_type=kind.code,
        holders=tuple(HolderInput(one.name, one.code, one.code_type) for one in asked.holders if not one.empty),
        fields={one.name: asked.fields.get(one.short, "") for one in kind.fields if asked.fields.get(one.short, "").strip()},
        valid_from=_day("valid_from", asked.valid_from),
        valid_to=_day("valid_to", asked.valid_to) if asked.valid_to else None,
        seal=asked.seal,
        issuer=choices.issuers.get(asked.seal),
        approved_by=by,
        window=window,
        photo=decoded(asked.photo) if asked.photo else None,
        copy=asked.copy,
    )


def _day(name: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise DateUnreadable(errors=[{"field": name, "message": "YYYY-MM-DD"}]) from None


def typed_fields(kind: CertificateType) -> list[dict[str, object]]:
    """The type's own fields for the page. What a merged licence took up is not typed here: systems bring it."""
    return [
        {
            "short": one.short, "name": one.name, "mandatory": one.mandatory, "kind": one.kind.value, "longest": one.longest,
            "choices": [("", ""), *((choice, choice) for choice in one.choices)], "long": one.longest > 100 and _often_long(one.name),
        }
        for one in kind.fields
        if one.short != MERGED_FIELD
    ]  # fmt: skip


def _often_long(name: str) -> bool:
    return any(word in name for word in ("范围", "内容", "项目", "状况", "事项", "附记", "备注"))


async def choices_for(request: Request, actor: Actor, kind: CertificateType, *, chinese: bool) -> Choices:
    """Of the issuers whose approvals this person may bring, those that may issue the type."""
    house = house_of(request)
    async with house.database.session() as session:
        issuers = [one for one in await issuers_at(session, actor) if not kind.issuers or one in kind.issuers]
        seals: list[Seal] = []
        for uscc in issuers:
            found = await find_seals(session, Wanted(organisation=uscc, status=Status.ACTIVE), limit=MOST_SEALS)
            seals += [one for one in found if not kind.seal_kind or one.kind == kind.seal_kind]
        matters = [one for uscc in issuers for one in await list_matters(session, organisation=uscc)]
        rule = await rule_for(session, kind.code, issuers[0] if issuers else "")
    suited = [(code, name if chinese else CODE_TYPES_EN[code]) for code, name in CODE_TYPE_NAMES.items() if code in CODE_TYPES_EN]
    return Choices(
        [(one.code, one.name) for one in seals],
        [(one.code, one.name) for one in matters if one.is_approval and (not kind.matters or one.code in kind.matters)],
        [(code, words) for code, words in suited if suits(kind, code)],
        rule,
        {one.code: one.organisation for one in seals},
    )
