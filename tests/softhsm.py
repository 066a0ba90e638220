"""SoftHSM tokens of a test: in a folder of their own, and taken out by moving their files away."""

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require_command

PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
PIN = "824593"


def module() -> Path:
    """SoftHSM's library, or a skip that names the Debian package that brings it."""
    require_command("softhsm2-util", "softhsm2")
    found = next((Path(place) for place in PLACES if Path(place).is_file()), None)
    if found is None:
        pytest.skip("needs libsofthsm2.so: apt-get install softhsm2")
    return found


@dataclass
class Hsm:
    """A folder of tokens and the configuration file that names it."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"SOFTHSM2_CONF": str(self.configuration)}

    def prepare(self) -> "Hsm":
        (self.folder / "tokens").mkdir(parents=True)
        self.configuration.write_text(f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        return self

    def token(self, label: str = "") -> "Token":
        """A new token; its label is made up unless given."""
        label = label or f"fujie-{secrets.token_hex(4)}"
        before = set((self.folder / "tokens").iterdir())
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "37462950"]
        subprocess.run(command, check=True, capture_output=True, env=self.environment)
        (home,) = set((self.folder / "tokens").iterdir()) - before
        pin_file = self.folder / f"pin-{home.name}"
        pin_file.touch(mode=0o600)
        pin_file.write_text(f"{PIN}\n")
        return Token(self, label, home, pin_file)


@dataclass
class Token:
    hsm: Hsm
    label: str
    home: Path
    pin_file: Path

    @property
    def settings(self) -> dict[str, str]:
        """The variables a service on this token is started with."""
        return {
            "FUJIE_PKCS11_MODULE": str(module()),
            "FUJIE_PKCS11_TOKEN": self.label,
            "FUJIE_PKCS11_PIN_FILE": str(self.pin_file),
            "SOFTHSM2_CONF": str(self.hsm.configuration),
        }

    @property
    def _elsewhere(self) -> Path:
        return self.hsm.folder / f"away-{self.home.name}"

    def remove(self) -> None:
        self.home.rename(self._elsewhere)

    def put_back(self) -> None:
        self._elsewhere.rename(self.home)

    def tool(self, *arguments: str) -> str:
        """What OpenSC's ``pkcs11-tool`` answers about this token."""
        program = require_command("pkcs11-tool", "opensc")
        command = [program, "--module", str(module()), "--token-label", self.label, "--login", "--pin", PIN, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.hsm.environment).stdout
