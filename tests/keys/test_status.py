"""The life of a certificate: which moves there are, what each leaves behind, and what was so at any instant."""

import asyncio
import datetime as dt

import pytest
from cryptography import x509
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from keys.base.actor import SYSTEM, Actor, ActorKind
from keys.base.errors import FujieError
from keys.custody.store import Algorithm, Purpose
from keys.evidence.models import AuditEvent
from keys.pki.crl import current_crl
from keys.pki.errors import AlreadyRevoked, StatusMoveNotAllowed
from keys.pki.issuing import IssuedCertificate, Subject, issue
from keys.pki.reads import CertificateStatus, certificate_ends, status_at
from keys.pki.status import resume, resume_certificate, revoke, revoke_certificate, suspend, suspend_certificate
from keys.pki.status_lifecycle import HOLD, MOVES, Move, RevocationReason, Standing, standing, target
from keys.pki.status_models import CertificateStatusChangeRow

SUBJECT = Subject("测试印章", "某某市水务局", "11990100MB0000001X", "990100")
CLERK = Actor(ActorKind.PERSON, "01900000-0000-7000-8000-000000000001", "张三")


async def certify(database, keystore, now, authority="seal", profile="document-signer", **more) -> IssuedCertificate:
    public = keystore.generate(Algorithm.P256, Purpose.SEALS).public
    async with database.begin() as session:
        return await issue(session, keystore, now, authority=authority, profile=profile, subject=SUBJECT, public_key=public, **more)


async def entries(database, keystore, now, name="seal") -> dict[int, x509.RevokedCertificate]:
    async with database.begin() as session:
        return {one.serial_number: one for one in x509.load_der_x509_crl(await current_crl(session, keystore, now, name))}


@pytest.mark.parametrize("old", Standing)
@pytest.mark.parametrize("move", Move)
def test_every_move_from_every_standing(old, move):
    if old is Standing.REVOKED:
        with pytest.raises(AlreadyRevoked):
            target(old, move, expired=False)
    elif old in MOVES[move].sources:
        assert target(old, move, expired=False) is MOVES[move].target
    else:
        with pytest.raises(StatusMoveNotAllowed) as error:
            target(old, move, expired=False)
        assert error.value.extra == {"status": str(old), "move": str(move)}


def test_what_has_ended_is_revoked_but_not_held():
    assert target(Standing.GOOD, Move.REVOKE, expired=True) is Standing.REVOKED
    assert target(Standing.ON_HOLD, Move.RESUME, expired=True) is Standing.GOOD
    with pytest.raises(StatusMoveNotAllowed, match="expired"):
        target(Standing.GOOD, Move.SUSPEND, expired=True)


def test_the_standing_follows_from_the_reason():
    assert standing(None) is Standing.GOOD
    assert standing(HOLD) is Standing.ON_HOLD
    assert {standing(reason) for reason in RevocationReason} == {Standing.REVOKED}


async def test_hold_resume_hold_revoke(pki, keystore, clock):
    """The whole life, and after it what was so at each instant of it."""
    issued = await certify(pki, keystore, clock.now())
    serial, moments = issued.serial, [clock.now()]
    for step in (suspend, resume, suspend):
        moments.append(clock.advance(days=1))
        async with pki.begin() as session:
            await step(session, clock.now(), serial, CLERK)
    moments.append(clock.advance(days=1))
    async with pki.begin() as session:
        await revoke(session, clock.now(), serial, "key_compromise", CLERK, invalidity_date=moments[1])
    expected = ["good", "on_hold", "good", "on_hold", "revoked"]
    async with pki.session() as session:
        for shift in (dt.timedelta(0), dt.timedelta(hours=23, minutes=59)):
            found = [await status_at(session, serial, one + shift) for one in moments]
            assert [report.status for report in found] == expected
    assert [report.reason for report in found] == [None, HOLD, None, HOLD, "key_compromise"]
    assert [report.revoked_at for report in found] == [None, moments[1], None, moments[3], moments[3]], "from the last hold on"


async def test_a_hold_is_on_the_list_until_it_ends(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    held = clock.advance(days=1)
    async with pki.begin() as session:
        await suspend(session, held, issued.serial)
    entry = (await entries(pki, keystore, clock.now()))[issued.serial]
    assert entry.revocation_date_utc == held
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold
    async with pki.begin() as session:
        await resume(session, clock.now(), issued.serial)
    assert issued.serial not in await entries(pki, keystore, clock.now())


async def test_a_hold_that_becomes_final_keeps_its_date(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    held = clock.advance(days=1)
    async with pki.begin() as session:
        await suspend(session, held, issued.serial)
    suspected = clock.now() - dt.timedelta(hours=3)
    clock.advance(days=3)
    async with pki.begin() as session:
        await revoke(session, clock.now(), issued.serial, "key_compromise", invalidity_date=suspected)
    entry = (await entries(pki, keystore, clock.now()))[issued.serial]
    assert entry.revocation_date_utc == held
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == suspected


async def refused(database, clock, journey) -> str:
    with pytest.raises(FujieError) as error:
        await journey
    async with database.session() as session:
        events = list(
            await session.scalars(select(AuditEvent).where(AuditEvent.outcome == "refused", AuditEvent.action.like("keys.pki.%")))
        )
    assert any(error.value.code.encode() in event.body and CLERK.id == event.actor_id for event in events)
    return error.value.code


async def test_bad_moves_are_refused_and_audited(pki, keystore, clock):
    """Double revoke, resume of a revoked one, hold of an expired one, and the others; nothing is changed."""
    gone, good, old = [await certify(pki, keystore, clock.now()) for _ in range(3)]
    await revoke_certificate(pki, clock, CLERK, gone.serial, "superseded")
    assert await refused(pki, clock, revoke_certificate(pki, clock, CLERK, gone.serial, "key_compromise")) == "CERTIFICATE_ALREADY_REVOKED"
    assert await refused(pki, clock, resume_certificate(pki, clock, CLERK, gone.serial)) == "CERTIFICATE_ALREADY_REVOKED"
    assert await refused(pki, clock, suspend_certificate(pki, clock, CLERK, gone.serial)) == "CERTIFICATE_ALREADY_REVOKED"
    assert await refused(pki, clock, resume_certificate(pki, clock, CLERK, good.serial)) == "CERTIFICATE_MOVE_NOT_ALLOWED"
    assert await refused(pki, clock, revoke_certificate(pki, clock, CLERK, 77, "superseded")) == "CERTIFICATE_UNKNOWN"
    assert await refused(pki, clock, revoke_certificate(pki, clock, CLERK, good.serial, HOLD)) == "REVOCATION_REASON_UNKNOWN"
    future = clock.now() + dt.timedelta(seconds=1)
    late = revoke_certificate(pki, clock, CLERK, good.serial, "key_compromise", future)
    assert await refused(pki, clock, late) == "INVALIDITY_DATE_UNSUITABLE"
    await suspend_certificate(pki, clock, CLERK, good.serial)
    assert await refused(pki, clock, suspend_certificate(pki, clock, CLERK, good.serial)) == "CERTIFICATE_MOVE_NOT_ALLOWED"
    clock.advance(days=1200)
    assert await refused(pki, clock, suspend_certificate(pki, clock, CLERK, old.serial)) == "CERTIFICATE_MOVE_NOT_ALLOWED"
    assert set(await entries(pki, keystore, clock.now())) == {gone.serial, good.serial}
    async with pki.session() as session:
        assert (await status_at(session, old.serial, clock.now())).status is CertificateStatus.EXPIRED


async def test_every_change_names_who_made_it(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    await suspend_certificate(pki, clock, CLERK, issued.serial)
    await revoke_certificate(pki, clock, SYSTEM, issued.serial, "superseded")
    async with pki.session() as session:
        rows = list(await session.scalars(select(CertificateStatusChangeRow).order_by(CertificateStatusChangeRow.number)))
        events = list(await session.scalars(select(AuditEvent).where(AuditEvent.object == f"pki-certificate:{issued.serial:032x}")))
    assert [(row.number, row.move, row.status, row.actor_id) for row in rows] == [
        (1, "suspend", "on_hold", CLERK.id),
        (2, "revoke", "revoked", SYSTEM.id),
    ]
    assert [event.action for event in events if event.action != "keys.pki.issue"] == ["keys.pki.suspend", "keys.pki.revoke"]


@pytest.mark.parametrize("statement", ["UPDATE keys.{} SET reason = 'x'", "DELETE FROM keys.{}"])
async def test_the_database_keeps_the_history(pki, keystore, clock, statement):
    issued = await certify(pki, keystore, clock.now())
    await suspend_certificate(pki, clock, CLERK, issued.serial)
    with pytest.raises(DBAPIError, match="keeps what it holds"):
        async with pki.begin() as session:
            await session.execute(text(statement.format("certificate_status_changes")))


async def test_a_history_does_not_run_backwards(pki, keystore, clock):
    """A machine whose clock is behind changes a status that another changed a moment ago."""
    issued = await certify(pki, keystore, clock.now())
    ahead = clock.now() + dt.timedelta(seconds=30)
    async with pki.begin() as session:
        await suspend(session, ahead, issued.serial)
    async with pki.begin() as session:
        await resume(session, clock.now(), issued.serial)
    async with pki.session() as session:
        assert (await status_at(session, issued.serial, ahead)).status is CertificateStatus.GOOD
        assert (await status_at(session, issued.serial, ahead - dt.timedelta(seconds=1))).status is CertificateStatus.GOOD


async def test_of_many_changes_at_once_each_counts_or_is_refused(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    journeys = [suspend_certificate(pki, clock, CLERK, issued.serial) for _ in range(4)]
    journeys += [revoke_certificate(pki, clock, CLERK, issued.serial, "superseded") for _ in range(2)]
    answers = await asyncio.gather(*journeys, return_exceptions=True)
    assert all(answer is None or isinstance(answer, FujieError) for answer in answers)
    assert answers[4:].count(None) == 1
    assert answers[:4].count(None) <= 1
    async with pki.session() as session:
        numbers = list(await session.scalars(select(CertificateStatusChangeRow.number).order_by(CertificateStatusChangeRow.number)))
    assert numbers == list(range(1, answers.count(None) + 1))


async def test_a_revoked_authority_issues_nothing(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    await revoke_certificate(pki, clock, CLERK, certificate_ends(issued.chain[0]).serial, "ca_compromise")
    with pytest.raises(FujieError) as error:
        await certify(pki, keystore, clock.now())
    assert error.value.code == "AUTHORITY_REVOKED"


async def test_an_authority_on_hold_issues_nothing_until_it_is_resumed(pki, keystore, clock):
    issued = await certify(pki, keystore, clock.now())
    authority = certificate_ends(issued.chain[0]).serial
    await suspend_certificate(pki, clock, CLERK, authority)
    with pytest.raises(FujieError) as error:
        await certify(pki, keystore, clock.now())
    assert error.value.code == "AUTHORITY_REVOKED"
    await resume_certificate(pki, clock, CLERK, authority)
    assert (await certify(pki, keystore, clock.now())).serial != issued.serial
