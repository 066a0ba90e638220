"""Redrawing an uploaded impression in a process that may take ten seconds and 1 GB and nothing else.

:func:`redraw`
  1. octets and real size, before anything is started
  2. the kind of file by its first octets, which must be the one that was said
  3. a process of our own interpreter with limits that the kernel holds; it reads the picture and answers outlines
  4. what came back prints neither nothing nor everything

What the file was is unimportant afterwards: only outlines leave the process. The file itself is never changed.
"""

import json
import os
import resource
import subprocess
import sys

from keys.base.errors import FujieError
from seal import impressions
from seal.designs import Shape
from seal.drawing import Drawing
from seal.engraving import coverage
from seal.impressions import (
    LEAST_MM,
    MAX_OCTETS,
    MOST_MM,
    ImpressionEmpty,
    ImpressionRefused,
    ImpressionSize,
    ImpressionSolid,
    ImpressionTookTooLong,
    ImpressionTooLarge,
    ImpressionTypeUnknown,
    MediaType,
    Upload,
)

SECONDS, MEMORY = 10, 1024 * 1024 * 1024
_LEAST_COVER, _MOST_COVER = 0.005, 0.9
_COVER_DPI = 100
_REFUSALS = {
    one.code: one for one in vars(impressions).values() if isinstance(one, type) and issubclass(one, FujieError) and one is not FujieError
}


def redraw(upload: Upload) -> Drawing:
    """The outlines of an uploaded impression. Blocks; raises what :mod:`seal.impressions` lists."""
    _check_upload(upload)
    drawing = Drawing.from_bytes(_in_the_room(upload))
    cover = coverage(drawing, _COVER_DPI)
    part = sum(level * count for level, count in enumerate(cover.histogram())) / (255 * cover.width * cover.height)
    if part < _LEAST_COVER:
        raise ImpressionEmpty(f"{part:.4f} of it prints")
    if part > _MOST_COVER:
        raise ImpressionSolid(f"{part:.4f} of it prints")
    return drawing


def _check_upload(upload: Upload) -> None:
    if len(upload.content) > MAX_OCTETS:
        raise ImpressionTooLarge(f"{len(upload.content)} octets")
    if not (LEAST_MM <= upload.width_mm <= MOST_MM and LEAST_MM <= upload.height_mm <= MOST_MM):
        raise ImpressionSize(f"{upload.width_mm} × {upload.height_mm} mm")
    if upload.shape is Shape.ROUND and upload.width_mm != upload.height_mm:
        raise ImpressionSize("a round impression is as wide as high")
    if media_type_of(upload.content) is not upload.media_type:
        raise ImpressionTypeUnknown(upload.media_type)


def media_type_of(content: bytes) -> MediaType | None:
    """By the first octets."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return MediaType.PNG
    if content.startswith(b"\xff\xd8\xff"):
        return MediaType.JPEG
    start = content[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    return MediaType.SVG if start.startswith(b"<") and b"<svg" in content[:65_536] else None


def _in_the_room(upload: Upload) -> bytes:
    """What the confined process answers."""
    terms = json.dumps([upload.media_type, upload.width_mm, upload.height_mm, upload.shape])
    command = [sys.executable, "-P", "-m", "seal.impression_worker", terms]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module; the picture comes by its standard input
            command,
            input=upload.content,
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
            # Neither secrets nor settings of ours: only where the modules are.
            env={"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ImpressionTookTooLong from error
    if done.returncode != 0:
        raise ImpressionTookTooLong(f"the process ended with {done.returncode}")
    answer = done.stdout
    if answer.startswith(b"{"):
        refused = json.loads(answer)
        raise _REFUSALS.get(refused["code"], ImpressionRefused)(refused["detail"], **refused["extra"])
    return answer


def confine() -> None:
    """In the confined process: after this the kernel ends it when it takes too much of anything."""
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(what, (limit, limit))
