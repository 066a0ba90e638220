"""Connections that send too much, too slowly or nothing: they are closed, and a slow but honest one is not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api import patience
from api.patience import PatientProtocol


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.4)
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=0, http=PatientProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # without its signal handlers
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What came before the server closed; fails if it does not within two seconds."""
    try:
        return await asyncio.wait_for(reader.read(), 2)
    except ConnectionResetError:
        return b""


async def test_a_head_without_end_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(100)))
    assert (await until_closed(reader))[:12] in (b"HTTP/1.1 400", b"")
    writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"])
async def test_a_request_that_does_not_come_is_not_waited_for(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert not (await until_closed(reader)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_head_that_drips_is_not_waited_for(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n")
    closed = asyncio.create_task(until_closed(reader))
    for _ in range(20):
        if closed.done():
            break
        writer.write(b"X: y\r\n")
        await asyncio.sleep(0.1)
    assert not (await closed).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_slow_body_is_taken_while_it_comes(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20480\r\n\r\n")
    for _ in range(10):
        writer.write(b"a" * 2048)
        await asyncio.sleep(0.1)
    answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"20480")
    writer.close()


async def test_one_connection_asks_several_times(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(4):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(1) == b"3"
        await asyncio.sleep(0.2)
    writer.close()
