"""What OCSP requests may look like: strict where it matters, never a crash."""

import contextlib

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.base import der
from keys.pki.ocsp_format import LARGEST_REQUEST, RequestMalformed, ResponseStatus, _request, _usual_request, failure, parse_request


def plain(serial: int = 0x1234567890, nonce: bytes | None = None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"n" * 20, b"k" * 20, serial, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


@given(st.integers(min_value=1, max_value=2**159 - 1), st.none() | st.binary(min_size=1, max_size=128))
def test_what_others_write_is_read(serial, nonce):
    request = parse_request(plain(serial, nonce))
    (asked,) = request.asked
    assert (asked.serial, asked.name_hash, asked.key_hash) == (serial, b"n" * 20, b"k" * 20)
    assert request.nonce == (None if nonce is None else der.octet_string(nonce))
    assert asked.encoded in plain(serial, nonce)


@settings(max_examples=200)
@given(st.data(), st.sampled_from([hashes.SHA1(), hashes.SHA256()]), st.none() | st.binary(min_size=1, max_size=70))
def test_the_quick_look_finds_what_the_close_look_finds(data, algorithm, nonce):
    size = algorithm.digest_size
    serial = data.draw(st.integers(min_value=1, max_value=2**159 - 1))
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"n" * size, b"k" * size, serial, algorithm)
    builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False) if nonce else builder
    whole = bytearray(builder.build().public_bytes(serialization.Encoding.DER))
    assert _usual_request(bytes(whole)) == _request(der.read(bytes(whole))) or len(nonce or b"") > 62
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    if (quick := _usual_request(bytes(whole))) is not None:
        assert quick == _request(der.read(bytes(whole)))


@settings(max_examples=300)
@given(st.binary(max_size=300))
@example(b"")
@example(b"\x30\x80\x00\x00")
@example(b"\x30" * 5000)
@example(b"\xa0\x03\x02\x01\x00")
def test_garbage_is_malformed(octets):
    with pytest.raises(RequestMalformed):
        parse_request(octets)


@settings(max_examples=300)
@given(st.data())
def test_damaged_requests_are_read_or_malformed(data):
    whole = bytearray(plain(nonce=b"0123456789abcdef"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))
    for octets in (bytes(whole), bytes(whole[:end]), bytes(whole) + b"\0"):
        with contextlib.suppress(RequestMalformed):
            request = parse_request(octets)
            assert request.asked[0].encoded in octets


def with_extension(oid: str, value: bytes, *, critical: bool) -> bytes:
    request = asn1_ocsp.OCSPRequest.load(plain())
    extension = der.sequence(der.object_identifier(oid), b"\x01\x01\xff" if critical else b"", der.octet_string(value))
    questions = request["tbs_request"]["request_list"].dump()
    return der.sequence(der.sequence(questions, der.encode(0xA2, der.sequence(extension))))


def test_extensions_that_are_not_understood():
    assert parse_request(with_extension("1.3.6.1.5.5.7.48.1.4", b"\x30\x00", critical=False)).nonce is None
    with pytest.raises(RequestMalformed, match="critical"):
        parse_request(with_extension("1.3.6.1.5.5.7.48.1.4", b"\x30\x00", critical=True))


@pytest.mark.parametrize("value", [b"", b"raw", b"\x04\x00", b"\x04\x81\x81" + b"x" * 129, b"\x04\x03ab", b"\x02\x01\x05"])
def test_nonces_that_are_none(value):
    with pytest.raises(RequestMalformed):
        parse_request(with_extension("1.3.6.1.5.5.7.48.1.2", value, critical=False))


def test_an_explicit_version_1_and_a_name_are_taken():
    (questions,) = der.members(der.members(der.read(plain()))[0])
    version, name = b"\xa0\x03\x02\x01\x00", b"\xa1\x09\x82\x07example"
    assert parse_request(der.sequence(der.sequence(version, name, questions.encoded))).asked
    with pytest.raises(RequestMalformed, match="version"):
        parse_request(der.sequence(der.sequence(b"\xa0\x03\x02\x01\x01", questions.encoded)))


def test_a_signature_is_passed_over():
    unsigned = der.members(der.read(plain()))[0].encoded
    signed = der.sequence(unsigned, der.encode(0xA0, der.sequence(der.sequence(), der.bit_string(b"x"))))
    assert parse_request(signed).asked == parse_request(plain()).asked


def test_limits():
    with pytest.raises(RequestMalformed, match="too large"):
        parse_request(bytes(LARGEST_REQUEST + 1))
    long_serial = der.sequence(der.sequence(b"\x06\x01\x2a"), der.octet_string(b"n" * 20), der.octet_string(b"k" * 20), der.integer(2**400))
    with pytest.raises(RequestMalformed, match="serial"):
        parse_request(der.sequence(der.sequence(der.sequence(der.sequence(long_serial)))))


@pytest.mark.parametrize("status", [one for one in ResponseStatus if one is not ResponseStatus.SUCCESSFUL])
def test_failures_are_what_others_read(status):
    assert ocsp.load_der_ocsp_response(failure(status)).response_status.value == status
