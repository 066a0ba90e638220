"""Blind indexes, envelopes and reveals."""

import asyncio
import datetime as dt
import pickle
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from identity import personal_data
from identity.personal_data import (
    NOTICE,
    DataKeyUnknown,
    PersonalData,
    following,
    open_personal_data,
    reread,
    reveal,
    rotate_data_key,
)
from keys.base.actor import Actor, ActorKind
from keys.base.db import Database
from keys.base.errors import FujieError, InvalidInput
from keys.custody.store import KeyStore

NUMBER = "11010519491231002X"
CONTEXT = "identity.bindings.number:1"
CLERK = Actor(ActorKind.PERSON, str(uuid.UUID(int=1)), "窗口人员")


async def test_the_keys_are_made_once_even_by_many_at_once(database: Database, keystore: KeyStore, clock: Any) -> None:
    opened = await asyncio.gather(*(open_personal_data(database, keystore, clock) for _ in range(5)))
    assert len({personal.index("111", NUMBER) for personal in opened}) == 1
    assert len({personal.data_key.id for personal in opened}) == 1
    assert opened[0].open(opened[4].seal(NUMBER, CONTEXT), CONTEXT) == NUMBER


def test_the_index_tells_numbers_apart_and_spellings_not(personal: PersonalData) -> None:
    index = personal.index("111", NUMBER)
    assert len(index) == 32
    assert index == personal.index("111", f" {NUMBER.lower()} ") == personal.index("X81", NUMBER)
    others = {personal.index("111", "990100197003131003"), personal.index("553", NUMBER), personal.index("001", NUMBER)}
    assert index not in others
    assert len(others) == 3
    assert personal.linked_index(index, "name", "钱晓明") != personal.linked_index(personal.index("111", "1"), "name", "钱晓明")
    assert personal.subject("ab", "c") != personal.subject("a", "bc")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(value=st.text(st.characters(exclude_categories=["Cs"])), context=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_in_its_place_only(personal: PersonalData, value: str, context: str) -> None:
    sealed = personal.seal(value, context)
    assert personal.open(sealed, context) == value
    assert sealed != personal.seal(value, context)
    with pytest.raises(FujieError):
        personal.open(sealed, context + "x")


def test_every_changed_octet_is_noticed(personal: PersonalData) -> None:
    sealed = personal.seal(NUMBER, CONTEXT)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(FujieError):
            personal.open(changed, CONTEXT)
    for broken in (b"", b"\x01", sealed[:17], sealed[:-1], b"\x02" + sealed[1:]):
        with pytest.raises(FujieError):
            personal.open(broken, CONTEXT)


async def test_a_new_data_key_is_announced_seals_later_and_leaves_old_envelopes_readable(
    personal: PersonalData, database: Database, keystore: KeyStore, clock: Any
) -> None:
    before, old, index = personal.seal(NUMBER, CONTEXT), personal.data_key.id, personal.index("111", NUMBER)
    made = await rotate_data_key(database, keystore, clock)
    assert made.seals_from == clock.now() + NOTICE
    assert await rotate_data_key(database, keystore, clock) == made, "one is announced already"
    await reread(personal, database, clock.now())
    assert personal.data_key.id == old
    assert set(personal.keys.others) == {made.key_id}
    clock.advance(seconds=NOTICE.total_seconds())
    await reread(personal, database, clock.now())
    assert personal.data_key.id == made.key_id
    assert personal.seal(NUMBER, CONTEXT)[1:17] == made.key_id.bytes
    assert personal.open(before, CONTEXT) == NUMBER
    assert personal.index("111", NUMBER) == index


async def test_a_process_that_read_at_the_announcement_opens_what_faster_ones_seal(
    personal: PersonalData, database: Database, keystore: KeyStore, clock: Any
) -> None:
    await rotate_data_key(database, keystore, clock)
    await reread(personal, database, clock.now())
    clock.advance(seconds=NOTICE.total_seconds())
    faster = await open_personal_data(database, keystore, clock)
    assert personal.open(faster.seal(NUMBER, CONTEXT), CONTEXT) == NUMBER


async def test_a_key_that_is_not_known_yet_asks_for_patience(
    personal: PersonalData, database: Database, keystore: KeyStore, clock: Any
) -> None:
    await rotate_data_key(database, keystore, clock, notice=dt.timedelta())
    sealed = (await open_personal_data(database, keystore, clock)).seal(NUMBER, CONTEXT)
    with pytest.raises(DataKeyUnknown) as refused:
        personal.open(sealed, CONTEXT)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})
    await reread(personal, database, clock.now())
    assert personal.open(sealed, CONTEXT) == NUMBER


async def test_processes_follow_by_themselves(
    personal: PersonalData, database: Database, keystore: KeyStore, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "REREAD", dt.timedelta(milliseconds=20))
    async with following(personal, database, clock):
        made = await rotate_data_key(database, keystore, clock, notice=dt.timedelta())
        async with asyncio.timeout(5):
            while personal.data_key.id != made.key_id:
                await asyncio.sleep(0.01)


def test_it_travels_to_worker_processes(personal: PersonalData) -> None:
    copy = pickle.loads(pickle.dumps(personal))
    assert copy.open(personal.seal(NUMBER, CONTEXT), CONTEXT) == NUMBER


async def _reveals(database: Database) -> list[dict[str, Any]]:
    async with database.session() as session:
        rows = await session.scalars(text("SELECT body FROM keys.audit_events WHERE action = 'identity.personal_data.reveal' ORDER BY id"))
        return [orjson.loads(row) for row in rows]


async def test_a_reveal_is_recorded_with_its_reasons(personal: PersonalData, database: Database, clock: Any) -> None:
    sealed = personal.seal(NUMBER, CONTEXT)
    reasons = {"purpose": "核对申请材料", "legal_basis": "PIPL 13(3)"}
    assert await reveal(database, clock.now(), personal, actor=CLERK, sealed=sealed, context=CONTEXT, **reasons) == NUMBER
    (entry,) = await _reveals(database)
    assert (entry["outcome"], entry["object"], entry["actor"]["id"], entry["details"]) == ("done", CONTEXT, CLERK.id, reasons)
    assert NUMBER not in str(entry)


async def test_a_reveal_that_fails_is_recorded_too(personal: PersonalData, database: Database, clock: Any) -> None:
    sealed = personal.seal(NUMBER, "elsewhere")
    with pytest.raises(FujieError):
        await reveal(database, clock.now(), personal, actor=CLERK, sealed=sealed, context=CONTEXT, purpose="p", legal_basis="l")
    (entry,) = await _reveals(database)
    assert entry["outcome"] == "failed"


@pytest.mark.parametrize(("purpose", "legal_basis"), [("", "PIPL 13"), ("  ", "PIPL 13"), ("p", ""), ("p" * 201, "PIPL 13")])
async def test_no_reveal_without_reasons(personal: PersonalData, database: Database, clock: Any, purpose: str, legal_basis: str) -> None:
    sealed = personal.seal(NUMBER, CONTEXT)
    with pytest.raises(InvalidInput):
        await reveal(database, clock.now(), personal, actor=CLERK, sealed=sealed, context=CONTEXT, purpose=purpose, legal_basis=legal_basis)
    assert await _reveals(database) == []
