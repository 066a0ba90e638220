"""Identifiers of rows: in order of making, whatever the clock does."""

import uuid

import pytest

from keys.base import ids


def test_identifiers_come_in_order_and_never_twice() -> None:
    made = [ids.new_id() for _ in range(20_000)]
    assert made == sorted(set(made))
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}


def test_a_clock_that_steps_back_changes_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ids.unix_milliseconds() + 60_000
    times = iter([now, now, now - 5_000, now - 5_000, now + 1])
    monkeypatch.setattr(ids, "unix_milliseconds", lambda: next(times))
    monkeypatch.setattr(ids, "_series", ids._Series())
    made = [ids.new_id() for _ in range(5)]
    assert made == sorted(set(made))
    assert [one.int >> 80 for one in made] == [now, now, now, now, now + 1]
