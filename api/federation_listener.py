"""The listener for other instances: a port of its own, mutual TLS, nothing but their messages.

It stands beside the public one so that the two never share a certificate, a name or a rule of a proxy. A proxy in front passes TCP
through (``deploy/federation``): what TLS proved must reach us, not a header that says so.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import problems
from api.federation_channel import exchange_of
from api.federation_tls import admit, ensure_material, server_context
from api.patience import PatientProtocol
from api.settings import Settings
from api.wiring import House
from certs.federation import MessageRefused, PeerStatus
from certs.federation_keys import is_established
from certs.federation_messages import LARGEST_MESSAGE, PREFIX, Exchange, Incoming, receive
from certs.federation_peers import Peer, list_peers
from certs.federation_sync import HANDLERS
from keys.base.errors import FujieError
from keys.base.streams import gathered

log = structlog.get_logger("fujie.federation")

REFRESH_SECONDS = 5.0
"""How soon a new peer is let in and a new certificate shown."""
_CERTIFICATE = "client_certificate"


class FederationPortBusy(FujieError):
    """Something else listens on the port for other instances."""

    code = "FEDERATION_PORT_BUSY"
    status = 409
    public = ("互联端口已被占用。", "The port for other instances is in use.")


class PeerProtocol(PatientProtocol):
    """Hands the client's certificate, which TLS verified, to the application."""

    _certificate = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so
        found: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._certificate = (found.getpeercert(binary_form=True) if found is not None else None) or b""
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][_CERTIFICATE] = self._certificate


def application(exchange: Exchange) -> Starlette:
    """What answers behind the listener."""

    async def message(request: Request) -> Response:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
        if len(headers) != len(request.scope["headers"]) or request.url.query:
            raise MessageRefused("a header stands twice, or a question in the address")
        body = await gathered(request.stream(), LARGEST_MESSAGE, MessageRefused("larger than any message"))
        incoming = Incoming(request.scope["path"], headers, body, request.scope["state"].get(_CERTIFICATE, b""))
        reply = await receive(exchange, HANDLERS, incoming)
        return Response(reply.body, reply.status, {**reply.headers, "cache-control": "no-store"})

    return Starlette(routes=[Route(f"{PREFIX}/{{name}}", message, methods=["POST"])], exception_handlers=problems.HANDLERS)


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises :class:`FederationPortBusy`."""
    host = settings.federation_host
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, settings.federation_port))
    except OSError as error:
        listening.close()
        raise FederationPortBusy(f"{host}:{settings.federation_port}: {error.strerror}") from error
    return listening


@contextlib.asynccontextmanager
async def listening_to_peers(house: House) -> AsyncIterator[None]:
    """Listen where the settings name a port and the instance has a card; nothing otherwise."""
    if not house.settings.federation_port:
        yield
        return
    async with house.database.session() as session:
        established = await is_established(session)
    if not established:
        log.warning("no card yet: fujie federation establish, then start again", port=house.settings.federation_port)
        yield
        return
    with contextlib.closing(bind(house.settings)) as listening:
        async with served(exchange_of(house), house, listening):
            yield


@contextlib.asynccontextmanager
async def served(exchange: Exchange, house: House, listening: socket.socket) -> AsyncIterator[None]:
    """Serve on this socket until leaving."""
    material = await ensure_material(exchange, house.settings.home)
    context = server_context(material, await _peers(exchange))
    server = _Server(_configuration(exchange, context))
    tasks = [asyncio.create_task(server.serve(sockets=[listening])), asyncio.create_task(_refresh(exchange, house, context))]
    try:
        yield
    finally:
        server.should_exit = True
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the public listener's signals end both."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _configuration(exchange: Exchange, context: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        application(exchange),
        loop="none",
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        limit_concurrency=200,
        ssl_context_factory=lambda configuration, factory: context,
    )


async def _peers(exchange: Exchange) -> tuple[Peer, ...]:
    async with exchange.library.database.session() as session:
        return await list_peers(session, PeerStatus.ACTIVE)


async def _refresh(exchange: Exchange, house: House, context: ssl.SSLContext) -> None:
    """New peers, and our own certificate when it was renewed, without a restart."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            admit(context, await _peers(exchange))
            (await ensure_material(exchange, house.settings.home)).load(context)
        except Exception:
            log.warning("peers not read", exc_info=True)
