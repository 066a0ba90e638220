"""A small city of the demonstration division: a public-key infrastructure, an approval seal, its people and matters."""

import asyncio
import datetime as dt
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from api.embedded import Addresses
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import KeyStore
from seal.grants import Grant, grant_use
from seal.making import SealOrder, make_seal
from seal.matters import Matter, put_matter
from seal.permits import UseRequest
from seal.reads import Seal
from tests.conftest import BEGINNING, MIGRATED, TestClock, copy_database

DIVISION = "990100"
HOUSING = "11990100MB00000435"


@dataclass(frozen=True)
class City:
    """The database and who and what is in it."""

    database: Database
    keystore: KeyStore
    clock: Clock
    organisation: str = HOUSING
    matter: str = "000117004000"
    other_matter: str = "990100900009"
    certificate_type: str = "11990100MB00000435001"
    document: bytes = b"\x11" * 32

    def person(self, name: str, *roles: Role, **changes: Any) -> Actor:
        usual = Actor(ActorKind.PERSON, name, "", HOUSING, DIVISION, frozenset(roles), assurance=4, authenticator=2)
        return replace(usual, **changes)

    @property
    def keeper(self) -> Actor:
        return self.person("keeper", Role.SEAL_KEEPER)

    @property
    def admin(self) -> Actor:
        return self.person("admin", Role.SECURITY_ADMIN, organisation="11990100MB0000019L")

    @property
    def reviewer(self) -> Actor:
        return replace(self.admin, id="reviewer")

    @property
    def approver(self) -> Actor:
        return self.person("approver", Role.APPROVER)

    @property
    def client(self) -> Actor:
        return Actor(ActorKind.CLIENT, "approvals", organisation="11990100MB0000027F", division=DIVISION)

    def order(self, **changes: Any) -> SealOrder:
        now = self.clock.now()
        name = "示范市住房和城乡建设局"
        usual = SealOrder(f"{name}行政审批专用章", "approval", HOUSING, name, DIVISION, None, now, now + dt.timedelta(days=365))
        return replace(usual, **changes)

    async def make(self, **changes: Any) -> Seal:
        reviewers = (self.reviewer, self.admin)
        return await make_seal(self.database, self.keystore, self.clock, self.keeper, self.order(**changes), reviewers=reviewers)

    async def grant(self, seal: Seal, actor: Actor, **changes: Any) -> uuid.UUID:
        now = self.clock.now()
        usual = Grant(seal.code, actor.kind, actor.id, self.matter, None, now, now + dt.timedelta(days=30))
        async with self.database.begin() as session:
            return await grant_use(session, now, self.keeper, replace(usual, **changes))

    def use(self, seal: Seal, **changes: Any) -> UseRequest:
        return replace(UseRequest(seal.code, self.approver, self.matter, self.certificate_type, self.document), **changes)


@dataclass(frozen=True)
class Stages:
    """Prepared databases: of the city alone, and with its approval seal in use."""

    city: str
    sealed: str
    seal: Seal


@pytest.fixture(scope="session")
def stages(servers: Addresses, key_file: Path, pki_template: str) -> Stages:
    return asyncio.run(_prepare(servers, SoftwareKeyStore(key_file), pki_template))


async def _prepare(servers: Addresses, keystore: KeyStore, pki_template: str) -> Stages:
    """Each made from the one before, at the clock's beginning."""
    clock, (standing, sealed) = TestClock(BEGINNING), (f"template_{new_code().lower()}" for _ in range(2))
    database = Database(await copy_database(servers, pki_template, standing))
    city = City(database, keystore, clock)
    async with database.begin() as session:
        await put_matter(session, clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
        await put_matter(session, clock.now(), city.admin, Matter(city.other_matter, "内部公文用印", False, HOUSING))
    await database.close()
    database = Database(await copy_database(servers, standing, sealed))
    seal = await City(database, keystore, clock).make()
    await database.close()
    return Stages(standing, sealed, seal)


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """Tests that use ``city`` get a copy of a database in which it stands already; with ``approval_seal``, the seal too."""
    if "city" not in request.fixturenames:
        return MIGRATED
    stages: Stages = request.getfixturevalue("stages")
    return stages.sealed if "approval_seal" in request.fixturenames else stages.city


@pytest.fixture
def city(database: Database, keystore: KeyStore, clock: Clock) -> City:
    return City(database, keystore, clock)


@pytest.fixture
def approval_seal(city: City, stages: Stages) -> Seal:
    return stages.seal
