"""Prints a scan of a paper certificate as a PDF/A-3b that says what it is: a copy of paper, of trust grade B or C.

The picture is what was scanned; the words above it are the record. Laid out as annotated copies are (``certs.copy_rendering``).
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

from certs.copy_pictures import PagePicture, marked_page
from certs.copy_rendering import BAND_MM, SEAL, print_sheets, sheets_of, spoken
from certs.fonts import REQUIRED_FONTS, FontSet
from certs.legibility import check_legible
from certs.qr import encode, to_svg
from certs.rendering import Rendered, grouped, optional_faces, printed_period

SAID = {
    "title": "纸质证照复制件",
    "english": "Copy of a paper certificate",
    "scan": "扫码核验",
    "scan_english": "Scan to verify",
    "foot": "本件由纸质证照扫描形成，须与库中记录一并核验。 Made from a scan of paper; to be verified against the record.",
    "attached": "证照元数据 (GB/T 36903)",
}
GRADES = {
    "B": "B 级：已与原件核对 checked against the original",
    "C": "C 级：持有人提供 brought by the holder",
    "D": "D 级：自行制作 made from other records",
}
WATERMARK = "纸质证照复制件 COPY OF PAPER"


@dataclass(frozen=True, slots=True)
class PaperCopyJob:
    """Everything that is printed, and the metadata that is attached. Picklable. ``pages``: the scan, drawn in the sandbox."""

    pages: tuple[PagePicture, ...]
    title_zh: str
    number: str
    identifier: str
    holders: tuple[str, ...]
    issuer: str
    valid_from: dt.date | None
    valid_to: dt.date | None
    grade: str
    maker: str
    made_at: dt.datetime
    scan_hash: bytes
    verify_url: str
    verification_code: str
    metadata: bytes


def render_paper_copy(job: PaperCopyJob, fonts: FontSet = REQUIRED_FONTS) -> Rendered:
    """Raises ``GlyphMissing``, ``InvalidInput``, ``FieldsTooLong``; ``RenderFailed`` is a fault of ours."""
    rows = annotations_of(job)
    check_legible(rows)
    pages = [marked_page(page, WATERMARK) for page in job.pages]
    pdf = print_sheets(_data(job, rows, pages, fonts), job.metadata, job.made_at, pages, fonts)
    return Rendered(pdf, hashlib.sha256(pdf).hexdigest(), SEAL)


def annotations_of(job: PaperCopyJob) -> tuple[tuple[str, str], ...]:
    """(label, what is printed), in order."""
    digest = job.scan_hash.hex()
    rows = [
        ("证照名称 Name", job.title_zh),
        ("证照编号 Number", job.number),
        ("持证主体 Holder", "、".join(job.holders)),
        ("颁发机构 Issuer", job.issuer),
        ("有效期 Validity", printed_period(job.valid_from, job.valid_to)),
        ("证照标识 Identifier", job.identifier),
        ("可信等级 Trust grade", GRADES.get(job.grade, job.grade)),
        ("制作单位 Made by", job.maker),
        ("制作时间 Made at", spoken(job.made_at)),
        ("扫描件摘要 SHA-256", f"{digest[:32]} {digest[32:]}"),
    ]
    return tuple((label, text) for label, text in rows if text)


def _data(job: PaperCopyJob, rows: tuple[tuple[str, str], ...], pages: list[PagePicture], fonts: FontSet) -> dict[str, object]:
    return {
        "said": SAID, "title_zh": job.title_zh, "identifier": job.identifier, "issuer": job.issuer, "maker": job.maker,
        "annotations": rows, "sheets": sheets_of(pages, f"扫描图像 Scan: {job.title_zh} {job.number}"), "band_mm": BAND_MM,
        "verify_url": job.verify_url, "verification_code": grouped(job.verification_code), "qr": to_svg(encode(job.verify_url)),
        "fonts": optional_faces(fonts),
    }  # fmt: skip
