"""A remembered verdict is that of the same file, the same trust, the same minute; nothing else is ever answered from memory."""

import datetime as dt
from pathlib import Path

import pytest

from seal.trust import Trust
from seal.verdict import Kind, Verdict, judged, passed, summed_up, unreadable
from seal.verdict_memory import MAX_FILE, VerdictMemory, digest_of
from tests.stamped import NOW

TRUST = Trust((b"root",), (b"list",))
GOOD = summed_up(Kind.PDF, (judged("Seal", (passed("FORMAT"),)),))


def remembering(verdict: Verdict = GOOD) -> VerdictMemory:
    memory = VerdictMemory(size=3)
    memory.keep(b"one", TRUST, NOW, verdict)
    return memory


def test_the_same_question_has_the_same_answer() -> None:
    assert remembering().recall(b"one", Trust((b"root",), (b"list",)), NOW + dt.timedelta(seconds=59)) is GOOD


@pytest.mark.parametrize(
    ("digest", "trust", "at"),
    [
        (b"two", TRUST, NOW),
        (b"one", Trust((b"root",), (b"newer list",)), NOW),
        (b"one", Trust((b"root", b"other"), (b"list",)), NOW),
        (b"one", Trust((b"root",), (b"list",), responses=(b"answer",)), NOW),
        (b"one", TRUST, NOW + dt.timedelta(minutes=1)),
    ],
)
def test_any_other_question_has_none(digest: bytes, trust: Trust, at: dt.datetime) -> None:
    assert remembering().recall(digest, trust, at) is None


def test_what_could_not_be_read_is_not_remembered() -> None:
    assert remembering(unreadable(Kind.PDF, "no time")).recall(b"one", TRUST, NOW) is None


def test_the_oldest_and_what_is_of_another_minute_is_forgotten() -> None:
    memory = remembering()
    for name in (b"two", b"three", b"four"):
        memory.keep(name, TRUST, NOW, GOOD)
    assert memory.recall(b"one", TRUST, NOW) is None
    memory.keep(b"five", TRUST, NOW + dt.timedelta(minutes=2), GOOD)
    assert memory.recall(b"four", TRUST, NOW) is None
    assert memory.recall(b"five", TRUST, NOW + dt.timedelta(minutes=2)) is GOOD


def test_a_large_file_is_not_hashed(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb+") as file:
        file.write(b"abc")
        file.flush()
        assert digest_of(file.fileno()) is not None
        file.truncate(MAX_FILE + 1)
        assert digest_of(file.fileno()) is None
