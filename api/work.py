"""``fujie worker``: the background jobs and batches, without serving HTTP, until SIGINT or SIGTERM."""

import asyncio
import signal

import uvloop
from rich.console import Console

from api import logs
from api.background import background
from api.embedded import Addresses
from api.settings import Settings
from api.wiring import existing_servers, open_house


def work(settings: Settings, console: Console) -> None:
    """Work until told to stop; then end what has begun. Raises NothingRuns."""
    addresses = existing_servers(settings)
    logs.configure()
    uvloop.run(_work(settings, addresses, console))


async def _work(settings: Settings, addresses: Addresses, console: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_house(settings, addresses) as house:
        house.workers.warm()
        async with background(house):
            console.print("[bold green]working[/] 工作中", highlight=False)
            await stop.wait()
    console.print("已停止 stopped")
