"""``fujie audit verify --export``: examine an export offline, in one pass, with bounded memory. Pure: no service, no database.

1. the file is in its canonical spelling, every member where it belongs     2. README and keys are what they must be
3. tile by tile: what :mod:`keys.evidence.recheck` says                     4. every anchor is over its checkpoint
5. the manifest is signed by the log and speaks of exactly this file

Truncation by those who hold the log's key shows only against what they do not hold: a kept checkpoint, an anchor, a cosignature.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from keys.evidence.anchors import anchor_problem
from keys.evidence.container import ExportMalformed, Member
from keys.evidence.export import FORMAT as MANIFEST_FORMAT
from keys.evidence.export import README, Running, anchor_name, bodies_name, checkpoints_name, keys_text, note_line, tile_name
from keys.evidence.merkle import HASH_SIZE
from keys.evidence.notes import MalformedNote, Note, VerifierKey, decimal
from keys.evidence.recheck import AuditReport, Recheck
from keys.evidence.tiles import TILE, Arithmetic

AnchorCheck = Callable[[bytes, str], str | None]
"""(token, note) → what is wrong with it, or None."""


class _Reader:
    """The members one by one, with their names checked and their digests counted."""

    def __init__(self, members: Iterable[Member], arithmetic: Arithmetic) -> None:
        self._members = iter(members)
        self._digest = arithmetic.digest
        self.running = Running()
        self.name, self.data = "", b""
        self.ended = False
        self.advance()

    def advance(self) -> None:
        if (one := next(self._members, None)) is None:
            self.name, self.ended = "", True
            return
        self.name, self.data = one.named(), one.data
        if self.name != "manifest":
            self.running.add(self._digest(one.header), self._digest(one.data))

    def take(self, name: str) -> bytes | None:
        """The present member if that is its name; the next one becomes the present."""
        if self.ended or self.name != name:
            return None
        data = self.data
        self.advance()
        return data

    def must(self, name: str) -> bytes:
        if (data := self.take(name)) is None:
            raise ExportMalformed(f"{name} should stand where {self.name or 'the end'} stands")
        return data


def examine(
    members: Iterable[Member],
    *,
    log: VerifierKey | None = None,
    witnesses: Sequence[VerifierKey] = (),
    kept: Sequence[str] = (),
    anchor_check: AnchorCheck = anchor_problem,
    arithmetic: Arithmetic | None = None,
    to_first: bool = False,
) -> AuditReport:
    """What an export is worth. ``log``, ``witnesses``: keys from their owners; without them the export's own are believed, and
    that is a notice. ``kept``: checkpoint notes from outside. ``to_first``: read on only to the first problem.
    Never raises for anything the file may hold.
    """
    report = AuditReport()
    try:
        reader = _Reader(members, arithmetic or Arithmetic())
        check = _begin(reader, log, witnesses, kept, arithmetic or Arithmetic())
        report = check.report
        _tiles(reader, check, anchor_check, to_first=to_first)
        if not (to_first and report.problems):
            check.finish()
            _manifest(reader, check)
    except (ExportMalformed, MalformedNote) as error:
        report.add(f"the export is malformed: {error.detail}")
    return report


def _begin(
    reader: _Reader, log: VerifierKey | None, witnesses: Sequence[VerifierKey], kept: Sequence[str], arithmetic: Arithmetic
) -> Recheck:
    if reader.must("README.txt") != README.encode():
        raise ExportMalformed("README.txt is not the one of this format")
    found = _keys(reader.must("keys").decode("ascii", "replace"))
    check = Recheck(log or found[0], kept, found[1:], arithmetic)
    if log is None:
        check.report.notices.append(f"the log's key is the export's own; compare it with the owner's: {found[0]}")
    elif log != found[0]:
        check.report.add("the export names another key as the log's")
    for witness in set(witnesses) - set(found[1:]):
        check.report.add(f"witness {witness.name}: its key is not in the export")
    for one in found[1:]:
        if one not in witnesses:
            check.report.notices.append(f"the key of witness {one.name} is the export's own; compare it with the owner's: {one}")
    return check


def _keys(text: str) -> list[VerifierKey]:
    """The log's key, then its witnesses'."""
    named = [line.partition(" ") for line in text.splitlines()]
    if not named or named[0][0] != "log" or any(role != "witness" for role, _, _ in named[1:]):
        raise ExportMalformed("keys")
    found = [VerifierKey.parse(key) for _, _, key in named]
    if text != keys_text(str(found[0]), map(str, found[1:])):
        raise ExportMalformed("keys")
    return found


def _tiles(reader: _Reader, check: Recheck, anchor_check: AnchorCheck, *, to_first: bool) -> None:
    """Tile after tile until the manifest."""
    index = 0
    while not reader.ended and reader.name != "manifest" and not (to_first and check.report.problems):
        chunk = reader.take(bodies_name(index))
        notes = _notes(reader.take(checkpoints_name(index)))
        _check_anchors(check, _anchors(reader), notes, anchor_check)
        width = TILE if reader.name == tile_name(0, index) else len(reader.data) // HASH_SIZE
        if not 0 < width <= TILE or len(reader.data) != width * HASH_SIZE:
            raise ExportMalformed(f"tile {index} of level 0")
        stored = reader.must(tile_name(0, index, width))
        _one_tile(check, chunk, stored, notes, index * TILE)
        if width < TILE:
            return
        for level, above in sorted(check.made):
            check.stored_tile(level, above, reader.must(tile_name(level, above)))
        index += 1


def _one_tile(check: Recheck, chunk: bytes | None, stored: bytes, notes: list[str], first: int) -> None:
    hashes = stored
    if chunk is not None:
        _refuse_crowds(chunk)
        found = check.arithmetic.bodies(chunk)
        check.report.bodies += len(found) // HASH_SIZE
        if len(found) == len(stored):
            hashes = found
        else:
            check.report.add(f"entries from {first}: {len(found) // HASH_SIZE} bodies for {len(stored) // HASH_SIZE} hashes")
    check.tile(hashes, stored, notes)


def _notes(chunk: bytes | None) -> list[str]:
    if chunk is None:
        return []
    _refuse_crowds(chunk)
    try:
        notes = [orjson.loads(line)["note"] for line in chunk.splitlines()]
        if not all(isinstance(note, str) for note in notes) or b"".join(map(note_line, notes)) != chunk:
            raise ExportMalformed("checkpoints")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ExportMalformed("checkpoints") from error
    return notes


def _refuse_crowds(chunk: bytes) -> None:
    """Before it is split: a tile has no more lines than entries, and millions of empty ones would fill the memory."""
    if chunk.count(b"\n") > TILE:
        raise ExportMalformed("more lines than a tile has entries")


def _anchors(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    while reader.name.startswith("anchors/"):
        digits = reader.name.removeprefix("anchors/").removesuffix(".tst")
        size = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else -1
        yield size, reader.must(anchor_name(size))


def _check_anchors(check: Recheck, tokens: Iterable[tuple[int, bytes]], notes: list[str], anchor_check: AnchorCheck) -> None:
    """What was stamped is the note with the log's own signature, without the cosignatures that came later."""
    stamped = {}
    for text in notes:
        try:
            note = Note.parse(text)
        except MalformedNote:
            continue  # said where the checkpoint was looked at
        own = Note(note.text, tuple(line for line in note.lines if line.claims(check.verifier)))
        stamped[note.text.split("\n")[1]] = str(own)
    for size, token in tokens:
        check.report.anchors += 1
        if str(size) not in stamped:
            check.report.add(f"anchor of size {size}: there is no such checkpoint")
        elif (problem := anchor_check(token, stamped[str(size)])) is not None:
            check.report.add(f"anchor of size {size}: {problem}")


def _manifest(reader: _Reader, check: Recheck) -> None:
    try:
        note = Note.parse(reader.must("manifest").decode())
    except UnicodeDecodeError as error:
        raise ExportMalformed("manifest") from error
    if not reader.ended:
        raise ExportMalformed("something stands behind the manifest")
    if not note.signed_by(check.verifier) or len(note.lines) != 1:
        check.report.add("the manifest is not signed by the log")
    lines = note.text.split("\n")
    said = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines[2:-1]}
    if lines[:2] != [MANIFEST_FORMAT, check.verifier.name] or list(said) != ["entries", "bodies", "made", "members", "sha256"]:
        raise ExportMalformed("manifest")
    first, _, end = said["bodies"].partition(" ")
    counted = (str(check.size), str(reader.running.count), reader.running.digest.hexdigest())
    if (said["entries"], said["members"], said["sha256"]) != counted:
        check.report.add("the file is not the one its manifest was signed for")
    if decimal(end) - decimal(first) != check.report.bodies:
        check.report.add("the bodies are not those its manifest was signed for")
