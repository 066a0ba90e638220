"""A new key-encryption key for the software store: every stored key is wrapped anew, while the service runs.

:func:`rotate`
  1. *begin*    the new key stands beside the old one; what is made from now on is wrapped under it
  2. *rewrap*   every stored key, in batches, each row only if it is still what was read; again until nothing is left
  3. *switch*   the new key takes the old one's place, the old one is kept beside it
:func:`finish`, ten minutes later, by the background or by the same command
  4. *rewrap*   what a slow process wrapped under the old key in between
  5. *forget*   the old key

Killed anywhere, the same command goes on where it stopped; nothing is ever wrapped under a key that is not on the disk.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, update

from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict
from keys.custody.reads import as_stored
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import KeyStore, StoredKey
from keys.custody.wrapping import SOFTWARE
from keys.evidence import audit
from keys.models import StoredKeyRow

SETTLE = dt.timedelta(minutes=10)
BATCH = 200
_LOCK = "keys.kek_rotation"


class KeyEncryptionKeyElsewhere(Conflict):
    """The key-encryption key is not a file of this home: it comes from the environment, or the keys are on a token."""

    code = "KEY_ENCRYPTION_KEY_ELSEWHERE"
    public = (
        "密钥加密密钥不在本数据目录的文件中，无法由本命令更换。",
        "The key-encryption key is not a file of this home, so this command cannot change it.",
    )


class KeyEncryptionKeyUnsettled(Conflict):
    """The last change is not finished yet: the old key is still kept for slow processes."""

    code = "KEY_ENCRYPTION_KEY_UNSETTLED"
    public = (
        "上一次更换密钥加密密钥尚未完成，请稍后再试。",
        "The last change of the key-encryption key is not finished. Please try again later.",
    )


def own_store(keystore: KeyStore) -> SoftwareKeyStore:
    """The software store over a file of this home. Raises ``KeyEncryptionKeyElsewhere``."""
    if not isinstance(keystore, SoftwareKeyStore):
        raise KeyEncryptionKeyElsewhere("keys are on a PKCS #11 token: its maker's tools change what protects them")
    if keystore.path.is_relative_to("/proc"):
        raise KeyEncryptionKeyElsewhere("it comes from FUJIE_KEY_ENCRYPTION_KEY")
    return keystore


async def rotate(database: Database, keystore: SoftwareKeyStore, clock: Clock, actor: Actor = SYSTEM) -> int:
    """Steps 1 to 3; how many keys were wrapped anew. Raises ``KeyEncryptionKeyUnsettled``."""
    files = keystore.encryption_keys
    async with database.begin() as turn:
        await _take_turn(turn)
        if not files.next.exists() and files.kept_since() is not None and not await _finish(database, keystore, clock):
            raise KeyEncryptionKeyUnsettled(f"until {SETTLE} after {files.kept_since()}")
        await audit.record_alone(database, clock.now(), _event(actor, "keys.encryption_key.rotate", audit.Outcome.INTENT))
        files.begin()
        count = await rewrap_all(database, keystore)
        files.switch()
        await audit.record(turn, clock.now(), _event(actor, "keys.encryption_key.rotate", audit.Outcome.DONE, count))
    return count


async def finish(database: Database, keystore: KeyStore, clock: Clock) -> bool:
    """Steps 4 and 5, once the old key has been kept for long enough; whether they were done. The background calls it."""
    if not isinstance(keystore, SoftwareKeyStore) or keystore.encryption_keys.kept_since() is None:
        return False
    async with database.begin() as turn:
        await _take_turn(turn)
        return await _finish(database, keystore, clock)


async def _finish(database: Database, keystore: SoftwareKeyStore, clock: Clock) -> bool:
    files = keystore.encryption_keys
    since = files.kept_since()
    if since is None or files.next.exists() or clock.now() - since < SETTLE:
        return False
    count = await rewrap_all(database, keystore)
    files.forget_previous()
    await audit.record_alone(database, clock.now(), _event(SYSTEM, "keys.encryption_key.forget", audit.Outcome.DONE, count))
    return True


async def _take_turn(session: AsyncSession) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))


async def rewrap_all(database: Database, keystore: SoftwareKeyStore) -> int:
    """Every key of the software store under the present key-encryption key; how many were not. ``KeyUnreadable`` for one that
    opens under none: nothing is lost then, and nothing is forgotten.

    Ends only after a whole round in which every stored key opened under the present key.
    """
    total = 0
    while count := await _round(database, keystore):
        total += count
    return total


async def _round(database: Database, keystore: SoftwareKeyStore) -> int:
    count, last = 0, uuid.UUID(int=0)
    while True:
        async with database.begin() as session:
            page = select(StoredKeyRow).where(StoredKeyRow.id > last, func.substr(StoredKeyRow.wrapped, 1, 1) == SOFTWARE)
            rows = (await session.scalars(page.order_by(StoredKeyRow.id).limit(BATCH))).all()
            if not rows:
                return count
            last = rows[-1].id
            old = [as_stored(row) for row in rows]
            session.expunge_all()
            count += await _store(session, old, await asyncio.to_thread(_rewrapped, keystore, old))


def _rewrapped(keystore: SoftwareKeyStore, keys: Sequence[StoredKey]) -> list[StoredKey]:
    return [keystore.rewrapped(key) for key in keys]


async def _store(session: AsyncSession, old: Sequence[StoredKey], new: Sequence[StoredKey]) -> int:
    changed = [{"key": a.id, "was": a.wrapped, "now": b.wrapped} for a, b in zip(old, new, strict=True) if a.wrapped != b.wrapped]
    if changed:
        same = (StoredKeyRow.id == bindparam("key"), StoredKeyRow.wrapped == bindparam("was"))
        await (await session.connection()).execute(update(StoredKeyRow).where(*same).values(wrapped=bindparam("now")), changed)
    return len(changed)


def _event(actor: Actor, action: str, outcome: audit.Outcome, count: int | None = None) -> audit.Event:
    return audit.Event(action, "key:key-encryption", outcome, actor, {} if count is None else {"keys": count})
