"""What became of a certificate, in words: "It was valid until …; it was revoked on … because …". Pure; Chinese and English.

1. the last operation that took it out of force, or its period, decides what is told
2. it was valid until the day it first left force: a suspension before a revocation, or its last day, whichever came first
3. the reason stands in the issuer's words; where those are a reason code's own, each language has its own
4. numbers, names and fields that are masked elsewhere are masked here (the caller passes how)
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from certs.grounds import MoveReason
from certs.lifecycle import Standing, Status
from certs.records import Certificate, HistoryEntry
from keys.base.clock import civil_date

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
Words = tuple[str, str]
"""(Chinese, English)."""


@dataclass(frozen=True, slots=True)
class Change:
    """The operation that led to the present status: when, why, and until which day the certificate had been valid.

    ``reason`` and ``legal_basis`` are (Chinese, English); empty texts where there is nothing to tell.
    """

    at: dt.datetime
    reason: Words
    reason_code: str | None
    legal_basis: Words
    valid_until: dt.date | None

    def to_json(self) -> dict[str, object]:
        """The change as the API tells it."""
        return {
            "at": self.at.isoformat(),
            "reason": {"zh": self.reason[0], "en": self.reason[1]},
            "reason_code": self.reason_code,
            "legal_basis": {"zh": self.legal_basis[0], "en": self.legal_basis[1]} if self.legal_basis[0] else None,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
        }


_ENDED: Mapping[Status, Words] = {
    Status.REVOKED: ("被撤销", "revoked"),
    Status.WITHDRAWN: ("被吊销", "withdrawn"),
    Status.CANCELLED: ("被注销", "cancelled"),
    Status.TRANSFERRED: ("迁出", "transferred to another authority"),
}


def change_of(
    found: Certificate, entries: tuple[HistoryEntry, ...], reasons: Mapping[str, MoveReason], hide: Callable[[str], str]
) -> Change | None:
    """The last operation, if it took the certificate out of force. ``hide`` masks what may not be told."""
    if not entries or found.status is Status.VALID or entries[-1].to_status != found.status:
        return None
    last = entries[-1]
    known = reasons.get(last.reason_code or "")
    reason, basis = last.reason.rstrip("。.！!；; "), last.legal_basis or ""
    return Change(
        last.at,
        _both(hide(reason), known.zh if known else "", known.en if known else ""),
        last.reason_code,
        _both(hide(basis), known.basis_zh if known else "", known.basis_en if known else ""),
        _valid_until(found, entries),
    )


def _both(said: str, zh: str, en: str) -> Words:
    """The issuer's words in both languages: a code's own words have their translation, other words stay as they are."""
    return (said, en) if said and said == zh else (said, said)


def _valid_until(found: Certificate, entries: tuple[HistoryEntry, ...]) -> dt.date | None:
    """The day it left force for the last time; None where it never came into force."""
    left = None
    for entry in entries:
        if entry.from_status == Status.VALID and entry.to_status != Status.VALID:
            left = civil_date(entry.at)
    if left is None:
        return None
    if found.valid_from is not None and found.valid_from > left:
        return None
    return min(left, found.valid_to) if found.valid_to is not None else left


def story(status: Standing, found: Certificate | None, change: Change | None) -> Words:
    """What happened to a certificate that is not in force; empty where the record is silent."""
    if found is None:
        return "", ""
    if status is Standing.NOT_YET_VALID and found.valid_from is not None:
        return f"该证照自{_zh(found.valid_from)}起生效。", f"It is valid from {_en(found.valid_from)}."
    if status is Standing.EXPIRED and found.valid_to is not None:
        return f"该证照曾有效，有效期至{_zh(found.valid_to)}。", f"It was valid until {_en(found.valid_to)}."
    if change is None:
        return "", ""
    if status is Standing.SUPERSEDED:
        on = civil_date(change.at)
        return f"该证照曾有效，{_zh(on)}已由新证替代。", f"It was valid once; on {_en(on)} a newer certificate took its place."
    if status is Standing.SUSPENDED:
        return _suspended(change)
    return _ended(found, change) if found.status in _ENDED and status in (Standing.REVOKED, Standing.CANCELLED) else ("", "")


def _suspended(change: Change) -> Words:
    on, (zh, en) = civil_date(change.at), change.reason
    because_zh, because_en = f"因“{zh}”" if zh else "", f" because “{en}”" if en else ""
    return _with_basis(
        (f"该证照自{_zh(on)}起{because_zh}暂停使用。", f"It has been suspended since {_en(on)}{because_en}."), change.legal_basis
    )


def _ended(found: Certificate, change: Change) -> Words:
    on, until, (done_zh, done_en), (zh, en) = civil_date(change.at), change.valid_until, _ENDED[found.status], change.reason
    because_zh, because_en = f"因“{zh}”" if zh else "", f" because “{en}”" if en else ""
    if until is None:
        told = f"该证照未曾生效，{_zh(on)}{because_zh}{done_zh}。", f"It never came into force; it was {done_en} on {_en(on)}{because_en}."
    else:
        told = (
            f"该证照曾有效至{_zh(until)}，{_zh(on)}{because_zh}{done_zh}。",
            f"It was valid until {_en(until)}; it was {done_en} on {_en(on)}{because_en}.",
        )
    if found.successor is not None:
        told = f"{told[0]}已由新证替代。", f"{told[1]} Another certificate has taken its place."
    return _with_basis(told, change.legal_basis)


def _with_basis(told: Words, basis: Words) -> Words:
    return (f"{told[0]}依据：{basis[0]}。", f"{told[1]} Legal basis: {basis[1]}.") if basis[0] else told


def _zh(day: dt.date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _en(day: dt.date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
