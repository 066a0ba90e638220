"""Files that commands write: secrets whole or not at all, and nothing over what is there."""

import os
from pathlib import Path

from keys.base.errors import Conflict


class OutputExists(Conflict):
    """The file that a command was told to write is already there."""

    code = "OUTPUT_EXISTS"
    public = ("输出文件已存在，未执行任何操作。", "The output file already exists; nothing was done.")


def require_new(path: Path) -> None:
    """Asked before anything is made: what is made once must find its place. Raises :class:`OutputExists`."""
    if path.exists():
        raise OutputExists(str(path))


def write_private(path: Path, text: str) -> None:
    """Replaces ``path`` in one step, mode 0600, durable before it returns."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    part.replace(path)
