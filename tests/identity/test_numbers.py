"""Numbers of people and organisations: the shared vectors, the traps, and properties of the check digits."""

import csv
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import numbers
from identity.numbers import CodeType, check, mask, mask_holder, mask_name, normalise

NOW = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)
DATA = Path(__file__).parents[1] / "data" / "identity_numbers.csv"
KINDS = {"resident_id": CodeType.RESIDENT_ID, "uscc": CodeType.USCC}
NOTED_FLAGS = {"check digit": "check_digit_mismatch", "no such date": "no_such_date", "length": "length", "letter I": "characters"}


def vectors() -> list[dict[str, str]]:
    with DATA.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", vectors(), ids=lambda row: row["value"])
def test_every_shared_vector(row: dict[str, str]) -> None:
    report = check(KINDS[row["kind"]], row["value"], NOW)
    assert report.passes is (row["check_passes"] == "True")
    if row["note"] in NOTED_FLAGS:
        assert NOTED_FLAGS[row["note"]] in report.flags


@pytest.mark.parametrize("code", ["91350211M0000XUF46", "91350100M0001TGQXM"])
def test_a_live_credit_code_with_a_wrong_digit_is_put_to_the_registry(code: str) -> None:
    report = check(CodeType.USCC, code)
    assert report.well_formed
    assert "check_digit_mismatch" in report.flags


def test_full_width_is_read_only_on_request() -> None:
    wide = "１１０１０５１９４９１２３１００２Ｘ"
    assert check("111", wide).flags == ("characters",)
    assert check("111", normalise(wide, fullwidth=True)).passes


@pytest.mark.parametrize("digits", ["११०१०५१९४९१२३१००२X", "11010519491231002Ⅹ", "11010519491231002χ", "²1010519491231002X"])
def test_digits_of_other_scripts_are_characters_not_digits(digits: str) -> None:
    assert check("111", digits).flags == ("characters",)


def test_lower_case_x_is_the_same_number_and_long_s_is_not_s() -> None:
    assert check("111", " 11010519491231002x ").passes
    assert normalise("ſı") == "ſı"


@pytest.mark.parametrize("authority", numbers.AUTHORITIES)
def test_every_registering_authority_is_known(authority: str) -> None:
    body = f"{authority}1990100MB000001"
    body += numbers.organisation_check_character(body[8:])
    assert check("001", body + numbers.uscc_check_character(body)).passes


def test_an_unknown_authority_only_flags() -> None:
    body = "B1990100MB000001"
    body += numbers.organisation_check_character(body[8:])
    report = check("001", body + numbers.uscc_check_character(body))
    assert (report.well_formed, report.flags) == (True, ("authority",))


@pytest.mark.parametrize("char", "IOZSV")
def test_letters_that_look_like_digits_are_in_no_credit_code(char: str) -> None:
    assert check("001", "9135010" + char + "M000100Y43").flags == ("characters",)


def resident(region: str, born: str, sequence: str) -> str:
    body = region + born + sequence
    return body + numbers.resident_check_digit(body)


def test_a_birth_date_to_come_is_refused_in_china_standard_time() -> None:
    tomorrow = resident("990100", "20261122", "001")
    assert check("111", tomorrow, NOW).flags == ("future_date",)
    # 2026-11-21T16:00Z is already the 22nd in China.
    assert check("111", tomorrow, dt.datetime(2026, 11, 21, 16, 0, tzinfo=dt.UTC)).passes
    assert check("111", tomorrow).passes


@pytest.mark.parametrize("born", ["19000229", "20230230", "19991301", "20000000", "00010101", "17991231"])
def test_a_birth_date_must_exist(born: str) -> None:
    assert "no_such_date" in check("111", resident("110105", born, "001"), NOW).flags


def test_a_leap_day_exists() -> None:
    report = check("111", resident("110105", "20000229", "001"), NOW)
    assert report.passes
    assert report.birth_date == dt.date(2000, 2, 29)


@pytest.mark.parametrize(("region", "resident_ok", "permit_ok"), [
    ("810000", True, True), ("820000", True, True), ("830000", True, True),
    ("810001", False, False), ("110105", True, False), ("000000", False, False), ("910000", False, False), ("710000", True, False),
])  # fmt: skip
def test_regions_of_resident_ids_and_residence_permits(region: str, resident_ok: bool, permit_ok: bool) -> None:
    number = resident(region, "19900307", "777")
    assert check("111", number, NOW).passes is resident_ok
    assert check(CodeType.RESIDENCE_PERMIT, number, NOW).passes is permit_ok


def test_the_kind_is_declared_not_inferred() -> None:
    permanent = resident("911840", "19840101", "001")  # 9, Beijing (11), United States (840)
    assert check(CodeType.PERMANENT_RESIDENT, permanent, NOW).passes
    assert "region" in check("111", permanent, NOW).flags
    demonstration = resident("990100", "19840101", "001")
    assert check("111", demonstration, NOW).passes
    assert "region" in check(CodeType.PERMANENT_RESIDENT, demonstration, NOW).flags


def test_the_old_permanent_resident_card_stays_valid() -> None:
    assert check(CodeType.PERMANENT_RESIDENT, "USA110084010112").passes
    assert check(CodeType.PERMANENT_RESIDENT, "USA110084023012").flags == ("no_such_date",)
    assert check(CodeType.PERMANENT_RESIDENT, "US1110084010112").flags == ("characters",)
    # 29 February 1900 did not exist, 29 February 2000 did: the century is not told.
    assert check(CodeType.PERMANENT_RESIDENT, "USA110000022912").passes


@pytest.mark.parametrize(("kind", "good", "bad"), [
    (CodeType.HONG_KONG_MACAO_PERMIT, "H12345678", "A12345678"),
    (CodeType.HONG_KONG_MACAO_PERMIT, "M1234567801", "H123456780"),
    (CodeType.TAIWAN_PERMIT, "12345678", "1234567A"),
    (CodeType.PASSPORT, "E12345678", "X12345678"),
    (CodeType.PASSPORT, "EA1234567", "EI1234567"),
    (CodeType.DIPLOMATIC_PASSPORT, "DE1234567", "EE1234567"),
    (CodeType.OTHER_PERSON, "军字第1234号", ""),
    (CodeType.SERVICE_OFFICER, "南字第1号", "\x00"),
])  # fmt: skip
def test_travel_documents(kind: CodeType, good: str, bad: str) -> None:
    assert check(kind, good).passes
    assert not check(kind, bad).well_formed


def test_an_unknown_kind_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="777"):
        check("777", "11010519491231002X")


@pytest.mark.parametrize("kind", list(CodeType))
@given(value=st.text(max_size=70))
def test_any_text_gets_an_answer_with_known_flags(kind: CodeType, value: str) -> None:
    report = check(kind, value, NOW)
    assert set(report.flags) <= set(numbers.FLAGS)
    assert report.well_formed or report.flags


births = st.dates(dt.date(1900, 1, 1), dt.date(2026, 11, 21)).map(lambda date: date.strftime("%Y%m%d"))
regions = st.sampled_from(["110105", "990100", "659001", "810000"])
residents = st.builds(resident, regions, births, st.from_regex(r"[0-9]{3}", fullmatch=True))
credit_bodies = st.builds(
    lambda head, region, organisation: head + region + organisation + numbers.organisation_check_character(organisation),
    st.sampled_from(["91", "11", "N2", "A1", "Y1"]),
    st.from_regex(r"[0-9]{6}", fullmatch=True),
    st.text(numbers.USCC_ALPHABET, min_size=8, max_size=8),
)


@given(residents, st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_caught(number: str, place: int, shift: int) -> None:
    assert check("111", number, NOW).passes
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    assert not check("111", wrong, NOW).well_formed


@given(residents, st.integers(0, 15))
def test_two_neighbours_swapped_are_always_caught(number: str, place: int) -> None:
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert check("111", swapped, NOW).well_formed is (swapped == number)


@given(credit_bodies, st.integers(0, 17), st.integers(1, 30))
def test_one_wrong_character_of_a_credit_code_is_always_flagged(body: str, place: int, shift: int) -> None:
    code = body + numbers.uscc_check_character(body)
    assert "check_digit_mismatch" not in check("001", code).flags
    alphabet = numbers.USCC_ALPHABET
    wrong = code[:place] + alphabet[(alphabet.index(code[place]) + shift) % 31] + code[place + 1 :]
    assert "check_digit_mismatch" in check("001", wrong).flags


@given(residents)
def test_exactly_one_check_digit_fits(number: str) -> None:
    fitting = [digit for digit in "0123456789X" if check("111", number[:17] + digit, NOW).passes]
    assert fitting == [number[17]]


def test_masks() -> None:
    assert mask("11010519491231002X") == "110***********002X"
    assert mask("E12345678") == "E******78"
    assert mask("12345") == "*****"
    assert mask("") == ""
    assert mask_name("钱晓明") == "钱**"
    assert mask_name("") == ""
    assert mask_holder("111", "卫思远") == "卫**"
    assert mask_holder("001", "示范市白鹤建材有限公司") == "示范市白鹤建材有限公司"


@given(st.text(min_size=1, max_size=40))
def test_a_mask_keeps_the_length_and_hides_more_than_half_of_an_id_number(value: str) -> None:
    masked = mask(value)
    assert len(masked) == len(value)
    assert masked.count("*") >= len(value) / 2


def test_one_number_under_two_kinds_is_one_number() -> None:
    assert numbers.index_family(CodeType.RESIDENCE_PERMIT) == numbers.index_family(CodeType.RESIDENT_ID)
    assert numbers.index_family(CodeType.PERMANENT_RESIDENT) != numbers.index_family(CodeType.RESIDENT_ID)
