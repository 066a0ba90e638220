"""Chains: what stands, what does not and why, and that no crowd of certificates makes it hang."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from keys.pki.validation import Found, Limits, Material, Reason, Rules, read_certificate, validate
from tests.chains import DAY, NOW, Maker, information, new_key, root

PATH_ONLY = Rules(revocation=False)
SOON = 10.0


@pytest.fixture(scope="module")
def top() -> Maker:
    return root()


def asked(leaf: Maker, anchors: list[Maker], others: list[Maker] | list[bytes] = [], rules: Rules = PATH_ONLY) -> Found:  # noqa: B006
    octets = [one.der if isinstance(one, Maker) else one for one in others]
    return validate(leaf.der, Material.read([one.der for one in anchors], octets), NOW, rules)


def reason(found: Found) -> Reason | None:
    return found.fault.reason if found.fault else None


def test_a_chain_of_three_stands(top: Maker) -> None:
    middle = top.certify(Maker("middle"), authority=True)
    leaf = middle.certify(Maker("leaf"), information())
    found = asked(leaf, [top], [middle])
    assert found.fault is None
    assert [party.name for party in found.path] == ["leaf", "middle", "root"]
    assert reason(asked(leaf, [top])) is Reason.NO_CHAIN
    assert reason(asked(leaf, [], [middle, top])) is Reason.NO_CHAIN


@pytest.mark.parametrize(
    ("key", "pss"),
    [
        (ec.generate_private_key(ec.SECP384R1()), False),
        (ec.generate_private_key(ec.SECP521R1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
        (rsa.generate_private_key(65537, 2048), False),
        (rsa.generate_private_key(65537, 2048), True),
    ],
    ids=["P-384", "P-521", "Ed25519", "RSA", "RSASSA-PSS"],
)
def test_authorities_with_every_kind_of_key(key: ec.EllipticCurvePrivateKey, pss: bool) -> None:
    authority = root("other kind", key=key, pss=pss)
    leaf = authority.certify(Maker("leaf"))
    assert asked(leaf, [authority]).fault is None
    forged = bytearray(leaf.der)
    forged[-1] ^= 1
    assert validate(bytes(forged), Material.read([authority.der]), NOW, PATH_ONLY).fault is not None


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (2048, 3)])
def test_weak_keys_are_refused(top: Maker, bits: int, exponent: int) -> None:
    weak = Maker("weak", rsa.generate_private_key(exponent, bits))
    assert reason(asked(top.certify(weak), [top])) is Reason.ALGORITHM_REFUSED
    authority = root("weak root", key=weak.key)
    assert asked(authority.certify(Maker("leaf")), [authority]).fault is not None


def test_each_fault_has_its_name(top: Maker) -> None:
    def middle(*extensions: x509.ExtensionType, **options: object) -> Maker:
        return top.certify(Maker("middle"), *extensions, **{"authority": True} | options)  # type: ignore[arg-type]

    def below(authority: Maker, *extensions: x509.ExtensionType, **options: object) -> Reason | None:
        return reason(asked(authority.certify(Maker("leaf"), *extensions, **options), [top], [authority], options_of_use))  # type: ignore[arg-type]

    options_of_use = replace(PATH_ONLY, extended_key_usage="1.3.6.1.5.5.7.3.8", extended_required=True)
    stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    answering = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    strange = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    only = x509.NameConstraints([x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")]))], None)
    assert below(middle(), stamping) is None
    assert below(middle()) is Reason.USE_NOT_ALLOWED
    assert below(middle(), answering) is Reason.USE_NOT_ALLOWED
    assert below(middle(answering), stamping) is Reason.USE_NOT_ALLOWED
    assert below(middle(only), stamping) is Reason.NAME_NOT_PERMITTED
    assert below(middle(), stamping, days=(-20, -10)) is Reason.EXPIRED
    assert below(middle(days=(1, 10)), stamping) is Reason.NOT_YET_VALID
    assert below(middle(), stamping, strange, critical=(x509.UnrecognizedExtension,)) is Reason.CRITICAL_EXTENSION_UNKNOWN
    assert below(middle(), stamping, strange) is None
    assert below(middle(authority=False), stamping) is Reason.NO_CHAIN


def test_path_length_counts_authorities_that_are_not_self_issued() -> None:
    top = Maker("short root")
    top.certify(top, authority=True, path_length=0)
    middle = top.certify(Maker("middle"), authority=True)
    assert reason(asked(middle.certify(Maker("leaf")), [top], [middle])) is Reason.PATH_TOO_LONG
    renewed = top.certify(Maker("short root"), authority=True)
    assert asked(renewed.certify(Maker("leaf")), [top], [renewed]).fault is None, "a new key of the same authority"


def test_cross_certificates_lead_to_whichever_root_is_trusted() -> None:
    one, other = root("one"), root("other")
    shared = Maker("shared")
    by_one = one.certify(shared, authority=True).der
    by_other = other.certify(shared, authority=True).der
    leaf = shared.certify(Maker("leaf"))
    for anchor in (one, other):
        assert [party.name for party in asked(leaf, [anchor], [by_one, by_other]).path] == ["leaf", "shared", anchor.name]


def test_an_expired_cross_certificate_does_not_hide_the_good_one() -> None:
    one, other = root("one"), root("other")
    shared = Maker("shared")
    expired = one.certify(shared, authority=True, days=(-30, -1)).der
    good = other.certify(shared, authority=True).der
    leaf = shared.certify(Maker("leaf"))
    assert asked(leaf, [one, other], [expired, good]).fault is None
    assert reason(asked(leaf, [one], [expired, good])) is Reason.EXPIRED


def test_a_loop_ends(top: Maker) -> None:
    one, other = Maker("one"), Maker("other")
    crossed = [other.certify(one, authority=True).der, one.certify(other, authority=True).der]
    start = time.process_time()
    found = asked(one.certify(Maker("leaf")), [top], crossed, replace(PATH_ONLY, limits=Limits(depth=50)))
    assert reason(found) is Reason.NO_CHAIN
    assert time.process_time() - start < SOON


def test_a_thousand_candidates_of_one_name_are_bounded(top: Maker) -> None:
    middle = top.certify(Maker("middle"), authority=True)
    leaf = middle.certify(Maker("leaf"))
    template = read_certificate(middle.der)
    impostor = read_certificate(top.certify(Maker("middle"), authority=True).der)
    assert template is not None
    assert impostor is not None
    crowd = tuple(replace(impostor, serial=number, subject_key=template.subject_key) for number in range(1000))
    material = Material.read([top.der])
    start = time.process_time()
    found = validate(leaf.der, replace(material, candidates=(template, *crowd)), NOW, PATH_ONLY)
    assert found.fault is None
    assert reason(validate(leaf.der, replace(material, candidates=(*crowd, template)), NOW, PATH_ONLY)) is Reason.NO_CHAIN
    many = replace(PATH_ONLY, limits=Limits(candidates=2000, steps=500))
    assert reason(validate(leaf.der, replace(material, candidates=(*crowd, template)), NOW, many)) is Reason.LIMIT_EXCEEDED
    assert time.process_time() - start < SOON


def test_a_graph_with_exponentially_many_paths_ends(top: Maker) -> None:
    """Seven levels of six authorities that all certify each other's level below: 6⁷ paths, none of which reaches an anchor."""
    levels = [[Maker(f"level {number}") for _ in range(6)] for number in range(7)]
    crossed = [
        above.certify(Maker(below.name, below.key), authority=True).der
        for upper, lower in pairwise(levels)
        for below in lower
        for above in upper
    ]
    leaf = levels[-1][0].certify(Maker("leaf"))
    start = time.process_time()
    found = asked(leaf, [top], crossed, replace(PATH_ONLY, limits=Limits(depth=20, candidates=500, signatures=10_000)))
    assert reason(found) in (Reason.LIMIT_EXCEEDED, Reason.NO_CHAIN)
    assert time.process_time() - start < SOON


def test_depth_signatures_steps_and_seconds_are_limits(top: Maker) -> None:
    chain = [top]
    for number in range(8):
        chain.append(chain[-1].certify(Maker(f"level {number}"), authority=True))
    leaf = chain[-1].certify(Maker("leaf"))

    def under(limits: Limits) -> Reason | None:
        return reason(asked(leaf, [top], chain[1:], replace(PATH_ONLY, limits=limits)))

    assert under(Limits()) is Reason.NO_CHAIN
    assert under(Limits(depth=10)) is None
    assert under(Limits(depth=9)) is Reason.NO_CHAIN
    for scarce in (Limits(depth=10, signatures=5), Limits(depth=10, steps=20), Limits(depth=10, seconds=0)):
        assert under(scarce) is Reason.LIMIT_EXCEEDED
    assert under(Limits(depth=10, candidates=3)) is Reason.NO_CHAIN


def test_name_constraints_that_multiply_are_bounded(top: Maker) -> None:
    subtrees = [x509.DNSName(f"{number}.example") for number in range(3000)]
    authority = top.certify(Maker("constrained"), x509.NameConstraints(None, subtrees), authority=True)
    names = x509.SubjectAlternativeName([x509.DNSName(f"www{number}.example.org") for number in range(3000)])
    start = time.process_time()
    assert reason(asked(authority.certify(Maker("leaf"), names), [top], [authority])) is Reason.LIMIT_EXCEEDED
    assert time.process_time() - start < SOON


def test_an_anchor_is_not_a_signer(top: Maker) -> None:
    assert reason(asked(top, [top])) is Reason.NO_CHAIN


def test_an_anchor_need_not_be_a_root(top: Maker) -> None:
    middle = top.certify(Maker("middle"), authority=True)
    leaf = middle.certify(Maker("leaf"))
    assert [party.name for party in asked(leaf, [middle]).path] == ["leaf", "middle"]


def test_names_compare_by_their_meaning(top: Maker) -> None:
    """RFC 5280 §7.1: case, spaces and the string type make no difference."""
    authority = Maker("Some  Authority", new_key())
    top.certify(authority, authority=True)
    spelled = Maker("some authority", authority.key)
    leaf = spelled.certify(Maker("leaf"))
    assert asked(leaf, [top], [authority]).fault is None


def test_what_cannot_be_read_is_refused(top: Maker) -> None:
    for octets in (b"", b"\x30\x00", top.der[:-1], top.der + b"\0", b"\x30\x84\xff\xff\xff\xff"):
        assert reason(validate(octets, Material.read([top.der, octets], [octets], [octets], [octets]), NOW, PATH_ONLY)) is Reason.IRREGULAR


def test_the_instant_decides(top: Maker) -> None:
    leaf = top.certify(Maker("leaf"), days=(-1, 1))
    material = Material.read([top.der])
    assert validate(leaf.der, material, NOW - DAY, PATH_ONLY).fault is None
    assert validate(leaf.der, material, NOW + DAY, PATH_ONLY).fault is None
    assert validate(leaf.der, material, NOW + DAY * 1.0001, PATH_ONLY).fault is not None
