"""A key ceremony: what it asks for, what it makes, what it leaves behind, and what it refuses."""

import dataclasses
import hashlib
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.ceremony.holding import (
    AuthorityExists,
    CeremonyCheckFailed,
    CeremonyNotSignedOff,
    CeremonyRoleMissing,
    Hall,
    People,
    hold,
)
from keys.ceremony.plan import NO_LEGAL_EFFECT, CeremonyPlanInvalid, read_plan
from keys.ceremony.transcript import Transcript
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose, StoredKey
from keys.pki.authority import authority_certificate
from keys.pki.reads import get_authorities

PLAN = """
title = "根密钥仪式 Root key ceremony"
organisation = "某市数据局"
organisation_code = "11990100MB0000000X"
division = "990100"
legal_effect = false

[roles]
administrator = "zhang"
witness = "li"

[[authorities]]
name = "root"
profile = "root"
algorithm = "EC_P384"
common_name = "某市根CA"

[[authorities]]
name = "seal"
parent = "root"
profile = "seal-ca"
algorithm = "RSA_3072"
common_name = "某市印章CA"

[[authorities]]
name = "root-sm"
profile = "root"
algorithm = "SM2"
common_name = "某市国密根CA"

[[authorities]]
name = "seal-maker"
parent = "root-sm"
profile = "seal-maker-ca"
algorithm = "SM2"
common_name = "某市制章CA"
""".encode()
ADMINISTRATOR = Actor(ActorKind.PERSON, "1", "张三", roles=frozenset({Role.SECURITY_ADMIN}), authenticator=2)
WITNESS = Actor(ActorKind.PERSON, "2", "李四", roles=frozenset({Role.AUDITOR}), authenticator=2)
PEOPLE = People(ADMINISTRATOR, WITNESS)


class SignOffs:
    """Agrees with every transcript, or stops agreeing at the person named."""

    def __init__(self, refuses: Actor | None = None) -> None:
        self.refuses, self.shown = refuses, list[tuple[Actor, Transcript]]()

    async def __call__(self, actor: Actor, transcript: Transcript) -> bool:
        self.shown.append((actor, transcript))
        return actor is not self.refuses


@pytest.fixture
def hall(database: Database, keystore: SoftwareKeyStore, clock: Clock) -> Hall:
    return Hall(database, keystore, clock, "https://id.example", "software")


async def _events(database: Database) -> Sequence[tuple[str, str, str]]:
    async with database.session() as session:
        rows = await session.execute(
            text("SELECT action, outcome, actor_id FROM keys.audit_events WHERE action LIKE 'keys.ceremony%' ORDER BY id")
        )
        return [(row.action, row.outcome, row.actor_id) for row in rows]


async def test_two_people_make_the_authorities_on_the_record(hall: Hall) -> None:
    sign_offs = SignOffs()
    transcript = await hold(hall, read_plan(PLAN), PLAN, PEOPLE, sign_offs)
    assert [actor for actor, _ in sign_offs.shown] == [ADMINISTRATOR, WITNESS]
    assert all(shown == transcript for _, shown in sign_offs.shown)
    async with hall.database.session() as session:
        authorities = await get_authorities(session)
        row = (await session.execute(text("SELECT * FROM keys.ceremonies"))).one()
    assert {name: one.key.algorithm for name, one in authorities.items()} == {
        "root": Algorithm.P384,
        "seal": Algorithm.RSA3072,
        "root-sm": Algorithm.SM2,
        "seal-maker": Algorithm.SM2,
    }
    assert row.transcript == transcript.text()
    assert row.sha256 == transcript.digest() == hashlib.sha256(row.transcript.encode()).hexdigest()
    assert (row.configuration, row.administrator, row.witness) == (PLAN, "1", "2")
    assert await _events(hall.database) == [("keys.ceremony.hold", "done", "1"), ("keys.ceremony.witness", "done", "2")]


async def test_the_transcript_says_what_was_made(hall: Hall) -> None:
    told = (await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs())).text()
    async with hall.database.session() as session:
        certificate = await authority_certificate(session, "seal")
    assert hashlib.sha256(certificate).hexdigest() in told
    assert hashlib.sha256(PLAN).hexdigest() in told
    assert "张三 (1)" in told
    assert "李四 (2)" in told
    assert "RSA_3072" in told
    assert told.count(NO_LEGAL_EFFECT) == 4


async def test_the_digest_of_the_transcript_is_in_the_log(hall: Hall) -> None:
    transcript = await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs())
    async with hall.database.session() as session:
        bodies = (await session.scalars(text("SELECT body FROM keys.audit_events WHERE action = 'keys.ceremony.hold'"))).all()
    assert [transcript.digest().encode() in body for body in bodies] == [True]


@pytest.mark.parametrize("refuses", [ADMINISTRATOR, WITNESS])
async def test_without_both_signatures_nothing_counts(hall: Hall, refuses: Actor) -> None:
    with pytest.raises(CeremonyNotSignedOff) as refusal:
        await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs(refuses))
    assert len(refusal.value.extra["keys"]) == 4  # type: ignore[arg-type]
    async with hall.database.session() as session:
        assert await get_authorities(session) == {}
        assert await session.scalar(text("SELECT count(*) FROM keys.ceremonies")) == 0
        assert await session.scalar(text("SELECT count(*) FROM keys.stored_keys")) == 0
    assert await _events(hall.database) == [("keys.ceremony.hold", "refused", "1")]


@pytest.mark.parametrize(
    "people",
    [
        People(ADMINISTRATOR, ADMINISTRATOR),
        People(WITNESS, ADMINISTRATOR),
        People(ADMINISTRATOR, dataclasses.replace(WITNESS, roles=frozenset({Role.CITIZEN}))),
        People(dataclasses.replace(ADMINISTRATOR, authenticator=1), WITNESS),
        People(ADMINISTRATOR, dataclasses.replace(WITNESS, kind=ActorKind.CLIENT)),
        People(ADMINISTRATOR, dataclasses.replace(WITNESS, id="1")),
    ],
)
async def test_the_wrong_people_make_nothing(hall: Hall, people: People) -> None:
    with pytest.raises(CeremonyRoleMissing):
        await hold(hall, read_plan(PLAN), PLAN, people, SignOffs())
    assert await _events(hall.database) == [("keys.ceremony.hold", "refused", people.administrator.id)]


async def test_an_authority_is_made_once(hall: Hall) -> None:
    await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs())
    with pytest.raises(AuthorityExists):
        await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs())


class Broken(SoftwareKeyStore):
    """A key store whose signatures are wrong."""

    def sign(self, key: StoredKey, message: bytes, purpose: Purpose) -> bytes:
        return super().sign(key, message + b"!", purpose)


async def test_a_key_store_that_signs_wrongly_is_found_out(hall: Hall, keystore: SoftwareKeyStore) -> None:
    broken = dataclasses.replace(hall, keystore=Broken(keystore.path))
    with pytest.raises(CeremonyCheckFailed):
        await hold(broken, read_plan(PLAN), PLAN, PEOPLE, SignOffs())


async def test_a_ceremony_is_not_rewritten(hall: Hall) -> None:
    await hold(hall, read_plan(PLAN), PLAN, PEOPLE, SignOffs())
    for change in ("UPDATE keys.ceremonies SET transcript = ''", "DELETE FROM keys.ceremonies"):
        with pytest.raises(DBAPIError, match="stays as it was written"):
            async with hall.database.begin() as session:
                await session.execute(text(change))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ('division = "990100"->division = 990', "division"),
        ("legal_effect = false->legal_effect = 0", "legal_effect"),
        ('witness = "li"->witness = "Zhang "', "roles"),
        ('witness = "li"->', "roles"),
        ('name = "seal"->name = "Seal/.."', "authorities[1].name"),
        ('name = "seal"->name = "root"', "authorities[1].name"),
        ('parent = "root"->parent = "documents"', "authorities[1].parent"),
        ('profile = "seal-ca"->profile = "document-signer"', "authorities[1].profile"),
        ('profile = "seal-ca"->profile = "root"', "authorities[1].profile"),
        ('algorithm = "RSA_3072"->algorithm = "RSA_1024"', "authorities[1].algorithm"),
        ('algorithm = "RSA_3072"->algorithm = "RSA_2048"', "authorities[1].algorithm"),
        ('common_name = "某市印章CA"->common_name = "\\u0007"', "authorities[1].common_name"),
        (f'common_name = "某市印章CA"->common_name = "{"长" * 30}"', "authorities[1].common_name"),
        ('title = "根密钥仪式 Root key ceremony"->titel = "?"', "title"),
    ],
)
def test_every_fault_of_a_plan_is_named(change: str, field: str) -> None:
    before, _, after = change.partition("->")
    assert before in PLAN.decode()
    with pytest.raises(CeremonyPlanInvalid) as refusal:
        read_plan(PLAN.decode().replace(before, after, 1).encode())
    assert field in [error["field"] for error in refusal.value.extra["errors"]]  # type: ignore[index, attr-defined]


@pytest.mark.parametrize("octets", [b"", b"\xff", b"title = ", b"[roles]\nadministrator = 1", b"authorities = []", b"authorities = [1]"])
def test_what_is_no_plan_is_refused(octets: bytes) -> None:
    with pytest.raises(CeremonyPlanInvalid):
        read_plan(octets)
