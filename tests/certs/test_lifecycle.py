import datetime as dt
from pathlib import Path

import pytest

from certs.lifecycle import MOVES, MoveNotAllowed, Standing, Status, find_move, markdown, standing

DAY = dt.date(2026, 11, 21)


def test_moves_lead_where_the_table_says_and_nowhere_else() -> None:
    allowed = {(move.name, source) for move in MOVES for source in move.sources}
    for move in MOVES:
        for status in Status:
            if (move.name, status) in allowed:
                assert find_move(move.name, status).target is move.target
            else:
                with pytest.raises(MoveNotAllowed):
                    find_move(move.name, status)


def test_the_documentation_is_generated_from_the_table() -> None:
    assert (Path(__file__).parents[2] / "docs" / "certificate-lifecycle.md").read_text(encoding="utf-8") == markdown()


def test_nothing_leads_out_of_a_final_status() -> None:
    for final in (Status.REVOKED, Status.CANCELLED, Status.WITHDRAWN):
        assert not [move for move in MOVES if final in move.sources]
    assert {move.name for move in MOVES if Status.EXPIRED in move.sources} == {"renew", "cancel"}
    assert {move.name for move in MOVES if Status.TRANSFERRED in move.sources} == {"undo_transfer", "transfer_in"}


@pytest.mark.parametrize(
    ("status", "valid_from", "valid_to", "superseded", "expected"),
    [
        (Status.VALID, DAY, DAY, False, Standing.IN_FORCE),
        (Status.VALID, DAY, None, False, Standing.IN_FORCE),
        (Status.VALID, None, None, False, Standing.IN_FORCE),
        (Status.VALID, DAY, DAY - dt.timedelta(1), False, Standing.EXPIRED),
        (Status.VALID, DAY + dt.timedelta(1), None, False, Standing.NOT_YET_VALID),
        (Status.VALID, DAY, None, True, Standing.SUPERSEDED),
        (Status.SUSPENDED, DAY, None, True, Standing.SUSPENDED),
        (Status.REVOKED, DAY, DAY - dt.timedelta(1), False, Standing.REVOKED),
        (Status.CANCELLED, DAY, None, False, Standing.CANCELLED),
        (Status.WITHDRAWN, DAY, None, False, Standing.REVOKED),
        (Status.OTHER, DAY, None, False, Standing.UNKNOWN),
    ],
)
def test_what_a_relying_party_is_told(
    status: Status, valid_from: dt.date | None, valid_to: dt.date | None, superseded: bool, expected: Standing
) -> None:
    assert standing(status, today=DAY, valid_from=valid_from, valid_to=valid_to, superseded=superseded) is expected
