"""Shares of the key-encryption key: enough bring it back, fewer or wrong ones are refused without a word of them."""

import itertools
import secrets
from pathlib import Path

import pytest

from keys.custody.errors import KeyFileExists
from keys.custody.shares import SharesInvalid, file_of_shares, join, shares_of_file, split
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose


def test_any_three_of_five_bring_the_key_back() -> None:
    secret = secrets.token_bytes(32)
    shares = split(secret, 3, 5)
    assert len(set(shares)) == 5
    assert join(shares) == secret
    assert {join(chosen) for chosen in itertools.combinations(shares, 3)} == {secret}


def test_capitals_and_spaces_of_handwriting_do_not_matter() -> None:
    secret = secrets.token_bytes(32)
    shares = split(secret, 2, 3)
    assert join([f"  {shares[0].upper()}\n", shares[2].replace(" ", "   "), ""]) == secret


def _changed_word(share: str) -> str:
    words = share.split()
    words[7] = "academic" if words[7] != "academic" else "acid"
    return " ".join(words)


@pytest.mark.parametrize("case", ["too few", "one twice", "two sets", "a wrong word", "no share", "not words", "one missing a word"])
def test_what_does_not_fit_is_refused_and_not_quoted(case: str) -> None:
    shares, others = split(b"\1" * 32, 3, 5), split(b"\2" * 32, 3, 5)
    given = {
        "too few": shares[:2],
        "one twice": (shares[0], shares[0], shares[1]),
        "two sets": (*shares[:2], others[2]),
        "a wrong word": (*shares[:2], _changed_word(shares[2])),
        "no share": (),
        "not words": ("钥匙", "\0", "1 2 3"),
        "one missing a word": (*shares[:2], shares[2].rpartition(" ")[0]),
    }[case]
    with pytest.raises(SharesInvalid) as refusal:
        join(given)
    assert refusal.value.__cause__ is None
    told = f"{refusal.value} {refusal.value.detail}"
    assert not any(word in told.split() for share in given for word in share.split() if len(word) > 3)


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (1, 5), (0, 3), (4, 3), (2, 17)])
def test_numbers_that_make_no_sense_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(SharesInvalid):
        split(b"\1" * 32, threshold, count)


def test_two_sets_of_one_key_are_different_sets() -> None:
    first, second = split(b"\1" * 32, 2, 3), split(b"\1" * 32, 2, 3)
    assert set(first).isdisjoint(second)
    with pytest.raises(SharesInvalid):
        join((first[0], second[1]))


def test_a_lost_file_comes_back_from_paper(tmp_path: Path) -> None:
    store = SoftwareKeyStore.create(tmp_path / "key-encryption-key")
    key = store.generate(Algorithm.P256, Purpose.SEALS)
    shares = shares_of_file(store.path, 2, 3)
    store.path.unlink()
    file_of_shares(shares[1:], store.path)
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert SoftwareKeyStore(store.path).sign(key, b"again", Purpose.SEALS)


def test_a_file_that_stands_is_not_replaced(tmp_path: Path) -> None:
    store = SoftwareKeyStore.create(tmp_path / "key-encryption-key")
    shares = shares_of_file(store.path, 2, 3)
    with pytest.raises(KeyFileExists):
        file_of_shares(shares, store.path)
