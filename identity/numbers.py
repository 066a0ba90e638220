"""Numbers of people and organisations: their form, their check digits, and how they are masked.

Pure. The kind is declared by the caller and never inferred from the digits (STANDARDS §1): division 990100 of the
demonstration and the foreign permanent resident card both begin with 9.

GB 11643-1999 (resident ID), GB 32100-2015 (unified social credit code), GB 11714 (organisation code), ISO 7064 MOD 11-2.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import compress
from operator import mul
from typing import NamedTuple

from keys.base.clock import civil_date


class CodeType(StrEnum):
    """Holder code types of GB/T 36903; those its read part does not list are marked *ours* and may be renumbered."""

    USCC = "001"
    OTHER_LEGAL_PERSON = "099"
    RESIDENT_ID = "111"
    SERVICE_OFFICER = "114"
    ARMED_POLICE_OFFICER = "115"
    SERVICE_SOLDIER = "118"
    ARMED_POLICE_SOLDIER = "119"
    SERVICE_CIVILIAN = "120"
    SERVICE_STUDENT = "122"
    DIPLOMATIC_PASSPORT = "411"
    SERVICE_PASSPORT = "412"
    PUBLIC_AFFAIRS_PASSPORT = "413"
    PASSPORT = "414"
    TAIWAN_PERMIT = "511"
    HONG_KONG_MACAO_PERMIT = "516"
    PERMANENT_RESIDENT = "553"  # ours, after the list of document codes of GA/T 517
    RESIDENCE_PERMIT = "X81"  # ours: residence permit for Hong Kong, Macao and Taiwan residents
    OTHER_PERSON = "999"


LEGAL_PERSON_TYPES = frozenset({CodeType.USCC, CodeType.OTHER_LEGAL_PERSON})


class NumberReport(NamedTuple):
    """What the digits alone can say.

    ``well_formed``  may be put to a registry; a USCC whose only fault is its check digit is, a person's number is not
    ``flags``        faults found, of :data:`FLAGS`
    ``birth_date``   where the number carries a full one
    """

    well_formed: bool
    flags: tuple[str, ...] = ()
    birth_date: dt.date | None = None

    @property
    def passes(self) -> bool:
        """Well-formed without any reservation."""
        return self.well_formed and not self.flags


FLAGS: dict[str, tuple[str, str]] = {
    "length": ("号码位数不对。", "The number has the wrong length."),
    "characters": ("号码中有不允许的字符。", "The number holds a character that is not allowed."),
    "region": ("号码中的行政区划代码不存在。", "The division code in the number does not exist."),
    "no_such_date": ("号码中的出生日期不存在。", "The birth date in the number does not exist."),
    "future_date": ("号码中的出生日期在将来。", "The birth date in the number lies in the future."),
    "check_digit_mismatch": ("号码的校验位不符。", "The number's check digit does not agree."),
    "organisation_code_mismatch": ("主体标识码的校验位不符。", "The check digit of the organisation code inside does not agree."),
    "authority": ("登记管理部门代码不存在。", "The registering authority's code does not exist."),
}
"""Every flag with its sentence for the public (zh, en)."""

# GB/T 2260, provinces; 99 is the demonstration's. Counties come and go and are the registry's business:
# a table of them refuses most numbers given out before the last reform.
_MAINLAND_RANGES = ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65))
_MAINLAND = frozenset(str(code) for first, last in _MAINLAND_RANGES for code in range(first, last + 1))
_PERMIT_REGIONS = frozenset({"810000", "820000", "830000"})
_PROVINCES = _MAINLAND | {"71", "81", "82"}
_RESIDENT_PROVINCES = _MAINLAND | {"71", "99"}
_EARLIEST_BIRTH = dt.date(1850, 1, 1)

_MOD_11_2 = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_MOD_11_2_CHECK = "10X98765432"
_CITIZEN = re.compile("[0-9]{17}[0-9X]")
_CITIZEN_FAULTS = ("region", "no_such_date", "future_date", "check_digit_mismatch")

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC = re.compile(f"[{USCC_ALPHABET}]{{18}}")
_USCC_FAULTS = ("authority", "region", "organisation_code_mismatch", "check_digit_mismatch")
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
AUTHORITIES: dict[str, tuple[str, str]] = {
    "1": ("机构编制", "establishment office"),
    "2": ("外交", "foreign affairs"),
    "3": ("司法行政", "justice"),
    "4": ("文化", "culture"),
    "5": ("民政", "civil affairs"),
    "6": ("旅游", "tourism"),
    "7": ("宗教", "religion"),
    "8": ("工会", "trade unions"),
    "9": ("市场监管", "market regulation"),
    "A": ("中央军委改革和编制办公室", "military establishment"),
    "N": ("农业", "agriculture"),
    "Y": ("其他", "other"),
}
"""Registering authority by the first character of a USCC (GB 32100)."""

_ASCII_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OUTSIDE = 255


def _values_of(alphabet: str) -> bytes:
    """For ``bytes.translate``: each character's place in the alphabet."""
    return bytes(alphabet.find(chr(octet)) % 256 for octet in range(256))


_DIGIT_VALUES, _USCC_VALUES, _BASE_36_VALUES = _values_of("0123456789"), _values_of(USCC_ALPHABET), _values_of(_BASE_36)


def normalise(value: str, fullwidth: bool = False) -> str:
    """Trimmed, ASCII letters in upper case; full-width forms become ASCII only on explicit request.

    Not ``str.upper``: it turns ``ſ`` and ``ı``, which are on no card, into S and I.
    """
    if fullwidth:
        value = unicodedata.normalize("NFKC", value)
    value = value.strip()
    return value.upper() if value.isascii() else value.translate(_ASCII_UPPER)


def resident_check_digit(first17: str) -> str:
    """ISO 7064 MOD 11-2 over 17 ASCII digits."""
    return _MOD_11_2_CHECK[_weighted(first17, _DIGIT_VALUES, _MOD_11_2) % 11]


def uscc_check_character(first17: str) -> str:
    """GB 32100 §4: (31 − Σ) mod 31 over 17 characters of :data:`USCC_ALPHABET`."""
    return USCC_ALPHABET[-_weighted(first17, _USCC_VALUES, _USCC_WEIGHTS) % 31]


def organisation_check_character(first8: str) -> str:
    """GB 11714: 11 − Σ mod 11, written X for 10 and 0 for 11; A=10 … Z=35."""
    return "0X987654321"[_weighted(first8, _BASE_36_VALUES, _ORGANISATION_WEIGHTS) % 11]


def _weighted(text: str, values_of: bytes, weights: tuple[int, ...]) -> int:
    """Σ value × weight. Raises ``ValueError`` where the length is another, or a character has no value."""
    values = text.encode("ascii").translate(values_of)
    if len(values) != len(weights) or _OUTSIDE in values:
        raise ValueError("not the characters of a code")
    return sum(map(mul, values, weights))


def check(code_type: str, value: str, now: dt.datetime | None = None) -> NumberReport:
    """What the number's form says, under the kind its caller declares; ``now`` lets it refuse a birth date to come.

    Raises ``ValueError`` for a code type that is not of :class:`CodeType`.
    """
    today = civil_date(now) if now else dt.date.max
    rule = _RULES.get(code_type) or _RULES[CodeType(code_type)]
    return rule(normalise(value), today)


def _resident(value: str, today: dt.date) -> NumberReport:
    # Systems declare a residence permit as a resident ID too: its number follows GB 11643 with a region of its own.
    return _citizen_form(value, today, value[:2] in _RESIDENT_PROVINCES or value[:6] in _PERMIT_REGIONS)


def _residence_permit(value: str, today: dt.date) -> NumberReport:
    return _citizen_form(value, today, value[:6] in _PERMIT_REGIONS)


def _permanent_resident(value: str, today: dt.date) -> NumberReport:
    """New form (2023): 9, province, nationality (3), birth date, sequence, MOD 11-2. Old: 3 letters and 12 digits."""
    if len(value) != 15:
        return _citizen_form(value, today, value[:1] == "9" and value[1:3] in _PROVINCES)
    old = re.fullmatch(r"[A-Z]{3}([0-9]{2})[0-9]{2}([0-9]{2})([0-9]{2})([0-9]{2})[0-9]{2}", value)
    if old is None:
        return _malformed("characters")
    # Two digits of a year do not tell the century: the date must exist in one of them, and is not reported.
    year, month, day = (int(part) for part in old.groups()[1:])
    exists = any(_date(century + year, month, day) for century in (1900, 2000))
    return NumberReport(exists, () if exists else ("no_such_date",))


def _citizen_form(value: str, today: dt.date, region_known: bool) -> NumberReport:
    if len(value) != 18:
        return _malformed("length")
    if not _CITIZEN.fullmatch(value):
        return _malformed("characters")
    born = _date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    future, mismatch = born is not None and born > today, resident_check_digit(value[:17]) != value[17]
    flags = tuple(compress(_CITIZEN_FAULTS, (not region_known, born is None, future, mismatch)))
    return NumberReport(not flags, flags, born)


def _date(year: int, month: int, day: int) -> dt.date | None:
    try:
        date = dt.date(year, month, day)
    except ValueError:
        return None
    return date if date >= _EARLIEST_BIRTH else None


def _uscc(value: str, today: dt.date) -> NumberReport:
    """Live codes with a wrong digit exist: digits, region and authority only flag; the registry decides."""
    if len(value) != 18:
        return _malformed("length")
    if not _USCC.fullmatch(value):
        return _malformed("characters")
    faults = (
        value[0] not in AUTHORITIES,
        not value[2:8].isdigit(),
        organisation_check_character(value[8:16]) != value[16],
        uscc_check_character(value[:17]) != value[17],
    )
    return NumberReport(True, tuple(compress(_USCC_FAULTS, faults)))


def _malformed(flag: str) -> NumberReport:
    return NumberReport(False, (flag,))


def _pattern(pattern: str, *lengths: int) -> Callable[[str, dt.date], NumberReport]:
    compiled = re.compile(pattern)

    def rule(value: str, today: dt.date) -> NumberReport:
        if compiled.fullmatch(value):
            return NumberReport(True)
        return _malformed("characters" if len(value) in lengths else "length")

    return rule


def _any(value: str, today: dt.date) -> NumberReport:
    """Kinds whose form no standard we have read fixes: something short and printable."""
    if not 1 <= len(value) <= 64:
        return _malformed("length")
    return NumberReport(True) if value.isprintable() else _malformed("characters")


_RULES: Mapping[str, Callable[[str, dt.date], NumberReport]] = {
    CodeType.USCC: _uscc,
    CodeType.OTHER_LEGAL_PERSON: _any,
    CodeType.RESIDENT_ID: _resident,
    CodeType.SERVICE_OFFICER: _any,
    CodeType.ARMED_POLICE_OFFICER: _any,
    CodeType.SERVICE_SOLDIER: _any,
    CodeType.ARMED_POLICE_SOLDIER: _any,
    CodeType.SERVICE_CIVILIAN: _any,
    CodeType.SERVICE_STUDENT: _any,
    CodeType.DIPLOMATIC_PASSPORT: _pattern(r"DE[0-9]{7}|D[0-9]{8}", 9),
    CodeType.SERVICE_PASSPORT: _pattern(r"SE[0-9]{7}|S[0-9]{8}", 9),
    CodeType.PUBLIC_AFFAIRS_PASSPORT: _pattern(r"PE[0-9]{7}|P[0-9]{8}", 9),
    # E and 8 digits, then E, a letter other than I and O, 7 digits; G before 2012.
    CodeType.PASSPORT: _pattern(r"E[0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|G[0-9]{8}", 9),
    CodeType.TAIWAN_PERMIT: _pattern(r"[0-9]{8}", 8),
    CodeType.HONG_KONG_MACAO_PERMIT: _pattern(r"[HM][0-9]{8}(?:[0-9]{2})?", 9, 11),
    CodeType.PERMANENT_RESIDENT: _permanent_resident,
    CodeType.RESIDENCE_PERMIT: _residence_permit,
    CodeType.OTHER_PERSON: _any,
}


def index_family(code_type: str) -> str:
    """The space of numbers a code type belongs to: one number declared under two names is still one number."""
    if code_type == CodeType.RESIDENCE_PERMIT:
        return CodeType.RESIDENT_ID.value
    return code_type


def is_person(code_type: str) -> bool:
    """Whether holders of this code type are people, whose name and number are masked."""
    return code_type not in LEGAL_PERSON_TYPES


def mask(value: str) -> str:
    """``110***********002X``: three and four characters stay of a long number, one and two of a short, none of a tiny one."""
    head, tail = (3, 4) if len(value) >= 15 else (1, 2) if len(value) >= 7 else (0, 0)
    return value[:head] + "*" * (len(value) - head - tail) + value[len(value) - tail :]


def mask_name(name: str) -> str:
    """``钱**``: a person's name but for its first character."""
    return name[:1] + "*" * (len(name) - 1)


def mask_holder(code_type: str, name: str) -> str:
    """A holder's name for the public: people masked, organisations not."""
    return mask_name(name) if is_person(code_type) else name
