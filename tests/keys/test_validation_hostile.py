"""Octets that somebody bent: validation answers, soon, and never takes them for what they are not."""

import datetime as dt
import functools
import time

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.base import der
from keys.custody.verifying import ECDSA_WITH_SHA256, algorithm_identifier, verify_signature
from keys.custody.verifying_keys import is_roca, read_public_key, weakness
from keys.pki.validation import Material, read_certificate, read_crl, read_ocsp, validate
from tests.chains import NOW, Maker, information, point, root

SECONDS = 3.0
BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@functools.cache
def parts() -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Root, middle, leaf, list of the middle, answer of the middle."""
    top = root()
    constraints = x509.NameConstraints([x509.DNSName("example.com")], [x509.DNSName("bad.example.com")])
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
    middle = top.certify(Maker("middle"), constraints, policies, authority=True)
    names = x509.SubjectAlternativeName([x509.DNSName("www.example.com"), x509.RFC822Name("a@example.com")])
    leaf = middle.certify(Maker("leaf"), names, policies, information(), point("http://127.0.0.1:1/1.crl"))
    assert leaf.certificate is not None
    revoked = dict.fromkeys(range(1, 20))
    return top.der, middle.der, leaf.der, middle.list(revoked), middle.answer(leaf, middle)


@st.composite
def bent(draw: st.DrawFn, which: int) -> bytes:
    """One of the parts with octets changed, put in, taken out, doubled or cut off."""
    octets = bytearray(parts()[which])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        kind = draw(st.sampled_from(("change", "insert", "delete", "double", "cut")))
        if kind == "change" and octets:
            octets[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            octets[at:at] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "delete":
            del octets[at : at + draw(st.integers(1, 8))]
        elif kind == "double":
            octets[at:at] = octets[at : at + draw(st.integers(1, 64))]
        elif draw(st.booleans()):
            del octets[at:]
    return bytes(octets)


@BOUNDED
@given(bent(0), bent(1), bent(2), bent(3), bent(4))
def test_bent_octets_never_raise_nor_hang(top: bytes, middle: bytes, leaf: bytes, crl: bytes, answer: bytes) -> None:
    genuine = parts()
    start = time.process_time()
    for anchors, others, lists, answers, signer in (
        ([top], [genuine[1]], [genuine[3]], [], genuine[2]),
        ([genuine[0]], [middle], [genuine[3]], [genuine[4]], genuine[2]),
        ([genuine[0]], [genuine[1]], [crl], [answer], genuine[2]),
        ([genuine[0]], [genuine[1]], [genuine[3]], [genuine[4]], leaf),
    ):
        found = validate(signer, Material.read(anchors, others, lists, answers), NOW)
        assert found.fault is not None, "the root's own status is known to nobody, so nothing here may pass"
    assert time.process_time() - start < SECONDS


@BOUNDED
@given(bent(2))
def test_a_bent_certificate_is_never_signed(leaf: bytes) -> None:
    genuine, party = parts()[2], read_certificate(leaf)
    issuer = read_certificate(parts()[1])
    assert issuer is not None
    if leaf != genuine and party is not None and (party.signed, party.signature) != _signed(genuine):
        assert not verify_signature(issuer.public, party.algorithm_identifier, party.signed, party.signature)


def _signed(encoded: bytes) -> tuple[bytes, bytes]:
    party = read_certificate(encoded)
    assert party is not None
    return party.signed, party.signature


@BOUNDED
@given(st.binary(max_size=200))
def test_any_octets_whatever(octets: bytes) -> None:
    assert read_certificate(octets) is None
    assert read_crl(octets) is None
    assert read_ocsp(octets) is None
    assert not verify_signature(octets, octets, octets, octets)
    assert weakness(octets) is not None


def test_the_untouched_parts_are_read() -> None:
    assert all(map(read_certificate, parts()[:3]))
    assert read_crl(parts()[3]) is not None
    assert read_ocsp(parts()[4]) is not None


@pytest.mark.parametrize("depth", [30, 5000])
def test_nesting_without_end_is_not_read(depth: int) -> None:
    octets = b""
    for _ in range(depth):
        octets = der.sequence(octets)
    assert read_certificate(octets) is None
    assert read_public_key(octets) is None


def test_an_algorithm_is_taken_in_one_spelling_only() -> None:
    party, issuer = read_certificate(parts()[2]), read_certificate(parts()[1])
    assert party is not None
    assert issuer is not None
    proper = algorithm_identifier(ECDSA_WITH_SHA256)
    assert verify_signature(issuer.public, proper, party.signed, party.signature)
    for spelled in (algorithm_identifier(ECDSA_WITH_SHA256, b"\x05\x00"), proper + b"\0", b"", proper[:-1]):
        assert not verify_signature(issuer.public, spelled, party.signed, party.signature)
    padded = der.sequence(der.read(party.signature).value + der.integer(1))
    assert not verify_signature(issuer.public, proper, party.signed, padded)


def test_the_mark_of_roca() -> None:
    """A modulus made of powers of 65537 modulo each small prime has the fingerprint; an ordinary one has not."""
    primes = 2 * 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23 * 29 * 31 * 37 * 41 * 43 * 47 * 53 * 59 * 61 * 67 * 71 * 73 * 79 * 83 * 89 * 97
    primes *= 101 * 103 * 107 * 109 * 113 * 127 * 131 * 137 * 139 * 149 * 151 * 157 * 163 * 167
    assert is_roca(pow(65537, 12345, primes) + primes * 77)
    assert not is_roca((1 << 2047) + 12345678901)


def test_instants_are_compared_to_the_second() -> None:
    party = read_certificate(parts()[2])
    assert party is not None
    assert party.valid_at(party.not_after + dt.timedelta(milliseconds=999))
    assert not party.valid_at(party.not_after + dt.timedelta(seconds=1))
