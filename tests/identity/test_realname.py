"""Real-name checks: outcomes, levels, bindings, and what is left in the tables afterwards."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import orjson
import pyotp
import pytest
from sqlalchemy import text

from identity import people
from identity.assurance import LEVELS, Fact, level_of
from identity.login import LogIn, log_in
from identity.people import Account, NewAccount, actor_of
from identity.personal_data import PersonalData, reveal
from identity.reads import account_by_number, bound_number, evidence_of, registered_name
from identity.realname import (
    AccountAlreadyBound,
    NumberAlreadyBound,
    RealName,
    bind_real_name,
    check_real_name,
    parse_claim,
)
from identity.realname_sources import (
    Answer,
    Claim,
    Outcome,
    forget_person,
    load_legal_persons,
    load_population,
    normalise_name,
)
from keys.base.actor import Actor, ActorKind
from keys.base.db import Database
from keys.base.errors import Forbidden, InvalidInput, Throttled

QIAN = "990100197003131003"
WEI = "990100195409041017"
CHAN = "810000199003077778"
PASSWORD = "correct horse battery"
PORTAL = Actor(ActorKind.CLIENT, "portal", scopes=frozenset({"identity:check"}))


async def ask(realname: RealName, name: str, code: str, code_type: str = "111", mobile: str | None = None) -> tuple[str, int]:
    result = await check_real_name(realname, PORTAL, parse_claim(name, code, code_type, mobile))
    return result.outcome.value, result.level


OUTCOMES: list[tuple[str, str, str, str | None, tuple[str, int]]] = [
    ("钱晓明", QIAN, "111", None, ("match", 2)),
    (" 钱晓明 ", QIAN, "111", None, ("match", 2)),
    ("钱晓明", QIAN, "111", "19900000000", ("match", 3)),
    ("钱晓明", QIAN, "111", "19900000009", ("mobile_differs", 2)),
    ("钱小明", QIAN, "111", "19900000000", ("name_differs", 0)),
    ("卫思远", QIAN, "111", None, ("name_differs", 0)),
    ("钱晓明", "990100199911191232", "111", None, ("id_invalid", 0)),
    ("钱晓明", "11010519490231002X", "111", None, ("id_invalid", 0)),
    ("某某", "110105200002290013", "111", None, ("no_record", 1)),
    ("钱晓明", QIAN, "553", None, ("id_invalid", 0)),
    ("阿卜杜拉•买买提", "11010519491231002x", "111", None, ("match", 2)),
    ("阿卜杜拉·买买提", "11010519491231002X", "111", "19900000000", ("match", 2)),
    ("示范市白鹤建材有限公司", "91990100MA1TEXT14M", "001", None, ("match", 2)),
    ("示范区新春村股份经济合作社", "N2990102MF0000080C", "001", None, ("match", 2)),
    ("示范市白鹤建材", "91990100MA1TEXT14M", "001", None, ("name_differs", 0)),
    ("校验位有误的公司", "91350211M0000XUF46", "001", None, ("match", 2)),
    ("没有的公司", "91350100M000100Y43", "001", None, ("no_record", 1)),
    ("已注销的中心", "52990102MJ0000077Q", "001", None, ("no_record", 1)),
    ("某公司", "91350100I000100Y43", "001", None, ("id_invalid", 0)),
    ("某人", "H12345678", "516", None, ("no_record", 1)),
    ("某组织", "1234", "099", None, ("source_unavailable", 1)),
]


async def test_outcomes_and_levels(realname: RealName) -> None:
    for name, code, code_type, mobile, expected in OUTCOMES:
        assert await ask(realname, name, code, code_type, mobile) == expected, (name, code_type, mobile)


async def test_evidence_names_source_time_flags_and_reference(realname: RealName, database: Database) -> None:
    result = await check_real_name(realname, PORTAL, parse_claim("校验位有误的公司", "91350211M0000XUF46", "001"))
    (entry,) = result.evidence
    assert {"check_digit_mismatch"} <= set(entry["flags"])
    assert (entry["source"], entry["outcome"], entry["time"]) == ("registry", "match", "2026-11-21T02:00:00Z")
    async with database.session() as session:
        stored = (await session.execute(text("SELECT id, account_id, asked_by, level FROM identity.evidence"))).one()
    assert (str(stored.id), stored.account_id, stored.asked_by, stored.level) == (entry["reference"], None, "client:portal", 2)


@dataclasses.dataclass
class Told:
    """A source that answers as it is told, sooner or later or never."""

    answer: Answer | Exception
    name: str = "told"
    delay: float = 0

    def covers(self, code_type: str) -> bool:
        return True

    async def ask(self, claim: Claim) -> Answer:
        await asyncio.sleep(self.delay)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


MATCH, NO_RECORD, DIFFERS = Answer(Outcome.MATCH), Answer(Outcome.NO_RECORD), Answer(Outcome.NAME_DIFFERS)
DOWN = ValueError(f"connection lost while asking for {QIAN}")


SEVERAL: list[tuple[Sequence[Answer | Exception], tuple[str, int]]] = [
    ([MATCH, MATCH], ("match", 3)),
    ([MATCH, NO_RECORD], ("match", 2)),
    ([MATCH, DOWN], ("match", 2)),
    ([MATCH, DIFFERS], ("name_differs", 0)),
    ([MATCH, Answer(Outcome.MATCH, Outcome.MOBILE_DIFFERS)], ("mobile_differs", 2)),
    ([NO_RECORD, DOWN], ("no_record", 1)),
    ([DOWN, DOWN], ("source_unavailable", 1)),
    ([], ("source_unavailable", 1)),
]


async def test_several_sources(realname: RealName, capsys: pytest.CaptureFixture[str]) -> None:
    for answers, expected in SEVERAL:
        sources = [Told(answer, f"source{place}") for place, answer in enumerate(answers)]
        assert await ask(dataclasses.replace(realname, sources=sources), "钱晓明", QIAN) == expected, answers
    assert QIAN not in "".join(capsys.readouterr())


async def test_a_slow_source_is_not_waited_for_and_holds_no_connection(realname: RealName, database: Database) -> None:
    slow = dataclasses.replace(realname, sources=[Told(MATCH, delay=30)], timeout=0.2)
    asking = asyncio.create_task(ask(slow, "钱晓明", QIAN))
    await asyncio.sleep(0.1)
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert await asking == ("source_unavailable", 1)


def test_levels_are_a_table() -> None:
    assert [level_of(facts) for facts in (
        [], [Fact.WELL_FORMED], [Fact.REGISTRY_MATCH], [Fact.WELL_FORMED, Fact.REGISTRY_MATCH],
        [Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.MOBILE_MATCH], [Fact.WELL_FORMED, Fact.MOBILE_MATCH],
        [Fact.WELL_FORMED, Fact.REGISTRY_MATCH, Fact.SEEN_AT_WINDOW],
    )] == [0, 1, 0, 2, 3, 1, 4]  # fmt: skip
    assert level_of([Fact.WELL_FORMED, Fact.REGISTRY_MATCH], {1: LEVELS[1]}) == 1


@pytest.mark.parametrize(("field", "values"), [
    ("name", ("", QIAN, "111", None)), ("name", ("a\x00b", QIAN, "111", None)), ("name", ("x" * 101, QIAN, "111", None)),
    ("code", ("钱晓明", " ", "111", None)), ("code", ("钱晓明", "1\ud8001", "111", None)), ("code", ("钱晓明", "1" * 65, "111", None)),
    ("code_type", ("钱晓明", QIAN, "222", None)), ("mobile", ("钱晓明", QIAN, "111", "29900000000")),
    ("mobile", ("钱晓明", QIAN, "111", "1990000000")), ("mobile", ("钱晓明", QIAN, "111", "１９９００００００００")),
])  # fmt: skip
def test_malformed_claims_name_the_field_and_not_the_value(field: str, values: tuple[str, str, str, str | None]) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_claim(*values)
    assert [error["field"] for error in refused.value.extra["errors"]] == [field]  # type: ignore[attr-defined]
    assert QIAN not in str(refused.value) + str(refused.value.extra)


async def test_a_person_binds_a_number(realname: RealName, citizen: Account, database: Database, personal: PersonalData) -> None:
    result = await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111"))
    assert (result.outcome, result.level) == (Outcome.MATCH, 2)
    async with database.session() as session:
        account = await people.get_account(session, citizen.id)
        assert account is not None
        assert (account.name, account.identity_level, account.number_masked) == ("钱晓明", 2, "990***********1003")
        assert await people.holder_index_of(session, citizen.id) == personal.index("111", QIAN)
        assert await account_by_number(session, personal.index("111", QIAN)) == account
        assert await evidence_of(session, citizen.id) == result.evidence
        bound = await bound_number(session, citizen.id)
    assert bound is not None
    shown = await reveal(
        database, realname.clock.now(), personal, actor=actor_of(account), sealed=bound.sealed, context=bound.context,
        purpose="本人查看", legal_basis="PIPL 45",
    )  # fmt: skip
    assert shown == QIAN


async def test_a_better_check_raises_the_level_and_a_later_one_never_lowers_it(
    realname: RealName, citizen: Account, database: Database
) -> None:
    levels = []
    for mobile in (None, "19900000000", None):
        await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111", mobile))
        async with database.session() as session:
            account = await people.get_account(session, citizen.id)
            assert account is not None
            levels.append(account.identity_level)
    assert levels == [2, 3, 3]


async def second_account(database: Database, clock: Any) -> Account:
    async with database.begin() as session:
        return await people.create_account(session, clock.now(), NewAccount("second", "另一人", "990100"), PASSWORD)


@pytest.mark.parametrize("code_type", ["111", "X81"])
async def test_a_number_is_bound_to_one_account_whatever_it_is_called(
    realname: RealName, citizen: Account, database: Database, clock: Any, code_type: str
) -> None:
    other = await second_account(database, clock)
    await bind_real_name(realname, actor_of(citizen), parse_claim("陈大文", CHAN, "111"))
    with pytest.raises(NumberAlreadyBound) as refused:
        await bind_real_name(realname, actor_of(other), parse_claim("陈大文", CHAN, code_type))
    assert (refused.value.code, refused.value.status, refused.value.extra) == ("NUMBER_ALREADY_BOUND", 409, {})
    async with database.session() as session:
        account = await people.get_account(session, other.id)
        refusals = (await session.scalars(text("SELECT body FROM keys.audit_events WHERE outcome = 'refused'"))).all()
    assert account is not None
    assert (account.identity_level, account.name) == (0, None)
    assert [orjson.loads(body)["code"] for body in refusals] == ["NUMBER_ALREADY_BOUND"]
    assert str(citizen.id) not in str(refusals)


async def test_of_two_accounts_at_once_one_gets_the_number(realname: RealName, citizen: Account, database: Database, clock: Any) -> None:
    other = await second_account(database, clock)
    claim = parse_claim("钱晓明", QIAN, "111")
    results = await asyncio.gather(*(bind_real_name(realname, actor_of(who), claim) for who in (citizen, other)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NumberAlreadyBound", "RealNameResult"]


async def test_an_account_carries_one_number(realname: RealName, citizen: Account) -> None:
    await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111"))
    with pytest.raises(AccountAlreadyBound):
        await bind_real_name(realname, actor_of(citizen), parse_claim("卫思远", WEI, "111"))


@pytest.mark.parametrize(("name", "code", "mobile", "outcome"), [
    ("卫思远", QIAN, None, Outcome.NAME_DIFFERS), ("某某", "110105200002290013", None, Outcome.NO_RECORD),
    ("钱晓明", "990100197003131004", None, Outcome.ID_INVALID), ("钱晓明", QIAN, "19900000009", Outcome.MOBILE_DIFFERS),
])  # fmt: skip
async def test_what_does_not_agree_is_not_bound(
    realname: RealName, citizen: Account, database: Database, name: str, code: str, mobile: str | None, outcome: Outcome
) -> None:
    result = await bind_real_name(realname, actor_of(citizen), parse_claim(name, code, "111", mobile))
    assert result.outcome is outcome
    async with database.session() as session:
        assert await people.holder_index_of(session, citizen.id) is None
        assert [entry["outcome"] for entry in await evidence_of(session, citizen.id)] == [result.evidence[0]["outcome"]]


async def test_only_a_person_binds_and_only_a_persons_number(realname: RealName, citizen: Account) -> None:
    with pytest.raises(Forbidden):
        await bind_real_name(realname, PORTAL, parse_claim("钱晓明", QIAN, "111"))
    with pytest.raises(InvalidInput):
        await bind_real_name(realname, actor_of(citizen), parse_claim("示范市白鹤建材有限公司", "91990100MA1TEXT14M", "001"))


async def test_ten_tries_a_day_to_bind(realname: RealName, citizen: Account) -> None:
    for _ in range(10):
        await bind_real_name(realname, actor_of(citizen), parse_claim("卫思远", QIAN, "111"))
    with pytest.raises(Throttled):
        await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111"))
    realname.clock.advance(hours=24)  # type: ignore[attr-defined]
    assert (await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111"))).outcome is Outcome.MATCH


async def test_loading_again_replaces_and_forgetting_removes(realname: RealName, database: Database, personal: PersonalData) -> None:
    async with database.begin() as session:
        await load_population(session, realname.clock.now(), personal, [{"id_number": QIAN, "name": "钱新名", "mobile": ""}])
        await load_legal_persons(session, realname.clock.now(), personal, [{"uscc": "91990100MA1TEXT14M", "name": "新名公司"}])
        assert await registered_name(session, "91990100MA1TEXT14M") == "新名公司"
    assert await ask(realname, "钱新名", QIAN) == ("match", 2)
    assert await ask(realname, "钱晓明", QIAN) == ("name_differs", 0)
    async with database.begin() as session:
        assert await forget_person(session, personal, "111", QIAN)
        assert not await forget_person(session, personal, "111", QIAN)
    assert await ask(realname, "钱新名", QIAN) == ("no_record", 1)


async def test_a_bad_registry_row_is_named_by_its_place(database: Database, personal: PersonalData, clock: Any) -> None:
    rows = [{"id_number": QIAN, "name": "钱晓明"}, {"id_number": QIAN[:-1] + "4", "name": "钱晓明"}]
    async with database.begin() as session:
        with pytest.raises(InvalidInput) as refused:
            await load_population(session, clock.now(), personal, rows)
        with pytest.raises(InvalidInput):
            await load_legal_persons(session, clock.now(), personal, [{"uscc": "1", "name": "x"}])
    assert "rows[2]" in str(refused.value.extra)
    assert QIAN[:-1] not in str(refused.value.extra)


def test_names_are_compared_as_they_are_read() -> None:
    assert normalise_name(" 阿卜杜拉・买买提 ") == normalise_name("阿卜杜拉·买买提")
    assert normalise_name("JOHN  Smith") == normalise_name("John Smith")
    assert normalise_name("钱䶮") != normalise_name("钱龑")


async def _every_column(database: Database, schema: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    columns = text(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = :schema AND data_type IN ('text', 'bytea', 'jsonb', 'character varying', 'json')"
    )
    async with database.session() as session:
        for table, column, _ in (await session.execute(columns, {"schema": schema})).all():
            values = await session.execute(text(f'SELECT "{column}" FROM {schema}."{table}" WHERE "{column}" IS NOT NULL'))
            for (value,) in values:
                found.append((f"{table}.{column}", value if isinstance(value, bytes) else str(value).encode()))
    return found


async def test_no_number_stands_in_plain_in_any_column(
    realname: RealName, citizen: Account, approver: Account, login: LogIn, database: Database, personal: PersonalData,
    registry_rows: list[dict[str, str]],
) -> None:  # fmt: skip
    async with database.begin() as session:
        assert await load_population(session, realname.clock.now(), personal, registry_rows) == 40
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    await log_in(login, "citizen", PASSWORD, None, "192.0.2.7")
    await log_in(login, "approver", PASSWORD, pyotp.TOTP(secret).at(realname.clock.now()), "192.0.2.7")
    await bind_real_name(realname, actor_of(citizen), parse_claim("钱晓明", QIAN, "111", "19900000000"))
    await check_real_name(realname, PORTAL, parse_claim("卫思远", WEI, "111", "19900000001"))
    await check_real_name(realname, PORTAL, parse_claim("卫思远", WEI[:-1] + "8", "111"))
    values = [*await _every_column(database, "identity"), *await _every_column(database, "keys")]
    assert {name.partition(".")[0] for name, _ in values} >= {"population", "bindings", "evidence", "accounts", "audit_events", "sessions"}
    plain = [row["id_number"] for row in registry_rows] + [row["mobile"] for row in registry_rows] + [WEI[:-1], secret, "192.0.2.7"]
    for name, value in values:
        assert not [number for number in plain if number.encode() in value], name
    names = {name for name, value in values if "卫思远".encode() in value}
    assert names == set()
    assert {name for name, value in values if "钱晓明".encode() in value} == {"accounts.name"}
