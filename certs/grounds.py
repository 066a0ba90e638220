"""Why a certificate's status changes: the reason in words, its code, and the law it rests on. Pure.

The shipped reasons lie in ``certs/data/move_reasons.json``; a house adds its own (``certs.reason_keeping``). What a code says never
changes, because old histories speak by it: a reason that is wrong is retired, and another takes its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import orjson

from certs.approvals import is_clean
from certs.privacy import holds_number
from keys.base.errors import InvalidInput

MAX_REASON = 200
MAX_BASIS = 300


class ReasonRequired(InvalidInput):
    """A change of status needs a reason."""

    code = "REASON_REQUIRED"
    public = ("请填写理由（1–200 字，不含证件号码）。", "A reason is required (1–200 characters, without ID numbers).")


class ReasonCodeUnknown(InvalidInput):
    """There is no such reason, or it does not belong to this move."""

    code = "REASON_CODE_UNKNOWN"
    public = ("没有这个理由代码，或其不适用于此操作。", "There is no such reason code, or it does not fit this change.")


class LegalBasisMalformed(InvalidInput):
    """The legal basis is too long or not printable."""

    code = "LEGAL_BASIS_MALFORMED"
    public = ("法律依据应为不超过 300 字的文字，不含证件号码。", "A legal basis is a text of at most 300 characters, without ID numbers.")


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why: ``reason`` in the issuer's words, ``code`` of a :class:`MoveReason`, ``legal_basis`` where it is not the code's own.

    With a code the words may be left out: the code's own are used.
    """

    reason: str = ""
    code: str | None = None
    legal_basis: str | None = None


@dataclass(frozen=True, slots=True)
class MoveReason:
    """One reason: the moves it is for, what it says, and the article it rests on (empty: none of its own)."""

    code: str
    moves: tuple[str, ...]
    zh: str
    en: str
    basis_zh: str = ""
    basis_en: str = ""
    active: bool = True
    shipped: bool = True


@cache
def shipped_reasons() -> Mapping[str, MoveReason]:
    """The reasons that come with the product, by code."""
    listed: list[dict[str, Any]] = orjson.loads(resources.files("certs").joinpath("data/move_reasons.json").read_bytes())
    return {one["code"]: MoveReason(**(one | {"moves": tuple(one["moves"])})) for one in listed}


def grounds_of(why: str | Grounds) -> Grounds:
    """Words alone are a reason without a code."""
    return why if isinstance(why, Grounds) else Grounds(why)


def check_reason(reason: str) -> str:
    """The reason as it is kept; raises :class:`ReasonRequired`."""
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON or not is_clean(text) or holds_number(text):
        raise ReasonRequired
    return text


def check_basis(basis: str) -> str:
    """The legal basis as it is kept; raises :class:`LegalBasisMalformed`."""
    text = basis.strip()
    if not 0 < len(text) <= MAX_BASIS or not is_clean(text) or holds_number(text):
        raise LegalBasisMalformed
    return text


def settled(grounds: Grounds, move: str, reason: MoveReason | None) -> Grounds:
    """The grounds as they are written down: ``reason`` is what their code stands for.

    Raises :class:`ReasonCodeUnknown` for a code that is not there, was retired or is for other moves; :class:`ReasonRequired`,
    :class:`LegalBasisMalformed`.
    """
    basis = check_basis(grounds.legal_basis) if grounds.legal_basis else None
    if grounds.code is None:
        return Grounds(check_reason(grounds.reason), None, basis)
    if reason is None or not reason.active or move not in reason.moves:
        raise ReasonCodeUnknown(errors=[{"field": "reason_code", "message": "not a reason for this change"}])
    return replace(grounds, reason=check_reason(grounds.reason or reason.zh), legal_basis=basis or reason.basis_zh or None)
