"""What a verdict means in plain words: every way in which a file can fail has a sentence in both languages."""

import pytest

from api.verdict_words import CHECKS, FAILURES, OPEN_QUESTIONS, REASONS, meaning, reason
from seal.verdict import SUB_INDICATIONS, Kind, Verdict, failed, judged, notice, open_question, passed, summed_up, unreadable, unsigned


def test_every_check_and_every_sub_indication_has_words() -> None:
    assert set(SUB_INDICATIONS) <= set(CHECKS)
    assert set(SUB_INDICATIONS) <= set(FAILURES) | set(OPEN_QUESTIONS) | {"SEAL_TIMESTAMP", "STAMP_TIMESTAMP"}
    assert set(SUB_INDICATIONS.values()) <= set(REASONS)
    for table in (FAILURES, OPEN_QUESTIONS, REASONS):
        for chinese, english in table.values():
            assert not chinese.endswith("。")
            assert not english.endswith(".")
            assert chinese != english


@pytest.mark.parametrize(
    ("checks", "english"),
    [
        ((failed("DATA_HASH", "x"), failed("SIGNATURE", "x")), "This document was changed after it was sealed"),
        ((passed("DATA_HASH"), failed("SIGNATURE", "x")), "The digital signature does not hold: it may be forged"),
        ((failed("SIGNER_REVOKED", "x", "REVOKED"),), "The stamp signer's certificate was revoked"),
        ((failed("SEAL_CANCELLED", "x"), open_question("CHAIN", "x")), "The seal had been cancelled when it stamped"),
        ((open_question("REVOCATION", "x"),), "Whether the signer's certificate was revoked cannot be told"),
        ((open_question("FORMAT", "x", "GENERIC"),), "Signatures of this kind are not judged here"),
        ((notice("TIMESTAMP", "x"),), ""),
        ((passed("DATA_HASH"),), ""),
    ],
)
def test_the_check_that_decided_speaks(checks: tuple[object, ...], english: str) -> None:
    verdict = summed_up(Kind.PDF, [judged("Signature1", checks)])  # type: ignore[arg-type]
    assert reason(verdict, "en") == english
    assert bool(reason(verdict, "zh")) == bool(english)


@pytest.mark.parametrize("verdict", [unreadable(Kind.PDF, "x"), unsigned(Kind.PDF)])
def test_a_file_without_a_signature_has_no_such_reason(verdict: Verdict) -> None:
    assert reason(verdict, "zh") == ""


def test_a_check_that_passed_or_only_tells_needs_no_more_words() -> None:
    assert meaning(passed("DATA_HASH"), "zh") == meaning(notice("TIMESTAMP", "x"), "zh") == ""
    assert meaning(failed("DATA_HASH", "x"), "zh") == "文件在用印后被改动"
