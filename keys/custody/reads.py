"""Keeping and finding stored keys. The session is the caller's unit of work."""

import datetime as dt
import uuid

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from keys.base.db import AsyncSession
from keys.custody.errors import KeyNotFound, KeyUnreadable
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.models import StoredKeyRow


async def store_key(session: AsyncSession, key: StoredKey, now: dt.datetime) -> None:
    """Adds the key to the caller's transaction."""
    row = StoredKeyRow(id=key.id, algorithm=key.algorithm, purpose=key.purpose, public=key.public, wrapped=key.wrapped, created_at=now)
    session.add(row)
    await session.flush([row])


async def load_key(session: AsyncSession, key_id: uuid.UUID) -> StoredKey:
    """The key as it was stored; ``KeyNotFound``, or ``KeyUnreadable`` when its row names no kind of key we know."""
    row = await session.get(StoredKeyRow, key_id)
    if row is None:
        raise KeyNotFound(f"no stored key {key_id}")
    return as_stored(row)


def as_stored(row: StoredKeyRow) -> StoredKey:
    """The value of a row; ``KeyUnreadable``."""
    try:
        return StoredKey(row.id, Algorithm(row.algorithm), Purpose(row.purpose), row.public, row.wrapped)
    except ValueError as error:
        raise KeyUnreadable(f"stored key {row.id} has an unknown algorithm or purpose") from error


async def erase_key(session: AsyncSession, key_id: uuid.UUID) -> None:
    """Overwrites the wrapped key: nothing opens it again. The row stays, so that what the key did can be named."""
    await session.execute(update(StoredKeyRow).where(StoredKeyRow.id == key_id).values(wrapped=b""))


async def require_own_keys(session: AsyncSession, keystore: KeyStore) -> None:
    """Raises ``KeyOfAnotherStore`` or ``KeyUnreadable`` unless the stored keys are this store's.

    Asked when a service starts: with another store, or another token of the same name, nothing could be signed or read, and
    keys made from then on would mix with the old. The newest key of each store that ever made one is tried; destroyed ones
    say nothing.
    """
    maker = func.substr(StoredKeyRow.wrapped, 1, 1)
    newest = select(StoredKeyRow).where(StoredKeyRow.wrapped != b"").ext(distinct_on(maker))
    for row in (await session.scalars(newest.order_by(maker, StoredKeyRow.created_at.desc()))).all():
        keystore.require_own(as_stored(row))
