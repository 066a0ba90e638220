"""Logging in with a password and, where it is due, a second factor.

:func:`log_in`
  1. *charge*            one attempt to the remote address and to the account name; none left: TOO_MANY_ATTEMPTS, right password or not
  2. *verify_password*   at equal cost whether the account exists; wrong, unknown or closed: BAD_CREDENTIALS, all alike
  3. *require_factor*    where a role demands one or the account has one, and no code was sent: SECOND_FACTOR_DUE with a
                         half log-in, good for five minutes
  4. *accept_code*       a step is accepted once; else BAD_SECOND_FACTOR
  5. *open*              the previous session ends, a new one begins, the account's attempts are forgotten: one transaction

:func:`finish_second_factor` takes a half log-in through steps 1, 4 and 5, so that no form carries the password twice.
Every refusal is audited in a transaction of its own.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import TypeVar

from redis.asyncio import Redis

from identity import credentials, people, sessions, throttle
from identity.credentials import PASSWORDS, Credential, Passwords
from identity.login_policy import PASSWORD, PASSWORD_AND_OTP, Strength, needs_second_factor
from identity.people import Account
from identity.personal_data import PersonalData
from identity.sessions import Session
from identity.throttle import Charge, Limit, Subject, Throttle
from keys.base.actor import ANONYMOUS, Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError, Throttled
from keys.evidence import audit

_NOBODY = uuid.UUID(int=0)
Refusal = TypeVar("Refusal", bound=FujieError)


class BadCredentials(FujieError):
    """The password is wrong, or there is no such account, or it is closed: which one is not told."""

    code = "BAD_CREDENTIALS"
    status = 401
    public = ("用户名或密码不正确。", "The username or the password is wrong.")


class SecondFactorDue(FujieError):
    """The password was right. ``pending`` is the secret of the half log-in: for the browser that sent the password only."""

    code = "SECOND_FACTOR_DUE"
    status = 401
    public = ("请输入动态验证码。", "Please enter the code of your authenticator.")

    def __init__(self, pending: str) -> None:
        super().__init__()
        self.pending = pending


class SecondFactorNotEnrolled(FujieError):
    """The account's role demands a second factor and it has none."""

    code = "SECOND_FACTOR_NOT_ENROLLED"
    status = 403
    public = ("该账号须先登记第二因素，请联系安全管理员。", "This account needs a second factor. Please ask a security administrator.")


class BadSecondFactor(FujieError):
    """The code is wrong, out of time, or was used before."""

    code = "BAD_SECOND_FACTOR"
    status = 401
    public = ("动态验证码不正确或已使用。", "The code is wrong or was used before.")


class LoginExpired(FujieError):
    """The half log-in is spent or older than five minutes."""

    code = "LOGIN_EXPIRED"
    status = 401
    public = ("登录已超时，请重新输入密码。", "This log-in took too long. Please enter your password again.")


@dataclass(frozen=True, slots=True)
class LogIn:
    """What logging in stands on."""

    database: Database
    redis: Redis | None
    clock: Clock
    personal: PersonalData
    passwords: Passwords = field(default=PASSWORDS)

    @property
    def throttle(self) -> Throttle:
        return Throttle(self.database, self.redis)

    def subject(self, limit: Limit, value: str) -> Subject:
        return Subject(limit, self.personal.subject(limit.name, value))


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """``secret`` is for the cookie and nothing else."""

    secret: str
    session: Session
    account: Account


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try, as the audit log knows it: names and addresses only as keyed digests."""

    login: LogIn
    now: dt.datetime
    username: str
    remote: str

    @property
    def account_subject(self) -> Subject:
        return self.login.subject(throttle.ACCOUNT, self.username)

    def event(self, step: str, outcome: audit.Outcome, actor: Actor, code: str | None = None, **details: audit.JSON) -> audit.Event:
        remote = self.login.subject(throttle.REMOTE, self.remote)
        known = {"username": self.account_subject.key.hex(), "remote": remote.key.hex()}
        return audit.Event(f"identity.login.{step}", f"username:{known['username']}", outcome, actor, known | details, code)


async def log_in(login: LogIn, username: str, password: str, otp: str | None, remote: str, previous_secret: str | None = None) -> LoggedIn:
    """See the module's steps. ``remote`` is the client's address; ``previous_secret`` the cookie it came with.

    Raises BadCredentials, SecondFactorDue, SecondFactorNotEnrolled, BadSecondFactor, Throttled.
    """
    attempt = _Attempt(login, login.clock.now(), people.normalise_username(username), remote)
    charges = await _charge(attempt)
    account, credential = await _verify_password(attempt, password)
    strength = _strength_due(account)
    if strength is PASSWORD:
        return await _open(attempt, account, strength, charges, previous_secret)
    if not account.has_second_factor:
        raise await _refused(attempt, "require_factor", SecondFactorNotEnrolled(), account)
    if not otp:
        raise await _second_factor_due(attempt, account, charges)
    await _accept_code(attempt, account, credential, otp)
    return await _open(attempt, account, strength, charges, previous_secret)


async def finish_second_factor(login: LogIn, pending: str, otp: str, remote: str, previous_secret: str | None = None) -> LoggedIn:
    """Completes a half log-in with the code. Raises LoginExpired, BadSecondFactor, Throttled."""
    now = login.clock.now()
    account, credential = await _half_login(login, now, pending)
    attempt = _Attempt(login, now, account.username, remote)
    charges = await _charge(attempt)
    await _accept_code(attempt, account, credential, otp)
    return await _open(attempt, account, PASSWORD_AND_OTP, charges, previous_secret, pending)


async def log_out(login: LogIn, secret: str) -> bool:
    """Ends the session of the cookie's secret, audited; False where there was none."""
    now = login.clock.now()
    async with login.database.begin() as session:
        found = await sessions.find_session(session, now, secret)
        if found is None:
            return False
        account = await people.require_account(session, found.account_id)
        await sessions.end_session(session, now, found.id, "logout")
        actor = people.actor_of(account, found)
        await audit.record(session, now, audit.Event("identity.login.log_out", f"session:{found.sid}", audit.Outcome.DONE, actor))
    return True


async def unlock(login: LogIn, actor: Actor, account_id: uuid.UUID) -> None:
    """Lifts an account's lock by hand, audited."""
    now = login.clock.now()
    async with login.database.begin() as session:
        account = await people.require_account(session, account_id)
        await throttle.clear(session, login.subject(throttle.ACCOUNT, account.username))
        await audit.record(session, now, audit.Event("identity.login.unlock", f"account:{account_id}", audit.Outcome.DONE, actor))


async def _charge(attempt: _Attempt) -> tuple[Charge, Charge]:
    try:
        remote = attempt.login.subject(throttle.REMOTE, attempt.remote)
        by_remote = await attempt.login.throttle.charge(attempt.now, remote)
        return by_remote, await attempt.login.throttle.charge(attempt.now, attempt.account_subject)
    except Throttled as error:
        raise await _refused(attempt, "charge", error, None) from None


async def _verify_password(attempt: _Attempt, password: str) -> tuple[Account, Credential]:
    async with attempt.login.database.session() as session:
        account = await people.find_by_username(session, attempt.username)
        # Asked in either case: not even a query tells an unknown name from a known one.
        credential = await credentials.get_credential(session, account.id if account else _NOBODY)
    # No connection is held while the password is hashed.
    right = await attempt.login.passwords.verify(credential.password_hash if credential else None, password)
    if account is None or credential is None or not right or not account.active:
        raise await _refused(attempt, "verify_password", BadCredentials(), account)
    if credentials.is_dated(credential):
        async with attempt.login.database.begin() as session:
            await credentials.rehash(session, credential, password)
    return account, credential


def _strength_due(account: Account) -> Strength:
    due = account.has_second_factor or needs_second_factor(account.roles)
    return PASSWORD_AND_OTP if due else PASSWORD


async def _second_factor_due(attempt: _Attempt, account: Account, charges: tuple[Charge, Charge]) -> SecondFactorDue:
    async with attempt.login.database.begin() as session:
        pending = await sessions.open_half_login(session, attempt.now, account.id)
        event = attempt.event("require_factor", audit.Outcome.INTENT, people.actor_of(account))
        await audit.record(session, attempt.now, event)
    # The password was good: its charge goes back, or coming this far five times would lock the account.
    for charge in charges:
        await attempt.login.throttle.give_back(charge)
    return SecondFactorDue(pending)


async def _half_login(login: LogIn, now: dt.datetime, pending: str) -> tuple[Account, Credential]:
    async with login.database.session() as session:
        account_id = await sessions.half_login_account(session, now, pending)
        account = await people.get_account(session, account_id) if account_id else None
        credential = await credentials.get_credential(session, account.id) if account else None
    if account is None or credential is None or not account.active:
        raise LoginExpired
    return account, credential


async def _accept_code(attempt: _Attempt, account: Account, credential: Credential, otp: str) -> None:
    async with attempt.login.database.begin() as session:
        accepted = await credentials.accept_totp(session, attempt.login.personal, attempt.now, credential, otp)
    if not accepted:
        raise await _refused(attempt, "accept_code", BadSecondFactor(), account)


async def _open(
    attempt: _Attempt,
    account: Account,
    strength: Strength,
    charges: tuple[Charge, Charge],
    previous_secret: str | None,
    pending: str | None = None,
) -> LoggedIn:
    login, now = attempt.login, attempt.now
    async with login.database.begin() as session:
        if pending is not None and not await sessions.spend_half_login(session, now, pending):
            raise LoginExpired
        if previous_secret:
            await sessions.end_session_by_secret(session, now, previous_secret, "rotated")
        secret, opened = await sessions.open_session(session, now, account.id, strength)
        await throttle.clear(session, attempt.account_subject)
        event = attempt.event("open", audit.Outcome.DONE, people.actor_of(account, opened), session=opened.sid, acr=opened.acr)
        await audit.record(session, now, event)
    await login.throttle.give_back(charges[0])
    return LoggedIn(secret, opened, account)


async def _refused(attempt: _Attempt, step: str, error: Refusal, account: Account | None) -> Refusal:
    """Audits the refusal in a transaction of its own, and hands the error back to be raised."""
    actor = people.actor_of(account) if account else ANONYMOUS
    event = attempt.event(step, audit.Outcome.REFUSED, actor, error.code)
    await audit.record_alone(attempt.login.database, attempt.now, event)
    return error
