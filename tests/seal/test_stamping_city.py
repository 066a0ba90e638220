"""From a made seal to a verdict on a real database: grant, permit, material, stamp, verify; and after a revocation."""

import datetime as dt
import hashlib

from keys.pki.authority import authority_certificate
from keys.pki.crl import current_crl
from keys.pki.status import revoke
from seal.material import SealMaterial, load_material
from seal.permits import Permit, consume_permit, request_permit
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
