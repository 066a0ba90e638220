"""Files from strangers: judging them opens no connection; what they hold is harmless in a spreadsheet and on a terminal."""

import csv
import socket
from pathlib import Path

import pytest

from api.commands.importing import _visible
from certs.ingestion_report import CommaSeparated
from seal.verdict import Indication
from seal.verification import verify
from tests.seal.test_verification_foreign import Stranger
from tests.stamped import NOW, World, certificate_page


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.mark.usefixtures("_no_network")
def test_addresses_inside_a_file_are_never_asked(world: World, genuine: bytes) -> None:
    """Every certificate names where its revocation list and its issuer would be found."""
    assert verify(genuine, world.trust, NOW).indication is Indication.TOTAL_PASSED
    foreign = verify(Stranger(world).sign(certificate_page()), world.trust, NOW)
    assert foreign.indication is Indication.INDETERMINATE, "no revocation data in the file, and none is fetched"


def test_a_report_of_flagged_rows_runs_nothing(tmp_path: Path) -> None:
    hostile = ['=HYPERLINK("http://evil.example")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    report = CommaSeparated(tmp_path / "report.csv")
    for line, text in enumerate(hostile, start=2):
        report.add(line, text, ("identifier_format",))
    report.close()
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [row["identifier"] for row in csv.DictReader(file)]
    assert cells == [f"'{text}" for text in hostile]


def test_no_control_character_reaches_the_terminal() -> None:
    assert _visible("\x1b]0;title\x07\x9b31m\u202e证照") == "\ufffd]0;title\ufffd\ufffd31m\ufffd证照"
