"""Sessions: PostgreSQL is their truth; the cookie holds a secret, the table its SHA-256.

A session ends when it is idle for 30 minutes, 12 hours old, ended, or its account is closed.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select, update

from identity.login_policy import ABSOLUTE, HALF_LOGIN, IDLE, Strength
from identity.models import AccountRow, HalfLoginRow, SessionRow
from keys.base.db import AsyncSession
from keys.base.ids import fingerprint, new_id, new_secret

_TOUCH_EVERY = dt.timedelta(seconds=60)
"""Being seen is written at most once a minute, so an idle session may end up to a minute early."""


@dataclass(frozen=True, slots=True)
class Session:
    """A live log-in. ``sid`` names it to portals (OpenID Connect Front-Channel Logout §3); it is no secret."""

    id: uuid.UUID
    account_id: uuid.UUID
    auth_time: dt.datetime
    last_seen_at: dt.datetime
    expires_at: dt.datetime
    amr: tuple[str, ...]
    acr: str
    authenticator_level: int

    @property
    def sid(self) -> str:
        return str(self.id)


async def open_session(session_db: AsyncSession, now: dt.datetime, account_id: uuid.UUID, strength: Strength) -> tuple[str, Session]:
    """A new session and its secret, which only the cookie may hold."""
    secret = new_secret()
    row = SessionRow(
        id=new_id(),
        account_id=account_id,
        secret_hash=fingerprint(secret),
        auth_time=now,
        last_seen_at=now,
        expires_at=now + ABSOLUTE,
        amr=list(strength.amr),
        acr=strength.acr,
        authenticator_level=strength.level,
    )
    session_db.add(row)
    await session_db.flush()
    return secret, _view(row)


# The session of a cookie's secret, joined with its account, if it is live: for every statement that asks. Its parameters are
# ``live_parameters``. Prepared once: building a statement costs more than running it.
LIVE = and_(
    SessionRow.secret_hash == bindparam("secret"),
    SessionRow.ended_at.is_(None),
    SessionRow.expires_at > bindparam("at"),
    SessionRow.last_seen_at > bindparam("idle_since"),
    AccountRow.active,
)
SESSION_COLUMNS = (
    SessionRow.id.label("session_id"),
    *(SessionRow.account_id, SessionRow.auth_time, SessionRow.last_seen_at, SessionRow.expires_at),
    *(SessionRow.amr, SessionRow.acr, SessionRow.authenticator_level),
)
_FIND = select(SessionRow).join(AccountRow, AccountRow.id == SessionRow.account_id).where(LIVE)
MARK_SEEN = (
    update(SessionRow)
    .where(SessionRow.id == bindparam("seen"), SessionRow.last_seen_at < bindparam("at"))
    .values(last_seen_at=bindparam("at"))
)


def live_parameters(now: dt.datetime, secret: str) -> dict[str, object]:
    """The values of :data:`LIVE`."""
    return {"secret": _hash(secret), "at": now, "idle_since": now - IDLE}


def seen_parameters(now: dt.datetime, found: Session) -> dict[str, object] | None:
    """The values of :data:`MARK_SEEN`; None where being seen was written within the minute."""
    return {"seen": found.id, "at": now} if now - found.last_seen_at >= _TOUCH_EVERY else None


async def find_session(session_db: AsyncSession, now: dt.datetime, secret: str) -> Session | None:
    """The live session of a cookie's secret, or None. Marks it as seen: call it inside ``database.begin()``."""
    row: SessionRow | None = await session_db.scalar(_FIND, live_parameters(now, secret))
    if row is None:
        return None
    found = _view(row)
    if seen := seen_parameters(now, found):
        await session_db.execute(MARK_SEEN, seen)
    return found


async def session_alive(session_db: AsyncSession, now: dt.datetime, session_id: uuid.UUID) -> bool:
    """Whether the log-in a portal was told of still stands."""
    found = await session_db.scalar(select(SessionRow.id).where(SessionRow.id == session_id, _alive(now)))
    return found is not None


async def sessions_of(session_db: AsyncSession, now: dt.datetime, account_id: uuid.UUID) -> Sequence[Session]:
    """A person's live sessions, the newest first."""
    query = select(SessionRow).where(SessionRow.account_id == account_id, _alive(now)).order_by(SessionRow.auth_time.desc())
    return [_view(row) for row in await session_db.scalars(query)]


async def end_session(session_db: AsyncSession, now: dt.datetime, session_id: uuid.UUID, reason: str = "logout") -> bool:
    """Ends the session; False where it had already ended."""
    return await _end(session_db, now, reason, SessionRow.id == session_id) > 0


async def end_session_by_secret(session_db: AsyncSession, now: dt.datetime, secret: str, reason: str = "rotated") -> bool:
    """Ends the session of a cookie's secret, whoever's it is."""
    return await _end(session_db, now, reason, SessionRow.secret_hash == _hash(secret)) > 0


async def end_sessions_of(session_db: AsyncSession, now: dt.datetime, account_id: uuid.UUID, reason: str) -> int:
    """Ends every session of a person; the number of those that were live."""
    return await _end(session_db, now, reason, SessionRow.account_id == account_id)


async def _end(session_db: AsyncSession, now: dt.datetime, reason: str, which: ColumnElement[bool]) -> int:
    ended = await session_db.scalars(
        update(SessionRow).where(which, SessionRow.ended_at.is_(None)).values(ended_at=now, end_reason=reason).returning(SessionRow.id)
    )
    return len(ended.all())


async def open_half_login(session_db: AsyncSession, now: dt.datetime, account_id: uuid.UUID) -> str:
    """The secret of a log-in whose second factor is due within five minutes."""
    secret = new_secret()
    session_db.add(
        HalfLoginRow(id=new_id(), account_id=account_id, secret_hash=fingerprint(secret), expires_at=now + HALF_LOGIN, spent_at=None)
    )
    await session_db.flush()
    return secret


async def half_login_account(session_db: AsyncSession, now: dt.datetime, pending: str) -> uuid.UUID | None:
    """Whose half log-in this is, while it is neither spent nor expired."""
    return await session_db.scalar(select(HalfLoginRow.account_id).where(_pending(now, pending)))


async def spend_half_login(session_db: AsyncSession, now: dt.datetime, pending: str) -> bool:
    """Spends it; False where another request was first."""
    spent = await session_db.scalar(update(HalfLoginRow).where(_pending(now, pending)).values(spent_at=now).returning(HalfLoginRow.id))
    return spent is not None


async def forget_old(session_db: AsyncSession, now: dt.datetime, keep: dt.timedelta = dt.timedelta(days=30)) -> None:
    """Housekeeping: half log-ins past their time, sessions past theirs by ``keep``."""
    await session_db.execute(delete(HalfLoginRow).where(HalfLoginRow.expires_at < now))
    await session_db.execute(delete(SessionRow).where(or_(SessionRow.expires_at < now - keep, SessionRow.ended_at < now - keep)))


def _alive(now: dt.datetime) -> ColumnElement[bool]:
    return and_(SessionRow.ended_at.is_(None), SessionRow.expires_at > now, SessionRow.last_seen_at > now - IDLE)


def _pending(now: dt.datetime, secret: str) -> ColumnElement[bool]:
    return and_(HalfLoginRow.secret_hash == _hash(secret), HalfLoginRow.spent_at.is_(None), HalfLoginRow.expires_at > now)


def _hash(secret: str) -> bytes:
    # A cookie is any text whatever: what is not UTF-8 is no secret of ours, and must not be a crash.
    return fingerprint(secret.encode("utf-8", "replace").decode())


def session_of(row: Mapping[str, Any]) -> Session:
    """The session of a row of :data:`SESSION_COLUMNS`."""
    return Session(
        id=row["session_id"],
        account_id=row["account_id"],
        auth_time=row["auth_time"],
        last_seen_at=row["last_seen_at"],
        expires_at=row["expires_at"],
        amr=tuple(row["amr"]),
        acr=row["acr"],
        authenticator_level=row["authenticator_level"],
    )


def _view(row: SessionRow) -> Session:
    return Session(
        row.id, row.account_id, row.auth_time, row.last_seen_at, row.expires_at, tuple(row.amr), row.acr, row.authenticator_level
    )
