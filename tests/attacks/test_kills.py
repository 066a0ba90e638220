"""The campaign of kills in short: one kill, each run its own way, on a home of its own. ``make kill-campaign`` runs the long one."""

import random
from pathlib import Path

import pytest

from tests.attacks.campaign_kills import Way, remove_home, run


@pytest.mark.timeout(300)
def test_killed_while_issuing_nothing_is_lost_doubled_or_half_done(tmp_path: Path) -> None:
    seed, way = random.randrange(1 << 30), random.choice(list(Way))
    try:
        campaign = run(tmp_path / "home", 1, seed, ways=(way,), warm_seconds=0.5)
    finally:
        remove_home(tmp_path / "home")
    assert campaign.tally.breaches == []
    assert campaign.tally.kills == {way: 1}
    assert campaign.tally.settled == 1
    assert campaign.ledger.issued
    assert campaign.ledger.parked
    assert campaign.tally.file_reads > 0
    assert len(campaign.files.accepted) > len(campaign.ledger.stamped)
