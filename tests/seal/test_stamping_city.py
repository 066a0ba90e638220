"""From a made seal to a verdict on a real database: grant, permit, material, stamp, verify; and after a revocation."""

import datetime as dt
import hashlib

import pytest

from keys.pki.authority import authority_certificate
from keys.pki.crl import current_crl
from keys.pki.status import resume, revoke, suspend
from seal.changes import resume_seal, suspend_seal
from seal.material import SealMaterial, load_material
from seal.permits import Permit, consume_permit, request_permit
from seal.policy import NotPermitted
from seal.sandbox import averify
from seal.stamping import stamp
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification_path import read_certificate
from tests.stamped import PLACE, certificate_page


async def trust_of(city) -> Trust:
    async with city.database.begin() as session:
        return Trust((await authority_certificate(session, "root"), await authority_certificate(session, "root-sm")))


async def permitted(city, seal) -> tuple[Permit, SealMaterial]:
    await city.grant(seal, city.approver)
    permit = await request_permit(city.database, city.clock, city.use(seal, document_hash=hashlib.sha256(certificate_page()).digest()))
    async with city.database.begin() as session:
        return permit, await load_material(session, city.keystore, city.clock.now(), seal.code)


async def test_a_made_seal_stamps_and_the_stamp_passes(city, approval_seal, workers):
    permit, material = await permitted(city, approval_seal)
    now = city.clock.now()
    stamped = await workers.run(stamp, permit, certificate_page(), material, PLACE, city.keystore, now)
    async with city.database.begin() as session:
        await consume_permit(session, now, permit, hashlib.sha256(certificate_page()).digest())
    trust = await trust_of(city)
    verdict = await averify(stamped.pdf, trust, now)
    assert verdict.indication is Indication.TOTAL_PASSED
    (signature,) = verdict.signatures
    assert signature.seal is not None
    assert (signature.seal.code, signature.seal.name) == (approval_seal.code, approval_seal.name)
    later = await averify(stamped.pdf, trust, now + dt.timedelta(days=85))
    assert later.indication is Indication.TOTAL_PASSED, "a demonstration certificate verifies offline for months"


async def test_after_a_revocation_the_lists_tell(city, approval_seal):
    permit, material = await permitted(city, approval_seal)
    now = city.clock.now()
    pdf = stamp(permit, certificate_page(), material, PLACE, city.keystore, now).pdf
    trust = await trust_of(city)
    signer = read_certificate(material.signer_certificate)
    assert signer is not None
    city.clock.advance(hours=1)
    async with city.database.begin() as session:
        await revoke(session, city.clock.now(), signer.serial, "key_compromise")
        crl = await current_crl(session, city.keystore, city.clock.now(), "seal")
    verdict = await averify(pdf, Trust(trust.certificates, (crl,)), city.clock.advance(hours=1))
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "REVOKED_NO_POE")


async def stamped_at_once(city, seal) -> bytes:
    """What a service does for one document; by the seal's present material."""
    document = certificate_page()
    permit = await request_permit(city.database, city.clock, city.use(seal, document_hash=hashlib.sha256(document).digest()))
    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, city.clock.now(), seal.code, standing=permit.standing)
    return stamp(permit, document, material, PLACE, city.keystore, city.clock.now()).pdf


@pytest.mark.parametrize("looked_at_meanwhile", [False, True])
async def test_a_seal_stamps_at_once_after_its_suspension_ends_and_never_within_it(city, approval_seal, looked_at_meanwhile):
    """Within one second: no copy of a revocation list may still say that the certificates are on hold."""
    await city.grant(approval_seal, city.approver)
    await stamped_at_once(city, approval_seal)
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    with pytest.raises(NotPermitted):
        await stamped_at_once(city, approval_seal)
    if looked_at_meanwhile:  # a picture of what would be sealed takes the material as well
        city.clock.advance(minutes=2)
        async with city.database.begin() as session:
            await load_material(session, city.keystore, city.clock.now(), approval_seal.code)
        city.clock.advance(seconds=1)
    await resume_seal(city.database, city.clock, city.admin, approval_seal.code, "")
    verdict = await averify(await stamped_at_once(city, approval_seal), await trust_of(city), city.clock.now())
    assert verdict.indication is Indication.TOTAL_PASSED


async def test_an_administrators_hold_on_a_certificate_is_seen_as_soon_as_it_ends(city, approval_seal):
    await city.grant(approval_seal, city.approver)
    _, material = await permitted(city, approval_seal)
    serial = read_certificate(material.sm_certificate).serial
    async with city.database.begin() as session:
        await suspend(session, city.clock.now(), serial)
    city.clock.advance(minutes=2)
    async with city.database.begin() as session:
        held = await load_material(session, city.keystore, city.clock.now(), approval_seal.code)
        assert held.validation.crls != material.validation.crls
    async with city.database.begin() as session:
        await resume(session, city.clock.now(), serial)
    assert (await averify(await stamped_at_once(city, approval_seal), await trust_of(city), city.clock.now())).indication is (
        Indication.TOTAL_PASSED
    )
