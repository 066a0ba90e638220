"""A short campaign of mutations: ``make reader-campaign`` runs 20,000."""

import random
from pathlib import Path

from seal.verdict import Indication
from seal.verification import verify
from tests.attacks.campaign_readers import SLOWEST, bases, campaign
from tests.attacks.reader_mutations import restamped
from tests.conftest import require_command
from tests.stamped import NOW


def test_what_passes_shows_what_was_sealed_in_every_reader(tmp_path: Path) -> None:
    require_command("pdftoppm", "poppler-utils")
    found = campaign(tmp_path, 60, 20261121)
    assert {name: outcome.wrong + outcome.raised for name, outcome in found.items() if outcome.wrong or outcome.raised} == {}
    assert max(outcome.slowest for outcome in found.values()) < SLOWEST


def test_a_revision_taken_apart_and_put_together_unchanged_passes(tmp_path: Path) -> None:
    """Or the mutated revisions would fail for nothing that was done to them."""
    world, files = bases(tmp_path)
    (base,) = (one for one in files if one.name == "B-LTA")
    _, data = restamped(world, base, random.Random(1), ())
    assert verify(data, base.trust, NOW).indication is Indication.TOTAL_PASSED
