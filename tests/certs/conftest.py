"""What the tests of certificates stand on: a store of files, a catalogue, and the demonstration city."""

import asyncio
import csv
import datetime as dt
import json
import shutil
import uuid
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.embedded import Addresses
from certs.approvals import Approval, HolderInput, Outcome
from certs.awaiting import AwaitingDocument, awaiting_document, stamp_awaiting
from certs.catalogue import shipped_types
from certs.issuance import Issuing, approve
from certs.reads import grant_issuing, put_types
from identity.organisations import Organisation, put_organisation
from identity.personal_data import PersonalData, open_personal_data
from identity.realname_sources import load_legal_persons, load_population
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.ids import new_code
from keys.base.work import Workers
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import KeyStore
from keys.pki.authority import establish
from seal.grants import Grant, grant_use
from seal.making import SealOrder, make_seal
from seal.matters import Matter, put_matter
from tests.conftest import BEGINNING, MIGRATED, TestClock, copy_database

DEMO = Path(__file__).parents[2] / "api" / "demo" / "data"
BASE_URL = "http://127.0.0.1:8000"
CITY = "11990100MB0000027F"
YEAR = dt.timedelta(days=365)
KEEPER = Actor(ActorKind.PERSON, "keeper", "Keeper", CITY, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
ADMIN = Actor(ActorKind.PERSON, "admin", "Admin", CITY, "990100", frozenset({Role.SECURITY_ADMIN}), assurance=2, authenticator=2)
APPROVALS_CLIENT = Actor(ActorKind.CLIENT, "approvals", "approvals", CITY, "990100", scopes=frozenset({"certificates:issue"}))
ATTENDED_CLIENT = Actor(ActorKind.CLIENT, "attended", "attended", CITY, "990100", scopes=frozenset({"certificates:issue"}))


def rows(name: str) -> list[dict[str, str]]:
    with (DEMO / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def approvals() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEMO / "approvals.jsonl").read_text(encoding="utf-8").splitlines()]


def approval(number: int = 0, **changes: Any) -> Approval:
    values = approvals()[number] | changes
    holders = tuple(one if isinstance(one, HolderInput) else HolderInput(**one) for one in values.pop("holders"))
    begins, ends = values.pop("valid_from"), values.pop("valid_to")
    day = lambda text: text if text is None or isinstance(text, dt.date) else dt.date.fromisoformat(text)  # noqa: E731
    return Approval(**values, holders=holders, valid_from=day(begins), valid_to=day(ends))


def approver(organisation: str) -> Actor:
    return Actor(
        ActorKind.PERSON, f"approver-{organisation}", "Approver", organisation, "990100", frozenset({Role.APPROVER}),
        assurance=2, authenticator=2,
    )  # fmt: skip


@dataclass(frozen=True)
class Built:
    """The name of a prepared database, and the code of each issuer's seal in it."""

    template: str
    seals: dict[str, str]


@dataclass(frozen=True)
class City:
    """The city and who acts in it. ``client`` holds unattended grants, ``attended`` does not."""

    issuing: Issuing
    seals: dict[str, str]
    client: Actor = APPROVALS_CLIENT
    attended: Actor = ATTENDED_CLIENT
    keeper_of_nothing: Actor = ADMIN

    def approval(self, number: int = 0, **changes: Any) -> Approval:
        return approval(number, **changes)

    def approver(self, organisation: str) -> Actor:
        return approver(organisation)

    async def see(self, actor: Actor, certificate_id: uuid.UUID) -> AwaitingDocument:
        return await awaiting_document(self.issuing, actor, certificate_id)

    async def stamp(self, actor: Actor, certificate_id: uuid.UUID, document_hash: str) -> Outcome:
        return await stamp_awaiting(self.issuing, actor, certificate_id, document_hash)


async def build_city(database: Database, keystore: KeyStore, clock: Clock, personal: PersonalData) -> dict[str, str]:
    now = clock.now()
    await establish(database, keystore, clock, BASE_URL)
    async with database.begin() as session:
        await put_types(session, now, shipped_types())
        for row in rows("organisations.csv"):
            await put_organisation(session, now, Organisation(row["uscc"], row["name"], "990100"))
        await load_population(session, now, personal, rows("population.csv"))
        await load_legal_persons(session, now, personal, rows("organisations.csv"))
        for row in rows("matters.csv"):
            matter = Matter(row["matter_code"], row["name"], row["is_approval"] == "1", row["organisation"])
            await put_matter(session, now, SYSTEM, matter)
    names = {row["uscc"]: row["name"] for row in rows("organisations.csv")}
    seals = {}
    for one in approvals():
        issuer = one["issuer"]
        keeper = Actor(ActorKind.PERSON, "keeper", "Keeper", issuer, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
        order = SealOrder(f"{names[issuer]}行政审批专用章", "approval", issuer, names[issuer], "990100", None, now, now + 3 * YEAR)
        made = await make_seal(database, keystore, clock, keeper, order, reviewers=(replace(ADMIN, id="reviewer"), ADMIN))
        seals[issuer] = made.code
        async with database.begin() as session:
            for client in (APPROVALS_CLIENT, ATTENDED_CLIENT):
                await grant_issuing(session, now, client.id, issuer, "test")
            unattended = Grant(made.code, "client", APPROVALS_CLIENT.id, one["matter_code"], None, now, now + YEAR, unattended=True)
            await grant_use(session, now, keeper, unattended)
            await grant_use(
                session, now, keeper, Grant(made.code, "person", approver(issuer).id, one["matter_code"], None, now, now + YEAR)
            )
    return seals


@pytest.fixture
async def personal(database: Database, keystore: KeyStore, clock: Clock) -> PersonalData:
    return await open_personal_data(database, keystore, clock)


@pytest.fixture
def blobs(tmp_path: Path, request: pytest.FixtureRequest) -> FolderBlobStore:
    if "stocked" in request.fixturenames:
        shutil.copytree(request.getfixturevalue("stocked").files, tmp_path / "blobs")
    return FolderBlobStore(tmp_path / "blobs")


@pytest.fixture
async def catalogue(database: Database, clock: Clock) -> None:
    async with database.begin() as session:
        await put_types(session, clock.now(), shipped_types())


@pytest.fixture(scope="session")
def built(servers: Addresses, key_file: Path, pki_template: str) -> Built:
    """A prepared database in which the city stands."""
    return build_once(servers, key_file, pki_template)


@cache
def build_once(servers: Addresses, key_file: Path, pki_template: str) -> Built:
    """Folders of tests that each have a fixture of it share the one."""
    return asyncio.run(_build(servers, SoftwareKeyStore(key_file), pki_template))


async def _build(servers: Addresses, keystore: KeyStore, pki_template: str) -> Built:
    clock, name = TestClock(BEGINNING), f"template_{new_code().lower()}"
    database = Database(await copy_database(servers, pki_template, name))
    seals = await build_city(database, keystore, clock, await open_personal_data(database, keystore, clock))
    await database.close()
    return Built(name, seals)


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """Tests that use ``city`` get a copy of the one that was built once; with ``stocked`` three certificates are issued in it."""
    if "stocked" in request.fixturenames:
        return request.getfixturevalue("stocked").template  # type: ignore[no-any-return]
    return request.getfixturevalue("built").template if "city" in request.fixturenames else MIGRATED  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Stocked:
    """A prepared database with the demonstration's three certificates issued, their outcomes, and the folder of their files."""

    template: str
    issued: list[Outcome]
    files: Path


@pytest.fixture(scope="session")
def stocked(servers: Addresses, key_file: Path, built: Built, workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Stocked:
    files = tmp_path_factory.mktemp("stocked") / "blobs"
    return Stocked("template_stocked", asyncio.run(_stock(servers, SoftwareKeyStore(key_file), built, workers, files)), files)


async def _stock(servers: Addresses, keystore: KeyStore, built: Built, workers: Workers, files: Path) -> list[Outcome]:
    clock = TestClock(BEGINNING)
    database = Database(await copy_database(servers, built.template, "template_stocked"))
    personal = await open_personal_data(database, keystore, clock)
    issuing = Issuing(database, keystore, clock, workers, FolderBlobStore(files), personal, BASE_URL, gate=clock)
    issued = [await approve(issuing, APPROVALS_CLIENT, approval(number), f"key-{number}") for number in range(3)]
    await database.close()
    return issued


@pytest.fixture
async def city(
    database: Database,
    keystore: KeyStore,
    clock: Clock,
    personal: PersonalData,
    blobs: FolderBlobStore,
    workers: Workers,
    built: Built,
) -> City:
    seals = built.seals
    return City(Issuing(database, keystore, clock, workers, blobs, personal, BASE_URL, gate=clock), seals)
