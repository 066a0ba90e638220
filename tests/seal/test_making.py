"""A seal from its application to its first day of use, on a real database."""

import asyncio
import datetime as dt
import pickle

import pytest
from asn1crypto import x509
from sqlalchemy import text

from keys.base.actor import SYSTEM, Role
from keys.base.errors import FujieError
from keys.custody import sm2
from seal import asn1, making, reads
from seal.changes import MayNotMoveSeal, cancel_seal, report_seal_lost, resume_seal, suspend_seal
from seal.lifecycle import MoveNotAllowed, Status
from seal.material import load_material
from seal.outlines import GlyphMissing


async def audited(database, like):
    async with database.session() as session:
        rows = await session.execute(
            text("SELECT action, outcome, convert_from(body, 'UTF8') FROM keys.audit_events WHERE action LIKE :like ORDER BY id"),
            {"like": like},
        )
        return [tuple(row) for row in rows]


async def reviewed(city, applied):
    for reviewer in (city.reviewer, city.admin):
        await making.review_seal(city.database, city.clock, reviewer, applied.id)


def public_key(certificate):
    return x509.Certificate.load(certificate).public_key.dump()


async def test_a_seal_is_made_and_everything_in_it_holds(city, approval_seal):
    assert approval_seal.status is Status.ACTIVE
    assert approval_seal.code == "99010000000001"
    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, city.clock.now(), approval_seal.code)
        steps = await reads.history(session, approval_seal.code)
    seal = asn1.parse_seal(material.seal_der)
    assert (seal.version, seal.es_id, seal.name) == (5, approval_seal.code, "示范市住房和城乡建设局行政审批专用章")
    assert seal.certificates == (material.sm_certificate,)
    assert sm2.verify(public_key(seal.maker_certificate), seal.signed, seal.signature)
    assert not sm2.verify(public_key(seal.maker_certificate), seal.signed + b"\0", seal.signature)
    assert (seal.width_mm, seal.height_mm, seal.picture_type) == (42, 42, "PNG")
    assert seal.picture.startswith(b"\x89PNG")
    assert len(seal.picture) <= 20_480
    assert public_key(material.sm_certificate) == material.sm_key.public
    assert public_key(material.signer_certificate) == material.signer_key.public
    for certificate in (material.sm_certificate, material.signer_certificate):
        assert x509.Certificate.load(certificate).not_valid_after >= approval_seal.valid_to
    assert seal.maker_certificate in material.validation.certificates
    assert len(material.validation.crls) == 5
    assert pickle.loads(pickle.dumps(material)) == material
    assert [step.move for step in steps] == ["apply", "examine", "review", "make", "file", "activate"]
    assert [(row[0], row[1]) for row in await audited(city.database, "seal.%")][2:] == [
        ("seal.apply", "done"),
        ("seal.examine", "done"),
        ("seal.review", "done"),
        ("seal.make", "done"),
        ("seal.file", "done"),
        ("seal.activate", "done"),
    ]


async def test_a_seal_of_version_4_on_request(city):
    seal = await city.make(ses_version=4)
    async with city.database.begin() as session:
        read = asn1.parse_seal((await load_material(session, city.keystore, city.clock.now(), seal.code)).seal_der)
    assert read.version == 4
    assert sm2.verify(public_key(read.maker_certificate), read.signed, read.signature)


async def test_nobody_reviews_their_own_application(city):
    both = city.person("both", Role.SEAL_KEEPER, Role.SECURITY_ADMIN)
    applied = await making.apply_for_seal(city.database, city.clock, both, city.order())
    with pytest.raises(making.ReviewerIsApplicant):
        await making.review_seal(city.database, city.clock, both, applied.id)
    async with city.database.session() as session:
        assert (await reads.get_application(session, applied.id)).status is Status.APPLIED
        assert [seal.id for seal in await reads.list_applications(session, division="990100")] == [applied.id]
    (refused,) = [row for row in await audited(city.database, "seal.review") if row[1] == "refused"]
    assert "SEAL_REVIEWER_IS_APPLICANT" in refused[2]


async def test_the_system_may_apply_but_never_review(city):
    applied = await making.apply_for_seal(city.database, city.clock, SYSTEM, city.order())
    with pytest.raises((MayNotMoveSeal, making.ReviewerIsApplicant)):
        await making.review_seal(city.database, city.clock, SYSTEM, applied.id)


async def test_an_unreviewed_or_rejected_application_is_not_made(city):
    applied = await making.apply_for_seal(city.database, city.clock, city.keeper, city.order())
    with pytest.raises(MoveNotAllowed):
        await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    await making.review_seal(city.database, city.clock, city.admin, applied.id, approved=False, reason="重复")
    with pytest.raises(MoveNotAllowed):
        await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.code_counters")) == 0


@pytest.mark.parametrize(
    ("actor", "wanted"),
    [
        (("stranger", Role.CITIZEN), {}),
        (("keeper of others", Role.SEAL_KEEPER), {"organisation": "11990100MB0000027F"}),
        (("keeper elsewhere", Role.SEAL_KEEPER), {"division": "990200"}),
        (("auditor", Role.AUDITOR), {}),
    ],
)
async def test_only_the_organisations_keeper_applies(city, actor, wanted):
    with pytest.raises(MayNotMoveSeal):
        await making.apply_for_seal(city.database, city.clock, city.person(*actor, **wanted), city.order())
    assert [row[:2] for row in await audited(city.database, "seal.apply")] == [("seal.apply", "refused")]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"kind": "emblem"}, making.SealOrderInvalid),
        ({"division": "99010"}, making.SealOrderInvalid),
        ({"organisation": "short"}, making.SealOrderInvalid),
        ({"name": ""}, making.SealOrderInvalid),
        ({"ses_version": 1}, making.SealOrderInvalid),
        ({"valid_to": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, making.SealOrderInvalid),
        ({"valid_from": dt.datetime(2026, 1, 1)}, making.SealOrderInvalid),
        ({"organisation_name": "示范市\U0003134a局"}, GlyphMissing),
    ],
)
async def test_a_bad_order_leaves_nothing_but_its_refusal(city, changes, refusal):
    with pytest.raises(refusal) as caught:
        await city.make(**changes)
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.seals")) == 0
    ((_, outcome, body),) = await audited(city.database, "seal.apply")
    assert (outcome, caught.value.code in body) == ("refused", True)


async def test_a_second_seal_of_a_kind_waits_until_the_first_is_cancelled(city, approval_seal):
    with pytest.raises(making.SealExists):
        await city.make()
    await cancel_seal(city.database, city.clock, city.admin, approval_seal.code, "更换")
    second = await making.activate_seal(city.database, city.clock, city.admin, "99010000000002")
    async with city.database.session() as session:
        assert (await reads.find_seal(session, organisation=city.organisation, kind="approval")).code == second.code
        assert [seal.code for seal in await reads.list_seals(session)] == ["99010000000001", "99010000000002"]


async def test_codes_are_never_given_twice_even_at_once(city):
    applied = [
        await making.apply_for_seal(city.database, city.clock, city.keeper, city.order(kind=kind, lower_text="专用章"))
        for kind in ("approval", "certificate", "contract", "finance")
    ]
    for one in applied:
        await reviewed(city, one)
    made = await asyncio.gather(
        *(making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, one.id) for one in applied)
    )
    assert sorted(seal.code for seal in made) == [f"9901000000000{number}" for number in range(1, 5)]
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM seal.makers")) == 1
        makers = {asn1.parse_seal(row[0]).maker_certificate for row in await session.execute(text("SELECT seal_der FROM seal.made_seals"))}
    assert len(makers) == 1


async def test_a_broken_making_is_taken_up_with_the_same_code(city, monkeypatch):
    applied = await making.apply_for_seal(city.database, city.clock, city.keeper, city.order())
    await reviewed(city, applied)

    def broken(plate):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(making, "engraved", broken)
        with pytest.raises(RuntimeError):
            await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    made = await making.make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    assert made.code == "99010000000001"
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT last FROM seal.code_counters WHERE division = '990100'")) == 1


async def test_the_status_of_every_past_instant(city, approval_seal):
    start = city.clock.now()
    city.clock.advance(hours=1)
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "保管人休假")
    city.clock.advance(hours=1)
    await resume_seal(city.database, city.clock, city.admin, approval_seal.code, "恢复")
    city.clock.advance(hours=1)
    await cancel_seal(city.database, city.clock, city.admin, approval_seal.code, "机构撤销")
    wanted = {-1: None, 0: Status.ACTIVE, 3599: Status.ACTIVE, 3600: Status.SUSPENDED, 7200: Status.ACTIVE, 10800: Status.CANCELLED}
    async with city.database.session() as session:
        for seconds, status in wanted.items():
            assert await reads.status_at(session, approval_seal.code, start + dt.timedelta(seconds=seconds)) is status
        with pytest.raises(reads.SealNotFound):
            await reads.status_at(session, "99010099999999", start)
    with pytest.raises(MoveNotAllowed):
        await resume_seal(city.database, city.clock, city.admin, approval_seal.code, "again")


async def test_a_history_does_not_run_backwards(city, approval_seal):
    late = city.clock.now()
    city.clock.advance(hours=-1)
    suspended = await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    assert suspended.status_since == late


async def test_a_keeper_may_suspend_and_only_an_administrator_resumes(city, approval_seal):
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    with pytest.raises(MayNotMoveSeal):
        await resume_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    with pytest.raises(MayNotMoveSeal):
        await resume_seal(city.database, city.clock, city.person("far", Role.SECURITY_ADMIN, division="110000"), approval_seal.code, "")
    assert [row[1] for row in await audited(city.database, "seal.resume")] == ["refused", "refused"]


async def test_the_certificates_of_a_lost_seal_are_revoked(city, approval_seal):
    await report_seal_lost(city.database, city.clock, city.keeper, approval_seal.code, "丢失")
    async with city.database.session() as session:
        query = text("SELECT profile, revocation_reason FROM keys.certificates WHERE revoked_at IS NOT NULL ORDER BY profile")
        revoked = await session.execute(query)
        assert [tuple(row) for row in revoked] == [("document-signer", "key_compromise"), ("seal-signer-sm", "key_compromise")]


async def test_unknown_seals_have_their_own_code(city):
    with pytest.raises(reads.SealNotFound):
        await suspend_seal(city.database, city.clock, city.admin, "99010099999999", "")
    async with city.database.begin() as session:
        with pytest.raises(FujieError, match="SEAL_NOT_FOUND"):
            await load_material(session, city.keystore, city.clock.now(), "99010099999999")
        assert await reads.find_seal(session, organisation=city.organisation, kind="nothing") is None


async def test_pictures_are_kept(city, approval_seal):
    async with city.database.session() as session:
        pictures = await reads.pictures_of(session, approval_seal.code)
    assert pictures.svg.startswith(b"<svg")
    assert (pictures.width_mm, pictures.height_mm) == (42, 42)
