"""Commands that need the house: they use the running instance's servers, or start the embedded ones for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from api import logs
from api.commands.run import settings
from api.wiring import House, open_house, shared_servers

T = TypeVar("T")


def with_house(journey: Callable[[House], Awaitable[T]]) -> T:
    """Open the house, run ``journey``, close it again."""
    chosen = settings()
    logs.configure()

    async def opened() -> T:
        async with open_house(chosen, addresses) as house:
            return await journey(house)

    with shared_servers(chosen) as addresses:
        return asyncio.run(opened())
