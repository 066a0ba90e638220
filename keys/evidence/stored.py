"""The log as PostgreSQL holds it: entries, tiles, checkpoints; nodes, roots and proofs computed from stored bytes alone."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import select

from keys.base.db import AsyncSession
from keys.evidence.halts import LogDamaged
from keys.evidence.merkle import HASH_SIZE, Frontier, Node, consistency_path, fold, inclusion_path, leaf_hash, perfect_nodes, split_hashes
from keys.evidence.models import AuditEvent, LogCheckpoint, LogTile
from keys.evidence.tiles import TILE, TILE_BITS, TOP, entry_of, place_of


async def latest_checkpoint(session: AsyncSession) -> LogCheckpoint | None:
    return await session.scalar(select(LogCheckpoint).order_by(LogCheckpoint.size.desc()).limit(1))


async def bodies(session: AsyncSession, first: int, count: int) -> list[bytes]:
    """The bodies at positions ``first`` … ``first + count - 1``; raises LogDamaged where one is missing."""
    statement = select(AuditEvent.position, AuditEvent.body).where(AuditEvent.position >= first, AuditEvent.position < first + count)
    rows = (await session.execute(statement.order_by(AuditEvent.position))).all()
    if [row.position for row in rows] != list(range(first, first + count)):
        raise LogDamaged(f"entries {first} to {first + count - 1}: {len(rows)} of {count} are there")
    return [row.body for row in rows]


async def entries(session: AsyncSession, first: int, count: int) -> list[bytes]:
    """The entries at positions ``first`` … ``first + count - 1``, 32 octets each; raises LogDamaged where one is missing."""
    return [entry_of(body) for body in await bodies(session, first, count)]


async def tile_hashes(session: AsyncSession, level: int, index: int, width: int) -> bytes:
    """``width`` hashes of a tile: of entries (level 0) or the stored roots of the tiles below. Raises LogDamaged."""
    if level == 0:
        return b"".join(leaf_hash(entry) for entry in await entries(session, index * TILE, width))
    first = index * TILE
    statement = select(LogTile.root).where(LogTile.level == level - 1, LogTile.index >= first, LogTile.index < first + width)
    found = b"".join(await session.scalars(statement.order_by(LogTile.index)))
    if len(found) != width * HASH_SIZE:
        raise LogDamaged(f"tiles {first} to {first + width - 1} of level {level - 1}: {len(found) // HASH_SIZE} of {width} are there")
    return found


async def stored_frontier(session: AsyncSession, size: int) -> Frontier:
    """The frontier of the first ``size`` entries, from what is stored: the right edge only, at most 255 hashes a level.

    At level 0 the entries of the last, partial tile are read and hashed; above, the stored roots of full tiles. What lies
    further left is covered by those roots, and re-read whole by :func:`keys.evidence.verify.verify_log`.
    """
    frontier = Frontier()
    for level in reversed(range(TOP + 1)):
        units = size >> TILE_BITS * level
        if units % TILE:
            for node in split_hashes(await tile_hashes(session, level, units // TILE, units % TILE)):
                frontier.add(node, TILE_BITS * level)
    return frontier


async def _tile(session: AsyncSession, level: int, index: int, size: int) -> bytes:
    """A tile of the log of ``size``, full or as far as it reaches."""
    width = min(TILE, (size >> TILE_BITS * level) - index * TILE)
    if width == TILE and (full := await session.get(LogTile, (level, index))) is not None:
        return full.hashes
    return await tile_hashes(session, level, index, width)


async def _nodes(session: AsyncSession, wanted: Sequence[Node], size: int) -> dict[Node, bytes]:
    tiles: dict[tuple[int, int], bytes] = {}
    found: dict[Node, bytes] = {}
    for node in wanted:
        place = place_of(*node)
        address = (place.level, place.index)
        if address not in tiles:
            tiles[address] = await _tile(session, *address, size)
        found[node] = place.hash_in(tiles[address])
        await asyncio.sleep(0)
    return found


async def _hashes(session: AsyncSession, path: Sequence[tuple[int, int]], size: int) -> list[bytes]:
    parts = [perfect_nodes(*leaves) for leaves in path]
    found = await _nodes(session, [node for part in parts for node in part], size)
    return [fold([found[node] for node in part]) for part in parts]


async def inclusion_proof(session: AsyncSession, index: int, size: int) -> list[bytes]:
    """The audit path of entry ``index`` in the log of ``size`` (RFC 9162 §2.1.3.1), from a tile for every eight levels."""
    return await _hashes(session, inclusion_path(index, size), size)


async def consistency_proof(session: AsyncSession, old: int, size: int) -> list[bytes]:
    """The proof that the log of ``old`` entries is a prefix of that of ``size`` (RFC 9162 §2.1.4.1); empty for 0."""
    return await _hashes(session, consistency_path(old, size), size) if old else []
