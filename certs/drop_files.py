"""Files of approvals in a folder: which are ready, what their rows say, the receipt. Files only; no database.

    FOLDER/CLIENT-ID/inbox/      laid down by the old system, CSV, JSON or JSON lines
                     receipts/   what became of each row
                     done/       files that were worked through; removed after a week, for they hold ID numbers
                     refused/    files that were none

A file is taken once it has stood unchanged for two seconds. One that seems cut off (no line end at its end, JSON that is not closed) gets
a minute more. Whoever writes slowly writes under another name (``.tmp``, ``.part``, a dot in front) and renames, or lays ``NAME.sha256``
beside it: then it is taken once it is what that says. A file laid under a name that is there waits its turn.
"""

import hashlib
import io
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from certs.tables import TableUnreadable, open_table
from keys.base.errors import FujieError

LARGEST = 64 * 1024 * 1024
SETTLED_SECONDS = 2.0
UNFINISHED_SECONDS = 60.0
KEPT_SECONDS = 7 * 86_400.0
INBOX, RECEIPTS, DONE, REFUSED = "inbox", "receipts", "done", "refused"
_KINDS = (".csv", ".json", ".jsonl")
_DIGEST = re.compile(rb"\s*([0-9a-fA-F]{64})\b")
_WORLD_WRITABLE = stat.S_IWOTH


class DropUnreadable(FujieError):
    """The file is neither CSV with a header nor JSON; or larger than 64 MB."""

    code = "DROP_UNREADABLE"
    status = 422
    public = (
        "文件不是带表头的 CSV、JSON 或 JSON Lines，或超过 64 MB。",
        "The file is neither CSV with a header line, JSON nor JSON lines, or it is larger than 64 MB.",
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is ready: read whole, so that nobody changes it under us."""

    path: Path
    content: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    @property
    def kept_name(self) -> str:
        """Its name afterwards: two files of one name do not meet."""
        return f"{self.path.stem}.{self.digest.hex()[:8]}{self.path.suffix}"


@dataclass(frozen=True, slots=True)
class Row:
    """``number`` from 1; ``members`` by column or of JSON; ``fault`` where it cannot be read."""

    number: int
    members: Mapping[str, Any] = field(repr=False)
    fault: str = ""


@dataclass
class Watch:
    """What a process remembers of an inbox between two looks: since when each file has been as it is (seconds of the machine's run)."""

    folder: Path
    _seen: dict[str, tuple[tuple[int, int], float]] = field(default_factory=dict)

    @property
    def client_id(self) -> str:
        return self.folder.name

    def ready(self, now: float | None = None) -> Iterator[Path]:
        """The files that have settled, in the order of their names. What is no plain file of ours is not looked at."""
        instant = time.monotonic() if now is None else now
        names = sorted(one.name for one in os.scandir(self.folder / INBOX) if _is_ours(one))
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        for name in names:
            path = self.folder / INBOX / name
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            state = (found.st_size, found.st_mtime_ns)
            before, since = self._seen.get(name, (None, instant))
            if before != state:
                self._seen[name] = state, instant
            elif instant - since >= SETTLED_SECONDS and self._is_whole(path, instant - since):
                yield path

    def _is_whole(self, path: Path, unchanged: float) -> bool:
        told = path.with_name(path.name + ".sha256")
        if told.exists():
            digest = _DIGEST.match(told.read_bytes()[:200])
            return digest is not None and _digest_of(path) == bytes.fromhex(digest.group(1).decode())
        return unchanged >= UNFINISHED_SECONDS or _seems_whole(path)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_KINDS) and not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _seems_whole(path: Path) -> bool:
    if path.stat().st_size > LARGEST:
        return True  # refused as it is
    content = path.read_bytes()
    if path.suffix == ".json":
        return _json(content) is not None
    return content.endswith((b"\n", b"\r"))


def watches(root: Path) -> list[Watch]:
    """A watch for each client's folder. One that everybody may write in is nobody's: it is left out (and ``doctor`` says so)."""
    if not root.is_dir():
        return []
    return [Watch(one) for one in sorted(root.iterdir()) if (one / INBOX).is_dir() and not is_open_to_all(one / INBOX)]


def is_open_to_all(folder: Path) -> bool:
    """Whether anybody on the machine may lay a file there, and so issue in the client's name."""
    return bool(folder.stat().st_mode & _WORLD_WRITABLE)


def read_file(path: Path) -> Found:
    """The file as it is now, followed through no link. Raises :class:`DropUnreadable` where it is too large, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DropUnreadable("size")
    return Found(path, content)


def rows_of(found: Found) -> Iterator[Row]:
    """Its rows in their order. Raises :class:`DropUnreadable`."""
    if found.path.suffix == ".json":
        yield from _json_rows(found.content)
        return
    try:
        table = open_table(io.BytesIO(found.content))
    except TableUnreadable:
        raise DropUnreadable from None
    for number, one in enumerate(table.rows, 1):
        yield Row(number, one.members, one.fault)


def _json_rows(content: bytes) -> Iterator[Row]:
    value = _json(content)
    items = value if isinstance(value, list) else [value]
    if value is None or not items:
        raise DropUnreadable("json")
    for number, one in enumerate(items, 1):
        yield Row(number, one if isinstance(one, dict) else {}, "" if isinstance(one, dict) else "no object")


def _json(content: bytes) -> object:
    """What a JSON document says, in UTF-8 or GB 18030; None for what is none."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            value: object = orjson.loads(content.decode(encoding))
        except (UnicodeDecodeError, orjson.JSONDecodeError):
            continue
        return value
    return None


def write_receipt(watch: Watch, found: Found, lines: Sequence[Mapping[str, object]]) -> Path:
    """What became of each row, JSON lines, under a name that follows from the file's name and content. All of it or nothing."""
    path = watch.folder / RECEIPTS / f"{found.path.stem}.{found.digest.hex()[:8]}.receipt.jsonl"
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb") as file:
        file.writelines(orjson.dumps(one) + b"\n" for one in lines)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path


def put_away(watch: Watch, found: Found, where: str) -> None:
    """Out of the inbox, if it is still the file that was read: one laid there meanwhile stays."""
    folder = watch.folder / where
    folder.mkdir(exist_ok=True)
    try:
        if found.path.stat().st_size <= LARGEST and _digest_of(found.path) != found.digest:
            return
        found.path.replace(folder / found.kept_name)
        os.utime(folder / found.kept_name)
    except FileNotFoundError:
        return
    found.path.with_name(found.path.name + ".sha256").unlink(missing_ok=True)


def forget_old(watch: Watch, now: float) -> int:
    """Remove what was put away a week ago: it holds ID numbers. ``now``: Unix seconds. How many files."""
    removed = 0
    for where in (DONE, REFUSED):
        for path in (watch.folder / where).glob("*"):
            if path.is_file() and path.stat().st_mtime < now - KEPT_SECONDS:
                path.unlink(missing_ok=True)
                removed += 1
    return removed
