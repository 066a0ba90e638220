"""Files with secrets: whole or not at all, readable by their owner only."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replaces ``path`` in one step, mode 0600, durable before it returns."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    part.replace(path)
