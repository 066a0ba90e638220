"""A template seen while it is written: a draft of a form and its typst document, with sample words, in a process of its own.

Nothing of the draft is kept and nothing is issued from it. The process (:mod:`certs.preview_room`) reads only copies of the kit, has no
network, and is ended after some seconds; what was wrong with the draft comes back with its line.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from certs.forms import TEMPLATES, Form
from certs.legibility import complaint_about
from keys.base.errors import InvalidInput

MOST_TEXT, MOST_WORDS = 64 << 10, 48
PATIENCE = 30.0
FORM_NAME = "draft.toml"
"""What a draft's document reads its form by."""
_CHILD = "-P", "-m", "certs.preview_room"


@dataclass(frozen=True, slots=True)
class Draft:
    """``form`` is TOML, ``source`` typst; ``words`` are sample values by label, and ``title_zh``, ``title_en``."""

    form: str
    source: str
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong. ``file``: ``draft.toml``, ``draft.typ``, a file of the kit, or ``sample``; ``line`` counts from 1."""

    file: str
    line: int | None
    zh: str
    en: str
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """PNGs of the pages and the PDF, both in base64; or the faults."""

    pages: tuple[str, ...] = ()
    pdf: str = ""
    faults: tuple[Fault, ...] = ()


def shipped_draft(form: Form) -> Draft:
    """An installed template to begin from; it reads its form under the name that a draft's has."""
    document = TEMPLATES / form.document
    source = document.read_text(encoding="utf-8").replace(document.with_suffix(".toml").name, FORM_NAME)
    return Draft(document.with_suffix(".toml").read_text(encoding="utf-8"), source, {})


def preview_draft(draft: Draft) -> Preview:
    """Blocks for at most :data:`PATIENCE` seconds. Raises InvalidInput for a draft that is too large; faults are an answer."""
    check_draft(draft)
    with tempfile.TemporaryDirectory(prefix="fujie-preview-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, *_CHILD, folder],
                input=json.dumps({"form": draft.form, "source": draft.source, "words": dict(draft.words)}).encode(),
                env=_surroundings(folder),
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            return _read(json.loads(done.stdout))
        except (subprocess.TimeoutExpired, ValueError):
            return Preview(faults=(Fault("draft.typ", None, "排版用时或内存超出限制", "it took too long or too much memory"),))


def _surroundings(folder: str) -> dict[str, str]:
    """Neither secrets nor settings of ours; a proxy that is not there, should the kernel grant no network namespace."""
    modules = os.pathsep.join(part for part in sys.path if part)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    return {"PYTHONPATH": modules, "HOME": folder, "TMPDIR": folder, **nowhere}


def check_draft(draft: Draft) -> None:
    """Raises InvalidInput."""
    errors = [
        {"field": name, "message": f"1–{MOST_TEXT} characters"}
        for name, text in (("form", draft.form), ("source", draft.source))
        if not 0 < len(text) <= MOST_TEXT
    ]
    errors += [
        {"field": label[:20], "message": "不可印 (not printable)"} for label, text in draft.words.items() if complaint_about(label + text)
    ]
    if len(draft.words) > MOST_WORDS or sum(len(text) for text in draft.words.values()) > MOST_TEXT:
        errors.append({"field": "words", "message": "过多 (too many)"})
    if errors:
        raise InvalidInput("no draft of a template", errors=errors)


def _read(answer: dict[str, Any]) -> Preview:
    faults = tuple(Fault(one["file"], one["line"], one["zh"], one["en"], tuple(one["hints"])) for one in answer.get("errors", ()))
    return Preview(tuple(answer.get("pages", ())), answer.get("pdf", ""), faults)
