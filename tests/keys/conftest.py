"""The real ``openssl`` command and an established PKI."""

import datetime as dt
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from tests.conftest import MIGRATED
from tests.softhsm import Hsm, Token, module

BASE_URL = "http://127.0.0.1:8000"
OpenSsl = Callable[..., subprocess.CompletedProcess[str]]


class MovableClock(Clock, Protocol):
    """The ``clock`` fixture."""

    instant: dt.datetime

    def advance(self, **parts: float) -> dt.datetime: ...


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    """Runs ``openssl`` in the test's folder; ``bytes`` arguments become files. The result holds both streams as text."""
    program = shutil.which("openssl")
    assert program, "these tests need the openssl command (Debian: openssl)"
    made = 0

    def run(*arguments: str | bytes) -> subprocess.CompletedProcess[str]:
        nonlocal made
        words = [program]
        for argument in arguments:
            if isinstance(argument, bytes):
                made += 1
                path = tmp_path / f"openssl-{made}"
                path.write_bytes(argument)
                words.append(str(path))
            else:
                words.append(argument)
        return subprocess.run(words, capture_output=True, text=True, timeout=20, cwd=tmp_path, check=False)

    return run


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """Tests that use ``pki`` get a copy of a database in which it stands already."""
    chosen: str = request.getfixturevalue("pki_template") if "pki" in request.fixturenames else MIGRATED
    return chosen


@pytest.fixture
async def pki(database: Database, keystore: SoftwareKeyStore, clock: MovableClock) -> Database:
    """The database with the demonstration's authorities established."""
    await establish(database, keystore, clock, BASE_URL)
    return database


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    """SoftHSM for this test process: its library reads the configuration from the environment."""
    module()
    made = Hsm(tmp_path_factory.mktemp("softhsm") / "hsm").prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(made.configuration))
        yield made


@pytest.fixture
def token(hsm: Hsm) -> Token:
    """A fresh token."""
    return hsm.token()


@pytest.fixture
def token_store(token: Token) -> Iterator[Pkcs11KeyStore]:
    """A key store on the fresh token."""
    store = Pkcs11KeyStore.open(module(), token.label, token.pin_file)
    yield store
    store.close()
