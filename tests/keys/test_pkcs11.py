"""A PKCS #11 token in daily life: what is on it, its going away and its return, wrong settings. On SoftHSM."""

import dataclasses
import gc
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from api.settings import Settings
from api.wiring import open_keystore
from keys.base.errors import FujieError
from keys.custody import algorithms, libcrypto
from keys.custody.errors import (
    KeyFileTooOpen,
    KeyFileUnusable,
    KeyStoreLoginRefused,
    KeyStoreMisconfigured,
    KeyStoreRefused,
    KeyStoreUnavailable,
    KeyUnreadable,
)
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.pkcs11_device import CALL_SECONDS, LANES, WATCH_SECONDS
from keys.custody.pkcs11_location import Location
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey
from tests.softhsm import PIN, Hsm, Token, module

MESSAGE = b"message"
KINDS = (Algorithm.P256, Algorithm.SM2, Algorithm.AES256, Algorithm.HMAC, Algorithm.SM4, Algorithm.HMAC_SM3)


def use(store: Pkcs11KeyStore, key: StoredKey) -> object:
    if key.algorithm in algorithms.SIGNING:
        return store.sign(key, MESSAGE, key.purpose)
    if key.algorithm in algorithms.CIPHERS:
        return store.encrypt(key, MESSAGE, b"", key.purpose)
    return store.mac(key, MESSAGE, key.purpose)


def until_it_works(store: Pkcs11KeyStore, key: StoredKey, seconds: float = 3.0) -> float:
    """Seconds until the key can be used again."""
    began = time.monotonic()
    while True:
        try:
            use(store, key)
        except KeyStoreUnavailable:
            assert time.monotonic() - began < seconds, "it did not come back"
            time.sleep(0.02)
        else:
            return time.monotonic() - began


# What is on the token


def test_keys_on_the_token_are_sensitive_and_never_extractable(token_store: Pkcs11KeyStore, token: Token) -> None:
    kept = [a for a in KINDS if a not in {Algorithm.SM4, Algorithm.HMAC_SM3}]
    for algorithm in kept:
        use(token_store, token_store.generate(algorithm, Purpose.SEALS))
    for kind, expected in (("privkey", 1), ("secrkey", 3)):  # the third secret key is the one SM2 keys are wrapped under
        listed = token.tool("--list-objects", "--type", kind)
        assert listed.count("ID:") == expected
        access = [line for line in listed.splitlines() if "Access:" in line]
        assert len(access) == expected
        assert all("never extractable" in line and "always sensitive" in line and "local" in line for line in access), listed
    assert "fujie seals EC_P256" in token.tool("--list-objects", "--type", "privkey")


def test_the_token_signs_what_openssl_verifies(token_store: Pkcs11KeyStore, tmp_path: Path) -> None:
    key = token_store.generate(Algorithm.P256, Purpose.SEALS)
    for name, content in (("public", key.public), ("message", MESSAGE), ("signature", token_store.sign(key, MESSAGE, Purpose.SEALS))):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", "public", "-signature", "signature", "message"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.strip() == "Verified OK"


def test_a_reference_holds_nothing(token_store: Pkcs11KeyStore) -> None:
    first, second = (token_store.generate(Algorithm.P256, Purpose.SEALS) for _ in range(2))
    assert first.wrapped == second.wrapped
    assert len(first.wrapped) < 16


def test_an_sm2_key_opens_only_with_the_token(token_store: Pkcs11KeyStore, hsm: Hsm) -> None:
    key = token_store.generate(Algorithm.SM2, Purpose.SEALS)
    other = hsm.token()
    stranger = Pkcs11KeyStore.open(module(), other.label, other.pin_file)
    try:
        with pytest.raises(KeyUnreadable):
            use(stranger, key)
    finally:
        stranger.close()


def test_a_key_deleted_on_the_token_is_named_and_the_others_go_on(token_store: Pkcs11KeyStore, token: Token) -> None:
    key, other = (token_store.generate(Algorithm.P256, Purpose.SEALS) for _ in range(2))
    use(token_store, key)
    token.tool("--delete-object", "--type", "privkey", "--id", key.id.hex)
    for _ in range(2):
        with pytest.raises(KeyUnreadable) as refused:
            use(token_store, key)
        assert str(key.id) in refused.value.detail
    use(token_store, other)


def test_a_wrapping_key_deleted_takes_its_keys_along(token_store: Pkcs11KeyStore, token: Token) -> None:
    key = token_store.generate(Algorithm.SM2, Purpose.SEALS)
    token.tool("--delete-object", "--type", "secrkey", "--label", "fujie wrapping key")
    with pytest.raises(KeyUnreadable):
        use(token_store, key)
    use(token_store, token_store.generate(Algorithm.SM2, Purpose.SEALS))


def test_many_who_wrap_first_at_once_all_open_theirs(token_store: Pkcs11KeyStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: token_store.generate(Algorithm.SM2, Purpose.SEALS), range(8)))
    token_store._forget()
    assert all(use(token_store, key) for key in keys)


# Going away and coming back


@pytest.mark.parametrize("algorithm", KINDS)
def test_no_key_works_without_the_token_and_each_does_after_its_return(
    token_store: Pkcs11KeyStore, token: Token, algorithm: Algorithm
) -> None:
    key = token_store.generate(algorithm, Purpose.SEALS)
    use(token_store, key)
    token.remove()
    gone, deadline = None, time.monotonic() + 2
    while gone is None and time.monotonic() < deadline:
        began = time.monotonic()
        try:
            use(token_store, key)
        except KeyStoreUnavailable as error:
            gone = error
        assert time.monotonic() - began < 2
        time.sleep(0.01)
    assert gone is not None, "it went on signing"
    assert (gone.status, gone.headers) == (503, {"Retry-After": "2"})
    with pytest.raises(KeyStoreUnavailable):
        token_store.check()
    with pytest.raises(KeyStoreUnavailable):
        token_store.generate(algorithm, Purpose.SEALS)
    token.put_back()
    assert until_it_works(token_store, key) < 2
    token_store.check()
    use(token_store, token_store.generate(algorithm, Purpose.SEALS))


def test_a_token_that_was_away_between_two_calls_is_found_again_in_the_second(token_store: Pkcs11KeyStore, token: Token) -> None:
    key = token_store.generate(Algorithm.P256, Purpose.SEALS)
    for _ in range(5):
        use(token_store, key)
        token.remove()
        token.put_back()
        use(token_store, key)


def test_unwrapped_keys_are_dropped_when_the_token_is_away_though_nobody_asks(token_store: Pkcs11KeyStore, token: Token) -> None:
    before = _loaded_sm2_keys()
    use(token_store, token_store.generate(Algorithm.SM2, Purpose.SEALS))
    assert _loaded_sm2_keys() == before + 1
    token.remove()
    deadline = time.monotonic() + WATCH_SECONDS + 1
    while _loaded_sm2_keys() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _loaded_sm2_keys() == before
    token.put_back()


def _loaded_sm2_keys() -> int:
    gc.collect()
    return sum(type(found) is libcrypto.Key for found in gc.get_objects())


def test_threads_see_it_go_and_come_back(token_store: Pkcs11KeyStore, token: Token) -> None:
    """Eight threads sign all the while: each call either signs or says that the token is away, within two seconds."""
    keys = [token_store.generate(algorithm, Purpose.SEALS) for algorithm in (Algorithm.P256, Algorithm.SM2)]
    stop, slowest, outcomes = threading.Event(), [0.0] * 8, {"signed": 0, "away": 0}

    def work(number: int) -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                use(token_store, keys[number % 2])
                outcomes["signed"] += 1
            except KeyStoreUnavailable:
                outcomes["away"] += 1
                time.sleep(0.01)
            slowest[number] = max(slowest[number], time.monotonic() - began)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work, number) for number in range(8)]
        for _ in range(3):
            time.sleep(0.2)
            token.remove()
            time.sleep(0.3)
            token.put_back()
            time.sleep(WATCH_SECONDS)
        stop.set()
        for future in running:
            future.result()
    assert outcomes["signed"]
    assert outcomes["away"]
    assert max(slowest) < 2
    assert until_it_works(token_store, keys[0]) < 2


def test_another_process_comes_back_too(token_store: Pkcs11KeyStore, token: Token) -> None:
    """And one that is handed the store while the token is away starts all the same."""
    key = token_store.generate(Algorithm.P256, Purpose.SEALS)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        token.remove()
        with pytest.raises(KeyStoreUnavailable):
            pool.submit(token_store.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
        token.put_back()
        deadline = time.monotonic() + 3
        while True:
            try:
                assert pool.submit(token_store.sign, key, MESSAGE, Purpose.SEALS).result(timeout=60)
                break
            except KeyStoreUnavailable:
                assert time.monotonic() < deadline


# A device that hangs


@pytest.fixture
def stuck(token_store: Pkcs11KeyStore) -> Iterator[threading.Event]:
    """A call that the device does not answer, until the event is set."""
    release = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(token_store._device.call, lambda lane: release.wait(20))
        began = time.monotonic()
        assert isinstance(refused.exception(timeout=5), KeyStoreUnavailable)
        assert time.monotonic() - began < CALL_SECONDS + 0.5
        yield release
        release.set()


def test_a_hanging_device_costs_one_second_once(token_store: Pkcs11KeyStore, stuck: threading.Event) -> None:
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(KeyStoreUnavailable):
            token_store.check()
        assert time.monotonic() - began < 0.1
    stuck.set()
    deadline = time.monotonic() + 3
    while True:
        try:
            token_store.check()
            break
        except KeyStoreUnavailable:
            assert time.monotonic() < deadline, "it did not come back"
            time.sleep(0.02)


def test_a_queue_that_is_long_is_not_a_token_that_is_away(token_store: Pkcs11KeyStore) -> None:
    """All lanes are busy for a while with calls that may take long: who waits in vain is refused, and the token stays."""
    release, all_busy = threading.Event(), threading.Barrier(LANES + 1, timeout=20)
    with ThreadPoolExecutor(LANES) as pool:
        token_store.check()
        busy = [pool.submit(token_store._device.call, lambda lane: all_busy.wait() >= 0 and release.wait(20), 20) for _ in range(LANES)]
        all_busy.wait()
        with pytest.raises(KeyStoreUnavailable):
            token_store.check()
        release.set()
        assert [future.result() for future in busy] == [True] * LANES
    token_store.check()


def test_a_token_whose_files_are_locked_hangs_for_real(token_store: Pkcs11KeyStore, token: Token) -> None:
    """SoftHSM waits for the locks of its files; another process holds them for two seconds."""
    key = token_store.generate(Algorithm.P256, Purpose.SEALS)
    use(token_store, key)
    script = (
        "import fcntl,sys,time,pathlib\n"
        "files=[p.open('r+b') for p in pathlib.Path(sys.argv[1]).iterdir() if p.is_file()]\n"
        "[fcntl.lockf(f,fcntl.LOCK_EX) for f in files]\nprint('held',flush=True)\ntime.sleep(2)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(token.home)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        slowest, refused = 0.0, 0
        while holder.poll() is None:
            began = time.monotonic()
            try:
                use(token_store, key)
            except KeyStoreUnavailable:
                refused += 1
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
    assert refused
    assert slowest < 2
    assert until_it_works(token_store, key) < 3


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
