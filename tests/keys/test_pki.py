"""Certificates: what openssl and cryptography make of them, and what is never issued."""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import json
from pathlib import Path

import pytest
from asn1crypto import pem
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID
from sqlalchemy import func, select

from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody import sm2
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.evidence.models import AuditEvent
from keys.models import AuthorityRow, CertificateRow, StoredKeyRow
from keys.pki.authority import IssuedCertificate, Subject, authority_certificate, establish, issue, trust_bundle
from keys.pki.material import validation_material
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES, DEMONSTRATION_ORGANISATION, PROFILES

BASE_URL = "http://127.0.0.1:8000"
SUBJECT = Subject("某某市生态环境局行政审批专用章", "某某市生态环境局", "11990100MB0000000X", "990100")
DISTID = ("-vfyopt", "distid:1234567812345678")
LEAVES = {
    "document-signer": ("seal", Algorithm.P256),
    "seal-signer-sm": ("seal-sm", Algorithm.SM2),
    "seal-maker": ("seal-maker", Algorithm.SM2),
}


def armoured(*certificates: bytes, kind: str = "CERTIFICATE") -> bytes:
    return b"".join(pem.armor(kind, certificate) for certificate in certificates)


async def certify(database: Database, keystore: SoftwareKeyStore, now: dt.datetime, profile: str, **changes) -> IssuedCertificate:
    authority, algorithm = LEAVES[profile]
    order = {"authority": authority, "profile": profile, "subject": SUBJECT, **changes}
    order.setdefault("public_key", keystore.generate(algorithm, Purpose.SEALS).public)
    async with database.begin() as session:
        return await issue(session, keystore, now, **order)


def attime(now: dt.datetime) -> tuple[str, str]:
    return "-attime", str(int(now.timestamp()))


async def test_openssl_verifies_the_ec_chain_with_revocation(pki, keystore, clock, openssl):
    issued = await certify(pki, keystore, clock.now(), "document-signer")
    async with pki.begin() as session:
        material = await validation_material(session, keystore, clock.now(), [issued.certificate])
    seen = openssl(
        *("verify", "-x509_strict", "-check_ss_sig", "-crl_check_all", *attime(clock.now())),
        *("-CAfile", armoured(issued.chain[-1]), "-untrusted", armoured(*issued.chain[:-1])),
        *("-CRLfile", armoured(*material.crls, kind="X509 CRL"), armoured(issued.certificate)),
    )
    assert (seen.returncode, seen.stdout.split()[-1]) == (0, "OK"), seen.stderr


@pytest.mark.parametrize("profile", ["seal-signer-sm", "seal-maker"])
async def test_openssl_verifies_the_sm2_chain(pki, keystore, clock, openssl, profile):
    """Link by link: ``-vfyopt`` gives the signer id to the certificate in question alone, not to those above it."""
    issued = await certify(pki, keystore, clock.now(), profile)
    whole = (issued.certificate, *issued.chain)
    for certificate, issuer in zip(whole, (*issued.chain, issued.chain[-1]), strict=True):
        arguments = ("-x509_strict", "-partial_chain", *attime(clock.now()), "-CAfile", armoured(issuer), armoured(certificate))
        seen = openssl("verify", *DISTID, *arguments)
        assert (seen.returncode, seen.stdout.split()[-1:]) == (0, ["OK"]), seen.stderr
        if certificate != issuer:
            assert openssl("verify", "-vfyopt", "distid:another", *arguments).returncode != 0


@pytest.mark.parametrize("profile", LEAVES)
async def test_an_altered_certificate_fails_in_openssl(pki, keystore, clock, openssl, profile):
    issued = await certify(pki, keystore, clock.now(), profile)
    altered = issued.certificate.replace("审批".encode(), "市批".encode())
    assert altered != issued.certificate
    distid = DISTID if profile != "document-signer" else ()
    chain = ("-CAfile", armoured(issued.chain[-1]), "-untrusted", armoured(*issued.chain[:-1]))
    seen = openssl("verify", *distid, *attime(clock.now()), *chain, armoured(altered))
    assert "certificate signature failure" in seen.stderr


@pytest.mark.parametrize("name", [plan.name for plan in DEMONSTRATION_AUTHORITIES])
async def test_every_authority_is_signed_by_its_parent(pki, openssl, name):
    """With ``openssl pkeyutl`` over the certificate's own octets, roots included (``verify`` gives trusted roots no signer id)."""
    plan = next(plan for plan in DEMONSTRATION_AUTHORITIES if plan.name == name)
    async with pki.session() as session:
        own, parent = [x509.load_der_x509_certificate(await authority_certificate(session, which)) for which in (name, plan.parent)]
    digest = ("-digest", "sm3", "-pkeyopt", DISTID[1]) if plan.algorithm is Algorithm.SM2 else ("-digest", "sha256")
    public = parent.public_bytes(Encoding.PEM)
    seen = openssl(
        *("pkeyutl", "-verify", "-certin", "-inkey", public, "-rawin", *digest),
        *("-in", own.tbs_certificate_bytes, "-sigfile", own.signature),
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr


async def test_what_a_document_signer_says(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now(), "document-signer")
    certificate, issuer, root = (x509.load_der_x509_certificate(der) for der in (issued.certificate, *issued.chain))
    certificate.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    names = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert names == {
        NameOID.COUNTRY_NAME: "CN",
        NameOID.LOCALITY_NAME: "990100",
        NameOID.ORGANIZATION_NAME: SUBJECT.organisation,
        NameOID.ORGANIZATION_IDENTIFIER: "NTRCN-11990100MB0000000X",
        NameOID.COMMON_NAME: SUBJECT.common_name,
    }
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.content_commitment) == (True, True)
    others = (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.key_encipherment, usage.value.data_encipherment)
    assert not any(others)
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert [purpose.dotted_string for purpose in extended.value] == ["1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4"]
    assert not extended.critical
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    point = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert own == hashlib.sha256(point).digest()[:20]
    above = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == above
    assert certificate.not_valid_before_utc == clock.now()
    assert certificate.not_valid_after_utc == clock.now() + dt.timedelta(days=1096, seconds=-1)
    assert certificate.serial_number == issued.serial
    assert certificate.signature_algorithm_parameters is not None


@pytest.mark.parametrize("profile", LEAVES)
async def test_addresses_for_revocation_and_issuer(pki, keystore, clock, profile):
    issued = await certify(pki, keystore, clock.now(), profile)
    authority = LEAVES[profile][0]
    root = "root" if authority == "seal" else "root-sm"
    for der, issuer in zip((issued.certificate, *issued.chain), (authority, root, root), strict=True):
        extensions = x509.load_der_x509_certificate(der).extensions
        points = extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
        assert points[0].full_name[0].value == f"{BASE_URL}/pki/{issuer}.crl"
        if der != issued.chain[-1]:
            access = extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
            assert access[0].access_location.value == f"{BASE_URL}/pki/{issuer}.crt"


async def test_authorities_say_they_are_a_demonstration(pki):
    async with pki.session() as session:
        for plan in DEMONSTRATION_AUTHORITIES:
            certificate = x509.load_der_x509_certificate(await authority_certificate(session, plan.name))
            common_name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            organisation = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
            assert organisation == DEMONSTRATION_ORGANISATION
            for words in ("演示", "DEMONSTRATION"):
                assert words in common_name
                assert words in organisation
            for words in ("无法律效力", "no legal effect"):
                assert words in organisation
            assert max(len(common_name.encode()), len(organisation.encode())) <= 64, "ub-common-name, however it is counted"
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
            assert constraints.critical
            assert (constraints.value.ca, constraints.value.path_length) == (True, 1 if plan.is_root else 0)
            usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
            assert usage.critical
            assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)


async def test_sm2_certificates_follow_gb_t_20518(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now(), "seal-signer-sm")
    certificate = x509.load_der_x509_certificate(issued.certificate)
    issuer = x509.load_der_x509_certificate(issued.chain[0])
    assert certificate.signature_algorithm_oid.dotted_string == sm2.SM2_WITH_SM3 == "1.2.156.10197.1.501"
    spki = certificate.tbs_certificate_bytes
    assert bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d") in spki, "id-ecPublicKey with curve 1.2.156.10197.1.301"
    issuer_key = issuer.tbs_certificate_bytes
    start = issuer_key.index(sm2._SPKI_PREFIX)
    assert sm2.verify(issuer_key[start : start + 91], certificate.tbs_certificate_bytes, certificate.signature)


async def test_serial_numbers_are_long_random_and_written_down(pki, keystore, clock):
    issued = [await certify(pki, keystore, clock.now(), "document-signer") for _ in range(5)]
    serials = {one.serial for one in issued}
    assert len({serial >> 62 for serial in serials}) == 5, "the upper 64 bits alone tell them apart"
    assert all(0 < serial < 1 << 127 and serial.bit_length() > 64 for serial in serials)
    async with pki.session() as session:
        rows = (await session.scalars(select(CertificateRow).where(CertificateRow.profile == "document-signer"))).all()
    assert {int(row.serial, 16): row.certificate for row in rows} == {one.serial: one.certificate for one in issued}


async def test_validity_is_the_orders_within_the_authoritys(pki, keystore, clock):
    now = clock.advance(microseconds=250_000)
    asked = now + dt.timedelta(days=10)
    issued = await certify(pki, keystore, now, "document-signer", valid_to=asked)
    certificate = x509.load_der_x509_certificate(issued.certificate)
    assert certificate.not_valid_before_utc == now.replace(microsecond=0)
    assert certificate.not_valid_after_utc == asked.replace(microsecond=0)
    late = now + dt.timedelta(days=7304, seconds=-10)
    cut = x509.load_der_x509_certificate((await certify(pki, keystore, late, "document-signer")).certificate)
    assert cut.not_valid_after_utc == x509.load_der_x509_certificate(issued.chain[0]).not_valid_after_utc


async def refused(database: Database, keystore: SoftwareKeyStore, now: dt.datetime, **changes) -> str:
    order = {"authority": "seal", "profile": "document-signer", "subject": SUBJECT, **changes}
    order.setdefault("public_key", keystore.generate(Algorithm.P256, Purpose.SEALS).public)
    with pytest.raises(FujieError) as error:
        async with database.begin() as session:
            await issue(session, keystore, now, **order)
    assert all(error.value.public)
    return error.value.code


async def test_bad_orders_have_their_own_codes(pki, keystore, clock):
    now = clock.now()
    sm2_key = keystore.generate(Algorithm.SM2, Purpose.SEALS).public
    p256_key = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    p521_key = ec.generate_private_key(ec.SECP521R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    compressed = bytearray(p256_key)
    compressed[-1] ^= 1  # off the curve
    for unsuitable in (sm2_key, p521_key, b"", b"nonsense", p256_key + b"\0", bytes(compressed)):
        assert await refused(pki, keystore, now, public_key=unsuitable) == "PUBLIC_KEY_UNSUITABLE"
    assert await refused(pki, keystore, now, authority="nobody") == "AUTHORITY_UNKNOWN"
    for profile, authority in (
        ("seal-maker", "seal"),
        ("nothing", "seal"),
        ("document-signer", "seal-sm"),
        ("seal-ca", "root"),
        ("root", "root"),
        ("tsa-signer", "seal"),
        ("person-sign-in", "documents"),
    ):
        assert await refused(pki, keystore, now, profile=profile, authority=authority) == "CERTIFICATE_PROFILE_UNSUITABLE"
    for change in (
        {"common_name": ""},
        {"common_name": "章" * 65},
        {"organisation": " "},
        {"organisation": "甲\u202e乙"},
        {"organisation": "甲\n乙"},
        {"organisation_code": "1\0"},
        {"division": "99010"},
        {"division": "９９０１００"},
    ):
        subject = dataclasses.replace(SUBJECT, **change)
        assert await refused(pki, keystore, now, subject=subject) == "CERTIFICATE_SUBJECT_UNSUITABLE", change
    for valid_to in (now, now - dt.timedelta(days=1), now + dt.timedelta(days=365 * 21)):
        assert await refused(pki, keystore, now, valid_to=valid_to) == "CERTIFICATE_VALIDITY_UNSUITABLE"
    async with pki.session() as session:
        assert await session.scalar(select(func.count()).where(CertificateRow.profile == "document-signer")) == 0


async def test_a_key_of_sm2_off_the_curve_is_refused(pki, keystore, clock):
    public = bytearray(keystore.generate(Algorithm.SM2, Purpose.SEALS).public)
    public[-1] ^= 1
    with pytest.raises(FujieError) as error:
        await certify(pki, keystore, clock.now(), "seal-signer-sm", public_key=bytes(public))
    assert error.value.code == "PUBLIC_KEY_UNSUITABLE"


@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")  # cryptography counts octets, RFC 5280 characters
async def test_names_of_64_characters_and_no_code_are_well_formed(pki, keystore, clock):
    subject = Subject("章" * 64, "𠮷" * 64, "", "990100")
    issued = await certify(pki, keystore, clock.now(), "document-signer", subject=subject)
    certificate = x509.load_der_x509_certificate(issued.certificate)
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "𠮷" * 64
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER) == []


async def _counts(database: Database) -> list[int]:
    async with database.session() as session:
        return [await session.scalar(select(func.count()).select_from(row)) or 0 for row in (AuthorityRow, CertificateRow, StoredKeyRow)]


async def test_establishing_twice_and_at_once_makes_one_pki(database, keystore, clock):
    await asyncio.gather(*(establish(database, keystore, clock, BASE_URL) for _ in range(3)))
    async with database.session() as session:
        bundle = await trust_bundle(session)
    assert await _counts(database) == [8, 8, 8]
    await establish(database, keystore, clock, "https://id.example.gov.cn/")
    assert await _counts(database) == [8, 8, 8]
    async with database.session() as session:
        assert await trust_bundle(session) == bundle
        events = (await session.scalars(select(AuditEvent).where(AuditEvent.action == "keys.pki.establish"))).all()
    assert sorted(event.object for event in events) == sorted(f"authority:{plan.name}" for plan in DEMONSTRATION_AUTHORITIES)
    assert all(json.loads(event.body)["outcome"] == "done" for event in events)
    issued = await certify(database, keystore, clock.now(), "document-signer")
    assert b"https://id.example.gov.cn/pki/seal.crl" in issued.certificate


async def test_the_trust_bundle_is_the_two_roots(pki, tmp_path: Path, openssl):
    async with pki.session() as session:
        bundle = await trust_bundle(session)
        roots = {await authority_certificate(session, name) for name in ("root", "root-sm")}
    assert {der for _, _, der in pem.unarmor(bundle.encode(), multiple=True)} == roots
    assert openssl("storeutl", "-noout", "-certs", bundle.encode()).stdout.strip().endswith("Total found: 2")


async def test_validation_material_is_whole_and_without_repeats(pki, keystore, clock):
    signer, sm_signer, maker = [await certify(pki, keystore, clock.now(), profile) for profile in LEAVES]
    asked = [signer.certificate, sm_signer.certificate, maker.certificate]
    async with pki.begin() as session:
        material = await validation_material(session, keystore, clock.now(), asked)
        again = await validation_material(session, keystore, clock.now(), [*asked, signer.certificate])
        own = await validation_material(session, keystore, clock.now(), [signer.chain[-1]])
    assert material.certificates[:3] == tuple(asked)
    assert set(material.certificates[3:]) == {*signer.chain, *sm_signer.chain, *maker.chain}
    assert len(material.certificates) == 3 + 5
    assert len(set(material.crls)) == 5
    assert again == material
    assert own.certificates == (signer.chain[-1],)
    assert len(own.crls) == 1


async def test_material_for_a_strangers_certificate_is_refused(pki, keystore, clock, openssl):
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k")
    made = openssl("req", "-x509", *key, "-subj", "/CN=stranger")
    stranger = pem.unarmor(made.stdout.encode())[2]
    for octets in (stranger, b"", b"\x30\x03\x02\x01\x01", stranger[:-5]):
        async with pki.begin() as session:
            with pytest.raises(FujieError) as error:
                await validation_material(session, keystore, clock.now(), [octets])
        assert error.value.code == "CERTIFICATE_UNKNOWN"


def test_profiles_and_authorities_fit_together():
    names = [plan.name for plan in DEMONSTRATION_AUTHORITIES]
    for place, plan in enumerate(DEMONSTRATION_AUTHORITIES):
        profile = PROFILES[plan.profile]
        assert profile.is_authority
        assert plan.parent in names[: place + 1]
        assert plan.algorithm in profile.algorithms
        assert next(above for above in DEMONSTRATION_AUTHORITIES if above.name == plan.parent).profile in profile.issuers
    kinds = {profile.name for profile in PROFILES.values() if profile.is_authority}
    for name, profile in PROFILES.items():
        assert name == profile.name
        assert profile.issuers
        assert profile.issuers <= kinds
        assert profile.algorithms
        assert profile.is_authority == (profile.key_usage == {"key_cert_sign", "crl_sign"})
