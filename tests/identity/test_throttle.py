"""Too many attempts: refused whatever the password, in whatever state Redis is."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pyotp
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from identity import throttle
from identity.login import BadCredentials, BadSecondFactor, LogIn, SecondFactorDue, finish_second_factor, log_in, unlock
from identity.people import Account
from identity.throttle import Limit, Subject, Throttle
from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.base.errors import Throttled

PASSWORD = "correct horse battery"
TOTP = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
HERE = "192.0.2.7"


@pytest.fixture
def few_tries(monkeypatch: pytest.MonkeyPatch) -> int:
    """An address gets seven tries, so that a test need not make sixty."""
    monkeypatch.setattr(throttle, "REMOTE", replace(throttle.REMOTE, attempts=7))
    return 7


async def fail(login: LogIn, times: int, username: str = "citizen", remote: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(BadCredentials):
            await log_in(login, username, "wrong password", None, remote)


@pytest.mark.parametrize("username", ["citizen", "nobody"])
async def test_five_failures_lock_the_name_known_or_not(login: LogIn, citizen: Account, username: str) -> None:
    await fail(login, 5, username)
    with pytest.raises(Throttled) as refused:
        await log_in(login, username, PASSWORD, None, HERE)
    assert refused.value.extra == {"retry_after": 900}
    login.clock.advance(minutes=14)  # type: ignore[attr-defined]
    with pytest.raises(Throttled) as refused:
        await log_in(login, username, PASSWORD, None, "198.51.100.1")
    assert refused.value.extra == {"retry_after": 60}


async def test_the_lock_ends_and_the_count_begins_anew(login: LogIn, citizen: Account) -> None:
    await fail(login, 5)
    login.clock.advance(minutes=15)  # type: ignore[attr-defined]
    await fail(login, 4)
    await log_in(login, "citizen", PASSWORD, None, HERE)
    await fail(login, 4)
    await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_spelling_the_name_otherwise_is_no_way_around(login: LogIn, citizen: Account) -> None:
    for name in ("citizen", "CITIZEN", " citizen ", "ｃｉｔｉｚｅｎ", "Citizen"):
        await fail(login, 1, name)
    with pytest.raises(Throttled):
        await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_flushing_redis_unlocks_nobody(login: LogIn, citizen: Account, redis: "Redis") -> None:
    for _ in range(5):
        await fail(login, 1)
        await redis.flushall()
    with pytest.raises(Throttled):
        await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_a_thousand_at_once_get_no_more_tries_than_in_a_row(login: LogIn, citizen: Account) -> None:
    tries = [log_in(login, "citizen", "wrong password", None, f"198.51.100.{place}") for place in range(25)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds.count(BadCredentials) == 5
    assert kinds.count(Throttled) == 20


async def test_twelve_good_log_ins_at_once_all_get_in(login: LogIn, citizen: Account) -> None:
    results = await asyncio.gather(*(log_in(login, "citizen", PASSWORD, None, HERE) for _ in range(12)), return_exceptions=True)
    assert [result for result in results if isinstance(result, BaseException)] == []


async def test_an_address_runs_out_of_tries_over_many_names(login: LogIn, citizen: Account, few_tries: int) -> None:
    for place in range(few_tries):
        await fail(login, 1, f"name{place}")
    with pytest.raises(Throttled) as refused:
        await log_in(login, "citizen", PASSWORD, None, HERE)
    assert 0 < refused.value.extra["retry_after"] <= 900  # type: ignore[operator]
    await log_in(login, "citizen", PASSWORD, None, "198.51.100.1")


async def test_good_log_ins_use_up_nothing(login: LogIn, citizen: Account, redis: "Redis") -> None:
    for _ in range(8):
        await log_in(login, "citizen", PASSWORD, None, HERE)
    counters = [int(await redis.get(key)) async for key in redis.scan_iter("fujie:throttle:*")]
    assert counters == [0]
    assert all([await redis.ttl(key) > 0 async for key in redis.scan_iter("fujie:throttle:*")])


@pytest.mark.parametrize("address", ["redis://127.0.0.1:1/0", "unix:///nonexistent/socket"])
async def test_without_redis_postgresql_counts_addresses_too(
    login: LogIn, citizen: Account, address: str, database: Database, few_tries: int
) -> None:
    gone = LogIn(database, Redis.from_url(address), login.clock, login.personal)
    await log_in(gone, "citizen", PASSWORD, None, HERE)
    for place in range(few_tries):
        await fail(gone, 1, f"name{place}")
    with pytest.raises(Throttled):
        await log_in(gone, "citizen", PASSWORD, None, HERE)
    await log_in(gone, "citizen", PASSWORD, None, "198.51.100.1")


async def test_codes_cannot_be_guessed_by_who_knows_the_password(login: LogIn, approver: Account) -> None:
    for _ in range(5):
        with pytest.raises(SecondFactorDue) as due:
            await log_in(login, "approver", PASSWORD, None, HERE)
        with pytest.raises(BadSecondFactor):
            await finish_second_factor(login, due.value.pending, "000000", HERE)
    with pytest.raises(Throttled):
        await finish_second_factor(login, due.value.pending, TOTP.at(login.clock.now()), HERE)
    with pytest.raises(Throttled):
        await log_in(login, "approver", PASSWORD, TOTP.at(login.clock.now()), HERE)


async def test_coming_as_far_as_the_second_factor_locks_nobody(login: LogIn, approver: Account) -> None:
    for _ in range(7):
        with pytest.raises(SecondFactorDue) as due:
            await log_in(login, "approver", PASSWORD, None, HERE)
    assert await finish_second_factor(login, due.value.pending, TOTP.at(login.clock.now()), HERE)


async def test_refusals_are_audited_without_name_address_or_password(login: LogIn, citizen: Account, database: Database) -> None:
    await fail(login, 5)
    with pytest.raises(Throttled):
        await log_in(login, "citizen", PASSWORD, None, HERE)
    async with database.session() as session:
        bodies = [orjson.loads(row) for row in (await session.scalars(text("SELECT body FROM keys.audit_events ORDER BY id")))]
    assert [body["code"] for body in bodies] == ["BAD_CREDENTIALS"] * 5 + ["TOO_MANY_ATTEMPTS"]
    assert {body["outcome"] for body in bodies} == {"refused"}
    everything = orjson.dumps(bodies).decode()
    assert not any(word in everything for word in ("wrong password", PASSWORD, HERE, '"citizen"'))


async def test_a_lock_is_lifted_by_hand(login: LogIn, citizen: Account) -> None:
    await fail(login, 5)
    await unlock(login, SYSTEM, citizen.id)
    await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_old_counts_are_swept(login: LogIn, citizen: Account, database: Database, clock: Any) -> None:
    await fail(login, 1)
    clock.advance(days=3)
    async with database.begin() as session:
        await throttle.forget_old(session, clock.now())
        assert await session.scalar(text("SELECT count(*) FROM identity.throttles")) == 0


async def test_a_limit_of_one(database: Database, clock: Any) -> None:
    once = Subject(Limit("once", 1, throttle.ACCOUNT.window, throttle.ACCOUNT.lock, durable=True), b"key")
    counting = Throttle(database, None)
    charge = await counting.charge(clock.now(), once)
    with pytest.raises(Throttled):
        await counting.charge(clock.now(), once)
    await counting.give_back(charge)
    await counting.charge(clock.now(), once)
