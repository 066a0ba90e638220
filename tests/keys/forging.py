"""Exports written in memory by somebody who may hold the log's key: the honest operator, or one who rewrites history."""

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.evidence.container import END, Member, member
from keys.evidence.export import README, Manifest, Running, bodies_name, checkpoints_name, keys_text, note_line, tile_name
from keys.evidence.merkle import HASH_SIZE
from keys.evidence.notes import Checkpoint, VerifierKey, signature_line
from keys.evidence.tiles import TILE, Arithmetic, Growth

ORIGIN = "fujie.test/log"
MADE = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)


class Holder:
    """Whoever holds the log's key."""

    def __init__(self, seed: bytes = b"\x07" * 32, origin: str = ORIGIN) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(origin, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        return f"{text}\n{signature_line(self.key, self._private.sign(text.encode()))}"

    def checkpoint(self, size: int, root: bytes) -> str:
        return self.sign(Checkpoint(self.key.name, size, root).body())


def chunks_of(count: int, body: Callable[[int], bytes]) -> list[bytes]:
    """Bundles of 256 bodies, one a line."""
    lines = [body(i) + b"\n" for i in range(count)]
    return [b"".join(lines[i : i + TILE]) for i in range(0, count, TILE)]


def write_export(
    chunks: Sequence[bytes],
    sizes: Sequence[int],
    holder: Holder,
    arithmetic: Arithmetic | None = None,
    old: Sequence[str] = (),
    made_at: dt.datetime = MADE,
) -> tuple[list[Member], list[str]]:
    """The members of a complete export of the log of ``chunks`` with a checkpoint at each of ``sizes``; and its checkpoints.

    ``old``: notes that were published before; those that still hold are kept, which a forger prefers to signing anew.
    """
    arithmetic = arithmetic or Arithmetic()
    growth, made, notes = Growth(arithmetic), [member("README.txt", README.encode())], []
    made.append(member("keys", keys_text(str(holder.key), []).encode()))
    published = {int(note.split("\n")[1]): note for note in old}
    for index, chunk in enumerate(chunks):
        hashes, first = arithmetic.bodies(chunk), growth.frontier.size
        within = [size for size in sizes if first < size <= first + len(hashes) // HASH_SIZE]
        made.append(member(bodies_name(index), chunk))
        here = []
        for size, root in zip(within, growth.roots(hashes, within), strict=True):
            note = published.get(size, "")
            here.append(note if note and Checkpoint.parse(note.partition("\n\n")[0] + "\n").root == root else holder.checkpoint(size, root))
        if here:
            made.append(member(checkpoints_name(index), b"".join(map(note_line, here))))
            notes += here
        made.append(member(tile_name(0, index, len(hashes) // HASH_SIZE), hashes))
        if len(hashes) == TILE * HASH_SIZE:
            made += [member(tile_name(one.level, one.index), one.hashes) for one in growth.full_tiles(hashes)[1:]]
        else:
            growth.rest(hashes)
    return [*made, manifest(made, holder, growth.frontier.size, arithmetic, made_at)], notes


def manifest(made: Sequence[Member], holder: Holder, size: int, arithmetic: Arithmetic, made_at: dt.datetime = MADE) -> Member:
    running = Running()
    for one in made:
        running.add(arithmetic.digest(one.header), arithmetic.digest(one.data))
    text = Manifest(holder.key.name, size, 0, size, made_at, running.count, running.digest.hexdigest()).text()
    return member("manifest", holder.sign(text).encode())


def octets(members: Sequence[Member]) -> bytes:
    return b"".join(one.octets for one in members) + END


def body(i: int) -> bytes:
    """An event as ``audit.record`` spells it."""
    identifier = hashlib.sha256(str(i).encode()).hexdigest()
    return (
        b'{"action":"certs.issue.reserve","actor":{"division":"990100","id":"%b","kind":"person","organisation":null},"code":null,'
        b'"details":{"n":%d},"id":"%b-%b-7000-8000-%b","object":"certificate:%d","outcome":"done","time":"2026-11-21T02:00:00.000Z"}'
    ) % (
        identifier[:8].encode(), i, identifier[8:16].encode(), identifier[16:20].encode(), identifier[20:32].encode(), i,
    )  # fmt: skip
