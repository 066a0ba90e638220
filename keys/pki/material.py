"""What a verifier needs to judge certificates offline: whole chains and a current list of every authority in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base.db import AsyncSession
from keys.base.errors import Conflict, FujieError
from keys.custody.store import KeyStore
from keys.pki.crl import current_crls
from keys.pki.errors import CertificateUnknown
from keys.pki.reads import chain_above, get_authorities, issuing_authority
from keys.trust.certificates import read_certificate
from keys.trust.reads import external_chain_of, external_lists_of, trusted_authorities, without_list


class ExternalListMissing(FujieError):
    """No revocation list of somebody else's authority is at hand that is current: what is signed now could not be judged later."""

    code = "EXTERNAL_REVOCATION_LIST_MISSING"
    status = 503
    public = (
        "尚未取得外部证书机构的有效吊销列表，暂时不能签章，请稍后重试。",
        "No current revocation list of the external authority is at hand. Nothing can be signed for now; please try again later.",
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "60"}


class ExternalAuthorityDistrusted(Conflict):
    """The authority above a certificate that somebody else issued for us is not trusted any more."""

    code = "EXTERNAL_AUTHORITY_DISTRUSTED"
    public = (
        "签发该证书的外部机构已不在信任列表中，不能签章。",
        "The external authority of this certificate is no longer on the trust list: nothing can be signed with it.",
    )


@dataclass(frozen=True, slots=True)
class ValidationMaterial:
    """``certificates``: the asked ones first, then their issuers up to the roots, each once; ``crls``: DER, one an authority."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]


async def validation_material(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, certificates: Sequence[bytes]
) -> ValidationMaterial:
    """Chains and lists for certificates that we issued, or others for keys of ours; ``CertificateUnknown`` for any other.

    Lists of others are those that were fetched and verified before (``keys.trust.connectors``): without one that is current
    :class:`ExternalListMissing`, without an authority that is still trusted :class:`ExternalAuthorityDistrusted`. The session must be
    one that commits: a list of ours may be made here.
    """
    authorities = await get_authorities(session)
    own: dict[str, bytes] = {}
    outside: list[tuple[bytes, ...]] = []
    for certificate in certificates:
        try:
            chain = chain_above(authorities, issuing_authority(authorities, certificate))
        except CertificateUnknown:
            outside.append(await _issued_by_others(session, certificate))
        else:
            own |= {authority.name: authority.certificate for authority in chain}
            outside.append(chain[-1].external_chain)
    above = tuple(dict.fromkeys(one for chain in outside for one in chain))
    await _require_standing(session, now, [chain for chain in outside if chain])
    crls = await current_crls(session, keystore, now, list(own))
    others = await external_lists_of(session, above, now) if above else ()
    return ValidationMaterial(tuple(dict.fromkeys((*certificates, *own.values(), *above))), (*(crls[name] for name in own), *others))


async def _issued_by_others(session: AsyncSession, certificate: bytes) -> tuple[bytes, ...]:
    chain = await external_chain_of(session, certificate)
    if chain is None:
        raise CertificateUnknown("neither an authority of ours issued this certificate nor others for a key of ours")
    return chain


async def _require_standing(session: AsyncSession, now: dt.datetime, chains: Sequence[tuple[bytes, ...]]) -> None:
    """Of every chain of others an authority is trusted now, and of every authority in it a current list is at hand."""
    if not chains:
        return
    trusted = {
        one.certificate for one in await trusted_authorities(session) if any(one.objection(use, now, now) is None for use in one.uses)
    }
    for chain in chains:
        if trusted.isdisjoint(chain):
            raise ExternalAuthorityDistrusted(read_certificate(chain[-1]).name[:64])
    missing = await without_list(session, tuple(dict.fromkeys(one for chain in chains for one in chain)), now)
    if missing:
        raise ExternalListMissing(read_certificate(missing[0]).name[:64])
