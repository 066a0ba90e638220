"""Sealing again: everything once, nothing lost, whoever else writes, and the old key goes only when nothing needs it."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
import pyotp
import pytest
from sqlalchemy import LargeBinary, MetaData, text
from sqlalchemy.exc import DBAPIError

from api.migrations.metadata import ALL
from certs.rewrapping import SEALED
from identity import rewrapping
from identity.credentials import accept_totp, enrol_totp, get_credential
from identity.people import Account
from identity.personal_data import NOTICE, PersonalData, open_personal_data, reread, rotate_data_key
from identity.realname import RealName, bind_real_name, binding_context, check_real_name, parse_claim
from identity.realname_sources import load_population, population_context
from identity.rewrapping import Rewrapping, close_unused, data_key_states
from keys.base.actor import Actor, ActorKind
from keys.base.db import Database
from keys.custody.errors import KeyUnreadable
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.reads import load_key
from keys.custody.store import Algorithm, KeyStore
from keys.suites import SUITES, Suite
from tests.softhsm import Hsm, module

ROWS = 170


def _row(personal: PersonalData, place: int) -> dict[str, Any]:
    """A row of the population registry; the number's form does not matter here."""
    index = place.to_bytes(32, "big")
    context = population_context(index)
    return {
        "number_index": index,
        "code_type": "111",
        "name_index": b"n",
        "mobile_index": None,
        "number_sealed": personal.seal(f"number {place}", f"{context}:number"),
        "name_sealed": personal.seal(f"name {place}", f"{context}:name"),
        "mobile_sealed": personal.seal(f"mobile {place}", f"{context}:mobile") if place % 3 else None,
        "loaded_at": dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
    }


INSERT = text(
    "INSERT INTO identity.population"
    " (number_index, code_type, name_index, mobile_index, number_sealed, name_sealed, mobile_sealed, loaded_at)"
    " VALUES (:number_index, :code_type, :name_index, :mobile_index, :number_sealed, :name_sealed, :mobile_sealed, :loaded_at)"
)


async def _fill(database: Database, personal: PersonalData, rows: range) -> None:
    async with database.begin() as session:
        await session.execute(INSERT, [_row(personal, place) for place in rows])


async def _keys_in_use(database: Database) -> set[uuid.UUID]:
    columns = [(one.table.fullname, name) for one in SEALED for name in one.contexts]
    union = " UNION ALL ".join(f"SELECT substr({name}, 2, 16) AS key FROM {table} WHERE {name} IS NOT NULL" for table, name in columns)
    async with database.session() as session:
        return {uuid.UUID(bytes=bytes(key)) for key in await session.scalars(text(f"SELECT DISTINCT key FROM ({union}) AS every"))}


async def _contents(database: Database, personal: PersonalData) -> dict[int, tuple[str, str, str | None]]:
    query = text("SELECT number_index, number_sealed, name_sealed, mobile_sealed FROM identity.population")
    async with database.session() as session:
        rows = (await session.execute(query)).all()
    found = {}
    for index, number, name, mobile in rows:
        context = population_context(index)
        opened = personal.open(number, f"{context}:number"), personal.open(name, f"{context}:name")
        found[int.from_bytes(index, "big")] = (*opened, personal.open(mobile, f"{context}:mobile") if mobile else None)
    return found


def _expected(rows: range) -> dict[int, tuple[str, str, str | None]]:
    return {place: (f"number {place}", f"name {place}", f"mobile {place}" if place % 3 else None) for place in rows}


async def _new_key(database: Database, keystore: KeyStore, clock: Any, personal: PersonalData) -> uuid.UUID:
    """Rotate, wait for the notice, let ``personal`` follow; the new key."""
    made = await rotate_data_key(database, keystore, clock)
    clock.advance(seconds=NOTICE.total_seconds())
    await reread(personal, database, clock.now())
    assert personal.data_key.id == made.key_id
    return made.key_id


@pytest.fixture
def token_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pkcs11KeyStore]:
    """A key store on a token of SoftHSM."""
    path = module()
    hsm = Hsm(tmp_path_factory.mktemp("softhsm") / "hsm").prepare()
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.configuration))
    token = hsm.token()
    store = Pkcs11KeyStore.open(path, token.label, token.pin_file)
    yield store
    store.close()


@pytest.fixture
def work(database: Database, personal: PersonalData, clock: Any) -> Rewrapping:
    return Rewrapping(database, personal, clock, SEALED)


def test_every_column_that_holds_envelopes_is_registered() -> None:
    """By our own convention: octets in a column named ``…_sealed``, of any package. Others are named by their guard, below."""
    metadata: list[MetaData] = list(ALL)  # type: ignore[arg-type]
    columns = {
        f"{table.fullname}.{column.name}"
        for one in metadata
        for table in one.tables.values()
        for column in table.columns
        if column.name.endswith("_sealed") and isinstance(column.type, LargeBinary)
    }
    assert columns <= {f"{one.table.fullname}.{name}" for one in SEALED for name in one.contexts}


async def test_the_database_guards_and_indexes_the_same_columns(database: Database) -> None:
    async with database.session() as session:
        guarded = await session.execute(
            text(
                "SELECT tgrelid::regclass::text, attname FROM pg_trigger JOIN pg_attribute ON attrelid = tgrelid AND attnum = ANY(tgattr)"
                " WHERE tgname LIKE '%_data_key'"
            )
        )
        indexed = await session.scalar(text("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%substr(%, 2, 16)%'"))
    columns = {(one.table.fullname, name) for one in SEALED for name in one.contexts}
    assert {(table, column) for table, column in guarded} == columns
    assert indexed == len(columns)


async def test_everything_is_sealed_again_then_the_old_key_is_destroyed(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, approver: Account
) -> None:
    await _fill(database, personal, range(ROWS))
    old = personal.data_key
    new = await _new_key(database, keystore, clock, personal)
    assert await _keys_in_use(database) == {old.id}
    assert await work.step() == ROWS * 2 + sum(1 for place in range(ROWS) if place % 3) + 1
    assert await _keys_in_use(database) == {new}
    assert await _contents(database, personal) == _expected(range(ROWS))
    async with database.session() as session:
        states = {key.key_id: (key.state, key.envelopes) for key in await data_key_states(session, clock.now(), SEALED)}
        wrapped = await session.scalar(text("SELECT wrapped FROM keys.stored_keys WHERE id = :id"), {"id": old.id})
        actions = list(
            await session.scalars(text("SELECT action FROM keys.audit_events WHERE action LIKE 'identity.personal_data.%' ORDER BY id"))
        )
    assert states == {old.id: ("destroyed", None), new: ("sealing", None)}
    assert wrapped == b""
    assert actions == ["identity.personal_data.rotate", *["identity.personal_data.destroy_key"] * 2], "the intent and the deed"
    await reread(personal, database, clock.now())
    assert personal.keys.others == {}


async def test_a_process_killed_before_the_octets_are_gone_leaves_that_to_the_next(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData
) -> None:
    old = personal.data_key.id
    await _new_key(database, keystore, clock, personal)
    assert await close_unused(database, clock.now(), old, SEALED)
    wrapped = text("SELECT wrapped FROM keys.stored_keys WHERE id = :id")
    async with database.session() as session:
        assert await session.scalar(wrapped, {"id": old})
    await work.step()
    async with database.session() as session:
        assert await session.scalar(wrapped, {"id": old}) == b""


@pytest.mark.parametrize("suite", SUITES.values(), ids=str)
async def test_on_a_token_the_old_key_leaves_the_token(token_store: Pkcs11KeyStore, database: Database, clock: Any, suite: Suite) -> None:
    """SoftHSM holds AES keys itself, SM4 keys wrapped under one of its own: either way nothing opens with the old key again."""
    personal = await open_personal_data(database, token_store, clock, suite)
    old = personal.data_key
    await _fill(database, personal, range(3))
    await rotate_data_key(database, token_store, clock, suite, notice=dt.timedelta())
    clock.advance(seconds=1)
    await Rewrapping(database, personal, clock, SEALED).step(20)
    assert await _contents(database, personal) == _expected(range(3))
    assert personal.data_key.algorithm is suite.cipher
    async with database.session() as session:
        erased = await load_key(session, old.id)
    assert erased.wrapped == b""
    for key in {erased} | ({old} if suite.cipher is Algorithm.AES256 else set()):
        with pytest.raises(KeyUnreadable):
            token_store.encrypt(key, b"message", b"")
    token_store.destroy(old)  # gone already: no error


async def test_it_goes_on_where_it_stopped(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn has no time but for one batch, and each is the first of a new process."""
    await _fill(database, personal, range(ROWS))
    old, new = personal.data_key.id, await _new_key(database, keystore, clock, personal)
    monkeypatch.setattr(rewrapping, "BATCH", 30)
    turns, left = 0, [ROWS]
    while old in await _keys_in_use(database):
        fresh = Rewrapping(database, await open_personal_data(database, keystore, clock), clock, SEALED)
        assert await fresh._batch(rewrapping.SEALED[2], old)
        async with database.session() as session:
            (state,) = [key for key in await data_key_states(session, clock.now(), SEALED) if key.key_id == old]
        assert state.state == "older"
        left.append(state.envelopes or 0)
        turns += 1
    assert turns == 6
    assert left == sorted(left, reverse=True)
    assert await _contents(database, personal) == _expected(range(ROWS))
    assert await work.step() == 0
    assert await _keys_in_use(database) == {new}


async def test_several_at_once_while_people_write(
    database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes seal again while rows are inserted, under the old key too, and changed: the last value written stands."""
    await _fill(database, personal, range(ROWS))
    slow = await open_personal_data(database, keystore, clock)  # never learns of the new key
    new = await _new_key(database, keystore, clock, personal)
    monkeypatch.setattr(rewrapping, "BATCH", 20)

    async def write() -> None:
        for place in range(ROWS, ROWS + 30):
            await _fill(database, slow if place % 2 else personal, range(place, place + 1))
            changed = place - ROWS
            context = f"{population_context(changed.to_bytes(32, 'big'))}:name"
            async with database.begin() as session:
                await session.execute(
                    text("UPDATE identity.population SET name_sealed = :sealed WHERE number_index = :index"),
                    {"sealed": slow.seal(f"changed {changed}", context), "index": changed.to_bytes(32, "big")},
                )

    async def not_yet(*_: object) -> bool:
        return False

    monkeypatch.setattr(rewrapping, "close_unused", not_yet)  # else the slow one is refused, as it must be: tested below
    workers = [Rewrapping(database, await open_personal_data(database, keystore, clock), clock, SEALED[2:3]) for _ in range(3)]
    await asyncio.gather(write(), *(worker.step(0.4) for worker in workers))
    await workers[0].step(10)
    assert await _keys_in_use(database) == {new}
    expected = _expected(range(ROWS + 30))
    expected |= {place: (expected[place][0], f"changed {place}", expected[place][2]) for place in range(30)}
    assert await _contents(database, personal) == expected


async def test_a_key_in_use_is_not_destroyed_and_one_destroyed_takes_no_more(
    database: Database, keystore: KeyStore, clock: Any, personal: PersonalData
) -> None:
    await _fill(database, personal, range(1))
    slow = await open_personal_data(database, keystore, clock)
    old = slow.data_key.id
    await _new_key(database, keystore, clock, personal)
    assert not await close_unused(database, clock.now(), old, SEALED)
    await Rewrapping(database, personal, clock, SEALED).step()
    with pytest.raises(DBAPIError, match="names no data key that stands"):
        await _fill(database, slow, range(5, 6))
    assert await _contents(database, personal) == _expected(range(1))
    assert not await close_unused(database, clock.now(), old, SEALED), "only once"


async def test_whoever_is_writing_under_the_old_key_keeps_it(
    database: Database, keystore: KeyStore, clock: Any, personal: PersonalData
) -> None:
    """The writer has not committed when the key is to be destroyed: destroying waits, then sees the envelope."""
    slow = await open_personal_data(database, keystore, clock)
    await _new_key(database, keystore, clock, personal)
    async with database.begin() as session:
        await session.execute(INSERT, [_row(slow, 7)])
        destroying = asyncio.create_task(close_unused(database, clock.now(), slow.data_key.id, SEALED))
        await asyncio.sleep(0.2)
        assert not destroying.done()
    assert await destroying is False
    assert await _contents(database, personal) == _expected(range(7, 8))


async def test_an_altered_envelope_is_stepped_over_told_and_keeps_its_key(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData
) -> None:
    await _fill(database, personal, range(4))
    async with database.begin() as session:
        altered = "UPDATE identity.population SET name_sealed = set_byte(name_sealed, 40, get_byte(name_sealed, 40) # 1)"
        await session.execute(text(f"{altered} WHERE number_index = :index"), {"index": (2).to_bytes(32, "big")})
    old = personal.data_key.id
    await _new_key(database, keystore, clock, personal)
    for _ in range(3):
        await work.step()
    assert old in await _keys_in_use(database)
    async with database.session() as session:
        query = "SELECT body FROM keys.audit_events WHERE action = 'identity.personal_data.rewrap'"
        (event,) = [orjson.loads(body) for body in await session.scalars(text(query))]
        (state,) = [key for key in await data_key_states(session, clock.now(), SEALED) if key.key_id == old]
    assert (event["outcome"], event["code"], event["details"]) == ("failed", "CIPHERTEXT_INVALID", {"table": "identity.population"})
    assert (state.state, state.envelopes) == ("older", 1)


async def test_a_second_factor_still_works_and_its_step_is_not_forgotten(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, citizen: Account
) -> None:
    async with database.begin() as session:
        secret = await enrol_totp(session, personal, clock.now(), citizen.id)
    old = personal.data_key.id
    await _new_key(database, keystore, clock, personal)
    async with database.session() as session:
        before = await get_credential(session, citizen.id)
    assert before is not None
    await work.step()
    assert old not in await _keys_in_use(database)
    otp = pyotp.TOTP(secret).at(clock.now())
    async with database.begin() as session:
        now = await get_credential(session, citizen.id)
        assert now is not None
        assert await accept_totp(session, personal, clock.now(), now, otp)
        assert not await accept_totp(session, personal, clock.now(), now, otp)


async def test_a_bound_number_opens_in_its_place(
    work: Rewrapping, database: Database, keystore: KeyStore, clock: Any, personal: PersonalData, realname: RealName, citizen: Account
) -> None:
    person = Actor(ActorKind.PERSON, str(citizen.id), "钱先生")
    claim = parse_claim("钱晓明", "990100197003131003", "111")
    assert (await bind_real_name(realname, person, claim)).outcome == "match"
    new = await _new_key(database, keystore, clock, personal)
    await work.step()
    assert await _keys_in_use(database) == {new}
    async with database.session() as session:
        sealed = await session.scalar(text("SELECT number_sealed FROM identity.bindings"))
    assert personal.open(sealed, binding_context(citizen.id)) == "990100197003131003"
    assert (await check_real_name(realname, person, claim)).outcome == "match"


async def test_registries_load_under_the_present_key(database: Database, keystore: KeyStore, clock: Any, personal: PersonalData) -> None:
    new = await _new_key(database, keystore, clock, personal)
    async with database.begin() as session:
        await load_population(session, clock.now(), personal, [{"id_number": "11010519491231002X", "name": "阿卜杜拉·买买提"}])
    assert await _keys_in_use(database) == {new}
