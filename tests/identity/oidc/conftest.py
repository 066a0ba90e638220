"""A city with an OpenID provider and one citizen."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from identity.people import Account
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.rotation import ensure_signing_keys
from tests.portal import City, make_app


@pytest.fixture
def template(signing_template: str) -> str:
    """Tests of the provider find its keys made."""
    return signing_template


@pytest.fixture
async def city(database: Database, redis: Redis, keystore: KeyStore, clock: Any, citizen: Account) -> AsyncIterator[City]:
    await ensure_signing_keys(database, keystore, clock)
    city = City(make_app(database, redis, keystore, clock), database, clock, citizen)
    yield city
    await city.browser.aclose()


@pytest.fixture
def audited(database: Database) -> Any:
    """The codes and actions of the audit trail."""

    async def read() -> list[tuple[str, str | None]]:
        async with database.session() as session:
            query = "SELECT action, convert_from(body, 'UTF8')::jsonb->>'code' FROM keys.audit_events ORDER BY id"
            rows = await session.execute(text(query))
            return [(row[0], row[1]) for row in rows]

    return read
