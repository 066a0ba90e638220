"""The whole application with a seal of another organisation in it, and callers of every kind, each under a token that is their name."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

import api.bearer
import api.routes.seals
from api.app import create_app
from api.sealing import sealing_of
from api.wiring import House
from keys.base.actor import Actor, ActorKind, Role
from tests.certs.conftest import approvals
from tests.furnished import Furnished, open_furnished
from tests.pages_house import ISSUER

SCOPES = frozenset({"documents:seal", "seals:hash", "seals:manage", "seals:read"})


def organisations() -> tuple[str, str]:
    """Two that have seals."""
    first, *others = dict.fromkeys(one["issuer"] for one in approvals())
    return first, others[0]


def person(name: str, *roles: Role, organisation: str | None = None, **changes: Any) -> Actor:
    usual: dict[str, Any] = {"division": "990100", "assurance": 4, "authenticator": 2, "scopes": SCOPES}
    return Actor(
        ActorKind.PERSON, str(uuid.uuid5(uuid.NAMESPACE_URL, name)), name, organisation, roles=frozenset(roles), **(usual | changes)
    )


def client(name: str, organisation: str | None, scopes: frozenset[str] = SCOPES) -> Actor:
    return Actor(ActorKind.CLIENT, name, name, organisation, "990100", scopes=scopes)


@dataclass(frozen=True)
class Doors:
    """``callers`` by token; ``seals``: code by organisation."""

    house: House
    web: httpx2.AsyncClient
    callers: dict[str, Actor]
    seals: dict[str, str]

    async def ask(self, who: str | None, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"Idempotency-Key": uuid.uuid4().hex} | ({} if who is None else {"Authorization": f"Bearer {who}"})
        return await self.web.request(method, path, headers=headers | more.pop("headers", {}), **more)


@asynccontextmanager
async def open_doors(
    furnished: Furnished,
    database: Any,
    redis_url: str,
    keystore: Any,
    clock: Any,
    workers: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Doors]:
    callers: dict[str, Actor] = {}

    async def authenticate(_hot: object, _now: object, token: str) -> Actor | None:
        return callers.get(token)

    for module in (api.bearer, api.routes.seals):
        monkeypatch.setattr(module, "authenticate_bearer", authenticate)
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, home) as house:
        transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as web:
            yield Doors(house, web, callers, furnished.seals)
            sealing_of(house).rebuilder.close()
