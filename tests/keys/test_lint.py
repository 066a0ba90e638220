"""The lint finds nothing in what we make and everything in what we would never make: each rule broken once, by hand."""

import datetime as dt
import secrets

import pytest
from asn1crypto import core, x509
from sqlalchemy import select

from keys.base.errors import FujieError
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.models import CertificateRow, SerialRow
from keys.pki import issuing
from keys.pki.certificate import (
    CertificateFacts,
    Issuer,
    Subject,
    certified_subject,
    key_identifier,
    signature_algorithm,
    subject_name,
    to_be_signed,
)
from keys.pki.lint import Severity, errors, lint
from keys.pki.profiles import PROFILES

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
NAME = subject_name(Subject("演示CA", "演示", "", "990100"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    store = SoftwareKeyStore.create(tmp_path_factory.mktemp("lint") / "kek")
    return {algorithm: [store.generate(algorithm, Purpose.AUTHORITY) for _ in range(2)] for algorithm in PROFILES["root"].algorithms}


def body_of(keys, profile: str, algorithm: Algorithm = Algorithm.P256) -> tuple[bytes, Issuer]:
    ca, own = keys[algorithm]
    issuer = Issuer("ca", algorithm, NAME, key_identifier(ca.public), "http://127.0.0.1:8000")
    kind = PROFILES[profile]
    subject, public = (NAME, ca.public) if profile == "root" else (subject_name(Subject("甲", "乙", "", "990100")), own.public)
    end = NOW + dt.timedelta(days=kind.days, seconds=-1)
    return to_be_signed(CertificateFacts(kind, secrets.randbits(126) | 1 << 126, subject, public, NOW, end), issuer), issuer


def judge(tbs: bytes, profile: str, issuer: Issuer) -> tuple[str, ...]:
    return errors(lint(tbs, profile, signature_algorithm(issuer.algorithm).dump(), issuer.subject))


@pytest.mark.parametrize(
    ("profile", "algorithm"),
    [(name, one) for name, kind in PROFILES.items() for one in PROFILES["root"].algorithms if one in kind.algorithms],
)
def test_what_we_make_is_clean(keys, profile, algorithm):
    tbs, issuer = body_of(keys, profile, algorithm)
    assert lint(tbs, profile, signature_algorithm(issuer.algorithm).dump(), issuer.subject) == ()


def extension(tbs, name):
    return next(one for one in tbs["extensions"] if one["extn_id"].native == name)


def drop(name):
    def change(tbs):
        tbs["extensions"] = [one for one in tbs["extensions"] if one["extn_id"].native != name]

    return change


def criticality(name, value):
    def change(tbs):
        extension(tbs, name)["critical"] = value

    return change


def replace(name, value):
    def change(tbs):
        extension(tbs, name)["extn_value"] = value

    return change


def put(field, value):
    def change(tbs):
        tbs[field] = value

    return change


def instant(which, value):
    def change(tbs):
        tbs["validity"][which] = value

    return change


def repeat(name):
    def change(tbs):
        tbs["extensions"].append(extension(tbs, name).copy())

    return change


def foreign(tbs):
    tbs["extensions"].append({"extn_id": "1.2.3.4", "critical": False, "extn_value": core.ParsableOctetString(b"\x05\x00")})


def name(**parts):
    return put("subject", x509.Name.build({"country_name": "CN", "common_name": "甲", **parts}))


LATE = NOW.replace(year=2090)
BROKEN = {
    "serial_too_short": put("serial_number", 12345),
    "serial_not_positive": put("serial_number", -(1 << 100)),
    "serial_too_long": put("serial_number", 1 << 160),
    "version_not_3": put("version", "v1"),
    "signature_algorithm_differs": put("signature", {"algorithm": "sha1_rsa", "parameters": core.Null()}),
    "issuer_differs": put("issuer", x509.Name.build({"common_name": "别人"})),
    "validity_empty": instant("not_after", x509.Time({"utc_time": NOW - dt.timedelta(days=1)})),
    "validity_encoding": instant("not_after", x509.Time({"general_time": NOW + dt.timedelta(days=30)})),
    "validity_too_long": instant("not_after", x509.Time({"general_time": LATE})),
    "name_too_long": name(organization_name="章" * 65),
    "no_common_name": put("subject", x509.Name.build({"country_name": "CN"})),
    "no_country": put("subject", x509.Name.build({"common_name": "甲"})),
    "country_not_two_letters": put("subject", x509.Name.build({"country_name": "CHN", "common_name": "甲"})),
    "missing:basic_constraints": drop("basic_constraints"),
    "missing:key_usage": drop("key_usage"),
    "missing:key_identifier": drop("key_identifier"),
    "missing:authority_key_identifier": drop("authority_key_identifier"),
    "missing:crl_distribution_points": drop("crl_distribution_points"),
    "missing:authority_information_access": drop("authority_information_access"),
    "extension_twice": repeat("key_usage"),
    "extension_unknown:1.2.3.4": foreign,
    "not_critical:basic_constraints": criticality("basic_constraints", False),
    "not_critical:key_usage": criticality("key_usage", False),
    "critical:key_identifier": criticality("key_identifier", True),
    "critical:authority_information_access": criticality("authority_information_access", True),
    "key_identifier_wrong": replace("key_identifier", core.OctetString(b"x" * 20)),
    "authority_key_identifier_empty": replace("authority_key_identifier", x509.AuthorityKeyIdentifier({"key_identifier": b""})),
    "authority_or_not": replace("basic_constraints", x509.BasicConstraints({"ca": True})),
    "key_usage_differs": replace("key_usage", x509.KeyUsage({"digital_signature", "key_cert_sign"})),
    "certificate_signing": replace("key_usage", x509.KeyUsage({"key_cert_sign"})),
    "extended_key_usage_differs": replace("extended_key_usage", x509.ExtKeyUsageSyntax(["server_auth"])),
    "extended_key_usage_criticality": criticality("extended_key_usage", True),
    "ocsp_no_check": lambda tbs: tbs["extensions"].append({"extn_id": "ocsp_no_check", "critical": False, "extn_value": core.Null()}),
    "crl_address": replace("crl_distribution_points", x509.CRLDistributionPoints([])),
    "access_addresses": replace("authority_information_access", x509.AuthorityInfoAccessSyntax([])),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_found(keys, rule):
    tbs, issuer = body_of(keys, "person-sign-in")
    changed = x509.TbsCertificate.load(tbs)
    BROKEN[rule](changed)
    found = judge(changed.dump(force=True), "person-sign-in", issuer)
    assert rule in found, found


def test_another_profile_than_the_order_says_is_found(keys):
    for made, said in (("seal-ca", "person-sign-in"), ("person-sign-in", "seal-ca"), ("tsa-signer", "ocsp-responder"), ("root", "seal-ca")):
        tbs, issuer = body_of(keys, made)
        assert judge(tbs, said, issuer), (made, said)


def test_a_mixed_chain_is_found(keys):
    tbs, issuer = body_of(keys, "person-sign-in", Algorithm.SM2)
    changed = x509.TbsCertificate.load(tbs)
    changed["signature"] = signature_algorithm(Algorithm.P256)
    assert "families_mixed" in errors(lint(changed.dump(), "person-sign-in", signature_algorithm(Algorithm.P256).dump(), issuer.subject))


def test_what_is_not_der_is_a_finding_never_an_error(keys):
    tbs, issuer = body_of(keys, "person-sign-in")
    for place in range(0, len(tbs), 3):
        changed = bytearray(tbs)
        changed[place] ^= 0xFF
        lint(bytes(changed), "person-sign-in", signature_algorithm(issuer.algorithm).dump(), issuer.subject)
    for octets in (b"", b"\x30\x80\0\0", tbs + b"\0", tbs[:-1], b"\x30\x82" + len(tbs[4:]).to_bytes(2, "big") + tbs[4:-1] + b"\xff"):
        assert judge(octets, "person-sign-in", issuer)
    (finding,) = lint(b"nonsense", "person-sign-in", b"", b"")
    assert (finding.severity, finding.rule) == (Severity.ERROR, "unreadable")


async def test_a_certificate_that_breaks_a_rule_is_not_signed(pki, keystore, clock, monkeypatch):
    """The lint stands before the signature: a builder gone wrong issues nothing, and the log says why."""

    def forgetful(facts, issuer):
        tbs = x509.TbsCertificate.load(to_be_signed(facts, issuer))
        drop("key_usage")(tbs)
        return tbs.dump()

    class NeverSigns:
        def sign(self, *_):
            raise AssertionError("signed")

    monkeypatch.setattr(issuing, "to_be_signed", forgetful)
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    order = {"authority": "seal", "profile": "document-signer", "subject": Subject("甲", "乙", "", "990100"), "public_key": public}
    with pytest.raises(FujieError) as refused:
        async with pki.begin() as session:
            await issuing.issue(session, NeverSigns(), clock.now(), **order)
    assert refused.value.code == "CERTIFICATE_LINT_FAILED"
    assert "missing:key_usage" in refused.value.detail
    async with pki.session() as session:
        numbers = set(await session.scalars(select(SerialRow.serial)))
        assert numbers == set(await session.scalars(select(CertificateRow.serial))), "no number was spent"


def test_a_subject_is_read_back_as_it_was_written(keys):
    subject = Subject("卫思远", "某某市水务局", "11990100MB0000001X", "990100", "0190c0de-0000-7000-8000-000000000001")
    ca, own = keys[Algorithm.P256]
    issuer = Issuer("ca", Algorithm.P256, NAME, key_identifier(ca.public), "http://127.0.0.1:8000")
    facts = CertificateFacts(PROFILES["person-sign-in"], 1 << 126, subject_name(subject), own.public, NOW, NOW + dt.timedelta(days=1))
    tbs = core.Sequence(
        contents=to_be_signed(facts, issuer) + signature_algorithm(Algorithm.P256).dump() + core.OctetBitString(b"x").dump()
    )
    assert certified_subject(tbs.dump()) == subject


@pytest.mark.parametrize(
    "identifier", ["11010519491231002X", "110105194912310021", "110105491231002", "short", "UPPERCASE-LETTERS", "a" * 65]
)
def test_an_identifier_that_may_be_an_id_number_is_refused(identifier):
    with pytest.raises(FujieError) as refused:
        subject_name(Subject("卫思远", "", "", "990100", identifier))
    assert refused.value.code == "CERTIFICATE_SUBJECT_UNSUITABLE"
