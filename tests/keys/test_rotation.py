"""The life of token keys: announced, signing, kept, gone; and what an attacker of the database cannot undo."""

import asyncio
import datetime as dt
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from identity.authorize import ARRIVAL_LIFETIME
from identity.claims import ID_TOKEN_LIFETIME
from identity.id_tokens import KeyRing
from keys.base.db import Database
from keys.custody.algorithms import CIPHERS, MACS, SIGNING
from keys.custody.errors import KeyPurposeMismatch, KeyUnreadable
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.jwks import ALGORITHMS, KeyPlan, SigningKeyNotFound, State, read_plan
from keys.models import SigningKeyRow
from keys.rotation import ensure_signing_keys, next_key, replace_compromised, rotate, tend
from keys.schedule import DEFAULT, Schedule

MONTH = Schedule(period=dt.timedelta(days=30))


class House:
    """A database with token keys, and the steps on it."""

    def __init__(self, database: Database, keystore: SoftwareKeyStore, clock: Any) -> None:
        self.parts = (database, keystore, clock)
        self.database, self.keystore, self.clock = self.parts

    async def plan(self) -> KeyPlan:
        async with self.database.session() as session:
            return await read_plan(session)

    async def states(self, alg: str = "ES256") -> list[State]:
        return [key.state(self.clock.now()) for key in (await self.plan()).keys if key.alg == alg]

    async def active(self, alg: str = "ES256") -> str:
        return (await self.plan()).signing(alg, self.clock.now()).kid


@pytest.fixture
async def house(database: Database, keystore: SoftwareKeyStore, clock: Any) -> House:
    await ensure_signing_keys(database, keystore, clock)
    return House(database, keystore, clock)


def test_what_is_signed_may_be_checked_for_no_longer_than_the_schedule_says() -> None:
    assert max(ID_TOKEN_LIFETIME, ARRIVAL_LIFETIME) <= DEFAULT.life
    assert DEFAULT.lead > DEFAULT.cached + DEFAULT.read
    assert DEFAULT.overlap > DEFAULT.life + DEFAULT.cached


async def test_a_key_lives_through_its_states_once(house: House) -> None:
    assert await house.states() == [State.ACTIVE]
    await tend(*house.parts, MONTH)
    assert await house.states() == [State.ACTIVE, State.NEXT]
    first, second = [key for key in (await house.plan()).keys if key.alg == "ES256"]
    assert second.signs_from == first.signs_until == first.signs_from + MONTH.period
    house.clock.instant = second.signs_from - dt.timedelta(microseconds=1)
    assert await house.active() == first.kid
    house.clock.instant = second.signs_from
    assert await house.active() == second.kid
    assert await house.states() == [State.RETIRING, State.ACTIVE]
    house.clock.instant += MONTH.overlap
    assert await house.states() == [State.RETIRED, State.ACTIVE]
    published = {key["kid"] for key in (await house.plan()).published(house.clock.now())["keys"]}
    assert first.kid not in published
    assert second.kid in published


async def test_the_background_keeps_a_key_announced_through_a_year(house: House) -> None:
    """Tended once a day, every key has been public for the lead before it signs, and stays for the overlap after."""
    end = house.clock.now() + dt.timedelta(days=365)
    while house.clock.advance(days=1) < end:
        await tend(*house.parts, MONTH)
    keys = [key for key in (await house.plan()).keys if key.alg == "ES256"]
    assert len(keys) in {13, 14}
    for old, new in itertools.pairwise(keys):
        assert old.signs_until == new.signs_from
        assert new.signs_from - new.created_at >= MONTH.lead
        assert old.published_until == new.signs_from + MONTH.overlap
    assert (await house.states())[-2:] == [State.ACTIVE, State.NEXT]


async def test_nothing_is_ever_unsigned_when_the_background_slept_for_years(house: House) -> None:
    await tend(*house.parts, MONTH)
    house.clock.advance(days=1000)
    assert (await house.states())[-1] is State.ACTIVE
    await tend(*house.parts, MONTH)
    following = next_key(await house.plan(), "ES256", house.clock.now())
    assert following is not None
    assert following.signs_from == house.clock.now() + MONTH.lead


async def test_rotating_waits_until_everybody_knows_the_key(house: House) -> None:
    plan = await rotate(*house.parts, MONTH)
    for alg in ALGORITHMS:
        coming = next_key(plan, alg, house.clock.now())
        assert coming is not None
        assert coming.signs_from == house.clock.now() + MONTH.lead
    again = await rotate(*house.parts, MONTH)
    assert again == plan, "a second order changes nothing"
    house.clock.advance(days=20)
    await tend(*house.parts, MONTH)
    plan = await rotate(*house.parts, MONTH)
    coming = next_key(plan, "ES256", house.clock.now())
    assert coming is not None
    assert coming.signs_from == house.clock.now() + MONTH.lead, "announced a moment ago"
    house.clock.advance(seconds=10)
    assert (await rotate(*house.parts, MONTH)) == plan


async def test_a_key_long_announced_takes_over_within_the_notice(house: House) -> None:
    await tend(*house.parts, MONTH)
    house.clock.advance(days=3)
    coming = next_key(await rotate(*house.parts, MONTH), "ES256", house.clock.now())
    assert coming is not None
    assert coming.signs_from == house.clock.now() + MONTH.notice


async def test_a_shortened_period_counts_from_now_on(house: House) -> None:
    await tend(*house.parts, MONTH)
    house.clock.advance(days=8)
    week = Schedule(period=dt.timedelta(days=7))
    await tend(*house.parts, week)
    coming = next_key(await house.plan(), "ES256", house.clock.now())
    assert coming is not None
    assert coming.signs_from == house.clock.now() + week.notice


async def test_many_processes_make_one_announced_key(house: House) -> None:
    await asyncio.gather(*(tend(*house.parts, MONTH) for _ in range(4)))
    assert await house.states() == [State.ACTIVE, State.NEXT]
    assert await house.states("RS256") == [State.ACTIVE, State.NEXT]


@pytest.mark.parametrize("announced_too", [False, True])
async def test_a_compromised_key_is_gone_at_once(house: House, announced_too: bool) -> None:
    await tend(*house.parts, MONTH)
    house.clock.advance(days=1)
    before = await house.plan()
    ring = KeyRing(house.database, house.keystore, MONTH)
    token = await ring.sign(house.clock.now(), "ES256", "JWT", {"sub": "somebody"})
    stolen = await house.active()
    plan = await replace_compromised(*house.parts, announced_too=announced_too)
    signing = plan.signing("ES256", house.clock.now())
    assert signing.kid != stolen
    assert (signing.kid in {key.kid for key in before.keys}) is not announced_too
    assert stolen not in {key["kid"] for key in plan.published(house.clock.now())["keys"]}
    assert (await house.states()).count(State.ACTIVE) == 1
    house.clock.advance(seconds=MONTH.read.total_seconds())
    assert await ring.recognise(house.clock.now(), "JWT", token) is None, "what it signed is not believed any more"
    await tend(*house.parts, MONTH)
    assert (await house.states())[-1] is State.NEXT


async def test_two_processes_change_keys_at_one_instant_though_both_remember(house: House) -> None:
    """Both read the plan before the change, at different moments; neither reads again in between."""
    await tend(*house.parts, MONTH)
    rings = [KeyRing(house.database, house.keystore, MONTH) for _ in range(2)]
    coming = next_key(await house.plan(), "ES256", house.clock.now())
    assert coming is not None
    for ring, before in zip(rings, (4, 1), strict=True):
        await ring.plan(coming.signs_from - dt.timedelta(seconds=before))
    for instant, changed in ((coming.signs_from - dt.timedelta(microseconds=1), False), (coming.signs_from, True)):
        tokens = [await ring.sign(instant, "ES256", "JWT", {}) for ring in rings]
        assert {(jws.extract_compact(token.encode()).headers()["kid"] == coming.kid) for token in tokens} == {changed}


async def test_whoever_keeps_the_set_as_long_as_allowed_never_misses_a_key(house: House) -> None:
    """Every instant around three rotations, with the oldest copies of the set that anybody may still hold."""
    for _ in range(3):
        house.clock.advance(days=1)
        await rotate(*house.parts, MONTH)
        coming = next_key(await house.plan(), "ES256", house.clock.now())
        assert coming is not None
        plan = await house.plan()
        for second in range(-20, 40, 7):
            signed_at = coming.signs_from + dt.timedelta(seconds=second)
            kid = plan.signing("ES256", signed_at).kid
            for checked_at in (signed_at, signed_at + MONTH.life):
                for fetched_at in (checked_at - MONTH.cached, checked_at):
                    read_at = fetched_at - MONTH.read
                    as_it_was = KeyPlan(tuple(key for key in plan.keys if key.created_at <= read_at))
                    assert kid in {key["kid"] for key in as_it_was.published(read_at)["keys"]}
        house.clock.instant = coming.signs_from


async def test_a_hint_is_known_by_a_key_that_is_published_no_more(house: House) -> None:
    ring = KeyRing(house.database, house.keystore, MONTH)
    token = await ring.sign(house.clock.now(), "RS256", "JWT", {"sub": "somebody"})
    await tend(*house.parts, MONTH)
    house.clock.advance(days=40)
    assert await house.states("RS256") == [State.RETIRED, State.ACTIVE]
    assert await ring.recognise(house.clock.now(), "JWT", token) == {"sub": "somebody"}
    keys = KeySet.import_key_set(await ring.published(house.clock.now()))
    with pytest.raises(InvalidKeyIdError):
        jws.deserialize_compact(token, keys, algorithms=["RS256"])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keys.signing_keys",
        "UPDATE keys.signing_keys SET kid = 'another'",
        "UPDATE keys.signing_keys SET alg = 'RS256' WHERE alg = 'ES256'",
        "UPDATE keys.signing_keys SET compromised_at = NULL WHERE compromised_at IS NOT NULL",
    ],
)
async def test_a_kid_never_returns(house: House, statement: str) -> None:
    await replace_compromised(*house.parts)
    async with house.database.begin() as session:
        with pytest.raises(DBAPIError, match="a signing key keeps its name"):
            await session.execute(text(statement))


async def test_every_change_is_audited(house: House) -> None:
    await rotate(*house.parts, MONTH)
    await replace_compromised(*house.parts)
    async with house.database.session() as session:
        bodies = [orjson.loads(body) for body in await session.scalars(text("SELECT body FROM keys.audit_events ORDER BY id"))]
    actions = [body["action"] for body in bodies if body["details"]["alg"] == "ES256"]
    assert actions == [
        "keys.tokens.announce",
        "keys.tokens.announce",
        "keys.tokens.rotate",
        "keys.tokens.take_back",
        "keys.tokens.rotate",
    ]
    assert {body["object"].removeprefix("key:") for body in bodies} == {key.kid for key in (await house.plan()).keys}


async def test_without_a_key_nothing_is_signed(house: House) -> None:
    async with house.database.begin() as session:
        await session.execute(update(SigningKeyRow).values(compromised_at=house.clock.now()))
    with pytest.raises(SigningKeyNotFound):
        (await house.plan()).signing("ES256", house.clock.now())
    await ensure_signing_keys(*house.parts)
    assert await house.states() == [State.COMPROMISED, State.ACTIVE]


SYMMETRIC = (Algorithm.AES256, Algorithm.HMAC, Algorithm.SM4, Algorithm.HMAC_SM3)


def _uses(store: KeyStore, key: StoredKey, sealed: bytes) -> list[Callable[[Purpose], object]]:
    """All that can be done with a key, for a purpose."""
    if key.algorithm in SIGNING:
        return [lambda purpose: store.sign(key, b"message", purpose)]
    if key.algorithm in MACS:
        return [lambda purpose: store.mac(key, b"message", purpose)]
    return [lambda purpose: store.encrypt(key, b"message", b"", purpose), lambda purpose: store.decrypt(key, sealed, b"", purpose)]


@pytest.mark.parametrize("kind", ["keystore", "token_store"])
@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.ED25519, Algorithm.SM2, *SYMMETRIC])
def test_a_key_of_one_purpose_serves_no_other(request: pytest.FixtureRequest, kind: str, algorithm: Algorithm) -> None:
    """Every purpose against every other: signing, encrypting, decrypting, authenticating; nothing passes for itself as another."""
    store: KeyStore = request.getfixturevalue(kind)
    for own in Purpose:
        key = store.generate(algorithm, own)
        sealed = store.encrypt(key, b"message", b"", own) if algorithm in CIPHERS else b""
        for use in _uses(store, key, sealed):
            assert use(own)
            for other in set(Purpose) - {own}:
                with pytest.raises(KeyPurposeMismatch):
                    use(other)
                disguised = replace(key, purpose=other)
                for disguise in _uses(store, disguised, sealed):
                    with pytest.raises(KeyUnreadable):
                        disguise(other)
