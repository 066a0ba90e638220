"""What the typesetter need not do again for every certificate: line work and QR codes are put into its file behind its back.

The line work of a form is the same on every sheet, and a QR code is nothing but squares, yet drawing, writing and compressing both takes
the typesetter longer than the words. So it sets a mark in their place: a triangle of a size nobody draws, in the drawing's coordinates.
Here each mark becomes what it stands for, inside the same marked content, with the same alternative text:

1. read the file's table of objects; only a file as typst writes it is taken, anything else is refused
2. in the content of each page, a mark of a code becomes its squares
3. a mark of line work becomes a form XObject, compressed once a process; the page's resources name it
4. write the file with a new table of objects

Equal input, equal octets; what a reader sees is what the typesetter would have drawn (tests/certs/test_assembling.py compares them).
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import typst

from certs.qr import QUIET, QrCode, squares

LEVEL = 4
"""Of compression: a third larger than the best in a quarter of the time."""
ASSETS = Path(__file__).parent / "assets"
_FIRST_CODE, _FIRST_PLATE, _STEP = 0.75, 8.0, 0.25
_MARK = re.compile(rb"1\.25 1\.5 m 1\.75 1\.5 l 1\.75 (\d+(?:\.\d+)?) l\s+h\s+f\b")
_OBJECT = re.compile(rb"(\d+) 0 obj\n")
_STREAM = re.compile(rb"\d+ 0 obj\n<</Length (\d+)/Filter/FlateDecode>>\nstream\n")
_PAGE = re.compile(rb"<</Type/Page/[^>]*?>>", re.DOTALL)
_REFERENCE = re.compile(rb"/(Contents|Resources) (\d+) 0 R")
_MILLIMETRES = re.compile(r'<svg [^>]*\bwidth="([\d.]+)mm" height="([\d.]+)mm"')
_COLOUR_SPACES = re.compile(rb"/ColorSpace<<(.*?)>>", re.DOTALL)
_NAMED = re.compile(rb"/(\w+) (\d+) 0 R")
_PROFILE = re.compile(rb"\d+ 0 obj\n\[/ICCBased (\d+) 0 R\]\s")
_STATES = re.compile(rb"/(?:ExtGState|Pattern|Shading|XObject|Font)<<")


class NotAssembled(ValueError):
    """The file is not as typst writes it, or a mark stands for nothing: a fault of ours."""


@dataclass(frozen=True, slots=True)
class Plate:
    """Line work as a form XObject, in points. ``content``: compressed operators; ``profiles``: (name of the colour space, ICC stream)."""

    width: float
    height: float
    content: bytes
    profiles: tuple[tuple[bytes, bytes], ...]


# ---- marks ----


def code_mark(code: QrCode, index: int) -> str:
    """An SVG of the code's size with a mark in place of its modules; ``index``: which of the codes given to :func:`assembled`."""
    side = len(code.rows) + 2 * QUIET
    return _svg(side, side, f'<rect width="{side}" height="{side}" fill="#fff"/>', _FIRST_CODE + index * _STEP)


@lru_cache(maxsize=1)
def plate_marks() -> Mapping[str, str]:
    """By the name of its file, an SVG of the line work's size with a mark in its place."""
    return {name: _svg(*_size(ASSETS / name), "", _FIRST_PLATE + index * _STEP) for index, name in enumerate(_names())}


def _svg(width: float, height: float, ground: str, mark: float) -> str:
    path = f'<path fill="#000" d="M1.25 1.5h0.5v{mark:g}z"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">{ground}{path}</svg>'


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in ASSETS.glob("*.svg")))


def _size(asset: Path) -> tuple[float, float]:
    """In points."""
    found = _MILLIMETRES.search(asset.read_text(encoding="utf-8")[:1000])
    if found is None:
        raise NotAssembled(f"{asset.name} has no size in millimetres")
    return float(found[1]) * 72 / 25.4, float(found[2]) * 72 / 25.4


# ---- the file ----


class _File:
    """A file of typst's own writing: its objects in the order they stand, and what becomes of them."""

    def __init__(self, octets: bytes) -> None:
        table, trailer = octets.rfind(b"xref\n", 0, octets.rfind(b"startxref")), octets.rfind(b"trailer\n")
        if not octets.startswith(b"%PDF-1.7\n") or table < 0 or trailer < table:
            raise NotAssembled("not a file of the typesetter")
        entries = octets[table:trailer].split(b"\n")[2:]
        offsets = sorted((int(entry[:10]), number) for number, entry in enumerate(entries) if entry[17:18] == b"n")
        ends = [*(offset for offset, _ in offsets[1:]), table]
        self._head = octets[: offsets[0][0]]
        self.objects = {number: octets[at:end] for (at, number), end in zip(offsets, ends, strict=True)}
        self._trailer = octets[trailer : octets.rfind(b"startxref")]
        self._size = len(entries) - 1 if not entries[-1] else len(entries)

    def add(self, body: bytes) -> int:
        number, self._size = self._size, self._size + 1
        self.objects[number] = b"%d 0 obj\n%b\nendobj\n" % (number, body)
        return number

    def content(self, number: int) -> bytes:
        chunk = self.objects[number]
        head = _STREAM.match(chunk)
        if head is None:
            raise NotAssembled(f"object {number} is no page's content")
        return zlib.decompress(chunk[head.end() : head.end() + int(head[1])])

    def put_content(self, number: int, operators: bytes) -> None:
        self.objects[number] = b"%d 0 obj\n%b\nendobj\n" % (number, _stream(zlib.compress(operators, LEVEL), b"/Filter/FlateDecode"))

    def written(self) -> bytes:
        parts, at, offsets = [self._head], len(self._head), dict[int, int]()
        for number, chunk in self.objects.items():
            offsets[number] = at
            parts.append(chunk)
            at += len(chunk)
        lines = [b"xref\n0 %d\n0000000000 65535 f\r\n" % self._size]
        lines += [b"%010d 00000 n\r\n" % offsets[number] for number in range(1, self._size)]
        trailer = re.sub(rb"/Size \d+", b"/Size %d" % self._size, self._trailer, count=1)
        return b"".join((*parts, *lines, trailer, b"startxref\n%d\n%%%%EOF" % at))


def _stream(octets: bytes, entries: bytes) -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(octets), entries, octets)


def assembled(pdf: bytes, codes: Sequence[QrCode]) -> bytes:
    """The file with every mark replaced. Raises NotAssembled."""
    file, placed = _File(pdf), dict[str, int]()
    for chunk in tuple(file.objects.values()):
        if _PAGE.search(chunk[:400]):
            told = {name: int(number) for name, number in _REFERENCE.findall(chunk)}
            _assemble_page(file, told[b"Contents"], told[b"Resources"], codes, placed)
    return file.written()


def _assemble_page(file: _File, content: int, resources: int, codes: Sequence[QrCode], placed: dict[str, int]) -> None:
    before = file.content(content)
    used = dict[str, int]()

    def drawing(found: re.Match[bytes]) -> bytes:
        height = float(found[1]) - 1.5
        if height < _FIRST_PLATE:
            return squares(codes[round((height - _FIRST_CODE) / _STEP)])
        name = _names()[round((height - _FIRST_PLATE) / _STEP)]
        used[name] = placed[name] if name in placed else placed.setdefault(name, _add_plate(file, plate(name)))
        return b"/Fj%d Do" % used[name]

    after, count = _MARK.subn(drawing, before)
    if count:
        file.put_content(content, after)
    if used:
        file.objects[resources] = _with_plates(file.objects[resources], used.values())


def _with_plates(chunk: bytes, numbers: Iterable[int]) -> bytes:
    """The resources with the plates among their XObjects."""
    named = b"".join(b"/Fj%d %d 0 R" % (number, number) for number in numbers)
    if b"/XObject<<" in chunk:
        return chunk.replace(b"/XObject<<", b"/XObject<<" + named, 1)
    return chunk.replace(b"<<", b"<</XObject<<" + named + b">>", 1)


def _add_plate(file: _File, one: Plate) -> int:
    spaces = b""
    for name, profile in one.profiles:
        spaces += b"/%b[/ICCBased %d 0 R]" % (name, file.add(profile))
    # The mark's coordinates run downwards; the plate's own, like a page's, upwards.
    matrix = b"/Matrix[1 0 0 -1 0 %g]/BBox[0 0 %g %g]" % (one.height, one.width, one.height)
    entries = b"/Type/XObject/Subtype/Form%b/Resources<</ColorSpace<<%b>>>>/Filter/FlateDecode" % (matrix, spaces)
    return file.add(_stream(one.content, entries))


# ---- plates ----


@lru_cache(maxsize=64)
def plate(name: str) -> Plate:
    """The line work, drawn by the typesetter once a process. Raises NotAssembled for what is more than lines and areas in plain colour."""
    width, height = _size(ASSETS / name)
    source = f'#set page(width: {width:g}pt, height: {height:g}pt, margin: 0pt)\n#image("/{name}", width: 100%, height: 100%)'
    made = typst.Compiler(root=str(ASSETS)).compile(source.encode(), format="pdf", pdf_standards="a-3b", timestamp=0, pdf_tags=False)
    file = _File(bytes(made))  # type: ignore[arg-type]
    page = next(chunk for chunk in file.objects.values() if _PAGE.search(chunk[:400]))
    told = {key: int(number) for key, number in _REFERENCE.findall(page)}
    resources = file.objects[told[b"Resources"]]
    operators = file.content(told[b"Contents"])
    if _STATES.search(resources) or b"BDC" in operators:  # marked content: the mark already stands in one
        raise NotAssembled(f"{name} needs more than plain colours")
    return Plate(width, height, zlib.compress(operators, 9), _profiles(file, resources))


def _profiles(file: _File, resources: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The ICC stream behind each colour space."""
    spaces = _COLOUR_SPACES.search(resources)
    return tuple((name, _profile(file, int(number))) for name, number in _NAMED.findall(spaces[1] if spaces else b""))


def _profile(file: _File, number: int) -> bytes:
    found = _PROFILE.match(file.objects[number])
    if found is None:
        raise NotAssembled("a colour space without a profile")
    chunk = file.objects[int(found[1])]
    return chunk[chunk.index(b"<<") : chunk.rindex(b"endobj")].strip()
