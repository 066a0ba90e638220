"""The print against the record, field by field: what a paper says in its text, and what the issuer's record says. Pure.

The comparison itself is made with what the record really holds; what is shown of it is what anybody may see. White space and width make
no difference, nothing else is forgiven. Each field is the same, different, or not found.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from certs.rendering import printed_date, printed_period
from certs.verification import RecordReport

_LONG = 4
"""A value at least this long that stands anywhere on the paper is on the paper; a shorter one has to stand behind its label."""


_NUMBER = ("证照编号", "许可证编号", "编号", "证号", "统一社会信用代码")
_ISSUER = ("颁发机构", "发证机关", "发证单位", "登记机关", "登记机构")
_HOLDER = ("持证主体", "经营者名称", "排水户名称", "名称", "权利人", "姓名")
_ISSUED = ("颁发日期", "发证日期", "登记日期", "核准日期")
_PERIOD = ("有效期", "有效期限", "营业期限")
"""What templates print before each; the first is its name here."""


class Agreement(StrEnum):
    SAME = "same"
    DIFFERENT = "different"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class PrintedField:
    """``recorded``: the record's value as anybody may see it."""

    name: str
    recorded: str
    agreement: Agreement

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "recorded": self.recorded, "agreement": self.agreement.value}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A field's labels on paper, its value as it was printed, and what may be shown of it."""

    labels: tuple[str, ...]
    value: str
    shown: str


def compare(text: str, report: RecordReport) -> tuple[PrintedField, ...]:
    """Every field of the record, as the text of the paper has it; empty where there is no text or no record."""
    if report.certificate is None or not text.strip():
        return ()
    paper = flattened(text)
    return tuple(PrintedField(one.labels[0], one.shown, _agreement(paper, one)) for one in _wanted(report))


def flattened(text: str) -> str:
    """One width (NFKC), and one space for any white space."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _wanted(report: RecordReport) -> Iterable[_Wanted]:
    found = report.certificate
    if found is None:
        return
    yield _Wanted(("证照名称",), found.type_name, found.type_name)
    yield _Wanted(_NUMBER, found.number, found.number)
    yield _Wanted(("电子证照标识",), found.identifier, found.identifier)
    yield _Wanted(_ISSUER, found.issuer_name, found.issuer_name)
    for holder, shown in zip(found.holders, report.holders, strict=True):
        yield _Wanted(_HOLDER, holder.name, shown.name)
    if found.verification_code:
        code = _grouped(found.verification_code)
        yield _Wanted(("验证码", "核验码"), code, code)
    if found.issued_on:
        yield _Wanted(_ISSUED, printed_date(found.issued_on), printed_date(found.issued_on))
    if period := printed_period(found.valid_from, found.valid_to):
        yield _Wanted(_PERIOD, period, period)
    masked = dict(report.fields)
    for name, value in found.fields.items():
        if value.strip() and name in masked:
            yield _Wanted((name,), value, masked[name])


def _agreement(paper: str, wanted: _Wanted) -> Agreement:
    if any(_said(label, wanted.value).search(paper) for label in wanted.labels):
        return Agreement.SAME
    if len(wanted.value) >= _LONG and _alone(wanted.value).search(paper):
        return Agreement.SAME
    if any(_begins(label).search(paper) for label in wanted.labels):
        return Agreement.DIFFERENT
    return Agreement.NOT_FOUND


def _begins(label: str) -> re.Pattern[str]:
    """The label where a label stands: with nothing before it, and with something behind."""
    return re.compile(rf"(?<![^\s:]){_spaced(label)}[\s:]")


def _alone(text: str) -> re.Pattern[str]:
    """The text with nothing before or behind it: one more figure, or one more character of a name, is another value."""
    return re.compile(rf"(?<![^\s:,、；;()]){_spaced(text)}(?![^\s:,、；;()])")


def _said(label: str, value: str) -> re.Pattern[str]:
    """The label, and then the value."""
    return re.compile(rf"{_spaced(label)}[\s:]*{_spaced(value)}(?![^\s:,、；;()])")


def _spaced(text: str) -> str:
    """White space may stand between any two characters: a typesetter breaks lines where it must."""
    return r"\s?".join(re.escape(one) for one in "".join(unicodedata.normalize("NFKC", text).split()))


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
