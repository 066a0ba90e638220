"""Everything a worker process needs to stamp with one seal, as one picklable value."""

import datetime as dt
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import ARRAY, Text, bindparam, select

from keys.base.db import AsyncSession
from keys.custody.reads import load_key
from keys.custody.store import KeyStore, StoredKey
from keys.pki.material import ValidationMaterial, validation_material
from keys.pki.standing_locks import standing_mark
from seal.asn1 import parse_seal
from seal.models import MadeSealRow, SealRow
from seal.permit_facts import certificate_serials
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


@dataclass(frozen=True, slots=True)
class _Loaded:
    at: dt.datetime
    standing: str
    material: SealMaterial

    def serves(self, now: dt.datetime, standing: str) -> bool:
        return self.standing == standing and dt.timedelta(0) <= now - self.at < _FRESH


_loaded: WeakKeyDictionary[object, dict[str, _Loaded]] = WeakKeyDictionary()
"""By engine, then by code. What was made never changes. A revocation list may be a minute old, as its readers' copies are, unless
it is about the seal itself: a hold on its certificates that began or ended makes what was loaded before useless."""


async def load_material(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, seal_code: str, *, standing: str | None = None
) -> SealMaterial:
    """The material of a made seal, whatever its status: permission is asked elsewhere.

    ``standing``: how its certificates stand, of the permit just given; read here without one. The session must be one that commits,
    because a revocation list may be renewed. Raises ``SealNotFound``.
    """
    loaded = _loaded.setdefault(session.get_bind().engine, {})
    wanted = await _standing(session, seal_code) if standing is None else standing
    found = loaded.get(seal_code)
    if found is not None and found.serves(now, wanted):
        return found.material
    # read before the lists are: at worst they are newer than it says, and the next one loads them again
    read = await _standing(session, seal_code)
    material = await _load(session, keystore, now, seal_code)
    if len(loaded) >= _CAPACITY:
        loaded.clear()
    loaded[seal_code] = _Loaded(now, read, material)
    return material


async def _standing(session: AsyncSession, seal_code: str) -> str:
    serials = bindparam("serials", list(await certificate_serials(session, seal_code)), type_=ARRAY(Text))
    return await session.scalar(select(standing_mark(serials))) or ""


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
