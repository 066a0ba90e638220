"""``POST /api/v1/verify``: the body or a form, streamed, bounded, judged, masked."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request

from api import problems
from api.routes import verify_file
from keys.base.clock import Clock
from keys.base.errors import FujieError
from tests.conftest import TestClock
from tests.stamped import World, certificate_page, pem

ADDRESS = "/api/v1/verify"
OTHER_FIELD = b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n'


@dataclass
class Settings:
    trust_file: Path


@dataclass
class House:
    settings: Settings
    clock: Clock


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
async def client(world: World, clock: TestClock, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    trust = tmp_path / "trust.pem"
    trust.write_bytes(pem("CERTIFICATE", world["root"].certificate) + pem("CERTIFICATE", world["root-sm"].certificate))

    async def refused(request: Request, error: Exception) -> problems.Response:
        assert isinstance(error, FujieError)
        return problems.problem_response(request, error)

    app = Starlette(routes=verify_file.routes, exception_handlers={FujieError: refused})
    app.state.house = House(Settings(trust), clock)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_a_body_is_judged(client: AsyncClient, world: World) -> None:
    page = certificate_page(json.dumps({"ZZMC": "证", "CZZT": ["钱守礼"], "CZZTDM": ["11010519491231002X"], "CZZTDMLXDM": ["111"]}))
    answer = await client.post(ADDRESS, content=world.stamped(page), headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 200
    document = answer.json()
    assert (document["file"], document["kind"], document["indication"]) == ("", "pdf", "TOTAL_PASSED")
    assert document["certificate"]["CZZTDM"] == ["110***********002X"]
    assert "11010519491231002X" not in answer.text


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_form_is_judged(client: AsyncClient, world: World, size: int) -> None:
    """Small files stay in memory until they are judged, large ones do not."""
    sealed = world.stamped()
    answer = await client.post(ADDRESS, files={"file": ("证照.pdf", sealed + bytes(size), "application/pdf")})
    assert answer.status_code == 200
    assert answer.json()["file"] == "证照.pdf"
    assert (answer.json()["indication"] == "TOTAL_PASSED") == (size == 0)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"", {}, "UPLOAD_MISSING"),
        (b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}, "UPLOAD_MISSING"),
        (b"whatever", {"Content-Type": "multipart/form-data"}, "UPLOAD_BROKEN"),
        (OTHER_FIELD, {"Content-Type": "multipart/form-data; boundary=x"}, "UPLOAD_MISSING"),
        (b"x", {"Content-Length": str(201 * 1024 * 1024)}, "FILE_TOO_LARGE"),
    ],
)
async def test_what_is_no_upload_is_refused(client: AsyncClient, content: bytes, headers: dict[str, str], code: str) -> None:
    answer = await client.post(ADDRESS, content=content, headers=headers)
    assert answer.json()["code"] == code
    assert answer.status_code in (413, 422)


async def test_a_body_past_the_limit_is_refused_while_it_arrives(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.verify_file.MAX_FILE", 100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield bytes(10_000)

    answer = await client.post(ADDRESS, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "FILE_TOO_LARGE")
    form = await client.post(ADDRESS, files={"file": ("x", bytes(200_000))})
    assert (form.status_code, form.json()["code"]) == (413, "FILE_TOO_LARGE")


async def test_rubbish_is_answered_like_everything_else(client: AsyncClient) -> None:
    for rubbish in (b"rubbish", b"%PDF-1.7", b"\x30\x82\xff\xff"):
        answer = await client.post(ADDRESS, content=rubbish)
        assert answer.status_code == 200
        assert answer.json()["indication"] == "UNREADABLE"
