"""A small honest OFD with two pages (GB/T 33190-2016), sealed any number of times, and whatever a forger may make of it."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keys.custody.sm2 import sm3
from tests.ses_by_hand import StampSpec, TokenSpec, oid, seal_by_hand, seq, stamp_by_hand, tlv, token
from tests.stamped import World

XMLNS = 'xmlns:ofd="http://www.ofdspec.org/2016"'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
LIST = "Doc_0/Signs/Signatures.xml"
SM3 = "1.2.156.10197.1.401"
Parts = dict[str, bytes]


def xml(text: str) -> bytes:
    return (HEAD + text).encode()


def plain(signed: bool = True) -> Parts:
    """The parts of the document before it is sealed; OFD.xml says already where the signatures will be."""
    place = f"<ofd:Signatures>{LIST}</ofd:Signatures>" if signed else ""
    page = '<ofd:Page {ns}><ofd:Content><ofd:Layer ID="{layer}"><ofd:TextObject ID="{text}" Boundary="20 20 160 10" Font="2" Size="6">'
    page += '<ofd:TextCode X="0" Y="6">{words}</ofd:TextCode></ofd:TextObject></ofd:Layer></ofd:Content></ofd:Page>'
    return {
        "OFD.xml": xml(
            f'<ofd:OFD {XMLNS} Version="1.0" DocType="OFD"><ofd:DocBody><ofd:DocInfo><ofd:DocID>0123456789abcdef0123456789abcdef'
            f"</ofd:DocID></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot>{place}</ofd:DocBody></ofd:OFD>"
        ),
        "Doc_0/Document.xml": xml(
            f"<ofd:Document {XMLNS}><ofd:CommonData><ofd:MaxUnitID>9</ofd:MaxUnitID><ofd:PageArea><ofd:PhysicalBox>0 0 210 297"
            "</ofd:PhysicalBox></ofd:PageArea><ofd:PublicRes>PublicRes.xml</ofd:PublicRes></ofd:CommonData><ofd:Pages>"
            '<ofd:Page ID="1" BaseLoc="Pages/Page_0/Content.xml"/><ofd:Page ID="5" BaseLoc="Pages/Page_1/Content.xml"/></ofd:Pages>'
            "</ofd:Document>"
        ),
        "Doc_0/PublicRes.xml": xml(f'<ofd:Res {XMLNS} BaseLoc="Res"><ofd:Fonts><ofd:Font ID="2" FontName="SimSun"/></ofd:Fonts></ofd:Res>'),
        "Doc_0/Pages/Page_0/Content.xml": xml(page.format(ns=XMLNS, layer=3, text=4, words="排污许可证")),
        "Doc_0/Pages/Page_1/Content.xml": xml(page.format(ns=XMLNS, layer=6, text=7, words="第二页")),
    }


@dataclass(frozen=True)
class Signing:
    """How one signature describes what it covers."""

    id: str = "1"
    type: str = "Seal"
    method: str = SM3
    skipped: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    beside: bytes | None = None
    with_seal: bool = True

    @property
    def folder(self) -> str:
        return f"Doc_0/Signs/Sign_{int(self.id) - 1}"


def check_value(method: str, content: bytes) -> str:
    kind = {SM3: sm3, "SM3": sm3}.get(method) or (lambda data: hashlib.new(method.replace("-", "").lower(), data).digest())
    return base64.b64encode(kind(content)).decode()


def description(parts: Parts, how: Signing) -> bytes:
    """Signature.xml: every part but the list of signatures is protected."""
    named = {f"/{name}": check_value(how.method, content) for name, content in parts.items() if name != LIST and name not in how.skipped}
    references = "".join(
        f'<ofd:Reference FileRef="{name}"><ofd:CheckValue>{value}</ofd:CheckValue></ofd:Reference>'
        for name, value in {**named, **how.extra}.items()
    )
    seal = f"<ofd:Seal><ofd:BaseLoc>/{how.folder}/Seal.esl</ofd:BaseLoc></ofd:Seal>" if how.with_seal and how.type == "Seal" else ""
    return xml(
        f'<ofd:Signature {XMLNS}><ofd:SignedInfo><ofd:Provider ProviderName="By hand" Version="1.0" Company="Test"/>'
        "<ofd:SignatureMethod>1.2.156.10197.1.501</ofd:SignatureMethod><ofd:SignatureDateTime>20261121020000Z</ofd:SignatureDateTime>"
        f'<ofd:References CheckMethod="{how.method}">{references}</ofd:References>'
        f'<ofd:StampAnnot ID="{how.id}" PageRef="1" Boundary="140 220 42 42"/>{seal}</ofd:SignedInfo>'
        f"<ofd:SignedValue>/{how.folder}/SignedValue.dat</ofd:SignedValue></ofd:Signature>"
    )


def listing(signings: Sequence[Signing], highest: int | None = None) -> bytes:
    """Signatures.xml."""
    entries = "".join(f'<ofd:Signature ID="{one.id}" Type="{one.type}" BaseLoc="/{one.folder}/Signature.xml"/>' for one in signings)
    most = highest if highest is not None else max(int(one.id) for one in signings)
    return xml(f"<ofd:Signatures {XMLNS}><ofd:MaxSignId>{most}</ofd:MaxSignId>{entries}</ofd:Signatures>")


def sealed(world: World, spec: StampSpec, parts: Parts | None = None, how: Signing | None = None, before: Sequence[Signing] = ()) -> Parts:
    """The parts with one more seal; ``before``: how it was sealed already."""
    how, parts = how or Signing(), dict(parts or plain())
    encoded = description(parts, how)
    from_spec = StampSpec(**{**spec.__dict__, "digest": sm3(encoded), "named": f"/{how.folder}/Signature.xml"})
    parts[f"{how.folder}/Signature.xml"] = encoded
    parts[f"{how.folder}/SignedValue.dat"] = stamp_by_hand(world, from_spec)
    if how.with_seal:
        parts[f"{how.folder}/Seal.esl"] = how.beside or seal_of(parts[f"{how.folder}/SignedValue.dat"]) or seal_by_hand(world, spec.seal)
    parts[LIST] = listing([*before, how])
    return parts


def seal_of(stamp: bytes) -> bytes:
    """The seal within a stamp: the second member of its first."""
    to_sign = _member(stamp, 0)
    return _member(to_sign, 1)


def _member(value: bytes, index: int) -> bytes:
    at = _header(value, 0)[0]
    for _ in range(index):
        at = _header(value, at)[1]
    return value[at : _header(value, at)[1]]


def _header(data: bytes, at: int) -> tuple[int, int]:
    length, body = data[at + 1], at + 2
    if length >= 128:
        width = length - 128
        length, body = int.from_bytes(data[body : body + width], "big"), body + width
    return body, body + length


def zipped(parts: Mapping[str, bytes], stored: bool = False, streamed: bool = False) -> bytes:
    """The package; ``streamed`` with data descriptors, as Java's writers do."""
    out = io.BytesIO()
    target = _Forward(out) if streamed else out
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as package:  # type: ignore[arg-type]
        for name, content in parts.items():
            package.writestr(name, content)
    return out.getvalue()


class _Forward:
    """A file that can only be written on."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()


def signed_data(
    world: World,
    content: bytes,
    *,
    gm: bool = True,
    attributes: bool = True,
    algorithm: str = "1.2.156.10197.1.501",
    time: bytes = b"261121020000Z",
    timestamp: TokenSpec | None = None,
) -> bytes:
    """A SignedData by the SM2 signer: GB/T 35275's types or RFC 5652's, detached. ``time``: UTCTime; ``timestamp``: over its signature."""
    party = world["signer-sm"]
    types = ("1.2.156.10197.6.1.4.2.1", "1.2.156.10197.6.1.4.2.2") if gm else ("1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2")
    digest = seq(oid(SM3))
    values = sorted(
        [
            seq(oid("1.2.840.113549.1.9.3"), tlv(0x31, oid(types[0]))),
            seq(oid("1.2.840.113549.1.9.4"), tlv(0x31, tlv(0x04, sm3(content)))),
            seq(oid("1.2.840.113549.1.9.5"), tlv(0x31, tlv(0x17, time))),
        ]
    )
    signed = tlv(0x31, *values) if attributes else content
    signature = world.keystore.sign(party.key, signed, party.key.purpose)
    serial = party.serial.to_bytes(party.serial.bit_length() // 8 + 1, "big")
    info = seq(
        tlv(0x02, b"\1"),
        seq(party.above[0].subject, tlv(0x02, serial)),
        digest,
        tlv(0xA0, *values) if attributes else b"",
        seq(oid(algorithm)),
        tlv(0x04, signature),
        tlv(0xA1, seq(oid("1.2.840.113549.1.9.16.2.14"), tlv(0x31, token(world, timestamp, signature)))) if timestamp else b"",
    )
    body = seq(tlv(0x02, b"\1"), tlv(0x31, digest), seq(oid(types[0])), tlv(0xA0, party.certificate), tlv(0x31, info))
    return seq(oid(types[1]), tlv(0xA0, body))
