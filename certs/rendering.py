"""Renders a certificate to PDF/A-3b, deterministically: equal jobs give equal octets.

Synchronous and CPU-bound (about 15 ms once warm): called in a worker process. The design is a typst document and a TOML
form in ``certs/templates``; see the README there. Steps of :func:`render`:

1. choose the template that the type names, or the one installed for its code;
2. check that what will be printed is legible, complete and has glyphs;
3. typeset, with the metadata attached;
4. answer the file, its SHA-256 and the place left for the seal.
"""

import atexit
import dataclasses
import datetime as dt
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, cast

import typst

from certs.assembling import NotAssembled, assembled, code_mark, plate_marks
from certs.fonts import REQUIRED_FONTS, FontSet
from certs.forms import Form, form_of
from certs.glyphs import Glyph, build_font
from certs.legibility import GlyphMissing, check_legible
from certs.photographs import photo_svg
from certs.pictures import PictureFailed, picture
from certs.qr import QrCode, encode, encode_offline, to_svg
from keys.base.errors import FujieError, InvalidInput
from seal.placement import Placement

ROOT = Path(__file__).parent
MOST_FIELDS = 24
MOST_CHARACTERS = 4000
MOST_LABEL = 20
MOST_METADATA = 1 << 20
OPEN_END = "长期"


class FieldsTooLong(FujieError):
    """The fields do not fit on the page even in the smallest type that is still legible (7 pt)."""

    code = "FIELDS_TOO_LONG"
    status = 422
    public = (
        "证照内容过长，一页排不下；请精简内容，或将明细改列附件。",
        "The fields are too long for the page. Please shorten them or move the details to an annex.",
    )


class RenderFailed(FujieError):
    """The typesetter refused a document that passed every check: a fault of the template."""

    code = "RENDER_FAILED"
    status = 500
    public = ("证照排版失败，请联系管理员。", "The certificate could not be typeset. Please contact the administrator.")


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Everything that is printed, and the metadata that is attached. Picklable.

    ``type_code``  GB/T 36904 type code; chooses the template, unless ``template`` names one
    ``fields``     (label, value) in the order they are printed
    ``metadata``   UTF-8 JSON, attached as ``metadata.json``
    ``timestamp``  the file's creation instant; aware
    ``offline_text``  what the second QR code says (:mod:`certs.offline_code`); None: the paper has none
    ``photo``      the holder's photograph, JPEG or PNG, where the form has a place for it; None: the frame stays empty
    ``copy``       which of the form's copies; empty: the first
    ``glyphs``     outlines of characters that no font has
    ``substitutes``  (character, what is printed in its place); metadata and record keep the character
    """

    type_code: str
    title_zh: str
    title_en: str
    number: str
    identifier: str
    holders: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    issuer: str
    issued_on: dt.date
    valid_from: dt.date | None
    valid_to: dt.date | None
    verify_url: str
    verification_code: str
    metadata: bytes
    timestamp: dt.datetime
    offline_text: str | None = None
    photo: bytes | None = None
    copy: str = ""
    glyphs: tuple[Glyph, ...] = ()
    substitutes: tuple[tuple[str, str], ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An unsealed certificate. ``sha256`` is of ``pdf``, hexadecimal; ``seal_place`` is the centre of the seal."""

    pdf: bytes
    sha256: str
    seal_place: Placement


def render(job: RenderJob, fonts: FontSet = REQUIRED_FONTS) -> Rendered:
    """Raises NotFound (no template), InvalidInput, GlyphMissing or FieldsTooLong; RenderFailed is a fault of ours."""
    form, job = form_of(job.type_code, job.template), substituted(job)
    fields = printed_fields(form, job)
    check_sizes(job, fields)
    check_legible(printed_texts(job, fields), frozenset(one.character for one in job.glyphs))
    pdf = typeset(form, job, fields, dataclasses.replace(fonts, rare=rare_folder(job.glyphs)) if job.glyphs else fonts)
    return Rendered(pdf, hashlib.sha256(pdf).hexdigest(), form.seal_place)


def substituted(job: RenderJob) -> RenderJob:
    """The job with agreed characters in place of those that cannot be printed."""
    if not job.substitutes:
        return job
    table = {ord(character): text for character, text in job.substitutes}
    return dataclasses.replace(
        job,
        number=job.number.translate(table),
        issuer=job.issuer.translate(table),
        holders=tuple(one.translate(table) for one in job.holders),
        fields=tuple((label, value.translate(table)) for label, value in job.fields),
    )


def printed_fields(form: Form, job: RenderJob) -> tuple[tuple[str, str], ...]:
    """The rows of the certificate: the job's fields, the holders and the period if the form wants them as rows.

    Raises InvalidInput if a label stands twice, or if the row that names the holder does not name every holder: the
    print and the record must not tell different stories.
    """
    rows = dict(job.fields)
    if len(rows) != len(job.fields):
        raise InvalidInput("a label stands twice", errors=[{"field": "fields", "message": "栏目重复 (a label stands twice)"}])
    if form.holders_label not in rows:
        rows = {form.holders_label: "、".join(job.holders), **rows}
    if not job.holders or not all(holder and holder in rows[form.holders_label] for holder in job.holders):
        raise InvalidInput(
            "the printed holder is not the holder",
            errors=[{"field": form.holders_label, "message": "与持证主体不一致 (does not name every holder)"}],
        )
    if form.validity_label and (period := printed_period(job.valid_from, job.valid_to, short_date if form.short_dates else printed_date)):
        rows.setdefault(form.validity_label, period)
    return form.arrange(rows)


def printed_date(day: dt.date) -> str:
    return f"{day.year} 年 {day.month} 月 {day.day} 日"


def short_date(day: dt.date) -> str:
    """As cards print it, where the words have no room."""
    return f"{day.year}.{day.month:02}.{day.day:02}"


def printed_period(start: dt.date | None, end: dt.date | None, spoken: Callable[[dt.date], str] = printed_date) -> str:
    """The period of validity in words; empty if the certificate has none."""
    if start is None:
        return f"至 {spoken(end)}" if end else ""
    return f"{spoken(start)} 至 {spoken(end) if end else OPEN_END}"


def grouped(code: str) -> str:
    """A verification code in groups of four, as people read it out."""
    return "-".join(code[i : i + 4] for i in range(0, len(code), 4))


def check_sizes(job: RenderJob, fields: tuple[tuple[str, str], ...]) -> None:
    """Bounds the typesetter's work before it starts."""
    if len(fields) > MOST_FIELDS or sum(len(label) + len(value) for label, value in fields) > MOST_CHARACTERS:
        raise FieldsTooLong(f"{len(fields)} fields")
    for label, _ in fields:
        if not 0 < len(label) <= MOST_LABEL:
            raise InvalidInput("a label too long to print", errors=[{"field": label[:MOST_LABEL], "message": "栏目名长度不合 (length)"}])
    if len(job.metadata) > MOST_METADATA:
        raise InvalidInput("metadata too large", errors=[{"field": "metadata", "message": "过大 (too large)"}])
    for name, text, most in (
        ("number", job.number, 64), ("identifier", job.identifier, 128), ("title_zh", job.title_zh, 40),
        ("title_en", job.title_en, 120), ("issuer", job.issuer, 40), ("verification_code", job.verification_code, 32),
    ):  # fmt: skip
        if not 0 < len(text) <= most:
            raise InvalidInput(f"{name} of {len(text)} characters", errors=[{"field": name, "message": "长度不合 (length)"}])


def printed_texts(job: RenderJob, fields: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """(name, text) of everything on the page that comes from the job."""
    for name in ("title_zh", "title_en", "number", "identifier", "issuer", "verify_url", "verification_code"):
        yield name, getattr(job, name)
    for label, value in fields:
        yield label, label
        yield label, value


def typeset(form: Form, job: RenderJob, fields: tuple[tuple[str, str], ...], fonts: FontSet) -> bytes:
    codes = Codes()
    data = template_data(form, job, fields, fonts, codes.mark) | {"plates": plate_marks()}
    press = press_for(form.document, fonts)
    try:
        pdf = press.print(data, attached_text(job.metadata), job.timestamp.replace(microsecond=0))
        return assembled(pdf, codes.drawn)
    except typst.TypstError as error:
        if error.message == "panicked with: FIELDS_TOO_LONG":  # raised by `fit` in parts.typ
            raise FieldsTooLong(form.document) from None
        raise RenderFailed(f"{form.document}: {error.message}") from error
    except NotAssembled as error:
        raise RenderFailed(f"{form.document}: {error}") from error


class Codes:
    """The codes of one sheet of marks (:mod:`certs.assembling`), in the order they were asked for."""

    def __init__(self) -> None:
        self.drawn: list[QrCode] = []

    def mark(self, code: QrCode) -> str:
        self.drawn.append(code)
        return code_mark(code, len(self.drawn) - 1)


def attached_text(metadata: bytes) -> str:
    try:
        return metadata.decode()
    except UnicodeDecodeError:
        raise InvalidInput("metadata not UTF-8", errors=[{"field": "metadata", "message": "编码不合 (not UTF-8)"}]) from None


def template_data(
    form: Form, job: RenderJob, fields: tuple[tuple[str, str], ...], fonts: FontSet, draw: Callable[[QrCode], str] = to_svg
) -> dict[str, Any]:
    """What the templates see as ``data``; ``draw``: the SVG of a code."""
    return {
        "title_zh": job.title_zh, "title_en": job.title_en, "number": job.number, "identifier": job.identifier,
        "fields": fields, "issuer": job.issuer, "issued_on": printed_date(job.issued_on),
        "verify_url": job.verify_url, "verification_code": grouped(job.verification_code),
        "qr": draw(encode(job.verify_url)), "fonts": optional_faces(fonts), "copy": printed_copy(form, job.copy),
        "offline_qr": draw(encode_offline(job.offline_text)) if job.offline_text else None,
        "photo": photo_svg(job.photo) if form.photo and job.photo else None,
    }  # fmt: skip


def printed_copy(form: Form, asked: str) -> str:
    """Which copy is printed: the one asked for, or the form's first. Raises InvalidInput."""
    if asked and asked not in form.copies:
        raise InvalidInput("no such copy of this type", errors=[{"field": "copy", "message": "没有这种文本 (no such copy)"}])
    return asked or next(iter(form.copies), "")


@lru_cache(maxsize=32)
def rare_folder(glyphs: tuple[Glyph, ...]) -> Path:
    """A folder of this process with one small font of these outlines."""
    folder = Path(tempfile.mkdtemp(prefix="fujie-rare-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "rare.otf").write_bytes(build_font(glyphs))
    return folder


@lru_cache(maxsize=32)
def optional_faces(fonts: FontSet) -> dict[str, bool]:
    """Which of the optional faces are at hand: ``kai`` for values, ``black`` for titles, ``rare`` for what was supplied."""
    faces = {(face.family, face.weight) for face in loaded(fonts).fonts()}
    return {"kai": ("LXGW WenKai", 400) in faces, "black": ("Noto Serif SC", 900) in faces, "rare": fonts.rare is not None}


@lru_cache(maxsize=8)
def loaded(fonts: FontSet) -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(fonts.folders()))


class Press:
    """One reused compiler for one template; a process keeps it, and one thread at a time may print.

    What differs from job to job comes as files, not as inputs: an input makes typst forget all that it worked out before.
    """

    def __init__(self, document: str, fonts: FontSet) -> None:
        self._main = f'#include "/templates/{document}"'.encode()
        self._compiler = typst.Compiler(root=str(ROOT), font_paths=loaded(fonts))
        self._lock = Lock()

    def print(self, data: dict[str, Any], metadata: str, timestamp: dt.datetime) -> bytes:
        """The PDF/A-3b; raises typst.TypstError."""
        files = {
            "main": self._main,
            "data.json": json.dumps(data, ensure_ascii=False).encode(),
            "fonts.json": json.dumps(data["fonts"]).encode(),
            "metadata.json": metadata.encode(),
        }
        with self._lock:
            pdf = self._compiler.compile(cast(Any, files), format="pdf", pdf_standards="a-3b", timestamp=timestamp)
        return cast(bytes, pdf)  # one file, whatever the number of pages


@lru_cache(maxsize=64)
def press_for(document: str, fonts: FontSet) -> Press:
    return Press(document, fonts)


__all__ = ["FieldsTooLong", "GlyphMissing", "PictureFailed", "RenderFailed", "RenderJob", "Rendered", "picture", "render"]
