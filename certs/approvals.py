"""An approval that asks for a certificate, and why it may be refused. Pure."""

import datetime as dt
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from certs.own_paper_values import OwnPaper
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput


@dataclass(frozen=True, slots=True)
class HolderInput:
    """A holder as the client names them. ``code_type`` of GB/T 36903; a person's ``code`` is secret: it has no ``repr``."""

    name: str
    code: str
    code_type: str

    def __repr__(self) -> str:
        return f"HolderInput(code_type={self.code_type!r})"


@dataclass(frozen=True, slots=True)
class Succession:
    """The certificate takes the place of another: ``move`` is ``renew``, ``change`` or ``transfer_in``; why, as ``certs.grounds`` says."""

    certificate_id: uuid.UUID
    move: str
    reason: str
    reason_code: str | None = None
    legal_basis: str | None = None


@dataclass(frozen=True, slots=True)
class Absorption:
    """What the certificate takes up (多证合一): a type, and the holder's certificate of it where there is one (``certs.merging``)."""

    type_code: str
    certificate_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval event (CONTRACT.md, ``POST /api/v1/approvals``).

    ``approval_number`` becomes the certificate's number; empty: the type's rule makes it (``certs.numbers``).
    ``seal`` is a seal's code, or its kind within the issuer; ``issuer`` a USCC, by default the client's organisation;
    ``approved_by``, ``approved_at`` and ``window`` say who decided, when and where, as the approving system knows it.
    ``photo``: the holder's, a JPEG or PNG, where the type's form has a place for it; ``copy``: which of the form's copies is printed (正本,
    副本), by default the first.
    """

    approval_number: str
    matter_code: str
    certificate_type: str
    holders: tuple[HolderInput, ...]
    fields: Mapping[str, str]
    valid_from: dt.date
    valid_to: dt.date | None
    seal: str
    issuer: str | None = None
    approved_by: str | None = None
    approved_at: str | None = None
    window: str | None = None
    succeeds: Succession | None = None
    absorbs: tuple[Absorption, ...] = ()
    paper: OwnPaper | None = None
    photo: bytes | None = field(default=None, repr=False)
    copy: str = ""


class OutcomeStatus(StrEnum):
    ISSUED = "issued"
    AWAITING_STAMP = "awaiting_stamp"
    AWAITING_GLYPH = "awaiting_glyph"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to an approval; the same key is always given the same one."""

    id: uuid.UUID
    identifier: str
    verification_code: str
    status: OutcomeStatus


class IdempotencyKeyRequired(FujieError):
    """An unsafe call came without ``Idempotency-Key``."""

    code = "IDEMPOTENCY_KEY_REQUIRED"
    status = 400
    public = (
        "请求须带 Idempotency-Key 头（1–128 个可见字符）。",
        "The request needs an Idempotency-Key header (1–128 visible characters).",
    )


class IdempotencyKeyReused(FujieError):
    """The key came before, with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422
    public = ("该 Idempotency-Key 已用于内容不同的请求。", "This Idempotency-Key was used for a request with another body.")


class IssuingInProgress(Conflict):
    """The first request with this key is still being worked on, or somebody else works on this certificate."""

    code = "ISSUING_IN_PROGRESS"
    public = ("该证照正在签发，请稍后再试。", "This certificate is being issued. Please try again shortly.")


class IssuingVoided(Conflict):
    """The first attempt was refused and left nothing; the key is free again."""

    code = "ISSUING_VOIDED"
    public = ("上一次签发未成功，未留下任何证照，请重新提交。", "The first attempt failed and left nothing. Please send it again.")


class TypeTakesNoDocument(FujieError):
    """The type is printed from its template; an issuer's own document is not registered under it."""

    code = "TYPE_TAKES_NO_DOCUMENT"
    status = 422
    public = ("该证照类型不登记颁发机构自有文件。", "An issuer's own document cannot be registered under this type.")


class TypeNeedsDocument(FujieError):
    """The type is of approval documents: it has no template, its paper comes with ``POST /api/v1/documents``."""

    code = "TYPE_NEEDS_DOCUMENT"
    status = 422
    public = ("该类型为批文，请上传文件登记（POST /api/v1/documents）。", "This is a type of approval documents: register the file itself.")


class TypeTakesNoPhotograph(FujieError):
    """The form of the type has no place for a photograph: it would be taken and never be printed."""

    code = "TYPE_TAKES_NO_PHOTOGRAPH"
    status = 422
    public = ("该类证照的版式没有照片位置。", "The form of this type of certificate has no place for a photograph.")


class CopyUnknown(InvalidInput):
    """The form of the type has no such copy; ``extra['errors']`` names those it has."""

    code = "COPY_UNKNOWN"
    public = ("该类证照没有这种文本（正本、副本）。", "This type of certificate has no such copy (original, duplicate).")


class UnknownIssuer(FujieError):
    """The issuer is not registered or not active."""

    code = "UNKNOWN_ISSUER"
    status = 422
    public = ("没有登记这个颁发机构，或其已停用。", "The issuer is not registered here, or no longer active.")


class IssuerNotAllowed(Forbidden):
    """The client may not issue for this organisation."""

    code = "ISSUER_NOT_ALLOWED"
    public = ("该系统无权代此机构签发证照。", "This client may not issue for this organisation.")


class UnknownMatter(FujieError):
    """There is no such matter."""

    code = "UNKNOWN_MATTER"
    status = 422
    public = ("没有这个事项。", "There is no such matter.")


class UnknownSeal(FujieError):
    """The issuer has no such seal."""

    code = "UNKNOWN_SEAL"
    status = 422
    public = ("颁发机构没有这枚印章。", "The issuer has no such seal.")


class HolderNumberInvalid(InvalidInput):
    """A holder's number breaks the rules of its kind; ``extra['errors']`` names which and how, never the number."""

    code = "ID_NUMBER_INVALID"
    public = ("持证主体的证件号码不正确。", "A holder's number is not a valid one.")


class HolderNotFound(FujieError):
    """Name and number of a holder do not agree with the registry; ``extra['errors']`` names which."""

    code = "HOLDER_NOT_FOUND"
    status = 422
    public = ("持证主体的姓名（名称）与证件号码在登记库中不相符。", "A holder's name and number do not agree with the registry.")


class RegistryUnavailable(FujieError):
    """The registry does not keep this kind of number or does not answer."""

    code = "REGISTRY_UNAVAILABLE"
    status = 503
    public = ("登记库暂时无法查询，请稍后再试。", "The registry cannot be asked at the moment. Please try again later.")


class DocumentChanged(Conflict):
    """What was approved is not what would be stamped."""

    code = "DOCUMENT_CHANGED"
    public = (
        "待盖章文件与所审阅的不一致，请刷新后重新审阅。",
        "The document is not the one that was reviewed. Reload and review it again.",
    )


class NotAwaitingStamp(Conflict):
    """The certificate does not wait for a stamp."""

    code = "NOT_AWAITING_STAMP"
    public = ("该证照不在待盖章状态。", "This certificate is not waiting for a stamp.")


MAX_HOLDERS = 50
MAX_ABSORBED = 30
MAX_NUMBER = 64
_LENGTHS = {"matter_code": 64, "certificate_type": 64, "seal": 64}
_OPTIONAL_LENGTHS = {"issuer": 64, "approved_by": 64, "approved_at": 64, "window": 64}
_MAX_NAME = 200
_MAX_CODE = 64
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_shape(approval: Approval) -> None:
    """Raise :class:`InvalidInput` naming every member that is empty, too long or not printable. Values are never repeated."""
    errors = [
        {"field": name, "message": f"1–{longest} printable characters"}
        for name, longest in _LENGTHS.items()
        if not _printable(getattr(approval, name), longest)
    ]
    errors += [
        {"field": name, "message": f"at most {longest} printable characters"}
        for name, longest in _OPTIONAL_LENGTHS.items()
        if getattr(approval, name) is not None and not _printable(getattr(approval, name), longest)
    ]
    if approval.approval_number and not _printable(approval.approval_number, MAX_NUMBER):
        errors.append({"field": "approval_number", "message": f"1–{MAX_NUMBER} printable characters"})
    errors += _holder_errors(approval.holders)
    if len(approval.absorbs) > MAX_ABSORBED or len(set(approval.absorbs)) < len(approval.absorbs):
        errors.append({"field": "absorbs", "message": f"at most {MAX_ABSORBED}, none twice"})
    errors += [
        {"field": name, "message": "not printable"}
        for name, value in approval.fields.items()
        if not is_clean(name + value.replace("\n", ""))
    ]
    if errors:
        raise InvalidInput("the approval is not well-formed", errors=errors)


def _holder_errors(holders: tuple[HolderInput, ...]) -> list[dict[str, str]]:
    if not 0 < len(holders) <= MAX_HOLDERS:
        return [{"field": "holders", "message": f"1–{MAX_HOLDERS} holders"}]
    wrong = [
        {"field": f"holders.{position}.{name}", "message": "empty, too long or not printable"}
        for position, one in enumerate(holders)
        for name, longest in (("name", _MAX_NAME), ("code", _MAX_CODE))
        if not _printable(getattr(one, name), longest)
    ]
    twice = len({(one.code_type, one.code) for one in holders}) < len(holders)
    return [*wrong, {"field": "holders", "message": "a holder stands twice"}] if twice else wrong


def _printable(text: str, longest: int) -> bool:
    return len(text.strip()) > 0 and len(text) <= longest and is_clean(text)


def is_clean(text: str) -> bool:
    """No controls, invisible or direction-changing characters. A rare character that Python does not know yet is fine:
    whether it can be printed is the renderer's question, and it has its own answer.
    """
    return not any(unicodedata.category(character) in _UNSEEN for character in text)
