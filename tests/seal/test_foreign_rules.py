"""Rules for the seals of other systems: proposed by one, approved by another, in force in every verdict; never more than spelling."""

import asyncio
import datetime as dt
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text

from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.trust.certificates import fingerprint
from keys.trust.entries import Use
from keys.trust.once import Once
from keys.trust.proposals import Proposal, approve, propose
from seal.foreign_rules import STRICT, AuthorityRules, Encoding, SystemRules, Tolerance
from seal.foreign_rules_list import (
    KeptRules,
    RulesStatus,
    approve_rules,
    get_rules,
    list_rules,
    propose_rules,
    reject_rules,
    rules_in_force,
    withdraw_rules,
)
from tests.stamped import World

LOOSE = SystemRules(tolerances=frozenset({Tolerance.UTC_TIME}))


def admin(name: str, **changed: object) -> Actor:
    actor = Actor(ActorKind.PERSON, name, name, None, "990100", frozenset({Role.SECURITY_ADMIN}), authenticator=2)
    return replace(actor, **changed)  # type: ignore[arg-type]


ANNE, BERT = admin("anne"), admin("bert")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
async def authority(database: Database, clock: Clock, world: World) -> bytes:
    """An authority of somebody else that is on the trust list."""
    certificate = world["root-sm"].certificate
    order = Proposal(certificate, frozenset({Use.SEAL_SIGNER}), valid_from=clock.now() - dt.timedelta(days=1), reason="agreement")
    entry = await propose(database, clock, ANNE, order)
    await approve(database, clock, BERT, entry.id, "seen")
    return fingerprint(certificate)


async def proposed(database: Database, clock: Clock, authority: bytes, rules: SystemRules = LOOSE) -> KeptRules:
    return await propose_rules(database, clock, ANNE, AuthorityRules(authority, rules), "agreement no. 7")


async def in_force(database: Database) -> tuple[AuthorityRules, ...]:
    async with database.session() as session:
        return await rules_in_force(session)


async def refused(journey: object) -> str:
    with pytest.raises(FujieError) as refusal:
        await journey  # type: ignore[misc]
    return refusal.value.code


async def test_two_people_put_rules_in_force(database: Database, clock: Clock, authority: bytes) -> None:
    kept = await proposed(database, clock, authority)
    assert (kept.status, await in_force(database)) == (RulesStatus.PROPOSED, ())
    assert await refused(approve_rules(database, clock, ANNE, kept.id, "mine")) == "TRUST_SAME_PERSON"
    assert await refused(proposed(database, clock, authority)) == "FOREIGN_RULES_PENDING"
    done = await approve_rules(database, clock, BERT, kept.id, "seen")
    assert (done.status, done.decided_by, done.decision) == (RulesStatus.ACTIVE, "bert", "seen")
    assert await in_force(database) == (AuthorityRules(authority, LOOSE),)
    assert await refused(approve_rules(database, clock, BERT, kept.id, "again")) == "FOREIGN_RULES_DECIDED"


async def test_new_rules_take_the_place_of_old_ones(database: Database, clock: Clock, authority: bytes) -> None:
    first = await proposed(database, clock, authority)
    await approve_rules(database, clock, BERT, first.id, "seen")
    second = await proposed(database, clock, authority, STRICT)
    await approve_rules(database, clock, BERT, second.id, "seen")
    assert await in_force(database) == (AuthorityRules(authority, STRICT),)
    async with database.session() as session:
        assert [(one.id, one.status) for one in await list_rules(session)] == [
            (first.id, RulesStatus.SUPERSEDED),
            (second.id, RulesStatus.ACTIVE),
        ]
        assert (await get_rules(session, first.id)).decided_by == "bert"


async def test_one_person_makes_it_strict_again(database: Database, clock: Clock, authority: bytes) -> None:
    kept = await proposed(database, clock, authority)
    assert (await reject_rules(database, clock, ANNE, kept.id, "no")).status is RulesStatus.REJECTED
    kept = await proposed(database, clock, authority)
    await approve_rules(database, clock, BERT, kept.id, "seen")
    assert (await withdraw_rules(database, clock, BERT, kept.id, "no longer")).status is RulesStatus.WITHDRAWN
    assert await in_force(database) == ()


@pytest.mark.parametrize("rules", [SystemRules(timestamp_required=True), SystemRules(encodings=frozenset({Encoding.DER}))])
async def test_nobody_alone_ends_rules_that_ask_for_more(database: Database, clock: Clock, authority: bytes, rules: SystemRules) -> None:
    kept = await proposed(database, clock, authority, rules)
    await approve_rules(database, clock, BERT, kept.id, "seen")
    assert await refused(withdraw_rules(database, clock, BERT, kept.id, "tiresome")) == "FOREIGN_RULES_ASK_FOR_MORE"
    assert len(await in_force(database)) == 1


async def test_nobody_else_and_nothing_else(database: Database, clock: Clock, authority: bytes) -> None:
    order = AuthorityRules(authority, LOOSE)
    for stranger in (admin("kim", roles=frozenset({Role.SEAL_KEEPER})), admin("lee", authenticator=1)):
        assert await refused(propose_rules(database, clock, stranger, order, "please")) == "TRUST_ACTOR_REFUSED"
    unknown = AuthorityRules(bytes(32), LOOSE)
    assert await refused(propose_rules(database, clock, ANNE, unknown, "please")) == "TRUST_ENTRY_UNKNOWN"
    assert await refused(propose_rules(database, clock, ANNE, order, " ")) == "FOREIGN_RULES_REASON_MISSING"
    assert await refused(approve_rules(database, clock, ANNE, uuid.uuid4(), "please")) == "FOREIGN_RULES_UNKNOWN"
    async with database.session() as session:
        query = "SELECT count(*) FROM keys.audit_events WHERE outcome = 'refused' AND action LIKE 'seal.rules.%'"
        assert await session.scalar(text(query)) == 5


async def test_asked_twice_is_done_once(database: Database, clock: Clock, authority: bytes) -> None:
    once = Once("a key", b"\1" * 32)
    order = AuthorityRules(authority, LOOSE)
    first = await propose_rules(database, clock, ANNE, order, "agreement", once)
    assert (await propose_rules(database, clock, ANNE, order, "agreement", once)).id == first.id
    agreed = Once("another", b"\2" * 32)
    done = await approve_rules(database, clock, BERT, first.id, "seen", agreed)
    assert (await approve_rules(database, clock, BERT, first.id, "seen", agreed)) == done


async def test_of_many_approvals_at_once_one_is_done(database: Database, clock: Clock, authority: bytes) -> None:
    kept = await proposed(database, clock, authority)
    answers = await asyncio.gather(
        *(approve_rules(database, clock, admin(f"admin-{n}"), kept.id, "seen") for n in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, KeptRules) for answer in answers) == 1
    assert len(await in_force(database)) == 1
