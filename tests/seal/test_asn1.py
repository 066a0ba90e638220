"""Seals and stamps of three generations: what is written is read back, what is not DER is refused."""

import datetime as dt

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from keys.base import der
from keys.base.errors import FujieError
from seal import asn1

NOON = dt.datetime(2026, 11, 21, 4, 0, tzinfo=dt.UTC)
INSTANTS = st.datetimes(dt.datetime(1951, 1, 1), dt.datetime(2099, 1, 1), timezones=st.just(dt.UTC)).map(lambda t: t.replace(microsecond=0))
ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


def content(**changes: object) -> asn1.SealContent:
    values: dict[str, object] = {
        "es_id": "99010012345678",
        "name": "示范市行政审批服务局行政审批专用章",
        "certificates": (b"certificate one", b"certificate two"),
        "created": NOON,
        "valid_from": NOON,
        "valid_to": NOON + dt.timedelta(days=365),
        "picture": b"\x89PNG",
        "width_mm": 42,
        "height_mm": 42,
    }
    return asn1.SealContent(**(values | changes))  # type: ignore[arg-type]


def seal(version: int = 5, timestamp: bytes | None = None) -> bytes:
    return asn1.assemble_seal(asn1.build_seal_info(content(), version), b"maker", b"signature", timestamp)


def stamp(version: int = 5, timestamp: bytes | None = None) -> bytes:
    tbs = asn1.build_tbs_sign(seal(version), NOON, b"\x5a" * 32, "[0 10 20 30]", version)
    return asn1.assemble_ses_signature(tbs, b"signer", b"r and s", timestamp)


def seal_of_version_1() -> bytes:
    """Put together by hand after GM/T 0031-2014, with UTCTime and no certListType."""
    moment = der.encode(0x17, b"260101000000Z")
    info = der.sequence(
        der.sequence(der.ia5_string("ES"), der.integer(1), der.ia5_string("OTHER")),
        der.ia5_string("1101080000001"),
        der.sequence(der.integer(1), der.utf8_string("老章"), der.sequence(der.octet_string(b"cert")), moment, moment, moment),
        der.sequence(der.ia5_string("png"), der.octet_string(b"picture"), der.integer(40), der.integer(30)),
    )
    proof = der.sequence(der.octet_string(b"maker"), der.object_identifier(asn1.SM2_WITH_SM3), der.bit_string(b"sig"))
    return der.sequence(info, proof)


def stamp_of_version_1(time_info: bytes) -> bytes:
    tbs = der.sequence(
        der.integer(1),
        seal_of_version_1(),
        der.bit_string(time_info),
        der.bit_string(b"\x01" * 32),
        der.ia5_string("/Doc_0/Signs/Sign_0/Signature.xml"),
        der.octet_string(b"signer"),
        der.object_identifier(asn1.SM2_WITH_SM3),
    )
    return der.sequence(tbs, der.bit_string(b"sig"))


@given(st.binary(max_size=300), st.sampled_from([4, 5]), INSTANTS, INSTANTS, st.text(max_size=40), ASCII, st.integers(1, 1000))
def test_what_is_written_into_a_seal_is_read_back(picture, version, start, end, name, es_id, size):
    info = asn1.build_seal_info(
        content(picture=picture, valid_from=start, valid_to=end, name=name, es_id=es_id, width_mm=size, height_mm=size), version
    )
    read = asn1.parse_seal(asn1.assemble_seal(info, b"maker", b"\x30\x00"))
    assert read.signed == info
    assert (read.version, read.picture, read.valid_from, read.valid_to) == (version, picture, start, end)
    assert (read.name, read.es_id, read.width_mm, read.height_mm) == (name, es_id, size, size)
    assert read.certificates == (b"certificate one", b"certificate two")
    assert read.digests == ()
    assert (read.maker_certificate, read.algorithm, read.signature) == (b"maker", asn1.SM2_WITH_SM3, b"\x30\x00")


@given(st.binary(min_size=32, max_size=32), ASCII, INSTANTS, st.binary(max_size=80), st.sampled_from([4, 5]))
def test_what_is_written_into_a_stamp_is_read_back(data_hash, property_info, time, signature, version):
    tbs = asn1.build_tbs_sign(seal(version), time, data_hash, property_info, version)
    encoded = asn1.assemble_ses_signature(tbs, b"signer", signature)
    read = asn1.parse_ses_signature(encoded)
    assert (read.version, read.signed, read.encoded) == (version, tbs, encoded)
    assert (read.data_hash, read.property_info, read.time, read.signature) == (data_hash, property_info, time, signature)
    assert read.seal.encoded == seal(version)
    assert (read.certificate, read.algorithm, read.timestamp) == (b"signer", asn1.SM2_WITH_SM3, None)


def test_a_time_stamp_of_a_seal_makes_it_version_5():
    read = asn1.parse_seal(seal(5, b"token"))
    assert (read.version, read.timestamp) == (5, b"token")
    assert asn1.parse_ses_signature(stamp(5, b"token")).timestamp == b"token"


def test_version_1_seal_is_told_by_its_two_members():
    encoded = seal_of_version_1()
    read = asn1.parse_seal(encoded)
    assert (read.version, read.es_id, read.name, read.certificates) == (1, "1101080000001", "老章", (b"cert",))
    assert read.created == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert (read.width_mm, read.height_mm, read.signature, read.timestamp) == (40, 30, b"sig", None)
    info, proof = der.members(der.read(encoded))
    certificate, algorithm, _ = der.members(proof)
    assert read.signed == der.sequence(info.encoded, certificate.encoded, algorithm.encoded)


@pytest.mark.parametrize(
    ("time_info", "time"),
    [
        (b"20261121040000Z", NOON),
        (b"261121040000Z", NOON),
        (der.encode(0x17, b"261121120000+0800"), NOON),
        (der.generalized_time(NOON), NOON),
        (b"", None),
    ],
)
def test_version_1_stamp_and_its_kinds_of_time(time_info, time):
    read = asn1.parse_ses_signature(stamp_of_version_1(time_info))
    assert (read.version, read.time, read.time_token) == (1, time, None)
    assert (read.certificate, read.signature, read.data_hash) == (b"signer", b"sig", b"\x01" * 32)
    assert read.signed == der.members(der.read(read.encoded))[0].encoded


def test_digests_of_certificates_and_extensions_are_read():
    info = der.members(der.read(asn1.build_seal_info(content())))
    prop = der.members(info[2])
    digest = der.sequence(der.encode(0x13, b"SM3"), der.octet_string(b"\x07" * 32))
    listed = der.sequence(prop[0].encoded, prop[1].encoded, der.integer(2), der.sequence(digest), *(one.encoded for one in prop[4:]))
    extension = der.sequence(der.sequence(der.object_identifier("1.2.3"), der.encode(0x01, b"\xff"), der.octet_string(b"x")))
    read = asn1.parse_seal(
        asn1.assemble_seal(der.sequence(info[0].encoded, info[1].encoded, listed, info[3].encoded, extension), b"maker", b"s")
    )
    assert (read.certificates, read.digests) == ((), (("SM3", b"\x07" * 32),))
    assert read.extensions == (asn1.ParsedExtension("1.2.3", True, b"x"),)


def test_extensions_of_a_stamp_carry_a_tag():
    tbs, *rest = der.members(der.read(stamp()))
    extension = der.sequence(der.object_identifier("1.2.3"), der.octet_string(b"x"))
    longer = der.sequence(*(one.encoded for one in der.members(tbs)), der.encode(0xA0, der.sequence(extension)))
    read = asn1.parse_ses_signature(der.sequence(longer, *(one.encoded for one in rest)))
    assert read.extensions == (asn1.ParsedExtension("1.2.3", False, b"x"),)


def _with_version(version: int) -> bytes:
    return seal().replace(der.ia5_string("ES") + der.integer(5), der.ia5_string("ES") + der.integer(version), 1)


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        (seal() + b"\0", "after the value"),
        (_with_version(3), "unknown version 3"),
        (_with_version(6), "unknown version 6"),
        (b"\x30\x80" + seal()[4:] + b"\0\0", "indefinite"),
        (b"\x30\x83\x00" + seal()[2:], "not minimal"),
        (seal()[:-1], "past its end"),
        (b"", "nothing"),
        (b"\x30\x02\x30\x05", "past its end"),
        (seal().replace(b"20261121040000Z", b"20261321040000Z", 1), "no such date"),
        (seal().replace(b"20261121040000Z", b"yesterday       "[:15], 1), "no UTCTime"),
        (seal().replace(der.ia5_string("ES"), der.ia5_string("XX"), 1), "not that of a seal"),
        (seal().replace(der.bit_string(b"signature"), b"\x03\x0a\x03signature", 1), "unused bits"),
        (seal().replace(der.integer(42) * 2, der.integer(42) + der.integer(0), 1), "size"),
        (der.sequence(*[der.integer(1)] * 3), ""),
    ],
)
def test_a_spoilt_seal_is_refused_with_a_word(spoilt, word):
    with pytest.raises(asn1.SealFormat) as refusal:
        asn1.parse_seal(spoilt)
    assert word in refusal.value.detail
    assert refusal.value.code == "SEAL_FORMAT"


def test_nesting_without_end_is_refused():
    data = b""
    for _ in range(200):
        data = der.sequence(data)
    with pytest.raises(asn1.StampFormat, match="nested deeper"):
        asn1.parse_ses_signature(data)


@pytest.mark.parametrize("encoded", [seal(), stamp(), seal_of_version_1(), stamp_of_version_1(b"261121040000Z"), stamp(4, b"token")])
def test_every_truncation_is_refused(encoded):
    for length in range(len(encoded)):
        with pytest.raises(FujieError):
            asn1.parse_ses_signature(encoded[:length])
        with pytest.raises(FujieError):
            asn1.parse_seal(encoded[:length])


@given(st.integers(0, len(stamp()) - 1), st.integers(0, 255))
def test_a_changed_octet_is_read_or_refused_never_more(position, octet):
    changed = bytearray(stamp())
    changed[position] = octet
    try:
        read = asn1.parse_ses_signature(bytes(changed))
    except (asn1.StampFormat, asn1.SealFormat):
        return
    assert read.encoded == bytes(changed)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data):
    for parse in (asn1.parse_seal, asn1.parse_ses_signature):
        with pytest.raises((asn1.StampFormat, asn1.SealFormat)):
            parse(data)


def test_only_versions_4_and_5_are_written():
    with pytest.raises(ValueError, match="read only"):
        asn1.build_seal_info(content(), 1)


@given(st.integers(0, 2**70), st.binary(max_size=70000), INSTANTS)
def test_our_der_is_the_library_s(number, octets, instant):
    assert der.integer(number) == core.Integer(number).dump()
    assert der.octet_string(octets) == core.OctetString(octets).dump()
    assert der.bit_string(octets) == core.OctetBitString(octets).dump()
    assert der.generalized_time(instant) == core.GeneralizedTime(instant).dump()
    assert der.object_identifier("2.999.840.1") == core.ObjectIdentifier("2.999.840.1").dump()
    assert der.utf8_string("章") == core.UTF8String("章").dump()
