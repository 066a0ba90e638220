"""Recomputing a log tile by tile, whatever it comes from: the database (``verify``) or an export (``examine``). Pure.

1. the hashes of each tile's events are those of the stored tile     2. every tile above is the one the tiles below make
3. at every signed checkpoint the recomputed root is the signed one  4. nothing stands beyond the last checkpoint
5. a checkpoint kept elsewhere is one of this log's: nobody rewrote or cut what it covered
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from keys.evidence.merkle import HASH_SIZE
from keys.evidence.notes import Checkpoint, MalformedNote, Note, VerifierKey
from keys.evidence.tiles import TILE, Arithmetic, Growth, Tile

MOST_PROBLEMS = 200


@dataclass(slots=True)
class AuditReport:
    """What was recomputed; the log is whole exactly if ``problems`` is empty. ``waiting`` events have no place yet.

    ``problems`` ends with a count once there are more than 200. ``notices`` are what the reader should know besides.
    """

    entries: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    anchors: int = 0
    bodies: int = 0
    waiting: int = 0
    root: bytes = b""
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unlisted: int = 0

    @property
    def whole(self) -> bool:
        return not self.problems

    def add(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
            return
        self.unlisted += 1
        self.problems[-1] = f"and {self.unlisted + 1} more"


class Recheck:
    """One pass over a log from its first tile to its last. ``cosigners`` are the keys whose cosignatures are expected."""

    def __init__(
        self,
        verifier: VerifierKey,
        kept: Sequence[str] = (),
        cosigners: Iterable[VerifierKey] = (),
        arithmetic: Arithmetic | None = None,
    ) -> None:
        self.report = AuditReport()
        self.verifier = verifier
        self.cosigners = tuple(cosigners)
        self.arithmetic = arithmetic or Arithmetic()
        self.growth = Growth(self.arithmetic)
        self.made: dict[tuple[int, int], Tile] = {}
        self.covered = 0
        self.kept: dict[int, set[bytes]] = {}
        for note in kept:
            self._keep(note)

    def _keep(self, note: str) -> None:
        """A kept checkpoint may bear cosignatures of witnesses nobody here knows; the log's own signature counts."""
        try:
            checkpoint = self.arithmetic.open(note, self.verifier)
        except MalformedNote:
            self.report.add("a kept checkpoint is not signed by this log")
            return
        self.kept.setdefault(checkpoint.size, set()).add(checkpoint.root)

    @property
    def size(self) -> int:
        return self.growth.frontier.size

    def tile(self, hashes: bytes, stored: bytes | None, notes: Sequence[str]) -> None:
        """The next tile: its events' hashes, the tile as it is stored (None: not stored), the checkpoints that end in it."""
        first, last = self.size, self.size + len(hashes) // HASH_SIZE - 1
        full = len(hashes) == TILE * HASH_SIZE
        if stored != hashes if full or stored is not None else False:
            self.report.add(f"entries {first} to {last}: their hashes are not those of tile {first // TILE}")
        self._check_roots(hashes, [one for one in map(self.checkpoint, notes) if one is not None])
        if full:
            for made in self.growth.full_tiles(hashes)[1:]:
                self.made[made.level, made.index] = made
        else:
            self.growth.rest(hashes)

    def _check_roots(self, hashes: bytes, signed: list[Checkpoint]) -> None:
        first, last = self.size, self.size + len(hashes) // HASH_SIZE
        wanted = [("checkpoint", one.size, one.root) for one in signed]
        wanted += [("kept checkpoint", size, root) for size in self.kept if first < size <= last for root in self.kept[size]]
        sizes = sorted({size for _, size, _ in wanted if first < size <= last})
        roots = dict(zip(sizes, self.growth.roots(hashes, sizes), strict=True))
        for what, size, root in wanted:
            if size not in roots:
                self.report.add(f"{what} of size {size}: it does not stand where it belongs")
            elif roots[size] != root:
                self.report.add(f"{what} of size {size}: the recomputed root differs")
        self.covered = max([self.covered, *(one.size for one in signed)])
        for size in sizes:
            self.kept.pop(size, None)

    def checkpoint(self, text: str) -> Checkpoint | None:
        """The checkpoint of a note whose every signature verifies; else a problem, and None."""
        try:
            note = Note.parse(text)
            checkpoint = self.arithmetic.open(text, self.verifier)
        except MalformedNote:
            self.report.add(f"a checkpoint after entry {self.size}: its signature is wrong")
            return None
        if checkpoint.origin != self.verifier.name:
            self.report.add(f"checkpoint of size {checkpoint.size}: it is another log's")
        self.report.checkpoints += 1
        self._check_cosignatures(note, checkpoint.size)
        return checkpoint

    def _check_cosignatures(self, note: Note, size: int) -> None:
        for line in note.lines:
            if line.claims(self.verifier):
                continue
            known = next((key for key in self.cosigners if line.claims(key)), None)
            if known is None or not self.arithmetic.signed(note, known):
                self.report.add(f"checkpoint of size {size}: a cosignature by {line.name} does not verify")
            self.report.cosignatures += 1

    def stored_tile(self, level: int, index: int, hashes: bytes, root: bytes | None = None) -> None:
        """A full tile of a level above 0 as it is stored, with the root stored beside it if there is one."""
        made = self.made.pop((level, index), None)
        if made is None:
            self.report.add(f"tile {index} of level {level}: it should not be there")
        elif made.hashes != hashes or root not in (None, made.root):
            self.report.add(f"tile {index} of level {level}: it is not what the tiles below it make")

    def finish(self) -> AuditReport:
        """Nothing more comes."""
        self.report.entries, self.report.root = self.size, self.growth.frontier.root()
        for level, index in self.made:
            self.report.add(f"tile {index} of level {level}: missing")
        for size in sorted(self.kept):
            if size:
                self.report.add(f"kept checkpoint of size {size}: the log is shorter")
        if self.covered < self.size:
            self.report.add(f"entries {self.covered} to {self.size - 1}: no checkpoint covers them")
        return self.report
