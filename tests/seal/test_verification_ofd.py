"""OFD: honest packages pass, in every form producers give them; whatever was done to one afterwards is said."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.custody.sm2 import sm3
from seal import ofd_package
from seal.extraction import extract_seal, extract_stamp
from seal.ofd import OfdRefused, OfdUnreadable, located, read_ofd
from seal.ofd_package import Part, open_package
from seal.ofd_xml import XmlRefused, parse_xml
from seal.sandbox import verify_guarded
from seal.trust import Trust
from seal.verdict import Indication, Kind, Outcome, Verdict
from seal.verification import verify
from tests.ofd_by_hand import LIST, Parts, Signing, description, listing, plain, sealed, signed_data, zipped
from tests.ses_by_hand import DAY, SealSpec, TokenSpec, octets, seal_by_hand, usual, with_time
from tests.stamped import NOW, World

SIGN = "Doc_0/Signs/Sign_0"
PAGE = "Doc_0/Pages/Page_0/Content.xml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    with_time(world)
    return world


@pytest.fixture(scope="module")
def trust(world: World) -> Trust:
    names = ("root", "root-sm", "seal-sm", "seal-maker", "tsa")
    return Trust(tuple(world[name].certificate for name in names), tuple(world.crl(name) for name in names))


@pytest.fixture(scope="module")
def parts(world: World) -> Parts:
    return sealed(world, usual(world))


@pytest.fixture(scope="module")
def twice(world: World, parts: Parts) -> Parts:
    return sealed(world, usual(world), parts, Signing("2"), [Signing()])


def names_of(verdict: Verdict, outcome: Outcome = Outcome.FAILED) -> set[str]:
    return {check.name for signature in verdict.signatures for check in signature.checks if check.outcome is outcome}


def told(data: bytes, trust: Trust) -> tuple[Indication, str | None, set[str]]:
    verdict = verify(data, trust, NOW)
    assert verdict.kind is Kind.OFD
    return verdict.indication, verdict.sub_indication, names_of(verdict)


# ── honest ones


@pytest.mark.parametrize("version", [1, 4, 5])
@pytest.mark.parametrize("form", [{}, {"stored": True}, {"streamed": True}], ids=["deflated", "stored", "streamed"])
def test_an_honest_ofd_passes(world: World, trust: Trust, version: int, form: dict[str, bool]) -> None:
    spec = usual(world, version=version)
    data = zipped(sealed(world, replace(spec, seal=replace(spec.seal, version=version))), **form)
    verdict = verify(data, trust, NOW)
    assert (verdict.kind, verdict.indication) == (Kind.OFD, Indication.TOTAL_PASSED), names_of(verdict)
    (signature,) = verdict.signatures
    assert (signature.field, signature.level, signature.signing_time) == ("1", "SES", NOW)
    assert signature.seal is not None
    assert (signature.seal.version, signature.seal.code) == (version, "99010000000001")
    assert [check.name for check in signature.checks][:5] == ["FORMAT", "COVERAGE", "DATA_HASH", "STAMP_FORMAT", "STAMP_SIGNATURE"]


@pytest.mark.parametrize("method", ["1.2.156.10197.1.401", "SM3", "SHA256", "SHA-256", "SHA-512"])
def test_every_strong_digest_of_parts_is_taken(world: World, trust: Trust, method: str) -> None:
    assert told(zipped(sealed(world, usual(world), how=Signing(method=method))), trust)[0] is Indication.TOTAL_PASSED


@pytest.mark.parametrize("method", ["MD5", "SHA1"])
def test_a_weak_digest_of_parts_is_not(world: World, trust: Trust, method: str) -> None:
    assert told(zipped(sealed(world, usual(world), how=Signing(method=method))), trust) == (
        Indication.TOTAL_FAILED,
        "HASH_FAILURE",
        {"DATA_HASH"},
    )


@pytest.mark.parametrize("gm", [True, False], ids=["GB/T 35275", "RFC 5652"])
@pytest.mark.parametrize("attributes", [True, False], ids=["attributes", "direct"])
@pytest.mark.parametrize("algorithm", ["1.2.156.10197.1.501", "1.2.156.10197.1.301.1"])
def test_a_signature_without_a_seal_passes(world: World, trust: Trust, gm: bool, attributes: bool, algorithm: str) -> None:
    parts, how = plain(), Signing(type="Sign", with_seal=False)
    encoded = description(parts, how)
    value = signed_data(world, encoded, gm=gm, attributes=attributes, algorithm=algorithm)
    parts |= {f"{SIGN}/Signature.xml": encoded, f"{SIGN}/SignedValue.dat": value, LIST: listing([how])}
    verdict = verify(zipped(parts), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, names_of(verdict)
    assert verdict.signatures[0].level == "CMS"
    changed = parts | {f"{SIGN}/Signature.xml": encoded.replace(b"By hand", b"By mouth")}
    assert told(zipped(changed), trust)[:2] in {
        (Indication.TOTAL_FAILED, "HASH_FAILURE"),
        (Indication.TOTAL_FAILED, "SIG_CRYPTO_FAILURE"),
    }


def test_a_second_seal_leaves_the_first_whole(trust: Trust, twice: Parts) -> None:
    verdict = verify(zipped(twice), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert [signature.field for signature in verdict.signatures] == ["1", "2"]


def test_a_seal_without_a_file_beside_it_passes(world: World, trust: Trust) -> None:
    assert told(zipped(sealed(world, usual(world), how=Signing(with_seal=False))), trust)[0] is Indication.TOTAL_PASSED


def test_time_stamps_within_are_judged(world: World, trust: Trust) -> None:
    spec = usual(world, timestamp=TokenSpec(world["stamper"]))
    spec = replace(spec, seal=replace(spec.seal, timestamp=TokenSpec(world["stamper"], at=NOW - DAY)))
    verdict = verify(zipped(sealed(world, spec)), trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert {"SEAL_TIMESTAMP", "STAMP_TIMESTAMP"} <= names_of(verdict, Outcome.PASSED)


def test_an_unsigned_ofd_has_no_signature(trust: Trust) -> None:
    assert verify(zipped(plain(signed=False)), trust, NOW).indication is Indication.NO_SIGNATURE


def test_the_sandbox_judges_it(trust: Trust, parts: Parts) -> None:
    assert verify_guarded(zipped(parts), trust, NOW).indication is Indication.TOTAL_PASSED


def test_without_trust_nothing_passes(parts: Parts) -> None:
    assert verify(zipped(parts), Trust(), NOW).indication is Indication.INDETERMINATE


# ── what was done afterwards


def changed(name: str, old: bytes, new: bytes) -> Callable[[Parts], Parts]:
    def change(parts: Parts) -> Parts:
        assert old in parts[name]
        return parts | {name: parts[name].replace(old, new)}

    return change


def added(name: str, content: bytes = b"more") -> Callable[[Parts], Parts]:
    return lambda parts: parts | {name: content}


def without(name: str) -> Callable[[Parts], Parts]:
    return lambda parts: {one: content for one, content in parts.items() if one != name}


CHANGES: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "page": (changed(PAGE, "排污".encode(), "采矿".encode()), "DATA_HASH"),
    "root": (changed("OFD.xml", b"0123456789abcdef0", b"1123456789abcdef0"), "DATA_HASH"),
    "signature": (changed(f"{SIGN}/Signature.xml", b"140 220 42 42", b"040 220 42 42"), "DATA_HASH"),
    "missing page": (without(PAGE), "DATA_HASH"),
    "more": (added("Doc_0/Pages/Page_2/Content.xml"), "COVERAGE"),
    "more in the folder of the signature": (added(f"{SIGN}/Other.dat"), "COVERAGE"),
    "annotations": (added("Doc_0/Annots/Annotations.xml"), "COVERAGE"),
    "more at the top": (added("META-INF/x"), "COVERAGE"),
    "page for a signature": (changed(LIST, f"/{SIGN}/Signature.xml".encode(), f"/{PAGE}".encode()), "FORMAT"),
    "missing value": (without(f"{SIGN}/SignedValue.dat"), "FORMAT"),
    "missing seal": (without(f"{SIGN}/Seal.esl"), "FORMAT"),
    "missing signature": (without(f"{SIGN}/Signature.xml"), "FORMAT"),
    "missing list": (without(LIST), "FORMAT"),
    "missing document": (without("Doc_0/Document.xml"), "FORMAT"),
    "sign for seal": (changed(LIST, b'Type="Seal"', b'Type="Sign"'), "FORMAT"),
    "max too small": (changed(LIST, b"<ofd:MaxSignId>1", b"<ofd:MaxSignId>0"), "FORMAT"),
    "empty value": (lambda parts: parts | {f"{SIGN}/SignedValue.dat": b""}, "STAMP_FORMAT"),
    "value of nothing": (lambda parts: parts | {f"{SIGN}/SignedValue.dat": b"\x30\x00"}, "STAMP_FORMAT"),
    "no xml": (lambda parts: parts | {f"{SIGN}/Signature.xml": b"<ofd:Signature"}, "FORMAT"),
    "list of nothing": (lambda parts: parts | {LIST: b""}, "FORMAT"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_was_done_afterwards_is_said(trust: Trust, parts: Parts, kind: str) -> None:
    change, name = CHANGES[kind]
    indication, _, names = told(zipped(change(parts)), trust)
    assert indication is Indication.TOTAL_FAILED
    assert name in names


def test_one_signature_is_not_listed_as_two(trust: Trust, parts: Parts) -> None:
    """A document that one department sealed would show the consent of two."""
    entry = parts[LIST][parts[LIST].index(b"<ofd:Signature ID") : parts[LIST].index(b"</ofd:Signatures>")]
    again = entry.replace(b'ID="1"', b'ID="2"')
    doubled = parts[LIST].replace(entry, entry + again).replace(b"<ofd:MaxSignId>1<", b"<ofd:MaxSignId>2<")
    assert doubled != parts[LIST]
    assert told(zipped({**parts, LIST: doubled}), trust) == (Indication.TOTAL_FAILED, "FORMAT_FAILURE", {"FORMAT"})


def test_another_seal_beside_the_signature_is_said(world: World, trust: Trust) -> None:
    other = seal_by_hand(world, SealSpec(world["maker"], (octets(world["signer-sm"].certificate),), name="另一枚章"))
    assert told(zipped(sealed(world, usual(world), how=Signing(beside=other))), trust) == (
        Indication.TOTAL_FAILED,
        "FORMAT_FAILURE",
        {"SEAL_FORMAT"},
    )


def test_a_signature_that_skips_a_part_covers_nothing(world: World, trust: Trust) -> None:
    assert told(zipped(sealed(world, usual(world), how=Signing(skipped=(PAGE,)))), trust)[2] == {"COVERAGE"}
    assert told(zipped(sealed(world, usual(world), how=Signing(skipped=("OFD.xml",)))), trust)[2] == {"COVERAGE"}


def test_a_reference_to_what_is_not_there_fails(world: World, trust: Trust) -> None:
    how = Signing(extra={"/Doc_0/Res/none.png": "AAAA"})
    assert told(zipped(sealed(world, usual(world), how=how)), trust)[2] == {"DATA_HASH"}
    how = Signing(extra={"/../../etc/passwd": "AAAA"})
    assert told(zipped(sealed(world, usual(world), how=how)), trust)[2] == {"FORMAT"}


def test_a_forger_s_own_signature_does_not_hide_his_parts(world: World, trust: Trust, parts: Parts) -> None:
    """An entry in the list makes parts his own, and is judged: here its value is a page that nobody sealed."""
    how = Signing("2", with_seal=False)
    more = dict(parts)
    more[f"{how.folder}/Signature.xml"] = description(more, how).replace(b"SignedValue.dat", b"Content.xml")
    more[f"{how.folder}/Content.xml"] = more[PAGE]
    more[LIST] = listing([Signing(), how])
    assert told(zipped(more), trust)[0] is Indication.TOTAL_FAILED


def test_the_second_signature_taken_away_leaves_its_parts_over(trust: Trust, twice: Parts) -> None:
    assert "COVERAGE" in told(zipped(twice | {LIST: listing([Signing()])}), trust)[2]


def test_the_order_of_the_list_does_not_matter_and_an_identifier_twice_does(trust: Trust, twice: Parts) -> None:
    assert told(zipped(twice | {LIST: listing([Signing("2"), Signing()])}), trust)[0] is Indication.TOTAL_PASSED
    assert told(zipped(twice | {LIST: listing([Signing(), Signing()])}), trust)[2] == {"FORMAT"}


# ── containers made to mislead


def packed(names: list[tuple[str | zipfile.ZipInfo, bytes]], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, content in names:
            package.writestr(name, content)
        package.comment = comment
    return out.getvalue()


def patched(data: bytes, old: bytes, new: bytes, count: int = 1) -> bytes:
    assert old in data
    return data.replace(old, new, count)


def test_containers_that_readers_would_disagree_about_are_refused(trust: Trust, parts: Parts) -> None:
    entries: list[tuple[str | zipfile.ZipInfo, bytes]] = list(parts.items())
    honest = packed(entries)
    end = honest.rindex(b"PK\x05\x06")
    directory = struct.unpack_from("<L", honest, end + 16)[0]
    gap = honest[:directory] + b"hidden" + honest[directory:end] + honest[end : end + 16] + struct.pack("<LH", directory + 6, 0)
    unicode_path = zipfile.ZipInfo("x.bin")
    unicode_path.extra = struct.pack("<HHBL", 0x7075, 6, 1, 0) + b"y"
    with pytest.warns(UserWarning, match="Duplicate name"):
        double = packed([*entries, (PAGE, b"other")])
    cases = {
        "traversal": packed([*entries, ("../evil", b"x")]),
        "absolute": packed([*entries, ("/etc/evil", b"x")]),
        "drive": packed([*entries, ("C:evil", b"x")]),
        "backslash": patched(packed([*entries, ("a|b", b"x")]), b"a|b", b"a\\b", 2),
        "dot": packed([*entries, ("Doc_0/./x", b"x")]),
        "control": packed([*entries, ("a\x01b", b"x")]),
        "double": double,
        "case": packed([*entries, (PAGE.lower(), b"x")]),
        "composition": packed([*entries, ("é", b"x"), ("e\u0301", b"x")]),
        "folder as file": packed([*entries, ("Doc_0/", b"content")]),
        "gap": gap,
        "local name": patched(honest, PAGE.encode(), PAGE.encode().replace(b"Page_0", b"Page_9")),
        "unicode path": packed([*entries, (unicode_path, b"x")]),
    }
    for name, data in cases.items():
        assert told(data, trust)[0] is Indication.TOTAL_FAILED, name
        with pytest.raises(OfdRefused):
            read_ofd(data)


def test_what_stands_before_or_behind_the_archive_is_seen(trust: Trust, parts: Parts) -> None:
    data = zipped(parts)
    for other in (data + b"\0", data + data, b"PK\x03\x04" + data, packed(list(parts.items()), b"comment")):
        assert verify(other, trust, NOW).indication in (Indication.UNREADABLE, Indication.TOTAL_FAILED)
    assert verify(b"MZ" + data, trust, NOW).indication is Indication.UNREADABLE


def test_bombs_are_not_unpacked(trust: Trust, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stated too large, or larger than stated: neither is held in memory."""
    bomb = zipped(parts | {"Doc_0/Res/bomb.bin": bytes(40_000_000)})
    assert told(bomb, trust)[0] is Indication.TOTAL_FAILED  # not covered; and never unpacked
    monkeypatch.setattr(ofd_package, "MAX_TOTAL", 30_000_000)
    assert verify(bomb, trust, NOW).indication is Indication.UNREADABLE
    stated = struct.pack("<L", 40_000_000)
    lying = bomb.replace(stated, struct.pack("<L", 5_000))
    package = open_package(lying)
    with pytest.raises(ofd_package.PackageRefused):
        list(package.chunks("Doc_0/Res/bomb.bin"))
    monkeypatch.setattr(ofd_package, "MAX_PARTS", 3)
    with pytest.raises(OfdUnreadable):
        read_ofd(zipped(parts))


@pytest.mark.parametrize("tail", [b"", b"\0", b"\x03\0"])
def test_a_part_is_one_deflated_stream(tail: bytes) -> None:
    stream = zlib.compressobj(wbits=-15)
    packed_octets = stream.compress(b"text") + stream.flush() + tail
    package = ofd_package.Package(packed_octets, {"a": Part("a", 0, len(packed_octets), 4, zlib.crc32(b"text"), deflated=True)})
    if tail:
        with pytest.raises(ofd_package.PackageRefused):
            list(package.chunks("a"))
    else:
        assert package.read("a", 10) == b"text"


def test_an_encrypted_part_is_not_read(trust: Trust, parts: Parts) -> None:
    data = bytearray(zipped(parts, stored=True))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    verdict = verify(bytes(data), trust, NOW)
    assert (verdict.indication, verdict.checks[0].detail) == (Indication.UNREADABLE, "encrypted")


# ── XML made to harm


BOMB = b'<!DOCTYPE a [<!ENTITY b "%s"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>' % (b"x" * 1000)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        b'<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b"<!DOCTYPE a><a/>",
        b"<a>&b;</a>",
        b"<a>" * 30 + b"</a>" * 30,
        b"<a>" + b"<b/>" * 100_001 + b"</a>",
        b"<a" + b" " * (9 << 20) + b"/>",
        b'<a x="1" x="2"/>',
        b"<b/>",
        b"<a/><a/>",
        b"\xff\xfe<",
        b'<?xml version="1.0" encoding="none-such"?><a/>',
        b"",
    ],
)
def test_xml_that_harms_is_refused(text: bytes) -> None:
    with pytest.raises(XmlRefused):
        parse_xml(text, "a")


def test_xml_of_signatures_declares_no_document_type(trust: Trust, parts: Parts) -> None:
    hostile = parts[LIST].replace(b"<ofd:Signatures", b'<!DOCTYPE x [<!ENTITY e "1">]><ofd:Signatures', 1)
    assert told(zipped(parts | {LIST: hostile}), trust)[2] == {"FORMAT"}
    assert verify(zipped(parts | {"OFD.xml": BOMB}), trust, NOW).indication is Indication.UNREADABLE


def test_other_encodings_of_xml_are_read() -> None:
    assert parse_xml("<a>章</a>".encode("utf-16"), "a").content == "章"


@pytest.mark.parametrize(
    ("base", "text", "name"),
    [
        ("OFD.xml", "Doc_0/Document.xml", "Doc_0/Document.xml"),
        ("Doc_0/Signs/Sign_0/Signature.xml", "Seal.esl", "Doc_0/Signs/Sign_0/Seal.esl"),
        ("Doc_0/Signs/Sign_0/Signature.xml", "../../Pages/./a.xml", "Doc_0/Pages/a.xml"),
        ("Doc_0/Signs/Signatures.xml", "/OFD.xml", "OFD.xml"),
    ],
)
def test_a_location_is_absolute_or_beside(base: str, text: str, name: str) -> None:
    assert located(base, text) == name


@pytest.mark.parametrize("text", ["", "../x", "/../x", "a\\b", "file:///x", "//host/x"])
def test_a_location_stays_within(text: str) -> None:
    with pytest.raises(XmlRefused):
        located("OFD.xml", text)


# ── every octet


def spans(data: bytes) -> set[int]:
    """The octets of a stored package that a signature speaks of, or that are a signature: the contents of its parts."""
    package = open_package(data)
    return {at for part in package.parts.values() for at in range(part.start, part.start + part.packed)}


def test_no_changed_octet_of_an_ofd_passes(trust: Trust, parts: Parts) -> None:
    """But for times, permissions and versions in the headers of the container, which say nothing of its content."""
    data = zipped(parts, stored=True)
    listed = open_package(data).parts[LIST]
    free = set(range(len(data))) - spans(data)
    passed = set()
    for offset in range(len(data)):
        mutant = bytearray(data)
        mutant[offset] ^= 0x01
        verdict = verify(bytes(mutant), trust, NOW)
        if verdict.indication is Indication.TOTAL_PASSED:
            passed.add(offset)
    in_list = set(range(listed.start, listed.start + listed.packed))
    assert passed <= free, sorted(passed - free)
    assert not passed & in_list  # the list is not covered, and its CRC still holds
    headers = 4 * len(parts)  # version, time and date of both headers; made-by, attributes of the directory
    assert len(passed) < 10 * headers


def test_no_changed_octet_behind_a_true_checksum_passes(trust: Trust, parts: Parts) -> None:
    """As before, by a forger who writes the container anew. What may change is what Signatures.xml says of nothing."""
    for name, content in parts.items():
        step = max(1, len(content) // 60)
        for offset in range(0, len(content), step):
            mutant = bytearray(content)
            mutant[offset] ^= 0x01
            verdict = verify(zipped(parts | {name: bytes(mutant)}, stored=True), trust, NOW)
            if name != LIST:
                assert verdict.indication is not Indication.TOTAL_PASSED, (name, offset)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.tuples(st.integers(0, 4000), st.integers(1, 400)), to=st.integers(0, 4000), fill=st.binary(max_size=8))
def test_no_spliced_package_passes(trust: Trust, parts: Parts, cut: tuple[int, int], to: int, fill: bytes) -> None:
    data = zipped(parts)
    start, length = cut[0] % len(data), cut[1]
    for spliced in (data[:start] + fill + data[start + length :], data[: to % len(data)] + fill + data[start:]):
        if spliced != data:
            verdict = verify(spliced, trust, NOW)
            assert verdict.indication is not Indication.TOTAL_PASSED


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["OFD.xml", LIST, f"{SIGN}/Signature.xml", f"{SIGN}/SignedValue.dat", f"{SIGN}/Seal.esl"]),
    content=st.binary(max_size=300),
)
def test_no_part_raises(trust: Trust, parts: Parts, name: str, content: bytes) -> None:
    assert verify(zipped(parts | {name: content}), trust, NOW).indication is not Indication.TOTAL_PASSED


# ── taking the structures out


def test_the_structures_are_taken_out_of_an_ofd(parts: Parts, twice: Parts) -> None:
    assert extract_stamp(zipped(parts)) == parts[f"{SIGN}/SignedValue.dat"]
    assert extract_seal(zipped(parts)) == parts[f"{SIGN}/Seal.esl"]
    assert extract_stamp(zipped(twice), "1") == parts[f"{SIGN}/SignedValue.dat"]
    assert extract_stamp(zipped(twice)) == twice["Doc_0/Signs/Sign_1/SignedValue.dat"]
    assert sm3(extract_stamp(zipped(twice), "2")) != sm3(extract_stamp(zipped(twice), "1"))
