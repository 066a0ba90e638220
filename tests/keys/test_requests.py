"""Certification requests as openssl makes them, and everything that must not get through: each with its own code."""

import base64
import secrets
import subprocess
from pathlib import Path

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import keys as asn1_keys
from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.base.errors import FujieError
from keys.custody.store import Algorithm
from keys.pki.profiles import PROFILES
from keys.pki.requests import REQUEST_OCTETS, check_wishes, read_request
from keys.pki.weak_keys import has_close_primes, key_algorithm
from tests.conftest import require_command

SIGN_IN = PROFILES["person-sign-in"]
KINDS = {
    Algorithm.P256: ("ec", "ec_paramgen_curve:P-256"),
    Algorithm.P384: ("ec", "ec_paramgen_curve:P-384"),
    Algorithm.RSA2048: ("rsa", "rsa_keygen_bits:2048"),
    Algorithm.ED25519: ("ed25519", None),
    Algorithm.SM2: ("sm2", None),
}


def made_by_openssl(folder: Path, algorithm: Algorithm, *more: str, form: str = "DER") -> bytes:
    kind, option = KINDS[algorithm]
    words = [require_command("openssl", "openssl"), "req", "-new", "-newkey", kind, "-nodes", "-keyout", str(folder / "key.pem")]
    words += ["-pkeyopt", option] if option else []
    words += ["-sm3", "-sigopt", "distid:1234567812345678"] if algorithm is Algorithm.SM2 else []
    words += ["-subj", "/CN=somebody else", "-outform", form, *more]
    return subprocess.run(words, capture_output=True, timeout=30, check=True).stdout


def made(key, *, extensions=(), name="甲") -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def spki(numbers_or_key) -> bytes:
    return numbers_or_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rsa_spki(modulus: int, exponent: int = 65537) -> bytes:
    """Written by hand: libraries refuse to load some of these."""
    return asn1_keys.PublicKeyInfo.wrap(asn1_keys.RSAPublicKey({"modulus": modulus, "public_exponent": exponent}), "rsa").dump()


def code_of(octets: bytes) -> str:
    with pytest.raises(FujieError) as refused:
        read_request(octets)
    assert all(refused.value.public)
    return refused.value.code


def key_code(public: bytes) -> str:
    with pytest.raises(FujieError) as refused:
        key_algorithm(public)
    return refused.value.code


@pytest.mark.parametrize("algorithm", KINDS)
def test_requests_of_openssl_are_read(tmp_path, algorithm):
    der = made_by_openssl(tmp_path, algorithm)
    found = read_request(der)
    assert key_algorithm(found.public_key) is algorithm
    assert asn1_x509.Name.load(found.subject).native == {"common_name": "somebody else"}
    check_wishes(found, SIGN_IN)
    armoured = pem.armor("CERTIFICATE REQUEST", der)
    assert read_request(armoured) == read_request(base64.b64encode(der)) == read_request(base64.encodebytes(der)) == found
    assert read_request(armoured.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")) == found


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_request_signed_by_another_key_proves_nothing(tmp_path, algorithm):
    der = bytearray(made_by_openssl(tmp_path, algorithm))
    place = bytes(der).index(b"somebody else")
    der[place] ^= 1
    assert code_of(bytes(der)) == "CERTIFICATE_REQUEST_PROOF_INVALID"


def test_an_sm2_request_under_another_signer_id_proves_nothing(tmp_path):
    assert code_of(made_by_openssl(tmp_path, Algorithm.SM2, "-sigopt", "distid:another")) == "CERTIFICATE_REQUEST_PROOF_INVALID"


def test_a_borrowed_key_is_not_certified(tmp_path):
    """The request of one key, the signature of another: whoever does not hold it gets no certificate for it."""
    own, other = (asn1_csr.CertificationRequest.load(made_by_openssl(tmp_path, Algorithm.P256)) for _ in range(2))
    own["signature"] = other["signature"]
    assert code_of(own.dump()) == "CERTIFICATE_REQUEST_PROOF_INVALID"


def test_garbage_is_called_so(tmp_path):
    der = made_by_openssl(tmp_path, Algorithm.P256)
    indefinite = b"\x30\x80" + der[3 if der[1] == 0x81 else 4 :] + b"\0\0"
    for octets in (
        *(b"", b"\x30", b"\x30\x00", b"nonsense", b"\0" * 100, secrets.token_bytes(500), b"\x30\x84\xff\xff\xff\xff" + der),
        *(der[:-1], der + b"\0", der[: len(der) // 2], indefinite, b"-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n-----END"),
        *(pem.armor("CERTIFICATE", der), pem.armor("CERTIFICATE REQUEST", b"\x30\x03\x02\x01\x01")),
        *(b"\x30\x80" * 5000, b"\x30" * 4000),
    ):
        assert code_of(octets) == "CERTIFICATE_REQUEST_MALFORMED", octets[:40]


def test_every_octet_flipped_is_refused(tmp_path):
    """No change to a request survives: the proof covers all of it, the rest is structure."""
    der = made_by_openssl(tmp_path, Algorithm.ED25519)
    for place in range(len(der)):
        changed = bytearray(der)
        changed[place] ^= 0x01
        assert code_of(bytes(changed)) in {
            "CERTIFICATE_REQUEST_MALFORMED",
            "CERTIFICATE_REQUEST_PROOF_INVALID",
            "PUBLIC_KEY_UNSUITABLE",
            "PUBLIC_KEY_WEAK",
        }


def test_an_oversized_request_is_not_looked_at(tmp_path):
    names = x509.SubjectAlternativeName([x509.DNSName(f"host{number}.example") for number in range(1000)])
    large = made(ec.generate_private_key(ec.SECP256R1()), extensions=[names]).public_bytes(Encoding.DER)
    assert len(large) > REQUEST_OCTETS
    assert code_of(large) == "CERTIFICATE_REQUEST_MALFORMED"


@pytest.mark.parametrize(
    "extension",
    [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]),
        x509.SubjectAlternativeName([x509.RFC822Name("mayor@example.gov.cn")]),
        x509.NameConstraints(permitted_subtrees=[x509.DNSName("example")], excluded_subtrees=None),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
        x509.KeyUsage(True, False, False, False, False, True, True, False, False),
    ],
    ids=lambda extension: type(extension).__name__,
)
def test_wishes_beyond_the_profile_are_refused(extension):
    found = read_request(made(ec.generate_private_key(ec.SECP256R1()), extensions=[extension]).public_bytes(Encoding.DER))
    with pytest.raises(FujieError) as refused:
        check_wishes(found, SIGN_IN)
    assert refused.value.code == "CERTIFICATE_REQUEST_USAGE_UNSUITABLE"


def test_wishes_within_the_profile_are_fine():
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    wishes = [x509.BasicConstraints(ca=False, path_length=None), usage, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]
    wishes.append(x509.SubjectKeyIdentifier(b"mine"))
    check_wishes(read_request(made(key, extensions=wishes).public_bytes(Encoding.DER)), SIGN_IN)


def a_prime(bits: int) -> int:
    while True:
        candidate = secrets.randbits(bits) | 3 << (bits - 2) | 1
        if pow(2, candidate - 1, candidate) == 1:
            return candidate


def next_prime(number: int) -> int:
    number += 2
    while pow(2, number - 1, number) != 1:
        number += 2
    return number


def a_roca_prime(bits: int) -> int:
    """As the affected library made them: k·M + 65537^a mod M, M the product of the first primes (here those the test looks at)."""
    smooth = 1
    for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113):
        smooth *= prime
    for prime in (127, 131, 137, 139, 149, 151, 157, 163, 167):
        smooth *= prime
    while True:
        top = ((3 << (bits - 2)) // smooth) + secrets.randbits(bits - smooth.bit_length() - 4)
        candidate = top * smooth + pow(65537, secrets.randbits(64), smooth)
        if pow(2, candidate - 1, candidate) == 1:
            return candidate


def test_weak_rsa_keys_are_refused():
    ordinary = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    assert key_algorithm(rsa_spki(ordinary)) is Algorithm.RSA2048
    small = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n
    prime = a_prime(1024)
    weak = {
        "1024 bits": rsa_spki(small),
        "exponent 3": rsa_spki(ordinary, 3),
        "exponent 1": rsa_spki(ordinary, 1),
        "exponent 65536": rsa_spki(ordinary, 65536),
        "exponent too large": rsa_spki(ordinary, (1 << 300) + 1),
        "even modulus": rsa_spki(ordinary - 1),
        "close primes": rsa_spki(prime * next_prime(prime)),
        "a square": rsa_spki(prime * prime),
        "a small factor": rsa_spki(751 * ((1 << 2047) // 751 + 2 | 1)),
    }
    assert {name: key_code(public) for name, public in weak.items()} == dict.fromkeys(weak, "PUBLIC_KEY_WEAK")
    assert has_close_primes(prime * next_prime(prime))
    assert not has_close_primes(ordinary)
    assert key_code(rsa_spki(rsa.generate_private_key(65537, 2056).public_key().public_numbers().n)) == "PUBLIC_KEY_UNSUITABLE"


def test_a_key_with_the_roca_fingerprint_is_refused():
    modulus = a_roca_prime(1024) * a_roca_prime(1024)
    with pytest.raises(FujieError, match="ROCA") as refused:
        key_algorithm(rsa_spki(modulus))
    assert refused.value.code == "PUBLIC_KEY_WEAK"


@pytest.mark.parametrize("point", [b"\0" * 32, b"\x01" + b"\0" * 31, b"\xec" + b"\xff" * 30 + b"\x7f", b"\0" * 31 + b"\x80"])
def test_ed25519_keys_in_a_small_subgroup_are_refused(point):
    assert key_code(bytes.fromhex("302a300506032b6570032100") + point) == "PUBLIC_KEY_WEAK"


def test_the_points_of_order_eight_are_refused():
    """y of the points whose double has y = 0 (RFC 7748 lists their images on Curve25519)."""
    for point in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ):
        assert key_code(bytes.fromhex("302a300506032b6570032100" + point)) == "PUBLIC_KEY_WEAK"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_a_point_off_its_curve_is_refused(curve):
    public = bytearray(spki(ec.generate_private_key(curve).public_key()))
    public[-1] ^= 1
    assert key_code(bytes(public)) == "PUBLIC_KEY_UNSUITABLE"


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP521R1(), ec.BrainpoolP256R1()])
def test_other_curves_are_not_certified(curve):
    assert key_code(spki(ec.generate_private_key(curve).public_key())) in {"PUBLIC_KEY_UNSUITABLE", "PUBLIC_KEY_WEAK"}
