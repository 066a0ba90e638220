"""Don't ask again: which papers of a matter the library already answers, told to those who may know, in the same words to all others."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, text

from certs.availability import Availability, MatterUnknown, Question, available, saved
from certs.catalogue import Sharing, SharingClass, shipped_types
from certs.catalogue_access import CatalogueForbidden, CatalogueSecondFactorNeeded
from certs.holders import holder_values
from certs.library import Library, PurposeRequired
from certs.matter_papers import Enough, Paper, PaperMalformed, import_papers, papers_of, put_papers
from certs.models import CertificateRow, HolderRow
from certs.reads import grant_issuing, put_types
from identity.personal_data import PersonalData
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.clock import civil_date
from keys.base.db import Database
from keys.base.errors import InvalidInput
from keys.base.ids import new_id
from seal.matters import Matter, put_matter
from tests.certs.catalogue_people import HOUSING, MARKET, REVIEWER, STRANGER, SYSADMIN, WRITER, person
from tests.conftest import TestClock

FOOD = "000131015000"
LICENCE, OWNERSHIP, SAFETY = "11100000MB0143028R001", "11100000MB03271699001", "11100000000013338W011"
RESIDENT, NUMBER = "111", "990100197003131003"
CLIENT = Actor(ActorKind.CLIENT, "market", "market", MARKET, "990100", scopes=frozenset({"certificates:read"}))
PAPERS = (
    Paper("licence", "营业执照", "Business licence", types=(LICENCE,)),
    Paper("premises", "经营场所证明", types=(OWNERSHIP,), enough=Enough.COPY, basis="《食品经营许可管理办法》第十四条"),
    Paper("training", "食品安全管理员考核证明", types=(SAFETY,)),
    Paper("plan", "平面布局图", mandatory=False),
)
SHARING = {LICENCE: SharingClass.UNCONDITIONAL, OWNERSHIP: SharingClass.CONDITIONAL, SAFETY: SharingClass.CONDITIONAL}


@pytest.fixture
async def library(database: Database, clock: TestClock, blobs: FolderBlobStore, personal: PersonalData) -> Library:
    now = clock.now()
    async with database.begin() as session:
        kinds = [replace(one, sharing=Sharing(SHARING.get(one.code, SharingClass.CONDITIONAL), "依据")) for one in shipped_types()]
        await put_types(session, now, kinds)
        await put_matter(session, now, SYSTEM, Matter(FOOD, "食品经营许可", True, MARKET))
    await put_papers(database, clock, WRITER, FOOD, PAPERS)
    return Library(database, clock, blobs, personal)


async def holds(library: Library, type_code: str, issuer: str = "11100000MB0143028R", **more: Any) -> None:
    now, key = library.clock.now(), new_id()
    values = {
        "id": key, "stage": "issued", "status": "01", "source": "imported", "type_code": type_code, "type_name": "证", "number": "1",
        "identifier": str(key), "duplicate": False, "issuer": issuer, "issuer_name": "机构", "division": "990100", "fields": {},
        "trust_grade": "B", "flags": [], "created_at": now,
    }  # fmt: skip
    async with library.database.begin() as session:
        await session.execute(insert(CertificateRow), [values | more])
        held = holder_values(library.personal, key, 0, name="钱晓明", code_type=RESIDENT, code=NUMBER)
        await session.execute(insert(HolderRow), [held])


async def ask(library: Library, actor: Actor = CLIENT, matter: str = FOOD, number: str = NUMBER, purpose: str = "核验") -> Availability:
    return await available(library, actor, Question(matter, number, RESIDENT, purpose))


def yes(found: Availability) -> dict[str, str]:
    return {one.paper.code: one.by for one in found.answers if one.available}


async def count(library: Library, query: str) -> int:
    async with library.database.session() as session:
        return int((await session.execute(text(query))).scalar_one())


async def test_what_is_known_need_not_be_brought(library: Library) -> None:
    assert yes(await ask(library)) == {}
    for type_code in (LICENCE, OWNERSHIP, SAFETY):
        await holds(library, type_code)
    assert yes(await ask(library)) == {"licence": LICENCE, "premises": OWNERSHIP}, "conditional without a basis is not told"
    assert await count(library, "SELECT count(*) FROM certs.accesses WHERE kind = 'available' AND certificate_id IS NOT NULL") == 2
    assert await count(library, "SELECT count(*) FROM certs.accesses WHERE kind = 'available' AND certificate_id IS NULL") == 2
    body = (
        "SELECT count(*) FROM keys.audit_events WHERE action = 'certs.matter.available' AND position(:n in convert_from(body, 'UTF8')) > 0"
    )
    assert await count(library, body.replace(":n", f"'{NUMBER}'")) == 0, "numbers stand in no log"
    today = civil_date(library.clock.now())
    async with library.database.session() as session:
        figure = await saved(session, today, today)
    assert (figure.matters, figure.required, figure.answerable, figure.asked, figure.answered) == (1, 4, 3, 8, 2)
    async with library.database.session() as session:
        assert (await saved(session, today - dt.timedelta(9), today - dt.timedelta(1))).asked == 0


async def test_what_does_not_hold_is_no_answer(library: Library) -> None:
    today = civil_date(library.clock.now())
    await holds(library, LICENCE, status="03")
    await holds(library, LICENCE, valid_to=today - dt.timedelta(1))
    await holds(library, LICENCE, flags=["identifier_check"])
    await holds(library, LICENCE, trust_grade="C")
    await holds(library, LICENCE, stage="void")
    await holds(library, LICENCE, successor="1")
    assert yes(await ask(library)) == {}
    await holds(library, LICENCE, valid_to=today)
    assert yes(await ask(library)) == {"licence": LICENCE}


async def test_the_sharing_class_decides_and_the_issuer_knows_anyway(library: Library, clock: TestClock) -> None:
    async with library.database.begin() as session:
        closed = [replace(one, sharing=Sharing(SharingClass.NOT_SHARED, "规定")) for one in shipped_types() if one.code == LICENCE]
        await put_types(session, clock.now(), closed)
    await holds(library, LICENCE)
    assert yes(await ask(library)) == {}
    await holds(library, LICENCE, issuer=MARKET)
    await holds(library, SAFETY, issuer=MARKET)
    assert yes(await ask(library)) == {"licence": LICENCE, "training": SAFETY}


async def test_unknown_and_forbidden_are_told_in_the_same_words(library: Library) -> None:
    outsider = replace(CLIENT, id="housing", organisation=HOUSING)
    told = []
    for actor, matter in ((outsider, FOOD), (CLIENT, "000000000000"), (person("keeper", Role.SEAL_KEEPER), FOOD), (STRANGER, FOOD)):
        with pytest.raises(MatterUnknown) as refusal:
            await ask(library, actor, matter)
        told.append((refusal.value.code, refusal.value.public, refusal.value.extra))
    assert len({str(one) for one in told}) == 1
    assert (
        await count(library, "SELECT count(*) FROM keys.audit_events WHERE action = 'certs.matter.available' AND outcome = 'refused'") == 4
    )
    assert yes(await ask(library, person("clerk", Role.WINDOW_CLERK))) == {}
    async with library.database.begin() as session:
        await grant_issuing(session, library.clock.now(), outsider.id, MARKET, "test")
    assert yes(await ask(library, outsider)) == {}, "a hall that serves the organisation may ask"
    with pytest.raises(PurposeRequired):
        await ask(library, purpose=" ")
    with pytest.raises(InvalidInput):
        await ask(library, number="123")
    assert NUMBER not in repr(Question(FOOD, NUMBER, RESIDENT, "x"))


async def test_who_keeps_the_table(library: Library, clock: TestClock) -> None:
    database = library.database
    for actor, error in (
        (STRANGER, CatalogueForbidden),
        (REVIEWER, CatalogueForbidden),
        (replace(WRITER, authenticator=1), CatalogueSecondFactorNeeded),
    ):
        with pytest.raises(error):
            await put_papers(database, clock, actor, FOOD, PAPERS)
    with pytest.raises(PaperMalformed):
        await put_papers(database, clock, WRITER, FOOD, [Paper("a b", "", types=("nowhere",))])
    assert len(await put_papers(database, clock, SYSADMIN, FOOD, PAPERS[:1])) == 1


async def test_a_table_of_papers_comes_in_row_by_row(library: Library, clock: TestClock) -> None:
    table = (
        "matter_code,paper_code,name_zh,mandatory,types,enough,basis\n"
        f"{FOOD},licence,营业执照,1,{LICENCE},data,\n{FOOD},id,身份证明,1,{LICENCE}^{OWNERSHIP},copy,规定\n"
        f"000,licence,甲,1,,,\n{FOOD},x y,乙,1,,,\n{FOOD},y,乙,1,,maybe,\n{FOOD},short\n"
    ).encode("gb18030")
    rehearsed = await import_papers(library.database, clock, WRITER, table, dry_run=True)
    done = await import_papers(library.database, clock, WRITER, table)
    assert [one.outcome for one in rehearsed] == [one.outcome for one in done] == ["changed", "new", *["refused"] * 4]
    async with library.database.session() as session:
        papers = await papers_of(session, FOOD)
    assert [one.code for one in papers] == ["licence", "premises", "training", "plan", "id"]
    assert (papers[-1].types, papers[-1].enough) == ((LICENCE, OWNERSHIP), Enough.COPY)
