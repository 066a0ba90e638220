"""Every way a request can fail leaves as a problem document; the OpenAPI document names what there is."""

import asyncio
import re
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis
from sqlalchemy import text
from starlette.middleware import Middleware
from starlette.requests import Request

from api.app import ExactPaths
from api.embedded import EmbeddedPostgres
from api.limits import BodyLimit
from api.problems import HANDLERS
from keys.base.db import Database
from keys.base.errors import Forbidden, Throttled
from keys.base.hot import Statement
from tests.running import free_port

_SLEEPERS = Statement(text("SELECT count(*) AS sleep FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int


@pytest.fixture
def client() -> httpx2.AsyncClient:
    app = FastAPI(exception_handlers=HANDLERS, middleware=[Middleware(BodyLimit, limit=1000), Middleware(ExactPaths, routes=[])])

    @app.post("/api/body")
    async def take(body: Body) -> int:
        return body.count

    @app.post("/api/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.get("/api/{what}")
    async def fail(what: str) -> None:
        raise {"forbidden": Forbidden("private detail"), "throttled": Throttled(retry_after=7), "crash": ZeroDivisionError("secret")}[what]

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://test")


async def test_a_refusal_says_its_code_and_hides_its_detail(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/forbidden", headers={"Accept-Language": "zh-CN"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "urn:fujie:problem:FORBIDDEN", "title": Forbidden.public[0], "status": 403, "code": "FORBIDDEN"}
    assert "private" not in answer.text


async def test_a_throttled_caller_learns_when_to_return(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/throttled")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["retry_after"]) == (429, "7", 7)


async def test_a_crash_says_nothing_of_itself(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/crash")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


async def test_a_database_that_goes_away_is_unavailable_and_no_crash(tmp_path: Path) -> None:
    app = FastAPI(exception_handlers=HANDLERS)

    @app.get("/api/session")
    async def by_session(seconds: float = 0.0) -> bool:
        async with database.session() as session:
            return await session.scalar(text("SELECT pg_sleep(:seconds) IS NOT NULL"), {"seconds": seconds}) is not None

    @app.get("/api/statement")
    async def by_statement() -> bool:
        return await database.hot.row(Statement(text("SELECT 1 AS one")), {}) is not None

    @app.get("/api/valkey")
    async def by_valkey() -> bool:
        return bool(await Redis(host="127.0.0.1", port=free_port()).ping())

    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        with EmbeddedPostgres(tmp_path / "postgres", durable=False) as url:
            database = Database(url)
            assert [(await client.get(f"/api/{one}")).status_code for one in ("session", "statement")] == [200, 200]
            under_way = asyncio.create_task(client.get("/api/session", params={"seconds": 60}))
            while not (await database.hot.row(_SLEEPERS, {}))["sleep"]:
                await asyncio.sleep(0.05)
        answers = [await under_way, *[await client.get(f"/api/{one}") for one in ("session", "statement", "statement", "valkey")]]
    assert [(one.status_code, one.json()["code"], one.headers["retry-after"]) for one in answers] == [
        (503, "DATABASE_UNAVAILABLE", "2")
    ] * 5


@pytest.mark.parametrize(
    ("path", "method", "status", "code"), [("/api/no/such", "GET", 404, "NOT_FOUND"), ("/api/body", "PUT", 405, "METHOD_NOT_ALLOWED")]
)
async def test_the_http_layer_speaks_the_same_way(client: httpx2.AsyncClient, path: str, method: str, status: int, code: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_invalid_input_names_the_place_never_the_value(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/body", json={"count": "990100197003131003?", "990100197003131003": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert {error["field"] for error in answer.json()["errors"]} == {"count", "(unknown member)"}
    assert "990100197003131003" not in answer.text


async def test_a_body_is_cut_off_where_it_grows_too_large(client: httpx2.AsyncClient) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"x" * 100

    answer = await client.post("/api/raw", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


def test_the_openapi_document_names_the_contract(city) -> None:  # type: ignore[no-untyped-def]
    document = httpx2.get(f"{city.base_url}/api/openapi.json", trust_env=False).json()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) >= {
        "/api/v1/approvals",
        "/api/v1/certificates/{certificate_id}",
        "/api/v1/certificates/{certificate_id}/file",
        "/api/v1/certificates/search",
        "/api/v1/identity/checks",
        "/api/v1/statistics",
        "/api/v1/verify",
        "/api/v1/verify/{code}",
    }
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', str(document).replace("'", '"')):
        assert reference in document["components"]["schemas"]
