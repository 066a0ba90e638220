"""Must hold: of a log of 100,000 entries, 1,000 random tamperings are all detected (``make tamper-campaign``: each through the CLI)."""

import random
from collections import Counter

import pytest

from keys.evidence.examine import examine
from keys.evidence.tiles import Arithmetic
from tests.keys.forging import Holder, body, chunks_of, write_export
from tests.keys.tampering import CARRIER, TAMPERINGS, Case, thousand

ENTRIES, EVERY = 100_000, 2_500
SEED = 20261121


@pytest.fixture(scope="module")
def case() -> Case:
    arithmetic, holder = Arithmetic.remembering(), Holder()
    chunks, sizes = chunks_of(ENTRIES, body), list(range(EVERY, ENTRIES + 1, EVERY))
    members, notes = write_export(chunks, sizes, holder, arithmetic)
    return Case(members, chunks, sizes, notes, holder, arithmetic)


def test_the_honest_export_is_whole(case: Case) -> None:
    report = examine(iter(case.members), log=case.holder.key, kept=[case.notes[-1], case.notes[0]])
    assert report.problems == []
    assert (report.entries, report.bodies, report.checkpoints) == (ENTRIES, ENTRIES, ENTRIES // EVERY)


def test_a_thousand_random_tamperings_are_all_detected(case: Case) -> None:
    chance, undetected, done = random.Random(SEED), [], Counter[str]()
    for number, name in enumerate(thousand(chance, 1_000)):
        forged = TAMPERINGS[name](case, chance)
        report = examine(iter(forged), log=case.holder.key, kept=[case.notes[-1]], arithmetic=case.arithmetic, to_first=True)
        done[name] += 1
        if report.whole:
            undetected.append((number, name))
    assert undetected == []
    assert set(done) == set(TAMPERINGS)
    assert done.total() == 1_000


@pytest.mark.parametrize("name", [name for name in CARRIER if name.split(" ", 1)[1] in ("an event", "a tile", "a tile above", "events")])
def test_the_tree_itself_finds_it_not_only_the_manifest(case: Case, name: str) -> None:
    chance = random.Random(SEED)
    for _ in range(5):
        forged = TAMPERINGS[name](case, chance)
        report = examine(iter(forged), log=case.holder.key, arithmetic=case.arithmetic)
        assert any("manifest" not in problem for problem in report.problems)


@pytest.mark.parametrize("name", ["operator rewrites an event", "operator cuts the end", "operator drops an event"])
def test_only_a_kept_checkpoint_convicts_the_operator(case: Case, name: str) -> None:
    """Said plainly in the documentation: whoever holds the log's key can write a whole other log, until somebody kept a checkpoint."""
    forged = TAMPERINGS[name](case, random.Random(SEED))
    alone = examine(iter(forged), log=case.holder.key, arithmetic=case.arithmetic)
    assert alone.whole
    report = examine(iter(forged), log=case.holder.key, kept=[case.notes[-1]], arithmetic=case.arithmetic)
    assert any("kept checkpoint" in problem for problem in report.problems)
