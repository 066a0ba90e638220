"""An uploaded PDF becomes one that shows the same and holds nothing else (docs/decisions/0083).

1. refuse what cannot be rebuilt: encrypted, signed, certified, XFA, malformed, too many pages, pages of impossible size
2. count what will go, for the approver: scripts, actions, attachments, form fields, links, layers, tags, metadata
3. flatten visible annotations and form fields into their pages; hidden ones go
4. clean every page's content and what it draws with (``sanitising_content``, ``sanitising_resources``)
5. turn every page upright, its corner at the origin, one unit a point
6. write one revision with a catalogue of pages and nothing else

Equal input gives equal octets, and a rebuilt document rebuilt is the same document. Runs in a child process with limits.
"""
# mypy: allow-untyped-calls

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf
from pikepdf import Array, ContentStreamInstruction, Dictionary, Name, Operator

from seal.sanitising_content import Removed
from seal.sanitising_errors import (
    AlreadySigned,
    Certified,
    Encrypted,
    HasXfa,
    Malformed,
    NotPdf,
    NotRebuildable,
    PageUnusual,
    TooManyPages,
)
from seal.sanitising_geometry import IDENTITY, Box, Matrix, upright
from seal.sanitising_layers import Layers
from seal.sanitising_resources import Resources

SMALLEST, LARGEST = 28.0, 14_400.0
"""Sides of a page in points: 1 cm to 5 m (ISO 32000-1 Annex C)."""
_MOST_FIELDS = 20_000
_COUNTED_DEPTH = 8
_HIDDEN, _NO_VIEW = 2, 32
_COUNTED = {
    "/JS": "scripts", "/AA": "actions", "/OpenAction": "actions", "/EF": "attachments", "/OCProperties": "layers",
    "/StructTreeRoot": "tags", "/Metadata": "metadata", "/PieceInfo": "metadata", "/Alternates": "alternate_pictures",
}  # fmt: skip
_KINDS = {"/Link": "links", "/Widget": "form_fields", "/FileAttachment": "attachments"}


@dataclass(frozen=True, slots=True)
class Sanitised:
    """The rebuilt document. ``pages``: width and height of each in millimetres; ``removed``: counts by kind;
    ``not_embedded``: names of fonts whose programs the file does not hold."""

    pdf: bytes
    pages: tuple[tuple[float, float], ...]
    removed: dict[str, int]
    not_embedded: tuple[str, ...]


def sanitise(data: bytes, most_pages: int) -> Sanitised:
    """Rebuild. Raises :class:`NotRebuildable` and its kin, and ``MemoryError``."""
    if not data.startswith(b"%PDF-"):
        raise NotPdf("no header at the start")
    try:
        return _sanitise(data, most_pages)
    except NotRebuildable:
        raise
    except pikepdf.PasswordError as error:
        raise Encrypted from error
    except (pikepdf.PdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        raise Malformed(type(error).__name__) from error


def _sanitise(data: bytes, most_pages: int) -> Sanitised:
    with pikepdf.Pdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        _require_rebuildable(pdf, most_pages)
        removed = Removed()
        _count(pdf, removed)
        layers = Layers(pdf.Root)
        _flatten(pdf, layers, removed)
        resources = Resources(pdf, layers, removed)
        pages = [_page(pdf, page.obj, resources) for page in pdf.pages]
        _bare(pdf)
        return Sanitised(_written(pdf), tuple(pages), removed.counts, tuple(sorted(resources.not_embedded)))


def _require_rebuildable(pdf: Any, most_pages: int) -> None:
    if pdf.is_encrypted:
        raise Encrypted
    permissions = pdf.Root.get("/Perms")
    if isinstance(permissions, Dictionary) and "/DocMDP" in permissions:
        raise Certified
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary):
        if "/XFA" in form:
            raise HasXfa
        if any(str(field.get("/FT", "")) == "/Sig" and "/V" in field for field in _fields(form)):
            raise AlreadySigned
    if len(pdf.pages) > most_pages:
        raise TooManyPages(f"{len(pdf.pages)} pages", limit=most_pages)
    if not len(pdf.pages):
        raise Malformed("no page")


def _fields(form: Any) -> Iterator[Any]:
    waiting, seen = [one for one in form.get("/Fields", ()) if isinstance(one, Dictionary)], 0
    while waiting:
        field = waiting.pop()
        if (seen := seen + 1) > _MOST_FIELDS:
            raise Malformed("fields without end")
        yield field
        waiting += [one for one in field.get("/Kids", ()) if isinstance(one, Dictionary)]


def _count(pdf: Any, removed: Removed) -> None:
    for one in pdf.objects:
        _count_within(one, removed, 0)
    removed.add("metadata", "/Info" in pdf.trailer)


def _count_within(one: Any, removed: Removed, depth: int) -> None:
    """An object and what stands directly in it; what it refers to is an object of its own."""
    if depth > _COUNTED_DEPTH or not isinstance(one, (Dictionary, pikepdf.Stream, Array)):
        return
    if isinstance(one, Array):
        members = list(one)
    else:
        keys = list(one.keys())
        members = [one[key] for key in keys]
        for kind in [_COUNTED[key] for key in keys if key in _COUNTED]:
            removed.add(kind)
    for member in members:
        if isinstance(member, pikepdf.Object) and not member.is_indirect:
            _count_within(member, removed, depth + 1)


def _flatten(pdf: Any, layers: Layers, removed: Removed) -> None:
    """Visible annotations become part of their page; hidden ones, and those of hidden layers, go."""
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary) and form.get("/NeedAppearances", False):
        pdf.generate_appearance_streams()
    for page in pdf.pages:
        annotations = page.obj.get("/Annots")
        if not isinstance(annotations, Array):
            continue
        kept = []
        for one in annotations:
            if not isinstance(one, Dictionary):
                continue
            hidden = int(one.get("/F", 0)) & (_HIDDEN | _NO_VIEW) or not layers.shows(one.get("/OC"))
            removed.add("hidden_annotations" if hidden else _KINDS.get(str(one.get("/Subtype", "")), "annotations"))
            kept += [] if hidden else [one]
        page.obj["/Annots"] = Array(kept)
    pdf.flatten_annotations("screen")


def _page(pdf: Any, page: Any, resources: Resources) -> tuple[float, float]:
    """Clean one page in place; its size in millimetres."""
    box, unit = _box(page), float(page.get("/UserUnit", 1))
    rotation = int(page.get("/Rotate", 0))
    matrix = upright(box, rotation, unit)
    width, height = (box.height, box.width) if rotation % 180 else (box.width, box.height)
    width, height = round(width * unit, 4), round(height * unit, 4)
    if not all(SMALLEST <= side <= LARGEST for side in (width, height)):
        raise PageUnusual(f"{width} x {height} points")
    present = page.get("/Resources", Dictionary())
    instructions, used = resources.content(page, present, box)
    body = pikepdf.unparse_content_stream(_wrapped(instructions, matrix))
    group = page.get("/Group")
    _without(page, "/Type", "/Parent", "/Group")
    page["/MediaBox"] = Array([0, 0, _number(width), _number(height)])
    page["/Resources"] = resources.kept(present, used)
    page["/Contents"] = pdf.make_stream(body)
    if group is not None:
        resources.group(group)
    return round(width / 72 * 25.4, 3), round(height / 72 * 25.4, 3)


def _box(page: Any) -> Box:
    """What a viewer shows of the page: its crop box within its media box, whatever corners they are given by."""
    media = _rectangle(page["/MediaBox"])
    crop = page.get("/CropBox")
    shown = media if crop is None else _rectangle(crop).within(media)
    return shown if shown.width > 0 and shown.height > 0 else media


def _rectangle(array: Any) -> Box:
    x, y, u, v = (float(value) for value in array)
    return Box(min(x, u), min(y, v), max(x, u), max(y, v))


def _number(value: float) -> Any:
    return int(value) if value == int(value) else value


def _wrapped(instructions: list[Any], matrix: Matrix) -> list[Any]:
    """The page's content between q and Q, turned upright; content that is so already is left alone."""
    turn = [] if matrix == IDENTITY else [_instruction("cm", *map(_number, _members(matrix)))]
    if not turn and _enclosed(instructions):
        return instructions
    return [_instruction("q"), *turn, *instructions, _instruction("Q")]


def _members(matrix: Matrix) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in (matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f))


def _enclosed(instructions: list[Any]) -> bool:
    depth = 0
    for index, one in enumerate(instructions):
        operator = "" if isinstance(one, pikepdf.ContentStreamInlineImage) else str(one.operator)
        depth += (operator == "q") - (operator == "Q")
        if depth == 0 and index < len(instructions) - 1:
            return False
    return bool(instructions)


def _instruction(operator: str, *operands: Any) -> Any:
    return ContentStreamInstruction(list(operands), Operator(operator))


def _bare(pdf: Any) -> None:
    """A catalogue of pages and nothing else."""
    pages = [page.obj for page in pdf.pages]
    tree = pdf.make_indirect(Dictionary(Type=Name("/Pages"), Count=len(pages), Kids=Array(pages)))
    for page in pages:
        page["/Parent"] = tree
    _without(pdf.Root, "/Type")
    pdf.Root["/Pages"] = tree
    _without(pdf.trailer, "/Root", "/Size", "/ID")


def _without(dictionary: Any, *kept: str) -> None:
    """Lose every member but these."""
    present = list(dictionary.keys())
    for key in present:
        if key not in kept:
            del dictionary[key]


def _written(pdf: Any) -> bytes:
    out = io.BytesIO()
    pdf.save(
        out,
        force_version="1.7",
        deterministic_id=True,
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        fix_metadata_version=False,
    )
    return out.getvalue()
