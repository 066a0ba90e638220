"""The figure of SM2: measured in turn with openssl, and drawn with its ratio."""

import re

from benchmarks import sm2
from tests.conftest import require_command


def test_sm2_is_measured_beside_openssl() -> None:
    require_command("openssl", "openssl")
    measured = sm2.measure(rounds=2)
    for row in sm2.rows(measured):
        assert row.ours, "a rate of nothing was not measured"
        assert row.theirs
        assert re.search(r"reaches \d+\.\d\d of it \(aim: 0\.9\)$", row.note)
