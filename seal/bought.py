"""Certificates that a licensed authority issued for keys of ours (``keys.pki.external``), taken for a seal instead of our own.

:func:`bought_signer`
  1. the certificate was accepted under this name, and still holds: chain, approved authority, validity, not revoked
  2. it is of the kind and its key of the algorithm that is needed, and of purpose ``seals``
  3. it names the seal's organisation, by its code, its name or both, and no other
  4. it lasts as long as the seal
  5. no other seal has it: whoever loses one seal does not lose two
"""

import datetime as dt
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import or_, select

from keys.base.db import AsyncSession
from keys.base.errors import Conflict, InvalidInput
from keys.custody.store import Algorithm, Purpose
from keys.pki.external import AcceptedSigner, standing_signer
from keys.trust.certificates import read_certificate
from seal.models import MadeSealRow


class SealCertificateUnsuitable(InvalidInput):
    """The certificate named in the order may not make, or sign with, this seal."""

    code = "SEAL_CERTIFICATE_UNSUITABLE"
    public = ("所指定的外部数字证书不适用于该印章。", "The certificate named in the order does not suit this seal.")


class SealCertificateInUse(Conflict):
    """Another seal signs with this certificate's key."""

    code = "SEAL_CERTIFICATE_IN_USE"
    public = ("该外部数字证书已用于另一枚印章。", "Another seal already uses this certificate.")


@dataclass(frozen=True, slots=True)
class Need:
    """What a certificate is needed for. ``organisation``: USCC and name, None for a maker's; ``begin`` to ``end`` it must hold."""

    profile: str
    algorithm: Algorithm
    organisation: tuple[str, str] | None
    begin: dt.datetime
    end: dt.datetime


async def bought_signer(session: AsyncSession, now: dt.datetime, name: str, need: Need) -> AcceptedSigner:
    """See the module's steps, in the caller's transaction. Raises :class:`SealCertificateUnsuitable`, :class:`SealCertificateInUse`,
    ``ExternalRequestUnknown`` or ``ExternalChainUntrusted``.
    """
    found = await standing_signer(session, name, now)
    if faults := list(_faults(found, need)):
        raise SealCertificateUnsuitable("; ".join(faults), errors=[{"field": name[:40], "message": one} for one in faults])
    if need.organisation is not None and await _in_use(session, found):
        raise SealCertificateInUse(name[:40])
    return found


def _faults(found: AcceptedSigner, need: Need) -> Iterator[str]:
    certificate = read_certificate(found.certificate)
    if found.profile != need.profile or found.key.algorithm is not need.algorithm:
        yield f"it is no {need.profile} with a key of {need.algorithm}"
    if not read_certificate(found.chain[-1]).self_issued:
        yield "its chain ends in no root, which every verifier needs"
    if found.key.purpose is not Purpose.SEALS:
        yield "its key is for something else than seals"
    if need.organisation is not None:
        yield from _of_others(certificate.organisation_code, certificate.organisation, *need.organisation)
    if not (certificate.not_before <= need.begin and need.end <= certificate.not_after):
        yield f"it is valid from {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d} only"


def _of_others(code: str, name: str, wanted_code: str, wanted_name: str) -> Iterator[str]:
    if not (code or name):
        yield "it names no organisation"
    if code and code != wanted_code:
        yield "it names the code of another organisation"
    if name and _plain(name) != _plain(wanted_name):
        yield "it names another organisation"


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split())


async def _in_use(session: AsyncSession, found: AcceptedSigner) -> bool:
    key = found.key.id
    taken = select(MadeSealRow.seal_id).where(or_(MadeSealRow.signer_key_id == key, MadeSealRow.sm_key_id == key)).limit(1)
    return await session.scalar(taken) is not None
