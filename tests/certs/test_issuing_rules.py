"""Patterns of numbers: what they write they read, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.issuing_rules import IssuingRule, IssuingRuleMalformed, NumberNotByRule, Read, check_rule, read_number, write_number

TYPE, ISSUER, DIVISION = "11990100MB00000435001", "11990100MB00000435", "990100"


def rule(pattern: str, *, yearly: bool = True, common: bool = False) -> IssuingRule:
    return IssuingRule(TYPE, pattern=pattern, yearly=yearly, common=common)


@pytest.mark.parametrize(
    ("pattern", "yearly", "number"),
    [
        ("示排许字〔{year}〕第{serial:4}号", True, "示排许字〔2026〕第0007号"),
        ("JY2{division}{serial:7}", False, "JY29901000000007"),
        ("{issuer}-{year}-{serial:1}", True, "11990100MB00000435-2026-7"),
    ],
)
def test_a_pattern_writes_numbers_and_reads_what_it_wrote(pattern: str, yearly: bool, number: str) -> None:
    own = rule(pattern, yearly=yearly)
    check_rule(own)
    assert write_number(own, serial=7, year=2026, issuer=ISSUER, division=DIVISION) == number
    year = 2026 if "{year}" in pattern else None
    assert read_number(own, number, issuer=ISSUER, division=DIVISION) == Read(7, year)


@given(serial=st.integers(1, 10**9), year=st.integers(1949, 9999), text=st.text("号第字.*+?()[]^$|\\〔〕A", max_size=8))
def test_whatever_text_stands_around_the_parts(serial: int, year: int, text: str) -> None:
    own = rule(f"{text}{{year}}{text}-{{serial:4}}{text}")
    check_rule(own)
    written = write_number(own, serial=serial, year=year, issuer=ISSUER)
    assert read_number(own, written, issuer=ISSUER, division=DIVISION) == Read(serial, year)


def test_a_series_wider_than_its_digits_goes_on() -> None:
    own = rule("{year}-{serial:2}")
    assert write_number(own, serial=100, year=2026, issuer=ISSUER) == "2026-100"
    assert read_number(own, "2026-100", issuer=ISSUER, division=DIVISION).serial == 100


@pytest.mark.parametrize(
    "number", ["示排许字〔2026〕第7号", "示排许字〔2026〕第00007号", "示排许字〔2026〕第0000号", "示排许字〔26〕第0007号", "0007", ""]
)
def test_what_the_pattern_does_not_write_is_refused_with_the_pattern(number: str) -> None:
    own = rule("示排许字〔{year}〕第{serial:4}号")
    with pytest.raises(NumberNotByRule) as refusal:
        read_number(own, number, issuer=ISSUER, division=DIVISION)
    assert refusal.value.extra == {"pattern": own.pattern}


@pytest.mark.parametrize(
    "pattern",
    ["第{year}号", "{year}{serial:0}", "{year}{serial:13}", "{year}{serial:4}{serial:4}", "{serial:4}", "{year}{year}{serial:1}",
     "{year}{month}{serial:4}", "{year}{serial:4}}", "{year}{serial:4}\n", "字" * 60 + "{year}{serial:4}"],
)  # fmt: skip
def test_a_pattern_that_could_not_number_is_refused(pattern: str) -> None:
    with pytest.raises(IssuingRuleMalformed):
        check_rule(rule(pattern))


def test_whose_series_a_number_belongs_to() -> None:
    assert rule("{year}{serial:1}").series(ISSUER, 2026) == (ISSUER, 2026)
    assert rule("{year}{serial:1}", common=True).series(ISSUER, 2026) == ("", 2026)
    assert rule("{serial:1}", yearly=False).series(ISSUER, 2026) == (ISSUER, 0)
