"""What a verifier needs to judge certificates offline: whole chains and a current list of every authority in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base.db import AsyncSession
from keys.custody.store import KeyStore
from keys.pki.crl import current_crls
from keys.pki.errors import CertificateUnknown
from keys.pki.reads import chain_above, get_authorities, issuing_authority
from keys.trust.reads import external_chain_of, external_lists_of


@dataclass(frozen=True, slots=True)
class ValidationMaterial:
    """``certificates``: the asked ones first, then their issuers up to the roots, each once; ``crls``: DER, one an authority."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]


async def validation_material(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, certificates: Sequence[bytes]
) -> ValidationMaterial:
    """Chains and lists for certificates that we issued, or others for keys of ours; ``CertificateUnknown`` for any other.

    Lists of others are those that were fetched and verified before (``keys.trust.connectors``). The session must be one
    that commits: a list of ours may be made here.
    """
    authorities = await get_authorities(session)
    own: dict[str, bytes] = {}
    outside: list[bytes] = []
    for certificate in certificates:
        try:
            chain = chain_above(authorities, issuing_authority(authorities, certificate))
        except CertificateUnknown:
            outside += await _issued_by_others(session, certificate)
        else:
            own |= {authority.name: authority.certificate for authority in chain}
            outside += chain[-1].external_chain
    crls = await current_crls(session, keystore, now, list(own))
    others = await external_lists_of(session, outside) if outside else ()
    return ValidationMaterial(tuple(dict.fromkeys((*certificates, *own.values(), *outside))), (*(crls[name] for name in own), *others))


async def _issued_by_others(session: AsyncSession, certificate: bytes) -> tuple[bytes, ...]:
    chain = await external_chain_of(session, certificate)
    if chain is None:
        raise CertificateUnknown("neither an authority of ours issued this certificate nor others for a key of ours")
    return chain
