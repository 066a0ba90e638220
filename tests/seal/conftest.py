"""A small city of the demonstration division: a public-key infrastructure, an approval seal, its people and matters."""

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.pki.authority import establish
from seal.grants import Grant, grant_use
from seal.making import SealOrder, make_seal
from seal.matters import Matter, put_matter
from seal.permits import UseRequest
from seal.reads import Seal
from tests.conftest import MIGRATED

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


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """Tests that use ``city`` get a copy of a database in which its authorities stand already."""
    chosen: str = request.getfixturevalue("pki_template") if "city" in request.fixturenames else MIGRATED
    return chosen


@pytest.fixture
async def city(database: Database, keystore: KeyStore, clock: Clock) -> City:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    city = City(database, keystore, clock)
    async with database.begin() as session:
        await put_matter(session, clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, HOUSING))
        await put_matter(session, clock.now(), city.admin, Matter(city.other_matter, "内部公文用印", False, HOUSING))
    return city


@pytest.fixture
async def approval_seal(city: City) -> Seal:
    return await city.make()
