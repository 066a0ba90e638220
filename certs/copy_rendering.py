"""Renders an annotated copy (加注件) to PDF/A-3b: what it was made for, above pictures of the original's pages.

Synchronous and CPU-bound: called in a worker process. The original is shown as it is, never typeset anew, so the copy cannot say what the
original does not (docs/decisions/0118-annotated-copies.md).

1. check that the annotation is legible and has glyphs
2. draw the original's pages, the purpose written across each (:mod:`certs.copy_pictures`)
3. lay the pictures out: no larger than the original, as many to a sheet as fit
4. typeset ``templates/annotated_copy.typ`` with the metadata attached
5. answer the file, its SHA-256 and the place left for the seal
"""

import atexit
import datetime as dt
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import cast

import typst

from certs.copy_pictures import PagePicture, page_pictures
from certs.fonts import REQUIRED_FONTS, FontSet
from certs.legibility import check_legible
from certs.qr import encode, to_svg
from certs.rendering import ROOT, FieldsTooLong, Rendered, RenderFailed, attached_text, grouped, loaded, optional_faces
from keys.base.clock import CHINA_STANDARD_TIME
from seal.placement import Placement

DOCUMENT = "annotated_copy.typ"
BAND_MM = 68.0
LEFT_MM, TOP_MM, WIDTH_MM, BOTTOM_MM = 14.0, 87.0, 182.0, 281.0
GAP_MM = 5.0
SEAL = Placement(0, 168.0, 61.0)
MOST_WATERMARK_PURPOSE = 24


@dataclass(frozen=True, slots=True)
class CopyJob:
    """Everything that is printed on a copy, and the metadata attached to it. Picklable.

    ``original`` the sealed PDF in the version whose SHA-256 is ``original_hash``; ``requester`` who may use the copy;
    ``made_at``, ``expires_at`` aware, printed in China Standard Time; ``maker`` who made it: the organisation whose seal it bears.
    """

    original: bytes
    original_hash: bytes
    title_zh: str
    number: str
    identifier: str
    requester: str
    purpose: str
    matter: str
    made_at: dt.datetime
    expires_at: dt.datetime
    maker: str
    verify_url: str
    verification_code: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class _Placed:
    """A picture on a sheet: which, and where in millimetres."""

    page: int
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


def render_copy(job: CopyJob, fonts: FontSet = REQUIRED_FONTS) -> Rendered:
    """Raises ``InvalidInput``, ``GlyphMissing``, ``FieldsTooLong``, ``PictureFailed``; ``RenderFailed`` is a fault of ours."""
    annotations = annotations_of(job)
    check_legible(annotations)
    pages = page_pictures(job.original, watermark(job))
    pdf = print_sheets(_data(job, annotations, pages, fonts), job.metadata, job.made_at, pages, fonts)
    return Rendered(pdf, hashlib.sha256(pdf).hexdigest(), SEAL)


def annotations_of(job: CopyJob) -> tuple[tuple[str, str], ...]:
    """(label, what is printed), in order."""
    digest = job.original_hash.hex()
    rows = [
        ("使用单位 Requester", job.requester),
        ("用途 Purpose", job.purpose),
        ("办理事项 Matter", job.matter),
        ("加注单位 Made by", job.maker),
        ("加注时间 Made at", spoken(job.made_at)),
        ("有效期至 Valid until", spoken(job.expires_at)),
        ("原件 Original", f"{job.title_zh}  {job.number}"),
        ("原件标识 Identifier", job.identifier),
        ("原件摘要 SHA-256", f"{digest[:32]} {digest[32:]}"),
    ]
    return tuple((label, text) for label, text in rows if text)


def spoken(instant: dt.datetime) -> str:
    """The instant on paper, to the minute, in the time of the country."""
    here = instant.astimezone(CHINA_STANDARD_TIME)
    return f"{here.year} 年 {here.month} 月 {here.day} 日 {here:%H:%M}（北京时间）"


def watermark(job: CopyJob) -> str:
    """What is written across the pictures."""
    purpose = job.purpose if len(job.purpose) <= MOST_WATERMARK_PURPOSE else job.purpose[: MOST_WATERMARK_PURPOSE - 1] + "…"
    return f"加注件 仅供{job.requester[:20]}用于：{purpose}"


def layout(pages: Sequence[PagePicture]) -> list[list[_Placed]]:
    """Sheets of pictures, one beneath the other: never enlarged, centred. Pure."""
    sheets: list[list[_Placed]] = []
    room = 0.0
    for number, page in enumerate(pages):
        scale = min(1.0, WIDTH_MM / page.width_mm, (BOTTOM_MM - TOP_MM) / page.height_mm)
        width, height = page.width_mm * scale, page.height_mm * scale
        if not sheets or height > room:
            sheets.append([])
            room = BOTTOM_MM - TOP_MM
        sheets[-1].append(_Placed(number, LEFT_MM + (WIDTH_MM - width) / 2, BOTTOM_MM - room, width, height))
        room -= height + GAP_MM
    return sheets


class _Press:
    """One reused compiler in a folder of its own: the pictures of one copy stand there while it is printed."""

    def __init__(self, fonts: FontSet) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fujie-copies-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        (self._folder / "templates").mkdir()
        (self._folder / "pictures").mkdir()
        for file in (ROOT / "templates").glob("*.typ"):
            shutil.copy(file, self._folder / "templates" / file.name)
        self._lock = Lock()
        self._compiler = typst.Compiler(root=str(self._folder), font_paths=loaded(fonts))

    def print(self, data: dict[str, object], metadata: bytes, at: dt.datetime, pages: Sequence[PagePicture]) -> bytes:
        """The PDF/A-3b. Raises ``FieldsTooLong``, ``RenderFailed``."""
        inputs = {"data": json.dumps(data, ensure_ascii=False), "metadata": attached_text(metadata)}
        with self._lock:
            paths = [self._folder / "pictures" / name for name in picture_names(pages)]
            for path, page in zip(paths, pages, strict=True):
                path.write_bytes(page.jpeg)
            try:
                return self._compiled(inputs, at.replace(microsecond=0))
            finally:
                for path in set(paths):
                    path.unlink()

    def _compiled(self, inputs: dict[str, str], at: dt.datetime) -> bytes:
        document = str(self._folder / "templates" / DOCUMENT)
        try:
            return cast(
                bytes, self._compiler.compile(document, format="pdf", sys_inputs=inputs, pdf_standards="a-3b", timestamp=at)
            )  # one file, whatever the number of pages
        except typst.TypstError as error:
            if error.message == "panicked with: FIELDS_TOO_LONG":
                raise FieldsTooLong(DOCUMENT) from None
            raise RenderFailed(f"{DOCUMENT}: {error.message}") from error


@cache
def _press(fonts: FontSet) -> _Press:
    return _Press(fonts)


def print_sheets(data: dict[str, object], metadata: bytes, at: dt.datetime, pages: Sequence[PagePicture], fonts: FontSet) -> bytes:
    """The PDF/A-3b of a copy: annotations above pictures. Raises ``FieldsTooLong``, ``RenderFailed``."""
    return _press(fonts).print(data, metadata, at, pages)


def picture_names(pages: Sequence[PagePicture]) -> list[str]:
    """The files of the pictures, as the template names them."""
    return [f"{hashlib.sha256(page.jpeg).hexdigest()}.jpg" for page in pages]


def sheets_of(pages: Sequence[PagePicture], words: str) -> list[list[dict[str, object]]]:
    """Where each picture goes; ``words`` say what it shows, before its number."""
    names = picture_names(pages)
    return [
        [
            {
                "picture": names[one.page], "x_mm": one.x_mm, "y_mm": one.y_mm, "width_mm": one.width_mm, "height_mm": one.height_mm,
                "words": f"{words}，{one.page + 1} / {len(pages)}",
            }
            for one in sheet
        ]
        for sheet in layout(pages)
    ]  # fmt: skip


def _data(job: CopyJob, annotations: Sequence[tuple[str, str]], pages: Sequence[PagePicture], fonts: FontSet) -> dict[str, object]:
    """What the template sees as ``data``."""
    sheets = sheets_of(pages, f"原件图像 Picture of the original: {job.title_zh} {job.number}")
    return {
        "title_zh": job.title_zh, "identifier": job.identifier, "issuer": job.maker, "maker": job.maker, "annotations": annotations,
        "sheets": sheets, "band_mm": BAND_MM, "verify_url": job.verify_url, "verification_code": grouped(job.verification_code),
        "qr": to_svg(encode(job.verify_url)), "fonts": optional_faces(fonts),
    }  # fmt: skip
