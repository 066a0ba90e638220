"""Pictures of certificates' first pages, made in workers and kept by the file's hash.

The cache is a folder of this machine: it may be lost at any time, is bounded in size and age, and is readable by the service's user
only. Whoever asks for a picture was let to the certificate first.
"""

import asyncio
import os
import secrets
from pathlib import Path

from api.wiring import House
from certs.pictures import PictureFailed, picture

CARD_DPI = 80
PAGE_DPI = 130
_EVERY = 64
_OLDEST_SECONDS = 7 * 86_400.0


def folder_of(house: House) -> Path:
    """Where this machine keeps its pictures."""
    return house.settings.home / "cache" / "cards"


async def card_picture(house: House, digest: bytes, dpi: int) -> bytes:
    """The first page of the file as PNG. Raises ``BlobDamaged``, ``StoreUnreachable``, ``PictureFailed``."""
    place = folder_of(house) / digest.hex()[:2] / f"{digest.hex()}-{dpi}.png"
    kept = await asyncio.to_thread(_read, place)
    if kept is not None:
        return kept
    made = await house.workers.run(picture, await house.blobs.get(digest), 0, dpi)
    await asyncio.to_thread(_keep, place, made, folder_of(house), house.settings.preview_megabytes << 20, house.clock.now().timestamp())
    return made


def _read(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except OSError:
        return None


def _keep(place: Path, content: bytes, folder: Path, most: int, now: float) -> None:
    """A cache that cannot be written costs time only: the picture is made again."""
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        draft.replace(place)
        if secrets.randbelow(_EVERY) == 0:
            prune(folder, most, now)
    except OSError:
        draft.unlink(missing_ok=True)


def prune(folder: Path, most: int, now: float) -> int:
    """Drop what is a week old, then the oldest until the rest fits; how many."""
    found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("??/*.png"))
    left, dropped = sum(size for _, size, _ in found), 0
    for made, size, path in found:
        if left <= most and now - made < _OLDEST_SECONDS:
            break
        path.unlink(missing_ok=True)
        left, dropped = left - size, dropped + 1
    return dropped


__all__ = ["CARD_DPI", "PAGE_DPI", "PictureFailed", "card_picture", "folder_of", "prune"]
