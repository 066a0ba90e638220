"""What a type's issuing rule says: how its certificates are numbered, and what keeps a further one from being issued. Pure.

A **pattern** writes the number of a certificate (ZZBH): its own text and, in braces,

``{serial:4}``  the running number, of at least so many digits; once
``{year}``      the civil year of issue, four digits; once where the series begins anew each year
``{division}``  the issuer's division (GB/T 2260), ``{issuer}`` its credit code

``示排许字〔{year}〕第{serial:4}号`` writes ``示排许字〔2026〕第0001号``. Braces of the text itself are not possible.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from certs.approvals import is_clean
from keys.base.errors import Conflict, FujieError, InvalidInput

LONGEST_NUMBER = 64
MOST_DIGITS = 12
_PART = re.compile(r"\{([^{}]*)\}")
_SERIAL = re.compile(r"serial:([1-9][0-9]?)")
_NAMES = frozenset({"year", "division", "issuer"})


class InForce(StrEnum):
    """How many valid certificates of the type somebody can hold."""

    ANY = "any"
    ONE_PER_ISSUER = "one_per_issuer"
    ONE = "one"


class IssuingRuleMalformed(InvalidInput):
    """``extra['errors']`` names what is wrong."""

    code = "ISSUING_RULE_MALFORMED"
    public = ("签发规则的内容不正确。", "The issuing rule is not well-formed.")


class NumberNotByRule(FujieError):
    """``extra['pattern']`` is how numbers of this type are written."""

    code = "NUMBER_NOT_BY_RULE"
    status = 422
    public = ("证照编号不符合该类型的编号规则。", "The number is not written as the rule for this type of certificate says.")


class NumberTaken(Conflict):
    """Another certificate of the type and issuer has this number."""

    code = "NUMBER_TAKEN"
    public = ("该证照编号已被同一机构的另一份同类证照使用。", "Another certificate of this type and issuer has this number.")


class CertificateInForce(Conflict):
    """A holder has a valid certificate of the type. ``extra['identifier']`` is its identifier, where the same organisation issued it."""

    code = "CERTIFICATE_IN_FORCE"
    public = (
        "持证主体已持有有效的同类证照，请办理变更或延续，或先注销原证。",
        "The holder has a valid certificate of this type: change or renew that one, or cancel it first.",
    )


@dataclass(frozen=True, slots=True)
class IssuingRule:
    """``issuer`` is a credit code; empty: every issuer without a rule of its own.

    ``pattern``        how numbers are written; empty: the department gives them as it likes
    ``yearly``         the series begins at 1 in each civil year
    ``common``         all issuers number in one series; else each in its own
    ``unique_number``  no number twice for an issuer, not for the same holder either; a pattern implies it
    ``in_force``       how many valid ones a holder can have
    """

    type_code: str
    issuer: str = ""
    pattern: str = ""
    yearly: bool = True
    common: bool = False
    unique_number: bool = False
    in_force: InForce = InForce.ANY

    def series(self, issuer: str, year: int) -> tuple[str, int]:
        """(issuer, year) of the series that a certificate of this issuer and year is numbered in."""
        return "" if self.common else issuer, year if self.yearly else 0


@dataclass(frozen=True, slots=True)
class Read:
    """A number taken apart. ``year`` is None where the pattern has none."""

    serial: int
    year: int | None


def check_rule(rule: IssuingRule) -> None:
    """Raises :class:`IssuingRuleMalformed`."""
    message = _fault(rule) if rule.pattern else None
    if message is not None:
        raise IssuingRuleMalformed(message, errors=[{"field": "pattern", "message": message}])


def _fault(rule: IssuingRule) -> str | None:
    parts = _PART.findall(rule.pattern)
    serials = [found for found in map(_SERIAL.fullmatch, parts) if found]
    if len(serials) != 1 or int(serials[0].group(1)) > MOST_DIGITS:
        return f"{{serial:N}} once, N from 1 to {MOST_DIGITS}"
    if not all(part in _NAMES or _SERIAL.fullmatch(part) for part in parts) or set(_PART.sub("", rule.pattern)) & {"{", "}"}:
        return "an unknown part in braces"
    if len(set(parts)) != len(parts):
        return "a part stands twice"
    if rule.yearly and "year" not in parts:
        return "a series that begins anew each year has {year}"
    if (
        not is_clean(rule.pattern)
        or not rule.pattern.strip()
        or len(write_number(rule, serial=1, year=2000, issuer="0" * 18)) > LONGEST_NUMBER
    ):
        return f"writes at most {LONGEST_NUMBER} printable characters"
    return None


def write_number(rule: IssuingRule, *, serial: int, year: int, issuer: str, division: str = "000000") -> str:
    """The number with that serial."""
    values = {"year": f"{year:04d}", "division": division, "issuer": issuer}

    def written(part: re.Match[str]) -> str:
        width = _SERIAL.fullmatch(part.group(1))
        return f"{serial:0{width.group(1)}d}" if width else values[part.group(1)]

    return _PART.sub(written, rule.pattern)


def read_number(rule: IssuingRule, number: str, *, issuer: str, division: str) -> Read:
    """The number taken apart; raises :class:`NumberNotByRule` where the pattern does not write it so."""
    values = {"year": "(?P<year>[0-9]{4})", "division": re.escape(division), "issuer": re.escape(issuer)}
    expression = "".join(
        values.get(part, f"(?P<serial>[0-9]{{1,{MOST_DIGITS}}})") if inside else re.escape(part)
        for inside, part in ((place % 2, part) for place, part in enumerate(_PART.split(rule.pattern)))
    )
    found = re.fullmatch(expression, number)
    if found is None:
        raise NumberNotByRule(pattern=rule.pattern)
    serial, year = int(found["serial"]), found.groupdict().get("year")
    as_written = write_number(rule, serial=serial, year=int(year or 0), issuer=issuer, division=division)
    if serial == 0 or as_written != number:
        raise NumberNotByRule(pattern=rule.pattern)
    return Read(serial, int(year) if year else None)
