"""``fujie serve``: servers, migrations, the application, the demonstration; all stopped again on the way out."""

import asyncio
import contextlib
import multiprocessing
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from multiprocessing.process import BaseProcess

import uvicorn
import uvloop
from rich.console import Console

from api import logs
from api.app import create_app
from api.background import background
from api.demo.setup import establish_demo, tell_story_once
from api.embedded import Addresses
from api.federation_listener import listening_to_peers
from api.files import write_private
from api.patience import PatientProtocol
from api.settings import Settings
from api.wiring import House, open_house, own_servers
from api.workers import follow_parent
from keys.base.errors import FujieError
from keys.pki.authority import trust_bundle
from seal.sandbox import CORE

STOP_SECONDS = 15.0


class PortBusy(FujieError):
    """Something else listens on the port."""

    code = "PORT_BUSY"
    status = 409
    public = ("端口已被占用。", "The port is in use.")


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: one signal ends the server, and everything is then stopped in order."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: Settings) -> socket.socket:
    """The listening socket, bound before anything is started; raises PortBusy, never takes another port."""
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise PortBusy(f"{settings.host}:{settings.port}: {error.strerror}") from error
    listening.set_inheritable(True)
    return listening


def _more_web_processes(settings: Settings, addresses: Addresses, listening: socket.socket) -> list[BaseProcess]:
    """``FUJIE_WORKERS`` − 1 processes that accept from the same socket; they end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [
        context.Process(target=_web_process, args=(settings, addresses, listening), daemon=False) for _ in range(settings.workers - 1)
    ]
    for process in processes:
        process.start()
    return processes


def _web_process(settings: Settings, addresses: Addresses, listening: socket.socket) -> None:
    follow_parent(signal.SIGTERM)
    logs.configure()
    uvloop.run(_answer_only(settings, addresses, listening))


async def _answer_only(settings: Settings, addresses: Addresses, listening: socket.socket) -> None:
    async with open_house(settings, addresses) as house:
        _warm(house)
        server = Server(_configuration(house))
        _end_on_signals(server)
        await server.serve(sockets=[listening])


def _warm(house: House) -> None:
    """Load what the first certificate and the first file would otherwise wait for."""
    house.workers.warm()
    CORE.start()


def _end_on_signals(server: Server) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)


def serve(settings: Settings, console: Console) -> None:
    """Serve until SIGINT or SIGTERM. Raises PortBusy, HomeInUse, ServerDidNotStart."""
    logs.configure()
    with contextlib.closing(listen(settings)) as listening, own_servers(settings) as addresses:
        uvloop.run(_serve(settings, addresses, listening, console))


async def _serve(settings: Settings, addresses: Addresses, listening: socket.socket, console: Console) -> None:
    async with open_house(settings, addresses) as house:
        _warm(house)
        if settings.demo:
            await establish_demo(house, console)
        else:
            await keep_roots(house)
        server = Server(_configuration(house))
        _end_on_signals(server)
        beside = background(house) if settings.background else contextlib.nullcontext()
        async with beside, listening_to_peers(house), web_processes(settings, addresses, listening):
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await _announce(house, server, serving, console)
            await serving
    console.print("已停止 stopped")


async def keep_roots(house: House) -> None:
    """``trust.pem`` with our roots, where it is missing: a restore brings the database and the documents, not the home's own files."""
    if house.settings.trust_file.exists():
        return
    async with house.database.session() as session:
        bundle = await trust_bundle(session)
    if bundle:
        write_private(house.settings.trust_file, bundle)


@contextlib.asynccontextmanager
async def web_processes(settings: Settings, addresses: Addresses, listening: socket.socket) -> AsyncIterator[None]:
    """The further web processes, stopped on leaving."""
    processes = _more_web_processes(settings, addresses, listening)
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.join, STOP_SECONDS)


async def _announce(house: House, server: Server, serving: asyncio.Task[None], console: Console) -> None:
    """Wait until the server answers, tell the story in demonstration mode, then say so."""
    await asyncio.wait({serving, asyncio.create_task(server.answering.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        return
    if house.settings.demo:
        story = asyncio.create_task(tell_story_once(house, console))
        await asyncio.wait({story, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not story.done():
            story.cancel()
            return
        try:
            await story
        except BaseException:
            server.should_exit = True
            await serving
            raise
    console.print(f"[bold green]ready[/] 就绪  {house.base_url}", highlight=False)


def _configuration(house: House) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(house),
        loop="none",
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        limit_concurrency=2_000,
    )
