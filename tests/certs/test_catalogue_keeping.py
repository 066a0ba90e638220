"""The life of a type in the catalogue: written by one, reviewed by another, never changed once published."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from certs.approvals import IdempotencyKeyReused
from certs.catalogue import CertificateTypeRetired, UnknownCertificateType, shipped_types
from certs.catalogue_access import CatalogueForbidden, CatalogueSecondFactorNeeded, SamePerson
from certs.catalogue_keeping import (
    Kept,
    Once,
    TypeChangedMeanwhile,
    TypeExists,
    TypeReasonMissing,
    TypeUnknown,
    VersionBeingWritten,
    edit_version,
    take_step,
    write_type,
    write_version,
)
from certs.catalogue_reads import Wanted, find_types, get_before, get_version, get_versions, history_of_type
from certs.reads import get_type, issuable_type
from certs.type_diff import differences
from certs.type_lifecycle import TYPE_MOVES, TypeMove, TypeMoveNotAllowed, TypeStatus, markdown, standing_of, type_target
from certs.type_rules import TypeMalformed
from keys.base.actor import SYSTEM, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from tests.certs.catalogue_people import CODE, COLLEAGUE, HAWKER, REVIEWER, STRANGER, SYSADMIN, WRITER, person
from tests.running import ROOT


class Desk:
    """One catalogue and short names for what is done to it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock

    async def write(self, **more: object) -> Kept:
        return await write_type(self.database, self.clock, WRITER, replace(HAWKER, **more))  # type: ignore[arg-type]

    async def step(self, kept: Kept, move: TypeMove, actor: object = WRITER, reason: str = "按规定") -> Kept:
        return await take_step(
            self.database, self.clock, actor, kept.code, kept.version, move, seen=kept.digest, reason=reason  # type: ignore[arg-type]
        )  # fmt: skip

    async def published(self) -> Kept:
        return await self.step(await self.step(await self.write(), TypeMove.SUBMIT), TypeMove.PUBLISH, REVIEWER)

    async def next_published(self, kept: Kept, **more: object) -> Kept:
        draft = await write_version(self.database, self.clock, WRITER, kept.code, replace(HAWKER, **more))  # type: ignore[arg-type]
        return await self.step(await self.step(draft, TypeMove.SUBMIT), TypeMove.PUBLISH, REVIEWER)

    async def count(self, where: str) -> int:
        async with self.database.session() as session:
            return int((await session.execute(text(f"SELECT count(*) FROM keys.audit_events WHERE {where}"))).scalar_one())


@pytest.fixture
def desk(database: Database, clock: Clock) -> Desk:
    return Desk(database, clock)


def test_the_table_of_moves_is_the_only_way() -> None:
    assert type_target(None, TypeMove.WRITE) is TypeStatus.DRAFT
    for move, step in TYPE_MOVES.items():
        for status in (None, *TypeStatus):
            allowed = (status is None and not step.sources) or status in step.sources
            if allowed:
                assert type_target(status, move) is step.target
            else:
                with pytest.raises(TypeMoveNotAllowed):
                    type_target(status, move)
    assert standing_of({1: TypeStatus.RETIRED, 2: TypeStatus.PUBLISHED, 3: TypeStatus.DRAFT}) == (TypeStatus.PUBLISHED, 2, 3)
    assert standing_of({1: TypeStatus.RETIRED, 2: TypeStatus.ABANDONED}) == (TypeStatus.RETIRED, 1, None)
    assert standing_of({1: TypeStatus.ABANDONED}) == (TypeStatus.ABANDONED, None, None)
    assert standing_of({1: TypeStatus.REVIEW}) == (TypeStatus.REVIEW, None, 1)


def test_the_documentation_has_this_table() -> None:
    assert markdown() in (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")


async def test_from_the_draft_to_its_end(desk: Desk, database: Database, clock: Clock) -> None:
    draft = await desk.write()
    async with database.session() as session:
        assert await get_type(session, CODE) is None, "a draft is no type yet"
        with pytest.raises(UnknownCertificateType):
            await issuable_type(session, CODE)
    edited = await edit_version(database, clock, COLLEAGUE, replace(HAWKER, max_years=2), draft.digest)
    in_review = await desk.step(edited, TypeMove.SUBMIT)
    for wrote in (WRITER, COLLEAGUE):
        with pytest.raises(SamePerson):
            await desk.step(in_review, TypeMove.PUBLISH, wrote)
    back = await desk.step(in_review, TypeMove.SEND_BACK, REVIEWER, "补充依据")
    first = await desk.step(await desk.step(back, TypeMove.SUBMIT), TypeMove.PUBLISH, REVIEWER)
    second = await desk.next_published(first, name_zh="小餐饮登记证")
    async with database.session() as session:
        assert (await issuable_type(session, CODE)).name_zh == "小餐饮登记证"
        old = await get_type(session, CODE, 1)
        assert old is not None
        assert (old.name_zh, old.max_years) == (HAWKER.name_zh, 2), "a certificate of version 1 still finds what it was issued under"
        assert [one.status for one in await get_versions(session, CODE)] == [TypeStatus.PUBLISHED, TypeStatus.RETIRED]
        now, before = await get_version(session, CODE, 2), await get_before(session, await get_version(session, CODE, 2))
        assert before is not None
        assert [one.member for one in differences(before.kind, now.kind)] == ["name_zh", "max_years"]
    await desk.step(second, TypeMove.RETIRE, REVIEWER, "证照取消")
    async with database.session() as session:
        with pytest.raises(CertificateTypeRetired):
            await issuable_type(session, CODE)
        assert await get_type(session, CODE, 2) is not None
        moves = [(one.version, one.move.value, one.actor_id) for one in await history_of_type(session, CODE)]
    assert moves == [
        (1, "write", "writer"), (1, "edit", "colleague"), (1, "submit", "writer"), (1, "send_back", "reviewer"), (1, "submit", "writer"),
        (1, "publish", "reviewer"), (2, "write", "writer"), (2, "submit", "writer"), (1, "supersede", "reviewer"),
        (2, "publish", "reviewer"), (2, "retire", "reviewer"),
    ]  # fmt: skip
    assert await desk.count("action LIKE 'certs.type.%' AND outcome = 'done'") == 10
    assert await desk.count("action = 'certs.type.publish' AND outcome = 'refused'") == 2


async def test_what_was_published_never_changes(desk: Desk, database: Database, clock: Clock) -> None:
    kept = await desk.published()
    with pytest.raises(TypeMoveNotAllowed):
        await edit_version(database, clock, WRITER, HAWKER, kept.digest)
    for statement in (
        "UPDATE certs.type_versions SET definition = jsonb_set(definition, '{max_years}', '9')",
        "UPDATE certs.type_versions SET status = 'draft'",
        "DELETE FROM certs.type_versions",
        "UPDATE certs.type_moves SET reason = ''",
        "DELETE FROM certs.type_moves",
    ):
        with pytest.raises(DBAPIError, match=r"kept|keeps"):
            async with database.begin() as session:
                await session.execute(text(statement))


async def test_who_may(desk: Desk, database: Database, clock: Clock) -> None:
    refused: list[tuple[object, type[FujieError]]] = [
        (STRANGER, CatalogueForbidden),
        (REVIEWER, CatalogueForbidden),
        (person("clerk", Role.WINDOW_CLERK), CatalogueForbidden),
        (replace(WRITER, authenticator=1), CatalogueSecondFactorNeeded),
    ]
    for actor, error in refused:
        with pytest.raises(error):
            await write_type(database, clock, actor, HAWKER)  # type: ignore[arg-type]
    draft = await write_type(database, clock, SYSADMIN, replace(HAWKER, issuers=(str(STRANGER.organisation),)))
    draft = await edit_version(database, clock, STRANGER, replace(HAWKER, issuers=(str(STRANGER.organisation),), max_years=1), draft.digest)
    with pytest.raises(CatalogueForbidden):
        await edit_version(database, clock, STRANGER, replace(HAWKER, issuers=()), draft.digest)
    in_review = await desk.step(draft, TypeMove.SUBMIT)
    with pytest.raises(CatalogueForbidden):
        await desk.step(in_review, TypeMove.PUBLISH, SYSTEM)
    assert (await desk.step(in_review, TypeMove.PUBLISH, COLLEAGUE)).status is TypeStatus.PUBLISHED


async def test_two_at_once(desk: Desk, database: Database, clock: Clock) -> None:
    draft = await desk.write()
    with pytest.raises(TypeExists):
        await desk.write()
    changes = [edit_version(database, clock, WRITER, replace(HAWKER, max_years=years), draft.digest) for years in (1, 2)]
    answers = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["Kept", "TypeChangedMeanwhile"]
    with pytest.raises(TypeChangedMeanwhile):
        await desk.step(draft, TypeMove.SUBMIT)
    with pytest.raises(VersionBeingWritten):
        await write_version(database, clock, WRITER, CODE)
    with pytest.raises(TypeUnknown):
        await write_version(database, clock, WRITER, f"{CODE[:18]}ZZZ")
    with pytest.raises(TypeReasonMissing):
        await desk.step(next(one for one in answers if isinstance(one, Kept)), TypeMove.ABANDON, reason=" ")


async def test_an_abandoned_number_is_not_used_again_and_a_key_answers_once(desk: Desk, database: Database, clock: Clock) -> None:
    once = Once("key-1", b"one")
    draft = await write_type(database, clock, WRITER, HAWKER, once=once)
    assert await write_type(database, clock, WRITER, HAWKER, once=once) == draft
    with pytest.raises(IdempotencyKeyReused):
        await write_type(database, clock, WRITER, HAWKER, once=Once("key-1", b"two"))
    await desk.step(draft, TypeMove.ABANDON)
    async with database.session() as session:
        assert await get_type(session, CODE) is None
    assert (await write_version(database, clock, WRITER, CODE)).version == 2


async def test_a_definition_that_is_none_names_every_fault(desk: Desk) -> None:
    with pytest.raises(TypeMalformed) as refusal:
        await desk.write(code="123", name_zh=" ", most_holders=51, seal_kind="rubber", matters=("a b",), offline_fields=("XX",))
    named = {one["field"] for one in refusal.value.extra["errors"]}  # type: ignore[attr-defined]
    assert named == {"code", "name_zh", "most_holders", "seal_kind", "matters", "offline_fields"}


@pytest.mark.usefixtures("catalogue")
async def test_search_finds_any_part_in_any_width(database: Database) -> None:
    async def names(text: str, **more: object) -> list[str]:
        async with database.session() as session:
            return [one.name_zh for one in (await find_types(session, Wanted(text, **more))).items]  # type: ignore[arg-type]

    assert await names("排水") == ["城镇污水排入排水管网许可证"]
    assert await names("ＦＯＯＤ licence") == ["食品经营许可证"]
    assert await names("许可 经营") == ["食品经营许可证"]
    assert await names("11100000mb03271699") == ["不动产权证书", "不动产登记证明"]
    assert await names("主体业态") == ["食品经营许可证"], "in the names of its fields too"
    assert await names("100% _") == []
    assert await names("", organisation="11990100MB0000035A") == ["食品经营许可证"]
    assert len(await names("", status=TypeStatus.PUBLISHED)) == len(shipped_types())
    assert await names("", being_written=True) == []
    seen, cursor = [], None
    for _ in range(10):
        async with database.session() as session:
            page = await find_types(session, Wanted("证"), cursor=cursor, limit=2)
        seen += [one.code for one in page.items]
        assert page.total == 6
        if (cursor := page.next_cursor) is None:
            break
    assert len(seen) == len(set(seen)) == 6
