"""A PKCS #11 token in daily life: what is on it, its going away and its return, wrong settings. On SoftHSM."""

import gc
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from keys.custody import algorithms, libcrypto
from keys.custody.errors import (
    KeyStoreUnavailable,
    KeyUnreadable,
)
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.pkcs11_device import CALL_SECONDS, LANES, WATCH_SECONDS
from keys.custody.store import Algorithm, Purpose, StoredKey
from tests.softhsm import Hsm, Token, module

MESSAGE = b"message"
KINDS = (Algorithm.P256, Algorithm.SM2, Algorithm.AES256, Algorithm.HMAC, Algorithm.SM4, Algorithm.HMAC_SM3)


def use(store: Pkcs11KeyStore, key: StoredKey) -> object:
    if key.algorithm in algorithms.SIGNING:
        return store.sign(key, MESSAGE, key.purpose)
    if key.algorithm in algorithms.CIPHERS:
        return store.encrypt(key, MESSAGE, b"", key.purpose)
    return store.mac(key, MESSAGE, key.purpose)


def until_it_works(store: Pkcs11KeyStore, key: StoredKey, seconds: float = 20.0) -> float:
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
