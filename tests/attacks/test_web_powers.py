"""What somebody may do with what they hold: no role, no approval; nobody at the browser, no stamp; a row of a file, no more than a row."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from certs.access import may_submit
from certs.ingestion import Ingestion, Request, import_file
from identity.login_policy import PASSWORD_AND_OTP
from identity.people import NewAccount, create_account
from identity.personal_data import open_personal_data
from identity.sessions import end_session
from identity.tokens import authenticate_bearer
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.rotation import ensure_signing_keys
from tests.portal import City, make_app

BUREAU, OTHER = "11990100MB0000035A", "11990100MB00000435"


@pytest.mark.parametrize(
    ("kind", "role", "organisation", "may"),
    [
        (ActorKind.CLIENT, None, BUREAU, True),
        (ActorKind.CLIENT, None, OTHER, False),
        (ActorKind.CLIENT, None, None, False),
        (ActorKind.PERSON, Role.WINDOW_CLERK, BUREAU, True),
        (ActorKind.PERSON, Role.APPROVER, BUREAU, True),
        (ActorKind.PERSON, Role.APPROVER, OTHER, False),
        (ActorKind.PERSON, Role.CITIZEN, BUREAU, False),
        (ActorKind.PERSON, Role.AGENT, BUREAU, False),
        (ActorKind.PERSON, Role.LEGAL_REPRESENTATIVE, BUREAU, False),
        (ActorKind.PERSON, Role.AUDITOR, BUREAU, False),
        (ActorKind.PERSON, Role.SYSTEM_ADMIN, BUREAU, False),
        (ActorKind.PERSON, Role.CITIZEN, None, False),
    ],
)
def test_who_may_bring_an_approval(kind: ActorKind, role: Role | None, organisation: str | None, may: bool) -> None:
    """Through a portal with the scope ``certificates:issue`` a person brings what their own roles allow, not what the portal may."""
    roles = frozenset({role}) if role else frozenset()
    actor = Actor(kind, "x", organisation=organisation, roles=roles, scopes=frozenset({"certificates:issue"}))
    assert may_submit(actor, BUREAU) is may


@pytest.fixture
async def city(database: Database, redis_url: str, keystore: Any, clock: Any) -> AsyncIterator[City]:
    await ensure_signing_keys(database, keystore, clock)
    async with database.begin() as session:
        new = NewAccount("approver", "审批员", "990100", frozenset({Role.APPROVER}), BUREAU)
        account = await create_account(session, clock.now(), new, "correct horse battery")
    redis: Redis = Redis.from_url(redis_url)
    city = City(make_app(database, redis, keystore, clock), database, clock, account)
    yield city
    await city.browser.aclose()
    await redis.aclose()


async def test_an_offline_token_carries_no_factor(city: City) -> None:
    """Two factors count while the log-in lasts. Months later a portal's refresh token must not stamp in the approver's name."""
    scopes = ("openid", "offline_access", "certificates:issue")
    client, secret = await city.register(scopes=scopes)
    login = await city.log_in(PASSWORD_AND_OTP)
    await city.consent(client, scopes)
    city.clock.advance(seconds=1)
    tokens = await city.tokens(client, secret, scope=" ".join(scopes))
    assert await _authenticator(city, tokens["access_token"]) == 2
    async with city.database.begin() as session:
        await end_session(session, city.clock.now(), login.id)
    renewed = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert renewed.status_code == 200
    assert await _authenticator(city, renewed.json()["access_token"]) == 0


async def _authenticator(city: City, token: str) -> int:
    actor = await authenticate_bearer(city.database.hot, city.clock.now(), token)
    assert actor is not None
    return actor.authenticator


async def test_a_row_takes_in_documents_of_its_folder_only(
    database: Database, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> None:
    """Whatever a row names: no other file of the machine becomes a certificate's document, and the import goes on."""
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "secret.pdf").write_bytes(b"%PDF secret")
    (folder / "good.pdf").write_bytes(b"%PDF good")
    (folder / "key-encryption-key").write_bytes(b"k" * 32)
    (folder / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    hostile = ["/etc/passwd", "../secret.pdf", "link.pdf", "key-encryption-key", "rows.jsonl", ".", "a" * 300, "x/" * 3000, "\x1b]0;\x07"]
    rows = [{"ZZBS": f"[/x]\x1b[31m{number}", "file": name} for number, name in enumerate([*hostile, "good.pdf"])]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    personal, blobs = await open_personal_data(database, keystore, clock), FolderBlobStore(tmp_path / "blobs")
    report = await import_file(Ingestion(database, personal, clock, blobs, workers), SYSTEM, Request(folder / "rows.jsonl"))
    assert report.rows == len(rows)
    assert report.flag_counts["file_missing"] == len(hostile)
    kept = [path.read_bytes() for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert kept == [b"%PDF good"]
