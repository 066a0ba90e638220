"""What a verifier needs to judge certificates offline: whole chains and a current list of every authority in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base.db import AsyncSession
from keys.custody.store import KeyStore
from keys.pki.crl import current_crls
from keys.pki.reads import chain_above, get_authorities, issuing_authority


@dataclass(frozen=True, slots=True)
class ValidationMaterial:
    """``certificates``: the asked ones first, then their issuers up to the roots, each once; ``crls``: DER, one an authority."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]


async def validation_material(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, certificates: Sequence[bytes]
) -> ValidationMaterial:
    """Chains and lists for certificates that we issued; ``CertificateUnknown`` for others.

    The session must be one that commits: a list may be made here.
    """
    authorities = await get_authorities(session)
    issuing = [issuing_authority(authorities, certificate) for certificate in certificates]
    above = {authority.name: authority.certificate for one in issuing for authority in chain_above(authorities, one)}
    crls = await current_crls(session, keystore, now, list(above))
    return ValidationMaterial(tuple(dict.fromkeys((*certificates, *above.values()))), tuple(crls[name] for name in above))
