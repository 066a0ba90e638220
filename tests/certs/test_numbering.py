import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.numbering import check_character, inspect_identifier, make_identifier

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "identifiers.json").read_text())
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["serial"])
def test_real_numbers_have_the_check_character_we_compute(vector: dict[str, str]) -> None:
    made = make_identifier(vector["type"], vector["issuer"], vector["serial"], vector["version"])
    assert made.check == vector["check"]
    assert str(made) == ".".join(["1.2.156.3005.2", vector["type"], vector["issuer"], vector["serial"], vector["version"], vector["check"]])


@given(st.text(ALPHABET, min_size=1, max_size=60), st.data())
def test_any_wrong_character_is_noticed(text: str, data: st.DataObject) -> None:
    check = check_character(text)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([one for one in ALPHABET if one != text[place]]))
    assert check_character(text[:place] + other + text[place + 1 :]) != check


def test_judging_identifiers_from_outside() -> None:
    good = str(make_identifier("11990100MB0000035A002", "11990100MB0000035A", "20260000001"))
    assert inspect_identifier(good).flags == ()
    assert inspect_identifier(good.replace("3005", "3003")).flags == ("identifier_root",)
    assert inspect_identifier(good[:-1] + ("0" if good[-1] != "0" else "1")).flags == ("identifier_check",)
    assert inspect_identifier(str(make_identifier("11100000MB03271699022", "340100", "000000016"))).flags == ("identifier_region_issuer",)
    for broken in ("", "1.2.3", good + ".", good.lower(), good.replace("20260000001", ""), "." * 20):
        assert inspect_identifier(broken).flags == ("identifier_format",)
        assert inspect_identifier(broken).identifier is None


def test_ten_thousand_generated_identifiers_check_and_a_changed_character_does_not() -> None:
    chance = random.Random(36904)
    for _ in range(10_000):
        kind, issuer = "".join(chance.choices(ALPHABET, k=21)), "".join(chance.choices(ALPHABET, k=18))
        made = str(
            make_identifier(kind, issuer, "".join(chance.choices(ALPHABET, k=chance.randint(1, 30))), f"{chance.randint(1, 999):03}")
        )
        assert not inspect_identifier(made).flags
        place = chance.randrange(len("1.2.156.3005.2."), len(made))
        if made[place] != ".":
            other = chance.choice(ALPHABET.replace(made[place], ""))
            assert inspect_identifier(made[:place] + other + made[place + 1 :]).flags == ("identifier_check",)
