"""``docs/operators/keys.md``, executed: all of it on a token; backup and the disaster drill with keys kept by software, too."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import require_command
from tests.forked import forked_command
from tests.one_time_codes import OneTimeCodes
from tests.running import ROOT, City, environment, free_port
from tests.softhsm import Hsm
from tests.terminal import Terminal

PAGE = ROOT / "docs" / "operators" / "keys.md"
BLOCK = re.compile(r"^```(sh|toml)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BACKUP_SECTION = 4
DIGEST = re.compile(r"SHA-256 ([0-9a-f]{64})")


@dataclass
class Person:
    """One of the two, as ``fujie user create`` printed them."""

    username: str
    password: str
    codes: OneTimeCodes


@dataclass
class Operator:
    """Does what the page says, block by block, in one folder."""

    folder: Path
    store: str
    more: dict[str, str]
    people: list[Person] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        bin_folder = self.folder / "bin"
        seen = environment(self.home, int(self.more["FUJIE_PORT"]), **self.more)
        return seen | {"PATH": f"{bin_folder}:{seen['PATH']}", "PYTHONPATH": str(ROOT)}

    def follow(self, kind: str, title: str, text: str) -> None:
        """A file to be written, or commands: those that talk with people or stay in the foreground are driven, the others run."""
        if kind == "toml":
            (self.folder / title).write_text(text)
        elif title in ("", "drill", self.store):
            for line in text.splitlines():
                self._line(line)

    def _line(self, line: str) -> None:
        if line.startswith("fujie keys ceremony"):
            self._ceremony(line)
        elif line == "fujie serve":
            self._serve()
        else:
            self.said.append(self._run(line))
            if line.startswith("fujie user create"):
                told = json.loads(self.said[-1])
                self.people.append(Person(told["username"], told["password"], OneTimeCodes(told["totp"])))

    def _run(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", line],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _ceremony(self, line: str) -> None:
        with Terminal([sys.executable, "-m", "api", *line.split()[1:]], self.environment, self.folder) as terminal:
            for person in self.people:
                terminal.expect(person.username)
                terminal.expect("password")
                terminal.type(person.password)
                terminal.expect("code")
                terminal.type(person.codes.next())
            for _ in self.people:
                digest = DIGEST.findall(terminal.expect("to sign off"))[-1]
                terminal.type(digest[:8])
            assert terminal.end() == 0, terminal.shown
        assert all(person.password not in terminal.shown for person in self.people)
        self.said.append(terminal.shown)

    def _serve(self) -> None:
        city = City(self.home, int(self.more["FUJIE_PORT"]), more=self.more)
        city.start()
        assert city.stop() == 0
        self.said.append(city.output)


SECTION = re.compile(r"^## ", re.MULTILINE)


def _blocks(first: int = 1) -> Iterator[tuple[str, str, str]]:
    """The blocks of the sections from number ``first`` on."""
    for section in SECTION.split(PAGE.read_text())[first:]:
        for kind, title, text in BLOCK.findall(section):
            yield kind, title.strip(), text


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "bin").mkdir()
    with forked_command(tmp_path / "bin"):
        yield Operator(tmp_path, "software", {"FUJIE_DEMO": "0", "FUJIE_PORT": str(free_port())})


@pytest.mark.timeout(400)
def test_everything_on_the_page_works_on_a_token(operator: Operator) -> None:
    require_command("openssl", "openssl")
    hsm = Hsm(operator.folder / "softhsm").prepare()
    operator.store = "token"
    operator.more |= hsm.token("ceremony").settings | {"SOFTHSM_TOKENS": str(hsm.folder / "tokens")}
    for kind, title, text in _blocks():
        operator.follow(kind, title, text)
    transcript = (operator.folder / "transcript.txt").read_text()
    assert transcript.count("建立机构 Authority made") == 8
    assert "PKCS #11, token ceremony" in transcript
    event = json.loads((operator.folder / "event.json").read_text())
    assert event["details"]["transcript_sha256"] == hashlib.sha256(transcript.encode()).hexdigest()
    _require_drill_passed(operator)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_keys_kept_by_software_survive_the_drill(operator: Operator) -> None:
    operator.follow("sh", "", "fujie serve\n")  # a house that was never started has nothing to lose
    for kind, title, text in _blocks(first=BACKUP_SECTION):
        operator.follow(kind, title, text)
    _require_drill_passed(operator)


def _require_drill_passed(operator: Operator) -> None:
    """The log was whole and held the kept checkpoint, and the service came up."""
    assert any("the log is whole" in said for said in operator.said)
    assert "ready" in operator.said[-1]


def test_both_stores_have_their_own_way_on_the_page() -> None:
    titles = [title for kind, title, _ in _blocks() if kind == "sh"]
    assert titles.count("software") == titles.count("token") == 2
    assert set(titles) == {"", "software", "token", "drill"}
    assert "fujie backup" in next(_blocks(first=BACKUP_SECTION))[2]
