"""Seals, stamps and time stamps of all three generations written tag by tag from the standards, by nothing of the product.

The product's own writer (:mod:`seal.asn1_build`) writes versions 5 and 4 without faults; what is here writes 1, 4 and 5, and faults. Only
keys and certificates come from :mod:`tests.stamped`.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace

from keys.custody.sm2 import sm3
from keys.time.request import read_request
from keys.time.token import Promise, Template, write_info
from tests.stamped import NOW, Party, World

SM2_WITH_SM3, SM2_UNDER_CURVE, RSA_SHA256 = "1.2.156.10197.1.501", "1.2.156.10197.1.301.1", "1.2.840.113549.1.1.11"
DAY = dt.timedelta(days=1)
SIGNATURE_XML = "/Doc_0/Signs/Sign_0/Signature.xml"


def tlv(tag: int, *contents: bytes) -> bytes:
    body = b"".join(contents)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    width = (len(body).bit_length() + 7) // 8
    return bytes([tag, 128 + width]) + len(body).to_bytes(width, "big") + body


def seq(*members: bytes) -> bytes:
    return tlv(0x30, *members)


def number(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def ia5(text: str) -> bytes:
    return tlv(0x16, text.encode("ascii"))


def octets(value: bytes) -> bytes:
    return tlv(0x04, value)


def bits(value: bytes) -> bytes:
    return tlv(0x03, b"\0" + value)


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for arc in (first * 40 + second, *rest):
        part = bytes([arc & 127])
        while arc := arc >> 7:
            part = bytes([arc & 127 | 128]) + part
        body += part
    return tlv(0x06, body)


def general(instant: dt.datetime) -> bytes:
    return tlv(0x18, instant.strftime("%Y%m%d%H%M%SZ").encode())


def utc(instant: dt.datetime) -> bytes:
    return tlv(0x17, instant.strftime("%y%m%d%H%M%SZ").encode())


def raw(signature: bytes) -> bytes:
    """r ‖ s of DER SEQUENCE{r, s}."""
    length = signature[3]
    pair = signature[4 : 4 + length], signature[6 + length :]
    return b"".join(one[-32:].rjust(32, b"\0") for one in pair)


@dataclass(frozen=True)
class SealSpec:
    """An SESeal: each member can be bent. ``stated_type``: certListType, None leaves it out; ``listed``: DER members of certList."""

    maker: Party
    listed: tuple[bytes, ...]
    version: int = 5
    stated_type: int | None = 1
    code: str = "99010000000001"
    name: str = "测试市行政审批专用章"
    created: dt.datetime = NOW - DAY
    valid_from: dt.datetime = NOW - DAY
    valid_to: dt.datetime = NOW + 300 * DAY
    utc_times: bool = False
    algorithm: str = SM2_WITH_SM3
    raw_signature: bool = False
    broken: bool = False
    timestamp: "TokenSpec | None" = None
    extensions: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class StampSpec:
    """An SES_Signature over a seal."""

    seal: SealSpec
    signer: Party
    version: int = 5
    time: dt.datetime = NOW
    digest: bytes = bytes(32)
    named: str = SIGNATURE_XML
    utc_times: bool = False
    algorithm: str = SM2_WITH_SM3
    raw_signature: bool = False
    broken: bool = False
    timestamp: "TokenSpec | None" = None
    extensions: tuple[bytes, ...] = ()
    time_info: bytes | None = None


@dataclass(frozen=True)
class TokenSpec:
    """A time stamp over a signature value."""

    signer: Party
    at: dt.datetime = field(default=NOW)
    over: bytes | None = None


def digest_of(certificate: bytes, kind: str = "SM3") -> bytes:
    """CertDigestObj."""
    value = sm3(certificate) if kind in ("SM3", "1.2.156.10197.1.401") else hashlib.sha256(certificate).digest()
    return seq(tlv(0x13, kind.encode()), octets(value))


def extension(value: bytes = b"x", critical: bool = False) -> bytes:
    return seq(oid("1.2.156.990100.1"), tlv(0x01, b"\xff") if critical else b"", octets(value))


def seal_by_hand(world: World, spec: SealSpec) -> bytes:
    first = spec.version == 1
    when = utc if first or spec.utc_times else general
    stated = b"" if first or spec.stated_type is None else number(spec.stated_type)
    info = seq(
        seq(ia5("ES"), number(spec.version), ia5("HAND")),
        ia5(spec.code),
        seq(
            number(1),
            tlv(0x0C, spec.name.encode()),
            stated,
            seq(*spec.listed),
            when(spec.created),
            when(spec.valid_from),
            when(spec.valid_to),
        ),
        seq(ia5("PNG"), octets(b"\x89PNG picture"), number(42), number(42)),
        seq(*spec.extensions) if spec.extensions else b"",
    )
    algorithm = oid(spec.algorithm)
    signed = seq(info, octets(spec.maker.certificate), algorithm) if first else info
    signature = _sign(world, spec.maker, signed, spec.raw_signature, spec.broken)
    if first:
        return seq(info, seq(octets(spec.maker.certificate), algorithm, bits(signature)))
    stamped = tlv(0xA0, bits(token(world, spec.timestamp, signature))) if spec.timestamp else b""
    return seq(info, octets(spec.maker.certificate), algorithm, bits(signature), stamped)


def stamp_by_hand(world: World, spec: StampSpec) -> bytes:
    first = spec.version == 1
    certificate, algorithm = octets(spec.signer.certificate), oid(spec.algorithm)
    instant = (utc if spec.utc_times else general)(spec.time)
    to_sign = seq(
        number(spec.version),
        seal_by_hand(world, spec.seal),
        bits(spec.time_info if spec.time_info is not None else instant) if first else instant,
        bits(spec.digest),
        ia5(spec.named),
        certificate + algorithm if first else b"",
        tlv(0xA0, seq(*spec.extensions)) if spec.extensions else b"",
    )
    signature = _sign(world, spec.signer, to_sign, spec.raw_signature, spec.broken)
    if first:
        return seq(to_sign, bits(signature))
    stamped = tlv(0xA0, bits(token(world, spec.timestamp, signature))) if spec.timestamp else b""
    return seq(to_sign, certificate, algorithm, bits(signature), stamped)


def _sign(world: World, party: Party, message: bytes, as_raw: bool, broken: bool) -> bytes:
    signature = world.keystore.sign(party.key, message + b"!" if broken else message, party.key.purpose)
    return raw(signature) if as_raw else signature


def token(world: World, spec: TokenSpec, value: bytes) -> bytes:
    """An RFC 3161 token by the time-stamping authority of :func:`with_time`, over SHA-256 of the value."""
    imprint = seq(seq(oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00"), octets(hashlib.sha256(spec.over or value).digest()))
    info = write_info(Promise(), read_request(seq(number(1), imprint)), 7, spec.at)
    template = Template((spec.signer.certificate, *spec.signer.chain[:-1]))
    attributes = template.attributes(info)
    signature = world.keystore.sign(spec.signer.key, Template.signed(attributes), spec.signer.key.purpose)
    return template.token(info, attributes, signature, certificates=True)


def with_time(world: World) -> Party:
    """A time-stamping authority beneath the world's P-256 root, and whoever signs tokens for it."""
    if "stamper" not in world.parties:
        world.authority("tsa", world["root"].key.algorithm, "root")
        world.leaf("stamper", "tsa-signer", "tsa")
    return world["stamper"]


def usual(world: World, **changes: object) -> StampSpec:
    """What passes: version 5, listed by certificate."""
    seal = SealSpec(world["maker"], (octets(world["signer-sm"].certificate),))
    return replace(StampSpec(seal, world["signer-sm"]), **changes)  # type: ignore[arg-type]
