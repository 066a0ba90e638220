"""SM2 against two independent implementations, and against everything a signature must not be."""

import ctypes
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import gmssl_pyx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.custody import libcrypto, sm2, sm2_math
from keys.custody.errors import KeyUnreadable, PublicKeyInvalid, Sm2Unavailable
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey

MESSAGE = "准予排水许可".encode()


@pytest.fixture
def key(keystore: SoftwareKeyStore) -> StoredKey:
    return keystore.generate(Algorithm.SM2, Purpose.SEALS)


@pytest.fixture
def signature(keystore: SoftwareKeyStore, key: StoredKey) -> bytes:
    return keystore.sign(key, MESSAGE, Purpose.SEALS)


@pytest.fixture
def no_libcrypto(monkeypatch):
    """A machine whose libcrypto lacks SM2."""
    monkeypatch.setattr(libcrypto, "_library", lambda: None)


def plain(public: bytes, message: bytes, signature: bytes) -> bool:
    """What the plain Python path answers."""
    point, numbers = sm2.public_point(public), sm2.decode_signature(signature)
    return numbers is not None and sm2.verify_without_libcrypto(point, sm2.message_digest(point, message), *numbers)


def test_sm3_of_the_standards_examples():
    """GB/T 32905 appendix A."""
    assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm2.sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_the_curve_is_the_standards():
    assert sm2_math.on_curve(sm2_math.GX, sm2_math.GY)
    assert sm2_math.combine(sm2_math.N, 0, sm2_math.GENERATOR)[2] == 0, "the generator's order is n"


def test_both_paths_accept_what_we_sign(key, signature):
    assert sm2.verify(key.public, MESSAGE, signature)
    assert sm2.verify(sm2.public_point(key.public), MESSAGE, signature)
    assert plain(key.public, MESSAGE, signature)


def test_gmssl_accepts_what_we_sign(key, signature):
    point = sm2.public_point(key.public)[1:]
    assert gmssl_pyx.sm2_verify(point, MESSAGE, signature)
    assert not gmssl_pyx.sm2_verify(point, MESSAGE + b"!", signature)


def test_we_accept_what_gmssl_signs():
    private, public = sorted(gmssl_pyx.sm2_key_generate(), key=len)
    signature = gmssl_pyx.sm2_sign(private, public, MESSAGE)
    point = b"\x04" + public
    assert sm2.verify(point, MESSAGE, signature)
    assert plain(point, MESSAGE, signature)
    assert not sm2.verify(point, MESSAGE, signature, b"another signer id")


def test_openssl_accepts_what_we_sign(openssl, key, signature):
    arguments = ("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key.public, "-rawin", "-digest", "sm3", "-sigfile", signature)
    distid = ("-pkeyopt", "distid:1234567812345678")
    assert openssl(*arguments, "-in", MESSAGE, *distid).returncode == 0
    assert openssl(*arguments, "-in", MESSAGE + b"!", *distid).returncode != 0
    assert openssl(*arguments, "-in", MESSAGE, "-pkeyopt", "distid:another").returncode != 0


def test_we_accept_what_openssl_signs(openssl, tmp_path):
    assert openssl("genpkey", "-algorithm", "SM2", "-out", "key.pem").returncode == 0
    assert openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der").returncode == 0
    for signer_id in (sm2.SIGNER_ID, b"ALICE123@YAHOO.COM"):
        made = openssl(
            *("pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-digest", "sm3", "-in", MESSAGE, "-out", "signature"),
            *("-pkeyopt", f"distid:{signer_id.decode()}"),
        )
        assert made.returncode == 0, made.stderr
        signature = (tmp_path / "signature").read_bytes()
        assert sm2.verify((tmp_path / "public.der").read_bytes(), MESSAGE, signature, signer_id)
        assert not sm2.verify((tmp_path / "public.der").read_bytes(), MESSAGE, signature, signer_id + b"?")


@settings(max_examples=60, deadline=None)
@given(message=st.binary(max_size=200), flip=st.integers(0, 10**9))
def test_both_paths_agree_on_altered_signatures(message, flip):
    made = libcrypto.generate()
    public = libcrypto.public_der(made)
    good = libcrypto.sign_digest(made, sm2.message_digest(sm2.public_point(public), message))
    assert sm2.verify(public, message, good)
    assert plain(public, message, good)
    octet, bit = divmod(flip % (len(good) * 8), 8)
    bad = good[:octet] + bytes([good[octet] ^ 1 << bit]) + good[octet + 1 :]
    assert not sm2.verify(public, message, bad)
    assert not plain(public, message, bad)
    assert not sm2.verify(public, message + b"\0", good)
    assert not plain(public, message + b"\0", good)


@settings(max_examples=200, deadline=None)
@given(r=st.integers(1, sm2_math.N - 1), s=st.integers(1, sm2_math.N - 1))
def test_signatures_have_one_spelling(r, s):
    encoded = sm2.encode_signature(r, s)
    assert sm2.decode_signature(encoded) == (r, s)
    assert sm2.decode_signature(encoded + b"\0") is None


@settings(max_examples=500, deadline=None)
@given(octets=st.binary(max_size=80))
def test_any_octets_are_no_signature_or_reencode_to_themselves(octets):
    numbers = sm2.decode_signature(octets)
    assert numbers is None or sm2.encode_signature(*numbers) == octets


def _raw(r: bytes, s: bytes) -> bytes:
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(body)]) + body


def _spellings(r: int, s: int) -> dict[str, bytes]:
    """Other encodings of the same numbers, and numbers out of range that mean the same modulo n."""
    big = [value.to_bytes(value.bit_length() // 8 + 1, "big") for value in (r, s)]
    good = _raw(*big)
    return {
        "trailing octets": good + b"\0",
        "octets inside the sequence": b"\x30" + bytes([good[1] + 2]) + good[2:] + b"\x05\0",
        "padded r": _raw(b"\0" + big[0], big[1]),
        "padded s": _raw(big[0], b"\0" + big[1]),
        "long form length": b"\x30\x81" + good[1:],
        "indefinite length": b"\x30\x80" + good[2:] + b"\0\0",
        "raw r and s": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        "r beyond n": sm2.encode_signature(r + sm2_math.N, s),
        "s beyond n": sm2.encode_signature(r, s + sm2_math.N),
        "r zero": _raw(b"\0", big[1]),
        "s zero": _raw(big[0], b"\0"),
        "negative r": _raw((r - (1 << 264)).to_bytes(34, "big", signed=True), big[1]),
        "r is n": sm2.encode_signature(sm2_math.N, s),
        "negated s": sm2.encode_signature(r, sm2_math.N - s),
        "cut": good[:-1],
        "empty": b"",
    }


def test_only_the_canonical_spelling_verifies(key, signature):
    numbers = sm2.decode_signature(signature)
    assert numbers is not None
    for name, spelling in _spellings(*numbers).items():
        assert not sm2.verify(key.public, MESSAGE, spelling), name
        assert not plain(key.public, MESSAGE, spelling), name


def test_the_plain_path_checks_its_own_numbers(key):
    """Even when called without the decoder's range check."""
    x, y = (int.from_bytes(sm2.public_point(key.public)[place : place + 32], "big") for place in (1, 33))
    assert not sm2_math.verify_digest(x, y, 5, 0, 1)
    assert not sm2_math.verify_digest(x, y, 5, 1, sm2_math.N)
    assert not sm2_math.verify_digest(x, y, 5, 1, sm2_math.N - 1), "r + s = 0 mod n"
    assert not sm2_math.verify_digest(x, y + 1, 5, 1, 1), "a point off the curve"


@pytest.mark.parametrize(
    "public",
    [b"", b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, b"\x02" + sm2_math.GX.to_bytes(32, "big"), b"nonsense"],
    ids=["empty", "origin", "outside the field", "compressed", "nonsense"],
)
def test_octets_that_are_no_key_verify_nothing(public, signature):
    assert not sm2.verify(public, MESSAGE, signature)
    with pytest.raises(PublicKeyInvalid) as refused:
        sm2.public_point(public)
    assert refused.value.code == "PUBLIC_KEY_INVALID"


def test_a_key_of_another_curve_verifies_nothing(keystore, signature):
    other = keystore.generate(Algorithm.P256, Purpose.SEALS)
    assert not sm2.verify(other.public, MESSAGE, signature)
    with pytest.raises(PublicKeyInvalid):
        libcrypto.load_public(other.public)


def test_private_octets_with_a_tail_are_refused(keystore):
    der = libcrypto.private_der(libcrypto.generate())
    libcrypto.load_private(der)
    for bad in (der + b"\0", der[:-1], b"", b"\x30\0"):
        with pytest.raises(KeyUnreadable):
            libcrypto.load_private(bad)


def test_without_libcrypto_verifying_works_and_signing_says_why(no_libcrypto, tmp_path):
    private, public = sorted(gmssl_pyx.sm2_key_generate(), key=len)
    signature = gmssl_pyx.sm2_sign(private, public, MESSAGE)
    assert not libcrypto.available()
    assert sm2.verify(b"\x04" + public, MESSAGE, signature)
    assert not sm2.verify(b"\x04" + public, MESSAGE + b"!", signature)
    with pytest.raises(Sm2Unavailable) as refused:
        SoftwareKeyStore.create(tmp_path / "kek").generate(Algorithm.SM2, Purpose.SEALS)
    assert refused.value.code == "SM2_UNAVAILABLE"
    assert "OpenSSL 3" in refused.value.detail


def test_libraries_without_sm2_are_passed_over():
    assert libcrypto._usable("libm.so.6") is None
    assert libcrypto._usable("no-such-library.so.99") is None
    assert [name for name in libcrypto._candidates() if libcrypto._usable(name)], "this machine has one"


def test_threads_share_a_key(keystore, key):
    barrier = threading.Barrier(4)

    def work(number: int) -> bool:
        barrier.wait(timeout=10)
        messages = [f"{number}/{turn}".encode() for turn in range(50)]
        return all(sm2.verify(key.public, message, keystore.sign(key, message, Purpose.SEALS)) for message in messages)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


class Ledger:
    """Stands before libcrypto and counts what is made and what is freed."""

    MADE: ClassVar = {
        "EVP_PKEY_CTX_new_from_name": "EVP_PKEY_CTX",
        "EVP_PKEY_CTX_new_from_pkey": "EVP_PKEY_CTX",
        "d2i_PUBKEY": "EVP_PKEY",
        "d2i_AutoPrivateKey": "EVP_PKEY",
        "EVP_PKEY_generate": "EVP_PKEY",
    }
    FREED: ClassVar = {"EVP_PKEY_CTX_free": "EVP_PKEY_CTX", "EVP_PKEY_free": "EVP_PKEY"}

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library, self.open, self.made = library, Counter[str](), Counter[str]()

    def __getattr__(self, name: str):
        function = getattr(self.library, name)

        def call(*arguments):
            result = function(*arguments)
            if name in self.MADE and result:
                self.open[self.MADE[name]] += 1
                self.made[self.MADE[name]] += 1
            if name in self.FREED and arguments[0]:
                self.open[self.FREED[name]] -= 1
            return result

        return call


def test_everything_made_is_freed(monkeypatch):
    ledger = Ledger(libcrypto._required())
    monkeypatch.setattr(libcrypto, "_library", lambda: ledger)
    for _ in range(20):
        made = libcrypto.generate()
        public, private = libcrypto.public_der(made), libcrypto.private_der(made)
        digest = sm2.sm3(public)
        signature = libcrypto.sign_digest(libcrypto.load_private(private), digest)
        assert libcrypto.verify_digest(libcrypto.load_public(public), digest, signature)
        assert not libcrypto.verify_digest(made, digest, b"\x30\0")
        assert not libcrypto.verify_digest(made, digest[:-1], signature)
        with pytest.raises(KeyUnreadable):
            libcrypto.load_private(public)
        with pytest.raises(KeyUnreadable):
            libcrypto.sign_digest(made, b"not 32 octets")
        del made
    assert ledger.made["EVP_PKEY_CTX"] >= 100
    assert ledger.made["EVP_PKEY"] >= 60
    assert +ledger.open == Counter()


def test_failures_leave_no_error_behind(key):
    """libcrypto's error queue is shared with Python's ssl module."""
    library = libcrypto._required()
    library.ERR_peek_error.restype = ctypes.c_ulong
    with pytest.raises(PublicKeyInvalid):
        libcrypto.load_public(b"\x30\x03\x02\x01\x00")
    libcrypto.verify_digest(libcrypto.load_public(key.public), bytes(32), b"\x30\x06\x02\x01\x01\x02\x01\x01")
    assert library.ERR_peek_error() == 0
