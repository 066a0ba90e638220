"""What a verifier needs to judge certificates offline: whole chains and a current list of every authority in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base.db import AsyncSession
from keys.custody.store import KeyStore
from keys.pki.crl import current_crl
from keys.pki.reads import Authority, chain_above, issuing_authority


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
    above: dict[str, Authority] = {}
    for certificate in certificates:
        for authority in await chain_above(session, await issuing_authority(session, certificate)):
            above[authority.name] = authority
    # in one order whoever asks, because making a list locks its authority
    crls = {name: await current_crl(session, keystore, now, name) for name in sorted(above)}
    chain = dict.fromkeys((*certificates, *(authority.certificate for authority in above.values())))
    return ValidationMaterial(tuple(chain), tuple(crls[name] for name in above))
