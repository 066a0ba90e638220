"""A PKCS #11 token that is named wrongly, locked, doubled or read-only; and the settings that name it."""

import dataclasses
import multiprocessing
import os
import pickle
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from api.settings import Settings
from api.wiring import open_keystore
from keys.base.errors import FujieError
from keys.custody.errors import (
    KeyFileTooOpen,
    KeyFileUnusable,
    KeyStoreLoginRefused,
    KeyStoreMisconfigured,
    KeyStoreRefused,
    KeyStoreUnavailable,
)
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.pkcs11_device import WATCH_SECONDS
from keys.custody.pkcs11_location import Location
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from tests.softhsm import PIN, Hsm, Token, module

MESSAGE = b"message"


# Wrong settings


def location(token: Token, **changes: object) -> Location:
    return dataclasses.replace(Location(module(), token.label, token.pin_file), **changes)  # type: ignore[arg-type]


def refusal(where: Location) -> FujieError:
    with pytest.raises(FujieError) as refused:
        Pkcs11KeyStore.open(where.module, where.label, where.pin_file)
    assert PIN not in str(refused.value)
    return refused.value


def test_a_wrong_pin_is_given_once(token: Token, tmp_path: Path) -> None:
    wrong = tmp_path / "pin"
    wrong.touch(mode=0o600)
    wrong.write_text("999999")
    store = Pkcs11KeyStore(location(token, pin_file=wrong))
    with pytest.raises(KeyStoreLoginRefused) as refused:
        store.check()
    assert "999999" not in str(refused.value)
    assert refused.value.status == 503
    wrong.write_text(PIN)  # right now, but this process does not ask again: it cannot know
    for _ in range(3):
        with pytest.raises(KeyStoreLoginRefused):
            store.check()
        time.sleep(WATCH_SECONDS / 2)
    store.close()
    assert isinstance(refusal(location(token, pin_file=tmp_path / "none")), KeyFileUnusable)


def test_the_pin_file_must_be_private(token: Token) -> None:
    token.pin_file.chmod(0o640)
    assert isinstance(refusal(location(token)), KeyFileTooOpen)
    token.pin_file.chmod(0o600)
    token.pin_file.write_text("\n")
    assert isinstance(refusal(location(token)), KeyStoreMisconfigured)


def test_a_label_that_no_token_has_names_those_there_are(token: Token) -> None:
    error = refusal(location(token, label="no such token"))
    assert isinstance(error, KeyStoreUnavailable)
    assert repr(token.label) in error.detail


def test_two_tokens_of_one_label_are_refused(hsm: Hsm, token: Token) -> None:
    hsm.token(token.label)
    error = refusal(location(token))
    assert isinstance(error, KeyStoreMisconfigured)
    assert "2 tokens" in error.detail


def test_a_module_that_is_none(token: Token, tmp_path: Path) -> None:
    text = tmp_path / "module.so"
    text.write_text("no library")
    libc = next(path for path in Path("/lib").rglob("libm.so.6"))
    for path in (tmp_path / "absent.so", tmp_path, text, libc):
        error = refusal(location(token, module=path))
        assert isinstance(error, KeyStoreMisconfigured)
        assert "FUJIE_PKCS11_MODULE" in error.detail


def test_a_token_that_cannot_be_written_signs_and_makes_no_key(
    token: Token, token_store: Pkcs11KeyStore, request: pytest.FixtureRequest
) -> None:
    """In a process of another user, who may use the token's files but not add one."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    key = token_store.generate(Algorithm.P256, Purpose.SEALS)
    reader = Path(tempfile.mkdtemp(prefix="fujie-read-only-"))
    request.addfinalizer(lambda: shutil.rmtree(reader))
    shutil.copytree(token.home, reader / "tokens" / token.home.name)
    configuration = reader / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {reader}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    shutil.copy(token.pin_file, reader / "pin")
    for path in (reader, *reader.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o600)
        os.chown(path, *((0, 0) if path.is_dir() else (65534, 65534)))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        said = pool.submit(_read_only, str(reader), location(token, pin_file=reader / "pin"), pickle.dumps(key)).result(timeout=60)
    assert said == ["signed", "KEY_STORE_REFUSED", "signed"]


def _read_only(folder: str, where: Location, pickled: bytes) -> list[str]:
    os.environ["SOFTHSM2_CONF"] = f"{folder}/softhsm2.conf"
    os.setgid(65534)
    os.setuid(65534)
    store, key = Pkcs11KeyStore(where), pickle.loads(pickled)
    said = []
    for action in (lambda: store.sign(key, MESSAGE, Purpose.SEALS), lambda: store.generate(Algorithm.P256, Purpose.SEALS)) * 2:
        try:
            action()
            said.append("signed")
        except KeyStoreRefused as error:
            said.append(error.code)
    return said[:3]


# Settings of the service


def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **values: str) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("api.settings._HELD", {})
    for name, value in ({"HOME": str(tmp_path / "home")} | values).items():
        monkeypatch.setenv(f"FUJIE_{name}", value)
    return Settings()


def test_the_settings_choose_the_token_and_the_pin_of_the_environment_is_out_of_sight(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(monkeypatch, tmp_path, PKCS11_MODULE=str(module()), PKCS11_TOKEN=token.label, PKCS11_PIN=PIN)
    assert "FUJIE_PKCS11_PIN" not in os.environ
    assert PIN not in repr(chosen) + chosen.model_dump_json()
    assert PIN.encode() not in pickle.dumps(chosen)
    store = open_keystore(pickle.loads(pickle.dumps(chosen)))
    assert isinstance(store, Pkcs11KeyStore)
    key = store.generate(Algorithm.P256, Purpose.SEALS)
    child = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert PIN not in child
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(store.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
    assert not (tmp_path / "home").exists(), "no file was made for keys"
    assert len(Settings().pin_files) == 1, "settings read again in this process still know it"
    store.close()


@pytest.mark.parametrize(
    "missing",
    [{"PKCS11_TOKEN": ""}, {"PKCS11_PIN_FILE": ""}, {"PKCS11_PIN": PIN}, {"PKCS11_MODULE": ""}],
    ids=["no token", "no PIN", "two PINs", "no module"],
)
def test_settings_that_do_not_fit_are_named(token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: dict[str, str]) -> None:
    given = {"PKCS11_MODULE": str(module()), "PKCS11_TOKEN": token.label, "PKCS11_PIN_FILE": str(token.pin_file)}
    with pytest.raises(KeyStoreMisconfigured) as refused:
        open_keystore(settings(monkeypatch, tmp_path, **(given | missing)))
    assert "FUJIE_PKCS11" in refused.value.detail
    assert PIN not in refused.value.detail


def test_the_key_encryption_key_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kek = bytes(range(32))
    chosen = settings(monkeypatch, tmp_path, KEY_ENCRYPTION_KEY=kek.hex())
    assert "FUJIE_KEY_ENCRYPTION_KEY" not in os.environ
    store = open_keystore(chosen)
    assert isinstance(store, SoftwareKeyStore)
    key = store.generate(Algorithm.P256, Purpose.SEALS)
    assert not chosen.key_file.exists()
    assert kek not in pickle.dumps(store)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(store.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
    again = open_keystore(settings(monkeypatch, tmp_path, KEY_ENCRYPTION_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
    again.sign(key, MESSAGE, Purpose.SEALS)
    chosen.key_file.parent.mkdir(parents=True)
    SoftwareKeyStore.create(chosen.key_file)
    with pytest.raises(KeyStoreMisconfigured):
        open_keystore(settings(monkeypatch, tmp_path, KEY_ENCRYPTION_KEY=kek.hex()))


@pytest.mark.parametrize("wrong", ["short", "00" * 31, "zz" * 32, "AAEC", " " * 64])
def test_a_malformed_key_encryption_key_is_refused_without_being_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    with pytest.raises(ValueError, match="32 octets") as refused:
        settings(monkeypatch, tmp_path, KEY_ENCRYPTION_KEY=wrong)
    assert all(wrong not in item["msg"] for item in refused.value.errors())  # type: ignore[attr-defined]
