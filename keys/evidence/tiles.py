"""The arithmetic of tiles (C2SP tlog-tiles), pure: 256 hashes a tile; a tile's Merkle tree hash is one hash of the tile above."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from keys.evidence.merkle import HASH_SIZE, Frontier, leaf_hash, node_hash, root_of, split_hashes
from keys.evidence.notes import Checkpoint, Note, VerifierKey, open_checkpoint

TILE = 256
TILE_BITS = 8
TOP = 6
"""Levels 0 … 5 hold 2⁴⁸ entries."""


def entry_of(body: bytes) -> bytes:
    """What the log publishes of an event: the SHA-256 of its body, a commitment that tells nobody what happened.

    The log is open to everyone, and who logged in when, at which portal, is personal data even without a name. Nobody can
    guess a body: it holds the event's identifier, 74 random bits that are shown nowhere else. Whoever is given a body (an
    auditor, the person it is about) proves with it what the log holds.
    """
    return hashlib.sha256(body).digest()


@functools.lru_cache(4096)
def index_path(index: int) -> str:
    """1234067 → ``x001/x234/067``: groups of three digits, all but the last with an ``x`` before it."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: ``hashes`` is 8,192 octets, ``root`` their Merkle tree hash."""

    level: int
    index: int
    hashes: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where the node (level, index) of the whole tree is found: the subtree over ``width`` hashes of a tile from ``first`` on."""

    level: int
    index: int
    first: int
    width: int

    def hash_in(self, tile: bytes) -> bytes:
        """The node's hash out of the tile's hashes; ``tile`` may be partial if it reaches far enough."""
        return root_of(split_hashes(tile[self.first * HASH_SIZE : (self.first + self.width) * HASH_SIZE]))


def place_of(level: int, index: int) -> Place:
    """The tile that holds the node, and where in it."""
    height = level % TILE_BITS
    first = index << height
    return Place(level // TILE_BITS, first // TILE, first % TILE, 1 << height)


def leaf_hashes(bodies: Sequence[bytes]) -> bytes:
    """The level-0 hashes of events, one behind the other."""
    return b"".join(leaf_hash(entry_of(body)) for body in bodies)


def roots_within(size: int, nodes: tuple[bytes, ...], hashes: bytes, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    """The roots at each of ``sizes`` (rising), of a tree of ``size`` with frontier ``nodes`` that grows by ``hashes``."""
    frontier, leaves, roots = Frontier(size, nodes), split_hashes(hashes), []
    for wanted in sizes:
        for leaf in leaves[frontier.size - size : wanted - size]:
            frontier.add(leaf)
        roots.append(frontier.root() if frontier.size == wanted else b"")
    return tuple(roots)


def tile_root(hashes: bytes) -> bytes:
    return root_of(split_hashes(hashes))


def lines_of(chunk: bytes) -> list[bytes]:
    """The bodies of a bundle, one a line; empty where the last line does not end."""
    return chunk[:-1].split(b"\n") if chunk.endswith(b"\n") else []


def hashes_of_lines(chunk: bytes) -> bytes:
    """The level-0 hashes of a bundle of bodies."""
    return leaf_hashes(lines_of(chunk))


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The costly pure functions of verifying; :meth:`remembering` keeps their answers, for verifying nearly the same log often."""

    bodies: Callable[[bytes], bytes] = hashes_of_lines
    tile_root: Callable[[bytes], bytes] = tile_root
    roots: Callable[[int, tuple[bytes, ...], bytes, tuple[int, ...]], tuple[bytes, ...]] = roots_within
    open: Callable[[str, VerifierKey], Checkpoint] = open_checkpoint
    signed: Callable[[Note, VerifierKey], bool] = Note.signed_by
    digest: Callable[[bytes], bytes] = entry_of

    @classmethod
    def remembering(cls) -> "Arithmetic":
        plain = cls()
        keep = functools.lru_cache(100_000)
        return cls(keep(plain.bodies), keep(plain.tile_root), keep(plain.roots), keep(plain.open), keep(plain.signed), keep(plain.digest))


@dataclass(slots=True)
class Growth:
    """A log that grows tile by tile: its frontier, and for each level the roots whose tile is not full yet."""

    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    frontier: Frontier = field(default_factory=Frontier)
    pending: list[bytearray] = field(default_factory=lambda: [bytearray() for _ in range(TOP + 1)])

    def roots(self, hashes: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
        """The roots at ``sizes`` (rising) if the log grew by ``hashes``; ``b""`` where it would be shorter."""
        return self.arithmetic.roots(self.frontier.size, tuple(self.frontier.nodes), hashes, tuple(sizes))

    def full_tiles(self, hashes: bytes) -> list[Tile]:
        """Grow by a full level-0 tile: it, and every tile above that it fills."""
        made, level, index = [], 0, self.frontier.size // TILE
        root = self.arithmetic.tile_root(hashes)
        self.frontier.add(root, TILE_BITS)
        made.append(Tile(level, index, hashes, root))
        while level < TOP:
            level, index = level + 1, index // TILE
            above = self.pending[level]
            above += root
            if len(above) < TILE * HASH_SIZE:
                break
            full = bytes(above)
            above.clear()
            root = self.arithmetic.tile_root(full)
            made.append(Tile(level, index, full, root))
        return made

    def rest(self, hashes: bytes) -> None:
        """Grow by the last, partial tile."""
        for leaf in split_hashes(hashes):
            self.frontier.add(leaf)


__all__ = ["TILE", "TOP", "Arithmetic", "Growth", "Place", "Tile", "entry_of", "index_path", "leaf_hashes", "node_hash", "place_of"]
