"""The campaign of restarts in short: each server once, on a house of its own. ``make restart-campaign`` runs the long one."""

import random

import pytest

from tests.attacks.campaign_restarts import run

pytestmark = pytest.mark.long


@pytest.mark.timeout(600)
def test_servers_restarted_while_issuing_lose_no_certificate_and_no_event() -> None:
    faults = ["postgres", "s3", "valkey", "subscriber"]
    random.shuffle(faults)
    campaign = run(12, random.randrange(1 << 30), faults=faults, pause=(0.2, 0.8), judged=3, workers=0)
    assert campaign.breaches == []
    assert campaign.restarts.total() == len(faults)
