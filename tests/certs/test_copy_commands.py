"""``fujie certs copy …`` and ``fujie certs access …``: what they do, what they print, how they refuse."""

import dataclasses
import datetime as dt
import hashlib
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from api.commands import copies
from certs.access_applications import Application, apply
from certs.access_rates import Use, count
from certs.reads import get_certificate
from certs.sharing import Want
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from tests.commanding import Commanding

PURPOSE = "办理食品经营许可，核对排水许可"
MARKET = "11990100MB0000035A"


def person(name: str, organisation: str, *roles: Role) -> Actor:
    return Actor(ActorKind.PERSON, name, name, organisation, "990100", frozenset(roles), assurance=2, authenticator=2)


@pytest.fixture
async def certificate(city: Any, stocked: Any) -> Any:
    async with city.issuing.database.session() as session:
        return await get_certificate(session, stocked.issued[0].id)


def house_of(city: Any) -> SimpleNamespace:
    given = city.issuing
    return SimpleNamespace(
        database=given.database, clock=given.clock, blobs=given.blobs, personal=given.personal, issuing=given, base_url=given.base_url
    )


@pytest.fixture
async def copying(city: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch) -> Commanding:
    commands = Commanding(copies.copies, house_of(city), {"approver": person("approver", certificate.issuer, Role.APPROVER)})
    commands.replace_in(monkeypatch, copies)
    return commands


@pytest.fixture
async def access(city: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Commanding:
    issuer = approval_issuer(city)
    people = {"reviewer": person("reviewer", issuer, Role.APPROVER), "clerk": person("clerk", MARKET, Role.WINDOW_CLERK)}
    commands = Commanding(copies.access, house_of(city), people)
    commands.replace_in(monkeypatch, copies)
    return commands


def approval_issuer(city: Any) -> str:
    return str(city.approval(0).issuer)


async def test_a_copy_is_made_listed_and_withdrawn(copying: Commanding, city: Any, certificate: Any, tmp_path: Path) -> None:
    file = tmp_path / "copy.pdf"
    making = ("make", certificate.identifier, "-o", file, "--purpose", PURPOSE, "--as", "approver", "--days", 7)
    assert await copying.refusal(*making) != "", "no seal may be used for copies yet"
    assert not file.exists()
    arranged = await copying.told("seal", certificate.issuer, "--seal", certificate.seal_code, "--matter", certificate.matter_code)
    wanted = {"organisation": certificate.issuer, "seal": certificate.seal_code, "matter": certificate.matter_code}
    assert arranged == [wanted] == await copying.told("seal")
    (made,) = await copying.told(*making)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == made["sha256"]
    assert (made["certificate_id"], made["status"], made["purpose"]) == (str(certificate.id), "in_force", PURPOSE)
    for name in (certificate.identifier, certificate.verification_code, certificate.id):
        assert [one["id"] for one in await copying.told("list", name)] == [made["id"]]
    assert await copying.refusal(*making) == "OUTPUT_EXISTS"
    assert "--reason" in await copying.misused("withdraw", made["id"])
    (ended,) = await copying.told("withdraw", made["id"], "--reason", "用途已完成")
    assert (ended["status"], ended["withdrawn_reason"]) == ("cancelled", "用途已完成")


async def test_what_cannot_be_copied_is_refused_by_name(copying: Commanding, city: Any, certificate: Any, tmp_path: Path) -> None:
    file, asked = tmp_path / "copy.pdf", ("--purpose", PURPOSE, "--as", "approver")
    assert await copying.refusal("make", "1.2.156.3005.2.none", "-o", file, *asked) == "NOT_FOUND"
    assert await copying.refusal("make", certificate.identifier, "-o", file, "--purpose", " ", "--as", "approver") == "PURPOSE_REQUIRED"
    assert "--days" in await copying.misused("make", certificate.identifier, "-o", file, *asked, "--days", 367)
    assert "--as" in await copying.misused("make", certificate.identifier, "-o", file, "--purpose", PURPOSE)
    assert await copying.refusal("list", "nothing") == "NOT_FOUND"
    assert await copying.refusal("withdraw", uuid.UUID(int=1), "--reason", "x") == "NOT_FOUND"
    assert await copying.refusal("seal", certificate.issuer, "--seal", "none", "--matter", certificate.matter_code) == "SEAL_NOT_FOUND"
    assert await copying.told("seal") == [], "nothing is arranged by halves"
    assert not file.exists()


async def test_an_application_is_listed_and_decided(access: Commanding, city: Any) -> None:
    given = city.issuing
    asker = Actor(ActorKind.CLIENT, "market", "market", MARKET, "990100", scopes=frozenset({"certificates:read"}))
    asked = Application(
        city.approval(0).certificate_type,
        frozenset({Want.DATA}),
        "",
        "核对",
        "示范条例",
        2,
        dt.date(2027, 6, 30),
        without_holder=True,
    )
    first = await apply(given.database, given.clock, asker, asked, "one")
    second = await apply(given.database, given.clock, asker, dataclasses.replace(asked, purpose="再核对"), "two")
    assert {one["id"] for one in await access.told("list", "--as", "reviewer")} == {str(first.id), str(second.id)}
    assert {one["id"] for one in await access.told("list", "--organisation", MARKET)} == {str(first.id), str(second.id)}
    assert await access.told("list", "--organisation", "11990100MB0000027F") == []
    (opened,) = await access.told("decide", first.id, "open", "--as", "reviewer")
    assert (opened["id"], opened["stage"]) == (str(first.id), "open")
    assert await access.refusal("decide", second.id, "refuse", "--as", "reviewer") == "INVALID_INPUT", "a reason is required"
    (refused,) = await access.told("decide", second.id, "refuse", "--as", "reviewer", "--reason", "依据不足")
    assert refused["stage"] == "refused"
    assert await access.refusal("decide", uuid.UUID(int=1), "open", "--as", "reviewer") == "NOT_FOUND"
    assert "'burn' is not one of" in await access.misused("decide", first.id, "burn", "--as", "reviewer")
    async with given.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM certs.access_applications WHERE stage = 'open'")) == 1


async def test_rates_are_set_and_printed_with_what_was_used(access: Commanding, city: Any) -> None:
    given, asker = city.issuing, Actor(ActorKind.CLIENT, "bank", "bank", MARKET)
    assert await access.told("rate", "bank", "verify", "--per-minute", 60, "--per-day", 2) == []
    async with given.database.begin() as session:
        await count(session, given.clock.now(), asker, Use.VERIFY)
    assert await access.told("rates") == [
        {"requester": "bank", "use": "verify", "type": "", "per_minute": 60, "per_day": 2},
        {"requester": "bank", "use": "verify", "type": "", "used_today": 1},
    ]
    assert await access.told("rate", "bank", "verify", "--per-minute", 0, "--per-day", 0) == []
    assert (await access.told("rates"))[0]["per_day"] == 0
    assert await access.refusal("rate", "bank", "find", "--per-minute", 1, "--per-day", 10**9 + 1) == "INVALID_INPUT"
    await access.misused("rate", "bank", "find", "--per-minute", -1, "--per-day", 1)
    await access.misused("rate", "bank", "everything", "--per-minute", 1, "--per-day", 1)
    async with given.database.session() as session:
        told = await session.scalar(text("SELECT count(*) FROM keys.audit_events WHERE action = 'certs.rate.set'"))
    assert (told, SYSTEM.id) == (2, "fujie")


async def test_days_are_entered_and_printed(access: Commanding, tmp_path: Path) -> None:
    file = tmp_path / "2031.csv"
    file.write_text("day,works,name\n2031-01-01,0,元旦\n2031-01-04,1,元旦调休\n", encoding="utf-8")
    assert await access.told("calendar", file) == [{"entered": 2}]
    *days, told = await access.told("calendar", "--year", 2031)
    assert [(one["day"], one["works"]) for one in days] == [("2031-01-01", False), ("2031-01-04", True)]
    assert (told["year"], told["known"]) == (2031, True)
    assert (await access.told("calendar", "--year", 2040)) == [told | {"year": 2040, "known": False}]
    for wrong in (b"", b"day,works,name\n2031-13-01,0,x\n", b"day,works,name\n2031-01-01,yes,x\n", b"\xff\xfe", b"\x89PNG\r\n"):
        file.write_bytes(wrong)
        assert await access.refusal("calendar", file) == "INVALID_INPUT"
    await access.misused("calendar", tmp_path / "none.csv")
