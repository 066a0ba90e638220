"""The inside of a template's preview: one process, one draft, no network, bounded in time and memory; run by :mod:`certs.previewing`.

A typst document reads nothing outside its root: a folder made for this one draft, with copies of the kit and the line work in it. The
process reads the draft from its standard input, and answers pictures or what is wrong, as JSON.
"""

import base64
import ctypes
import json
import re
import resource
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import typst

from certs.fonts import REQUIRED_FONTS
from certs.forms import parse_form
from certs.legibility import GlyphMissing, check_legible
from certs.pictures import MOST_OCTETS, picture
from certs.preview_sample import sample
from certs.rendering import ROOT, check_sizes, loaded, printed_fields, printed_texts, template_data
from keys.base.errors import FujieError

SECONDS, MEMORY, MOST_PAGES = 10, 2 << 30, 6
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_PLACE = re.compile(r"([\w.-]+\.(?:typ|toml)):(\d+)(?::(\d+))?")
_TOML_LINE = re.compile(r"line (\d+)")
_WORDS = {
    "FIELDS_TOO_LONG": ("样例内容排不下：栏目区太小或字号太大", "the sample does not fit: the box of the fields is too small"),
}

Answer = dict[str, Any]


def confine() -> None:
    """After this: no network but an empty one of its own, and the kernel ends the process when it takes too much."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK) != 0:
        libc.unshare(_NEW_USER | _NEW_NETWORK)
    for what, limit in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (limit, limit))


def prepare(folder: Path, form: str, source: str) -> Path:
    """The draft beside copies of the kit; its document."""
    templates = folder / "templates"
    templates.mkdir()
    for kit in ("parts.typ", "kit.typ", "small.typ"):
        shutil.copy(ROOT / "templates" / kit, templates / kit)
    shutil.copytree(ROOT / "assets", folder / "assets")
    (templates / "draft.toml").write_text(form, encoding="utf-8")
    document = templates / "draft.typ"
    document.write_text(source, encoding="utf-8")
    return document


def drawn(folder: Path, draft: dict[str, Any]) -> Answer:
    """Pictures of the draft's pages with the sample's words; or its errors."""
    try:
        form = parse_form(draft["form"])
        job = sample(form, draft["words"])
        fields = printed_fields(form, job)
        check_sizes(job, fields)
        check_legible(printed_texts(job, fields))
        data = template_data(form, job, fields, REQUIRED_FONTS)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        return wrong("draft.toml", int(found[1]) if found else None, "TOML 写法有误", str(error))
    except KeyError as error:
        return wrong("draft.toml", None, f"缺少 {error.args[0]}", f"{error.args[0]} is missing")
    except (TypeError, ValueError, AttributeError) as error:
        return wrong("draft.toml", None, "有的值类型不对", str(error))
    document = prepare(folder, draft["form"], draft["source"])
    inputs = {"data": json.dumps(data, ensure_ascii=False), "metadata": "{}"}
    nowhere = str(folder / "packages")
    compiler = typst.Compiler(root=str(folder), font_paths=loaded(REQUIRED_FONTS), package_path=nowhere, package_cache_path=nowhere)
    try:
        made = compiler.compile(str(document), format="pdf", sys_inputs=inputs, pdf_standards="a-3b", timestamp=job.timestamp)
        pdf = cast(bytes, made)  # one file, whatever the number of pages
    except typst.TypstError as error:
        return told(error)
    return {"pages": pages(pdf), "pdf": base64.b64encode(pdf).decode()}


def pages(pdf: bytes) -> list[str]:
    """PNGs in base64 of the first pages."""
    if len(pdf) > MOST_OCTETS:
        return []
    shown = []
    for number in range(MOST_PAGES):
        try:
            shown.append(base64.b64encode(picture(pdf, number, 110)).decode())
        except FujieError:
            break
    return shown


def told(error: typst.TypstError) -> Answer:
    """Where the typesetter stopped, in words and with a line; never a path of ours."""
    found = _PLACE.search(str(error.diagnostic))
    code = error.message.removeprefix("panicked with: ")
    zh, en = _WORDS.get(code, ("排版不成功", error.message))
    return wrong(found[1] if found else "draft.typ", int(found[2]) if found else None, zh, en, list(error.hints))


def wrong(file: str, line: int | None, zh: str, en: str, hints: list[str] | None = None) -> Answer:
    plain = [re.sub(r"(/[\w.-]+){2,}", "…", words)[:300] for words in (en, *(hints or []))]
    return {"errors": [{"file": file, "line": line, "zh": zh, "en": plain[0], "hints": plain[1:]}]}


def main() -> None:
    draft = json.load(sys.stdin.buffer)
    confine()
    try:
        answer = drawn(Path(sys.argv[1]), draft)
    except GlyphMissing as missing:
        answer = wrong("sample", None, "样例中有字库没有的字", " ".join(missing.characters))
    except FujieError as error:
        answer = wrong("sample", None, error.public[0], error.public[1])
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
