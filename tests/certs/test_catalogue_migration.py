"""Types that stood before there were versions become published version 1, and their certificates remember it."""

import asyncio
import json
import uuid

from alembic import command
from sqlalchemy import text

from api.migrations import configuration, upgrade
from certs.catalogue import definition, shipped_types
from certs.catalogue_reads import Wanted, find_types, get_versions, history_of_type
from certs.models import CertificateRow
from certs.reads import get_type
from certs.type_lifecycle import TypeMove, TypeStatus
from keys.base.db import Database

BEFORE = "0022_seal_gaps"
FOOD = next(kind for kind in shipped_types() if kind.name_en == "Food business licence")
OLD = ("code", "name_zh", "name_en", "holder_kind", "issued_here", "open_ended", "max_years")


def as_it_was() -> str:
    whole = definition(FOOD)
    fields = [{name: one[name] for name in ("name", "short", "mandatory", "mask")} for one in whole["fields"]]  # type: ignore[attr-defined]
    return json.dumps({name: whole[name] for name in OLD} | {"fields": fields})


async def test_todays_types_are_published_version_one(database: Database, database_url: str) -> None:
    await asyncio.to_thread(command.downgrade, configuration(database_url), BEFORE)
    made = uuid.uuid4()
    async with database.begin() as session:
        await session.execute(
            text("INSERT INTO certs.types (code, definition, updated_at) VALUES (:code, CAST(:definition AS jsonb), now())"),
            {"code": FOOD.code, "definition": as_it_was()},
        )
        await session.execute(
            text(
                "INSERT INTO certs.certificates (id, stage, status, source, type_code, type_name, number, identifier, duplicate, issuer,"
                " issuer_name, division, fields, trust_grade, flags, created_at) VALUES"
                " (:id, 'issued', '01', 'issued', :code, 'x', '1', '1', false, 'x', 'x', '990100', '{}', 'A', '[]', now())"
            ),
            {"id": made, "code": FOOD.code},
        )
    await database.engine.dispose()
    await upgrade(database_url)
    async with database.session() as session:
        assert await get_type(session, FOOD.code) == await get_type(session, FOOD.code, 1) == FOOD
        [version], [move] = await get_versions(session, FOOD.code), await history_of_type(session, FOOD.code)
        assert (version.status, move.move) == (TypeStatus.PUBLISHED, TypeMove.SHIP)
        assert [one.code for one in (await find_types(session, Wanted("主体业态"))).items] == [FOOD.code]
        assert (await session.get_one(CertificateRow, made)).type_version == 1
    await asyncio.to_thread(command.downgrade, configuration(database_url), BEFORE)
    async with database.session() as session:
        kept = await session.scalar(text("SELECT definition ->> 'name_zh' FROM certs.types"))
    assert kept == FOOD.name_zh
    await database.engine.dispose()
    await upgrade(database_url)
