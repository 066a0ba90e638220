"""The second half of a GB/T 20518 pair: an encryption certificate beside a signing certificate.

1. find the signing certificate, in force, SM2
2. make the encryption pair in custody
3. certify it under the same authority, for the same subject and holder
4. hand the private key over, enveloped for the signing key (GB/T 35276); no copy stays here
"""

from dataclasses import dataclass

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody.sm2_envelope import make_encryption_pair
from keys.custody.store import Algorithm, KeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.pki.certificate import certified_key
from keys.pki.errors import RenewalUnsuitable
from keys.pki.issuing import CertificateOrder, IssuedCertificate, issue_order
from keys.pki.reads import serial_text
from keys.pki.renewal import certificate_in_force
from keys.pki.weak_keys import key_algorithm

PROFILE = "encryption-sm"


@dataclass(frozen=True, slots=True)
class EncryptionPair:
    """``enveloped_key``: SM2EnvelopedKey, DER, which the owner's signing key opens."""

    issued: IssuedCertificate
    enveloped_key: bytes


async def issue_encryption_pair(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, serial: int) -> EncryptionPair:
    """The encryption pair of the holder of an SM2 signing certificate of ours.

    Raises ``CertificateUnknown``, ``RenewalUnsuitable`` (not in force, not SM2) and what ``issue_order`` raises.
    """
    try:
        return await _issue(database, keystore, clock, actor, serial)
    except FujieError as error:
        outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
        event = Event("keys.pki.encryption_pair", f"pki-certificate:{serial_text(serial)[:40]}", outcome, actor, code=error.code)
        await record_alone(database, clock.now(), event)
        raise


async def _issue(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, serial: int) -> EncryptionPair:
    async with database.begin() as session:
        signing = await certificate_in_force(session, clock.now(), serial)
        owner = certified_key(signing.certificate)
        if key_algorithm(owner) is not Algorithm.SM2 or signing.profile == PROFILE:
            raise RenewalUnsuitable("not the certificate of an SM2 signing key")
        pair = make_encryption_pair()
        order = CertificateOrder(signing.authority, PROFILE, signing.subject, pair.public, signing.not_after, actor, holder=signing.holder)
        issued = await issue_order(session, keystore, clock.now(), order)
        return EncryptionPair(issued, pair.seal(owner))
