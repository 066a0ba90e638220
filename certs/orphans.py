"""Files that nobody refers to: what processes that were killed stored and never recorded.

1. *tidy*    what was half-written
2. *retire*  a file older than the grace that no row names: it leaves the list, and is still found should anybody ask
3. *return*  a retired file that a row names after all comes back
4. *forget*  a retired file that nobody named for another grace is deleted

Twice, a grace apart: a file is lost only if no row named it at two instants so far from each other, whatever ran between them.
"""

import datetime as dt
from dataclasses import dataclass

from certs.stored_files import referred_to
from keys.base.actor import SYSTEM
from keys.base.blobs import BlobDamaged, BlobStore, Stored
from keys.base.clock import Clock
from keys.base.db import Database
from keys.evidence import audit
from keys.evidence.audit import JSON, Event


@dataclass(frozen=True, slots=True)
class Swept:
    """How many files each step was about."""

    tidied: int = 0
    retired: int = 0
    returned: int = 0
    forgotten: int = 0


async def sweep_orphans(database: Database, clock: Clock, blobs: BlobStore, grace: dt.timedelta) -> Swept:
    """See the module's steps. Raises ``StoreUnreachable``; whatever was done until then is done, and it can be run again."""
    before = clock.now() - grace
    tidied, retired, returned, forgotten = await blobs.tidy(before), 0, 0, 0
    async for batch in blobs.stored():
        retired += await _retire(database, clock, blobs, [one for one in batch if one.modified < before])
    async for batch in blobs.stored(retired=True):
        back, gone = await _decide(database, clock, blobs, batch, before)
        returned, forgotten = returned + back, forgotten + gone
    return Swept(tidied, retired, returned, forgotten)


async def _retire(database: Database, clock: Clock, blobs: BlobStore, old: list[Stored]) -> int:
    orphans = await _unnamed(database, old)
    await _record(database, clock, "retire", orphans)
    for digest in orphans:
        await blobs.retire(digest)
    return len(orphans)


async def _decide(database: Database, clock: Clock, blobs: BlobStore, batch: list[Stored], before: dt.datetime) -> tuple[int, int]:
    unnamed = set(await _unnamed(database, batch))
    named = [one.digest for one in batch if one.digest not in unnamed]
    for digest in named:
        await _bring_back(blobs, digest)
    gone = [one.digest for one in batch if one.digest in unnamed and one.modified < before]
    await _record(database, clock, "forget", gone)
    for digest in gone:
        await blobs.forget(digest)
    return len(named), len(gone)


async def _bring_back(blobs: BlobStore, digest: bytes) -> None:
    try:
        await blobs.put(await blobs.get(digest))
    except BlobDamaged:
        return  # the scrubber finds it, and says so


async def _unnamed(database: Database, files: list[Stored]) -> list[bytes]:
    digests = [one.digest for one in files]
    if not digests:
        return []
    async with database.session() as session:
        named = await referred_to(session, digests)
    return [one for one in digests if one not in named]


async def _record(database: Database, clock: Clock, step: str, digests: list[bytes]) -> None:
    """Said before it is done. A digest of a file nobody refers to is nobody's datum."""
    if not digests:
        return
    files: list[JSON] = [one.hex() for one in digests]
    await audit.record_alone(database, clock.now(), Event(f"certs.orphans.{step}", "files", audit.Outcome.DONE, SYSTEM, {"files": files}))
