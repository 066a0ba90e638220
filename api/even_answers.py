"""Answers that take the same time whatever they are: nobody learns from the clock what the words do not say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

FLOOR = 0.4


@contextlib.asynccontextmanager
async def evenly(floor: float | None = None) -> AsyncIterator[None]:
    """What happens within ends no earlier than ``floor`` seconds after it began, by an error too. Work takes a small part of it; what took
    longer ends at the next multiple."""
    seconds = FLOOR if floor is None else floor
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        yield
    finally:
        spent = loop.time() - began
        await asyncio.sleep(seconds - spent % seconds if seconds else 0)
