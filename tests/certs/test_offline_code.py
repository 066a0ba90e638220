"""The offline code by itself: what it says, how it is spelled, and that no octet of it can be changed."""

import datetime as dt
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import zxingcpp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from certs.catalogue import shipped_types
from certs.numbering import make_identifier
from certs.offline_code import (
    FULL_NAME,
    PREFIX,
    CodeAlgorithm,
    CodeHolder,
    OfflineCode,
    OfflineCodeMalformed,
    OfflineCodeTooLong,
    StatusReference,
    decode_offline,
    encode_offline,
    holds,
)
from certs.offline_signing import offline_code
from certs.records import Holder
from keys.base import base45, cbor
from keys.custody.algorithms import SIGNING
from keys.custody.store import Algorithm

KID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
CODE = OfflineCode(
    identifier=str(make_identifier("11990100MB0000035A001", "11990100MB0000035A", "20260000001")),
    name="食品经营许可证",
    number="JY29901000000017",
    issuer="云溪市市场监督管理局",
    issued_on=dt.date(2026, 7, 1),
    valid_from=dt.date(2026, 7, 1),
    valid_to=dt.date(2031, 6, 30),
    holders=(CodeHolder("云溪市某某餐饮有限公司", "91990100MA0000001X"),),
    status=StatusReference(1, 2_097_151),
    verification_code="0123456789ABCDEF",
)
KINDS = {
    CodeAlgorithm.ES256: SIGNING[Algorithm.P256],
    CodeAlgorithm.EDDSA: SIGNING[Algorithm.ED25519],
    CodeAlgorithm.SM2: SIGNING[Algorithm.SM2],
}


def signed(algorithm: CodeAlgorithm = CodeAlgorithm.ES256, code: OfflineCode = CODE) -> tuple[str, bytes]:
    """The text, and the public key that goes with it."""
    made = KINDS[algorithm].make()
    return encode_offline(code, algorithm, KID, KINDS[algorithm].load(made.secret, made.public)), made.public


@pytest.mark.parametrize("algorithm", CodeAlgorithm)
def test_what_was_signed_is_read_back_under_every_suite(algorithm: CodeAlgorithm) -> None:
    text, public = signed(algorithm)
    read = decode_offline(text)
    assert (read.code, read.kid, read.algorithm) == (CODE, KID, algorithm)
    assert holds(read, public)
    assert not holds(read, KINDS[algorithm].make().public)


def test_the_symbol_is_of_version_13_at_most_and_read_by_another_reader() -> None:
    text, _ = signed()
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    image: Any = zxingcpp.write_barcode_to_image(symbol, scale=1, add_quiet_zones=False)
    assert (memoryview(image).shape or (0,))[0] <= 17 + 4 * 13
    read = zxingcpp.read_barcode(zxingcpp.write_barcode_to_image(symbol, scale=3))
    assert read is not None
    assert read.text == text


@pytest.mark.parametrize("algorithm", [CodeAlgorithm.ES256, CodeAlgorithm.EDDSA])
def test_no_changed_octet_passes(algorithm: CodeAlgorithm) -> None:
    text, public = signed(algorithm)
    octets = base45.decode(text.removeprefix(PREFIX))
    for place in range(len(octets)):
        changed = bytearray(octets)
        changed[place] ^= 1 << (place % 8)
        try:
            read = decode_offline(PREFIX + base45.encode(bytes(changed)))
        except OfflineCodeMalformed:
            continue
        assert not holds(read, public), place


def test_the_key_id_and_the_algorithm_are_signed_too() -> None:
    text, public = signed()
    protected, unprotected, payload, signature = cbor.decode(base45.decode(text.removeprefix(PREFIX)))
    for header in ({1: -7, 4: b"another!"}, {1: -8, 4: KID}):
        moved = decode_offline(PREFIX + base45.encode(cbor.encode([cbor.encode(header), unprotected, payload, signature])))
        assert not holds(moved, public)
    with pytest.raises(OfflineCodeMalformed):
        decode_offline(PREFIX + base45.encode(cbor.encode([protected, {4: KID}, payload, signature])))


def test_a_persons_number_is_never_signed_into_a_code() -> None:
    number = "990100197003131003"
    for holder in (CodeHolder(number, "990***********1003"), CodeHolder("钱*", number)):
        with pytest.raises(ValueError, match="number in an offline code"):
            signed(code=replace(CODE, holders=(holder,)))


def test_a_code_that_no_symbol_holds_is_refused() -> None:
    with pytest.raises(OfflineCodeTooLong):
        signed(code=replace(CODE, name="许可证" * 400))


def test_noise_is_malformed_and_nothing_else() -> None:
    text, _ = signed()
    chance = random.Random(7)
    for _ in range(400):
        noise = list(text)
        for _ in range(chance.randint(1, 6)):
            noise[chance.randrange(4, len(noise))] = chance.choice("0123456789ABCXYZ $%*+-./:Ω")
        try:
            decode_offline("".join(noise[: chance.randint(1, len(noise))]))
        except OfflineCodeMalformed:
            continue
    for hostile in ("", PREFIX, "HC1:ABC", PREFIX + "::::", PREFIX + "A" * 5000):
        with pytest.raises(OfflineCodeMalformed):
            decode_offline(hostile)


def test_the_outsider_of_cryptography_accepts_the_cose_message() -> None:
    """RFC 9052 §4.4 by hand: the library checks r ‖ s over the Sig_structure that a reader builds from the message alone."""
    text, public = signed(CodeAlgorithm.EDDSA)
    protected, _, payload, signature = cbor.decode(base45.decode(text.removeprefix(PREFIX)))
    head = b"\x84\x6aSignature1" + bytes([0x40 + len(protected)]) + protected + b"\x40"
    length = bytes([0x58, len(payload)]) if len(payload) < 256 else b"\x59" + len(payload).to_bytes(2, "big")
    ed25519.Ed25519PublicKey.from_public_bytes(public[-32:]).verify(signature, head + length + payload)


@given(st.binary(max_size=60))
def test_base45_there_and_back(octets: bytes) -> None:
    assert base45.decode(base45.encode(octets)) == octets


def test_base45_of_the_rfc() -> None:
    for octets, text in ((b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581")):
        assert (base45.encode(octets), base45.decode(text)) == (text, octets)
    for wrong in ("GGW", ":::", "A", "ab", "é00"):
        with pytest.raises(ValueError, match=r".+"):
            base45.decode(wrong)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(st.integers(-300, 300), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_cbor_there_and_back(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


def test_cbor_of_the_rfc_and_nothing_but_the_shortest() -> None:
    for value, octets in (
        (1_000_000, "1a000f4240"),
        (-1000, "3903e7"),
        ("水", "63e6b0b4"),
        ((1, (2, 3)), "8201820203"),
        ({1: 2}, "a10102"),
    ):
        assert (cbor.encode(value).hex(), cbor.decode(bytes.fromhex(octets))) == (octets, value)
    for octets in (
        "1817",
        "190017",
        "9f01ff",
        "c11a514b67b0",
        "f93c00",
        "a201020102",
        "a202010101",
        "0101",
        "62c328",
        "81" * 12,
        "9a" + "ff" * 4,
    ):
        with pytest.raises(cbor.NotCbor):
            cbor.decode(bytes.fromhex(octets))


def test_spki_of_our_own_keys_is_what_a_foreign_library_would_load() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = encode_offline(CODE, CodeAlgorithm.ES256, KID, lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())))
    assert holds(decode_offline(text), key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_a_type_may_put_names_in_full_and_never_numbers() -> None:
    shipped = next(one for one in shipped_types() if one.offline_fields)
    full = replace(shipped, offline_fields=(*shipped.offline_fields, FULL_NAME))
    holder = Holder("钱晓明", "111", None, "990***********1003")
    certificate = SimpleNamespace(
        identifier=CODE.identifier, type_name="证", number="1", issuer_name="局", issued_on=CODE.issued_on, valid_from=None, valid_to=None,
        holders=(holder,), fields={}, verification_code="0" * 16,
    )  # fmt: skip
    for kind, name in ((shipped, "钱**"), (full, "钱晓明")):
        said = offline_code(certificate, kind, CODE.status)  # type: ignore[arg-type]
        assert said.holders == (CodeHolder(name, "990***********1003"),)
