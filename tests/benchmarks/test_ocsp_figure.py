"""The peer of the OCSP figure answers what it is asked, and a wrong answer is no measurement."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks import ocsp
from benchmarks.measure import Cost
from tests.conftest import require_command


@pytest.mark.parametrize("nonce", [True, False])
def test_openssl_answers_as_a_peer(tmp_path: Path, nonce: bool) -> None:
    require_command("openssl", "openssl")
    with ocsp.openssl(tmp_path) as peer:
        before = peer.meter()["peer"]
        for number in range(20):
            peer.operation(nonce=nonce)(number)
        assert peer.meter()["peer"] > before
        stranger = dataclasses.replace(peer, certificate=peer.issuer)
        with pytest.raises(AssertionError):
            stranger.operation(nonce=nonce)(0)


def test_what_the_house_burns_anyway_is_not_an_answer() -> None:
    row = ocsp._row("figure", {"ours": Cost({"web": 1.0, "PostgreSQL": 0.2}, wall=5.0), ocsp.PEER: Cost({"peer": 0.4}, wall=1.0)}, 40.0, "")
    assert (row.ours, row.theirs) == (pytest.approx(0.8), 0.4)
