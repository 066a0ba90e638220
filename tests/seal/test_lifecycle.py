"""The life of a seal as data."""

from itertools import product
from pathlib import Path

import pytest

from seal.lifecycle import ENDED, MOVES, Move, MoveNotAllowed, Status, markdown, target

DOCUMENT = Path(__file__).parents[2] / "docs" / "seal-lifecycle.md"


def test_the_documentation_is_the_table():
    assert DOCUMENT.read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize(("status", "move"), list(product([None, *Status], Move)))
def test_a_move_leads_on_exactly_where_the_table_says(status, move):
    rule = MOVES[move]
    if (status is None and not rule.sources) or status in rule.sources:
        assert target(status, move) is rule.target
    else:
        with pytest.raises(MoveNotAllowed) as refusal:
            target(status, move)
        assert refusal.value.extra["move"] == move


def test_every_status_is_reached_and_two_are_final():
    assert {rule.target for rule in MOVES.values()} == set(Status)
    left = {source for rule in MOVES.values() for source in rule.sources}
    assert set(Status) - left == {Status.REJECTED, Status.CLOSED}


def test_nothing_leads_back_to_use_from_what_has_ended():
    assert not any(ENDED & rule.sources for rule in MOVES.values() if rule.target is Status.ACTIVE)
