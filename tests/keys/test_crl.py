"""Revocation lists: made when due, complete, numbered, and accepted by openssl."""

import asyncio
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select

from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody import sm2
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.models import AuthorityRow, CrlRow
from keys.pki.authority import IssuedCertificate, Subject, authority_certificate, issue
from keys.pki.crl import current_crl
from keys.pki.material import validation_material
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES
from keys.pki.reads import CertificateStatus, StatusReport, status_at
from keys.pki.status import RevocationReason, revoke

SUBJECT = Subject("测试印章", "某某市水务局", "11990100MB0000001X", "990100")


async def certify(database: Database, keystore: SoftwareKeyStore, now: dt.datetime) -> IssuedCertificate:
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with database.begin() as session:
        return await issue(session, keystore, now, authority="seal", profile="document-signer", subject=SUBJECT, public_key=public)


async def fetch(database: Database, keystore: SoftwareKeyStore, now: dt.datetime, name: str = "seal") -> bytes:
    async with database.begin() as session:
        return await current_crl(session, keystore, now, name)


async def withdraw(database: Database, now: dt.datetime, serial: int, reason: str = "superseded") -> None:
    async with database.begin() as session:
        await revoke(session, now, serial, reason)


def number(crl: bytes) -> int:
    return x509.load_der_x509_crl(crl).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def test_a_list_of_the_demonstration(pki, keystore, clock):
    crl = x509.load_der_x509_crl(await fetch(pki, keystore, clock.now()))
    async with pki.session() as session:
        authority = x509.load_der_x509_certificate(await authority_certificate(session, "seal"))
    assert crl.is_signature_valid(authority.public_key())
    assert crl.issuer == authority.subject
    assert crl.last_update_utc == clock.now()
    assert crl.next_update_utc == clock.now() + dt.timedelta(days=120)
    assert len(crl) == 0
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == identifier


async def test_openssl_accepts_the_ec_lists(pki, keystore, clock, openssl):
    issued = await certify(pki, keystore, clock.now())
    await withdraw(pki, clock.now(), issued.serial)
    for name in ("root", "seal"):
        crl = await fetch(pki, keystore, clock.now(), name)
        async with pki.session() as session:
            authority = await authority_certificate(session, name)
        pem = openssl("x509", "-inform", "DER", "-in", authority).stdout.encode()
        seen = openssl("crl", "-inform", "DER", "-in", crl, "-noout", "-verify", "-CAfile", pem)
        assert "verify OK" in seen.stderr


@pytest.mark.parametrize("name", [plan.name for plan in DEMONSTRATION_AUTHORITIES if "sm" in plan.name or plan.name == "seal-maker"])
async def test_openssl_accepts_the_sm2_lists(pki, keystore, clock, openssl, name):
    """``openssl crl -verify`` takes no signer id, so the signature is checked over the list's own octets."""
    crl = x509.load_der_x509_crl(await fetch(pki, keystore, clock.now(), name))
    assert crl.signature_algorithm_oid.dotted_string == sm2.SM2_WITH_SM3
    async with pki.session() as session:
        authority = await authority_certificate(session, name)
    certificate = openssl("x509", "-inform", "DER", "-in", authority).stdout.encode()
    arguments = ("pkeyutl", "-verify", "-certin", "-inkey", certificate, "-rawin", "-digest", "sm3", "-sigfile", crl.signature)
    distid = ("-pkeyopt", "distid:1234567812345678")
    assert openssl(*arguments, *distid, "-in", crl.tbs_certlist_bytes).returncode == 0
    assert openssl(*arguments, *distid, "-in", crl.tbs_certlist_bytes + b"\0").returncode != 0
    text = openssl("crl", "-inform", "DER", "-in", crl.public_bytes(Encoding.DER), "-noout", "-text")
    assert "SM2-with-SM3" in text.stdout


async def test_openssl_sees_the_revocation(pki, keystore, clock, openssl):
    issued, other = [await certify(pki, keystore, clock.now()) for _ in range(2)]
    await withdraw(pki, clock.now(), issued.serial, "key_compromise")
    async with pki.begin() as session:
        material = await validation_material(session, keystore, clock.now(), [issued.certificate])
    from_der = {"CERTIFICATE": "x509", "X509 CRL": "crl"}

    def armoured(kind: str, *ders: bytes) -> bytes:
        return b"".join(openssl(from_der[kind], "-inform", "DER", "-in", der).stdout.encode() for der in ders)

    def verify(certificate: bytes) -> str:
        seen = openssl(
            *("verify", "-crl_check_all", "-attime", str(int(clock.now().timestamp()))),
            *("-CAfile", armoured("CERTIFICATE", *issued.chain), "-CRLfile", armoured("X509 CRL", *material.crls)),
            armoured("CERTIFICATE", certificate),
        )
        return seen.stdout + seen.stderr

    assert "certificate revoked" in verify(issued.certificate)
    assert verify(other.certificate).strip().endswith("OK")


async def test_a_list_is_kept_until_due(pki, keystore, clock):
    first = await fetch(pki, keystore, clock.now())
    clock.advance(hours=23)
    assert await fetch(pki, keystore, clock.now()) == first
    clock.advance(hours=1)
    second = await fetch(pki, keystore, clock.now())
    assert number(second) == number(first) + 1
    assert x509.load_der_x509_crl(second).last_update_utc == clock.now()
    clock.advance(days=200)
    assert number(await fetch(pki, keystore, clock.now())) == 3


async def test_a_list_from_the_future_is_not_served(pki, keystore, clock):
    ahead = await fetch(pki, keystore, clock.now() + dt.timedelta(hours=1))
    now = await fetch(pki, keystore, clock.now())
    assert number(now) == number(ahead) + 1
    assert x509.load_der_x509_crl(now).last_update_utc == clock.now()


async def test_a_revocation_is_in_the_next_list_at_once(pki, keystore, clock):
    before = await fetch(pki, keystore, clock.now())
    issued = [await certify(pki, keystore, clock.now()) for _ in range(len(RevocationReason))]
    other = await fetch(pki, keystore, clock.now(), "seal-sm")
    reasons = {one.serial: reason for one, reason in zip(issued, RevocationReason, strict=True)}
    clock.advance(seconds=1.5)
    for serial, reason in reasons.items():
        await withdraw(pki, clock.now(), serial, reason)
    after = await fetch(pki, keystore, clock.now())
    assert number(after) == number(before) + 1
    entries = {entry.serial_number: entry for entry in x509.load_der_x509_crl(after)}
    assert set(entries) == set(reasons)
    for serial, entry in entries.items():
        assert entry.revocation_date_utc == clock.now().replace(microsecond=0)
        if reasons[serial] == "unspecified":
            assert len(entry.extensions) == 0, "RFC 5280 5.3.1"
        else:
            flag = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
            assert flag.name == reasons[serial]
    assert await fetch(pki, keystore, clock.now(), "seal-sm") == other, "another authority's list stands"
    clock.advance(days=400)
    later = x509.load_der_x509_crl(await fetch(pki, keystore, clock.now()))
    assert {entry.serial_number for entry in later} == set(reasons), "entries are never dropped"


async def test_an_authority_can_be_revoked(pki, keystore, clock):
    async with pki.session() as session:
        serial = x509.load_der_x509_certificate(await authority_certificate(session, "seal")).serial_number
    await withdraw(pki, clock.now(), serial, "ca_compromise")
    entries = list(x509.load_der_x509_crl(await fetch(pki, keystore, clock.now(), "root")))
    assert [entry.serial_number for entry in entries] == [serial]


async def test_refusals(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())

    async def code(serial: int, reason: str) -> str:
        with pytest.raises(FujieError) as error:
            await withdraw(pki, clock.now(), serial, reason)
        return error.value.code

    assert await code(12345, "superseded") == "CERTIFICATE_UNKNOWN"
    assert await code(-issued.serial, "superseded") == "CERTIFICATE_UNKNOWN"
    for reason in ("because", "certificate_hold", "remove_from_crl", ""):
        assert await code(issued.serial, reason) == "REVOCATION_REASON_UNKNOWN"
    await withdraw(pki, clock.now(), issued.serial, "key_compromise")
    clock.advance(days=1)
    assert await code(issued.serial, "superseded") == "CERTIFICATE_ALREADY_REVOKED"
    async with pki.session() as session:
        report = await status_at(session, issued.serial, clock.now())
        assert await session.scalar(select(AuthorityRow.revocations).where(AuthorityRow.name == "seal")) == 1
    assert (report.reason, report.revoked_at) == ("key_compromise", clock.now() - dt.timedelta(days=1))
    with pytest.raises(FujieError) as error:
        await fetch(pki, keystore, clock.now(), "nobody")
    assert error.value.code == "AUTHORITY_UNKNOWN"


async def test_status_at_any_instant(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    begin = clock.now()
    revoked_at = clock.advance(days=10)
    await withdraw(pki, revoked_at, issued.serial)
    async with pki.session() as session:

        async def status(**offset: float) -> CertificateStatus:
            return (await status_at(session, issued.serial, begin + dt.timedelta(**offset))).status

        assert await status(seconds=-1) is CertificateStatus.NOT_YET_VALID
        assert await status() is CertificateStatus.GOOD
        assert await status(days=10, seconds=-1) is CertificateStatus.GOOD
        assert await status(days=10) is CertificateStatus.REVOKED
        assert await status(days=2000) is CertificateStatus.REVOKED, "revoked stays revoked after its end"
        for serial in (1, 0, -5, 1 << 200):
            assert await status_at(session, serial, begin) == StatusReport(CertificateStatus.UNKNOWN)
    other = await certify(pki, keystore, begin)
    async with pki.session() as session:
        assert (await status_at(session, other.serial, begin + dt.timedelta(days=1096, seconds=-1))).status is CertificateStatus.GOOD
        assert (await status_at(session, other.serial, begin + dt.timedelta(days=1096))).status is CertificateStatus.EXPIRED


async def test_of_many_at_once_one_makes_the_list(pki, keystore, clock):
    lists = await asyncio.gather(*(fetch(pki, keystore, clock.now()) for _ in range(8)))
    assert len(set(lists)) == 1
    async with pki.session() as session:
        assert await session.scalar(select(func.count()).select_from(CrlRow)) == 1


async def test_revocations_while_lists_are_made_are_not_lost(pki, keystore, clock):
    issued = [await certify(pki, keystore, clock.now()) for _ in range(6)]
    await asyncio.gather(
        *(withdraw(pki, clock.now(), one.serial) for one in issued),
        *(fetch(pki, keystore, clock.now()) for _ in range(6)),
    )
    final = x509.load_der_x509_crl(await fetch(pki, keystore, clock.now()))
    assert {entry.serial_number for entry in final} == {one.serial for one in issued}
    async with pki.session() as session:
        numbers = (await session.scalars(select(CrlRow.number).where(CrlRow.authority == "seal").order_by(CrlRow.number))).all()
    assert list(numbers) == list(range(1, len(numbers) + 1))


async def test_of_two_revocations_of_one_certificate_one_counts(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    answers = await asyncio.gather(*(withdraw(pki, clock.now(), issued.serial) for _ in range(4)), return_exceptions=True)
    codes = sorted(answer.code if isinstance(answer, FujieError) else str(answer) for answer in answers)
    assert codes == ["CERTIFICATE_ALREADY_REVOKED"] * 3 + ["None"]
    async with pki.session() as session:
        assert await session.scalar(select(AuthorityRow.revocations).where(AuthorityRow.name == "seal")) == 1
