"""``fujie audit export``: the log and what it commits to in one file, for auditors and courts, readable without us.

In the order of the file::

    README.txt                what this is and how to check it
    keys                      "log VKEY", and "witness VKEY" for each witness whose cosignatures are inside
    bodies/000.jsonl          256 events, one body a line: SHA-256 of a line (without its line feed) is its entry in the log
    checkpoints/000.jsonl     {"note": …} for each checkpoint that ends among these events, with its cosignatures
    anchors/SIZE.tst          TimeStampToken over the note of checkpoint SIZE (its first signature only)
    tile/0/000                hashes of the 256 entries (tlog-tiles); tile/1/… follows the tile that filled it
    …                         the next 256
    manifest                  a signed note: size, range of the bodies, when, and the digest of every member before it

A *range* leaves out bodies, never hashes: the root is recomputed from the same tiles.
"""

import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import orjson
from sqlalchemy import select

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.store import KeyStore, Purpose
from keys.evidence.audit import Event, Outcome, record
from keys.evidence.container import END, Member, member
from keys.evidence.halts import LogDamaged
from keys.evidence.log import log_key
from keys.evidence.models import LogAnchor, LogCheckpoint, LogCosignature, LogTile, LogWitness
from keys.evidence.notes import signature_line
from keys.evidence.stored import bodies, latest_checkpoint, tile_hashes
from keys.evidence.tiles import TILE, index_path

FORMAT = "fujie audit export v1"
README = """\
Fujie audit export, version 1.                                符节审计日志导出，第 1 版。

Check it (no network, no database):                           离线校验：
    fujie audit verify --export FILE --vkey LOGKEY --checkpoint KEPT --trust ROOTS.pem

bodies/       events, one JSON object a line                  事件，每行一个 JSON 对象
tile/         hashes: C2SP tlog-tiles, RFC 9162               哈希
checkpoints/  signed roots: C2SP tlog-checkpoint, cosignature 签名的根哈希与见证签名
anchors/      RFC 3161 time stamps over checkpoints           检查点的时间戳
keys          verifier keys, to be compared with those obtained from their owners
              公钥，须与从其所有者处取得的公钥核对
manifest      signed by the log: what this file holds         日志签名的清单

entry = SHA-256(line without its line feed); leaf = SHA-256(0x00 entry); node = SHA-256(0x01 left right).
"""


def note_line(note: str) -> bytes:
    return orjson.dumps({"note": note}) + b"\n"


def keys_text(log: str, witnesses: Iterable[str]) -> str:
    return "".join([f"log {log}\n", *(f"witness {one}\n" for one in witnesses)])


def bodies_name(tile: int) -> str:
    return f"bodies/{index_path(tile)}.jsonl"


def checkpoints_name(tile: int) -> str:
    return f"checkpoints/{index_path(tile)}.jsonl"


def anchor_name(size: int) -> str:
    return f"anchors/{size}.tst"


def tile_name(level: int, index: int, width: int = TILE) -> str:
    return f"tile/{level}/{index_path(index)}" + ("" if width == TILE else f".p/{width}")


@dataclass(slots=True)
class Running:
    """The digest of the members so far: SHA-256 over SHA-256(header) ‖ SHA-256(data) of each."""

    count: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, header: bytes, data: bytes) -> None:
        self.count += 1
        self.digest.update(header + data)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the export says of itself; its text is signed with the log's key and can be taken for no checkpoint."""

    origin: str
    entries: int
    first: int
    end: int
    made: dt.datetime
    members: int
    digest: str

    def text(self) -> str:
        made = self.made.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"{FORMAT}\n{self.origin}\nentries {self.entries}\nbodies {self.first} {self.end}\n"
            f"made {made}\nmembers {self.members}\nsha256 {self.digest}\n"
        )


async def export(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor, *, reason: str = "", first: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """The octets of an export up to the newest checkpoint, with the bodies of entries ``first`` … ``end - 1`` (whole tiles of 256).

    1. record who exports what and why   2. one snapshot   3. README and keys   4. tile after tile   5. the signed manifest

    Raises LogDamaged where the log cannot be read; what was written until then has no manifest and verifies as cut off.
    """
    async with database.begin() as session:
        details = {"first": first, "end": end, "reason": reason}
        await record(session, clock.now(), Event("keys.evidence.export", "log", Outcome.DONE, actor, details))
    async with database.session() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        last = await latest_checkpoint(session)
        size = last.size if last else 0
        running = Running()
        low, high = first // TILE * TILE, min(size, -(-(size if end is None else end) // TILE) * TILE)
        async for one in _members(session, size, low, high):
            running.add(hashlib.sha256(one.header).digest(), hashlib.sha256(one.data).digest())
            yield one.octets
        verifier, key = await log_key(session)
    manifest = Manifest(verifier.name, size, low, max(low, high), clock.now(), running.count, running.digest.hexdigest())
    signature = keystore.sign(key, manifest.text().encode(), Purpose.LOG)
    final = member("manifest", f"{manifest.text()}\n{signature_line(verifier, signature)}".encode())
    yield final.octets + END


async def _members(session: AsyncSession, size: int, first: int, end: int) -> AsyncIterator[Member]:
    yield member("README.txt", README.encode())
    verifier, _ = await log_key(session)
    witnesses = (await session.scalars(select(LogWitness.vkey).order_by(LogWitness.name))).all()
    names = set(await session.scalars(select(LogWitness.name)))
    yield member("keys", keys_text(str(verifier), witnesses).encode())
    for tile in range(-(-size // TILE)):
        async for one in _tile_members(session, tile, size, names, with_bodies=first <= tile * TILE < end):
            yield one


async def _tile_members(session: AsyncSession, tile: int, size: int, witnesses: set[str], *, with_bodies: bool) -> AsyncIterator[Member]:
    """What belongs to one tile, and the tiles above that it fills."""
    start, width = tile * TILE, min(TILE, size - tile * TILE)
    if with_bodies:
        lines = await bodies(session, start, width)
        if any(b"\n" in line for line in lines):
            raise LogDamaged(f"entries {start} to {start + width - 1}: a body that is not one line")
        yield member(bodies_name(tile), b"\n".join(lines) + b"\n")
    if notes := await _notes(session, start, start + width, witnesses):
        yield member(checkpoints_name(tile), b"".join(map(note_line, notes)))
    chosen = select(LogAnchor.size, LogAnchor.token).where(LogAnchor.size > start, LogAnchor.size <= start + width)
    for row in await session.execute(chosen.order_by(LogAnchor.size)):
        yield member(anchor_name(row.size), row.token)
    yield member(tile_name(0, tile, width), await _stored(session, 0, tile, width))
    level, index = 0, tile
    while width == TILE and index % TILE == TILE - 1:
        level, index = level + 1, index // TILE
        yield member(tile_name(level, index), await _stored(session, level, index, TILE))


async def _stored(session: AsyncSession, level: int, index: int, width: int) -> bytes:
    """A full tile as it is stored, a partial one from its entries."""
    if width < TILE:
        return await tile_hashes(session, level, index, width)
    hashes = await session.scalar(select(LogTile.hashes).where(LogTile.level == level, LogTile.index == index))
    if hashes is None:
        raise LogDamaged(f"tile {index} of level {level}: missing")
    return hashes


async def _notes(session: AsyncSession, start: int, end: int, witnesses: set[str]) -> list[str]:
    """The checkpoints of sizes ``start + 1`` … ``end``, each with the cosignatures of the witnesses in ``keys``."""
    within = (LogCheckpoint.size > start, LogCheckpoint.size <= end)
    notes = {row.size: row.note for row in await session.execute(select(LogCheckpoint.size, LogCheckpoint.note).where(*within))}
    lines = select(LogCosignature.size, LogCosignature.line).where(LogCosignature.size > start, LogCosignature.size <= end)
    for row in await session.execute(lines.where(LogCosignature.witness.in_(witnesses)).order_by(LogCosignature.witness)):
        notes[row.size] += row.line
    return [notes[size] for size in sorted(notes)]
