"""An export as files: numbered zip archives in a folder, each with its lines and the PDFs they name.

A part is complete or not there: it is written beside its place and renamed, then the state says where the next begins. Killed at any
instant, the same command goes on after the last complete part; other options in the same folder are refused.
"""

import hashlib
import io
import os
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from certs.exporting import PART, Line, Wanted, begin, encode, end, file_of_line, header, lines
from certs.library import Library
from keys.base.actor import Actor
from keys.base.errors import Conflict

_STATE = "export.json"
_EARLIEST = (1980, 1, 1, 0, 0, 0)


class OtherExport(Conflict):
    """The folder holds another export, or something else."""

    code = "EXPORT_OTHER"
    public = ("该目录中已有另一次导出，请换一个目录。", "The folder holds another export; choose another one.")


@dataclass(frozen=True, slots=True)
class State:
    """How far an export is. ``request``: a digest of what was asked for; ``cursor``: the last certificate of the last whole part."""

    request: str
    parts: int = 0
    certificates: int = 0
    missing: int = 0
    cursor: str = ""
    finished: bool = False


async def export_to(
    library: Library, actor: Actor, wanted: Wanted, folder: Path, *, files: bool, tell: Callable[[State], object] = lambda state: None
) -> State:
    """Begin or go on; the state at the end. Raises what ``exporting.begin`` raises, and :class:`OtherExport`."""
    state = _open(folder, _request(wanted, files))
    if state.finished:
        return state
    admitted = await begin(library, actor, wanted)
    async for part in parts(library, actor, admitted, uuid.UUID(state.cursor) if state.cursor else None):
        content, missing = await archive(library, admitted, part, files=files)
        _write(folder / f"part-{state.parts + 1:05}.zip", content)
        certificates = state.certificates + len(part)
        state = replace(state, parts=state.parts + 1, certificates=certificates, missing=state.missing + missing, cursor=str(part[-1].id))
        _save(folder, state)
        tell(state)
    state = replace(state, finished=True)
    _save(folder, state)
    await end(library, actor, admitted, state.certificates)
    return state


async def parts(library: Library, actor: Actor, wanted: Wanted, after: uuid.UUID | None) -> AsyncIterator[list[Line]]:
    """The lines in lots of at most :data:`certs.exporting.PART`."""
    lot: list[Line] = []
    async for page in lines(library, actor, wanted, after):
        lot += page
        while len(lot) >= PART:
            yield lot[:PART]
            lot = lot[PART:]
    if lot:
        yield lot


async def archive(library: Library, wanted: Wanted, part: list[Line], *, files: bool) -> tuple[bytes, int]:
    """One part as a zip archive, and how many files it names but has not: damaged ones, which the scrubber reports."""
    buffer, missing = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w") as made:
        for line in part if files else ():
            data = await file_of_line(library, line)
            missing += data is None and line.file is not None
            if data is not None and line.file is not None:
                made.writestr(zipfile.ZipInfo(line.file[0], _EARLIEST), data)  # a PDF is compressed already
        text = header(wanted) + b"".join(encode(line, wanted) for line in part)
        made.writestr(zipfile.ZipInfo(f"certificates.{wanted.format.value}", _EARLIEST), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue(), missing


def _request(wanted: Wanted, files: bool) -> str:
    asked = [str(wanted.organisation), str(wanted.type_code), str(wanted.issued_from), str(wanted.issued_to), wanted.format.value]
    return hashlib.sha256(orjson.dumps([*asked, wanted.numbers, files])).hexdigest()


def _open(folder: Path, request: str) -> State:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        state = State(**orjson.loads((folder / _STATE).read_bytes()))
    except FileNotFoundError:
        if any(folder.iterdir()):
            raise OtherExport(str(folder)) from None
        state = State(request)
        _save(folder, state)
    except (TypeError, orjson.JSONDecodeError):
        raise OtherExport(str(folder)) from None
    if state.request != request:
        raise OtherExport(str(folder))
    return state


def _save(folder: Path, state: State) -> None:
    _write(folder / _STATE, orjson.dumps(state, option=orjson.OPT_INDENT_2))


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
