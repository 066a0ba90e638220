"""Partitioned lists: each certificate on the one it names and on the full one; large lists without large cost."""

import datetime as dt
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from keys.base.errors import FujieError
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import authority_certificate
from keys.pki.certificate import Issuer, distribution_point
from keys.pki.crl import current_crl, current_partition
from keys.pki.crl_format import entry
from keys.pki.issuing import Subject, issue
from keys.pki.partitions import FULL, PARTITIONS, partition_of, partitions_of
from keys.pki.status import resume, revoke, suspend
from keys.pki.status_lifecycle import REASON_CODES

SUBJECT = Subject("张三", "某某市", "", "990100")
COUNT = PARTITIONS["persons"]


async def certify(database, keystore, now):
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with database.begin() as session:
        return await issue(session, keystore, now, authority="persons", profile="person-sign-in", subject=SUBJECT, public_key=public)


async def fetch(database, keystore, now, partition, name="persons") -> x509.CertificateRevocationList:
    async with database.begin() as session:
        return x509.load_der_x509_crl(await current_partition(session, keystore, now, name, partition))


@given(st.integers(min_value=1, max_value=2**159 - 1))
def test_the_partition_follows_from_the_serial_number(serial):
    issuer = Issuer("persons", Algorithm.P256, b"", b"", "https://fujie.example")
    number = partition_of("persons", serial)
    assert number in partitions_of("persons")
    assert distribution_point(issuer, serial) == f"https://fujie.example/pki/persons/{number}.crl"
    assert partition_of("seal", serial) == FULL


@given(
    st.integers(min_value=1, max_value=2**159 - 1),
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)),
    st.sampled_from(sorted(REASON_CODES)),
    st.none() | st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)),
)
def test_entries_are_read_back_by_others(serial, revoked_at, reason, invalidity):
    """Our few octets against cryptography's own writer."""
    revoked_at = revoked_at.replace(microsecond=0)
    invalidity = invalidity and invalidity.replace(microsecond=0)
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at)
    if reason != "unspecified":
        flag = x509.ReasonFlags[reason]
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    if invalidity:
        builder = builder.add_extension(x509.InvalidityDate(invalidity), critical=False)
    ours = entry(serial, revoked_at.replace(tzinfo=dt.UTC), reason, invalidity and invalidity.replace(tzinfo=dt.UTC))
    assert ours in _with(builder.build())


_KEY = ec.generate_private_key(ec.SECP256R1())


def _with(revoked: x509.RevokedCertificate) -> bytes:
    """A list of cryptography's with this entry."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = dt.datetime(2026, 1, 1)
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now + dt.timedelta(1))
    return builder.add_revoked_certificate(revoked).sign(_KEY, hashes.SHA256()).tbs_certlist_bytes


async def test_a_partition_says_what_it_covers(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    certificate = x509.load_der_x509_certificate(issued.certificate)
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (address,) = points[0].full_name
    crl = await fetch(pki, keystore, clock.now(), partition_of("persons", issued.serial))
    scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert scope.critical
    assert scope.value.full_name == [address]
    assert not scope.value.indirect_crl
    async with pki.session() as session:
        authority = x509.load_der_x509_certificate(await authority_certificate(session, "persons"))
    assert crl.is_signature_valid(authority.public_key())


async def test_a_full_list_has_no_scope(pki, keystore, clock):
    async with pki.begin() as session:
        full = x509.load_der_x509_crl(await current_crl(session, keystore, clock.now(), "persons"))
    with pytest.raises(x509.ExtensionNotFound):
        full.extensions.get_extension_for_class(x509.IssuingDistributionPoint)


async def test_a_revocation_is_on_its_partition_and_on_the_full_list_alone(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    own = partition_of("persons", issued.serial)
    other = own % COUNT + 1
    before = {number: await fetch(pki, keystore, clock.now(), number) for number in (own, other)}
    async with pki.begin() as session:
        await suspend(session, clock.now(), issued.serial)
    assert [one.serial_number for one in await fetch(pki, keystore, clock.now(), own)] == [issued.serial]
    assert await fetch(pki, keystore, clock.now(), other) == before[other], "made once, kept"
    async with pki.begin() as session:
        full = x509.load_der_x509_crl(await current_crl(session, keystore, clock.now(), "persons"))
        await resume(session, clock.now(), issued.serial)
    assert [one.serial_number for one in full] == [issued.serial]
    assert len(await fetch(pki, keystore, clock.now(), own)) == 0
    numbers = [
        crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for crl in (before[own], await fetch(pki, keystore, clock.now(), own))
    ]
    assert numbers == [1, 3]


async def test_a_partition_is_remade_daily(pki, keystore, clock):
    first = await fetch(pki, keystore, clock.now(), 5)
    clock.advance(hours=23)
    assert await fetch(pki, keystore, clock.now(), 5) == first
    clock.advance(hours=1)
    assert (await fetch(pki, keystore, clock.now(), 5)).last_update_utc == clock.now()


@pytest.mark.parametrize(("name", "number"), [("persons", 0), ("persons", COUNT + 1), ("persons", -1), ("seal", 1), ("nobody", 1)])
async def test_there_are_no_other_partitions(pki, keystore, clock, name, number):
    with pytest.raises(FujieError) as error:
        await fetch(pki, keystore, clock.now(), number, name)
    assert error.value.code == "AUTHORITY_UNKNOWN"


MANY = """
INSERT INTO keys.certificates (serial, authority, profile, subject, division, not_before, not_after, certificate, issued_at, public_key,
                               revoked_at, revocation_reason, status_changes)
SELECT lpad(to_hex(n), 32, '7'), 'persons', 'person-sign-in', 'x', '990100', now(), now(), '\\x30', now(),
       decode(lpad(to_hex(n), 64, '0'), 'hex'),
       now(), 'superseded', 1
FROM generate_series(1048576, 1148575) AS n;
"""


async def test_a_hundred_thousand_entries(pki, keystore, clock):
    """The list is strung together by the database: our own CPU stays far below what an object per entry would cost."""
    revoked = await certify(pki, keystore, clock.now())
    async with pki.begin() as session:
        await revoke(session, clock.now(), revoked.serial, "superseded")
        one = bytes(await session.scalar(text("SELECT entry FROM keys.crl_entries")))
        await session.execute(text(MANY))
        template = one.hex().replace(f"{revoked.serial:032x}", "{}")
        head, tail = template.split("{}")
        await session.execute(
            text(
                "INSERT INTO keys.crl_entries (serial, authority, partition, revoked_at, entry) SELECT serial, authority, 1, revoked_at,"
                f" decode('{head}' || serial || '{tail}', 'hex') FROM keys.certificates WHERE serial <> :own AND status_changes = 1"
            ),
            {"own": f"{revoked.serial:032x}"},
        )
        await session.execute(text("UPDATE keys.authorities SET revocations = 100001 WHERE name = 'persons'"))
    began = time.process_time()
    async with pki.begin() as session:
        listed = await current_crl(session, keystore, clock.now(), "persons")
    spent = time.process_time() - began
    crl = x509.load_der_x509_crl(listed)
    assert len(crl) == 100_001
    assert crl.get_revoked_certificate_by_serial_number(revoked.serial) is not None
    assert crl.get_revoked_certificate_by_serial_number(int("7" * 26 + "100000", 16)) is not None
    assert spent < 10.0, f"{spent:.3f} s of CPU: every entry was made anew"
