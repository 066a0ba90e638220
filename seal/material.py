"""Everything a worker process needs to stamp with one seal, as one picklable value."""

import datetime as dt
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import select

from keys.base.db import AsyncSession
from keys.custody.reads import load_key
from keys.custody.store import KeyStore, StoredKey
from keys.pki.material import ValidationMaterial, validation_material
from seal.asn1 import parse_seal
from seal.models import MadeSealRow, SealRow
from seal.reads import SealNotFound


@dataclass(frozen=True, slots=True)
class SealMaterial:
    """A seal ready to stamp.

    ``seal_der``       the SESeal; its certList is ``sm_certificate``
    ``signer_key``     P-256 for PAdES, with ``signer_certificate`` and ``signer_chain`` (DER; issuer … root)
    ``sm_key``         SM2 for the GM/T 0031 stamp, with its own certificate and chain; both keys have purpose ``seals``
    ``pdf_content``    PDF operators that draw the impression with its lower left corner at the origin, in points
    ``validation``     both chains and the maker's, and a current CRL of every authority in them
    """

    code: str
    name: str
    organisation_name: str
    seal_der: bytes
    signer_key: StoredKey
    signer_certificate: bytes
    signer_chain: tuple[bytes, ...]
    sm_key: StoredKey
    sm_certificate: bytes
    sm_chain: tuple[bytes, ...]
    pdf_content: bytes
    width_mm: float
    height_mm: float
    validation: ValidationMaterial


_FRESH = dt.timedelta(minutes=1)
_CAPACITY = 256
_loaded: WeakKeyDictionary[object, dict[str, tuple[dt.datetime, SealMaterial]]] = WeakKeyDictionary()
"""By engine, then by code. What was made never changes; a revocation list may be a minute old, as its readers' copies are."""


async def load_material(session: AsyncSession, keystore: KeyStore, now: dt.datetime, seal_code: str) -> SealMaterial:
    """The material of a made seal, whatever its status: permission is asked elsewhere.

    The session must be one that commits, because a revocation list may be renewed. Raises ``SealNotFound``.
    """
    loaded = _loaded.setdefault(session.get_bind().engine, {})
    if seal_code in loaded and dt.timedelta(0) <= now - loaded[seal_code][0] < _FRESH:
        return loaded[seal_code][1]
    material = await _load(session, keystore, now, seal_code)
    if len(loaded) >= _CAPACITY:
        loaded.clear()
    loaded[seal_code] = (now, material)
    return material


async def _load(session: AsyncSession, keystore: KeyStore, now: dt.datetime, seal_code: str) -> SealMaterial:
    query = select(SealRow, MadeSealRow).join(MadeSealRow, MadeSealRow.seal_id == SealRow.id).where(SealRow.code == seal_code)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise SealNotFound(seal_code[:14])
    seal, made = found
    maker = parse_seal(made.seal_der).maker_certificate
    return SealMaterial(
        code=seal_code,
        name=seal.name,
        organisation_name=seal.organisation_name,
        seal_der=made.seal_der,
        signer_key=await load_key(session, made.signer_key_id),
        signer_certificate=made.signer_certificate,
        signer_chain=tuple(made.signer_chain),
        sm_key=await load_key(session, made.sm_key_id),
        sm_certificate=made.sm_certificate,
        sm_chain=tuple(made.sm_chain),
        pdf_content=made.pdf_content,
        width_mm=made.width_mm,
        height_mm=made.height_mm,
        validation=await validation_material(session, keystore, now, (made.signer_certificate, made.sm_certificate, maker)),
    )
