"""A department's own document (批文) becomes a certificate's paper: a code to verify it by, the metadata, the place of its seal.

Synchronous and CPU-bound: called in a worker process, with a document that :mod:`seal.rebuilding` made: upright pages that begin at the
origin, and nothing hidden.

1. survey   where the seal goes, and where there is room for the code: at the place that was asked for, in a blank corner of the first
            page, or else on a page of its own behind the document
2. imprint  the strip or the page is set, laid over or put behind, and the metadata attached; equal jobs give equal octets
"""
# mypy: allow-untyped-calls

import datetime as dt
import hashlib
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, cast

import pikepdf
import pypdfium2
import typst

from certs.fonts import REQUIRED_FONTS, FontSet, missing_characters
from certs.own_paper_values import CodeWish, OwnPaper, SealWish
from certs.qr import encode, to_svg
from certs.rendering import Rendered, grouped, loaded, printed_date, printed_period
from keys.base.errors import FujieError
from seal.keywords import find
from seal.placement import Placement
from seal.placing import Which
from seal.placing_errors import PageMissing, PlaceOutside

ROOT = Path(__file__).parent
POINTS = 72 / 25.4
STRIP_MM = (72.0, 25.0)
MARGIN_MM = 10.0
_SURVEY_SCALE = 60 / 72
_PAPER = 250
_NOTE = (
    "本页由电子证照系统附加在正文之后，与正文一并加盖电子印章；正文一经改动，印章即失效。扫描上方二维码，或在核验网站输入核验码，可查本文件的真伪和现行效力。"
    "  This page was added behind the document and is sealed together with it. Scan the code, or type it on the verification site, to see "
    "whether the document is genuine and still in force."
)


class CodePlaceTaken(FujieError):
    """Something stands where the code should go."""

    code = "DOCUMENT_CODE_PLACE_TAKEN"
    status = 422
    public = (
        "二维码指定的位置不是空白，请另选位置或改用附页。",
        "The place for the code is not blank. Choose another, or an own page.",
    )


class NotPrintable(FujieError):
    """The number or the issuer's name has a character that no font here has."""

    code = "DOCUMENT_NUMBER_NOT_PRINTABLE"
    status = 422
    public = ("文号、标题或机关名称含有无法印出的字符。", "Number, title or issuer have a character that cannot be printed.")


@dataclass(frozen=True, slots=True)
class Imprint:
    """Everything that is added. Picklable. ``timestamp`` is aware."""

    paper: OwnPaper
    number: str
    identifier: str
    issuer: str
    issued_on: dt.date
    valid_from: dt.date | None
    valid_to: dt.date | None
    verify_url: str
    verification_code: str
    metadata: bytes
    timestamp: dt.datetime


def survey(pdf: bytes, seal: SealWish, code: CodeWish, seal_mm: tuple[float, float], texts: tuple[str, ...]) -> OwnPaper:
    """Step 1. ``seal_mm``: the seal's width and height; ``texts``: what will be printed.

    Raises ``KEYWORD_NOT_FOUND`` and its kin (``seal.placing_errors``), :class:`CodePlaceTaken`, :class:`NotPrintable`.
    """
    if missing_characters(texts):
        raise NotPrintable
    opened = pypdfium2.PdfDocument(pdf)
    try:
        page, x_mm, y_mm = _seal_place(opened, pdf, seal, seal_mm)
        code_page, code_x, code_y = _code_place(opened, code)
    finally:
        opened.close()
    return OwnPaper(hashlib.sha256(pdf).hexdigest(), page, x_mm, y_mm, code_page, code_x, code_y)


def imprint(pdf: bytes, job: Imprint, fonts: FontSet = REQUIRED_FONTS) -> Rendered:
    """Step 2. ``pdf`` is the document the paper names."""
    paper = job.paper
    with pikepdf.open(io.BytesIO(pdf)) as document, pikepdf.open(io.BytesIO(_typeset(job, len(document.pages), fonts))) as added:
        if paper.code_page is None:
            document.pages.extend(added.pages)
        else:
            _lay_over(document.pages[paper.code_page], document.copy_foreign(added.pages[0].as_form_xobject()), paper)
        document.docinfo["/Title"], document.docinfo["/Author"] = job.paper.title, job.issuer
        document.docinfo["/Keywords"] = job.identifier
        _attach(document, job)
        written = io.BytesIO()
        document.save(written, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    made = written.getvalue()
    return Rendered(made, hashlib.sha256(made).hexdigest(), Placement(paper.seal_page, paper.seal_x_mm, paper.seal_y_mm))


def _seal_place(opened: pypdfium2.PdfDocument, pdf: bytes, seal: SealWish, seal_mm: tuple[float, float]) -> tuple[int, float, float]:
    if seal.keyword is not None:
        [found] = find(pdf, seal.keyword, Which.LAST if seal.occurrence == "last" else Which.FIRST, range(len(opened)))
        height = opened[found.page].get_height()
        page, x_mm, y_mm = found.page, found.x / POINTS + seal.dx_mm, (height - found.y) / POINTS + seal.dy_mm
    else:
        page = _page(opened, seal.page)
        x_mm, y_mm = seal.x_mm or 0.0, seal.y_mm or 0.0
    _require_inside(opened, page, x_mm - seal_mm[0] / 2, y_mm - seal_mm[1] / 2, *seal_mm)
    return page, x_mm, y_mm


def _page(opened: pypdfium2.PdfDocument, number: int) -> int:
    count = len(opened)
    index = number - 1 if number > 0 else count + number
    if number == 0 or not 0 <= index < count:
        raise PageMissing(f"page {number} of {count}")
    return index


def _require_inside(opened: pypdfium2.PdfDocument, page: int, x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> None:
    width, height = (side / POINTS for side in opened[page].get_size())
    if x_mm < 0 or y_mm < 0 or x_mm + width_mm > width or y_mm + height_mm > height:
        raise PlaceOutside(f"page {page + 1}")


def _code_place(opened: pypdfium2.PdfDocument, code: CodeWish) -> tuple[int | None, float, float]:
    if code.where == "page":
        return None, 0.0, 0.0
    if code.where == "place":
        page = _page(opened, code.page)
        _require_inside(opened, page, code.x_mm, code.y_mm, *STRIP_MM)
        if not _blank(opened, page, code.x_mm, code.y_mm):
            raise CodePlaceTaken
        return page, code.x_mm, code.y_mm
    width, height = (side / POINTS for side in opened[0].get_size())
    right, low = width - MARGIN_MM - STRIP_MM[0], height - MARGIN_MM - STRIP_MM[1]
    if right < MARGIN_MM or low < MARGIN_MM:
        return None, 0.0, 0.0
    corners = ((MARGIN_MM, low), (right, low), (right, MARGIN_MM), (MARGIN_MM, MARGIN_MM))
    free = next((one for one in corners if _blank(opened, 0, *one)), None)
    return (0, *free) if free is not None else (None, 0.0, 0.0)


def _blank(opened: pypdfium2.PdfDocument, page: int, x_mm: float, y_mm: float) -> bool:
    """Whether nothing is printed where the strip would be."""
    picture = opened[page].render(scale=_SURVEY_SCALE, may_draw_forms=True).to_pil().convert("L")
    per_mm = POINTS * _SURVEY_SCALE
    left, top = round(x_mm * per_mm), round(y_mm * per_mm)
    box = (left, top, left + round(STRIP_MM[0] * per_mm), top + round(STRIP_MM[1] * per_mm))
    darkest = picture.crop(box).getextrema()[0]
    return bool(cast(float, darkest) >= _PAPER)


def _lay_over(page: pikepdf.Page, strip: pikepdf.Object, paper: OwnPaper) -> None:
    """The strip above everything else, under a name of its own: a generated one would differ every time."""
    left, _, _, top = (float(side) for side in page.mediabox)
    x, y = left + paper.code_x_mm * POINTS, top - (paper.code_y_mm + STRIP_MM[1]) * POINTS
    name = page.add_resource(strip, pikepdf.Name.XObject, pikepdf.Name.FujieCode, replace_existing=False)
    page.contents_add(b"q\n", prepend=True)
    page.contents_add(f"\nQ\nq 1 0 0 1 {x:.4f} {y:.4f} cm {name} Do Q\n".encode())


def _attach(document: pikepdf.Pdf, job: Imprint) -> None:
    """The metadata as an associated file (ISO 32000-2 §14.13): what a reader knows the certificate by."""
    at = job.timestamp.astimezone(dt.UTC).strftime("D:%Y%m%d%H%M%SZ")
    spec = pikepdf.AttachedFileSpec(
        document, job.metadata, description="证照元数据 (GB/T 36903)", filename="metadata.json", mime_type="application/json",
        creation_date=at, mod_date=at,
    )  # fmt: skip
    spec.obj.AFRelationship = pikepdf.Name.Data
    document.attachments["metadata.json"] = spec
    document.Root.AF = pikepdf.Array([spec.obj])


def _typeset(job: Imprint, pages: int, fonts: FontSet) -> bytes:
    common: dict[str, Any] = {
        "title": job.paper.title, "number": job.number, "issuer": job.issuer, "identifier": job.identifier, "verify_url": job.verify_url,
        "verification_code": grouped(job.verification_code), "qr": to_svg(encode(job.verify_url)),
    }  # fmt: skip
    if job.paper.code_page is not None:
        data = common | {"kind": "strip", "width_mm": STRIP_MM[0], "height_mm": STRIP_MM[1]}
    else:
        data = common | {"kind": "page", "facts": _facts(job, pages), "note": _NOTE}
    with _PRESS:
        made = _compiler(fonts).compile(
            str(ROOT / "templates" / "own_document.typ"), format="pdf", sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
            timestamp=job.timestamp.replace(microsecond=0),
        )  # fmt: skip
    return cast(bytes, made)


def _facts(job: Imprint, pages: int) -> list[tuple[str, str]]:
    period = printed_period(job.valid_from, job.valid_to)
    told = [
        ("标题", job.paper.title), ("文号", job.number), ("发文机关", job.issuer), ("制发日期", printed_date(job.issued_on)),
        ("有效期", period), ("正文页数", str(pages)), ("电子证照标识", job.identifier), ("正文摘要", f"SHA-256 {job.paper.document}"),
    ]  # fmt: skip
    return [(label, value) for label, value in told if value]


_PRESS = Lock()


@lru_cache(maxsize=4)
def _compiler(fonts: FontSet) -> typst.Compiler:
    return typst.Compiler(root=str(ROOT), font_paths=loaded(fonts))
