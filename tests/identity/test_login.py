"""Logging in: the passwords, the second factor, the sessions, and every way of being refused."""

import asyncio
import datetime as dt
import statistics
import time
from typing import Any

import orjson
import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from identity import people, sessions
from identity.credentials import Passwords, matching_step
from identity.login import (
    BadCredentials,
    BadSecondFactor,
    LogIn,
    LoginExpired,
    SecondFactorDue,
    SecondFactorNotEnrolled,
    finish_second_factor,
    log_in,
    log_out,
)
from identity.people import Account, NewAccount
from keys.base.actor import Role
from keys.base.db import Database
from keys.base.errors import Throttled

PASSWORD = "correct horse battery"
TOTP = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
HERE = "192.0.2.7"


async def trail(database: Database, prefix: str = "identity.") -> list[dict[str, Any]]:
    async with database.session() as session:
        rows = await session.execute(text("SELECT body FROM keys.audit_events ORDER BY id"))
        bodies = [orjson.loads(row.body) for row in rows]
    return [body for body in bodies if body["action"].startswith(prefix)]


async def test_a_citizen_logs_in_with_a_password(login: LogIn, citizen: Account, database: Database) -> None:
    logged_in = await log_in(login, "Citizen", PASSWORD, None, HERE)
    session = logged_in.session
    assert session.account_id == citizen.id
    assert (session.amr, session.acr, session.authenticator_level) == (("pwd",), "urn:fujie:acr:aal1", 1)
    assert session.auth_time == login.clock.now()
    async with database.begin() as db:
        assert await sessions.find_session(db, login.clock.now(), logged_in.secret) == session
    (entry,) = await trail(database)
    assert (entry["action"], entry["outcome"], entry["actor"]["id"]) == ("identity.login.open", "done", str(citizen.id))
    assert HERE not in str(entry)


async def test_the_secret_is_stored_only_as_its_digest(login: LogIn, citizen: Account, database: Database) -> None:
    logged_in = await log_in(login, "citizen", PASSWORD, None, HERE)
    async with database.session() as db:
        rows = (await db.execute(text("SELECT s::text AS all_columns FROM identity.sessions s"))).scalars().all()
    assert len(rows) == 1
    assert logged_in.secret not in rows[0]
    assert logged_in.secret.encode().hex() not in rows[0]


@pytest.mark.parametrize("username", ["citizen", "nobody", "", "a\x00b", "\ud800", "x" * 10_000, "钱晓明"])
async def test_wrong_password_and_unknown_account_answer_alike(login: LogIn, citizen: Account, username: str) -> None:
    with pytest.raises(BadCredentials) as refused:
        await log_in(login, username, "wrong password", None, HERE)
    assert (refused.value.code, refused.value.status, refused.value.extra, refused.value.detail) == ("BAD_CREDENTIALS", 401, {}, "")


@pytest.mark.parametrize("password", ["", "\x00", "\ud800", "x" * 1_000_000, PASSWORD + " "])
async def test_no_password_is_a_crash(login: LogIn, citizen: Account, password: str) -> None:
    with pytest.raises(BadCredentials):
        await log_in(login, "citizen", password, None, HERE)


async def test_a_hash_of_older_parameters_is_renewed(login: LogIn, citizen: Account, database: Database) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    async with database.begin() as db:
        await db.execute(text("UPDATE identity.credentials SET password_hash = :hash"), {"hash": older})
    await log_in(login, "citizen", PASSWORD, None, HERE)
    async with database.session() as db:
        stored = await db.scalar(text("SELECT password_hash FROM identity.credentials"))
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_a_closed_account_is_not_told_from_a_wrong_password(login: LogIn, citizen: Account, database: Database) -> None:
    logged_in = await log_in(login, "citizen", PASSWORD, None, HERE)
    async with database.begin() as db:
        await people.set_active(db, login.clock.now(), citizen.id, False)
        assert await sessions.find_session(db, login.clock.now(), logged_in.secret) is None
    with pytest.raises(BadCredentials):
        await log_in(login, "citizen", PASSWORD, None, HERE)


async def test_an_unknown_account_costs_what_a_wrong_password_costs(citizen: Account, login: LogIn) -> None:
    passwords = Passwords(threads=1)
    stored = await passwords.hash(PASSWORD)
    await passwords.verify(None, "warm up")
    spent: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(8):
        for known in (True, False):
            began = time.process_time()
            assert not await passwords.verify(stored if known else None, "wrong password")
            spent[known].append(time.process_time() - began)
    ratio = min(spent[False]) / min(spent[True])
    assert 0.4 < ratio < 2.5, f"{statistics.median(spent[False]):.4f} against {statistics.median(spent[True]):.4f}"


async def test_hashing_never_blocks_the_event_loop_and_is_bounded() -> None:
    passwords = Passwords(threads=1, waiting=3)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    results = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(4)), return_exceptions=True)
    ticking.cancel()
    assert [type(result) for result in results] == [str, str, str, Throttled]
    assert ticks > 10
    assert str(results[0]).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_staff_owe_a_second_factor(login: LogIn, approver: Account, database: Database) -> None:
    with pytest.raises(SecondFactorDue) as due:
        await log_in(login, "approver", PASSWORD, None, HERE)
    assert due.value.pending not in str(due.value)
    now = login.clock.now()
    logged_in = await finish_second_factor(login, due.value.pending, TOTP.at(now), HERE)
    session = logged_in.session
    assert (session.amr, session.acr, session.authenticator_level) == (("pwd", "otp", "mfa"), "urn:fujie:acr:aal2", 2)
    assert people.actor_of(approver, session).authenticator == 2
    with pytest.raises(LoginExpired):
        await finish_second_factor(login, due.value.pending, TOTP.at(now + dt.timedelta(seconds=30)), HERE)
    assert [entry["action"] for entry in await trail(database)] == ["identity.login.require_factor", "identity.login.open"]


async def test_password_and_code_in_one_request(login: LogIn, approver: Account) -> None:
    logged_in = await log_in(login, "approver", PASSWORD, TOTP.at(login.clock.now()), HERE)
    assert logged_in.session.authenticator_level == 2


async def test_a_wrong_password_is_told_before_any_word_about_a_second_factor(login: LogIn, approver: Account) -> None:
    with pytest.raises(BadCredentials):
        await log_in(login, "approver", "wrong password", TOTP.at(login.clock.now()), HERE)


async def test_staff_without_a_second_factor_are_refused(login: LogIn, database: Database) -> None:
    async with database.begin() as db:
        new = NewAccount("auditor", "审计员", "990100", frozenset({Role.AUDITOR}))
        await people.create_account(db, login.clock.now(), new, PASSWORD)
    with pytest.raises(SecondFactorNotEnrolled):
        await log_in(login, "auditor", PASSWORD, "123456", HERE)
    assert [entry["code"] for entry in await trail(database)] == ["SECOND_FACTOR_NOT_ENROLLED"]


async def test_a_step_is_accepted_once(login: LogIn, approver: Account) -> None:
    code = TOTP.at(login.clock.now())
    await log_in(login, "approver", PASSWORD, code, HERE)
    with pytest.raises(BadSecondFactor):
        await log_in(login, "approver", PASSWORD, code, HERE)
    with pytest.raises(BadSecondFactor):
        await log_in(login, "approver", PASSWORD, TOTP.at(login.clock.now() - dt.timedelta(seconds=30)), HERE)
    login.clock.advance(seconds=30)  # type: ignore[attr-defined]
    await log_in(login, "approver", PASSWORD, TOTP.at(login.clock.now()), HERE)


async def test_of_five_at_once_with_one_code_one_gets_in(login: LogIn, approver: Account) -> None:
    code = TOTP.at(login.clock.now())
    results = await asyncio.gather(*(log_in(login, "approver", PASSWORD, code, HERE) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert {type(result) for result in results if isinstance(result, BaseException)} == {BadSecondFactor}


@pytest.mark.parametrize(("seconds", "good"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_one_step_early_or_late(login: LogIn, approver: Account, seconds: int, good: bool) -> None:
    attempt = log_in(login, "approver", PASSWORD, TOTP.at(login.clock.now() + dt.timedelta(seconds=seconds)), HERE)
    if good:
        assert (await attempt).session.authenticator_level == 2
    else:
        with pytest.raises(BadSecondFactor):
            await attempt


@pytest.mark.parametrize("otp", ["12345", "1234567", "１２３４５６", "abcdef", "\x00" * 6, "1 2 3", "-12345"])
def test_what_is_not_six_digits_is_no_code(otp: str) -> None:
    assert matching_step("JBSWY3DPEHPK3PXP", dt.datetime(2026, 11, 21, tzinfo=dt.UTC), otp) is None


def test_the_code_of_rfc_6238() -> None:
    # Appendix B, SHA-1, T = 59 s: 94287082; six digits are its tail.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert matching_step(secret, dt.datetime.fromtimestamp(59, dt.UTC), "287082") == 1
    assert matching_step(secret, dt.datetime.fromtimestamp(1111111109, dt.UTC), "081 804") == 37037036


async def test_a_half_login_ends_after_five_minutes(login: LogIn, approver: Account) -> None:
    with pytest.raises(SecondFactorDue) as due:
        await log_in(login, "approver", PASSWORD, None, HERE)
    login.clock.advance(minutes=5)  # type: ignore[attr-defined]
    with pytest.raises(LoginExpired):
        await finish_second_factor(login, due.value.pending, TOTP.at(login.clock.now()), HERE)


@pytest.mark.parametrize("pending", ["", "x", "\x00", "\ud800", "x" * 100_000])
async def test_a_made_up_half_login_is_expired(login: LogIn, approver: Account, pending: str) -> None:
    with pytest.raises(LoginExpired):
        await finish_second_factor(login, pending, TOTP.at(login.clock.now()), HERE)


async def test_logging_in_ends_the_session_before(login: LogIn, citizen: Account, database: Database) -> None:
    first = await log_in(login, "citizen", PASSWORD, None, HERE)
    second = await log_in(login, "citizen", PASSWORD, None, HERE, previous_secret=first.secret)
    assert first.secret != second.secret
    async with database.begin() as db:
        assert await sessions.find_session(db, login.clock.now(), first.secret) is None
        assert [found.id for found in await sessions.sessions_of(db, login.clock.now(), citizen.id)] == [second.session.id]


async def test_a_session_ends_idle_after_thirty_minutes_and_in_any_case_after_twelve_hours(
    login: LogIn, citizen: Account, database: Database
) -> None:
    logged_in = await log_in(login, "citizen", PASSWORD, None, HERE)

    async def alive() -> bool:
        async with database.begin() as db:
            return await sessions.find_session(db, login.clock.now(), logged_in.secret) is not None

    for _ in range(24):
        login.clock.advance(minutes=29, seconds=30)  # type: ignore[attr-defined]
        assert await alive()
    login.clock.advance(minutes=12)  # type: ignore[attr-defined]
    assert not await alive()
    again = await log_in(login, "citizen", PASSWORD, None, HERE)
    logged_in = again
    login.clock.advance(minutes=30)  # type: ignore[attr-defined]
    assert not await alive()


async def test_logging_out(login: LogIn, citizen: Account, database: Database) -> None:
    logged_in = await log_in(login, "citizen", PASSWORD, None, HERE)
    assert await log_out(login, logged_in.secret)
    assert not await log_out(login, logged_in.secret)
    async with database.begin() as db:
        assert await sessions.find_session(db, login.clock.now(), logged_in.secret) is None
        assert not await sessions.session_alive(db, login.clock.now(), logged_in.session.id)


async def test_old_sessions_are_swept_and_live_ones_kept(login: LogIn, citizen: Account, database: Database) -> None:
    await log_in(login, "citizen", PASSWORD, None, HERE)
    login.clock.advance(days=31)  # type: ignore[attr-defined]
    kept = await log_in(login, "citizen", PASSWORD, None, HERE)
    async with database.begin() as db:
        await sessions.forget_old(db, login.clock.now())
        ids = (await db.execute(text("SELECT id FROM identity.sessions"))).scalars().all()
    assert ids == [kept.session.id]
