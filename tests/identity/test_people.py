"""Accounts, organisations and the policy of roles."""

import uuid
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from identity import people
from identity.credentials import WeakPassword, enrol_totp, get_credential, set_password, totp_address
from identity.login_policy import ACR_VALUES, SECOND_FACTOR_DUE, needs_second_factor, satisfies
from identity.organisations import Organisation, get_organisation, put_organisation
from identity.people import Account, ConflictingRoles, NewAccount, UsernameTaken, actor_of
from identity.personal_data import PersonalData
from identity.reads import organisations_in, staff_of
from keys.base.actor import ActorKind, Role
from keys.base.db import Database
from keys.base.errors import InvalidInput

PASSWORD = "correct horse battery"


async def create(database: Database, clock: Any, password: str = PASSWORD, **fields: Any) -> Account:
    values = {"username": "someone", "display_name": "某人", "division": "990100"} | fields
    async with database.begin() as session:
        return await people.create_account(session, clock.now(), NewAccount(**values), password)


async def test_an_account_and_its_actor(database: Database, clock: Any) -> None:
    roles = frozenset({Role.APPROVER, Role.WINDOW_CLERK})
    account = await create(database, clock, username="Ａpprover1", roles=roles, organisation="11990100MB0000027F")
    assert (account.username, account.identity_level, account.has_second_factor, account.name) == ("approver1", 0, False, None)
    async with database.session() as session:
        assert await people.find_by_username(session, "APPROVER1") == account
        assert await people.get_account(session, account.id) == account
        assert await people.get_account(session, uuid.uuid4()) is None
        assert await people.holder_index_of(session, account.id) is None
        assert await staff_of(session, "11990100MB0000027F", Role.APPROVER) == [account.id]
        assert await staff_of(session, "11990100MB0000027F", Role.AUDITOR) == []
    actor = actor_of(account)
    assert (actor.kind, actor.id, actor.roles, actor.division) == (ActorKind.PERSON, str(account.id), roles, "990100")
    assert (actor.organisation, actor.authenticator) == ("11990100MB0000027F", 0)


@pytest.mark.parametrize("username", ["someone", "SOMEONE", "ｓｏｍｅｏｎｅ"])
async def test_a_username_is_taken_once(database: Database, clock: Any, username: str) -> None:
    await create(database, clock)
    with pytest.raises(UsernameTaken):
        await create(database, clock, username=username)


BAD_FIELDS: list[tuple[str, Any]] = [
    ("username", "a"), ("username", "a b"), ("username", "a\x00b"), ("username", "x" * 65), ("username", "\ud800\ud801"),
    ("username", "11010519491231002X"), ("username", "１１０１０５１９４９１２３１００２Ｘ"),
    ("display_name", ""), ("display_name", "a\nb"), ("display_name", "我是11010519491231002X"),
    ("division", "99010"), ("division", "９９０１００"), ("organisation", "nonsense"), ("roles", frozenset()),
]  # fmt: skip


async def test_bad_accounts_name_the_field_and_not_the_value(database: Database, clock: Any) -> None:
    for field, value in BAD_FIELDS:
        with pytest.raises(InvalidInput) as refused:
            await create(database, clock, **{field: value})
        assert [error["field"] for error in refused.value.extra["errors"]] == [field]  # type: ignore[attr-defined]
        assert "11010519491231002" not in str(refused.value) + str(refused.value.extra)


@pytest.mark.parametrize("password", ["short", "x" * 257, "someone.longname", "SOMEONE.longname"])
async def test_weak_passwords(database: Database, clock: Any, password: str) -> None:
    with pytest.raises(WeakPassword):
        await create(database, clock, password, username="someone.longname")
    async with database.session() as session:
        assert await people.find_by_username(session, "someone.longname") is None


async def test_administrators_are_separate_in_code_and_in_the_table(database: Database, clock: Any) -> None:
    with pytest.raises(ConflictingRoles):
        await create(database, clock, roles=frozenset({Role.SYSTEM_ADMIN, Role.AUDITOR}))
    account = await create(database, clock, roles=frozenset({Role.SYSTEM_ADMIN}))
    grab = text("""UPDATE identity.accounts SET roles = '["system_admin", "security_admin"]' WHERE id = :id""")
    with pytest.raises(IntegrityError, match="separate_administrators"):
        async with database.begin() as session:
            await session.execute(grab, {"id": account.id})


async def test_a_secret_too_short_for_a_second_factor(database: Database, clock: Any, personal: PersonalData) -> None:
    account = await create(database, clock)
    async with database.begin() as session:
        with pytest.raises(ValueError, match="112 bits"):
            await enrol_totp(session, personal, clock.now(), account.id, "JBSWY3DPEHPK3PXP")
        with pytest.raises(LookupError):
            await enrol_totp(session, personal, clock.now(), uuid.uuid4())


async def test_a_password_is_changed(database: Database, clock: Any) -> None:
    account = await create(database, clock)
    async with database.begin() as session:
        before = await get_credential(session, account.id)
        await set_password(session, clock.now(), account.id, "another good password", account.username)
        after = await get_credential(session, account.id)
    assert before is not None
    assert after is not None
    assert before.password_hash != after.password_hash


def test_who_owes_a_second_factor() -> None:
    assert set(SECOND_FACTOR_DUE) == set(Role)
    free = {role for role, due in SECOND_FACTOR_DUE.items() if not due}
    assert free == {Role.CITIZEN, Role.LEGAL_REPRESENTATIVE, Role.AGENT}
    assert needs_second_factor({Role.CITIZEN, Role.APPROVER})
    assert not needs_second_factor({Role.CITIZEN})


def test_a_stronger_log_in_satisfies_a_weaker_wish() -> None:
    weak, strong = ACR_VALUES
    assert satisfies(strong, [weak])
    assert satisfies(weak, [weak, strong])
    assert not satisfies(weak, [strong])
    assert satisfies(weak, ["urn:unknown"])
    assert not satisfies("urn:unknown", [weak])


def test_the_address_an_authenticator_scans() -> None:
    address = totp_address("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "approver")
    assert address.startswith("otpauth://totp/")
    assert "secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in address


async def test_organisations_are_put_and_replaced(database: Database, clock: Any) -> None:
    first = Organisation("n2990102mf0000080c", "示范区新春村股份经济合作社", "990102", "collective")
    async with database.begin() as session:
        put = await put_organisation(session, clock.now(), first)
        assert put == Organisation("N2990102MF0000080C", first.name, "990102", "collective", True)
        renamed = await put_organisation(session, clock.now(), Organisation(put.uscc, "新名称", "990102", "collective"))
        assert renamed.name == "新名称"
        assert await organisations_in(session, "990102") == [renamed]
        await put_organisation(session, clock.now(), Organisation(put.uscc, "新名称", "990102", "collective", active=False))
        assert await organisations_in(session, "990102") == []
    async with database.session() as session:
        assert await get_organisation(session, "N2990102MF0000080C") == Organisation(put.uscc, "新名称", "990102", "collective", False)
        assert await get_organisation(session, "91990100MA1TEXT14M") is None


@pytest.mark.parametrize(("field", "value"), [("uscc", "123"), ("name", " "), ("kind", "club"), ("division", "1")])
async def test_bad_organisations(database: Database, clock: Any, field: str, value: str) -> None:
    good = {"uscc": "91990100MA1TEXT14M", "name": "示范市白鹤建材有限公司", "division": "990100", "kind": "enterprise"}
    async with database.begin() as session:
        with pytest.raises(InvalidInput) as refused:
            await put_organisation(session, clock.now(), Organisation(**(good | {field: value})))
    assert [error["field"] for error in refused.value.extra["errors"]] == [field]  # type: ignore[attr-defined]
