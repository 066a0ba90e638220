"""Previews of templates, at most two at once in a process: for the API and for the page."""

import asyncio

from certs.previewing import Draft, Preview, preview_draft
from keys.base.errors import Throttled

AT_ONCE = 2
_free = asyncio.Semaphore(AT_ONCE)


async def previewed(draft: Draft) -> Preview:
    """Pictures of the pages, or what is wrong. Raises InvalidInput and Throttled."""
    if _free.locked():
        raise Throttled
    async with _free:
        return await asyncio.to_thread(preview_draft, draft)
