"""Accounts of people, and the actor an account becomes when it acts."""

import datetime as dt
import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert

from identity import credentials, numbers
from identity.login_policy import SEPARATE_ROLES
from identity.models import AccountRow, BindingRow, CredentialRow
from identity.organisations import require_division
from identity.sessions import Session
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, InvalidInput
from keys.base.ids import new_id

_USERNAME = re.compile(r"[\w.@+-]{2,64}")


class UsernameTaken(Conflict):
    """Another account has this username."""

    code = "USERNAME_TAKEN"
    public = ("该用户名已被使用。", "This username is taken.")


class ConflictingRoles(Conflict):
    """System, security and audit administration are separate (GB/T 22239)."""

    code = "CONFLICTING_ROLES"
    public = (
        "系统管理员、安全管理员、审计管理员不得由同一账号兼任。",
        "One account cannot be system, security and audit administrator at once.",
    )


@dataclass(frozen=True, slots=True)
class NewAccount:
    """``username`` 2–64 letters, digits and ``._@+-``; ``division`` GB/T 2260; ``organisation`` USCC of the employer."""

    username: str
    display_name: str
    division: str
    roles: frozenset[Role] = frozenset({Role.CITIZEN})
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """``name``: the verified name, once a number is bound; ``number_masked``: that number for the screen."""

    id: uuid.UUID
    username: str
    display_name: str
    division: str
    organisation: str | None
    roles: frozenset[Role]
    identity_level: int
    has_second_factor: bool
    name: str | None
    code_type: str | None
    number_masked: str | None
    active: bool
    created_at: dt.datetime
    updated_at: dt.datetime


async def create_account(session: AsyncSession, now: dt.datetime, new: NewAccount, password: str) -> Account:
    """A new account with a password. Raises InvalidInput, WeakPassword, ConflictingRoles, UsernameTaken."""
    username = normalise_username(new.username)
    _require_valid(new, username)
    account_id = new_id()
    created = await session.scalar(
        insert(AccountRow)
        .values(_account_values(new, username) | {"id": account_id, "created_at": now, "updated_at": now})
        .on_conflict_do_nothing(index_elements=["username"])
        .returning(AccountRow.id)
    )
    if created is None:
        raise UsernameTaken
    await credentials.set_password(session, now, account_id, password, username)
    return await require_account(session, account_id)


def _account_values(new: NewAccount, username: str) -> dict[str, Any]:
    return {
        "username": username,
        "display_name": new.display_name.strip(),
        "division": new.division,
        "organisation": new.organisation,
        "roles": sorted(new.roles),
        "identity_level": 0,
        "active": True,
    }


async def get_account(session: AsyncSession, account_id: uuid.UUID) -> Account | None:
    return await _one(session, _select().where(AccountRow.id == account_id))


async def require_account(session: AsyncSession, account_id: uuid.UUID) -> Account:
    """The account; raises ``LookupError``: the caller holds an id that must exist."""
    account = await get_account(session, account_id)
    if account is None:
        raise LookupError("no such account")
    return account


async def find_by_username(session: AsyncSession, username: str) -> Account | None:
    normalised = normalise_username(username)
    # PostgreSQL takes neither NUL nor half a surrogate pair: what cannot be a username is nobody's.
    return await _one(session, _select().where(AccountRow.username == normalised)) if _USERNAME.fullmatch(normalised) else None


async def set_active(session: AsyncSession, now: dt.datetime, account_id: uuid.UUID, active: bool) -> None:
    """Opens or closes the account; a closed account's sessions are no longer found."""
    await session.execute(update(AccountRow).where(AccountRow.id == account_id).values(active=active, updated_at=now))


@dataclass(frozen=True, slots=True)
class Office:
    """What an account may do, and for whom."""

    division: str
    organisation: str | None
    roles: frozenset[Role]


async def set_office(session: AsyncSession, now: dt.datetime, account: Account, office: Office) -> None:
    """Changes roles, employer and division. Raises InvalidInput, ConflictingRoles."""
    _require_valid(NewAccount(account.username, account.display_name, office.division, office.roles, office.organisation), account.username)
    changed = {"division": office.division, "organisation": office.organisation, "roles": sorted(office.roles), "updated_at": now}
    await session.execute(update(AccountRow).where(AccountRow.id == account.id).values(changed))


async def set_identity(session: AsyncSession, now: dt.datetime, account_id: uuid.UUID, *, name: str, level: int) -> None:
    """Records the verified name and the new identity level (``realname``)."""
    changed = {"name": name, "identity_level": level, "updated_at": now}
    await session.execute(update(AccountRow).where(AccountRow.id == account_id).values(changed))


async def holder_index_of(session: AsyncSession, account_id: uuid.UUID) -> bytes | None:
    """The blind index of the number bound to the account: what certificates are found by."""
    return await session.scalar(select(BindingRow.number_index).where(BindingRow.account_id == account_id))


def actor_of(account: Account, session: Session | None = None) -> Actor:
    """The account as somebody who acts, with the strength of the present session."""
    return Actor(
        ActorKind.PERSON,
        str(account.id),
        account.display_name,
        organisation=account.organisation,
        division=account.division,
        roles=account.roles,
        assurance=account.identity_level,
        authenticator=session.authenticator_level if session else 0,
    )


def normalise_username(username: str) -> str:
    """Case, width and outer blanks do not tell two people apart (NFKC, case folded)."""
    return unicodedata.normalize("NFKC", username).strip().casefold()


def _require_valid(new: NewAccount, username: str) -> None:
    require_division(new.division)
    faults = {
        "username": not _USERNAME.fullmatch(username) or _holds_number(username),
        "display_name": not 0 < len(new.display_name.strip()) <= 64
        or not new.display_name.isprintable()
        or _holds_number(new.display_name),
        "organisation": new.organisation is not None and not numbers.check(numbers.CodeType.USCC, new.organisation).well_formed,
        "roles": not new.roles,
    }
    errors = [{"field": field, "message": "not well-formed"} for field, found in faults.items() if found]
    if errors:
        raise InvalidInput("account", errors=errors)
    if len(new.roles & SEPARATE_ROLES) > 1:
        raise ConflictingRoles


def _holds_number(text: str) -> bool:
    """ID numbers stand in no plain column, so a name may not hold one either."""
    return re.search(r"[0-9]{17}[0-9Xx]", unicodedata.normalize("NFKC", text)) is not None


def _select() -> Select[AccountRow, bytes | None, BindingRow]:
    return (
        select(AccountRow, CredentialRow.totp_sealed, BindingRow)
        .outerjoin(CredentialRow, CredentialRow.account_id == AccountRow.id)
        .outerjoin(BindingRow, BindingRow.account_id == AccountRow.id)
        .execution_options(populate_existing=True)
    )


async def _one(session: AsyncSession, query: Select[AccountRow, bytes | None, BindingRow]) -> Account | None:
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return None
    row, totp_sealed = found[0], found[1]
    binding: BindingRow | None = found[2]  # an outer join
    return Account(
        id=row.id,
        username=row.username,
        display_name=row.display_name,
        division=row.division,
        organisation=row.organisation,
        roles=frozenset(Role(role) for role in row.roles),
        identity_level=row.identity_level,
        has_second_factor=totp_sealed is not None,
        name=row.name,
        code_type=binding.code_type if binding else None,
        number_masked=binding.number_masked if binding else None,
        active=row.active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
