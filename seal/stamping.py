"""Stamping: one signature, two worlds (docs/decisions/0003).

1. the permit must be for this document and still good
2. append one revision: the seal's picture, the certification (P 1), all validation material, a hole for the signature
3. make the GM/T 0031 stamp over the octets around the hole, with the SM2 key
4. judge the stamp as any verifier will; what would not pass is not made
5. make the PAdES signature over the same octets, with the P-256 key and the stamp as a signed attribute
6. fill the hole

Runs in a worker process: synchronous, no clock, no database. The keys stay in the key store.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from keys.base.errors import Conflict
from keys.custody.store import KeyStore, Purpose
from seal.asn1 import assemble_ses_signature, build_tbs_sign
from seal.cms import Signed
from seal.material import SealMaterial
from seal.permits import Permit, PermitExpired, PermitMismatch
from seal.placement import Placement
from seal.revision import Appearance, Hollow, NotStampable, Stampee, append_revision
from seal.verdict import Check, Outcome
from seal.verification_path import Party, read_certificate, read_crl
from seal.verification_signer import signer_checks
from seal.verification_stamp import Covered, Evidence, judge_stamp

__all__ = ["NotStampable", "SealUnfit", "Stamped", "stamp"]

# What a CMS holds beside certificates and seal: two signatures, names, digests, OIDs and lengths are below 700 octets.
_ROOM = 1024


class SealUnfit(Conflict):
    """The stamp this seal would make does not pass verification; ``extra['check']`` names the first check it fails."""

    code = "SEAL_UNFIT"
    public = (
        "该印章当前不能用印：印章或证书未通过核验，请联系印章管理人员（可能需要重新制章）。",
        "This seal cannot be used now: it or a certificate does not pass verification. Ask the seal keeper; it may have to be made again.",
    )


@dataclass(frozen=True, slots=True)
class Stamped:
    """The sealed file and its SHA-256, lower-case hexadecimal."""

    pdf: bytes
    sha256: str


def stamp(
    permit: Permit, document: bytes, material: SealMaterial, placement: Placement, keystore: KeyStore, signing_time: dt.datetime
) -> Stamped:
    """The document, sealed. ``signing_time`` is taken to the whole second.

    Raises :class:`PermitMismatch`, :class:`PermitExpired`, :class:`NotStampable`, :class:`SealUnfit`.
    """
    signing_time = signing_time.astimezone(dt.UTC).replace(microsecond=0)
    _require_permit(permit, document, material, signing_time)
    hollow = append_revision(document, _stampee(material, placement, signing_time))
    evidence = _evidence(material, signing_time)
    ses = _gm_stamp(hollow, material, keystore, signing_time, evidence)
    sealed = hollow.filled(_pades(hollow, ses, material, keystore, evidence, signing_time))
    return Stamped(sealed, hashlib.sha256(sealed).hexdigest())


def _require_permit(permit: Permit, document: bytes, material: SealMaterial, signing_time: dt.datetime) -> None:
    if permit.seal_code != material.code or permit.document_hash != hashlib.sha256(document).digest():
        raise PermitMismatch(str(permit.id))
    if signing_time >= permit.expires:
        raise PermitExpired(str(permit.id))


def _stampee(material: SealMaterial, placement: Placement, signing_time: dt.datetime) -> Stampee:
    certificates = _carried(material)
    return Stampee(
        appearance=Appearance(material.pdf_content, material.width_mm, material.height_mm),
        placement=placement,
        title=material.name,
        organisation=material.organisation_name,
        certificates=material.validation.certificates,
        crls=material.validation.crls,
        signing_time=signing_time,
        reserved=len(material.seal_der) + len(material.sm_certificate) + sum(map(len, certificates)) + _ROOM,
    )


def _carried(material: SealMaterial) -> tuple[bytes, ...]:
    """The signer's certificate and its issuers; the root stays out, every verifier has its own."""
    return material.signer_certificate, *material.signer_chain[:-1]


def _evidence(material: SealMaterial, signing_time: dt.datetime) -> Evidence:
    parties = [party for party in map(read_certificate, material.validation.certificates) if party]
    crls = tuple(crl for crl in map(read_crl, material.validation.crls) if crl)
    anchors: tuple[Party, ...] = tuple(party for party in parties if party.self_issued)
    return Evidence(anchors=anchors, candidates=tuple(parties), crls=crls, at=signing_time)


def _gm_stamp(hollow: Hollow, material: SealMaterial, keystore: KeyStore, signing_time: dt.datetime, evidence: Evidence) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    for part in hollow.covered():
        digest.update(part)
    covered = Covered(digest.finalize(), hollow.byte_range, signing_time)
    tbs = build_tbs_sign(material.seal_der, signing_time, covered.digest, covered.property_info)
    signature = keystore.sign(material.sm_key, tbs, Purpose.SEALS)
    ses = assemble_ses_signature(tbs, material.sm_certificate, signature)
    _require_passed(judge_stamp(ses, evidence, covered).checks)
    return ses


def _pades(hollow: Hollow, ses: bytes, material: SealMaterial, keystore: KeyStore, evidence: Evidence, signing_time: dt.datetime) -> bytes:
    digest = hashlib.sha256()
    for part in hollow.covered():
        digest.update(part)
    signed = Signed(_carried(material), digest.digest(), ses)
    _require_passed(signer_checks(read_certificate(signed.signer), _carried(material), evidence, signing_time))
    return signed.content_info(keystore.sign(material.signer_key, signed.attributes(), Purpose.SEALS))


def _require_passed(checks: Iterable[Check]) -> None:
    for check in checks:
        if check.outcome not in (Outcome.PASSED, Outcome.NOTICE):
            raise SealUnfit(f"{check.name}: {check.detail}", check=check.name)
