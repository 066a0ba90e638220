"""A thousand ways to tamper with an export: each takes the honest members and gives what a court would be handed instead.

Two kinds of forger: a *carrier*, who has the file alone, and the *operator*, who holds the log's key and signs what he likes,
but cannot take back the checkpoint that was kept outside.
"""

import bisect
import functools
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from keys.evidence.container import Member, member
from keys.evidence.tiles import TILE, Arithmetic
from tests.keys.forging import Holder, write_export


@dataclass
class Case:
    """The honest export, and what a forger may use."""

    members: list[Member]
    chunks: list[bytes]
    sizes: list[int]
    notes: list[str]
    holder: Holder
    arithmetic: Arithmetic

    @functools.cached_property
    def ends(self) -> list[int]:
        """The offset in the file at which each member ends."""
        return list(itertools.accumulate(len(one.header) + len(one.data) + len(one.padding) for one in self.members))


def _redo(one: Member, data: bytes) -> Member:
    """The member with other data, its header put right: only the content tells."""
    return member(one.named(), data)


def _pick(case: Case, chance: random.Random, prefix: str) -> int:
    return chance.choice([i for i, one in enumerate(case.members) if one.header.startswith(prefix.encode())])


def _flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def flip_anywhere(case: Case, chance: random.Random) -> list[Member]:
    """One bit of the file, headers and padding included."""
    at, changed = chance.randrange(case.ends[-1]), list(case.members)
    i = bisect.bisect_right(case.ends, at)
    one = case.members[i]
    at -= case.ends[i - 1] if i else 0
    parts = [one.header, one.data, one.padding]
    for which, part in enumerate(parts):
        if at < len(part):
            parts[which] = part[:at] + bytes([part[at] ^ 1 << chance.randrange(8)]) + part[at + 1 :]
            break
        at -= len(part)
    changed[i] = Member(*parts)
    return changed


def _flip(prefix: str) -> Callable[[Case, random.Random], list[Member]]:
    def flip(case: Case, chance: random.Random) -> list[Member]:
        changed, i = list(case.members), _pick(case, chance, prefix)
        changed[i] = _redo(changed[i], _flipped(changed[i].data, chance))
        return changed

    return flip


def _lines(case: Case, chance: random.Random) -> tuple[int, list[bytes]]:
    i = _pick(case, chance, "bodies/")
    return i, case.members[i].data.splitlines(keepends=True)


def drop_entry(case: Case, chance: random.Random) -> list[Member]:
    changed, (i, lines) = list(case.members), _lines(case, chance)
    del lines[chance.randrange(len(lines))]
    changed[i] = _redo(changed[i], b"".join(lines))
    return changed


def duplicate_entry(case: Case, chance: random.Random) -> list[Member]:
    changed, (i, lines) = list(case.members), _lines(case, chance)
    at = chance.randrange(len(lines))
    lines.insert(at, lines[at])
    changed[i] = _redo(changed[i], b"".join(lines))
    return changed


def swap_entries(case: Case, chance: random.Random) -> list[Member]:
    """Within a bundle or between two."""
    changed, (i, lines), (j, others) = list(case.members), _lines(case, chance), _lines(case, chance)
    if i == j:
        a, b = chance.sample(range(len(lines)), 2)
        lines[a], lines[b] = lines[b], lines[a]
    else:
        a, b = chance.randrange(len(lines)), chance.randrange(len(others))
        lines[a], others[b] = others[b], lines[a]
        changed[j] = _redo(changed[j], b"".join(others))
    changed[i] = _redo(changed[i], b"".join(lines))
    return changed


def drop_member(case: Case, chance: random.Random) -> list[Member]:
    at = chance.randrange(len(case.members))
    return case.members[:at] + case.members[at + 1 :]


def duplicate_member(case: Case, chance: random.Random) -> list[Member]:
    at = chance.randrange(len(case.members))
    return [*case.members[: at + 1], *case.members[at:]]


def swap_members(case: Case, chance: random.Random) -> list[Member]:
    """The contents of two tiles, two bundles or two lists of checkpoints under each other's names."""
    changed, prefix = list(case.members), chance.choice(["bodies/", "tile/0/", "checkpoints/"])
    i = j = _pick(case, chance, prefix)
    while case.members[j].data == case.members[i].data:
        j = _pick(case, chance, prefix)
    changed[i], changed[j] = _redo(changed[i], case.members[j].data), _redo(changed[j], case.members[i].data)
    return changed


def cut_tail(case: Case, chance: random.Random) -> list[Member]:
    """The last members are gone; the manifest may be left at the end."""
    kept = case.members[: chance.randrange(2, len(case.members) - 1)]
    return [*kept, case.members[-1]] if chance.random() < 0.5 else kept


def drop_checkpoint(case: Case, chance: random.Random) -> list[Member]:
    changed, i = list(case.members), _pick(case, chance, "checkpoints/")
    lines = changed[i].data.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    changed[i : i + 1] = [_redo(changed[i], b"".join(lines))] if lines else []
    return changed


def mended_tile(case: Case, chance: random.Random) -> list[Member]:
    """An event rewritten and its tile with it; the checkpoints cannot follow without the log's key."""
    chunks, stranger = list(case.chunks), Holder(b"\x66" * 32)
    at = chance.randrange(len(chunks))
    chunks[at] = _rewritten(chunks[at], chance)
    made, _ = write_export(chunks, case.sizes, case.holder, case.arithmetic)
    honest = {one.named(): one for one in case.members}
    forged = [honest[one.named()] if one.named().startswith(("checkpoints/", "manifest")) else one for one in made]
    return forged if chance.random() < 0.5 else [*forged[:-1], write_export([], [], stranger)[0][-1]]


def _rewritten(chunk: bytes, chance: random.Random) -> bytes:
    lines = chunk.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    lines[at] = lines[at].replace(b'"done"', b'"refused"')
    return b"".join(lines)


def operator_rewrites(case: Case, chance: random.Random) -> list[Member]:
    """A fork: an event rewritten, and everything after it computed and signed anew."""
    chunks = list(case.chunks)
    at = chance.randrange(len(chunks))
    chunks[at] = _rewritten(chunks[at], chance)
    return write_export(chunks, case.sizes, case.holder, case.arithmetic, old=case.notes)[0]


def operator_cuts(case: Case, chance: random.Random) -> list[Member]:
    """A shorter history, complete and signed in itself."""
    end = chance.randrange(1, len(case.chunks))
    sizes = [size for size in case.sizes if size < end * TILE]
    return write_export(case.chunks[:end], [*sizes, end * TILE], case.holder, case.arithmetic, old=case.notes)[0]


def operator_drops(case: Case, chance: random.Random) -> list[Member]:
    """An event left out, all later ones moved up by one; signed anew."""
    at = chance.randrange(max(0, len(case.chunks) - 12), len(case.chunks))
    lines = b"".join(case.chunks[at:]).splitlines(keepends=True)
    del lines[chance.randrange(TILE // 2)]
    chunks = [*case.chunks[:at], *(b"".join(lines[i : i + TILE]) for i in range(0, len(lines), TILE))]
    total = at * TILE + len(lines)
    return write_export(chunks, [*(size for size in case.sizes if size < total), total], case.holder, case.arithmetic, old=case.notes)[0]


def another_log(case: Case, chance: random.Random) -> list[Member]:
    """The same events under a key of somebody else."""
    return write_export(case.chunks, case.sizes, Holder(chance.randbytes(32)), case.arithmetic)[0]


CARRIER = {
    "flip anywhere": flip_anywhere,
    "flip an event": _flip("bodies/"),
    "flip a tile": _flip("tile/0/"),
    "flip a tile above": _flip("tile/1/"),
    "flip a checkpoint": _flip("checkpoints/"),
    "flip a key": _flip("keys"),
    "flip the README": _flip("README.txt"),
    "flip the manifest": _flip("manifest"),
    "drop an event": drop_entry,
    "drop a checkpoint": drop_checkpoint,
    "drop a member": drop_member,
    "duplicate an event": duplicate_entry,
    "duplicate a member": duplicate_member,
    "swap events": swap_entries,
    "swap members": swap_members,
    "cut the tail": cut_tail,
    "mend the tiles": mended_tile,
}
OPERATOR = {
    "operator rewrites an event": operator_rewrites,
    "operator cuts the end": operator_cuts,
    "operator drops an event": operator_drops,
    "another log": another_log,
}
TAMPERINGS = CARRIER | OPERATOR
CHEAP_EVERY = 20
"""A forger who writes the whole log anew costs as much as writing it: every twentieth case is one."""


def thousand(chance: random.Random, count: int) -> list[str]:
    """Names of ``count`` tamperings: half of them plain flips anywhere, the others in turn."""
    cheap = [name for name in CARRIER if name not in ("flip anywhere", "mend the tiles")]
    costly = ["mend the tiles", *OPERATOR]
    chosen = []
    for i in range(count):
        if i % CHEAP_EVERY == 0:
            chosen.append(costly[i // CHEAP_EVERY % len(costly)])
        else:
            chosen.append("flip anywhere" if i % 2 else chance.choice(cheap))
    return chosen
