"""QR code symbols of error correction level M, versions 1 to 15 (GB/T 18284-2000, ISO/IEC 18004:2015). Pure.

The symbol is one integer, its first module the highest bit: a row of a mask, a run of equal modules or a finder-like pattern is then found
in all rows at once by shifting. That makes the choice among the eight masks, which is nearly all the work, a matter of a tenth of a
millisecond. Steps of :func:`symbol`: data codewords, error correction, placing, mask, format.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
LARGEST = 15
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_NONE = {ord(character): None for character in ALPHABET}
_ALPHANUMERIC, _BYTE, _ECI_UTF8 = "0010", "0100", "0111" + "00011010"

# ISO/IEC 18004:2015 table 9, level M: error correction codewords of a block; (blocks, data codewords of each).
_BLOCKS = (
    (10, ((1, 16),)), (16, ((1, 28),)), (26, ((1, 44),)), (18, ((2, 32),)), (24, ((2, 43),)), (16, ((4, 27),)), (18, ((4, 31),)),
    (22, ((2, 38), (2, 39))), (22, ((3, 36), (2, 37))), (26, ((4, 43), (1, 44))), (30, ((1, 50), (4, 51))), (22, ((6, 36), (2, 37))),
    (22, ((8, 37), (1, 38))), (24, ((4, 40), (5, 41))), (24, ((5, 41), (5, 42))),
)  # fmt: skip
# Annex E: the middles of the alignment patterns.
_ALIGNED = (
    (), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34), (6, 22, 38), (6, 24, 42), (6, 26, 46), (6, 28, 50), (6, 30, 54), (6, 32, 58),
    (6, 34, 62), (6, 26, 46, 66), (6, 26, 48, 70),
)  # fmt: skip


class TooLong(ValueError):
    """It does not fit a symbol of version :data:`LARGEST`."""


def symbol(text: str) -> tuple[bytes, ...]:
    """The rows of the smallest symbol that holds ``text``: an octet a module, 1 is dark; no quiet zone. Raises TooLong."""
    segment = _segment(text)
    version = next((one for one in range(1, LARGEST + 1) if segment.length(one) <= _capacity(one) * 8), None)
    if version is None:
        raise TooLong(f"{len(text)} characters")
    frame = _frame(version)
    bare = frame.placed(_interleaved(version, _data(segment.bits(version), version)))
    finished = min((frame.finished(bare, mask) for mask in range(8)), key=frame.penalty)
    return frame.rows(finished)


# ---- codewords ----


def _capacity(version: int) -> int:
    return sum(blocks * data for blocks, data in _BLOCKS[version - 1][1])


@dataclass(frozen=True, slots=True)
class _Segment:
    """``mode`` with what announces it; ``count`` in ``widths`` bits (versions to 9, from 10: table 3); ``body``, binary digits."""

    mode: str
    count: int
    widths: tuple[int, int]
    body: str

    def length(self, version: int) -> int:
        return len(self.mode) + self.widths[version > 9] + len(self.body)

    def bits(self, version: int) -> str:
        return f"{self.mode}{self.count:0{self.widths[version > 9]}b}{self.body}"


def _segment(text: str) -> _Segment:
    """Alphanumeric where it can be (7.4.4), else octets (7.4.5); UTF-8 that is not ASCII is announced (7.4.2)."""
    if not text.translate(_NONE):
        values = [_VALUES[one] for one in text]
        body = "".join([f"{first * 45 + second:011b}" for first, second in zip(values[::2], values[1::2], strict=False)])
        return _Segment(_ALPHANUMERIC, len(text), (9, 11), body + (f"{values[-1]:06b}" if len(text) % 2 else ""))
    octets = text.encode()
    body = f"{int.from_bytes(octets, 'big'):0{len(octets) * 8}b}"
    return _Segment(_BYTE if text.isascii() else _ECI_UTF8 + _BYTE, len(octets), (8, 16), body)


def _data(bits: str, version: int) -> bytes:
    """Data codewords: terminator, padding to an octet, pad codewords (7.4.10)."""
    capacity = _capacity(version)
    bits += "0" * min(4, capacity * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    octets = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return octets + (b"\xec\x11" * capacity)[: capacity - len(octets)]


def _interleaved(version: int, data: bytes) -> bytes:
    """Data and error correction codewords of all blocks in the order they are placed (7.6)."""
    correction, groups = _BLOCKS[version - 1]
    blocks, at = [], 0
    for count, length in groups:
        for _ in range(count):
            blocks.append(data[at : at + length])
            at += length
    longest = max(map(len, blocks))
    mixed = bytes(block[i] for i in range(longest) for block in blocks if i < len(block))
    remainders = [_remainder(block, correction) for block in blocks]
    return mixed + bytes(one[i] for i in range(correction) for one in remainders)


def _remainder(block: bytes, correction: int) -> bytes:
    """Reed-Solomon: the remainder of the block's polynomial by the generator; the register is one integer."""
    table, top, whole = _multiples(correction), 8 * (correction - 1), (1 << 8 * correction) - 1
    register = 0
    for octet in block:
        register = (register << 8 & whole) ^ table[octet ^ (register >> top)]
    return register.to_bytes(correction, "big")


@cache
def _multiples(correction: int) -> tuple[int, ...]:
    """The generator polynomial of this degree, its leading coefficient left out, times each field element."""
    power, log = _field()
    generator = [1]
    for root in range(correction):
        shifted = [*generator, 0]
        for at, one in enumerate(generator):
            shifted[at + 1] ^= power[log[one] + root] if one else 0
        generator = shifted
    rest = generator[1:]
    return tuple(
        int.from_bytes(bytes(power[(log[one] + log[factor]) % 255] if one and factor else 0 for one in rest), "big")
        for factor in range(256)
    )


@cache
def _field() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """GF(2⁸) over x⁸+x⁴+x³+x²+1 (7.5.2): powers of 2, twice round, and logarithms."""
    power, log, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        power[exponent] = power[exponent + 255] = value
        log[value] = exponent
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return tuple(power), tuple(log)


# ---- modules ----


class Frame:
    """What all symbols of one version have in common."""

    def __init__(self, version: int) -> None:
        self.side = side = 17 + 4 * version
        self._whole = (1 << side * side) - 1
        fixed = _fixed(version, side)
        self._dark = self._number(fixed.get((x, y)) is True for y in range(side) for x in range(side))
        free = [(x, y) for x, y in _way(side) if (x, y) not in fixed]
        place = {at: index for index, at in enumerate(free)}
        self._room = len(free)
        # Behind the codewords stand the remainder bits and one more: what a module that takes no data is given.
        self._pick = itemgetter(*(place.get((x, y), self._room) for y in range(side) for x in range(side)))
        self._masks = tuple(self._mask(mask, fixed) for mask in range(8))
        in_row = self._number(x < side - 1 for _ in range(side) for x in range(side))
        in_column = self._whole ^ ((1 << side) - 1)
        self._directions = ((1, in_row), (side, in_column))
        self._spans = tuple(self._span(step) for step in (1, side))

    def _number(self, dark: Iterator[bool]) -> int:
        return int("".join("1" if one else "0" for one in dark), 2)

    def _mask(self, mask: int, fixed: dict[tuple[int, int], bool]) -> int:
        """Table 10's condition over what is not fixed, and the format information (7.9) it goes with."""
        condition, side = _CONDITIONS[mask], self.side
        pattern = self._number((x, y) not in fixed and condition(y, x) for y in range(side) for x in range(side))
        informed = dict(_format(mask, side))
        return pattern | self._number(informed.get((x, y), False) for y in range(side) for x in range(side))

    def _span(self, step: int) -> int:
        """Where eleven modules in a line begin: on the last of them, counted in this direction."""
        side = self.side
        return self._number((x if step == 1 else y) <= side - 11 for y in range(side) for x in range(side))

    def placed(self, codewords: bytes) -> int:
        """Function patterns and data, before a mask."""
        bits = f"{int.from_bytes(codewords, 'big'):0{len(codewords) * 8}b}".ljust(self._room + 1, "0")
        return int("".join(self._pick(bits)), 2) | self._dark

    def finished(self, bare: int, mask: int) -> int:
        return bare ^ self._masks[mask]

    def rows(self, modules: int) -> tuple[bytes, ...]:
        octets = f"{modules:0{self.side * self.side}b}".encode().translate(_FROM_DIGITS)
        return tuple(octets[at : at + self.side] for at in range(0, len(octets), self.side))

    def penalty(self, modules: int) -> int:
        """Table 11: runs, blocks, finder-like patterns, and how far from half is dark."""
        share = abs(modules.bit_count() * 20 - self.side * self.side * 10)
        score = share // (self.side * self.side) * 10
        for (step, inside), span in zip(self._directions, self._spans, strict=True):
            score += self._runs(inside & ~(modules ^ modules << step), step)
            score += 40 * self._finders(modules, step, span)
        return score + 3 * self._blocks(modules)

    def _runs(self, alike: int, step: int) -> int:
        """``alike``: modules like the next one. Runs of n ≥ 5 count n - 2: four alike in a row n - 4 times, and two for each run."""
        four = alike & alike << step
        four &= four << 2 * step
        return four.bit_count() + 2 * (four & ~(four >> step)).bit_count()

    def _blocks(self, modules: int) -> int:
        (row, inside), (column, above) = self._directions
        across = inside & ~(modules ^ modules << row)
        down = above & ~(modules ^ modules << column)
        return (across & across << column & down).bit_count()

    def _finders(self, modules: int, step: int, span: int) -> int:
        """1:1:3:1:1 with four light modules before or behind."""
        light = self._whole & ~modules
        dark_at = [modules << k * step for k in range(11)]
        light_at = [light << k * step for k in range(11)]
        found = 0
        for pattern in _FINDERS:
            hit = span
            for k, dark in enumerate(pattern):
                hit &= dark_at[k] if dark else light_at[k]
            found += hit.bit_count()
        return found


@cache
def _frame(version: int) -> Frame:
    return Frame(version)


def _fixed(version: int, side: int) -> dict[tuple[int, int], bool]:
    """(x, y) of every module that takes no data, and whether it is dark; those of the format information are light here."""
    found = dict.fromkeys(_corners(side), False)
    for left, top in ((0, 0), (side - 7, 0), (0, side - 7)):
        found |= {(left + x, top + y): max(abs(x - 3), abs(y - 3)) != 2 for x in range(7) for y in range(7)}
    middles = _ALIGNED[version - 1]
    for x, y in ((x, y) for x in middles for y in middles):
        if (x, y) not in ((6, 6), (6, side - 7), (side - 7, 6)):
            found |= {(x + i, y + j): max(abs(i), abs(j)) != 1 for i in range(-2, 3) for j in range(-2, 3)}
    for at in range(8, side - 8):
        found[at, 6] = found[6, at] = at % 2 == 0
    if version >= 7:
        found |= dict(_version(version, side))
    found[8, side - 8] = True
    return found


def _corners(side: int) -> Iterator[tuple[int, int]]:
    """Finder patterns with their separators and the format information beside them."""
    yield from ((x, y) for x in range(9) for y in range(9))
    yield from ((x, y) for x in range(side - 8, side) for y in range(9))
    yield from ((x, y) for x in range(9) for y in range(side - 8, side))


def _way(side: int) -> Iterator[tuple[int, int]]:
    """Where data are placed, in order: two columns at a time, up and down, from the right (7.7.3)."""
    right, upward = side - 1, True
    while right > 0:
        if right == 6:
            right = 5
        for y in range(side - 1, -1, -1) if upward else range(side):
            yield right, y
            yield right - 1, y
        right, upward = right - 2, not upward


def _checked(value: int, bits: int, generator: int) -> int:
    """The value with its BCH remainder behind it (annexes C and D)."""
    degree = generator.bit_length() - 1
    rest = value << degree
    for at in range(bits - 1, -1, -1):
        if rest >> (at + degree) & 1:
            rest ^= generator << at
    return value << degree | rest


def _format(mask: int, side: int) -> Iterator[tuple[tuple[int, int], bool]]:
    """Format information of level M, both copies: least significant bit first (figure 25)."""
    told = _checked(mask, 5, 0b10100110111) ^ 0b101010000010010  # the two bits of level M are 00
    upright = ((8, 0), (8, 1), (8, 2), (8, 3), (8, 4), (8, 5), (8, 7), (8, 8), (7, 8), (5, 8), (4, 8), (3, 8), (2, 8), (1, 8), (0, 8))
    apart = (*((side - 1 - i, 8) for i in range(8)), *((8, side - 7 + i) for i in range(7)))
    for places in (upright, apart):
        yield from ((at, bool(told >> bit & 1)) for bit, at in enumerate(places))


def _version(version: int, side: int) -> Iterator[tuple[tuple[int, int], bool]]:
    """Version information, both copies (figure 27)."""
    told = _checked(version, 6, 0b1111100100101)
    for bit in range(18):
        dark, near, far = bool(told >> bit & 1), bit // 3, side - 11 + bit % 3
        yield (near, far), dark
        yield (far, near), dark


_CONDITIONS: tuple[Callable[[int, int], bool], ...] = (
    lambda i, j: (i + j) % 2 == 0,
    lambda i, j: i % 2 == 0,
    lambda i, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: i * j % 2 + i * j % 3 == 0,
    lambda i, j: (i * j % 2 + i * j % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0,
)
_FINDERS: Sequence[tuple[int, ...]] = ((1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1))
_FROM_DIGITS = bytes(octet - 48 if octet in b"01" else 0 for octet in range(256))
