"""Passwords (argon2id) and time-based one-time passwords (RFC 6238).

A password costs about 30 ms of a core and never runs on the event loop; so many at once and no more. An unknown account
costs what a known one does.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from identity.models import CredentialRow
from identity.personal_data import PersonalData
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput, Throttled

P = ParamSpec("P")
T = TypeVar("T")

# OWASP's second choice of argon2id parameters; the library's default costs seven times as much.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
MIN_LENGTH = 10
MAX_LENGTH = 256
TOTP_STEP = 30
TOTP_WINDOW = 1


class WeakPassword(InvalidInput):
    """The password is too short, too long, or the username."""

    code = "WEAK_PASSWORD"
    public = ("密码须为10至256个字符，且不得与用户名相同。", "A password has 10 to 256 characters and is not the username.")


class Passwords:
    """argon2id in a few threads. Beyond ``waiting`` requests the next is told to come back, instead of piling up memory."""

    def __init__(self, threads: int = 2, waiting: int = 256) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting = waiting
        self._pending = 0
        # What an unknown account is verified against: the same work, never the same answer.
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(HASHER.hash, _octets(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; for ``stored`` None the same time is spent and the answer is False."""
        matches = await self._run(self._verify, stored, password)
        return matches and stored is not None

    def _verify(self, stored: str | None, password: str) -> bool:
        nobody = self._dummy()
        try:
            return HASHER.verify(stored or nobody, _octets(password[: MAX_LENGTH + 1]))
        except (VerificationError, InvalidHashError):
            return False

    def _dummy(self) -> str:
        if self._nobody is None:
            self._nobody = HASHER.hash(uuid.uuid4().hex)
        return self._nobody

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._pending >= self._waiting:
            raise Throttled("password threads are busy", retry_after=1)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))
        finally:
            self._pending -= 1


PASSWORDS = Passwords()
"""The process's password threads."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What is stored to recognise an account by."""

    account_id: uuid.UUID
    password_hash: str
    totp_sealed: bytes | None


def _octets(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def require_strong(password: str, username: str) -> None:
    """NIST SP 800-63B §3.1.1: length decides, no composition rules. Raises :class:`WeakPassword`."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH or password.casefold() == username.casefold():
        raise WeakPassword


async def set_password(session: AsyncSession, now: dt.datetime, account_id: uuid.UUID, password: str, username: str) -> None:
    """Stores the hash of a new password. The caller ends the account's sessions where it was a change."""
    require_strong(password, username)
    hashed = await PASSWORDS.hash(password)
    changed = {"password_hash": hashed, "password_changed_at": now}
    new = insert(CredentialRow).values(changed | {"account_id": account_id, "totp_last_step": -1})
    await session.execute(new.on_conflict_do_update(index_elements=["account_id"], set_=changed))


async def get_credential(session: AsyncSession, account_id: uuid.UUID) -> Credential | None:
    query = select(CredentialRow).where(CredentialRow.account_id == account_id).execution_options(populate_existing=True)
    row = await session.scalar(query)
    return Credential(row.account_id, row.password_hash, row.totp_sealed) if row else None


def is_dated(credential: Credential) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(credential.password_hash)


async def rehash(session: AsyncSession, credential: Credential, password: str) -> None:
    """Hashes anew while the password is at hand, unless it was changed meanwhile."""
    fresh = await PASSWORDS.hash(password)
    unchanged = CredentialRow.password_hash == credential.password_hash
    await session.execute(
        update(CredentialRow).where(CredentialRow.account_id == credential.account_id, unchanged).values(password_hash=fresh)
    )


async def enrol_totp(
    session: AsyncSession, personal: PersonalData, now: dt.datetime, account_id: uuid.UUID, secret: str | None = None
) -> str:
    """Gives the account a TOTP secret (base32, 160 bits), kept in an envelope; returned once, to be shown as a QR code.

    Raises ``ValueError`` for a secret under 112 bits, ``LookupError`` where the account has no credential.
    """
    secret = pyotp.TOTP(secret or pyotp.random_base32()).secret
    sealed = personal.seal(secret, totp_context(account_id))
    found = await session.scalar(
        update(CredentialRow)
        .where(CredentialRow.account_id == account_id)
        .values(totp_sealed=sealed, totp_last_step=-1, totp_enrolled_at=now)
        .returning(CredentialRow.account_id)
    )
    if found is None:
        raise LookupError("no such credential")
    return secret


def totp_address(secret: str, username: str, issuer: str = "符节") -> str:
    """The ``otpauth://`` address an authenticator scans."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


async def accept_totp(session: AsyncSession, personal: PersonalData, now: dt.datetime, credential: Credential, otp: str) -> bool:
    """Whether ``otp`` is good now (one step early or late), and its step was never accepted before (RFC 6238 §5.2).

    The step is taken by one conditional UPDATE: of two requests with one code, one wins.
    """
    if credential.totp_sealed is None:
        return False
    step = matching_step(personal.open(credential.totp_sealed, totp_context(credential.account_id)), now, otp)
    if step is None:
        return False
    taken = await session.scalar(
        update(CredentialRow)
        .where(
            CredentialRow.account_id == credential.account_id,
            CredentialRow.totp_sealed == credential.totp_sealed,
            CredentialRow.totp_last_step < step,
        )
        .values(totp_last_step=step)
        .returning(CredentialRow.account_id)
    )
    return taken is not None


def matching_step(secret: str, now: dt.datetime, otp: str) -> int | None:
    """The time step whose code this is, within the window; every step of the window is compared, in constant time."""
    code = otp.replace(" ", "")
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return None
    totp = pyotp.TOTP(secret, interval=TOTP_STEP)
    present = int(now.timestamp()) // TOTP_STEP
    steps = range(present - TOTP_WINDOW, present + TOTP_WINDOW + 1)
    return max((step for step in steps if pyotp.utils.strings_equal(totp.generate_otp(step), code)), default=None)


def totp_context(account_id: uuid.UUID) -> str:
    return f"identity.credentials.totp:{account_id}"
