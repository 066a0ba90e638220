"""Who makes seals: an SM2 key and a certificate under an authority of makers, made once and renewed when it ends."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import func, select

from keys.base.db import AsyncSession
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.pki.authority import issue
from keys.pki.reads import certificate_ends, get_authority, service_subject
from seal.models import MakerRow

AUTHORITY, PROFILE = "seal-maker", "seal-maker"
COMMON_NAME = "符节制章 Fujie seal maker"


@dataclass(frozen=True, slots=True)
class Maker:
    """The maker's SM2 key (purpose ``seals``) and certificate, DER."""

    key: StoredKey
    certificate: bytes


async def ensure_maker(session: AsyncSession, keystore: KeyStore, now: dt.datetime) -> Maker:
    """The present maker, in the caller's transaction; only one is ever made at a time."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("seal.maker", 0))))
    row = await session.get(MakerRow, AUTHORITY, populate_existing=True)
    if row is not None and row.not_after > now:
        return Maker(await load_key(session, row.key_id), row.certificate)
    key = keystore.generate(Algorithm.SM2, Purpose.SEALS)
    await store_key(session, key, now)
    subject = service_subject(await get_authority(session, AUTHORITY), COMMON_NAME)
    issued = await issue(session, keystore, now, authority=AUTHORITY, profile=PROFILE, subject=subject, public_key=key.public)
    ends = certificate_ends(issued.certificate).not_after
    made = MakerRow(authority=AUTHORITY, key_id=key.id, certificate=issued.certificate, not_after=ends, created_at=now)
    await session.merge(made)
    await session.flush()
    return Maker(key, issued.certificate)
