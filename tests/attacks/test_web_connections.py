"""Connections that send too much, too slowly or nothing: they are closed, and a slow but honest one is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api import patience
from api.patience import PatientProtocol
from tests.conftest import require_command


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


_OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
_LENGTH, _CHUNKS = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"
_LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize(("size", "body"), [(_LENGTH, b"hello"), (_CHUNKS, b"5\r\nhello\r\n0\r\n\r\n")])
async def test_a_body_behind_the_offer_of_another_protocol_arrives(port: int, size: bytes, body: bytes, pause: float) -> None:
    """RFC 9110 §7.8: the offer may be ignored; the body is a body whichever way it is cut into packets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + size + _OFFER + b"\r\n"
    for piece in (head[:40], head[40:], body[:2], body[2:] + head + body + _LAST):
        writer.write(piece)
        await asyncio.sleep(pause)
    answers = (await until_closed(reader)).split(b"HTTP/1.1 ")[1:]
    assert [(one[:3], one[-1:]) for one in answers] == [(b"200", b"5"), (b"200", b"5"), (b"200", b"0")]
    writer.close()


async def test_a_body_behind_an_offer_is_no_request(port: int) -> None:
    """What a proxy in front takes for a body is not answered as a request of somebody else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(hidden) + _OFFER + b"\r\n")
    await asyncio.sleep(0.02)
    writer.write(hidden + _LAST)
    answered = await until_closed(reader)
    assert answered.count(b"HTTP/1.1 200") == 2
    assert b"404" not in answered
    writer.close()


async def test_a_demand_for_a_tunnel_is_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n" + _OFFER + b"\r\n")
    assert (await until_closed(reader)).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_many_offers_in_one_packet_cost_little(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((b"GET / HTTP/1.1\r\nHost: x\r\n" + _OFFER + b"\r\n") * 300 + _LAST)
    assert (await until_closed(reader)).count(b"HTTP/1.1 200") == 301
    writer.close()


_JAVA = """
import java.net.URI;
import java.net.http.*;

public class Post {
    public static void main(String[] address) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int turn = 0; turn < 2; turn++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(address[0]))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .POST(HttpRequest.BodyPublishers.ofString("grant_type=client_credentials")).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
"""


async def test_javas_own_client_with_its_defaults_posts_a_form(port: int, tmp_path: Path) -> None:
    require_command("java", "default-jdk-headless")
    (tmp_path / "Post.java").write_text(_JAVA)
    java = await asyncio.create_subprocess_exec("java", tmp_path / "Post.java", f"http://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(java.communicate(), 60)
    assert out.split() == [b"29", b"29"]
