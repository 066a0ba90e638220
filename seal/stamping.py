"""Stamping: one signature, two worlds (docs/decisions/0003), fast (0071).

1. the permit must be for this document and still good
2. append one revision: the seal's picture, the certification, all validation material, a hole for the signature
3. make the GM/T 0031 stamp over the octets around the hole, with the SM2 key
4. judge the stamp as any verifier will; what would not pass is not made (:class:`seal.stamping_press.Press`)
5. make the PAdES signature over the same octets, with the P-256 key and the stamp as a signed attribute
6. fill the hole

Runs in a worker process: synchronous, no clock, no database. The keys stay in the key store. Each octet of the document is hashed
once for either algorithm: the permit's hash is the beginning of the signature's.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from keys.custody.store import KeyStore, Purpose
from seal.asn1 import assemble_ses_signature, build_tbs_sign
from seal.cms import Signed, Unstamped
from seal.material import SealMaterial
from seal.permits import Permit, PermitExpired, PermitMismatch
from seal.placement import Placement
from seal.revision import Hollow, NotStampable, append_revision
from seal.signature_dictionary import NO_CHANGES
from seal.stamping_press import Press, SealUnfit, TimeRoom, press_for
from seal.verification_stamp import Covered

__all__ = ["NotStampable", "SealUnfit", "Stamped", "stamp", "stamp_plainly"]


@dataclass(frozen=True, slots=True)
class Stamped:
    """The sealed file and its SHA-256, lower-case hexadecimal. ``unstamped``: its signature, where room was left for a time stamp."""

    pdf: bytes
    sha256: str
    unstamped: Unstamped | None = None


def stamp(
    permit: Permit,
    document: bytes,
    material: SealMaterial,
    placement: Placement,
    keystore: KeyStore,
    signing_time: dt.datetime,
    *,
    permission: int = NO_CHANGES,
    time_room: TimeRoom | None = None,
) -> Stamped:
    """The document, sealed. ``signing_time`` is taken to the whole second.

    ``permission``  of the certification (ISO 32000-1 table 254): 2 where further seals are declared
    ``time_room``   leaves room for a signature time stamp (:func:`seal.levels.with_signature_timestamp`)

    Raises :class:`PermitMismatch`, :class:`PermitExpired`, :class:`NotStampable`, :class:`SealUnfit`.
    """
    signing_time = signing_time.astimezone(dt.UTC).replace(microsecond=0)
    base = hashlib.sha256(document)
    _require_permit(permit, base.digest(), material, signing_time)
    press = press_for(material)
    stampee = press.stampee(placement, signing_time, permission, time_room)
    hollow = append_revision(document, stampee, base.digest())
    prints = Fingerprints(hollow, len(document), base)
    ses = _gm_stamp(press, hollow, prints.sm3(), keystore, signing_time)
    return prints.filled(_pades(press, prints, ses, keystore, signing_time), awaits_time=time_room is not None)


def stamp_plainly(
    permit: Permit, document: bytes, material: SealMaterial, placement: Placement, keystore: KeyStore, signing_time: dt.datetime
) -> Stamped:
    """A PAdES B-B signature and nothing else: for receivers abroad, whose rules know no GM/T 0031 stamp. Raises as :func:`stamp`.

    It is not of the profile of our certificates and is judged like any PDF of others (``Stampee.plain``).
    """
    signing_time = signing_time.astimezone(dt.UTC).replace(microsecond=0)
    base = hashlib.sha256(document)
    _require_permit(permit, base.digest(), material, signing_time)
    press = press_for(material)
    hollow = append_revision(document, press.plain_stampee(placement, signing_time), base.digest())
    prints = Fingerprints(hollow, len(document), base)
    return prints.filled(_pades(press, prints, None, keystore, signing_time))


class Fingerprints:
    """The digests of one file, no octet hashed twice. ``base``: SHA-256 of its first ``length`` octets."""

    def __init__(self, hollow: Hollow, length: int, base: "hashlib._Hash") -> None:
        self._hollow = hollow
        self._before = base.copy()
        self._before.update(hollow.covered()[0][length:])

    def sha256(self) -> bytes:
        """Of the octets around the hole."""
        covered = self._before.copy()
        covered.update(self._hollow.covered()[1])
        return covered.digest()

    def sm3(self) -> bytes:
        """Of the octets around the hole."""
        digest = hashes.Hash(hashes.SM3())
        for part in self._hollow.covered():
            digest.update(part)
        return digest.finalize()

    def filled(self, message: bytes, *, awaits_time: bool = False) -> Stamped:
        """The finished file; ``awaits_time``: a time stamp of ``message``, a SignedData, comes later."""
        pdf = self._hollow.filled(message)
        self._before.update(memoryview(pdf)[self._hollow.start :])
        unstamped = Unstamped.at(self._hollow.start, self._hollow.end, message) if awaits_time else None
        return Stamped(pdf, self._before.hexdigest(), unstamped)


def _require_permit(permit: Permit, digest: bytes, material: SealMaterial, signing_time: dt.datetime) -> None:
    if permit.seal_code != material.code or permit.document_hash != digest:
        raise PermitMismatch(str(permit.id))
    if signing_time >= permit.expires:
        raise PermitExpired(str(permit.id))


def _gm_stamp(press: Press, hollow: Hollow, digest: bytes, keystore: KeyStore, signing_time: dt.datetime) -> bytes:
    material = press.material
    tbs = build_tbs_sign(material.seal_der, signing_time, digest, hollow.byte_range)
    ses = assemble_ses_signature(tbs, material.sm_certificate, keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    press.require_stamp(ses, Covered(digest, hollow.byte_range, signing_time))
    return ses


def _pades(press: Press, prints: Fingerprints, ses: bytes | None, keystore: KeyStore, signing_time: dt.datetime) -> bytes:
    signed = Signed(press.carried, prints.sha256(), ses)
    press.require_signer(signing_time)
    return signed.content_info(keystore.sign(press.material.signer_key, signed.attributes(), Purpose.SEALS))
