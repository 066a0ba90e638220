"""Every SES structure that we write re-parses to the same octets with readers that are not ours: pyasn1, OpenSSL, Bouncy Castle."""

import io
import re
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import char, namedtype, tag, univ, useful

from seal.asn1 import SealContent, assemble_seal, assemble_ses_signature, build_seal_info, build_tbs_sign
from seal.asn1_build import SignerList
from seal.extraction import extract_stamp
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.conftest import require_command
from tests.ofd_by_hand import zipped
from tests.ses_by_hand import TokenSpec, seal_by_hand, stamp_by_hand, token, usual, with_time
from tests.stamped import NOW, World

Named, Optional, Default = namedtype.NamedType, namedtype.OptionalNamedType, namedtype.DefaultedNamedType
_TAGGED = tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 0)


def record(*members: namedtype.NamedType) -> univ.Sequence:
    return univ.Sequence(componentType=namedtype.NamedTypes(*members))


EXTENSIONS = univ.SequenceOf(
    componentType=record(
        Named("extnID", univ.ObjectIdentifier()), Default("critical", univ.Boolean(False)), Named("extnValue", univ.OctetString())
    )
)
CERTIFICATES = univ.SequenceOf(componentType=univ.OctetString())
DIGESTS = univ.SequenceOf(componentType=record(Named("type", char.PrintableString()), Named("value", univ.OctetString())))


def seal_schema(listed: univ.SequenceOf, last: str = "timeStamp") -> univ.Sequence:
    """SESeal of versions 4 and 5 (STANDARDS.md §3), written here once more."""
    header = record(Named("ID", char.IA5String()), Named("version", univ.Integer()), Named("Vid", char.IA5String()))
    properties = record(
        Named("type", univ.Integer()),
        Named("name", char.UTF8String()),
        Named("certListType", univ.Integer()),
        Named("certList", listed),
        Named("createDate", useful.GeneralizedTime()),
        Named("validStart", useful.GeneralizedTime()),
        Named("validEnd", useful.GeneralizedTime()),
    )
    picture = record(
        Named("type", char.IA5String()), Named("data", univ.OctetString()), Named("width", univ.Integer()), Named("height", univ.Integer())
    )
    info = record(
        Named("header", header),
        Named("esID", char.IA5String()),
        Named("property", properties),
        Named("picture", picture),
        Optional("extDatas", EXTENSIONS),
    )
    return record(
        Named("eSealInfo", info),
        Named("cert", univ.OctetString()),
        Named("signAlgID", univ.ObjectIdentifier()),
        Named("signedValue", univ.BitString()),
        Optional(last, univ.BitString().subtype(explicitTag=_TAGGED)),
    )


def stamp_schema(listed: univ.SequenceOf) -> univ.Sequence:
    to_sign = record(
        Named("version", univ.Integer()),
        Named("eseal", seal_schema(listed)),
        Named("timeInfo", useful.GeneralizedTime()),
        Named("dataHash", univ.BitString()),
        Named("propertyInfo", char.IA5String()),
        Optional("extDatas", EXTENSIONS.subtype(explicitTag=_TAGGED)),
    )
    return record(
        Named("toSign", to_sign),
        Named("cert", univ.OctetString()),
        Named("signatureAlgID", univ.ObjectIdentifier()),
        Named("signature", univ.BitString()),
        Optional("timeStamp", univ.BitString().subtype(explicitTag=_TAGGED)),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def written(world: World, version: int, listed: SignerList, stamped: bool) -> tuple[bytes, bytes]:
    """A seal and a stamp as the product writes them."""
    maker, signer = world["maker"], world["signer-sm"]
    content = SealContent(
        es_id="99010000000001",
        name="测试市行政审批专用章",
        certificates=(signer.certificate, maker.certificate),
        created=NOW,
        valid_from=NOW,
        valid_to=NOW.replace(year=2050),
        picture=b"\x89PNG" + bytes(range(256)) * 40,
        width_mm=42,
        height_mm=128,
        signer_list=listed,
    )
    proof = token(world, TokenSpec(with_time(world)), b"value") if stamped else None
    info = build_seal_info(content, version)
    seal = assemble_seal(info, maker.certificate, world.keystore.sign(maker.key, info, maker.key.purpose), proof if version == 5 else None)
    tbs = build_tbs_sign(seal, NOW, b"\x80" * 32, "[0 1 2 3]", version)
    signature = world.keystore.sign(signer.key, tbs, signer.key.purpose)
    return seal, assemble_ses_signature(tbs, signer.certificate, signature, proof)


@pytest.mark.parametrize("stamped", [False, True], ids=["plain", "time-stamped"])
@pytest.mark.parametrize("listed", SignerList)
@pytest.mark.parametrize("version", [4, 5])
def test_pyasn1_writes_the_same_octets_again(world: World, version: int, listed: SignerList, stamped: bool) -> None:
    seal, stamp = written(world, version, listed, stamped)
    members = CERTIFICATES if listed is SignerList.CERTIFICATES else DIGESTS
    for encoded, schema in ((seal, seal_schema(members)), (stamp, stamp_schema(members))):
        value, rest = decoder.decode(encoded, asn1Spec=schema)
        assert rest == b""
        assert encoder.encode(value) == encoded
    value, _ = decoder.decode(stamp, asn1Spec=stamp_schema(members))
    assert int(value["toSign"]["eseal"]["eSealInfo"]["header"]["version"]) == version
    assert str(value["toSign"]["eseal"]["eSealInfo"]["property"]["name"]) == "测试市行政审批专用章"
    assert value["timeStamp"].isValue is stamped


def test_pyasn1_reads_what_stands_in_a_sealed_pdf(world: World) -> None:
    encoded = extract_stamp(world.stamped())
    value, rest = decoder.decode(encoded, asn1Spec=stamp_schema(CERTIFICATES))
    assert (rest, encoder.encode(value)) == (b"", encoded)


def structures(world: World) -> dict[str, bytes]:
    """Ours, and by hand those of every version, so that the readers themselves are seen to read."""
    found = {f"pdf-{number}": one for number, one in enumerate([extract_stamp(world.stamped())])}
    for version in (4, 5):
        for listed in SignerList:
            for stamped in (False, True):
                seal, stamp = written(world, version, listed, stamped)
                found |= {f"seal-{version}-{listed}-{stamped}": seal, f"stamp-{version}-{listed}-{stamped}": stamp}
    by_hand = usual(world, version=1)
    by_hand = replace(by_hand, seal=replace(by_hand.seal, version=1))
    return found | {"hand-seal-1": seal_by_hand(world, by_hand.seal), "hand-stamp-1": stamp_by_hand(world, by_hand)}


def test_openssl_reads_them_to_the_last_octet(world: World, tmp_path: Path) -> None:
    for name, encoded in structures(world).items():
        (tmp_path / name).write_bytes(encoded)
        command = [require_command("openssl", "openssl"), "asn1parse", "-inform", "DER", "-in", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name
        first = re.match(r" +0:d=0 +hl=(\d+) +l= *(\d+)", done.stdout)
        assert first is not None, name
        assert int(first[1]) + int(first[2]) == len(encoded), name


def java(program: str, *arguments: str) -> str:
    """What a program of ``tests/outsiders/java`` says, with Bouncy Castle at hand."""
    jars = [Path("/usr/share/java") / f"{name}.jar" for name in ("bcprov", "bcpkix", "bcutil")]
    if not all(jar.exists() for jar in jars):
        pytest.skip("needs BouncyCastle: apt-get install libbcprov-java libbcpkix-java")
    source = Path(__file__).with_name("java") / f"{program}.java"
    path = ":".join(map(str, jars))
    command = [require_command("java", "default-jdk-headless"), "-XX:TieredStopAtLevel=1", "-cp", path, str(source), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bouncy_castle_writes_the_same_octets_again(world: World, tmp_path: Path) -> None:
    for name, encoded in structures(world).items():
        (tmp_path / name).write_bytes(encoded)
    assert set(java("SecondReader", str(tmp_path)).split()) == set(structures(world))


def test_a_vendor_s_ofd_made_with_bouncy_castle_passes(tmp_path: Path) -> None:
    """Its own root, maker, signer, seal of version 4 and ZIP: nothing of ours is in it."""
    java("OfdSealer", str(tmp_path), str(int(NOW.timestamp())))
    root, crl, ofd = ((tmp_path / name).read_bytes() for name in ("root.der", "root.crl", "sealed.ofd"))
    verdict = verify(ofd, Trust((root,), (crl,)), NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, [check.to_json() for one in verdict.signatures for check in one.checks]
    (signature,) = verdict.signatures
    assert signature.seal is not None
    assert (signature.seal.code, signature.seal.version, signature.signer) == ("99010000000077", 4, "Vendor Signer")
    content = package(ofd)
    content["Doc_0/Pages/Page_0/Content.xml"] += b" "
    assert verify(zipped(content), Trust((root,), (crl,)), NOW).sub_indication == "HASH_FAILURE"
    assert verify(ofd, Trust((), (crl,)), NOW).indication is Indication.INDETERMINATE


def package(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
