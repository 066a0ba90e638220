"""Who shares in the tests: a food matter that asks for three types, its organisation, a company that holds certificates."""

import asyncio
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from api.embedded import Addresses
from certs.catalogue import Sharing, SharingClass, shipped_types
from certs.holders import holder_values
from certs.library import Library
from certs.matter_papers import Enough, Paper, put_papers
from certs.models import CertificateRow, HolderRow
from certs.reads import put_types
from identity.organisations import Organisation, put_organisation
from identity.personal_data import open_personal_data
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.base.ids import new_code, new_id
from keys.custody.software import SoftwareKeyStore
from seal.matters import Matter, put_matter
from tests.certs.catalogue_people import HOUSING, MARKET, WRITER, person
from tests.conftest import BEGINNING, TestClock, copy_database

FOOD = "000131015000"
LICENCE, OWNERSHIP, SAFETY = "11100000MB0143028R001", "11100000MB03271699001", "11100000000013338W011"
ISSUER, COMPANY, OTHER = "11100000MB0143028R", "91990100MA1TEXT14M", "91990100MA1TEXT22G"
SHARING = {LICENCE: SharingClass.UNCONDITIONAL, OWNERSHIP: SharingClass.CONDITIONAL, SAFETY: SharingClass.NOT_SHARED}
SCOPES = frozenset({"certificates:read"})
CLIENT = Actor(ActorKind.CLIENT, "market", "market", MARKET, "990100", scopes=SCOPES)
ELSEWHERE = Actor(ActorKind.CLIENT, "housing", "housing", HOUSING, "990100", scopes=SCOPES)
CLERK = person("clerk", Role.WINDOW_CLERK)
BOSS = person("boss", Role.LEGAL_REPRESENTATIVE, organisation=COMPANY)
RIVAL = person("rival", Role.LEGAL_REPRESENTATIVE, organisation=OTHER)
PAPERS = (
    Paper("licence", "营业执照", "Business licence", types=(LICENCE,)),
    Paper("premises", "经营场所证明", "Premises", types=(OWNERSHIP,), enough=Enough.COPY, basis="《食品经营许可管理办法》第十四条"),
    Paper("training", "食品安全管理员考核证明", types=(SAFETY,)),
)


@dataclass(frozen=True)
class Stage:
    """A library, and what the tests put into it."""

    library: Library

    async def furnish(self) -> None:
        database, clock = self.library.database, self.library.clock
        async with database.begin() as session:
            kinds = [replace(one, sharing=Sharing(SHARING.get(one.code, SharingClass.CONDITIONAL), "依据")) for one in shipped_types()]
            await put_types(session, clock.now(), kinds)
            await put_matter(session, clock.now(), SYSTEM, Matter(FOOD, "食品经营许可", True, MARKET))
            for uscc, name in ((MARKET, "示范区市场监督管理局"), (HOUSING, "示范区住房和城乡建设局")):
                await put_organisation(session, clock.now(), Organisation(uscc, name, "990100"))
        await put_papers(database, clock, WRITER, FOOD, PAPERS)

    async def hold(self, type_code: str, *, document: bytes | None = None, holder: str = COMPANY, kind: str = "001", **more: Any) -> Any:
        """A certificate of the company; its id."""
        key = new_id()
        values = {
            "id": key, "stage": "issued", "status": "01", "source": "imported", "type_code": type_code, "type_name": "房屋所有权证",
            "number": "7", "identifier": str(key), "duplicate": False, "issuer": ISSUER, "issuer_name": "发证机构", "division": "990100",
            "fields": {"坐落": "示范路一号"}, "trust_grade": "B", "flags": [], "created_at": self.library.clock.now(),
            "verification_code": new_code(),
        }  # fmt: skip
        if document is not None:
            values["document_hash"] = await self.library.blobs.put(document)
        async with self.library.database.begin() as session:
            await session.execute(insert(CertificateRow), [values | more])
            held = holder_values(self.library.personal, key, 0, name="示范餐饮有限公司", code_type=kind, code=holder)
            await session.execute(insert(HolderRow), [held])
        return key

    async def count(self, query: str) -> int:
        async with self.library.database.session() as session:
            return int((await session.execute(text(query))).scalar_one())

    async def accesses(self, kind: str) -> int:
        return await self.count(f"SELECT count(*) FROM certs.accesses WHERE kind = '{kind}'")

    async def audited(self, action: str, outcome: str) -> int:
        query = f"SELECT count(*) FROM keys.audit_events WHERE action = '{action}' AND outcome = '{outcome}'"
        return await self.count(query)


@cache
def furnish_once(servers: Addresses, key_file: Path, source: str) -> str:
    """The name of a prepared database: types, matter and papers are made once for all tests of sharing."""
    name = f"template_{new_code().lower()}"
    asyncio.run(_furnish(servers, SoftwareKeyStore(key_file), source, name))
    return name


async def _furnish(servers: Addresses, keystore: SoftwareKeyStore, source: str, name: str) -> None:
    clock, database = TestClock(BEGINNING), Database(await copy_database(servers, source, name))
    personal = await open_personal_data(database, keystore, clock)
    await Stage(Library(database, clock, FolderBlobStore(Path("unused")), personal)).furnish()
    await database.close()
